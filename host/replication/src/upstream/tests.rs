//! Conversations with a primary, answer by answer.

use super::*;

const LINK: ConnectionId = ConnectionId { serial: 9, slot: 3 };
const ID: ReplicationId = ReplicationId([b'c'; 40]);

fn upstream(greeting: Greeting) -> (Upstream, Outputs) {
    let mut upstream = Upstream::new(Micros(0), "primary".to_owned(), 6_379, greeting);
    let mut outputs = Outputs::default();
    assert!(upstream.take_connect(Micros(0)) && !upstream.take_connect(Micros(0)));
    upstream.linked(Micros(0), LINK, &mut outputs);
    (upstream, outputs)
}

/// Hands bytes over one read at a time, and gathers what they were.
fn hear(upstream: &mut Upstream, outputs: &mut Outputs, text: &str) -> Vec<String> {
    let (mut rest, mut all) = (text.as_bytes(), Vec::new());
    while !rest.is_empty() {
        let (count, heard) = upstream.hear(Micros(5), rest, Some((ID, ReplicationOffset(41))), outputs);
        if heard != Heard::Nothing {
            all.push(format!("{heard:?}"));
        }
        rest = &rest[count..];
    }
    all
}

fn said(outputs: &mut Outputs) -> String {
    let text = String::from_utf8(outputs.sendable(LINK.slot).to_vec()).expect("ascii");
    outputs.sent(LINK.slot, text.len());
    let words = text.split("\r\n").filter(|word| !word.starts_with(['*', '$']) && !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_replica_greets_and_asks_to_go_on() {
    let greeting = Greeting { password: b"secret".to_vec(), port: 7_000, ..Greeting::default() };
    let (mut upstream, mut outputs) = upstream(greeting);
    let mut conversation = vec![said(&mut outputs)];
    for answer in ["+PONG\r\n", "+OK\r\n", "+OK\r\n", "-ERR what\r\n"] {
        assert!(hear(&mut upstream, &mut outputs, answer).is_empty());
        conversation.push(said(&mut outputs));
    }
    let psync = format!("PSYNC {ID} 42");
    let expected =
        ["PING", "AUTH secret", "REPLCONF listening-port 7000", "REPLCONF capa eof capa psync2", &psync];
    assert_eq!(conversation, expected);
    let answer = format!("\n+CONTINUE {}\r\nstream", "d".repeat(40));
    let heard = hear(&mut upstream, &mut outputs, &answer);
    assert_eq!(heard.len(), 2);
    assert!(heard[0].starts_with("Continues(Some(ddd") && heard[1].starts_with("Stream("));
    assert!(upstream.is_up() && upstream.take_ack_due(Micros(5)) && !upstream.take_ack_due(Micros(6)));
    upstream.acknowledge(ReplicationOffset(47), Some(ReplicationOffset(40)), &mut outputs);
    assert_eq!(said(&mut outputs), "REPLCONF ACK 47 FACK 40");
}

/// As far as the answer to PSYNC.
fn asked() -> (Upstream, Outputs) {
    let (mut upstream, mut outputs) = upstream(Greeting { timeout: SECOND, ..Greeting::default() });
    for answer in ["+PONG\r\n", "+OK\r\n", "+OK\r\n"] {
        assert!(hear(&mut upstream, &mut outputs, answer).is_empty());
    }
    (upstream, outputs)
}

#[test]
fn snapshots_end_by_length_or_by_mark() {
    let announced = format!("+FULLRESYNC {} 100\r\n\n\n", "e".repeat(40));
    let (mut upstream, mut outputs) = asked();
    let heard = hear(&mut upstream, &mut outputs, &format!("{announced}$5\r\nabc"));
    assert!(heard[0].starts_with("Full(eee"));
    assert_eq!(heard[1..], ["SnapshotBegins(Some(5))", "Snapshot([97, 98, 99])"]);
    assert_eq!(upstream.snapshot_progress(), Some((3, Some(5))));
    let (count, last) = upstream.hear(Micros(5), b"dexyz", None, &mut outputs);
    assert_eq!((count, last), (2, Heard::SnapshotEnd(b"de", 0)));
    let (mut upstream, mut outputs) = asked();
    let mark = "m".repeat(40);
    hear(&mut upstream, &mut outputs, &format!("{announced}$EOF:{mark}\r\nabc"));
    let half = "m".repeat(25);
    assert_eq!(hear(&mut upstream, &mut outputs, &half).len(), 1);
    let heard = hear(&mut upstream, &mut outputs, &half[10..]);
    assert!(heard[0].starts_with("SnapshotEnd("), "{heard:?}");
    upstream.loaded(Micros(6));
    assert!(upstream.is_up());
}

#[test]
fn what_comes_while_a_snapshot_is_loaded_is_the_stream_behind_it() {
    let (mut upstream, mut outputs) = asked();
    let announced = format!("+FULLRESYNC {} 100\r\n$3\r\nRDB", "e".repeat(40));
    let heard = hear(&mut upstream, &mut outputs, &announced);
    assert_eq!(
        heard[1..],
        ["SnapshotBegins(Some(3))".to_owned(), format!("{:?}", Heard::SnapshotEnd(b"RDB", 0))]
    );
    upstream.arrived();
    assert_eq!(hear(&mut upstream, &mut outputs, "ab"), [format!("{:?}", Heard::Gathered(b"ab"))]);
    assert!(!upstream.is_up() && upstream.state_name() == "sync");
    assert!(!upstream.is_silent(Micros(u64::MAX)), "it may wait for our word");
    upstream.loaded(Micros(6));
    assert_eq!(hear(&mut upstream, &mut outputs, "cd"), [format!("{:?}", Heard::Stream(b"cd"))]);
}

#[test]
fn who_loses_the_link_while_it_loads_asks_to_go_on_behind_the_snapshot() {
    let (mut upstream, mut outputs) = asked();
    said(&mut outputs);
    let announced = format!("+FULLRESYNC {} 100\r\n$3\r\nRDB", "e".repeat(40));
    hear(&mut upstream, &mut outputs, &announced);
    upstream.arrived();
    upstream.lost(Micros(10));
    upstream.loaded(Micros(20));
    assert!(!upstream.is_up() && upstream.state_name() == "connect");
    assert!(upstream.take_connect(Micros(20)), "at once");
    upstream.linked(Micros(20), LINK, &mut outputs);
    for answer in ["+PONG\r\n", "+OK\r\n", "+OK\r\n"] {
        said(&mut outputs);
        assert!(hear(&mut upstream, &mut outputs, answer).is_empty());
    }
    assert_eq!(said(&mut outputs), format!("PSYNC {ID} 42"));
    hear(&mut upstream, &mut outputs, "+CONTINUE\r\n");
    assert!(upstream.is_up());
}

#[test]
fn a_snapshot_may_come_over_a_link_of_its_own() {
    let greeting = Greeting { takes_two_links: true, port: 7_000, ..Greeting::default() };
    let (mut upstream, mut outputs) = upstream(greeting);
    for answer in ["+PONG\r\n", "+OK\r\n", "+OK\r\n"] {
        said(&mut outputs);
        assert!(hear(&mut upstream, &mut outputs, answer).is_empty());
    }
    said(&mut outputs);
    assert_eq!(hear(&mut upstream, &mut outputs, "+DUALCHANNELSYNC\r\n"), ["Split"]);
    let aside = ConnectionId { serial: 10, slot: 4 };
    let mut snapshot = upstream.for_snapshot(Micros(1));
    snapshot.linked(Micros(1), aside, &mut outputs);
    let words = outputs.sendable(aside.slot).to_vec();
    outputs.sent(aside.slot, words.len());
    assert!(words.ends_with(
        b"rdb-only\r\n$1\r\n1\r\n$11\r\nrdb-channel\r\n$1\r\n1\r\n$14\r\nlistening-port\r\n$4\r\n7000\r\n"
    ));
    hear(&mut snapshot, &mut outputs, "+OK\r\n");
    assert_eq!(outputs.sendable(aside.slot), b"*1\r\n$4\r\nSYNC\r\n");
    let cut = Cut { id: ID, offset: ReplicationOffset(41), serial: 10 };
    let told = format!("\n\n$ENDOFF:41 {ID} 0 10\r\n$3\r\nRDB");
    let heard = hear(&mut snapshot, &mut outputs, &told);
    let begins = Heard::SnapshotBegins(Some(3));
    assert_eq!(
        heard,
        [Heard::Cut(cut), begins, Heard::SnapshotEnd(b"RDB", 0)].map(|heard| format!("{heard:?}"))
    );
    upstream.read_from(cut, &mut outputs);
    assert_eq!(said(&mut outputs), "REPLCONF set-rdb-client-id 10");
    assert!(hear(&mut upstream, &mut outputs, "+OK\r\n").is_empty());
    assert_eq!(said(&mut outputs), format!("PSYNC {ID} 42"));
    let heard = hear(&mut upstream, &mut outputs, "+CONTINUE\r\nab");
    assert_eq!(heard, [format!("{:?}", Heard::Gathered(b"ab"))]);
    assert!(!upstream.is_up() && upstream.is_split());
    upstream.loaded(Micros(9));
    assert!(upstream.is_up() && !upstream.is_split());
    for lie in ["$ENDOFF:x y 0 1\r\n", "$ENDOFF:1\r\n", "-ERR no\r\n", "$5\r\n"] {
        let mut snapshot = upstream.for_snapshot(Micros(1));
        snapshot.linked(Micros(1), aside, &mut outputs);
        hear(&mut snapshot, &mut outputs, "+OK\r\n");
        assert!(hear(&mut snapshot, &mut outputs, lie)[0].starts_with("Failed("), "{lie}");
    }
}

#[test]
fn a_snapshot_may_be_loaded_before_the_primary_sends_the_stream() {
    let (mut upstream, mut outputs) = upstream(Greeting { takes_two_links: true, ..Greeting::default() });
    for answer in ["+PONG\r\n", "+OK\r\n", "+OK\r\n", "+DUALCHANNELSYNC\r\n"] {
        hear(&mut upstream, &mut outputs, answer);
    }
    upstream.read_from(Cut { id: ID, offset: ReplicationOffset(41), serial: 10 }, &mut outputs);
    upstream.loaded(Micros(6));
    assert!(!upstream.is_up());
    hear(&mut upstream, &mut outputs, "+OK\r\n");
    let heard = hear(&mut upstream, &mut outputs, "+CONTINUE\r\nab");
    assert!(heard[0].starts_with("Continues(") && heard[1].starts_with("Stream("), "{heard:?}");
    assert!(upstream.is_up());
}

#[test]
fn who_asks_for_everything_is_not_told_to_go_on() {
    let (mut upstream, mut outputs) = upstream(Greeting::default());
    for answer in ["+PONG\r\n", "+OK\r\n", "+OK\r\n"] {
        upstream.hear(Micros(5), answer.as_bytes(), None, &mut outputs);
    }
    assert!(said(&mut outputs).ends_with("PSYNC ? -1"));
    let (_, heard) = upstream.hear(Micros(5), b"+CONTINUE\r\n", None, &mut outputs);
    assert!(matches!(heard, Heard::Failed(_)), "{heard:?}");
    assert!(!upstream.is_up());
}

#[test]
fn nonsense_ends_the_link_and_another_attempt_follows() {
    for answer in ["HTTP/1.1 400 Bad Request\r\n", "-ERR go away\r\n", "$7\r\n"] {
        let (mut upstream, mut outputs) = upstream(Greeting::default());
        let heard = hear(&mut upstream, &mut outputs, answer);
        assert!(
            heard[0].starts_with("Failed(\"Error reply to PING from master"),
            "{answer:?} gives {heard:?}"
        );
    }
    let cases =
        ["+FULLRESYNC x 1\r\n", "+FULLRESYNC\r\n", "-LOADING\r\n", "+CONTINUED\r\n", "$7\r\n", "\u{7f}\r\n"];
    for answer in cases {
        let (mut upstream, mut outputs) = asked();
        let heard = hear(&mut upstream, &mut outputs, answer);
        assert!(heard[0].starts_with("Failed("), "{answer:?} gives {heard:?}");
        upstream.lost(Micros(10));
        assert!(!upstream.take_connect(Micros(10)) && upstream.take_connect(Micros(10) + SECOND));
    }
    for frame in ["$-1\r\n", "$0\r\n", "$x\r\n", "$EOF:short\r\n", "-ERR no\r\n"] {
        let (mut upstream, mut outputs) = asked();
        let announced = format!("+FULLRESYNC {} 100\r\n{frame}", "e".repeat(40));
        let heard = hear(&mut upstream, &mut outputs, &announced);
        assert!(heard[1].starts_with("Failed("), "{frame:?} gives {heard:?}");
        assert_eq!(
            heard[1].contains("aborted replication"),
            frame.starts_with('-'),
            "{frame:?} gives {heard:?}"
        );
    }
    let (mut upstream, mut outputs) = asked();
    let heard = hear(&mut upstream, &mut outputs, &"x".repeat(LINE_BYTES_MAX + 1));
    assert!(heard[0].starts_with("Failed("));
    assert!(upstream.is_silent(Micros(10) + SECOND) && !upstream.is_silent(SECOND));
}

/// One attempt that fails by what the primary answers to PSYNC; the seconds until the next one.
fn attempt(upstream: &mut Upstream, outputs: &mut Outputs, now: &mut Micros, answer: &str) -> u64 {
    upstream.linked(*now, LINK, outputs);
    for answer in ["+PONG\r\n", "+OK\r\n", "+OK\r\n", answer] {
        hear(upstream, outputs, answer);
    }
    upstream.refuse();
    upstream.lost(*now);
    let lost_at = *now;
    while !upstream.take_connect(*now) {
        *now = *now + SECOND;
    }
    now.since(lost_at).0 / SECOND.0
}

#[test]
fn who_keeps_sending_nonsense_is_asked_less_and_less_often() {
    let (mut upstream, mut outputs) = upstream(Greeting::default());
    let mut now = Micros(0);
    let nonsense = "+FULLRESYNC x 1\r\n";
    let pauses: Vec<u64> = (0..7).map(|_| attempt(&mut upstream, &mut outputs, &mut now, nonsense)).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 16, 16]);
    // A primary that says that it will do later is asked as before, and says nothing of what it sends then.
    for later in ["-LOADING not yet\r\n", "-NOMASTERLINK not yet\r\n"] {
        let (mut upstream, mut outputs) = self::upstream(Greeting::default());
        let pauses = [(); 4].map(|()| attempt(&mut upstream, &mut outputs, &mut now, later));
        assert_eq!(pauses, [1; 4], "{later}");
    }
}

#[test]
fn a_new_password_and_a_good_link_end_the_pauses() {
    let (mut upstream, mut outputs) = upstream(Greeting::default());
    let mut now = Micros(0);
    for _ in 0..5 {
        attempt(&mut upstream, &mut outputs, &mut now, "-NOAUTH\r\n");
    }
    upstream.refuse();
    upstream.lost(now);
    assert!(!upstream.take_connect(now + SECOND));
    upstream.change_greeting(now, Greeting { password: b"secret".to_vec(), ..Greeting::default() });
    assert!(upstream.take_connect(now));
    upstream.linked(now, LINK, &mut outputs);
    for answer in ["+PONG\r\n", "+OK\r\n", "+OK\r\n", "+OK\r\n"] {
        hear(&mut upstream, &mut outputs, answer);
    }
    upstream.refuse();
    upstream.lost(now);
    assert!(!upstream.take_connect(now) && upstream.take_connect(now + SECOND));
}
