//! How nodes lie in memory, and what is taken for one from outside.

use super::*;
use crate::listpack::Element;
use crate::{Listpack, Malformed};

fn listpack_of(elements: &[Element<'_>]) -> Listpack {
    let mut listpack = Listpack::new();
    elements.iter().for_each(|element| listpack.push_back(*element));
    listpack
}

/// A listpack of these words; numbers become integers.
fn listpack(words: &str) -> Listpack {
    listpack_of(&words.split(' ').map(|word| Element::Bytes(word.as_bytes())).collect::<Vec<_>>())
}

#[test]
fn nodes_are_laid_out_as_in_redis() {
    let mut stream = Stream::new();
    let limits = StreamLimits::default();
    let fields = |words: &[(&str, &str)]| -> Fields {
        words.iter().map(|(field, value)| (field.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
    };
    append(&mut stream, StreamId::new(100, 5), &fields(&[("a", "1"), ("b", "x")]), &limits);
    append(&mut stream, StreamId::new(100, 6), &fields(&[("a", "2"), ("b", "y")]), &limits);
    append(&mut stream, StreamId::new(103, 0), &fields(&[("c", "z")]), &limits);
    assert!(stream.delete(StreamId::new(100, 6)));
    let expected = listpack("2 1 2 a b 0 2 0 0 1 x 5 3 0 1 2 y 5 0 3 -5 1 c z 6");
    let nodes: Vec<_> = stream.nodes().collect();
    assert_eq!(nodes, [(StreamId::new(100, 5), expected.bytes())]);
}

#[test]
fn a_node_ends_where_the_limits_say() {
    let fields = vec![(b"field".to_vec(), vec![b'v'; 100])];
    let fill = |limits: StreamLimits| {
        let mut stream = Stream::new();
        (1..=1_000).for_each(|number| append(&mut stream, StreamId::new(number, 0), &fields, &limits));
        let bytes: Vec<_> = stream.nodes().map(|(_, listpack)| listpack.len()).collect();
        (stream.node_count(), bytes)
    };
    let (count, bytes) = fill(StreamLimits { node_bytes_max: 4096, node_entries_max: 100 });
    assert!(count > 25 && bytes.iter().all(|&bytes| bytes < 4096 + 10), "{count}");
    assert_eq!(fill(StreamLimits { node_bytes_max: 0, node_entries_max: 100 }).0, 10);
    assert_eq!(fill(StreamLimits { node_bytes_max: 0, node_entries_max: 0 }).0, 1);
    assert_eq!(fill(StreamLimits { node_bytes_max: 1, node_entries_max: 0 }).0, 1_000);
}

fn error_of(words: &str) -> Malformed {
    let mut stream = Stream::new();
    let error = stream.push_node(StreamId::new(10, 10), listpack(words).bytes());
    assert!(stream.is_empty() && stream.node_count() == 0);
    error.expect_err(words)
}

#[test]
fn what_is_no_node_is_refused_with_its_reason() {
    let sound = "1 1 1 f 0 2 0 0 v 4 3 1 0 w 4";
    assert!(Stream::new().push_node(StreamId::new(10, 10), listpack(sound).bytes()).is_ok());
    for (words, reason) in [
        ("x 1 1 f 0", "number of entries in a stream node"),
        ("-1 1 1 f 0", "number of entries in a stream node"),
        ("1 y 1 f 0", "number of deleted entries in a stream node"),
        ("1 1", "number of fields in a stream node"),
        ("1 1 9223372036854775807 f 0", "stream node that ends within an entry"),
        ("1 1 1 f", "end of the head of a stream node"),
        ("1 1 1 f 1", "end of the head of a stream node"),
        ("2 0 1 f 0 2 0 0 v 4", "stream node of another number of entries than it states"),
        ("0 1 1 f 0 2 0 0 v 4", "stream node of another number of entries than it states"),
        ("1 0 1 f 0 4 0 0 v 4", "flags of a stream entry"),
        ("1 0 1 f 0 2 a 0 v 4", "id of a stream entry"),
        ("1 0 1 f 0 2 0", "id of a stream entry"),
        ("1 0 1 f 0 2 0 -1 v 4", "order of the ids in a stream node"),
        ("2 0 1 f 0 2 0 0 v 4 2 0 0 v 4", "order of the ids in a stream node"),
        ("2 0 1 f 0 2 1 0 v 4 2 0 5 v 4", "order of the ids in a stream node"),
        ("1 0 1 f 0 0 0 0 -1 v 4", "number of fields in a stream entry"),
        ("1 0 1 f 0 0 0 0 1 f v 7", "number of elements in a stream entry"),
        ("1 0 1 f 0 2 0 0 v 5", "number of elements in a stream entry"),
        ("1 0 1 f 0 2 0 0 v", "number of elements in a stream entry"),
        ("1 0 1 f 0 2 0 0", "stream node that ends within an entry"),
    ] {
        assert_eq!(error_of(words).what, reason, "{words}");
    }
    let mut bytes = listpack(sound).bytes().to_vec();
    bytes[8] = 0xFF;
    assert!(Stream::new().push_node(StreamId::new(10, 10), &bytes).is_err());
}

#[test]
fn nodes_must_come_in_order() {
    let node = listpack("1 0 1 f 0 2 5 0 v 4");
    let mut stream = Stream::new();
    stream.push_node(StreamId::new(10, 0), node.bytes()).expect("the first");
    for master in [StreamId::new(9, 0), StreamId::new(10, 0), StreamId::new(15, 0)] {
        let error = stream.push_node(master, node.bytes()).expect_err("not behind the last entry");
        assert_eq!(error.what, "order of the nodes of a stream");
    }
    stream.push_node(StreamId::new(15, 1), node.bytes()).expect("behind it");
    assert_eq!((stream.len(), stream.last_id()), (2, StreamId::new(20, 1)));
}

#[test]
fn a_changed_node_never_panics() {
    let limits = StreamLimits { node_bytes_max: 0, node_entries_max: 0 };
    let dice = &mut Dice::seeded(5);
    let (mut sound, mut broken) = (0, 0);
    let mut stream = Stream::new();
    for number in 1..8 {
        append(&mut stream, StreamId::new(number, 0), &some_fields(dice), &limits);
    }
    stream.delete(StreamId::new(3, 0));
    let original = stream.nodes().next().map(|(_, bytes)| bytes.to_vec()).expect("one node");
    for _ in 0..50_000 {
        let mut bytes = original.clone();
        for _ in 0..=dice.below(2) {
            let at = dice.below(bytes.len() as u64) as usize;
            bytes[at] = dice.roll() as u8;
        }
        let mut stream = Stream::new();
        if stream.push_node(StreamId::new(1, 0), &bytes).is_err() {
            broken += 1;
            continue;
        }
        sound += 1;
        let len = stream.iter().map(plain).count();
        assert_eq!(stream.range_backward(StreamId::MIN, StreamId::MAX).map(plain).count(), len);
        stream.delete(StreamId::new(2, 0));
        stream.trim(&StreamTrim { keep: StreamKeep::Newest(2), approximate: false, limit: 0 });
    }
    assert!(sound > 1_000 && broken > 1_000, "{sound} sound, {broken} broken");
}
