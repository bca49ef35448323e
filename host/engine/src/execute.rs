//! From bytes to requests: decode everything that came, then pass it on in groups whose keys are fetched ahead,
//! request by request through the gates.
//! Always: a request's reply is written behind those of the requests before it.

use tenon_base::{ConnectionId, Now, SegmentKind, World};
use tenon_commands::{CommandError, Flags, Outcome};
use tenon_resp::{Args, Batch, Reply};

use crate::engine::Engine;
use crate::gates::{self, Refusal};
use crate::look_ahead::GROUP;
use crate::session::{Parked, ReplyMode};
use crate::table::CommandId;

/// What to do after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Next,
    /// The session is parked or closing: what is left of the batch is kept.
    Stop,
}

impl Engine {
    /// Takes in bytes of one connection and runs what they complete.
    pub(crate) fn received(
        &mut self,
        now: Now,
        connection: ConnectionId,
        bytes: &[u8],
        world: &mut World<'_>,
    ) {
        let Some(session) = self.sessions.get_mut(connection) else {
            if !self.received_from_target(now, connection, bytes, world) {
                self.received_from_upstream(now, connection, bytes, world);
            }
            return;
        };
        session.last_heard = now.steady;
        session.bytes_in += bytes.len() as u64;
        self.stats.net_input_bytes += bytes.len() as u64;
        self.stats.reads += 1;
        if session.is_replica && bytes.iter().all(|byte| *byte == b'\n') {
            self.replication.primary.heard_sign(now.steady, connection);
        }
        if !session.is_runnable() {
            self.keep_for_later(connection, bytes, world);
            self.sessions.count_bytes(connection);
            return;
        }
        self.run_bytes(now, connection, bytes, world);
        self.sessions.count_bytes(connection);
    }

    /// Runs what a session kept while it was parked for a job, which has ended.
    pub(crate) fn resume(&mut self, now: Now, connection: ConnectionId, world: &mut World<'_>) {
        let Some(session) = self.sessions.get_mut(connection) else { return };
        if matches!(session.parked, Some(Parked::Job)) {
            session.parked = None;
        }
        self.run_kept(now, connection, world);
    }

    /// Runs the requests that were kept whole, each with what came behind it.
    pub(crate) fn run_kept_whole(
        &mut self,
        now: Now,
        kept: impl IntoIterator<Item = ConnectionId>,
        world: &mut World<'_>,
    ) {
        self.mark = world.stopwatch.read();
        for connection in kept {
            let Some(session) = self.sessions.get_mut(connection) else { continue };
            let Some(Parked::Again(request)) = session.parked.take() else { continue };
            let command = self.commands.find(request.as_args().get(0));
            self.execute(now, connection, command, request.as_args(), world);
            self.serve_waiting(world);
            self.run_kept(now, connection, world);
        }
    }

    /// Runs what a session kept, unless it is parked for something else by now.
    pub(crate) fn run_kept(&mut self, now: Now, connection: ConnectionId, world: &mut World<'_>) {
        let Some(session) = self.sessions.get_mut(connection) else { return };
        if session.decoder.has_kept() && session.is_runnable() {
            self.run_bytes(now, connection, &[], world);
            self.sessions.count_bytes(connection);
        }
    }

    fn run_bytes(&mut self, now: Now, connection: ConnectionId, bytes: &[u8], world: &mut World<'_>) {
        let mut batch = std::mem::take(&mut self.batch);
        let mut bytes = bytes;
        while let Some(session) = self.sessions.get_mut(connection) {
            self.decode_limits.authenticated = session.is_authenticated || self.users.is_open();
            let decoded = session.decoder.decode(bytes, &self.decode_limits, &mut batch);
            let executed = self.run_batch(now, connection, &batch, bytes, world);
            let is_whole = executed == batch.len();
            let Some(session) = self.sessions.get_mut(connection) else { break };
            if session.is_closing {
                break;
            }
            if let (Err(error), true) = (&decoded, is_whole) {
                self.refuse_protocol(connection, error, world);
                break;
            }
            session.decoder.keep_rest(&mut batch, executed, bytes);
            // More than one decode's worth of requests had come, all of it already here.
            if !session.is_runnable() || !session.decoder.has_kept() || decoded.is_err() {
                break;
            }
            bytes = &[];
        }
        batch.clear();
        self.batch = batch;
    }

    /// Runs the requests of a batch; returns how many were run.
    fn run_batch(
        &mut self,
        now: Now,
        connection: ConnectionId,
        batch: &Batch,
        bytes: &[u8],
        world: &mut World<'_>,
    ) -> usize {
        let mut commands = [None; GROUP];
        let mut start = 0;
        self.mark = world.stopwatch.read();
        while start < batch.len() {
            let end = (start + GROUP).min(batch.len());
            self.look_ahead(connection, batch, bytes, start..end, &mut commands);
            for index in start..end {
                let args = batch.request(index, bytes);
                let flow = self.execute(now, connection, commands[index - start], args, world);
                self.serve_waiting(world);
                if flow == Flow::Stop {
                    return index + 1;
                }
            }
            start = end;
        }
        batch.len()
    }

    /// Runs one request of a client. What it made ready is served by the caller.
    pub(crate) fn execute(
        &mut self,
        now: Now,
        connection: ConnectionId,
        command: Option<CommandId>,
        args: Args<'_>,
        world: &mut World<'_>,
    ) -> Flow {
        if self.must_stall(connection, command) {
            self.stall(now, connection, args, world);
            return Flow::Stop;
        }
        if self.tracking.is_over() {
            self.shed_tracked_keys(now, world);
        }
        // What is evicted while a script runs would be in the middle of its record.
        if self.eviction.is_limited() && self.scripts.running.is_none() {
            self.make_room(now, connection, world);
        }
        let start = world.outputs.writer(connection).len();
        let was_replica = self.sessions.get(connection).is_some_and(|session| session.is_replica);
        self.executing = Some(connection);
        let outcome = self.pass_and_run(now, connection, command, args, world);
        self.executing = None;
        if was_replica {
            return self.after_replica(connection, start, outcome, world);
        }
        let Some(session) = self.sessions.get_mut(connection) else { return Flow::Stop };
        if let Err(error) = outcome {
            self.stats.count_error(&error);
            if let CommandError::BadPayload(reason) = &error {
                tracing::warn!("A payload was refused, its integrity check failed: {reason}");
            }
            let proto = session.proto;
            write_error(&mut Reply::new(world.outputs.writer(connection), proto), &error);
        }
        if matches!(session.parked, Some(Parked::Waiting | Parked::Again(_) | Parked::Migration)) {
            // Whether its reply is sent, and what it waits for, is seen to when there is one.
            self.reply_stamp = None;
            return Flow::Stop;
        }
        self.end_reply(now, connection, command, start, world);
        if self.sessions.get(connection).is_some_and(|session| session.is_runnable()) {
            Flow::Next
        } else {
            Flow::Stop
        }
    }

    /// Sees to the end of a reply written since `start`: left out if nobody wants it, held until the log has come as
    /// far as it must.
    pub(crate) fn end_reply(
        &mut self,
        now: Now,
        connection: ConnectionId,
        command: Option<CommandId>,
        start: usize,
        world: &mut World<'_>,
    ) {
        let Some(session) = self.sessions.get(connection) else { return };
        if session.is_gone {
            self.reply_stamp = None;
            self.own_pushes.clear();
            return world.outputs.discard(connection.slot);
        }
        if session.replies != ReplyMode::On {
            self.silence(connection, command, start, world);
        }
        self.hold_reply(connection, start, world);
        self.check_output_limit(now, connection, world);
    }

    /// A replica's link carries the stream and nothing else: one that asks for an answer is closed.
    fn after_replica(
        &mut self,
        connection: ConnectionId,
        start: usize,
        outcome: Outcome,
        world: &mut World<'_>,
    ) -> Flow {
        let Some(session) = self.sessions.get(connection) else { return Flow::Stop };
        if outcome.is_ok() && world.outputs.writer(connection).len() == start {
            return if session.is_runnable() { Flow::Next } else { Flow::Stop };
        }
        let command = session.last_command.map_or("<unknown>", |id| &self.commands[id].full_name);
        if let Err(error) = outcome {
            self.stats.unexpected_error_replies += 1;
            tracing::warn!(
                "== CRITICAL == This master is sending an error to its replica: '{error}', by '{command}'"
            );
        }
        tracing::warn!(
            "Replica generated a reply to command '{command}', disconnecting it: client id #{}",
            connection.serial
        );
        world.outputs.writer(connection).truncate(start);
        self.close(connection, true, world);
        Flow::Stop
    }

    fn pass_and_run(
        &mut self,
        now: Now,
        connection: ConnectionId,
        command: Option<CommandId>,
        args: Args<'_>,
        world: &mut World<'_>,
    ) -> Result<(), CommandError> {
        if self.client_memory.is_limited()
            && !self.has_client_room(now, connection, args.total_bytes(), world)
        {
            return Ok(());
        }
        self.reply_stamp = None;
        let (id, flags) = match self.admit(now, connection, command, args, world) {
            Ok(admitted) => admitted,
            Err(refusal) => return Err(self.refused(now, connection, command, args, refusal, world)),
        };
        if self.keep_for_pause(connection, flags, args)
            || self.keep_for_migration(connection, id, flags, args)
        {
            return Ok(());
        }
        let session = self.sessions.get_mut(connection).expect("a request comes from a session");
        session.last_command = Some(id);
        session.commands += u64::from(!self.waiting.is_retrying());
        if session.is_replica && works_on_keys(self.commands[id].flags) {
            return Err(CommandError::text("ERR Replica can't interact with the keyspace"));
        }
        if session.transaction.is_some() && self.queue(connection, id, args, world) {
            self.mark = world.stopwatch.read();
            return Ok(());
        }
        let position = self.journal.position();
        let outcome = self.run(now, connection, id, args, world);
        if self.journal.position() != position {
            self.note_written(connection);
        }
        // One reading a command: its time begins where the last one's ended.
        let ended = world.stopwatch.read();
        let spent = ended.since(std::mem::replace(&mut self.mark, ended)) + self.waiting.spent_before();
        if !self.monitors.is_empty() && !self.waiting.is_retrying() {
            self.feed_monitors(now, connection, id, args, world);
        }
        if let Ok(Some(wait)) = outcome {
            // It counts as called when it has its answer.
            self.park_waiting(connection, id, args, *wait, spent);
            return Ok(());
        }
        self.note_call(now, id, spent, outcome.is_err());
        if self.reply_stamp.is_none() && self.durability.holds_reads() {
            self.reply_stamp = self.stamp_of_read(connection, id, args);
        }
        if spent >= self.slow_log.threshold {
            self.note_slow(now, connection, id, args, spent);
        }
        outcome.map(|_| ())
    }

    /// Lets a request in and tells what it may do, or says why not.
    fn admit(
        &mut self,
        now: Now,
        connection: ConnectionId,
        command: Option<CommandId>,
        args: Args<'_>,
        world: &mut World<'_>,
    ) -> Result<(CommandId, Flags), CommandError> {
        let id = gates::known(self, command, args)?;
        match gates::pass(self, connection, id, args) {
            Ok(flags) => Ok((id, flags)),
            Err(refusal) => {
                self.stats.count_rejected(id);
                Err(match refusal {
                    Refusal::Denied(denied) => self.denied(now, connection, id, args, denied, world),
                    Refusal::Other(error) => error,
                })
            }
        }
    }

    /// Takes back the reply written since `start`, as CLIENT REPLY says.
    fn silence(
        &mut self,
        connection: ConnectionId,
        command: Option<CommandId>,
        start: usize,
        world: &mut World<'_>,
    ) {
        let is_heard = self.answers_by_push(command);
        let session = self.sessions.get_mut(connection).expect("still the same session");
        let takes_back = match session.replies {
            ReplyMode::On => false,
            ReplyMode::Off => true,
            ReplyMode::SkipNext => {
                session.replies = ReplyMode::Skip;
                false
            }
            ReplyMode::Skip => {
                session.replies = ReplyMode::On;
                true
            }
        };
        if takes_back && !is_heard {
            world.outputs.writer(connection).truncate(start);
        }
    }

    /// Whether a command's answers are messages, which CLIENT REPLY does not silence.
    fn answers_by_push(&self, command: Option<CommandId>) -> bool {
        command.is_some_and(|id| {
            let command = &self.commands[id];
            command.flags.has(Flags::PUBSUB.and(Flags::NOSCRIPT)) && command.name.ends_with("subscribe")
        })
    }

    /// Remembers how far the stream must come until everything is safe that a client wrote.
    pub(crate) fn note_written(&mut self, connection: ConnectionId) {
        let (position, offset) = (self.journal.position(), self.journal.offset());
        if let Some(session) = self.sessions.get_mut(connection) {
            (session.written_position, session.written_offset) = (position, offset);
        }
    }

    /// Holds the reply written since `start` until the log has come as far as it must.
    fn hold_reply(&mut self, connection: ConnectionId, start: usize, world: &mut World<'_>) {
        let stamp = self.reply_stamp.take();
        if let Some(stamp) = stamp {
            world.outputs.hold(connection, start, stamp, SegmentKind::Reply);
        }
        if !self.own_pushes.is_empty() {
            self.release_own_pushes(connection, stamp, world);
        }
    }

    fn keep_for_later(&mut self, connection: ConnectionId, bytes: &[u8], world: &mut World<'_>) {
        let limit = self.decode_limits.query_buffer_max;
        let Some(session) = self.sessions.get_mut(connection) else { return };
        if session.is_closing {
            return;
        }
        let is_full = session.decoder.keep_tail(bytes).is_err() || session.decoder.pending_bytes() > limit;
        if is_full {
            tracing::warn!("Closing client {} that reached max query buffer length", connection.serial);
            self.close(connection, true, world);
        }
    }
}

/// Writes an error as its reply.
pub(crate) fn write_error(reply: &mut Reply<'_>, error: &CommandError) {
    reply.error_format(format_args!("{error}"));
}

/// A replica has no business with keys; else it could write while writers are made to wait.
fn works_on_keys(flags: Flags) -> bool {
    [Flags::WRITE, Flags::READONLY, Flags::MAY_REPLICATE].into_iter().any(|flag| flags.has(flag))
}
