//! A failing disk. What is not safe is written to a new increment, from the last safe place on, and synced there; then
//! the manifest names it; only then is the old file cut to its safe length.
//!
//! The new file's first line says which file it goes on from, and at which length: so loading is right whether or not
//! the cut was made, without batch headers too, and for batches that advance no replication offset.
//! Under `appendfsync no` records leave memory when they are written, so the old file is synced as well; if it was an
//! fsync that failed, what it should have covered may be lost, and only a rewrite makes the log whole: `Recovered` says so.
//! Always: tried again for ever, with a growing pause, and without trusting a later fsync of the old file for what memory
//! still holds: it may report success for bytes that are lost.

use std::sync::Arc;

use tenon_base::{DiskFile, Lane, Micros, Now};

use crate::batch_writer::{self, Frame};
use crate::log::jobs::{Action, Actions, JobEnd, JobId, LogJob};
use crate::log::{Generation, Increment, Log, LogEvent, Mark, Phase};
use crate::manifest::Manifest;
use crate::marker;

const PAUSE_MIN: Micros = Micros::from_millis(100);
const PAUSE_MAX: Micros = Micros::from_millis(1_000);

/// The disk fails since `since`.
pub(super) struct Failure {
    pub(super) since: Micros,
    pub(super) error: String,
    attempts: u32,
    pause: Micros,
    retry_at: Micros,
    attempt: Option<Attempt>,
    /// Whether everything that is not durable is still in memory, or at least was never refused by an fsync.
    whole: bool,
}

/// A new increment that is to take over.
pub(super) struct Attempt {
    job: Option<JobId>,
    name: String,
    sequence: i64,
    manifest: Manifest,
    /// Everything up to here is in it.
    covers: Mark,
    length: u64,
    /// The safe length of the file before it.
    old_length: u64,
    /// Written and synced; the manifest may or may not name it.
    file: Option<Arc<dyn DiskFile>>,
}

impl Failure {
    pub(super) fn job(&self) -> Option<JobId> {
        self.attempt.as_ref().and_then(|attempt| attempt.job)
    }

    /// Whether an attempt is under way, so that what it starts from must stay.
    pub(super) fn has_attempt(&self) -> bool {
        self.attempt.is_some()
    }

    /// When the next attempt is due; `None` while one runs.
    pub(super) fn wake_at(&self) -> Option<Micros> {
        self.job().is_none().then_some(self.retry_at)
    }
}

impl Log {
    /// The disk refused something. A log that was not on yet is given up; another begins to recover.
    pub(super) fn fail(&mut self, now: Now, what: &'static str, error: String) {
        if self.failure.is_some() {
            return;
        }
        self.call_back_aside();
        if self.phase == Phase::Waiting {
            self.rewrite_failed(format!("{what} of the new append-only file: {error}"));
            self.abandon_waiting();
            return;
        }
        self.events.push_back(LogEvent::Failed { what, error: error.clone() });
        self.failure = Some(Failure {
            since: now.steady,
            error: error.clone(),
            attempts: 0,
            pause: PAUSE_MIN,
            retry_at: now.steady,
            attempt: None,
            whole: what == "write" || self.kept.bytes <= self.synced.bytes,
        });
        self.fail_rewrite_before_switch(&error);
    }

    /// The next attempt, when it is due and nothing else is at the files.
    pub(super) fn recovery_job(&mut self, now: Now) -> Option<LogJob> {
        let failure = self.failure.as_ref()?;
        let waits = failure.job().is_some() || self.sync.is_some() || self.manifest_job.is_some();
        if waits || now.steady < failure.retry_at {
            return None;
        }
        let resumed = self.failure.as_mut().and_then(|failure| failure.attempt.take());
        let (mut attempt, mut actions) = match resumed {
            Some(attempt) => {
                let file = attempt.file.clone()?;
                (attempt, vec![Action::Adopt(file)])
            }
            None => self.new_attempt(now)?,
        };
        let old = Arc::clone(&self.current.as_ref()?.file);
        actions.push(Action::SyncDirectory);
        actions.push(Action::Persist(attempt.manifest.clone()));
        actions.push(Action::Cut(old, attempt.old_length));
        let id = self.next_job();
        attempt.job = Some(id);
        self.manifest_job = Some(id);
        self.failure.as_mut()?.attempt = Some(attempt);
        Some(LogJob { id, lane: Lane::Sync, job: Actions::job(&self.directory, actions) })
    }

    /// An attempt has ended.
    pub(super) fn recovery_ended(&mut self, now: Now, end: JobEnd) {
        let Some(failure) = self.failure.as_mut() else { return };
        let Some(mut attempt) = failure.attempt.take() else { return };
        attempt.job = None;
        // An attempt that is resumed has come as far as the manifest before.
        let touched_manifest = end.touched_manifest || attempt.file.is_some();
        match (end.result, end.file) {
            (Ok(()), Some(file)) => self.recovered(now, attempt, file, end.blemish),
            (result, file) => {
                failure.error = result.err().unwrap_or_else(|| "no file was made".to_owned());
                failure.attempts += 1;
                failure.retry_at = now.steady + failure.pause;
                failure.pause = Micros(failure.pause.0 * 2).min(PAUSE_MAX);
                let (attempts, error) = (failure.attempts, failure.error.clone());
                match file {
                    Some(file) if touched_manifest => {
                        failure.attempt = Some(Attempt { file: Some(file), ..attempt });
                    }
                    _ if touched_manifest => self.doubtful.push(attempt.name),
                    _ => self.litter.push(attempt.name),
                }
                if attempts.is_power_of_two() {
                    self.events.push_back(LogEvent::StillFailing { attempts, error });
                }
            }
        }
    }

    /// The log is switched off: of an attempt under way only its files still matter.
    pub(super) fn leave_recovery(&mut self) {
        let Some(attempt) = self.failure.take().and_then(|failure| failure.attempt) else { return };
        match attempt.job {
            Some(_) => self.leaving = Some(attempt),
            None => self.doubtful.push(attempt.name),
        }
    }

    /// Whether `id` is the attempt of a log that was switched off; if so, takes in what became of its files.
    pub(super) fn left_recovery_ended(&mut self, id: JobId, end: &JobEnd) -> bool {
        let Some(attempt) = self.leaving.take_if(|attempt| attempt.job == Some(id)) else { return false };
        match &end.result {
            Ok(()) => self.manifest = attempt.manifest,
            Err(_) => self.doubtful.push(attempt.name),
        }
        true
    }

    /// Puts together what a new increment must hold.
    fn new_attempt(&mut self, now: Now) -> Option<(Attempt, Vec<Action>)> {
        let current = self.current.clone()?;
        let old_length = current.length_at(self.kept.bytes);
        let mut beginning = marker::print(&current.name, old_length);
        let pieces = self.tail.share(self.kept.bytes, self.appended.bytes);
        match self.databases.front() {
            Some(&(_, db)) if !pieces.is_empty() => {
                let frame = Frame {
                    header: self.settings.checksum.then_some((now.unix(), &self.replication_id)),
                    timestamp: None,
                    select: false,
                    offset: self.kept.offset,
                    db,
                    unsynced_bytes: 0,
                };
                let mut select = Vec::new();
                batch_writer::write_select(&mut select, db);
                frame.write(&mut beginning, std::iter::once(select.as_slice()));
            }
            _ => self.select_next = true,
        }
        let mut manifest = self.manifest.clone();
        if let Some(spare) = &self.spare {
            manifest.increments.retain(|file| file.name != spare.name);
        }
        let name = manifest.add_increment(self.directory.file_name());
        // Whatever becomes of it, the name is not used again.
        self.manifest.increment_sequence = manifest.increment_sequence;
        let attempt = Attempt {
            job: None,
            sequence: manifest.increment_sequence,
            manifest,
            covers: self.appended,
            length: beginning.len() as u64 + self.appended.bytes - self.kept.bytes,
            old_length,
            file: None,
            name,
        };
        let mut actions = Vec::new();
        if self.synced.bytes < self.kept.bytes {
            actions.push(Action::SyncFile(Arc::clone(&current.file)));
        }
        actions.push(Action::Create(self.directory.file(&attempt.name)));
        actions.push(Action::Append(beginning));
        actions.extend(pieces.into_iter().map(Action::AppendPiece));
        actions.push(Action::Sync);
        Some((attempt, actions))
    }

    /// The new increment has taken over: everything in it is safe.
    fn recovered(&mut self, now: Now, attempt: Attempt, file: Arc<dyn DiskFile>, blemish: Option<String>) {
        let Some(failure) = self.failure.take() else { return };
        let Some(old) = self.current.take() else { return };
        if let Some(error) = blemish {
            self.events.push_back(LogEvent::NotCut { file: old.name, length: attempt.old_length, error });
        }
        self.manifest = attempt.manifest;
        self.litter.extend(self.spare.take().map(|spare| spare.name));
        self.litter.append(&mut self.doubtful);
        self.lengths.closed.push((old.sequence, attempt.old_length));
        let lasted = now.steady.since(failure.since);
        let (increment, whole) = (attempt.name.clone(), failure.whole);
        self.events.push_back(LogEvent::Recovered { increment, lasted, whole });
        self.current = Some(Increment {
            name: attempt.name,
            sequence: attempt.sequence,
            file,
            length: attempt.length,
            opened_at: attempt.covers.bytes,
        });
        (self.written, self.synced) = (attempt.covers, attempt.covers);
        self.dirt.covered = Generation::default();
        self.dirt.later = Generation::default();
        if self.appended.bytes > self.synced.bytes {
            self.dirt.later = Generation { oldest: Some(now.steady), commits: 1 };
        }
        self.keep_less();
        self.advance(self.appended.position, self.appended.offset);
        self.flush(now);
    }
}
