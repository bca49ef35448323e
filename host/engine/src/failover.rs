//! FAILOVER: a primary hands its place to a replica of its own. It stops writing, waits until a replica has everything,
//! follows that one and asks it to be the primary.
//! Always: while this lasts nothing is written here; it ends with a primary, this one or the other.

use tenon_base::{Micros, Now, World};
use tenon_config::Directive;
use tenon_replication::State as ReplicaState;

use crate::engine::Engine;
use crate::following::Following;

/// A failover, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Failover {
    state: State,
    target: Option<(String, u16)>,
    deadline: Option<Micros>,
    is_forced: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    None,
    /// Nothing is written, and a replica catches up.
    WaitsForSync,
    /// A replica was asked to be the primary.
    InProgress,
}

impl Failover {
    /// A failover that begins: to this replica, or to any.
    pub(crate) fn new(target: Option<(String, u16)>, deadline: Option<Micros>, is_forced: bool) -> Failover {
        Failover { state: State::WaitsForSync, target, deadline, is_forced }
    }

    /// Whether there is one.
    pub(crate) fn is_running(&self) -> bool {
        self.state != State::None
    }

    /// As INFO calls it.
    pub(crate) fn state_name(&self) -> &'static str {
        match self.state {
            State::None => "no-failover",
            State::WaitsForSync => "waiting-for-sync",
            State::InProgress => "failover-in-progress",
        }
    }

    /// When settling is due if nothing else happens.
    pub(crate) fn wake_at(&self) -> Option<Micros> {
        self.deadline.filter(|_| self.state == State::WaitsForSync)
    }

    fn target_name(&self) -> String {
        self.target.as_ref().map_or_else(|| "any replica".to_owned(), |(host, port)| format!("{host}:{port}"))
    }
}

impl Engine {
    /// Begins a failover.
    pub(crate) fn begin_failover(&mut self, failover: Failover) {
        tracing::info!("FAILOVER requested to {}.", failover.target_name());
        self.failover = failover;
        self.pause.hold_for_failover(true);
        self.replication.primary.want_acks();
    }

    /// Ends a failover that has not succeeded: this is the primary, as before.
    pub(crate) fn abort_failover(&mut self, now: Now, reason: &str, world: &mut World<'_>) {
        if !self.failover.is_running() {
            return;
        }
        tracing::info!("FAILOVER to {} aborted: {reason}", self.failover.target_name());
        if self.failover.state == State::InProgress {
            self.stop_following(now, world);
            self.forget_configured_primary();
        }
        self.end_failover();
    }

    /// Hands over once a replica has everything, or once time is up.
    pub(crate) fn settle_failover(&mut self, now: Now, world: &mut World<'_>) {
        if self.failover.state != State::WaitsForSync {
            return;
        }
        if self.failover.deadline.is_some_and(|deadline| deadline <= now.steady) {
            if !self.failover.is_forced {
                return self.abort_failover(now, "Replica never caught up before timeout", world);
            }
            tracing::info!("FAILOVER to {} time out exceeded, failing over.", self.failover.target_name());
            return self.hand_over(now, world);
        }
        let offset = self.journal.offset();
        let has_everything = |replica: &&tenon_replication::Replica| {
            let name = (replica.address.as_str(), replica.handshake.listening_port);
            let is_meant =
                self.failover.target.as_ref().is_none_or(|(host, port)| name == (host, i64::from(*port)));
            is_meant && replica.state == ReplicaState::Online && replica.acked == offset
        };
        if let Some(replica) = self.replication.primary.replicas().iter().find(has_everything) {
            let port = u16::try_from(replica.handshake.listening_port).unwrap_or(0);
            self.failover.target = Some((replica.address.clone(), port));
            tracing::info!("Failover target {} is synced, failing over.", self.failover.target_name());
            self.hand_over(now, world);
        }
    }

    fn hand_over(&mut self, now: Now, world: &mut World<'_>) {
        let Some((host, port)) = self.failover.target.clone() else { return };
        self.failover.state = State::InProgress;
        let words = [host.clone(), port.to_string()];
        if let Err(reason) = self.config.replace(Directive::ReplicaOf, &words) {
            return self.abort_failover(now, &reason, world);
        }
        self.follow(now, host, port, world);
        if let Some(following) = &mut self.replication.following {
            following.upstream.hand_over(true);
        }
    }

    /// Whom we follow has taken our place.
    pub(crate) fn handed_over(&mut self, following: &mut Following) {
        following.upstream.hand_over(false);
        if self.failover.is_running() {
            self.end_failover();
        }
    }

    /// Whom we follow does not want to be the primary, if it was asked.
    pub(crate) fn hand_over_refused(&mut self, now: Now, world: &mut World<'_>) {
        if self.failover.state == State::InProgress {
            self.abort_failover(now, "Failover target rejected psync request", world);
        }
    }

    fn forget_configured_primary(&mut self) {
        if let Err(reason) = self.config.replace(Directive::ReplicaOf, &["no", "one"]) {
            tracing::warn!("The configuration still names a primary: {reason}");
        }
    }

    fn end_failover(&mut self) {
        self.failover = Failover::default();
        self.pause.hold_for_failover(false);
    }
}
