//! Rewrites of the append-only file: when the base of one is cut, what becomes of it, and how the log is switched on
//! where its first base could not be written. The files are `tenon_aof`'s.
//! Always: the base shows the keyspace as it was when the increment behind it began.

use tenon_aof::{RewriteRefused, RewriteStage};
use tenon_base::{Disk, Lane, Now, World};
use tenon_config::Directive;
use tenon_keyspace::AbortReason;
use tenon_policy::rewrite_is_limited;

use super::Kind;
use crate::engine::{Engine, Purpose};
use crate::save_job::{Destination, SaveEnd};

/// Between two attempts to switch the log on, after the first failure.
const SWITCH_ON_PAUSE_MS: u64 = 500;
/// ... doubled by each failure, to 32 seconds.
const SWITCH_ON_DOUBLINGS_MAX: u32 = 6;

impl Engine {
    /// Gives up a running rewrite, because the log that it is for is switched off.
    pub(crate) fn abort_rewrite(&mut self, now: Now) {
        if self.snapshots.running() != Some(Kind::Rewrite) {
            return;
        }
        tracing::info!("Killing the running AOF rewrite, which has no child process: its job gives up");
        let stage = self.durability.log().and_then(|log| log.rewrite_stage());
        if stage != Some(RewriteStage::Writing) {
            // No job of it runs whose end would be heard.
            return self.rewrite_settled(now, Err("the log is switched off".to_owned()));
        }
        self.snapshots.control.cancel();
        if let Some(cut) = self.snapshots.running_cut() {
            self.keyspace.abort_cut(cut, AbortReason::Cancelled);
        }
    }

    /// Begins a rewrite of the log, or switches the log on.
    pub(crate) fn begin_rewrite(&mut self, now: Now, disk: &dyn Disk) -> Result<(), String> {
        if self.snapshots.running.is_some() {
            return Err("a save or rewrite is in progress".to_owned());
        }
        if let Err(sentence) = self.check_space(&self.directory(), disk) {
            self.snapshots.rewrite.refused(now);
            return Err(sentence);
        }
        let Some(log) = self.durability.log_mut() else { return Err("there is no log".to_owned()) };
        log.begin_rewrite().map_err(|refused| match refused {
            RewriteRefused::Running => "Background append only file rewriting already in progress".to_owned(),
            RewriteRefused::Failing => "the disk fails".to_owned(),
        })?;
        self.note_running(Kind::Rewrite, now);
        Ok(())
    }

    /// The next increment is there: what is in memory now becomes the base, what comes goes into the increment.
    pub(crate) fn begin_rewrite_cut(&mut self, now: Now, world: &mut World<'_>) {
        let Some(log) = self.durability.log_mut() else { return };
        if log.rewrite_stage() != Some(RewriteStage::Ready) {
            return;
        }
        let Some(temporary) = log.rewrite_path() else { return };
        let is_rdb = log.rewrite_is_rdb();
        log.switch_increment(now, self.journal.position(), self.journal.offset());
        self.set_readers();
        let (walk, job) = self.cut_for(now, Destination { temporary, target: None }, true, is_rdb);
        self.snapshots.walk = Some(walk);
        self.start_job(Purpose::Save, Lane::Save, Box::new(job), world);
    }

    pub(super) fn base_written(&mut self, now: Now, end: SaveEnd) {
        let Some(log) = self.durability.log_mut() else { return };
        match end {
            Ok(bytes) => {
                log.finish_rewrite(bytes);
                if log.rewrite_stage() != Some(RewriteStage::Finishing) {
                    // It was written to its end just before it was given up.
                    self.rewrite_settled(now, Err("the log is switched off".to_owned()));
                }
            }
            Err(error) => {
                tracing::warn!("Writing the base of the append-only file failed: {error}");
                log.abort_rewrite(now);
                // The log says nothing of what it was told to give up.
                self.rewrite_settled(now, Err(error));
            }
        }
    }

    /// A rewrite is over, well or badly.
    pub(crate) fn rewrite_settled(&mut self, now: Now, end: SaveEnd) {
        if self.snapshots.running() != Some(Kind::Rewrite) {
            return;
        }
        let Some(running) = self.snapshots.running.take() else { return };
        self.end_walk();
        if end.is_err() && self.config.bool(Directive::AppendOnly) && !self.durability.is_on() {
            // In the words of Redis, for which tools look.
            tracing::warn!(
                "Removing the temp incr aof file: the log that it was for could not be switched on"
            );
        }
        self.snapshots.rewrite.ended(now, running.began.steady, &end);
        if end.is_err() && rewrite_is_limited(now.unix().0, &self.snapshots.rewrite.facts(now, false)) {
            // Begins in the words of Redis, for which tools look.
            tracing::warn!(
                "Background AOF rewrite has repeatedly failed and triggered the limit: the next automatic one waits for \
                 minutes, BGREWRITEAOF begins one at once"
            );
        }
        self.snapshots.rewrite.last_held_bytes = self.snapshots.held_bytes_peak as u64;
        self.set_readers();
    }

    /// Tries again to switch the log on, where its first base could not be written: the configuration says that it
    /// is on. Each failure doubles the pause.
    pub(super) fn switch_on_again(&mut self, now: Now, disk: &dyn Disk) {
        let is_wanted = self.config.bool(Directive::AppendOnly) && !self.durability.is_on();
        if !is_wanted || self.snapshots.running.is_some() {
            return;
        }
        let last = self.snapshots.rewrite.facts(now, false);
        if last.since_attempt_ms < SWITCH_ON_PAUSE_MS << last.failures_in_a_row.min(SWITCH_ON_DOUBLINGS_MAX) {
            return;
        }
        if let Err(sentence) = self.begin_rewrite(now, disk) {
            tracing::warn!("The append-only file cannot be switched on yet: {sentence}");
        }
    }
}

#[cfg(test)]
mod tests;
