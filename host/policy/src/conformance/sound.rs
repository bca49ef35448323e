//! What every policy must keep, whatever it is for: an answer to any situation, and one that makes sense for it.
//! Says nothing about what is wise. For whoever writes a policy, and for those that come with the server.
//! Always: the situations are the same in every run; whatever a policy remembers, it was told nothing else.

use super::{CLEAN_FSYNC, IDLE_SNAPSHOT, Mismatch};
use crate::decision::{Checked, Decision, Policy};
use crate::fsync::{Cause, Durability, Fsync, FsyncFacts, ceiling_us};
use crate::snapshot::{Job, Snapshot, SnapshotFacts, SnapshotVerdict};
use crate::{NEVER, Outcome};

/// Asks an fsync policy about some thousand situations. It must answer each within the host's limits of its own accord.
pub fn sound_fsync(policy: &mut dyn Policy<Fsync>) -> Result<(), Mismatch> {
    for durability in [Durability::Always, Durability::Everysec, Durability::No] {
        for ceiling_ms in [None, Some(1), Some(100), Some(60_000)] {
            let told =
                FsyncFacts { durability, ceiling_us: ceiling_us(durability, ceiling_ms), ..CLEAN_FSYNC };
            for facts in dirt(told).into_iter().flat_map(disks) {
                answered::<Fsync>(policy, &facts, format!("{facts:?}"), false)?;
            }
        }
    }
    Ok(())
}

/// Asks a snapshot policy about some thousand situations. It must answer each, and start nothing while something runs;
/// what the host knows better (room on the disk, the least pause) it may leave to the host.
pub fn sound_snapshot(policy: &mut dyn Policy<Snapshot>) -> Result<(), Mismatch> {
    for save in jobs() {
        for rewrite in jobs() {
            for facts in sizes(SnapshotFacts { save, rewrite, ..IDLE_SNAPSHOT }) {
                let may_be_overruled = !save.running && !rewrite.running;
                let case = format!("{facts:?}");
                let verdict = answered::<Snapshot>(policy, &facts, case.clone(), may_be_overruled)?;
                if verdict == SnapshotVerdict::RewriteAof && !facts.aof_enabled {
                    let (expected, found) = ("no rewrite without a log".to_owned(), verdict.to_string());
                    return Err(Mismatch { case, expected, found });
                }
            }
        }
    }
    Ok(())
}

fn answered<D: Decision>(
    policy: &mut dyn Policy<D>,
    facts: &D::Facts,
    case: String,
    may_be_overruled: bool,
) -> Result<D::Verdict, Mismatch> {
    let mismatch = |case, expected: &str, found| Mismatch { case, expected: expected.to_owned(), found };
    let verdict = match policy.decide(facts) {
        Ok(verdict) => verdict,
        Err(fault) => return Err(mismatch(case, "an answer", fault.to_string())),
    };
    match D::check(facts, verdict) {
        Err(nonsense) => Err(mismatch(case, "an answer that makes sense", nonsense)),
        Ok(Checked { overruled: true, .. }) if !may_be_overruled => {
            Err(mismatch(case, "an answer within the host's limits", verdict.to_string()))
        }
        Ok(_) => Ok(verdict),
    }
}

/// A log in all states from clean to overdue.
fn dirt(told: FsyncFacts) -> Vec<FsyncFacts> {
    let mut all = vec![told];
    for unsynced_bytes in [1, 64 << 10, 10 << 20, NEVER] {
        for oldest_unsynced_us in [0, 1, 999, 10_000, 999_999, 2_000_000, 70_000_000] {
            for cause in [Cause::Dirty, Cause::Due, Cause::FsyncEnded, Cause::SettingsChanged] {
                let waiting_replies = if told.durability == Durability::Always { 50 } else { 0 };
                let dirt = FsyncFacts { unsynced_bytes, oldest_unsynced_us, cause, waiting_replies, ..told };
                all.push(FsyncFacts { unsynced_commits: 3, ..dirt });
            }
        }
    }
    all
}

/// Disks from one that was never asked to one that hangs.
fn disks(told: FsyncFacts) -> Vec<FsyncFacts> {
    let mut all = vec![told];
    for took_us in [0, 500, 30_000, 1_000_000, u32::MAX] {
        for (last_fsync, disk_busy) in [(Outcome::Ok, false), (Outcome::Ok, true), (Outcome::Failed, false)] {
            let (last_fsync_us, mean_fsync_us, worst_fsync_us) = (took_us, took_us / 2, took_us);
            let since_fsync_us = u64::from(took_us) + 1;
            let disk = FsyncFacts { last_fsync_us, mean_fsync_us, worst_fsync_us, since_fsync_us, ..told };
            let disk = FsyncFacts { last_fsync, disk_busy, ..disk };
            all.extend([disk, FsyncFacts { fsync_running_us: u64::from(took_us).max(1), ..disk }]);
        }
    }
    all
}

/// Jobs in all states: never begun, running, done, failing.
fn jobs() -> Vec<Job> {
    let done = Job {
        last: Outcome::Ok,
        since_attempt_ms: 90_000,
        since_success_ms: 80_000,
        last_duration_ms: 10_000,
        last_file_bytes: 5 << 30,
        ..IDLE_SNAPSHOT.save
    };
    let failed = Job { last: Outcome::Failed, failures_in_a_row: 1, ..done };
    vec![
        IDLE_SNAPSHOT.save,
        Job { running: true, since_attempt_ms: 500, ..IDLE_SNAPSHOT.save },
        done,
        Job { since_success_ms: NEVER, since_attempt_ms: NEVER, ..done },
        Job { since_attempt_ms: 0, since_success_ms: 0, ..done },
        failed,
        Job { failures_in_a_row: u32::MAX, since_attempt_ms: 0, ..failed },
    ]
}

/// From nothing to what no server holds.
fn sizes(told: SnapshotFacts) -> Vec<SnapshotFacts> {
    let mut all = Vec::new();
    for (step, bytes) in [0, 1, 1 << 20, 5 << 30, NEVER].into_iter().enumerate() {
        for aof_enabled in [false, true] {
            for rate in [None, Some(0), Some(1 << 20), Some(NEVER)] {
                let sized = SnapshotFacts {
                    now_ms: told.now_ms + 1_000 * step as u64,
                    keys: bytes,
                    used_memory_bytes: bytes,
                    changes_since_save: bytes,
                    bytes_since_save: bytes,
                    changes_total: bytes,
                    commands_total: bytes,
                    aof_enabled,
                    aof_bytes: if aof_enabled { bytes } else { 0 },
                    aof_replay_bytes: if aof_enabled { bytes / 2 } else { 0 },
                    load_bytes_per_second: rate,
                    replay_bytes_per_second: rate,
                    ..told.clone()
                };
                all.push(sized);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::{Fault, Loaded};
    use crate::fsync::{Bound, FsyncVerdict, Gather};

    #[test]
    fn the_native_policies_are_sound() {
        let mut fsync = Loaded::native(&[]).expect("loads");
        sound_fsync(fsync.policy.as_mut()).expect("sound");
        let mut snapshot = Loaded::native(&[]).expect("loads");
        sound_snapshot(snapshot.policy.as_mut()).expect("sound");
    }

    /// Answers always the same.
    struct Stubborn<V>(V);

    impl Policy<Fsync> for Stubborn<FsyncVerdict> {
        fn decide(&mut self, _: &FsyncFacts) -> Result<FsyncVerdict, Fault> {
            Ok(self.0)
        }
    }

    impl Policy<Snapshot> for Stubborn<SnapshotVerdict> {
        fn decide(&mut self, _: &SnapshotFacts) -> Result<SnapshotVerdict, Fault> {
            Ok(self.0)
        }
    }

    #[test]
    fn what_is_beyond_the_limits_or_senseless_is_not() {
        sound_fsync(&mut Stubborn(FsyncVerdict::Sync(Gather::NOT))).expect("costly, but sound");
        let late = FsyncVerdict::SyncWhen(Bound::NEVER);
        let mismatch = sound_fsync(&mut Stubborn(late)).expect_err("past the ceiling");
        assert_eq!(mismatch.expected, "an answer within the host's limits");
        let again = FsyncVerdict::AskWhen(Bound { age_us: 0, bytes: NEVER });
        let mismatch = sound_fsync(&mut Stubborn(again)).expect_err("a question without end");
        assert_eq!(mismatch.expected, "an answer that makes sense");
        for verdict in [SnapshotVerdict::Save, SnapshotVerdict::RewriteAof] {
            sound_snapshot(&mut Stubborn(verdict)).expect_err("while something runs");
        }
        sound_snapshot(&mut Stubborn(SnapshotVerdict::None)).expect("idle, but sound");
    }
}
