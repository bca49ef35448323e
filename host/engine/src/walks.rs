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

/// While clients keep the engine awake, a walk waits so long for the next of them before it has the engine woken for
/// itself. A sleeping processor may take milliseconds to wake up, and a client that comes meanwhile waits with the walk.
const RIDE: Micros = Micros(900);
/// A walk that went on later than it might makes up for so much.
const CREDIT_MAX: Micros = Micros(1_500);
/// Slices that it makes at once then.
const SLICES_MAX: usize = 3;

/// When a walk goes on: so that it takes a bounded share of the engine's time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Until when what it took is made up for.
    due: Micros,
    /// Whether clients had woken the engine when it went on the last time.
    rides: bool,
}

impl Pace {
    /// A walk that may begin now.
    pub(crate) fn new(now: Micros) -> Pace {
        Pace { due: now, rides: false }
    }

    pub(crate) fn is_due(&self, now: Micros) -> bool {
        self.due <= now
    }

    /// When to go on if nothing else happens.
    pub(crate) fn wake_at(&self) -> Micros {
        if self.rides { self.due + RIDE } else { self.due }
    }

    /// A slice from `began` to `ended` is one part in `share` of the time that it stands for.
    fn account(&mut self, began: Micros, ended: Micros, share: u64) {
        let forgiven = Micros(began.0.saturating_sub(CREDIT_MAX.0));
        self.due = self.due.max(forgiven) + Micros(ended.since(began).0 * share);
    }

    /// Waits for something else so long.
    pub(crate) fn pause(&mut self, now: Micros, pause: Micros) {
        self.due = now + pause;
    }
}

/// The walk of one cut whose snapshot goes into a file, until nothing of the cut is held any more.
pub(crate) struct Walk {
    pub(crate) cut: CutId,
    pace: Pace,
    feed: Arc<CutFeed>,
    spill: Arc<Spill>,
    pieces: PieceFormat,
    preimage_bytes_max: usize,
}

impl Walk {
    /// When to go on if nothing else happens.
    pub(crate) fn wake_at(&self) -> Micros {
        self.pace.wake_at()
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
            pace: Pace::new(now.steady),
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
    pub(crate) fn walk_cuts(&mut self, world: &mut World<'_>) {
        let walks = self.snapshots.walk().iter().count() + self.backups.walk().iter().count();
        if walks == 0 {
            return;
        }
        let now = world.now();
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
        if !walk.pace.is_due(now.steady) {
            return Some(walk);
        }
        if !walk.feed.is_laid_out() && !walk.feed.is_aborted() {
            walk.pace.pause(now.steady, FULL_PAUSE);
            return Some(walk);
        }
        match self.walk_at_pace(walk.cut, &mut walk.pace, share, world) {
            CutProgress::Walking | CutProgress::Waiting => {}
            // Large values are shared until they are encoded, and may change meanwhile.
            CutProgress::Done if !walk.feed.is_drained() => walk.pace.pause(now.steady, DRAIN_PAUSE),
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

    /// Goes on by as many slices as one part in `share` of the time allows, and at least one.
    pub(crate) fn walk_at_pace(
        &mut self,
        cut: CutId,
        pace: &mut Pace,
        share: u64,
        world: &mut World<'_>,
    ) -> CutProgress {
        pace.rides = self.was_asked;
        let mut began = world.stopwatch.read();
        for _ in 0..SLICES_MAX {
            let progress = self.keyspace.advance_cut(cut, SLICE_UNITS);
            let ended = world.stopwatch.read();
            match progress {
                CutProgress::Walking => pace.account(began, ended, share),
                CutProgress::Waiting => pace.pause(ended, FULL_PAUSE),
                CutProgress::Done | CutProgress::Aborted(_) => return progress,
            }
            if !pace.is_due(ended) {
                break;
            }
            began = ended;
        }
        CutProgress::Walking
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_takes_its_share_whenever_it_is_let() {
        let mut pace = Pace::new(Micros(1_000_000));
        let (mut now, mut walked) = (1_000_000, 0);
        while now < 2_000_000 {
            if pace.is_due(Micros(now)) {
                pace.account(Micros(now), Micros(now + 100), 5);
                walked += 100;
            }
            now += 330; // clients come when they like
        }
        assert!((195_000..=200_100).contains(&walked), "{walked} of a second");
    }

    #[test]
    fn a_walk_that_was_kept_waiting_makes_up_for_little() {
        let mut pace = Pace::new(Micros(0));
        let late = Micros(60_000_000);
        let slices = (0..).take_while(|_| {
            let is_due = pace.is_due(late);
            pace.account(late, late + Micros(100), 5);
            is_due
        });
        assert_eq!(slices.count() as u64, CREDIT_MAX.0 / 500 + 1);
    }

    #[test]
    fn a_walk_waits_for_clients_only_while_they_come() {
        let mut pace = Pace::new(Micros(0));
        assert_eq!(pace.wake_at(), Micros(0));
        pace.rides = true;
        assert_eq!(pace.wake_at(), RIDE);
        assert!(pace.is_due(Micros(0)), "whoever comes by takes it along");
    }
}
