//! A full synchronization with a replica that reads slowly, while clients write as fast as they can: it ends, or fails as
//! configured, and what gathers meanwhile is bounded. And over two links, where both ends can.
//! Always: memory is looked at as the kernel counts it.

mod support;

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use support::chance::Chance;
use support::replicas::{PATIENCE, assert_equal, field, wait_until, write_some};
use support::server::Server;

const KEYS: usize = 24_000;
/// So many that a link of its own is worth it.
const KEYS_LARGE: usize = 40_000;
const VALUE_BYTES: usize = 1_024;
/// What a replica may be behind: as much as there is room for, or little.
const LIMIT_BYTES: u64 = 8 << 20;
const LIMIT_SMALL_BYTES: u64 = 1 << 20;
/// What the primary keeps anyway.
const BACKLOG: &str = "64kb";
/// What waits between the keyspace and the socket at most, by its own bounds (16 MiB that were walked, as much that was
/// about to change, 8 MiB that are encoded, 4 MiB that are framed), and what an allocator keeps for later.
const UNDER_WAY_BYTES: u64 = (16 + 16 + 8 + 4 + 20) << 20;
/// The slow replica reads so much at once, and then sleeps: a megabyte in a second.
const READ_BYTES: usize = 64 * 1024;
const READ_PAUSE: Duration = Duration::from_micros(62_500);
const READS_BETWEEN_LOOKS: u32 = 4;

fn primary(keys: usize, limit_bytes: u64, delay_ms: &str) -> Server {
    let server = Server::tenon(&[
        "--save",
        "",
        "--rdbcompression",
        "no",
        "--enable-debug-command",
        "yes",
        "--repl-diskless-sync-delay",
        "0",
        "--repl-backlog-size",
        BACKLOG,
        "--client-output-buffer-limit",
        &format!("replica {limit_bytes} 0 0"),
        "--repl-sync-delay-max",
        delay_ms,
    ]);
    let (keys, bytes) = (keys.to_string(), VALUE_BYTES.to_string());
    server.client().command(&["DEBUG", "POPULATE", &keys, "key", &bytes]);
    server
}

/// Writes as fast as it is answered, until told to stop, or for so long that something has failed; returns the longest time that a batch took.
fn write_on(server: &Server, is_over: &AtomicBool) -> Duration {
    let (mut client, value) = (server.client(), "y".repeat(VALUE_BYTES));
    let (mut next, mut longest) = (0, Duration::ZERO);
    let until = Instant::now() + 2 * PATIENCE;
    while !is_over.load(Ordering::Relaxed) && Instant::now() < until {
        let batch: Vec<Vec<String>> = (0..10)
            .map(|offset| vec!["SET".to_owned(), format!("key:{}", (next + offset) % KEYS), value.clone()])
            .collect();
        let asked = Instant::now();
        client.pipeline(&batch);
        longest = longest.max(asked.elapsed());
        next += batch.len();
    }
    longest
}

/// A replica that reads slowly. Returns whether it got all of its snapshot, having asked for the stream behind it.
fn read_slowly(server: &Server, mut while_reading: impl FnMut()) -> bool {
    let mut link = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).expect("it listens");
    link.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    link.write_all(b"REPLCONF capa eof\r\n").expect("written");
    let mut bytes = vec![0; READ_BYTES];
    link.read_exact(&mut bytes[..5]).expect("an answer");
    link.write_all(b"PSYNC ? -1\r\n").expect("written");
    let (mut mark, mut last): (Option<Vec<u8>>, Vec<u8>) = (None, Vec::new());
    let mut reads = 0;
    loop {
        let Ok(count @ 1..) = link.read(&mut bytes) else { return false };
        last.extend_from_slice(&bytes[..count]);
        if mark.is_none() {
            let at = last.windows(5).position(|window| window == b"$EOF:");
            mark = at.and_then(|at| last.get(at + 5..at + 45)).map(<[u8]>::to_vec);
        } else if mark.as_ref().is_some_and(|mark| last.ends_with(mark)) {
            break;
        }
        last.drain(..last.len().saturating_sub(1_000));
        reads += 1;
        if reads % READS_BETWEEN_LOOKS == 0 {
            while_reading();
        }
        sleep(READ_PAUSE);
    }
    link.write_all(b"REPLCONF ACK 0\r\n").expect("written");
    let begins = b"*2\r\n$6\r\nSELECT\r\n";
    link.read_exact(&mut bytes[..begins.len()]).expect("the stream");
    assert_eq!(&bytes[..begins.len()], begins);
    true
}

/// Synchronizes a slow replica under writes. Says whether that ended well, and how long a batch of writes took at most.
fn synchronize(server: &Server, limit_bytes: u64) -> (bool, Duration) {
    let is_over = AtomicBool::new(false);
    let before = server.resident_bytes();
    let (peak, mut client) = (Cell::new(before), server.client());
    let look = || {
        peak.set(peak.get().max(server.resident_bytes()));
        let gathered = field(&mut client, "replication", "replica_sync_gathered_bytes");
        // It is let go in the turn in which it reaches the limit.
        let gathered: u64 = gathered.parse().unwrap_or(0);
        assert!(gathered <= limit_bytes + (1 << 20), "{gathered} bytes of the stream wait");
    };
    scope(|scope| {
        let writer = scope.spawn(|| write_on(server, &is_over));
        let ended_well = read_slowly(server, look);
        is_over.store(true, Ordering::Relaxed);
        let longest = writer.join().expect("it writes until told to stop");
        let grown = peak.get().saturating_sub(before);
        assert!(grown <= limit_bytes + UNDER_WAY_BYTES, "it took {grown} bytes more\n{}", server.log());
        (ended_well, longest)
    })
}

#[test]
fn a_slow_replica_gets_its_snapshot_and_the_stream_because_writers_are_slowed_down() {
    // So long that even a machine that is busy elsewhere is not outrun.
    let server = primary(KEYS, LIMIT_BYTES, "1000");
    // What they change before it was encoded is not to cost the snapshot either.
    server.client().command(&["CONFIG", "SET", "snapshot-memory-max", "1mb"]);
    let (ended_well, longest) = synchronize(&server, LIMIT_BYTES);
    assert!(ended_well, "{}", server.log());
    assert!(longest < Duration::from_secs(5), "a batch of writes took {longest:?}");
    let mut client = server.client();
    assert_eq!(field(&mut client, "stats", "sync_full"), "1");
    let delayed: u64 = field(&mut client, "stats", "sync_delayed_writes").parse().expect("a count");
    assert!(delayed > 0 && server.log().contains("Writers are slowed down"), "{delayed}\n{}", server.log());
}

#[test]
fn a_slow_replica_is_let_go_where_there_is_little_room_and_nobody_is_to_be_delayed_for_long() {
    for delay_ms in ["0", "1"] {
        let server = primary(KEYS, LIMIT_SMALL_BYTES, delay_ms);
        let (ended_well, _) = synchronize(&server, LIMIT_SMALL_BYTES);
        assert!(!ended_well, "{}", server.log());
        server.wait_for_log("overcoming of output buffer limits");
        let is_delayed = delay_ms != "0";
        assert_eq!(server.log().contains("Writers are slowed down, each write by 1 ms at most"), is_delayed);
        let delayed = field(&mut server.client(), "stats", "sync_delayed_writes");
        assert_eq!(delayed != "0", is_delayed, "{delayed}");
    }
}

#[test]
fn the_stream_gathers_at_a_replica_that_takes_its_snapshot_on_a_link_of_its_own() {
    for is_two in [true, false] {
        let server = primary(KEYS_LARGE, LIMIT_BYTES, "0");
        let mut writer = server.client();
        writer.command(&["CONFIG", "SET", "rdb-key-save-delay", "100"]);
        let port = server.port().to_string();
        let enabled = if is_two { "yes" } else { "no" };
        let replica = Server::tenon(&[
            "--save",
            "",
            "--enable-debug-command",
            "yes",
            "--dual-channel-replication-enabled",
            enabled,
            "--replicaof",
            "127.0.0.1",
            &port,
        ]);
        replica.wait_for_log("MASTER <-> REPLICA sync: receiving");
        write_some(&mut writer, &mut Chance::announced("commands"), 1_000);
        let is_gathered = !field(&mut replica.client(), "replication", "replica_gathered_bytes").is_empty();
        assert_eq!(is_gathered, is_two, "{}", replica.log());
        assert_equal(&mut writer, &mut replica.client());
        wait_until("nothing is left of it", || {
            field(&mut replica.client(), "replication", "replica_gathered_bytes").is_empty()
        });
        assert_eq!(field(&mut writer, "replication", "connected_slaves"), "1");
        assert_eq!(replica.log().contains("the snapshot over a link of its own"), is_two);
        let counts = ["sync_full", "sync_partial_ok"].map(|name| field(&mut writer, "stats", name));
        assert_eq!(counts, ["1", "0"]);
        // A cut link needs no snapshot.
        replica.client().command(&["CLIENT", "KILL", "TYPE", "master"]);
        write_some(&mut writer, &mut Chance::announced("commands"), 100);
        assert_equal(&mut writer, &mut replica.client());
        assert_eq!(field(&mut writer, "stats", "sync_full"), "1");
    }
}
