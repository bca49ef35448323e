//! MIGRATE against another server that the test plays: answers, silence, loss, and who waits meanwhile.

use tenon_base::{ConnectionId, Input, Peer, Transport};

use crate::testing::Bench;

/// Connections of ours have slots of their own.
fn link(number: u64) -> ConnectionId {
    ConnectionId { serial: 900 + number, slot: 90 + number as u32 }
}

/// Lets the attempt to connect that was asked for last succeed.
fn accept(bench: &mut Bench, number: u64) {
    let (ticket, _) = bench.connects.pop().expect("a connection is asked for");
    let peer = Peer {
        address: "10.0.0.1:6379".to_owned(),
        local: "10.0.0.2:5000".to_owned(),
        descriptor: 9,
        transport: Transport::Tcp,
        is_local: false,
    };
    bench.input(Input::Linked { ticket, result: Ok((link(number), peer)) });
    bench.settle();
}

/// What was said to the other server since the last call: each request in a line, payloads left out.
fn heard(bench: &mut Bench, number: u64) -> Vec<String> {
    let slot = link(number).slot;
    let bytes = bench.outputs.sendable(slot).to_vec();
    bench.outputs.sent(slot, bytes.len());
    let mut batch = tenon_resp::Batch::new();
    let decoded = tenon_resp::Decoder::new().decode(&bytes, &tenon_resp::Limits::default(), &mut batch);
    decoded.expect("requests");
    let shown = |index| {
        let words = batch.request(index, &bytes);
        let words = words.iter().map(|word| match word {
            word if word.contains(&0) => "PAYLOAD".to_owned(),
            word => word.escape_ascii().to_string(),
        });
        words.collect::<Vec<_>>().join(" ")
    };
    (0..batch.len()).map(shown).collect()
}

fn say(bench: &mut Bench, number: u64, bytes: &[u8]) {
    bench.input(Input::Received { connection: link(number), bytes });
    bench.settle();
}

#[test]
fn keys_leave_when_they_were_taken_and_the_connection_is_kept_for_a_while() {
    let mut bench = Bench::new(&[]);
    bench.run(1, "MSET a 1 b 2 c 3");
    bench.run(1, "PEXPIRE b 60000");
    assert_eq!(bench.run(1, "MIGRATE h 7000 \"\" 2 100 KEYS a nokey b"), "");
    accept(&mut bench, 1);
    assert_eq!(heard(&mut bench, 1), ["SELECT 2", "RESTORE a 0 PAYLOAD", "RESTORE b 60000 PAYLOAD"]);
    say(&mut bench, 1, b"+OK\r\n+O");
    assert_eq!(bench.run(2, "EXISTS a b"), "2");
    say(&mut bench, 1, b"K\r\n+OK\r\n");
    assert_eq!(bench.shown(1), "OK");
    assert_eq!(bench.run(2, "EXISTS a b"), "0");
    assert!(bench.text(2, "INFO stats").contains("migrate_cached_sockets:1\r\n"));
    assert_eq!(bench.run(1, "MIGRATE h 7000 c 2 100 COPY REPLACE"), "");
    assert_eq!(heard(&mut bench, 1), ["RESTORE c 0 PAYLOAD REPLACE"]);
    say(&mut bench, 1, b"+OK\r\n");
    assert_eq!((bench.shown(1).as_str(), bench.run(2, "GET c").as_str()), ("OK", "\"3\""));
    bench.sleep(10_001);
    assert_eq!(bench.closed, [901]);
    assert!(bench.text(2, "INFO stats").contains("migrate_cached_sockets:0\r\n"));
    assert_eq!(bench.run(1, "MIGRATE h 7000 nokey 2 100"), "NOKEY");
}

#[test]
fn what_would_change_a_key_on_its_way_waits() {
    let mut bench = Bench::new(&[]);
    bench.run(1, "MSET a 1 b 2");
    bench.run(1, "MIGRATE h 7000 a 0 100");
    accept(&mut bench, 1);
    assert_eq!(bench.run(2, "APPEND a x"), "");
    assert_eq!(bench.run(3, "FLUSHALL"), "");
    assert_eq!(bench.run(4, "APPEND b x"), "2", "others go on");
    assert_eq!(bench.run(4, "GET a"), "\"1\"");
    assert_eq!(bench.run(5, "MULTI"), "OK");
    assert_eq!(bench.run(5, "APPEND a y"), "QUEUED");
    assert_eq!(bench.run(5, "EXEC"), "");
    say(&mut bench, 1, b"+OK\r\n+OK\r\n");
    let told: Vec<String> = [1, 2, 3, 5].map(|client| bench.shown(client)).into();
    assert_eq!(told, ["OK", "1", "OK", "[1]"]);
    assert_eq!(bench.run(1, "GET a"), "\"y\"");
}

#[test]
fn what_was_refused_stays_and_a_dead_connection_is_tried_again_once() {
    let mut bench = Bench::new(&[]);
    bench.run(1, "MSET a 1 b 2");
    bench.run(1, "MIGRATE h 7000 \"\" 0 100 AUTH2 u secret KEYS a b");
    accept(&mut bench, 1);
    assert_eq!(heard(&mut bench, 1)[..2], ["AUTH u secret", "SELECT 0"]);
    bench.input(Input::Closed { connection: link(1) });
    bench.settle();
    accept(&mut bench, 2);
    assert_eq!(heard(&mut bench, 2).len(), 4);
    say(&mut bench, 2, b"+OK\r\n+OK\r\n-BUSYKEY it is there\r\n+OK\r\n");
    let refusal = "(error) ERR Target instance replied with error: BUSYKEY it is there";
    assert_eq!(bench.shown(1), refusal);
    assert_eq!(bench.run(1, "KEYS *"), "[\"a\"]");
    bench.run(1, "MIGRATE h 7000 a 0 100");
    assert_eq!(heard(&mut bench, 2), ["SELECT 0", "RESTORE a 0 PAYLOAD"]);
    say(&mut bench, 2, b"$3\r\n");
    accept(&mut bench, 3);
    say(&mut bench, 3, b"HTTP/1.1 400\r\n");
    assert_eq!(bench.shown(1), "(error) IOERR error or timeout writing to target instance");
    let errors = bench.text(1, "INFO errorstats");
    assert!(errors.contains("errorstat_IOERR:count=1"), "{errors}");
}

#[test]
fn silence_and_refused_connections_end_the_wait() {
    let mut bench = Bench::new(&[]);
    bench.run(1, "SET a 1");
    bench.run(1, "MIGRATE h 7000 a 0 100");
    let (ticket, address) = bench.connects.pop().expect("a connection is asked for");
    assert_eq!(address, "h:7000");
    bench.input(Input::Linked { ticket, result: Err("refused".to_owned()) });
    bench.settle();
    assert_eq!(bench.shown(1), "(error) IOERR error or timeout writing to target instance");
    bench.run(1, "MIGRATE h 7000 a 0 100");
    bench.sleep(101);
    assert_eq!(bench.shown(1), "(error) IOERR error or timeout connecting to the client");
    bench.run(1, "MIGRATE h 7000 a 0 100");
    accept(&mut bench, 1);
    heard(&mut bench, 1);
    bench.sleep(60);
    bench.sleep(60);
    assert_eq!(bench.shown(1), "", "the request was still leaving");
    bench.sleep(60);
    assert_eq!(bench.shown(1), "(error) IOERR error or timeout reading to target instance");
    assert_eq!(bench.run(1, "EXISTS a"), "1");
    bench.run(1, "MULTI");
    bench.run(1, "MIGRATE h 7000 a 0 100");
    assert!(bench.run(1, "EXEC").starts_with("[(error) ERR MIGRATE cannot be part"));
}

#[test]
fn credentials_are_not_shown() {
    let mut bench = Bench::new(&[("slowlog-log-slower-than", "0")]);
    bench.run(1, "MIGRATE h 7000 nokey 0 100 COPY AUTH secret");
    bench.run(1, "MIGRATE h 7000 \"\" 0 100 AUTH2 user secret KEYS nokey");
    let shown = bench.run(1, "SLOWLOG GET 2");
    assert!(shown.contains("\"AUTH\", \"(redacted)\"]"), "{shown}");
    assert!(shown.contains("\"AUTH2\", \"(redacted)\", \"(redacted)\", \"KEYS\", \"nokey\"]"), "{shown}");
}

#[test]
fn a_server_that_becomes_a_replica_keeps_its_keys() {
    let mut bench = Bench::new(&[]);
    bench.run(1, "SET a 1");
    bench.run(1, "MIGRATE h 7000 a 0 100");
    accept(&mut bench, 1);
    assert_eq!(bench.run(2, "REPLICAOF 127.0.0.1 1"), "OK");
    assert!(bench.shown(1).starts_with("(error) UNBLOCKED"));
    assert_eq!(bench.run(2, "GET a"), "\"1\"");
}
