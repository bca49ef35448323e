//! A follower: what its log keeps of its place in the stream, and who is told when a snapshot replaces everything.

use std::sync::Arc;

use tenon_aof::memory_disk::MemoryDisk;
use tenon_base::{ConnectionId, Input, Machine, Peer, Transport};
use tenon_resp::{OwnedArgs, write_request};

use crate::replication::tests::{LINK, attach, greet, hear, raw, say, snapshot_of};
use crate::testing::{Bench, START_UNIX_US};

const ID: &str = "ffffffffffffffffffffffffffffffffffffffff";
const DIRECTIVES: [(&str, &str); 3] =
    [("replicaof", "primary.example 6379"), ("replica-read-only", "no"), ("save", "")];

fn follower_on(disk: &Arc<MemoryDisk>, directives: &[(&str, &str)]) -> Bench {
    let mut bench = Bench::on_disk(&[&DIRECTIVES, directives].concat(), Arc::clone(disk) as _);
    // Loading has taken a while, and what it led to is due then.
    bench.sleep(1);
    bench
}

/// Connects and gets a snapshot that ends at offset 1000.
fn sync(bench: &mut Bench, commands: &[&str]) {
    let asked = greet(bench);
    assert!(asked.ends_with("$1\r\n?\r\n$2\r\n-1\r\n"), "{asked}");
    hear(bench, format!("+FULLRESYNC {ID} 1000\r\n").as_bytes());
    hear(bench, &snapshot_of(commands));
    raw(bench, LINK.slot);
}

/// Commands as a primary sends them.
fn stream(commands: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for command in commands {
        let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        write_request(&mut bytes, OwnedArgs::from(words.as_slice()).as_args());
    }
    bytes
}

/// What a follower asks for that stands at this offset.
fn psync(offset: usize) -> String {
    let next = (offset + 1).to_string();
    format!("$5\r\nPSYNC\r\n$40\r\n{ID}\r\n${}\r\n{next}\r\n", next.len())
}

#[test]
fn a_follower_with_a_log_goes_on_where_it_stopped() {
    for preamble in ["yes", "no"] {
        let disk = Arc::new(MemoryDisk::default());
        let directives = [("appendonly", "yes"), ("aof-use-rdb-preamble", preamble)];
        let mut bench = follower_on(&disk, &directives);
        sync(&mut bench, &["SET n 5"]);
        let first =
            stream(&["SELECT 0", "INCR n", "SELECT 3", "MULTI", "SET a 1", "SELECT 4", "SET b 1", "EXEC"]);
        hear(&mut bench, &first);
        // A client's own write elsewhere does not change where the stream is; nor does what does nothing.
        bench.run(1, "SET own 1");
        let idle = stream(&["PING", "SELECT 7"]);
        hear(&mut bench, &idle);
        drop(bench);

        let mut bench = follower_on(&disk, &directives);
        let asked = greet(&mut bench);
        assert!(asked.ends_with(&psync(1_000 + first.len())), "{asked}");
        hear(&mut bench, b"+CONTINUE\r\n");
        hear(&mut bench, &stream(&["INCR b"]));
        bench.run(1, "SELECT 4");
        assert_eq!(bench.run(1, "GET b"), "\"2\"", "it goes on in the database of the stream");
        bench.run(1, "SELECT 0");
        assert_eq!(bench.run(1, "MGET n own"), "[\"6\", \"1\"]");

        // And from a log that was begun anew meanwhile.
        hear(&mut bench, &idle);
        bench.run(1, "BGREWRITEAOF");
        bench.sleep(100);
        drop(bench);
        let mut bench = follower_on(&disk, &directives);
        let more = stream(&["INCR b"]).len() + idle.len();
        let asked = greet(&mut bench);
        assert!(asked.ends_with(&psync(1_000 + first.len() + more)), "{asked}");
        hear(&mut bench, b"+CONTINUE\r\n");
        hear(&mut bench, &stream(&["SET seventh 1"]));
        bench.run(1, "SELECT 7");
        assert_eq!(bench.run(1, "GET seventh"), "\"1\"");
    }
}

#[test]
fn a_primary_that_follows_after_its_end_goes_on_in_the_database_of_its_stream() {
    for preamble in ["yes", "no"] {
        let disk = Arc::new(MemoryDisk::default());
        let directives =
            [("appendonly", "yes"), ("aof-use-rdb-preamble", preamble), ("repl-diskless-sync-delay", "0")];
        let mut primary = Bench::on_disk(&directives, Arc::clone(&disk) as _);
        let (id, _) = attach(&mut primary, 9);
        primary.run(1, "SET a 1");
        primary.run(1, "SELECT 3");
        primary.run(1, "SET a 1");
        primary.run(1, "BGREWRITEAOF");
        primary.sleep(100);
        drop(primary);

        let mut follower = follower_on(&disk, &directives);
        let asked = greet(&mut follower);
        assert!(asked.contains(&id), "{asked}");
        hear(&mut follower, b"+CONTINUE\r\n");
        hear(&mut follower, &stream(&["SET b 2"]));
        follower.run(1, "SELECT 3");
        assert_eq!(follower.run(1, "MGET a b"), "[\"1\", \"2\"]", "aof-use-rdb-preamble {preamble}");
    }
}

#[test]
fn a_wide_index_of_a_list_is_taken_as_redis_takes_it() {
    let disk = Arc::new(MemoryDisk::default());
    let mut bench = follower_on(&disk, &[("appendonly", "yes")]);
    sync(&mut bench, &["RPUSH l a b c"]);
    hear(&mut bench, &stream(&["SELECT 0", "LSET l 4294967297 B", "LSET l -4294967297 C", "LSET l 7 x"]));
    assert_eq!(bench.run(1, "LRANGE l 0 -1"), r#"["a", "B", "C"]"#);
    assert_eq!(bench.run(1, "LSET l 4294967297 x"), "(error) ERR index out of range");
    drop(bench);
    let mut bench = follower_on(&disk, &[("appendonly", "yes")]);
    assert_eq!(bench.run(1, "LRANGE l 0 -1"), r#"["a", "B", "C"]"#);
}

#[test]
fn a_sort_of_the_primary_s_may_store_more_than_a_client_s() {
    let disk = Arc::new(MemoryDisk::default());
    let mut bench = follower_on(&disk, &[("proto-max-bulk-len", "1mb")]);
    let value = "v".repeat(600 << 10);
    sync(&mut bench, &["RPUSH l 2 1", &format!("SET w1 {value}"), &format!("SET w2 w{value}")]);
    let stored = ["SELECT 0", "SORT l BY nosort GET w* STORE values", "SORT l BY w* ALPHA STORE elements"];
    hear(&mut bench, &stream(&stored));
    assert_eq!(bench.run(1, "LLEN values"), "2");
    assert_eq!(bench.run(1, "LRANGE elements 0 -1"), r#"["1", "2"]"#);
}

#[test]
fn a_pause_holds_the_stream_until_it_ends() {
    let offset = |bench: &mut Bench, name: &str| -> usize {
        let text = bench.text(9, "INFO replication");
        let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        found.and_then(|value| value.parse().ok()).expect("a number")
    };
    let disk = Arc::new(MemoryDisk::default());
    let mut bench = follower_on(&disk, &[("client-query-buffer-limit", "1mb")]);
    sync(&mut bench, &["SET n 5"]);
    bench.run(1, "CLIENT PAUSE 1000 WRITE");
    let writes = stream(&["SELECT 0", "INCR n", "INCR n"]);
    let (whole, torn) = writes.split_at(writes.len() - 3);
    hear(&mut bench, whole);
    assert_eq!(bench.run(1, "GET n"), "\"5\"");
    assert_eq!(offset(&mut bench, "slave_repl_offset"), 1_000);
    assert_eq!(offset(&mut bench, "slave_read_repl_offset"), 1_000 + whole.len());
    bench.run(1, "CLIENT UNPAUSE");
    assert_eq!(bench.run(1, "GET n"), "\"6\"");
    hear(&mut bench, torn);
    assert_eq!(bench.run(1, "GET n"), "\"7\"");
    assert_eq!(offset(&mut bench, "slave_repl_offset"), 1_000 + writes.len());

    // What it ends by is the clock, too.
    bench.run(1, "CLIENT PAUSE 1000 WRITE");
    hear(&mut bench, &stream(&["INCR n"]));
    bench.sleep(999);
    assert_eq!(bench.run(1, "GET n"), "\"7\"");
    bench.sleep(1);
    assert_eq!(bench.run(1, "GET n"), "\"8\"");

    // More than may be held is asked for again, from where it was run.
    let stands_at = offset(&mut bench, "slave_repl_offset");
    bench.run(1, "CLIENT PAUSE 60000 WRITE");
    let large = stream(&[&format!("SET big {}", "v".repeat(1 << 20))]);
    hear(&mut bench, &large);
    assert!(bench.text(9, "INFO replication").contains("master_link_status:down"));
    // What it confirmed until then has left.
    raw(&mut bench, LINK.slot);
    bench.sleep(1_000);
    let asked = greet(&mut bench);
    assert!(asked.ends_with(&psync(stands_at)), "{asked}");
}

#[test]
fn a_torn_log_of_a_follower_stands_where_its_last_whole_batch_does() {
    let disk = Arc::new(MemoryDisk::default());
    let directives = [("appendonly", "yes")];
    let mut bench = follower_on(&disk, &directives);
    sync(&mut bench, &["SET n 5"]);
    let first = stream(&["SELECT 0", "INCR n"]);
    hear(&mut bench, &first);
    // One turn, two batches: the second one is a transaction over two databases.
    let second = stream(&["SELECT 3", "INCR m"]);
    let third = stream(&["SELECT 0", "MULTI", "INCR n", "SELECT 3", "INCR m", "EXEC", "INCR m"]);
    hear(&mut bench, &[&second[..], &third].concat());
    drop(bench);
    let path = disk.paths().into_iter().rfind(|path| path.to_string_lossy().ends_with(".incr.aof"));
    let path = path.expect("an increment");
    let bytes = disk.content(&path).expect("its contents");
    disk.put(&path, &bytes[..bytes.len() - 1]);

    let mut bench = follower_on(&disk, &directives);
    let asked = greet(&mut bench);
    assert!(asked.ends_with(&psync(1_000 + first.len() + second.len())), "{asked}");
    assert_eq!(bench.run(1, "GET n"), "\"6\"", "nothing of the torn transaction is there");
    hear(&mut bench, b"+CONTINUE\r\n");
    hear(&mut bench, &third);
    assert_eq!(bench.run(1, "GET n"), "\"7\"");
    bench.run(1, "SELECT 3");
    assert_eq!(bench.run(1, "GET m"), "\"3\"");
}

#[test]
fn a_follower_with_a_dump_keeps_what_its_primary_has_not_let_go() {
    let disk = Arc::new(MemoryDisk::default());
    let mut bench = follower_on(&disk, &[]);
    let at = START_UNIX_US / 1_000 + 500;
    sync(&mut bench, &["SET n 5"]);
    hear(&mut bench, &stream(&["SELECT 0", &format!("PEXPIREAT n {at}")]));
    assert_eq!(bench.run(1, "SAVE"), "OK");
    drop(bench);
    let mut bench = follower_on(&disk, &[]);
    greet(&mut bench);
    hear(&mut bench, b"+CONTINUE\r\n");
    bench.sleep(1_000);
    assert_eq!(bench.run(1, "GET n"), "(nil)");
    // The primary had said so before the time came.
    hear(&mut bench, &stream(&["PERSIST n"]));
    assert_eq!(bench.run(1, "GET n"), "\"5\"");
}

#[test]
fn watchers_and_trackers_are_told_of_a_full_synchronization() {
    let mut bench = follower_on(&Arc::new(MemoryDisk::default()), &[("replica-serve-unsynced", "yes")]);
    for key in ["old", "stays"] {
        bench.run(1, &format!("SET {key} here"));
    }
    for (client, key) in [(1, "old"), (2, "new"), (3, "neither"), (4, "stays")] {
        bench.run(client, &format!("WATCH {key}"));
        bench.run(client, "MULTI");
        bench.run(client, "PING");
    }
    bench.run(5, "HELLO 3");
    bench.run(5, "CLIENT TRACKING ON");
    bench.run(5, "GET old");
    sync(&mut bench, &["SET new data", "SET stays there"]);
    assert_eq!(bench.shown(5), ">[\"invalidate\", (nil)]");
    let results = [1, 2, 3, 4].map(|client| bench.run(client, "EXEC"));
    assert_eq!(results, ["(nil array)", "(nil array)", "[PONG]", "(nil array)"]);
}

#[test]
fn functions_come_with_a_snapshot_and_replace_those_that_were_here() {
    const LIBRARY: &str = "#!lua name=lib\\nredis.register_function('f', function() return 'VALUE' end)";
    let load = |value: &str| format!("FUNCTION LOAD REPLACE \"{}\"", LIBRARY.replace("VALUE", value));
    for loading in ["swapdb", "disabled"] {
        let directives = [("repl-diskless-load", loading), ("replica-serve-unsynced", "yes")];
        let mut bench = follower_on(&Arc::new(MemoryDisk::default()), &directives);
        assert_eq!(bench.run(1, &load("mine")), "\"lib\"");
        assert_eq!(bench.run(1, "FCALL f 0"), "\"mine\"");
        sync(&mut bench, &["SET a 1", &load("theirs")]);
        assert_eq!(bench.run(1, "FCALL f 0"), "\"theirs\"", "{loading}");
    }
}

#[test]
fn functions_of_the_stream_are_in_the_log() {
    let disk = Arc::new(MemoryDisk::default());
    let directives = [("appendonly", "yes")];
    let mut bench = follower_on(&disk, &directives);
    sync(&mut bench, &["SET a 1"]);
    let load = |name: &str| {
        let text =
            format!("#!lua name={name}\nredis.register_function('{name}', function() return '{name}' end)");
        let mut bytes = Vec::new();
        let words: [&[u8]; 3] = [b"FUNCTION", b"LOAD", text.as_bytes()];
        write_request(&mut bytes, OwnedArgs::from(words.as_slice()).as_args());
        bytes
    };
    hear(&mut bench, &[load("dropped"), stream(&["FUNCTION FLUSH"]), load("deleted"), load("kept")].concat());
    hear(&mut bench, &stream(&["FUNCTION DELETE deleted"]));
    let list = bench.run(1, "FUNCTION LIST");
    assert!(list.contains("kept") && !list.contains("deleted") && !list.contains("dropped"), "{list}");
    drop(bench);
    let mut bench = follower_on(&disk, &directives);
    assert_eq!(bench.run(1, "FUNCTION LIST"), list);
    assert_eq!(bench.run(1, "FCALL kept 0"), "\"kept\"");

    // A payload of another server's functions.
    let mut source = Bench::new(&[]);
    let connection = source.connect(1);
    source.input(tenon_base::Input::Received { connection, bytes: &load("restored") });
    source.settle();
    source.replies(1);
    let payload = source.send(1, "FUNCTION DUMP").remove(0);
    let payload = payload.as_bytes().expect("a payload");
    let mut bytes = Vec::new();
    let words: [&[u8]; 4] = [b"FUNCTION", b"RESTORE", payload, b"FLUSH"];
    write_request(&mut bytes, OwnedArgs::from(words.as_slice()).as_args());
    greet(&mut bench);
    hear(&mut bench, b"+CONTINUE\r\n");
    hear(&mut bench, &bytes);
    drop(bench);
    let mut bench = follower_on(&disk, &directives);
    assert_eq!(bench.run(1, "FCALL restored 0"), "\"restored\"");
    assert!(bench.run(1, "FCALL kept 0").starts_with("(error)"), "the restore flushed it");
}

#[test]
fn a_command_that_is_refused_here_is_counted() {
    let mut bench = follower_on(&Arc::new(MemoryDisk::default()), &[]);
    sync(&mut bench, &["SET text word"]);
    hear(&mut bench, &stream(&["INCR text", "NO-SUCH-COMMAND", "SET after 1"]));
    assert!(bench.text(1, "INFO stats").contains("unexpected_error_replies:2\r\n"));
    assert_eq!(bench.run(1, "GET after"), "\"1\"");
}

#[test]
fn a_follower_stops_at_a_refused_command_where_that_is_not_to_be_borne() {
    let directives = [("replica-read-only", "yes"), ("propagation-error-behavior", "panic-on-replicas")];
    let mut bench = follower_on(&Arc::new(MemoryDisk::default()), &directives);
    sync(&mut bench, &["SET text word"]);
    hear(&mut bench, &stream(&["SET before 1", "INCR text", "SET after 1"]));
    assert_eq!(bench.run(1, "MGET text before after"), "[\"word\", \"1\", (nil)]");
    assert_eq!(bench.closed, [LINK.serial]);
    bench.sleep(5_000);
    assert!(bench.connects.is_empty(), "nobody asks again by himself");
    assert!(bench.text(1, "INFO replication").contains("master_link_status:down"));
    // Somebody who names it anew gets everything anew.
    assert_eq!(bench.run(1, "REPLICAOF primary.example 6379"), "OK");
    bench.sleep(1);
    let asked = greet(&mut bench);
    assert!(asked.contains("PSYNC") && !asked.contains(ID), "{asked}");
}

#[test]
fn the_stream_is_gathered_while_the_snapshot_comes_over_another_link() {
    const ASIDE: ConnectionId = ConnectionId { serial: 1_001, slot: 101 };
    let limit = [("client-output-buffer-limit", "replica 100 0 0"), ("replica-serve-unsynced", "yes")];
    let mut bench = follower_on(&Arc::new(MemoryDisk::default()), &limit);
    greet(&mut bench);
    hear(&mut bench, b"+DUALCHANNELSYNC\r\n");
    let (ticket, address) = bench.connects.pop().expect("a second connection is asked for");
    assert_eq!(address, "primary.example:6379");
    bench.input(Input::Linked { ticket, result: Ok((ASIDE, peer())) });
    let hear_aside = |bench: &mut Bench, bytes: &[u8]| {
        bench.input(Input::Received { connection: ASIDE, bytes });
        bench.settle();
    };
    hear_aside(&mut bench, b"+OK\r\n");
    assert!(raw(&mut bench, ASIDE.slot).ends_with("*1\r\n$4\r\nSYNC\r\n"));
    hear_aside(&mut bench, format!("$ENDOFF:1000 {ID} 0 77\r\n").as_bytes());
    assert!(raw(&mut bench, LINK.slot).ends_with("$17\r\nset-rdb-client-id\r\n$2\r\n77\r\n"));
    hear(&mut bench, b"+OK\r\n");
    let asked = raw(&mut bench, LINK.slot);
    assert!(asked.ends_with(&psync(1_000)), "{asked}");
    let snapshot = snapshot_of(&["SET n 5"]);
    hear_aside(&mut bench, &snapshot[..20]);
    let behind = stream(&["SELECT 0", "INCR n", "INCR n", "SET own 1", "INCR n", "INCR n"]);
    hear(&mut bench, &[&b"+CONTINUE\r\n"[..], &behind].concat());
    let information = bench.text(1, "INFO replication");
    assert!(information.contains(&format!("replica_gathered_bytes:{}\r\n", behind.len())), "{information}");
    assert!(
        information.contains("master_link_status:down") && information.contains("master_sync_in_progress:1")
    );
    assert_eq!(bench.run(1, "GET n"), "(nil)", "nothing of it runs before the snapshot is here");
    bench.run(1, "CLIENT PAUSE 100 WRITE");
    hear_aside(&mut bench, &snapshot[20..]);
    bench.sleep(1);
    assert_eq!(bench.run(1, "GET n"), "\"5\"", "nor while clients are paused");
    let sleeps = bench.with_world(|engine, now, _| engine.wake_at() > Some(now.steady));
    assert!(sleeps, "which is no reason to be awake");
    bench.run(1, "CLIENT UNPAUSE");
    bench.sleep(1);
    assert_eq!(bench.run(1, "MGET n own"), "[\"9\", \"1\"]");
    let more = stream(&["INCR n"]);
    hear(&mut bench, &more);
    assert_eq!(bench.run(1, "GET n"), "\"10\"");
    let information = bench.text(1, "INFO replication");
    let offset = 1_000 + behind.len() + more.len();
    assert!(information.contains(&format!("slave_repl_offset:{offset}\r\n")), "{information}");
    assert!(information.contains("master_link_status:up") && !information.contains("replica_gathered_bytes"));
    assert!(bench.closed.contains(&ASIDE.serial) && !bench.closed.contains(&LINK.serial));
}

fn peer() -> Peer {
    Peer {
        address: "10.0.0.1:6379".to_owned(),
        local: "10.0.0.2:40001".to_owned(),
        descriptor: 31,
        transport: Transport::Tcp,
        is_local: false,
    }
}

#[test]
fn a_synchronization_over_two_links_that_fails_is_followed_by_one_over_one() {
    [false, true].into_iter().for_each(fails_over_two_links);
}

fn fails_over_two_links(is_silent: bool) {
    let mut bench = follower_on(&Arc::new(MemoryDisk::default()), &[]);
    assert!(bench.engine.config.bool(tenon_config::Directive::DualChannelReplicationEnabled));
    greet(&mut bench);
    hear(&mut bench, b"+DUALCHANNELSYNC\r\n");
    let (ticket, _) = bench.connects.pop().expect("a second connection is asked for");
    if is_silent {
        let aside = ConnectionId { serial: 1_001, slot: 101 };
        bench.input(Input::Linked { ticket, result: Ok((aside, peer())) });
        bench.settle();
        assert_eq!(bench.run(1, "CONFIG SET repl-timeout 5"), "OK");
        bench.sleep(4_900);
        assert!(bench.closed.is_empty());
        bench.sleep(200);
        assert_eq!(bench.closed, [LINK.serial, aside.serial], "the new time counts for both links");
        bench.closed.clear();
        bench.closed.push(LINK.serial);
    } else {
        bench.input(Input::Linked { ticket, result: Err("Connection refused".to_owned()) });
        bench.settle();
    }
    bench.sleep(1_000);
    greet(&mut bench);
    hear(&mut bench, b"+DUALCHANNELSYNC\r\n");
    assert!(bench.connects.is_empty(), "it did not say that it can");
    assert_eq!(bench.closed, [LINK.serial, LINK.serial]);
}

#[test]
fn a_replica_has_no_business_with_keys() {
    let mut bench = Bench::new(&[("repl-diskless-sync-delay", "0")]);
    say(&mut bench, 9, "PSYNC ? -1\r\n");
    assert_eq!(say(&mut bench, 9, "SET a 1\r\n"), "");
    assert_eq!(bench.closed, [9]);
    assert_eq!(bench.run(1, "GET a"), "(nil)");
    assert_eq!(bench.run(1, "PSYNC ? x"), "(error) ERR value is not an integer or out of range");
}

#[test]
fn scripts_that_say_they_write_need_what_writes_need() {
    const FLAGLESS: &str = "\"#!lua\\nreturn 1\" 0";
    const READER: &str = "\"#!lua flags=no-writes\\nreturn 1\" 0";
    let mut primary = Bench::new(&[("min-replicas-to-write", "1")]);
    let refused = "(error) NOREPLICAS Not enough good replicas to write.";
    assert_eq!(primary.run(1, &format!("EVAL {FLAGLESS}")), refused);
    assert_eq!(primary.run(1, &format!("EVAL {READER}")), "1");
    let mut bench = Bench::new(&[("replicaof", "primary.example 6379")]);
    let refused = "(error) READONLY You can't write against a read only replica.";
    assert_eq!(bench.run(1, &format!("EVAL {FLAGLESS}")), refused);
    assert_eq!(bench.run(1, &format!("EVAL {READER}")), "1");
}
