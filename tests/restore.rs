//! `tenon restore`: back to a time or an offset, as an operator would on a bad day.
//! Always: the original log has the same bytes afterwards, and what was made starts a server with the state asked for.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use support::client::Client;
use support::reply::Reply;
use support::server::{Directory, Program, Server};
use support::tools::{self, said};

const PATIENCE: Duration = Duration::from_secs(30);
const AOF: [&str; 4] = ["--appendonly", "yes", "--save", ""];
const INCREMENT: &str = "appendonly.aof.1.incr.aof";

fn restore(to: &str, from: &Path, into: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenon"));
    let command = command.args(["restore", "--to", to]).arg(from).arg("--into").arg(into);
    tools::run(command, b"", PATIENCE)
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970")
}

/// This moment as `--to` takes it, with nothing of the log in the same millisecond.
fn moment_between() -> String {
    sleep(Duration::from_millis(20));
    let now = now();
    sleep(Duration::from_millis(20));
    format!("@{}.{:03}", now.as_secs(), now.subsec_millis())
}

/// Waits for the second after this one: a base says in which second it was made, and no more.
fn next_second() {
    let now = now();
    sleep(Duration::from_millis(1_020 - u64::from(now.subsec_millis())));
}

fn set(client: &mut Client, key: &str) {
    assert_eq!(client.command(&["SET", key, "value"]), Reply::Status("OK".into()));
}

fn offset(client: &mut Client) -> u64 {
    let text = client.command(&["INFO", "replication"]).text();
    let line = text.lines().find_map(|line| line.strip_prefix("master_repl_offset:"));
    line.and_then(|value| value.trim().parse().ok()).expect("INFO tells the offset")
}

/// All files of a log with their bytes.
fn contents(log: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = fs::read_dir(log).expect("the log can be listed");
    files
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (path.clone(), fs::read(&path).expect("a file can be read")))
        .collect()
}

/// A server on what was restored has exactly these keys.
fn assert_serves(directory: Directory, arguments: &[&str], keys: &[&str]) {
    let server = Server::start(Program::Tenon, arguments, directory);
    let found = server.client().command(&["KEYS", "*"]).sorted();
    let expected: Vec<Reply> = keys.iter().map(|key| Reply::Bulk(key.as_bytes().to_vec())).collect();
    assert_eq!(found, Reply::Array(expected));
    // And it goes on from there.
    let mut client = server.client();
    set(&mut client, "later");
    assert_eq!(client.command(&["EXISTS", "later"]), Reply::Integer(1));
}

/// Restores, and holds what comes of it to these keys.
fn assert_restores(to: &str, log: &Path, keys: &[&str]) -> String {
    let before = contents(log);
    let into = Directory::new();
    let output = restore(to, log, into.path());
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(contents(log), before, "the original is only read");
    assert_serves(into, &AOF, keys);
    said(&output)
}

fn assert_refused(to: &str, log: &Path, expected: &str) -> String {
    let before = contents(log);
    let into = Directory::new();
    let output = restore(to, log, into.path());
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(complaint(&output).contains(expected), "{}", complaint(&output));
    assert_eq!(contents(log), before, "the original is only read");
    assert_eq!(fs::read_dir(into.path()).expect("it is there").count(), 0, "nothing is made");
    complaint(&output)
}

#[test]
fn back_to_a_time_and_to_an_offset() {
    let before_all = moment_between();
    let server = Server::tenon(&AOF);
    let mut client = server.client();
    let log = server.directory().join("appendonlydir");
    next_second();
    set(&mut client, "a");
    let (first, first_offset) = (moment_between(), offset(&mut client));
    set(&mut client, "b");
    let second = moment_between();
    client.command(&["FLUSHALL"]);
    let last_offset = offset(&mut client);

    // Also while the server runs.
    let told = assert_restores(&first, &log, &["a"]);
    for part in [
        "asked for: the state at 20",
        "found: the first ",
        INCREMENT,
        "left out: ",
        "start with: tenon --dir ",
    ] {
        assert!(told.contains(part), "{part:?} is not in {told}");
    }
    assert_restores(&second, &log, &["a", "b"]);
    let directory = server.into_directory();
    let log = directory.path().join("appendonlydir");
    assert_restores(&first_offset.to_string(), &log, &["a"]);
    assert_restores(&(first_offset + 1).to_string(), &log, &["a"]);
    let told = assert_restores(&last_offset.to_string(), &log, &[]);
    assert!(told.contains("left out: nothing, the log ends there\n"), "{told}");
    assert!(told.contains(": 2 files, "), "{told}");
    // A time without its sign is an offset that no log has come to.
    let told = assert_restores("1795000000", &log, &[]);
    assert!(
        told.contains("ends there, before offset 1795000000 (seconds since 1970 would be --to @1795000000)"),
        "{told}"
    );
    assert_restores("2100-01-01T00:00:00Z", &log, &[]);
    let refused = assert_refused(&before_all, &log, "The log does not reach back to the state at 20");
    assert!(refused.contains("its base appendonly.aof.1.base.rdb is of 20"), "{refused}");
}

#[test]
fn a_rewritten_log_reaches_back_to_its_base() {
    let server = Server::tenon(&AOF);
    let mut client = server.client();
    set(&mut client, "a");
    let before = offset(&mut client);
    set(&mut client, "b");
    client.command(&["BGREWRITEAOF"]);
    server.wait_for_log("Background AOF rewrite finished successfully");
    // The files that it replaces go behind that.
    while client.command(&["INFO", "persistence"]).to_string().contains("aof_rewrite_in_progress:1") {
        sleep(Duration::from_millis(5));
    }
    let base = offset(&mut client);
    set(&mut client, "c");
    let log = server.directory().join("appendonlydir");
    assert_restores(&base.to_string(), &log, &["a", "b"]);
    assert_refused(&before.to_string(), &log, "its base appendonly.aof.2.base.rdb is of offset ");
}

#[test]
fn a_place_in_one_of_several_files() {
    let directory = log_of_three_keys();
    let log = directory.path().join("appendonlydir");
    let whole = fs::read(log.join(INCREMENT)).expect("the log is there");
    let starts: Vec<usize> =
        (0..whole.len()).filter(|at| whole[*at..].starts_with(b"*2\r\n$4\r\nPING\r\n")).collect();
    let [_, second, third] = starts[..] else { panic!("three batches, found {starts:?}") };
    // The third batch moves to a second increment.
    fs::write(log.join(INCREMENT), &whole[..third]).expect("the log can be written");
    fs::write(log.join("appendonly.aof.2.incr.aof"), &whole[third..]).expect("the log can be written");
    let manifest = log.join("appendonly.aof.manifest");
    let mut text = fs::read_to_string(&manifest).expect("the manifest is there");
    text.push_str("file appendonly.aof.2.incr.aof seq 2 type i\n");
    fs::write(&manifest, text).expect("the manifest can be written");

    assert_restores(&format!("{INCREMENT}:{second}"), &log, &["a"]);
    assert_restores(&format!("{INCREMENT}:{}", third - 1), &log, &["a"]);
    assert_restores(&format!("{INCREMENT}:{third}"), &log, &["a", "b"]);
    assert_restores("appendonly.aof.2.incr.aof:0", &log, &["a", "b"]);
    assert_restores("appendonly.aof.2.incr.aof:100000", &log, &["a", "b", "c"]);
    assert_restores("2100-01-01T00:00:00Z", &log, &["a", "b", "c"]);
    assert_refused("appendonly.aof.1.base.rdb:7", &log, "is the base, one state of ");
    assert_refused(
        "other.aof:7",
        &log,
        "other.aof is none of the log's files, which are appendonly.aof.1.base.rdb,",
    );
}

#[test]
fn a_torn_end_does_not_matter_and_damage_before_it_is_refused() {
    let directory = log_of_three_keys();
    let log = directory.path().join("appendonlydir");
    let whole = fs::read(log.join(INCREMENT)).expect("the log is there");
    fs::write(log.join(INCREMENT), &whole[..whole.len() - 2]).expect("the log can be written");
    let told = assert_restores("2100-01-01T00:00:00Z", &log, &["a", "b"]);
    assert!(told.contains("left out: the torn end of "), "{told}");

    let mut damaged = whole.clone();
    let key = damaged.windows(5).position(|window| window == b"\r\nb\r\n").expect("the second key");
    damaged[key + 2] = b'x';
    fs::write(log.join(INCREMENT), &damaged).expect("the log can be written");
    let refused = assert_refused("2100-01-01T00:00:00Z", &log, "The log is not sound at byte ");
    let advice = refused.trim_end().rsplit_once("--to ").expect("what can be done").1;
    assert_restores(advice, &log, &["a"]);
}

#[test]
fn a_log_without_times_is_refused_and_time_lines_serve() {
    let plain = [&AOF[..], &["--aof-checksum", "no"]].concat();
    let server = Server::tenon(&plain);
    let mut client = server.client();
    set(&mut client, "a");
    next_second();
    let log = server.directory().join("appendonlydir");
    assert_refused("2100-01-01T00:00:00Z", &log, "does not say when its commands ran");
    assert_refused("1000", &log, "does not say at which offset its commands ran");
    client.command(&["CONFIG", "SET", "aof-timestamp-enabled", "yes"]);
    set(&mut client, "b");
    next_second();
    let between = format!("@{}", now().as_secs());
    next_second();
    set(&mut client, "c");
    assert_restores(&between, &log, &["a", "b"]);
    assert_restores("2100-01-01T00:00:00Z", &log, &["a", "b", "c"]);
}

#[test]
fn a_log_of_redis_is_cut_by_its_time_lines() {
    let Some(server) = Server::redis(&[&AOF[..], &["--aof-timestamp-enabled", "yes"]].concat()) else {
        return;
    };
    let mut client = server.client();
    next_second();
    set(&mut client, "a");
    next_second();
    let between = format!("@{}", now().as_secs());
    next_second();
    set(&mut client, "b");
    let directory = server.into_directory();
    let log = directory.path().join("appendonlydir");
    assert_restores(&between, &log, &["a"]);
    let into = Directory::new();
    assert!(restore(&between, &log, into.path()).status.success());
    let server = Server::start(Program::Redis, &AOF, into);
    assert_eq!(server.client().command(&["KEYS", "*"]), Reply::Array(vec![Reply::Bulk(b"a".to_vec())]));
}

#[test]
fn other_names_are_kept_and_told() {
    let named = [&AOF[..], &["--appenddirname", "logs", "--appendfilename", "history"]].concat();
    let server = Server::tenon(&named);
    set(&mut server.client(), "a");
    let directory = server.into_directory();
    let into = Directory::new();
    let output = restore("2100-01-01T00:00:00Z", &directory.path().join("logs"), into.path());
    let started = "--appendonly yes --appenddirname logs --appendfilename history\n";
    assert!(said(&output).ends_with(started), "{}", said(&output));
    assert_serves(into, &named, &["a"]);
}

#[test]
fn nothing_is_overwritten() {
    let directory = log_of_three_keys();
    let log = directory.path().join("appendonlydir");
    let before = contents(&log);
    let output = restore("2100-01-01T00:00:00Z", &log, directory.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint(&output).contains("is not empty: --into wants a new or an empty directory"));
    let output = restore("2100-01-01T00:00:00Z", &log, &log.join("inside"));
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint(&output).contains("which is not to be changed"), "{}", complaint(&output));
    assert_eq!(contents(&log), before);
    // A directory that is not there is made.
    let new = directory.path().join("new");
    assert!(restore("2100-01-01T00:00:00Z", &log, &new).status.success());
    assert!(new.join("appendonlydir/appendonly.aof.manifest").exists());
}

#[test]
fn words_that_are_not_understood_are_answered_with_the_usage() {
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenon"));
        tools::run(command.arg("restore").args(words), b"", PATIENCE)
    };
    for (words, sentence) in [
        (&[][..], "What to restore is missing: --to and a log, or --from and a backup"),
        (&["dir"], "What to restore is missing"),
        (&["--to", "1", "dir"], "Where to restore to is missing: --into and a new directory"),
        (&["--from", "backup"], "Where to restore to is missing"),
        (&["--to", "1", "--into", "new"], "The log to restore is missing"),
        (&["--to", "1", "dir", "--into"], "What follows --into is missing"),
        (&["--to", "1", "--to", "2", "dir", "--into", "new"], "--to is there twice"),
        (
            &["--to", "1", "dir", "other", "--into", "new"],
            "One log can be restored at once, not 'dir' and 'other'",
        ),
        (&["--from", "backup", "dir", "--into", "new"], "--from names what to restore"),
        (&["--at", "1", "dir", "--into", "new"], "--at is not understood: expected --to, --from or --into"),
    ] {
        let output = run(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(complaint(&output).starts_with(sentence), "{words:?}: {}", complaint(&output));
        assert!(complaint(&output).contains("\n\nUsage: tenon restore --to"), "{}", complaint(&output));
    }
    let output = run(&["--to", "yesterday", "dir", "--into", "new"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(complaint(&output).starts_with("--to \"yesterday\" is not understood: expected a time"));
    assert!(run(&["--help"]).status.success());
}

/// A log with a batch for each of the keys a, b and c. Each is durable before the next is written, so that what is wrong
/// in one is damage and not what a loss of power leaves.
fn log_of_three_keys() -> Directory {
    let server = Server::tenon(&[&AOF[..], &["--appendfsync", "always"]].concat());
    let mut client = server.client();
    for key in ["a", "b", "c"] {
        set(&mut client, key);
    }
    server.into_directory()
}
