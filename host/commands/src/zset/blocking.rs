//! Commands on sorted sets that wait for a member where there is none.
//! Always: what is propagated is the form that does not wait.

use tenon_keyspace::Kind;
use tenon_resp::Args;

use super::remove::{End, MultiPop, pop_first, pop_named};
use crate::{
    Argument, Categories, Context, Empty, Flags, Group, Handler, KeyFlags, KeySpec, Outcome, Row, Wait,
    timeout_in_seconds,
};

const AWAITED: &[KeySpec] =
    &[KeySpec::range(1, -2, 1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::DELETE))];
const TIMEOUT: Argument = Argument::double("timeout");

pub(crate) static COMMANDS: &[Row<Handler>] = &[
    Row {
        name: "bzmpop",
        run: bzmpop,
        arity: -5,
        flags: Flags::WRITE.and(Flags::BLOCKING),
        keys: &[KeySpec::number(2, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::DELETE))],
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "7.0.0",
        complexity: "O(K)+O(M*log(N)) for K keys and M members, in a set of N",
        summary: "Takes members from either end of the first sorted set that is there, and waits if none is.",
        arguments: &[
            TIMEOUT,
            Argument::integer("numkeys"),
            Argument::key("key", 0).multiple(),
            Argument::one_of("where", &[Argument::word("min", "MIN"), Argument::word("max", "MAX")]),
            Argument::integer("count").after("COUNT").optional(),
        ],
        subcommands: &[],
    },
    Row {
        name: "bzpopmax",
        run: bzpopmax,
        arity: -3,
        flags: Flags::WRITE.and(Flags::FAST).and(Flags::BLOCKING),
        keys: AWAITED,
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "5.0.0",
        complexity: "O(log(N)) in a set of N",
        summary: "Takes the member with the highest score out of the first sorted set that is there, and waits if none is.",
        arguments: &[Argument::key("key", 0).multiple(), TIMEOUT],
        subcommands: &[],
    },
    Row {
        name: "bzpopmin",
        run: bzpopmin,
        arity: -3,
        flags: Flags::WRITE.and(Flags::FAST).and(Flags::BLOCKING),
        keys: AWAITED,
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "5.0.0",
        complexity: "O(log(N)) in a set of N",
        summary: "Takes the member with the lowest score out of the first sorted set that is there, and waits if none is.",
        arguments: &[Argument::key("key", 0).multiple(), TIMEOUT],
        subcommands: &[],
    },
];

fn bzmpop(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let demand = MultiPop::read(args, 2)?;
    let timeout = timeout_in_seconds(args, 1, ctx.db.now())?;
    if pop_first(ctx, args, &demand)? {
        return Ok(());
    }
    wait_for_zset(ctx, args, demand.keys, timeout)
}

fn bzpopmax(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    pop(ctx, args, End::High)
}

fn bzpopmin(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    pop(ctx, args, End::Low)
}

fn pop(ctx: &mut Context<'_>, args: Args<'_>, end: End) -> Outcome {
    let keys = 1..args.len() - 1;
    let timeout = timeout_in_seconds(args, keys.end, ctx.db.now())?;
    for key in keys.clone().map(|index| args.get(index)) {
        if pop_named(ctx, key, end)? {
            ctx.propagate_as(&[end.command(), key]);
            return Ok(());
        }
    }
    wait_for_zset(ctx, args, keys, timeout)
}

fn wait_for_zset(
    ctx: &mut Context<'_>,
    args: Args<'_>,
    keys: std::ops::Range<usize>,
    timeout: Option<u64>,
) -> Outcome {
    ctx.wait(Wait {
        keys: keys.map(|index| args.get(index).into()).collect(),
        kind: Kind::Zset,
        timeout,
        wakes_when_gone: false,
        request: None,
        empty: Empty::NullArray,
    })
}
