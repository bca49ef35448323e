//! Every wire script in `tests/scripts`, spoken to Tenon and to redis-server: both must say what is written.
//! A script is one test for each of them: `cargo test --test wire tenon::strings`.
//! Always: a script that no line below names is itself a failure.

mod support;

use std::path::{Path, PathBuf};

use support::script::Script;
use support::server::Server;

/// What both servers are started with: nothing saved, DEBUG allowed.
const ARGUMENTS: [&str; 4] = ["--save", "", "--enable-debug-command", "yes"];

macro_rules! scripts {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];

        mod tenon {
            $(#[test] fn $name() { super::speak_to_tenon(stringify!($name)); })*
        }

        mod redis {
            $(#[test] fn $name() { super::speak_to_redis(stringify!($name)); })*
        }
    };
}

scripts! {
    strings counters lists list_options blocking hashes hash_options sets set_stores
    sorted_sets sorted_set_ranges sorted_set_algebra keys expiry errors protocol resp3
    streams stream_trims stream_reads stream_groups stream_claims stream_info
    bits bitfields hyperloglogs
    geo sort payloads
    transactions pubsub
    scripting
}

#[test]
fn every_script_is_named() {
    let files = std::fs::read_dir(directory()).expect("tests/scripts is part of the repository");
    let mut found: Vec<String> = files
        .filter_map(|file| file.ok()?.file_name().to_str()?.strip_suffix(".resp").map(str::to_owned))
        .collect();
    let mut named: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    found.sort();
    named.sort();
    assert_eq!(found, named, "tests/scripts holds the left, tests/wire.rs names the right");
}

#[test]
fn a_script_with_a_mistake_is_refused() {
    let cases = [
        ("> PING\n", "t:1: found no expected reply"),
        ("< PONG\n", "t:1: found a reply; expected a request before it"),
        ("PING\n", "t:1: found \"PING\"; expected a request"),
        ("# x\n> GET \"k\n", "t:2: found an open quote"),
        ("! sleep long\n", "t:1: found \"long\"; expected milliseconds"),
        ("b>> PING\n< PONG\n", "t:2: found a reply to a request sent with `>>`"),
    ];
    for (text, expected) in cases {
        let error = Script::parse("t", text).err().unwrap_or_default();
        assert!(error.starts_with(expected), "{text:?} gives {error:?}");
    }
}

#[test]
fn a_wrong_reply_is_told_with_its_line() {
    let Some(server) = Server::redis(&ARGUMENTS) else { return };
    let script = Script::parse("t", "# x\n> PING\n< PANG\n").expect("the script is well formed");
    let error = script.run(server.port()).expect_err("redis-server says PONG");
    assert_eq!(error, "t:2: > PING\n  expected\n    PANG\n  heard\n    PONG\n");
}

fn speak_to_tenon(name: &str) {
    let server = Server::tenon(&ARGUMENTS);
    speak(name, &server);
}

fn speak_to_redis(name: &str) {
    let Some(server) = Server::redis(&ARGUMENTS) else { return };
    if std::env::var_os("UPDATE").is_some() {
        let text = read(name).rewritten(server.port()).unwrap_or_else(|error| panic!("{error}"));
        std::fs::write(path(name), text).expect("tests/scripts can be written");
        return;
    }
    speak(name, &server);
}

fn speak(name: &str, server: &Server) {
    if let Err(differences) = read(name).run(server.port()) {
        panic!("\n{differences}");
    }
}

fn read(name: &str) -> Script {
    let text = std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}.resp: {error}"));
    Script::parse(&format!("tests/scripts/{name}.resp"), &text).unwrap_or_else(|error| panic!("{error}"))
}

fn path(name: &str) -> PathBuf {
    directory().join(name).with_extension("resp")
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts")
}
