//! DEBUG CLIENT-EVICTION and CLUSTERLINK: what can be told of connections. Closes nobody.

use std::fmt::Write;

use tenon_commands::{CommandError, Outcome};
use tenon_resp::Args;

use super::ServerContext;
use crate::client_memory::client_bytes;

/// Powers of two up to which classes go: 2^15 is the first one's end, 2^33 the last one's beginning.
const CLASSES: std::ops::RangeInclusive<u32> = 15..=33;

/// What clients take, by class. Nothing is kept in classes here: they are counted when they are asked for.
pub(super) fn by_memory(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let (first, last) = (*CLASSES.start(), *CLASSES.end());
    if !context.engine.client_memory.is_limited() {
        return Err(CommandError::text("ERR maxmemory-clients is disabled."));
    }
    let mut classes = vec![(0, 0); (last - first + 2) as usize];
    for session in context.engine.sessions.present() {
        let bytes = client_bytes(session, context.world.outputs);
        let class = (bytes.max(1).ilog2() + 1).clamp(first, last + 1) - first;
        let (sum, count) = &mut classes[class as usize];
        *sum += bytes;
        *count += 1;
    }
    let mut text = String::new();
    for (class, (bytes, clients)) in classes.into_iter().enumerate() {
        let power = first + class as u32;
        let from = if class == 0 { 0 } else { 1_u64 << (power - 1) };
        let to = (1_u64 << power) - 1;
        // A string takes everything.
        let _ = match power > last {
            true => writeln!(text, "bucket {from:10}+            : tot-mem: {bytes:10}, clients: {clients}"),
            false => writeln!(text, "bucket {from:10} - {to:10}: tot-mem: {bytes:10}, clients: {clients}"),
        };
    }
    context.reply().verbatim(b"txt", text.as_bytes());
    Ok(())
}

pub(super) fn kill_cluster_link(_: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    Err(CommandError::text("ERR Debug option only available for cluster mode enabled setup!"))
}
