//! The snapshots that replicas are sent: the cuts that they are made of, how the walk is paced, and how what was made
//! is handed over. For whom a snapshot is, and when, is decided in `tenon_replication`.
//! Always: a replica's stream begins at the very unit behind its cut.

use std::any::Any;
use std::sync::Arc;

use tenon_base::{Disk, DiskFile, Lane, Micros, Now, World, describe};
use tenon_config::Directive;
use tenon_keyspace::{AbortReason, CutBounds, CutFeed, CutId, CutProgress};
use tenon_replication::Framing;

use super::{PUMP_PAUSE, Replication};
use crate::dump_sender::DumpSender;
use crate::engine::{Engine, Purpose};
use crate::save_job::SaveEnd;
use crate::snapshots::{DRAIN_PAUSE, WAITING_BYTES_MAX, WALK_SHARE};
use crate::sync_job::{SyncEnd, SyncJob, SyncPlan, SyncQueue};
use crate::walks::Pace;

/// Where more pre-images wait than this share of what they may take, in quarters, writers wait for them.
const PRESSING_QUARTERS: usize = 3;
/// Digits of the mark that ends a snapshot.
const MARK_DIGITS: usize = 40;

/// The snapshot that is being made for replicas.
pub(super) struct Snapshot {
    /// None once everything was handed over and let go of, or where keys are left out.
    cut: Option<CutId>,
    pace: Pace,
    queue: Arc<SyncQueue>,
    /// What the cut has handed over of what writers change, and how much of it may wait.
    preimages: Option<(Arc<CutFeed>, usize)>,
    /// Keys that there are to encode, and their memory.
    keys: u64,
    memory_bytes: u64,
    is_marked: bool,
    way: Way,
    /// The job has ended well: what is in the queue is all.
    is_made: bool,
    began: Micros,
}

/// Where a snapshot for replicas comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// A job of its own makes it.
    Own,
    /// A save that is under way, whose file will be sent.
    Save,
    /// The dump of so many bytes that a save has written, which is being read.
    Dump { bytes: u64 },
}

impl Snapshot {
    /// When the walk goes on, if there is one and nothing else happens.
    pub(super) fn walks_at(&self) -> Option<Micros> {
        self.cut.map(|_| self.pace.wake_at())
    }

    /// Whether nothing of the cut is held for it any more.
    fn is_let_go_of(&self) -> bool {
        self.preimages.as_ref().is_none_or(|(feed, _)| feed.is_drained())
    }
}

impl Replication {
    /// Whether a snapshot for replicas is being made.
    pub(crate) fn is_making_snapshot(&self) -> bool {
        self.snapshot
            .as_ref()
            .is_some_and(|snapshot| !snapshot.is_made && !matches!(snapshot.way, Way::Dump { .. }))
    }

    /// A dump that somebody asked for stays, whoever is sent it, too.
    pub(crate) fn keep_dump(&mut self) {
        self.leaves_dump = false;
    }

    /// Whether so much presses that the snapshot would have to be given up soon.
    pub(super) fn presses(&self) -> bool {
        let is_pressing = |snapshot: &Snapshot| {
            let (feed, max) = snapshot.preimages.as_ref()?;
            Some(!snapshot.is_made && feed.pressure_bytes() > max / 4 * PRESSING_QUARTERS)
        };
        self.delay_max > Micros(0) && self.snapshot.as_ref().and_then(is_pressing).unwrap_or(false)
    }

    /// Since when a snapshot for replicas is under way that is no save: one that is sent while it is made, until all of
    /// it was handed over, as Redis counts it.
    pub(crate) fn snapshot_since(&self) -> Option<Micros> {
        let snapshot = self.snapshot.as_ref()?;
        let is_under_way = !snapshot.is_made || snapshot.is_marked;
        (snapshot.way == Way::Own && is_under_way).then_some(snapshot.began)
    }
}

impl Engine {
    /// Moves the walk of a snapshot for replicas on, if it is its turn.
    pub(crate) fn walk_for_replicas(&mut self, world: &mut World<'_>) {
        let Some(snapshot) = &self.replication.snapshot else { return };
        let (Some(cut), mut pace) = (snapshot.cut, snapshot.pace) else { return };
        let now = world.now();
        self.keyspace.weigh_cut(cut);
        self.snapshots.note_held(self.keyspace.cut_memory());
        if !pace.is_due(now.steady) {
            return;
        }
        let progress = self.walk_at_pace(cut, &mut pace, WALK_SHARE, world);
        let Some(snapshot) = &mut self.replication.snapshot else { return };
        match progress {
            CutProgress::Walking | CutProgress::Waiting => {}
            CutProgress::Done if !snapshot.is_let_go_of() => pace.pause(now.steady, DRAIN_PAUSE),
            // Why it was given up is told by the job, which finds out by itself.
            CutProgress::Done | CutProgress::Aborted(_) => {
                self.keyspace.end_cut(cut);
                snapshot.cut = None;
            }
        }
        snapshot.pace = pace;
    }

    /// The job that made a snapshot for replicas has ended.
    pub(crate) fn snapshot_for_replicas_ended(
        &mut self,
        now: Now,
        result: Box<dyn Any + Send>,
        world: &mut World<'_>,
    ) {
        let end = result.downcast::<SyncEnd>().map_or_else(
            |other| Err(other.downcast_ref::<String>().cloned().unwrap_or_else(|| "no result".to_owned())),
            |end| *end,
        );
        let Some(snapshot) = &mut self.replication.snapshot else { return };
        if let Some(cut) = snapshot.cut.take() {
            self.keyspace.end_cut(cut);
        }
        match end {
            Ok(bytes) => {
                snapshot.is_made = true;
                let spent = now.steady.since(snapshot.began).millis();
                tracing::info!("The snapshot for replicas is made: {bytes} bytes in {spent} ms");
            }
            Err(reason) => self.snapshot_for_replicas_failed(&reason, world),
        }
    }

    /// A save has ended: if replicas wait for its dump, they are sent it.
    pub(crate) fn dump_for_replicas_ended(
        &mut self,
        now: Now,
        end: &SaveEnd,
        file: Option<Arc<dyn DiskFile>>,
        world: &mut World<'_>,
    ) {
        let awaited = self.replication.snapshot.as_mut().filter(|snapshot| snapshot.way == Way::Save);
        let Some(snapshot) = awaited else { return };
        match (end, file) {
            (Ok(bytes), Some(file)) => {
                snapshot.way = Way::Dump { bytes: *bytes };
                let job = DumpSender::new(file, *bytes, Arc::clone(&snapshot.queue));
                self.start_job(Purpose::SnapshotForReplicas, Lane::Save, Box::new(job), world);
                self.pump_snapshot(now, world);
            }
            (Ok(_), None) => self.snapshot_for_replicas_failed("its file cannot be read", world),
            (Err(reason), _) => self.snapshot_for_replicas_failed(reason, world),
        }
    }

    fn snapshot_for_replicas_failed(&mut self, reason: &str, world: &mut World<'_>) {
        self.replication.snapshot = None;
        let mut actions = std::mem::take(&mut self.replication.actions);
        self.replication.primary.snapshot_failed(reason, world.outputs, &mut actions);
        self.carry_out_actions(&mut actions, world);
        self.replication.actions = actions;
    }

    pub(super) fn begin_snapshot_for_replicas(&mut self, now: Now, world: &mut World<'_>) {
        let offset = self.journal.offset();
        let (framing, filter) = self.replication.primary.snapshot_begun(now.steady, offset, world.outputs);
        self.replication.was_told = true;
        self.journal.replica_seam();
        let keys = (0..self.keyspace.databases()).map(|index| self.keyspace.db(index).len() as u64).sum();
        let memory_bytes = self.keyspace.entries_memory() as u64;
        // One that leaves something out is no dump.
        let is_dump = framing == Framing::Sized && !filter.is_any();
        if is_dump && self.begin_save_for_replicas(now, world) {
            self.replication.leaves_dump = self.config.bool(Directive::RdbDelSyncFiles);
            self.replication.snapshot = Some(Snapshot {
                cut: None,
                pace: Pace::new(now.steady),
                queue: Arc::default(),
                preimages: None,
                keys,
                memory_bytes,
                is_marked: false,
                way: Way::Save,
                is_made: false,
                began: now.steady,
            });
            return;
        }
        let preimage_bytes_max = self.preimage_bytes_max();
        let bounds = CutBounds { waiting_bytes_max: WAITING_BYTES_MAX, preimage_bytes_max };
        let cut = (!filter.excludes_data).then(|| self.keyspace.begin_cut(bounds));
        if cut.is_some() {
            self.note_cut();
        }
        self.replication.snapshots_begun += 1;
        let name = format!("temp-sync-{}-{}.rdb", self.identity.pid, self.replication.snapshots_begun);
        let feed = cut.and_then(|cut| self.keyspace.cut_feed(cut));
        let plan = SyncPlan {
            feed: feed.clone(),
            options: self.rdb_options(),
            aux: Box::new(self.aux(now, false)),
            sizes: if filter.excludes_data { Vec::new() } else { self.database_sizes() },
            libraries: if filter.excludes_functions { Vec::new() } else { self.scripts.libraries.texts() },
            framing,
            mark: self.dice.hex(MARK_DIGITS),
            spill: self.directory().join(name),
            preimage_bytes_max,
            key_delay_us: self.config.integer(Directive::RdbKeySaveDelay),
        };
        if framing == Framing::Marked {
            // A line that tools wait for; no other process is at work.
            tracing::info!("Background RDB transfer started by pid {}", self.identity.pid);
        }
        let queue = Arc::new(SyncQueue::default());
        let job = SyncJob::new(plan, Arc::clone(&queue));
        self.replication.snapshot = Some(Snapshot {
            cut,
            pace: Pace::new(now.steady),
            queue,
            preimages: feed.map(|feed| (feed, preimage_bytes_max)),
            keys,
            memory_bytes,
            is_marked: framing == Framing::Marked,
            way: Way::Own,
            is_made: false,
            began: now.steady,
        });
        self.start_job(Purpose::SnapshotForReplicas, Lane::Save, Box::new(job), world);
    }

    /// Hands over what was made of the snapshot, as far as the slowest replica lets it.
    pub(super) fn pump_snapshot(&mut self, now: Now, world: &mut World<'_>) {
        let replication = &mut self.replication;
        if let Some(snapshot) = &replication.snapshot {
            while replication.primary.has_room_for_snapshot(world.outputs)
                && let Some(piece) = snapshot.queue.take()
            {
                replication.primary.snapshot_piece(piece, world.outputs);
            }
            let expected_bytes = match snapshot.way {
                Way::Own => snapshot.queue.expected_bytes(snapshot.memory_bytes),
                Way::Save => {
                    let (keys, bytes) = self.snapshots.written();
                    let all = u128::from(bytes) * u128::from(snapshot.keys.max(keys));
                    all.checked_div(u128::from(keys)).and_then(|all| u64::try_from(all).ok())
                }
                Way::Dump { bytes } => Some(bytes),
            };
            if let Some(bytes) = expected_bytes {
                replication.primary.expect_snapshot(bytes);
            }
            if snapshot.is_made && (snapshot.queue.is_empty() || !replication.primary.has_snapshot()) {
                if snapshot.is_marked {
                    // A line that tools wait for.
                    let count = replication.primary.syncing_count();
                    tracing::info!(
                        "Diskless rdb transfer, done reading from pipe, {count} replicas still up."
                    );
                }
                replication.primary.snapshot_complete(world.outputs);
                replication.snapshot = None;
            }
        }
        let is_busy = replication.snapshot.is_some() || replication.primary.has_snapshot();
        replication.pump_at = is_busy.then(|| now.steady + PUMP_PAUSE);
    }

    /// FLUSHALL: what a snapshot for replicas still tells of is gone. It would keep all of that in memory, and the
    /// replicas would load it to throw it away; so they are to ask for another, which is soon made.
    pub(crate) fn restart_snapshot_for_replicas(&mut self, world: &mut World<'_>) {
        if !self.replication.is_making_snapshot() {
            return;
        }
        let mut actions = Vec::new();
        self.replication.primary.snapshot_failed("all keys are removed", world.outputs, &mut actions);
        self.carry_out_actions(&mut actions, world);
        self.cancel_snapshot();
    }

    pub(super) fn abandon_snapshot(&mut self) {
        let Some(snapshot) = &self.replication.snapshot else { return };
        if snapshot.way == Way::Save && !self.config.save_points().is_empty() {
            tracing::info!(
                "The save for replicas goes on as any other: none of them is left, but saves are configured"
            );
            self.replication.snapshot = None;
            return;
        }
        tracing::info!("The snapshot for replicas is given up: none of them is left");
        if snapshot.is_marked {
            // A line that tools wait for. The child is a job here, and killed by being told.
            tracing::info!("Diskless rdb transfer, last replica dropped, killing fork child.");
        }
        self.cancel_snapshot();
    }

    /// Removes the dump that replicas were sent, where nobody has asked that anything be kept on disk
    /// (`rdb-del-sync-files`).
    pub(crate) fn remove_dump_for_replicas(&mut self, world: &mut World<'_>) {
        self.replication.leaves_dump &= self.config.bool(Directive::RdbDelSyncFiles);
        let is_persistent = self.config.bool(Directive::AppendOnly) || !self.config.save_points().is_empty();
        let is_needed = self.snapshots.running().is_some()
            || self.replication.snapshot.is_some()
            || self.replication.primary.is_synchronizing();
        if !self.replication.leaves_dump || is_persistent || is_needed {
            return;
        }
        self.replication.leaves_dump = false;
        let path = self.dump_path();
        tracing::info!("Removing the RDB file used to feed replicas in a persistence-less instance");
        let job = move |disk: &dyn Disk| {
            if let Err(error) = disk.remove(&path) {
                tracing::warn!("{} cannot be removed: {}", path.display(), describe(&error));
            }
        };
        self.start_job(Purpose::Free, Lane::Free, Box::new(job), world);
    }

    /// The job ends by itself, and its end is heard.
    fn cancel_snapshot(&mut self) {
        let Some(snapshot) = &self.replication.snapshot else { return };
        if snapshot.way == Way::Save {
            self.replication.snapshot = None;
            return self.abort_save();
        }
        snapshot.queue.cancel();
        if let Some(cut) = snapshot.cut {
            self.keyspace.abort_cut(cut, AbortReason::Cancelled);
        }
    }
}

#[cfg(test)]
mod tests;
