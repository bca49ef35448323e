//! What is loaded and what is refused, with which sentence.

mod common;

use common::{Directory, WIT, component, facts, fsync_guest, load_fsync, policies, refusal};
use tenon_policy::{
    Form, FsyncGuard, FsyncPlan, Gather, PolicyLoader, PolicySpec, RefusalKind, Status, conformance,
};
use tenon_wasm::WasmPolicies;

#[test]
fn the_default_policies_are_embedded_components_and_conform() {
    assert!(WasmPolicies::builtins_are_components(), "built with the target wasm32-unknown-unknown");
    let policies = policies(None);
    let start = PolicySpec::BUILTIN.start("default", "0.1.0");
    let mut fsync = policies.load_fsync(&PolicySpec::BUILTIN, &start).expect("loads");
    assert_eq!((fsync.description.form, fsync.description.origin.as_str()), (Form::Component, "embedded"));
    conformance::fsync(fsync.policy.as_mut()).expect("conforms");
    conformance::fsync(fsync.factory.build().expect("builds").as_mut()).expect("conforms when rebuilt");
    let mut snapshot = policies.load_snapshot(&PolicySpec::BUILTIN, &start).expect("loads");
    assert_eq!(snapshot.description.world, "snapshot-policy");
    conformance::snapshot(snapshot.policy.as_mut()).expect("conforms");

    let guard = FsyncGuard::new(fsync, 0);
    assert_eq!((guard.status(), guard.running()), (Status::Component, "builtin"));
    let line = guard.loaded_line();
    assert!(line.starts_with("Policy fsync: component builtin (sha256 "), "{line}");
    assert!(line.ends_with("..., tenon:policy@0.1.0)"), "{line}");
}

#[test]
fn the_default_policies_refuse_settings_by_name() {
    let refusal = load_fsync(&policies(None), "builtin target-ms=20").map(drop).unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::Settings);
    assert!(refusal.stops_start());
    assert_eq!(
        refusal.sentence,
        "builtin refused: unknown setting 'target-ms': the default fsync policy has no settings"
    );
}

#[test]
fn a_file_is_loaded_described_and_pinned() {
    let directory = Directory::with("own.wasm", &fsync_guest("1", "", ""));
    let policies = directory.policies();
    let loaded = load_fsync(&policies, "own.wasm a=1").expect("loads");
    let description = loaded.description.clone();
    assert_eq!((description.name.as_str(), description.world), ("own.wasm", "fsync-policy"));
    assert_eq!(description.origin, directory.path().join("own.wasm").display().to_string());
    assert_eq!(description.settings[0].to_string(), "a=1");
    let mut guard = FsyncGuard::new(loaded, 0);
    assert_eq!(guard.decide(&facts(1), || 0), FsyncPlan::Sync(Gather::micros(7)));
    assert_eq!(guard.statistics().memory_bytes, 65_536);
    assert!(guard.statistics().fuel_max > 0);

    let sha256 = description.sha256.expect("a component has one");
    assert!(load_fsync(&policies, &format!("own.wasm sha256:{sha256}")).is_ok());
    let wrong = "0".repeat(64);
    let refusal = load_fsync(&policies, &format!("own.wasm sha256:{wrong}")).map(drop).unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::Checksum);
    assert_eq!(refusal.sentence, format!("own.wasm refused: its sha256 is {sha256}, expected {wrong}"));
}

#[test]
fn what_is_not_there_is_missing() {
    let refused = load_fsync(&policies(None), "own.wasm").map(drop).unwrap_err();
    assert_eq!(refused.kind, RefusalKind::Missing);
    assert_eq!(refused.sentence, "own.wasm not found: there is no policy-directory");
    let directory = Directory::new();
    std::fs::create_dir(directory.path().join("folder.wasm")).expect("a directory");
    for (file, part) in [("own.wasm", "No such file"), ("folder.wasm", "not a plain file")] {
        let refused = load_fsync(&directory.policies(), file).map(drop).unwrap_err();
        assert_eq!(refused.kind, RefusalKind::Missing);
        assert!(refused.sentence.contains(part), "{refused}");
    }
    let gone = directory.path().join("gone");
    assert!(WasmPolicies::new(Some(gone), tenon_wasm::Limits::default()).is_err());
}

#[test]
fn forbidden_imports_are_all_named() {
    let wit = format!(
        "{} package wasi:clocks@0.2.0 {{ interface wall-clock {{ now: func() -> u64; }} }}
         package wasi:random@0.2.0 {{ interface random {{ draw: func() -> u64; }} }}",
        WIT.replace(
            "world fsync-policy {",
            "world fsync-policy { import wasi:random/random@0.2.0; import wasi:clocks/wall-clock@0.2.0;"
        )
    );
    let module = minimal("0.1.0").replace(
        "(module",
        r#"(module
            (import "wasi:random/random@0.2.0" "draw" (func (result i64)))
            (import "wasi:clocks/wall-clock@0.2.0" "now" (func (result i64)))"#,
    );
    let refused = refusal(&component(&module, &wit, "fsync-policy"));
    assert_eq!(refused.kind, RefusalKind::Sandbox);
    assert!(!refused.stops_start());
    assert_eq!(
        refused.sentence,
        "guest.wasm refused: imports wasi:clocks/wall-clock@0.2.0, wasi:random/random@0.2.0; \
         only tenon:policy/log is allowed"
    );
}

#[test]
fn another_world_or_version_is_named() {
    let module = r#"(module (memory (export "memory") 1)
        (func (export "tenon:policy/snapshot@0.1.0#init") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 16))
        (func (export "tenon:policy/snapshot@0.1.0#decide") (param i32) (result i32) (i32.const 0))
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 64)))"#;
    let refused = refusal(&component(module, WIT, "snapshot-policy"));
    assert_eq!(
        refused.sentence,
        "guest.wasm refused: it exports the world snapshot-policy; fsync-policy is needed"
    );

    let later = WIT.replace("tenon:policy@0.1.0", "tenon:policy@0.2.0");
    let refused = refusal(&component(&minimal("0.2.0"), &later, "fsync-policy"));
    assert_eq!(
        refused.sentence,
        "guest.wasm refused: it was built against tenon:policy@0.2.0; this server speaks tenon:policy@0.1.0"
    );

    let refused = refusal(&component("(module)", "package a:b; world nothing { }", "nothing"));
    assert_eq!(
        refused.sentence,
        "guest.wasm refused: it exports no world of tenon:policy; fsync-policy is needed"
    );
}

#[test]
fn a_contract_of_the_same_name_with_other_types_is_refused() {
    let other = WIT.replace("unsynced-commits: u32", "unsynced-commits: u64");
    let module = minimal("0.1.0").replace("(param i64 i32 i32 i64 i32", "(param i64 i32 i32 i64 i64");
    let refused = refusal(&component(&module, &other, "fsync-policy"));
    assert!(
        refused.sentence.starts_with("guest.wasm refused: its types differ from tenon:policy@0.1.0: "),
        "{refused}"
    );
}

#[test]
fn files_that_are_no_components_are_refused_with_what_they_are() {
    let sound = fsync_guest("1", "", "");
    for length in [1, 7, 8, sound.len() / 3, sound.len() / 2, sound.len() - 1] {
        let refused = refusal(&sound[..length]);
        assert_eq!(refused.kind, RefusalKind::Sandbox, "{length} of {} bytes", sound.len());
    }
    assert!(
        refusal(&sound[..sound.len() - 5])
            .sentence
            .starts_with("guest.wasm refused: it is damaged or cut short: ")
    );
    assert_eq!(refusal(b"").sentence, "guest.wasm refused: it is empty");
    let module = wat::parse_str("(module)").expect("valid");
    assert!(refusal(&module).sentence.contains("it is a core module, not a component"));

    let engine = wasmtime::Engine::default();
    let precompiled =
        wasmtime::component::Component::new(&engine, &sound).and_then(|sound| sound.serialize());
    let refused = refusal(&precompiled.expect("compiles"));
    assert_eq!(
        refused.sentence,
        "guest.wasm refused: it is precompiled native code; only WebAssembly components are accepted"
    );
}

#[test]
fn damaged_components_never_panic() {
    let sound = fsync_guest("1", "", "");
    // A fixed walk over the bytes: each step cuts there, or changes one of them in one of three ways.
    let directory = Directory::new();
    let policies = directory.policies();
    for (at, byte) in sound.iter().enumerate().step_by(41) {
        let changed = [byte ^ 0x01, byte ^ 0x80, 0xff].map(|changed| {
            let mut damaged = sound.clone();
            damaged[at] = changed;
            damaged
        });
        for damaged in changed.into_iter().chain([sound[..at].to_vec()]) {
            directory.write("guest.wasm", &damaged);
            if let Err(refused) = load_fsync(&policies, "guest.wasm") {
                assert!(refused.sentence.starts_with("guest.wasm refused: "), "{refused}");
                assert!(!refused.sentence.contains('\n'), "{refused}");
            }
        }
    }
}

#[test]
fn a_file_above_the_limit_is_not_read() {
    let directory = Directory::new();
    let file = std::fs::File::create(directory.path().join("guest.wasm")).expect("a file");
    file.set_len(tenon_wasm::FILE_BYTES_MAX + 1).expect("a sparse file");
    let refused = load_fsync(&directory.policies(), "guest.wasm").map(drop).unwrap_err();
    assert_eq!(refused.sentence, "guest.wasm refused: it has 16777217 bytes, at most 16777216 are allowed");
}

#[test]
fn the_directory_lists_what_could_be_used_and_why_not() {
    let directory = Directory::with("good.wasm", &fsync_guest("1", "", ""));
    directory.write("bad.wasm", b"nothing");
    directory.write("readme.txt", b"nothing");
    directory.write(".hidden.wasm", b"nothing");
    let later = WIT.replace("tenon:policy@0.1.0", "tenon:policy@0.2.0");
    directory.write("later.wasm", &component(&minimal("0.2.0"), &later, "fsync-policy"));
    let policies = directory.policies();
    for _ in 0..2 {
        let available = policies.available();
        let files: Vec<&str> = available.iter().map(|found| found.file.as_str()).collect();
        assert_eq!(files, ["bad.wasm", "good.wasm", "later.wasm"]);
        assert!(available[0].error.as_deref().is_some_and(|error| error.contains("starts with 6e 6f")));
        assert_eq!(available[1].error, None);
        assert_eq!(available[1].world.as_deref(), Some("fsync-policy"));
        assert_eq!(available[1].version.as_deref(), Some("tenon:policy@0.1.0"));
        assert_eq!(available[2].version.as_deref(), Some("tenon:policy@0.2.0"));
        assert!(available[2].error.is_some());
    }
    std::fs::remove_file(directory.path().join("bad.wasm")).expect("is there");
    assert_eq!(policies.available().len(), 2);
}

#[test]
fn guests_beyond_the_limit_are_refused_and_room_comes_back() {
    let policies = policies(None);
    let load = || load_fsync(&policies, "builtin");
    let held: Vec<_> = (0..7).map(|_| load().expect("there is room")).collect();
    let more: Vec<_> = (0..3).map(|_| load()).collect();
    let refused = more.into_iter().find_map(Result::err).expect("eight guests are the limit");
    assert!(refused.sentence.starts_with("builtin refused: while starting, it "), "{refused}");
    drop(held);
    load().expect("there is room again");
}

/// An fsync guest of some version that does nothing.
fn minimal(version: &str) -> String {
    format!(
        r#"(module (memory (export "memory") 1)
        (func (export "tenon:policy/fsync@{version}#init") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 16))
        (func (export "tenon:policy/fsync@{version}#decide")
            (param i64 i32 i32 i64 i32 i64 i32 i64 i64 i32 i32 i32 i32 i32 i64) (result i32) (i32.const 32))
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 64)))"#
    )
}
