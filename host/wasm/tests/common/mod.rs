//! Guests for tests: core modules as text, made components of with the contract's own WIT.
//! Always: a guest is as small as what it shows.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use tenon_policy::{
    FsyncFacts, FsyncGuard, FsyncPlan, Loaded, LoadedFsync, PolicyLoader, PolicySpec, Refusal, conformance,
};
use tenon_wasm::{Limits, WasmPolicies};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The contract.
pub const WIT: &str = include_str!("../../../../wit/v0.1/policy.wit");

/// Guests misbehave from this time on; the questions at load are earlier.
pub const LATER_US: u64 = 1_000_000_000_000;

/// An fsync guest that answers `sync(7)` until [`LATER_US`] and then runs `later`; `start` runs in `init`, which then
/// accepts. `memory` is its memory's limits. `$log` logs 600 bytes; `$n` is 0.
pub fn fsync_guest(memory: &str, start: &str, later: &str) -> Vec<u8> {
    let module = format!(
        r#"(module
            (import "tenon:policy/log@0.1.0" "write" (func $write (param i32 i32 i32)))
            (memory (export "memory") {memory})
            (func $log (call $write (i32.const 3) (i32.const 1024) (i32.const 600)))
            (func $recurse (param i32) (result i32)
                (i32.add (call $recurse (i32.add (local.get 0) (i32.const 1))) (local.get 0)))
            (func (export "tenon:policy/fsync@0.1.0#init") (param i32 i32 i32 i32 i32 i32) (result i32)
                {start}
                (i32.store8 (i32.const 16) (i32.const 0))
                (i32.const 16))
            (func (export "tenon:policy/fsync@0.1.0#decide")
                (param i64 i32 i32 i64 i32 i64 i32 i64 i64 i32 i32 i32 i32 i32 i64) (result i32) (local $n i32)
                (if (i64.ge_u (local.get 0) (i64.const {LATER_US})) (then {later}))
                (i32.store8 (i32.const 32) (i32.const 0))
                (i32.store (i32.const 40) (i32.const 7))
                (i64.store (i32.const 48) (i64.const -1))
                (i32.const 32))
            (global $free (mut i32) (i32.const 62000))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (global.set $free (i32.add (global.get $free) (i32.const 64)))
                (i32.sub (global.get $free) (i32.const 64))))"#
    );
    component(&module, WIT, "fsync-policy")
}

/// Makes a component of a core module.
pub fn component(module: &str, wit: &str, world: &str) -> Vec<u8> {
    let mut module = wat::parse_str(module).expect("the module is valid text");
    let mut resolve = Resolve::default();
    let package = resolve.push_str("test.wit", wit).expect("the contract parses");
    let world = resolve.select_world(&[package], Some(world)).expect("the world is there");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("embeds");
    let encoder = ComponentEncoder::default().module(&module).expect("the module fits the world");
    encoder.validate(true).encode().expect("encodes")
}

/// A policy directory that is gone when the test is.
pub struct Directory(PathBuf);

impl Directory {
    /// Makes it, empty.
    pub fn new() -> Directory {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("tenon-wasm-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a directory for the test");
        Directory(path)
    }

    /// With one file.
    pub fn with(file: &str, bytes: &[u8]) -> Directory {
        let directory = Directory::new();
        directory.write(file, bytes);
        directory
    }

    /// Writes a file.
    pub fn write(&self, file: &str, bytes: &[u8]) {
        fs::write(self.0.join(file), bytes).expect("the test's directory can be written");
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A loader for it, with room for few guests.
    pub fn policies(&self) -> WasmPolicies {
        policies(Some(self.0.clone()))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A loader with room for few guests.
pub fn policies(directory: Option<PathBuf>) -> WasmPolicies {
    WasmPolicies::new(directory, Limits { guests_max: 8, ..Limits::default() }).expect("a sandbox")
}

/// Loads an fsync policy as `policy-fsync TEXT` would.
pub fn load_fsync(policies: &WasmPolicies, text: &str) -> Result<LoadedFsync, Refusal> {
    let spec: PolicySpec = text.parse().expect("the directive parses");
    policies.load_fsync(&spec, &spec.start("default", "0.1.0"))
}

/// Loads bytes as `guest.wasm`; the answer must be a refusal.
pub fn refusal(bytes: &[u8]) -> Refusal {
    let directory = Directory::with("guest.wasm", bytes);
    match load_fsync(&directory.policies(), "guest.wasm") {
        Ok(Loaded { description, .. }) => panic!("loaded: {description:?}"),
        Err(refusal) => refusal,
    }
}

/// Loads bytes as `guest.wasm` behind a guard.
pub fn guarded(bytes: &[u8]) -> FsyncGuard {
    let directory = Directory::with("guest.wasm", bytes);
    FsyncGuard::new(load_fsync(&directory.policies(), "guest.wasm").expect("loads"), 0)
}

/// Facts on which the native policy says that it waits, which no guest of these tests does.
pub fn facts(now_us: u64) -> FsyncFacts {
    FsyncFacts {
        now_us,
        unsynced_bytes: 10,
        unsynced_commits: 1,
        since_fsync_us: 0,
        ..conformance::CLEAN_FSYNC
    }
}

/// Whether a plan is the native policy's for [`facts`].
pub fn is_native(plan: FsyncPlan) -> bool {
    matches!(plan, FsyncPlan::Wait { .. })
}
