//! One database: its keys and values, and the one way to change them. Decides nothing about expiry, eviction or
//! events: who calls it does. Always: a bucket is handed to every cut that still needs it before anything in it
//! changes, and `used_memory` is exact after every call.

mod keyspace; // read me first
mod maker;
mod slot;
mod strings;
mod walk;

#[cfg(test)]
mod tests;

use foldhash::SharedSeed;
use std::hash::Hasher;

use tenon_base::{Dice, UnixMillis};

use crate::TableShape;
use crate::access::{AccessClock, AccessRule};
use crate::cut::TableCuts;
use crate::entry::{Entry, Payload, RawEntry};
use crate::table::{Address, BUCKETS, Place, Table};
use crate::value::{Kind, Value};

pub use keyspace::Keyspace;
pub use maker::{EntryMaker, NewEntry};
pub use slot::{Collection, Slot, WrongKind};
pub use strings::{Expiry, Replaced, TextSlot};
pub use walk::ExpireProgress;

/// One database.
pub struct Database {
    hasher: KeyHasher,
    /// The table, and the cuts that still walk it.
    table: Table,
    cuts: TableCuts,
    /// Tables that were cleared while cuts still walked them.
    detached: Vec<(Table, TableCuts)>,
    /// The access clocks that entries get when they are new, and when they are used.
    clock: AccessClock,
    /// Where the next step of active expiry begins.
    expire_page: usize,
    average_ttl_ms: i64,
}

/// Everything that a cleared database held. Dropping it may take long; it may be sent to another thread for that.
#[derive(Default)]
pub struct Detached(#[expect(dead_code, reason = "held to be dropped")] Option<Table>);

/// What a look-up came to.
#[derive(Debug)]
pub struct LookUp<'a> {
    /// The live entry, if there is one.
    pub entry: Option<Entry<'a>>,
    /// Whether an expired entry was taken out.
    pub removed: bool,
    /// The key's hash.
    pub hash: u64,
}

/// The hash of keys, by a seed that no client knows.
#[derive(Clone)]
pub(crate) struct KeyHasher {
    seed: u64,
    shared: SharedSeed,
}

impl KeyHasher {
    pub(crate) fn new(dice: &mut Dice) -> KeyHasher {
        KeyHasher { seed: dice.roll(), shared: SharedSeed::from_u64(dice.roll()) }
    }

    #[inline]
    pub(crate) fn hash(&self, key: &[u8]) -> u64 {
        let mut hasher = foldhash::quality::FoldHasher::with_seed(self.seed, &self.shared);
        hasher.write(key);
        hasher.finish()
    }
}

impl Database {
    /// The seed decides what chance does to access clocks.
    pub(crate) fn new(hasher: KeyHasher, seed: u64) -> Database {
        Database {
            hasher,
            table: Table::new(),
            cuts: TableCuts::default(),
            detached: Vec::new(),
            clock: AccessClock::new(seed),
            expire_page: 0,
            average_ttl_ms: 0,
        }
    }

    /// An empty one that hashes keys alike and goes on with the same access clock.
    pub(crate) fn beside(&self) -> Database {
        Database { clock: self.clock.clone(), ..Database::new(self.hasher.clone(), 0) }
    }

    /// Number of keys, expired ones that are still there included.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of keys with an expiry time.
    pub fn volatile_len(&self) -> usize {
        self.table.volatile_len()
    }

    /// Bytes of the pages in which entries are found: what the database takes beside its entries, nearly.
    pub fn table_memory(&self) -> usize {
        self.table.page_memory()
    }

    /// Bytes of the table, the entries and the values, in size classes; without what cuts hold.
    pub fn used_memory(&self) -> usize {
        self.table.memory()
    }

    /// Buckets of its table.
    pub fn buckets(&self) -> usize {
        self.table.pages() * BUCKETS
    }

    /// How its buckets are filled. Walks over all of them.
    pub fn shape(&self) -> TableShape {
        let addresses =
            (0..self.buckets()).map(|number| Address { page: number / BUCKETS, bucket: number % BUCKETS });
        TableShape::of(addresses.map(|address| self.table.bucket_len(address)))
    }

    /// The hash of a key: the same in all databases of a keyspace.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash(key)
    }

    /// Fetches the bucket of a hash into the cache. A hint, which changes nothing.
    #[inline]
    pub fn prefetch_bucket(&self, hash: u64) {
        self.table.prefetch_bucket(hash);
    }

    /// Fetches the entry of a hash into the cache; its bucket had better be there. A hint, which changes nothing.
    #[inline]
    pub fn prefetch_entry(&self, hash: u64) {
        self.table.prefetch_entry(hash);
    }

    /// Fetches what the entry of a hash has beside it into the cache, if that is a collection; the entry had better be
    /// there. A hint, which changes nothing.
    #[inline]
    pub fn prefetch_collection(&self, hash: u64) {
        self.table.prefetch_collection(hash);
    }

    /// The entry of a key, expired or not.
    #[inline]
    pub fn find(&self, key: &[u8]) -> Option<Entry<'_>> {
        let place = self.table.find(self.hash(key), key)?;
        Some(self.table.entry(place))
    }

    /// Looks a key up for a unit that runs at `now`: an entry whose time has passed is as good as gone, and is
    /// taken out on the spot if `removes`. Moves its access clock if
    /// it counts as a use in the second `clock`.
    #[inline]
    pub fn look_up(&mut self, key: &[u8], now: UnixMillis, removes: bool, clock: Option<u32>) -> LookUp<'_> {
        let hash = self.hash(key);
        let Some(place) = self.table.find(hash, key) else {
            return LookUp { entry: None, removed: false, hash };
        };
        if self.table.entry(place).expires_at().is_some_and(|at| at < now) {
            if removes {
                drop(self.remove(key));
            }
            return LookUp { entry: None, removed: removes, hash };
        }
        if let Some(seconds) = clock {
            self.clock.set_seconds(seconds);
            self.use_entry(place);
        }
        LookUp { entry: Some(self.table.entry(place)), removed: false, hash }
    }

    /// Whether the key is there, expired or not.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.find(key).is_some()
    }

    /// Sets the second of Unix time that access clocks are moved to.
    #[inline]
    pub fn set_clock(&mut self, seconds: u32) {
        self.clock.set_seconds(seconds);
    }

    /// Says what access clocks count from now on. Those that there are keep their bits.
    pub(crate) fn set_access_rule(&mut self, rule: AccessRule) {
        self.clock.set_rule(rule);
    }

    /// Gives the key this value and expiry, and returns the value that it had.
    pub fn insert(&mut self, key: &[u8], value: Value, expires: Option<UnixMillis>) -> Option<Value> {
        let hash = self.hash(key);
        let mut clock = self.clock.fresh();
        let replaced = match self.table.find(hash, key) {
            Some(place) => {
                self.before_removal(hash, place);
                clock = self.clock.used(self.table.entry(place).access_clock());
                let old = self.table.take(hash, place);
                // SAFETY: the table has just let go of it.
                Some(unsafe { old.into_value() })
            }
            None => {
                self.before_change(hash);
                None
            }
        };
        let entry = Payload::of_value(value, |payload| RawEntry::build(key, clock, expires, payload));
        self.table.insert(hash, entry);
        self.grow_if_due();
        replaced
    }

    /// Takes in an entry that an [`EntryMaker`] of this keyspace made, with an access clock (24 bits) if one is known.
    /// An entry of the same key is replaced, and its value returned, if `replaces`; else the new one comes back.
    pub fn take_in(
        &mut self,
        new: NewEntry,
        clock: Option<u32>,
        replaces: bool,
    ) -> Result<Option<Value>, NewEntry> {
        let hash = new.hash();
        let found = self.table.find(hash, new.key());
        if found.is_some() && !replaces {
            return Err(new);
        }
        let replaced = found.map(|place| {
            self.before_removal(hash, place);
            let old = self.table.take(hash, place);
            // SAFETY: the table has just let go of it.
            unsafe { old.into_value() }
        });
        if replaced.is_none() {
            self.before_change(hash);
        }
        let entry = new.into_entry();
        // SAFETY: the entry is live, and nobody else has it.
        unsafe { entry.set_clock(clock.unwrap_or_else(|| self.clock.fresh())) };
        self.table.insert(hash, entry);
        self.grow_if_due();
        Ok(replaced)
    }

    /// Takes the key out, and returns its value and expiry.
    pub fn remove(&mut self, key: &[u8]) -> Option<(Value, Option<UnixMillis>)> {
        let entry = self.take(key)?;
        // SAFETY: the table has just let go of it.
        let (expires, value) = unsafe { (entry.view().expires_at(), entry.into_value()) };
        Some((value, expires))
    }

    /// Takes the key out and frees it. A value with memory of its own is returned instead, so that the caller may
    /// have it dropped elsewhere if it is large (see [`Value::memory`]). None if there was no such key.
    pub fn delete(&mut self, key: &[u8]) -> Option<Option<Value>> {
        let entry = self.take(key)?;
        // SAFETY: the table has just let go of it.
        unsafe {
            if entry.view().is_large() {
                return Some(Some(entry.into_value()));
            }
            entry.free();
        }
        Some(None)
    }

    /// Gives a key's value and expiry to another key, and returns that one's former value. What cuts hold of the value
    /// they go on sharing. False if there is no such key.
    pub fn rename(&mut self, source: &[u8], target: &[u8]) -> Option<Option<Value>> {
        let (from, to) = (self.hash(source), self.hash(target));
        // What the cuts remember of it stays where it is while the value is on its way.
        let place = self.table.find(from, source)?;
        self.before_change(from);
        let moved = self.cuts.holds.take(from);
        let entry = self.table.take(from, place);
        self.shrink_if_due();
        // SAFETY: the table has just let go of it.
        let (expires, value) = unsafe { (entry.view().expires_at(), entry.into_value()) };
        let former = self.insert(target, value, expires);
        self.cuts.holds.put(to, moved);
        Some(former)
    }

    /// Sets or removes the expiry time of a key. False if there is no such key.
    pub fn set_expiry(&mut self, key: &[u8], expires: Option<UnixMillis>) -> bool {
        let hash = self.hash(key);
        let Some(place) = self.table.find(hash, key) else { return false };
        self.before_change(hash);
        // SAFETY: `with_expiry` keeps the key and frees what it replaces.
        unsafe { self.table.change(hash, place, |entry| entry.with_expiry(expires)) };
        true
    }

    /// Sets the access clock of a key (24 bits). Cuts do not see this as a change.
    pub fn touch(&mut self, key: &[u8], clock: u32) {
        if let Some(place) = self.table.find(self.hash(key), key) {
            // SAFETY: the place was just found, and `&mut self` has the table alone.
            unsafe { place.entry().set_clock(clock) };
        }
    }

    /// Empties the database in one step. What it held is returned, to be dropped elsewhere, or kept as long as a
    /// cut needs it (see [`Keyspace::take_discarded`]).
    pub fn clear(&mut self) -> Detached {
        self.expire_page = 0;
        let table = std::mem::replace(&mut self.table, Table::new());
        if self.cuts.is_empty() {
            std::mem::take(&mut self.cuts.holds).all_removed();
            return Detached(Some(table));
        }
        self.detached.push((table, std::mem::take(&mut self.cuts)));
        Detached(None)
    }

    /// Empties the database as [`Database::clear`] does, and takes everything that another one holds.
    fn take_over(&mut self, other: &mut Database) -> Detached {
        let detached = self.clear();
        std::mem::swap(&mut self.table, &mut other.table);
        detached
    }

    /// Counts everything anew and compares.
    #[cfg(test)]
    pub(crate) fn check_books(&self) {
        self.table.check_books();
    }

    fn take(&mut self, key: &[u8]) -> Option<RawEntry> {
        let hash = self.hash(key);
        let place = self.table.find(hash, key)?;
        self.before_removal(hash, place);
        let entry = self.table.take(hash, place);
        self.shrink_if_due();
        Some(entry)
    }

    /// Moves the access clock of an entry that is used. Cuts do not see this as a change.
    #[inline]
    fn use_entry(&mut self, place: Place) {
        let clock = self.clock.used(self.table.entry(place).access_clock());
        // SAFETY: the place was just found, and `&mut self` has the table alone.
        unsafe { place.entry().set_clock(clock) };
    }

    /// Hands the bucket of a hash to the cuts that still need it.
    #[inline]
    fn before_change(&mut self, hash: u64) {
        if !self.cuts.is_empty() {
            self.cuts.hand_over(&self.table, &self.hasher, hash);
        }
    }

    /// The same, where the value of an entry leaves the bucket.
    #[inline]
    fn before_removal(&mut self, hash: u64, place: Place) {
        self.before_change(hash);
        if !self.cuts.holds.is_empty() && self.table.entry(place).is_large() {
            self.cuts.holds.removed(hash);
        }
    }

    #[inline]
    fn grow_if_due(&mut self) {
        if let Some((low, high)) = self.table.growth_due() {
            self.table.grow(|key| self.hasher.hash(key));
            self.cuts.page_split(low, high);
        }
    }

    #[inline]
    fn shrink_if_due(&mut self) {
        if let Some((low, high)) = self.table.shrinking_due() {
            self.cuts.before_merge(&self.table, &self.hasher, low, high);
            self.table.shrink();
        }
        self.table.release_if_empty();
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Detached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Detached")
    }
}

impl std::fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("kind", &Kind::name(self.kind())).finish_non_exhaustive()
    }
}
