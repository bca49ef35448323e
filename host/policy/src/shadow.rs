//! A policy that is asked beside the one in force and not obeyed: how often would it decide otherwise?
//! Carries out nothing and changes nothing; what its guard has to say goes to the log as ever.
//! Always: it hears the questions that the policy in force is asked, so the facts follow from what that one decided.

use crate::decision::Decision;
use crate::guard::Guard;
use crate::notice::Notice;

/// A guarded policy and how it compares with the one in force.
pub struct Shadow<D: Decision> {
    guard: Guard<D>,
    agreed: u64,
    differed: u64,
    last_difference: Option<Difference<D::Plan>>,
}

/// A question that the two answered differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference<P> {
    /// What was carried out.
    pub in_force: P,
    /// What the shadow would have had carried out.
    pub shadow: P,
}

impl<D: Decision> Shadow<D> {
    /// Begins to compare.
    pub fn new(guard: Guard<D>) -> Shadow<D> {
        Shadow { guard, agreed: 0, differed: 0, last_difference: None }
    }

    /// Asks what the policy in force was asked. Where it gives no answer that can be used, there is nothing to compare.
    pub fn observe(&mut self, facts: &D::Facts, in_force: D::Plan, clock_ns: impl FnMut() -> u64) {
        let fallbacks = self.guard.statistics().fallbacks;
        let shadow = self.guard.decide(facts, clock_ns);
        if self.guard.statistics().fallbacks != fallbacks {
            return;
        }
        if shadow == in_force {
            self.agreed += 1;
        } else {
            self.differed += 1;
            self.last_difference = Some(Difference { in_force, shadow });
        }
    }

    /// The policy, with its statistics.
    pub fn guard(&self) -> &Guard<D> {
        &self.guard
    }

    /// Questions that both would have had carried out alike.
    pub fn agreed(&self) -> u64 {
        self.agreed
    }

    /// Questions on which they differed.
    pub fn differed(&self) -> u64 {
        self.differed
    }

    /// The last of those.
    pub fn last_difference(&self) -> Option<&Difference<D::Plan>> {
        self.last_difference.as_ref()
    }

    /// Lines to log now.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        self.guard.take_notices()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::CLEAN_FSYNC;
    use crate::decision::{Fault, FaultKind, Loaded, Policy};
    use crate::fsync::{Durability, Fsync, FsyncFacts, FsyncPlan, FsyncVerdict, Gather};

    const DIRTY: FsyncFacts =
        FsyncFacts { unsynced_bytes: 100, unsynced_commits: 1, since_fsync_us: 0, ..CLEAN_FSYNC };
    const AT_ONCE: FsyncPlan = FsyncPlan::Sync(Gather::NOT);

    /// Wants to sync at once, and fails under `no`.
    struct Hasty;

    impl Policy<Fsync> for Hasty {
        fn decide(&mut self, facts: &FsyncFacts) -> Result<FsyncVerdict, Fault> {
            match facts.durability {
                Durability::No => Err(Fault { kind: FaultKind::Trap, text: "unreachable".to_owned() }),
                _ => Ok(FsyncVerdict::Sync(Gather::NOT)),
            }
        }
    }

    #[test]
    fn answers_are_compared_where_there_are_any() {
        let native: Loaded<Fsync> = Loaded::native(&[]).expect("loads");
        let mut in_force: Guard<Fsync> = Guard::new(Loaded::native(&[]).expect("loads"), 0);
        let mut shadow = Shadow::new(Guard::new(Loaded { policy: Box::new(Hasty), ..native }, 0));
        for facts in [FsyncFacts { since_fsync_us: crate::NEVER, ..DIRTY }, DIRTY] {
            let plan = in_force.decide(&facts, || 0);
            shadow.observe(&facts, plan, || 0);
        }
        assert_eq!((shadow.agreed(), shadow.differed()), (1, 1));
        let difference = *shadow.last_difference().expect("the second");
        assert!(difference.shadow == AT_ONCE && difference.in_force != AT_ONCE, "{difference:?}");

        let facts = FsyncFacts { durability: Durability::No, ..DIRTY };
        shadow.observe(&facts, AT_ONCE, || 0);
        assert_eq!((shadow.agreed(), shadow.differed()), (1, 1), "there was no answer to compare");
        assert_eq!(shadow.guard().statistics().traps, 1);
        assert_eq!(shadow.take_notices().len(), 1);
    }
}
