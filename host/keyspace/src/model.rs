//! A keyspace and a plain model of it, changed side by side by dice. For tests only.

use std::collections::BTreeMap;

use tenon_base::{Dice, UnixMillis};

use crate::{
    Database, Entry, Expiry, Keyspace, List, Stream, StreamId, StreamLimits, TextRef, Value, ValueRef,
};

/// What a key holds, in plain terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) value: Plain,
    pub(crate) expires: Option<UnixMillis>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plain {
    Text(Vec<u8>),
    List(Vec<i64>),
    /// The times of a stream's entries, and of those that are pending with its group.
    Stream {
        times: Vec<u64>,
        pending: Vec<u64>,
    },
}

pub(crate) type Model = BTreeMap<Vec<u8>, Held>;

/// The two, side by side.
pub(crate) struct Pair {
    pub(crate) keyspace: Keyspace,
    pub(crate) models: Vec<Model>,
    pub(crate) dice: Dice,
    /// How many different keys there can be.
    pub(crate) keys: u64,
}

impl Pair {
    pub(crate) fn new(databases: usize, keys: u64, seed: u64) -> Pair {
        let mut dice = Dice::seeded(seed);
        let keyspace = Keyspace::new(databases, &mut dice);
        Pair { keyspace, models: vec![Model::new(); databases], dice, keys }
    }

    /// One random change.
    pub(crate) fn step(&mut self) {
        let number = self.dice.below(self.models.len() as u64) as usize;
        match self.dice.below(1_000) {
            0 => {
                self.keyspace.db_mut(number).clear();
                self.models[number].clear();
            }
            1..=3 => {
                let other = self.dice.below(self.models.len() as u64) as usize;
                self.keyspace.swap(number, other);
                self.models.swap(number, other);
            }
            4 => (0..3_000).for_each(|_| self.set(number)),
            5 => (0..3_000).for_each(|_| self.remove(number)),
            6..=400 => self.set(number),
            401..=600 => self.remove(number),
            601..=800 => self.change_text(number),
            801..=900 => self.push(number),
            _ => self.expire(number),
        }
    }

    /// Both say the same, and the books are right.
    pub(crate) fn check(&self) {
        for (number, model) in self.models.iter().enumerate() {
            let db = self.keyspace.db(number);
            assert_eq!(db.len(), model.len());
            assert_eq!(db.volatile_len(), model.values().filter(|held| held.expires.is_some()).count());
            let found: Model = db.entries().map(|entry| (entry.key().to_vec(), held(entry))).collect();
            assert!(found == *model, "database {number} and its model differ");
            for (key, held_by_model) in model.iter().take(100) {
                assert_eq!(db.find(key).map(held).as_ref(), Some(held_by_model));
            }
            db.check_books();
        }
    }

    pub(crate) fn key(&mut self) -> Vec<u8> {
        let number = self.dice.below(self.keys);
        if number == 0 {
            return vec![b'k'; 70_000]; // longer than a header's length field
        }
        format!("key:{number}").into_bytes()
    }

    fn text(&mut self) -> Vec<u8> {
        let bytes = match self.dice.below(20) {
            0 => self.dice.below(9_000),
            1..=4 => return self.dice.below(100_000).to_string().into_bytes(),
            _ => self.dice.below(60),
        };
        let first = self.dice.roll() as u8;
        (0..bytes).map(|at| first.wrapping_add(at as u8)).collect()
    }

    fn moment(&mut self) -> Option<UnixMillis> {
        (self.dice.below(3) == 0).then(|| UnixMillis(self.dice.below(1_000_000) as i64))
    }

    fn set(&mut self, number: usize) {
        let (key, text, expires) = (self.key(), self.text(), self.moment());
        let db = self.keyspace.db_mut(number);
        let model = &mut self.models[number];
        let mut expected = Held { value: Plain::Text(text.clone()), expires };
        match self.dice.below(4) {
            0 => {
                let old = db.insert(&key, Value::String(crate::Text::from_bytes(&text)), expires);
                let old = old.map(|value| plain(value.as_ref()));
                assert_eq!(old, model.get(&key).map(|held| held.value.clone()));
            }
            1 => {
                expected.expires = model.get(&key).and_then(|held| held.expires);
                let replaced = db.set_string_shared(&key, text.into(), Expiry::Keep);
                assert_eq!(replaced.existed, model.contains_key(&key));
            }
            _ => {
                db.set_string(&key, &text, expires.map_or(Expiry::Never, Expiry::At));
            }
        }
        model.insert(key, expected);
    }

    fn remove(&mut self, number: usize) {
        let key = self.key();
        let removed = self.keyspace.db_mut(number).remove(&key);
        let removed = removed.map(|(value, expires)| Held { value: plain(value.as_ref()), expires });
        assert_eq!(removed, self.models[number].remove(&key));
    }

    fn change_text(&mut self, number: usize) {
        let (key, text) = (self.key(), self.text());
        let Ok(slot) = self.keyspace.db_mut(number).string_mut(&key) else { return };
        let Some(mut slot) = slot else {
            assert!(!self.models[number].contains_key(&key));
            return;
        };
        let held = self.models[number].get_mut(&key).expect("as in the keyspace");
        let Plain::Text(model) = &mut held.value else { panic!("a list in the model alone") };
        match self.dice.below(6) {
            0 => {
                model.extend_from_slice(&text);
                assert_eq!(slot.append(&text), model.len());
            }
            1 => {
                let offset = self.dice.below(5_000) as usize;
                model.resize(model.len().max(offset + text.len()), 0);
                model[offset..offset + text.len()].copy_from_slice(&text);
                assert_eq!(slot.set_range(offset, &text), model.len());
            }
            2 => {
                slot.set_integer(-77);
                *model = b"-77".to_vec();
            }
            3 => {
                slot.replace_vec(text.clone());
                *model = text;
            }
            4 => {
                let length = self.dice.below(9_000) as usize;
                model.resize(model.len().max(length), 0);
                model.iter_mut().for_each(|byte| *byte ^= 1);
                slot.change(length, |bytes| bytes.iter_mut().for_each(|byte| *byte ^= 1));
            }
            _ => {
                slot.replace(&text);
                *model = text;
            }
        }
    }

    fn push(&mut self, number: usize) {
        let key = self.key();
        let member = self.dice.below(1_000) as i64;
        let db = self.keyspace.db_mut(number);
        match self.models[number].get_mut(&key).map(|held| &mut held.value) {
            Some(Plain::List(members)) => {
                members.push(member);
                push_member(&mut db.list_mut(&key).expect("a list").expect("there"), member);
            }
            Some(Plain::Stream { times, pending }) => {
                let mut stream = db.stream_mut(&key).expect("a stream").expect("there");
                change_stream(&mut stream, times, pending, member as u64);
            }
            Some(Plain::Text(_)) => {
                assert!(db.list_mut(&key).is_err() && db.stream_mut(&key).is_err());
            }
            None if member % 2 == 0 => {
                let mut list = List::new();
                push_member(&mut list, member);
                db.insert(&key, Value::List(list), None);
                let value = Plain::List(vec![member]);
                self.models[number].insert(key, Held { value, expires: None });
            }
            None => {
                let mut stream = Stream::new();
                stream.create_group(b"g", StreamId::MIN, None);
                db.insert(&key, Value::Stream(stream), None);
                let value = Plain::Stream { times: Vec::new(), pending: Vec::new() };
                self.models[number].insert(key, Held { value, expires: None });
            }
        }
    }

    fn expire(&mut self, number: usize) {
        let (key, expires) = (self.key(), self.moment());
        let there = self.keyspace.db_mut(number).set_expiry(&key, expires);
        assert_eq!(there, self.models[number].contains_key(&key));
        if let Some(held) = self.models[number].get_mut(&key) {
            held.expires = expires;
        }
    }
}

/// What an entry holds, in plain terms.
pub(crate) fn held(entry: Entry<'_>) -> Held {
    Held { value: plain(entry.value()), expires: entry.expires_at() }
}

pub(crate) fn plain(value: ValueRef<'_>) -> Plain {
    match value {
        ValueRef::String(text) => {
            let mut bytes = Vec::new();
            text.write_into(&mut bytes);
            assert_eq!(bytes.len(), text.len());
            assert!(!matches!(text, TextRef::Integer(_)) || crate::integer_of(&bytes).is_some());
            Plain::Text(bytes)
        }
        ValueRef::List(list) => Plain::List(members(list)),
        ValueRef::Stream(stream) => {
            let group = stream.group(b"g").expect("made with the stream");
            let pending = group.pending_range(StreamId::MIN, StreamId::MAX);
            Plain::Stream {
                times: stream.iter().map(|entry| entry.id.milliseconds).collect(),
                pending: pending.map(|(id, _)| id.milliseconds).collect(),
            }
        }
        _ => panic!("the model knows texts, lists and streams"),
    }
}

fn push_member(list: &mut List, member: i64) {
    list.push(crate::list::End::Back, member.to_string().as_bytes(), &crate::ListLimits::default());
}

/// Adds entries, each pending, and removes one of both at times.
fn change_stream(stream: &mut Stream, times: &mut Vec<u64>, pending: &mut Vec<u64>, number: u64) {
    let id = |milliseconds| StreamId::new(milliseconds, 0);
    for _ in 0..=number % 90 {
        let time = stream.last_id().milliseconds + 1;
        let field = [(&b"field"[..], &b"value"[..])];
        stream.append(id(time), field, &StreamLimits::default()).expect("a greater id");
        let mut group = stream.group_mut(b"g").expect("made with the stream");
        group.create_consumer(b"consumer", UnixMillis(0));
        assert!(group.assign(id(time), b"consumer", UnixMillis(1), 1));
        times.push(time);
        pending.push(time);
    }
    let gone = number % times.len() as u64;
    assert!(stream.delete(id(times.remove(gone as usize))));
    let acknowledged = pending.remove(number as usize % pending.len());
    assert!(stream.group_mut(b"g").expect("made with the stream").acknowledge(id(acknowledged)));
}

fn members(list: &List) -> Vec<i64> {
    list.iter().map(|element| element.integer().expect("the model's members are integers")).collect()
}

/// Removes every key.
pub(crate) fn remove_all(db: &mut Database) {
    let keys: Vec<Vec<u8>> = db.entries().map(|entry| entry.key().to_vec()).collect();
    for key in keys {
        assert!(db.delete(&key).is_some());
    }
}
