//! Group commit: an fsync covers what gathers within so many microseconds, or so many bytes, whichever comes first.
//! Keeps no state and looks at no fsync's duration: both limits are the operator's.
//! Always: nothing waits longer than `us` from the oldest unsynced write on, nor past `bytes`, but for an fsync in flight.
#![no_std]

extern crate alloc;

use alloc::string::String;
use core::fmt;

use policy_settings::Bytes;

/// What the operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `bytes`: sync when so much is unsynced.
    pub bytes: u64,
    /// `us`: sync when the oldest unsynced write is so old.
    pub us: u32,
}

/// The durability in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Replies wait for the fsync.
    Always,
    /// They do not.
    Everysec,
    /// The operating system decides.
    No,
}

/// What the decision depends on; times in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// The durability in force.
    pub durability: Durability,
    /// Bytes of the log that no fsync covers.
    pub unsynced_bytes: u64,
    /// Age of the oldest of them.
    pub oldest_unsynced_us: u64,
    /// The age at which the host syncs whatever is said.
    pub ceiling_us: u64,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Replies wait: gather for so long, or to so many bytes, as long as anybody is expected.
    Gather {
        /// Microseconds from now.
        us: u32,
        /// Of what is unsynced.
        bytes: u64,
    },
    /// Nobody waits: sync at that age or size.
    SyncWhen {
        /// Microseconds.
        age_us: u64,
        /// Of what is unsynced.
        bytes: u64,
    },
    /// Leave it to the system.
    Leave,
}

const US_MAX: u64 = 60_000_000;
const BYTES_MAX: u64 = 1 << 30;

impl Settings {
    /// Five milliseconds or 256 KiB.
    pub const DEFAULT: Settings = Settings { bytes: 256 << 10, us: 5_000 };

    /// Reads keys and values; a refusal is one sentence for the operator.
    pub fn read<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Settings, String> {
        let mut settings = Settings::DEFAULT;
        for (key, value) in pairs {
            match key {
                "bytes" => settings.bytes = policy_settings::bytes(key, value, 1, BYTES_MAX)?,
                "us" => settings.us = policy_settings::number(key, value, 0, US_MAX)? as u32,
                _ => return Err(policy_settings::unknown(key, &["bytes", "us"])),
            }
        }
        Ok(settings)
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bytes={} us={}", Bytes(self.bytes), self.us)
    }
}

/// Decides when to sync what is unsynced.
pub fn decide(settings: &Settings, situation: &Situation) -> Verdict {
    let limit_us = u64::from(settings.us).min(situation.ceiling_us);
    match situation.durability {
        _ if situation.unsynced_bytes == 0 => Verdict::Leave,
        Durability::No => Verdict::Leave,
        Durability::Everysec => Verdict::SyncWhen { age_us: limit_us, bytes: settings.bytes },
        Durability::Always => {
            let left_us = limit_us.saturating_sub(situation.oldest_unsynced_us);
            Verdict::Gather { us: u32::try_from(left_us).unwrap_or(u32::MAX), bytes: settings.bytes }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    const DIRTY: Situation = Situation {
        durability: Durability::Everysec,
        unsynced_bytes: 100,
        oldest_unsynced_us: 0,
        ceiling_us: 2_000_000,
    };
    const ALWAYS: Situation = Situation { durability: Durability::Always, ceiling_us: 10_000, ..DIRTY };
    const BYTES: u64 = 256 << 10;

    fn asked(situation: &Situation) -> Verdict {
        decide(&Settings::DEFAULT, situation)
    }

    #[test]
    fn what_nobody_waits_for_is_synced_at_an_age_or_a_size() {
        assert_eq!(asked(&DIRTY), Verdict::SyncWhen { age_us: 5_000, bytes: BYTES });
        let late = Situation { oldest_unsynced_us: 9_000, ..DIRTY };
        assert_eq!(asked(&late), Verdict::SyncWhen { age_us: 5_000, bytes: BYTES }, "which is now");
        let slow = Settings { us: 60_000_000, ..Settings::DEFAULT };
        assert_eq!(decide(&slow, &DIRTY), Verdict::SyncWhen { age_us: 2_000_000, bytes: BYTES });
    }

    #[test]
    fn what_somebody_waits_for_gathers_from_the_oldest_on() {
        assert_eq!(asked(&ALWAYS), Verdict::Gather { us: 5_000, bytes: BYTES });
        let waited = Situation { oldest_unsynced_us: 4_000, ..ALWAYS };
        assert_eq!(asked(&waited), Verdict::Gather { us: 1_000, bytes: BYTES });
        let late = Situation { oldest_unsynced_us: 70_000, ..ALWAYS };
        assert_eq!(asked(&late), Verdict::Gather { us: 0, bytes: BYTES });
        let slow = Settings { us: 50_000, ..Settings::DEFAULT };
        assert_eq!(decide(&slow, &waited), Verdict::Gather { us: 6_000, bytes: BYTES }, "to the ceiling");
    }

    #[test]
    fn a_clean_log_and_no_are_left_alone() {
        assert_eq!(asked(&Situation { unsynced_bytes: 0, ..ALWAYS }), Verdict::Leave);
        assert_eq!(asked(&Situation { durability: Durability::No, ..DIRTY }), Verdict::Leave);
    }

    #[test]
    fn settings_are_read_or_refused() {
        let read = |pairs: &[(&'static str, &'static str)]| Settings::read(pairs.iter().copied());
        assert_eq!(read(&[]).unwrap().to_string(), "bytes=256kb us=5000");
        assert_eq!(read(&[("us", "0"), ("bytes", "1mb")]).unwrap().to_string(), "bytes=1mb us=0");
        for (pairs, expected) in [
            (&[("us", "soon")], "us: found 'soon', expected a whole number from 0 to 60000000"),
            (&[("bytes", "0")], "bytes: found '0', expected a size from 1 to 1gb, as 64kb or 1mb"),
            (&[("target-ms", "1")], "unknown setting 'target-ms'; there are bytes, us"),
        ] {
            assert_eq!(read(pairs).unwrap_err(), expected);
        }
    }
}
