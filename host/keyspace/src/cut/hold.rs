//! What images of large values keep from being freed. Such a value is handed to a cut as one more reference to its root,
//! which costs nothing until the keyspace changes the value or removes it: from then on its old blocks are there for
//! the cut alone. Here that is counted, for each batch and for each cut, until the batch is let go of.
//! Always: never less is counted than is held, nor more for an image than its value took; a batch that is gone counts
//! nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Of a batch that is gone.
const RELEASED: usize = usize::MAX;

/// Entries looked at, at each look-up, for such as count nothing any more.
const SWEPT_AT_ONCE: usize = 4;

/// Bytes that one cut makes the process hold, by the batches that were handed over and not let go of.
#[derive(Debug, Default)]
pub(crate) struct CutTally {
    /// Batches themselves.
    pub(crate) batches: AtomicUsize,
    /// What only the images in them keep from being freed.
    pub(crate) held: AtomicUsize,
}

/// The same of one batch.
#[derive(Debug)]
pub(crate) struct Tally {
    cut: Arc<CutTally>,
    held: AtomicUsize,
    batch: AtomicUsize,
}

impl Tally {
    pub(crate) fn new(cut: &Arc<CutTally>) -> Tally {
        Tally { cut: Arc::clone(cut), held: AtomicUsize::new(0), batch: AtomicUsize::new(0) }
    }

    /// Counts the batch itself, once.
    pub(crate) fn count_batch(&self, bytes: usize) {
        self.cut.batches.fetch_add(bytes, Ordering::Relaxed);
        self.batch.store(bytes, Ordering::Relaxed);
    }

    /// What the images of the batch hold.
    pub(crate) fn held(&self) -> usize {
        match self.held.load(Ordering::Relaxed) {
            RELEASED => 0,
            bytes => bytes,
        }
    }

    fn is_released(&self) -> bool {
        self.held.load(Ordering::Relaxed) == RELEASED
    }

    fn add(&self, bytes: usize) {
        // The sum first: it is never less than its parts.
        self.cut.held.fetch_add(bytes, Ordering::Relaxed);
        let more = |held| (held != RELEASED).then(|| held + bytes);
        if self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_err() {
            self.cut.held.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// The batch is gone, and with it everything that it held.
    pub(crate) fn release(&self) {
        let held = self.held.swap(RELEASED, Ordering::Relaxed);
        if held != RELEASED {
            self.cut.held.fetch_sub(held, Ordering::Relaxed);
            self.cut.batches.fetch_sub(self.batch.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}

/// One image of a large value.
pub(crate) struct Hold {
    tally: Arc<Tally>,
    /// What is counted for it, and what it can hold at most: all of the value as it was.
    counted: usize,
    most: usize,
}

impl Hold {
    fn count(&mut self, bytes: usize) {
        let more = bytes.min(self.most - self.counted);
        if more > 0 {
            self.counted += more;
            self.tally.add(more);
        }
    }
}

/// The images of large values of one database that were handed to cuts, by the hashes of their keys. Two keys of one
/// hash count for each other, too.
#[derive(Default)]
pub(crate) struct Holds {
    images: BTreeMap<(u64, u64), Hold>,
    next: u64,
    /// Where the next look for images that are gone begins.
    swept_to: (u64, u64),
}

impl Holds {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// An image of a value that takes so many bytes was handed over.
    pub(crate) fn insert(&mut self, hash: u64, tally: &Arc<Tally>, most: usize) {
        self.sweep();
        self.next += 1;
        self.images.insert((hash, self.next), Hold { tally: Arc::clone(tally), counted: 0, most });
    }

    /// A value has let go of so many bytes at most that its images may still hold.
    #[cold]
    pub(crate) fn count(&mut self, hash: u64, bytes: usize) {
        self.sweep();
        self.of(hash).for_each(|hold| hold.count(bytes));
    }

    /// A value is about to leave the keyspace: what its images hold is theirs alone.
    #[cold]
    pub(crate) fn removed(&mut self, hash: u64) {
        self.count(hash, usize::MAX);
    }

    /// What is remembered of a value that is to be another key's.
    pub(crate) fn take(&mut self, hash: u64) -> Vec<Hold> {
        if self.images.is_empty() {
            return Vec::new();
        }
        let keys: Vec<_> = self.images.range((hash, 0)..=(hash, u64::MAX)).map(|(&key, _)| key).collect();
        keys.iter().filter_map(|key| self.images.remove(key)).collect()
    }

    /// Remembers it of the value under another key.
    pub(crate) fn put(&mut self, hash: u64, taken: Vec<Hold>) {
        for hold in taken {
            self.next += 1;
            self.images.insert((hash, self.next), hold);
        }
    }

    /// All values have left the keyspace.
    pub(crate) fn all_removed(self) {
        self.images.into_values().for_each(|mut hold| hold.count(usize::MAX));
    }

    fn of(&mut self, hash: u64) -> impl Iterator<Item = &mut Hold> {
        self.images.range_mut((hash, 0)..=(hash, u64::MAX)).map(|(_, hold)| hold)
    }

    /// Forgets images that are gone, a few at a time, so that a change never pays for many.
    pub(crate) fn sweep(&mut self) {
        let mut gone = [None; SWEPT_AT_ONCE];
        let mut swept_to = (0, 0);
        for (&(hash, number), hold) in self.images.range(self.swept_to..).take(SWEPT_AT_ONCE) {
            let place = gone.iter_mut().find(|place| place.is_none()).expect("a place for each");
            *place = hold.tally.is_released().then_some((hash, number));
            swept_to = (hash, number + 1);
        }
        self.swept_to = swept_to;
        for key in gone.iter().flatten() {
            self.images.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(cut: &CutTally) -> usize {
        cut.held.load(Ordering::Relaxed)
    }

    #[test]
    fn an_image_counts_what_its_value_let_go_of_until_its_batch_is_gone() {
        let cut = Arc::new(CutTally::default());
        let (one, other) = (Arc::new(Tally::new(&cut)), Arc::new(Tally::new(&cut)));
        let mut holds = Holds::default();
        holds.insert(7, &one, 1_000);
        holds.insert(7, &other, 500);
        holds.insert(8, &other, 100);
        assert_eq!(held(&cut), 0);
        holds.count(7, 300);
        assert_eq!((one.held(), other.held(), held(&cut)), (300, 300, 600));
        holds.count(7, 300);
        assert_eq!((one.held(), other.held()), (600, 500), "no more than the value took");
        holds.removed(8);
        assert_eq!(other.held(), 600);
        other.release();
        other.release();
        holds.removed(7);
        assert_eq!((other.held(), held(&cut)), (0, 1_000));
        one.release();
        assert_eq!(held(&cut), 0);
        (0..3).for_each(|_| holds.sweep());
        assert!(holds.is_empty());
    }

    #[test]
    fn an_image_goes_with_the_name_of_its_value() {
        let cut = Arc::new(CutTally::default());
        let tally = Arc::new(Tally::new(&cut));
        let mut holds = Holds::default();
        holds.insert(1, &tally, 1_000);
        let taken = holds.take(1);
        holds.put(2, taken);
        holds.count(1, 10);
        assert_eq!(held(&cut), 0);
        holds.count(2, 10);
        assert_eq!(held(&cut), 10);
        holds.all_removed();
        assert_eq!(held(&cut), 1_000);
    }

    #[test]
    fn images_that_are_gone_are_forgotten_while_others_come() {
        let cut = Arc::new(CutTally::default());
        let mut holds = Holds::default();
        for number in 0..10_000u64 {
            let tally = Arc::new(Tally::new(&cut));
            holds.insert(number.wrapping_mul(0x9E37_79B9_7F4A_7C15), &tally, 1);
            tally.release();
            assert!(holds.images.len() < 5, "{}", holds.images.len());
        }
    }
}
