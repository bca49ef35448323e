//! The selected database as handlers see it: keys that have expired are not there, types are checked, and what
//! a look-up implies (expiry, access clock, hits and misses) happens by itself.
//! Always: a follower and a load remove nothing of their own accord; they wait for what they are told.

use tenon_base::{Now, UnixMillis};
use tenon_keyspace::{
    Database, Entry, Hash, Keyspace, List, Set, Slot, Stream, TextRef, Value, ValueRef, WrongKind, Zset,
};

use crate::{CommandError, Event, Unit};

/// Who caused a unit of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client, or the server's own cycle.
    Client,
    /// A client of a follower that only reads: what has expired is gone for it, and stays until the primary says so.
    Reader,
    /// The primary's stream.
    Primary,
    /// A file being loaded.
    Load,
}

/// Hits and misses of look-ups for reading, as INFO counts them.
#[derive(Clone, Copy, Debug, Default)]
pub struct LookupCounts {
    /// Keys that were found.
    pub hits: u64,
    /// Keys that were not.
    pub misses: u64,
}

/// Keys whose entries are fetched together: enough to hide a cache miss, few enough to stay cached.
pub(crate) const LOOK_AHEAD_KEYS: usize = 16;

/// The selected database of one unit of work.
pub struct Db<'a> {
    keyspace: &'a mut Keyspace,
    index: usize,
    now: Now,
    origin: Origin,
    lookups: &'a mut LookupCounts,
    /// Whether look-ups leave the access clock alone (CLIENT NO-TOUCH).
    pub no_touch: bool,
    /// Whether removed values are propagated as UNLINK (`lazyfree-lazy-expire`).
    pub lazy_expire: bool,
    /// Whether look-ups for reading leave expired values where they are (CLIENT PAUSE).
    pub keeps_expired: bool,
    /// Whether there are keys that the user may not read: then SORT follows no patterns.
    pub keys_are_limited: bool,
    /// What this unit does.
    pub unit: &'a mut Unit,
}

impl From<WrongKind> for CommandError {
    fn from(_: WrongKind) -> CommandError {
        CommandError::WrongType
    }
}

impl<'a> Db<'a> {
    /// A view of database `index`.
    pub fn new(
        keyspace: &'a mut Keyspace,
        index: usize,
        now: Now,
        origin: Origin,
        lookups: &'a mut LookupCounts,
        unit: &'a mut Unit,
    ) -> Db<'a> {
        Db {
            keyspace,
            index,
            now,
            origin,
            lookups,
            no_touch: false,
            lazy_expire: false,
            keeps_expired: false,
            keys_are_limited: false,
            unit,
        }
    }

    /// Its number.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The time of this unit, in milliseconds since 1970.
    pub fn now(&self) -> UnixMillis {
        self.now.unix()
    }

    /// The time of this unit on both clocks.
    pub fn moment(&self) -> Now {
        self.now
    }

    /// Who caused the unit.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// All databases.
    pub fn keyspace(&mut self) -> &mut Keyspace {
        self.keyspace
    }

    /// The database itself, for what takes no notice of expiry.
    pub fn database(&mut self) -> &mut Database {
        self.keyspace.db_mut(self.index)
    }

    /// The database itself, to look at.
    pub fn database_ref(&self) -> &Database {
        self.keyspace.db(self.index)
    }

    /// The same unit on another database; the caller has checked the number.
    pub fn other(&mut self, index: usize) -> Db<'_> {
        Db {
            keyspace: self.keyspace,
            index,
            now: self.now,
            origin: self.origin,
            lookups: self.lookups,
            no_touch: self.no_touch,
            lazy_expire: self.lazy_expire,
            keeps_expired: self.keeps_expired,
            keys_are_limited: self.keys_are_limited,
            unit: self.unit,
        }
    }

    /// Fetches the entries of the first [`LOOK_AHEAD_KEYS`] keys into the cache, before a command reads or writes one after the other: they then wait
    /// for memory together. A hint, which changes nothing.
    pub(crate) fn look_ahead<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) {
        let database = self.database_ref();
        let mut hashes = [0; LOOK_AHEAD_KEYS];
        let mut count = 0;
        for (hash, key) in hashes.iter_mut().zip(keys) {
            *hash = database.hash(key);
            database.prefetch_bucket(*hash);
            count += 1;
        }
        hashes[..count].iter().for_each(|&hash| database.prefetch_entry(hash));
    }

    /// Looks a key up for reading: counts a hit or a miss and moves the access clock.
    #[inline]
    pub fn find(&mut self, key: &[u8]) -> Option<Entry<'_>> {
        let clock = if self.no_touch { None } else { Some(self.clock()) };
        self.read(key, clock, true)
    }

    /// Looks a key up for reading about it, not it: counts a hit or a miss and leaves the access clock alone, as
    /// EXISTS, TYPE and TTL do.
    pub fn inspect(&mut self, key: &[u8]) -> Option<Entry<'_>> {
        self.read(key, None, true)
    }

    /// As [`Db::inspect`], and tells nobody of a key that is not there, as OBJECT does.
    pub fn inspect_quietly(&mut self, key: &[u8]) -> Option<Entry<'_>> {
        self.read(key, None, false)
    }

    #[inline]
    fn read(&mut self, key: &[u8], clock: Option<u32>, tells: bool) -> Option<Entry<'_>> {
        let removes = !self.keeps_expired && self.origin != Origin::Reader;
        let Db { keyspace, lookups, unit, index, .. } = self;
        let found = keyspace.db_mut(*index).look_up(key, due_before(self.origin, self.now), removes, clock);
        if found.removed {
            unit.expired(*index, found.hash, key, self.lazy_expire);
        }
        match found.entry {
            Some(_) => lookups.hits += 1,
            None => {
                lookups.misses += 1;
                if tells {
                    unit.notify(Event::KEYMISS, *index, key);
                }
            }
        }
        found.entry
    }

    /// Looks a key up without any trace, as before writing.
    pub fn peek(&mut self, key: &[u8]) -> Option<Entry<'_>> {
        let Db { keyspace, unit, index, .. } = self;
        let found = keyspace.db_mut(*index).look_up(
            key,
            due_before(self.origin, self.now),
            self.origin != Origin::Reader,
            None,
        );
        if found.removed {
            unit.expired(*index, found.hash, key, self.lazy_expire);
        }
        found.entry
    }

    /// Whether a key is there; no trace.
    pub fn exists(&mut self, key: &[u8]) -> bool {
        self.peek(key).is_some()
    }

    /// A string to read.
    pub fn text(&mut self, key: &[u8]) -> Result<Option<TextRef<'_>>, CommandError> {
        match self.find(key).map(|entry| entry.value()) {
            None => Ok(None),
            Some(ValueRef::String(text)) => Ok(Some(text)),
            Some(_) => Err(CommandError::WrongType),
        }
    }

    /// A list to read.
    pub fn list(&mut self, key: &[u8]) -> Result<Option<&List>, CommandError> {
        match self.find(key).map(|entry| entry.value()) {
            None => Ok(None),
            Some(ValueRef::List(list)) => Ok(Some(list)),
            Some(_) => Err(CommandError::WrongType),
        }
    }

    /// A set to read.
    pub fn set(&mut self, key: &[u8]) -> Result<Option<&Set>, CommandError> {
        match self.find(key).map(|entry| entry.value()) {
            None => Ok(None),
            Some(ValueRef::Set(set)) => Ok(Some(set)),
            Some(_) => Err(CommandError::WrongType),
        }
    }

    /// A hash to read.
    pub fn hash(&mut self, key: &[u8]) -> Result<Option<&Hash>, CommandError> {
        match self.find(key).map(|entry| entry.value()) {
            None => Ok(None),
            Some(ValueRef::Hash(hash)) => Ok(Some(hash)),
            Some(_) => Err(CommandError::WrongType),
        }
    }

    /// A sorted set to read.
    pub fn zset(&mut self, key: &[u8]) -> Result<Option<&Zset>, CommandError> {
        match self.find(key).map(|entry| entry.value()) {
            None => Ok(None),
            Some(ValueRef::Zset(zset)) => Ok(Some(zset)),
            Some(_) => Err(CommandError::WrongType),
        }
    }

    /// A stream to read.
    pub fn stream(&mut self, key: &[u8]) -> Result<Option<&Stream>, CommandError> {
        match self.find(key).map(|entry| entry.value()) {
            None => Ok(None),
            Some(ValueRef::Stream(stream)) => Ok(Some(stream)),
            Some(_) => Err(CommandError::WrongType),
        }
    }

    /// A list to change, if there is one. Follow with [`crate::Context::changed`].
    pub fn list_mut(&mut self, key: &[u8]) -> Result<Option<Slot<'_, List>>, CommandError> {
        self.prepare_write(key);
        Ok(self.database().list_mut(key)?)
    }

    /// A set to change, if there is one.
    pub fn set_mut(&mut self, key: &[u8]) -> Result<Option<Slot<'_, Set>>, CommandError> {
        self.prepare_write(key);
        Ok(self.database().set_mut(key)?)
    }

    /// A set to change, if there is one, beside the unit: for changes that are told one by one as they are made.
    pub fn set_and_unit_mut(
        &mut self,
        key: &[u8],
    ) -> Result<Option<(Slot<'_, Set>, &mut Unit)>, CommandError> {
        self.prepare_write(key);
        let set = self.keyspace.db_mut(self.index).set_mut(key)?;
        Ok(set.map(|set| (set, &mut *self.unit)))
    }

    /// A hash to change, if there is one.
    pub fn hash_mut(&mut self, key: &[u8]) -> Result<Option<Slot<'_, Hash>>, CommandError> {
        self.prepare_write(key);
        Ok(self.database().hash_mut(key)?)
    }

    /// A sorted set to change, if there is one.
    pub fn zset_mut(&mut self, key: &[u8]) -> Result<Option<Slot<'_, Zset>>, CommandError> {
        self.prepare_write(key);
        Ok(self.database().zset_mut(key)?)
    }

    /// A stream to change, if there is one. It stays when its last entry goes.
    pub fn stream_mut(&mut self, key: &[u8]) -> Result<Option<Slot<'_, Stream>>, CommandError> {
        self.prepare_write(key);
        Ok(self.database().stream_mut(key)?)
    }

    /// A stream to change, if there is one, beside the unit: for changes that are told one by one as they are made.
    pub fn stream_and_unit_mut(
        &mut self,
        key: &[u8],
    ) -> Result<Option<(Slot<'_, Stream>, &mut Unit)>, CommandError> {
        self.prepare_write(key);
        let stream = self.keyspace.db_mut(self.index).stream_mut(key)?;
        Ok(stream.map(|stream| (stream, &mut *self.unit)))
    }

    /// Puts a value under a key, in place of whatever was there. Returns what was there.
    pub fn insert(&mut self, key: &[u8], value: Value, expires_at: Option<UnixMillis>) -> Option<Value> {
        self.prepare_write(key);
        let former = self.database().insert(key, value, expires_at);
        if former.is_none() {
            self.unit.notify(Event::NEW, self.index, key);
        }
        former
    }

    /// Takes a key out, with its value and its expiry time.
    pub fn remove(&mut self, key: &[u8]) -> Option<(Value, Option<UnixMillis>)> {
        self.prepare_write(key);
        self.database().remove(key)
    }

    /// Gives a key's value and expiry to another key, which must not be there. False if there is no such key.
    pub fn rename(&mut self, source: &[u8], target: &[u8]) -> bool {
        self.prepare_write(source);
        self.prepare_write(target);
        let is_renamed = self.database().rename(source, target).is_some();
        if is_renamed {
            self.unit.notify(Event::NEW, self.index, target);
        }
        is_renamed
    }

    /// Takes a key out and frees it. `None` if it was not there; a value that may take long to free is returned,
    /// for [`crate::Context::discard`].
    pub fn delete(&mut self, key: &[u8]) -> Option<Option<Value>> {
        self.prepare_write(key);
        self.database().delete(key)
    }

    /// Removes a key whose time has come, and says so to those who follow: the active cycle.
    pub fn expire(&mut self, key: &[u8]) {
        if self.origin == Origin::Reader {
            return;
        }
        let hash = self.database_ref().hash(key);
        drop(self.database().remove(key));
        self.unit.expired(self.index, hash, key, self.lazy_expire);
    }

    /// Removes a key to make room, and says so to those who follow, as UNLINK if `lazy`. A value that may take long to
    /// free is returned. `None` if there is no such key.
    pub fn evict(&mut self, key: &[u8], lazy: bool) -> Option<Option<Value>> {
        let hash = self.database_ref().hash(key);
        let removed = self.database().delete(key)?;
        self.unit.evicted(self.index, hash, key, lazy);
        Some(removed)
    }

    /// Before a write: an expired value must not be written to, and new entries begin with this clock.
    #[inline]
    pub fn prepare_write(&mut self, key: &[u8]) {
        let clock = self.clock();
        let database = self.keyspace.db_mut(self.index);
        database.set_clock(clock);
        if database.volatile_len() > 0 {
            self.peek(key);
        }
    }

    /// The second that access clocks are moved to.
    fn clock(&self) -> u32 {
        self.now.unix().seconds() as u32
    }
}

/// Entries that expire before this are gone. A follower shows expired keys as gone to its readers, but its
/// primary's own commands must still find them, and so must a load.
fn due_before(origin: Origin, now: Now) -> UnixMillis {
    match origin {
        Origin::Client | Origin::Reader => now.unix(),
        Origin::Primary | Origin::Load => UnixMillis(i64::MIN),
    }
}
