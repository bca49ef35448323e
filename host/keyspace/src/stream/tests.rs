//! Streams beside plain models of them, changed by dice; nodes as Redis lays them out; bytes that are no nodes.

mod groups;
mod nodes;

use std::collections::BTreeMap;

use tenon_base::Dice;

use super::*;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;
type Entry = (StreamId, Fields);

/// A stream in plain terms, nodes included, since approximate trimming shows them. Each has the entries that it ever
/// had, and whether they are still there.
#[derive(Clone, Default)]
struct Model {
    nodes: BTreeMap<StreamId, Vec<(Entry, bool)>>,
    last_id: StreamId,
    max_deleted_id: StreamId,
    entries_added: u64,
}

impl Model {
    fn live(&self) -> Vec<Entry> {
        let entries = self.nodes.values().flatten().filter(|(_, is_live)| *is_live);
        entries.map(|(entry, _)| entry.clone()).collect()
    }

    fn append(&mut self, id: StreamId, fields: &Fields, entries_max: usize) {
        let last = self.nodes.last_key_value().filter(|(_, node)| node.len() < entries_max);
        let master = last.map_or(id, |(master, _)| *master);
        self.nodes.entry(master).or_default().push(((id, fields.clone()), true));
        self.last_id = id;
        self.entries_added += 1;
    }

    fn delete(&mut self, id: StreamId) -> bool {
        let holds = |node: &Vec<((StreamId, Fields), bool)>| {
            node.iter().position(|((held, _), is_live)| *held == id && *is_live)
        };
        let found = self.nodes.iter().find_map(|(master, node)| Some((*master, holds(node)?)));
        let Some((master, at)) = found else { return false };
        let node = self.nodes.get_mut(&master).expect("just found");
        node[at].1 = false;
        if live_in(node) == 0 {
            self.nodes.remove(&master);
        }
        self.max_deleted_id = self.max_deleted_id.max(id);
        true
    }

    fn trim(&mut self, trim: &StreamTrim) -> u64 {
        let mut removed = 0;
        while let Some((&master, node)) = self.nodes.first_key_value() {
            let (len, live) = (self.live().len() as u64, live_in(node));
            if matches!(trim.keep, StreamKeep::Newest(most) if len <= most)
                || trim.limit > 0 && removed + live > trim.limit
            {
                break;
            }
            let (goes_whole, surplus) = match trim.keep {
                StreamKeep::Newest(most) => (len - live >= most, len - most),
                StreamKeep::From(id) => (node.iter().all(|((held, _), _)| *held < id), u64::MAX),
            };
            if goes_whole {
                self.nodes.remove(&master);
                removed += live;
                continue;
            }
            if !trim.approximate {
                removed += self.trim_node(master, trim.keep, surplus);
            }
            break;
        }
        removed
    }

    fn trim_node(&mut self, master: StreamId, keep: StreamKeep, surplus: u64) -> u64 {
        let mut removed = 0;
        for ((id, _), is_live) in self.nodes.get_mut(&master).expect("the first node") {
            let is_old = match keep {
                StreamKeep::Newest(_) => removed < surplus,
                StreamKeep::From(from) => *id < from,
            };
            if is_old && *is_live {
                *is_live = false;
                removed += 1;
            }
        }
        removed
    }
}

fn live_in(node: &[(Entry, bool)]) -> u64 {
    node.iter().filter(|(_, is_live)| *is_live).count() as u64
}

fn plain(entry: StreamEntry<'_>) -> Entry {
    (entry.id, entry.fields.map(|(field, value)| (field.to_vec(), value.to_vec())).collect())
}

fn append(stream: &mut Stream, id: StreamId, fields: &Fields, limits: &StreamLimits) {
    let pairs = fields.iter().map(|(field, value)| (&field[..], &value[..]));
    stream.append(id, pairs, limits).expect("a greater id");
}

/// Both say the same, and the figures are right.
fn check(stream: &Stream, model: &Model) {
    let live = model.live();
    assert!(stream.iter().map(plain).eq(live.iter().cloned()));
    let backward = stream.range_backward(StreamId::MIN, StreamId::MAX).map(plain);
    assert!(backward.eq(live.iter().rev().cloned()));
    assert_eq!(stream.len(), live.len() as u64);
    assert_eq!(stream.first_id(), live.first().map_or(StreamId::MIN, |(id, _)| *id));
    assert_eq!(stream.last_id(), model.last_id);
    assert_eq!(stream.max_deleted_id(), model.max_deleted_id);
    assert_eq!(stream.entries_added(), model.entries_added);
    assert_eq!(stream.node_count(), model.nodes.len());
    assert!(stream.nodes().map(|(master, _)| master).eq(model.nodes.keys().copied()));
    let mut again = Stream::new();
    for (master, bytes) in stream.nodes() {
        again.push_node(master, bytes).expect("what is held is sound");
    }
    assert!(again.iter().map(plain).eq(live));
    assert_eq!((again.len(), again.first_id()), (stream.len(), stream.first_id()));
    assert_eq!(again.nodes.memory_weighed(), again.body.entries.memory());
    assert_eq!(stream.nodes.memory_weighed(), stream.body.entries.memory());
}

fn some_fields(dice: &mut Dice) -> Fields {
    let names: &[&str] = match dice.below(4) {
        0 => &["temperature", "12"],
        1 => &["temperature", "12", ""],
        2 => &["other"],
        _ => &["temperature"],
    };
    let value = |dice: &mut Dice| match dice.below(4) {
        0 => dice.below(1 << 40).to_string().into_bytes(),
        1 => vec![b'v'; dice.below(200) as usize],
        2 => (dice.below(200) as i64 - 100).to_string().into_bytes(),
        _ => b"007".to_vec(),
    };
    names.iter().map(|name| (name.as_bytes().to_vec(), value(dice))).collect()
}

/// An id that is not far from those that are there.
fn some_id(model: &Model, dice: &mut Dice) -> StreamId {
    let live = model.live();
    match live.len() {
        0 => StreamId::new(dice.below(50), 0),
        len => {
            let id = live[dice.below(len as u64) as usize].0;
            match dice.below(6) {
                0 => id.next().unwrap_or(id),
                1 => id.previous().unwrap_or(id),
                _ => id,
            }
        }
    }
}

fn step(stream: &mut Stream, model: &mut Model, limits: &StreamLimits, dice: &mut Dice) {
    match dice.below(20) {
        0..13 => {
            let later = StreamId::new(model.last_id.milliseconds + 1 + dice.below(1_000), dice.below(5));
            let id = if dice.below(3) == 0 { model.last_id.next().expect("far from the end") } else { later };
            let fields = some_fields(dice);
            append(stream, id, &fields, limits);
            model.append(id, &fields, limits.node_entries_max);
        }
        13..17 => {
            let id = some_id(model, dice);
            assert_eq!(stream.delete(id), model.delete(id));
        }
        17 => {
            let keep = match dice.below(2) {
                0 => StreamKeep::Newest((stream.len() + 3).saturating_sub(dice.below(20))),
                _ => StreamKeep::From(some_id(model, dice)),
            };
            let (approximate, limit) = (dice.below(3) > 0, [0, 0, 5, 12][dice.below(4) as usize]);
            // Ever longer streams are cut at their old end only now and then.
            let keep = if dice.below(4) > 0 { StreamKeep::From(StreamId::MIN) } else { keep };
            let trim = StreamTrim { keep, approximate, limit };
            assert_eq!(stream.trim(&trim), model.trim(&trim), "{trim:?}");
        }
        _ => {
            let (one, other) = (some_id(model, dice), some_id(model, dice));
            let (from, to) = (one.min(other), one.max(other));
            let within: Vec<_> =
                model.live().into_iter().filter(|(id, _)| (from..=to).contains(id)).collect();
            assert!(stream.range(from, to).map(plain).eq(within.iter().cloned()));
            assert!(stream.range_backward(from, to).map(plain).eq(within.into_iter().rev()));
        }
    }
}

#[test]
fn a_stream_and_its_model_stay_equal_and_clones_stay_what_they_were() {
    for (seed, node_entries_max) in [(1, 3), (2, 10), (3, 100)] {
        let dice = &mut Dice::seeded(seed);
        let limits = StreamLimits { node_bytes_max: 0, node_entries_max };
        let (mut stream, mut model) = (Stream::new(), Model::default());
        let mut clones = Vec::new();
        for number in 0..3_000 {
            step(&mut stream, &mut model, &limits, dice);
            if number % 500 == 0 {
                clones.push((stream.clone(), model.clone()));
            }
            if number % 50 == 0 {
                check(&stream, &model);
            }
        }
        clones.iter().for_each(|(stream, model)| check(stream, model));
    }
}

#[test]
fn what_cannot_be_added_changes_nothing() {
    let mut stream = Stream::new();
    let limits = StreamLimits::default();
    let pair = || [(&b"f"[..], &b"v"[..])];
    assert_eq!(stream.append(StreamId::MIN, pair(), &limits), Err(AppendError::NotGreater));
    assert_eq!(stream.append(StreamId::new(5, 5), pair(), &limits), Ok(()));
    assert_eq!(stream.append(StreamId::new(5, 5), pair(), &limits), Err(AppendError::NotGreater));
    assert_eq!(stream.append(StreamId::new(5, 4), pair(), &limits), Err(AppendError::NotGreater));
    assert_eq!((stream.len(), stream.entries_added(), stream.node_count()), (1, 1, 1));
}

#[test]
fn ids_that_were_deleted_may_come_again_once_the_last_id_is_set_back() {
    let mut stream = Stream::new();
    let limits = StreamLimits::default();
    let fields = vec![(b"f".to_vec(), b"v".to_vec())];
    for number in 1..=4 {
        append(&mut stream, StreamId::new(number, 0), &fields, &limits);
    }
    assert!(stream.delete(StreamId::new(4, 0)) && stream.delete(StreamId::new(3, 0)));
    stream.set_last_id(StreamId::new(2, 0));
    append(&mut stream, StreamId::new(2, 7), &fields, &limits);
    append(&mut stream, StreamId::new(4, 0), &fields, &limits);
    let ids: Vec<_> = stream.iter().map(|entry| entry.id.to_string()).collect();
    assert_eq!(ids, ["1-0", "2-0", "2-7", "4-0"]);
    assert_eq!(stream.range(StreamId::new(2, 1), StreamId::new(3, 0)).count(), 1);
    assert_eq!(stream.range_backward(StreamId::new(2, 1), StreamId::new(3, 0)).count(), 1);
    assert!(stream.delete(StreamId::new(4, 0)) && !stream.delete(StreamId::new(4, 0)));

    // A node in which all is deleted, and then an entry before its id.
    let mut stream = Stream::new();
    append(&mut stream, StreamId::new(1, 0), &fields, &limits);
    append(&mut stream, StreamId::new(2, 0), &fields, &limits);
    assert!(stream.delete(StreamId::new(2, 0)));
    let keep = StreamKeep::From(StreamId::new(2, 0));
    assert_eq!(stream.trim(&StreamTrim { keep, approximate: false, limit: 0 }), 1);
    assert_eq!((stream.len(), stream.node_count()), (0, 1));
    stream.set_last_id(StreamId::MIN);
    append(&mut stream, StreamId::new(0, 9), &fields, &limits);
    assert_eq!(stream.find(StreamId::new(0, 9)).map(plain), Some((StreamId::new(0, 9), fields)));
    assert_eq!((stream.len(), stream.node_count(), stream.first_id()), (1, 1, StreamId::new(0, 9)));
}

#[test]
fn what_was_read_is_known_where_nothing_was_deleted_meanwhile() {
    let mut stream = Stream::new();
    let fields = vec![(b"f".to_vec(), b"v".to_vec())];
    let id = |milliseconds| StreamId::new(milliseconds, 0);
    assert_eq!(stream.entries_added_up_to(id(7)), Some(0));
    (1..=5).for_each(|number| append(&mut stream, id(number), &fields, &StreamLimits::default()));
    stream.trim(&StreamTrim { keep: StreamKeep::Newest(3), approximate: false, limit: 0 });
    let known = [1, 3, 4, 5, 6].map(|number| stream.entries_added_up_to(id(number)));
    assert_eq!(known, [Some(2), Some(3), None, Some(5), None]);
    assert!(!stream.may_have_gaps_from(id(3)));
    stream.delete(id(4));
    assert!(stream.may_have_gaps_from(id(4)) && !stream.may_have_gaps_from(id(5)));
    assert_eq!([3, 5].map(|number| stream.entries_added_up_to(id(number))), [None, Some(5)]);
}
