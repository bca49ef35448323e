//! Saves by bytes changed instead of by keys, and rewrites of the append-only file by how long a restart would take.
//! Keeps no state and knows no clock: bytes, rates and ages are among the facts.
//! Always: at most one job at a time, a save before a rewrite; what failed is tried again after a pause.
#![no_std]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use core::fmt;

use policy_settings::{Bytes, bytes, number};
use snapshot_default_policy::{Job, rewrite_is_limited};

/// What the operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `bytes`: save after so many bytes of changes ...
    pub bytes: u64,
    /// `percent`: ... if they are also so much of the last file.
    pub percent: u64,
    /// `gap-s`: no more often than this.
    pub gap_s: u64,
    /// `age-s`: but at least this often, if anything has changed.
    pub age_s: u64,
    /// `restore-s`: rewrite the append-only file when a restart would take longer.
    pub restore_s: u64,
    /// `load-rate`: bytes of an RDB file in a second, until this server has loaded one.
    pub load_rate: u64,
    /// `replay-rate`: bytes of commands in a second, until this server has replayed some.
    pub replay_rate: u64,
}

/// What the decision depends on; times in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// The wall clock, for the pauses after failed rewrites.
    pub wall_unix_ms: i64,
    /// Redis's dirty count.
    pub changes_since_save: u64,
    /// Bytes of effects.
    pub bytes_since_save: u64,
    /// Saves.
    pub save: Job,
    /// The size of the last file that was saved; 0 if there was none.
    pub last_save_bytes: u64,
    /// Rewrites of the append-only file.
    pub rewrite: Job,
    /// Whether there is an append-only file.
    pub aof_enabled: bool,
    /// Its size.
    pub aof_bytes: u64,
    /// Of that, what is replayed command by command.
    pub aof_replay_bytes: u64,
    /// As measured by this server, in a second.
    pub load_rate: Option<u64>,
    /// Likewise.
    pub replay_rate: Option<u64>,
    /// Full syncs of replicas.
    pub full_syncs_running: u32,
}

/// What to start now, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    None,
    /// A save, because so many bytes have changed.
    SaveBytes(u64),
    /// A save, because the last one is so many seconds ago.
    SaveAge(u64),
    /// A rewrite, because a restart would take so many milliseconds.
    Rewrite(u64),
}

/// After a failed save the next one waits for at least so long.
pub const RETRY_S: u64 = 5;

/// A rewrite saves the time of the replay: it is worth its work when that is at least one part in so many of a restart.
pub const WORTH_SHARE: u64 = 4;

const SECONDS_MAX: u64 = 31_536_000;
const BYTES_MAX: u64 = 1 << 50;
const KEYS: [&str; 7] = ["bytes", "percent", "gap-s", "age-s", "restore-s", "load-rate", "replay-rate"];

impl Settings {
    /// After 256 MiB that are a tenth of the last file; not twice in a minute, at least once in an hour; a restart
    /// within half a minute.
    pub const DEFAULT: Settings = Settings {
        bytes: 256 << 20,
        percent: 10,
        gap_s: 60,
        age_s: 3_600,
        restore_s: 30,
        load_rate: 100 << 20,
        replay_rate: 50 << 20,
    };

    /// Reads keys and values; a refusal is one sentence for the operator.
    pub fn read<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Settings, String> {
        let mut settings = Settings::DEFAULT;
        for (key, value) in pairs {
            match key {
                "bytes" => settings.bytes = bytes(key, value, 1, BYTES_MAX)?,
                "percent" => settings.percent = number(key, value, 0, 1_000)?,
                "gap-s" => settings.gap_s = number(key, value, 1, SECONDS_MAX)?,
                "age-s" => settings.age_s = number(key, value, 1, SECONDS_MAX)?,
                "restore-s" => settings.restore_s = number(key, value, 1, SECONDS_MAX)?,
                "load-rate" => settings.load_rate = bytes(key, value, 1, BYTES_MAX)?,
                "replay-rate" => settings.replay_rate = bytes(key, value, 1, BYTES_MAX)?,
                _ => return Err(policy_settings::unknown(key, &KEYS)),
            }
        }
        if settings.age_s < settings.gap_s {
            let Settings { age_s, gap_s, .. } = settings;
            return Err(format!("age-s: found '{age_s}', expected at least gap-s ({gap_s})"));
        }
        Ok(settings)
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { percent, gap_s, age_s, restore_s, .. } = self;
        write!(
            f,
            "bytes={} percent={percent} gap-s={gap_s} age-s={age_s} restore-s={restore_s} load-rate={} \
             replay-rate={}",
            Bytes(self.bytes),
            Bytes(self.load_rate),
            Bytes(self.replay_rate)
        )
    }
}

/// Decides what to start now.
pub fn decide(settings: &Settings, situation: &Situation) -> Verdict {
    if situation.save.running || situation.rewrite.running || situation.full_syncs_running > 0 {
        return Verdict::None;
    }
    match save(settings, situation) {
        Verdict::None => rewrite(settings, situation),
        due => due,
    }
}

/// How long a start would take with the files as they are: what is in RDB format at one rate, the rest at the other.
pub fn restart_ms(settings: &Settings, situation: &Situation) -> u64 {
    let loaded = situation.aof_bytes.saturating_sub(situation.aof_replay_bytes);
    let load_ms = at_rate_ms(loaded, situation.load_rate.unwrap_or(settings.load_rate));
    load_ms.saturating_add(replay_ms(settings, situation))
}

fn replay_ms(settings: &Settings, situation: &Situation) -> u64 {
    at_rate_ms(situation.aof_replay_bytes, situation.replay_rate.unwrap_or(settings.replay_rate))
}

fn at_rate_ms(bytes: u64, rate: u64) -> u64 {
    u64::try_from(u128::from(bytes) * 1_000 / u128::from(rate.max(1))).unwrap_or(u64::MAX)
}

fn save(settings: &Settings, situation: &Situation) -> Verdict {
    let Situation { save, bytes_since_save, .. } = situation;
    let retry_ms = settings.gap_s.max(RETRY_S) * 1_000;
    let is_early =
        save.since_success_ms < settings.gap_s * 1_000 || (save.failed && save.since_attempt_ms < retry_ms);
    if situation.changes_since_save == 0 || is_early {
        return Verdict::None;
    }
    let share = u128::from(situation.last_save_bytes) * u128::from(settings.percent) / 100;
    if *bytes_since_save >= settings.bytes && u128::from(*bytes_since_save) >= share {
        return Verdict::SaveBytes(*bytes_since_save);
    }
    match save.since_success_ms / 1_000 {
        age_s if age_s >= settings.age_s => Verdict::SaveAge(age_s),
        _ => Verdict::None,
    }
}

fn rewrite(settings: &Settings, situation: &Situation) -> Verdict {
    if !situation.aof_enabled || rewrite_is_limited(situation.wall_unix_ms, &situation.rewrite) {
        return Verdict::None;
    }
    // The new base must be loaded, too: where that alone takes longer than the target, replay has to be worth it.
    let restart_ms = restart_ms(settings, situation);
    let is_worth = replay_ms(settings, situation) >= restart_ms / WORTH_SHARE;
    if restart_ms > settings.restore_s * 1_000 && is_worth {
        Verdict::Rewrite(restart_ms)
    } else {
        Verdict::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    const MB: u64 = 1 << 20;
    const IDLE: Job = Job {
        running: false,
        failed: false,
        failures_in_a_row: 0,
        since_attempt_ms: u64::MAX,
        since_success_ms: 600_000,
        last_duration_ms: 0,
    };
    const QUIET: Situation = Situation {
        wall_unix_ms: 1_795_362_303_999,
        changes_since_save: 0,
        bytes_since_save: 0,
        save: IDLE,
        last_save_bytes: 0,
        rewrite: IDLE,
        aof_enabled: true,
        aof_bytes: 0,
        aof_replay_bytes: 0,
        load_rate: None,
        replay_rate: None,
        full_syncs_running: 0,
    };
    const CHANGED: Situation = Situation { changes_since_save: 5, bytes_since_save: 256 * MB, ..QUIET };

    fn asked(situation: Situation) -> Verdict {
        decide(&Settings::DEFAULT, &situation)
    }

    #[test]
    fn bytes_make_a_save_and_keys_do_not() {
        assert_eq!(asked(CHANGED), Verdict::SaveBytes(256 * MB));
        let small = Situation { changes_since_save: 1_000_000_000, bytes_since_save: 256 * MB - 1, ..QUIET };
        assert_eq!(asked(small), Verdict::None);
    }

    #[test]
    fn a_large_file_waits_for_its_share() {
        let file = |last_save_bytes| Situation { last_save_bytes, ..CHANGED };
        assert_eq!(asked(file(2_560 * MB)), Verdict::SaveBytes(256 * MB));
        assert_eq!(asked(file(2_561 * MB)), Verdict::None);
        let any = Settings { percent: 0, ..Settings::DEFAULT };
        assert_eq!(decide(&any, &file(u64::MAX)), Verdict::SaveBytes(256 * MB));
    }

    #[test]
    fn saves_keep_their_distance_and_are_not_forgotten() {
        let saved = |since_success_ms| Job { since_success_ms, ..IDLE };
        assert_eq!(asked(Situation { save: saved(59_999), ..CHANGED }), Verdict::None);
        assert_eq!(asked(Situation { save: saved(60_000), ..CHANGED }), Verdict::SaveBytes(256 * MB));
        let little = Situation { bytes_since_save: 1, ..CHANGED };
        assert_eq!(asked(Situation { save: saved(3_599_999), ..little }), Verdict::None);
        assert_eq!(asked(Situation { save: saved(3_600_000), ..little }), Verdict::SaveAge(3_600));
        assert_eq!(asked(Situation { save: saved(u64::MAX), ..QUIET }), Verdict::None, "nothing changed");
    }

    #[test]
    fn a_failed_save_is_tried_again_after_a_pause() {
        let failed = |since_attempt_ms| Job { failed: true, since_attempt_ms, ..IDLE };
        assert_eq!(asked(Situation { save: failed(59_999), ..CHANGED }), Verdict::None);
        assert_eq!(asked(Situation { save: failed(60_000), ..CHANGED }), Verdict::SaveBytes(256 * MB));
        let eager = Settings { gap_s: 1, ..Settings::DEFAULT };
        assert_eq!(decide(&eager, &Situation { save: failed(4_999), ..CHANGED }), Verdict::None);
    }

    #[test]
    fn a_replay_longer_than_the_target_makes_a_rewrite() {
        let log = |loaded, replayed| Situation {
            aof_bytes: (loaded + replayed) * MB,
            aof_replay_bytes: replayed * MB,
            ..QUIET
        };
        assert_eq!(asked(log(0, 1_500)), Verdict::None, "30 s at 50 MiB a second");
        assert_eq!(asked(log(0, 1_501)), Verdict::Rewrite(30_020));
        assert_eq!(asked(log(1_000, 1_001)), Verdict::Rewrite(30_020));
        assert_eq!(asked(Situation { aof_enabled: false, ..log(0, 9_000) }), Verdict::None);
        let fast = Situation { replay_rate: Some(500 * MB), ..log(0, 9_000) };
        assert_eq!(asked(fast), Verdict::None, "what was measured counts");
        let slow = Situation { load_rate: Some(10 * MB), ..log(200, 550) };
        assert_eq!(asked(slow), Verdict::Rewrite(31_000));
    }

    #[test]
    fn a_base_too_large_for_the_target_is_not_rewritten_for_ever() {
        let log = |replayed| Situation {
            aof_bytes: (6_000 + replayed) * MB,
            aof_replay_bytes: replayed * MB,
            ..QUIET
        };
        assert_eq!(asked(log(0)), Verdict::None);
        assert_eq!(asked(log(990)), Verdict::None, "a rewrite would save less than a quarter");
        assert_eq!(asked(log(1_001)), Verdict::Rewrite(80_020));
    }

    #[test]
    fn one_job_at_a_time_and_failed_rewrites_are_spaced_out() {
        let running = Job { running: true, ..IDLE };
        let due = Situation { aof_bytes: 9_000 * MB, aof_replay_bytes: 9_000 * MB, ..QUIET };
        for situation in [
            Situation { save: running, ..CHANGED },
            Situation { rewrite: running, ..CHANGED },
            Situation { full_syncs_running: 1, ..due },
            Situation {
                rewrite: Job { failed: true, failures_in_a_row: 3, since_attempt_ms: 30_000, ..IDLE },
                ..due
            },
        ] {
            assert_eq!(asked(situation), Verdict::None, "{situation:?}");
        }
        let both = Situation { aof_bytes: 9_000 * MB, aof_replay_bytes: 9_000 * MB, ..CHANGED };
        assert_eq!(asked(both), Verdict::SaveBytes(256 * MB), "a save first");
    }

    #[test]
    fn settings_are_read_or_refused() {
        let read = |pairs: &[(&'static str, &'static str)]| Settings::read(pairs.iter().copied());
        assert_eq!(
            read(&[("bytes", "1mb"), ("restore-s", "5")]).unwrap().to_string(),
            "bytes=1mb percent=10 gap-s=60 age-s=3600 restore-s=5 load-rate=100mb replay-rate=50mb"
        );
        for (pairs, expected) in [
            (
                &[("bytes", "many")],
                "bytes: found 'many', expected a size from 1 to 1048576gb, as 64kb or 1mb",
            ),
            (&[("percent", "1001")], "percent: found '1001', expected a whole number from 0 to 1000"),
            (&[("age-s", "30")], "age-s: found '30', expected at least gap-s (60)"),
            (
                &[("keys", "1")],
                "unknown setting 'keys'; there are bytes, percent, gap-s, age-s, restore-s, load-rate, replay-rate",
            ),
        ] {
            assert_eq!(read(pairs).unwrap_err(), expected);
        }
    }
}
