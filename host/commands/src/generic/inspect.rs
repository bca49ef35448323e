//! EXISTS, TOUCH and TYPE: whether keys are there, and of what type. Always: only TOUCH leaves a trace in a key.

use tenon_resp::Args;

use crate::{Context, Outcome};

pub(super) fn exists(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let found = args.rest(1).iter().filter(|key| ctx.db.inspect(key).is_some()).count();
    ctx.reply.integer(found as i64);
    Ok(())
}

pub(super) fn touch(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let found = args.rest(1).iter().filter(|key| ctx.db.find(key).is_some()).count();
    ctx.reply.integer(found as i64);
    Ok(())
}

pub(super) fn kind(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let name = ctx.db.inspect(args.get(1)).map_or("none", |entry| entry.kind().name());
    ctx.reply.simple(name);
    Ok(())
}
