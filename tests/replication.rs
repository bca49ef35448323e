//! Tenon as the primary of redis-server, of another Tenon and of the tools that pretend to be replicas, and as the
//! replica of either.
//! Always: once everything is quiet, both ends have the same offset and the same digest.

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use support::chance::Chance;
use support::client::Client;
use support::replicas::{PATIENCE, assert_equal, field, wait_for_link, wait_until, write_some};
use support::server::Server;
use support::tools::{is_installed, run, said};

fn primary(arguments: &[&str]) -> Server {
    let common = ["--save", "", "--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0"];
    Server::tenon(&[&common, arguments].concat())
}

fn replica_of(primary: &Server, arguments: &[&str]) -> Option<Server> {
    let port = primary.port().to_string();
    let common = ["--save", "", "--enable-debug-command", "yes", "--replicaof", "127.0.0.1", &port];
    Server::redis(&[&common, arguments].concat())
}

#[test]
fn redis_follows_tenon_through_full_and_partial_synchronization_under_writes() {
    let primary = primary(&[]);
    let (mut writer, mut chance) = (primary.client(), Chance::announced("commands"));
    write_some(&mut writer, &mut chance, 2_000);
    let Some(replica) = replica_of(&primary, &[]) else { return };
    let mut follower = replica.client();
    write_some(&mut writer, &mut chance, 2_000);
    assert_equal(&mut writer, &mut follower);
    for round in 1..=3 {
        follower.command(&["CLIENT", "KILL", "TYPE", "master"]);
        write_some(&mut writer, &mut chance, 500);
        assert_equal(&mut writer, &mut follower);
        assert_eq!(field(&mut writer, "stats", "sync_partial_ok"), round.to_string(), "{}", primary.log());
    }
    assert_eq!(field(&mut writer, "stats", "sync_full"), "1");
    writer.command(&["SET", "waited", "for"]);
    assert_eq!(writer.command(&["WAIT", "1", "10000"]).to_string(), "(integer) 1");
    assert_eq!(writer.command(&["WAIT", "2", "50"]).to_string(), "(integer) 1");
}

/// Cuts the links of a chain of three again and again under writes to its head, then promotes the one in the middle.
fn chain(head: &Server, middle: &Server, tail: &Server) {
    let mut chance = Chance::announced("commands");
    let mut clients = [head, middle, tail].map(Server::client);
    let [head, middle, tail] = &mut clients;
    write_some(head, &mut chance, 500);
    assert_equal(head, middle);
    assert_equal(head, tail);
    for _ in 0..3 {
        middle.command(&["CLIENT", "KILL", "TYPE", "master"]);
        write_some(head, &mut chance, 200);
        tail.command(&["CLIENT", "KILL", "TYPE", "master"]);
        write_some(head, &mut chance, 200);
        assert_equal(head, middle);
        assert_equal(head, tail);
    }
    let counts = [&mut *head, &mut *middle].map(|client| field(client, "stats", "sync_full"));
    assert_eq!(counts, ["1", "1"], "a cut link needs no snapshot");
    middle.command(&["REPLICAOF", "NO", "ONE"]);
    write_some(middle, &mut chance, 200);
    assert_equal(middle, tail);
    assert_eq!(field(middle, "stats", "sync_full"), "1", "nor does a promotion");
}

#[test]
fn tenon_follows_redis_and_redis_follows_that() {
    let arguments = ["--save", "", "--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0"];
    let Some(head) = Server::redis(&arguments) else { return };
    let middle = primary(&["--replicaof", "127.0.0.1", &head.port().to_string()]);
    wait_for_link(&mut middle.client());
    let Some(tail) = replica_of(&middle, &[]) else { return };
    chain(&head, &middle, &tail);
}

/// Valkey and Tenon, each as the other's primary, with the snapshot behind the stream on one link, and beside it on a
/// link of its own.
#[test]
fn valkey_follows_tenon_and_tenon_follows_valkey_over_one_link_and_over_two() {
    for (enabled, tenon_leads) in [("no", true), ("no", false), ("yes", true), ("yes", false)] {
        let words = ["--dual-channel-replication-enabled", enabled];
        let common = ["--save", "", "--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0"];
        let Some(valkey) = Server::valkey(&[&common[..], &words].concat()) else { return };
        let tenon = primary(&words);
        let (head, tail) = if tenon_leads { (&tenon, &valkey) } else { (&valkey, &tenon) };
        let [mut writer, mut follower] = [head, tail].map(Server::client);
        // So much that a link of its own is worth it, and so slowly that something is written meanwhile.
        writer.command(&["DEBUG", "POPULATE", "40000", "key", "1024"]);
        writer.command(&["CONFIG", "SET", "rdb-key-save-delay", "20"]);
        follower.command(&["REPLICAOF", "127.0.0.1", &head.port().to_string()]);
        let is_on_its_way = || field(&mut head.client(), "replication", "slave0").contains("state=");
        wait_until("a snapshot is on its way", is_on_its_way);
        let mut chance = Chance::announced("commands");
        write_some(&mut writer, &mut chance, 2_000);
        writer.command(&["CONFIG", "SET", "rdb-key-save-delay", "0"]);
        assert_equal(&mut writer, &mut follower);
        let lines =
            ["is to take its snapshot on a link of its own", "capable of dual channel synchronization"];
        let is_over_two = lines.iter().any(|line| head.log().contains(line));
        assert_eq!(is_over_two, enabled == "yes", "{}", head.log());
        follower.command(&["CLIENT", "KILL", "TYPE", "master"]);
        write_some(&mut writer, &mut chance, 200);
        assert_equal(&mut writer, &mut follower);
        assert_eq!(field(&mut writer, "stats", "sync_full"), "1", "a cut link needs no snapshot");
    }
}

#[test]
fn tenon_follows_tenon_in_a_chain() {
    let head = primary(&["--repl-diskless-sync", "no"]);
    let middle = primary(&["--replicaof", "127.0.0.1", &head.port().to_string(), "--appendonly", "yes"]);
    wait_for_link(&mut middle.client());
    let tail = primary(&["--replicaof", "127.0.0.1", &middle.port().to_string()]);
    chain(&head, &middle, &tail);
}

#[test]
fn what_a_replica_logs_gives_the_same_data_after_a_restart() {
    let head = primary(&[]);
    let mut middle = primary(&["--replicaof", "127.0.0.1", &head.port().to_string(), "--appendonly", "yes"]);
    let (mut writer, mut follower) = (head.client(), middle.client());
    wait_for_link(&mut follower);
    wait_until("the log is on", || field(&mut follower, "persistence", "aof_rewrite_in_progress") == "0");
    write_some(&mut writer, &mut Chance::announced("commands"), 1_000);
    // Until what was given 20 ms to live is gone from both.
    sleep(Duration::from_millis(300));
    assert_equal(&mut writer, &mut follower);
    let digest = follower.command(&["DEBUG", "DIGEST"]).to_string();
    assert_eq!(follower.command(&["DEBUG", "LOADAOF"]).to_string(), "OK");
    assert_eq!(follower.command(&["DEBUG", "DIGEST"]).to_string(), digest);
    middle.restart();
    assert_equal(&mut writer, &mut middle.client());
}

#[test]
fn snapshots_in_files_and_large_ones_arrive_whole() {
    let primary = primary(&["--repl-diskless-sync", "no", "--rdbcompression", "no"]);
    let mut writer = primary.client();
    writer.command(&["DEBUG", "POPULATE", "30000", "key", "1000"]);
    let large = "x".repeat(1 << 20);
    (0..8)
        .for_each(|number| drop(writer.command(&["SETRANGE", "large", &(number << 20).to_string(), &large])));
    let Some(first) = replica_of(&primary, &[]) else { return };
    assert_equal(&mut writer, &mut first.client());
    writer.command(&["CONFIG", "SET", "repl-diskless-sync", "yes"]);
    let Some(second) = replica_of(&primary, &["--repl-diskless-load", "on-empty-db"]) else { return };
    assert_equal(&mut writer, &mut second.client());
    let left: Vec<_> = std::fs::read_dir(primary.directory())
        .expect("our own directory")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.contains("temp-sync"))
        .collect();
    assert!(left.is_empty(), "{left:?} is left behind");
}

#[test]
fn a_restarted_primary_is_followed_without_a_full_synchronization() {
    let mut primary = primary(&["--appendonly", "yes", "--appendfsync", "always"]);
    let Some(replica) = replica_of(&primary, &[]) else { return };
    let (mut writer, mut follower) = (primary.client(), replica.client());
    wait_for_link(&mut follower);
    write_some(&mut writer, &mut Chance::announced("commands"), 300);
    writer.command(&["SET", "last", "word"]);
    assert_eq!(writer.command(&["WAIT", "1", "10000"]).to_string(), "(integer) 1");
    primary.restart();
    let mut writer = primary.client();
    write_some(&mut writer, &mut Chance::announced("commands"), 300);
    assert_equal(&mut writer, &mut follower);
    let counts = ["sync_full", "sync_partial_ok"].map(|name| field(&mut writer, "stats", name));
    // A GETACK or a PING behind the last write is not in the log: then the replica is ahead of it.
    let is_counted = counts == ["0", "1"] || (counts[0] == "1" && primary.log().contains("Requested offset"));
    assert!(is_counted, "{counts:?}\n{}", primary.log());
}

#[test]
fn an_idle_primary_that_was_restarted_is_gone_on_from() {
    for is_killed in [false, true] {
        goes_on_behind_a_word_aside("1", is_killed, |_| ());
    }
}

#[test]
fn a_primary_that_was_killed_behind_a_wait_is_gone_on_from() {
    goes_on_behind_a_word_aside("1000", true, |writer| {
        let said = writer.pipeline(&[vec!["SET", "very last", "word"], vec!["WAIT", "1", "10000"]]);
        assert_eq!(said[1].to_string(), "(integer) 1");
    });
}

/// What a primary says to its replicas of its own accord is in no log, and costs no full synchronization.
fn goes_on_behind_a_word_aside(ping_period: &str, is_killed: bool, act: impl FnOnce(&mut Client)) {
    let mut primary = primary(&["--appendonly", "yes", "--repl-ping-replica-period", ping_period]);
    let Some(replica) = replica_of(&primary, &[]) else { return };
    let (mut writer, mut follower) = (primary.client(), replica.client());
    wait_for_link(&mut follower);
    writer.command(&["SET", "last", "word"]);
    let offset = |client: &mut Client| field(client, "replication", "master_repl_offset");
    let written = offset(&mut writer);
    act(&mut writer);
    wait_until("it is spoken to", || {
        offset(&mut writer) != written && offset(&mut writer) == offset(&mut follower)
    });
    match is_killed {
        true => primary.kill9(),
        false => primary.terminate(),
    }
    primary.restart();
    let mut writer = primary.client();
    writer.command(&["SET", "another", "word"]);
    assert_equal(&mut writer, &mut follower);
    let counts = ["sync_full", "sync_partial_ok"].map(|name| field(&mut writer, "stats", name));
    assert_eq!(counts, ["0", "1"], "killed: {is_killed}\n{}", primary.log());
}

#[test]
fn an_idle_primary_that_is_killed_again_and_again_is_gone_on_from() {
    let mut primary = primary(&["--appendonly", "yes", "--repl-ping-replica-period", "1000"]);
    let Some(replica) = replica_of(&primary, &[]) else { return };
    let mut follower = replica.client();
    wait_for_link(&mut follower);
    primary.client().command(&["SET", "a", "word"]);
    for round in 1..=3 {
        assert_equal(&mut primary.client(), &mut follower);
        primary.kill9();
        primary.restart();
        let mut writer = primary.client();
        wait_until("it is followed again", || field(&mut writer, "replication", "connected_slaves") == "1");
        let counts = ["sync_full", "sync_partial_ok"].map(|name| field(&mut writer, "stats", name));
        assert_eq!(counts, ["0", "1"], "round {round}:\n{}", primary.log());
    }
}

#[test]
fn a_replica_without_a_log_goes_on_from_the_dump_that_it_was_sent() {
    let head = primary(&["--repl-ping-replica-period", "1000"]);
    let port = head.port().to_string();
    let common = ["--save", "", "--replicaof", "127.0.0.1", &port, "--enable-debug-command", "yes"];
    let (mut writer, mut chance) = (head.client(), Chance::announced("commands"));
    write_some(&mut writer, &mut chance, 500);
    let mut replica = Server::tenon(&common);
    let dump = replica.directory().join("dump.rdb");
    assert_equal(&mut writer, &mut replica.client());
    wait_until("the dump has its name", || dump.exists());
    write_some(&mut writer, &mut chance, 500);
    assert_equal(&mut writer, &mut replica.client());
    replica.kill9();
    write_some(&mut writer, &mut chance, 500);
    replica.restart();
    assert_equal(&mut writer, &mut replica.client());
    let counts = ["sync_full", "sync_partial_ok"].map(|name| field(&mut writer, "stats", name));
    assert_eq!(counts, ["1", "1"], "{}", replica.log());
    // Where nothing is to be kept, nothing is.
    let empty = Server::tenon(&[&common[..], &["--rdb-del-sync-files", "yes"]].concat());
    assert_equal(&mut writer, &mut empty.client());
    assert!(empty.log().contains("to disk"), "{}", empty.log());
    let left = std::fs::read_dir(empty.directory()).expect("our own directory");
    let left: Vec<_> = left.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    assert!(!left.iter().any(|name| name.ends_with(".rdb")), "{left:?}");
}

#[test]
fn a_dump_of_a_primary_with_replicas_names_its_place() {
    let mut primary = primary(&[]);
    let Some(replica) = replica_of(&primary, &[]) else { return };
    let (mut writer, mut follower) = (primary.client(), replica.client());
    wait_for_link(&mut follower);
    writer.command(&["SET", "soon", "gone", "PX", "200"]);
    writer.command(&["SET", "a", "1"]);
    assert_equal(&mut writer, &mut follower);
    writer.command(&["CONFIG", "SET", "repl-ping-replica-period", "1000"]);
    follower.command(&["REPLICAOF", "127.0.0.1", "1"]);
    sleep(Duration::from_millis(300));
    writer.command(&["SAVE"]);
    primary.restart();
    follower.command(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
    let mut writer = primary.client();
    wait_for_link(&mut follower);
    wait_until("what has expired is gone on both", || {
        [&mut writer, &mut follower].map(|client| client.command(&["DBSIZE"]).to_string())
            == ["(integer) 1", "(integer) 1"].map(String::from)
    });
    assert_equal(&mut writer, &mut follower);
}

#[test]
fn redis_cli_takes_a_dump_and_listens() {
    if !is_installed("redis-cli", "apt-get install redis-tools") {
        return;
    }
    let primary = primary(&[]);
    let mut writer = primary.client();
    write_some(&mut writer, &mut Chance::announced("commands"), 500);
    let file = primary.directory().join("taken.rdb");
    let port = primary.port().to_string();
    let output = run(Command::new("redis-cli").args(["-p", &port, "--rdb"]).arg(&file), b"", PATIENCE);
    assert!(said(&output).contains("Transfer finished with success"), "{}", said(&output));
    let checked = run(Command::new("redis-check-rdb").arg(&file), b"", PATIENCE);
    assert!(checked.status.success(), "{}", said(&checked));
}

#[test]
fn a_client_of_sync_reads_the_stream_behind_a_sized_snapshot() {
    let primary = primary(&[]);
    let mut writer = primary.client();
    writer.command(&["SET", "before", "1"]);
    let mut link = TcpStream::connect((Ipv4Addr::LOCALHOST, primary.port())).expect("it listens");
    link.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    link.write_all(b"SYNC\r\n").expect("written");
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') || line == b"\n" {
        if line == b"\n" {
            line.clear();
        }
        let mut byte = [0];
        link.read_exact(&mut byte).expect("a length");
        line.push(byte[0]);
    }
    let bytes: usize = String::from_utf8_lossy(&line[1..]).trim().parse().expect("a length");
    let mut snapshot = vec![0; bytes];
    link.read_exact(&mut snapshot).expect("a snapshot");
    assert!(snapshot.starts_with(b"REDIS0"));
    writer.command(&["SET", "after", "2"]);
    let expected = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$5\r\nafter\r\n$1\r\n2\r\n";
    let mut stream = vec![0; expected.len()];
    link.read_exact(&mut stream).expect("the stream");
    assert_eq!(String::from_utf8_lossy(&stream), String::from_utf8_lossy(expected));
    assert!(writer.command(&["CLIENT", "LIST"]).to_string().contains("flags=S"));
    // One that asks for an answer on this link is no replica.
    link.write_all(b"PING\r\n").expect("written");
    assert!(link.read_to_end(&mut Vec::new()).is_ok());
    primary.wait_for_log("Replica generated a reply to command 'ping'");
}

#[test]
fn writes_need_replicas_where_that_is_configured() {
    let primary = primary(&["--min-replicas-to-write", "1"]);
    let mut writer = primary.client();
    let refused = "(error) NOREPLICAS Not enough good replicas to write.";
    assert_eq!(writer.command(&["SET", "a", "1"]).to_string(), refused);
    let Some(replica) = replica_of(&primary, &[]) else { return };
    wait_until("a write is taken", || writer.command(&["SET", "a", "1"]).to_string() == "OK");
    drop(replica);
    wait_until("none is taken", || writer.command(&["SET", "a", "1"]).to_string() == refused);
}

#[test]
fn a_primary_hands_its_place_over_and_takes_it_back() {
    let first = primary(&[]);
    let second = primary(&["--replicaof", "127.0.0.1", &first.port().to_string()]);
    let (mut one, mut other) = (first.client(), second.client());
    write_some(&mut one, &mut Chance::announced("commands"), 300);
    assert_equal(&mut one, &mut other);
    let is_role = |client: &mut Client, role: &str| field(client, "replication", "role") == role;
    for _ in 0..2 {
        let port = field(&mut one, "replication", "slave0")
            .split(',')
            .find_map(|part| part.strip_prefix("port=").map(str::to_owned))
            .expect("a replica");
        let words = ["FAILOVER", "TO", "127.0.0.1", &port, "TIMEOUT", "20000"];
        assert_eq!(one.command(&words).to_string(), "OK");
        wait_until("the replica is the primary", || is_role(&mut other, "master"));
        wait_until("the primary is a replica", || is_role(&mut one, "slave"));
        write_some(&mut other, &mut Chance::announced("commands"), 100);
        assert_equal(&mut other, &mut one);
        assert_eq!(field(&mut one, "replication", "master_failover_state"), "no-failover");
        std::mem::swap(&mut one, &mut other);
    }
    let full = [&mut one, &mut other].map(|client| field(client, "stats", "sync_full"));
    assert_eq!(full, ["1", "0"], "nobody needs a snapshot for that");
}

#[test]
fn lines_of_the_log_say_who_writes_them() {
    let (primary, server) = (primary(&[]), primary(&[]));
    let role_of = |text: &str| {
        let log = server.log();
        let line = log.lines().find(|line| line.contains(text)).expect("such a line");
        line.split(' ').next().and_then(|word| word.split(':').nth(1)).map(str::to_owned)
    };
    assert_eq!(role_of("Ready to accept connections").as_deref(), Some("M"));
    let mut client = server.client();
    client.command(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
    wait_for_link(&mut client);
    assert_eq!(role_of("Full resync from master").as_deref(), Some("S"));
    client.command(&["REPLICAOF", "NO", "ONE"]);
    assert_eq!(role_of("MASTER MODE enabled").as_deref(), Some("M"));
}

#[test]
fn a_primary_that_lost_its_data_is_not_followed_into_emptiness() {
    let mut head = primary(&[]);
    let replica = primary(&["--replicaof", "127.0.0.1", &head.port().to_string()]);
    let mut follower = replica.client();
    head.client().command(&["SET", "k", "v"]);
    assert_equal(&mut head.client(), &mut follower);
    head.restart();
    wait_until("it is refused", || replica.log().contains("the primary has lost its data"));
    assert_eq!(follower.command(&["GET", "k"]).to_string(), "\"v\"");
    follower.command(&["CONFIG", "SET", "replica-follow-empty-primary", "yes"]);
    assert_equal(&mut head.client(), &mut follower);
    assert_eq!(follower.command(&["DBSIZE"]).to_string(), "(integer) 0");
}

/// Plays a primary that sends a snapshot to one replica, and hangs up.
fn send_snapshot(listener: &std::net::TcpListener, snapshot: &[u8]) {
    let (mut socket, _) = listener.accept().expect("a replica connects");
    let mut buffer = [0; 4_096];
    loop {
        let count = socket.read(&mut buffer).expect("the replica speaks");
        if buffer[..count].windows(5).any(|word| word == b"PSYNC") {
            let head = format!("+FULLRESYNC {} 1\r\n${}\r\n", "a".repeat(40), snapshot.len());
            socket.write_all(head.as_bytes()).expect("the replica listens");
            socket.write_all(snapshot).expect("the replica listens");
            // It hangs up, or asks for what follows.
            let _ = socket.read(&mut buffer);
            return;
        }
        socket.write_all(b"+OK\r\n").expect("the replica listens");
    }
}

#[test]
fn a_corrupt_snapshot_leaves_what_was_there() {
    for load in ["disabled", "swapdb"] {
        let server = primary(&["--repl-diskless-load", load]);
        let mut client = server.client();
        client.command(&["SET", "k", "v"]);
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port().to_string();
        client.command(&["REPLICAOF", "127.0.0.1", &port]);
        send_snapshot(&listener, b"REDIS0010\x00\x03key\x05value\xfe\x63garbage");
        wait_until("it is refused", || server.log().contains("what was here is kept"));
        assert_eq!(client.command(&["GET", "k"]).to_string(), "\"v\"");
    }
}

#[test]
fn a_replica_that_never_had_anything_says_so() {
    let replica = primary(&["--replicaof", "127.0.0.1", "1"]);
    let mut client = replica.client();
    assert!(
        client.command(&["GET", "k"]).to_string().starts_with("(error) MASTERDOWN This replica has never")
    );
    client.command(&["CONFIG", "SET", "replica-serve-unsynced", "yes"]);
    assert_eq!(client.command(&["GET", "k"]).to_string(), "(nil)");
}
