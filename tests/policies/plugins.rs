//! The policies beside the defaults on a running server: each does what its README promises, where the built-in one, on the
//! same work, does otherwise. How they decide over hours is tested without a server, in `host/wasm/tests/plugins.rs`.
//! Always: what is compared is what INFO says, as an operator would look.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::support::client::Client;
use super::support::server::{Program, Server};
use super::support::tools::{self, said};
use super::{PATIENCE, wait_until, with_files};

const NAMES: [&str; 4] = ["fsync-adaptive", "fsync-group", "snapshot-growth", "snapshot-quiet"];

/// What an fsync takes on the slow disk.
const SLOW_FSYNC_US: u64 = 170_000;
/// How late a machine that runs many tests may be.
const LATE_US: u64 = 400_000;

/// The components under the names that `cargo xtask policies` gives them; built once, as plugins/README.md says.
fn components() -> &'static [(String, Vec<u8>)] {
    static BUILT: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugins");
        let mut command = Command::new(env!("CARGO"));
        command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins"));
        command.args(["build", "--release", "--locked", "--target", "wasm32-unknown-unknown"]);
        command.args(NAMES.iter().flat_map(|name| ["-p", name])).env("CARGO_TARGET_DIR", &target);
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "RUSTC_WORKSPACE_WRAPPER"]
        {
            command.env_remove(name);
        }
        let output = tools::run(&mut command, b"", Duration::from_secs(600));
        assert!(output.status.success(), "{}", said(&output));
        let read = |name: &&str| {
            let file = format!("wasm32-unknown-unknown/release/{}.wasm", name.replace('-', "_"));
            (format!("{name}.wasm"), fs::read(target.join(file)).expect("the build made it"))
        };
        NAMES.iter().map(read).collect()
    })
}

/// A server with all of them in its policy directory.
fn serve(arguments: &[&str]) -> Server {
    let files: Vec<(&str, &[u8])> =
        components().iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let all = [&["--policy-directory", "policies"], arguments].concat();
    Server::start(Program::Tenon, &all, with_files(&files))
}

/// A number from INFO persistence.
fn told(client: &mut Client, field: &str) -> u64 {
    let text = client.command(&["INFO", "persistence"]).text();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let line = line.unwrap_or_else(|| panic!("INFO persistence tells no {field}:\n{text}"));
    line.trim().parse().unwrap_or_else(|_| panic!("{field} is no number: {line}"))
}

/// That the policy is a component and was never stood in for.
fn assert_healthy(client: &mut Client, decision: &str, file: &str) {
    let text = client.command(&["INFO", "policies"]).text();
    let line = text.lines().find(|line| line.starts_with(&format!("policy_{decision}:"))).expect("a line");
    assert!(line.contains(&format!("running={file},status=component")), "{line}");
    assert!(line.contains("fallbacks=0"), "{line}");
}

fn set(client: &mut Client, key: &str, bytes: usize) {
    assert_eq!(client.command(&[b"SET", key.as_bytes(), &vec![b'v'; bytes]]).text(), "OK");
}

/// A server's fsyncs are slow from now on; dropping it makes them quick again.
struct SlowDisk(Child);

impl SlowDisk {
    /// `None`, said aloud, where strace cannot be attached to the server.
    fn under(server: &Server) -> Option<SlowDisk> {
        if !tools::is_installed("strace", "apt-get install strace") {
            return None;
        }
        let said = server.directory().join("strace");
        let inject = format!("--inject=fdatasync,fsync:delay_exit={SLOW_FSYNC_US}");
        let mut command = Command::new("strace");
        command.args([
            "-f",
            "-p",
            &server.pid().to_string(),
            "-o",
            "/dev/null",
            "-e",
            "trace=fdatasync,fsync",
        ]);
        let log = fs::File::create(&said).expect("our own directory");
        command.arg(inject).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut disk = SlowDisk(command.spawn().expect("strace was there a moment ago"));
        let until = Instant::now() + PATIENCE;
        while !fs::read_to_string(&said).unwrap_or_default().contains(" attached") {
            if disk.0.try_wait().expect("our own child can be awaited").is_some() || Instant::now() > until {
                tools::missing("strace may not attach here (ptrace is not permitted)");
                return None;
            }
            sleep(Duration::from_millis(10));
        }
        Some(disk)
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        // Asked to end it detaches; killed, it would take the server's threads along.
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

#[test]
fn adaptive_spares_a_slow_disk_and_keeps_its_bound() {
    let everysec = ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"];
    let builtin = serve(&everysec);
    let adaptive = serve(&[&everysec[..], &["--policy-fsync", "fsync-adaptive.wasm bound-ms=2000"]].concat());
    let (Some(_slow), Some(_too)) = (SlowDisk::under(&builtin), SlowDisk::under(&adaptive)) else { return };
    let (mut one, mut other) = (builtin.client(), adaptive.client());
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(12) {
        set(&mut one, "k", 100);
        set(&mut other, "k", 100);
        sleep(Duration::from_millis(10));
    }
    let (usual, fewer) = (told(&mut one, "aof_fsyncs"), told(&mut other, "aof_fsyncs"));
    assert!(usual >= 8, "the built-in policy syncs about once a second: {usual} in 12 seconds");
    // By how many follows from the disk alone in host/wasm/tests/plugins.rs; here others may keep it busy, too.
    assert!(fewer >= 4 && fewer < usual, "{fewer} fsyncs, and {usual} by the built-in policy");
    assert!(told(&mut other, "aof_fsync_worst_usec") >= SLOW_FSYNC_US, "the disk is slow");
    let staleness_us = told(&mut other, "aof_staleness_worst_usec");
    assert!((1_000_000..2_000_000 + LATE_US).contains(&staleness_us), "{staleness_us}");
    assert_healthy(&mut other, "fsync", "fsync-adaptive.wasm");
}

#[test]
fn group_commits_by_bytes_and_by_age() {
    let everysec = ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"];
    let by_bytes = ["--policy-fsync", "fsync-group.wasm bytes=64kb us=60000000"];
    let group = serve(&[&everysec[..], &by_bytes, &["--policy-fsync-ceiling-ms", "60000"]].concat());
    let builtin = serve(&everysec);
    let (mut one, mut other) = (builtin.client(), group.client());
    for round in 1..=3 {
        for client in [&mut one, &mut other] {
            (0..30).for_each(|_| set(client, "k", 1 << 10));
        }
        wait_until("the built-in policy syncs a second", || told(&mut one, "aof_fsyncs") >= round);
        sleep(Duration::from_millis(1_200));
        assert_eq!(told(&mut other, "aof_fsyncs"), round - 1, "30 KiB are no group");
        (0..30).for_each(|_| set(&mut other, "k", 1 << 10));
        wait_until("a group is synced", || told(&mut other, "aof_fsyncs") == round);
    }
    assert_healthy(&mut other, "fsync", "fsync-group.wasm");

    let by_age = "fsync-group.wasm bytes=1gb us=20000";
    assert_eq!(other.command(&["CONFIG", "SET", "policy-fsync", by_age]).text(), "OK");
    sleep(Duration::from_millis(200));
    let before = told(&mut other, "aof_fsyncs");
    for _ in 0..5 {
        set(&mut other, "k", 10);
        sleep(Duration::from_millis(300));
    }
    assert!(told(&mut other, "aof_fsyncs") >= before + 5, "each write is synced 20 ms later");
}

#[test]
fn growth_saves_after_the_bytes_and_not_before() {
    // What is lost without an append-only file; the bytes are counted all the same.
    let arguments = ["--save", "1 10", "--appendonly", "no"];
    let builtin = serve(&arguments);
    let by_bytes = ["--policy-snapshot", "snapshot-growth.wasm bytes=256kb percent=0 gap-s=1"];
    let growth = serve(&[&arguments[..], &by_bytes].concat());
    let (mut one, mut other) = (builtin.client(), growth.client());
    for number in 0..200 {
        set(&mut one, &format!("k{number}"), 10);
        set(&mut other, &format!("k{number}"), 10);
    }
    wait_until("the built-in policy saves", || told(&mut one, "rdb_saves") > 0);
    sleep(Duration::from_secs(3));
    assert_eq!(told(&mut other, "rdb_saves"), 0, "200 keys are few bytes");
    for number in 0..40 {
        set(&mut other, &format!("large{number}"), 8 << 10);
    }
    wait_until("320 KiB are saved", || told(&mut other, "rdb_saves") == 1);
    assert!(growth.log().contains("snapshot-growth.wasm says: a save, because "), "{}", growth.log());
    assert_healthy(&mut other, "snapshot", "snapshot-growth.wasm");
}

#[test]
fn growth_rewrites_a_log_that_would_take_too_long_to_replay() {
    let by_time = "snapshot-growth.wasm restore-s=1 replay-rate=100kb";
    let arguments = ["--save", "", "--appendonly", "yes", "--policy-snapshot", by_time];
    let server = serve(&arguments);
    let mut client = server.client();
    for _ in 0..80 {
        set(&mut client, "k", 1 << 10);
    }
    sleep(Duration::from_secs(3));
    assert_eq!(told(&mut client, "aof_rewrites"), 0, "80 KiB take less than a second");
    for _ in 0..80 {
        set(&mut client, "k", 1 << 10);
    }
    wait_until("the log is rewritten", || told(&mut client, "aof_rewrites") == 1);
    assert!(server.log().contains("a rewrite, because a restart would take 1"), "{}", server.log());
    sleep(Duration::from_secs(3));
    assert_eq!(told(&mut client, "aof_rewrites"), 1, "once is enough: there is nothing left to replay");
    assert_healthy(&mut client, "snapshot", "snapshot-growth.wasm");
}

#[test]
fn quiet_does_not_save_in_a_burst_but_at_its_bound_and_when_it_is_quiet() {
    let arguments = ["--save", "1 1", "--appendonly", "no"];
    let builtin = serve(&arguments);
    let patient = ["--policy-snapshot", "snapshot-quiet.wasm quiet-s=3 bound-s=8"];
    let quiet = serve(&[&arguments[..], &patient].concat());
    let (mut one, mut other) = (builtin.client(), quiet.client());
    let mut burst = |while_so: &mut dyn FnMut(&mut Client, &mut Client) -> bool| {
        while while_so(&mut one, &mut other) {
            for _ in 0..20 {
                set(&mut one, "k", 10);
                set(&mut other, "k", 10);
            }
            sleep(Duration::from_millis(50));
        }
    };
    let began = Instant::now();
    burst(&mut |_, _| began.elapsed() < Duration::from_secs(7));
    let mut saves = [0; 2];
    burst(&mut |one, other| {
        saves = [told(one, "rdb_saves"), told(other, "rdb_saves")];
        false
    });
    assert!(saves[0] >= 2 && saves[1] == 0, "in seven seconds: {saves:?}");
    burst(&mut |_, other| told(other, "rdb_saves") == 0 && began.elapsed() < PATIENCE);
    let waited = began.elapsed();
    assert!((8..20).contains(&waited.as_secs()), "the bound is eight seconds: {waited:?}");
    // The burst goes on for a moment, then it is over.
    let after = Instant::now();
    burst(&mut |_, _| after.elapsed() < Duration::from_secs(2));
    wait_until("what came after is saved", || told(&mut other, "rdb_saves") == 2);
    let waited = after.elapsed();
    assert!((4..10).contains(&waited.as_secs()), "three seconds of quiet after two of burst: {waited:?}");
    assert!(quiet.log().contains("snapshot-quiet.wasm says: a save that was wanted for "), "{}", quiet.log());
    assert_healthy(&mut other, "snapshot", "snapshot-quiet.wasm");
}

#[test]
fn a_setting_that_means_nothing_stops_the_start_and_changes_nothing_later() {
    let files: Vec<(&str, &[u8])> =
        components().iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let directory = with_files(&files);
    let toml = "save = []\n[policies]\ndirectory = \"policies\"\n[policies.snapshot]\n\
        component = \"snapshot-growth.wasm\"\noptions = { bytes = \"512mb\", keys = 3 }\n";
    fs::write(directory.path().join("tenon.toml"), toml).expect("our own directory");
    for words in [&["tenon.toml"][..], &["check-config", "tenon.toml"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenon"));
        let output = tools::run(command.args(words).current_dir(directory.path()), b"", PATIENCE);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        for expected in
            ["tenon.toml", "line ", "snapshot-growth.wasm refused: unknown setting 'keys'; there are bytes"]
        {
            assert!(said.contains(expected), "{expected:?} is not in {said}");
        }
    }

    let server = serve(&["--save", "", "--policy-snapshot", "snapshot-quiet.wasm"]);
    let mut client = server.client();
    let refused = client.command(&["CONFIG", "SET", "policy-snapshot", "snapshot-quiet.wasm minutes=2"]);
    assert_eq!(
        refused.to_string(),
        "(error) ERR CONFIG SET failed (possibly related to argument 'policy-snapshot') - snapshot-quiet.wasm \
         refused: unknown setting 'minutes'; there are quiet-s, bound-s, changes, commands"
    );
    assert_healthy(&mut client, "snapshot", "snapshot-quiet.wasm");
}

#[test]
fn a_shadow_is_asked_and_counted_and_not_obeyed() {
    let shadow = ["--policy-fsync-shadow", "fsync-group.wasm bytes=1kb us=1000"];
    let everysec = ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"];
    let server = serve(&[&everysec[..], &shadow].concat());
    let mut client = server.client();
    for _ in 0..40 {
        set(&mut client, "k", 2 << 10);
        sleep(Duration::from_millis(50));
    }
    let fsyncs = told(&mut client, "aof_fsyncs");
    assert!((1..=6).contains(&fsyncs), "the built-in policy decides: {fsyncs} fsyncs in two seconds");
    let text = client.command(&["INFO", "policies"]).text();
    let line = text.lines().find(|line| line.starts_with("policy_fsync_shadow:")).expect("a line");
    assert!(
        line.contains("running=fsync-group.wasm,status=component") && line.contains("fallbacks=0"),
        "{line}"
    );
    assert!(!line.contains("differed=0"), "{line}");
    assert!(text.contains("policy_fsync:running=builtin"), "{text}");

    let refused = |shadow: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenon"));
        command.args(["--policy-directory", "policies", "--policy-fsync-shadow", shadow]);
        let output = tools::run(command.current_dir(server.directory()), b"", PATIENCE);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        said(&output)
    };
    assert!(
        refused("fsync-group.wasm speed=1")
            .contains("policy-fsync-shadow: fsync-group.wasm refused: unknown")
    );
    assert!(
        refused("fsync-group").contains("policy-fsync-shadow: found 'fsync-group', expected 'builtin' or")
    );
}
