//! The fsync decision: when the append-only file is synced.
//! Syncs nothing and holds no reply back: what a reply waits for follows from configuration alone.
//! Always: except under `no`, a plan syncs no later than the ceiling allows.

use std::fmt;

use fsync_default_policy as default;

use crate::decision::{Checked, Decision, Policy};
use crate::spec::Setting;
use crate::{NEVER, Outcome};

/// Marks the fsync decision.
pub struct Fsync;

/// Something that decides when to sync.
pub type FsyncPolicy = dyn Policy<Fsync>;

/// The ceiling under `always` unless `policy-fsync-ceiling-ms` says otherwise.
pub const ALWAYS_CEILING_US: u64 = 10_000;
/// The ceiling under `everysec` unless `policy-fsync-ceiling-ms` says otherwise.
pub const EVERYSEC_CEILING_US: u64 = 2_000_000;

/// A policy that wants to be asked again waits for at least so long: more often could not change anything worth its cost.
const ASK_AGAIN_US_MIN: u64 = 100;
/// And for at least so many more bytes.
const ASK_AGAIN_BYTES_MIN: u64 = 4_096;

/// What an fsync policy is told. All times are steady; [`NEVER`] where something never was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FsyncFacts {
    /// Since the tenant's start.
    pub now_us: u64,
    /// Why the question is asked.
    pub cause: Cause,
    /// The level in force, see [`durability_in_force`].
    pub durability: Durability,
    /// Bytes of the log that no fsync covers.
    pub unsynced_bytes: u64,
    /// Commits (batches) among them.
    pub unsynced_commits: u32,
    /// Age of the oldest of them; 0 when clean.
    pub oldest_unsynced_us: u64,
    /// Replies held for this fsync; 0 unless `always`.
    pub waiting_replies: u32,
    /// 0: none in flight.
    pub fsync_running_us: u64,
    /// Since the last fsync began; [`NEVER`] if none has.
    pub since_fsync_us: u64,
    /// Duration of the last fsync.
    pub last_fsync_us: u32,
    /// Mean of the last 16.
    pub mean_fsync_us: u32,
    /// Worst of the last 60 seconds.
    pub worst_fsync_us: u32,
    /// How the last fsync ended.
    pub last_fsync: Outcome,
    /// A save, rewrite or backup is writing.
    pub disk_busy: bool,
    /// At this age the host syncs whatever is said; from [`ceiling_us`].
    pub ceiling_us: u64,
}

/// Why the fsync question is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The log has something unsynced, and had not before.
    Dirty,
    /// An age or size that the policy named was reached.
    Due,
    /// An fsync has ended, well or badly.
    FsyncEnded,
    /// The durability in force changed, or the policy is new.
    SettingsChanged,
}

/// When a reply may leave, as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// After the fsync that covers it.
    Always,
    /// After the write; an fsync about every second.
    Everysec,
    /// After the write; the operating system syncs.
    No,
}

/// Of what is unsynced, whichever comes first; counted from the oldest unsynced commit, not from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Microseconds, or [`NEVER`].
    pub age_us: u64,
    /// Bytes, or [`NEVER`].
    pub bytes: u64,
}

impl Bound {
    /// Neither age nor size.
    pub const NEVER: Bound = Bound { age_us: NEVER, bytes: NEVER };

    fn is_reached(self, facts: &FsyncFacts) -> bool {
        let reached = |limit: u64, value: u64| limit != NEVER && limit <= value;
        reached(self.age_us, facts.oldest_unsynced_us) || reached(self.bytes, facts.unsynced_bytes)
    }
}

/// How long commits gather before a sync: to the first of these, and no longer than somebody is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gather {
    /// Microseconds from now; 0: at once.
    pub us: u32,
    /// Of what is unsynced, or [`NEVER`].
    pub bytes: u64,
}

impl Gather {
    /// Not at all: sync at once.
    pub const NOT: Gather = Gather::micros(0);

    /// For so long, whatever is gathered.
    pub const fn micros(us: u32) -> Gather {
        Gather { us, bytes: NEVER }
    }
}

/// What an fsync policy answers. While an fsync is in flight, `Sync` means: as soon as that one has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FsyncVerdict {
    /// Sync after gathering.
    Sync(Gather),
    /// Sync then, without asking again.
    SyncWhen(Bound),
    /// Ask again then.
    AskWhen(Bound),
}

/// What to carry out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FsyncPlan {
    /// Sync after gathering (end early when nobody is expected).
    Sync(Gather),
    /// Sync at one bound and ask at the other, whichever comes first; both may be [`Bound::NEVER`]. Ages count from the
    /// oldest unsynced commit. On a clean log there is nothing to wait for: the next commit is a new question.
    Wait {
        /// Sync then.
        sync: Bound,
        /// Ask then, with [`Cause::Due`].
        ask: Bound,
    },
}

/// The level that `appendfsync` promises now: with `no-appendfsync-on-rewrite yes` a running save or rewrite suspends
/// the promise itself, as Redis's configuration file says, so that replies, ceiling and policy all see `no`.
pub fn durability_in_force(
    appendfsync: Durability,
    no_appendfsync_on_rewrite: bool,
    save_or_rewrite_running: bool,
) -> Durability {
    if no_appendfsync_on_rewrite && save_or_rewrite_running { Durability::No } else { appendfsync }
}

/// The age at which the host syncs whatever a policy says. `configured_ms` is `policy-fsync-ceiling-ms`; without it the
/// ceiling follows the level. Under `no` there is none.
pub fn ceiling_us(durability: Durability, configured_ms: Option<u64>) -> u64 {
    match (durability, configured_ms) {
        (Durability::No, _) => NEVER,
        (_, Some(configured_ms)) => configured_ms.saturating_mul(1_000),
        (Durability::Always, None) => ALWAYS_CEILING_US,
        (Durability::Everysec, None) => EVERYSEC_CEILING_US,
    }
}

impl Decision for Fsync {
    type Facts = FsyncFacts;
    type Verdict = FsyncVerdict;
    type Plan = FsyncPlan;

    const NAME: &'static str = "fsync";
    const WORLD: &'static str = "fsync-policy";

    fn now_ms(facts: &FsyncFacts) -> u64 {
        facts.now_us / 1_000
    }

    fn native(facts: &FsyncFacts) -> FsyncVerdict {
        let verdict = default::decide(&default::Situation {
            now_us: facts.now_us,
            durability: match facts.durability {
                Durability::Always => default::Durability::Always,
                Durability::Everysec => default::Durability::Everysec,
                Durability::No => default::Durability::No,
            },
            unsynced_bytes: facts.unsynced_bytes,
            oldest_unsynced_us: facts.oldest_unsynced_us,
            since_fsync_us: facts.since_fsync_us,
            mean_fsync_us: facts.mean_fsync_us,
            ceiling_us: facts.ceiling_us,
        });
        match verdict {
            default::Verdict::Sync { gather_us } => FsyncVerdict::Sync(Gather::micros(gather_us)),
            default::Verdict::SyncAtAge { age_us } => FsyncVerdict::SyncWhen(Bound { age_us, bytes: NEVER }),
            default::Verdict::Leave => FsyncVerdict::AskWhen(Bound::NEVER),
        }
    }

    fn accept_settings(settings: &[Setting]) -> Result<(), String> {
        default::accept_settings(settings.iter().map(|setting| setting.key.as_str()))
    }

    fn check(facts: &FsyncFacts, verdict: FsyncVerdict) -> Result<Checked<FsyncPlan>, String> {
        let kept = |plan| Checked { plan, overruled: false };
        let overruled = |plan| Checked { plan, overruled: true };
        let dirty = facts.unsynced_bytes > 0;
        let now = FsyncPlan::Sync(Gather::NOT);
        // Under the ceiling there is still so much time; what waits longer is cut to it.
        let room_us = facts.ceiling_us.saturating_sub(facts.oldest_unsynced_us);
        let ceiling = Bound { age_us: facts.ceiling_us, bytes: NEVER };
        Ok(match verdict {
            FsyncVerdict::Sync(gather) if u64::from(gather.us) <= room_us => kept(FsyncPlan::Sync(gather)),
            FsyncVerdict::Sync(gather) => {
                let us = u32::try_from(room_us).unwrap_or(u32::MAX);
                overruled(FsyncPlan::Sync(Gather { us, ..gather }))
            }
            FsyncVerdict::SyncWhen(bound) if dirty && bound.is_reached(facts) => kept(now),
            FsyncVerdict::SyncWhen(_) if dirty && room_us == 0 => overruled(now),
            FsyncVerdict::SyncWhen(bound) if bound.age_us > facts.ceiling_us => overruled(FsyncPlan::Wait {
                sync: Bound { bytes: bound.bytes, ..ceiling },
                ask: Bound::NEVER,
            }),
            FsyncVerdict::SyncWhen(bound) => kept(FsyncPlan::Wait { sync: bound, ask: Bound::NEVER }),
            FsyncVerdict::AskWhen(bound) if dirty && bound.is_reached(facts) => {
                return Err(format!(
                    "{verdict}, which is reached already (oldest unsynced {} us, {} bytes)",
                    facts.oldest_unsynced_us, facts.unsynced_bytes
                ));
            }
            FsyncVerdict::AskWhen(_) if dirty && room_us == 0 => overruled(now),
            FsyncVerdict::AskWhen(bound) => {
                let age_us_min = facts.oldest_unsynced_us.saturating_add(ASK_AGAIN_US_MIN);
                let bytes_min = facts.unsynced_bytes.saturating_add(ASK_AGAIN_BYTES_MIN);
                let ask = Bound { age_us: bound.age_us.max(age_us_min), bytes: bound.bytes.max(bytes_min) };
                kept(FsyncPlan::Wait { sync: ceiling, ask })
            }
        })
    }
}

impl fmt::Display for FsyncVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FsyncVerdict::Sync(Gather { us, bytes: NEVER }) => write!(f, "sync(gather-us={us})"),
            FsyncVerdict::Sync(Gather { us, bytes }) => write!(f, "sync(gather-us={us} bytes={bytes})"),
            FsyncVerdict::SyncWhen(bound) => write!(f, "sync-when({bound})"),
            FsyncVerdict::AskWhen(bound) => write!(f, "ask-when({bound})"),
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |f: &mut fmt::Formatter<'_>, name: &str, value: u64| match value {
            NEVER => write!(f, "{name}=never"),
            value => write!(f, "{name}={value}"),
        };
        part(f, "age-us", self.age_us)?;
        f.write_str(" ")?;
        part(f, "bytes", self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::CLEAN_FSYNC;

    const DIRTY: FsyncFacts = FsyncFacts {
        durability: Durability::Always,
        unsynced_bytes: 1_000,
        unsynced_commits: 1,
        oldest_unsynced_us: 4_000,
        ceiling_us: ALWAYS_CEILING_US,
        ..CLEAN_FSYNC
    };

    fn bound(age_us: u64, bytes: u64) -> Bound {
        Bound { age_us, bytes }
    }

    fn check(verdict: FsyncVerdict) -> (FsyncPlan, bool) {
        let checked = Fsync::check(&DIRTY, verdict).expect("sound");
        (checked.plan, checked.overruled)
    }

    #[test]
    fn gathering_ends_at_the_ceiling() {
        let gather = |us| Gather { us, bytes: 5_000 };
        let sync = |us| check(FsyncVerdict::Sync(gather(us)));
        assert_eq!(sync(6_000), (FsyncPlan::Sync(gather(6_000)), false));
        assert_eq!(sync(6_001), (FsyncPlan::Sync(gather(6_000)), true));
        assert_eq!(sync(u32::MAX), (FsyncPlan::Sync(gather(6_000)), true));
        assert_eq!(FsyncVerdict::Sync(gather(7)).to_string(), "sync(gather-us=7 bytes=5000)");
        assert_eq!(FsyncVerdict::Sync(Gather::NOT).to_string(), "sync(gather-us=0)");
    }

    #[test]
    fn a_deadline_past_the_ceiling_is_cut_and_a_reached_one_is_now() {
        let wait = |sync| FsyncPlan::Wait { sync, ask: Bound::NEVER };
        let when = |age_us, bytes| check(FsyncVerdict::SyncWhen(bound(age_us, bytes)));
        assert_eq!(when(9_000, 5_000), (wait(bound(9_000, 5_000)), false));
        assert_eq!(when(NEVER, 5_000), (wait(bound(10_000, 5_000)), true));
        assert_eq!(when(4_000, NEVER), (FsyncPlan::Sync(Gather::NOT), false));
        assert_eq!(when(NEVER, 1_000), (FsyncPlan::Sync(Gather::NOT), false));
        let late = FsyncFacts { oldest_unsynced_us: 10_000, ..DIRTY };
        let checked = Fsync::check(&late, FsyncVerdict::SyncWhen(Bound::NEVER)).expect("sound");
        assert_eq!(checked, Checked { plan: FsyncPlan::Sync(Gather::NOT), overruled: true });
    }

    #[test]
    fn asking_again_keeps_the_ceiling_and_is_never_a_loop() {
        let ceiling = bound(ALWAYS_CEILING_US, NEVER);
        let ask = |age_us, bytes| Fsync::check(&DIRTY, FsyncVerdict::AskWhen(bound(age_us, bytes)));
        let wait = |age_us, bytes| {
            Ok(Checked {
                plan: FsyncPlan::Wait { sync: ceiling, ask: bound(age_us, bytes) },
                overruled: false,
            })
        };
        assert_eq!(ask(6_000, NEVER), wait(6_000, NEVER));
        assert_eq!(ask(4_001, 1_001), wait(4_100, 5_096));
        assert!(ask(4_000, NEVER).unwrap_err().contains("age-us=4000 bytes=never"));
        assert!(ask(NEVER, 0).unwrap_err().contains("reached already"));
        let late = FsyncFacts { oldest_unsynced_us: 10_000, ..DIRTY };
        let checked = Fsync::check(&late, FsyncVerdict::AskWhen(Bound::NEVER)).expect("sound");
        assert_eq!(checked, Checked { plan: FsyncPlan::Sync(Gather::NOT), overruled: true });
    }

    #[test]
    fn under_no_there_is_no_ceiling() {
        let facts = FsyncFacts { ceiling_us: ceiling_us(Durability::No, Some(5)), ..DIRTY };
        let checked = Fsync::check(&facts, FsyncVerdict::AskWhen(Bound::NEVER)).expect("sound");
        assert_eq!(checked.plan, FsyncPlan::Wait { sync: Bound::NEVER, ask: Bound::NEVER });
        assert_eq!(ceiling_us(Durability::Everysec, None), 2_000_000);
        assert_eq!(ceiling_us(Durability::Always, Some(3)), 3_000);
        assert_eq!(durability_in_force(Durability::Always, true, true), Durability::No);
        assert_eq!(durability_in_force(Durability::Always, true, false), Durability::Always);
        assert_eq!(durability_in_force(Durability::Always, false, true), Durability::Always);
    }

    #[test]
    fn the_native_policy_is_never_overruled() {
        for durability in [Durability::Always, Durability::Everysec, Durability::No] {
            for oldest_unsynced_us in [0, 1, 9_999, 10_000, 999_999, 5_000_000] {
                for (unsynced_bytes, since_fsync_us) in [(0, 0), (1, 0), (1, 999_999), (1, NEVER), (NEVER, 7)]
                {
                    let facts = FsyncFacts {
                        durability,
                        oldest_unsynced_us,
                        unsynced_bytes,
                        since_fsync_us,
                        mean_fsync_us: u32::MAX,
                        ceiling_us: ceiling_us(durability, None),
                        ..DIRTY
                    };
                    let checked = Fsync::check(&facts, Fsync::native(&facts)).expect("sound");
                    assert!(!checked.overruled, "{facts:?}");
                }
            }
        }
    }
}
