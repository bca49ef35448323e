//! Saves while everybody waits: SAVE, DEBUG RELOAD, FLUSHALL where saves are configured, and the one at the end.
//! Always: such a save has a temporary file of its own, and no save that was given up comes behind it.

use std::sync::Arc;

use tenon_base::{Job, Micros, Now, Step, World};
use tenon_config::Directive;
use tenon_keyspace::AbortReason;

use super::SLICE_UNITS;
use crate::engine::Engine;
use crate::save_job::SaveEnd;

impl Engine {
    /// Saves while everybody waits.
    pub(crate) fn save_now(&mut self, now: Now, world: &mut World<'_>) -> SaveEnd {
        self.save_while(now, world, |_| true)
    }

    /// As [`Engine::save_now`], for as long as it is wanted.
    pub(crate) fn save_while(
        &mut self,
        now: Now,
        world: &mut World<'_>,
        mut is_wanted: impl FnMut(&mut World<'_>) -> bool,
    ) -> SaveEnd {
        // One that runs in the background goes on, unless it was given up: then it is not to come behind this one.
        let running = Arc::clone(&self.snapshots.control);
        if self.snapshots.running.as_ref().is_some_and(|running| running.is_given_up) {
            running.await_renaming();
        }
        let target = self.dump_path();
        let name = format!("temp-save-{}-{}.rdb", self.identity.pid, self.snapshots.cuts);
        let (walk, mut job) = self.cut_for_save(now, target.with_file_name(name), target);
        let control = std::mem::replace(&mut self.snapshots.control, running);
        let cut = walk.cut;
        self.snapshots.save.began = Some(now.steady);
        let (dirty, bytes) = (self.stats.dirty_total, self.journal.effect_bytes());
        let began = world.stopwatch.read();
        let end = loop {
            self.keyspace.advance_cut(cut, SLICE_UNITS * 100);
            if !is_wanted(world) {
                control.cancel();
                self.keyspace.abort_cut(cut, AbortReason::Cancelled);
            }
            match job.step(world.disk) {
                Step::Again => {}
                Step::Starved if self.config.integer(Directive::RdbKeySaveDelay) != 0 => {
                    world.interlude.sleep(Micros(500));
                }
                Step::Starved => {}
                Step::Done(end) => {
                    break end.downcast::<SaveEnd>().map_or_else(|_| Err("no result".into()), |end| *end);
                }
            }
        };
        self.keyspace.end_cut(cut);
        let ended = Now { steady: world.stopwatch.read(), unix_us: world.stopwatch.unix_us() };
        let former = self.snapshots.save.last;
        self.snapshots.save.ended(ended, began, &end);
        if end.is_err() {
            // Whoever waited for it knows; only what failed in the background makes writes be refused.
            self.snapshots.save.last = former;
        }
        match &end {
            Ok(file_bytes) => {
                self.snapshots.note_size(*file_bytes, self.keyspace.used_memory());
                tracing::info!("DB saved on disk");
                self.snapshots.nothing_changed(dirty, bytes);
                self.snapshots.last_save_unix = ended.unix().seconds();
            }
            Err(error) => tracing::warn!("Error saving DB on disk: {error}"),
        }
        end
    }
}
