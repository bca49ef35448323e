//! Tenon's files in Redis and Redis's files in Tenon: what one wrote the other serves, writes on, and gives back.
//! The judges are redis-server, redis-check-rdb and redis-check-aof; what is compared is every key of every database.
//! Always: values are compared as clients read them, with their expiry times; how they are encoded is each server's own.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use support::contents::Contents;
use support::filling::{change, fill};
use support::reply::Reply;
use support::server::{Directory, Program, Server, oracle};
use support::tools;

/// Both servers write nothing on their own, and let themselves be asked for a digest.
const QUIET: [&str; 4] = ["--save", "", "--enable-debug-command", "yes"];
const LOGGING: [&str; 6] = ["--save", "", "--enable-debug-command", "yes", "--appendonly", "yes"];

#[test]
fn a_dump_goes_to_redis_and_back() {
    if !oracle() {
        return;
    }
    for compression in ["yes", "no"] {
        let arguments = with(&QUIET, &["--rdbcompression", compression]);
        let tenon = Server::tenon(&arguments);
        fill(&tenon, 1);
        let expected = Contents::of(&tenon);
        ok(&tenon, &["SAVE"]);
        let directory = tenon.into_directory();
        accepted("redis-check-rdb", &directory.path().join("dump.rdb"));

        let redis = Server::start(Program::Redis, &arguments, directory);
        expected.same_as(&Contents::of(&redis), "Tenon's dump in Redis");
        change(&redis);
        let expected = Contents::of(&redis);
        ok(&redis, &["SAVE"]);

        let tenon = Server::start(Program::Tenon, &arguments, redis.into_directory());
        expected.same_as(&Contents::of(&tenon), "Redis's dump in Tenon");
    }
}

#[test]
fn a_dump_made_in_the_background_is_as_good() {
    if !oracle() {
        return;
    }
    let tenon = Server::tenon(&QUIET);
    fill(&tenon, 1);
    let expected = Contents::of(&tenon);
    tenon.client().command(&["BGSAVE"]);
    tenon.wait_for_log("DB saved on disk");
    let directory = tenon.into_directory();
    accepted("redis-check-rdb", &directory.path().join("dump.rdb"));
    let redis = Server::start(Program::Redis, &QUIET, directory);
    expected.same_as(&Contents::of(&redis), "Tenon's background dump in Redis");
}

#[test]
fn a_log_goes_to_redis_and_back() {
    log_there_and_back(&LOGGING);
}

#[test]
fn a_log_with_a_base_of_commands_goes_to_redis_and_back() {
    log_there_and_back(&with(&LOGGING, &["--aof-use-rdb-preamble", "no"]));
}

#[test]
fn a_log_without_checksums_goes_to_redis_and_back() {
    let Some(redis_ours) = oracle().then_some(LOGGING) else { return };
    let tenon = Server::tenon(&with(&LOGGING, &["--aof-checksum", "no"]));
    fill(&tenon, 1);
    change(&tenon);
    let expected = Contents::of(&tenon);
    let directory = tenon.into_directory();
    let increment = fs::read(last_increment(directory.path())).expect("the log is there");
    assert!(!holds(&increment, b"tenon1"), "no header without checksums");
    let redis = Server::start(Program::Redis, &redis_ours, directory);
    expected.same_as(&Contents::of(&redis), "Tenon's plain log in Redis");
}

/// Tenon writes, is killed; Redis goes on, is ended; Tenon goes on, rewrites, is killed; Redis reads all of it.
fn log_there_and_back(arguments: &[&str]) {
    if !oracle() {
        return;
    }
    let tenon = Server::tenon(arguments);
    fill(&tenon, 1);
    rewrite(&tenon);
    fill(&tenon, 2);
    change(&tenon);
    let expected = Contents::of(&tenon);
    let directory = tenon.into_directory();
    accepted("redis-check-aof", &manifest(directory.path()));

    let mut redis = Server::start(Program::Redis, arguments, directory);
    expected.same_as(&Contents::of(&redis), "Tenon's log in Redis");
    fill(&redis, 3);
    let expected = Contents::of(&redis);
    redis.terminate();

    let tenon = Server::start(Program::Tenon, arguments, redis.into_directory());
    expected.same_as(&Contents::of(&tenon), "the log that Redis went on with in Tenon");
    ok(&tenon, &["SET", "tenon", "again"]);
    rewrite(&tenon);
    ok(&tenon, &["SET", "tenon", "once more"]);
    let expected = Contents::of(&tenon);
    let directory = tenon.into_directory();
    accepted("redis-check-aof", &manifest(directory.path()));
    let redis = Server::start(Program::Redis, arguments, directory);
    expected.same_as(&Contents::of(&redis), "the log that Tenon rewrote in Redis");
}

#[test]
fn redis_files_are_where_tenon_can_start() {
    let Some(redis) = Server::redis(&QUIET) else { return };
    fill(&redis, 1);
    change(&redis);
    let expected = Contents::of(&redis);
    ok(&redis, &["SAVE"]);
    let tenon = Server::start(Program::Tenon, &QUIET, redis.into_directory());
    expected.same_as(&Contents::of(&tenon), "a dump that Redis began in Tenon");

    for preamble in ["yes", "no"] {
        let arguments = with(&LOGGING, &["--aof-use-rdb-preamble", preamble]);
        let Some(mut redis) = Server::redis(&arguments) else { return };
        fill(&redis, 1);
        rewrite(&redis);
        change(&redis);
        let expected = Contents::of(&redis);
        redis.terminate();
        let tenon = Server::start(Program::Tenon, &arguments, redis.into_directory());
        expected.same_as(&Contents::of(&tenon), "a log that Redis began in Tenon");
        fill(&tenon, 2);
        let expected = Contents::of(&tenon);
        let redis = Server::start(Program::Redis, &arguments, tenon.into_directory());
        expected.same_as(&Contents::of(&redis), "the same log, with Tenon's writes, in Redis");
    }
}

#[test]
fn a_dump_beside_no_log_is_loaded_when_the_log_is_switched_on() {
    let tenon = Server::tenon(&QUIET);
    fill(&tenon, 1);
    let expected = Contents::of(&tenon);
    ok(&tenon, &["SAVE"]);
    let tenon = Server::start(Program::Tenon, &LOGGING, tenon.into_directory());
    expected.same_as(&Contents::of(&tenon), "a dump where a log begins");
    ok(&tenon, &["SET", "later", "1"]);
    let expected = Contents::of(&tenon);
    let tenon = Server::start(Program::Tenon, &LOGGING, tenon.into_directory());
    expected.same_as(&Contents::of(&tenon), "the log that began with the dump");
}

#[test]
fn a_log_torn_at_every_byte_of_its_last_batch_loads_in_both() {
    if !oracle() {
        return;
    }
    let tenon = Server::tenon(&LOGGING);
    let mut client = tenon.client();
    client.command(&["RPUSH", "list", "a", "b"]);
    client.command(&["SET", "text", "kept"]);
    let before = Contents::of(&tenon);
    // One batch: pipelined, executed and settled together.
    client.pipeline(&[vec!["INCR", "n"], vec!["RPUSH", "list", "c"], vec!["INCR", "n"]]);
    let after = Contents::of(&tenon);
    let whole = tenon.into_directory();
    let bytes = fs::read(last_increment(whole.path())).expect("the log is there");
    let start = rposition(&bytes, b"*2\r\n$4\r\nPING\r\n").expect("a batch has a header");
    assert!(holds(&bytes[start..], b"list") && bytes.len() - start < 350, "the last batch holds all three");

    let cuts: Vec<usize> = (start..=bytes.len()).collect();
    std::thread::scope(|threads| {
        // Two at a time, each with every second cut.
        for first in 0..2 {
            let (cuts, before, after, whole, bytes) = (&cuts, &before, &after, &whole, &bytes);
            threads.spawn(move || {
                for cut in cuts.iter().skip(first).step_by(2) {
                    let is_whole = *cut == bytes.len();
                    let expected = if is_whole { after } else { before };
                    let tenon = Server::start(Program::Tenon, &LOGGING, torn(whole.path(), *cut));
                    expected.same_as(&Contents::of(&tenon), &format!("cut at {cut} in Tenon"));
                    // Redis keeps the commands that are whole, which is its promise; ours is the batch.
                    let redis = Server::start(Program::Redis, &LOGGING, torn(whole.path(), *cut));
                    let found = Contents::of(&redis);
                    assert_eq!(
                        found.0.get(&entry("text")),
                        before.0.get(&entry("text")),
                        "cut at {cut} in Redis"
                    );
                    if is_whole {
                        after.same_as(&found, "the whole log in Redis");
                    }
                }
            });
        }
    });
}

#[test]
fn both_go_on_with_a_log_that_was_torn() {
    if !oracle() {
        return;
    }
    let tenon = Server::tenon(&LOGGING);
    ok(&tenon, &["SET", "first", "1"]);
    ok(&tenon, &["SET", "torn", "1"]);
    let whole = tenon.into_directory();
    let length = fs::metadata(last_increment(whole.path())).expect("the log is there").len() as usize;
    for cut in [length - 1, length - 20, length - 60, length - 150] {
        // Redis cuts the tail and appends; Tenon reads both.
        let mut redis = Server::start(Program::Redis, &LOGGING, torn(whole.path(), cut));
        fill(&redis, 1);
        let expected = Contents::of(&redis);
        redis.terminate();
        let tenon = Server::start(Program::Tenon, &LOGGING, redis.into_directory());
        expected.same_as(&Contents::of(&tenon), &format!("cut at {cut}, appended by Redis, in Tenon"));

        // Tenon cuts the tail and appends; Redis and Tenon read it.
        let tenon = Server::start(Program::Tenon, &LOGGING, torn(whole.path(), cut));
        fill(&tenon, 1);
        let expected = Contents::of(&tenon);
        let directory = tenon.into_directory();
        accepted("redis-check-aof", &manifest(directory.path()));
        let tenon = Server::start(Program::Tenon, &LOGGING, directory);
        expected.same_as(&Contents::of(&tenon), &format!("cut at {cut}, appended by Tenon, in Tenon"));
        let redis = Server::start(Program::Redis, &LOGGING, tenon.into_directory());
        expected.same_as(&Contents::of(&redis), &format!("cut at {cut}, appended by Tenon, in Redis"));
    }
}

/// Every byte is torn off in process, beside the loader; here both servers say what is left, at places from end to end.
#[test]
fn what_redis_appended_to_a_torn_log_is_served_by_both_wherever_it_is_torn_again() {
    if !oracle() {
        return;
    }
    let tenon = Server::tenon(&LOGGING);
    ok(&tenon, &["SET", "first", "1"]);
    let before = fs::metadata(last_increment(tenon.directory())).expect("the log is there").len() as usize;
    ok(&tenon, &["SET", "torn", "1"]);
    let whole = tenon.into_directory();
    let bytes = fs::read(last_increment(whole.path())).expect("the log is there");
    let header =
        bytes[before..].windows(5).position(|part| part == b"*3\r\n$").expect("a command behind a header");
    // Down to the header alone, and within its first command.
    for left in [before + header, before + header + 10] {
        let mut redis = Server::start(Program::Redis, &LOGGING, torn(whole.path(), left));
        let mut client = redis.client();
        for number in 0..12 {
            client.command(&["SET", &format!("redis:{number}"), &"v".repeat(number)]);
            client.command(&["RPUSH", "list", &number.to_string()]);
        }
        let expected = Contents::of(&redis);
        redis.terminate();
        let appended = redis.into_directory();
        let length = fs::metadata(last_increment(appended.path())).expect("the log is there").len() as usize;
        let tenon = Server::start(Program::Tenon, &LOGGING, torn(appended.path(), length));
        expected.same_as(&Contents::of(&tenon), &format!("{left} bytes of ours, then Redis's"));
        // From where the first SELECT of Redis's is whole.
        for cut in (before + header + 30..length).step_by((length - before) / 5) {
            let redis = Server::start(Program::Redis, &LOGGING, torn(appended.path(), cut));
            let expected = Contents::of(&redis);
            let tenon = Server::start(Program::Tenon, &LOGGING, torn(appended.path(), cut));
            expected
                .same_as(&Contents::of(&tenon), &format!("{left} bytes of ours, then Redis's, cut at {cut}"));
        }
    }
}

/// A copy of the directory whose last increment has `bytes` bytes.
fn torn(whole: &Path, bytes: usize) -> Directory {
    let copy = Directory::new();
    fs::create_dir(copy.path().join("appendonlydir")).expect("our own directory");
    for file in fs::read_dir(whole.join("appendonlydir")).expect("the log's directory") {
        let file = file.expect("the log's directory can be read").path();
        let name = file.file_name().expect("a file has a name");
        fs::copy(&file, copy.path().join("appendonlydir").join(name)).expect("our own directory");
    }
    let increment = fs::File::options().write(true).open(last_increment(copy.path())).expect("the copy");
    increment.set_len(bytes as u64).expect("a file can be cut");
    copy
}

/// Where the increment with the highest number is.
fn last_increment(directory: &Path) -> PathBuf {
    let files = fs::read_dir(directory.join("appendonlydir")).expect("the log's directory");
    let increments = files.filter_map(|file| {
        let path = file.ok()?.path();
        let number = path.to_str()?.strip_suffix(".incr.aof")?.rsplit('.').next()?.parse::<u64>().ok()?;
        Some((number, path))
    });
    increments.max().expect("a log has an increment").1
}

fn manifest(directory: &Path) -> PathBuf {
    directory.join("appendonlydir/appendonly.aof.manifest")
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    rposition(bytes, part).is_some()
}

fn rposition(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).rposition(|window| window == part)
}

/// Runs one of Redis's checkers, which must accept the file.
fn accepted(program: &str, file: &Path) {
    let output = tools::run(Command::new(program).arg(file), b"", Duration::from_secs(20));
    assert!(output.status.success(), "{program}: {}", tools::said(&output));
}

/// Rewrites the log and waits for the end of it.
fn rewrite(server: &Server) {
    let ended = |log: &str| log.matches("Background AOF rewrite finished successfully").count();
    let before = ended(&server.log());
    server.client().command(&["BGREWRITEAOF"]);
    let until = std::time::Instant::now() + Duration::from_secs(20);
    while ended(&server.log()) == before {
        assert!(std::time::Instant::now() < until, "no end of the rewrite:\n{}", server.log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn with<'a>(base: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [base, more].concat()
}

fn ok(server: &Server, arguments: &[&str]) {
    assert_eq!(server.client().command(arguments), Reply::Status("OK".to_owned()), "{arguments:?}");
}

fn entry(key: &str) -> (String, String) {
    ("0".to_owned(), format!("\"{key}\""))
}
