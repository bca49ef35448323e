//! The snapshot decision: when a snapshot is saved and when the append-only file is rewritten.
//! Starts nothing; counts nothing.
//! Always: a plan starts a job only while none of the two runs, not more often than once a second, and only where the
//! disk is known to have room for a file as large as the last one.

use std::fmt;

use snapshot_default_policy as default;

use crate::Outcome;
use crate::decision::{Checked, Decision, Policy};
use crate::spec::Setting;

/// Marks the snapshot decision.
pub struct Snapshot;

/// Something that decides when to save and when to rewrite.
pub type SnapshotPolicy = dyn Policy<Snapshot>;

/// The least time between two attempts of a kind that a policy may start.
pub const ATTEMPT_INTERVAL_MS_MIN: u64 = 1_000;

/// What a snapshot policy is told. Times are steady; [`crate::NEVER`] where something never was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotFacts {
    /// Since the tenant's start.
    pub now_ms: u64,
    /// The wall clock.
    pub wall_unix_ms: i64,
    /// Of local time.
    pub utc_offset_minutes: i16,
    /// The pairs of `save`.
    pub save_points: Vec<SavePoint>,
    /// Keys in all databases.
    pub keys: u64,
    /// As INFO says it.
    pub used_memory_bytes: u64,
    /// `maxmemory`; [`crate::NEVER`] if there is none.
    pub memory_limit_bytes: u64,
    /// Where the files are; `None` if unknown.
    pub disk_free_bytes: Option<u64>,
    /// Redis's dirty count.
    pub changes_since_save: u64,
    /// Bytes of the arguments of effects; counted with the AOF off too.
    pub bytes_since_save: u64,
    /// Only grows.
    pub changes_total: u64,
    /// Only grows.
    pub commands_total: u64,
    /// Saves.
    pub save: Job,
    /// Rewrites of the append-only file.
    pub rewrite: Job,
    /// Whether there is an append-only file.
    pub aof_enabled: bool,
    /// Its size.
    pub aof_bytes: u64,
    /// Its size after the last rewrite, or at the start.
    pub aof_base_bytes: u64,
    /// Of `aof_bytes`, what a start would replay command by command.
    pub aof_replay_bytes: u64,
    /// `auto-aof-rewrite-percentage`.
    pub rewrite_percentage: u32,
    /// `auto-aof-rewrite-min-size`.
    pub rewrite_min_bytes: u64,
    /// Of an RDB file or base, from the last load of weight; `None` if there was none.
    pub load_bytes_per_second: Option<u64>,
    /// Of commands, likewise.
    pub replay_bytes_per_second: Option<u64>,
    /// Full syncs of replicas.
    pub full_syncs_running: u32,
    /// Whether this server follows another one.
    pub is_replica: bool,
}

/// One pair of `save`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavePoint {
    /// More than so many seconds since the last save.
    pub seconds: u64,
    /// And at least so many changes.
    pub changes: u64,
}

/// One kind of job: saves, or rewrites. The default is "nothing ever happened, the tenant has just started".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// It is at work.
    pub running: bool,
    /// How the last attempt ended.
    pub last: Outcome,
    /// Since the last success.
    pub failures_in_a_row: u32,
    /// Since the last attempt began; [`crate::NEVER`] if none has.
    pub since_attempt_ms: u64,
    /// Since the last success ended; since the tenant started if there was none.
    pub since_success_ms: u64,
    /// Of the last attempt that ended, well or badly; 0 if none has.
    pub last_duration_ms: u64,
    /// Of the last success; 0 if there was none.
    pub last_file_bytes: u64,
}

impl Default for Job {
    fn default() -> Job {
        Job {
            running: false,
            last: Outcome::NoneYet,
            failures_in_a_row: 0,
            since_attempt_ms: crate::NEVER,
            since_success_ms: 0,
            last_duration_ms: 0,
            last_file_bytes: 0,
        }
    }
}

/// What a snapshot policy answers; as a plan, what to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotVerdict {
    /// Nothing.
    None,
    /// A save.
    Save,
    /// A rewrite of the append-only file.
    RewriteAof,
}

/// Whether a rewrite that is scheduled or automatic has to wait because the last ones failed (Redis: from the third
/// failure on 1, 2, 4 ... 60 minutes). One that an operator asks for begins at once.
pub fn rewrite_is_limited(wall_unix_ms: i64, rewrite: &Job) -> bool {
    default::rewrite_is_limited(wall_unix_ms, &native_job(rewrite))
}

impl Decision for Snapshot {
    type Facts = SnapshotFacts;
    type Verdict = SnapshotVerdict;
    type Plan = SnapshotVerdict;

    const NAME: &'static str = "snapshot";
    const WORLD: &'static str = "snapshot-policy";

    fn now_ms(facts: &SnapshotFacts) -> u64 {
        facts.now_ms
    }

    fn native(facts: &SnapshotFacts) -> SnapshotVerdict {
        let situation = default::Situation {
            wall_unix_ms: facts.wall_unix_ms,
            changes_since_save: facts.changes_since_save,
            save: native_job(&facts.save),
            rewrite: native_job(&facts.rewrite),
            aof_enabled: facts.aof_enabled,
            aof_bytes: facts.aof_bytes,
            aof_base_bytes: facts.aof_base_bytes,
            rewrite_percentage: facts.rewrite_percentage,
            rewrite_min_bytes: facts.rewrite_min_bytes,
            full_syncs_running: facts.full_syncs_running,
        };
        let points = facts
            .save_points
            .iter()
            .map(|point| default::SavePoint { seconds: point.seconds, changes: point.changes });
        match default::decide(&situation, points) {
            default::Verdict::None => SnapshotVerdict::None,
            default::Verdict::Save => SnapshotVerdict::Save,
            default::Verdict::RewriteAof => SnapshotVerdict::RewriteAof,
        }
    }

    fn accept_settings(settings: &[Setting]) -> Result<(), String> {
        default::accept_settings(settings.iter().map(|setting| setting.key.as_str()))
    }

    fn check(facts: &SnapshotFacts, verdict: SnapshotVerdict) -> Result<Checked<SnapshotVerdict>, String> {
        let job = match verdict {
            SnapshotVerdict::None => return Ok(Checked { plan: verdict, overruled: false }),
            SnapshotVerdict::Save => &facts.save,
            SnapshotVerdict::RewriteAof => &facts.rewrite,
        };
        let allowed = !facts.save.running
            && !facts.rewrite.running
            && job.since_attempt_ms >= ATTEMPT_INTERVAL_MS_MIN
            && facts.disk_free_bytes.is_none_or(|free| free >= job.last_file_bytes)
            && (verdict != SnapshotVerdict::RewriteAof || facts.aof_enabled);
        let plan = if allowed { verdict } else { SnapshotVerdict::None };
        Ok(Checked { plan, overruled: !allowed })
    }
}

fn native_job(job: &Job) -> default::Job {
    default::Job {
        running: job.running,
        failed: job.last == Outcome::Failed,
        failures_in_a_row: job.failures_in_a_row,
        since_attempt_ms: job.since_attempt_ms,
        since_success_ms: job.since_success_ms,
        last_duration_ms: job.last_duration_ms,
    }
}

impl fmt::Display for SnapshotVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SnapshotVerdict::None => "none",
            SnapshotVerdict::Save => "save",
            SnapshotVerdict::RewriteAof => "rewrite-aof",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(facts: &SnapshotFacts, verdict: SnapshotVerdict) -> (SnapshotVerdict, bool) {
        let checked = Snapshot::check(facts, verdict).expect("sound");
        (checked.plan, checked.overruled)
    }

    #[test]
    fn the_host_allows_one_job_at_a_time_with_a_pause_and_room() {
        let running = Job { running: true, ..Job::default() };
        let recent = Job { since_attempt_ms: 999, ..Job::default() };
        let large = Job { last_file_bytes: 100, ..Job::default() };
        let none = SnapshotFacts { aof_enabled: true, ..SnapshotFacts::default() };
        let refused = [
            SnapshotFacts { save: running, ..none.clone() },
            SnapshotFacts { rewrite: running, ..none.clone() },
            SnapshotFacts { save: recent, rewrite: recent, ..none.clone() },
            SnapshotFacts { save: large, rewrite: large, disk_free_bytes: Some(99), ..none.clone() },
        ];
        for verdict in [SnapshotVerdict::Save, SnapshotVerdict::RewriteAof] {
            assert_eq!(plan(&none, verdict), (verdict, false));
            for facts in &refused {
                assert_eq!(plan(facts, verdict), (SnapshotVerdict::None, true), "{facts:?}");
                assert_eq!(plan(facts, SnapshotVerdict::None), (SnapshotVerdict::None, false));
            }
            let room =
                SnapshotFacts { save: large, rewrite: large, disk_free_bytes: Some(100), ..none.clone() };
            assert_eq!(plan(&room, verdict), (verdict, false));
        }
    }

    #[test]
    fn without_an_append_only_file_there_is_nothing_to_rewrite() {
        let facts = SnapshotFacts::default();
        assert_eq!(plan(&facts, SnapshotVerdict::RewriteAof), (SnapshotVerdict::None, true));
    }
}
