//! A primary and its replica held against each other, and commands for the one to pass on to the other.
//! Always: two that are equal have the same offset, the same digest and the same groups of streams.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::chance::Chance;
use super::client::Client;

/// How long what is awaited may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A field of INFO, or nothing.
pub(crate) fn field(client: &mut Client, section: &str, name: &str) -> String {
    let text = client.command(&["INFO", section]).text();
    let found =
        text.lines().find_map(|line| line.trim().strip_prefix(&format!("{name}:")).map(str::to_owned));
    found.unwrap_or_default()
}

pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "it never came true that {what}");
        sleep(Duration::from_millis(20));
    }
}

pub(crate) fn wait_for_link(replica: &mut Client) {
    wait_until("the link is up", || field(replica, "replication", "master_link_status") == "up");
}

/// Waits until the replica has everything, and compares.
pub(crate) fn assert_equal(primary: &mut Client, replica: &mut Client) {
    wait_for_link(replica);
    wait_until("the offsets are equal", || {
        field(primary, "replication", "master_repl_offset")
            == field(replica, "replication", "slave_repl_offset")
    });
    // A key may yet expire between one digest and the other.
    wait_until("the digests are equal", || {
        let digests = [&mut *primary, &mut *replica].map(|client| client.command(&["DEBUG", "DIGEST"]));
        digests[0] == digests[1]
    });
    // That digest does not see what groups have read.
    for stream in (0..STREAMS).map(|number| format!("x{number}")) {
        let groups = [&mut *primary, &mut *replica].map(|client| {
            client.command(&["SELECT", "0"]);
            let groups = client.command(&["XINFO", "GROUPS", &stream]).to_string();
            // Redis does not tell its replicas how many entries a group has read.
            let groups = groups.split("\"entries-read\"").next().unwrap_or_default().to_owned();
            groups + &client.command(&["XPENDING", &stream, "g"]).to_string()
        });
        assert_eq!(groups[0], groups[1], "{stream}");
    }
}

/// Streams, in each database.
const STREAMS: u64 = 5;

/// Some commands over all types and a few databases.
pub(crate) fn write_some(client: &mut Client, chance: &mut Chance, count: usize) {
    for _ in 0..count {
        client.pipeline(&some_command(chance));
    }
}

/// A command over all types and a few databases, and the SELECT before it.
pub(crate) fn some_command(chance: &mut Chance) -> [Vec<String>; 2] {
    let (key, value) = (format!("k{}", chance.below(300)), format!("v{}", chance.below(1_000)));
    let database = chance.below(3).to_string();
    let stream = format!("x{}", chance.below(STREAMS));
    let words: &[&str] = match chance.below(20) {
        0 => &["SET", &key, &value],
        1 => &["SET", &key, &value, "EX", "1000"],
        2 => &["RPUSH", &format!("l{key}"), &value, "b", "c"],
        3 => &["LPOP", &format!("l{key}")],
        4 => &["SADD", &format!("s{key}"), &value, "x"],
        5 => &["SPOP", &format!("s{key}"), "2"],
        6 => &["HSET", &format!("h{key}"), &value, "1"],
        7 => &["HINCRBYFLOAT", &format!("h{key}"), "f", "0.1"],
        8 => &["ZADD", &format!("z{key}"), "1.5", &value],
        9 => &["ZPOPMIN", &format!("z{key}")],
        10 => &["EXPIRE", &format!("l{key}"), "1000"],
        11 => &["DEL", &key],
        12 => &["SET", &key, &value, "PX", "20"],
        13 => &["XADD", &stream, "MAXLEN", "~", "100", "*", "f", &value],
        14 => &["XGROUP", "CREATE", &stream, "g", "0", "MKSTREAM"],
        15 => &["XREADGROUP", "GROUP", "g", "c", "COUNT", "2", "STREAMS", &stream, ">"],
        16 => &["XAUTOCLAIM", &stream, "g", "d", "0", "-", "COUNT", "1"],
        17 => &["SETBIT", &key, "7", "1"],
        18 => &["PFADD", &format!("p{key}"), &value],
        _ => &["INCR", &format!("n{key}")],
    };
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    [owned(&["SELECT", &database]), owned(words)]
}
