//! `client-output-buffer-limit`: clients that do not read what they are sent are closed, so that memory stays bounded.
//! Always: what fits into a client's own first buffer never counts, and beyond it all bytes do (Redis counts blocks as
//! large as that buffer); a client that is over its limit is sent nothing more.

use tenon_base::{ConnectionId, Now, World};
use tenon_config::{OutputLimit, OutputLimits};

use crate::engine::Engine;
use crate::server::client_line;
use crate::session::{ClientType, Session};

/// Bytes of pending replies that Redis keeps in a client's own buffer.
pub(crate) const OWN_BUFFER_BYTES: usize = 16 * 1024;

/// What may be written to a client before it is closed for it.
pub(crate) fn reply_bytes_max(limits: &OutputLimits, session: &Session) -> usize {
    match limit_of(limits, session).hard_bytes {
        0 => usize::MAX,
        hard => usize::try_from(hard).unwrap_or(usize::MAX).max(OWN_BUFFER_BYTES),
    }
}

/// A primary's connection counts as an ordinary one.
fn limit_of(limits: &OutputLimits, session: &Session) -> OutputLimit {
    match ClientType::of(session) {
        ClientType::Normal | ClientType::Primary => limits.normal,
        ClientType::Replica => limits.replica,
        ClientType::Pubsub => limits.pubsub,
    }
}

impl Engine {
    /// Closes a client that has been sent too much. To be asked whenever something was written to it.
    #[inline]
    pub(crate) fn check_output_limit(&mut self, now: Now, connection: ConnectionId, world: &mut World<'_>) {
        if world.outputs.pending_bytes(connection.slot) > OWN_BUFFER_BYTES
            && self.is_over_output_limit(now, connection, world)
        {
            self.close_over_limit(now, connection, "scheduled to be closed ASAP", world);
        }
    }

    /// Closes those that have been over a soft limit for too long, though nothing more is written to them.
    pub(crate) fn close_over_soft_limit(&mut self, now: Now, world: &mut World<'_>) {
        for connection in std::mem::take(&mut self.over_soft_limit) {
            if self.is_over_output_limit(now, connection, world) {
                self.close_over_limit(now, connection, "closed", world);
                continue;
            }
            if self.sessions.get(connection).is_some_and(|session| session.over_soft_limit_since.is_some()) {
                self.over_soft_limit.insert(connection);
            }
        }
    }

    #[cold]
    fn is_over_output_limit(&mut self, now: Now, connection: ConnectionId, world: &mut World<'_>) -> bool {
        let pending = world.outputs.pending_bytes(connection.slot);
        let Some(session) = self.sessions.get_mut(connection) else { return false };
        // What a replica may leave unread its primary knows: it shares the backlog.
        if session.is_gone || session.is_replica {
            return false;
        }
        let limit = limit_of(&self.output_limits, session);
        let reaches = |bytes: u64| bytes > 0 && pending > OWN_BUFFER_BYTES && pending as u64 >= bytes;
        if reaches(limit.hard_bytes) {
            return true;
        }
        if !reaches(limit.soft_bytes) {
            session.over_soft_limit_since = None;
            return false;
        }
        // Whole seconds, as Redis counts them.
        let second = now.steady.millis() / 1_000;
        let Some(since) = session.over_soft_limit_since else {
            session.over_soft_limit_since = Some(second);
            self.over_soft_limit.insert(connection);
            return false;
        };
        second - since > limit.soft_seconds
    }

    fn close_over_limit(&mut self, now: Now, connection: ConnectionId, how: &str, world: &mut World<'_>) {
        if let Some(session) = self.sessions.get(connection) {
            let line = client_line(self, world.outputs, now, session);
            tracing::warn!("Client {line} {how} for overcoming of output buffer limits.");
        }
        self.close(connection, true, world);
    }
}
