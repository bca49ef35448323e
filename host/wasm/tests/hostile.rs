//! Guests that misbehave: what they do ends in time, the native policy decides, a counter and one line tell.

mod common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{Directory, LATER_US, facts, fsync_guest, guarded, is_native, load_fsync, refusal};
use tenon_policy::{FsyncGuard, FsyncPlan, Gather, Level, RefusalKind, Statistics, Status};
use tenon_wasm::{Limits, WasmPolicies};
use tracing::field::{Field, Visit};
use tracing::span;

const LOOP: &str = "(loop $again (br $again))";
const RECURSE: &str = "(drop (call $recurse (i32.const 0)))";
const HOG: &str = "(loop $again (br_if $again (i32.ge_s (memory.grow (i32.const 16)) (i32.const 0))))";
const FLOOD: &str = "(loop $again (call $log)
    (local.set $n (i32.add (local.get $n) (i32.const 1)))
    (br_if $again (i32.lt_u (local.get $n) (i32.const 200))))";

/// Loads a guest that misbehaves later, asks it before and after, and gives its counters and the first line.
fn misbehave(later: &str) -> (Statistics, String) {
    let mut guard = guarded(&fsync_guest("1", "", later));
    assert_eq!(guard.decide(&facts(1), || 0), FsyncPlan::Sync(Gather::micros(7)));
    assert!(guard.take_notices().is_empty());

    let began = Instant::now();
    assert!(is_native(guard.decide(&facts(LATER_US), || 0)));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let statistics = guard.statistics().clone();
    let notices = guard.take_notices();
    assert_eq!((notices.len(), notices[0].level), (1, Level::Warning));

    // It keeps failing: rebuilt with back-off, then quarantined, and the native policy decides all along.
    for now_us in (LATER_US..LATER_US + 5_000_000).step_by(10_000) {
        assert!(is_native(guard.decide(&facts(now_us), || 0)));
    }
    assert_eq!((guard.status(), guard.statistics().rebuilds), (Status::Quarantined, 4));
    assert_eq!(guard.take_notices().len(), 1, "the quarantine's line");
    (statistics, notices[0].text.clone())
}

#[test]
fn an_endless_loop_runs_out_of_fuel() {
    let (statistics, line) = misbehave(LOOP);
    assert_eq!((statistics.exhausted, statistics.traps, statistics.fallbacks), (1, 0, 1));
    assert!(statistics.fuel_max >= Limits::default().fuel_per_call, "{statistics:?}");
    assert!(line.starts_with("Policy fsync: guest.wasm used up its budget: "), "{line}");
}

#[test]
fn an_endless_loop_that_fuel_does_not_see_runs_out_of_time() {
    let directory = Directory::with("guest.wasm", &fsync_guest("1", "", LOOP));
    let limits = Limits { fuel_per_call: u64::MAX / 4, guests_max: 4, ..Limits::default() };
    let policies = WasmPolicies::new(Some(directory.path().to_owned()), limits).expect("a sandbox");
    let mut guard = FsyncGuard::new(load_fsync(&policies, "guest.wasm").expect("loads"), 0);
    // Long enough for the ticker to have gone to sleep: the call has to wake it.
    std::thread::sleep(Duration::from_millis(1_300));
    let began = Instant::now();
    assert!(is_native(guard.decide(&facts(LATER_US), || 0)));
    assert!(began.elapsed() >= Duration::from_millis(9), "{:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(guard.statistics().exhausted, 1);
}

#[test]
fn an_endless_recursion_overflows_its_own_stack() {
    let (statistics, line) = misbehave(RECURSE);
    assert_eq!((statistics.traps, statistics.exhausted), (1, 0));
    assert!(line.contains("guest.wasm trapped: call stack exhausted"), "{line}");
}

#[test]
fn a_memory_hog_is_stopped_at_its_limit() {
    let (statistics, line) = misbehave(HOG);
    assert_eq!((statistics.traps, statistics.exhausted), (1, 0));
    assert!(statistics.memory_bytes <= 16 << 20, "{statistics:?}");
    assert!(line.contains("at most 16777216 are allowed"), "{line}");
}

#[test]
fn unreachable_code_and_wild_pointers_trap() {
    assert!(misbehave("unreachable").1.contains("trapped: "));
    assert!(misbehave("(return (i32.const -8))").1.contains("trapped: "), "a verdict outside of memory");
    let wild_verdict = "(i32.store8 (i32.const 32) (i32.const 77)) (return (i32.const 32))";
    assert!(misbehave(wild_verdict).1.contains("trapped: "), "a verdict that is none");
    let long_message = "(call $write (i32.const 3) (i32.const 0) (i32.const 0x7fffffff))";
    assert!(misbehave(long_message).1.contains("trapped: "), "a message outside of memory");
}

#[test]
fn nonsense_is_not_obeyed() {
    let ask_at_once = "(i32.store8 (i32.const 32) (i32.const 2))
        (i64.store (i32.const 40) (i64.const 0)) (i64.store (i32.const 48) (i64.const -1)) (return (i32.const 32))";
    let (statistics, line) = misbehave(ask_at_once);
    assert_eq!(statistics.nonsense, 1);
    assert!(
        line.contains("answered nonsense: ask-when(age-us=0 bytes=never), which is reached already"),
        "{line}"
    );
}

#[test]
fn a_log_flood_without_end_runs_out_of_budget() {
    let (statistics, _) = misbehave("(loop $again (call $log) (br $again))");
    assert_eq!((statistics.exhausted, statistics.traps), (1, 0));
}

#[test]
fn a_log_flood_is_ten_lines() {
    let counter = Lines::default();
    let lines = counter.clone();
    let mut guard = guarded(&fsync_guest("1", "", FLOOD));
    tracing::subscriber::with_default(counter, || {
        let plan = guard.decide(&facts(LATER_US), || 0);
        assert_eq!(plan, FsyncPlan::Sync(Gather::micros(7)), "a flood alone is no fault");
        let plan = guard.decide(&facts(LATER_US + 1), || 0);
        assert_eq!(plan, FsyncPlan::Sync(Gather::micros(7)));
    });
    let count = lines.count.load(Ordering::Relaxed);
    assert!((10..=13).contains(&count), "{count} lines");
    let longest = lines.longest.lock().expect("not poisoned").clone();
    assert!(longest.starts_with("Policy fsync: guest.wasm says: \\u{0}"), "{longest}");
    assert!(longest.len() < 512 + 100 && !longest.contains('\0'), "{}", longest.len());
}

#[test]
fn a_guest_that_misbehaves_while_it_starts_is_refused() {
    for (start, part) in [
        (LOOP, "guest.wasm refused: while starting, it used up its budget: "),
        (RECURSE, "guest.wasm refused: while starting, it trapped: call stack exhausted"),
        (HOG, "guest.wasm refused: while starting, it trapped: asked for "),
        ("unreachable", "guest.wasm refused: while starting, it trapped: "),
    ] {
        let refusal = refusal(&fsync_guest("1", start, ""));
        assert!(refusal.sentence.starts_with(part), "{refusal}");
        assert_eq!(refusal.kind, RefusalKind::Sandbox);
    }
    let refusal = refusal(&fsync_guest("300", "", ""));
    assert!(refusal.sentence.contains("memory"), "{refusal}");
}

/// Counts what is logged and keeps the longest line.
#[derive(Clone, Default)]
struct Lines {
    count: Arc<AtomicU64>,
    longest: Arc<Mutex<String>>,
}

impl tracing::Subscriber for Lines {
    fn enabled(&self, _metadata: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}

    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Message(String);
        impl Visit for Message {
            fn record_debug(&mut self, _field: &Field, value: &dyn std::fmt::Debug) {
                self.0 = format!("{value:?}");
            }
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        if !message.0.starts_with("Policy ") {
            return;
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        let mut longest = self.longest.lock().expect("not poisoned");
        if message.0.len() > longest.len() {
            *longest = message.0;
        }
    }

    fn enter(&self, _span: &span::Id) {}

    fn exit(&self, _span: &span::Id) {}
}
