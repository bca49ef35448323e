//! What is going to happen in a world, the earliest first; of what happens at one moment, the first that was said.

use std::any::Any;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

use tenon_base::{Micros, Ticket};

use crate::network::Place;

/// Events and their times.
#[derive(Default)]
pub(super) struct Queue {
    events: BinaryHeap<Scheduled>,
    added: u64,
}

/// What can happen.
pub(super) enum Event {
    Moment(u64),
    Settle(Place),
    Step(Place, u64),
    Completed(Place, Ticket, Box<dyn Any + Send>),
    Listened(Place, Ticket),
    Linked(Place, Ticket, Option<usize>),
    Arrive { link: usize, side: usize, bytes: Vec<u8> },
    HungUp { link: usize, side: usize },
}

struct Scheduled {
    at: Micros,
    order: u64,
    event: Event,
}

impl Queue {
    pub(super) fn add(&mut self, at: Micros, event: Event) {
        self.added += 1;
        self.events.push(Scheduled { at, order: self.added, event });
    }

    pub(super) fn next(&mut self) -> Option<(Micros, Event)> {
        self.events.pop().map(|Scheduled { at, event, .. }| (at, event))
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Scheduled) -> bool {
        self.order == other.order
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Scheduled) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The queue gives its greatest first: that is to be the earliest.
impl Ord for Scheduled {
    fn cmp(&self, other: &Scheduled) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}
