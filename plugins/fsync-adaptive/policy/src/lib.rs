//! Bounded staleness with few fsyncs: under `everysec` an fsync starts when the oldest unsynced write has reached a target
//! age, and later than that when fsyncs become slow, but so early that it ends within a bound.
//! Keeps no state: what recent fsyncs took is among the facts. Under `always` and `no` it decides as the default does.
//! Always: where fsyncs take no more than half the bound, each is started early enough to end within it, unless it takes
//! half as long again as any of the last minute.
#![no_std]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use core::fmt;

use fsync_default_policy as default;

/// What the operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `target-ms`: the age at which an fsync starts while the disk is well.
    pub target_us: u64,
    /// `bound-ms`: the age that no write exceeds before it is synced, as long as the disk allows it.
    pub bound_us: u64,
}

/// What the decision depends on; times in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// What the default policy looks at.
    pub usual: default::Situation,
    /// The age of the fsync in flight; 0 if there is none.
    pub fsync_running_us: u64,
    /// What the last fsync took.
    pub last_fsync_us: u32,
    /// What the worst of the last minute took.
    pub worst_fsync_us: u32,
    /// The last fsync failed.
    pub last_fsync_failed: bool,
    /// A save, rewrite or backup is writing.
    pub disk_busy: bool,
}

/// Fsyncs are to take at most one part in so many of the disk's time.
pub const DISK_SHARE: u64 = 10;

/// Timers and threads are late now and then: one part in so many of the bound is left for that.
const SLACK_SHARE: u64 = 32;

const MS_MAX: u64 = 60_000;

impl Settings {
    /// Redis's second, and what Redis itself may need at worst.
    pub const DEFAULT: Settings = Settings { target_us: 1_000_000, bound_us: 2_000_000 };

    /// Reads keys and values; a refusal is one sentence for the operator.
    pub fn read<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Settings, String> {
        let mut settings = Settings::DEFAULT;
        let mut bound_is_given = false;
        for (key, value) in pairs {
            match key {
                "target-ms" => settings.target_us = policy_settings::number(key, value, 1, MS_MAX)? * 1_000,
                "bound-ms" => {
                    settings.bound_us = policy_settings::number(key, value, 1, MS_MAX)? * 1_000;
                    bound_is_given = true;
                }
                _ => return Err(policy_settings::unknown(key, &["target-ms", "bound-ms"])),
            }
        }
        if !bound_is_given {
            settings.bound_us = settings.target_us * 2;
        }
        if settings.bound_us < settings.target_us {
            let (target_ms, bound_ms) = (settings.target_us / 1_000, settings.bound_us / 1_000);
            return Err(format!("bound-ms: found '{bound_ms}', expected at least target-ms ({target_ms})"));
        }
        Ok(settings)
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "target-ms={} bound-ms={}", self.target_us / 1_000, self.bound_us / 1_000)
    }
}

/// Decides when to sync what is unsynced.
pub fn decide(settings: &Settings, situation: &Situation) -> default::Verdict {
    let usual = &situation.usual;
    if usual.durability != default::Durability::Everysec || usual.unsynced_bytes == 0 {
        return default::decide(usual);
    }
    default::Verdict::SyncAtAge { age_us: age_us(settings, situation).min(usual.ceiling_us) }
}

/// Whether the disk is quick enough for the bound: what is written while an fsync runs waits for two.
pub fn bound_can_be_kept(settings: &Settings, situation: &Situation) -> bool {
    expected_us(situation).saturating_mul(2) <= settings.bound_us
}

/// The age of the oldest unsynced write at which to start.
///
/// A disk that is well gets an fsync at the target. One whose fsyncs take long gets fewer, so that they take no more than
/// their share of its time, as far as the bound allows it; one that fails, or that a snapshot is being written to, as few
/// as the bound allows. Where nothing keeps the bound there is at least a pause as long as the fsync.
fn age_us(settings: &Settings, situation: &Situation) -> u64 {
    let expected_us = expected_us(situation);
    let worst_us = expected_us.max(u64::from(situation.worst_fsync_us));
    let allowed_us = worst_us.saturating_add(worst_us / 2);
    let room_us = settings.bound_us - settings.bound_us / SLACK_SHARE;
    // One that was slow once must not make all others come early: for its sake none starts before the target.
    let before_usual_us = settings.target_us.min(room_us.saturating_sub(expected_us));
    let latest_us = room_us.saturating_sub(allowed_us).max(before_usual_us);
    let wanted_us = if situation.disk_busy || situation.last_fsync_failed {
        latest_us
    } else {
        settings.target_us.max(expected_us.saturating_mul(DISK_SHARE))
    };
    wanted_us.min(latest_us).max(expected_us)
}

/// What the next fsync should take. Slower is believed at once, also of one that has not ended yet; faster is believed
/// when the mean is.
fn expected_us(situation: &Situation) -> u64 {
    let ended_us = situation.last_fsync_us.max(situation.usual.mean_fsync_us);
    u64::from(ended_us).max(situation.fsync_running_us)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    const CALM: Situation = Situation {
        usual: default::Situation {
            now_us: 5_700_000,
            durability: default::Durability::Everysec,
            unsynced_bytes: 100,
            oldest_unsynced_us: 0,
            since_fsync_us: u64::MAX,
            mean_fsync_us: 2_000,
            ceiling_us: 2_000_000,
        },
        fsync_running_us: 0,
        last_fsync_us: 2_000,
        worst_fsync_us: 5_000,
        last_fsync_failed: false,
        disk_busy: false,
    };

    fn taking(fsync_us: u32) -> Situation {
        Situation {
            usual: default::Situation { mean_fsync_us: fsync_us, ..CALM.usual },
            last_fsync_us: fsync_us,
            worst_fsync_us: fsync_us,
            ..CALM
        }
    }

    fn age_ms(situation: &Situation) -> u64 {
        match decide(&Settings::DEFAULT, situation) {
            default::Verdict::SyncAtAge { age_us } => age_us / 1_000,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_disk_that_is_well_is_synced_at_the_target() {
        assert_eq!(age_ms(&CALM), 1_000);
        assert_eq!(age_ms(&taking(0)), 1_000);
        assert_eq!(age_ms(&taking(100_000)), 1_000);
    }

    #[test]
    fn slower_fsyncs_are_fewer_and_end_within_the_bound() {
        assert_eq!(age_ms(&taking(150_000)), 1_500);
        let mut before = 0;
        for fsync_ms in [100, 120, 140, 160, 175] {
            let age = age_ms(&taking(fsync_ms * 1_000));
            assert!(age > before, "{fsync_ms} ms: {age}");
            before = age;
        }
        for fsync_ms in 0..=968 {
            let situation = taking(fsync_ms * 1_000);
            let age = age_ms(&situation);
            assert!(bound_can_be_kept(&Settings::DEFAULT, &situation));
            assert!(age + u64::from(fsync_ms) < 2_000, "{fsync_ms} ms: {age}");
            assert!(age >= u64::from(fsync_ms), "a pause as long as the fsync, at {fsync_ms} ms: {age}");
        }
        assert_eq!(age_ms(&taking(400_000)), 1_337);
    }

    #[test]
    fn an_fsync_that_hangs_is_believed_before_it_ends() {
        assert_eq!(age_ms(&Situation { fsync_running_us: 400_000, ..CALM }), 1_337);
        assert_eq!(age_ms(&Situation { last_fsync_us: 150_000, ..CALM }), 1_500);
    }

    #[test]
    fn a_busy_or_failing_disk_is_spared_as_far_as_the_bound_allows() {
        assert_eq!(age_ms(&Situation { disk_busy: true, ..CALM }), 1_930);
        assert_eq!(age_ms(&Situation { last_fsync_failed: true, ..CALM }), 1_930);
    }

    #[test]
    fn one_slow_fsync_of_the_last_minute_makes_no_other_early() {
        assert_eq!(age_ms(&Situation { worst_fsync_us: 1_900_000, ..CALM }), 1_000);
        let busy = Situation { worst_fsync_us: 500_000, disk_busy: true, ..CALM };
        assert_eq!(age_ms(&busy), 1_187, "but none is put off so far that it could not happen again");
    }

    #[test]
    fn a_disk_too_slow_for_the_bound_gets_a_pause_as_long_as_its_fsyncs() {
        let slow = taking(1_200_000);
        assert_eq!(age_ms(&slow), 1_200);
        assert!(!bound_can_be_kept(&Settings::DEFAULT, &slow));
        assert_eq!(age_ms(&taking(5_000_000)), 2_000, "the host's ceiling is never passed");
    }

    #[test]
    fn other_levels_and_a_clean_log_are_the_defaults() {
        for durability in [default::Durability::Always, default::Durability::No] {
            let mut situation = taking(150_000);
            (situation.usual.durability, situation.usual.ceiling_us) = (durability, 10_000);
            assert_eq!(decide(&Settings::DEFAULT, &situation), default::decide(&situation.usual));
        }
        let mut clean = CALM;
        clean.usual.unsynced_bytes = 0;
        assert_eq!(decide(&Settings::DEFAULT, &clean), default::Verdict::Leave);
    }

    #[test]
    fn settings_are_read_or_refused() {
        assert_eq!(Settings::read([]), Ok(Settings::DEFAULT));
        let read = |pairs: &[(&'static str, &'static str)]| Settings::read(pairs.iter().copied());
        assert_eq!(read(&[("target-ms", "50")]).unwrap().to_string(), "target-ms=50 bound-ms=100");
        let both = read(&[("bound-ms", "300"), ("target-ms", "100")]).unwrap();
        assert_eq!(both.to_string(), "target-ms=100 bound-ms=300");
        for (pairs, expected) in [
            (&[("target-ms", "0")], "target-ms: found '0', expected a whole number from 1 to 60000"),
            (&[("bound-ms", "never")], "bound-ms: found 'never', expected a whole number from 1 to 60000"),
            (&[("bound-ms", "999")], "bound-ms: found '999', expected at least target-ms (1000)"),
            (&[("speed", "1")], "unknown setting 'speed'; there are target-ms, bound-ms"),
        ] {
            assert_eq!(read(pairs).unwrap_err(), expected);
        }
    }
}
