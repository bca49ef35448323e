//! `tenon check`: data files judged and repaired as an operator would on a bad day.
//! Always: what is repaired is started from afterwards, and what was cut off is still there.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use support::reply::Reply;
use support::server::{Directory, Program, Server, oracle};
use support::tools::{self, said};

const PATIENCE: Duration = Duration::from_secs(30);
const AOF: [&str; 6] = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""];

fn check(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenon"));
    tools::run(command.arg("check").args(words), b"", PATIENCE)
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A log with three batches; its directory, and its last file.
fn small_log() -> (Directory, PathBuf) {
    let server = Server::tenon(&AOF);
    let mut client = server.client();
    for key in ["a", "b", "c"] {
        assert_eq!(client.command(&["SET", key, "value"]), Reply::Status("OK".into()));
    }
    let directory = server.into_directory();
    let log = directory.path().join("appendonlydir/appendonly.aof.1.incr.aof");
    (directory, log)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of letters")
}

#[test]
fn a_dump_is_counted_and_a_flipped_bit_found() {
    let server = Server::tenon(&["--save", ""]);
    let mut client = server.client();
    client.command(&["SET", "text", "value", "EX", "1000"]);
    client.command(&["RPUSH", "list", "1", "2"]);
    client.command(&["SELECT", "3"]);
    client.command(&["ZADD", "ranks", "1", "one"]);
    client.command(&["SAVE"]);
    let directory = server.into_directory();
    let dump = directory.path().join("dump.rdb");

    let output = check(&["rdb", text(&dump)]);
    assert!(output.status.success(), "{}", complaint(&output));
    let report = said(&output);
    for expected in [
        "written by Tenon ",
        "database 0: 1 list, 1 string\ndatabase 3: 1 zset\n",
        "1 keys expire\n",
        "RDB is sound\n",
    ] {
        assert!(report.contains(expected), "{expected:?} is not in:\n{report}");
    }

    let mut bytes = fs::read(&dump).expect("the dump is there");
    let middle = bytes.len() - 12;
    bytes[middle] ^= 1;
    fs::write(&dump, &bytes).expect("the dump can be written");
    let output = check(&["rdb", text(&dump)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint(&output).contains("is not sound: RDB offset "), "{}", complaint(&output));
}

#[test]
fn a_dump_of_redis_is_read_too() {
    if !oracle() {
        return;
    }
    let Some(server) = Server::redis(&["--save", ""]) else { return };
    let mut client = server.client();
    client.command(&["SADD", "numbers", "1", "2"]);
    client.command(&["SAVE"]);
    let directory = server.into_directory();
    let report = said(&check(&["rdb", text(&directory.path().join("dump.rdb"))]));
    assert!(report.contains("written by Redis 7."), "{report}");
    assert!(report.contains("database 0: 1 set\n"), "{report}");
}

#[test]
fn a_sound_log_is_said_to_be_sound() {
    let (directory, _) = small_log();
    for named in ["appendonlydir", "appendonlydir/appendonly.aof.manifest"] {
        let output = check(&["aof", text(&directory.path().join(named))]);
        assert!(output.status.success(), "{}", complaint(&output));
        assert!(said(&output).contains("AOF is sound: 4 commands after the base, "), "{}", said(&output));
    }
}

#[test]
fn a_torn_log_is_judged_without_being_touched_and_cut_on_request() {
    let (directory, log) = small_log();
    let whole = fs::read(&log).expect("the log is there");
    let torn = &whole[..whole.len() - 3];
    fs::write(&log, torn).expect("the log can be written");
    let named = directory.path().join("appendonlydir");

    let output = check(&["aof", text(&named)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint(&output).contains("Unexpected end of file"), "{}", complaint(&output));
    assert_eq!(fs::read(&log).expect("the log is there"), torn, "a check changes nothing");

    let output = check(&["aof", text(&named), "--repair"]);
    assert!(output.status.success(), "{}", complaint(&output));
    let left = fs::read(&log).expect("the log is there");
    let kept = log.with_file_name(format!("appendonly.aof.1.incr.aof.cut-at-{}", left.len()));
    let kept = fs::read(kept).expect("what was cut off is kept");
    assert_eq!([left, kept].concat(), torn);
    assert_serves(directory, &[("a", true), ("b", true), ("c", false)]);
}

#[test]
fn damage_before_good_batches_stops_a_start_and_is_cut_on_request() {
    let (directory, log) = small_log();
    let mut bytes = fs::read(&log).expect("the log is there");
    let second = find(&bytes, b"\r\nb\r\n");
    bytes[second + 2] = b'X';
    fs::write(&log, &bytes).expect("the log can be written");
    let named = directory.path().join("appendonlydir");

    let output = check(&["aof", text(&named)]);
    assert!(complaint(&output).contains("a good batch follows at offset"), "{}", complaint(&output));
    let output = check(&["aof", "--repair", text(&named)]);
    assert!(output.status.success(), "{}", complaint(&output));
    assert_serves(directory, &[("a", true), ("b", false), ("c", false)]);
}

#[test]
fn nothing_is_repaired_under_a_running_server() {
    let server = Server::tenon(&AOF);
    server.client().command(&["SET", "a", "value"]);
    let output = check(&["aof", text(&server.directory().join("appendonlydir")), "--repair"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        complaint(&output).contains("Another server uses this append-only file"),
        "{}",
        complaint(&output)
    );
}

#[test]
fn words_that_are_not_understood_are_answered_with_the_usage() {
    for (words, sentence) in [
        (&["rdb"][..], "The file behind rdb is missing"),
        (&["rdb", "file", "more"], "'more' is not understood here"),
        (&["aof"], "The directory behind aof is missing"),
        (&["aof", "--repair"], "The directory behind aof is missing"),
        (&["aof", "dir", "--repare"], "'--repare' is not understood: expected a directory, and --repair"),
        (&["aof", "--repare", "dir"], "'--repare' is not understood: expected a directory, and --repair"),
        (&["aof", "dir", "other"], "'other' is not understood: expected a directory, and --repair"),
        (&["backup"], "The directory behind backup is missing"),
        (&["tea", "pot"], "'tea' is not understood: expected rdb, aof or backup"),
        (&[], "What is to be checked is missing: expected rdb, aof or backup"),
    ] {
        let output = check(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        let expected = format!("{sentence}\n\nUsage: tenon check rdb FILE");
        assert!(complaint(&output).starts_with(&expected), "{words:?}: {}", complaint(&output));
    }
    for words in [&["--help"][..], &["rdb", "--help"], &["aof", "-h"], &["backup", "--help"]] {
        let output = check(words);
        assert!(output.status.success() && said(&output).starts_with("Usage: tenon check"), "{words:?}");
    }
    let output = check(&["aof", "/nonexistent"]);
    assert!(
        complaint(&output).contains("/nonexistent cannot be listed: No such file"),
        "{}",
        complaint(&output)
    );
}

fn assert_serves(directory: Directory, keys: &[(&str, bool)]) {
    let server = Server::start(Program::Tenon, &AOF, directory);
    let mut client = server.client();
    for (key, is_there) in keys {
        assert_eq!(client.command(&["EXISTS", key]), Reply::Integer(i64::from(*is_there)), "{key}");
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> usize {
    bytes.windows(wanted.len()).position(|window| window == wanted).expect("it is in the file")
}
