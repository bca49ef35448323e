//! Redis's `save` points and automatic AOF rewrites, case by case and as sequences in time.
//! The model below keeps what `serverCron` keeps: whole-second stamps, the last status and the rewrite's delay.
//! Always: the model is asked at the same moments as the policy.

use super::{Mismatch, expect, recorded, recorded_rewrites};
use crate::decision::Policy;
use crate::snapshot::{Job, SavePoint, Snapshot, SnapshotFacts, SnapshotVerdict};
use crate::{NEVER, Outcome};
use SnapshotVerdict::{None as Nothing, RewriteAof, Save};

/// A server with Redis's defaults that was started an hour ago and did nothing.
pub const IDLE_SNAPSHOT: SnapshotFacts = SnapshotFacts {
    now_ms: HOUR_MS,
    wall_unix_ms: 1_700_000_000_400,
    utc_offset_minutes: 0,
    save_points: Vec::new(),
    keys: 0,
    used_memory_bytes: 1_000_000,
    memory_limit_bytes: NEVER,
    disk_free_bytes: None,
    changes_since_save: 0,
    bytes_since_save: 0,
    changes_total: 0,
    commands_total: 0,
    save: IDLE,
    rewrite: IDLE,
    aof_enabled: false,
    aof_bytes: 0,
    aof_base_bytes: 0,
    aof_replay_bytes: 0,
    rewrite_percentage: 100,
    rewrite_min_bytes: 64 << 20,
    load_bytes_per_second: None,
    replay_bytes_per_second: None,
    full_syncs_running: 0,
    is_replica: false,
};

const HOUR_MS: u64 = 3_600_000;
const IDLE: Job = Job {
    running: false,
    last: Outcome::NoneYet,
    failures_in_a_row: 0,
    since_attempt_ms: NEVER,
    since_success_ms: HOUR_MS,
    last_duration_ms: 0,
    last_file_bytes: 0,
};

/// Holds a policy to Redis's `serverCron`.
pub fn snapshot(policy: &mut dyn Policy<Snapshot>) -> Result<(), Mismatch> {
    for (name, facts, expected) in save_cases().into_iter().chain(rewrite_cases()) {
        expect(policy, || name.to_owned(), &facts, expected)?;
    }
    failing_saves(policy)?;
    failing_rewrites(policy)?;
    recorded::saves(policy)?;
    recorded_rewrites::rewrites(policy)
}

type Case = (&'static str, SnapshotFacts, SnapshotVerdict);

fn save_cases() -> Vec<Case> {
    let points = [(3_600, 1), (300, 100), (60, 10_000)];
    let defaults = SnapshotFacts {
        save_points: points.map(|(seconds, changes)| SavePoint { seconds, changes }).to_vec(),
        ..IDLE_SNAPSHOT
    };
    let after = |seconds: u64, changes: u64| SnapshotFacts {
        changes_since_save: changes,
        save: Job { since_success_ms: seconds * 1_000, ..IDLE },
        ..defaults.clone()
    };
    let failed = |since_attempt_ms| Job {
        last: Outcome::Failed,
        failures_in_a_row: 1,
        since_attempt_ms,
        since_success_ms: 2 * HOUR_MS,
        ..IDLE
    };
    let running = Job { running: true, ..IDLE };
    let due = after(4_000, 1);
    vec![
        ("save, no points", SnapshotFacts { save_points: Vec::new(), ..due.clone() }, Nothing),
        ("save, no changes", after(1_000_000, 0), Nothing),
        ("save, an hour is not more than an hour", after(3_600, 1), Nothing),
        ("save, more than an hour", after(3_601, 1), Save),
        ("save, 99 changes", after(301, 99), Nothing),
        ("save, 100 changes", after(301, 100), Save),
        ("save, 100 changes too early", after(300, 100), Nothing),
        ("save, 10,000 changes", after(61, 10_000), Save),
        ("save, 9,999 changes", after(61, 9_999), Nothing),
        ("save, a million changes too early", after(60, 1_000_000), Nothing),
        (
            "save, whole seconds of the wall clock: 60.5 s that touch 61",
            SnapshotFacts {
                wall_unix_ms: 1_700_000_000_400,
                save: Job { since_success_ms: 60_500, ..IDLE },
                ..after(0, 10_000)
            },
            Save,
        ),
        (
            "save, whole seconds of the wall clock: 60.5 s that touch 60",
            SnapshotFacts {
                wall_unix_ms: 1_700_000_000_600,
                save: Job { since_success_ms: 60_500, ..IDLE },
                ..after(0, 10_000)
            },
            Nothing,
        ),
        ("save, failed five seconds ago", SnapshotFacts { save: failed(5_000), ..due.clone() }, Nothing),
        ("save, failed six seconds ago", SnapshotFacts { save: failed(6_000), ..due.clone() }, Save),
        ("save, one is running", SnapshotFacts { save: running, ..due.clone() }, Nothing),
        ("save, a rewrite is running", SnapshotFacts { rewrite: running, ..due.clone() }, Nothing),
        ("save, a full sync is running", SnapshotFacts { full_syncs_running: 1, ..due.clone() }, Nothing),
        ("save, on a replica too", SnapshotFacts { is_replica: true, ..due.clone() }, Save),
        ("save, before a rewrite", SnapshotFacts { save_points: due.save_points, ..grown(due.save) }, Save),
    ]
}

/// A file that has doubled, with one unsaved change.
fn grown(save: Job) -> SnapshotFacts {
    SnapshotFacts {
        changes_since_save: 1,
        save,
        aof_enabled: true,
        aof_bytes: 200 << 20,
        aof_base_bytes: 100 << 20,
        ..IDLE_SNAPSHOT
    }
}

fn rewrite_cases() -> Vec<Case> {
    let doubled = grown(IDLE);
    let sized = |aof_bytes, aof_base_bytes| SnapshotFacts { aof_bytes, aof_base_bytes, ..grown(IDLE) };
    let failed = |failures_in_a_row, since_attempt_ms| SnapshotFacts {
        rewrite: Job { last: Outcome::Failed, failures_in_a_row, since_attempt_ms, ..IDLE },
        ..grown(IDLE)
    };
    vec![
        ("rewrite, doubled", doubled.clone(), RewriteAof),
        ("rewrite, AOF off", SnapshotFacts { aof_enabled: false, ..doubled.clone() }, Nothing),
        ("rewrite, turned off", SnapshotFacts { rewrite_percentage: 0, ..doubled.clone() }, Nothing),
        ("rewrite, one byte short of doubled", sized((200 << 20) - 1, 100 << 20), Nothing),
        ("rewrite, at the least size", sized(64 << 20, 1), Nothing),
        ("rewrite, above the least size", sized((64 << 20) + 1, 1), RewriteAof),
        ("rewrite, no base", sized((64 << 20) + 1, 0), RewriteAof),
        ("rewrite, shrunk", sized(70 << 20, 100 << 20), Nothing),
        ("rewrite, huge", sized(NEVER, 1), RewriteAof),
        ("rewrite, 150 percent", SnapshotFacts { rewrite_percentage: 150, ..doubled.clone() }, Nothing),
        (
            "rewrite, percentages are rounded down",
            SnapshotFacts {
                rewrite_percentage: 33,
                aof_bytes: 133_999_999,
                aof_base_bytes: 100_000_001,
                ..doubled.clone()
            },
            RewriteAof,
        ),
        (
            "rewrite, a save is running",
            SnapshotFacts { save: Job { running: true, ..IDLE }, ..doubled },
            Nothing,
        ),
        ("rewrite, failed once", failed(1, 1_000), RewriteAof),
        ("rewrite, failed twice", failed(2, 1_000), RewriteAof),
        ("rewrite, failed three times just now", failed(3, 1_000), Nothing),
    ]
}

/// Every save fails at once: Redis tries again more than five of its seconds later, and so on.
fn failing_saves(policy: &mut dyn Policy<Snapshot>) -> Result<(), Mismatch> {
    const BEGIN_MS: u64 = 1_700_000_000_300;
    let mut last_try_ms: Option<u64> = None;
    let mut tries = 0;
    // Not a divisor of a second, so that questions fall on all phases of it.
    for now_ms in (BEGIN_MS..BEGIN_MS + 60_000).step_by(370) {
        let save = match last_try_ms {
            None => Job { since_success_ms: now_ms - BEGIN_MS, ..IDLE },
            Some(try_ms) => Job {
                last: Outcome::Failed,
                failures_in_a_row: tries,
                since_attempt_ms: now_ms - try_ms,
                since_success_ms: now_ms - BEGIN_MS,
                ..IDLE
            },
        };
        let facts = SnapshotFacts {
            now_ms: now_ms - BEGIN_MS,
            wall_unix_ms: now_ms as i64,
            save_points: vec![SavePoint { seconds: 2, changes: 1 }],
            changes_since_save: 3,
            save,
            ..IDLE_SNAPSHOT
        };
        let unixtime = now_ms / 1_000;
        let saves =
            unixtime - BEGIN_MS / 1_000 > 2 && last_try_ms.is_none_or(|try_ms| unixtime - try_ms / 1_000 > 5);
        let expected = if saves { Save } else { Nothing };
        expect(policy, || format!("failing saves at {now_ms}"), &facts, expected)?;
        if saves {
            last_try_ms = Some(now_ms);
            tries += 1;
        }
    }
    assert!(tries >= 9, "the sequence is long enough to show the retry, {tries} tries");
    Ok(())
}

/// Every rewrite fails after four seconds: two retries at once, then pauses of 1, 2, 4 ... 60 minutes.
fn failing_rewrites(policy: &mut dyn Policy<Snapshot>) -> Result<(), Mismatch> {
    const DURATION_MS: u64 = 4_000;
    let mut failures = 0;
    let mut attempt_ms: Option<u64> = None;
    // As `aofRewriteLimited` keeps them.
    let mut delay_minutes = 0;
    let mut retry_at_ms: Option<u64> = None;
    for now_ms in (HOUR_MS..8 * HOUR_MS).step_by(1_000) {
        let running = attempt_ms.is_some_and(|attempt_ms| now_ms < attempt_ms + DURATION_MS);
        if attempt_ms.is_some_and(|attempt_ms| now_ms == attempt_ms + DURATION_MS) {
            failures += 1;
        }
        let facts = SnapshotFacts {
            now_ms,
            rewrite: Job {
                running,
                last: if failures > 0 { Outcome::Failed } else { Outcome::NoneYet },
                failures_in_a_row: failures,
                since_attempt_ms: attempt_ms.map_or(NEVER, |attempt_ms| now_ms - attempt_ms),
                since_success_ms: now_ms,
                last_duration_ms: if failures > 0 { DURATION_MS } else { 0 },
                last_file_bytes: 0,
            },
            ..grown(IDLE)
        };
        let limited = failures >= 3
            && match retry_at_ms {
                Some(retry_at_ms) => now_ms < retry_at_ms,
                None => true,
            };
        let starts = !running && !limited;
        if !running && failures >= 3 && retry_at_ms.is_none() {
            delay_minutes = if delay_minutes == 0 { 1 } else { (delay_minutes * 2).min(60) };
            retry_at_ms = Some(now_ms + delay_minutes * 60_000);
        }
        let expected = if starts { RewriteAof } else { Nothing };
        expect(policy, || format!("failing rewrites at {now_ms} ms"), &facts, expected)?;
        if starts {
            attempt_ms = Some(now_ms);
            retry_at_ms = None;
        }
    }
    assert!(delay_minutes == 60, "the sequence reaches the longest pause, {delay_minutes} minutes");
    Ok(())
}
