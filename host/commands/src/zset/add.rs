//! Members put into a sorted set, scores changed.

use tenon_keyspace::zset::Insertion;
use tenon_keyspace::{Value, Zset, ZsetLimits};
use tenon_resp::Args;

use crate::{
    Argument, Categories, CommandError, Context, Event, Flags, Group, Handler, KeyFlags, KeySpec, Outcome,
    Row, Words,
};

pub(crate) static COMMANDS: &[Row<Handler>] = &[
    Row {
        name: "zadd",
        run: zadd,
        arity: -4,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[KeySpec::at(1, KeyFlags::RW.and(KeyFlags::UPDATE))],
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "1.2.0",
        complexity: "O(log(N)) for each member, in a set of N",
        summary: "Puts members with scores into a sorted set, or gives them new scores.",
        arguments: &[
            Argument::key("key", 0),
            Argument::one_of("condition", &[Argument::word("nx", "NX"), Argument::word("xx", "XX")])
                .optional()
                .since("3.0.2"),
            Argument::one_of("comparison", &[Argument::word("gt", "GT"), Argument::word("lt", "LT")])
                .optional()
                .since("6.2.0"),
            Argument::word("change", "CH").optional().since("3.0.2"),
            Argument::word("increment", "INCR").optional().since("3.0.2"),
            Argument::block("data", &[Argument::double("score"), Argument::string("member")]).multiple(),
        ],
        subcommands: &[],
    },
    Row {
        name: "zincrby",
        run: zincrby,
        arity: 4,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[KeySpec::at(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::UPDATE))],
        categories: Categories::SORTED_SET,
        tips: &[],
        group: Group::SortedSet,
        since: "1.2.0",
        complexity: "O(log(N)) in a set of N",
        summary: "Adds to the score of a member.",
        arguments: &[Argument::key("key", 0), Argument::integer("increment"), Argument::string("member")],
        subcommands: &[],
    },
];

fn zadd(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    add(ctx, args, Options::default())
}

fn zincrby(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    add(ctx, args, Options { incr: true, ..Options::default() })
}

/// What ZADD may be told.
#[derive(Clone, Copy, Default)]
pub(crate) struct Options {
    /// New members only.
    pub(crate) nx: bool,
    /// Members that are there only.
    pub(crate) xx: bool,
    /// Scores only grow.
    gt: bool,
    /// Scores only shrink.
    lt: bool,
    /// The reply counts changed scores too.
    pub(crate) ch: bool,
    /// The number is added to the score.
    incr: bool,
}

impl Options {
    /// Takes a word, if it is an option.
    fn take(&mut self, word: &[u8]) -> bool {
        let flag = match word.len() {
            2 if word.eq_ignore_ascii_case(b"NX") => &mut self.nx,
            2 if word.eq_ignore_ascii_case(b"XX") => &mut self.xx,
            2 if word.eq_ignore_ascii_case(b"GT") => &mut self.gt,
            2 if word.eq_ignore_ascii_case(b"LT") => &mut self.lt,
            2 if word.eq_ignore_ascii_case(b"CH") => &mut self.ch,
            4 if word.eq_ignore_ascii_case(b"INCR") => &mut self.incr,
            _ => return false,
        };
        *flag = true;
        true
    }

    fn check(self, pairs: usize) -> Result<(), CommandError> {
        if self.nx && self.xx {
            return Err(CommandError::text("ERR XX and NX options at the same time are not compatible"));
        }
        if [self.gt, self.lt, self.nx].into_iter().filter(|&is_set| is_set).count() > 1 {
            return Err(CommandError::text(
                "ERR GT, LT, and/or NX options at the same time are not compatible",
            ));
        }
        if self.incr && pairs > 1 {
            return Err(CommandError::text("ERR INCR option supports a single increment-element pair"));
        }
        Ok(())
    }

    /// Whether a member with the score `old` (`None`: that is not there) may get the score `new`.
    fn allow(self, old: Option<f64>, new: f64) -> bool {
        match old {
            None => !self.xx,
            Some(old) => !(self.nx || self.gt && new <= old || self.lt && new >= old),
        }
    }
}

fn add(ctx: &mut Context<'_>, args: Args<'_>, mut options: Options) -> Outcome {
    let mut first = 2;
    while args.try_get(first).is_some_and(|word| options.take(word)) {
        first += 1;
    }
    let (key, pairs) = (args.get(1), args.rest(first));
    if pairs.is_empty() || pairs.len() % 2 != 0 {
        return Err(CommandError::Syntax);
    }
    options.check(pairs.len() / 2)?;
    if options.incr {
        return increment(ctx, key, pairs.get(1), pairs.float(0)?, options);
    }
    (0..pairs.len()).step_by(2).try_for_each(|at| pairs.float(at).map(drop))?;

    let starts = (0..pairs.len()).step_by(2);
    let pairs = starts.map(|at| (pairs.float(at).expect("every score was read before"), pairs.get(at + 1)));
    let (added, updated) = put_all(ctx, key, pairs, options)?;
    if added + updated > 0 {
        ctx.wrote(key, Event::ZADD, added + updated);
    }
    ctx.reply.integer((if options.ch { added + updated } else { added }) as i64);
    Ok(())
}

/// Puts pairs of scores and members into the sorted set of a key. Returns how many are new, and how many have a
/// new score.
pub(crate) fn put_all<'p>(
    ctx: &mut Context<'_>,
    key: &[u8],
    pairs: impl ExactSizeIterator<Item = (f64, &'p [u8])> + Clone,
    options: Options,
) -> Result<(usize, usize), CommandError> {
    let (limits, count) = (&ctx.limits.zset, pairs.len());
    if let Some(mut zset) = ctx.db.zset_mut(key)? {
        zset.expect_members(count, limits);
        return Ok(put_into(&mut zset, pairs, options, limits));
    }
    if options.xx {
        return Ok((0, 0));
    }
    let first_bytes = pairs.clone().next().map_or(0, |(_, member)| member.len());
    let mut zset = Zset::with_hints(count, first_bytes, limits);
    let counts = put_into(&mut zset, pairs, options, limits);
    ctx.db.insert(key, Value::Zset(zset), None);
    Ok(counts)
}

fn put_into<'p>(
    zset: &mut Zset,
    pairs: impl Iterator<Item = (f64, &'p [u8])>,
    options: Options,
    limits: &ZsetLimits,
) -> (usize, usize) {
    let is_conditional = options.nx || options.xx || options.gt || options.lt;
    let (mut added, mut updated) = (0, 0);
    for (score, member) in pairs {
        if is_conditional && !options.allow(zset.score(member), score) {
            continue;
        }
        match zset.insert(member, score, limits) {
            Insertion::Added => added += 1,
            Insertion::Updated => updated += 1,
            Insertion::Unchanged => {}
        }
    }
    (added, updated)
}

/// Adds to the score of one member, which begins at nothing.
fn increment(ctx: &mut Context<'_>, key: &[u8], member: &[u8], by: f64, options: Options) -> Outcome {
    let limits = &ctx.limits.zset;
    let mut slot = ctx.db.zset_mut(key)?;
    let old = slot.as_ref().and_then(|zset| zset.score(member));
    let score = old.filter(|_| !options.nx).map_or(by, |old| old + by);
    if score.is_nan() {
        return Err(CommandError::text("ERR resulting score is not a number (NaN)"));
    }
    if !options.allow(old, score) {
        ctx.reply.null();
        return Ok(());
    }
    if let Some(zset) = &mut slot {
        zset.expect_members(1, limits);
        zset.insert(member, score, limits);
        drop(slot);
    } else {
        let mut zset = Zset::with_hints(1, member.len(), limits);
        zset.insert(member, score, limits);
        drop(slot);
        ctx.db.insert(key, Value::Zset(zset), None);
    }
    if old != Some(score) {
        ctx.wrote(key, Event::ZINCR, 1);
    }
    ctx.reply.double(score);
    Ok(())
}
