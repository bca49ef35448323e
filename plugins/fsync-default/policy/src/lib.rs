//! The default fsync policy: Redis's `appendfsync`, decided from facts alone.
//! It keeps no state, knows no clock and no host: the component around it and the host's native fallback both call it.
//! Always: the verdict depends on nothing but the situation, so a rebuilt instance decides as the old one would have.
#![no_std]

extern crate alloc;

use alloc::format;
use alloc::string::String;

/// The durability in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Replies wait for the fsync.
    Always,
    /// An fsync a second.
    Everysec,
    /// The operating system decides.
    No,
}

/// What the decision depends on; times in microseconds, `u64::MAX` for never.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// The time of the question; Redis counts whole seconds.
    pub now_us: u64,
    /// The durability in force.
    pub durability: Durability,
    /// Bytes of the log that no fsync covers.
    pub unsynced_bytes: u64,
    /// Age of the oldest of them.
    pub oldest_unsynced_us: u64,
    /// Since the last fsync began.
    pub since_fsync_us: u64,
    /// Mean of recent fsyncs.
    pub mean_fsync_us: u32,
    /// The age at which the host syncs whatever is said.
    pub ceiling_us: u64,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Sync after gathering commits for at most so long; 0: at once.
    Sync {
        /// Microseconds.
        gather_us: u32,
    },
    /// Sync when the oldest unsynced commit is so old.
    SyncAtAge {
        /// Microseconds.
        age_us: u64,
    },
    /// Leave it to the system.
    Leave,
}

/// Redis's `everysec` period.
pub const SECOND_US: u64 = 1_000_000;

/// Below this an fsync is cheaper than the wait that would share it among more commits.
pub const GATHER_FROM_US: u32 = 1_000;

/// Decides when to sync what is unsynced.
pub fn decide(situation: &Situation) -> Verdict {
    if situation.unsynced_bytes == 0 {
        return Verdict::Leave;
    }
    match situation.durability {
        Durability::No => Verdict::Leave,
        Durability::Always => Verdict::Sync { gather_us: gather_us(situation) },
        Durability::Everysec => match left_of_second_us(situation) {
            0 => Verdict::Sync { gather_us: 0 },
            left_us => {
                let age_us = situation.oldest_unsynced_us.saturating_add(left_us);
                Verdict::SyncAtAge { age_us: age_us.min(situation.ceiling_us) }
            }
        },
    }
}

/// The default policy has no settings: any is refused, with a sentence for the operator.
pub fn accept_settings<'a>(keys: impl IntoIterator<Item = &'a str>) -> Result<(), String> {
    match keys.into_iter().next() {
        None => Ok(()),
        Some(key) => Err(format!("unknown setting '{key}': the default fsync policy has no settings")),
    }
}

/// How much is left of the second in which the last fsync began; 0 if it was an earlier one. Redis stamps fsyncs with
/// whole seconds, so it syncs once in every second of its clock that sees writes, not once in every 1,000 ms.
fn left_of_second_us(situation: &Situation) -> u64 {
    let into_second_us = situation.now_us % SECOND_US;
    if situation.since_fsync_us > into_second_us { 0 } else { SECOND_US - into_second_us }
}

/// A quarter of a recent fsync where fsyncs are slow, so that clients released by the last one come along; never past
/// the ceiling.
fn gather_us(situation: &Situation) -> u32 {
    if situation.mean_fsync_us <= GATHER_FROM_US {
        return 0;
    }
    let room_us = situation.ceiling_us.saturating_sub(situation.oldest_unsynced_us);
    (situation.mean_fsync_us / 4).min(u32::try_from(room_us).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIRTY: Situation = Situation {
        now_us: 5_700_000,
        durability: Durability::Everysec,
        unsynced_bytes: 100,
        oldest_unsynced_us: 0,
        since_fsync_us: u64::MAX,
        mean_fsync_us: 0,
        ceiling_us: 2_000_000,
    };

    #[test]
    fn everysec_syncs_once_in_a_second_of_the_clock() {
        assert_eq!(decide(&DIRTY), Verdict::Sync { gather_us: 0 });
        let same = Situation { since_fsync_us: 400_000, oldest_unsynced_us: 30, ..DIRTY };
        assert_eq!(decide(&same), Verdict::SyncAtAge { age_us: 300_030 });
        let begin = Situation { since_fsync_us: 700_000, ..DIRTY };
        assert_eq!(decide(&begin), Verdict::SyncAtAge { age_us: 300_000 });
        let before = Situation { since_fsync_us: 700_001, ..DIRTY };
        assert_eq!(decide(&before), Verdict::Sync { gather_us: 0 });
        let old = Situation { since_fsync_us: 400_000, oldest_unsynced_us: 1_900_000, ..DIRTY };
        assert_eq!(decide(&old), Verdict::SyncAtAge { age_us: 2_000_000 });
    }

    #[test]
    fn always_gathers_only_where_an_fsync_is_slow() {
        let always = Situation { durability: Durability::Always, ceiling_us: 10_000, ..DIRTY };
        assert_eq!(decide(&Situation { mean_fsync_us: 1_000, ..always }), Verdict::Sync { gather_us: 0 });
        assert_eq!(decide(&Situation { mean_fsync_us: 4_000, ..always }), Verdict::Sync { gather_us: 1_000 });
        let slow = Situation { mean_fsync_us: 200_000, oldest_unsynced_us: 9_000, ..always };
        assert_eq!(decide(&slow), Verdict::Sync { gather_us: 1_000 });
        let late = Situation { mean_fsync_us: 200_000, oldest_unsynced_us: 11_000, ..always };
        assert_eq!(decide(&late), Verdict::Sync { gather_us: 0 });
    }

    #[test]
    fn a_clean_log_and_no_are_left_alone() {
        assert_eq!(decide(&Situation { unsynced_bytes: 0, ..DIRTY }), Verdict::Leave);
        assert_eq!(decide(&Situation { durability: Durability::No, ..DIRTY }), Verdict::Leave);
    }

    #[test]
    fn settings_are_refused_by_name() {
        assert_eq!(accept_settings([]), Ok(()));
        assert!(accept_settings(["target-ms"]).unwrap_err().contains("'target-ms'"));
    }
}
