//! When the log is synced: what the fsync policy is told, when it is asked, and how its plan is carried out.
//! What a reply waits for is not decided here.
//! Always: one fsync at a time; a plan that comes due meanwhile goes when that has ended.

use tenon_aof::SyncFacts;
use tenon_base::{Micros, Now, World};
use tenon_config::Directive;
use tenon_policy::{
    Bound, Cause, Durability as Promise, FsyncFacts, FsyncPlan, NEVER, Outcome as PolicyOutcome, ceiling_us,
};

use crate::engine::Engine;

impl Engine {
    /// Asks the policy where it is to be asked, and syncs where its plan says so.
    pub(super) fn decide_sync(&mut self, now: Now, world: &mut World<'_>) {
        let Some(log) = self.durability.log.as_ref() else { return };
        let facts = log.facts(now);
        let is_dirty = facts.unsynced_bytes > 0;
        let was_dirty = std::mem::replace(&mut self.durability.was_dirty, is_dirty);
        if !is_dirty {
            self.durability.cause = None;
            self.durability.gather_until = None;
            self.durability.plan_due = None;
            return;
        }
        let cause = match (was_dirty, self.durability.cause.take()) {
            (false, _) => Some(Cause::Dirty),
            (true, told) => told.or_else(|| self.plan_is_due(&facts)),
        };
        if let Some(cause) = cause {
            self.ask_for_sync(now, cause, &facts, world);
        }
        self.carry_out_plan(now, world);
    }

    /// Whether an age or a size at which the policy wants to be asked again has come.
    fn plan_is_due(&self, facts: &SyncFacts) -> Option<Cause> {
        match self.durability.plan {
            FsyncPlan::Wait { ask, .. } if is_reached(ask, facts) => Some(Cause::Due),
            _ => None,
        }
    }

    fn ask_for_sync(&mut self, now: Now, cause: Cause, facts: &SyncFacts, world: &mut World<'_>) {
        let promise = self.durability.promise;
        let waiting = if promise == Promise::Always { world.outputs.held_segments() } else { 0 };
        let narrow = |us: u64| u32::try_from(us).unwrap_or(u32::MAX);
        let facts = FsyncFacts {
            now_us: now.steady.since(self.identity.started.steady).0,
            cause,
            durability: promise,
            unsynced_bytes: facts.unsynced_bytes,
            unsynced_commits: facts.unsynced_commits,
            oldest_unsynced_us: facts.oldest_unsynced_us,
            waiting_replies: u32::try_from(waiting).unwrap_or(u32::MAX),
            fsync_running_us: facts.running_us.map_or(0, |us| us.max(1)),
            since_fsync_us: facts.since_us.unwrap_or(NEVER),
            last_fsync_us: narrow(facts.last_us),
            mean_fsync_us: narrow(facts.mean_us),
            worst_fsync_us: narrow(facts.worst_us),
            last_fsync: match facts.last_succeeded {
                None => PolicyOutcome::NoneYet,
                Some(true) => PolicyOutcome::Ok,
                Some(false) => PolicyOutcome::Failed,
            },
            disk_busy: self.is_writing_snapshot(),
            ceiling_us: ceiling_us(promise, self.ceiling_ms()),
        };
        let stopwatch = &mut *world.stopwatch;
        let plan = self.policies.ask_fsync(&facts, || stopwatch.read_ns());
        self.durability.plan = plan;
        self.durability.gather_until = match plan {
            FsyncPlan::Sync(gather) => Some(now.steady + Micros(u64::from(gather.us))),
            FsyncPlan::Wait { .. } => None,
        };
    }

    /// `policy-fsync-ceiling-ms`, where it is given.
    fn ceiling_ms(&self) -> Option<u64> {
        u64::try_from(self.config.integer(Directive::PolicyFsyncCeilingMs)).ok().filter(|&ms| ms > 0)
    }

    fn carry_out_plan(&mut self, now: Now, world: &mut World<'_>) {
        let Some(log) = self.durability.log.as_mut() else { return };
        let facts = log.facts(now);
        let is_due = match self.durability.plan {
            FsyncPlan::Sync(gather) => {
                let expected = self.durability.released;
                let is_gathered = expected == 0
                    || world.outputs.held_segments() >= expected
                    || facts.unsynced_bytes >= gather.bytes;
                is_gathered || self.durability.gather_until.is_none_or(|until| until <= now.steady)
            }
            FsyncPlan::Wait { sync, .. } => is_reached(sync, &facts),
        };
        if is_due && facts.running_us.is_none() {
            self.durability.gather_until = None;
            if let Some(job) = log.start_sync(now) {
                self.start_log_job(job, world);
            }
            self.durability.plan_due = None;
            return;
        }
        if is_due {
            // It goes as soon as the one in flight has ended, which is a cause to ask.
            self.durability.note_delayed(facts.running_us.unwrap_or(0));
            self.durability.gather_until = None;
            self.durability.plan_due = None;
            return;
        }
        self.durability.plan_due = self.plan_moment(now, &facts);
    }

    /// When the plan's next age is reached.
    fn plan_moment(&self, now: Now, facts: &SyncFacts) -> Option<Micros> {
        let FsyncPlan::Wait { sync, ask } = self.durability.plan else { return None };
        let age = sync.age_us.min(ask.age_us);
        (age != NEVER).then(|| now.steady + Micros(age.saturating_sub(facts.oldest_unsynced_us)))
    }
}

fn is_reached(bound: Bound, facts: &SyncFacts) -> bool {
    let reached = |limit: u64, value: u64| limit != NEVER && limit <= value;
    reached(bound.age_us, facts.oldest_unsynced_us) || reached(bound.bytes, facts.unsynced_bytes)
}
