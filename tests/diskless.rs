//! Replicas that load a snapshot as it comes over the socket: from redis-server and from Tenon, too slowly, cut half way,
//! corrupt, and from peers that lie.
//! Always: what was there is there until the new data takes its place, and nothing is written to the replica's disk.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use support::chance::Chance;
use support::client::Client;
use support::replicas::{PATIENCE, assert_equal, field, wait_for_link, wait_until, write_some};
use support::server::Server;

const MODES: [&str; 3] = ["disabled", "on-empty-db", "swapdb"];
const ID: &str = "ffffffffffffffffffffffffffffffffffffffff";
const MARK: &str = "mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm";

fn tenon(arguments: &[&str]) -> Server {
    let common = ["--save", "", "--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0"];
    Server::tenon(&[&common, arguments].concat())
}

fn follow(replica: &mut Client, primary: u16) {
    assert_eq!(replica.command(&["REPLICAOF", "127.0.0.1", &primary.to_string()]).to_string(), "OK");
}

/// Has a replica ask at once: by itself it asks a primary that sends nonsense less and less often.
fn ask_again(replica: &mut Client, primary: u16) {
    let answer = replica.command(&["REPLICAOF", "127.0.0.1", &primary.to_string()]).to_string();
    assert_eq!(answer, "OK Already connected to specified master");
}

/// The names of files that a replica wrote a snapshot to.
fn snapshot_files(replica: &Server) -> Vec<String> {
    let names = std::fs::read_dir(replica.directory()).expect("its directory").flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.ends_with(".rdb")).collect()
}

/// A replica that loads in this way, and has a key of its own that a snapshot will not bring.
fn replica(mode: &str) -> Server {
    let server = tenon(&["--repl-diskless-load", mode, "--repl-timeout", "5"]);
    if mode != "on-empty-db" {
        server.client().command(&["SET", "old", "here"]);
    }
    server
}

/// Asserts that a replica has what it had before.
fn assert_untouched(mode: &str, client: &mut Client, what: &str) {
    let (keys, old) = if mode == "on-empty-db" { (0, "(nil)") } else { (1, "\"here\"") };
    wait_until("nothing is loaded", || field(client, "persistence", "loading") == "0");
    client.command(&["CONFIG", "SET", "replica-serve-unsynced", "yes"]);
    assert_eq!(client.command(&["DBSIZE"]).integer(), keys, "{mode}, {what}");
    assert_eq!(client.command(&["GET", "old"]).to_string(), old, "{mode}, {what}");
}

/// A dump of a few keys, one of them long.
fn dump() -> Vec<u8> {
    let source = tenon(&["--rdbcompression", "no"]);
    let mut client = source.client();
    write_some(&mut client, &mut Chance::announced("commands"), 300);
    client.command(&["SELECT", "0"]);
    client.command(&["SET", "long", &"x".repeat(3_000_000)]);
    client.command(&["DEBUG", "POPULATE", "500", "key", "1000"]);
    assert_eq!(client.command(&["SAVE"]).to_string(), "OK");
    std::fs::read(source.directory().join("dump.rdb")).expect("a dump")
}

/// Something that is taken for a primary: it greets, and says after that what it is told to. Hears until it is left.
fn pretend(listener: &TcpListener, snapshot: &[u8]) -> TcpStream {
    let (mut link, _) = listener.accept().expect("a replica comes");
    link.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut lines = BufReader::new(link.try_clone().expect("the other half"));
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).expect("a line");
        match line.trim() {
            "PING" => link.write_all(b"+PONG\r\n").expect("written"),
            "REPLCONF" => link.write_all(b"+OK\r\n").expect("written"),
            "PSYNC" => break,
            _ => {}
        }
    }
    link.write_all(format!("+FULLRESYNC {ID} 1000\r\n").as_bytes()).expect("written");
    // A replica that has heard enough may be gone before all of it is said.
    let _ = link.write_all(snapshot);
    link
}

fn sized(bytes: usize, rdb: &[u8]) -> Vec<u8> {
    [format!("${bytes}\r\n").as_bytes(), rdb].concat()
}

fn marked(rdb: &[u8]) -> Vec<u8> {
    [format!("$EOF:{MARK}\r\n").as_bytes(), rdb, MARK.as_bytes()].concat()
}

#[test]
fn redis_and_tenon_are_followed_by_replicas_that_load_as_it_comes() {
    for (mode, diskless, is_redis) in
        [("swapdb", "yes", true), ("on-empty-db", "no", true), ("on-empty-db", "yes", false)]
    {
        let arguments = [
            "--save",
            "",
            "--enable-debug-command",
            "yes",
            "--repl-diskless-sync-delay",
            "0",
            "--repl-diskless-sync",
            diskless,
        ];
        let head = if is_redis { Server::redis(&arguments) } else { Some(Server::tenon(&arguments)) };
        let Some(head) = head else { continue };
        let replica = tenon(&["--repl-diskless-load", mode, "--appendonly", "yes"]);
        let (mut writer, mut follower) = (head.client(), replica.client());
        let mut chance = Chance::announced("commands");
        write_some(&mut writer, &mut chance, 500);
        writer.command(&["SELECT", "0"]);
        // So much that a link of its own is worth it, where both ends know of that.
        writer.command(&["DEBUG", "POPULATE", "40000", "key", "1000"]);
        writer.command(&["RPUSH", "long list", &"y".repeat(2_000_000)]);
        follow(&mut follower, head.port());
        write_some(&mut writer, &mut chance, 500);
        assert_equal(&mut writer, &mut follower);
        assert!(replica.log().contains("to parser"), "{}", replica.log());
        assert_eq!(snapshot_files(&replica), [""; 0], "{mode}: nothing is written");
        follower.command(&["CLIENT", "KILL", "TYPE", "master"]);
        write_some(&mut writer, &mut chance, 500);
        assert_equal(&mut writer, &mut follower);
        assert_eq!(field(&mut writer, "stats", "sync_full"), "1", "a cut link needs no snapshot");
        // And once more, over data that is there.
        follower.command(&["REPLICAOF", "NO", "ONE"]);
        follower.command(&["SET", "own", "1"]);
        follower.command(&["CONFIG", "SET", "repl-diskless-load", "swapdb"]);
        follow(&mut follower, head.port());
        write_some(&mut writer, &mut chance, 500);
        assert_equal(&mut writer, &mut follower);
        assert_eq!(field(&mut writer, "stats", "sync_full"), "2");
    }
}

#[test]
fn a_transfer_that_is_cut_or_corrupt_or_lied_about_costs_nothing_in_any_mode() {
    let rdb = dump();
    let mut flipped = rdb.clone();
    flipped[rdb.len() / 2] ^= 16;
    let cases = [
        ("cut half way", sized(rdb.len(), &rdb[..rdb.len() / 2]), true),
        ("cut before its mark", marked(&rdb)[..rdb.len()].to_vec(), true),
        ("a flipped bit", sized(rdb.len(), &flipped), false),
        ("a flipped bit before a mark", marked(&flipped), false),
        ("shorter than it is", sized(rdb.len() / 2, &rdb), false),
        ("no RDB at all", marked(&b"garbage ".repeat(10_000)), false),
    ];
    for mode in MODES {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        let replica = replica(mode);
        let mut client = replica.client();
        follow(&mut client, port);
        for (what, bytes, is_cut) in &cases {
            ask_again(&mut client, port);
            let mut link = pretend(&listener, bytes);
            if *is_cut {
                drop(link);
                wait_until("it is noticed", || {
                    field(&mut client, "replication", "master_sync_in_progress") == "0"
                });
            } else {
                // It hangs up by itself: what it says until then are words of its own.
                let _ = link.read_to_end(&mut Vec::new());
            }
            assert_untouched(mode, &mut client, what);
        }
        ask_again(&mut client, port);
        let link = pretend(&listener, &marked(&rdb));
        wait_for_link(&mut client);
        assert_eq!(client.command(&["STRLEN", "long"]).integer(), 3_000_000, "{mode}");
        assert_eq!(client.command(&["EXISTS", "old"]).integer(), 0, "{mode}");
        // A file that was loaded whole becomes the dump; nothing is left of the others.
        let kept: &[&str] = if mode == "disabled" { &["dump.rdb"] } else { &[] };
        wait_until("what came is kept", || snapshot_files(&replica) == kept);
        drop(link);
    }
}

#[test]
fn a_link_that_is_lost_while_a_whole_snapshot_is_loaded_costs_no_second_one() {
    for (mode, diskless, is_redis) in [
        ("swapdb", "yes", false),
        ("on-empty-db", "no", false),
        ("disabled", "yes", false),
        ("swapdb", "no", true),
    ] {
        let what = format!("{mode}, diskless {diskless}, redis {is_redis}");
        let arguments = ["--save", "", "--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0"];
        let arguments = [&arguments[..], &["--repl-diskless-sync", diskless]].concat();
        let head = if is_redis { Server::redis(&arguments) } else { Some(Server::tenon(&arguments)) };
        let Some(head) = head else { continue };
        let replica = tenon(&["--repl-diskless-load", mode, "--key-load-delay", "700"]);
        let (mut writer, mut follower) = (head.client(), replica.client());
        let mut chance = Chance::announced("commands");
        write_some(&mut writer, &mut chance, 300);
        writer.command(&["SELECT", "0"]);
        writer.command(&["DEBUG", "POPULATE", "3000"]);
        follow(&mut follower, head.port());
        wait_until("all of it was sent", || {
            field(&mut writer, "replication", "slave0").contains("state=online")
        });
        // Two seconds of work.
        wait_until("it is loaded", || replica.log().contains("Loading DB in memory"));
        std::thread::sleep(Duration::from_millis(200));
        writer.command(&["CLIENT", "KILL", "TYPE", "replica"]);
        write_some(&mut writer, &mut chance, 300);
        assert_equal(&mut writer, &mut follower);
        let counts = ["sync_full", "sync_partial_ok"].map(|name| field(&mut writer, "stats", name));
        assert_eq!(counts, ["1", "1"], "{what}\n{}", replica.log());
    }
}

#[test]
fn what_a_primary_only_claims_takes_no_memory() {
    // A string of four gigabytes, a list of 2^60 elements, a compressed string of which a gigabyte comes out: some bytes
    // of each, and silence.
    let head = b"REDIS0010\xfe\x00".as_slice();
    let claims: [&[u8]; 3] = [
        b"\x00\x01k\x80\xff\xff\xff\xff",
        b"\x01\x01k\x81\x10\x00\x00\x00\x00\x00\x00\x00",
        b"\x00\x01k\xc3\x80\x00\x10\x00\x00\x80\x40\x00\x00\x00",
    ];
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let replica = replica("swapdb");
    let mut client = replica.client();
    follow(&mut client, listener.local_addr().expect("it is bound").port());
    let before = replica.peak_bytes();
    for claim in claims {
        let bytes = [head, claim, &b"x".repeat(1_000_000)].concat();
        let link = pretend(&listener, &sized(1 << 40, &bytes));
        wait_until("it has come", || {
            let read = field(&mut client, "replication", "master_sync_read_bytes");
            read.parse::<usize>().is_ok_and(|read| read == bytes.len())
        });
        let grown = replica.peak_bytes().saturating_sub(before);
        assert!(grown < 40 << 20, "{grown} bytes for {}", claim.escape_ascii());
        drop(link);
        assert_untouched("swapdb", &mut client, "a claim");
    }
}

#[test]
fn a_slow_load_slows_the_primary_down_and_keeps_nobody_waiting() {
    const KEYS: u64 = 20_000;
    let head = tenon(&["--rdbcompression", "no", "--repl-backlog-size", "64kb"]);
    let mut writer = head.client();
    writer.command(&["DEBUG", "POPULATE", &KEYS.to_string(), "key", "5000"]);
    let replica = replica("swapdb");
    let mut client = replica.client();
    // Two seconds and a half, for a hundred megabytes.
    client.command(&["CONFIG", "SET", "key-load-delay", "125"]);
    let before = replica.peak_bytes();
    let began = Instant::now();
    follow(&mut client, head.port());
    wait_until("it comes", || field(&mut client, "persistence", "loading") == "1");
    let (mut longest, mut sent_most, mut looks) = (Duration::ZERO, 0, 0);
    while field(&mut client, "persistence", "loading") == "1" {
        let asked = Instant::now();
        let old = client.command(&["GET", "old"]).to_string();
        longest = longest.max(asked.elapsed());
        // It may have been replaced since.
        assert!(old == "\"here\"" || field(&mut client, "persistence", "loading") == "0", "{old}");
        let sent: u64 = field(&mut writer, "replication", "replica_sync_sent_bytes").parse().unwrap_or(0);
        let loaded: u64 = field(&mut client, "persistence", "loading_loaded_bytes").parse().unwrap_or(sent);
        sent_most = sent_most.max(sent.saturating_sub(loaded));
        looks += 1;
    }
    assert!(looks > 10 && began.elapsed() > Duration::from_secs(2), "{looks} looks in {:?}", began.elapsed());
    // What sockets hold, and what the replica may.
    assert!(sent_most < 40 << 20, "{sent_most} bytes were sent ahead\n{}", replica.log());
    assert!(longest < Duration::from_secs(1), "a read took {longest:?}");
    wait_for_link(&mut client);
    assert_eq!(client.command(&["DBSIZE"]).integer(), KEYS as i64);
    assert_equal(&mut writer, &mut client);
    let grown = replica.peak_bytes().saturating_sub(before);
    assert!(grown < KEYS * 5_000 + (64 << 20), "{grown} bytes more");
}
