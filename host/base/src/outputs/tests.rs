//! What leaves, what waits, and what is counted of it.

use super::*;
use crate::Level;

const ONE: ConnectionId = ConnectionId { serial: 1, slot: 0 };

fn write(outputs: &mut Outputs, text: &str, stamp: Option<u64>, kind: SegmentKind) {
    let start = outputs.writer(ONE).len();
    outputs.writer(ONE).extend_from_slice(text.as_bytes());
    if let Some(position) = stamp {
        outputs.hold(ONE, start, Stamp { level: Level::Synced, position }, kind);
    }
}

fn flush(outputs: &mut Outputs) -> String {
    let text = String::from_utf8(outputs.sendable(0).to_vec()).expect("ascii");
    outputs.sent(0, text.len());
    text
}

#[test]
fn what_was_pushed_counts_once_it_was_to_be_sent_though_nobody_reads() {
    let mut outputs = Outputs::default();
    outputs.push_writer(ONE).extend_from_slice(&[b'p'; 100_000]);
    assert!(outputs.counted_bytes() < 100_000);
    let mut slots = Vec::new();
    outputs.take_pushed(&mut slots, 10);
    assert_eq!(slots, [0]);
    assert!(outputs.counted_bytes() >= 100_000);
}

#[test]
fn a_held_reply_holds_back_everything_behind_it() {
    let mut outputs = Outputs::default();
    write(&mut outputs, "a", None, SegmentKind::Reply);
    write(&mut outputs, "b", Some(10), SegmentKind::Reply);
    write(&mut outputs, "c", None, SegmentKind::Reply);
    write(&mut outputs, "d", Some(20), SegmentKind::Reply);
    assert_eq!(flush(&mut outputs), "a");
    outputs.reach(|reached| reached.synced = 9);
    assert_eq!(flush(&mut outputs), "");
    outputs.reach(|reached| reached.synced = 10);
    assert_eq!(flush(&mut outputs), "bc");
    outputs.reach(|reached| reached.synced = 25);
    assert_eq!(flush(&mut outputs), "d");
    assert_eq!(outputs.pending_bytes(0), 0);
}

#[test]
fn a_failed_disk_turns_held_replies_into_errors_and_keeps_pushes() {
    let mut outputs = Outputs::default();
    write(&mut outputs, "a", Some(10), SegmentKind::Reply);
    write(&mut outputs, "p", Some(10), SegmentKind::Push);
    write(&mut outputs, "b", Some(11), SegmentKind::Reply);
    assert_eq!(outputs.replace_held_replies(b"-E"), 2);
    assert_eq!(flush(&mut outputs), "-E");
    outputs.reach(|reached| reached.synced = 10);
    assert_eq!(flush(&mut outputs), "p-E");
}

#[test]
fn messages_leave_a_few_at_a_time() {
    let mut outputs = Outputs::default();
    let connection = |slot| ConnectionId { serial: u64::from(slot) + 1, slot };
    let mut slots = Vec::new();
    outputs.writer(connection(1)).push(b'r');
    for slot in 0..5 {
        outputs.push_writer(connection(slot)).push(b'p');
        outputs.push_writer(connection(slot)).push(b'q');
    }
    outputs.discard(2);
    outputs.take_dirty(&mut slots);
    assert_eq!((slots.as_slice(), outputs.sendable(1)), (&[1][..], &b"rpq"[..]));
    slots.clear();
    outputs.take_pushed(&mut slots, 2);
    assert_eq!(slots, [0]);
    assert!(outputs.has_pushed());
    outputs.take_pushed(&mut slots, 9);
    assert_eq!(slots, [0, 3, 4]);
    assert!(!outputs.has_pushed());
}

#[test]
fn followers_are_sent_a_shared_stream_behind_their_own_bytes() {
    const TWO: ConnectionId = ConnectionId { serial: 2, slot: 1 };
    let mut outputs = Outputs::default();
    let stream = outputs.open_stream(10, 1 << 20);
    outputs.extend_stream(stream, |stream| stream.append(b"abc"));
    write(&mut outputs, "+CONTINUE ", None, SegmentKind::Reply);
    outputs.follow(ONE, stream, 11);
    outputs.follow(TWO, stream, 10);
    assert_eq!((flush(&mut outputs).as_str(), outputs.pending_bytes(0)), ("+CONTINUE ", 2));
    assert_eq!((flush(&mut outputs).as_str(), outputs.pending_bytes(0)), ("bc", 0));
    let mut slots = Vec::new();
    outputs.take_dirty(&mut slots);
    slots.clear();
    outputs.extend_stream(stream, |stream| stream.append_block(b"def".to_vec()));
    outputs.take_dirty(&mut slots);
    assert_eq!(slots, [0, 1]);
    outputs.trim_stream(stream, 99);
    assert_eq!((outputs.stream(stream).start(), outputs.followed(TWO)), (10, Some((stream, 10))));
    outputs.discard(1);
    outputs.trim_stream(stream, 99);
    assert_eq!((outputs.stream(stream).start(), outputs.sendable(0)), (13, &b"def"[..]));
    outputs.close_stream(stream);
    assert!(outputs.sendable(0).is_empty() && outputs.followed(ONE).is_none());
    assert_eq!(outputs.open_stream(0, 0), stream);
    assert_eq!(outputs.sent_totals().shared_bytes, 2);
}

#[test]
fn a_closed_connection_leaves_nothing_behind() {
    let mut outputs = Outputs::default();
    write(&mut outputs, "a", Some(10), SegmentKind::Reply);
    outputs.discard(0);
    outputs.reach(|reached| reached.synced = 10);
    let mut slots = Vec::new();
    outputs.take_dirty(&mut slots);
    assert!(slots.is_empty() && outputs.sendable(0).is_empty());
}

#[test]
fn memory_is_counted_until_it_is_given_back() {
    let mut outputs = Outputs::default();
    write(&mut outputs, "a", None, SegmentKind::Reply);
    assert_eq!(outputs.counted_bytes(), 0, "not yet flushed");
    outputs.take_dirty(&mut Vec::new());
    assert_eq!((outputs.counted_bytes(), outputs.memory_bytes(0)), (1, 1));
    write(&mut outputs, &"b".repeat(1_000), Some(10), SegmentKind::Reply);
    write(&mut outputs, "", None, SegmentKind::Reply);
    assert!(outputs.counted_bytes() >= 1_001);
    assert_eq!(flush(&mut outputs), "a");
    assert!(outputs.counted_bytes() >= 1_001);
    outputs.discard(0);
    assert_eq!(outputs.counted_bytes(), 0);
}

#[test]
fn spare_memory_counts_while_it_is_in_use() {
    let mut outputs = Outputs::default();
    write(&mut outputs, &"a".repeat(5_000), None, SegmentKind::Reply);
    assert_eq!(outputs.spare_bytes(), 0);
    flush(&mut outputs);
    let spare_bytes = outputs.spare_bytes();
    assert!(spare_bytes >= 5_000);
    write(&mut outputs, "b", None, SegmentKind::Reply);
    assert_eq!(outputs.spare_bytes(), spare_bytes);
    flush(&mut outputs);
    assert_eq!(outputs.spare_bytes(), spare_bytes);
    write(&mut outputs, "c", None, SegmentKind::Reply);
    outputs.discard(0);
    assert_eq!(outputs.spare_bytes(), 0);
}
