//! Policies as an operator meets them: selected, changed and refused at start, by CONFIG SET, by a changed file and by
//! POLICY RELOAD; and policies that misbehave, which cost the server nothing but their advice.
//! Always: whatever a policy does, writes are acknowledged and are there after a restart.

#[path = "../support/mod.rs"]
mod support;

mod guests;
mod plugins;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use guests::{FLOOD, HOG, LOOP, RECURSE, TRIGGER_BYTES, fsync_guest};
use support::client::Client;
use support::reply::Reply;
use support::server::{Directory, Program, Server};
use support::tools::{self, said};

const PATIENCE: Duration = Duration::from_secs(30);

/// A server with its log on, whose policies lie in `policies` in its directory.
struct Tried {
    server: Server,
}

impl Tried {
    /// Starts it with these files, and with more arguments.
    fn start(files: &[(&str, &[u8])], arguments: &[&str]) -> Tried {
        let directory = with_files(files);
        let base = ["--save", "", "--appendonly", "yes", "--policy-directory", "policies"];
        Tried { server: Server::start(Program::Tenon, &[&base, arguments].concat(), directory) }
    }

    fn client(&self) -> Client {
        self.server.client()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.server.directory().join("policies").join(name)
    }

    /// Replaces a file as the README says: written aside, then renamed.
    fn replace(&self, name: &str, bytes: &[u8]) {
        let aside = self.file(&format!("{name}.new"));
        fs::write(&aside, bytes).expect("our own directory");
        fs::rename(&aside, self.file(name)).expect("our own directory");
    }

    /// One field of POLICY INFO fsync.
    fn told(&self, field: &str) -> String {
        let reply = self.client().command(&["POLICY", "INFO", "fsync"]);
        let pair = reply.elements().chunks(2).find(|pair| pair[0].text() == field);
        let value = &pair.unwrap_or_else(|| panic!("POLICY INFO has no {field}: {reply}"))[1];
        match value {
            Reply::Integer(number) => number.to_string(),
            Reply::Nil => String::new(),
            other => other.text(),
        }
    }

    /// The line of INFO that tells how the fsync policy fares.
    fn line(&self) -> String {
        let text = self.client().command(&["INFO", "policies"]).text();
        let line = text.lines().find(|line| line.starts_with("policy_fsync:"));
        line.unwrap_or_else(|| panic!("INFO policies tells nothing of fsync:\n{text}")).to_owned()
    }

    /// Writes are acknowledged, and are there after a kill.
    fn still_keeps_what_it_acknowledges(&mut self) {
        let mut client = self.client();
        assert_eq!(client.command(&["SET", "kept", "yes"]).text(), "OK");
        drop(client);
        self.server.restart();
        assert_eq!(self.client().command(&["GET", "kept"]).text(), "yes");
    }
}

fn with_files(files: &[(&str, &[u8])]) -> Directory {
    let directory = Directory::new();
    fs::create_dir(directory.path().join("policies")).expect("our own directory");
    for (name, bytes) in files {
        fs::write(directory.path().join("policies").join(name), bytes).expect("our own directory");
    }
    directory
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "waited in vain until {what}");
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_default_policies_run_as_components() {
    let tried =
        Tried::start(&[("spare.wasm", &fsync_guest(1, "", "")), ("bad.wasm", b"not a component")], &[]);
    let log = tried.server.log();
    assert!(log.contains("Policy fsync: component builtin (sha256 "), "{log}");
    assert!(log.contains("Policy snapshot: component builtin (sha256 "), "{log}");
    let list = tried.client().command(&["POLICY", "LIST"]).to_string();
    for expected in
        ["\"builtin\"", "\"component\"", "\"spare.wasm\"", "\"available\"", "\"bad.wasm\"", "\"refused\""]
    {
        assert!(list.contains(expected), "{expected} is not in:\n{list}");
    }
    let error = tried.client().command(&["POLICY", "INFO", "x"]).to_string();
    assert_eq!(error, "(error) ERR Unknown decision 'x'. Decisions: fsync, snapshot");
}

#[test]
fn every_way_of_configuring_selects_a_policy_at_start() {
    let guest = fsync_guest(7, "", "");
    let conf = "save \"\"\nappendonly yes\npolicy-directory policies\npolicy-fsync \"own.wasm target=1\"\n";
    let toml = "save = []\nappendonly = true\n[policies]\ndirectory = \"policies\"\n\
        [policies.fsync]\ncomponent = \"own.wasm\"\noptions = { target = 1 }\n";
    for (name, text) in [("tenon.conf", conf), ("tenon.toml", toml)] {
        let directory = with_files(&[("own.wasm", &guest)]);
        fs::write(directory.path().join(name), text).expect("our own directory");
        let server = Started::with_file(&directory, name);
        let mut client = Client::connect(server.port);
        let list = client.command(&["POLICY", "INFO", "fsync"]).to_string();
        assert!(list.contains("\"own.wasm\"") && list.contains("\"component\""), "{name}:\n{list}");
        assert!(list.contains("\"target\"") && list.contains("\"1\""), "{name}:\n{list}");
        assert_eq!(client.command(&["SET", "k", "v"]).text(), "OK");
        let info = client.command(&["INFO", "policies"]).text();
        assert!(info.contains("policy_fsync:running=own.wasm,status=component,calls="), "{info}");
    }
}

#[test]
fn a_wrong_selection_stops_the_start_with_file_and_line() {
    let guest = fsync_guest(7, "", "");
    let zeros = "0".repeat(64);
    let cases = [
        ("tenon.conf", "port 0\n\npolicy-fsync gone.wasm\n", "line 3", "gone.wasm"),
        ("tenon.conf", "policy-directory policies\npolicy-fsync gone.wasm\n", "line 2", "No such file"),
        ("tenon.conf", "policy-fsync \"builtin target-ms=20\"\n", "line 1", "unknown setting 'target-ms'"),
        (
            "tenon.conf",
            &format!("policy-directory policies\npolicy-fsync \"own.wasm sha256:{zeros}\"\n"),
            "line 2",
            "its sha256 is ",
        ),
        ("tenon.conf", "policy-directory policies\npolicy-snapshot gone.wasm\n", "line 2", "policy-snapshot"),
        ("tenon.conf", "policy-fsync ../own.wasm\n", "line 1", "policy-fsync"),
        (
            "tenon.toml",
            "[policies]\ndirectory = \"policies\"\n[policies.fsync]\ncomponent = \"gone.wasm\"\n",
            "line ",
            "gone.wasm",
        ),
        (
            "tenon.toml",
            "[policies.fsync]\noptions = { target-ms = 20 }\n",
            "line ",
            "unknown setting 'target-ms'",
        ),
        ("tenon.toml", "[policies.fsyncs]\ncomponent = \"own.wasm\"\n", "line ", "fsyncs"),
    ];
    for (name, text, line, part) in cases {
        let directory = with_files(&[("own.wasm", &guest)]);
        fs::write(directory.path().join(name), text).expect("our own directory");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenon"));
        command.arg(name).current_dir(directory.path());
        let output = tools::run(&mut command, b"", PATIENCE);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{text}{said}");
        for expected in [name, line, part] {
            assert!(said.contains(expected), "{expected:?} is not said of\n{text}{said}");
        }
    }
}

#[test]
fn config_set_changes_a_policy_or_says_why_not() {
    let mut tried = Tried::start(&[("one.wasm", &fsync_guest(1, "", "")), ("bad.wasm", b"\0asm?")], &[]);
    let mut client = tried.client();
    assert_eq!(client.command(&["CONFIG", "SET", "policy-fsync", "one.wasm level=3"]).text(), "OK");
    assert_eq!(
        (tried.told("running"), tried.told("status")),
        ("one.wasm".to_owned(), "component".to_owned())
    );
    assert_eq!(client.command(&["CONFIG", "GET", "policy-fsync"]).elements()[1].text(), "one.wasm level=3");

    let refused = "ERR CONFIG SET failed (possibly related to argument 'policy-fsync') - ";
    for (value, part) in [
        ("gone.wasm", "gone.wasm"),
        ("bad.wasm", "bad.wasm refused: "),
        ("builtin target=1", "unknown setting 'target'"),
        (&format!("one.wasm sha256:{}", "1".repeat(64)), "its sha256 is "),
    ] {
        let Reply::Error(text) = client.command(&["CONFIG", "SET", "policy-fsync", value]) else {
            panic!("{value} was accepted");
        };
        assert!(text.starts_with(refused) && text.contains(part), "{text}");
        assert_eq!(tried.told("running"), "one.wasm", "what ran goes on");
    }
    // All or nothing: the other half of a refused CONFIG SET is not in force either.
    client.command(&["CONFIG", "SET", "hz", "17", "policy-fsync", "gone.wasm"]);
    assert_eq!(client.command(&["CONFIG", "GET", "hz"]).elements()[1].text(), "10");

    assert_eq!(client.command(&["CONFIG", "SET", "policy-fsync", "builtin"]).text(), "OK");
    assert_eq!(tried.told("running"), "builtin");
    tried.still_keeps_what_it_acknowledges();
}

#[test]
fn a_changed_file_is_taken_over_and_a_bad_one_is_not() {
    let (first, second) = (fsync_guest(1, "", ""), fsync_guest(2, "", ""));
    let tried = Tried::start(&[("own.wasm", &first)], &["--policy-fsync", "own.wasm"]);
    let sha256 = tried.told("sha256");

    tried.replace("own.wasm", &second);
    wait_until("the changed file runs", || tried.told("sha256") != sha256);
    let sha256 = tried.told("sha256");

    tried.replace("own.wasm", b"no component at all");
    wait_until("the bad file is refused", || tried.server.log().contains("own.wasm refused: "));
    assert_eq!((tried.told("sha256"), tried.told("status")), (sha256.clone(), "component".to_owned()));
    assert!(tried.line().contains(",refused=1"), "{}", tried.line());

    fs::remove_file(tried.file("own.wasm")).expect("our own directory");
    wait_until("the loss is told", || {
        tried.server.log().contains("own.wasm is gone from the policy directory")
    });
    assert_eq!(tried.told("sha256"), sha256);
    assert_eq!(tried.client().command(&["SET", "k", "v"]).text(), "OK");
}

#[test]
fn policy_reload_takes_the_file_at_once_or_says_why_not() {
    let tried = Tried::start(&[("own.wasm", &fsync_guest(1, "", ""))], &["--policy-fsync", "own.wasm"]);
    let mut client = tried.client();
    let sha256 = tried.told("sha256");
    assert_eq!(client.command(&["POLICY", "RELOAD"]).text(), "OK");
    assert_eq!(tried.told("sha256"), sha256);

    tried.replace("own.wasm", &fsync_guest(2, "", ""));
    assert_eq!(client.command(&["POLICY", "RELOAD", "fsync"]).text(), "OK");
    let second = tried.told("sha256");
    assert_ne!(second, sha256);

    tried.replace("own.wasm", &guests::guest_with_a_clock());
    let Reply::Error(text) = client.command(&["POLICY", "RELOAD", "fsync"]) else {
        panic!("it was accepted")
    };
    assert!(text.starts_with("ERR fsync: own.wasm refused: imports tenon:policy/clock@0.1.0"), "{text}");
    assert!(text.contains(&format!("Still running: sha256 {}", &second[..8])), "{text}");
    assert_eq!(tried.told("sha256"), second);
    let Reply::Error(text) = client.command(&["POLICY", "RELOAD", "nothing"]) else {
        panic!("it was accepted")
    };
    assert_eq!(text, "ERR Unknown decision 'nothing'. Decisions: fsync, snapshot");
}

#[test]
fn a_policy_that_cannot_be_run_is_replaced_by_the_native_one_at_start() {
    let whole = fsync_guest(1, "", "");
    let half = &whole[..whole.len() / 2];
    let precompiled = [b"\x7fELF".as_slice(), &[2; 4000]].concat();
    let snapshot_world = fsync_guest(1, "", "");
    let clock = guests::guest_with_a_clock();
    let version = guests::guest_of_another_version();
    let endless = fsync_guest(1, LOOP, "");
    let deep = fsync_guest(1, RECURSE, "");
    let greedy = fsync_guest(1, HOG, "");
    let trapping = fsync_guest(1, "unreachable", "");
    let cases: [(&str, &[u8]); 8] = [
        ("truncated", half),
        ("precompiled", &precompiled),
        ("clock", &clock),
        ("version", &version),
        ("endless", &endless),
        ("deep", &deep),
        ("greedy", &greedy),
        ("trapping", &trapping),
    ];
    for (name, bytes) in cases {
        let mut tried = Tried::start(&[("own.wasm", bytes)], &["--policy-fsync", "own.wasm"]);
        assert_eq!(
            (tried.told("status"), tried.told("running")),
            ("refused".into(), "native".into()),
            "{name}"
        );
        let line = tried.line();
        assert!(
            line.contains("running=native,status=refused") && line.contains(",refused=1"),
            "{name}: {line}"
        );
        let log = tried.server.log();
        let told: Vec<&str> = log.lines().filter(|line| line.contains("own.wasm refused: ")).collect();
        assert_eq!(told.len(), 1, "{name}: one line tells:\n{log}");
        tried.still_keeps_what_it_acknowledges();
    }
    // A policy for another decision is refused as well.
    let tried = Tried::start(&[("own.wasm", &snapshot_world)], &["--policy-snapshot", "own.wasm"]);
    let log = tried.server.log();
    assert!(log.contains("own.wasm refused: "), "{log}");
    assert_eq!(tried.client().command(&["SET", "k", "v"]).text(), "OK");
}

#[test]
fn a_policy_that_goes_wrong_while_it_runs_is_overruled_and_quarantined() {
    let nonsense = "(i32.store8 (i32.const 32) (i32.const 2)) (i64.store (i32.const 40) (i64.const 0))
        (i64.store (i32.const 48) (i64.const -1)) (return (i32.const 32))";
    for (name, later, counter) in [
        ("an endless loop", LOOP, "exhausted"),
        ("an endless recursion", RECURSE, "traps"),
        ("a memory hog", HOG, "traps"),
        ("a trap", "unreachable", "traps"),
        ("nonsense", nonsense, "fallbacks"),
    ] {
        let mut tried = Tried::start(
            &[("own.wasm", &fsync_guest(1, "", later))],
            &["--policy-fsync", "own.wasm", "--appendfsync", "everysec"],
        );
        let mut client = tried.client();
        assert_eq!(client.command(&["SET", "k", "v"]).text(), "OK");
        assert_eq!(
            (tried.told("status"), tried.told("fallbacks")),
            ("component".into(), "0".into()),
            "{name}"
        );

        let large = vec![b'x'; TRIGGER_BYTES];
        let provoke = [b"SET".as_slice(), b"large", &large];
        assert_eq!(client.command(&provoke).text(), "OK", "{name}");
        // Not at once, where an fsync of the write before is still in flight.
        wait_until("the fault is counted", || tried.told(counter) != "0");
        assert_ne!(tried.told("last-error"), "", "{name}");
        let log = tried.server.log();
        assert_eq!(log.matches("Policy fsync: own.wasm ").count(), 1, "{name}: one line tells:\n{log}");

        wait_until("it is quarantined", || {
            assert_eq!(client.command(&provoke).text(), "OK", "{name}");
            tried.told("status") == "quarantined"
        });
        assert!(tried.line().contains("running=native,status=quarantined"), "{name}: {}", tried.line());
        assert_eq!(client.command(&["POLICY", "RELOAD", "fsync"]).text(), "OK");
        assert_eq!(tried.told("status"), "component", "{name}: a reload ends the quarantine");
        tried.still_keeps_what_it_acknowledges();
    }
}

#[test]
fn a_policy_that_floods_the_log_is_cut_short() {
    let guest = fsync_guest(1, "", FLOOD);
    let tried =
        Tried::start(&[("own.wasm", &guest)], &["--policy-fsync", "own.wasm", "--appendfsync", "everysec"]);
    let mut client = tried.client();
    let large = vec![b'x'; TRIGGER_BYTES];
    for _ in 0..3 {
        assert_eq!(client.command(&[b"SET".as_slice(), b"large", &large]).text(), "OK");
    }
    let log = tried.server.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("own.wasm says: ")).collect();
    assert!((1..60).contains(&lines.len()), "{} lines", lines.len());
    assert!(lines.iter().all(|line| line.len() < 700), "a line is cut at 512 bytes of message");
    assert_eq!(tried.told("status"), "component", "a flood alone is no fault");
}

#[test]
fn the_example_is_built_and_run_as_its_readme_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let example = root.join("examples/adaptive-fsync");
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join("adaptive-fsync");
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--release", "--locked"]).current_dir(&example).env("CARGO_TARGET_DIR", &built);
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "RUSTC_WORKSPACE_WRAPPER"] {
        command.env_remove(name);
    }
    let output = tools::run(&mut command, b"", Duration::from_secs(300));
    assert!(output.status.success(), "{}", said(&output));
    let component = fs::read(built.join("wasm32-unknown-unknown/release/adaptive_fsync.wasm"));
    let component = component.expect("the build made what the README copies");

    let mut tried = Tried::start(
        &[("adaptive-fsync.wasm", &component)],
        &["--policy-fsync", "adaptive-fsync.wasm target-ms=20", "--appendfsync", "everysec"],
    );
    let log = tried.server.log();
    for expected in [
        "Policy fsync: adaptive-fsync.wasm says: what a crash could lose is kept below 20 ms where the disk allows it",
        "Policy fsync: component adaptive-fsync.wasm (sha256 ",
    ] {
        assert!(log.contains(expected), "{expected:?} is not in:\n{log}");
    }
    let mut client = tried.client();
    for number in 0..50 {
        assert_eq!(client.command(&["SET", "k", &number.to_string()]).text(), "OK");
        sleep(Duration::from_millis(2));
    }
    assert_ne!(tried.told("calls"), "0");
    assert_eq!((tried.told("status"), tried.told("fallbacks")), ("component".into(), "0".into()));
    let set = |client: &mut Client, value: &str| {
        client.command(&["CONFIG", "SET", "policy-fsync", value]).to_string()
    };
    assert_eq!(set(&mut client, "adaptive-fsync.wasm target-ms=200"), "OK");
    assert_eq!(
        set(&mut client, "adaptive-fsync.wasm target-ms=never"),
        "(error) ERR CONFIG SET failed (possibly related to argument 'policy-fsync') - adaptive-fsync.wasm refused: \
         target-ms: found 'never', expected a whole number from 1 to 2000"
    );
    assert_eq!(set(&mut client, "builtin"), "OK");
    tried.still_keeps_what_it_acknowledges();
}

/// A server that was started with a configuration file alone, as people start it.
struct Started {
    child: std::process::Child,
    port: u16,
}

impl Started {
    fn with_file(directory: &Directory, name: &str) -> Started {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        drop(listener);
        let log = fs::File::create(directory.path().join("server.log")).expect("our own directory");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenon"));
        command.args([name, "--port", &port.to_string()]).current_dir(directory.path());
        command.stdout(log.try_clone().expect("a handle")).stderr(log);
        let started = Started { child: command.spawn().expect("the server's program can be started"), port };
        let ping = || Client::try_connect(port).and_then(|mut client| client.try_command(&["PING"]));
        wait_until("the server answers", || ping().is_ok());
        started
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
