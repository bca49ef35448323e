//! What nobody waits for: files of earlier times are removed, and the manifest forgets them.
//!
//! Always: a file is removed only when no manifest that may be on disk needs it.

use tenon_base::{Disk, Lane, Micros, Now};

use crate::log::jobs::{Action, Actions, JobId, LogJob};
use crate::log::{Log, LogEvent, Phase};

/// How long to wait before a manifest that nothing waits for is written again.
const PERSIST_RETRY: Micros = Micros::from_millis(1_000);

/// A replacement of the manifest that nothing waits for.
#[derive(Debug, Default)]
pub(super) struct PlainPersist {
    pub(super) wanted: bool,
    pub(super) retry_at: Micros,
    pub(super) running: Option<JobId>,
    /// The manifest on disk still needs what is history in memory.
    pub(super) comes_first: bool,
}

impl Log {
    /// Whether files that a rewrite replaced are still being removed. Not where the disk fails at it: that may go on
    /// for ever.
    pub fn is_clearing(&self) -> bool {
        let clears = self.settings.remove_history && !self.manifest.history.is_empty();
        let persists = self.plain_persist.wanted && self.plain_persist.retry_at == Micros(0);
        self.failure.is_none() && (clears || persists || self.plain_persist.running.is_some())
    }

    /// Whether a restart would load what is appended, and the rewrite by which the log was switched on is over for
    /// everybody: whoever is told that his writes are durable looks at INFO and at the files next.
    pub fn is_settled(&self) -> bool {
        self.phase == Phase::On && !(self.is_replacing && self.is_clearing())
    }

    /// Has the manifest forget the history before this returns, where nothing else is at it: who allows the removal of old
    /// files looks at the manifest next. The files are removed afterwards. Where the disk refuses, jobs go on trying.
    pub fn forget_history(&mut self, disk: &dyn Disk) {
        let is_busy = self.manifest_job.is_some() || self.removal.is_some() || self.plain_persist.comes_first;
        let has_any = self.settings.remove_history && !self.manifest.history.is_empty();
        if is_busy || !has_any || self.phase != Phase::On || self.failure.is_some() {
            return;
        }
        let mut manifest = self.manifest.clone();
        let forgotten = std::mem::take(&mut manifest.history);
        if self.directory.persist(disk, &manifest).is_ok() {
            self.manifest = manifest;
            self.litter.extend(forgotten.into_iter().map(|file| file.name));
        }
    }

    pub(super) fn persist_job(&mut self, now: Now) -> Option<LogJob> {
        let due = self.plain_persist.wanted && now.steady >= self.plain_persist.retry_at;
        if !due || self.manifest_job.is_some() || self.failure.is_some() {
            return None;
        }
        let job = Actions::job(&self.directory, vec![Action::Persist(self.manifest.clone())]);
        let id = self.next_job();
        (self.manifest_job, self.plain_persist.running) = (Some(id), Some(id));
        self.plain_persist.wanted = false;
        Some(LogJob { id, lane: Lane::Save, job })
    }

    pub(super) fn persist_ended(&mut self, now: Now, result: Result<(), String>) {
        self.plain_persist.running = None;
        match result {
            Ok(()) => {
                self.plain_persist.retry_at = Micros(0);
                self.plain_persist.comes_first = self.plain_persist.wanted && self.plain_persist.comes_first;
                self.litter.append(&mut self.doubtful);
            }
            Err(error) => {
                self.events.push_back(LogEvent::ManifestNotWritten { error });
                self.plain_persist.wanted = true;
                self.plain_persist.retry_at = now.steady + PERSIST_RETRY;
            }
        }
    }

    /// Removes litter and history; then the manifest forgets the history, too.
    pub(super) fn removal_job(&mut self) -> Option<LogJob> {
        if self.removal.is_some() {
            return None;
        }
        let removes_history = self.settings.remove_history && !self.plain_persist.comes_first;
        let history = if removes_history { self.manifest.history.as_slice() } else { &[] };
        let history: Vec<String> = history.iter().map(|file| file.name.clone()).collect();
        if history.is_empty() && self.litter.is_empty() {
            return None;
        }
        let litter = std::mem::take(&mut self.litter);
        let paths = litter.iter().chain(&history).map(|name| self.directory.file(name));
        let job = Actions::job(&self.directory, paths.map(Action::Remove).collect());
        let id = self.next_job();
        self.removal = Some((id, history));
        Some(LogJob { id, lane: Lane::Free, job })
    }

    pub(super) fn removal_ended(&mut self) {
        let Some((_, removed)) = self.removal.take() else { return };
        if !removed.is_empty() {
            self.manifest.history.retain(|file| !removed.contains(&file.name));
            self.plain_persist.wanted = true;
        }
    }
}
