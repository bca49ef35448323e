//! What writes a snapshot: it takes the batches of a cut, encodes them, and puts the finished file in its place.
//! Runs off the engine's thread, step by step; knows no engine.
//! Always: the target is replaced by a complete, synced file at one stroke, or not at all.

mod format;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tenon_base::{Disk, DiskFile, Job, Step, describe, forget_cached};
use tenon_keyspace::{AbortReason, CutFeed};

pub(crate) use self::format::{Format, SnapshotEncoder};
use crate::leftovers::create_temporary;
use crate::spill::Spill;

/// Written bytes after which they are synced, so that the last sync is short (`rdb-save-incremental-fsync`).
const SYNC_BYTES: u64 = 4 * 1024 * 1024;
/// How long the driver waits after a step that is starved, about.
const STARVED_US: i64 = 500;

/// Bytes of spilled pre-images that are taken into a snapshot at a time.
const PIECE_BYTES: usize = 256 * 1024;

/// Where a snapshot goes.
pub(crate) struct Destination {
    /// Written to.
    pub(crate) temporary: PathBuf,
    /// Renamed to, if it is to be renamed here.
    pub(crate) target: Option<PathBuf>,
}

/// What the engine may say to a snapshot that is being written, and what that says of itself.
#[derive(Default)]
pub(crate) struct SaveControl {
    /// `rdb-key-save-delay`: microseconds for each key, or keys for each microsecond if negative.
    key_delay_us: AtomicI64,
    /// At most so many bytes are written a second, about; 0 is no limit.
    bytes_per_second: AtomicU64,
    is_cancelled: AtomicBool,
    place: Mutex<Place>,
    written_keys: AtomicU64,
    written_bytes: AtomicU64,
}

/// Where a finished snapshot is.
#[derive(Default)]
struct Place {
    is_wanted: bool,
    file: Option<Arc<dyn DiskFile>>,
}

impl SaveControl {
    pub(crate) fn new(key_delay_us: i64) -> Arc<SaveControl> {
        Arc::new(SaveControl { key_delay_us: AtomicI64::new(key_delay_us), ..SaveControl::default() })
    }

    /// Another limit, from the next step on.
    pub(crate) fn set_bytes_per_second(&self, bytes: u64) {
        self.bytes_per_second.store(bytes, Ordering::Relaxed);
    }

    /// Keys and bytes that are in the file.
    pub(crate) fn written(&self) -> (u64, u64) {
        (self.written_keys.load(Ordering::Relaxed), self.written_bytes.load(Ordering::Relaxed))
    }

    /// Another delay, from the next step on. With none, what is owed is forgotten too.
    pub(crate) fn set_key_delay(&self, key_delay_us: i64) {
        self.key_delay_us.store(key_delay_us, Ordering::Relaxed);
    }

    /// Asks for the file itself, which can be read as it is whatever takes its name later.
    pub(crate) fn want_file(&self) {
        self.place().is_wanted = true;
    }

    /// The file, if it was asked for and the snapshot is complete.
    pub(crate) fn take_file(&self) -> Option<Arc<dyn DiskFile>> {
        self.place().file.take()
    }

    /// Waits until a snapshot that was given up cannot take its place any more.
    pub(crate) fn await_renaming(&self) {
        drop(self.place());
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        // A panic elsewhere leaves it whole: each change is one assignment.
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the snapshot up, also if all that it needs has been handed over.
    pub(crate) fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
    }
}

/// What a save came to: bytes written, or why not.
pub(crate) type SaveEnd = Result<u64, String>;

/// One snapshot being written.
pub(crate) struct SaveJob {
    feed: Arc<CutFeed>,
    destination: Destination,
    control: Arc<SaveControl>,
    spill: Arc<Spill>,
    owed_delay_us: i64,
    output: Output,
    state: State,
}

enum State {
    Begin(Format),
    Encoding(SnapshotEncoder),
    /// Everything is in the file but pre-images that were spilled, from this byte on.
    TakingSpilled(SnapshotEncoder, u64),
    Ended,
}

/// The file, and how much of it is not synced yet.
#[derive(Default)]
struct Output {
    file: Option<Arc<dyn DiskFile>>,
    written: u64,
    unsynced: u64,
    /// Bytes written ahead of what the limit allows.
    unpaid: u64,
    digest: crc64fast::Digest,
}

impl Output {
    fn write(&mut self, bytes: &[u8], feed: &CutFeed) -> io::Result<()> {
        if feed.is_aborted() {
            return Err(io::Error::other(abort_text(feed)));
        }
        let file = self.file.as_ref().expect("a save creates its file first");
        file.append(bytes)?;
        self.digest.write(bytes);
        self.written += bytes.len() as u64;
        self.unpaid += bytes.len() as u64;
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= SYNC_BYTES {
            self.unsynced = 0;
            file.sync()?;
        }
        Ok(())
    }
}

impl SaveJob {
    pub(crate) fn new(
        feed: Arc<CutFeed>,
        format: Format,
        destination: Destination,
        control: Arc<SaveControl>,
        spill: Arc<Spill>,
    ) -> SaveJob {
        SaveJob {
            feed,
            destination,
            control,
            spill,
            owed_delay_us: 0,
            output: Output::default(),
            state: State::Begin(format),
        }
    }

    /// CRC-64/XZ of what was written.
    pub(crate) fn checksum(&self) -> u64 {
        self.output.digest.sum64()
    }

    /// Nothing is to be written: where it was to go cannot be had.
    pub(crate) fn give_up(&self, disk: &dyn Disk) {
        self.feed.abort(AbortReason::Cancelled);
        self.spill.end(disk);
    }

    fn advance(&mut self, disk: &dyn Disk) -> io::Result<Option<Step>> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Begin(format) if !self.feed.lay_out() => {
                self.state = State::Begin(format);
                Ok(None)
            }
            State::Begin(format) => {
                let encoder = self.begin(format, disk)?;
                self.state = State::Encoding(encoder);
                Ok(None)
            }
            State::Encoding(encoder) => self.encode(encoder),
            State::TakingSpilled(encoder, from) => self.take_spilled(encoder, from, disk),
            State::Ended => unreachable!("a job that is done is not called again"),
        }
    }

    fn begin(&mut self, format: Format, disk: &dyn Disk) -> io::Result<SnapshotEncoder> {
        self.output.file = Some(create_temporary(disk, &self.destination.temporary)?);
        let (output, feed) = (&mut self.output, &self.feed);
        let mut sink = |bytes: &[u8]| output.write(bytes, feed);
        format.begin(feed.hurry(), &mut sink)
    }

    fn encode(&mut self, mut encoder: SnapshotEncoder) -> io::Result<Option<Step>> {
        let (output, feed) = (&mut self.output, &self.feed);
        if let Some(batch) = feed.pop() {
            encoder.batch(&batch, &mut |bytes| output.write(bytes, feed))?;
            let keys = batch.len();
            feed.give_back(batch);
            self.owe_delay(keys);
            self.note_written(keys as u64);
            self.state = State::Encoding(encoder);
            return Ok(None);
        }
        // In this order: what a busy job holds is not in the feed any more.
        if feed.is_finished() && !self.spill.is_busy() {
            self.state = State::TakingSpilled(encoder, 0);
            return Ok(None);
        }
        self.state = State::Encoding(encoder);
        self.starve()
    }

    fn take_spilled(
        &mut self,
        mut encoder: SnapshotEncoder,
        from: u64,
        disk: &dyn Disk,
    ) -> io::Result<Option<Step>> {
        if let Some(failure) = self.spill.failure() {
            return Err(io::Error::other(failure));
        }
        let (output, feed) = (&mut self.output, &self.feed);
        let mut sink = |bytes: &[u8]| output.write(bytes, feed);
        if let Some((file, bytes)) = self.spill.contents().filter(|(_, bytes)| from < *bytes) {
            let mut piece = vec![0; PIECE_BYTES.min(usize::try_from(bytes - from).unwrap_or(PIECE_BYTES))];
            let read = file.read_at(from, &mut piece)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            encoder.piece(&piece[..read], &mut sink)?;
            let from = from + read as u64;
            let keys = if from == bytes { self.spill.figures().1 } else { 0 };
            self.note_written(keys);
            self.state = State::TakingSpilled(encoder, from);
            return Ok(None);
        }
        encoder.finish(&mut sink)?;
        self.note_written(0);
        self.put_in_place(disk).map(Some)
    }

    /// Nothing to take: either the walk has not come that far, or the cut was given up.
    fn starve(&self) -> io::Result<Option<Step>> {
        if self.feed.is_aborted() {
            Err(io::Error::other(abort_text(&self.feed)))
        } else {
            Ok(Some(Step::Starved))
        }
    }

    fn note_written(&self, keys: u64) {
        self.control.written_keys.fetch_add(keys, Ordering::Relaxed);
        self.control.written_bytes.store(self.output.written, Ordering::Relaxed);
    }

    /// Whether it is to wait because it writes faster than it may.
    fn is_ahead(&mut self) -> bool {
        let limit = self.control.bytes_per_second.load(Ordering::Relaxed);
        if limit == 0 {
            self.output.unpaid = 0;
            return false;
        }
        let paid_at_once = (limit * STARVED_US as u64 / 1_000_000).max(1);
        let is_ahead = self.output.unpaid >= paid_at_once;
        if is_ahead {
            self.output.unpaid -= paid_at_once;
        }
        is_ahead
    }

    fn owe_delay(&mut self, keys: usize) {
        let keys = keys as i64;
        self.owed_delay_us += match self.control.key_delay_us.load(Ordering::Relaxed) {
            0 => 0,
            delay if delay > 0 => keys.saturating_mul(delay),
            delay => keys / delay.saturating_neg(),
        };
    }

    fn put_in_place(&mut self, disk: &dyn Disk) -> io::Result<Step> {
        let file = self.output.file.take().expect("a save creates its file first");
        put_in_place(file, &self.destination, &self.control, disk)?;
        let end: SaveEnd = Ok(self.output.written);
        Ok(Step::Done(Box::new(end)))
    }
}

/// Syncs a complete file, and gives it its name unless it was given up.
pub(crate) fn put_in_place(
    file: Arc<dyn DiskFile>,
    destination: &Destination,
    control: &SaveControl,
    disk: &dyn Disk,
) -> io::Result<()> {
    file.sync()?;
    if let Some(target) = &destination.target {
        forget_cached(disk, target);
    }
    // Held while the file takes its place: whoever gave the snapshot up may wait until that is over.
    let mut place = control.place();
    if control.is_cancelled.load(Ordering::Relaxed) {
        return Err(io::Error::other(AbortReason::Cancelled.to_string()));
    }
    if let Some(target) = &destination.target {
        disk.rename(&destination.temporary, target)?;
        disk.sync_directory(target.parent().unwrap_or(Path::new(".")))?;
    }
    if place.is_wanted {
        place.file = Some(file);
    }
    Ok(())
}

impl Job for SaveJob {
    fn step(&mut self, disk: &dyn Disk) -> Step {
        // Also where all that it needs was handed over before, and the feed has nothing left to give up.
        let is_given_up = self.control.is_cancelled.load(Ordering::Relaxed);
        if is_given_up {
            self.feed.abort(AbortReason::Cancelled);
        }
        if self.control.key_delay_us.load(Ordering::Relaxed) == 0 {
            self.owed_delay_us = 0;
        }
        if self.owed_delay_us >= STARVED_US && !is_given_up && !self.feed.is_aborted() {
            self.owed_delay_us -= STARVED_US;
            return Step::Starved;
        }
        if !is_given_up && !self.feed.is_aborted() && self.is_ahead() {
            return Step::Starved;
        }
        let advanced =
            if is_given_up { Err(io::Error::other(abort_text(&self.feed))) } else { self.advance(disk) };
        let step = match advanced {
            Ok(None) => Step::Again,
            Ok(Some(step)) => step,
            Err(error) => {
                self.feed.abort(AbortReason::Cancelled);
                // A file that cannot be removed costs room; the error to tell is the first one.
                let _ = disk.remove(&self.destination.temporary);
                let end: SaveEnd = Err(self.spill.failure().unwrap_or_else(|| describe(&error)));
                Step::Done(Box::new(end))
            }
        };
        if matches!(step, Step::Done(_)) {
            self.spill.end(disk);
        }
        step
    }
}

fn abort_text(feed: &CutFeed) -> String {
    feed.aborted().map_or_else(|| AbortReason::Cancelled.to_string(), |reason| reason.to_string())
}
