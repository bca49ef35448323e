//! Requests that wait for keys: parked when they have no answer yet, run again when one of their keys has changed,
//! answered with nothing when their time is up.
//! Always: a key that changed is looked at before any other request runs; whoever waits for it is served in order of
//! arrival, each as a unit of its own; whoever cannot be served keeps their place and their deadline.

mod queues; // read me first

use std::collections::VecDeque;

use tenon_base::{ConnectionId, Micros, Now, World};
use tenon_commands::{CommandError, Wait};
use tenon_resp::{Args, OwnedArgs, Reply};

use self::queues::{Place, Queues, Turn, Waiter};
use crate::engine::Engine;
use crate::execute::write_error;
use crate::session::Parked;
use crate::table::CommandId;

/// What a client learns that waited for what can no longer come.
pub(crate) const FORCED: CommandError = CommandError::text(
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
);

/// Everybody who waits, and who need not any more.
#[derive(Default)]
pub(crate) struct Waiting {
    pub(crate) queues: Queues,
    /// Whose request runs again just now.
    retrying: Option<Turn>,
    /// Clients that were answered: what they sent meanwhile runs when the turn settles.
    answered: VecDeque<ConnectionId>,
}

impl Waiting {
    /// What earlier runs of the request that runs have taken.
    pub(crate) fn spent_before(&self) -> Micros {
        let waiter = self.retrying.and_then(|turn| self.queues.waiter(turn));
        waiter.map_or(Micros(0), |waiter| waiter.spent)
    }

    /// Whether the request that runs has run before.
    pub(crate) fn is_retrying(&self) -> bool {
        self.retrying.is_some()
    }

    /// When settling is due if nothing else happens.
    pub(crate) fn wake_at(&self) -> Option<Micros> {
        if self.answered.is_empty() { self.queues.next_deadline() } else { Some(Micros(0)) }
    }
}

impl Engine {
    /// Parks a session whose request has no answer yet; `spent` is what its runs have taken.
    pub(crate) fn park_waiting(
        &mut self,
        connection: ConnectionId,
        command: CommandId,
        args: Args<'_>,
        wait: Wait,
        spent: Micros,
    ) {
        let Some(session) = self.sessions.get_mut(connection) else { return };
        session.parked = Some(Parked::Waiting);
        if let Some(turn) = self.waiting.retrying.take()
            && let Some(waiter) = self.waiting.queues.waiter_mut(turn)
        {
            waiter.spent = spent;
            return;
        }
        let Wait { keys, kind, timeout, wakes_when_gone, request, empty: _ } = wait;
        let index = session.database;
        let database = self.keyspace.db(index);
        self.waiting.queues.add(Waiter {
            connection,
            command,
            request: request.unwrap_or_else(|| OwnedArgs::from(args)),
            kind,
            wakes_when_gone,
            spent,
            // The turn may have begun long before this request: nobody's time is up early.
            deadline: timeout.map(|millis| self.mark + Micros::from_millis(millis)),
            database: index as u32,
            keys: keys.into_iter().map(|key| (database.hash(&key), key)).collect(),
        });
        self.listen_to_units();
    }

    /// Serves who waits for keys that have changed, until no more keys are ready. Everybody else waits.
    #[inline]
    pub(crate) fn serve_waiting(&mut self, world: &mut World<'_>) {
        if self.waiting.queues.has_ready() {
            self.serve_ready(world);
        }
    }

    fn serve_ready(&mut self, world: &mut World<'_>) {
        // What made the keys ready may have taken long enough for them to expire.
        let now = Now { steady: self.mark, unix_us: world.stopwatch.unix_us() };
        while !self.durability.is_full()
            && let Some((place, last)) = self.waiting.queues.next_ready()
        {
            let mut served = None;
            while let Some(turn) = self.waiting.queues.next_at(place, served).filter(|&turn| turn <= last) {
                served = Some(turn);
                if self.durability.is_full() {
                    self.waiting.queues.put_back(place);
                    return;
                }
                match self.is_ready_for(now, place, turn) {
                    Readiness::Ready => self.run_again(now, turn, world),
                    Readiness::NotForThem => {}
                    Readiness::ForNobody => break,
                }
            }
        }
    }

    /// Whether a key has what somebody waits for.
    fn is_ready_for(&self, now: Now, place: Place, turn: Turn) -> Readiness {
        let queues = &self.waiting.queues;
        let Some(waiter) = queues.waiter(turn) else { return Readiness::NotForThem };
        let key = waiter.keys.get(&place.hash).expect("whoever waits for a key knows it");
        let found = self.keyspace.db(place.database as usize).find(key);
        let found = found.filter(|entry| entry.expires_at().is_none_or(|at| at >= now.unix()));
        match found.map(|entry| entry.kind()) {
            None if !queues.wants_gone(place) => Readiness::ForNobody,
            Some(kind) if kind == waiter.kind => Readiness::Ready,
            _ if waiter.wakes_when_gone => Readiness::Ready,
            _ => Readiness::NotForThem,
        }
    }

    fn run_again(&mut self, now: Now, turn: Turn, world: &mut World<'_>) {
        let Some(waiter) = self.waiting.queues.waiter_mut(turn) else { return };
        let (connection, command) = (waiter.connection, waiter.command);
        let request = std::mem::take(&mut waiter.request);
        let Some(session) = self.sessions.get_mut(connection) else { return };
        session.parked = None;
        self.waiting.retrying = Some(turn);
        self.execute(now, connection, Some(command), request.as_args(), world);
        if self.waiting.retrying.take().is_some() {
            self.waiting.queues.remove(turn);
            self.waiting.answered.push_back(connection);
            self.listen_to_units();
        } else if let Some(waiter) = self.waiting.queues.waiter_mut(turn) {
            waiter.request = request;
        }
    }

    /// Answers those whose time is up, serves what has become ready, and runs what the answered have sent meanwhile.
    pub(crate) fn settle_waiting(&mut self, now: Now, world: &mut World<'_>) {
        while let Some(turn) = self.waiting.queues.due(now.steady) {
            self.end_wait(now, turn, None, world);
        }
        if self.waiting.queues.has_ready() {
            self.mark = world.stopwatch.read();
            self.serve_ready(world);
        }
        while let Some(connection) = self.waiting.answered.pop_front() {
            self.run_kept(now, connection, world);
        }
    }

    /// Ends the waiting of the client with this serial number, as if its time were up or with an error. Says whether
    /// it waited.
    pub(crate) fn unblock(
        &mut self,
        now: Now,
        serial: u64,
        error: Option<&CommandError>,
        world: &mut World<'_>,
    ) -> bool {
        let Some(turn) = self.waiting.queues.turn_of(serial) else { return false };
        self.end_wait(now, turn, error, world);
        true
    }

    /// Ends all waiting with an error, and the connections of those who waited: what they wait for can no longer
    /// come, because this is no longer the place where it is written.
    pub fn unblock_all(&mut self, now: Now, world: &mut World<'_>) {
        while let Some(turn) = self.waiting.queues.first() {
            let connection = self.waiting.queues.waiter(turn).map(|waiter| waiter.connection);
            self.end_wait(now, turn, Some(&FORCED), world);
            if let Some(connection) = connection {
                self.close(connection, false, world);
            }
        }
    }

    /// Forgets a client that is gone.
    pub(crate) fn forget_waiting(&mut self, connection: ConnectionId) {
        if let Some(turn) = self.waiting.queues.turn_of(connection.serial) {
            self.waiting.queues.remove(turn);
            self.listen_to_units();
        }
    }

    /// Answers with nothing or an error; the request counts as called now.
    fn end_wait(&mut self, now: Now, turn: Turn, error: Option<&CommandError>, world: &mut World<'_>) {
        let Some(waiter) = self.waiting.queues.remove(turn) else { return };
        self.listen_to_units();
        let Waiter { connection, command, request, spent, .. } = waiter;
        let Some(session) = self.sessions.get_mut(connection) else { return };
        session.parked = None;
        let start = world.outputs.writer(connection).len();
        let mut reply = Reply::new(world.outputs.writer(connection), session.proto);
        match error {
            None => reply.null_array(),
            Some(error) => {
                write_error(&mut reply, error);
                self.stats.count_error(error);
            }
        }
        self.end_reply(now, connection, Some(command), start, world);
        self.note_call(now, command, spent, error.is_some());
        if spent >= self.slow_log.threshold {
            self.note_slow(now, connection, command, request.as_args(), spent);
        }
        self.waiting.answered.push_back(connection);
    }
}

/// What a changed key is to somebody who waits for it.
enum Readiness {
    /// Their request runs again.
    Ready,
    /// Somebody behind them may be served.
    NotForThem,
    /// Nobody can be.
    ForNobody,
}

#[cfg(test)]
mod tests;
