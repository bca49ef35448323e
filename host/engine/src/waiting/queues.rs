//! Who waits for which keys, in which order, and until when. Bookkeeping alone: runs nothing, answers nobody.
//! Always: whoever waits stands once in the queue of each of its keys, in order of arrival; no step goes over all
//! clients or all keys, but for a database whose keys all changed at once.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Bound;

use tenon_base::{ConnectionId, Micros};
use tenon_commands::{Concerns, Touched};
use tenon_keyspace::Kind;
use tenon_resp::OwnedArgs;

use crate::table::CommandId;

/// Counts those who came to wait; so it is their order, too.
pub(super) type Turn = u64;

/// A key by its hash. Another key with the same hash is looked at in vain, no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) database: u32,
    pub(super) hash: u64,
}

/// A request that waits.
pub(super) struct Waiter {
    pub(super) connection: ConnectionId,
    pub(super) command: CommandId,
    /// What runs again.
    pub(super) request: OwnedArgs,
    pub(super) kind: Kind,
    pub(super) wakes_when_gone: bool,
    /// What its runs have taken so far.
    pub(super) spent: Micros,
    pub(super) deadline: Option<Micros>,
    pub(super) database: u32,
    /// By hash.
    pub(super) keys: BTreeMap<u64, Box<[u8]>>,
}

/// Those who wait for one key.
#[derive(Default)]
struct Queue {
    members: BTreeSet<Turn>,
    /// How many of them run again when the key is gone.
    wanting_gone: usize,
    /// Whether it is in line to be looked at.
    is_ready: bool,
}

/// All that wait.
#[derive(Default)]
pub(crate) struct Queues {
    waiters: BTreeMap<Turn, Waiter>,
    /// By the serial number of the connection.
    turns: HashMap<u64, Turn>,
    queues: BTreeMap<Place, Queue>,
    deadlines: BTreeSet<(Micros, Turn)>,
    /// Keys that changed, in the order in which they did.
    ready: VecDeque<Place>,
    queues_wanting_gone: usize,
    next_turn: Turn,
}

impl Queues {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// Keys that somebody waits for.
    pub(crate) fn keys(&self) -> usize {
        self.queues.len()
    }

    /// Keys that somebody waits for who wants to know of their end.
    pub(crate) fn keys_wanting_gone(&self) -> usize {
        self.queues_wanting_gone
    }

    /// Clients that do not wait for ever.
    pub(crate) fn deadlines(&self) -> usize {
        self.deadlines.len()
    }

    /// Puts somebody at the end of all their queues.
    pub(super) fn add(&mut self, waiter: Waiter) {
        let turn = self.next_turn;
        self.next_turn += 1;
        for &hash in waiter.keys.keys() {
            let queue = self.queues.entry(Place { database: waiter.database, hash }).or_default();
            queue.members.insert(turn);
            if waiter.wakes_when_gone {
                queue.wanting_gone += 1;
                self.queues_wanting_gone += usize::from(queue.wanting_gone == 1);
            }
        }
        if let Some(deadline) = waiter.deadline {
            self.deadlines.insert((deadline, turn));
        }
        self.turns.insert(waiter.connection.serial, turn);
        self.waiters.insert(turn, waiter);
    }

    /// Takes somebody out of all their queues.
    pub(super) fn remove(&mut self, turn: Turn) -> Option<Waiter> {
        let waiter = self.waiters.remove(&turn)?;
        for &hash in waiter.keys.keys() {
            let place = Place { database: waiter.database, hash };
            let Some(queue) = self.queues.get_mut(&place) else { continue };
            queue.members.remove(&turn);
            if waiter.wakes_when_gone {
                queue.wanting_gone -= 1;
                self.queues_wanting_gone -= usize::from(queue.wanting_gone == 0);
            }
            if queue.members.is_empty() {
                self.queues.remove(&place);
            }
        }
        if let Some(deadline) = waiter.deadline {
            self.deadlines.remove(&(deadline, turn));
        }
        self.turns.remove(&waiter.connection.serial);
        Some(waiter)
    }

    /// The turn of the connection with this serial number, if it waits.
    pub(super) fn turn_of(&self, serial: u64) -> Option<Turn> {
        self.turns.get(&serial).copied()
    }

    pub(super) fn waiter(&self, turn: Turn) -> Option<&Waiter> {
        self.waiters.get(&turn)
    }

    pub(super) fn waiter_mut(&mut self, turn: Turn) -> Option<&mut Waiter> {
        self.waiters.get_mut(&turn)
    }

    /// Whoever came first of all.
    pub(super) fn first(&self) -> Option<Turn> {
        self.waiters.keys().next().copied()
    }

    /// Puts keys in line that changed, if somebody waits for them.
    pub(crate) fn note(&mut self, touched: &[Touched], databases: &[u32]) {
        for key in touched.iter().filter(|key| key.concerns != Concerns::Nobody) {
            self.line_up(Place { database: key.database, hash: key.hash });
        }
        for &database in databases {
            let all = Place { database, hash: 0 }..=Place { database, hash: u64::MAX };
            let mut places: Vec<(Option<Turn>, Place)> = self
                .queues
                .range(all)
                .map(|(place, queue)| (queue.members.first().copied(), *place))
                .collect();
            places.sort_unstable();
            places.into_iter().for_each(|(_, place)| self.line_up(place));
        }
    }

    fn line_up(&mut self, place: Place) {
        if let Some(queue) = self.queues.get_mut(&place)
            && !std::mem::replace(&mut queue.is_ready, true)
        {
            self.ready.push_back(place);
        }
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The key that is next in line, with the last of those who wait for it now.
    pub(super) fn next_ready(&mut self) -> Option<(Place, Turn)> {
        while let Some(place) = self.ready.pop_front() {
            if let Some(queue) = self.queues.get_mut(&place) {
                queue.is_ready = false;
                if let Some(&last) = queue.members.last() {
                    return Some((place, last));
                }
            }
        }
        None
    }

    /// Puts a key back in front.
    pub(super) fn put_back(&mut self, place: Place) {
        if let Some(queue) = self.queues.get_mut(&place)
            && !std::mem::replace(&mut queue.is_ready, true)
        {
            self.ready.push_front(place);
        }
    }

    /// Who waits for a key next after `turn`, or first.
    pub(super) fn next_at(&self, place: Place, turn: Option<Turn>) -> Option<Turn> {
        let from = turn.map_or(Bound::Unbounded, Bound::Excluded);
        self.queues.get(&place)?.members.range((from, Bound::Unbounded)).next().copied()
    }

    /// Whether anybody wants to know that a key is gone.
    pub(super) fn wants_gone(&self, place: Place) -> bool {
        self.queues.get(&place).is_some_and(|queue| queue.wanting_gone > 0)
    }

    /// The earliest moment at which somebody has waited long enough.
    pub(super) fn next_deadline(&self) -> Option<Micros> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Somebody who has waited long enough.
    pub(super) fn due(&self, now: Micros) -> Option<Turn> {
        self.deadlines.first().filter(|(deadline, _)| *deadline <= now).map(|(_, turn)| *turn)
    }
}
