//! Keys that come twice in a dump, found in bounded memory: keys are remembered by a hash, of so many keys in parts, one
//! reading of the file for each part. Where two hashes are equal the keys themselves are compared in one more reading.
//! Always: what is told to come twice does; no file takes more memory than another.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

/// Hashes remembered at a time; about 40 MB.
const HASHES_MAX: usize = 3_600_000;
/// Equal hashes that are followed up. One is enough for a file to be unsound.
const SUSPECTS_MAX: usize = 64;

/// A database's key.
type Named = (usize, Box<[u8]>);

/// Looks for keys that come twice.
pub(super) struct Repeats {
    hasher: RandomState,
    max: usize,
    /// Keys are told apart into so many parts by the low bits of their hashes ...
    parts: u64,
    /// ... of which this one is remembered.
    part: u64,
    seen: HashSet<u64>,
    suspects: HashMap<u64, HashMap<Named, u32>>,
    is_confirming: bool,
}

/// What is to be done after a reading.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// No key comes twice.
    Nothing,
    /// This one does, of this database.
    Found(usize, Box<[u8]>),
    /// The file is to be read again.
    ReadAgain,
}

impl Repeats {
    pub(super) fn new() -> Repeats {
        Repeats::with_max(HASHES_MAX)
    }

    fn with_max(max: usize) -> Repeats {
        Repeats {
            hasher: RandomState::new(),
            max,
            parts: 1,
            part: 0,
            seen: HashSet::new(),
            suspects: HashMap::new(),
            is_confirming: false,
        }
    }

    /// The parts, and which of them was read last.
    pub(super) fn progress(&self) -> (u64, u64) {
        (self.part + 1, self.parts)
    }

    /// One key of the file.
    pub(super) fn key(&mut self, database: usize, key: &[u8]) {
        let hash = self.hasher.hash_one((database, key));
        if self.is_confirming {
            if let Some(keys) = self.suspects.get_mut(&hash) {
                *keys.entry((database, key.into())).or_default() += 1;
            }
            return;
        }
        if hash % self.parts != self.part {
            return;
        }
        if !self.seen.insert(hash) && self.suspects.len() < SUSPECTS_MAX {
            self.suspects.insert(hash, HashMap::new());
        }
        while self.seen.len() >= self.max {
            // The other half is a later reading's.
            self.parts *= 2;
            let (parts, part) = (self.parts, self.part);
            self.seen.retain(|hash| hash % parts == part);
        }
    }

    /// The file was read to its end.
    pub(super) fn read(&mut self) -> Next {
        if self.is_confirming {
            let mut keys = self.suspects.drain().flat_map(|(_, keys)| keys);
            let found = keys.find(|(_, count)| *count > 1);
            return found.map_or(Next::Nothing, |((database, key), _)| Next::Found(database, key));
        }
        self.seen.clear();
        if self.suspects.is_empty() && self.part + 1 < self.parts {
            self.part += 1;
            return Next::ReadAgain;
        }
        if self.suspects.is_empty() {
            return Next::Nothing;
        }
        self.is_confirming = true;
        Next::ReadAgain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads keys until all is known; the number of readings.
    fn judged(max: usize, keys: &[(usize, u32)]) -> (Next, u32) {
        let mut repeats = Repeats::with_max(max);
        for readings in 1..1_000 {
            for (database, key) in keys {
                repeats.key(*database, &key.to_le_bytes());
                assert!(repeats.seen.len() < max);
            }
            match repeats.read() {
                Next::ReadAgain => {}
                next => return (next, readings),
            }
        }
        panic!("no end");
    }

    #[test]
    fn one_reading_is_enough_for_few_keys() {
        let keys: Vec<(usize, u32)> = (0..50).map(|key| (key as usize % 2, key)).collect();
        assert_eq!(judged(100, &keys), (Next::Nothing, 1));
        assert_eq!(judged(100, &[(0, 1), (1, 1)]), (Next::Nothing, 1), "each database has its own keys");
    }

    #[test]
    fn many_keys_take_more_readings_and_no_more_memory() {
        let mut keys: Vec<(usize, u32)> = (0..10_000).map(|key| (0, key)).collect();
        let (next, readings) = judged(1_000, &keys);
        assert_eq!(next, Next::Nothing);
        assert!((11..=32).contains(&readings), "{readings}");
        for repeated in [0, 4_711, 9_999] {
            keys.push((0, repeated));
            assert_eq!(judged(1_000, &keys).0, Next::Found(0, repeated.to_le_bytes().into()));
            keys.pop();
        }
    }

    #[test]
    fn equal_hashes_of_unequal_keys_are_no_repetition() {
        let mut repeats = Repeats::with_max(10);
        repeats.key(0, b"a");
        repeats.suspects.insert(repeats.hasher.hash_one((0usize, &b"a"[..])), HashMap::new());
        assert_eq!(repeats.read(), Next::ReadAgain);
        repeats.key(0, b"a");
        assert_eq!(repeats.read(), Next::Nothing);
    }
}
