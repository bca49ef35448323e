//! Entries made away from any table, on whichever thread: what a load has ready before the table takes it in.
//! Always: an entry that no table took is freed with its handle.

use tenon_base::UnixMillis;

use super::KeyHasher;
use crate::entry::{Payload, RawEntry};
use crate::value::Value;

/// Makes entries for the databases of one keyspace (see [`super::Keyspace::entry_maker`]).
#[derive(Clone)]
pub struct EntryMaker {
    hasher: KeyHasher,
}

/// A key with its value, ready to be taken in by [`super::Database::take_in`].
pub struct NewEntry {
    hash: u64,
    entry: RawEntry,
}

// SAFETY: the handle alone has the entry, and every value is Send.
unsafe impl Send for NewEntry {}

impl EntryMaker {
    pub(super) fn new(hasher: KeyHasher) -> EntryMaker {
        EntryMaker { hasher }
    }

    /// An entry of its own.
    pub fn make(&self, key: &[u8], value: Value, expires: Option<UnixMillis>) -> NewEntry {
        let entry = Payload::of_value(value, |payload| RawEntry::build(key, 0, expires, payload));
        NewEntry { hash: self.hasher.hash(key), entry }
    }
}

impl NewEntry {
    /// The hash of its key.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Its key.
    pub fn key(&self) -> &[u8] {
        // SAFETY: the entry is live as long as its handle, which nobody changes meanwhile.
        unsafe { self.entry.view().key() }
    }

    /// Bytes of the entry and its value, in size classes.
    pub fn memory(&self) -> usize {
        // SAFETY: as for the key.
        unsafe { self.entry.view().memory() }
    }

    /// The entry, which whoever takes it frees from now on.
    pub(super) fn into_entry(self) -> RawEntry {
        let entry = self.entry;
        std::mem::forget(self);
        entry
    }
}

impl Drop for NewEntry {
    fn drop(&mut self) {
        // SAFETY: the handle alone has the entry, and this is its end.
        unsafe { self.entry.free() }
    }
}
