//! Sorted sets: members with scores, in order. A listpack while small, then a tree by score beside a table
//! by member. Knows no key and no command; thresholds come as arguments.
//! Always: no member twice, no score that is not a number, order by score and then by the members' bytes.

mod range;
mod score;

mod compact;
mod large;
mod scores;
mod tree;
mod walk;

pub use range::{LexEnd, LexRange, ScoreRange};
pub use score::{ScoreText, integral, parse_score};
pub use walk::ZsetPairs;

use std::ops::Range;

use crate::Members;
use crate::listpack::{INTEGER_TEXT_BYTES_MAX, fits};
use crate::{Element, Listpack, Malformed};
use large::Large;
use tenon_base::Dice;

/// When a sorted set leaves its listpack.
#[derive(Clone, Copy, Debug)]
pub struct ZsetLimits {
    /// The most members of a listpack (`zset-max-listpack-entries`).
    pub entries: usize,
    /// The longest member of a listpack (`zset-max-listpack-value`), in bytes.
    pub value_bytes: usize,
    /// Keys the hash of large sets: secret, one per process.
    pub seed: u64,
}

/// What an insertion did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insertion {
    /// The member is new.
    Added,
    /// The member had another score.
    Updated,
    /// The member had this score.
    Unchanged,
}

/// A sorted set. A clone copies a listpack, or else two roots.
#[derive(Clone)]
pub struct Zset {
    form: Form,
}

#[derive(Clone)]
enum Form {
    Compact(Listpack),
    Large(Box<Large>),
}

const _: () = assert!(size_of::<Zset>() <= 16, "a value is at most 16 bytes in place");

/// Making one.
impl Zset {
    /// An empty set, compact.
    pub fn new() -> Zset {
        Zset { form: Form::Compact(Listpack::new()) }
    }

    /// An empty set that is to hold about `members` members, the first of them of `value_bytes` bytes: large
    /// from the start if that is beyond the limits.
    pub fn with_hints(members: usize, value_bytes: usize, limits: &ZsetLimits) -> Zset {
        if members <= limits.entries && value_bytes <= limits.value_bytes {
            return Zset::new();
        }
        Zset { form: Form::Large(Box::new(Large::new(limits.seed))) }
    }

    /// An empty set that is large whatever it will hold: what results are collected in, until
    /// [`Zset::make_compact`].
    pub fn new_large(limits: &ZsetLimits) -> Zset {
        Zset { form: Form::Large(Box::new(Large::new(limits.seed))) }
    }

    /// A set from the bytes of a listpack, which are checked whole.
    pub fn from_listpack(bytes: &[u8]) -> Result<Zset, Malformed> {
        let listpack = Listpack::from_bytes(bytes)?;
        compact::check(&listpack)?;
        Ok(Zset { form: Form::Compact(listpack) })
    }

    /// A large set from pairs in ascending order, built block by block. Fails if a member occurs twice, a
    /// score is not a number, or the order is wrong.
    pub fn from_sorted<M: AsRef<[u8]>>(
        pairs: impl Iterator<Item = (M, f64)>,
        limits: &ZsetLimits,
    ) -> Result<Zset, Malformed> {
        let large = Large::from_sorted(pairs, limits.seed)
            .ok_or(Malformed::new("sorted set out of order, or with a member or score that cannot be", 0))?;
        Ok(Zset { form: Form::Large(Box::new(large)) })
    }
}

/// Looking at it.
impl Zset {
    /// Members.
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Compact(listpack) => listpack.len() / 2,
            Form::Large(large) => large.len(),
        }
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Heap bytes owned, in size classes; shared blocks count in full.
    pub fn memory(&self) -> usize {
        match &self.form {
            Form::Compact(listpack) => listpack.memory(),
            Form::Large(large) => large.memory(),
        }
    }

    /// The table by member of a large set.
    pub fn table(&self) -> Option<&Members> {
        match &self.form {
            Form::Compact(_) => None,
            Form::Large(large) => Some(large.table()),
        }
    }

    /// Where what the value has beside its place begins, without reading it: to be fetched into the cache.
    pub(crate) fn address(&self) -> *const u8 {
        match &self.form {
            Form::Compact(listpack) => listpack.address(),
            Form::Large(large) => std::ptr::from_ref(&**large).cast(),
        }
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        match &self.form {
            Form::Compact(_) => "listpack",
            Form::Large(_) => "skiplist",
        }
    }

    /// The whole set as listpack bytes, if it is one.
    pub fn as_listpack(&self) -> Option<&[u8]> {
        match &self.form {
            Form::Compact(listpack) => Some(listpack.bytes()),
            Form::Large(_) => None,
        }
    }

    /// The score of a member.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match &self.form {
            Form::Compact(listpack) => compact::find(listpack, member).map(|(_, score)| score),
            Form::Large(large) => large.score(member),
        }
    }

    /// How many members come before this one; after it, if `reverse`.
    pub fn rank(&self, member: &[u8], reverse: bool) -> Option<usize> {
        self.rank_and_score(member, reverse).map(|(rank, _)| rank)
    }

    /// Rank and score of a member with one search.
    pub fn rank_and_score(&self, member: &[u8], reverse: bool) -> Option<(usize, f64)> {
        let (rank, score) = match &self.form {
            Form::Compact(listpack) => {
                let mut pairs = compact::pairs(listpack).enumerate();
                let (rank, (_, score)) = pairs.find(|(_, (own, _))| own.equals(member))?;
                (rank, score)
            }
            Form::Large(large) => large.rank(member)?,
        };
        Some((if reverse { self.len() - 1 - rank } else { rank }, score))
    }

    /// The pair of rank `rank` from the low end.
    pub fn pair(&self, rank: usize) -> Option<(Element<'_>, f64)> {
        match &self.form {
            Form::Compact(listpack) => compact::pairs(listpack).nth(rank),
            Form::Large(large) => {
                let (member, score) = (rank < large.len()).then(|| large.pair(rank))?;
                Some((Element::Bytes(member), score))
            }
        }
    }

    /// A pair, each with the same chance. None of none.
    pub fn random(&self, dice: &mut Dice) -> Option<(Element<'_>, f64)> {
        let len = self.len();
        if len == 0 { None } else { self.pair(dice.below(len as u64) as usize) }
    }

    /// Visits about `at_least` pairs from `cursor` on and says where to go on, 0 being start and end. A
    /// compact set is visited whole.
    pub fn scan(&self, cursor: u64, at_least: usize, mut visit: impl FnMut(Element<'_>, f64)) -> u64 {
        match &self.form {
            Form::Compact(listpack) => {
                compact::pairs(listpack).for_each(|(member, score)| visit(member, score));
                0
            }
            Form::Large(large) => {
                large.scan(cursor, at_least, |member, score| visit(Element::Bytes(member), score))
            }
        }
    }
}

/// Ranges of it. Ranks count from the low end, whichever way a range is walked.
impl Zset {
    /// All pairs in order.
    pub fn iter(&self) -> ZsetPairs<'_> {
        self.range_by_rank(0..self.len(), false)
    }

    /// The pairs of a range of ranks, cut to those that are there; from the high end if `reverse`.
    pub fn range_by_rank(&self, ranks: Range<usize>, reverse: bool) -> ZsetPairs<'_> {
        let len = self.len();
        let end = ranks.end.min(len);
        let start = ranks.start.min(end);
        match &self.form {
            Form::Compact(listpack) => ZsetPairs::compact(compact::pairs(listpack), start..end, len, reverse),
            Form::Large(large) => ZsetPairs::large(large.pairs(), start..end, len, reverse),
        }
    }

    /// The pairs whose scores lie in a range. Its `nth` skips without walking in large sets.
    pub fn range_by_score(&self, range: &ScoreRange, reverse: bool) -> ZsetPairs<'_> {
        self.range_by_rank(self.ranks_of_scores(range), reverse)
    }

    /// How many scores lie in a range.
    pub fn count_in_score_range(&self, range: &ScoreRange) -> usize {
        self.ranks_of_scores(range).len()
    }

    /// How many members lie in a range, provided that all scores are equal.
    pub fn count_in_lex_range(&self, range: &LexRange<'_>) -> usize {
        self.ranks_of_members(range).len()
    }

    /// The ranks whose scores lie in a range.
    pub fn ranks_of_scores(&self, range: &ScoreRange) -> Range<usize> {
        if range.is_empty() {
            return 0..0;
        }
        match &self.form {
            Form::Compact(listpack) => compact::ranks_of_scores(listpack, range),
            Form::Large(large) => large.ranks_of_scores(range),
        }
    }

    /// The ranks whose members lie in a range, provided that all scores are equal.
    pub fn ranks_of_members(&self, range: &LexRange<'_>) -> Range<usize> {
        let ranks = match &self.form {
            Form::Compact(listpack) => {
                let mut text = [0; INTEGER_TEXT_BYTES_MAX];
                let start =
                    compact::count_while(listpack, |member| !range.starts_by(member.as_bytes(&mut text)));
                let end =
                    compact::count_while(listpack, |member| !range.ends_before(member.as_bytes(&mut text)));
                start..end
            }
            Form::Large(large) => large.ranks_of_members(range),
        };
        ranks.start..ranks.end.max(ranks.start)
    }
}

/// Changing it.
impl Zset {
    /// Sets the score of a member, which must be a number. A set that outgrows `limits` becomes large.
    pub fn insert(&mut self, member: &[u8], score: f64, limits: &ZsetLimits) -> Insertion {
        assert!(!score.is_nan(), "the score of a member is a number");
        if let Form::Compact(listpack) = &mut self.form {
            match compact::find(listpack, member) {
                Some((_, old)) if old == score => return Insertion::Unchanged,
                Some((at, _)) => {
                    listpack.delete_from(at, 2);
                    compact::insert(listpack, member, score);
                    return Insertion::Updated;
                }
                None => {}
            }
            let stays = listpack.len() / 2 < limits.entries
                && member.len() <= limits.value_bytes
                && fits(listpack.total_bytes(), member.len());
            if stays {
                compact::insert(listpack, member, score);
                return Insertion::Added;
            }
        }
        self.make_large(limits).insert(member, score)
    }

    /// Takes a member out, with its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match &mut self.form {
            Form::Compact(listpack) => {
                let (at, score) = compact::find(listpack, member)?;
                listpack.delete_from(at, 2);
                Some(score)
            }
            Form::Large(large) => large.remove(member),
        }
    }

    /// Takes a range of ranks (cut to those that are there) out and says how many there were. `taken` sees
    /// each pair before.
    pub fn remove_ranks(&mut self, ranks: Range<usize>, mut taken: impl FnMut(Element<'_>, f64)) -> usize {
        let end = ranks.end.min(self.len());
        let start = ranks.start.min(end);
        match &mut self.form {
            Form::Compact(listpack) => {
                let pairs = compact::pairs(listpack).skip(start).take(end - start);
                pairs.for_each(|(member, score)| taken(member, score));
                listpack.delete_range(2 * start, 2 * (end - start));
            }
            Form::Large(large) => {
                large.remove_ranks(start..end, |member, score| taken(Element::Bytes(member), score));
            }
        }
        end - start
    }

    /// Makes a compact set large if `members` members are more than a listpack may hold: before many are
    /// added at once, and after a load under other limits.
    pub fn expect_members(&mut self, members: usize, limits: &ZsetLimits) {
        if members > limits.entries {
            self.make_large(limits);
        }
    }

    /// Makes a large set compact if all it holds is within the limits: at the end of commands that store a
    /// result, and of a load. Members that leave never make a set compact.
    pub fn make_compact(&mut self, limits: &ZsetLimits) {
        let Form::Large(large) = &self.form else { return };
        if large.len() > limits.entries {
            return;
        }
        let (mut longest, mut total) = (0, 0usize);
        for (member, _) in large.pairs() {
            longest = longest.max(member.len());
            total = total.saturating_add(member.len());
        }
        if longest > limits.value_bytes || !fits(0, total) {
            return;
        }
        let mut listpack = Listpack::new();
        large.pairs().for_each(|(member, score)| compact::push(&mut listpack, member, score));
        self.form = Form::Compact(listpack);
    }

    fn make_large(&mut self, limits: &ZsetLimits) -> &mut Large {
        if let Form::Compact(listpack) = &self.form {
            self.form = Form::Large(Box::new(Large::of_compact(listpack, limits.seed)));
        }
        let Form::Large(large) = &mut self.form else { unreachable!("it has just been made large") };
        large
    }
}

impl Default for Zset {
    fn default() -> Zset {
        Zset::new()
    }
}

#[cfg(test)]
mod tests;
