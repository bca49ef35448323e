//! The way from the keyspace to whoever encodes a cut, usually on another thread.
//! Always: bytes waiting are counted when a batch is handed over, and given back when it is taken.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::batch::CutBatch;

/// Bytes at which a batch is handed over.
pub(crate) const BATCH_BYTES: usize = 64 * 1024;
/// Words of room for one batch: the last entry may reach beyond.
const ROOM_WORDS: usize = (BATCH_BYTES + 4 * 1024) / size_of::<u64>();
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
    aborted: AtomicBool,
    /// Room for batches, none of them in use, and how many are kept at most.
    rooms: Mutex<Vec<Vec<u64>>>,
    rooms_max: usize,
    is_laid_out: AtomicBool,
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

    fn queue(&mut self, batch: &CutBatch) -> &mut VecDeque<CutBatch> {
        if batch.is_preimage() { &mut self.preimages } else { &mut self.walked }
    }
}

impl CutFeed {
    /// A feed which keeps room for batches of so many bytes in all.
    pub(crate) fn new(rooms_bytes: usize) -> CutFeed {
        CutFeed { rooms_max: rooms_bytes / BATCH_BYTES, ..CutFeed::default() }
    }

    /// Lays out room for batches, on the encoder's thread. Memory that the system has not given yet is slow to touch
    /// first, milliseconds where it comes in huge pages, and the keyspace's thread must not wait for that.
    pub fn lay_out(&self) {
        for _ in 0..self.rooms_max {
            let mut room = Vec::with_capacity(ROOM_WORDS);
            room.resize(ROOM_WORDS, u64::MAX);
            room.clear();
            self.keep(room);
        }
        self.is_laid_out.store(true, Ordering::Relaxed);
    }

    /// Whether the encoder has laid out room: a walk that begins earlier has to find its own.
    pub fn is_laid_out(&self) -> bool {
        self.is_laid_out.load(Ordering::Relaxed)
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

    /// The next batch of pre-images, if one is waiting: for whoever takes them out of the way of an encoder that is
    /// slower than the changes.
    pub fn pop_preimages(&self) -> Option<CutBatch> {
        let mut state = self.state();
        let batch = if state.aborted.is_none() { state.preimages.pop_front() } else { None }?;
        self.counter(&batch).fetch_sub(batch.bytes(), Ordering::Relaxed);
        Some(batch)
    }

    /// The next batch; waits for it on this thread. None once the cut is finished and everything was taken, or it
    /// was aborted.
    pub fn pop_waiting(&self) -> Option<CutBatch> {
        let nothing_new = |state: &mut State| state.is_empty() && !state.finished && state.aborted.is_none();
        let state = self.news.wait_while(self.state(), nothing_new);
        self.take(state.unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether everything was handed over and taken.
    pub fn is_finished(&self) -> bool {
        let state = self.state();
        state.finished && state.is_empty()
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
        let mut state = self.state();
        if !state.finished && state.aborted.is_none() {
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

    /// Room for a batch, best such as was laid out before.
    pub(crate) fn room(&self) -> Vec<u64> {
        let kept = self.rooms.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.unwrap_or_else(|| Vec::with_capacity(ROOM_WORDS))
    }

    fn keep(&self, room: Vec<u64>) {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        if rooms.len() < self.rooms_max && room.capacity() <= ROOM_WORDS_MAX {
            rooms.push(room);
        }
    }

    /// Whether nothing waits to be taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting_bytes() == (0, 0)
    }

    pub(crate) fn push(&self, batch: CutBatch) {
        self.counter(&batch).fetch_add(batch.bytes(), Ordering::Relaxed);
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
            let batch = state.preimages.pop_front().or_else(|| state.walked.pop_front())?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_laid_out_once_and_used_again() {
        let feed = CutFeed::new(3 * BATCH_BYTES);
        feed.lay_out();
        let laid_out: Vec<_> = std::iter::from_fn(|| Some(feed.room())).take(3).collect();
        let places: Vec<_> = laid_out.iter().map(|room| room.as_ptr()).collect();
        for room in laid_out {
            let mut batch = CutBatch::new(0, false);
            batch.furnish(room);
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
