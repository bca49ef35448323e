//! Connections come and go: who is let in, how a client is told what it did not ask for, and what ends with it.
//! Knows nothing of what is said on them.
//! Always: what a connection was part of forgets it when it ends.

use tenon_acl::UserId;
use tenon_base::{ConnectionId, Now, Output, Peer, World};
use tenon_config::Directive;
use tenon_resp::{Decoder, Proto, Reply};

use crate::engine::Engine;
use crate::session::{ReplyMode, Session};

impl Engine {
    /// Writes a reply outside a request: to a client that waited.
    pub(crate) fn answer(
        &mut self,
        connection: ConnectionId,
        world: &mut World<'_>,
        write: impl FnOnce(&mut Reply<'_>),
    ) {
        if let Some(session) = self.sessions.get(connection)
            && session.replies != ReplyMode::Off
        {
            write(&mut Reply::new(world.outputs.writer(connection), session.proto));
        }
    }

    /// Ends a session: at once, or when its replies are sent.
    pub(crate) fn close(&mut self, connection: ConnectionId, at_once: bool, world: &mut World<'_>) {
        self.forget_waiting(connection);
        if let Some(session) = self.sessions.get_mut(connection) {
            session.is_closing = true;
            if at_once && !std::mem::replace(&mut session.is_gone, true) {
                world.outputs.discard(connection.slot);
                session.decoder = Decoder::new();
                self.sessions.stop_counting(connection);
            }
            world.outputs.request(Output::Close { connection, at_once });
        }
    }

    /// Answers malformed bytes and closes the connection.
    pub(crate) fn refuse_protocol(
        &mut self,
        connection: ConnectionId,
        error: &tenon_resp::ProtocolError,
        world: &mut World<'_>,
    ) {
        tracing::debug!("Protocol error from client {}: {error}", connection.serial);
        self.stats.error_replies += 1;
        if self.sessions.get(connection).is_some_and(|session| session.replies != ReplyMode::Off) {
            error.write_reply(world.outputs.writer(connection));
        }
        self.close(connection, false, world);
    }

    pub(crate) fn connected(
        &mut self,
        now: Now,
        connection: ConnectionId,
        peer: Peer,
        world: &mut World<'_>,
    ) {
        self.stats.connections_received += 1;
        let refusal = self.refusal_of(&peer);
        let is_authenticated = self.users.is_open();
        self.sessions.insert(Session::new(connection, peer, now, is_authenticated));
        if let Some(text) = refusal {
            self.stats.connections_rejected += 1;
            Reply::new(world.outputs.writer(connection), Proto::Resp2).error(text);
            self.close(connection, false, world);
        }
    }

    /// A connection is gone, whose it was.
    pub(crate) fn ended(&mut self, now: Now, connection: ConnectionId, world: &mut World<'_>) {
        self.closed(connection);
        self.replication_closed(now, connection);
        self.upstream_closed(now, connection, world);
        self.target_closed(now, connection, world);
    }

    fn closed(&mut self, connection: ConnectionId) {
        self.forget_waiting(connection);
        self.unwatch(connection);
        self.unsubscribe_all(connection);
        self.untrack(connection);
        self.stop_monitoring(connection);
        self.sessions.remove(connection);
    }

    /// Why a new connection is turned away, if it is.
    fn refusal_of(&self, peer: &Peer) -> Option<&'static str> {
        if self.sessions.len() as i64 >= self.config.integer(Directive::MaxClients) {
            return Some("ERR max number of clients reached");
        }
        let is_protected = self.config.bool(Directive::ProtectedMode)
            && self.users[UserId::DEFAULT].needs_no_password()
            && !peer.is_local;
        is_protected.then_some(
            "DENIED Redis is running in protected mode because protected mode is enabled and no password is set \
             for the default user. In this mode connections are only accepted from the loopback interface. If \
             you want to connect from external computers to Redis you may adopt one of the following solutions: \
             1) Just disable protected mode sending the command 'CONFIG SET protected-mode no' from the loopback \
             interface by connecting to Redis from the same host the server is running, however MAKE SURE Redis \
             is not publicly accessible from internet if you do so. Use CONFIG REWRITE to make this change \
             permanent. 2) Alternatively you can just disable the protected mode by editing the Redis \
             configuration file, and setting the protected mode option to 'no', and then restarting the server. \
             3) If you started the server manually just for testing, restart it with the '--protected-mode no' \
             option. 4) Setup a an authentication password for the default user. NOTE: You only need to do one \
             of the above things in order for the server to start accepting connections from the outside.",
        )
    }
}
