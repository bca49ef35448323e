//! List commands that wait for an element where there is none.
//! Always: what is propagated is the form that does not wait.

use tenon_keyspace::{End, Kind};
use tenon_resp::Args;

use super::ends::{MultiPop, end_at, pop_command, pop_first, pop_named, transfer};
use crate::{Context, Empty, Outcome, Wait, timeout_in_seconds};

pub(super) fn blmove(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let (from, to) = (end_at(args, 3)?, end_at(args, 4)?);
    let timeout = timeout_in_seconds(args, 5, ctx.db.now())?;
    let (source, destination) = (args.get(1), args.get(2));
    if ctx.db.list_mut(source)?.is_none() {
        return wait_for_list(ctx, args, 1..2, timeout, Empty::Null);
    }
    transfer(ctx, source, destination, from, to)?;
    ctx.propagate_as(&[b"LMOVE", source, destination, args.get(3), args.get(4)]);
    Ok(())
}

pub(super) fn blmpop(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let demand = MultiPop::read(args, 2)?;
    let timeout = timeout_in_seconds(args, 1, ctx.db.now())?;
    if pop_first(ctx, args, &demand)? {
        return Ok(());
    }
    wait_for_list(ctx, args, demand.keys, timeout, Empty::NullArray)
}

pub(super) fn blpop(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    pop(ctx, args, End::Front)
}

pub(super) fn brpop(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    pop(ctx, args, End::Back)
}

pub(super) fn brpoplpush(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let timeout = timeout_in_seconds(args, 3, ctx.db.now())?;
    let (source, destination) = (args.get(1), args.get(2));
    if ctx.db.list_mut(source)?.is_none() {
        return wait_for_list(ctx, args, 1..2, timeout, Empty::Null);
    }
    transfer(ctx, source, destination, End::Back, End::Front)?;
    ctx.propagate_as(&[b"RPOPLPUSH", source, destination]);
    Ok(())
}

fn pop(ctx: &mut Context<'_>, args: Args<'_>, end: End) -> Outcome {
    let keys = 1..args.len() - 1;
    let timeout = timeout_in_seconds(args, keys.end, ctx.db.now())?;
    for key in keys.clone().map(|index| args.get(index)) {
        if pop_named(ctx, key, end)? {
            ctx.propagate_as(&[pop_command(end), key]);
            return Ok(());
        }
    }
    wait_for_list(ctx, args, keys, timeout, Empty::NullArray)
}

fn wait_for_list(
    ctx: &mut Context<'_>,
    args: Args<'_>,
    keys: std::ops::Range<usize>,
    timeout: Option<u64>,
    empty: Empty,
) -> Outcome {
    let keys = keys.map(|index| args.get(index).into()).collect();
    ctx.wait(Wait { keys, kind: Kind::List, timeout, wakes_when_gone: false, request: None, empty })
}
