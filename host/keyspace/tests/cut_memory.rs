//! What cuts make the process hold against the allocator's own figure, while large values of every kind are changed,
//! renamed and removed under several cuts, and batches of theirs are kept, taken and dropped in any order.
//! Always: a seed is printed with what failed.

mod common;

use std::sync::Arc;

use common::{Counting, HELD};
use tenon_base::Dice;
use tenon_keyspace::{
    AbortReason, CutBatch, CutBounds, CutFeed, CutId, CutProgress, Database, Expiry, Hash, HashLimits,
    Keyspace, List, ListLimits, Stream, StreamId, StreamLimits, Text, Value, Zset, ZsetLimits, list,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const KEYS: u64 = 12;
const SMALL_KEYS: u64 = 3_000;
const BOUNDS: CutBounds = CutBounds { waiting_bytes_max: 1 << 20, preimage_bytes_max: usize::MAX };
/// What is remembered of cuts and of images beside them: marks of buckets, queues, where images are.
const BESIDE_BYTES: usize = 256 << 10;

const HASH: HashLimits = HashLimits { entries: 128, value_bytes: 64, seed: 1 };
const ZSET: ZsetLimits = ZsetLimits { entries: 128, value_bytes: 64, seed: 1 };

/// A cut, and batches of it that were taken.
struct Taking {
    id: CutId,
    feed: Arc<CutFeed>,
    taken: Vec<CutBatch>,
}

fn key(number: u64) -> Vec<u8> {
    format!("large:{number}").into_bytes()
}

/// Makes a large value, of the kind that the key's number says.
fn fill(db: &mut Database, number: u64, dice: &mut Dice) {
    let (key, elements) = (key(number), 500 + dice.below(2_500));
    drop(db.remove(&key));
    for at in 0..elements {
        add(db, &key, number, at, dice);
    }
}

fn add(db: &mut Database, key: &[u8], number: u64, at: u64, dice: &mut Dice) {
    let bytes = if dice.below(200) == 0 { 1_500 + dice.below(3_000) } else { dice.below(60) } as usize;
    let value = [b'v'; 4_600];
    let value = &value[..bytes];
    if !db.contains(key) {
        db.insert(key, empty(number), None);
    }
    match number % 5 {
        0 => {
            let mut list = db.list_mut(key).expect("a list").expect("there");
            list.push(list::End::Back, value, &ListLimits::default());
        }
        1 => {
            let mut hash = db.hash_mut(key).expect("a hash").expect("there");
            hash.set(&at.to_le_bytes(), value, &HASH);
        }
        2 => {
            let member = [&at.to_le_bytes()[..], value].concat();
            let mut zset = db.zset_mut(key).expect("a sorted set").expect("there");
            zset.insert(&member, dice.below(1_000) as f64, &ZSET);
        }
        3 => {
            let mut stream = db.stream_mut(key).expect("a stream").expect("there");
            let id = StreamId::new(stream.last_id().milliseconds + 1, 0);
            stream.append(id, [(&b"f"[..], value)], &StreamLimits::default()).expect("a greater id");
        }
        _ => {
            db.string_mut(key).expect("a string").expect("there").append(value);
        }
    }
}

/// The beginning of a large value, of the kind that the key's number says.
fn empty(number: u64) -> Value {
    match number % 5 {
        0 => Value::List(List::new()),
        1 => Value::Hash(Hash::new()),
        2 => Value::Zset(Zset::new()),
        3 => Value::Stream(Stream::new()),
        _ => Value::String(Text::from_bytes(&vec![b't'; 100_000])),
    }
}

/// Changes a large value somewhere, or a whole range of it.
fn change(db: &mut Database, number: u64, dice: &mut Dice) {
    let key = key(number);
    if !db.contains(&key) {
        return fill(db, number, dice);
    }
    let at = dice.below(3_000);
    match (number % 5, dice.below(8)) {
        (0, 0) => {
            let mut list = db.list_mut(&key).expect("a list").expect("there");
            let len = list.len();
            list.remove_range(len / 4, len / 2, &ListLimits::default());
        }
        (0, _) => {
            let mut list = db.list_mut(&key).expect("a list").expect("there");
            let len = list.len() as u64;
            list.set(dice.below(len) as i64, &[b'c'; 70][..at as usize % 70], &ListLimits::default());
        }
        (2, 0) => {
            let mut zset = db.zset_mut(&key).expect("a sorted set").expect("there");
            let len = zset.len();
            zset.remove_ranks(len / 4..len / 2, |_, _| {});
        }
        (1, 0..=3) => {
            db.hash_mut(&key).expect("a hash").expect("there").remove(&at.to_le_bytes());
        }
        (4, 0) => {
            db.string_mut(&key).expect("a string").expect("there").set_range(at as usize, b"changed");
        }
        _ => add(db, &key, number, at, dice),
    }
}

fn step(keyspace: &mut Keyspace, dice: &mut Dice) {
    let database = dice.below(2) as usize;
    let number = dice.below(KEYS);
    match dice.below(400) {
        0 => drop(keyspace.db_mut(database).clear()),
        1 => keyspace.swap(0, 1),
        2 => drop(keyspace.db_mut(database).remove(&key(number))),
        3 => fill(keyspace.db_mut(database), number, dice),
        4 => {
            // Under a name of the same kind, or of a small value.
            let other = key((number + 5) % KEYS / 5 * 5 + number % 5);
            drop(keyspace.db_mut(database).rename(&key(number), &other));
        }
        5..=200 => change(keyspace.db_mut(database), number, dice),
        _ => {
            let small = dice.below(SMALL_KEYS).to_le_bytes();
            keyspace.db_mut(database).set_string(&small, &[b's'; 90][..number as usize * 7], Expiry::Never);
        }
    }
}

impl Taking {
    fn begin(keyspace: &mut Keyspace) -> Taking {
        let id = keyspace.begin_cut(BOUNDS);
        Taking { id, feed: keyspace.cut_feed(id).expect("just begun"), taken: Vec::new() }
    }

    /// Walks, takes or lets go of something; true once the cut is at its end.
    fn advance(&mut self, keyspace: &mut Keyspace, dice: &mut Dice) -> bool {
        let progress = keyspace.advance_cut(self.id, dice.below(2_000) as usize);
        keyspace.weigh_cut(self.id);
        match dice.below(4) {
            0 => self.taken.extend(self.feed.pop()),
            1 => self.taken.extend(self.feed.pop_pressing()),
            2 if !self.taken.is_empty() => {
                let at = dice.below(self.taken.len() as u64) as usize;
                let batch = self.taken.swap_remove(at);
                if at.is_multiple_of(2) { self.feed.give_back(batch) } else { drop(batch) }
            }
            _ => {}
        }
        let is_over = progress == CutProgress::Done && self.feed.is_drained();
        if is_over || dice.below(300) == 0 {
            if !is_over {
                keyspace.abort_cut(self.id, AbortReason::Cancelled);
            }
            keyspace.end_cut(self.id);
            return true;
        }
        false
    }

    /// The encoder lets go of everything.
    fn end(mut self) {
        self.taken.clear();
        while self.feed.pop().is_some() {}
        assert_eq!((self.feed.held_bytes(), self.feed.waiting_bytes()), (0, (0, 0)));
        assert!(self.taken.is_empty() && self.feed.pressure_bytes() == 0);
    }
}

#[test]
fn what_cuts_hold_is_never_more_than_what_is_counted_and_nothing_once_they_have_ended() {
    let (mut counted_most, mut held_most) = (0, 0);
    for seed in 0..6 {
        let mut dice = Dice::seeded(seed);
        let before = HELD.get();
        let mut keyspace = Keyspace::new(2, &mut dice);
        let mut takings: Vec<Taking> = Vec::new();
        for number in 0..KEYS {
            fill(keyspace.db_mut(number as usize % 2), number, &mut dice);
        }
        for round in 0..3_000 {
            step(&mut keyspace, &mut dice);
            if takings.len() < 3 && dice.below(100) == 0 {
                takings.push(Taking::begin(&mut keyspace));
            }
            let mut at = 0;
            while at < takings.len() {
                if dice.below(4) == 0 && takings[at].advance(&mut keyspace, &mut dice) {
                    takings.swap_remove(at).end();
                } else {
                    at += 1;
                }
            }
            while keyspace.take_discarded().is_some() {}
            let held = (HELD.get() - before).saturating_sub(keyspace.used_memory());
            let counted = keyspace.cut_memory();
            assert!(
                held <= counted + BESIDE_BYTES,
                "seed {seed}, round {round}: {held} held, {counted} counted"
            );
            (counted_most, held_most) = (counted_most.max(counted), held_most.max(held));
        }
        for taking in takings {
            keyspace.end_cut(taking.id);
            taking.end();
        }
        while keyspace.take_discarded().is_some() {}
        assert_eq!(keyspace.cut_memory(), 0, "seed {seed}");
        // Images that are gone are forgotten as others are looked for.
        let beside = HELD.get() - before - keyspace.used_memory();
        assert!(beside < BESIDE_BYTES, "seed {seed}: {beside}");
        drop(keyspace);
        assert_eq!(HELD.get(), before, "seed {seed}");
    }
    assert!(held_most > 1 << 20, "{held_most}");
    assert!(counted_most < 4 * held_most, "{counted_most} counted, {held_most} held");
}
