//! A write that is made beside an fsync. On some file systems a write waits for the lock that an fsync of the same file
//! holds (FUSE, NFS, btrfs), for as long as the disk takes. So the first write beside each fsync is a probe: it is made on
//! a thread of its own, and what comes meanwhile waits for it, one write at a time, while whoever reads is served. Once
//! one came back soon, the others beside that fsync are made at once: a thread that has to be woken first makes a write
//! slower where processors are busy. Where one was slow all the same, the lock is taken late, and for some fsyncs no
//! probe is believed.
//! Always: bytes reach a file in their order, and once: a write is in flight, or was made, or was called back before it
//! began.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tenon_base::{Disk, DiskFile, Job, Lane, Micros, Now, Step, describe};

use super::jobs::{JobEnd, JobId, LogJob};
use super::tail::Piece;
use super::{Log, Mark};

/// A write beside an fsync that takes so long has waited for it.
const SLOW_WRITE: Micros = Micros(20_000);

/// For so many fsyncs behind a slow write, which a probe did not tell, all are made aside.
const ASIDE_SYNCS: u8 = 8;

/// The write in flight.
pub(super) struct AsideWrite {
    id: JobId,
    began: Micros,
    to: Mark,
    /// The fsync that had begun by then: what this write takes tells whether others have to wait for it.
    probed: Option<JobId>,
    work: Arc<Work>,
}

impl AsideWrite {
    pub(super) fn id(&self) -> JobId {
        self.id
    }
}

/// Shared by the job and the log, which may want it done, or left, at once.
struct Work {
    file: Arc<dyn DiskFile>,
    state: Mutex<State>,
}

enum State {
    Waiting(Vec<Piece>),
    Done(Result<(), String>),
}

impl Work {
    /// Writes, if that was not done yet.
    fn carry_out(&self) -> Result<(), String> {
        let mut state = self.state();
        if let State::Waiting(pieces) = &*state {
            let written = pieces.iter().try_for_each(|piece| self.file.append(piece.bytes()));
            *state = State::Done(written.map_err(|error| describe(&error)));
        }
        match &*state {
            State::Done(result) => result.clone(),
            State::Waiting(_) => unreachable!("it was just done"),
        }
    }

    fn call_back(&self) {
        let mut state = self.state();
        if matches!(*state, State::Waiting(_)) {
            *state = State::Done(Err("called back".to_owned()));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic in the midst of a write leaves it waiting; made again, it would be damage that a load tells.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct WriteJob(Arc<Work>);

impl Job for WriteJob {
    fn is_urgent(&self) -> bool {
        true
    }

    fn step(&mut self, _disk: &dyn Disk) -> Step {
        Step::Done(Box::new(JobEnd::of_result(self.0.carry_out())))
    }
}

impl Log {
    /// Takes note of what a write beside an fsync took.
    pub fn note_write_beside_sync(&mut self, spent: Micros) {
        if spent >= SLOW_WRITE {
            self.aside_syncs = ASIDE_SYNCS;
        }
    }

    /// Whether the next write is to be made aside: an fsync is under way that it may have to wait for.
    pub(super) fn writes_aside(&self) -> bool {
        let may_wait = match &self.sync {
            Some(sync) => self.aside_syncs > 0 || !sync.lets_write,
            None => self.syncs_first_increment(),
        };
        may_wait && self.settings.writes_aside
    }

    /// The write that is owed, if it is to be made aside.
    pub(super) fn aside_job(&mut self, now: Now) -> Option<LogJob> {
        let to = self.write_end();
        let is_owed = to.bytes > self.written.bytes && self.failure.is_none();
        if !is_owed || self.aside.is_some() || !self.writes_aside() {
            return None;
        }
        let file = Arc::clone(&self.current.as_ref()?.file);
        let state = State::Waiting(self.tail.share(self.written.bytes, to.bytes));
        let work = Arc::new(Work { file, state: Mutex::new(state) });
        let id = self.next_job();
        let begun = self.sync.as_ref().filter(|sync| sync.has_begun.load(Ordering::Acquire));
        let probed = begun.map(|sync| sync.id);
        self.aside = Some(AsideWrite { id, began: now.steady, to, probed, work: Arc::clone(&work) });
        Some(LogJob { id, lane: Lane::Write, job: Box::new(WriteJob(work)) })
    }

    /// The write aside has ended.
    pub(super) fn aside_ended(&mut self, now: Now, result: Result<(), String>) {
        let Some(aside) = self.aside.take() else { return };
        let spent = now.steady.since(aside.began);
        if self.aside_syncs > 0 {
            self.note_write_beside_sync(spent);
        }
        if let Some(sync) = self.sync.as_mut().filter(|sync| aside.probed == Some(sync.id)) {
            sync.lets_write |= spent < SLOW_WRITE;
        }
        match result {
            Ok(()) => {
                self.written = aside.to;
                self.advance(self.appended.position, self.appended.offset);
                self.keep_less();
                self.flush(now);
            }
            Err(error) => self.fail(now, "write", error),
        }
    }

    /// Makes the write aside now, or waits until it is made: nothing may be written before that.
    pub(super) fn finish_aside(&mut self, now: Now) {
        if let Some(aside) = &self.aside {
            let result = aside.work.carry_out();
            self.aside_ended(now, result);
        }
    }

    /// Sees to it that nothing more of the write aside reaches the file, which is given up.
    pub(super) fn call_back_aside(&mut self) {
        if let Some(aside) = self.aside.take() {
            aside.work.call_back();
        }
    }
}
