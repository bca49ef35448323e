//! The way from the keyspace to whoever encodes a cut, usually on another thread.
//! Always: bytes waiting are counted when a batch is handed over, and given back when it is taken.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::batch::CutBatch;
use super::hold::{CutTally, Tally};

/// Bytes at which a batch is handed over.
pub(crate) const BATCH_BYTES: usize = 64 * 1024;
/// Words of room for one batch: the last entry may reach beyond.
const ROOM_WORDS: usize = (BATCH_BYTES + 4 * 1024) / size_of::<u64>();
/// Memory is running short once one part in so many of what may be held is.
const PRESSED_FROM: usize = 4;
/// Batches of each kind that are looked at for the one that holds most.
const LOOKED_AT_MAX: usize = 512;
/// A batch that holds less waits for its turn.
const HEAVY_BYTES_MIN: usize = 256 * 1024;
/// Room beyond this is not kept: an entry of unusual size was in it.
const ROOM_WORDS_MAX: usize = 2 * ROOM_WORDS;

/// Why a cut was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbortReason {
    /// What changed while the cut went on took more memory than it may.
    PreimageBytes {
        /// Bytes waiting to be encoded.
        waiting: usize,
        /// The bound.
        bound: usize,
    },
    /// What the cut keeps from being freed of values that were changed or removed took more memory than it may.
    HeldBytes {
        /// Bytes that the process takes for it beyond what it took at the moment of the cut.
        held: usize,
        /// The bound.
        bound: usize,
    },
    /// Whoever asked for the cut, or encodes it, does not want it any more.
    Cancelled,
}

impl fmt::Display for AbortReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AbortReason::PreimageBytes { waiting, bound } => write!(
                f,
                "values changed faster than they could be written: {waiting} bytes wait, at most {bound} may"
            ),
            AbortReason::HeldBytes { held, bound } => write!(
                f,
                "large values were changed or removed faster than they could be written: {held} bytes are held for \
                 it, at most {bound} may be"
            ),
            AbortReason::Cancelled => f.write_str("cancelled"),
        }
    }
}

/// The queue of a cut.
#[derive(Debug, Default)]
pub struct CutFeed {
    state: Mutex<State>,
    news: Condvar,
    walked_bytes: AtomicUsize,
    preimage_bytes: AtomicUsize,
    /// Batches until they are let go of, and what they hold.
    tally: Arc<CutTally>,
    /// Tables that were cleared and are still walked.
    detached_bytes: AtomicUsize,
    /// What the keyspace takes less than it did at the moment of the cut.
    freed_bytes: AtomicUsize,
    is_pressed: Arc<AtomicBool>,
    aborted: AtomicBool,
    /// Room for batches, none of them in use, and how many are kept at most.
    rooms: Mutex<Vec<Vec<u64>>>,
    rooms_max: usize,
    rooms_bytes: AtomicUsize,
    /// How many the encoder has made so far: all at first, so that a walk has what it needs.
    rooms_laid_out: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    /// Taken first: they cannot wait.
    preimages: VecDeque<CutBatch>,
    walked: VecDeque<CutBatch>,
    finished: bool,
    aborted: Option<AbortReason>,
}

impl State {
    fn is_empty(&self) -> bool {
        self.preimages.is_empty() && self.walked.is_empty()
    }

    /// Takes the batch out that holds most, if one holds enough to be worth the order. Looks at the oldest only, so that
    /// the keyspace's thread never waits long for the queues.
    fn take_heaviest(&mut self) -> Option<CutBatch> {
        let weights = |queue: &VecDeque<CutBatch>| {
            let heaviest = queue.iter().take(LOOKED_AT_MAX).map(CutBatch::held_bytes).enumerate();
            heaviest.max_by_key(|&(_, held)| held).filter(|&(_, held)| held >= HEAVY_BYTES_MIN)
        };
        match (weights(&self.preimages), weights(&self.walked)) {
            (Some((at, held)), other) if other.is_none_or(|(_, others)| others <= held) => {
                self.preimages.remove(at)
            }
            (_, Some((at, _))) => self.walked.remove(at),
            _ => None,
        }
    }

    fn queue(&mut self, batch: &CutBatch) -> &mut VecDeque<CutBatch> {
        if batch.is_preimage() { &mut self.preimages } else { &mut self.walked }
    }
}

impl CutFeed {
    /// A feed which keeps room for batches of so many bytes in all.
    pub(crate) fn new(rooms_bytes: usize) -> CutFeed {
        CutFeed { rooms_max: rooms_bytes / BATCH_BYTES, ..CutFeed::default() }
    }

    /// Lays out room for one batch more, on the encoder's thread, and says whether that was all. Memory that the system
    /// has not given yet is slow to touch first, milliseconds for all of it, and the keyspace's thread must not wait for
    /// that, not even for the processor: so a piece at a time.
    pub fn lay_out(&self) -> bool {
        let mut room = Vec::with_capacity(ROOM_WORDS);
        room.resize(ROOM_WORDS, u64::MAX);
        room.clear();
        self.keep(room);
        self.rooms_laid_out.fetch_add(1, Ordering::Relaxed);
        self.is_laid_out()
    }

    /// Whether the encoder has laid out room: a walk that begins earlier has to find its own.
    pub fn is_laid_out(&self) -> bool {
        self.rooms_laid_out.load(Ordering::Relaxed) >= self.rooms_max
    }

    /// Takes back a batch that is encoded: its room is used again.
    pub fn give_back(&self, batch: CutBatch) {
        self.keep(batch.into_room());
    }

    /// The next batch, if one is waiting. Once the cut is aborted there is none, and what was waiting is dropped
    /// here, on the encoder's thread.
    pub fn pop(&self) -> Option<CutBatch> {
        self.take(self.state())
    }

    /// The batch whose taking relieves memory most, if one waits that does: for whoever takes such out of the way of an
    /// encoder that is slower than the changes.
    pub fn pop_pressing(&self) -> Option<CutBatch> {
        let is_detached = self.detached_bytes.load(Ordering::Relaxed) > 0;
        let mut state = self.state();
        if state.aborted.is_some() {
            return None;
        }
        let batch = state.take_heaviest().or_else(|| state.preimages.pop_front());
        // A table that was cleared is freed once all of it was walked, for which there has to be room.
        let batch = batch.or_else(|| if is_detached { state.walked.pop_front() } else { None })?;
        self.counter(&batch).fetch_sub(batch.bytes(), Ordering::Relaxed);
        Some(batch)
    }

    /// Whether [`CutFeed::pop_pressing`] may have something.
    pub fn has_pressing(&self) -> bool {
        let (walked, preimages) = self.waiting_bytes();
        let is_held = self.held_bytes() >= HEAVY_BYTES_MIN || self.detached_bytes.load(Ordering::Relaxed) > 0;
        preimages > 0 || walked > 0 && is_held
    }

    /// Bytes that the process takes for the sake of this cut beyond what it took at its moment: pre-images that wait,
    /// and what was changed or removed since, less what the keyspace has shrunk by. At least the pre-images.
    pub fn pressure_bytes(&self) -> usize {
        let preimages = self.preimage_bytes.load(Ordering::Relaxed);
        let detached = self.detached_bytes.load(Ordering::Relaxed);
        let all = preimages.saturating_add(self.held_bytes()).saturating_add(detached);
        preimages.max(all.saturating_sub(self.freed_bytes.load(Ordering::Relaxed)))
    }

    /// Bytes of large values that were changed or removed and that only this cut keeps from being freed, at most.
    pub fn held_bytes(&self) -> usize {
        self.tally.held.load(Ordering::Relaxed)
    }

    /// Says whether memory is running short: an encoder had better be quick than thrifty.
    pub fn hurry(&self) -> &Arc<AtomicBool> {
        &self.is_pressed
    }

    /// Everything that the batches of the cut take and hold, whoever has them, and the room that is kept for others.
    pub fn memory(&self) -> usize {
        self.tally.batches.load(Ordering::Relaxed)
            + self.held_bytes()
            + self.rooms_bytes.load(Ordering::Relaxed)
    }

    /// Whether everything was handed over, taken and let go of.
    pub fn is_drained(&self) -> bool {
        self.is_finished() && self.tally.batches.load(Ordering::Relaxed) == 0
    }

    /// What is known of the keyspace now: bytes of cleared tables that are still walked, and bytes that it takes less
    /// than at the moment of the cut. Gives the cut up if it holds more than it may.
    pub(crate) fn weigh(&self, detached_bytes: usize, freed_bytes: usize, bound: usize) {
        self.detached_bytes.store(detached_bytes, Ordering::Relaxed);
        self.freed_bytes.store(freed_bytes, Ordering::Relaxed);
        let held = self.pressure_bytes();
        self.is_pressed.store(held > bound / PRESSED_FROM, Ordering::Relaxed);
        if held > bound && !self.is_drained() {
            self.give_up(AbortReason::HeldBytes { held, bound }, true);
        }
    }

    /// The next batch; waits for it on this thread. None once the cut is finished and everything was taken, or it
    /// was aborted.
    pub fn pop_waiting(&self) -> Option<CutBatch> {
        let nothing_new = |state: &mut State| state.is_empty() && !state.finished && state.aborted.is_none();
        let state = self.news.wait_while(self.state(), nothing_new);
        self.take(state.unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether everything was handed over and taken, and nothing thrown away.
    pub fn is_finished(&self) -> bool {
        let state = self.state();
        state.finished && state.is_empty() && state.aborted.is_none()
    }

    /// Whether the cut was given up: what was taken of it is worth nothing.
    pub fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::Relaxed)
    }

    /// Why the cut was given up, if it was.
    pub fn aborted(&self) -> Option<AbortReason> {
        self.state().aborted
    }

    /// Gives the cut up, unless it is finished; the first reason stays.
    pub fn abort(&self, reason: AbortReason) {
        self.give_up(reason, false);
    }

    fn give_up(&self, reason: AbortReason, even_if_finished: bool) {
        let mut state = self.state();
        if (even_if_finished || !state.finished) && state.aborted.is_none() {
            state.aborted = Some(reason);
            self.aborted.store(true, Ordering::Relaxed);
            drop(state);
            self.news.notify_all();
        }
    }

    /// Bytes that wait to be taken: those that the walk handed over, and pre-images.
    pub fn waiting_bytes(&self) -> (usize, usize) {
        (self.walked_bytes.load(Ordering::Relaxed), self.preimage_bytes.load(Ordering::Relaxed))
    }

    /// Gives a batch room, best such as was laid out before.
    pub(crate) fn furnish(&self, batch: &mut CutBatch) {
        batch.furnish(self.room(), Tally::new(&self.tally));
    }

    fn room(&self) -> Vec<u64> {
        let kept = self.rooms.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(room) = &kept {
            self.rooms_bytes.fetch_sub(bytes_of(room), Ordering::Relaxed);
        }
        kept.unwrap_or_else(|| Vec::with_capacity(ROOM_WORDS))
    }

    fn keep(&self, room: Vec<u64>) {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        if rooms.len() < self.rooms_max && room.capacity() <= ROOM_WORDS_MAX {
            self.rooms_bytes.fetch_add(bytes_of(&room), Ordering::Relaxed);
            rooms.push(room);
        }
    }

    /// Whether nothing waits to be taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting_bytes() == (0, 0)
    }

    pub(crate) fn push(&self, batch: CutBatch) {
        self.counter(&batch).fetch_add(batch.bytes(), Ordering::Relaxed);
        batch.count_footprint();
        let mut state = self.state();
        if state.aborted.is_some() {
            drop(state);
            self.counter(&batch).fetch_sub(batch.bytes(), Ordering::Relaxed);
            return;
        }
        state.queue(&batch).push_back(batch);
        drop(state);
        self.news.notify_one();
    }

    pub(crate) fn finish(&self) {
        self.state().finished = true;
        self.news.notify_all();
    }

    fn take(&self, mut state: MutexGuard<'_, State>) -> Option<CutBatch> {
        if state.aborted.is_none() {
            let heaviest = if self.is_pressed.load(Ordering::Relaxed) { state.take_heaviest() } else { None };
            let next = heaviest.or_else(|| state.preimages.pop_front());
            let batch = next.or_else(|| state.walked.pop_front())?;
            self.counter(&batch).fetch_sub(batch.bytes(), Ordering::Relaxed);
            return Some(batch);
        }
        let unwanted = [std::mem::take(&mut state.preimages), std::mem::take(&mut state.walked)];
        drop(state); // freeing may take long, and the keyspace must not wait for it
        for batch in unwanted.into_iter().flatten() {
            self.counter(&batch).fetch_sub(batch.bytes(), Ordering::Relaxed);
        }
        None
    }

    fn counter(&self, batch: &CutBatch) -> &AtomicUsize {
        if batch.is_preimage() { &self.preimage_bytes } else { &self.walked_bytes }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the queue whole: it only ever pushes or pops.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes_of(room: &Vec<u64>) -> usize {
    room.capacity() * size_of::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_laid_out_once_and_used_again() {
        let feed = CutFeed::new(3 * BATCH_BYTES);
        assert_eq!([feed.lay_out(), feed.lay_out(), feed.is_laid_out()], [false; 3]);
        assert!(feed.lay_out() && feed.is_laid_out());
        let laid_out: Vec<_> = std::iter::from_fn(|| Some(feed.room())).take(3).collect();
        let places: Vec<_> = laid_out.iter().map(|room| room.as_ptr()).collect();
        for room in laid_out {
            let mut batch = CutBatch::new(0, false);
            batch.furnish(room, Tally::new(&feed.tally));
            feed.give_back(batch);
        }
        feed.keep(Vec::with_capacity(1));
        let again: Vec<_> = std::iter::from_fn(|| Some(feed.room())).take(3).collect();
        assert!(
            again.iter().all(|room| room.is_empty() && places.contains(&room.as_ptr())),
            "no fourth is kept"
        );
        feed.keep(Vec::with_capacity(ROOM_WORDS_MAX + 1));
        assert!(feed.room().capacity() <= ROOM_WORDS_MAX, "unusual room is not kept");
    }
}
