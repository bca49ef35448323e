//! The guard against policies that fail in every way, on a scripted clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::conformance::CLEAN_FSYNC;
use crate::fsync::{Bound, Durability, FsyncFacts, FsyncPlan, FsyncVerdict, Gather};
use crate::loader::RefusalKind;
use crate::{NEVER, Sha256, Usage};

type Answer = Result<FsyncVerdict, Fault>;

/// Answers as told and counts its instances.
struct Scripted {
    answer: Answer,
    instances: Arc<AtomicU64>,
    builds: bool,
}

impl Policy<Fsync> for Scripted {
    fn decide(&mut self, _facts: &FsyncFacts) -> Answer {
        self.answer.clone()
    }

    fn usage(&self) -> Usage {
        Usage { fuel: 321, memory_bytes: 65_536 }
    }
}

impl Factory<Fsync> for Scripted {
    fn build(&self) -> Result<Box<dyn Policy<Fsync>>, Fault> {
        self.instances.fetch_add(1, Ordering::Relaxed);
        match self.builds {
            true => Ok(Box::new(self.copy())),
            false => Err(trap()),
        }
    }
}

impl Scripted {
    fn copy(&self) -> Scripted {
        Scripted { answer: self.answer.clone(), instances: self.instances.clone(), builds: self.builds }
    }
}

fn trap() -> Fault {
    Fault { kind: FaultKind::Trap, text: "unreachable\ncode".to_owned() }
}

fn guard(answer: Answer, builds: bool) -> (FsyncGuard, Arc<AtomicU64>) {
    let instances = Arc::new(AtomicU64::new(0));
    let policy = Scripted { answer, instances: instances.clone(), builds };
    let description = Description {
        name: "scripted.wasm".to_owned(),
        form: Form::Component,
        world: Fsync::WORLD,
        version: "tenon:policy@0.1.0",
        origin: "policies/scripted.wasm".to_owned(),
        sha256: Some(Sha256([0xab; 32])),
        settings: Vec::new(),
    };
    let factory = Box::new(policy.copy());
    (Guard::new(Loaded { description, policy: Box::new(policy), factory }, 77), instances)
}

fn fail_for_4_s(guard: &mut FsyncGuard) {
    for now_ms in 0..4_000 {
        assert_eq!(guard.decide(&facts(now_ms), || 0), NATIVE);
    }
}

fn facts(now_ms: u64) -> FsyncFacts {
    FsyncFacts {
        now_us: now_ms * 1_000,
        durability: Durability::No,
        unsynced_bytes: 10,
        ceiling_us: 2_000_000,
        ..CLEAN_FSYNC
    }
}

/// What the native policy plans for [`facts`].
const NATIVE: FsyncPlan =
    FsyncPlan::Wait { sync: Bound { age_us: 2_000_000, bytes: NEVER }, ask: Bound::NEVER };

#[test]
fn guards_and_loaders_may_move_between_threads() {
    fn moves<T: Send>() {}
    fn is_shared<T: Send + Sync + ?Sized>() {}
    moves::<FsyncGuard>();
    moves::<SnapshotGuard>();
    moves::<Loaded<Fsync>>();
    is_shared::<dyn crate::PolicyLoader>();
}

#[test]
fn a_sound_verdict_passes_and_is_measured() {
    let (mut guard, _) = guard(Ok(FsyncVerdict::Sync(Gather::micros(5))), true);
    let mut clock_ns = [100, 350, 1_000, 1_100].into_iter();
    let mut ask = || guard.decide(&facts(1), || clock_ns.next().expect("read twice a call"));
    assert_eq!((ask(), ask()), (FsyncPlan::Sync(Gather::micros(5)), FsyncPlan::Sync(Gather::micros(5))));
    let statistics = guard.statistics();
    assert_eq!((statistics.calls, statistics.call_ns_mean(), statistics.call_ns_max), (2, 175, 250));
    assert_eq!((statistics.fuel_max, statistics.memory_bytes, statistics.fallbacks), (321, 65_536, 0));
    assert_eq!((guard.status(), guard.running()), (Status::Component, "scripted.wasm"));
    assert_eq!(guard.last_verdict().map(|verdict| verdict.to_string()).as_deref(), Some("sync(gather-us=5)"));
    assert_eq!(guard.still_running(), "Still running: sha256 abababababab...");
    assert_eq!(
        guard.loaded_line(),
        "Policy fsync: component scripted.wasm (sha256 abababababab..., tenon:policy@0.1.0)"
    );
    assert_eq!(guard.loaded_unix_ms(), 77);
    assert!(guard.take_notices().is_empty());
}

#[test]
fn a_trap_falls_back_backs_off_and_ends_in_quarantine() {
    let (mut guard, instances) = guard(Err(trap()), true);
    let mut rebuilt_at_ms = Vec::new();
    for now_ms in 0..4_000 {
        let before = instances.load(Ordering::Relaxed);
        assert_eq!(guard.decide(&facts(now_ms), || 0), NATIVE);
        if instances.load(Ordering::Relaxed) > before {
            rebuilt_at_ms.push(now_ms);
        }
    }
    assert_eq!(rebuilt_at_ms, [100, 300, 700, 1_500]);
    assert_eq!(guard.status(), Status::Quarantined);
    assert_eq!((guard.running(), guard.quarantined_until_ms()), ("native", Some(61_500)));
    let statistics = guard.statistics();
    assert_eq!((statistics.calls, statistics.traps, statistics.rebuilds), (5, 5, 4));
    assert_eq!(statistics.fallbacks, 4_000);
    assert_eq!(statistics.last_error.as_deref(), Some("trapped: unreachable\\ncode"));

    let notices = guard.take_notices();
    assert_eq!(notices.len(), 2, "one line for the first fault, one for the quarantine: {notices:?}");
    assert!(notices.iter().all(|notice| notice.level == Level::Warning));
    assert!(
        notices[0].text.starts_with("Policy fsync: scripted.wasm trapped: unreachable\\ncode. The native")
    );
    assert!(notices[1].text.contains("in quarantine for 60 s"), "{}", notices[1].text);
}

#[test]
fn a_quarantine_ends_and_a_relapse_is_longer() {
    let (mut guard, _) = guard(Err(trap()), true);
    fail_for_4_s(&mut guard);
    guard.take_notices();
    assert_eq!(guard.decide(&facts(61_500), || 0), NATIVE);
    assert_eq!(guard.quarantined_until_ms(), Some(61_500 + 120_000));
    let texts: Vec<String> = guard.take_notices().into_iter().map(|notice| notice.text).collect();
    assert!(texts[0].contains("out of quarantine"), "{texts:?}");
    assert!(texts.last().is_some_and(|text| text.contains("for 120 s")), "{texts:?}");
}

#[test]
fn an_instance_that_cannot_be_rebuilt_counts_as_failing() {
    let (mut guard, instances) = guard(Err(trap()), false);
    fail_for_4_s(&mut guard);
    assert_eq!(instances.load(Ordering::Relaxed), 4);
    assert_eq!((guard.statistics().calls, guard.statistics().traps), (1, 5));
    assert_eq!(guard.status(), Status::Quarantined);
}

#[test]
fn faults_far_apart_are_no_quarantine() {
    let (mut guard, _) = guard(Err(trap()), true);
    for minute in 0..50 {
        assert_eq!(guard.decide(&facts(minute * 61_000), || 0), NATIVE);
    }
    assert_eq!((guard.status(), guard.statistics().traps), (Status::Component, 50));
}

#[test]
fn nonsense_is_a_fault_and_an_overruled_verdict_is_not() {
    let (mut guard1, _) = guard(Ok(FsyncVerdict::AskWhen(Bound { age_us: 0, bytes: NEVER })), true);
    assert_eq!(guard1.decide(&facts(0), || 0), NATIVE);
    assert_eq!((guard1.statistics().nonsense, guard1.statistics().fallbacks), (1, 1));
    assert_eq!(guard1.running(), "native");

    let (mut guard2, _) = guard(Ok(FsyncVerdict::SyncWhen(Bound::NEVER)), true);
    let sync = Bound { age_us: 2_000_000, bytes: NEVER };
    for now_ms in 0..10 {
        assert_eq!(guard2.decide(&facts(now_ms), || 0), FsyncPlan::Wait { sync, ask: Bound::NEVER });
    }
    assert_eq!((guard2.statistics().overruled, guard2.statistics().fallbacks), (10, 0));
    assert_eq!(guard2.take_notices().len(), 1);
}

#[test]
fn a_replacement_ends_the_quarantine_and_keeps_the_refusals() {
    let (mut guard1, _) = guard(Err(trap()), true);
    fail_for_4_s(&mut guard1);
    let sentence = "b.wasm refused: it is empty".to_owned();
    guard1.note_refusal(&Refusal { kind: RefusalKind::Sandbox, sentence });
    guard1.replace(Loaded::native(&[]).expect("loads"), 88);
    assert_eq!((guard1.status(), guard1.statistics().calls), (Status::Native, 0));
    assert_eq!((guard1.statistics().refused, guard1.loaded_unix_ms()), (1, 88));
    assert_eq!(guard1.decide(&facts(0), || 0), NATIVE);
    assert_eq!(guard1.statistics().fallbacks, 0, "the native policy is what was chosen");
    assert_eq!(guard1.take_notices().len(), 2, "what was noted before is not lost");
}

#[test]
fn a_refusal_at_start_is_told_and_the_native_policy_serves() {
    let sentence = "b.wasm refused: it is empty".to_owned();
    let mut guard = FsyncGuard::refused_at_start(&Refusal { kind: RefusalKind::Sandbox, sentence }, 0);
    assert_eq!((guard.status(), guard.running()), (Status::Refused, "native"));
    assert_eq!(guard.decide(&facts(0), || 0), NATIVE);
    assert_eq!(guard.still_running(), "Still running: native");
    let notices = guard.take_notices();
    assert_eq!(notices[0].text, "Policy fsync: b.wasm refused: it is empty. The native policy decides");
}
