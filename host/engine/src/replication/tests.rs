//! An engine as primary and as replica, with the test as its peer.

use tenon_base::{ConnectionId, Input, Output, Peer, Transport};

use crate::testing::Bench;

pub(crate) const LINK: ConnectionId = ConnectionId { serial: 1_000, slot: 100 };

/// Everything that waits to be sent on a slot.
pub(crate) fn raw(bench: &mut Bench, slot: u32) -> String {
    let mut all = Vec::new();
    loop {
        let bytes = bench.outputs.sendable(slot).to_vec();
        if bytes.is_empty() {
            return String::from_utf8_lossy(&all).into_owned();
        }
        bench.outputs.sent(slot, bytes.len());
        all.extend(bytes);
    }
}

/// Says something as a replica, and returns what it is sent by the end of the turn and of the next ones.
pub(crate) fn say(bench: &mut Bench, client: u64, text: &str) -> String {
    let connection = bench.connect(client);
    bench.input(Input::Received { connection, bytes: text.as_bytes() });
    bench.settle();
    let mut all = raw(bench, client as u32);
    for _ in 0..3 {
        bench.sleep(2);
        all.push_str(&raw(bench, client as u32));
    }
    all
}

/// Makes a client a replica that has got its snapshot; returns the id and the offset it was told.
pub(crate) fn attach(bench: &mut Bench, client: u64) -> (String, u64) {
    assert_eq!(say(bench, client, "REPLCONF listening-port 7000 capa eof capa psync2\r\n"), "+OK\r\n");
    let text = say(bench, client, "PSYNC ? -1\r\n");
    let line = text.lines().next().expect("an answer").to_owned();
    let words: Vec<&str> = line.split(' ').collect();
    assert_eq!((words[0], words.len()), ("+FULLRESYNC", 3), "{text}");
    assert!(text.contains("$EOF:") && text.contains("REDIS00"), "{text}");
    say(bench, client, "REPLCONF ACK 0\r\n");
    (words[1].to_owned(), words[2].parse().expect("an offset"))
}

fn bench(directives: &[(&str, &str)]) -> Bench {
    Bench::new(
        &[
            directives,
            &[
                ("repl-diskless-sync-delay", "0"),
                ("repl-ping-replica-period", "1000"),
                ("enable-debug-command", "yes"),
            ],
        ]
        .concat(),
    )
}

#[test]
fn a_client_of_sync_gets_a_snapshot_and_then_the_stream() {
    let mut bench = bench(&[]);
    bench.run(1, "SET before 1");
    let text = say(&mut bench, 9, "SYNC\r\n");
    assert!(text.trim_start_matches('\n').starts_with('$') && text.contains("before"), "{text}");
    assert_eq!(bench.run(1, "SET after 2"), "OK");
    let select = "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n";
    assert_eq!(raw(&mut bench, 9), format!("{select}*3\r\n$3\r\nSET\r\n$5\r\nafter\r\n$1\r\n2\r\n"));
    assert_eq!(bench.run(1, "GET after"), "\"2\"", "a read is not propagated");
    assert_eq!(raw(&mut bench, 9), "");
    assert_eq!(say(&mut bench, 9, "PING\r\n"), "");
    assert_eq!(bench.closed, [9], "its link is for the stream alone");
}

#[test]
fn nothing_is_counted_before_the_first_replica_comes() {
    let mut bench = bench(&[]);
    bench.run(1, "SET a 1");
    assert_eq!(bench.run(1, "ROLE"), "[\"master\", 0, []]");
    let (id, offset) = attach(&mut bench, 9);
    assert_eq!((id.len(), offset), (40, 0));
    bench.run(1, "SET a 2");
    assert_eq!(bench.run(1, "ROLE"), "[\"master\", 50, [[\"127.0.0.1\", \"7000\", \"0\"]]]");
    assert!(
        bench
            .text(1, "INFO replication")
            .contains("slave0:ip=127.0.0.1,port=7000,state=online,offset=0,lag=0")
    );
}

#[test]
fn wait_asks_the_replicas_and_is_answered_when_they_have_confirmed() {
    let mut bench = bench(&[]);
    attach(&mut bench, 9);
    assert_eq!(bench.run(1, "WAIT 1 0"), "1", "nothing was written, so nothing is missing");
    bench.run(1, "SET a 1");
    raw(&mut bench, 9);
    assert_eq!(bench.run(1, "WAIT 1 500"), "");
    assert_eq!(raw(&mut bench, 9), "*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n");
    say(&mut bench, 9, "REPLCONF ACK 49\r\nREPLCONF ACK 999999\r\n");
    assert!(bench.replies(1).is_empty(), "49 bytes are one too few, and nobody has more than there are");
    say(&mut bench, 9, "REPLCONF ACK 50\r\n");
    assert_eq!(bench.replies(1).len(), 1);
    bench.run(1, "SET a 2");
    assert_eq!(bench.run(1, "WAIT 1 100"), "");
    bench.sleep(101);
    assert_eq!(bench.replies(1), [tenon_resp::Value::Integer(0)]);
}

#[test]
fn waitaof_waits_for_our_own_disk() {
    let mut bench = bench(&[("appendonly", "yes"), ("appendfsync", "no")]);
    bench.run(1, "SET a 1");
    assert_eq!(bench.run(1, "WAITAOF 1 0 100"), "");
    bench.sleep(101);
    let none = vec![tenon_resp::Value::Integer(0), tenon_resp::Value::Integer(0)];
    assert_eq!(bench.replies(1), [tenon_resp::Value::Array(none)]);
    bench.run(1, "CONFIG SET appendfsync always");
    bench.run(1, "SET a 2");
    assert_eq!(bench.run(1, "WAITAOF 1 0 0"), "[1, 0]");
    assert_eq!(
        bench.run(1, "WAITAOF 2 0 0"),
        "(error) ERR value is out of range, value must between 0 and 1"
    );
    assert_eq!(bench.run(1, "WAITAOF 1 -1 0"), "(error) ERR value is out of range, must be positive");
    let off = "(error) ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.";
    bench.run(1, "CONFIG SET appendonly no");
    assert_eq!(bench.run(1, "WAITAOF 1 0 0"), off);
}

#[test]
fn waitaof_is_answered_when_the_rewrite_that_it_waited_for_is_over() {
    let mut bench = bench(&[("appendonly", "yes"), ("appendfsync", "always")]);
    bench.run(1, "SET a 1");
    bench.run(1, "CONFIG SET appendonly no");
    let connection = bench.connect(2);
    let bytes = b"CONFIG SET appendonly yes\r\nSET a 2\r\nWAITAOF 1 0 0\r\n";
    bench.input(Input::Received { connection, bytes });
    let mut said = String::new();
    for _ in 0..100 {
        bench.turn();
        said.push_str(&raw(&mut bench, 2));
        if said.ends_with("*2\r\n:1\r\n:0\r\n") {
            let info = bench.text(3, "INFO persistence");
            return assert!(info.contains("aof_rewrite_in_progress:0"), "{info}");
        }
        for request in bench.outputs.take_requests() {
            bench.carry_out(request);
        }
    }
    panic!("no answer but {said:?}");
}

#[test]
fn a_replica_goes_on_after_its_link_was_cut_until_the_id_changes() {
    let mut bench = bench(&[]);
    let (id, _) = attach(&mut bench, 9);
    bench.run(1, "SET a 1");
    bench.input(Input::Closed { connection: ConnectionId { serial: 9, slot: 9 } });
    bench.outputs.discard(9);
    bench.run(1, "SET b 2");
    let text = say(&mut bench, 10, &format!("PSYNC {id} 24\r\n"));
    assert!(
        text.starts_with("+CONTINUE\r\n*3\r\n$3\r\nSET\r\n$1\r\na") && text.ends_with("b\r\n$1\r\n2\r\n"),
        "{text}"
    );
    bench.run(1, "DEBUG CHANGE-REPL-ID");
    let text = say(&mut bench, 11, &format!("PSYNC {id} 24\r\n"));
    assert!(!text.contains("+CONTINUE"), "{text}");
}

#[test]
fn a_replica_that_goes_on_may_be_as_far_behind_as_the_backlog_reaches() {
    let mut bench =
        bench(&[("client-output-buffer-limit", "replica 32kb 0 0"), ("repl-backlog-size", "1mb")]);
    let (id, _) = attach(&mut bench, 9);
    bench.input(Input::Closed { connection: ConnectionId { serial: 9, slot: 9 } });
    bench.outputs.discard(9);
    bench.run(1, &format!("SET a {}", "x".repeat(200_000)));
    let connection = bench.connect(10);
    let request = format!("PSYNC {id} 1\r\n");
    bench.input(Input::Received { connection, bytes: request.as_bytes() });
    bench.settle();
    bench.run(1, "SET b 1");
    assert!(bench.closed.is_empty());
    bench.run(1, &format!("SET c {}", "x".repeat(1_100_000)));
    assert_eq!(bench.closed, [10], "and no further");
}

#[test]
fn a_write_waits_for_the_sake_of_a_synchronization_but_not_for_long() {
    let mut bench = bench(&[
        ("client-output-buffer-limit", "replica 64kb 0 0"),
        ("repl-backlog-size", "16kb"),
        ("repl-sync-delay-max", "50"),
    ]);
    let connection = bench.connect(9);
    bench.input(Input::Received { connection, bytes: b"REPLCONF capa eof\r\n" });
    bench.settle();
    raw(&mut bench, 9);
    bench.input(Input::Received { connection, bytes: b"PSYNC ? -1\r\n" });
    bench.settle();
    assert_eq!(
        bench.run(1, &format!("SET a {}", "x".repeat(40_000))),
        "OK",
        "less than half of it was used up"
    );
    assert_eq!(bench.run(1, &format!("SET b {}", "x".repeat(20_000))), "OK");
    assert_eq!(bench.run(1, "SET c 1"), "", "it waits");
    assert_eq!(bench.run(2, "STRLEN b"), "20000", "a read does not");
    assert_eq!(bench.run(2, "MULTI"), "OK");
    assert_eq!(bench.run(2, "SET d 1"), "QUEUED");
    assert_eq!(bench.run(4, "PUBLISH channel message"), "", "nor does a message go into the stream");
    bench.sleep(49);
    assert!(bench.replies(1).is_empty());
    bench.sleep(2);
    assert_eq!((bench.replies(1).len(), bench.replies(4).len()), (1, 1));
    assert!(bench.text(3, "INFO stats").contains("sync_delayed_writes:2\r\n"));
    let information = bench.text(3, "INFO replication");
    assert!(information.contains("replica_sync_gathered_bytes:60"), "{information}");
    bench.run(3, "CONFIG SET repl-sync-delay-max 0");
    assert_eq!(bench.run(1, &format!("SET e {}", "x".repeat(30_000))), "OK");
    assert_eq!(bench.closed, [9], "nobody is delayed, so what gathers comes to its bound");
    assert_eq!(bench.run(1, "SET f 1"), "OK");
}

#[test]
fn a_snapshot_for_replicas_begins_anew_when_all_keys_are_removed() {
    let mut bench = bench(&[("save", "")]);
    bench.run(1, "SET before 1");
    let connection = bench.connect(9);
    assert_eq!(say(&mut bench, 9, "REPLCONF capa eof\r\n"), "+OK\r\n");
    bench.input(Input::Received { connection, bytes: b"PSYNC ? -1\r\n" });
    bench.turn();
    let job: Vec<Output> = bench.outputs.take_requests().into_iter().collect();
    assert!(job.iter().any(|request| matches!(request, Output::Run { .. })), "it is being made");
    bench.run(1, "FLUSHDB");
    assert!(bench.closed.is_empty(), "what is in the other databases is wanted");
    bench.run(1, "SET again 1");
    bench.run(1, "FLUSHALL");
    assert_eq!(bench.closed, [9]);
    job.into_iter().for_each(|request| bench.carry_out(request));
    bench.outputs.discard(9);
    say(&mut bench, 10, "REPLCONF capa eof\r\n");
    let text = say(&mut bench, 10, "PSYNC ? -1\r\n");
    assert!(text.contains("REDIS00") && !text.contains("before"), "{text}");
    bench.run(1, "FLUSHALL");
    assert_eq!(bench.closed, [9], "it has got all of its snapshot");
}

/// A bench that follows, as far as the answer to PSYNC.
fn follower() -> Bench {
    let mut bench = bench(&[]);
    bench.run(1, "SET old data");
    assert_eq!(bench.run(1, "REPLICAOF primary.example 6379"), "OK");
    assert!(bench.run(1, "ROLE").starts_with("[\"slave\", \"primary.example\", 6379, \"connecting\", -1"));
    assert!(greet(&mut bench).ends_with("*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n"));
    bench
}

/// Lets a follower's attempt to connect succeed; returns what it says last, which is what it asks for.
pub(crate) fn greet(bench: &mut Bench) -> String {
    let (ticket, address) = bench.connects.pop().expect("a connection is asked for");
    assert_eq!(address, "primary.example:6379");
    let peer = Peer {
        address: "10.0.0.1:6379".to_owned(),
        local: "10.0.0.2:40000".to_owned(),
        descriptor: 30,
        transport: Transport::Tcp,
        is_local: false,
    };
    bench.input(Input::Linked { ticket, result: Ok((LINK, peer)) });
    bench.settle();
    assert_eq!(raw(bench, LINK.slot), "*1\r\n$4\r\nPING\r\n");
    for answer in ["+PONG\r\n", "+OK\r\n", "+OK\r\n"] {
        hear(bench, answer.as_bytes());
    }
    raw(bench, LINK.slot)
}

pub(crate) fn hear(bench: &mut Bench, bytes: &[u8]) {
    bench.input(Input::Received { connection: LINK, bytes });
    bench.settle();
}

#[test]
fn a_shutdown_waits_for_replicas_that_lag() {
    let lagging = |directives: &[(&str, &str)]| {
        let mut bench = bench(directives);
        let (_, offset) = attach(&mut bench, 2);
        assert_eq!(bench.run(1, "SET k 1"), "OK");
        (bench, offset)
    };
    // It leaves when they have everything.
    let (mut served, _) = lagging(&[("save", "")]);
    assert_eq!(served.run(1, "SHUTDOWN"), "");
    assert!(served.text(3, "INFO server").contains("shutdown_in_milliseconds:10000\r\n"));
    let clients = served.text(3, "INFO clients");
    assert!(
        clients.contains("connected_clients:2\r\n") && clients.contains("blocked_clients:1\r\n"),
        "{clients}"
    );
    assert_eq!(served.run(3, "SET k 2"), "", "writes are kept");
    assert_eq!(served.exit_code, None);
    let all = served.engine.journal.offset();
    say(&mut served, 2, &format!("REPLCONF ACK {all}\r\n"));
    assert_eq!(served.exit_code, Some(0));

    // Or when they have had their time, or at once if it is wanted.
    let (mut served, _) = lagging(&[("save", ""), ("shutdown-timeout", "2")]);
    served.run(1, "SHUTDOWN");
    served.sleep(1_990);
    assert_eq!(served.exit_code, None);
    served.sleep(20);
    assert_eq!(served.exit_code, Some(0));
    for directives in [&[("save", ""), ("shutdown-timeout", "0")][..], &[("save", "")]] {
        let (mut served, _) = lagging(directives);
        served.run(1, if directives.len() == 2 { "SHUTDOWN" } else { "SHUTDOWN NOW" });
        assert_eq!(served.exit_code, Some(0));
    }

    // Who asked is told if it stays, and what was kept runs.
    let (mut served, _) = lagging(&[("save", "")]);
    served.run(1, "SHUTDOWN");
    served.run(3, "SHUTDOWN");
    served.run(4, "INCR k");
    assert_eq!(served.run(5, "SHUTDOWN ABORT"), "OK");
    for client in [1, 3] {
        let heard: Vec<String> = served.replies(client).iter().map(ToString::to_string).collect();
        assert_eq!(heard, ["(error) ERR Errors trying to SHUTDOWN. Check logs."]);
    }
    served.sleep(1);
    assert_eq!((served.run(5, "GET k"), served.exit_code), ("\"2\"".to_owned(), None));
    assert_eq!(served.run(5, "SHUTDOWN ABORT"), "(error) ERR No shutdown in progress.");
}

/// A snapshot of a database with one key.
fn snapshot() -> Vec<u8> {
    snapshot_of(&["SET new data"])
}

/// A snapshot of what some commands make.
pub(crate) fn snapshot_of(commands: &[&str]) -> Vec<u8> {
    let mut source = bench(&[]);
    for command in commands {
        let said = source.run(1, command);
        assert!(!said.contains("(error)"), "{command}: {said}");
    }
    let connection = source.connect(9);
    source.input(Input::Received { connection, bytes: b"SYNC\r\n" });
    source.settle();
    (0..3).for_each(|_| source.sleep(2));
    let bytes = source.outputs.sendable(9).to_vec();
    source.outputs.sent(9, bytes.len());
    let rest = source.outputs.sendable(9).to_vec();
    [bytes, rest].concat()
}

#[test]
fn a_follower_loads_the_snapshot_runs_the_stream_and_passes_it_on() {
    let mut bench = follower();
    let id = "f".repeat(40);
    hear(&mut bench, format!("+FULLRESYNC {id} 1000\r\n").as_bytes());
    let snapshot = snapshot();
    let (first, second) = snapshot.split_at(snapshot.len() / 2);
    hear(&mut bench, first);
    assert!(bench.text(1, "INFO replication").contains("master_sync_in_progress:1"));
    assert_eq!(bench.run(1, "GET old"), "\"data\"", "the old data is served until the new one is here");
    hear(&mut bench, second);
    assert_eq!((bench.run(1, "GET old"), bench.run(1, "GET new")), ("(nil)".into(), "\"data\"".into()));
    assert!(raw(&mut bench, LINK.slot).ends_with("$3\r\nACK\r\n$4\r\n1000\r\n"));
    let stream =
        "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n";
    hear(&mut bench, stream.as_bytes());
    assert!(bench.run(1, "ROLE").ends_with("\"connected\", 1023]"), "an open transaction does not count");
    bench.run(1, "SELECT 3");
    assert_eq!(bench.run(1, "GET a"), "(nil)");
    let (_, offset) = attach(&mut bench, 9);
    assert_eq!(offset, 1_023);
    let rest = "*1\r\n$4\r\nEXEC\r\n*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n";
    hear(&mut bench, rest.as_bytes());
    let end = 1_000 + stream.len() + rest.len();
    assert_eq!(bench.run(1, "GET a"), "\"1\"");
    assert_eq!(raw(&mut bench, 9), format!("{}{rest}", &stream[23..]), "the same bytes go on");
    assert!(raw(&mut bench, LINK.slot).contains(&format!("ACK\r\n$4\r\n{end}\r\n")));
    assert_eq!(bench.run(1, "SET b 2"), "(error) READONLY You can't write against a read only replica.");
    assert!(bench.run(1, "WAIT 0 0").starts_with("(error) ERR WAIT cannot be used with replica instances"));
    assert_eq!(bench.run(1, "REPLICAOF NO ONE"), "OK");
    assert_eq!(bench.run(1, "SET b 2"), "OK");
    let info = bench.text(1, "INFO replication");
    assert!(
        info.contains(&format!("master_replid2:{id}\r\n"))
            && info.contains(&format!("second_repl_offset:{}", end + 1)),
        "{info}"
    );
}

#[test]
fn a_follower_shows_expired_keys_as_gone_and_leaves_them_to_its_primary() {
    let mut bench = follower();
    hear(&mut bench, format!("+FULLRESYNC {} 0\r\n", "f".repeat(40)).as_bytes());
    hear(&mut bench, &snapshot());
    let at = crate::testing::START_UNIX_US / 1_000 + 1_000;
    let stream = format!(
        "*5\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n$4\r\nPXAT\r\n${}\r\n{at}\r\n",
        at.to_string().len()
    );
    hear(&mut bench, stream.as_bytes());
    assert_eq!(bench.run(1, "GET k"), "\"v\"");
    (0..30).for_each(|_| bench.sleep(100));
    assert_eq!((bench.run(1, "GET k"), bench.run(1, "DBSIZE")), ("(nil)".into(), "2".into()));
    hear(&mut bench, b"*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n");
    assert_eq!(bench.run(1, "DBSIZE"), "1");
}

#[test]
fn a_lying_primary_costs_the_link_and_not_the_server() {
    let cases: [&[u8]; 5] = [
        b"+FULLRESYNC nonsense\r\n",
        b"-NOMASTERLINK Can't SYNC\r\n",
        b"+FULLRESYNC ffffffffffffffffffffffffffffffffffffffff 5\r\n$6\r\nREDISX",
        b"+CONTINUE\r\n*1\r\n$999999999999999999999\r\n",
        b"+CONTINUE\r\n*2\r\n$6\r\nSELECT\r\n$4\r\n9999\r\n*1\r\n$7\r\nFLUSHDB\r\n",
    ];
    for bytes in cases {
        let mut bench = follower();
        hear(&mut bench, bytes);
        assert!(bench.run(1, "ROLE").contains("\"connect\""), "{}", bytes.escape_ascii());
        assert_eq!(bench.closed, [LINK.serial]);
        bench.sleep(1_000);
        assert_eq!(bench.connects.len(), 1, "it tries again");
    }
}

#[test]
fn a_replica_that_loads_for_long_shows_that_it_is_there() {
    let mut bench = bench(&[("repl-timeout", "5")]);
    attach(&mut bench, 9);
    for _ in 0..3 {
        bench.sleep(4_000);
        say(&mut bench, 9, "\n");
    }
    assert!(bench.closed.is_empty());
    bench.sleep(6_000);
    assert_eq!(bench.closed, [9]);
}

#[test]
fn a_snapshot_has_the_functions_unless_they_are_not_wanted() {
    let mut bench = bench(&[]);
    bench.run(
        1,
        r##"FUNCTION LOAD "#!lua name=one\nredis.register_function('one', function() return 1 end)""##,
    );
    bench.run(1, "SET key 1");
    for (client, asked, has) in [
        (9, "", (true, true)),
        (10, "REPLCONF rdb-only 1 rdb-filter-only functions\r\n", (true, false)),
        (11, "REPLCONF rdb-only 1 rdb-filter-only \"\"\r\n", (false, false)),
    ] {
        let greeting = format!("REPLCONF capa eof capa psync2\r\n{asked}");
        say(&mut bench, client, &greeting);
        let text = say(&mut bench, client, "PSYNC ? -1\r\n");
        assert!(text.contains("REDIS00"), "{asked}: {text}");
        assert_eq!((text.contains("name=one"), text.contains("key")), has, "{asked}");
    }
}

#[test]
fn a_link_comes_from_where_it_is_to_and_is_encrypted_with_what_is_for_clients() {
    let mut bench = Bench::new(&[
        ("dir", "/data"),
        ("tls-cert-file", "server.crt"),
        ("tls-key-file", "server.key"),
        ("bind-source-addr", "127.0.0.2"),
    ]);
    let asked = |bench: &mut Bench| {
        bench.run(1, "REPLICAOF NO ONE");
        bench.run(1, "REPLICAOF 10.0.0.1 6379");
        bench.sleep(1_000);
        bench.connects.pop().expect("a connection is asked for").1
    };
    assert_eq!(asked(&mut bench), "10.0.0.1:6379 from 127.0.0.2");
    assert_eq!(bench.run(1, "CONFIG SET tls-replication yes bind-source-addr \"\""), "OK");
    assert_eq!(asked(&mut bench), r#"10.0.0.1:6379 with Some("/data/server.crt")"#);
    assert_eq!(bench.run(1, "CONFIG SET tls-client-cert-file own.crt tls-client-key-file own.key"), "OK");
    assert_eq!(asked(&mut bench), r#"10.0.0.1:6379 with Some("/data/own.crt")"#);
}
