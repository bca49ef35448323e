//! The end of a unit: its effects become one record of the journal, and everybody is told whom they concern: replies,
//! watchers, those who wait for keys, subscribers. How a request runs is in `execute`.
//! Always: inside EXEC requests end one by one and the unit ends once, so that all of it is one record.

use tenon_base::{Micros, Now, World};
use tenon_commands::Flags;
use tenon_journal::Targets;
use tenon_resp::Args;

use crate::engine::Engine;

impl Engine {
    /// Ends a unit: what it did becomes one record, and its reply waits for it.
    pub(crate) fn seal(
        &mut self,
        now: Now,
        database: usize,
        request: Option<Args<'_>>,
        world: &mut World<'_>,
    ) {
        if self.is_in_exec {
            return self.end_request(now, database, request, world);
        }
        let unit = &mut self.unit;
        if unit.is_idle() && self.unstamped_pushes.is_empty() {
            return unit.clear();
        }
        if !self.waiting.queues.is_empty() {
            self.waiting.queues.note(unit.touched(), unit.touched_databases());
        }
        if self.migrations.is_any_on_its_way() {
            self.migrations.note(unit.touched(), unit.touched_databases());
        }
        self.stats.expired_keys += unit.expired_keys;
        self.stats.dirty_total += unit.dirty;
        // A follower's replicas get its primary's stream, and nothing of its own.
        let readers = if self.replication.is_following { Targets::LOG } else { Targets::ALL };
        self.journal.begin_unit();
        let mut is_logged = false;
        let mut operations = 0;
        for (index, words, targets) in unit.operations() {
            self.journal.operation(index, words, targets.intersection(readers));
            is_logged |= targets.log;
            operations += 1;
        }
        if let (Some(args), false, true) = (request, unit.is_refined(), unit.dirty > 0) {
            self.journal.operation(database as u32, args, readers);
            is_logged = true;
        }
        // What a scan finds expired on its way does not belong together.
        let is_found = |args: Args<'_>| {
            let command = self.commands.find(args.get(0));
            command.is_some_and(|id| self.commands[id].flags.has(Flags::TOUCHES_ARBITRARY_KEYS))
        };
        if operations > 1 && request.is_some_and(is_found) {
            self.journal.seal_apart();
        } else {
            self.journal.seal();
        }
        let mut stamp = None;
        if is_logged {
            let position = self.journal.position();
            stamp = self.durability.stamp(position);
            self.reply_stamp = stamp;
            let is_whole_database = !unit.touched_databases().is_empty();
            self.durability.note_touched(unit.touched(), is_whole_database, position);
        }
        self.tell(now, world);
        self.stamp_pushes(stamp, world);
        (self.told_keys, self.told_databases) = (0, 0);
        self.unit.clear();
    }

    /// Ends a request inside an EXEC: what it did becomes part of the record that EXEC will be.
    fn end_request(&mut self, now: Now, database: usize, request: Option<Args<'_>>, world: &mut World<'_>) {
        self.stats.expired_keys += self.unit.expired_keys;
        self.stats.dirty_total += self.unit.dirty;
        self.tell(now, world);
        if let Some(request) = request {
            self.unit.end_request(database, request);
        }
    }

    /// Tells watchers and subscribers what the request that has just run has changed.
    fn tell(&mut self, now: Now, world: &mut World<'_>) {
        if !self.watchers.is_empty() {
            self.tell_watchers(now);
        }
        if self.tracking.is_on() {
            self.tell_trackers(now, world);
        }
        (self.told_keys, self.told_databases) =
            (self.unit.touched().len(), self.unit.touched_databases().len());
        if self.unit.has_events() {
            self.notify_events(now, world);
        }
    }

    /// Hands what is sealed to the log, then to the replicas.
    pub(crate) fn append_sealed(&mut self, now: Now, world: &mut World<'_>) {
        let Some(batch) = self.journal.take_batch() else { return };
        let flush_sleep = self.durability.flush_sleep;
        if let Some(log) = self.durability.log_mut() {
            let is_syncing = log.is_syncing();
            let began = (is_syncing || self.latency.is_on()).then(|| world.stopwatch.read());
            if flush_sleep > Micros(0) {
                world.interlude.sleep(flush_sleep);
            }
            log.append(now, &batch);
            if let Some(began) = began {
                let spent = world.stopwatch.read().since(began);
                if is_syncing {
                    log.note_write_beside_sync(spent);
                }
                if self.latency.is_on() {
                    self.note_append(now, spent, is_syncing);
                }
            }
        }
        self.feed_replicas(&batch, world);
        self.journal.recycle(batch);
    }
}
