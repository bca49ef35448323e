//! A sorted set of many members: a tree by score beside a table by member.
//! Always: both hold the same pairs, bit for bit.

use super::range::{LexEnd, LexRange, ScoreRange};
use super::scores::Scores;
use super::tree::{Bound, Pairs, Tree};
use super::{Insertion, compact};
use crate::Listpack;
use crate::Members;
use crate::listpack::INTEGER_TEXT_BYTES_MAX;
use crate::memory::size_class;
use std::ops::Range;

/// Tree and table. A clone clones the roots of both.
#[derive(Clone)]
pub(super) struct Large {
    tree: Tree,
    scores: Scores,
}

impl Large {
    /// A set without members. `seed` keys the hash of the table.
    pub(super) fn new(seed: u64) -> Large {
        Large { tree: Tree::new(), scores: Scores::new(seed) }
    }

    /// The pairs of a sound listpack.
    pub(super) fn of_compact(listpack: &Listpack, seed: u64) -> Large {
        let mut scores = Scores::new(seed);
        for (member, score) in compact::pairs(listpack) {
            scores.insert(member.as_bytes(&mut [0; INTEGER_TEXT_BYTES_MAX]), score);
        }
        let pairs = compact::pairs(listpack).map(|(member, score)| (member.to_vec(), score));
        let tree = Tree::from_sorted(pairs).expect("the pairs of a listpack are in order");
        Large { tree, scores }
    }

    /// Pairs that come in ascending order, no member twice; None if they do not.
    pub(super) fn from_sorted<M: AsRef<[u8]>>(
        pairs: impl Iterator<Item = (M, f64)>,
        seed: u64,
    ) -> Option<Large> {
        let mut scores = Scores::new(seed);
        let mut sound = true;
        let tree = Tree::from_sorted(pairs.map_while(|(member, score)| {
            sound = !score.is_nan() && scores.insert(member.as_ref(), score).is_none();
            sound.then_some((member, score))
        }));
        tree.filter(|_| sound).map(|tree| Large { tree, scores })
    }

    pub(super) fn len(&self) -> usize {
        self.tree.len()
    }

    pub(super) fn memory(&self) -> usize {
        size_class(size_of::<Large>()) + self.tree.memory() + self.scores.memory()
    }

    pub(super) fn table(&self) -> &Members {
        self.scores.table()
    }

    pub(super) fn score(&self, member: &[u8]) -> Option<f64> {
        self.scores.score(member)
    }

    pub(super) fn insert(&mut self, member: &[u8], score: f64) -> Insertion {
        match self.scores.insert(member, score) {
            None => {
                self.tree.insert(score, member);
                Insertion::Added
            }
            Some(old) if old == score => {
                // Of two zeros the first stays, in the table as in the tree.
                if old.to_bits() != score.to_bits() {
                    self.scores.insert(member, old);
                }
                Insertion::Unchanged
            }
            Some(old) => {
                self.tree.rescore(old, score, member);
                Insertion::Updated
            }
        }
    }

    pub(super) fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let score = self.scores.remove(member)?;
        let removed = self.tree.remove(score, member);
        assert!(removed, "tree and table hold the same pairs");
        Some(score)
    }

    pub(super) fn remove_ranks(&mut self, ranks: Range<usize>, mut taken: impl FnMut(&[u8], f64)) {
        for (member, score) in self.tree.pairs(ranks.start, ranks.end) {
            taken(member, score);
            self.scores.remove(member);
        }
        self.tree.remove_ranks(ranks.start, ranks.end);
    }

    pub(super) fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        let score = self.scores.score(member)?;
        Some((self.tree.count_before(Bound::Before(score, member)), score))
    }

    pub(super) fn pair(&self, rank: usize) -> (&[u8], f64) {
        self.tree.pair(rank)
    }

    pub(super) fn pairs(&self) -> Pairs<'_> {
        self.tree.pairs(0, self.tree.len())
    }

    pub(super) fn scan(&self, cursor: u64, at_least: usize, visit: impl FnMut(&[u8], f64)) -> u64 {
        self.scores.scan(cursor, at_least, visit)
    }

    pub(super) fn ranks_of_scores(&self, range: &ScoreRange) -> Range<usize> {
        let start = match range.min_exclusive {
            true => Bound::AfterScore(range.min),
            false => Bound::BeforeScore(range.min),
        };
        let end = match range.max_exclusive {
            true => Bound::BeforeScore(range.max),
            false => Bound::AfterScore(range.max),
        };
        self.tree.count_before(start)..self.tree.count_before(end)
    }

    /// Where scores differ, only members of the lowest score are looked at: what Redis calls unspecified.
    pub(super) fn ranks_of_members(&self, range: &LexRange<'_>) -> Range<usize> {
        if self.len() == 0 {
            return 0..0;
        }
        let (_, score) = self.tree.pair(0);
        let rank = |end, inclusive_before: bool| match end {
            LexEnd::Lowest => 0,
            LexEnd::Highest => self.len(),
            LexEnd::Inclusive(member) if inclusive_before => {
                self.tree.count_before(Bound::Before(score, member))
            }
            LexEnd::Exclusive(member) if !inclusive_before => {
                self.tree.count_before(Bound::Before(score, member))
            }
            LexEnd::Inclusive(member) | LexEnd::Exclusive(member) => {
                self.tree.count_before(Bound::After(score, member))
            }
        };
        rank(range.min, true)..rank(range.max, false)
    }
}
