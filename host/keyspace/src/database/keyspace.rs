//! All databases of one tenant, and the cuts through them.

use std::sync::{Arc, Weak};

use tenon_base::Dice;

use super::{Database, Detached, EntryMaker, KeyHasher};
use crate::access::AccessRule;
use crate::cut::{AbortReason, Cut, CutBounds, CutFeed, CutId, CutProgress, CutStats, TableCuts, Walker};
use crate::table::Table;

/// Bytes of room for batches that a cut keeps for each key: a sixth or less of what a small key takes, and for some
/// milliseconds.
const ROOM_BYTES_A_KEY: usize = 16;

/// All databases of one tenant.
pub struct Keyspace {
    databases: Vec<Database>,
    cuts: Vec<Cut>,
    /// Of cuts that have ended, while somebody may still have batches of theirs.
    ended: Vec<Weak<CutFeed>>,
    next_cut: u64,
    /// Cleared tables that no cut needs any more.
    discarded: Vec<Table>,
}

impl Keyspace {
    /// So many empty databases. The dice decide how keys are hashed.
    pub fn new(databases: usize, dice: &mut Dice) -> Keyspace {
        let hasher = KeyHasher::new(dice);
        let databases = (0..databases).map(|_| Database::new(hasher.clone(), dice.roll())).collect();
        Keyspace { databases, cuts: Vec::new(), ended: Vec::new(), next_cut: 1, discarded: Vec::new() }
    }

    /// An empty one beside this: as many databases, and keys hashed alike, so that [`Keyspace::take_over`] may follow.
    pub fn beside(&self) -> Keyspace {
        let databases = self.databases.iter().map(Database::beside).collect();
        Keyspace { databases, cuts: Vec::new(), ended: Vec::new(), next_cut: 1, discarded: Vec::new() }
    }

    /// Makes entries for these databases, and for those of a keyspace beside this one, on other threads.
    pub fn entry_maker(&self) -> EntryMaker {
        EntryMaker::new(self.databases[0].hasher.clone())
    }

    /// Puts all that one made by [`Keyspace::beside`] holds in the place of all that was here, in one step. What was
    /// here is returned, to be dropped elsewhere; cuts go on with it.
    pub fn take_over(&mut self, other: &mut Keyspace) -> Vec<Detached> {
        assert_eq!(self.databases.len(), other.databases.len(), "made for this keyspace");
        let pairs = self.databases.iter_mut().zip(&mut other.databases);
        pairs.map(|(own, fresh)| own.take_over(fresh)).collect()
    }

    /// Number of databases.
    pub fn databases(&self) -> usize {
        self.databases.len()
    }

    /// A database by its number, which must be below [`Keyspace::databases`].
    #[inline]
    pub fn db(&self, number: usize) -> &Database {
        &self.databases[number]
    }

    /// A database by its number, which must be below [`Keyspace::databases`].
    #[inline]
    pub fn db_mut(&mut self, number: usize) -> &mut Database {
        &mut self.databases[number]
    }

    /// Says what access clocks count from now on.
    pub fn set_access_rule(&mut self, rule: AccessRule) {
        self.databases.iter_mut().for_each(|database| database.set_access_rule(rule));
    }

    /// Exchanges the content of two databases. Cuts keep the numbers of their moment.
    pub fn swap(&mut self, one: usize, other: usize) {
        self.databases.swap(one, other);
    }

    /// Bytes of all databases, in size classes; without what cuts hold.
    pub fn used_memory(&self) -> usize {
        self.databases.iter().map(Database::used_memory).sum()
    }

    /// The same of keys and values alone, nearly.
    pub fn entries_memory(&self) -> usize {
        self.databases.iter().map(|database| database.used_memory() - database.table_memory()).sum()
    }

    /// Bytes that cuts hold: batches until they are let go of, what those keep from being freed of values that were
    /// changed or removed, and cleared tables that are still walked. What two cuts hold together counts for both.
    pub fn cut_memory(&self) -> usize {
        let ended = self.ended.iter().filter_map(Weak::upgrade).map(|feed| feed.memory());
        let waiting = self.cuts.iter().map(|cut| cut.feed.memory()).chain(ended);
        let walkers = self.tables().flat_map(|(_, cuts)| cuts.walkers()).map(Walker::open_bytes);
        let detached = self.databases.iter().flat_map(|db| &db.detached).map(|(table, _)| table.memory());
        waiting.chain(walkers).chain(detached).sum()
    }

    /// Begins a cut at this moment. It must be moved on with [`Keyspace::advance_cut`], and ended.
    pub fn begin_cut(&mut self, bounds: CutBounds) -> CutId {
        let id = CutId(self.next_cut);
        self.next_cut += 1;
        let keys: usize = self.databases.iter().map(|database| database.len()).sum();
        // Half of it for pre-images, while the walk has handed over as much as may wait.
        let rooms_bytes = bounds.waiting_bytes_max.saturating_mul(2).min(keys * ROOM_BYTES_A_KEY);
        let feed = Arc::new(CutFeed::new(rooms_bytes));
        let mut stats = CutStats::default();
        for (number, database) in self.databases.iter_mut().enumerate() {
            if !database.is_empty() {
                stats.keys_total += database.len();
                database.cuts.add(Walker::new(id, bounds, Arc::clone(&feed), number));
            }
        }
        self.cuts.push(Cut { id, bounds, feed, used_memory: self.used_memory(), stats });
        id
    }

    /// Moves a cut on by about `budget` units of work: one for an entry, one for each 64 bytes copied. Batches go to
    /// the feed. An unknown cut counts as cancelled.
    pub fn advance_cut(&mut self, id: CutId, mut budget: usize) -> CutProgress {
        let Some(index) = self.cuts.iter().position(|cut| cut.id == id) else {
            return CutProgress::Aborted(AbortReason::Cancelled);
        };
        let feed = Arc::clone(&self.cuts[index].feed);
        if let Some(reason) = feed.aborted() {
            self.release(id, index);
            return CutProgress::Aborted(reason);
        }
        let mut unfinished = false;
        let mut finished = CutStats::default();
        for (table, cuts, hasher) in self.tables_mut() {
            let Some(done) = cuts.walk(id, table, hasher, &mut budget) else { continue };
            // An encoder that has enough to do gets full batches.
            if (done || feed.is_empty())
                && let Some(walker) = cuts.walker(id)
            {
                walker.flush();
            }
            if done {
                finished = sum(finished, cuts.remove(id).unwrap_or_default());
            }
            unfinished |= !done;
        }
        self.cuts[index].stats = sum(self.cuts[index].stats, finished);
        self.discard_unneeded();
        if !unfinished {
            feed.finish();
            return CutProgress::Done;
        }
        let full = feed.waiting_bytes().0 >= self.cuts[index].bounds.waiting_bytes_max;
        if full { CutProgress::Waiting } else { CutProgress::Walking }
    }

    /// Compares what a cut makes the process hold with what it may; one that holds more is given up. To be asked for
    /// whenever the keyspace may have changed, until the cut ends.
    pub fn weigh_cut(&mut self, id: CutId) {
        let Some(cut) = self.cut(id) else { return };
        let detached = self.databases.iter().flat_map(|database| &database.detached);
        let walked = detached.filter(|(_, cuts)| cuts.walkers().any(|walker| walker.id == id));
        let detached_bytes = walked.map(|(table, _)| table.memory()).sum();
        let freed_bytes = cut.used_memory.saturating_sub(self.used_memory());
        cut.feed.weigh(detached_bytes, freed_bytes, cut.bounds.preimage_bytes_max);
    }

    /// The encoder's end of a cut.
    pub fn cut_feed(&self, id: CutId) -> Option<Arc<CutFeed>> {
        self.cut(id).map(|cut| Arc::clone(&cut.feed))
    }

    /// Figures of a cut.
    pub fn cut_stats(&self, id: CutId) -> Option<CutStats> {
        let walkers = self.tables().flat_map(|(_, cuts)| cuts.walkers());
        let own = walkers.filter(|walker| walker.id == id).map(Walker::stats);
        Some(own.fold(self.cut(id)?.stats, sum))
    }

    /// Forgets a cut that is done; one that is not is aborted. Its feed can still be emptied if it was done.
    pub fn end_cut(&mut self, id: CutId) {
        self.abort_cut(id, AbortReason::Cancelled);
        self.ended.retain(|feed| feed.strong_count() > 0);
        let ended = self.cuts.extract_if(.., |cut| cut.id == id);
        self.ended.extend(ended.map(|cut| Arc::downgrade(&cut.feed)));
    }

    /// Gives a cut up, if it is not done. It must still be ended.
    pub fn abort_cut(&mut self, id: CutId, reason: AbortReason) {
        if let Some(index) = self.cuts.iter().position(|cut| cut.id == id) {
            self.cuts[index].feed.abort(reason);
            self.release(id, index);
        }
    }

    /// Number of cuts that have not ended.
    pub fn cuts(&self) -> usize {
        self.cuts.len()
    }

    /// Bytes that cuts which have not ended keep from being freed of large values that were changed or removed.
    pub fn cut_held(&self) -> usize {
        self.cuts.iter().map(|cut| cut.feed.held_bytes()).sum()
    }

    /// A cleared database that cuts kept alive and do not need any more, to be dropped elsewhere. To be asked for
    /// after cuts advanced or ended, until there is none.
    pub fn take_discarded(&mut self) -> Option<Detached> {
        self.discarded.pop().map(|table| Detached(Some(table)))
    }

    /// Takes a cut's walks out of all tables.
    fn release(&mut self, id: CutId, index: usize) {
        let released =
            self.tables_mut().filter_map(|(_, cuts, _)| cuts.remove(id)).fold(CutStats::default(), sum);
        self.cuts[index].stats = sum(self.cuts[index].stats, released);
        self.discard_unneeded();
    }

    fn discard_unneeded(&mut self) {
        for database in &mut self.databases {
            let unneeded = database.detached.extract_if(.., |(_, cuts)| cuts.is_empty());
            self.discarded.extend(unneeded.map(|(table, cuts)| {
                cuts.holds.all_removed();
                table
            }));
        }
    }

    fn cut(&self, id: CutId) -> Option<&Cut> {
        self.cuts.iter().find(|cut| cut.id == id)
    }

    fn tables(&self) -> impl Iterator<Item = (&Table, &TableCuts)> {
        self.databases.iter().flat_map(|database| {
            let detached = database.detached.iter().map(|(table, cuts)| (table, cuts));
            detached.chain(std::iter::once((&database.table, &database.cuts)))
        })
    }

    /// Cleared ones first: they are freed once they are walked.
    fn tables_mut(&mut self) -> impl Iterator<Item = (&Table, &mut TableCuts, &KeyHasher)> {
        let databases = self.databases.iter_mut();
        let (detached, own): (Vec<_>, Vec<_>) = databases
            .map(|database| {
                let hasher = &database.hasher;
                let detached = database.detached.iter_mut();
                let detached = detached.map(move |(table, cuts)| (&*table, cuts, hasher));
                (detached, (&database.table, &mut database.cuts, hasher))
            })
            .unzip();
        detached.into_iter().flatten().chain(own)
    }
}

fn sum(one: CutStats, other: CutStats) -> CutStats {
    CutStats {
        keys_total: one.keys_total + other.keys_total,
        keys_handed: one.keys_handed + other.keys_handed,
        preimage_bytes: one.preimage_bytes + other.preimage_bytes,
    }
}

impl std::fmt::Debug for Keyspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyspace").field("databases", &self.databases).finish_non_exhaustive()
    }
}
