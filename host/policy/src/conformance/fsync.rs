//! Redis's `appendfsync`, case by case and on a simulated timeline.
//! The model below keeps what `flushAppendOnlyFile` keeps: the time of the last fsync.
//! Always: a second is a whole second of the clock in the facts, as Redis's stamps are whole seconds of its clock.

use super::{Mismatch, expect, recorded};
use crate::decision::Policy;
use crate::fsync::{
    ALWAYS_CEILING_US, Bound, Cause, Durability, EVERYSEC_CEILING_US, Fsync, FsyncFacts, FsyncVerdict, Gather,
};
use crate::{NEVER, Outcome};

/// A log that is clean and was never synced.
pub const CLEAN_FSYNC: FsyncFacts = FsyncFacts {
    now_us: 5_700_000,
    cause: Cause::Dirty,
    durability: Durability::Everysec,
    unsynced_bytes: 0,
    unsynced_commits: 0,
    oldest_unsynced_us: 0,
    waiting_replies: 0,
    fsync_running_us: 0,
    since_fsync_us: NEVER,
    last_fsync_us: 0,
    mean_fsync_us: 0,
    worst_fsync_us: 0,
    last_fsync: Outcome::NoneYet,
    disk_busy: false,
    ceiling_us: EVERYSEC_CEILING_US,
};

const DIRTY: FsyncFacts = FsyncFacts { unsynced_bytes: 120, unsynced_commits: 1, ..CLEAN_FSYNC };
const ALWAYS: FsyncFacts =
    FsyncFacts { durability: Durability::Always, waiting_replies: 1, ceiling_us: ALWAYS_CEILING_US, ..DIRTY };
const NO: FsyncFacts = FsyncFacts { durability: Durability::No, ceiling_us: NEVER, ..DIRTY };

const AT_ONCE: FsyncVerdict = FsyncVerdict::Sync(Gather::NOT);
const LEAVE: FsyncVerdict = FsyncVerdict::AskWhen(Bound::NEVER);

const fn at_age(age_us: u64) -> FsyncVerdict {
    FsyncVerdict::SyncWhen(Bound { age_us, bytes: NEVER })
}

const CASES: &[(&str, FsyncFacts, FsyncVerdict)] = &[
    ("everysec, clean", CLEAN_FSYNC, LEAVE),
    ("everysec, first write ever", DIRTY, AT_ONCE),
    ("everysec, first write after a pause", FsyncFacts { since_fsync_us: 30_000_000, ..DIRTY }, AT_ONCE),
    ("everysec, in the second after", FsyncFacts { since_fsync_us: 700_001, ..DIRTY }, AT_ONCE),
    ("everysec, in the same second", FsyncFacts { since_fsync_us: 700_000, ..DIRTY }, at_age(300_000)),
    ("everysec, soon after an fsync", FsyncFacts { since_fsync_us: 100_000, ..DIRTY }, at_age(300_000)),
    (
        "everysec, writes since the last fsync began",
        FsyncFacts {
            cause: Cause::FsyncEnded,
            since_fsync_us: 300_000,
            oldest_unsynced_us: 250_000,
            ..DIRTY
        },
        at_age(550_000),
    ),
    (
        "everysec, an fsync of more than a second has ended",
        FsyncFacts {
            cause: Cause::FsyncEnded,
            since_fsync_us: 1_700_000,
            oldest_unsynced_us: 1_600_000,
            ..DIRTY
        },
        AT_ONCE,
    ),
    (
        "everysec, an fsync is in flight for a while",
        FsyncFacts { fsync_running_us: 200_000, since_fsync_us: 200_000, ..DIRTY },
        at_age(300_000),
    ),
    (
        "everysec again after no-appendfsync-on-rewrite",
        FsyncFacts { cause: Cause::SettingsChanged, since_fsync_us: 60_000_000, ..DIRTY },
        AT_ONCE,
    ),
    ("everysec, a save alone changes nothing", FsyncFacts { disk_busy: true, ..DIRTY }, AT_ONCE),
    ("always, first write ever", ALWAYS, AT_ONCE),
    ("always, right after an fsync", FsyncFacts { since_fsync_us: 50, ..ALWAYS }, AT_ONCE),
    ("always, an fsync is in flight", FsyncFacts { fsync_running_us: 500, ..ALWAYS }, AT_ONCE),
    ("always, a save alone changes nothing", FsyncFacts { disk_busy: true, ..ALWAYS }, AT_ONCE),
    ("always, fast disk", FsyncFacts { mean_fsync_us: 1_000, ..ALWAYS }, AT_ONCE),
    (
        "always, slow disk: commits are gathered for a quarter of an fsync",
        FsyncFacts { mean_fsync_us: 8_000, ..ALWAYS },
        FsyncVerdict::Sync(Gather::micros(2_000)),
    ),
    (
        "always, very slow disk: not past the ceiling",
        FsyncFacts { mean_fsync_us: 200_000, oldest_unsynced_us: 9_000, ..ALWAYS },
        FsyncVerdict::Sync(Gather::micros(1_000)),
    ),
    ("always, clean", FsyncFacts { unsynced_bytes: 0, unsynced_commits: 0, ..ALWAYS }, LEAVE),
    ("no", NO, LEAVE),
    ("no, much and old", FsyncFacts { unsynced_bytes: 1 << 40, oldest_unsynced_us: 1 << 50, ..NO }, LEAVE),
];

/// Holds a policy to Redis's `appendfsync`.
pub fn fsync(policy: &mut dyn Policy<Fsync>) -> Result<(), Mismatch> {
    for (name, facts, expected) in CASES {
        expect(policy, || (*name).to_owned(), facts, *expected)?;
    }
    timeline(policy)?;
    recorded::fsyncs(policy)?;
    recorded::always(policy)
}

/// Writes at uneven intervals for a minute; Redis's rule says when each is synced.
fn timeline(policy: &mut dyn Policy<Fsync>) -> Result<(), Mismatch> {
    const SECOND_US: u64 = 1_000_000;
    let mut last_fsync_us: Option<u64> = None;
    let mut dirty_since_us: Option<u64> = None;
    let mut pause_us = 1_000;
    let mut write_at_us = 7_000_000;
    for now_us in (7_000_000..67_000_000).step_by(1_000) {
        if now_us == write_at_us {
            // 1 ms to some seconds, in no simple order.
            pause_us = pause_us * 7 % 4_999_000 / 1_000 * 1_000 + 1_000;
            write_at_us += pause_us;
            dirty_since_us = dirty_since_us.or(Some(now_us));
        }
        let Some(since_us) = dirty_since_us else { continue };
        let elapsed_us = last_fsync_us.map_or(NEVER, |last_us| now_us - last_us);
        let facts =
            FsyncFacts { now_us, oldest_unsynced_us: now_us - since_us, since_fsync_us: elapsed_us, ..DIRTY };
        let expected = match last_fsync_us {
            Some(last_us) if now_us / SECOND_US == last_us / SECOND_US => {
                at_age((now_us / SECOND_US + 1) * SECOND_US - since_us)
            }
            _ => AT_ONCE,
        };
        expect(policy, || format!("everysec timeline at {now_us} us"), &facts, expected)?;
        if expected == AT_ONCE {
            last_fsync_us = Some(now_us);
            dirty_since_us = None;
        }
    }
    Ok(())
}
