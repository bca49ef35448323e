//! Rewriting: a new base takes the place of everything before a cut.
//!
//! In order: the next increment is made and named (`Preparing`); the engine cuts and `switch_increment` (`Ready` to
//! `Writing`); it writes the base into `rewrite_path` and syncs it; `finish_rewrite` puts it in place (`Finishing`).
//! A log that is switched on goes the same way, but its increment is named together with its base.
//! Always: nothing is written behind the switch before everything up to it is synced, so that no crash leaves a gap;
//! whatever manifest is on disk names files that load everything.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use tenon_base::{Lane, Now};
use tenon_journal::{LogPosition, ReplicationOffset};

use crate::log::jobs::{Action, Actions, JobEnd, JobId, LogJob};
use crate::log::{Increment, Lengths, Log, LogEvent, Mark, Phase};
use crate::manifest::{Manifest, ManifestFile};

/// How far a rewrite has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RewriteStage {
    /// The next increment is being made.
    Preparing,
    /// Waits for the engine's cut and `Log::switch_increment`.
    Ready,
    /// Waits for the base and `Log::finish_rewrite`.
    Writing,
    /// The base is being put in place.
    Finishing,
}

/// Why no rewrite can begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RewriteRefused {
    /// One is running.
    Running,
    /// The disk fails.
    Failing,
}

impl fmt::Display for RewriteRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RewriteRefused::Running => "a rewrite is running",
            RewriteRefused::Failing => "the append-only file is failing",
        })
    }
}

/// A rewrite under way.
pub(super) struct Rewrite {
    step: RewriteStep,
    job: Option<JobId>,
    /// The manifest that the running job persists.
    candidate: Option<Manifest>,
    /// Given up while its first job ran.
    given_up: bool,
    /// Made, and not switched to yet.
    next: Option<Increment>,
    /// Increments from here on stay.
    first_kept: i64,
    temporary: String,
    base_is_rdb: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RewriteStep {
    Prepare,
    /// One fsync before the cut keeps the one behind it short.
    Presync,
    Ready,
    Write,
    Finish {
        base_bytes: u64,
    },
}

/// Records from `at` on belong into `next`, once everything before is synced.
pub(super) struct Switching {
    pub(super) next: Increment,
    pub(super) at: Mark,
}

impl Rewrite {
    pub(super) fn job(&self) -> Option<JobId> {
        self.job
    }

    pub(super) fn wants_sync(&self) -> bool {
        self.step == RewriteStep::Presync
    }
}

impl Log {
    /// Begins a rewrite, or, where the log is off, switches it on. `take_job` has the first job.
    pub fn begin_rewrite(&mut self) -> Result<(), RewriteRefused> {
        if self.rewrite.is_some() || self.phase == Phase::Waiting {
            return Err(RewriteRefused::Running);
        }
        if self.failure.is_some() {
            return Err(RewriteRefused::Failing);
        }
        self.rewrites += 1;
        self.rewrite = Some(Rewrite {
            step: RewriteStep::Prepare,
            job: None,
            candidate: None,
            given_up: false,
            next: None,
            first_kept: 0,
            temporary: self.directory.temporary_base(self.rewrites),
            base_is_rdb: self.settings.base_is_rdb,
        });
        if let Some(spare) = self.spare.take() {
            self.prepared(spare);
        }
        Ok(())
    }

    /// How far the rewrite has come; `None` if there is none.
    pub fn rewrite_stage(&self) -> Option<RewriteStage> {
        self.rewrite.as_ref().map(|rewrite| match rewrite.step {
            RewriteStep::Prepare | RewriteStep::Presync => RewriteStage::Preparing,
            RewriteStep::Ready => RewriteStage::Ready,
            RewriteStep::Write => RewriteStage::Writing,
            RewriteStep::Finish { .. } => RewriteStage::Finishing,
        })
    }

    /// Where the new base is to be written.
    pub fn rewrite_path(&self) -> Option<PathBuf> {
        self.rewrite.as_ref().map(|rewrite| self.directory.file(&rewrite.temporary))
    }

    /// Whether the new base is to be an RDB file, as settings were when the rewrite began.
    pub fn rewrite_is_rdb(&self) -> bool {
        self.rewrite.as_ref().is_some_and(|rewrite| rewrite.base_is_rdb)
    }

    /// At the cut, stage `Ready`: what is appended from now on goes into the new increment, which selects its database
    /// by itself. Everything sealed before the cut must have been appended. `position` and `offset` are the journal's.
    pub fn switch_increment(&mut self, now: Now, position: LogPosition, offset: ReplicationOffset) {
        let Some(rewrite) = self.rewrite.as_mut().filter(|rewrite| rewrite.step == RewriteStep::Ready) else {
            return;
        };
        let Some(mut next) = rewrite.next.take() else { return };
        rewrite.step = RewriteStep::Write;
        rewrite.first_kept = next.sequence;
        (self.select_next, next.opened_at) = (true, self.tail.end());
        self.advance(position, offset);
        if self.phase == Phase::Off {
            let mark = Mark { position, offset, bytes: self.tail.end() };
            (self.appended, self.written, self.synced, self.kept) = (mark, mark, mark, mark);
            (self.phase, self.current, self.lengths) = (Phase::Waiting, Some(next), Lengths::default());
            return;
        }
        self.switching = Some(Switching { next, at: self.appended });
        self.complete_switch(now);
    }

    /// Stage `Writing`: the base lies complete and synced at `rewrite_path`. `take_job` has the job that puts it in
    /// place.
    pub fn finish_rewrite(&mut self, base_bytes: u64) {
        if let Some(rewrite) = self.rewrite.as_mut().filter(|rewrite| rewrite.step == RewriteStep::Write) {
            rewrite.step = RewriteStep::Finish { base_bytes };
        }
    }

    /// Gives the rewrite up; the log goes on as it was, and one that was being switched on is off. `false` if there is
    /// none, or it is too late.
    pub fn abort_rewrite(&mut self, now: Now) -> bool {
        let too_late = |rewrite: &Rewrite| {
            rewrite.given_up || (rewrite.job.is_some() && rewrite.step != RewriteStep::Prepare)
        };
        if self.rewrite.as_ref().is_none_or(too_late) {
            return false;
        }
        self.give_up_rewrite(now);
        true
    }

    /// Drops the rewrite, as far as no job is at it.
    pub(super) fn give_up_rewrite(&mut self, _now: Now) {
        let waiting = self.phase == Phase::Waiting;
        let Some(mut rewrite) = self.rewrite.take() else { return };
        match rewrite.job {
            Some(_) if rewrite.step == RewriteStep::Prepare => {
                rewrite.given_up = true;
                self.rewrite = Some(rewrite);
            }
            Some(_) => self.rewrite = Some(rewrite),
            None => {
                self.litter.push(rewrite.temporary);
                self.keep_spare(rewrite.next);
                if waiting {
                    self.abandon_waiting();
                }
            }
        }
    }

    /// The disk failed: a rewrite that has not switched yet cannot go on, because its cut and the log would disagree.
    pub(super) fn fail_rewrite_before_switch(&mut self, error: &str) {
        let switching = self.switching.take();
        let before = self.rewrite.as_ref().is_some_and(|rewrite| {
            !rewrite.given_up
                && matches!(rewrite.step, RewriteStep::Prepare | RewriteStep::Presync | RewriteStep::Ready)
        });
        if before || switching.is_some() {
            self.rewrite_failed(format!("the disk failed: {error}"));
        }
        self.keep_spare(switching.map(|switching| switching.next));
    }

    /// Tells that the rewrite came to nothing, and drops it.
    pub(super) fn rewrite_failed(&mut self, error: String) {
        let Some(mut rewrite) = self.rewrite.take() else { return };
        self.events.push_back(LogEvent::RewriteFailed { error });
        if rewrite.job.is_some() {
            rewrite.given_up = true;
            self.rewrite = Some(rewrite);
            return;
        }
        self.litter.push(rewrite.temporary);
        self.keep_spare(rewrite.next);
    }

    /// A log that was being switched on is off again. While its base is being put in place, its files are left to the
    /// end of that.
    pub(super) fn abandon_waiting(&mut self) {
        if self.rewrite.as_ref().is_none_or(|rewrite| rewrite.job.is_none()) {
            self.litter.extend(self.current.as_ref().map(|current| current.name.clone()));
        }
        self.forget_current();
    }

    /// An increment that the manifest names and nobody writes to is the next rewrite's; one that it does not name is
    /// removed. Of a log that is off it stays what it is: empty.
    fn keep_spare(&mut self, next: Option<Increment>) {
        let Some(next) = next else { return };
        if !self.manifest.increments.iter().any(|file| file.name == next.name) {
            self.litter.push(next.name);
        } else if self.phase == Phase::On {
            self.spare = Some(next);
        }
    }

    /// Whether the job is at work that makes the first increment of a log durable that is being switched on.
    pub(super) fn syncs_first_increment(&self) -> bool {
        let finishes =
            |rewrite: &Rewrite| rewrite.job.is_some() && matches!(rewrite.step, RewriteStep::Finish { .. });
        self.phase == Phase::Waiting && self.rewrite.as_ref().is_some_and(finishes)
    }

    /// The job that the rewrite owes.
    pub(super) fn rewrite_job(&mut self) -> Option<LogJob> {
        let blocked = self.failure.is_some() || self.manifest_job.is_some() || self.switching.is_some();
        let rewrite = self.rewrite.as_ref()?;
        if blocked || rewrite.job.is_some() {
            return None;
        }
        let (candidate, actions) = match rewrite.step {
            RewriteStep::Prepare => self.preparation(),
            RewriteStep::Finish { .. } => self.finish(rewrite),
            RewriteStep::Presync | RewriteStep::Ready | RewriteStep::Write => return None,
        };
        let id = self.next_job();
        self.manifest_job = Some(id);
        let rewrite = self.rewrite.as_mut()?;
        (rewrite.job, rewrite.candidate) = (Some(id), Some(candidate));
        Some(LogJob { id, lane: Lane::Save, job: Actions::job(&self.directory, actions) })
    }

    /// Makes the next increment, and names it where the log is on.
    fn preparation(&self) -> (Manifest, Vec<Action>) {
        let mut candidate = self.manifest.clone();
        let name = candidate.add_increment(self.directory.file_name());
        let mut actions = Vec::new();
        if self.phase == Phase::Off {
            actions.push(Action::MakeDirectory);
        }
        actions.push(Action::Create(self.directory.file(&name)));
        actions.push(Action::SyncDirectory);
        if self.phase == Phase::On {
            actions.push(Action::Persist(candidate.clone()));
        }
        (candidate, actions)
    }

    /// Puts the base in place.
    fn finish(&self, rewrite: &Rewrite) -> (Manifest, Vec<Action>) {
        let mut candidate = self.manifest.clone();
        let base = candidate.replace_base(self.directory.file_name(), rewrite.base_is_rdb);
        let temporary = self.directory.file(&rewrite.temporary);
        let mut actions = vec![
            Action::SyncPath(temporary.clone()),
            Action::Rename(temporary, self.directory.file(&base)),
            Action::SyncDirectory,
        ];
        if let Some(current) = self.current.as_ref().filter(|_| self.phase == Phase::Waiting) {
            let (name, sequence) = (current.name.clone(), current.sequence);
            candidate.increments.push(ManifestFile { name, sequence });
            actions.push(Action::SyncFile(Arc::clone(&current.file)));
        }
        candidate.retire_increments(rewrite.first_kept);
        actions.push(Action::Persist(candidate.clone()));
        (candidate, actions)
    }

    pub(super) fn rewrite_job_ended(&mut self, now: Now, end: JobEnd) {
        let Some(rewrite) = self.rewrite.as_mut() else { return };
        rewrite.job = None;
        let Some(candidate) = rewrite.candidate.take() else { return };
        match rewrite.step {
            RewriteStep::Finish { base_bytes } => self.finish_ended(now, end, candidate, base_bytes),
            _ => self.preparation_ended(end, candidate),
        }
    }

    fn preparation_ended(&mut self, end: JobEnd, candidate: Manifest) {
        let Some(last) = candidate.increments.last().cloned() else { return };
        self.manifest.increment_sequence = candidate.increment_sequence;
        match (end.result, end.file) {
            (Ok(()), Some(file)) => {
                if end.touched_manifest {
                    self.manifest = candidate;
                    self.litter.append(&mut self.doubtful);
                }
                let (name, sequence) = (last.name, last.sequence);
                self.prepared(Increment { name, sequence, file, length: 0, opened_at: 0 });
            }
            (result, _) => {
                let error = result.err().unwrap_or_else(|| "no file was made".to_owned());
                self.not_placed(vec![last.name], end.touched_manifest);
                self.end_failed_rewrite(error);
            }
        }
    }

    /// The next increment is there.
    fn prepared(&mut self, next: Increment) {
        let dirty = self.phase == Phase::On && self.synced.bytes < self.appended.bytes;
        let Some(rewrite) = self.rewrite.as_mut() else { return };
        if rewrite.given_up {
            self.rewrite = None;
            return self.keep_spare(Some(next));
        }
        rewrite.next = Some(next);
        rewrite.step = RewriteStep::Presync;
        if !dirty {
            self.presynced();
        }
    }

    /// An fsync has ended well.
    pub(super) fn presynced(&mut self) {
        if let Some(rewrite) = self.rewrite.as_mut().filter(|rewrite| rewrite.step == RewriteStep::Presync) {
            rewrite.step = RewriteStep::Ready;
            self.events.push_back(LogEvent::RewriteReady);
        }
    }

    /// Goes over to the next increment, if everything before is synced.
    pub(super) fn complete_switch(&mut self, now: Now) {
        let due = self.switching.take_if(|switching| self.synced.bytes >= switching.at.bytes);
        let Some(Switching { next, at }) = due else { return };
        if let Some(old) = self.current.replace(next) {
            self.lengths.closed.push((old.sequence, old.length_at(at.bytes)));
        }
        self.flush(now);
    }

    fn finish_ended(&mut self, now: Now, end: JobEnd, candidate: Manifest, base_bytes: u64) {
        let base = candidate.base.as_ref().map_or_else(String::new, |base| base.name.clone());
        if let Err(error) = end.result {
            let new =
                candidate.increments.into_iter().filter(|file| !self.manifest.increments.contains(file));
            let mut made_in_vain: Vec<String> = new.map(|file| file.name).collect();
            // A name that may have been given is not given again before it is removed; one that was not is the next one's.
            if end.renamed {
                made_in_vain.push(base);
                self.manifest.base_sequence = candidate.base_sequence;
            }
            self.not_placed(made_in_vain, end.touched_manifest);
            self.end_failed_rewrite(error);
            if self.phase == Phase::Waiting {
                self.forget_current();
            }
            return;
        }
        let first_kept = self.rewrite.take().map_or(0, |rewrite| rewrite.first_kept);
        self.manifest = candidate;
        self.litter.append(&mut self.doubtful);
        self.lengths.base = base_bytes;
        self.lengths.closed.retain(|&(sequence, _)| sequence >= first_kept);
        self.lengths.after_rewrite = self.current_bytes();
        self.events.push_back(LogEvent::RewriteFinished { base, base_bytes });
        if self.phase == Phase::Waiting {
            (self.phase, self.is_replacing) = (Phase::On, true);
            self.events.push_back(LogEvent::TurnedOn);
        }
        self.flush(now);
    }

    /// Files that were made in vain: removed now, or, where the manifest on disk may name them, after it was replaced.
    fn not_placed(&mut self, names: Vec<String>, touched_manifest: bool) {
        if touched_manifest {
            self.doubtful.extend(names);
            self.plain_persist.wanted = self.phase == Phase::On;
        } else {
            self.litter.extend(names);
        }
    }

    fn end_failed_rewrite(&mut self, error: String) {
        let Some(rewrite) = self.rewrite.take() else { return };
        self.litter.push(rewrite.temporary);
        if !rewrite.given_up {
            self.events.push_back(LogEvent::RewriteFailed { error });
        }
    }
}
