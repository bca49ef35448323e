//! Sorted sets looked at: sizes, scores, ranks, members by chance, walks.

use tenon_keyspace::zset::{LexRange, ScoreRange, ScoreText};
use tenon_keyspace::{Zset, distinct_ranks};
use tenon_resp::Args;

use super::general::GeneralText;
use super::select::{NOT_A_NAME_RANGE, NOT_A_SCORE_RANGE};
use super::{write_pair, write_pairs, write_pairs_head};
use crate::amount::{Choice, repeat};
use crate::element::write_element;
use crate::page::{write_no_page, write_page};
use crate::scan::{self, ScanOptions, parse_cursor};
use crate::{
    Argument, Categories, CommandError, Context, Flags, Group, Handler, KeyFlags, KeySpec, Outcome, Row,
    Words,
};

pub(crate) static COMMANDS: &[Row<Handler>] = &[
    Row {
        name: "zcard",
        run: zcard,
        arity: 2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::at(1, KeyFlags::RO)],
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "1.2.0",
        complexity: "O(1)",
        summary: "Counts the members of a sorted set.",
        arguments: &[Argument::key("key", 0)],
        subcommands: &[],
    },
    Row {
        name: "zcount",
        run: zcount,
        arity: 4,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::at(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "2.0.0",
        complexity: "O(log(N)) in a set of N",
        summary: "Counts the members in a range of scores.",
        arguments: &[Argument::key("key", 0), Argument::double("min"), Argument::double("max")],
        subcommands: &[],
    },
    Row {
        name: "zlexcount",
        run: zlexcount,
        arity: 4,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::at(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "2.8.9",
        complexity: "O(log(N)) in a set of N",
        summary: "Counts the members in a range of names.",
        arguments: &[Argument::key("key", 0), Argument::string("min"), Argument::string("max")],
        subcommands: &[],
    },
    Row {
        name: "zmscore",
        run: zmscore,
        arity: -3,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::at(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "6.2.0",
        complexity: "O(N) for N members asked for",
        summary: "Returns the scores of several members.",
        arguments: &[Argument::key("key", 0), Argument::string("member").multiple()],
        subcommands: &[],
    },
    Row {
        name: "zrandmember",
        run: zrandmember,
        arity: -2,
        flags: Flags::READONLY,
        keys: &[KeySpec::at(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
        categories: Categories::SORTED_SET,
        tips: &["nondeterministic_output"],
        group: Group::SortedSet,
        since: "6.2.0",
        complexity: "O(N) for N members",
        summary: "Returns members of a sorted set by chance.",
        arguments: &[
            Argument::key("key", 0),
            Argument::block(
                "options",
                &[Argument::integer("count"), Argument::word("withscores", "WITHSCORES").optional()],
            )
            .optional(),
        ],
        subcommands: &[],
    },
    Row {
        name: "zrank",
        run: zrank,
        arity: -3,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::at(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "2.0.0",
        complexity: "O(log(N)) in a set of N",
        summary: "Tells how many members come before a member.",
        arguments: &[
            Argument::key("key", 0),
            Argument::string("member"),
            Argument::word("withscore", "WITHSCORE").optional(),
        ],
        subcommands: &[],
    },
    Row {
        name: "zrevrank",
        run: zrevrank,
        arity: -3,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::at(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "2.0.0",
        complexity: "O(log(N)) in a set of N",
        summary: "Tells how many members come after a member.",
        arguments: &[
            Argument::key("key", 0),
            Argument::string("member"),
            Argument::word("withscore", "WITHSCORE").optional(),
        ],
        subcommands: &[],
    },
    Row {
        name: "zscan",
        run: zscan,
        arity: -3,
        flags: Flags::READONLY,
        keys: &[KeySpec::at(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
        categories: Categories::SORTED_SET,
        tips: &["nondeterministic_output"],
        group: Group::SortedSet,
        since: "2.8.0",
        complexity: "O(1) for a call, O(N) for a whole walk over N members",
        summary: "Walks over the members of a sorted set and their scores, some at each call.",
        arguments: &[Argument::key("key", 0), scan::CURSOR, scan::PATTERN, scan::COUNT],
        subcommands: &[],
    },
    Row {
        name: "zscore",
        run: zscore,
        arity: 3,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::at(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "1.2.0",
        complexity: "O(1)",
        summary: "Returns the score of a member.",
        arguments: &[Argument::key("key", 0), Argument::string("member")],
        subcommands: &[],
    },
];

fn zcard(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let count = ctx.db.zset(args.get(1))?.map_or(0, Zset::len);
    ctx.reply.integer(count as i64);
    Ok(())
}

fn zcount(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let range = ScoreRange::parse(args.get(2), args.get(3)).ok_or(NOT_A_SCORE_RANGE)?;
    let count = ctx.db.zset(args.get(1))?.map_or(0, |zset| zset.count_in_score_range(&range));
    ctx.reply.integer(count as i64);
    Ok(())
}

fn zlexcount(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let range = LexRange::parse(args.get(2), args.get(3)).ok_or(NOT_A_NAME_RANGE)?;
    let count = ctx.db.zset(args.get(1))?.map_or(0, |zset| zset.count_in_lex_range(&range));
    ctx.reply.integer(count as i64);
    Ok(())
}

fn zmscore(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let zset = ctx.db.zset(args.get(1))?;
    let members = args.rest(2);
    ctx.reply.array(members.len());
    for member in members.iter() {
        match zset.and_then(|zset| zset.score(member)) {
            Some(score) => ctx.reply.double(score),
            None => ctx.reply.null(),
        }
    }
    Ok(())
}

fn zrandmember(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let choice = if args.len() > 2 { Some(read_choice(args)?) } else { None };
    let with_scores = args.len() > 3;
    let zset = ctx.db.zset(args.get(1))?;
    match (zset, choice) {
        (None, None) => ctx.reply.null(),
        (None, Some(_)) => ctx.reply.array(0),
        (Some(zset), None) => {
            let (member, _) = zset.random(ctx.dice).expect("a stored sorted set is never empty");
            write_element(&mut ctx.reply, member);
        }
        (Some(zset), Some(Choice::Distinct(count))) if count >= zset.len() => {
            write_pairs(&mut ctx.reply, zset.iter(), with_scores);
        }
        (Some(zset), Some(Choice::Distinct(count))) => {
            write_pairs_head(&mut ctx.reply, count, with_scores);
            for rank in distinct_ranks(zset.len(), count, ctx.dice) {
                let (member, score) = zset.pair(rank).expect("a rank below the length");
                write_pair(&mut ctx.reply, member, score, with_scores);
            }
        }
        (Some(zset), Some(Choice::Repeated(count))) => {
            write_pairs_head(&mut ctx.reply, count, with_scores);
            repeat(&mut ctx.reply, count, ctx.limits.string_bytes_max, |reply| {
                let (member, score) = zset.random(ctx.dice).expect("a stored sorted set is never empty");
                write_pair(reply, member, score, with_scores);
            })?;
        }
    }
    Ok(())
}

fn zrank(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    rank(ctx, args, false)
}

fn zrevrank(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    rank(ctx, args, true)
}

fn zscan(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let cursor = parse_cursor(args.get(2))?;
    let Some(zset) = ctx.db.zset(args.get(1))? else {
        write_no_page(&mut ctx.reply);
        return Ok(());
    };
    let options = ScanOptions::parse(args, 3)?;
    let is_compact = zset.as_listpack().is_some();
    write_page(&mut ctx.reply, |reply| {
        let mut count = 0;
        let next = zset.scan(cursor, options.count, |member, score| {
            if !options.matches(member) {
                return;
            }
            write_element(reply, member);
            // Redis writes the scores of large sets with all their digits here, and only here.
            if is_compact {
                reply.bulk(ScoreText::of(score).as_bytes());
            } else {
                reply.bulk(GeneralText::of(score).as_bytes());
            }
            count += 2;
        });
        (next, count)
    });
    Ok(())
}

fn zscore(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    match ctx.db.zset(args.get(1))?.and_then(|zset| zset.score(args.get(2))) {
        Some(score) => ctx.reply.double(score),
        None => ctx.reply.null(),
    }
    Ok(())
}

/// Reads `count [WITHSCORES]`.
fn read_choice(args: Args<'_>) -> Result<Choice, CommandError> {
    let choice = Choice::read(args, 2)?;
    if args.len() > 4 || (args.len() == 4 && !args.is(3, "WITHSCORES")) {
        return Err(CommandError::Syntax);
    }
    let (Choice::Distinct(count) | Choice::Repeated(count)) = choice;
    if args.len() == 4 && count > i64::MAX as usize / 2 {
        return Err(CommandError::text("ERR value is out of range"));
    }
    Ok(choice)
}

fn rank(ctx: &mut Context<'_>, args: Args<'_>, reverse: bool) -> Outcome {
    if args.len() > 4 {
        return Err(CommandError::arity(if reverse { "zrevrank" } else { "zrank" }));
    }
    let with_score = args.len() == 4;
    if with_score && !args.is(3, "WITHSCORE") {
        return Err(CommandError::Syntax);
    }
    let found = ctx.db.zset(args.get(1))?.and_then(|zset| zset.rank_and_score(args.get(2), reverse));
    match found {
        Some((rank, score)) if with_score => {
            ctx.reply.array(2);
            ctx.reply.integer(rank as i64);
            ctx.reply.double(score);
        }
        Some((rank, _)) => ctx.reply.integer(rank as i64),
        None if with_score => ctx.reply.null_array(),
        None => ctx.reply.null(),
    }
    Ok(())
}
