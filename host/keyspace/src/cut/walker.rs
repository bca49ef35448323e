//! One cut's walk through one table, and the set of walks that a table's changes must mind.
//! Always: a walk that is finished is not in the set any more, so that writes pay nothing for it.

use std::sync::Arc;

use super::batch::CutBatch;
use super::feed::{AbortReason, BATCH_BYTES, CutFeed};
use super::marks::Marks;
use super::{CutBounds, CutId, CutStats, Holds};
use crate::database::KeyHasher;
use crate::entry::Entry;
use crate::table::{AHEAD, Address, BUCKETS, Table};

/// An entry is copied whole, and most take more than one line of the cache: with the second one fetched ahead, too, a
/// walk over five million keys of 64 bytes takes three tenths less of the engine's time.
const COPIED_LINES: usize = 2;

/// The walks through one table, and what became of large values that were handed over from it.
#[derive(Default)]
pub(crate) struct TableCuts {
    walkers: Vec<Walker>,
    pub(crate) holds: Holds,
}

/// One cut's walk through one table.
pub(crate) struct Walker {
    pub(crate) id: CutId,
    bounds: CutBounds,
    feed: Arc<CutFeed>,
    marks: Marks,
    /// Where the walk is; pages before it are marked throughout.
    position: u64,
    /// Whether nothing in the table is from the moment of the cut any more.
    exhausted: bool,
    walked: CutBatch,
    preimages: CutBatch,
    stats: CutStats,
}

impl TableCuts {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.walkers.is_empty()
    }

    pub(crate) fn add(&mut self, walker: Walker) {
        self.walkers.push(walker);
    }

    pub(crate) fn walker(&mut self, id: CutId) -> Option<&mut Walker> {
        self.walkers.iter_mut().find(|walker| walker.id == id)
    }

    pub(crate) fn walkers(&self) -> impl Iterator<Item = &Walker> {
        self.walkers.iter()
    }

    /// Ends a cut's walk, and returns its figures.
    pub(crate) fn remove(&mut self, id: CutId) -> Option<CutStats> {
        let index = self.walkers.iter().position(|walker| walker.id == id)?;
        Some(self.walkers.swap_remove(index).stats)
    }

    /// Moves a cut's walk on, as [`Walker::walk`] does.
    pub(crate) fn walk(
        &mut self,
        id: CutId,
        table: &Table,
        hasher: &KeyHasher,
        budget: &mut usize,
    ) -> Option<bool> {
        let walker = self.walkers.iter_mut().find(|walker| walker.id == id)?;
        Some(walker.walk(table, &mut Images { holds: &mut self.holds, hasher }, budget))
    }

    /// A hash's bucket is about to change.
    #[cold]
    pub(crate) fn hand_over(&mut self, table: &Table, hasher: &KeyHasher, hash: u64) {
        for walker in &mut self.walkers {
            let images = &mut Images { holds: &mut self.holds, hasher };
            match table.address(hash) {
                Some(address) => walker.hand_over_preimage(table, images, address),
                // The table has lost its last page, and with it everything from the moment of the cut.
                None => walker.exhausted = true,
            }
        }
    }

    /// A page of the table was split in two.
    pub(crate) fn page_split(&mut self, low: usize, high: usize) {
        for walker in &mut self.walkers {
            walker.marks.page_split(low, high);
        }
    }

    /// Two pages of the table are about to be merged.
    pub(crate) fn before_merge(&mut self, table: &Table, hasher: &KeyHasher, low: usize, high: usize) {
        for walker in &mut self.walkers {
            let images = &mut Images { holds: &mut self.holds, hasher };
            for page in [low, high] {
                for bucket in walker.marks.uneven(page) {
                    walker.hand_over_preimage(table, images, Address { page, bucket });
                    walker.hand_over_preimage(table, images, Address { page, bucket: bucket + BUCKETS / 2 });
                }
            }
            walker.marks.pages_merged(low, high);
        }
    }
}

/// Where images of large values are remembered.
struct Images<'a> {
    holds: &'a mut Holds,
    hasher: &'a KeyHasher,
}

impl Images<'_> {
    /// Adds an image to a batch, and returns what it counts as and what was copied for it.
    fn push(&mut self, batch: &mut CutBatch, entry: Entry<'_>) -> (usize, usize) {
        let pushed = batch.push(entry);
        if let Some(bytes) = pushed.shared_bytes {
            self.holds.insert(self.hasher.hash(entry.key()), batch.tally(), bytes);
        }
        (pushed.bytes, pushed.copied_bytes)
    }
}

impl Walker {
    pub(crate) fn new(id: CutId, bounds: CutBounds, feed: Arc<CutFeed>, database: usize) -> Walker {
        Walker {
            id,
            bounds,
            feed,
            marks: Marks::default(),
            position: 0,
            exhausted: false,
            walked: CutBatch::new(database, false),
            preimages: CutBatch::new(database, true),
            stats: CutStats::default(),
        }
    }

    pub(crate) fn stats(&self) -> CutStats {
        self.stats
    }

    /// Bytes in batches not yet handed to the feed.
    pub(crate) fn open_bytes(&self) -> usize {
        self.walked.footprint() + self.preimages.footprint()
    }

    /// Goes on with the walk until `budget` (one unit for an entry and one for each 64 bytes) is used up, or the
    /// feed is full. True once the whole table is handed over.
    fn walk(&mut self, table: &Table, images: &mut Images<'_>, budget: &mut usize) -> bool {
        if self.exhausted {
            return true;
        }
        while *budget > 0 && !self.is_feed_full() {
            let Some((page, next)) = table.page_at(self.position) else { return true };
            if !self.walk_page(table, images, page, budget) {
                break;
            }
            let Some(next) = next else { return true };
            self.position = next;
        }
        false
    }

    /// Hands the batches that are open to the feed.
    pub(crate) fn flush(&mut self) {
        for batch in [&mut self.walked, &mut self.preimages] {
            if !batch.is_empty() {
                self.feed.push(batch.take());
            }
        }
    }

    /// Whether the walk has handed over as many bytes as may wait.
    pub(crate) fn is_feed_full(&self) -> bool {
        self.feed.waiting_bytes().0 >= self.bounds.waiting_bytes_max
    }

    /// True once the page is handed over.
    fn walk_page(&mut self, table: &Table, images: &mut Images<'_>, page: usize, budget: &mut usize) -> bool {
        for bucket in 0..BUCKETS {
            if *budget == 0 {
                return false;
            }
            let address = Address { page, bucket };
            if self.marks.contains(address) {
                continue;
            }
            table.prefetch_entries(Address { page, bucket: (bucket + AHEAD) % BUCKETS }, COPIED_LINES);
            self.marks.insert(address);
            let mut cost = 1;
            furnish(&mut self.walked, &self.feed);
            for entry in table.entries_of(address) {
                cost += 1 + images.push(&mut self.walked, entry).1 / 64;
                self.stats.keys_handed += 1;
            }
            *budget = budget.saturating_sub(cost);
            if self.walked.bytes() >= BATCH_BYTES {
                self.feed.push(self.walked.take());
            }
        }
        true
    }

    fn hand_over_preimage(&mut self, table: &Table, images: &mut Images<'_>, address: Address) {
        if self.exhausted || self.marks.contains(address) || self.feed.is_aborted() {
            return;
        }
        self.marks.insert(address);
        furnish(&mut self.preimages, &self.feed);
        for entry in table.entries_of(address) {
            self.stats.preimage_bytes += images.push(&mut self.preimages, entry).0;
            self.stats.keys_handed += 1;
        }
        let waiting = self.feed.waiting_bytes().1 + self.preimages.bytes();
        if waiting > self.bounds.preimage_bytes_max {
            let bound = self.bounds.preimage_bytes_max;
            self.feed.abort(AbortReason::PreimageBytes { waiting, bound });
            drop(self.preimages.take());
        } else if self.preimages.bytes() >= BATCH_BYTES {
            self.feed.push(self.preimages.take());
        }
    }
}

#[inline]
fn furnish(batch: &mut CutBatch, feed: &CutFeed) {
    if !batch.has_room() {
        feed.furnish(batch);
    }
}
