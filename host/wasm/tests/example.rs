//! The example policy, built as its README says and loaded as an operator would.

mod common;

use std::path::Path;
use std::process::Command;

use common::{Directory, load_fsync};
use tenon_policy::{
    Bound, Cause, Durability, FsyncFacts, FsyncGuard, FsyncPlan, Gather, NEVER, Outcome, RefusalKind,
    conformance,
};

#[test]
fn the_example_builds_loads_and_adapts() {
    let directory = Directory::with("adaptive-fsync.wasm", &build());
    let policies = directory.policies();

    let refused = load_fsync(&policies, "adaptive-fsync.wasm target-ms=never").map(drop).unwrap_err();
    assert_eq!(refused.kind, RefusalKind::Settings);
    assert_eq!(
        refused.sentence,
        "adaptive-fsync.wasm refused: target-ms: found 'never', expected a whole number from 1 to 2000"
    );
    let refused = load_fsync(&policies, "adaptive-fsync.wasm speed=1").map(drop).unwrap_err();
    assert!(refused.sentence.ends_with("unknown setting 'speed'; the only one is target-ms"), "{refused}");

    let loaded = load_fsync(&policies, "adaptive-fsync.wasm target-ms=20").expect("loads");
    let mut guard = FsyncGuard::new(loaded, 0);
    let dirty = FsyncFacts { unsynced_bytes: 100, unsynced_commits: 1, ..conformance::CLEAN_FSYNC };
    let wait = |age_us| FsyncPlan::Wait { sync: Bound { age_us, bytes: NEVER }, ask: Bound::NEVER };
    assert_eq!(guard.decide(&dirty, || 0), wait(20_000));
    let ended = |last_fsync_us| FsyncFacts {
        cause: Cause::FsyncEnded,
        last_fsync: Outcome::Ok,
        last_fsync_us,
        ..dirty
    };
    assert_eq!(guard.decide(&ended(4_000), || 0), wait(16_000));
    assert_eq!(guard.decide(&ended(60_000), || 0), wait(60_000));
    let always = FsyncFacts { durability: Durability::Always, ceiling_us: 10_000, ..dirty };
    assert_eq!(guard.decide(&always, || 0), FsyncPlan::Sync(Gather::NOT));
    assert_eq!((guard.statistics().fallbacks, guard.statistics().overruled), (0, 0));
}

fn build() -> Vec<u8> {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/adaptive-fsync");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("example");
    let mut command = Command::new(env!("CARGO"));
    // In its own folder, so that its `.cargo/config.toml` is found.
    command.current_dir(&example).args(["build", "--release", "--locked", "--target-dir"]).arg(&target);
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "RUSTC_WORKSPACE_WRAPPER"] {
        command.env_remove(name);
    }
    let output = command.output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(target.join("wasm32-unknown-unknown/release/adaptive_fsync.wasm")).expect("cargo made it")
}
