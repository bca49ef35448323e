//! The best candidates for removal that sampling has come across: a few keys, ordered by how well they would go.
//! What a score means is the caller's. Always: at most [`CANDIDATES`] keys; one that is offered twice is kept once.

use tenon_base::Dice;
use tenon_keyspace::{AccessRule, Entry, Keyspace};

use super::Policy;

/// Candidates kept between samplings. They make a few samples nearly as good as knowing all keys.
const CANDIDATES: usize = 16;
/// Longer keys give their memory back when they leave.
const KEPT_KEY_BYTES: usize = 255;

/// Candidates, worst first.
#[derive(Default)]
pub(super) struct Pool {
    candidates: Vec<Candidate>,
    /// Emptied keys, kept for their memory.
    spare: Vec<Vec<u8>>,
}

struct Candidate {
    score: u64,
    database: usize,
    key: Vec<u8>,
}

impl Pool {
    /// Forgets everything: scores of another policy say nothing.
    pub(super) fn clear(&mut self) {
        self.candidates.clear();
    }

    /// Looks at some keys of every database. False if there is none that may go.
    pub(super) fn fill(
        &mut self,
        keyspace: &Keyspace,
        policy: Policy,
        rule: AccessRule,
        samples: usize,
        seconds: u32,
        dice: &mut Dice,
    ) -> bool {
        let mut has_any = false;
        for index in 0..keyspace.databases() {
            let database = keyspace.db(index);
            database.sample(dice, samples, policy.volatile_only, &mut |entry| {
                has_any = true;
                self.offer(score(entry, policy, rule, seconds), index, entry.key());
            });
        }
        has_any
    }

    /// Takes the best candidate out: its database and key.
    pub(super) fn take_best(&mut self) -> Option<(usize, Vec<u8>)> {
        let best = self.candidates.pop()?;
        Some((best.database, best.key))
    }

    /// Gives the memory of a key back to the pool.
    pub(super) fn give_back(&mut self, key: Vec<u8>) {
        if key.capacity() <= KEPT_KEY_BYTES && self.spare.len() < CANDIDATES {
            self.spare.push(key);
        }
    }

    fn offer(&mut self, score: u64, database: usize, key: &[u8]) {
        let at = self.candidates.partition_point(|candidate| candidate.score < score);
        if at == 0 && self.candidates.len() == CANDIDATES {
            return;
        }
        let is_same = |candidate: &Candidate| candidate.database == database && candidate.key == key;
        if self.candidates.iter().any(is_same) {
            return;
        }
        let mut kept = self.spare.pop().unwrap_or_default();
        kept.clear();
        kept.extend_from_slice(key);
        self.candidates.insert(at, Candidate { score, database, key: kept });
        if self.candidates.len() > CANDIDATES {
            let worst = self.candidates.remove(0);
            self.give_back(worst.key);
        }
    }
}

/// The higher, the better the entry would go.
fn score(entry: Entry<'_>, policy: Policy, rule: AccessRule, seconds: u32) -> u64 {
    if policy.by_expiry {
        // The sooner it expires, the better; the sign is taken out.
        return entry.expires_at().map_or(0, |at| !(at.0 as u64 ^ (1 << 63)));
    }
    if rule.counts_uses() {
        return u64::from(u8::MAX - rule.frequency(entry.access_clock(), seconds));
    }
    u64::from(AccessRule::idle_seconds(entry.access_clock(), seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(pool: &mut Pool) -> Vec<String> {
        let taken = std::iter::from_fn(|| pool.take_best());
        taken.map(|(_, key)| String::from_utf8(key).expect("ascii")).collect()
    }

    #[test]
    fn the_best_are_kept_and_come_first() {
        let mut pool = Pool::default();
        for score in [5, 1, 9, 3, 9] {
            pool.offer(score, 0, score.to_string().as_bytes());
        }
        assert_eq!(keys(&mut pool), ["9", "5", "3", "1"], "once each");
        for score in 0..100u64 {
            pool.offer(score * 7 % 100, 0, (score * 7 % 100).to_string().as_bytes());
        }
        let best: Vec<String> = (84..100).rev().map(|score| score.to_string()).collect();
        assert_eq!(keys(&mut pool), best);
    }

    #[test]
    fn the_same_key_of_two_databases_is_two_candidates() {
        let mut pool = Pool::default();
        pool.offer(1, 0, b"k");
        pool.offer(2, 3, b"k");
        assert_eq!(pool.take_best(), Some((3, b"k".to_vec())));
        assert_eq!(pool.take_best(), Some((0, b"k".to_vec())));
        assert_eq!(pool.take_best(), None);
    }
}
