//! DEL and UNLINK. Always: whichever it is, a value that may take long to free is freed elsewhere.

use tenon_resp::Args;

use crate::{Context, Event, Outcome};

pub(super) fn del(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let mut removed = 0;
    for key in args.rest(1) {
        if let Some(value) = ctx.db.delete(key) {
            ctx.discard(value);
            ctx.wrote(key, Event::DEL, 1);
            removed += 1;
        }
    }
    ctx.reply.integer(removed);
    Ok(())
}

pub(super) fn unlink(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    del(ctx, args)
}
