//! Snapshots that are loaded as they arrive, in every mode: whole, cut, corrupt, lied about, and too quick for us.

use std::sync::Arc;

use tenon_aof::memory_disk::MemoryDisk;
use tenon_base::{ConnectionId, Input, Peer, Transport};

use crate::replication::tests::{LINK, greet, hear, raw};
use crate::testing::Bench;

const ID: &str = "ffffffffffffffffffffffffffffffffffffffff";
const OTHER_ID: &str = "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee";
const MARK: &str = "mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm";
/// A function that does not say of itself that it only reads.
const READER: &str = "FUNCTION LOAD \"#!lua name=lib\\nredis.register_function('f', function(keys) return redis.call('GET', keys[1]) end)\"";
const MODES: [&str; 2] = ["swapdb", "on-empty-db"];

fn follower(mode: &str, directives: &[(&str, &str)]) -> (Bench, Arc<MemoryDisk>) {
    let disk = Arc::new(MemoryDisk::default());
    let own = [
        ("replicaof", "primary.example 6379"),
        ("replica-read-only", "no"),
        ("replica-serve-unsynced", "yes"),
        ("save", ""),
        ("repl-diskless-load", mode),
    ];
    let mut bench = Bench::on_disk(&[&own, directives].concat(), Arc::clone(&disk) as _);
    bench.sleep(1);
    (bench, disk)
}

/// The bytes of a snapshot alone.
fn rdb_of(commands: &[&str]) -> Vec<u8> {
    let disk = Arc::new(MemoryDisk::default());
    let mut source = Bench::on_disk(&[("rdbcompression", "no")], Arc::clone(&disk) as _);
    for command in commands.iter().chain(&["SAVE"]) {
        let said = source.run(1, command);
        assert!(!said.contains("(error)"), "{command}: {said}");
    }
    let path = disk.paths().into_iter().find(|path| path.ends_with("dump.rdb")).expect("a dump");
    disk.content(&path).expect("its contents")
}

fn sized(rdb: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", rdb.len()).as_bytes(), rdb].concat()
}

fn marked(rdb: &[u8]) -> Vec<u8> {
    [format!("$EOF:{MARK}\r\n").as_bytes(), rdb, MARK.as_bytes()].concat()
}

/// The answer to PSYNC: everything comes anew.
fn announce(bench: &mut Bench, id: &str) {
    raw(bench, LINK.slot);
    greet(bench);
    hear(bench, format!("+FULLRESYNC {id} 1000\r\n").as_bytes());
}

/// The link is closed by us; another attempt follows.
fn expect_another_attempt(bench: &mut Bench, what: &str) {
    assert_eq!(bench.closed.pop(), Some(LINK.serial), "{what}");
    raw(bench, LINK.slot);
    bench.sleep(1_100);
    assert_eq!(bench.connects.len(), 1, "{what}");
}

fn info(bench: &mut Bench, name: &str) -> String {
    let text = bench.text(9, "INFO everything");
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    found.unwrap_or("none").to_owned()
}

#[test]
fn a_snapshot_is_loaded_as_it_comes_however_it_is_framed_and_split() {
    let rdb = rdb_of(&["SET n 5", "RPUSH l a b c", "HSET h f v", "PEXPIRE n 100000000"]);
    for mode in MODES {
        for framed in [sized(&rdb), marked(&rdb)] {
            for step in [1, 7, 4_096] {
                let (mut bench, disk) = follower(mode, &[]);
                announce(&mut bench, ID);
                framed.chunks(step).for_each(|bytes| hear(&mut bench, bytes));
                assert_eq!(info(&mut bench, "master_link_status"), "up", "{mode}, {step}");
                assert!(raw(&mut bench, LINK.slot).ends_with("$3\r\nACK\r\n$4\r\n1000\r\n"));
                assert_eq!(bench.run(1, "LRANGE l 0 -1"), "[\"a\", \"b\", \"c\"]");
                hear(&mut bench, b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n");
                assert_eq!(bench.run(1, "GET n"), "\"6\"");
                assert_eq!(info(&mut bench, "slave_repl_offset"), "1044");
                let names = disk.paths();
                assert!(
                    !names.iter().any(|name| name.to_string_lossy().contains("replica.rdb")),
                    "{names:?}"
                );
            }
        }
    }
}

#[test]
fn the_stream_may_come_in_the_same_read_as_the_end_of_the_snapshot() {
    for mode in MODES {
        let (mut bench, _) = follower(mode, &[]);
        announce(&mut bench, ID);
        let stream = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n";
        hear(&mut bench, &[&sized(&rdb_of(&["SET n 5"]))[..], stream].concat());
        bench.sleep(1);
        assert_eq!(bench.run(1, "GET n"), "\"6\"", "{mode}");
        assert_eq!(info(&mut bench, "slave_repl_offset"), "1044");
    }
}

#[test]
fn clients_are_served_from_the_data_that_is_there() {
    let rdb = rdb_of(&["SET new 1"]);
    let (mut bench, _) = follower("swapdb", &[]);
    bench.run(1, "SET old 1");
    bench.run(1, READER);
    announce(&mut bench, ID);
    let (first, rest) = rdb.split_at(30);
    hear(&mut bench, &[format!("${}\r\n", rdb.len()).as_bytes(), first].concat());
    // Another history: INFO says what Redis's would.
    assert_eq!([info(&mut bench, "loading"), info(&mut bench, "async_loading")], ["1", "0"]);
    assert_eq!(info(&mut bench, "loading_total_bytes"), rdb.len().to_string());
    assert_eq!(bench.run(1, "GET old"), "\"1\"");
    assert_eq!(bench.run(1, "FCALL f 1 old"), "\"1\"");
    for command in ["SET lost 1", "EVAL \"return redis.call('SET', 'lost', 1)\" 0"] {
        let said = bench.run(1, command);
        assert!(said.contains("LOADING"), "it would be lost: {said}");
    }
    hear(&mut bench, rest);
    assert_eq!(bench.run(1, "MGET old new"), "[(nil), \"1\"]");
    assert_eq!(info(&mut bench, "loading"), "0");

    // The same history.
    bench.input(Input::Closed { connection: LINK });
    bench.sleep(1_100);
    announce(&mut bench, ID);
    hear(&mut bench, &sized(&rdb)[..30]);
    assert_eq!([info(&mut bench, "loading"), info(&mut bench, "async_loading")], ["0", "1"]);
    assert_eq!(bench.run(1, "GET new"), "\"1\"");
    for command in ["REPLICAOF NO ONE", "CONFIG SET appendonly no", "SET lost 1"] {
        assert!(bench.run(1, command).starts_with("(error) LOADING"), "{command}");
    }
}

#[test]
fn where_there_is_nothing_to_be_shown_clients_wait() {
    let rdb = rdb_of(&["SET new 1"]);
    let (mut bench, _) = follower("on-empty-db", &[]);
    announce(&mut bench, ID);
    let framed = marked(&rdb);
    hear(&mut bench, &framed[..80]);
    assert!(bench.run(1, "GET new").starts_with("(error) LOADING"));
    assert_eq!([info(&mut bench, "loading"), info(&mut bench, "async_loading")], ["1", "0"]);
    assert_eq!(info(&mut bench, "loading_total_bytes"), "0");
    bench.input(Input::Closed { connection: LINK });
    bench.settle();
    // An empty keyspace, which answers as configured.
    assert_eq!(bench.run(1, "GET new"), "(nil)");
    bench.run(1, "CONFIG SET replica-serve-unsynced no");
    assert!(bench.run(1, "GET new").starts_with("(error) MASTERDOWN"));
    bench.run(1, "CONFIG SET replica-serve-unsynced yes");
    bench.sleep(1_100);
    announce(&mut bench, ID);
    hear(&mut bench, &framed);
    assert_eq!(bench.run(1, "GET new"), "\"1\"");

    // With data that is there, it goes through a file.
    let (mut bench, disk) = follower("on-empty-db", &[]);
    bench.run(1, "SET old 1");
    announce(&mut bench, ID);
    hear(&mut bench, &framed[..80]);
    assert_eq!(bench.run(1, "GET old"), "\"1\"");
    assert_eq!(info(&mut bench, "loading"), "0");
    assert!(disk.paths().iter().any(|name| name.to_string_lossy().contains("replica.rdb")));
    hear(&mut bench, &framed[80..]);
    assert_eq!(bench.run(1, "MGET old new"), "[(nil), \"1\"]");
}

#[test]
fn a_snapshot_that_is_cut_or_corrupt_or_lied_about_costs_nothing() {
    let rdb = rdb_of(&["SET new 1", "RPUSH l a b c"]);
    let mut flipped = rdb.clone();
    flipped[rdb.len() - 12] ^= 4;
    let size = |bytes: usize, rdb: &[u8]| [format!("${bytes}\r\n").as_bytes(), rdb].concat();
    let cases = [
        ("a flipped bit", sized(&flipped)),
        ("a flipped bit before a mark", marked(&flipped)),
        ("no RDB at all", marked(b"garbage that goes on and on for a while")),
        ("too short", sized(&rdb[..rdb.len() - 3])),
        ("cut before its mark", marked(&rdb[..rdb.len() - 9])),
        ("more than it is", size(rdb.len() + 3, &[&rdb[..], b"???"].concat())),
        ("more to come than it is", size(1 << 40, &[&rdb[..], &[b'?'; 1_000]].concat())),
        ("bytes behind its end", marked(&[&rdb[..], b"???"].concat())),
        ("bytes without end behind its end", marked(&[&rdb[..], &[b'?'; 5_000]].concat())[..5_000].to_vec()),
    ];
    for (what, bytes) in cases {
        for step in [9, 100_000] {
            let (mut bench, _) = follower("swapdb", &[]);
            bench.run(1, "SET old 1");
            announce(&mut bench, ID);
            for bytes in bytes.chunks(step) {
                if bench.closed.is_empty() {
                    hear(&mut bench, bytes);
                }
            }
            expect_another_attempt(&mut bench, what);
            assert_eq!(bench.run(1, "MGET old new"), "[\"1\", (nil)]", "{what}");
            announce(&mut bench, ID);
            hear(&mut bench, &marked(&rdb));
            assert_eq!(bench.run(1, "MGET old new"), "[(nil), \"1\"]", "after {what}");
        }
    }
}

#[test]
fn no_more_is_read_than_can_be_taken_in() {
    let keys: Vec<String> =
        (0..3_000).map(|number| format!("SET key:{number} {}", "v".repeat(2_000))).collect();
    let rdb = rdb_of(&keys.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(rdb.len() > 6_000_000);
    let (mut bench, _) = follower("swapdb", &[("key-load-delay", "1000000")]);
    announce(&mut bench, ID);
    let framed = marked(&rdb);
    let mut sent = 0;
    for bytes in framed.chunks(16 * 1024) {
        if !bench.readings.is_empty() {
            break;
        }
        hear(&mut bench, bytes);
        sent += bytes.len();
    }
    assert_eq!(bench.readings, [(LINK.serial, false)]);
    assert!(sent < 4_500_000, "{sent} bytes were read");
    let held = info(&mut bench, "used_memory").parse::<usize>().expect("a number");
    // It waits for us, not for its primary: nobody is too silent.
    bench.sleep(120_000);
    assert!(bench.closed.is_empty());
    assert!(raw(&mut bench, LINK.slot).ends_with('\n'), "the primary is shown that we are there");
    let later = info(&mut bench, "used_memory").parse::<usize>().expect("a number");
    assert!(later < held + 2_000_000, "{later} bytes after {held}");
    assert_eq!(bench.run(1, "CONFIG SET key-load-delay 0"), "OK");
    for bytes in framed[sent..].chunks(16 * 1024) {
        bench.sleep(1);
        assert_eq!(bench.readings.last(), Some(&(LINK.serial, true)), "it is read again");
        hear(&mut bench, bytes);
    }
    (0..5).for_each(|_| bench.sleep(1));
    assert_eq!(bench.run(1, "DBSIZE"), "3000");
    assert_eq!(info(&mut bench, "master_link_status"), "up");
}

#[test]
fn what_is_ahead_of_the_load_is_bounded_while_it_goes_on() {
    let keys: Vec<String> =
        (0..4_000).map(|number| format!("SET key:{number} {}", "v".repeat(8_000))).collect();
    let rdb = rdb_of(&keys.iter().map(String::as_str).collect::<Vec<_>>());
    let (mut bench, _) = follower("swapdb", &[("key-load-delay", "100")]);
    announce(&mut bench, ID);
    let (framed, mut sent) = (marked(&rdb), 0);
    while sent < framed.len() {
        // As much as is read before a turn ends.
        if bench.readings.last().is_none_or(|&(_, wanted)| wanted) {
            let bytes = &framed[sent..framed.len().min(sent + 3_000_000)];
            hear(&mut bench, bytes);
            sent += bytes.len();
        }
        bench.sleep(5);
        let loaded: usize = info(&mut bench, "loading_loaded_bytes").parse().unwrap_or(sent);
        assert!(sent - loaded < 9_000_000, "{sent} bytes were read, {loaded} loaded");
    }
    for _ in 0..200 {
        bench.sleep(5);
    }
    assert_eq!(bench.run(1, "DBSIZE"), "4000");
}

#[test]
fn keys_are_taken_in_as_slowly_as_is_asked_for() {
    let rdb = rdb_of(&["SET a 1", "SET b 1", "SET c 1"]);
    let (mut bench, _) = follower("on-empty-db", &[("key-load-delay", "1000000")]);
    announce(&mut bench, ID);
    hear(&mut bench, &sized(&rdb));
    for _ in 0..2 {
        bench.sleep(1_000);
        assert_eq!(info(&mut bench, "loading"), "1");
    }
    bench.sleep(1_000);
    assert_eq!(info(&mut bench, "loading"), "0");
    assert_eq!(bench.run(1, "DBSIZE"), "3");
}

#[test]
fn a_primary_that_lost_its_data_is_not_followed_into_emptiness() {
    let (mut bench, _) = follower("swapdb", &[]);
    announce(&mut bench, ID);
    hear(&mut bench, &marked(&rdb_of(&["SET a 1"])));
    bench.input(Input::Closed { connection: LINK });
    bench.sleep(1_100);
    announce(&mut bench, OTHER_ID);
    hear(&mut bench, &marked(&rdb_of(&[])));
    expect_another_attempt(&mut bench, "it is asked again");
    assert_eq!(bench.run(1, "GET a"), "\"1\"");
    bench.run(1, "CONFIG SET replica-follow-empty-primary yes");
    announce(&mut bench, OTHER_ID);
    hear(&mut bench, &marked(&rdb_of(&[])));
    assert_eq!(bench.run(1, "GET a"), "(nil)");
}

#[test]
fn who_names_the_empty_primary_again_insists() {
    let (mut bench, _) = follower("swapdb", &[]);
    let again = "REPLICAOF primary.example 6379";
    announce(&mut bench, ID);
    hear(&mut bench, &marked(&rdb_of(&["SET a 1"])));
    assert_eq!(bench.run(1, again), "OK Already connected to specified master");
    bench.input(Input::Closed { connection: LINK });
    bench.sleep(1_100);
    announce(&mut bench, OTHER_ID);
    hear(&mut bench, &marked(&rdb_of(&[])));
    expect_another_attempt(&mut bench, "name it with REPLICAOF again");
    assert_eq!(bench.run(1, again), "OK");
    announce(&mut bench, OTHER_ID);
    hear(&mut bench, &marked(&rdb_of(&[])));
    assert_eq!(bench.run(1, "GET a"), "(nil)");
    assert_eq!(bench.run(1, again), "OK Already connected to specified master");
}

#[test]
fn whom_it_follows_may_change_in_the_midst_of_it() {
    let rdb = rdb_of(&["SET new 1"]);
    for command in ["REPLICAOF NO ONE", "REPLICAOF other.example 6379"] {
        let (mut bench, _) = follower("swapdb", &[]);
        bench.run(1, "SET old 1");
        announce(&mut bench, ID);
        hear(&mut bench, &sized(&rdb)[..60]);
        assert_eq!(info(&mut bench, "loading"), "1");
        assert!(bench.run(1, command).starts_with("OK"), "{command}");
        assert_eq!(info(&mut bench, "loading"), "0");
        assert_eq!(bench.run(1, "GET old"), "\"1\"");
        assert_eq!(bench.run(1, "SET old 2"), "OK");
    }
}

#[test]
fn it_may_come_over_a_link_of_its_own() {
    const ASIDE: ConnectionId = ConnectionId { serial: 1_001, slot: 101 };
    for mode in MODES {
        let (mut bench, _) = follower(mode, &[]);
        greet(&mut bench);
        hear(&mut bench, b"+DUALCHANNELSYNC\r\n");
        let (ticket, _) = bench.connects.pop().expect("a second connection is asked for");
        let peer = Peer {
            address: "10.0.0.1:6379".to_owned(),
            local: "10.0.0.2:40001".to_owned(),
            descriptor: 31,
            transport: Transport::Tcp,
            is_local: false,
        };
        bench.input(Input::Linked { ticket, result: Ok((ASIDE, peer)) });
        let hear_aside = |bench: &mut Bench, bytes: &[u8]| {
            bench.input(Input::Received { connection: ASIDE, bytes });
            bench.settle();
        };
        hear_aside(&mut bench, b"+OK\r\n");
        hear_aside(&mut bench, format!("$ENDOFF:1000 {ID} 0 77\r\n").as_bytes());
        hear(&mut bench, b"+OK\r\n");
        let framed = marked(&rdb_of(&["SET n 5", "SET m 1"]));
        hear_aside(&mut bench, &framed[..90]);
        hear(&mut bench, b"+CONTINUE\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n");
        assert_eq!(info(&mut bench, "replica_gathered_bytes"), "44", "{mode}");
        assert_eq!(info(&mut bench, "master_sync_in_progress"), "1");
        hear_aside(&mut bench, &framed[90..]);
        bench.sleep(1);
        assert_eq!(bench.run(1, "MGET n m"), "[\"6\", \"1\"]", "{mode}");
        assert!(bench.closed.contains(&ASIDE.serial) && !bench.closed.contains(&LINK.serial));
        assert_eq!(info(&mut bench, "slave_repl_offset"), "1044");
    }
}

/// What is asked for by who stands at this offset.
fn psync(offset: usize) -> String {
    let next = (offset + 1).to_string();
    format!("$5\r\nPSYNC\r\n$40\r\n{ID}\r\n${}\r\n{next}\r\n", next.len())
}

#[test]
fn a_link_that_is_lost_behind_the_last_byte_costs_no_second_snapshot() {
    let rdb = rdb_of(&["SET n 5", "SET a 1", "SET b 1"]);
    let behind = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n";
    // What comes behind one whose end is marked waits for our word.
    let streams = [(sized(&rdb), &behind[..], 44), (sized(&rdb), &behind[..30], 23), (marked(&rdb), b"", 0)];
    for mode in MODES {
        for (framed, gathered, offset) in &streams {
            let (mut bench, _) = follower(mode, &[("key-load-delay", "1000000")]);
            announce(&mut bench, ID);
            hear(&mut bench, &[framed, *gathered].concat());
            bench.input(Input::Closed { connection: LINK });
            bench.sleep(1_500);
            let told = [info(&mut bench, "master_link_status"), info(&mut bench, "loading")];
            assert_eq!(told, ["down", "1"], "{mode}: it goes on");
            assert!(bench.connects.is_empty(), "it does not know yet what to ask for");
            bench.sleep(4_000);
            bench.sleep(1_100);
            assert_eq!(info(&mut bench, "master_link_status"), "down", "nobody is there to be followed");
            let expected = if *offset == 44 { "\"6\"" } else { "\"5\"" };
            assert_eq!(bench.run(1, "GET n"), expected, "{mode}");
            raw(&mut bench, LINK.slot);
            let asked = greet(&mut bench);
            assert!(asked.ends_with(&psync(1_000 + offset)), "{mode}: {asked}");
            hear(&mut bench, &[&b"+CONTINUE\r\n"[..], &behind[*offset..]].concat());
            assert_eq!(bench.run(1, "MGET n a b"), "[\"6\", \"1\", \"1\"]", "{mode}");
            assert_eq!(info(&mut bench, "slave_repl_offset"), "1044");
        }
    }
}

#[test]
fn a_link_that_is_lost_while_a_file_is_loaded_is_asked_for_again_behind_it() {
    let (mut bench, _) = follower("disabled", &[("key-load-delay", "50000")]);
    announce(&mut bench, ID);
    bench.meanwhile_ends(LINK);
    hear(&mut bench, &sized(&rdb_of(&["SET n 5", "SET a 1"])));
    assert_eq!(info(&mut bench, "master_link_status"), "down", "nobody is there to be followed");
    bench.sleep(1_000);
    raw(&mut bench, LINK.slot);
    let asked = greet(&mut bench);
    assert!(asked.ends_with(&psync(1_000)), "{asked}");
    hear(&mut bench, b"+CONTINUE\r\n");
    assert_eq!(info(&mut bench, "master_link_status"), "up");
    assert_eq!(bench.run(1, "MGET n a"), "[\"5\", \"1\"]");
}
