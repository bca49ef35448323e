//! Saves and rewrites in a quiet minute: what the default policy would start at once waits until the server has been quiet
//! for a while, but no longer than a bound.
//! Knows no clock. It remembers what it was told last (rates are differences) and since when a job is wanted; a new
//! instance begins both anew.
//! Always: a job starts only where the default policy wants it, and at the latest when it has been wanted for the bound.
#![no_std]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use core::fmt;

use policy_settings::number;
use snapshot_default_policy as default;

/// What the operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `quiet-s`: so long must it have been quiet.
    pub quiet_s: u64,
    /// `bound-s`: a job that is wanted for so long starts anyway.
    pub bound_s: u64,
    /// `changes`: more changes in a second are no quiet.
    pub changes: u64,
    /// `commands`: more commands in a second are no quiet.
    pub commands: u64,
}

/// What the decision depends on; times in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// The steady clock.
    pub now_ms: u64,
    /// Only grows.
    pub changes_total: u64,
    /// Only grows.
    pub commands_total: u64,
    /// What the default policy looks at.
    pub usual: default::Situation,
}

/// What is remembered from one question to the next.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    last: Option<Sample>,
    /// The last moment that was not quiet, or the first question.
    busy_at_ms: u64,
    /// Since when the default policy wants a job.
    wanted_since_ms: Option<u64>,
}

/// Counters at a moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at_ms: u64,
    changes: u64,
    commands: u64,
}

/// Questions come once a second and after each job; a rate over less than this says nothing.
const SAMPLE_MS_MIN: u64 = 500;

const SECONDS_MAX: u64 = 31_536_000;
const RATE_MAX: u64 = 1_000_000_000;
const KEYS: [&str; 4] = ["quiet-s", "bound-s", "changes", "commands"];

impl Settings {
    /// A quiet minute within an hour.
    pub const DEFAULT: Settings = Settings { quiet_s: 60, bound_s: 3_600, changes: 10, commands: 1_000 };

    /// Reads keys and values; a refusal is one sentence for the operator.
    pub fn read<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Settings, String> {
        let mut settings = Settings::DEFAULT;
        for (key, value) in pairs {
            match key {
                "quiet-s" => settings.quiet_s = number(key, value, 1, SECONDS_MAX)?,
                "bound-s" => settings.bound_s = number(key, value, 1, SECONDS_MAX)?,
                "changes" => settings.changes = number(key, value, 0, RATE_MAX)?,
                "commands" => settings.commands = number(key, value, 0, RATE_MAX)?,
                _ => return Err(policy_settings::unknown(key, &KEYS)),
            }
        }
        if settings.bound_s < settings.quiet_s {
            let Settings { quiet_s, bound_s, .. } = settings;
            return Err(format!("bound-s: found '{bound_s}', expected at least quiet-s ({quiet_s})"));
        }
        Ok(settings)
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { quiet_s, bound_s, changes, commands } = self;
        write!(f, "quiet-s={quiet_s} bound-s={bound_s} changes={changes} commands={commands}")
    }
}

impl Memory {
    /// Knows nothing yet.
    pub const NEW: Memory = Memory { last: None, busy_at_ms: 0, wanted_since_ms: None };

    /// Decides what to start now.
    pub fn decide(
        &mut self,
        settings: &Settings,
        situation: &Situation,
        points: impl IntoIterator<Item = default::SavePoint>,
    ) -> default::Verdict {
        self.learn(settings, situation);
        let usual = &situation.usual;
        let is_at_work = usual.save.running || usual.rewrite.running || usual.full_syncs_running > 0;
        let wanted = default::decide(usual, points);
        if wanted == default::Verdict::None {
            // A job that runs, or the pause after one that failed, is no end of the wish.
            if !is_at_work && !usual.save.failed && !usual.rewrite.failed {
                self.wanted_since_ms = None;
            }
            return default::Verdict::None;
        }
        let now_ms = situation.now_ms;
        let since_ms = *self.wanted_since_ms.get_or_insert(now_ms);
        let is_quiet = now_ms.saturating_sub(self.busy_at_ms) >= settings.quiet_s * 1_000;
        let is_overdue = now_ms.saturating_sub(since_ms) >= settings.bound_s * 1_000;
        if is_quiet || is_overdue { wanted } else { default::Verdict::None }
    }

    /// For how long the job that is wanted has been waiting.
    pub fn waited_ms(&self, now_ms: u64) -> u64 {
        self.wanted_since_ms.map_or(0, |since_ms| now_ms.saturating_sub(since_ms))
    }

    fn learn(&mut self, settings: &Settings, situation: &Situation) {
        let now = Sample {
            at_ms: situation.now_ms,
            changes: situation.changes_total,
            commands: situation.commands_total,
        };
        let Some(last) = self.last else {
            (self.last, self.busy_at_ms) = (Some(now), now.at_ms);
            return;
        };
        let passed_ms = now.at_ms.saturating_sub(last.at_ms);
        if passed_ms < SAMPLE_MS_MIN {
            return;
        }
        let is_more = |before: u64, after: u64, most: u64| {
            u128::from(after.saturating_sub(before)) * 1_000 > u128::from(most) * u128::from(passed_ms)
        };
        if is_more(last.changes, now.changes, settings.changes)
            || is_more(last.commands, now.commands, settings.commands)
        {
            self.busy_at_ms = now.at_ms;
        }
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    const IDLE: default::Job = default::Job {
        running: false,
        failed: false,
        failures_in_a_row: 0,
        since_attempt_ms: u64::MAX,
        since_success_ms: 600_000,
        last_duration_ms: 0,
    };
    const POINT: default::SavePoint = default::SavePoint { seconds: 60, changes: 1 };

    /// A server over which seconds pass.
    struct World {
        memory: Memory,
        settings: Settings,
        situation: Situation,
    }

    impl World {
        fn new() -> World {
            let usual = default::Situation {
                wall_unix_ms: 1_700_000_000_000,
                changes_since_save: 0,
                save: IDLE,
                rewrite: IDLE,
                aof_enabled: false,
                aof_bytes: 0,
                aof_base_bytes: 0,
                rewrite_percentage: 100,
                rewrite_min_bytes: 64 << 20,
                full_syncs_running: 0,
            };
            let situation = Situation { now_ms: 5_000, changes_total: 0, commands_total: 0, usual };
            World { memory: Memory::NEW, settings: Settings::DEFAULT, situation }
        }

        fn ask(&mut self) -> default::Verdict {
            self.memory.decide(&self.settings, &self.situation, [POINT])
        }

        /// Seconds with so many changes and commands in each; the verdict after the last. Before, it is none.
        fn pass(&mut self, seconds: u64, changes: u64, commands: u64) -> default::Verdict {
            let mut verdict = default::Verdict::None;
            for second in 0..seconds {
                assert_eq!(verdict, default::Verdict::None, "after {second} of {seconds} seconds");
                self.situation.now_ms += 1_000;
                self.situation.usual.wall_unix_ms += 1_000;
                self.situation.changes_total += changes;
                self.situation.commands_total += commands;
                self.situation.usual.changes_since_save += changes;
                verdict = self.ask();
            }
            verdict
        }
    }

    #[test]
    fn a_burst_is_waited_out() {
        let mut world = World::new();
        assert_eq!(world.ask(), default::Verdict::None);
        assert_eq!(world.pass(600, 5_000, 5_000), default::Verdict::None);
        assert_eq!(world.pass(59, 0, 1), default::Verdict::None);
        assert_eq!(world.pass(1, 0, 1), default::Verdict::Save, "a minute is over");
    }

    #[test]
    fn a_second_of_business_begins_the_minute_anew() {
        let mut world = World::new();
        world.ask();
        assert_eq!(world.pass(100, 11, 11), default::Verdict::None);
        assert_eq!(world.pass(59, 10, 1_000), default::Verdict::None, "which is quiet enough");
        assert_eq!(world.pass(1, 0, 1_001), default::Verdict::None, "which is not");
        assert_eq!(world.pass(59, 0, 0), default::Verdict::None);
        assert_eq!(world.pass(1, 0, 0), default::Verdict::Save);
    }

    #[test]
    fn business_without_end_is_interrupted_at_the_bound() {
        let mut world = World::new();
        assert_eq!(world.ask(), default::Verdict::None, "nothing changed, nothing is wanted");
        assert_eq!(world.pass(3_600, 5_000, 5_000), default::Verdict::None);
        assert_eq!(world.pass(1, 5_000, 5_000), default::Verdict::Save, "an hour after the first change");
    }

    #[test]
    fn a_long_quiet_server_saves_as_soon_as_the_default_does() {
        let mut world = World::new();
        world.ask();
        assert_eq!(world.pass(120, 0, 3), default::Verdict::None);
        assert_eq!(world.pass(1, 1, 3), default::Verdict::Save);
    }

    #[test]
    fn what_is_wanted_stays_so_while_another_job_runs_or_after_a_failure() {
        let mut world = World::new();
        world.ask();
        assert_eq!(world.pass(1_000, 5_000, 0), default::Verdict::None);
        world.situation.usual.rewrite.running = true;
        assert_eq!(world.pass(2_800, 5_000, 0), default::Verdict::None);
        world.situation.usual.rewrite.running = false;
        assert_eq!(world.pass(1, 5_000, 0), default::Verdict::Save, "the bound is long over");
        world.situation.usual.save = default::Job { failed: true, since_attempt_ms: 1_000, ..IDLE };
        assert_eq!(world.pass(1, 5_000, 0), default::Verdict::None, "the pause after a failure");
        world.situation.usual.save.since_attempt_ms = 7_000;
        assert_eq!(world.pass(1, 5_000, 0), default::Verdict::Save);
        // Saved, and changed again: the bound begins anew.
        world.situation.usual.save = default::Job { since_success_ms: 1_000, ..IDLE };
        assert_eq!(world.pass(1, 5_000, 0), default::Verdict::None);
        world.situation.usual.save = IDLE;
        assert_eq!(world.pass(3_600, 5_000, 0), default::Verdict::None);
        assert_eq!(world.pass(1, 5_000, 0), default::Verdict::Save);
    }

    #[test]
    fn rewrites_wait_as_saves_do() {
        let mut world = World::new();
        let usual = &mut world.situation.usual;
        (usual.aof_enabled, usual.aof_bytes, usual.aof_base_bytes) = (true, 200 << 20, 100 << 20);
        usual.save.since_success_ms = 0;
        assert_eq!(world.ask(), default::Verdict::None);
        assert_eq!(world.pass(10, 5_000, 0), default::Verdict::None);
        assert_eq!(world.pass(59, 0, 0), default::Verdict::None);
        assert_eq!(world.pass(1, 0, 0), default::Verdict::RewriteAof);
    }

    #[test]
    fn questions_in_quick_succession_measure_no_rate() {
        let mut world = World::new();
        world.ask();
        world.pass(100, 0, 0);
        (world.situation.now_ms, world.situation.commands_total) = (world.situation.now_ms + 1, 300);
        world.situation.usual.changes_since_save = 1;
        assert_eq!(
            world.ask(),
            default::Verdict::Save,
            "300 commands in a millisecond are not 300,000 a second"
        );
    }

    #[test]
    fn settings_are_read_or_refused() {
        let read = |pairs: &[(&'static str, &'static str)]| Settings::read(pairs.iter().copied());
        let settings = read(&[("quiet-s", "5"), ("bound-s", "50")]).unwrap();
        assert_eq!(settings.to_string(), "quiet-s=5 bound-s=50 changes=10 commands=1000");
        for (pairs, expected) in [
            (&[("quiet-s", "0")], "quiet-s: found '0', expected a whole number from 1 to 31536000"),
            (&[("bound-s", "59")], "bound-s: found '59', expected at least quiet-s (60)"),
            (&[("minute", "1")], "unknown setting 'minute'; there are quiet-s, bound-s, changes, commands"),
        ] {
            assert_eq!(read(pairs).unwrap_err(), expected);
        }
    }
}
