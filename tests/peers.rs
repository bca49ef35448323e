//! Tenon's files in Redis and Redis's files in Tenon: what one wrote the other serves, writes on, and gives back.
//! The judges are redis-server, redis-check-rdb and redis-check-aof; what is compared is every key of every database.
//! Always: values are compared as clients read them, with their expiry times; how they are encoded is each server's own.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use support::client::Client;
use support::reply::Reply;
use support::server::{Directory, Program, Server, oracle};
use support::tools;

/// Both servers write nothing on their own, and let themselves be asked for a digest.
const QUIET: [&str; 4] = ["--save", "", "--enable-debug-command", "yes"];
const LOGGING: [&str; 6] = ["--save", "", "--enable-debug-command", "yes", "--appendonly", "yes"];

/// In the year 2100: no key may expire while a test runs.
const FAR_UNIX_MS: &str = "4102444800123";
const DATABASES: [&str; 3] = ["0", "3", "15"];

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

/// Every key of every database with its type, its value and its expiry; and the server's own digest.
#[derive(PartialEq)]
struct Contents(BTreeMap<(String, String), String>, String);

impl Contents {
    fn of(server: &Server) -> Contents {
        let mut client = server.client();
        let mut found = BTreeMap::new();
        for number in 0..16 {
            let database = number.to_string();
            client.command(&["SELECT", &database]);
            for key in keys(&mut client) {
                let shown = Reply::Bulk(key.clone()).to_string();
                found.insert((database.clone(), shown), value(&mut client, &key));
            }
        }
        Contents(found, client.command(&["DEBUG", "DIGEST"]).text())
    }

    fn same_as(&self, other: &Contents, what: &str) {
        for (entry, value) in &self.0 {
            let found = other.0.get(entry);
            let head = |text: &str| text.chars().take(2_000).collect::<String>();
            assert!(
                found == Some(value),
                "{what}: {entry:?} is {}, expected {}",
                found.map_or("missing".to_owned(), |found| head(found)),
                head(value)
            );
        }
        let more: Vec<_> = other.0.keys().filter(|entry| !self.0.contains_key(entry)).collect();
        assert!(more.is_empty(), "{what}: {more:?} should not be there");
        assert_eq!(self.1, other.1, "{what}: digest");
    }
}

fn keys(client: &mut Client) -> Vec<Vec<u8>> {
    let (mut cursor, mut keys) = ("0".to_owned(), Vec::new());
    loop {
        let reply = client.command(&["SCAN", &cursor, "COUNT", "500"]);
        let [next, page] = reply.elements() else { panic!("SCAN says {reply}") };
        let name = |reply: &Reply| match reply {
            Reply::Bulk(bytes) => bytes.clone(),
            other => panic!("SCAN gives {other}"),
        };
        keys.extend(page.elements().iter().map(name));
        cursor = next.text();
        if cursor == "0" {
            return keys;
        }
    }
}

fn value(client: &mut Client, key: &[u8]) -> String {
    let kind = client.command(&[b"TYPE", key]).text();
    let value = match kind.as_str() {
        "string" => client.command(&[b"GET", key]),
        "list" => client.command(&[b"LRANGE", key, b"0", b"-1"]),
        "set" => client.command(&[b"SMEMBERS", key]).sorted(),
        "zset" => client.command(&[b"ZRANGE".as_slice(), key, b"0", b"-1", b"WITHSCORES"]),
        "hash" => {
            let flat = client.command(&[b"HGETALL", key]);
            let pairs = flat.elements().chunks(2).map(|pair| Reply::Array(pair.to_vec()));
            Reply::Array(pairs.collect()).sorted()
        }
        other => panic!("{key:?} is a {other}"),
    };
    let expiry = client.command(&[b"PEXPIRETIME", key]);
    format!("{kind} until {expiry}: {value}")
}

/// Fills several databases with every type in every encoding. `round` makes the keys differ.
fn fill(server: &Server, round: u32) {
    let mut client = server.client();
    let mut requests: Vec<Vec<String>> = Vec::new();
    for database in DATABASES {
        requests.push(words(&["SELECT", database]));
        fill_strings(&mut requests, round);
        fill_lists(&mut requests, round);
        fill_sets(&mut requests, round);
        fill_hashes(&mut requests, round);
        fill_sorted_sets(&mut requests, round);
        for kind in ["text", "raw", "list", "set", "hash", "zset", "zset-large"] {
            requests.push(words(&["COPY", &format!("{kind}:{round}"), &format!("{kind}-mortal:{round}")]));
            requests.push(words(&["PEXPIREAT", &format!("{kind}-mortal:{round}"), FAR_UNIX_MS]));
        }
    }
    for (request, reply) in requests.iter().zip(client.pipeline(&requests)) {
        assert!(!matches!(reply, Reply::Error(_)), "{request:?}: {reply}");
    }
    client.command(&[b"SET".as_slice(), b"binary\x00\xff\r\nkey", b"\x00\xfe\r\n\"value\""]);
    client.command(&["SET", "", "the empty key"]);
}

fn fill_strings(requests: &mut Vec<Vec<String>>, round: u32) {
    let integers = ["0", "-1", "127", "-129", "32768", "2147483648", "-9223372036854775808", "00", "1.5"];
    for (index, text) in integers.iter().enumerate() {
        requests.push(words(&["SET", &format!("integer{index}:{round}"), text]));
    }
    let texts = [
        ("empty", String::new()),
        ("text", "hello".to_owned()),
        ("raw", "x".repeat(100)),
        ("repeating", "abcdefgh".repeat(40_000)),
        ("random", noise(300_000)),
    ];
    for (name, text) in texts {
        requests.push(words(&["SET", &format!("{name}:{round}"), &text]));
    }
}

fn fill_lists(requests: &mut Vec<Vec<String>>, round: u32) {
    requests.push(words(&["RPUSH", &format!("list:{round}"), "a", "", "7", "-70000", "9223372036854775807"]));
    for number in 0..1500 {
        requests.push(words(&["RPUSH", &format!("list-large:{round}"), &format!("element {number}")]));
    }
    requests.push(words(&[
        "RPUSH",
        &format!("list-wide:{round}"),
        "a",
        &noise(20_000),
        &"b".repeat(70_000),
        "1",
    ]));
}

fn fill_sets(requests: &mut Vec<Vec<String>>, round: u32) {
    requests.push(words(&["SADD", &format!("set:{round}"), "a", "b", "", "17"]));
    requests.push(words(&["SADD", &format!("set-16:{round}"), "1", "-2", "300"]));
    requests.push(words(&["SADD", &format!("set-32:{round}"), "1", "70000"]));
    requests.push(words(&["SADD", &format!("set-64:{round}"), "1", "-5000000000"]));
    for number in 0..700 {
        requests.push(words(&["SADD", &format!("set-integers:{round}"), &number.to_string()]));
        requests.push(words(&["SADD", &format!("set-large:{round}"), &format!("member {number}")]));
    }
}

fn fill_hashes(requests: &mut Vec<Vec<String>>, round: u32) {
    requests.push(words(&["HSET", &format!("hash:{round}"), "a", "1", "b", "", "c", "text"]));
    requests.push(words(&["HSET", &format!("hash-wide:{round}"), "a", &noise(500), &noise(90), "1"]));
    for number in 0..700 {
        let field = format!("field {number}");
        requests.push(words(&["HSET", &format!("hash-large:{round}"), &field, &number.to_string()]));
    }
}

/// Scores that every version prints alike.
fn fill_sorted_sets(requests: &mut Vec<Vec<String>>, round: u32) {
    let small = ["1", "a", "-2", "b", "0.25", "c", "inf", "d", "-inf", "e", "1", "f"];
    requests.push([vec!["ZADD".to_owned(), format!("zset:{round}")], words(&small)].concat());
    for number in 0..500 {
        let score = format!("{}", f64::from(number - 250) / 4.0);
        requests.push(words(&["ZADD", &format!("zset-large:{round}"), &score, &format!("member {number}")]));
    }
    requests.push(words(&["ZADD", &format!("zset-wide:{round}"), "3", &noise(300)]));
}

/// Changes of every kind to what `fill` made in its first round.
fn change(server: &Server) {
    let mut client = server.client();
    let requests: &[&[&str]] = &[
        &["SELECT", "3"],
        &["APPEND", "text:1", " world"],
        &["INCRBY", "integer0:1", "41"],
        &["INCRBYFLOAT", "integer8:1", "0.25"],
        &["SETRANGE", "raw:1", "50", "middle"],
        &["GETDEL", "empty:1"],
        &["LPUSH", "list:1", "front"],
        &["LSET", "list-large:1", "700", "changed"],
        &["LREM", "list-large:1", "0", "element 3"],
        &["LTRIM", "list-large:1", "0", "1200"],
        &["LINSERT", "list:1", "BEFORE", "7", "six"],
        &["LMOVE", "list-large:1", "list:1", "RIGHT", "LEFT"],
        &["SREM", "set-integers:1", "5", "6"],
        &["SPOP", "set-large:1", "3"],
        &["SINTERSTORE", "set-common:1", "set-integers:1", "set:1"],
        &["HDEL", "hash-large:1", "field 1", "field 2"],
        &["HINCRBY", "hash:1", "a", "9"],
        &["ZREM", "zset-large:1", "member 1"],
        &["ZINCRBY", "zset:1", "2.5", "a"],
        &["ZPOPMIN", "zset-large:1", "4"],
        &["PERSIST", "text-mortal:1"],
        &["EXPIRE", "hash:1", "100000"],
        &["GETEX", "raw:1", "PX", "200000000"],
        &["SET", "short:1", "gone", "PX", "1"],
        &["RENAME", "zset-wide:1", "zset-renamed:1"],
        &["MOVE", "set-16:1", "9"],
        &["SWAPDB", "3", "4"],
        &["SELECT", "15"],
        &["DEL", "random:1", "list-wide:1"],
        &["UNLINK", "hash-large:1"],
    ];
    for request in requests {
        let reply = client.command(request);
        assert!(!matches!(reply, Reply::Error(_)), "{request:?}: {reply}");
    }
    std::thread::sleep(Duration::from_millis(5));
    client.command(&["SELECT", "4"]);
    assert_eq!(client.command(&["GET", "short:1"]), Reply::Nil);
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Text that does not compress, the same in every run.
fn noise(characters: usize) -> String {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let character = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + (state % 90) as u8)
    };
    (0..characters).map(character).collect()
}
