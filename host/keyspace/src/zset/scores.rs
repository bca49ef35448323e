//! The score of each member: the table of members that hashes use, with eight bytes as the value.
//! Knows no order.

use crate::members::Members;

/// Scores by member. A clone is O(1).
#[derive(Clone)]
pub(super) struct Scores {
    members: Members,
}

impl Scores {
    pub(super) fn new(seed: u64) -> Scores {
        Scores { members: Members::new(seed) }
    }

    pub(super) fn table(&self) -> &Members {
        &self.members
    }

    pub(super) fn memory(&self) -> usize {
        self.members.memory()
    }

    pub(super) fn score(&self, member: &[u8]) -> Option<f64> {
        self.members.get(member).map(score_of)
    }

    /// Sets a score; the one before it comes back.
    pub(super) fn insert(&mut self, member: &[u8], score: f64) -> Option<f64> {
        let old = self.score(member);
        self.members.insert(member, &score.to_le_bytes());
        old
    }

    /// Takes a member out, with its score.
    pub(super) fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let old = self.score(member)?;
        self.members.remove(member);
        Some(old)
    }

    /// Visits members as `Members::scan` does.
    pub(super) fn scan(&self, cursor: u64, at_least: usize, mut visit: impl FnMut(&[u8], f64)) -> u64 {
        self.members.scan(cursor, at_least, |member, score| visit(member, score_of(score)))
    }
}

fn score_of(value: &[u8]) -> f64 {
    f64::from_le_bytes(value.try_into().expect("eight bytes for every member"))
}
