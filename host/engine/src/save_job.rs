//! What writes a snapshot: it takes the batches of a cut, encodes them, and puts the finished file in its place.
//! Runs off the engine's thread, step by step; knows no engine.
//! Always: the target is replaced by a complete, synced file at one stroke, or not at all.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use tenon_base::{Disk, DiskFile, Job, Step, describe};
use tenon_keyspace::{AbortReason, CutFeed};
use tenon_rdb::{Aux, DatabaseSize, Encoder, EncoderOptions};

use crate::command_base::CommandEncoder;

/// Written bytes after which they are synced, so that the last sync is short (`rdb-save-incremental-fsync`).
const SYNC_BYTES: u64 = 4 * 1024 * 1024;
/// How long the driver waits after a step that is starved, about.
const STARVED_US: i64 = 500;

/// What a snapshot becomes.
pub(crate) enum Format {
    /// An RDB file.
    Rdb { options: EncoderOptions, aux: Box<Aux>, sizes: Vec<DatabaseSize>, libraries: Vec<Arc<[u8]>> },
    /// Commands: the base of an append-only file with `aof-use-rdb-preamble no`.
    Commands(CommandEncoder, Vec<Arc<[u8]>>),
}

/// Where a snapshot goes.
pub(crate) struct Destination {
    /// Written to.
    pub(crate) temporary: PathBuf,
    /// Renamed to, if it is to be renamed here.
    pub(crate) target: Option<PathBuf>,
}

/// What the engine may say to a snapshot that is being written.
#[derive(Debug, Default)]
pub(crate) struct SaveControl {
    /// `rdb-key-save-delay`: microseconds for each key, or keys for each microsecond if negative.
    key_delay_us: AtomicI64,
    is_cancelled: AtomicBool,
}

impl SaveControl {
    pub(crate) fn new(key_delay_us: i64) -> Arc<SaveControl> {
        Arc::new(SaveControl {
            key_delay_us: AtomicI64::new(key_delay_us),
            is_cancelled: AtomicBool::new(false),
        })
    }

    /// Another delay, from the next step on. With none, what is owed is forgotten too.
    pub(crate) fn set_key_delay(&self, key_delay_us: i64) {
        self.key_delay_us.store(key_delay_us, Ordering::Relaxed);
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
    owed_delay_us: i64,
    output: Output,
    state: State,
}

enum State {
    Begin(Format),
    Rdb(Box<Encoder>),
    Commands(CommandEncoder),
    Ended,
}

/// The file, and how much of it is not synced yet.
#[derive(Default)]
struct Output {
    file: Option<Arc<dyn DiskFile>>,
    written: u64,
    unsynced: u64,
}

impl Output {
    fn write(&mut self, bytes: &[u8], feed: &CutFeed) -> io::Result<()> {
        if feed.is_aborted() {
            return Err(io::Error::other(abort_text(feed)));
        }
        let file = self.file.as_ref().expect("a save creates its file first");
        file.append(bytes)?;
        self.written += bytes.len() as u64;
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
    ) -> SaveJob {
        SaveJob {
            feed,
            destination,
            control,
            owed_delay_us: 0,
            output: Output::default(),
            state: State::Begin(format),
        }
    }

    fn advance(&mut self, disk: &dyn Disk) -> io::Result<Option<Step>> {
        let state = std::mem::replace(&mut self.state, State::Ended);
        self.state = match state {
            State::Begin(format) => self.begin(format, disk)?,
            State::Rdb(encoder) => return self.encode_rdb(encoder, disk),
            State::Commands(encoder) => return self.encode_commands(encoder, disk),
            State::Ended => unreachable!("a job that is done is not called again"),
        };
        Ok(None)
    }

    fn begin(&mut self, format: Format, disk: &dyn Disk) -> io::Result<State> {
        // A file of an earlier attempt may have bytes that a failed fsync gave up: it is made anew, not emptied.
        let _ = disk.remove(&self.destination.temporary);
        self.output.file = Some(disk.create(&self.destination.temporary)?);
        match format {
            Format::Commands(mut encoder, libraries) => {
                let (output, feed) = (&mut self.output, &self.feed);
                encoder.functions(&libraries, &mut |bytes| output.write(bytes, feed))?;
                Ok(State::Commands(encoder))
            }
            Format::Rdb { options, aux, sizes, libraries } => {
                let mut encoder = Encoder::new(options);
                let (output, feed) = (&mut self.output, &self.feed);
                let mut sink = |bytes: &[u8]| output.write(bytes, feed);
                encoder.begin(&aux, &sizes, &mut sink)?;
                encoder.functions(&libraries, &mut sink)?;
                Ok(State::Rdb(Box::new(encoder)))
            }
        }
    }

    fn encode_rdb(&mut self, mut encoder: Box<Encoder>, disk: &dyn Disk) -> io::Result<Option<Step>> {
        let (output, feed) = (&mut self.output, &self.feed);
        if let Some(batch) = feed.pop() {
            encoder.batch(&batch, &mut |bytes| output.write(bytes, feed))?;
            self.owe_delay(batch.len());
            self.state = State::Rdb(encoder);
            return Ok(None);
        }
        if !feed.is_finished() {
            self.state = State::Rdb(encoder);
            return self.starve();
        }
        encoder.finish(&mut |bytes| output.write(bytes, feed))?;
        self.put_in_place(disk).map(Some)
    }

    fn encode_commands(&mut self, mut encoder: CommandEncoder, disk: &dyn Disk) -> io::Result<Option<Step>> {
        let (output, feed) = (&mut self.output, &self.feed);
        if let Some(batch) = feed.pop() {
            encoder.batch(&batch, &mut |bytes| output.write(bytes, feed))?;
            self.owe_delay(batch.len());
            self.state = State::Commands(encoder);
            return Ok(None);
        }
        if !feed.is_finished() {
            self.state = State::Commands(encoder);
            return self.starve();
        }
        encoder.finish(&mut |bytes| output.write(bytes, feed))?;
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

    fn owe_delay(&mut self, keys: usize) {
        let keys = keys as i64;
        self.owed_delay_us += match self.control.key_delay_us.load(Ordering::Relaxed) {
            0 => 0,
            delay if delay > 0 => keys.saturating_mul(delay),
            delay => keys / delay.saturating_neg(),
        };
    }

    fn put_in_place(&mut self, disk: &dyn Disk) -> io::Result<Step> {
        let file = self.output.file.as_ref().expect("a save creates its file first");
        file.sync()?;
        if let Some(target) = &self.destination.target {
            disk.rename(&self.destination.temporary, target)?;
            disk.sync_directory(target.parent().unwrap_or(Path::new(".")))?;
        }
        let end: SaveEnd = Ok(self.output.written);
        Ok(Step::Done(Box::new(end)))
    }
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
        let advanced =
            if is_given_up { Err(io::Error::other(abort_text(&self.feed))) } else { self.advance(disk) };
        match advanced {
            Ok(None) => Step::Again,
            Ok(Some(step)) => step,
            Err(error) => {
                self.feed.abort(AbortReason::Cancelled);
                // A file that cannot be removed costs room; the error to tell is the first one.
                let _ = disk.remove(&self.destination.temporary);
                let end: SaveEnd = Err(describe(&error));
                Step::Done(Box::new(end))
            }
        }
    }
}

fn abort_text(feed: &CutFeed) -> String {
    feed.aborted().map_or_else(|| "the snapshot was given up".to_owned(), |reason| reason.to_string())
}
