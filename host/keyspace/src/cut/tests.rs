//! Cuts against snapshots of a plain model.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Held, Model, Pair, plain};
use crate::{
    AbortReason, CutBounds, CutFeed, CutId, CutProgress, Expiry, Keyspace, Stream, StreamId, StreamLimits,
    Value, ValueRef,
};
use tenon_base::Dice;

const BOUNDS: CutBounds = CutBounds { waiting_bytes_max: 1 << 18, preimage_bytes_max: usize::MAX };

/// A cut that is being taken, and what it must turn out to be.
struct Taking {
    id: CutId,
    feed: Arc<CutFeed>,
    expected: BTreeMap<(usize, Vec<u8>), Held>,
    taken: BTreeMap<(usize, Vec<u8>), Held>,
}

impl Taking {
    fn begin(pair: &mut Pair) -> Taking {
        let id = pair.keyspace.begin_cut(BOUNDS);
        let feed = pair.keyspace.cut_feed(id).expect("just begun");
        let numbered = |(number, model): (usize, &Model)| {
            model.iter().map(|(key, held)| ((number, key.clone()), held.clone())).collect::<Vec<_>>()
        };
        let expected = pair.models.iter().enumerate().flat_map(numbered).collect();
        Taking { id, feed, expected, taken: BTreeMap::new() }
    }

    /// Takes what waits; true once that was all.
    fn advance(&mut self, pair: &mut Pair) -> bool {
        let budget = pair.dice.below(3_000) as usize;
        let progress = pair.keyspace.advance_cut(self.id, budget);
        if pair.dice.below(3) == 0 || progress == CutProgress::Done {
            while let Some(batch) = self.feed.pop() {
                for entry in batch.iter() {
                    let held = Held { value: plain(entry.value), expires: entry.expires_at };
                    let before = self.taken.insert((entry.database, entry.key.to_vec()), held);
                    assert!(before.is_none(), "a key was handed over twice");
                }
            }
        }
        if progress != CutProgress::Done {
            assert!(!self.feed.is_finished());
            return false;
        }
        assert!(self.feed.is_finished() && self.feed.is_drained());
        assert_eq!((self.feed.held_bytes(), self.feed.waiting_bytes()), (0, (0, 0)));
        if self.taken != self.expected {
            let extra: Vec<_> = self.taken.keys().filter(|key| !self.expected.contains_key(*key)).collect();
            let missing: Vec<_> = self.expected.keys().filter(|key| !self.taken.contains_key(*key)).collect();
            panic!("the cut differs from its moment: extra {extra:?}, missing {missing:?}");
        }
        let stats = pair.keyspace.cut_stats(self.id).expect("not ended");
        assert_eq!((stats.keys_total, stats.keys_handed), (self.expected.len(), self.expected.len()));
        pair.keyspace.end_cut(self.id);
        true
    }
}

#[test]
fn every_cut_is_the_moment_at_which_it_began() {
    let mut done = 0;
    for seed in 0..9 {
        let mut pair = Pair::new(3, [60, 2_000, 25_000][seed as usize % 3], 100 + seed);
        let mut takings: Vec<Taking> = Vec::new();
        for _ in 0..8_000 {
            pair.step();
            if takings.len() < 3 && pair.dice.below(150) == 0 {
                takings.push(Taking::begin(&mut pair));
            }
            if pair.dice.below(12) == 0 {
                let before = takings.len();
                takings.retain_mut(|taking| !taking.advance(&mut pair));
                done += before - takings.len();
                while pair.keyspace.take_discarded().is_some() {}
            }
        }
        while !takings.is_empty() {
            takings.retain_mut(|taking| !taking.advance(&mut pair));
        }
        pair.check();
        assert_eq!(pair.keyspace.cut_memory(), 0, "seed {seed}");
        assert_eq!(pair.keyspace.cuts(), 0);
    }
    assert!(done > 50, "only {done} cuts came to an end");
}

#[test]
fn the_walk_waits_while_nobody_takes() {
    let mut keyspace = filled(20_000);
    let id = keyspace.begin_cut(CutBounds { waiting_bytes_max: 100_000, preimage_bytes_max: 1 << 30 });
    let feed = keyspace.cut_feed(id).expect("just begun");
    let mut slices = 0;
    while keyspace.advance_cut(id, 1_000) == CutProgress::Walking {
        slices += 1;
    }
    assert!(slices < 20 && feed.waiting_bytes().0 < 100_000 + 80_000);
    assert_eq!(keyspace.advance_cut(id, 1_000), CutProgress::Waiting);
    while feed.pop().is_some() {}
    assert_eq!(feed.waiting_bytes(), (0, 0));
    assert_eq!(keyspace.advance_cut(id, 1_000), CutProgress::Walking);
}

#[test]
fn too_many_preimages_abort_the_cut_and_free_what_it_held() {
    let mut keyspace = filled(20_000);
    let memory = keyspace.used_memory();
    let id = keyspace.begin_cut(CutBounds { waiting_bytes_max: 1 << 20, preimage_bytes_max: 50_000 });
    let feed = keyspace.cut_feed(id).expect("just begun");
    for number in 0..20_000u64 {
        keyspace.db_mut(0).set_integer(&number.to_le_bytes(), -1, Expiry::Never);
    }
    assert!(feed.is_aborted());
    let CutProgress::Aborted(AbortReason::PreimageBytes { waiting, bound: 50_000 }) =
        keyspace.advance_cut(id, 1)
    else {
        panic!("the cut must say why it was given up")
    };
    assert!(waiting > 50_000 && waiting < 60_000);
    assert!(feed.pop().is_none());
    assert_eq!(feed.waiting_bytes(), (0, 0));
    keyspace.end_cut(id);
    assert_eq!((keyspace.cut_memory(), keyspace.used_memory()), (0, memory));
}

#[test]
fn preimages_are_taken_apart_and_first() {
    let mut keyspace = filled(20_000);
    let id = keyspace.begin_cut(CutBounds { waiting_bytes_max: 1 << 20, preimage_bytes_max: 1 << 20 });
    let feed = keyspace.cut_feed(id).expect("just begun");
    assert_eq!(keyspace.advance_cut(id, 1_000), CutProgress::Walking);
    for number in 0..20_000u64 {
        keyspace.db_mut(0).set_integer(&number.to_le_bytes(), -1, Expiry::Never);
    }
    let mut apart = 0;
    while let Some(batch) = feed.pop_pressing() {
        apart += batch.len();
    }
    assert!(apart > 10_000, "{apart}");
    while keyspace.advance_cut(id, 1_000) != CutProgress::Done {}
    assert!(!feed.is_finished());
    let rest: usize = std::iter::from_fn(|| feed.pop()).map(|batch| batch.len()).sum();
    assert_eq!(apart + rest, 20_000);
    assert!(feed.is_finished() && feed.waiting_bytes() == (0, 0));
    feed.abort(AbortReason::Cancelled);
    assert!(feed.pop_pressing().is_none());
}

#[test]
fn a_large_string_is_shared_until_it_changes() {
    let mut keyspace = Keyspace::new(1, &mut Dice::seeded(1));
    keyspace.db_mut(0).set_string(b"k", &[b'x'; 100_000], Expiry::Never);
    let id = keyspace.begin_cut(BOUNDS);
    let feed = keyspace.cut_feed(id).expect("just begun");
    let mut text = keyspace.db_mut(0).string_mut(b"k").expect("a string").expect("there");
    assert_eq!(text.append(b"y"), 100_001);
    assert!((100_000..150_000).contains(&feed.held_bytes()), "{}", feed.held_bytes());
    assert_eq!(keyspace.advance_cut(id, 1_000), CutProgress::Done);
    let batch = feed.pop().expect("one key");
    let lengths: Vec<usize> = batch
        .iter()
        .map(|entry| if let crate::ValueRef::String(text) = entry.value { text.len() } else { 0 })
        .collect();
    assert_eq!(lengths, [100_000]);
    assert!(feed.pop().is_none());
}

#[test]
fn a_cut_of_nothing_is_done_at_once_and_an_ended_one_is_unknown() {
    let mut keyspace = Keyspace::new(2, &mut Dice::seeded(1));
    let id = keyspace.begin_cut(BOUNDS);
    assert_eq!(keyspace.advance_cut(id, 1), CutProgress::Done);
    keyspace.end_cut(id);
    assert_eq!(keyspace.advance_cut(id, 1), CutProgress::Aborted(AbortReason::Cancelled));
    assert!(keyspace.cut_feed(id).is_none() && keyspace.cut_stats(id).is_none());
}

#[test]
fn a_cleared_table_is_discarded_once_its_cuts_end() {
    let mut keyspace = filled(5_000);
    let id = keyspace.begin_cut(BOUNDS);
    let feed = keyspace.cut_feed(id).expect("just begun");
    keyspace.advance_cut(id, 100);
    keyspace.db_mut(0).clear();
    assert_eq!(keyspace.used_memory(), 0);
    assert!(keyspace.cut_memory() > 5_000 * 32 && keyspace.take_discarded().is_none());
    keyspace.abort_cut(id, AbortReason::Cancelled);
    assert!(keyspace.take_discarded().is_some() && keyspace.take_discarded().is_none());
    assert!(keyspace.cut_memory() > 0, "what waits is for the encoder to drop");
    assert!(feed.pop().is_none());
    assert_eq!(keyspace.cut_memory(), 0);
}

fn filled(keys: u64) -> Keyspace {
    let mut keyspace = Keyspace::new(1, &mut Dice::seeded(9));
    for number in 0..keys {
        keyspace.db_mut(0).set_integer(&number.to_le_bytes(), number as i64, Expiry::Never);
    }
    keyspace
}

#[test]
fn a_short_stream_that_changes_counts_with_the_node_that_is_copied() {
    let mut keyspace = Keyspace::new(1, &mut Dice::seeded(1));
    let add = |keyspace: &mut Keyspace, key: u64, milliseconds| {
        let fields = [(&b"field"[..], &[b'v'; 300][..])];
        let (db, key) = (keyspace.db_mut(0), key.to_le_bytes());
        if !db.contains(&key) {
            db.insert(&key, Value::Stream(Stream::new()), None);
        }
        let mut stream = db.stream_mut(&key).expect("a stream").expect("there");
        let added = stream.append(StreamId::new(milliseconds, 0), fields, &StreamLimits::default());
        added.expect("a greater id");
    };
    for key in 0..100 {
        (1..=10).for_each(|milliseconds| add(&mut keyspace, key, milliseconds));
    }
    let id = keyspace.begin_cut(CutBounds { waiting_bytes_max: 1 << 20, preimage_bytes_max: 1 << 30 });
    let feed = keyspace.cut_feed(id).expect("just begun");
    (0..100).for_each(|key| add(&mut keyspace, key, 11));
    assert!((300_000..600_000).contains(&feed.waiting_bytes().1), "{:?}", feed.waiting_bytes());
    (0..100).for_each(|key| add(&mut keyspace, key, 12));
    assert!(feed.waiting_bytes().1 < 600_000, "what was handed over counts once");
    while keyspace.advance_cut(id, 1_000) == CutProgress::Walking {}
    let batches = std::iter::from_fn(|| feed.pop());
    let lengths: Vec<u64> = batches
        .flat_map(|batch| batch.iter().map(|entry| stream_len(entry.value)).collect::<Vec<_>>())
        .collect();
    assert_eq!(lengths, [10; 100]);
    keyspace.end_cut(id);
}

fn stream_len(value: ValueRef<'_>) -> u64 {
    match value {
        ValueRef::Stream(stream) => stream.iter().count() as u64,
        other => panic!("{other:?}"),
    }
}
