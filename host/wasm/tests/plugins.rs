//! The policies beside the defaults, built as `plugins/README.md` says, loaded as an operator would, and run over hours
//! that take no time: a log on a disk of a test's making, a keyspace that grows in bursts.
//! Always: a promise of a README is a test here; what it is compared with is the default policy on the same hours.

mod common;

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use common::{Directory, load_fsync};
use tenon_policy::{
    Bound, Cause, Durability, FsyncFacts, FsyncGuard, FsyncPlan, Outcome, PolicyLoader, PolicySpec,
    RefusalKind, SavePoint, SnapshotFacts, SnapshotGuard, SnapshotVerdict, ceiling_us, conformance,
};
use tenon_wasm::WasmPolicies;

const NAMES: [&str; 4] = ["fsync-adaptive", "fsync-group", "snapshot-growth", "snapshot-quiet"];
const SECOND_US: u64 = 1_000_000;
const MIB: u64 = 1 << 20;

/// The policy directory, with everything in it; built once.
fn directory() -> &'static Directory {
    static BUILT: OnceLock<Directory> = OnceLock::new();
    BUILT.get_or_init(|| {
        let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugins");
        let mut command = Command::new(env!("CARGO"));
        // In their own folder, so that its `.cargo/config.toml` is found.
        command.current_dir(&plugins).args(["build", "--release", "--locked"]);
        command.args(["--target", "wasm32-unknown-unknown", "--target-dir"]).arg(&target);
        command.args(NAMES.iter().flat_map(|name| ["--package", name]));
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "RUSTC_WORKSPACE_WRAPPER"]
        {
            command.env_remove(name);
        }
        let output = command.output().expect("cargo runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let directory = Directory::new();
        for name in NAMES {
            let file = format!("wasm32-unknown-unknown/release/{}.wasm", name.replace('-', "_"));
            directory
                .write(&format!("{name}.wasm"), &std::fs::read(target.join(file)).expect("cargo made it"));
        }
        directory
    })
}

fn loader() -> &'static WasmPolicies {
    static LOADER: OnceLock<WasmPolicies> = OnceLock::new();
    LOADER.get_or_init(|| {
        let limits = tenon_wasm::Limits { guests_max: 32, ..tenon_wasm::Limits::default() };
        WasmPolicies::new(Some(directory().path().to_owned()), limits).expect("a sandbox")
    })
}

/// The policy of a directive `policy-fsync TEXT`.
fn fsync(text: &str) -> FsyncGuard {
    FsyncGuard::new(load_fsync(loader(), text).unwrap_or_else(|refusal| panic!("{refusal}")), 0)
}

/// The policy of a directive `policy-snapshot TEXT`.
fn snapshot(text: &str) -> SnapshotGuard {
    let spec: PolicySpec = text.parse().expect("the directive parses");
    let loaded = loader().load_snapshot(&spec, &spec.start("default", "0.1.0"));
    SnapshotGuard::new(loaded.unwrap_or_else(|refusal| panic!("{refusal}")), 0)
}

#[test]
fn all_of_them_are_sound() {
    for text in
        ["fsync-adaptive.wasm", "fsync-adaptive.wasm target-ms=1 bound-ms=60000", "fsync-group.wasm us=0"]
    {
        let mut loaded = load_fsync(loader(), text).expect("loads");
        conformance::sound_fsync(loaded.policy.as_mut())
            .unwrap_or_else(|mismatch| panic!("{text}: {mismatch:?}"));
    }
    for text in ["snapshot-growth.wasm gap-s=1", "snapshot-quiet.wasm quiet-s=1 bound-s=1"] {
        let spec: PolicySpec = text.parse().expect("the directive parses");
        let mut loaded = loader().load_snapshot(&spec, &spec.start("default", "0.1.0")).expect("loads");
        conformance::sound_snapshot(loaded.policy.as_mut())
            .unwrap_or_else(|mismatch| panic!("{text}: {mismatch:?}"));
    }
}

#[test]
fn settings_that_mean_nothing_are_refused_with_a_sentence() {
    for (text, sentence) in [
        (
            "fsync-adaptive.wasm target-ms=never",
            "target-ms: found 'never', expected a whole number from 1 to 60000",
        ),
        ("fsync-adaptive.wasm bound-ms=999", "bound-ms: found '999', expected at least target-ms (1000)"),
        ("fsync-group.wasm bytes=0", "bytes: found '0', expected a size from 1 to 1gb, as 64kb or 1mb"),
        ("fsync-group.wasm speed=1", "unknown setting 'speed'; there are bytes, us"),
        ("snapshot-growth.wasm age-s=1", "age-s: found '1', expected at least gap-s (60)"),
        (
            "snapshot-quiet.wasm minute=1",
            "unknown setting 'minute'; there are quiet-s, bound-s, changes, commands",
        ),
    ] {
        let spec: PolicySpec = text.parse().expect("the directive parses");
        let start = spec.start("default", "0.1.0");
        let refusal = match text.starts_with("fsync") {
            true => loader().load_fsync(&spec, &start).map(drop).expect_err(text),
            false => loader().load_snapshot(&spec, &start).map(drop).expect_err(text),
        };
        let (file, _) = text.split_once(' ').expect("a setting");
        assert_eq!(refusal.sentence, format!("{file} refused: {sentence}"));
        assert_eq!(refusal.kind, RefusalKind::Settings);
    }
}

#[test]
fn adaptive_syncs_a_healthy_disk_no_more_often_than_the_default_does() {
    let disk = |_| 4_000;
    let (builtin, adaptive) =
        (log_of(&mut fsync("builtin"), disk), log_of(&mut fsync("fsync-adaptive.wasm"), disk));
    assert!(adaptive.fsyncs <= builtin.fsyncs, "{adaptive:?} {builtin:?}");
    assert!(adaptive.staleness_us < 1_100_000, "{adaptive:?}");
    let tight = log_of(&mut fsync("fsync-adaptive.wasm target-ms=50"), disk);
    assert!(tight.staleness_us < 100_000, "{tight:?}");
}

#[test]
fn adaptive_backs_off_a_struggling_disk_within_its_bound() {
    let disk = |_| 200_000;
    let (builtin, adaptive) =
        (log_of(&mut fsync("builtin"), disk), log_of(&mut fsync("fsync-adaptive.wasm"), disk));
    assert!(adaptive.fsyncs * 3 <= builtin.fsyncs * 2, "a third fewer: {adaptive:?} {builtin:?}");
    assert!(adaptive.staleness_us <= 2 * SECOND_US, "{adaptive:?}");

    // A disk that becomes slower from minute to minute gets fewer and fewer fsyncs.
    let mut guard = fsync("fsync-adaptive.wasm");
    let minutes =
        [4_000, 120_000, 150_000, 180_000].map(|took_us| log_of(&mut guard, move |_| took_us).fsyncs);
    assert!(minutes.windows(2).all(|pair| pair[1] < pair[0]), "{minutes:?}");
    // One that a snapshot is being written to as well.
    let busy = Log { disk_busy: true }.run(&mut fsync("fsync-adaptive.wasm"), |_| 4_000);
    assert!(busy.fsyncs <= 32 && busy.staleness_us <= 2 * SECOND_US, "{busy:?}");
}

#[test]
fn group_commits_by_bytes_or_by_age_whichever_comes_first() {
    let disk = |_| 300;
    let by_bytes = log_of(&mut fsync("fsync-group.wasm bytes=64kb us=1000000"), disk);
    assert!((65_536..68_000).contains(&by_bytes.covered_bytes_min), "{by_bytes:?}");
    assert!(by_bytes.covered_bytes_max < 68_000, "{by_bytes:?}");
    let by_age = log_of(&mut fsync("fsync-group.wasm bytes=1mb us=20000"), disk);
    assert!((19_000..23_000).contains(&by_age.staleness_us), "{by_age:?}");
    assert!(by_age.covered_bytes_max < 25_000, "{by_age:?}");

    // Replies wait: the same limits, told as what to gather.
    let always = FsyncFacts {
        durability: Durability::Always,
        ceiling_us: ceiling_us(Durability::Always, None),
        unsynced_bytes: 100,
        unsynced_commits: 1,
        oldest_unsynced_us: 400,
        waiting_replies: 1,
        ..conformance::CLEAN_FSYNC
    };
    let FsyncPlan::Sync(gather) = fsync("fsync-group.wasm bytes=64kb us=2000").decide(&always, || 0) else {
        panic!("replies wait")
    };
    assert_eq!((gather.us, gather.bytes), (1_600, 65_536));
}

#[test]
fn growth_saves_after_the_bytes_and_not_before() {
    let mut guard = snapshot("snapshot-growth.wasm bytes=64mb percent=0 gap-s=60 age-s=3600");
    // A million small changes a second, of one byte each: many keys, few bytes.
    let saves = Keyspace::default().hours(1, &mut guard, |_| (1_000_000, 1_000));
    assert_eq!(saves, [3_600], "only because of the hour");
    let mut guard = snapshot("snapshot-growth.wasm bytes=64mb percent=0 gap-s=60 age-s=3600");
    let saves =
        Keyspace::default().hours(1, &mut guard, |second| (10, if second < 600 { MIB / 2 } else { 0 }));
    assert_eq!(saves[..4], [128, 256, 384, 512], "after 64 MiB each");
}

#[test]
fn growth_rewrites_when_a_restart_would_take_too_long() {
    let mut guard = snapshot("snapshot-growth.wasm restore-s=10 bytes=1000gb age-s=31536000");
    let log = |loaded: u64, replayed: u64, rate| SnapshotFacts {
        aof_enabled: true,
        aof_bytes: (loaded + replayed) * MIB,
        aof_replay_bytes: replayed * MIB,
        replay_bytes_per_second: rate,
        ..conformance::IDLE_SNAPSHOT
    };
    assert_eq!(guard.decide(&log(0, 499, None), || 0), SnapshotVerdict::None);
    assert_eq!(guard.decide(&log(0, 501, None), || 0), SnapshotVerdict::RewriteAof);
    assert_eq!(guard.decide(&log(0, 501, Some(80 * MIB)), || 0), SnapshotVerdict::None, "as it was measured");
    assert_eq!(guard.decide(&log(5_000, 100, None), || 0), SnapshotVerdict::None, "which would gain nothing");
}

#[test]
fn quiet_waits_for_a_quiet_minute_but_no_longer_than_the_bound() {
    // Twenty busy minutes, then silence.
    let burst = |second| if second < 1_200 { (500, 50_000) } else { (0, 0) };
    let (mut builtin, mut quiet) = (snapshot("builtin"), snapshot("snapshot-quiet.wasm"));
    let early = Keyspace::default().hours(1, &mut builtin, burst);
    assert!(
        early.iter().filter(|&&second| second < 1_200).count() >= 3,
        "the default saves in between: {early:?}"
    );
    assert_eq!(Keyspace::default().hours(1, &mut quiet, burst), [1_259]);

    // Business without end.
    let mut quiet = snapshot("snapshot-quiet.wasm bound-s=600");
    let saves = Keyspace::default().hours(1, &mut quiet, |_| (500, 50_000));
    assert!((660..=664).contains(&saves[0]), "a minute until it is wanted, and the bound: {saves:?}");
    assert!(saves.windows(2).all(|pair| (660..=664).contains(&(pair[1] - pair[0]))), "{saves:?}");
}

/// A log of 1,000 bytes each millisecond, for a minute; the driver's part of the engine's rules.
#[derive(Default)]
struct Log {
    disk_busy: bool,
}

/// What became of it.
#[derive(Debug, Default)]
struct Fared {
    fsyncs: u64,
    /// Age of the oldest write that an fsync covered, at its end.
    staleness_us: u64,
    covered_bytes_min: u64,
    covered_bytes_max: u64,
}

fn log_of(guard: &mut FsyncGuard, fsync_us: impl Fn(u64) -> u64) -> Fared {
    Log::default().run(guard, fsync_us)
}

impl Log {
    fn run(&self, guard: &mut FsyncGuard, fsync_us: impl Fn(u64) -> u64) -> Fared {
        const TICK_US: u64 = 1_000;
        const BATCH: u64 = 1_000;
        let mut fared = Fared { covered_bytes_min: u64::MAX, ..Fared::default() };
        let mut took = vec![0u64; 0];
        // The age of the oldest and the bytes: of what an fsync in flight covers, and of what came later.
        let (mut covered, mut later) = (None::<(u64, u64)>, None::<(u64, u64)>);
        let (mut began_us, mut ends_us) = (None::<u64>, None::<u64>);
        let mut plan = FsyncPlan::Wait { sync: Bound::NEVER, ask: Bound::NEVER };
        for now_us in (TICK_US..60 * SECOND_US).step_by(TICK_US as usize) {
            let was_dirty = covered.is_some() || later.is_some();
            let mut cause = (!was_dirty).then_some(Cause::Dirty);
            let (oldest_us, bytes) = later.unwrap_or((now_us, 0));
            later = Some((oldest_us, bytes + BATCH));
            if ends_us.is_some_and(|ends_us| ends_us <= now_us) {
                let (oldest_us, bytes) = covered.take().expect("an fsync covers something");
                took.push(now_us - began_us.expect("it began"));
                fared.fsyncs += 1;
                fared.staleness_us = fared.staleness_us.max(now_us - oldest_us);
                fared.covered_bytes_min = fared.covered_bytes_min.min(bytes);
                fared.covered_bytes_max = fared.covered_bytes_max.max(bytes);
                (ends_us, cause) = (None, Some(Cause::FsyncEnded));
            }
            let oldest_us = covered.or(later).map_or(now_us, |(oldest_us, _)| oldest_us);
            let unsynced_bytes = covered.map_or(0, |(_, bytes)| bytes) + later.map_or(0, |(_, bytes)| bytes);
            let oldest_unsynced_us = now_us - oldest_us;
            if let Some(cause) = cause {
                let recent = &took[took.len().saturating_sub(16)..];
                let mean = recent.iter().sum::<u64>() / (recent.len() as u64).max(1);
                let facts = FsyncFacts {
                    now_us,
                    cause,
                    unsynced_bytes,
                    unsynced_commits: 1,
                    oldest_unsynced_us,
                    since_fsync_us: began_us.map_or(tenon_policy::NEVER, |began_us| now_us - began_us),
                    last_fsync_us: took.last().map_or(0, |&took| took as u32),
                    mean_fsync_us: mean as u32,
                    worst_fsync_us: took.iter().max().map_or(0, |&took| took as u32),
                    last_fsync: if took.is_empty() { Outcome::NoneYet } else { Outcome::Ok },
                    disk_busy: self.disk_busy,
                    ..conformance::CLEAN_FSYNC
                };
                plan = guard.decide(&facts, || 0);
            }
            let is_due = match plan {
                FsyncPlan::Sync(_) => true,
                FsyncPlan::Wait { sync, .. } => {
                    sync.age_us <= oldest_unsynced_us || sync.bytes <= unsynced_bytes
                }
            };
            if is_due && ends_us.is_none() {
                (covered, later) = (later.take(), None);
                (began_us, ends_us) = (Some(now_us), Some(now_us + fsync_us(now_us)));
            }
        }
        let statistics = guard.statistics();
        assert_eq!((statistics.fallbacks, statistics.overruled), (0, 0), "{statistics:?}");
        fared
    }
}

/// A keyspace with `save 60 100`, whose saves take two seconds.
struct Keyspace {
    facts: SnapshotFacts,
    save_ends_ms: Option<u64>,
}

impl Default for Keyspace {
    fn default() -> Keyspace {
        let save_points = vec![SavePoint { seconds: 60, changes: 100 }];
        let mut facts = SnapshotFacts { save_points, ..conformance::IDLE_SNAPSHOT };
        facts.save.since_success_ms = 0;
        Keyspace { facts, save_ends_ms: None }
    }
}

impl Keyspace {
    /// Lets hours pass, with so many changes and bytes in each second; the seconds in which saves began.
    fn hours(
        mut self,
        hours: u64,
        guard: &mut SnapshotGuard,
        written: impl Fn(u64) -> (u64, u64),
    ) -> Vec<u64> {
        let mut saves = Vec::new();
        for second in 1..=hours * 3_600 {
            let (changes, bytes) = written(second);
            let facts = &mut self.facts;
            facts.now_ms += 1_000;
            facts.wall_unix_ms += 1_000;
            facts.changes_total += changes;
            facts.commands_total += changes;
            facts.changes_since_save += changes;
            facts.bytes_since_save += bytes;
            facts.save.since_attempt_ms = facts.save.since_attempt_ms.saturating_add(1_000);
            facts.save.since_success_ms += 1_000;
            if self.save_ends_ms.is_some_and(|ends_ms| ends_ms <= facts.now_ms) {
                self.save_ends_ms = None;
                (facts.save.running, facts.save.last, facts.save.since_success_ms) = (false, Outcome::Ok, 0);
            }
            if guard.decide(facts, || 0) == SnapshotVerdict::Save {
                saves.push(second);
                (facts.save.running, facts.save.since_attempt_ms) = (true, 0);
                (facts.changes_since_save, facts.bytes_since_save) = (0, 0);
                self.save_ends_ms = Some(facts.now_ms + 2_000);
            }
        }
        let statistics = guard.statistics();
        assert_eq!((statistics.fallbacks, statistics.overruled), (0, 0), "{statistics:?}");
        saves
    }
}
