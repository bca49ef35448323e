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
    scripting script_gates features_off
    transactions pubsub tracking refusals server memory
    replication
    acl
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

/// Commands that no script calls, and why.
const UNCALLED: [(&str, &str); 16] = [
    ("memory|doctor", "it advises in each server's own words; the engine's tests call it"),
    ("memory|malloc-stats", "it prints what the allocator says"),
    ("latency|doctor", "it advises in each server's own words; the engine's tests call it"),
    ("function|dump", "its payload names the version that wrote it"),
    ("function|kill", "it needs a function that does not end"),
    ("script|debug", "SYNC with a script is a conversation of its own: see tests/stepping.rs"),
    ("monitor", "it is sent what other connections do; the engine's tests call it"),
    ("pfselftest", "it takes Redis seconds; a unit test calls it"),
    ("shutdown", "it ends the server; tests of the program itself call it"),
    ("backup", "Tenon's own, so that there is no judge; tests/backup calls it"),
    ("policy", "Tenon's own, so that there is no judge; tests/policies calls it"),
    ("client|no-touch", "came with 7.2; the judge is 7.0.15"),
    ("cluster|myshardid", "came with 7.2; the judge is 7.0.15"),
    ("waitaof", "came with 7.2; the judge is 7.0.15"),
    ("client|setinfo", "came with 7.2; the judge is 7.0.15"),
    (
        "bgsave",
        "whether a save is still running when the next command comes is chance; tests/peers.rs calls it",
    ),
];

#[test]
fn every_command_is_called_by_a_script() {
    let called: Vec<String> = NAMES.iter().flat_map(|name| read(name).called()).collect();
    let server = Server::tenon(&ARGUMENTS);
    let all = server.client().command(&["COMMAND", "LIST"]);
    // HELP says in each server's own words what there is; the engine's tests call it.
    let is_excused = |name: &str| {
        let parent = name.split('|').next().unwrap_or(name);
        name.ends_with("|help") || UNCALLED.iter().any(|(excused, _)| name == *excused || parent == *excused)
    };
    let names: Vec<String> = all.elements().iter().map(support::reply::Reply::text).collect();
    let uncalled: Vec<&String> =
        names.iter().filter(|name| !called.contains(name) && !is_excused(name)).collect();
    assert!(uncalled.is_empty(), "no script calls {uncalled:?}");
    let gone: Vec<&str> = UNCALLED
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !names.iter().any(|known| known == name))
        .collect();
    assert!(gone.is_empty(), "these are excused and do not exist: {gone:?}");
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
