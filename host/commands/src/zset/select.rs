//! Which members a range command means: its bounds, direction, offset and count. Changes and replies nothing.

use std::ops::Range;

use tenon_keyspace::Zset;
use tenon_keyspace::zset::{LexRange, ScoreRange};
use tenon_resp::Args;

use super::ranks_between;
use crate::{CommandError, Words};

/// How commands refuse a range of scores.
pub(super) const NOT_A_SCORE_RANGE: CommandError = CommandError::text("ERR min or max is not a float");
/// How commands refuse a range of names.
pub(super) const NOT_A_NAME_RANGE: CommandError =
    CommandError::text("ERR min or max not valid string range item");

/// What bounds are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Rank,
    Score,
    Name,
}

/// Bounds, low end first unless they are ranks, which count in the direction of the walk.
#[derive(Clone, Copy, Debug)]
enum Bounds<'a> {
    Ranks(i64, i64),
    Scores(ScoreRange),
    Names(LexRange<'a>),
}

/// A range as a command spells it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Selection<'a> {
    bounds: Bounds<'a>,
    /// Whether it is walked from the high end.
    pub(super) reverse: bool,
    /// Whether the reply has scores.
    pub(super) with_scores: bool,
    offset: i64,
    /// Below zero: all.
    count: i64,
}

/// What a command's name says already; `None`: options say.
#[derive(Clone, Copy, Default)]
pub(super) struct Given {
    pub(super) by: Option<By>,
    pub(super) reverse: Option<bool>,
    /// Whether the result is stored, so that WITHSCORES means nothing.
    pub(super) stores: bool,
}

impl<'a> Selection<'a> {
    /// Reads `min max [options]` from word `from` on.
    pub(super) fn read(args: Args<'a>, from: usize, given: Given) -> Result<Selection<'a>, CommandError> {
        let (mut by, mut reverse) = (given.by, given.reverse);
        let (mut with_scores, mut offset, mut count) = (false, 0, -1);
        let mut at = from + 2;
        while at < args.len() {
            if !given.stores && args.is(at, "WITHSCORES") {
                with_scores = true;
            } else if args.is(at, "LIMIT") && at + 2 < args.len() {
                (offset, count) = (args.integer(at + 1)?, args.integer(at + 2)?);
                at += 2;
            } else if reverse.is_none() && args.is(at, "REV") {
                reverse = Some(true);
            } else if by.is_none() && args.is(at, "BYLEX") {
                by = Some(By::Name);
            } else if by.is_none() && args.is(at, "BYSCORE") {
                by = Some(By::Score);
            } else {
                return Err(CommandError::Syntax);
            }
            at += 1;
        }
        let (by, reverse) = (by.unwrap_or(By::Rank), reverse.unwrap_or(false));
        if count != -1 && by == By::Rank {
            return Err(CommandError::text(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if with_scores && by == By::Name {
            return Err(CommandError::text(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        let bounds = Bounds::read(args, from, by, reverse)?;
        Ok(Selection { bounds, reverse, with_scores, offset, count })
    }

    /// Whether the number of members follows from ranks alone.
    pub(super) fn is_by_rank(&self) -> bool {
        matches!(self.bounds, Bounds::Ranks(..))
    }

    /// The ranks of the members, counted from the low end.
    pub(super) fn ranks(&self, zset: &Zset) -> Range<usize> {
        match &self.bounds {
            Bounds::Ranks(start, stop) => {
                let (len, ranks) = (zset.len(), ranks_between(*start, *stop, zset.len()));
                if self.reverse { len - ranks.end..len - ranks.start } else { ranks }
            }
            Bounds::Scores(range) => self.page(zset.ranks_of_scores(range)),
            Bounds::Names(range) => self.page(zset.ranks_of_members(range)),
        }
    }

    /// The part of a range that offset and count leave, in the direction of the walk.
    fn page(&self, ranks: Range<usize>) -> Range<usize> {
        let Ok(offset) = usize::try_from(self.offset) else { return 0..0 };
        let offset = offset.min(ranks.len());
        let left = ranks.len() - offset;
        let count = usize::try_from(self.count).map_or(left, |count| count.min(left));
        if self.reverse {
            let end = ranks.end - offset;
            end - count..end
        } else {
            let start = ranks.start + offset;
            start..start + count
        }
    }
}

impl<'a> Bounds<'a> {
    fn read(args: Args<'a>, from: usize, by: By, reverse: bool) -> Result<Bounds<'a>, CommandError> {
        let (min, max) = if reverse { (from + 1, from) } else { (from, from + 1) };
        Ok(match by {
            By::Rank => Bounds::Ranks(args.integer(from)?, args.integer(from + 1)?),
            By::Score => {
                Bounds::Scores(ScoreRange::parse(args.get(min), args.get(max)).ok_or(NOT_A_SCORE_RANGE)?)
            }
            By::Name => Bounds::Names(LexRange::parse(args.get(min), args.get(max)).ok_or(NOT_A_NAME_RANGE)?),
        })
    }
}
