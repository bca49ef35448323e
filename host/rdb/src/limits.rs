//! The thresholds under which values are taken in. Decides nothing itself: see the collections.

use tenon_keyspace::{HashLimits, ListLimits, SetLimits, ZsetLimits};

/// The thresholds of all collections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of lists.
    pub list: ListLimits,
    /// Of sets.
    pub set: SetLimits,
    /// Of hashes.
    pub hash: HashLimits,
    /// Of sorted sets.
    pub zset: ZsetLimits,
}

impl Limits {
    /// What a configuration that says nothing asks for. The seed keys the tables of large collections.
    pub fn standard(seed: u64) -> Limits {
        Limits {
            list: ListLimits::default(),
            set: SetLimits { intset_entries: 512, listpack_entries: 128, listpack_value_bytes: 64, seed },
            hash: HashLimits { entries: 512, value_bytes: 64, seed },
            zset: ZsetLimits { entries: 128, value_bytes: 64, seed },
        }
    }
}
