//! Members taken out of sorted sets: by name, by range, from either end.

use std::ops::Range;

use tenon_keyspace::Zset;
use tenon_keyspace::zset::{LexRange, ScoreRange};
use tenon_resp::{Args, INTEGER_TEXT_BYTES_MAX, Proto, format_integer};

use super::ranks_between;
use super::select::{NOT_A_NAME_RANGE, NOT_A_SCORE_RANGE};
use crate::amount::{NOT_POSITIVE, at_least};
use crate::element::write_element;
use crate::{
    Argument, Categories, CommandError, Context, Event, Flags, Group, Handler, KeyFlags, KeySpec, Outcome,
    Row, Words,
};

pub(crate) static COMMANDS: &[Row<Handler>] = &[
    Row {
        name: "zmpop",
        run: zmpop,
        arity: -4,
        flags: Flags::WRITE,
        keys: &[KeySpec::number(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::DELETE))],
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "7.0.0",
        complexity: "O(K)+O(M*log(N)) for K keys and M members, in a set of N",
        summary: "Takes members from either end of the first sorted set that is there.",
        arguments: &[
            Argument::integer("numkeys"),
            Argument::key("key", 0).multiple(),
            Argument::one_of("where", &[Argument::word("min", "MIN"), Argument::word("max", "MAX")]),
            Argument::integer("count").after("COUNT").optional(),
        ],
        subcommands: &[],
    },
    Row {
        name: "zpopmax",
        run: zpopmax,
        arity: -2,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[KeySpec::at(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::DELETE))],
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "5.0.0",
        complexity: "O(M*log(N)) for M members, in a set of N",
        summary: "Takes the members with the highest scores out and returns them.",
        arguments: &[Argument::key("key", 0), Argument::integer("count").optional()],
        subcommands: &[],
    },
    Row {
        name: "zpopmin",
        run: zpopmin,
        arity: -2,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[KeySpec::at(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::DELETE))],
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "5.0.0",
        complexity: "O(M*log(N)) for M members, in a set of N",
        summary: "Takes the members with the lowest scores out and returns them.",
        arguments: &[Argument::key("key", 0), Argument::integer("count").optional()],
        subcommands: &[],
    },
    Row {
        name: "zrem",
        run: zrem,
        arity: -3,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[KeySpec::at(1, KeyFlags::RW.and(KeyFlags::DELETE))],
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "1.2.0",
        complexity: "O(M*log(N)) for M members, in a set of N",
        summary: "Takes members out of a sorted set.",
        arguments: &[Argument::key("key", 0), Argument::string("member").multiple()],
        subcommands: &[],
    },
    Row {
        name: "zremrangebylex",
        run: zremrangebylex,
        arity: 4,
        flags: Flags::WRITE,
        keys: &[KeySpec::at(1, KeyFlags::RW.and(KeyFlags::DELETE))],
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "2.8.9",
        complexity: "O(log(N)+M) for M members, in a set of N",
        summary: "Takes the members in a range of names out.",
        arguments: &[Argument::key("key", 0), Argument::string("min"), Argument::string("max")],
        subcommands: &[],
    },
    Row {
        name: "zremrangebyrank",
        run: zremrangebyrank,
        arity: 4,
        flags: Flags::WRITE,
        keys: &[KeySpec::at(1, KeyFlags::RW.and(KeyFlags::DELETE))],
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "2.0.0",
        complexity: "O(log(N)+M) for M members, in a set of N",
        summary: "Takes the members in a range of ranks out.",
        arguments: &[Argument::key("key", 0), Argument::integer("start"), Argument::integer("stop")],
        subcommands: &[],
    },
    Row {
        name: "zremrangebyscore",
        run: zremrangebyscore,
        arity: 4,
        flags: Flags::WRITE,
        keys: &[KeySpec::at(1, KeyFlags::RW.and(KeyFlags::DELETE))],
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "1.2.0",
        complexity: "O(log(N)+M) for M members, in a set of N",
        summary: "Takes the members in a range of scores out.",
        arguments: &[Argument::key("key", 0), Argument::double("min"), Argument::double("max")],
        subcommands: &[],
    },
];

fn zmpop(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let demand = MultiPop::read(args, 1)?;
    if !pop_first(ctx, args, &demand)? {
        ctx.reply.null_array();
    }
    Ok(())
}

fn zpopmax(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    pop_from(ctx, args, End::High)
}

fn zpopmin(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    pop_from(ctx, args, End::Low)
}

fn zrem(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let key = args.get(1);
    let removed = match ctx.db.zset_mut(key)? {
        Some(mut zset) => args.rest(2).iter().filter(|member| zset.remove(member).is_some()).count(),
        None => 0,
    };
    if removed > 0 {
        ctx.changed(key, Event::ZREM, removed);
    }
    ctx.reply.integer(removed as i64);
    Ok(())
}

fn zremrangebylex(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let range = LexRange::parse(args.get(2), args.get(3)).ok_or(NOT_A_NAME_RANGE)?;
    remove_range(ctx, args.get(1), Event::ZREMRANGEBYLEX, |zset| zset.ranks_of_members(&range))
}

fn zremrangebyrank(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let (start, stop) = (args.integer(2)?, args.integer(3)?);
    remove_range(ctx, args.get(1), Event::ZREMRANGEBYRANK, |zset| ranks_between(start, stop, zset.len()))
}

fn zremrangebyscore(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let range = ScoreRange::parse(args.get(2), args.get(3)).ok_or(NOT_A_SCORE_RANGE)?;
    remove_range(ctx, args.get(1), Event::ZREMRANGEBYSCORE, |zset| zset.ranks_of_scores(&range))
}

/// An end of a sorted set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Low,
    High,
}

/// What ZMPOP and BZMPOP ask for.
pub(super) struct MultiPop {
    /// Which words are keys.
    pub(super) keys: Range<usize>,
    end: End,
    count: usize,
}

impl MultiPop {
    /// Reads the words from the number of keys on.
    pub(super) fn read(args: Args<'_>, at: usize) -> Result<MultiPop, CommandError> {
        let key_count = at_least(args, at, 1, "ERR numkeys should be greater than 0")?;
        let side_at = key_count.saturating_add(at + 1);
        let end = if args.is(side_at, "MIN") {
            End::Low
        } else if args.is(side_at, "MAX") {
            End::High
        } else {
            return Err(CommandError::Syntax);
        };
        let count = match args.len() - (side_at + 1) {
            0 => 1,
            options if options >= 2 && args.is(side_at + 1, "COUNT") => {
                at_least(args, side_at + 2, 1, "ERR count should be greater than 0")?
            }
            _ => return Err(CommandError::Syntax),
        };
        if args.len() > side_at + 3 {
            return Err(CommandError::Syntax);
        }
        Ok(MultiPop { keys: at + 1..side_at, end, count })
    }
}

/// Takes members out of the first sorted set there is, and propagates that. Says whether there was one.
pub(super) fn pop_first(
    ctx: &mut Context<'_>,
    args: Args<'_>,
    demand: &MultiPop,
) -> Result<bool, CommandError> {
    let end = demand.end;
    for key in demand.keys.clone().map(|index| args.get(index)) {
        let Some(len) = ctx.db.zset_mut(key)?.map(|zset| zset.len()) else { continue };
        let count = demand.count.min(len);
        ctx.reply.array(2);
        ctx.reply.bulk(key);
        ctx.reply.array(count);
        pop(ctx, key, end, count, Shape::Pairs)?;
        let mut text = [0; INTEGER_TEXT_BYTES_MAX];
        ctx.propagate_as(&[end.command(), key, format_integer(count as i64, &mut text)]);
        return Ok(true);
    }
    Ok(false)
}

/// Takes one member out, and writes the key, the member and its score. Says whether there was a sorted set.
pub(super) fn pop_named(ctx: &mut Context<'_>, key: &[u8], end: End) -> Result<bool, CommandError> {
    if ctx.db.zset_mut(key)?.is_none() {
        return Ok(false);
    }
    ctx.reply.array(3);
    ctx.reply.bulk(key);
    pop(ctx, key, end, 1, Shape::Flat)?;
    Ok(true)
}

impl End {
    pub(super) fn command(self) -> &'static [u8] {
        match self {
            End::Low => b"ZPOPMIN",
            End::High => b"ZPOPMAX",
        }
    }

    fn event(self) -> Event {
        match self {
            End::Low => Event::ZPOPMIN,
            End::High => Event::ZPOPMAX,
        }
    }
}

/// How popped members stand in a reply.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Member, score, member, score.
    Flat,
    /// An array for each.
    Pairs,
}

/// ZPOPMIN and ZPOPMAX: RESP3 shows pairs, but only if a count was given.
fn pop_from(ctx: &mut Context<'_>, args: Args<'_>, end: End) -> Outcome {
    let (key, count) = match args.len() {
        2 => (args.get(1), 1),
        3 => (args.get(1), at_least(args, 2, 0, NOT_POSITIVE)?),
        _ => return Err(CommandError::Syntax),
    };
    let is_nested = args.len() == 3 && ctx.reply.proto() == Proto::Resp3;
    let count = ctx.db.zset_mut(key)?.map_or(0, |zset| count.min(zset.len()));
    ctx.reply.array(if is_nested { count } else { 2 * count });
    if count > 0 {
        pop(ctx, key, end, count, if is_nested { Shape::Pairs } else { Shape::Flat })?;
    }
    Ok(())
}

/// Takes `count` members out, which must be there, and writes them without a head.
fn pop(ctx: &mut Context<'_>, key: &[u8], end: End, count: usize, shape: Shape) -> Outcome {
    let Some(mut zset) = ctx.db.zset_mut(key)? else { return Ok(()) };
    let len = zset.len();
    let ranks = if end == End::Low { 0..count } else { len - count..len };
    for (member, score) in zset.range_by_rank(ranks.clone(), end == End::High) {
        if shape == Shape::Pairs {
            ctx.reply.array(2);
        }
        write_element(&mut ctx.reply, member);
        ctx.reply.double(score);
    }
    zset.remove_ranks(ranks, |_, _| {});
    drop(zset);
    ctx.changed(key, end.event(), count);
    Ok(())
}

fn remove_range(
    ctx: &mut Context<'_>,
    key: &[u8],
    event: Event,
    ranks: impl FnOnce(&Zset) -> Range<usize>,
) -> Outcome {
    let removed = match ctx.db.zset_mut(key)? {
        Some(mut zset) => {
            let ranks = ranks(&zset);
            zset.remove_ranks(ranks, |_, _| {})
        }
        None => 0,
    };
    if removed > 0 {
        ctx.changed(key, event, removed);
    }
    ctx.reply.integer(removed as i64);
    Ok(())
}
