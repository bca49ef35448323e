//! Ranges of sorted sets, returned or stored: ZRANGE and the older commands that it covers.

use tenon_keyspace::{INTEGER_TEXT_BYTES, Value, Zset};
use tenon_resp::Args;

use super::select::{By, Given, Selection};
use super::write_pairs;
use crate::store::store;
use crate::{Argument, Categories, Context, Event, Flags, Group, Handler, KeyFlags, KeySpec, Outcome, Row};

const READ: &[KeySpec] = &[KeySpec::at(1, KeyFlags::RO.and(KeyFlags::ACCESS))];

const SORT_BY: Argument =
    Argument::one_of("sortby", &[Argument::word("byscore", "BYSCORE"), Argument::word("bylex", "BYLEX")])
        .optional();
const LIMIT: Argument = Argument::block("limit", &[Argument::integer("offset"), Argument::integer("count")])
    .after("LIMIT")
    .optional();

pub(crate) static COMMANDS: &[Row<Handler>] = &[
    Row {
        name: "zrange",
        run: zrange,
        arity: -4,
        flags: Flags::READONLY,
        keys: READ,
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "1.2.0",
        complexity: "O(log(N)+M) for M members, in a set of N",
        summary: "Returns the members in a range of ranks, scores or names.",
        arguments: &[
            Argument::key("key", 0),
            Argument::string("start"),
            Argument::string("stop"),
            SORT_BY.since("6.2.0"),
            Argument::word("rev", "REV").optional().since("6.2.0"),
            LIMIT.since("6.2.0"),
            Argument::word("withscores", "WITHSCORES").optional(),
        ],
        subcommands: &[],
    },
    Row {
        name: "zrangebylex",
        run: zrangebylex,
        arity: -4,
        flags: Flags::READONLY,
        keys: READ,
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "2.8.9",
        complexity: "O(log(N)+M) for M members, in a set of N",
        summary: "Returns the members in a range of names.",
        arguments: &[Argument::key("key", 0), Argument::string("min"), Argument::string("max"), LIMIT],
        subcommands: &[],
    },
    Row {
        name: "zrangebyscore",
        run: zrangebyscore,
        arity: -4,
        flags: Flags::READONLY,
        keys: READ,
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "1.0.5",
        complexity: "O(log(N)+M) for M members, in a set of N",
        summary: "Returns the members in a range of scores.",
        arguments: &[
            Argument::key("key", 0),
            Argument::double("min"),
            Argument::double("max"),
            Argument::word("withscores", "WITHSCORES").optional().since("2.0.0"),
            LIMIT,
        ],
        subcommands: &[],
    },
    Row {
        name: "zrangestore",
        run: zrangestore,
        arity: -5,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[
            KeySpec::at(1, KeyFlags::OW.and(KeyFlags::UPDATE)),
            KeySpec::at(2, KeyFlags::RO.and(KeyFlags::ACCESS)),
        ],
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "6.2.0",
        complexity: "O(log(N)+M) for M members, in a set of N",
        summary: "Stores the members in a range of ranks, scores or names.",
        arguments: &[
            Argument::key("dst", 0),
            Argument::key("src", 1),
            Argument::string("min"),
            Argument::string("max"),
            SORT_BY,
            Argument::word("rev", "REV").optional(),
            LIMIT,
        ],
        subcommands: &[],
    },
    Row {
        name: "zrevrange",
        run: zrevrange,
        arity: -4,
        flags: Flags::READONLY,
        keys: READ,
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "1.2.0",
        complexity: "O(log(N)+M) for M members, in a set of N",
        summary: "Returns the members in a range of ranks, the highest first.",
        arguments: &[
            Argument::key("key", 0),
            Argument::integer("start"),
            Argument::integer("stop"),
            Argument::word("withscores", "WITHSCORES").optional(),
        ],
        subcommands: &[],
    },
    Row {
        name: "zrevrangebylex",
        run: zrevrangebylex,
        arity: -4,
        flags: Flags::READONLY,
        keys: READ,
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "2.8.9",
        complexity: "O(log(N)+M) for M members, in a set of N",
        summary: "Returns the members in a range of names, the last first.",
        arguments: &[Argument::key("key", 0), Argument::string("max"), Argument::string("min"), LIMIT],
        subcommands: &[],
    },
    Row {
        name: "zrevrangebyscore",
        run: zrevrangebyscore,
        arity: -4,
        flags: Flags::READONLY,
        keys: READ,
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "2.2.0",
        complexity: "O(log(N)+M) for M members, in a set of N",
        summary: "Returns the members in a range of scores, the highest first.",
        arguments: &[
            Argument::key("key", 0),
            Argument::double("max"),
            Argument::double("min"),
            Argument::word("withscores", "WITHSCORES").optional(),
            LIMIT,
        ],
        subcommands: &[],
    },
];

fn zrange(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    reply_with(ctx, args, Given::default())
}

fn zrangebylex(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    reply_with(ctx, args, Given { by: Some(By::Name), reverse: Some(false), stores: false })
}

fn zrangebyscore(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    reply_with(ctx, args, Given { by: Some(By::Score), reverse: Some(false), stores: false })
}

fn zrangestore(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let selection = Selection::read(args, 3, Given { stores: true, ..Given::default() })?;
    let limits = &ctx.limits.zset;
    let result = ctx.db.zset(args.get(2))?.map_or_else(Zset::new, |source| {
        let ranks = selection.ranks(source);
        // Where Redis does not know the number beforehand, it takes the large form.
        let expected = if selection.is_by_rank() { ranks.len() } else { usize::MAX };
        let mut result = Zset::with_hints(expected, 0, limits);
        for (member, score) in source.range_by_rank(ranks, false) {
            result.insert(member.as_bytes(&mut [0; INTEGER_TEXT_BYTES]), score, limits);
        }
        result
    });
    let len = result.len();
    store(ctx, args.get(1), Value::Zset(result), len, Event::ZRANGESTORE)
}

fn zrevrange(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    reply_with(ctx, args, Given { by: Some(By::Rank), reverse: Some(true), stores: false })
}

fn zrevrangebylex(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    reply_with(ctx, args, Given { by: Some(By::Name), reverse: Some(true), stores: false })
}

fn zrevrangebyscore(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    reply_with(ctx, args, Given { by: Some(By::Score), reverse: Some(true), stores: false })
}

fn reply_with(ctx: &mut Context<'_>, args: Args<'_>, given: Given) -> Outcome {
    let selection = Selection::read(args, 2, given)?;
    match ctx.db.zset(args.get(1))? {
        Some(zset) => {
            let pairs = zset.range_by_rank(selection.ranks(zset), selection.reverse);
            write_pairs(&mut ctx.reply, pairs, selection.with_scores);
        }
        None => ctx.reply.array(0),
    }
    Ok(())
}
