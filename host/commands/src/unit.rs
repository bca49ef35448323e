//! What one unit of work did to the keyspace: how many changes, which keys, and what is to be propagated in
//! place of the request itself. The engine empties it after every unit and keeps its room.
//! Always: a unit that changed nothing and says nothing is not propagated.

use tenon_journal::Targets;
use tenon_resp::{Args, OwnedArgs};

use crate::{Event, Wait};

/// So many operations keep their room for the next unit; more than that are rare.
const OPERATIONS_KEPT: usize = 256;

/// The effects of one unit, gathered by handlers.
#[derive(Default)]
pub struct Unit {
    /// Changes made, as Redis counts them for `save`.
    pub dirty: u64,
    operations: Vec<Operation>,
    /// How many of `operations` belong to this unit; the others are kept for their room.
    used: usize,
    /// Whether handlers said what to propagate in place of the request.
    is_refined: bool,
    touched: Vec<Touched>,
    touched_databases: Vec<u32>,
    /// Names of keys touched by the running request, if anybody wants them.
    names: Vec<u8>,
    name_ends: Vec<NameEnd>,
    has_flushed: bool,
    events: Vec<Notification>,
    event_keys: Vec<u8>,
    wants_events: bool,
    wants_keys: bool,
    wants_names: bool,
    may_wait: bool,
    is_scripted: bool,
    wait: Option<Box<Wait>>,
    /// Keys found expired and removed on access.
    pub expired_keys: u64,
}

/// One command to propagate.
struct Operation {
    database: u32,
    words: OwnedArgs,
    targets: Targets,
}

/// A key that the unit changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touched {
    /// Its database.
    pub database: u32,
    /// Its hash in the keyspace.
    pub hash: u64,
    /// Whom it concerns beside those who read it.
    pub concerns: Concerns,
}

/// Whom a change of a key concerns beside those who read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concerns {
    /// Who watches the key or has a copy, and who waits for it.
    Everyone,
    /// Who waits for it: a group of a stream is gone.
    Waiting,
    /// Nobody: only how the value is kept changed, or who has read what.
    Nobody,
}

#[derive(Clone, Copy)]
struct NameEnd {
    end: usize,
    /// Its time had come, or it had to make room.
    is_unasked: bool,
}

struct Notification {
    event: Event,
    database: u32,
    key_end: usize,
}

impl Unit {
    /// Says who listens: whether anybody wants keyspace events, and whether anybody must know which keys changed
    /// (watchers, blocked clients, reads that wait for unsynced writes).
    pub fn listen(&mut self, wants_events: bool, wants_keys: bool) {
        (self.wants_events, self.wants_keys) = (wants_events, wants_keys);
    }

    /// Says whether anybody wants the names of keys that change, beside their hashes (broadcasts to clients that
    /// cache).
    pub fn listen_to_names(&mut self, wants_names: bool) {
        self.wants_names = wants_names;
    }

    /// Whether [`Unit::touch`] is to be told of keys.
    pub fn wants_keys(&self) -> bool {
        self.wants_keys
    }

    /// Says whether what runs may wait: not inside a transaction or a script, not from a log or a primary.
    pub fn set_may_wait(&mut self, may_wait: bool) {
        self.may_wait = may_wait;
    }

    /// Whether what runs may wait. It may not until it is allowed to.
    pub fn may_wait(&self) -> bool {
        self.may_wait
    }

    /// Says whether what runs is called by a script.
    pub fn set_scripted(&mut self, is_scripted: bool) {
        self.is_scripted = is_scripted;
    }

    /// Whether what runs is called by a script.
    pub fn is_scripted(&self) -> bool {
        self.is_scripted
    }

    /// Ends the unit without an answer: its request runs again when it may be ready.
    pub fn wait(&mut self, wait: Wait) {
        debug_assert!(self.may_wait, "nobody waits where it is not allowed");
        self.wait = Some(Box::new(wait));
    }

    /// What the unit waits for, if it has no answer yet.
    pub fn take_wait(&mut self) -> Option<Box<Wait>> {
        self.wait.take()
    }

    /// Whether nothing was done that anybody must hear of.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.dirty == 0
            && self.used == 0
            && self.events.is_empty()
            && self.touched.is_empty()
            && self.touched_databases.is_empty()
    }

    /// Ends one request of several that make up the unit: what it is to be propagated as is kept until the unit ends,
    /// and so are the keys it touched. Its changes are to be counted, and its events told, before.
    pub fn end_request(&mut self, database: usize, request: Args<'_>) {
        if self.dirty > 0 && !self.is_refined {
            let words = &mut self.slot(database).words;
            for (index, word) in request.iter().enumerate() {
                match request.take_large(index) {
                    Some(bytes) => words.push_large(bytes),
                    None => words.push(word),
                }
            }
        }
        self.dirty = 0;
        self.expired_keys = 0;
        self.is_refined = false;
        self.forget_request();
    }

    /// Empties it for the next unit.
    pub fn clear(&mut self) {
        self.wait = None;
        self.dirty = 0;
        self.expired_keys = 0;
        self.used = 0;
        self.operations.truncate(OPERATIONS_KEPT);
        self.is_refined = false;
        self.touched.clear();
        self.touched_databases.clear();
        self.forget_request();
    }

    /// Forgets what is told when a request ends.
    fn forget_request(&mut self) {
        self.events.clear();
        self.event_keys.clear();
        self.names.clear();
        self.name_ends.clear();
        self.has_flushed = false;
    }

    /// Notes that a key changed.
    pub fn touch(&mut self, database: usize, hash: u64, key: &[u8]) {
        self.note_key(database, hash, key, false);
    }

    /// Notes that a key changed in a way that does not concern everyone.
    pub fn touch_for(&mut self, concerns: Concerns, database: usize, hash: u64) {
        if self.wants_keys {
            self.touched.push(Touched { database: database as u32, hash, concerns });
        }
    }

    fn note_key(&mut self, database: usize, hash: u64, key: &[u8], is_unasked: bool) {
        if !self.wants_keys {
            return;
        }
        self.touched.push(Touched { database: database as u32, hash, concerns: Concerns::Everyone });
        if self.wants_names {
            self.names.extend_from_slice(key);
            self.name_ends.push(NameEnd { end: self.names.len(), is_unasked });
        }
    }

    /// Notes that the request empties databases, were they empty already or not.
    pub fn note_flush(&mut self) {
        self.has_flushed = true;
    }

    /// Whether the running request empties databases.
    pub fn has_flushed(&self) -> bool {
        self.has_flushed
    }

    /// Names of the keys that the running request has touched, each with whether nobody asked for that: its time had
    /// come, or it had to make room.
    pub fn touched_names(&self) -> impl Iterator<Item = (&[u8], bool)> {
        let mut start = 0;
        self.name_ends.iter().map(move |name| {
            let key = &self.names[start..name.end];
            start = name.end;
            (key, name.is_unasked)
        })
    }

    /// Notes that all keys of a database changed at once: it was emptied or exchanged. Who watches a key there is
    /// concerned if the key was there before or is there now.
    pub fn touch_database(&mut self, database: usize) {
        self.touched_databases.push(database as u32);
    }

    /// Notes an event for subscribers, if there are any.
    pub fn notify(&mut self, event: Event, database: usize, key: &[u8]) {
        if self.wants_events {
            self.event_keys.extend_from_slice(key);
            let key_end = self.event_keys.len();
            self.events.push(Notification { event, database: database as u32, key_end });
        }
    }

    /// Notes that a key was removed because its time had come, and propagates that.
    pub fn expired(&mut self, database: usize, hash: u64, key: &[u8], lazy: bool) {
        self.expired_keys += 1;
        self.note_key(database, hash, key, true);
        self.notify(Event::EXPIRED, database, key);
        self.propagate_also(database, &[if lazy { b"UNLINK" } else { b"DEL" }, key]);
    }

    /// Notes that a key was removed to make room, and propagates that.
    pub fn evicted(&mut self, database: usize, hash: u64, key: &[u8], lazy: bool) {
        self.note_key(database, hash, key, true);
        self.notify(Event::EVICTED, database, key);
        self.propagate_also(database, &[if lazy { b"UNLINK" } else { b"DEL" }, key]);
    }

    /// Propagates `words` beside what else the unit propagates, before it: the removal of an expired key.
    pub fn propagate_also(&mut self, database: usize, words: &[&[u8]]) {
        self.push(database, words);
    }

    /// Propagates `words` in place of the request. May be called several times; then all of them are.
    pub fn propagate_as(&mut self, database: usize, words: &[&[u8]]) {
        self.is_refined = true;
        self.push(database, words);
    }

    /// Propagates `words` to `targets` alone, whatever else the unit does, and though nothing changed.
    pub fn propagate_to(&mut self, database: usize, words: Args<'_>, targets: Targets) {
        let operation = self.slot(database);
        operation.targets = targets;
        words.iter().for_each(|word| operation.words.push(word));
    }

    /// Propagates nothing in place of the request, though something changed.
    pub fn propagate_nothing(&mut self) {
        self.is_refined = true;
    }

    /// How many operations it propagates so far: a mark for [`Unit::aim`].
    pub fn operation_count(&self) -> usize {
        self.used
    }

    /// Sends the operations from `from` on to `targets` alone.
    pub fn aim(&mut self, from: usize, targets: Targets) {
        for operation in &mut self.operations[from..self.used] {
            operation.targets = targets;
        }
    }

    /// Whether it propagates nothing by itself.
    pub fn is_silent(&self) -> bool {
        self.used == 0
    }

    /// Whether the request itself is not to be propagated.
    pub fn is_refined(&self) -> bool {
        self.is_refined
    }

    /// What handlers asked to propagate, in order, each with its database.
    pub fn operations(&self) -> impl Iterator<Item = (u32, Args<'_>, Targets)> {
        self.operations[..self.used]
            .iter()
            .map(|operation| (operation.database, operation.words.as_args(), operation.targets))
    }

    /// Keys that changed, in order; a key may come more than once.
    pub fn touched(&self) -> &[Touched] {
        &self.touched
    }

    /// Databases all of whose keys changed at once; one may come more than once.
    pub fn touched_databases(&self) -> &[u32] {
        &self.touched_databases
    }

    /// Whether there are events to tell.
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Events in order: what, database, key.
    pub fn events(&self) -> impl Iterator<Item = (Event, u32, &[u8])> {
        let mut start = 0;
        self.events.iter().map(move |notification| {
            let key = &self.event_keys[start..notification.key_end];
            start = notification.key_end;
            (notification.event, notification.database, key)
        })
    }

    fn push(&mut self, database: usize, words: &[&[u8]]) {
        let operation = self.slot(database);
        for word in words {
            operation.words.push(word);
        }
    }

    /// Begins an operation in place of the request whose words are pushed one by one.
    pub fn operation_as(&mut self, database: usize) -> &mut OwnedArgs {
        self.is_refined = true;
        &mut self.slot(database).words
    }

    /// Appends a word to the operation begun last.
    pub fn extend_operation(&mut self, word: &[u8]) {
        let last = self.used.checked_sub(1).expect("an operation has been begun");
        self.operations[last].words.push(word);
    }

    fn slot(&mut self, database: usize) -> &mut Operation {
        if self.used == self.operations.len() {
            self.operations.push(Operation { database: 0, words: OwnedArgs::new(), targets: Targets::ALL });
        }
        let operation = &mut self.operations[self.used];
        self.used += 1;
        operation.database = database as u32;
        operation.targets = Targets::ALL;
        operation.words.clear();
        operation
    }
}
