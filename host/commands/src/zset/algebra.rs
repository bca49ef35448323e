//! Several sorted sets or sets at once: what they share, have together, or differ in. The members of a set
//! have the score 1.
//! Always: every key is looked up and its type checked, in order, before anything is read.

mod combine;

use tenon_keyspace::{Kind, Value, ValueRef, Zset};
use tenon_resp::Args;

use self::combine::{Aggregate, Members, Source, intersect, subtract, unite};
use super::write_pairs;
use crate::amount::at_least;
use crate::room::with_room;
use crate::store::store;
use crate::{
    Argument, Categories, CommandError, Context, Db, Event, Flags, Group, Handler, KeyFlags, KeySpec,
    Outcome, Row, Words,
};

const READ: &[KeySpec] = &[KeySpec::number(1, KeyFlags::RO.and(KeyFlags::ACCESS))];
const STORED: &[KeySpec] = &[
    KeySpec::at(1, KeyFlags::OW.and(KeyFlags::UPDATE)),
    KeySpec::number(2, KeyFlags::RO.and(KeyFlags::ACCESS)),
];

const WEIGHTS: Argument = Argument::integer("weight").after("WEIGHTS").optional().multiple();
const AGGREGATE: Argument = Argument::one_of(
    "aggregate",
    &[Argument::word("sum", "SUM"), Argument::word("min", "MIN"), Argument::word("max", "MAX")],
)
.after("AGGREGATE")
.optional();

pub(crate) static COMMANDS: &[Row<Handler>] = &[
    Row {
        name: "zdiff",
        run: zdiff,
        arity: -3,
        flags: Flags::READONLY,
        keys: READ,
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "6.2.0",
        complexity: "O(L+(N-K)*log(N)) for L members given, N in the first set and K returned",
        summary: "Returns the members of the first sorted set that no other has.",
        arguments: &[
            Argument::integer("numkeys"),
            Argument::key("key", 0).multiple(),
            Argument::word("withscores", "WITHSCORES").optional(),
        ],
        subcommands: &[],
    },
    Row {
        name: "zdiffstore",
        run: zdiffstore,
        arity: -4,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: STORED,
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "6.2.0",
        complexity: "O(L+(N-K)*log(N)) for L members given, N in the first set and K stored",
        summary: "Stores the members of the first sorted set that no other has.",
        arguments: &[
            Argument::key("destination", 0),
            Argument::integer("numkeys"),
            Argument::key("key", 1).multiple(),
        ],
        subcommands: &[],
    },
    Row {
        name: "zinter",
        run: zinter,
        arity: -3,
        flags: Flags::READONLY,
        keys: READ,
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "6.2.0",
        complexity: "O(N*K)+O(M*log(M)) for K sets, the smallest of N members, and M returned",
        summary: "Returns the members that all sorted sets have, with their scores together.",
        arguments: &[
            Argument::integer("numkeys"),
            Argument::key("key", 0).multiple(),
            WEIGHTS,
            AGGREGATE,
            Argument::word("withscores", "WITHSCORES").optional(),
        ],
        subcommands: &[],
    },
    Row {
        name: "zintercard",
        run: zintercard,
        arity: -3,
        flags: Flags::READONLY,
        keys: READ,
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "7.0.0",
        complexity: "O(N*K) for K sets, the smallest of N members",
        summary: "Counts the members that all sorted sets have.",
        arguments: &[
            Argument::integer("numkeys"),
            Argument::key("key", 0).multiple(),
            Argument::integer("limit").after("LIMIT").optional(),
        ],
        subcommands: &[],
    },
    Row {
        name: "zinterstore",
        run: zinterstore,
        arity: -4,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: STORED,
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "2.0.0",
        complexity: "O(N*K)+O(M*log(M)) for K sets, the smallest of N members, and M stored",
        summary: "Stores the members that all sorted sets have, with their scores together.",
        arguments: &[
            Argument::key("destination", 0),
            Argument::integer("numkeys"),
            Argument::key("key", 1).multiple(),
            WEIGHTS,
            AGGREGATE,
        ],
        subcommands: &[],
    },
    Row {
        name: "zunion",
        run: zunion,
        arity: -3,
        flags: Flags::READONLY,
        keys: READ,
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "6.2.0",
        complexity: "O(N)+O(M*log(M)) for N members given and M returned",
        summary: "Returns the members that any of the sorted sets has, with their scores together.",
        arguments: &[
            Argument::integer("numkeys"),
            Argument::key("key", 0).multiple(),
            WEIGHTS,
            AGGREGATE,
            Argument::word("withscores", "WITHSCORES").optional(),
        ],
        subcommands: &[],
    },
    Row {
        name: "zunionstore",
        run: zunionstore,
        arity: -4,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: STORED,
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "2.0.0",
        complexity: "O(N)+O(M*log(M)) for N members given and M stored",
        summary: "Stores the members that any of the sorted sets has, with their scores together.",
        arguments: &[
            Argument::key("destination", 0),
            Argument::integer("numkeys"),
            Argument::key("key", 1).multiple(),
            WEIGHTS,
            AGGREGATE,
        ],
        subcommands: &[],
    },
];

fn zdiff(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    reply_with(ctx, args, "zdiff", Operation::Difference)
}

fn zdiffstore(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    store_result(ctx, args, "zdiffstore", Operation::Difference, Event::ZDIFFSTORE)
}

fn zinter(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    reply_with(ctx, args, "zinter", Operation::Intersection)
}

fn zintercard(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let keys = check_keys(ctx, args, 1, "zintercard")?;
    let options = Options::read(args, keys, Operation::Intersection, Purpose::Count)?;
    let mut count = 0;
    with_sources(&ctx.db, args, keys, &options, |sources| {
        intersect(sources, options.aggregate, |_, _| {
            count += 1;
            count != options.limit
        });
    });
    ctx.reply.integer(count as i64);
    Ok(())
}

fn zinterstore(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    store_result(ctx, args, "zinterstore", Operation::Intersection, Event::ZINTERSTORE)
}

fn zunion(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    reply_with(ctx, args, "zunion", Operation::Union)
}

fn zunionstore(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    store_result(ctx, args, "zunionstore", Operation::Union, Event::ZUNIONSTORE)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

/// What becomes of the result.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Reply,
    Store,
    Count,
}

/// Which words of a request are its keys.
#[derive(Clone, Copy)]
struct Keys {
    first: usize,
    count: usize,
}

struct Options {
    /// Where the weights begin.
    weights_at: Option<usize>,
    aggregate: Aggregate,
    with_scores: bool,
    /// Members to count at most; 0: all.
    limit: usize,
}

impl Options {
    fn read(
        args: Args<'_>,
        keys: Keys,
        operation: Operation,
        purpose: Purpose,
    ) -> Result<Options, CommandError> {
        let mut options =
            Options { weights_at: None, aggregate: Aggregate::Sum, with_scores: false, limit: 0 };
        let is_weighted = operation != Operation::Difference && purpose != Purpose::Count;
        let mut at = keys.first + keys.count;
        while at < args.len() {
            let behind = args.len() - at - 1;
            if is_weighted && behind >= keys.count && args.is(at, "WEIGHTS") {
                options.weights_at = Some(at + 1);
                for at in at + 1..=at + keys.count {
                    args.float(at).map_err(|_| CommandError::text("ERR weight value is not a float"))?;
                }
                at += keys.count;
            } else if is_weighted && behind >= 1 && args.is(at, "AGGREGATE") {
                at += 1;
                options.aggregate = read_aggregate(args, at)?;
            } else if purpose == Purpose::Reply && args.is(at, "WITHSCORES") {
                options.with_scores = true;
            } else if purpose == Purpose::Count && behind >= 1 && args.is(at, "LIMIT") {
                at += 1;
                options.limit = at_least(args, at, 0, "ERR LIMIT can't be negative")?;
            } else {
                return Err(CommandError::Syntax);
            }
            at += 1;
        }
        Ok(options)
    }
}

fn read_aggregate(args: Args<'_>, at: usize) -> Result<Aggregate, CommandError> {
    let words = [("SUM", Aggregate::Sum), ("MIN", Aggregate::Min), ("MAX", Aggregate::Max)];
    let found = words.into_iter().find(|(word, _)| args.is(at, word));
    found.map(|(_, aggregate)| aggregate).ok_or(CommandError::Syntax)
}

fn reply_with(ctx: &mut Context<'_>, args: Args<'_>, name: &str, operation: Operation) -> Outcome {
    let keys = check_keys(ctx, args, 1, name)?;
    let options = Options::read(args, keys, operation, Purpose::Reply)?;
    let result = combine(ctx, args, keys, operation, &options);
    write_pairs(&mut ctx.reply, result.iter(), options.with_scores);
    Ok(())
}

fn store_result(
    ctx: &mut Context<'_>,
    args: Args<'_>,
    name: &str,
    operation: Operation,
    event: Event,
) -> Outcome {
    let keys = check_keys(ctx, args, 2, name)?;
    let options = Options::read(args, keys, operation, Purpose::Store)?;
    let mut result = combine(ctx, args, keys, operation, &options);
    result.make_compact(&ctx.limits.zset);
    let len = result.len();
    store(ctx, args.get(1), Value::Zset(result), len, event)
}

/// Reads the number of keys at word `at` and looks every key up as a read does.
fn check_keys(ctx: &mut Context<'_>, args: Args<'_>, at: usize, name: &str) -> Result<Keys, CommandError> {
    let count = args.integer(at)?;
    let Some(count) = usize::try_from(count).ok().filter(|&count| count > 0) else {
        let text = format!("ERR at least 1 input key is needed for '{name}' command");
        return Err(CommandError::Text(text.into()));
    };
    let keys = Keys { first: at + 1, count };
    if count > args.len() - keys.first {
        return Err(CommandError::Syntax);
    }
    for key in args.iter().skip(keys.first).take(count) {
        let kind = ctx.db.find(key).map(|entry| entry.kind());
        if !matches!(kind, None | Some(Kind::Set | Kind::Zset)) {
            return Err(CommandError::WrongType);
        }
    }
    Ok(keys)
}

/// Lends `act` what the keys hold, in order, with their weights.
fn with_sources<R>(
    db: &Db<'_>,
    args: Args<'_>,
    keys: Keys,
    options: &Options,
    act: impl FnOnce(&mut [Source<'_>]) -> R,
) -> R {
    with_room(keys.count, Source { members: Members::None, weight: 1.0 }, |sources| {
        for (index, source) in sources.iter_mut().enumerate() {
            let key = args.get(keys.first + index);
            source.members = match db.database_ref().find(key).map(|entry| entry.value()) {
                Some(ValueRef::Set(set)) => Members::Set(set),
                Some(ValueRef::Zset(zset)) => Members::Zset(zset),
                _ => Members::None,
            };
            if let Some(at) = options.weights_at {
                source.weight = args.float(at + index).expect("every weight was read before");
            }
        }
        act(sources)
    })
}

/// The result in the large form, which keeps every score as it is; the compact form knows no zero below zero.
fn combine(ctx: &Context<'_>, args: Args<'_>, keys: Keys, operation: Operation, options: &Options) -> Zset {
    let limits = &ctx.limits.zset;
    with_sources(&ctx.db, args, keys, options, |sources| match operation {
        Operation::Union => unite(sources, options.aggregate, limits),
        Operation::Difference => subtract(sources, limits),
        Operation::Intersection => {
            let mut result = Zset::new_large(limits);
            intersect(sources, options.aggregate, |member, score| {
                result.insert(member, score, limits);
                true
            });
            result
        }
    })
}
