//! What the default policies must answer: Redis's behaviour as tables, sequences and recordings of facts and verdicts.
//! Runs on anything that answers, so that the native policies and the components are held to the same lines.
//! Always: an expectation is derived here from Redis's rules (`flushAppendOnlyFile`, `serverCron`, `aofRewriteLimited`),
//! never from the code under test.

mod fsync;
mod recorded;
mod recorded_rewrites;
mod snapshot;
mod sound;

pub use fsync::{CLEAN_FSYNC, fsync};
pub use snapshot::{IDLE_SNAPSHOT, snapshot};
pub use sound::{sound_fsync, sound_snapshot};

use crate::decision::{Decision, Policy};

/// A case that was answered otherwise.
#[derive(Debug)]
pub struct Mismatch {
    /// The case's name, and the step where it is a sequence.
    pub case: String,
    /// What Redis does.
    pub expected: String,
    /// What was answered, or the fault.
    pub found: String,
}

/// Asks one question and compares.
fn expect<D: Decision>(
    policy: &mut dyn Policy<D>,
    case: impl FnOnce() -> String,
    facts: &D::Facts,
    expected: D::Verdict,
) -> Result<(), Mismatch>
where
    D::Verdict: PartialEq,
{
    let found = match policy.decide(facts) {
        Ok(verdict) if verdict == expected => return Ok(()),
        Ok(verdict) => verdict.to_string(),
        Err(fault) => fault.to_string(),
    };
    Err(Mismatch { case: case(), expected: expected.to_string(), found })
}

#[cfg(test)]
mod tests {
    use crate::decision::{Decision, Fault, Loaded, Policy};
    use crate::fsync::{Fsync, FsyncFacts, FsyncVerdict};
    use crate::snapshot::{Snapshot, SnapshotFacts, SnapshotVerdict};

    #[test]
    fn the_native_policies_conform() {
        let mut loaded = Loaded::native(&[]).expect("loads");
        super::fsync(loaded.policy.as_mut()).expect("conforms");
        let mut loaded = Loaded::native(&[]).expect("loads");
        super::snapshot(loaded.policy.as_mut()).expect("conforms");
    }

    /// Syncs a millisecond late, and tries a failed save again a second late.
    struct Late;

    impl Policy<Fsync> for Late {
        fn decide(&mut self, facts: &FsyncFacts) -> Result<FsyncVerdict, Fault> {
            let since_fsync_us = facts.since_fsync_us.saturating_sub(1_000);
            Ok(Fsync::native(&FsyncFacts { since_fsync_us, ..*facts }))
        }
    }

    impl Policy<Snapshot> for Late {
        fn decide(&mut self, facts: &SnapshotFacts) -> Result<SnapshotVerdict, Fault> {
            let mut facts = facts.clone();
            facts.save.since_attempt_ms = facts.save.since_attempt_ms.saturating_sub(1_000);
            Ok(Snapshot::native(&facts))
        }
    }

    #[test]
    fn a_policy_that_is_a_little_late_does_not() {
        let mismatch = super::fsync(&mut Late).expect_err("late");
        assert_eq!(mismatch.case, "everysec, in the second after");
        let mismatch = super::snapshot(&mut Late).expect_err("late");
        assert_eq!((mismatch.expected.as_str(), mismatch.found.as_str()), ("save", "none"));
    }
}
