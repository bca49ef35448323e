//! SHUTDOWN lets the replicas catch up before the server leaves: writes are kept meanwhile, and the replicas are asked
//! how far they are, for `shutdown-timeout` seconds at most.
//! Always: it ends with the server gone, or with an answer to everybody who asked and the kept writes run.

use tenon_base::{ConnectionId, Micros, Now, World};
use tenon_config::{Directive, ShutdownMode};
use tenon_replication::State;

use crate::engine::Engine;
use crate::server::shutdown::{REFUSED, leave};
use crate::session::Parked;

/// A shutdown that waits for replicas.
pub(crate) struct Departure {
    mode: ShutdownMode,
    deadline: Micros,
    /// Who asked for it; a signal asks for nobody.
    clients: Vec<ConnectionId>,
}

/// What came of asking to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Departing {
    /// The server ends with this turn.
    Gone,
    /// The replicas are waited for.
    Waits,
    /// It cannot end; the log says why.
    Refused,
}

impl Engine {
    /// Leaves, at once or when the replicas have everything.
    pub(crate) fn depart(
        &mut self,
        now: Now,
        mode: ShutdownMode,
        client: Option<ConnectionId>,
        world: &mut World<'_>,
    ) -> Departing {
        if let Some(departure) = &mut self.departure {
            departure.clients.extend(client);
            if mode.now {
                departure.mode = mode;
                departure.deadline = now.steady;
            }
            self.park_until_departure(client);
            return Departing::Waits;
        }
        let seconds = u64::try_from(self.config.integer(Directive::ShutdownTimeout)).unwrap_or(0);
        // What is running or loading must end now, so nobody can be waited for.
        let may_wait = !mode.now && self.scripts.running.is_none() && self.load.is_none() && self.is_started;
        if may_wait && seconds > 0 && self.lagging_replicas() > 0 {
            tracing::info!("Waiting for replicas before shutting down.");
            let deadline = now.steady + Micros::from_millis(seconds.saturating_mul(1_000));
            self.departure = Some(Departure { mode, deadline, clients: client.into_iter().collect() });
            self.park_until_departure(client);
            self.pause.hold_for_departure(true);
            self.replication.primary.want_acks();
            return Departing::Waits;
        }
        self.tell_of_replicas(now);
        if leave(self, now, mode, world).is_ok() { Departing::Gone } else { Departing::Refused }
    }

    /// Milliseconds until a shutdown that waits waits no longer.
    pub(crate) fn departs_in_ms(&self, now: Micros) -> Option<u64> {
        self.departure.as_ref().map(|departure| departure.deadline.since(now).millis())
    }

    /// When settling is due for it.
    pub(crate) fn departs_at(&self) -> Option<Micros> {
        self.departure.as_ref().map(|departure| departure.deadline)
    }

    /// Leaves if the replicas have everything, or if they have had their time.
    pub(crate) fn settle_departure(&mut self, now: Now, world: &mut World<'_>) {
        let is_due = |departure: &mut Departure| departure.deadline <= now.steady;
        let has_all = self.departure.is_some() && self.lagging_replicas() == 0;
        let Some(departure) = self.departure.take_if(|departure| has_all || is_due(departure)) else {
            return;
        };
        self.tell_of_replicas(now);
        if leave(self, now, departure.mode, world).is_err() {
            tracing::warn!("Errors trying to shut down the server. Check the logs for more information.");
            self.stay(now, departure, world);
        }
    }

    /// Ends the waiting: the server stays. Says whether there was any.
    pub(crate) fn cancel_departure(&mut self, now: Now, world: &mut World<'_>) -> bool {
        let departure = self.departure.take();
        let was_waiting = departure.is_some();
        if let Some(departure) = departure {
            self.stay(now, departure, world);
        }
        was_waiting
    }

    fn stay(&mut self, now: Now, departure: Departure, world: &mut World<'_>) {
        self.pause.hold_for_departure(false);
        for connection in departure.clients {
            let Some(session) = self.sessions.get_mut(connection) else { continue };
            session.parked = None;
            self.stats.error_replies += 1;
            self.answer(connection, world, |reply| reply.error(REFUSED));
            self.resume(now, connection, world);
        }
    }

    fn park_until_departure(&mut self, client: Option<ConnectionId>) {
        if let Some(session) = client.and_then(|connection| self.sessions.get_mut(connection)) {
            session.parked = Some(Parked::Wait);
        }
    }

    fn lagging_replicas(&self) -> usize {
        let offset = self.journal.offset();
        self.replication.primary.replicas().iter().filter(|replica| replica.acked != offset).count()
    }

    /// What each replica lacks goes to the log.
    fn tell_of_replicas(&self, now: Now) {
        let (replicas, offset) = (self.replication.primary.replicas(), self.journal.offset());
        if replicas.is_empty() {
            return;
        }
        for replica in replicas.iter().filter(|replica| replica.acked != offset) {
            let lag = if replica.state == State::Online { replica.lag_seconds(now.steady) } else { 0 };
            tracing::info!(
                "Lagging replica {}:{} reported offset {} behind master, lag={lag}, state={}.",
                replica.address,
                replica.handshake.listening_port,
                offset.0.saturating_sub(replica.acked.0),
                replica.state.name(),
            );
        }
        let synced = replicas.len() - self.lagging_replicas();
        tracing::info!("{synced} of {} replicas are in sync when shutting down.", replicas.len());
    }
}
