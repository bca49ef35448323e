//! What memory has no room for: where what writes a snapshot is slower than the changes, a job of its own encodes
//! pre-images, and images of large values that hold much of what was changed since, into a temporary file, and the snapshot takes them from there once everything else is in it.
//! Always: while a job is busy the file is not read, and what it took from the cut is in the file or the cut is given
//! up.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tenon_aof::CommandBase;
use tenon_base::{Disk, DiskFile, Job, Step, UnixMillis, describe};
use tenon_keyspace::{AbortReason, CutBatch, CutFeed};
use tenon_rdb::{Encoder, EncoderOptions};

use crate::command_base::CommandEncoder;
use crate::leftovers::create_temporary;

/// What was spilled: bytes, or why a snapshot had to be given up for it.
pub(crate) type SpillEnd = Result<u64, String>;

/// How what is spilled is encoded, so that the snapshot can take it in as it is.
#[derive(Clone)]
pub(crate) enum PieceFormat {
    Rdb(EncoderOptions),
    Commands(CommandBase, UnixMillis),
}

impl PieceFormat {
    /// An encoder that has encoded nothing.
    pub(crate) fn encoder(&self, hurry: &Arc<AtomicBool>) -> PieceEncoder {
        match self {
            // Checksums are the whole file's, which takes the piece in.
            PieceFormat::Rdb(options) => {
                let encoder = Encoder::new(EncoderOptions { checksum: false, ..*options });
                PieceEncoder::Rdb(Box::new(encoder.hurried_by(hurry)))
            }
            PieceFormat::Commands(base, unix) => {
                PieceEncoder::Commands(CommandEncoder::new(base.clone(), *unix))
            }
        }
    }
}

/// Encodes what is spilled.
pub(crate) enum PieceEncoder {
    Rdb(Box<Encoder>),
    Commands(CommandEncoder),
}

impl PieceEncoder {
    fn batch(&mut self, batch: &CutBatch, sink: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        match self {
            PieceEncoder::Rdb(encoder) => encoder.batch(batch, sink),
            PieceEncoder::Commands(encoder) => encoder.batch(batch, sink),
        }
    }

    fn finish_piece(&mut self, sink: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        match self {
            PieceEncoder::Rdb(encoder) => encoder.finish_piece(sink),
            PieceEncoder::Commands(encoder) => encoder.finish_piece(sink),
        }
    }
}

/// The pre-images of one cut that were spilled.
pub(crate) struct Spill {
    path: PathBuf,
    state: Mutex<SpillState>,
}

#[derive(Default)]
struct SpillState {
    /// A job takes pre-images, or was asked to. Nothing else of the state changes meanwhile but `is_unwanted`.
    is_busy: bool,
    /// The snapshot has ended.
    is_unwanted: bool,
    /// No file can be had: from now on the bound of memory is all there is.
    has_no_file: bool,
    file: Option<Arc<dyn DiskFile>>,
    bytes: u64,
    keys: u64,
    failure: Option<String>,
}

impl Spill {
    /// Nothing was spilled yet; if something is, it is to `path`.
    pub(crate) fn new(path: PathBuf) -> Arc<Spill> {
        Arc::new(Spill { path, state: Mutex::default() })
    }

    /// Where it is spilled to.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A job is to be started, and says so to everybody. False where one is at work or none would be of use.
    pub(crate) fn begin(&self) -> bool {
        let mut state = self.state();
        let may_begin = !state.is_busy && !state.is_unwanted && !state.has_no_file;
        state.is_busy |= may_begin;
        may_begin
    }

    /// Whether a job is at work.
    pub(crate) fn is_busy(&self) -> bool {
        self.state().is_busy
    }

    /// What is in the file, which is whole: the file and its bytes.
    pub(crate) fn contents(&self) -> Option<(Arc<dyn DiskFile>, u64)> {
        let state = self.state();
        Some((Arc::clone(state.file.as_ref()?), state.bytes))
    }

    /// Bytes and keys spilled so far.
    pub(crate) fn figures(&self) -> (u64, u64) {
        let state = self.state();
        (state.bytes, state.keys)
    }

    /// Why the snapshot cannot be completed, if pre-images were lost.
    pub(crate) fn failure(&self) -> Option<String> {
        self.state().failure.clone()
    }

    /// The snapshot has ended: the file goes, now or with the job that is at work.
    pub(crate) fn end(&self, disk: &dyn Disk) {
        self.state().is_unwanted = true;
        self.remove_unwanted(disk);
    }

    /// The disk is never asked for anything under the lock, for which the engine may wait.
    fn remove_unwanted(&self, disk: &dyn Disk) {
        let mut state = self.state();
        let file = if state.is_unwanted && !state.is_busy { state.file.take() } else { None };
        drop(state);
        if file.is_some() {
            // A file that cannot be removed costs room, and nobody reads it.
            let _ = disk.remove(&self.path);
        }
    }

    /// The file, made by the first job.
    fn open(&self, disk: &dyn Disk) -> io::Result<Arc<dyn DiskFile>> {
        if let Some((file, _)) = self.contents() {
            return Ok(file);
        }
        let file = create_temporary(disk, &self.path)?;
        self.state().file = Some(Arc::clone(&file));
        Ok(file)
    }

    fn state(&self) -> MutexGuard<'_, SpillState> {
        // A panic elsewhere leaves the state as true as it was.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes what presses out of the way until little enough does.
pub(crate) struct SpillJob {
    feed: Arc<CutFeed>,
    spill: Arc<Spill>,
    encoder: PieceEncoder,
    /// It ends when no more than so many bytes press.
    enough_bytes: usize,
    file: Option<Arc<dyn DiskFile>>,
    bytes: u64,
    keys: u64,
    has_ended: bool,
}

impl SpillJob {
    /// To be started after [`Spill::begin`] allowed it.
    pub(crate) fn new(
        feed: Arc<CutFeed>,
        spill: Arc<Spill>,
        encoder: PieceEncoder,
        enough_bytes: usize,
    ) -> SpillJob {
        SpillJob { feed, spill, encoder, enough_bytes, file: None, bytes: 0, keys: 0, has_ended: false }
    }

    /// True if there may be more to take.
    fn advance(&mut self, file: &dyn DiskFile) -> io::Result<bool> {
        let written = &mut self.bytes;
        let mut sink = |bytes: &[u8]| {
            *written += bytes.len() as u64;
            file.append(bytes)
        };
        let is_enough = self.feed.pressure_bytes() <= self.enough_bytes;
        if !is_enough && let Some(batch) = self.feed.pop_pressing() {
            self.encoder.batch(&batch, &mut sink)?;
            self.keys += batch.len() as u64;
            self.feed.give_back(batch);
            return Ok(true);
        }
        self.encoder.finish_piece(&mut sink)?;
        Ok(false)
    }

    /// Nobody may wait for this job from here on.
    fn end(&mut self, end: &SpillEnd) {
        if std::mem::replace(&mut self.has_ended, true) {
            return;
        }
        let mut state = self.spill.state();
        state.is_busy = false;
        match end {
            Ok(bytes) => {
                state.bytes += bytes;
                state.keys += self.keys;
            }
            Err(sentence) => {
                state.failure = Some(sentence.clone());
                drop(state);
                self.feed.abort(AbortReason::Cancelled);
            }
        }
    }
}

impl Drop for SpillJob {
    fn drop(&mut self) {
        // It has ended, unless it panicked.
        self.end(&Err("putting changed data aside ended in the middle".to_owned()));
    }
}

impl Job for SpillJob {
    fn is_urgent(&self) -> bool {
        true
    }

    fn step(&mut self, disk: &dyn Disk) -> Step {
        let opened = self.file.take().map_or_else(|| self.spill.open(disk), Ok);
        let end = match opened {
            Ok(file) => match self.advance(&*file) {
                Ok(true) => {
                    self.file = Some(file);
                    return Step::Again;
                }
                Ok(false) => Ok(self.bytes),
                Err(error) => Err(format!(
                    "changed data that memory has no room for ('snapshot-memory-max') could not be put into {}: {}",
                    self.spill.path.display(),
                    describe(&error)
                )),
            },
            Err(error) => {
                // Nothing was taken yet, so nothing is lost.
                tracing::warn!(
                    "Changed data cannot be put aside into {} while a snapshot is written ({}): if more changes than \
                     'snapshot-memory-max' allows, the snapshot is given up",
                    self.spill.path.display(),
                    describe(&error)
                );
                self.spill.state().has_no_file = true;
                Ok(0)
            }
        };
        self.end(&end);
        self.spill.remove_unwanted(disk);
        Step::Done(Box::new(end))
    }
}

#[cfg(test)]
mod tests;
