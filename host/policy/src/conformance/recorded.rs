//! What redis-server 7.0.15 did, recorded, and that a policy decides the same at the same moments.
//! The fsyncs are system calls (`strace -e write,fdatasync`) under `appendfsync everysec` and `always`; the saves are
//! lines of its log under `save 3 2` and `save 2 5`, from the second success on with the directory gone, so that every
//! save fails.
//! Always: times start at a whole second of Redis's clock, so that this clock's seconds are its seconds.

use super::{Mismatch, expect};
use crate::decision::Policy;
use crate::fsync::{ALWAYS_CEILING_US, Durability, Fsync, FsyncFacts, FsyncVerdict};
use crate::snapshot::{Job, SavePoint, Snapshot, SnapshotFacts, SnapshotVerdict};
use crate::{NEVER, Outcome};
use FsyncEvent::{Fsync as Synced, Write as Wrote};
use SaveEvent::{Changes, Failed, Save, Saved};

/// Redis looks ten times a second; with the time that a thread needs to begin.
const TICK_US: u64 = 110_000;
/// An fsync that is due at once begins so soon.
const AT_ONCE_US: u64 = 5_000;

enum FsyncEvent {
    Write,
    Fsync,
}

/// Microseconds.
#[rustfmt::skip]
const FSYNCS: &[(u64, FsyncEvent)] = &[
    (229_633, Wrote),
    (229_978, Synced),
    (530_597, Wrote),
    (581_502, Wrote),
    (1_100_424, Synced),
    (1_987_478, Wrote),
    (2_013_275, Wrote),
    (2_013_508, Synced),
    (4_614_023, Wrote),
    (4_614_229, Synced),
    (5_314_797, Wrote),
    (5_314_987, Synced),
    (6_015_558, Wrote),
    (6_015_767, Synced),
    (6_716_772, Wrote),
    (6_817_385, Wrote),
    (6_918_285, Wrote),
    (7_018_938, Wrote),
    (7_019_146, Synced),
    (7_919_669, Wrote),
    (8_075_665, Synced),
    (11_021_967, Wrote),
    (11_025_991, Synced),
    (11_426_324, Wrote),
    (11_436_834, Wrote),
    (12_010_344, Synced),
    (12_387_369, Wrote),
    (13_025_140, Synced),
    (13_437_931, Wrote),
    (13_938_503, Wrote),
    (14_034_153, Synced),
    (14_439_025, Wrote),
    (14_941_900, Wrote),
    (15_040_533, Synced),
    (15_192_488, Wrote),
    (16_044_956, Synced),
    (16_943_041, Wrote),
    (17_048_928, Synced),
    (17_543_653, Wrote),
    (17_874_243, Wrote),
    (18_056_263, Synced),
    (20_074_863, Wrote),
    (20_075_138, Synced),
    (20_975_561, Wrote),
    (21_026_214, Wrote),
    (21_026_485, Synced),
];

/// Holds a policy to the recorded fsyncs: each is begun when the policy's last verdict says, or at Redis's next look.
pub(super) fn fsyncs(policy: &mut dyn Policy<Fsync>) -> Result<(), Mismatch> {
    let mut dirty_since_us = None;
    let mut last_fsync_us = None;
    let mut due_us = NEVER;
    let mismatch = |at_us: u64, expected: String, due_us: u64| {
        let case = format!("recorded everysec at {at_us} us");
        Err(Mismatch { case, expected, found: format!("an fsync is due at {due_us} us") })
    };
    for (at_us, event) in FSYNCS {
        let at_us = *at_us;
        match event {
            Wrote if due_us.saturating_add(TICK_US) < at_us => {
                return mismatch(at_us, "no fsync before this write".to_owned(), due_us);
            }
            Wrote if dirty_since_us.is_some() => {}
            Wrote => {
                dirty_since_us = Some(at_us);
                let facts = FsyncFacts {
                    now_us: at_us,
                    unsynced_bytes: 27,
                    unsynced_commits: 1,
                    since_fsync_us: last_fsync_us.map_or(NEVER, |last_us| at_us - last_us),
                    ..super::CLEAN_FSYNC
                };
                due_us = match policy.decide(&facts) {
                    Ok(FsyncVerdict::Sync(gather)) => at_us + u64::from(gather.us),
                    Ok(FsyncVerdict::SyncWhen(bound)) => at_us.saturating_add(bound.age_us),
                    Ok(FsyncVerdict::AskWhen(_)) => NEVER,
                    Err(fault) => return mismatch(at_us, fault.to_string(), NEVER),
                };
            }
            Synced => {
                let late_us = if dirty_since_us == Some(due_us) { AT_ONCE_US } else { TICK_US };
                if !(due_us..=due_us.saturating_add(late_us)).contains(&at_us) {
                    return mismatch(at_us, "an fsync now".to_owned(), due_us);
                }
                (dirty_since_us, last_fsync_us, due_us) = (None, Some(at_us), NEVER);
            }
        }
    }
    Ok(())
}

/// Microseconds of a write under `always`, its bytes, and microseconds of the fsync behind it: single commands, three
/// in a pipeline, and six clients at once.
#[rustfmt::skip]
const ALWAYS: &[(u64, u64, u64)] = &[
    (358_168, 50, 358_219), (1_959_085, 27, 1_959_179), (1_960_645, 27, 1_960_685), (2_661_570, 192, 2_661_666),
    (2_663_129, 27, 2_663_180), (2_674_073, 27, 2_674_140), (2_675_689, 27, 2_675_741), (2_806_514, 187, 2_806_572),
    (3_507_458, 27, 3_507_550), (5_108_507, 27, 5_108_615), (5_110_255, 28, 5_110_308), (6_711_189, 147, 6_711_278),
    (6_737_180, 112, 6_737_214), (6_737_722, 84, 6_737_749), (6_738_065, 84, 6_738_105), (6_738_397, 140, 6_738_421),
    (6_738_807, 84, 6_738_865), (6_739_318, 84, 6_739_379), (6_739_731, 140, 6_739_754), (6_740_263, 56, 6_740_377),
    (6_740_967, 28, 6_740_999), (6_741_309, 28, 6_741_337),
];

/// What an fsync took there: the files were in memory.
const ALWAYS_FSYNC_US: u32 = 25;

/// Holds a policy to the recorded `always`: each write is synced by itself, no later than Redis began to.
pub(super) fn always(policy: &mut dyn Policy<Fsync>) -> Result<(), Mismatch> {
    let mut last_fsync_us = None;
    for &(at_us, unsynced_bytes, synced_us) in ALWAYS {
        let facts = FsyncFacts {
            now_us: at_us,
            durability: Durability::Always,
            ceiling_us: ALWAYS_CEILING_US,
            unsynced_bytes,
            unsynced_commits: 1,
            waiting_replies: 1,
            since_fsync_us: last_fsync_us.map_or(NEVER, |last_us| at_us - last_us),
            mean_fsync_us: last_fsync_us.map_or(0, |_| ALWAYS_FSYNC_US),
            ..super::CLEAN_FSYNC
        };
        let found = policy.decide(&facts);
        let is_equal = matches!(found, Ok(FsyncVerdict::Sync(gather))
            if at_us + u64::from(gather.us) <= synced_us);
        if !is_equal {
            let case = format!("recorded always at {at_us} us");
            let expected = format!("an fsync before {synced_us} us");
            return Err(Mismatch { case, expected, found: format!("{found:?}") });
        }
        last_fsync_us = Some(synced_us);
    }
    Ok(())
}

enum SaveEvent {
    /// So many changes.
    Changes(u64),
    /// A save was begun.
    Save,
    /// It succeeded.
    Saved,
    /// It failed.
    Failed,
}

const STARTED_MS: u64 = 8_908;

/// Milliseconds.
#[rustfmt::skip]
const SAVES: &[(u64, SaveEvent)] = &[
    (9_606, Changes(1)),
    (12_906, Changes(1)),
    (12_933, Save), (13_034, Saved),
    (14_110, Changes(4)),
    (15_010, Changes(1)),
    (16_043, Save), (16_144, Saved),
    (18_518, Changes(9)),
    (19_052, Save), (19_153, Failed),
    (25_071, Save), (25_172, Failed),
    (31_091, Save), (31_192, Failed),
    (37_010, Save), (37_111, Failed),
    (43_028, Save), (43_129, Failed),
    (46_319, Changes(2)),
    (49_053, Save), (49_154, Failed),
];

/// Holds a policy to the recorded saves: it says so at each, and not at the looks before.
pub(super) fn saves(policy: &mut dyn Policy<Snapshot>) -> Result<(), Mismatch> {
    let points = [(3, 2), (2, 5)].map(|(seconds, changes)| SavePoint { seconds, changes });
    let mut history = History { success_ms: STARTED_MS, attempt_ms: None, last: Outcome::NoneYet };
    let mut idle_since_ms = STARTED_MS;
    let mut unsaved: Vec<(u64, u64)> = Vec::new();
    for (at_ms, event) in SAVES {
        let at_ms = *at_ms;
        match event {
            Changes(count) => unsaved.push((at_ms, *count)),
            Save => {
                let looks = (idle_since_ms..=at_ms).rev().step_by(100);
                for look_ms in looks {
                    let changes =
                        unsaved.iter().filter(|(made_ms, _)| *made_ms <= look_ms).map(|(_, count)| count);
                    let facts = history.facts(look_ms, changes.sum(), &points);
                    let expected =
                        if look_ms == at_ms { SnapshotVerdict::Save } else { SnapshotVerdict::None };
                    expect(policy, || format!("recorded save at {look_ms} ms"), &facts, expected)?;
                }
                history.attempt_ms = Some(at_ms);
            }
            Saved => {
                (history.success_ms, history.last, idle_since_ms) = (at_ms, Outcome::Ok, at_ms);
                unsaved.clear();
            }
            Failed => (history.last, idle_since_ms) = (Outcome::Failed, at_ms),
        }
    }
    Ok(())
}

struct History {
    success_ms: u64,
    attempt_ms: Option<u64>,
    last: Outcome,
}

impl History {
    fn facts(&self, now_ms: u64, changes_since_save: u64, points: &[SavePoint]) -> SnapshotFacts {
        SnapshotFacts {
            now_ms,
            wall_unix_ms: 1_795_353_000_000 + now_ms as i64,
            save_points: points.to_vec(),
            changes_since_save,
            save: Job {
                last: self.last,
                failures_in_a_row: u32::from(self.last == Outcome::Failed),
                since_attempt_ms: self.attempt_ms.map_or(NEVER, |attempt_ms| now_ms - attempt_ms),
                since_success_ms: now_ms - self.success_ms,
                ..Job::default()
            },
            ..super::IDLE_SNAPSHOT
        }
    }
}
