//! Fsync policies for tests: core modules as text, made components of with the contract's own WIT.
//! Always: a guest is as small as what it shows.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The contract.
pub(crate) const WIT: &str = include_str!("../../wit/v0.1/policy.wit");

/// A guest misbehaves when so many bytes are unsynced: more than any question at load says.
pub(crate) const TRIGGER_BYTES: usize = 6_000_000;

pub(crate) const LOOP: &str = "(loop $again (br $again))";
pub(crate) const RECURSE: &str = "(drop (call $recurse (i32.const 0)))";
pub(crate) const HOG: &str =
    "(loop $again (br_if $again (i32.ge_s (memory.grow (i32.const 16)) (i32.const 0))))";
pub(crate) const FLOOD: &str = "(loop $again (call $log)
    (local.set $n (i32.add (local.get $n) (i32.const 1)))
    (br_if $again (i32.lt_u (local.get $n) (i32.const 200))))";

/// An fsync policy that wants a sync after `gather_us`, runs `start` in `init`, and `later` once triggered.
pub(crate) fn fsync_guest(gather_us: u32, start: &str, later: &str) -> Vec<u8> {
    fsync_guest_with_import("", gather_us, start, later, WIT)
}

/// The same with one more import.
fn fsync_guest_with_import(import: &str, gather_us: u32, start: &str, later: &str, wit: &str) -> Vec<u8> {
    let module = format!(
        r#"(module
            (import "tenon:policy/log@0.1.0" "write" (func $write (param i32 i32 i32)))
            {import}
            (memory (export "memory") 1)
            (func $log (call $write (i32.const 3) (i32.const 1024) (i32.const 600)))
            (func $recurse (param i32) (result i32)
                (i32.add (call $recurse (i32.add (local.get 0) (i32.const 1))) (local.get 0)))
            (func (export "tenon:policy/fsync@0.1.0#init") (param i32 i32 i32 i32 i32 i32) (result i32)
                {start}
                (i32.store8 (i32.const 16) (i32.const 0))
                (i32.const 16))
            (func (export "tenon:policy/fsync@0.1.0#decide")
                (param i64 i32 i32 i64 i32 i64 i32 i64 i64 i32 i32 i32 i32 i32 i64) (result i32) (local $n i32)
                (if (i64.ge_u (local.get 3) (i64.const {TRIGGER_BYTES})) (then {later}))
                (i32.store8 (i32.const 32) (i32.const 0))
                (i32.store (i32.const 40) (i32.const {gather_us}))
                (i64.store (i32.const 48) (i64.const -1))
                (i32.const 32))
            (global $free (mut i32) (i32.const 62000))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (global.set $free (i32.add (global.get $free) (i32.const 64)))
                (i32.sub (global.get $free) (i32.const 64))))"#
    );
    component(&module, wit, "fsync-policy")
}

/// A guest that wants to know the time, which only the host may know.
pub(crate) fn guest_with_a_clock() -> Vec<u8> {
    let wit = WIT.replace(
        "world fsync-policy {",
        "interface clock { now: func() -> u64; }\nworld fsync-policy { import clock;",
    );
    assert!(wit != WIT, "the contract has the world");
    let import = r#"(import "tenon:policy/clock@0.1.0" "now" (func $now (result i64)))"#;
    fsync_guest_with_import(import, 1, "(drop (call $now))", "", &wit)
}

/// A guest for a contract that does not exist yet.
pub(crate) fn guest_of_another_version() -> Vec<u8> {
    let wit = WIT.replace("package tenon:policy@0.1.0;", "package tenon:policy@9.9.0;");
    let module = r#"(module
        (memory (export "memory") 1)
        (func (export "tenon:policy/fsync@9.9.0#init") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 16))
        (func (export "tenon:policy/fsync@9.9.0#decide")
            (param i64 i32 i32 i64 i32 i64 i32 i64 i64 i32 i32 i32 i32 i32 i64) (result i32) (i32.const 32))
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0)))"#;
    component(module, &wit, "fsync-policy")
}

fn component(module: &str, wit: &str, world: &str) -> Vec<u8> {
    let mut module = wat::parse_str(module).expect("the module is valid text");
    let mut resolve = Resolve::default();
    let package = resolve.push_str("test.wit", wit).expect("the contract parses");
    let world = resolve.select_world(&[package], Some(world)).expect("the world is there");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("embeds");
    let encoder = ComponentEncoder::default().module(&module).expect("the module fits the world");
    encoder.validate(true).encode().expect("encodes")
}
