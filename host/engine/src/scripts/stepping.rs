//! A client that steps through its script: what it is told leaves at once, and what it says is heard in the midst of
//! the run. Everybody else waits, and is told that the server is busy once this takes longer than a script may
//! (`busy-reply-threshold`); then SCRIPT KILL ends it.
//! Not the debugger: that is in `host/script`.
//! Always: nothing but the conversation is in the client's out-buffer, so what it is told is in order; afterwards the
//! connection is closed, and whatever else it sent is forgotten.

use tenon_base::{ConnectionId, Micros, Now, Talk, World};
use tenon_commands::CommandError;
use tenon_config::Directive;
use tenon_resp::{Batch, Decoder, Limits, OwnedArgs, Proto, Reply};
use tenon_script::{Host, Parting, Stepping};

use super::caller::Caller;
use super::{Call, Runnable};
use crate::engine::Engine;

/// Between two looks at what the client has said.
const LOOK_AGAIN: Micros = Micros(1_000);
/// A client that reads nothing of what it is told for so long is as good as gone.
const PATIENCE: Micros = Micros(5_000_000);
/// How long a script runs at a time, where nothing is configured, before its client is asked again.
const RUN_MS: u64 = 5_000;
/// What a client may say ahead.
const AHEAD_BYTES_MAX: usize = 1 << 20;
/// What one of its lines may hold.
const LIMITS: Limits = Limits {
    bulk_bytes_max: 64 << 10,
    arguments_max: 1_024,
    inline_bytes_max: 64 << 10,
    query_buffer_max: 2 * AHEAD_BYTES_MAX,
    requests_max: 1,
    authenticated: true,
};

/// What the client has said and was not yet looked at.
pub(super) struct Conversation {
    decoder: Decoder,
    batch: Batch,
    heard: Vec<u8>,
    /// When the script was last told to go on.
    since: Micros,
}

impl Conversation {
    fn new(since: Micros) -> Conversation {
        Conversation { decoder: Decoder::new(), batch: Batch::new(), heard: Vec::new(), since }
    }

    /// The next thing that was said whole.
    fn next(&mut self) -> Result<Option<OwnedArgs>, Parting> {
        if !self.decoder.has_kept() {
            return Ok(None);
        }
        let decoded = self.decoder.decode(&[], &LIMITS, &mut self.batch);
        if self.batch.is_empty() {
            decoded.map_err(|_| Parting::Garbled)?;
            self.decoder.keep_rest(&mut self.batch, 0, &[]);
            return Ok(None);
        }
        let words = OwnedArgs::from(self.batch.request(0, &[]));
        self.decoder.keep_rest(&mut self.batch, 1, &[]);
        Ok(Some(words))
    }
}

impl Engine {
    /// Runs a script that its client steps through, and closes the connection behind what it comes to.
    pub(crate) fn step_through(
        &mut self,
        now: Now,
        call: Call<'_>,
        (connection, mut stepping): (ConnectionId, Box<Stepping>),
        world: &mut World<'_>,
    ) {
        tracing::info!("A script is stepped through: everybody else waits");
        let Some(session) = self.sessions.get(connection) else { return };
        let proto = session.proto;
        let ended = self.run_as_unit(now, connection, &call, world, |caller, began| {
            caller.conversation = Some(Conversation::new(began));
            stepping.run(call.keys, call.arguments, caller)
        });
        write_lines(&mut Reply::new(world.outputs.writer(connection), proto), &stepping.last_lines());
        self.end_script(connection, proto, &call, ended, world);
        self.close(connection, false, world);
        tracing::info!("The script is not stepped through any more");
    }

    /// Answers a client whose script there is nothing to step through.
    pub(crate) fn end_stepping(
        &mut self,
        connection: ConnectionId,
        error: CommandError,
        world: &mut World<'_>,
    ) -> CommandError {
        let proto = self.sessions.get(connection).map_or(Proto::Resp2, |session| session.proto);
        write_lines(&mut Reply::new(world.outputs.writer(connection), proto), &Stepping::no_lines());
        self.close(connection, false, world);
        error
    }
}

/// A script that is ready to be stepped through, as one that runs.
pub(crate) fn runnable(name: String, stepping: &Stepping, flags: tenon_script::ScriptFlags) -> Runnable {
    Runnable { name, code: stepping.code().clone(), flags }
}

fn write_lines(reply: &mut Reply<'_>, lines: &[Vec<u8>]) {
    reply.array(lines.len());
    lines.iter().for_each(|line| reply.simple_bytes(line));
}

impl Caller<'_, '_> {
    /// Tells lines, and waits for what is said next.
    pub(super) fn converse(&mut self, lines: &[Vec<u8>]) -> Result<OwnedArgs, Parting> {
        let (connection, start) = (self.connection, self.start);
        let proto = self.engine.sessions.get(connection).ok_or(Parting::Gone)?.proto;
        let out = self.world.outputs.writer(connection);
        out.truncate(start);
        write_lines(&mut Reply::new(out, proto), lines);
        let heard = self.await_words();
        if heard.is_err() {
            // Nobody is to read the rest of it.
            self.world.outputs.discard(connection.slot);
        }
        heard
    }

    fn await_words(&mut self) -> Result<OwnedArgs, Parting> {
        let (connection, began) = (self.connection, self.world.stopwatch.read());
        loop {
            let conversation = self.conversation.as_mut().ok_or(Parting::Gone)?;
            let talk = self.world.interlude.talk(connection, self.world.outputs, &mut conversation.heard);
            if talk == Talk::Said {
                let kept = conversation.decoder.keep_tail(&conversation.heard);
                if kept.is_err() || conversation.decoder.pending_bytes() > AHEAD_BYTES_MAX {
                    return Err(Parting::Garbled);
                }
            }
            let looked_at = self.world.stopwatch.read();
            if self.world.outputs.pending_bytes(connection.slot) > 0 {
                if looked_at.since(began) > PATIENCE {
                    return Err(Parting::Gone);
                }
            } else if let Some(words) = conversation.next()? {
                conversation.since = looked_at;
                return Ok(words);
            }
            if talk == Talk::Over {
                return Err(Parting::Gone);
            }
            if !self.goes_on() {
                return Err(Parting::Ended);
            }
            if let Some(signal) = self.world.interlude.signal() {
                self.engine.cron.pending_signal = Some(signal);
            }
            let is_cut_off = self.engine.sessions.get(connection).is_none_or(|session| session.is_gone);
            if is_cut_off || self.engine.cron.pending_signal.is_some() {
                return Err(Parting::Gone);
            }
            if talk == Talk::Silence {
                self.world.interlude.sleep(LOOK_AGAIN);
            }
        }
    }

    /// Whether it has run for too long since it was last told to go on.
    pub(super) fn runs_on(&mut self) -> bool {
        let Some(conversation) = &self.conversation else { return false };
        let threshold = self.engine.config.integer(Directive::BusyReplyThreshold);
        let threshold = u64::try_from(threshold).ok().filter(|ms| *ms > 0).unwrap_or(RUN_MS);
        self.world.stopwatch.read().since(conversation.since) >= Micros::from_millis(threshold)
    }
}

#[cfg(test)]
mod tests;
