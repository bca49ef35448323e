//! A session's transaction: what it has queued, and how EXEC runs that as one unit. The commands that speak of it are
//! in `server/transactions`; the keys it depends on in `watch`.
//! Always: the effects of an EXEC are one record; a queue is no larger than the query buffer may be.

use tenon_acl::Denied;
use tenon_base::{ConnectionId, Now, Stamp, World};
use tenon_commands::{CommandError, Flags};
use tenon_resp::{Args, OwnedArgs, Reply};

use crate::engine::Engine;
use crate::execute::write_error;
use crate::session::Session;
use crate::table::{Command, CommandId};

/// What a queued word takes beside its bytes, as Redis counts.
const WORD_BYTES: usize = 8;

/// What EXEC is only if everything is that it runs.
const ALL_MUST_HAVE: Flags = Flags::STALE.and(Flags::LOADING);

/// What a session has queued since MULTI.
#[derive(Default)]
pub(crate) struct Transaction {
    queue: Vec<(CommandId, OwnedArgs)>,
    /// How many were queued; stays while they run.
    pub(crate) count: usize,
    /// What the queue takes, as Redis counts it.
    pub(crate) bytes: usize,
    /// What the queued commands are, all together.
    flags: Flags,
    /// What one of them at least is not.
    missing: Flags,
    /// Something was refused while queueing: EXEC will refuse it all.
    pub(crate) is_broken: bool,
}

impl Transaction {
    fn push(&mut self, id: CommandId, flags: Flags, args: Args<'_>) {
        self.bytes += args.total_bytes() + args.len() * WORD_BYTES;
        self.flags = self.flags.and(flags);
        self.missing = self.missing.and(ALL_MUST_HAVE.without(flags));
        self.count += 1;
        self.queue.push((id, OwnedArgs::from(args)));
    }
}

/// Commands that are run at once in a transaction, not queued.
fn runs_at_once(command: &Command) -> bool {
    matches!(command.full_name.as_str(), "exec" | "discard" | "multi" | "watch" | "quit" | "reset")
}

impl Session {
    /// What a command of this session may do that has `flags` itself: EXEC is all that it runs, and queueing takes
    /// memory.
    pub(crate) fn effective_flags(&self, command: &Command, flags: Flags) -> Flags {
        let Some(transaction) = &self.transaction else { return flags };
        if command.name == "exec" {
            return flags.and(transaction.flags).without(transaction.missing);
        }
        let needs_room = !matches!(command.name, "discard" | "quit" | "reset");
        if needs_room { flags.and(Flags::DENYOOM) } else { flags }
    }
}

impl Engine {
    /// Queues a request of a session in a transaction, if it is one that is queued. The session is closed for a queue
    /// that grows too large.
    pub(crate) fn queue(
        &mut self,
        connection: ConnectionId,
        id: CommandId,
        args: Args<'_>,
        world: &mut World<'_>,
    ) -> bool {
        let command = &self.commands[id];
        if runs_at_once(command) {
            return false;
        }
        let flags = self.own_flags_of(command, args);
        let Some(session) = self.sessions.get_mut(connection) else { return false };
        let Some(transaction) = &mut session.transaction else { return false };
        // What will not run takes no room.
        if !transaction.is_broken && !session.is_dirty {
            transaction.push(id, flags, args);
        }
        let is_too_large =
            transaction.bytes + session.decoder.pending_bytes() > self.decode_limits.query_buffer_max;
        Reply::new(world.outputs.writer(connection), session.proto).simple("QUEUED");
        if is_too_large {
            tracing::warn!("Closing client {} that reached max query buffer length", connection.serial);
            self.close(connection, true, world);
        }
        true
    }

    /// Takes note that a request was refused: a transaction that it was meant for will not run, and a refused EXEC
    /// ends it, if there is one. Returns what is answered.
    #[cold]
    pub(crate) fn refused(
        &mut self,
        now: Now,
        connection: ConnectionId,
        command: Option<CommandId>,
        args: Args<'_>,
        refusal: CommandError,
        world: &mut World<'_>,
    ) -> CommandError {
        let session = self.sessions.get_mut(connection);
        if let Some(transaction) = session.and_then(|session| session.transaction.as_mut()) {
            transaction.is_broken = true;
        }
        let Some(exec) = command.filter(|&id| self.commands[id].name == "exec") else { return refusal };
        self.end_transaction(connection);
        // Monitors were told of MULTI: they are told of its end.
        self.feed_monitors(now, connection, exec, args, world);
        let reason = refusal.to_string();
        let reason = reason.strip_prefix("ERR ").unwrap_or(&reason);
        CommandError::Text(format!("EXECABORT Transaction discarded because of: {reason}").into())
    }

    /// Leaves the transaction and forgets the watched keys.
    pub(crate) fn end_transaction(&mut self, connection: ConnectionId) {
        self.unwatch(connection);
        if let Some(session) = self.sessions.get_mut(connection) {
            session.transaction = None;
            session.is_dirty = false;
        }
    }

    /// Runs what a session has queued, as one unit, and writes all replies.
    pub(crate) fn run_queue(&mut self, now: Now, connection: ConnectionId, world: &mut World<'_>) {
        let Some(session) = self.sessions.get_mut(connection) else { return };
        let Some(transaction) = &mut session.transaction else { return };
        let queue = std::mem::take(&mut transaction.queue);
        Reply::new(world.outputs.writer(connection), session.proto).array(queue.len());
        let began = self.mark;
        self.is_in_exec = true;
        let mut waits_for = None;
        for (id, request) in &queue {
            let stamp = self.run_queued(now, connection, *id, request.as_args(), world);
            waits_for = later(waits_for, stamp);
            self.check_output_limit(now, connection, world);
            if self.sessions.get(connection).is_some_and(|session| session.is_gone) {
                // The rest runs all the same; nobody reads what it answers.
                world.outputs.discard(connection.slot);
            }
        }
        self.is_in_exec = false;
        // What EXEC took is what all of it took.
        self.mark = began;
        self.reply_stamp = waits_for;
    }

    /// Runs one of the queued commands. Returns what its reply waits for if it saw what is not yet durable.
    fn run_queued(
        &mut self,
        now: Now,
        connection: ConnectionId,
        id: CommandId,
        args: Args<'_>,
        world: &mut World<'_>,
    ) -> Option<Stamp> {
        if let Some(refusal) = self.recheck(now, connection, id, args, world) {
            let session = self.sessions.get(connection)?;
            self.stats.count_error(&refusal);
            write_error(&mut Reply::new(world.outputs.writer(connection), session.proto), &refusal);
            return None;
        }
        let outcome = self.run(now, connection, id, args, world);
        let ended = world.stopwatch.read();
        let spent = ended.since(std::mem::replace(&mut self.mark, ended));
        if let (Err(error), Some(session)) = (&outcome, self.sessions.get(connection)) {
            self.stats.count_error(error);
            write_error(&mut Reply::new(world.outputs.writer(connection), session.proto), error);
        }
        self.note_call(now, id, spent, outcome.is_err());
        if spent >= self.slow_log.threshold {
            self.note_slow(now, connection, id, args, spent);
        }
        if !self.monitors.is_empty() {
            self.feed_monitors(now, connection, id, args, world);
        }
        // A script's reads may have seen what its words do not name.
        let own = self.reply_stamp.take();
        if self.durability.holds_reads() { later(own, self.stamp_of_read(connection, id, args)) } else { own }
    }
}

impl Engine {
    /// Whether the user may still run what was queued; what is answered if not.
    fn recheck(
        &mut self,
        now: Now,
        connection: ConnectionId,
        id: CommandId,
        args: Args<'_>,
        world: &mut World<'_>,
    ) -> Option<CommandError> {
        let user = self.sessions.get(connection)?.user;
        let denied = self.check_access(user, id, args).err()?;
        self.denied(now, connection, id, args, denied, world);
        let reason = match denied {
            Denied::Command => "no permission to run the command or subcommand",
            Denied::Key(_) => "no permission to touch the specified keys",
            Denied::Channel(_) => {
                "no permission to access one of the channels used as arguments to the command"
            }
        };
        let text = format!(
            "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This \
             command is no longer allowed for the following reason: {reason}"
        );
        Some(CommandError::Text(text.into()))
    }
}

/// The one of two stamps that is satisfied last.
pub(crate) fn later(one: Option<Stamp>, other: Option<Stamp>) -> Option<Stamp> {
    [one, other].into_iter().flatten().max_by_key(|stamp| stamp.position)
}

#[cfg(test)]
mod tests;
