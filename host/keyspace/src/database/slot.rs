//! A collection in its entry, to be changed in place. Always: when the slot is let go, the database's memory is
//! right again.

use std::fmt;
use std::ops::{Deref, DerefMut};

use super::Database;
use crate::cut::Holds;
use crate::left;
use crate::table::Place;
use crate::value::Kind;
use crate::{Hash, List, Set, Stream, Zset};

/// The key holds another kind of value than the one asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongKind {
    /// What the key holds.
    pub found: Kind,
}

impl fmt::Display for WrongKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the key holds a {}", self.found.name())
    }
}

impl std::error::Error for WrongKind {}

/// A collection to be changed. An empty one is the caller's to remove.
pub struct Slot<'a, T: Collection> {
    collection: &'a mut T,
    memory_before: usize,
    memory: &'a mut usize,
    shared: Option<Shared<'a>>,
}

/// What cuts are told of a change of a value that they may share.
struct Shared<'a> {
    holds: &'a mut Holds,
    hash: u64,
    left_before: usize,
}

/// What a slot must know of the collection in it.
pub trait Collection: sealed::Sealed {
    /// Its kind.
    const KIND: Kind;
    /// Bytes on the heap.
    fn heap_bytes(&self) -> usize;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! collection {
    ($kind:ident) => {
        impl sealed::Sealed for $kind {}
        impl Collection for $kind {
            const KIND: Kind = Kind::$kind;
            fn heap_bytes(&self) -> usize {
                self.memory()
            }
        }
    };
}

collection!(List);
collection!(Set);
collection!(Hash);
collection!(Zset);
collection!(Stream);

impl<T: Collection> Deref for Slot<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.collection
    }
}

impl<T: Collection> DerefMut for Slot<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.collection
    }
}

impl<T: Collection> Drop for Slot<'_, T> {
    fn drop(&mut self) {
        let memory = self.collection.heap_bytes();
        *self.memory = *self.memory - self.memory_before + memory;
        if let Some(shared) = &mut self.shared {
            // What was let go of by a whole branch shows in the memory alone.
            let shrunk = self.memory_before.saturating_sub(memory);
            shared.holds.count(shared.hash, left::since(shared.left_before).saturating_add(shrunk));
        }
    }
}

impl Database {
    /// The list of a key, to be changed.
    pub fn list_mut(&mut self, key: &[u8]) -> Result<Option<Slot<'_, List>>, WrongKind> {
        self.collection_mut(key)
    }

    /// The set of a key, to be changed.
    pub fn set_mut(&mut self, key: &[u8]) -> Result<Option<Slot<'_, Set>>, WrongKind> {
        self.collection_mut(key)
    }

    /// The hash of a key, to be changed.
    pub fn hash_mut(&mut self, key: &[u8]) -> Result<Option<Slot<'_, Hash>>, WrongKind> {
        self.collection_mut(key)
    }

    /// The sorted set of a key, to be changed.
    pub fn zset_mut(&mut self, key: &[u8]) -> Result<Option<Slot<'_, Zset>>, WrongKind> {
        self.collection_mut(key)
    }

    /// The stream of a key, to be changed.
    pub fn stream_mut(&mut self, key: &[u8]) -> Result<Option<Slot<'_, Stream>>, WrongKind> {
        self.collection_mut(key)
    }

    fn collection_mut<T: Collection>(&mut self, key: &[u8]) -> Result<Option<Slot<'_, T>>, WrongKind> {
        let hash = self.hash(key);
        let Some(place) = self.table.find(hash, key) else { return Ok(None) };
        self.slot(hash, place).map(Some)
    }

    fn slot<T: Collection>(&mut self, hash: u64, place: Place) -> Result<Slot<'_, T>, WrongKind> {
        // Who takes it for another kind has come by as well.
        self.use_entry(place);
        let found = self.table.entry(place).kind();
        if found != T::KIND {
            return Err(WrongKind { found });
        }
        self.before_change(hash);
        // SAFETY: the place was just found, the kind says that a `T` lies in it, and the slot borrows the
        // database, so nobody else reaches the entry while it lives.
        let collection: &mut T = unsafe { place.entry().place_mut() };
        let memory_before = collection.heap_bytes();
        let holds = Some(&mut self.cuts.holds).filter(|holds| !holds.is_empty());
        let shared = holds.map(|holds| Shared { holds, hash, left_before: left::count() });
        Ok(Slot { collection, memory_before, memory: self.table.memory_mut(), shared })
    }
}
