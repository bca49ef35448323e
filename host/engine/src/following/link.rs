//! The link to the primary: asked for, lost, given up.
//! Always: what is here of a synchronization whole is not asked for again, whatever becomes of the link; what is not goes.

use tenon_base::{ConnectionId, Micros, Now, Output, Peer, Ticket, World};
use tenon_config::Directive;

use super::arriving::Arriving;
use super::{Following, greeting};
use crate::engine::{Engine, Purpose};
use crate::sockets::outgoing_tls;

impl Engine {
    /// Asks for a connection to the primary.
    pub(crate) fn connect_to_primary(
        &mut self,
        (host, port): (String, u16),
        world: &mut World<'_>,
    ) -> Ticket {
        let ticket = self.ticket(Purpose::Link);
        let patience = Micros(greeting(&self.config).timeout.0.max(1));
        let source = Some(self.config.text_lossy(Directive::BindSourceAddr).into_owned());
        let (source, tls) = (source.filter(|source| !source.is_empty()), outgoing_tls(&self.config));
        world.outputs.request(Output::Connect { ticket, host, port, patience, source, tls });
        ticket
    }

    /// An attempt to connect has ended.
    pub(crate) fn linked(
        &mut self,
        now: Now,
        ticket: Ticket,
        result: Result<(ConnectionId, Peer), String>,
        world: &mut World<'_>,
    ) {
        if self.replication.following.as_ref().is_some_and(|one| one.aside.ticket == Some(ticket)) {
            return self.linked_aside(now, result, world);
        }
        let following = self.replication.following.as_mut().filter(|one| one.ticket == Some(ticket));
        match (following, result) {
            (Some(following), Ok((connection, peer))) => {
                following.ticket = None;
                following.peer = Some(peer);
                following.upstream.linked(now.steady, connection, world.outputs);
            }
            (Some(following), Err(reason)) => {
                tracing::warn!("Error condition on socket for SYNC: {reason}");
                following.ticket = None;
                following.upstream.lost(now.steady);
            }
            (None, Ok((connection, _))) => {
                world.outputs.request(Output::Close { connection, at_once: true });
            }
            (None, Err(_)) => {}
        }
    }

    pub(super) fn give_up_link(&mut self, now: Now, reason: &str, world: &mut World<'_>) {
        if let Some(following) = &mut self.replication.following {
            following.refuse(reason);
            following.give_up_aside();
        }
        self.drop_upstream(now, world);
        self.hand_over_refused(now, world);
    }

    /// The connection to the primary has ended.
    pub(crate) fn upstream_closed(&mut self, now: Now, connection: ConnectionId, world: &mut World<'_>) {
        let Some(following) = &mut self.replication.following else { return };
        if following.upstream.link() == Some(connection) {
            tracing::warn!("Connection with master lost.");
            if following.upstream.is_syncing() && !following.has_whole_snapshot() {
                following.upstream.refuse();
            }
            self.lose_upstream(now, world);
        } else if following.aside.link.as_ref().is_some_and(|link| link.link() == Some(connection)) {
            tracing::warn!("Connection with master lost, which the snapshot came over.");
            following.give_up_aside();
            self.tell_of_short_snapshot();
            self.drop_upstream(now, world);
        }
    }

    /// Ends the link to the primary; another attempt follows while it is followed.
    pub(crate) fn drop_upstream(&mut self, now: Now, world: &mut World<'_>) {
        self.close_upstream(now, world);
        self.forget_sync(world);
    }

    /// The link to the primary is of no use any more, or gone. What came over it is, if it is whole.
    pub(super) fn lose_upstream(&mut self, now: Now, world: &mut World<'_>) {
        let Some(following) = &mut self.replication.following else { return };
        if following.has_whole_snapshot() {
            tracing::info!(
                "All of the snapshot is here: the stream is asked for behind it once it is loaded"
            );
            following.aside.deaf = None;
            return self.close_upstream(now, world);
        }
        following.give_up_aside();
        self.tell_of_short_snapshot();
        self.drop_upstream(now, world);
    }

    fn close_upstream(&mut self, now: Now, world: &mut World<'_>) {
        let Some(following) = &mut self.replication.following else { return };
        if let Some(connection) = following.upstream.link() {
            world.outputs.request(Output::Close { connection, at_once: true });
        }
        following.upstream.lost(now.steady);
    }

    /// Lets go of what was not complete: it comes again.
    fn forget_sync(&mut self, world: &mut World<'_>) {
        let Some(following) = &mut self.replication.following else { return };
        following.aside.forget(world);
        if let Some(arriving) = following.forget_incoming(world) {
            self.free_elsewhere(arriving, world);
        }
    }
}

impl Following {
    /// Whether all of a snapshot is here that is not in its place, or of whose stream a part is still to be run.
    fn has_whole_snapshot(&self) -> bool {
        match &self.incoming {
            Some(incoming) => incoming.arriving().is_some_and(Arriving::has_come),
            None => self.aside.has_gathered(),
        }
    }
}
