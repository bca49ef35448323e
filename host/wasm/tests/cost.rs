//! What one decision costs. Run with `cargo test --release -p tenon-wasm --test cost -- --ignored --nocapture`.

mod common;

use std::time::Instant;

use common::{facts, load_fsync, policies};
use tenon_policy::{FsyncGuard, Loaded};

#[test]
#[ignore = "measures; meaningful in a release build on a quiet machine"]
#[expect(clippy::print_stderr, reason = "its output is its purpose")]
fn a_decision_costs_nanoseconds() {
    const CALLS: u64 = 1_000_000;
    let policies = policies(None);
    let component = load_fsync(&policies, "builtin").expect("loads");
    let native = Loaded::native(&[]).expect("loads");
    for (name, loaded) in [("native", native), ("component", component)] {
        let mut guard = FsyncGuard::new(loaded, 0);
        let mut best_ns = u64::MAX;
        for _ in 0..5 {
            let began = Instant::now();
            for now_us in 0..CALLS {
                std::hint::black_box(guard.decide(&facts(now_us), || 0));
            }
            best_ns = best_ns.min(began.elapsed().as_nanos() as u64 / CALLS);
        }
        let statistics = guard.statistics();
        assert_eq!((statistics.calls, statistics.fallbacks), (5 * CALLS, 0));
        eprintln!(
            "{name}: {best_ns} ns a decision, {} fuel, {} bytes",
            statistics.fuel_max, statistics.memory_bytes
        );
    }
}
