//! Jobs that a machine asked for, and how quickly they go: each step, and each end that is told, is an event of the world,
//! so that anything may come between two of them.
//! Always: jobs of one lane run in the order asked for, saves beside each other, as threads would.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};

use tenon_base::{Dice, Disk, Job, Lane, Micros, Step, Ticket};

/// How long a job that waits to be fed waits before it looks again.
const STARVED_WAIT: Micros = Micros(500);

/// The longest that things take, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// From the first input of a turn to its end.
    pub turn_us: u64,
    /// A step of a save.
    pub step_us: u64,
    /// An fsync of the log.
    pub sync_us: u64,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { turn_us: 30, step_us: 200, sync_us: 1_000 }
    }
}

/// All jobs of one machine.
#[derive(Default)]
pub(crate) struct Lanes {
    jobs: BTreeMap<u64, InFlight>,
    /// Of lanes in which one waits for the other.
    queues: BTreeMap<u8, VecDeque<u64>>,
    last: u64,
}

struct InFlight {
    ticket: Ticket,
    lane: Lane,
    job: Box<dyn Job>,
}

/// What a step led to.
pub(crate) enum Stepped {
    /// It goes on after a while.
    Again(Micros),
    /// It is over; its end is told after a while. The next job of the lane may begin.
    Done { ticket: Ticket, result: Box<dyn Any + Send>, told_after: Micros, next: Option<u64> },
}

impl Lanes {
    /// Takes in a job. Returns it if it may begin.
    pub(crate) fn add(&mut self, ticket: Ticket, lane: Lane, job: Box<dyn Job>) -> Option<u64> {
        self.last += 1;
        self.jobs.insert(self.last, InFlight { ticket, lane, job });
        if lane == Lane::Save {
            return Some(self.last);
        }
        let queue = self.queues.entry(lane as u8).or_default();
        queue.push_back(self.last);
        (queue.len() == 1).then_some(self.last)
    }

    /// How long until the next step of a job.
    pub(crate) fn pause(&self, id: u64, pace: Pace, dice: &mut Dice) -> Micros {
        let longest = match self.jobs.get(&id).map(|job| job.lane) {
            Some(Lane::Sync | Lane::Write) => pace.sync_us,
            Some(Lane::Save | Lane::Load) => pace.step_us,
            _ => pace.turn_us,
        };
        Micros(1 + dice.below(longest + 1))
    }

    /// Does a step of a job.
    pub(crate) fn step(&mut self, id: u64, disk: &dyn Disk, pace: Pace, dice: &mut Dice) -> Option<Stepped> {
        let pause = self.pause(id, pace, dice);
        let running = self.jobs.get_mut(&id)?;
        match running.job.step(disk) {
            Step::Again => Some(Stepped::Again(pause)),
            Step::Starved => Some(Stepped::Again(STARVED_WAIT)),
            Step::Done(result) => {
                // What the job held is free before its end is told.
                let InFlight { ticket, lane, .. } = self.jobs.remove(&id)?;
                let next = self.queues.get_mut(&(lane as u8)).and_then(|queue| {
                    queue.pop_front();
                    queue.front().copied()
                });
                Some(Stepped::Done { ticket, result, told_after: pause, next })
            }
        }
    }
}
