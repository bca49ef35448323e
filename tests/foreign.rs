//! Files that others wrote: those that Redis's own suite loads, and of newer servers what there is no command for here.
//! Always: a file is loaded as its writer would load it, or the log says what was left out.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use support::contents::Contents;
use support::server::{Directory, Program, Server, oracle};
use support::tools::{self, said};

const PATIENCE: Duration = Duration::from_secs(20);
const DUMPING: [&str; 6] = ["--save", "", "--enable-debug-command", "yes", "--appendonly", "no"];
const LOGGING: [&str; 6] = ["--save", "", "--enable-debug-command", "yes", "--appendonly", "yes"];

/// The files that Redis's suite loads (`tests/assets` of its sources), where the environment says that they are.
fn assets() -> Option<PathBuf> {
    let named = std::env::var_os("TENON_REDIS_ASSETS").map(PathBuf::from);
    if named.is_none() {
        tools::tell("skipped: TENON_REDIS_ASSETS names no folder with the files of Redis's suite");
    }
    named.filter(|_| oracle())
}

/// A data directory with a copy of the file under a name.
fn directory_with(file: &Path, name: &str) -> Directory {
    let directory = Directory::new();
    fs::copy(file, directory.path().join(name)).expect("our own directory");
    directory
}

fn tenon(words: &[&str], path: &Path) -> std::process::Output {
    tools::run(Command::new(env!("CARGO_BIN_EXE_tenon")).args(words).arg(path), b"", PATIENCE)
}

#[test]
fn dumps_of_redis_suite_load_as_redis_loads_them() {
    let Some(assets) = assets() else { return };
    let names = [
        "encodings.rdb",
        "list-quicklist.rdb",
        "hash-ziplist.rdb",
        "hash-zipmap.rdb",
        "zset-ziplist.rdb",
        "scriptbackup.rdb",
        "corrupt_empty_keys.rdb",
    ];
    for name in names {
        let file = assets.join(name);
        let redis = Server::start(Program::Redis, &DUMPING, directory_with(&file, "dump.rdb"));
        let expected = Contents::of(&redis);
        let holds_no_key = ["scriptbackup.rdb", "corrupt_empty_keys.rdb"].contains(&name);
        assert_eq!(expected.0.is_empty(), holds_no_key, "{name}");
        let tenon = Server::start(Program::Tenon, &DUMPING, directory_with(&file, "dump.rdb"));
        let found = Contents::of(&tenon);
        match name {
            // Scores of ten digits.
            "encodings.rdb" => expected.same_values_as(&found, name),
            _ => expected.same_as(&found, name),
        }
        // What was taken in goes back, and the same judge digests it.
        assert_eq!(tenon.client().command(&["SAVE"]).text(), "OK");
        let redis = Server::start(Program::Redis, &DUMPING, tenon.into_directory());
        expected.same_as(&Contents::of(&redis), &format!("{name}, saved here, in Redis"));
    }
}

#[test]
fn an_old_log_of_redis_suite_becomes_a_base() {
    let Some(assets) = assets() else { return };
    let file = assets.join("rdb-preamble.aof");
    let redis = Server::start(Program::Redis, &LOGGING, directory_with(&file, "appendonly.aof"));
    let expected = Contents::of(&redis);
    assert!(!expected.0.is_empty());
    let tenon = Server::start(Program::Tenon, &LOGGING, directory_with(&file, "appendonly.aof"));
    expected.same_as(&Contents::of(&tenon), "the log");
    let redis = Server::start(Program::Redis, &LOGGING, tenon.into_directory());
    expected.same_as(&Contents::of(&redis), "the log, in the directory that it was taken into, in Redis");
}

#[test]
fn a_damaged_dump_of_redis_suite_is_refused_as_redis_refuses_it() {
    let Some(assets) = assets() else { return };
    let file = assets.join("corrupt_ziplist.rdb");
    for program in [Program::Redis, Program::Tenon] {
        let mut server = Server::unready(program, &DUMPING, directory_with(&file, "dump.rdb"));
        let until = std::time::Instant::now() + PATIENCE;
        while !server.has_ended() {
            assert!(std::time::Instant::now() < until, "{program:?} starts:\n{}", server.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(server.log().contains("integrity check failed"), "{program:?}:\n{}", server.log());
    }
    let checked = tenon(&["check", "rdb"], &file);
    assert!(!checked.status.success() && said(&checked).contains("offset"), "{}", said(&checked));
}

/// A dump of version 12: a string, a module's value, and a hash with a field that has a time to come and one that is past.
fn of_a_newer_server() -> Vec<u8> {
    let mut file = b"REDIS0012\xfe\x00".to_vec();
    file.extend_from_slice(b"\x00\x04kept\x05value");
    file.extend_from_slice(b"\x07\x08document\x81\x01\x02\x03\x04\x05\x06\x07\x08\x05\x04{\"a\"\x02\x07\x00");
    // Times in 1970 and in 2100.
    let to_come = 4_102_444_800_000_u64;
    file.extend_from_slice(b"\x18\x04hash");
    file.extend_from_slice(&1_000_u64.to_le_bytes());
    file.extend_from_slice(b"\x03\x00\x05whole\x01a\x01\x04past\x01b\x81");
    file.extend_from_slice(&(to_come - 1_000 + 1).to_be_bytes());
    file.extend_from_slice(b"\x05later\x01c\xff");
    // No checksum.
    file.extend_from_slice(&[0; 8]);
    file
}

#[test]
fn what_has_no_place_here_is_left_out_and_said() {
    let directory = Directory::new();
    let path = directory.path().join("dump.rdb");
    fs::write(&path, of_a_newer_server()).expect("our own directory");

    let checked = tenon(&["check", "rdb"], &path);
    let text = said(&checked);
    assert!(checked.status.success(), "{text}");
    for part in ["1 values of modules, which a load passes over", "2 fields of hashes with expiry times"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let shown = said(&tenon(&["dump", "--json"], &path));
    assert!(shown.contains("module_value") && shown.contains("document"), "{shown}");

    let server = Server::start(Program::Tenon, &DUMPING, directory);
    let mut client = server.client();
    assert_eq!(client.command(&["GET", "kept"]).text(), "value");
    assert_eq!(client.command(&["EXISTS", "document"]).integer(), 0);
    let fields = client.command(&["HKEYS", "hash"]).sorted().to_string();
    assert!(fields.contains("later") && fields.contains("whole") && !fields.contains("past"), "{fields}");
    let log = server.log();
    for part in [
        "1 keys hold values of modules, which are passed over: the next save will not have them. The first: \"document\"",
        "1 fields of hashes have expiry times, which are not kept",
        "The first such hashes: \"hash\"",
    ] {
        assert!(log.contains(part), "{part}:\n{log}");
    }
}
