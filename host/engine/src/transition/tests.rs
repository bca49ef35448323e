//! Transitions seen by clients, with policies that load only if their name says so and sockets that the test holds.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use tenon_base::{Input, ListenError, Output};
use tenon_policy::{
    AvailableFile, Decision, FileChange, Form, Loaded, LoadedFsync, LoadedSnapshot, PolicyLoader, PolicySpec,
    Refusal, RefusalKind, Sha256, Start,
};

use tenon_resp::Value;

use crate::testing::Bench;

/// Loads every file but `bad.wasm`, as the native policy under the file's name, with a checksum that says which load
/// it was. `panic.wasm` panics.
#[derive(Default)]
struct ByName {
    loads: AtomicU8,
    /// What is told once.
    changes: Mutex<Vec<FileChange>>,
}

fn load<D: Decision>(loads: &AtomicU8, spec: &PolicySpec) -> Result<Loaded<D>, Refusal> {
    assert_ne!(spec.name(), "panic.wasm", "asked to");
    if spec.name() == "bad.wasm" {
        let sentence = "bad.wasm refused: it is bad".to_owned();
        return Err(Refusal { kind: RefusalKind::Sandbox, sentence });
    }
    let mut loaded = Loaded::native(&[])?;
    loaded.description.name = spec.name().to_owned();
    loaded.description.form = Form::Component;
    loaded.description.sha256 = Some(Sha256([loads.fetch_add(1, Ordering::Relaxed) + 1; 32]));
    Ok(loaded)
}

impl PolicyLoader for ByName {
    fn load_fsync(&self, spec: &PolicySpec, _: &Start) -> Result<LoadedFsync, Refusal> {
        load(&self.loads, spec)
    }

    fn load_snapshot(&self, spec: &PolicySpec, _: &Start) -> Result<LoadedSnapshot, Refusal> {
        load(&self.loads, spec)
    }

    fn available(&self) -> Vec<AvailableFile> {
        let file = |file: &str, error: Option<&str>| AvailableFile {
            file: file.to_owned(),
            world: None,
            version: None,
            error: error.map(str::to_owned),
        };
        vec![file("a.wasm", None), file("bad.wasm", Some("it is bad"))]
    }

    fn changes(&self, _: u64) -> Vec<FileChange> {
        std::mem::take(&mut *self.changes.lock().unwrap())
    }
}

fn bench() -> Bench {
    bench_with(Arc::default())
}

fn bench_with(loader: Arc<ByName>) -> Bench {
    let mut bench = Bench::new(&[("policy-directory", "/policies")]);
    bench.engine.policies.use_loader(loader);
    bench
}

const FAILED: &str = "(error) ERR CONFIG SET failed (possibly related to argument";

#[test]
fn a_policy_is_swapped_with_all_of_its_change_or_not_at_all() {
    let mut bench = bench();
    assert_eq!(bench.run(1, "CONFIG SET policy-fsync a.wasm maxclients 77"), "OK");
    assert_eq!(bench.run(1, "CONFIG GET maxclients"), r#"["maxclients", "77"]"#);
    assert!(bench.run(1, "POLICY INFO fsync").starts_with(
        r#"["decision", "fsync", "configured", "a.wasm", "running", "a.wasm", "status", "component", "#
    ));

    let refused = bench.run(1, "CONFIG SET maxclients 88 policy-snapshot a.wasm policy-fsync bad.wasm");
    assert_eq!(refused, format!("{FAILED} 'policy-fsync') - bad.wasm refused: it is bad"));
    assert_eq!(
        bench.run(1, "CONFIG GET maxclients policy-*t"),
        r#"["maxclients", "77", "policy-snapshot", "builtin"]"#
    );
    assert!(bench.run(1, "POLICY INFO snapshot").contains(r#""running", "native""#));
}

#[test]
fn what_a_client_sends_while_it_waits_runs_behind() {
    let mut bench = bench();
    let replies = bench.send_bytes(1, b"CONFIG SET policy-fsync a.wasm\r\nPOLICY RELOAD\r\nPING\r\nPIN");
    let ok = Value::Simple(b"OK".to_vec());
    assert_eq!(replies, [ok.clone(), ok, Value::Simple(b"PONG".to_vec())]);
    assert_eq!(bench.send_bytes(1, b"G\r\n").len(), 1);
}

#[test]
fn a_load_that_panics_is_a_refusal() {
    let mut bench = bench();
    let reply = bench.run(1, "CONFIG SET policy-snapshot panic.wasm");
    assert!(reply.starts_with(&format!("{FAILED} 'policy-snapshot') - ")), "{reply}");
    assert_eq!(bench.run(1, "PING"), "PONG");
    assert_eq!(bench.run(1, "CONFIG SET policy-snapshot a.wasm"), "OK");
}

#[test]
fn sockets_that_cannot_be_had_leave_everything_as_it_was() {
    let mut bench = bench();
    bench.listening = Err(ListenError::Address("*:7777: Address already in use".to_owned()));
    let refused = bench.run(1, "CONFIG SET maxclients 99 port 7777");
    assert_eq!(refused, format!("{FAILED} 'port') - Unable to listen on this port. Check server logs."));
    assert_eq!(bench.run(1, "CONFIG GET port maxclients"), r#"["port", "6379", "maxclients", "10000"]"#);
    bench.listening = Ok(());
    assert_eq!(bench.run(1, "CONFIG SET port 7777 policy-fsync a.wasm"), "OK");
    assert_eq!(bench.run(1, "CONFIG GET port policy-fsync"), r#"["port", "7777", "policy-fsync", "a.wasm"]"#);
}

#[test]
fn policies_are_listed_with_the_files_that_nobody_uses() {
    let mut bench = bench();
    assert_eq!(bench.run(1, "CONFIG SET policy-fsync a.wasm"), "OK");
    let listed = bench.run(1, "POLICY LIST");
    assert!(listed.contains(r#"["file", "bad.wasm", "world", (nil), "version", (nil), "status", "refused""#));
    assert!(!listed.contains(r#""file", "a.wasm""#), "{listed}");
    assert_eq!(bench.run(1, "POLICY RELOAD fsync"), "OK");
    assert_eq!(
        bench.run(1, "POLICY RELOAD placement"),
        "(error) ERR Unknown decision 'placement'. Decisions: fsync, snapshot"
    );
}

#[test]
fn clients_take_turns_and_nobody_else_waits() {
    let mut bench = bench();
    let [first, second, third] = [1, 2, 3].map(|client| bench.connect(client));
    let mut held = Vec::new();
    for (connection, bytes) in [
        (first, &b"CONFIG SET policy-fsync a.wasm\r\n"[..]),
        (second, b"CONFIG SET policy-fsync b.wasm port 1234\r\n"),
        (third, b"CONFIG GET policy-fsync\r\n"),
    ] {
        bench.input(Input::Received { connection, bytes });
        held.extend(bench.outputs.take_requests());
    }
    let loads = held.iter().filter(|request| matches!(request, Output::Run { .. })).count();
    assert_eq!(loads, 1, "the second change waits for the first");
    assert_eq!(bench.replies(3).len(), 1);
    assert!(bench.replies(1).is_empty() && bench.replies(2).is_empty());
    held.into_iter().for_each(|request| bench.carry_out(request));
    bench.settle();
    assert_eq!((bench.replies(1).len(), bench.replies(2).len()), (1, 1));
    assert_eq!(bench.run(1, "CONFIG GET policy-fsync port"), r#"["policy-fsync", "b.wasm", "port", "1234"]"#);
}

#[test]
fn a_changed_file_is_loaded_again_and_a_missing_one_goes_on() {
    let loader = Arc::<ByName>::default();
    let mut bench = bench_with(Arc::clone(&loader));
    let change = |file: &str| loader.changes.lock().unwrap().push(FileChange::Changed(file.to_owned()));
    assert_eq!(bench.run(1, "CONFIG SET policy-fsync a.wasm policy-snapshot b.wasm"), "OK");
    assert!(bench.run(1, "POLICY INFO fsync").contains(&"01".repeat(32)));
    change("a.wasm");
    change("unused.wasm");
    bench.sleep(600);
    assert!(bench.run(1, "POLICY INFO fsync").contains(&"03".repeat(32)));
    assert!(bench.run(1, "POLICY INFO snapshot").contains(&"02".repeat(32)), "its file is another");
    loader.changes.lock().unwrap().push(FileChange::Gone("a.wasm".to_owned()));
    bench.sleep(600);
    assert!(bench.run(1, "POLICY INFO fsync").contains(&"03".repeat(32)));
    assert_eq!(loader.loads.load(Ordering::Relaxed), 3);
}
