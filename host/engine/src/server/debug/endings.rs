//! DEBUG PANIC, ASSERT, OOM and SEGFAULT: the server ends as it would if something went wrong, so that whoever watches
//! it can be tried.

use std::alloc::{Layout, handle_alloc_error};

use tenon_base::Output;
use tenon_commands::Outcome;
use tenon_resp::Args;

use super::ServerContext;

pub(super) fn panic_now(_: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    panic!("DEBUG PANIC was called");
}

pub(super) fn assert_now(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    assert!(context.engine.is_over, "DEBUG ASSERT was called");
    Ok(())
}

pub(super) fn run_out_of_memory(_: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    tracing::error!("DEBUG OOM was called: the server ends as if there were no memory");
    handle_alloc_error(Layout::new::<[u8; 1 << 40]>())
}

pub(super) fn crash(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    context.world.outputs.request(Output::Crash);
    Ok(())
}
