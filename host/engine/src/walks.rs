//! The walk over the keyspace that a cut takes, beside the clients: a slice at a time, slower where it is not waited
//! for, and with what presses put aside before it takes more memory than it may.
//! Always: all walks together take a bounded share of the engine's time.

use std::sync::Arc;

use tenon_base::{Lane, Micros, Now, World};
use tenon_keyspace::{AbortReason, CutBounds, CutFeed, CutId, CutProgress};

use crate::engine::{Engine, Purpose};
use crate::save_job::Format;
use crate::snapshots::{DRAIN_PAUSE, FULL_PAUSE, SLICE_UNITS, WAITING_BYTES_MAX, WALK_SHARE};
use crate::spill::{PieceFormat, Spill, SpillEnd, SpillJob};

/// What presses is put aside once it takes one part in so many of what it may ...
const SPILLED_FROM: usize = 2;
/// ... until it takes one part in so many.
const SPILLED_TO: usize = 8;

/// The walk of one cut whose snapshot goes into a file, until nothing of the cut is held any more.
pub(crate) struct Walk {
    pub(crate) cut: CutId,
    at: Micros,
    feed: Arc<CutFeed>,
    spill: Arc<Spill>,
    pieces: PieceFormat,
    preimage_bytes_max: usize,
}

impl Walk {
    /// When to go on.
    pub(crate) fn at(&self) -> Micros {
        self.at
    }

    pub(crate) fn feed(&self) -> &Arc<CutFeed> {
        &self.feed
    }

    pub(crate) fn spill(&self) -> &Arc<Spill> {
        &self.spill
    }
}

impl Engine {
    /// Cuts the keyspace for a snapshot in this format.
    pub(crate) fn begin_walk(&mut self, now: Now, format: &Format) -> Walk {
        let preimage_bytes_max = self.preimage_bytes_max();
        let cut =
            self.keyspace.begin_cut(CutBounds { waiting_bytes_max: WAITING_BYTES_MAX, preimage_bytes_max });
        self.note_cut();
        let name = format!("temp-changed-{}-{}.part", self.identity.pid, self.snapshots.cuts);
        Walk {
            cut,
            at: now.steady,
            feed: self.keyspace.cut_feed(cut).expect("a cut that was just begun"),
            spill: Spill::new(self.directory().join(name)),
            pieces: format.pieces(),
            preimage_bytes_max,
        }
    }

    /// Another cut was begun.
    pub(crate) fn note_cut(&mut self) {
        self.snapshots.cuts += 1;
        if self.keyspace.cuts() == 1 {
            self.snapshots.held_bytes_peak = 0;
        }
    }

    /// Moves the walks on by a slice each, where it is their turn.
    pub(crate) fn walk_cuts(&mut self, now: Now, world: &mut World<'_>) {
        let walks = self.snapshots.walk().iter().count() + self.backups.walk().iter().count();
        if walks == 0 {
            return;
        }
        let share = WALK_SHARE * walks as u64;
        self.snapshots.note_held(self.keyspace.cut_memory());
        if let Some(walk) = self.snapshots.walk().take() {
            *self.snapshots.walk() = self.walk_on(walk, share, now, world);
        }
        if let Some(walk) = self.backups.walk().take() {
            *self.backups.walk() = self.walk_on(walk, share, now, world);
        }
    }

    /// The walk, if it goes on.
    fn walk_on(&mut self, mut walk: Walk, share: u64, now: Now, world: &mut World<'_>) -> Option<Walk> {
        self.keyspace.weigh_cut(walk.cut);
        self.spill_if_pressed(&walk, world);
        if walk.at > now.steady {
            return Some(walk);
        }
        if !walk.feed.is_laid_out() && !walk.feed.is_aborted() {
            walk.at = now.steady + FULL_PAUSE;
            return Some(walk);
        }
        let began = world.stopwatch.read();
        let progress = self.keyspace.advance_cut(walk.cut, SLICE_UNITS);
        let ended = world.stopwatch.read();
        match progress {
            CutProgress::Walking => walk.at = ended + Micros(ended.since(began).0 * (share - 1)),
            CutProgress::Waiting => walk.at = ended + FULL_PAUSE,
            // Large values are shared until they are encoded, and may change meanwhile.
            CutProgress::Done if !walk.feed.is_drained() => walk.at = ended + DRAIN_PAUSE,
            CutProgress::Done => {
                self.keyspace.end_cut(walk.cut);
                return None;
            }
            CutProgress::Aborted(reason) => {
                // Whoever cancels says so.
                if reason != AbortReason::Cancelled {
                    tracing::warn!("The snapshot was given up: {reason} (see 'snapshot-memory-max')");
                }
                self.keyspace.end_cut(walk.cut);
                return None;
            }
        }
        Some(walk)
    }

    fn spill_if_pressed(&mut self, walk: &Walk, world: &mut World<'_>) {
        let is_pressed = walk.feed.pressure_bytes() >= walk.preimage_bytes_max / SPILLED_FROM;
        if !is_pressed || !walk.feed.has_pressing() || !walk.spill.begin() {
            return;
        }
        if walk.spill.figures().0 == 0 {
            tracing::info!(
                "Data changes faster than the snapshot is written: what changed is put aside in {}",
                walk.spill.path().display()
            );
        }
        let job = SpillJob::new(
            Arc::clone(&walk.feed),
            Arc::clone(&walk.spill),
            walk.pieces.encoder(walk.feed.hurry()),
            walk.preimage_bytes_max / SPILLED_TO,
        );
        self.start_job(Purpose::Spill, Lane::Save, Box::new(job), world);
    }

    /// What changed data was put aside is told once it is there.
    pub(crate) fn spilled(&mut self, result: &(dyn std::any::Any + Send)) {
        match result.downcast_ref::<SpillEnd>() {
            Some(Ok(0)) => {}
            Some(Ok(bytes)) => {
                self.snapshots.spilled_bytes += bytes;
                tracing::debug!("{bytes} bytes of changed data were put aside");
            }
            Some(Err(sentence)) => tracing::warn!("The snapshot was given up: {sentence}"),
            None => {
                tracing::warn!("The snapshot was given up: putting changed data aside ended in the middle")
            }
        }
    }
}
