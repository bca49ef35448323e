//! The log at work: batches in, positions reached out.
//!
//! Loads nothing (see `load`), decides neither when to sync nor what a reply waits for. Writes on the caller's thread,
//! unless an fsync may be in the way; everything else on a disk is a job, whose end is told to `job_ended`.
//! Always: nothing is called synced that an fsync did not cover; what is not safe stays in memory; positions only
//! rise; and whatever is stopped wherever, the manifest on disk loads every record called durable, in order, once.

mod aside;
mod event;
mod jobs;
mod open;
mod recovery;
mod rewrite;
mod settings;
mod statistics;
mod tail;
mod upkeep;

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tenon_base::{DiskFile, Lane, Micros, Now, describe};
use tenon_journal::{BatchBytes, LogPosition, ReplicationId, ReplicationOffset};

use crate::batch_writer::{self, SELECT_BYTES_MAX, TIMESTAMP_BYTES_MAX};
use crate::directory::Directory;
use crate::header::HEADER_BYTES;
use crate::manifest::Manifest;

use aside::AsideWrite;
pub use event::LogEvent;
use jobs::{JobEnd, SyncJob};
pub use jobs::{JobId, LogJob};
use recovery::{Attempt, Failure};
use rewrite::{Rewrite, Switching};
pub use rewrite::{RewriteRefused, RewriteStage};
pub use settings::{Keep, Phase, Settings, Sizes, Start, SyncFacts};
use statistics::SyncStatistics;
use tail::Tail;
use upkeep::PlainPersist;

/// The append-only file of one engine.
pub struct Log {
    directory: Directory,
    settings: Settings,
    replication_id: ReplicationId,
    phase: Phase,
    /// As it is on disk, or should be.
    manifest: Manifest,
    current: Option<Increment>,
    /// An increment that the manifest names last and that holds nothing: left by a rewrite that was given up.
    spare: Option<Increment>,
    tail: Tail,
    appended: Mark,
    written: Mark,
    synced: Mark,
    /// What is kept in the tail starts here.
    kept: Mark,
    /// The databases in which kept batches start, each entry where that changed.
    databases: VecDeque<(u64, u32)>,
    /// The next batch is the first of a file: it must select its database.
    select_next: bool,
    timestamp_seconds: i64,
    dirt: Dirt,
    sync: Option<RunningSync>,
    aside: Option<AsideWrite>,
    /// Fsyncs beside which all writes are still to be made aside.
    aside_syncs: u8,
    failure: Option<Failure>,
    /// The attempt that was under way when the log was switched off.
    leaving: Option<Attempt>,
    switching: Option<Switching>,
    rewrite: Option<Rewrite>,
    /// The job that is about to replace the manifest: one at a time.
    manifest_job: Option<JobId>,
    plain_persist: PlainPersist,
    /// Its first base since it was switched on is in place; what lay there before is not all removed yet.
    is_replacing: bool,
    /// The running removal of history.
    removal: Option<(JobId, Vec<String>)>,
    /// Files that no manifest names any more, and those that the one on disk may name until it is replaced.
    litter: Vec<String>,
    doubtful: Vec<String>,
    lengths: Lengths,
    statistics: SyncStatistics,
    events: VecDeque<LogEvent>,
    last_job: u64,
    rewrites: u64,
}

/// A place in the log: behind a unit, and behind a byte.
#[derive(Clone, Copy, Debug)]
struct Mark {
    position: LogPosition,
    offset: ReplicationOffset,
    bytes: u64,
}

/// A file that is appended to.
#[derive(Clone)]
struct Increment {
    name: String,
    sequence: i64,
    file: Arc<dyn DiskFile>,
    /// Its length when the count of bytes stood at `opened_at`.
    length: u64,
    opened_at: u64,
}

impl Increment {
    fn length_at(&self, bytes: u64) -> u64 {
        self.length + bytes.saturating_sub(self.opened_at)
    }
}

/// The oldest of what is not synced: covered by the running fsync, and appended since.
#[derive(Debug, Default)]
struct Dirt {
    covered: Generation,
    later: Generation,
}

#[derive(Clone, Copy, Debug, Default)]
struct Generation {
    oldest: Option<Micros>,
    commits: u32,
}

struct RunningSync {
    id: JobId,
    began: Micros,
    covers: Mark,
    /// Set by the job right before it asks the disk.
    has_begun: Arc<AtomicBool>,
    /// A write that began behind that came back soon.
    lets_write: bool,
}

/// Lengths of the files that are not appended to any more.
#[derive(Debug, Default)]
struct Lengths {
    base: u64,
    /// By sequence number.
    closed: Vec<(i64, u64)>,
    after_rewrite: u64,
}

impl Log {
    /// Appends everything in `batch` for the log with one write, and remembers it until it is safe. A refused write
    /// is no error here: the log begins to recover, and `written` stays where it is.
    pub fn append(&mut self, now: Now, batch: &BatchBytes) {
        if self.phase == Phase::Off {
            return;
        }
        let overhead = HEADER_BYTES + SELECT_BYTES_MAX + TIMESTAMP_BYTES_MAX;
        let bytes_max: usize = batch.log_batches().map(|each| each.len() + overhead).sum();
        if bytes_max > 0 {
            self.encode(now, batch, bytes_max);
            let later = &mut self.dirt.later;
            later.oldest = later.oldest.or(Some(now.steady));
            later.commits = later.commits.saturating_add(1);
        }
        self.advance(batch.positions().end, batch.offsets().end);
        self.flush(now);
    }

    /// Units up to `position` are sealed, and those not appended have nothing for the log.
    pub fn advance(&mut self, position: LogPosition, offset: ReplicationOffset) {
        let quiet = self.failure.is_none();
        (self.appended.position, self.appended.offset) =
            (self.appended.position.max(position), self.appended.offset.max(offset));
        self.appended.bytes = self.tail.end();
        if quiet && self.written.bytes == self.appended.bytes {
            self.written = self.appended;
        }
        if quiet && self.synced.bytes == self.appended.bytes {
            self.synced = self.appended;
        }
    }

    /// Starts an fsync of everything written, unless one is running, nothing is unsynced, or the disk fails.
    pub fn start_sync(&mut self, now: Now) -> Option<LogJob> {
        if self.sync.is_some() || self.failure.is_some() || self.written.bytes <= self.synced.bytes {
            return None;
        }
        let file = Arc::clone(&self.current.as_ref()?.file);
        let has_begun = Arc::new(AtomicBool::new(false));
        let job = Box::new(SyncJob { file, has_begun: Arc::clone(&has_begun) });
        let id = self.next_job();
        let (began, covers) = (now.steady, self.written);
        self.sync = Some(RunningSync { id, began, covers, has_begun, lets_write: false });
        self.statistics.last_began = Some(now.steady);
        let Generation { oldest, commits } = std::mem::take(&mut self.dirt.later);
        let covered = &mut self.dirt.covered;
        covered.oldest = covered.oldest.or(oldest);
        covered.commits = covered.commits.saturating_add(commits);
        Some(LogJob { id, lane: Lane::Sync, job })
    }

    /// The next job that is owed, if any: call until `None`, after every settle.
    pub fn take_job(&mut self, now: Now) -> Option<LogJob> {
        if self.wants_sync()
            && let Some(job) = self.start_sync(now)
        {
            return Some(job);
        }
        self.aside_job(now)
            .or_else(|| self.recovery_job(now))
            .or_else(|| self.rewrite_job())
            .or_else(|| self.persist_job(now))
            .or_else(|| self.removal_job())
    }

    /// A job has ended; `result` is what came with its completion. An unknown job's end is ignored: it belongs to a
    /// log that was switched off meanwhile.
    pub fn job_ended(&mut self, now: Now, id: JobId, result: Box<dyn Any + Send>) {
        let end = match result.downcast::<JobEnd>() {
            Ok(end) => *end,
            Err(other) => {
                let text =
                    other.downcast_ref::<String>().map_or("the job ended without a result", |text| text);
                let failed = JobEnd::of(Err(std::io::Error::other(text.to_owned())));
                JobEnd { touched_manifest: true, renamed: true, ..failed }
            }
        };
        if self.manifest_job == Some(id) {
            self.manifest_job = None;
        }
        if self.left_recovery_ended(id, &end) {
            return;
        }
        if self.sync.as_ref().is_some_and(|sync| sync.id == id) {
            self.sync_ended(now, end.result);
        } else if self.aside.as_ref().is_some_and(|aside| aside.id() == id) {
            self.aside_ended(now, end.result);
        } else if self.failure.as_ref().is_some_and(|failure| failure.job() == Some(id)) {
            self.recovery_ended(now, end);
        } else if self.rewrite.as_ref().is_some_and(|rewrite| rewrite.job() == Some(id)) {
            self.rewrite_job_ended(now, end);
        } else if self.plain_persist.running == Some(id) {
            self.persist_ended(now, end.result);
        } else if self.removal.as_ref().is_some_and(|(job, _)| *job == id) {
            self.removal_ended();
        }
        self.is_replacing &= self.is_clearing();
    }

    /// Everything that happened since the last call, for the server's log and INFO.
    pub fn take_event(&mut self) -> Option<LogEvent> {
        self.events.pop_front()
    }

    /// When to call `take_job` if nothing else happens.
    pub fn wake_at(&self) -> Option<Micros> {
        if self.manifest_job.is_some() {
            return None; // its end is the next thing to happen
        }
        match &self.failure {
            Some(failure) => failure.wake_at().filter(|_| self.sync.is_none()),
            None => self.plain_persist.wanted.then_some(self.plain_persist.retry_at),
        }
    }

    /// Whether an fsync is under way.
    pub fn is_syncing(&self) -> bool {
        self.sync.is_some()
    }

    /// Whether a restart would load what is appended.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Behind the last unit whose bytes the operating system holds.
    pub fn written(&self) -> LogPosition {
        self.written.position
    }

    /// Behind the last unit that an fsync covered.
    pub fn synced(&self) -> LogPosition {
        self.synced.position
    }

    /// The replication offset at `synced`, for WAITAOF and REPLCONF ACK.
    pub fn synced_offset(&self) -> ReplicationOffset {
        self.synced.offset
    }

    /// Whether so much waits in memory that no write may be executed.
    pub fn is_full(&self) -> bool {
        self.phase != Phase::Off && self.pending_bytes() >= self.settings.pending_bytes_max
    }

    /// Bytes that are not safe yet, and so are kept in memory.
    pub fn pending_bytes(&self) -> u64 {
        self.appended.bytes - self.kept.bytes
    }

    /// Since when the disk fails, and its last answer.
    pub fn failing(&self) -> Option<(Micros, &str)> {
        self.failure.as_ref().map(|failure| (failure.since, failure.error.as_str()))
    }

    /// What an fsync policy wants to know. The log is dirty if `unsynced_bytes` is not 0.
    pub fn facts(&self, now: Now) -> SyncFacts {
        let (covered, later) = (self.dirt.covered, self.dirt.later);
        let oldest = covered.oldest.or(later.oldest);
        SyncFacts {
            unsynced_bytes: self.appended.bytes - self.synced.bytes,
            unsynced_commits: covered.commits.saturating_add(later.commits),
            oldest_unsynced_us: oldest.map_or(0, |oldest| now.steady.since(oldest).0),
            running_us: self.sync.as_ref().map(|sync| now.steady.since(sync.began).0),
            since_us: self.statistics.last_began.map(|began| now.steady.since(began).0),
            last_us: self.statistics.last_us,
            mean_us: self.statistics.mean_us(),
            worst_us: self.statistics.worst_us(now.steady),
            last_succeeded: self.statistics.last_succeeded,
            ended: self.statistics.count(),
            staleness_us: self.statistics.staleness_us(now.steady),
        }
    }

    /// Lengths for INFO.
    pub fn sizes(&self) -> Sizes {
        if self.phase == Phase::Off {
            return Sizes::default();
        }
        let current = self.current_bytes();
        let base_is_rdb = self.manifest.base.as_ref().is_some_and(|base| base.name.ends_with(".rdb"));
        let loaded = if base_is_rdb { self.lengths.base } else { 0 };
        Sizes { current, base: self.lengths.after_rewrite, replayed: current.saturating_sub(loaded) }
    }

    /// The settings; see `change_settings`.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Changes how the log is kept from now on.
    pub fn change_settings(&mut self, now: Now, settings: Settings) {
        self.settings = settings;
        self.keep_less();
        self.flush(now);
    }

    /// Offsets in later batches belong to this id.
    pub fn set_replication_id(&mut self, replication_id: ReplicationId) {
        self.replication_id = replication_id;
    }

    /// The files that make up the log.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Writes and syncs everything at once, on this thread: for the end of the process. Waits for no job.
    ///
    /// # Errors
    /// What the disk said; the log is failing then.
    pub fn sync_now(&mut self, now: Now) -> Result<(), String> {
        self.finish_aside(now);
        self.flush_here(now);
        if self.switching.is_some() {
            // Everything up to the switch must be durable before anything behind it is written.
            self.sync_inline(now)?;
            self.flush_here(now);
        }
        self.sync_inline(now)
    }

    /// Switches the log off: syncs what it has, then forgets its file. A rewrite is given up.
    pub fn stop(&mut self, now: Now) -> Result<(), String> {
        let synced = if self.phase == Phase::On { self.sync_now(now) } else { Ok(()) };
        self.give_up_rewrite(now);
        self.forget_current();
        synced
    }

    /// Of a log that is off again the base stays alone: what was written behind it is let go, as if the log had never
    /// been switched on but for its rewrite.
    pub fn keep_base_alone(&mut self) {
        if self.phase == Phase::Off && self.manifest.base.is_some() && !self.manifest.increments.is_empty() {
            self.manifest.retire_increments(i64::MAX);
            (self.plain_persist.wanted, self.plain_persist.comes_first) = (true, true);
        }
    }

    /// What was read from the disk is what the next rewrite goes on from: of a log that is off, with nothing under way.
    pub fn take_manifest(&mut self, manifest: Manifest) {
        let is_idle = self.rewrite.is_none() && self.manifest_job.is_none() && self.removal.is_none();
        if self.phase == Phase::Off && is_idle && !self.is_clearing() {
            self.manifest = manifest;
        }
    }

    /// Encodes what the log gets of `batch` at the tail's end.
    fn encode(&mut self, now: Now, batch: &BatchBytes, bytes_max: usize) {
        let mut begins = self.tail.end();
        let (databases, select_next) = (&mut self.databases, &mut self.select_next);
        let synced = self.synced.bytes;
        let (settings, id, seconds) = (&self.settings, &self.replication_id, &mut self.timestamp_seconds);
        self.tail.append(bytes_max, |out| {
            for each in batch.log_batches() {
                let before = out.len();
                if databases.back().is_none_or(|&(_, db)| db != each.db()) {
                    databases.push_back((begins, each.db()));
                }
                let timestamp = settings.timestamps && *seconds < now.unix().seconds();
                if timestamp {
                    *seconds = now.unix().seconds();
                }
                let frame = batch_writer::Frame {
                    header: settings.checksum.then_some((now.unix(), id)),
                    timestamp: timestamp.then_some(*seconds),
                    select: std::mem::take(select_next),
                    offset: each.end_offset(),
                    db: each.db(),
                    unsynced_bytes: begins.saturating_sub(synced),
                };
                frame.write(out, each.pieces());
                begins += (out.len() - before) as u64;
            }
        });
    }

    /// Writes what was appended and not written yet, unless that is to be made aside.
    fn flush(&mut self, now: Now) {
        if self.aside.is_none() && !self.writes_aside() {
            self.flush_here(now);
        }
    }

    /// Writes what was appended and not written yet; nothing while the disk fails, and only up to a switch.
    fn flush_here(&mut self, now: Now) {
        let Some(current) = self.current.as_ref().filter(|_| self.failure.is_none()) else { return };
        let to = self.write_end();
        if to.bytes <= self.written.bytes {
            return;
        }
        let mut pieces = self.tail.pieces(self.written.bytes, to.bytes);
        let written = pieces.try_for_each(|piece| current.file.append(piece));
        drop(pieces);
        if let Err(error) = written {
            return self.fail(now, "write", describe(&error));
        }
        self.written = to;
        self.keep_less();
    }

    /// Behind what may be written by now: nothing behind a switch.
    fn write_end(&self) -> Mark {
        self.switching.as_ref().map_or(self.appended, |switching| switching.at)
    }

    /// Lets go of what is safe.
    fn keep_less(&mut self) {
        let safe = match self.settings.keep {
            Keep::UntilSynced => self.synced,
            Keep::UntilWritten => self.written,
        };
        if self.failure.as_ref().is_some_and(Failure::has_attempt) || safe.bytes < self.kept.bytes {
            return;
        }
        self.kept = safe;
        self.tail.release(safe.bytes);
        while self.databases.get(1).is_some_and(|&(from, _)| from <= safe.bytes) {
            self.databases.pop_front();
        }
    }

    fn sync_ended(&mut self, now: Now, result: Result<(), String>) {
        let Some(sync) = self.sync.take() else { return };
        self.aside_syncs = self.aside_syncs.saturating_sub(1);
        self.statistics.ended(sync.began, now.steady, result.is_ok());
        match result {
            Ok(()) => self.synced_to(now, sync.covers, sync.began),
            Err(error) => return self.fail(now, "fsync", error),
        }
        self.flush(now);
    }

    /// An fsync that began at `began` covered everything up to `mark`.
    fn synced_to(&mut self, now: Now, mark: Mark, began: Micros) {
        if mark.bytes >= self.synced.bytes {
            self.synced = mark;
        }
        if let Some(oldest) = self.dirt.covered.oldest {
            self.statistics.covered(oldest, now.steady);
        }
        self.dirt.covered = Generation::default();
        if self.appended.bytes > self.synced.bytes {
            self.dirt.later.oldest = self.dirt.later.oldest.or(Some(began));
        } else {
            self.dirt.later = Generation::default();
        }
        self.keep_less();
        self.presynced();
        self.advance(self.appended.position, self.appended.offset);
        self.complete_switch(now);
    }

    /// Syncs what the current file holds on this thread.
    fn sync_inline(&mut self, now: Now) -> Result<(), String> {
        if let Some(failure) = &self.failure {
            return Err(failure.error.clone());
        }
        let Some(current) = &self.current else { return Ok(()) };
        if let Err(error) = current.file.sync() {
            self.fail(now, "fsync", describe(&error));
            return Err(describe(&error));
        }
        self.synced_to(now, self.written, now.steady);
        self.failing().map_or(Ok(()), |(_, error)| Err(error.to_owned()))
    }

    /// Whether the log itself needs an fsync now, whatever a policy says.
    fn wants_sync(&self) -> bool {
        self.switching.is_some() || self.rewrite.as_ref().is_some_and(Rewrite::wants_sync)
    }

    /// The log has no file any more.
    fn forget_current(&mut self) {
        (self.phase, self.current) = (Phase::Off, None);
        (self.spare, self.switching) = (None, None);
        self.sync = None;
        self.call_back_aside();
        self.leave_recovery();
        self.dirt = Dirt::default();
        self.written = self.appended;
        self.synced = self.appended;
        self.kept = self.appended;
        self.tail.release(self.appended.bytes);
        self.databases.clear();
        self.lengths = Lengths::default();
    }

    /// Base and increments, as far as written.
    fn current_bytes(&self) -> u64 {
        let closed: u64 = self.lengths.closed.iter().map(|(_, length)| length).sum();
        let current = self.current.as_ref().map_or(0, |current| current.length_at(self.written.bytes));
        self.lengths.base + closed + current
    }

    fn next_job(&mut self) -> JobId {
        self.last_job += 1;
        JobId(self.last_job)
    }
}

#[cfg(test)]
mod tests;
