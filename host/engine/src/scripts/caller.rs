//! A script's commands: each passes gates of its own, runs as one of a transaction's would, and is told of as the
//! script's.
//! Always: a script that has written once is not stopped by what would have kept it from writing, so that it is not
//! left half done.

use tenon_base::{ConnectionId, Micros, Now, Stamp, World};
use tenon_commands::{CommandError, Flags};
use tenon_config::Directive;
use tenon_journal::Targets;
use tenon_resp::{Args, OwnedArgs, Proto};
use tenon_script::{Called, Host, Parting, ScriptFlags};

use super::Call;
use super::stepping::Conversation;
use crate::access::sentence;
use crate::engine::Engine;
use crate::gates;
use crate::table::CommandId;
use crate::transaction::later;

/// A running script, as its commands are run for it.
pub(super) struct Caller<'a, 'w> {
    pub(super) engine: &'a mut Engine,
    pub(super) world: &'a mut World<'w>,
    now: Now,
    pub(super) connection: ConnectionId,
    /// What the client sent.
    request: Args<'a>,
    /// Where in the client's out-buffer the replies are written that the script reads.
    pub(super) start: usize,
    is_read_only: bool,
    /// Its commands run although memory is short.
    allows_oom: bool,
    targets: Targets,
    waits_for: Option<Stamp>,
    /// Where its client steps through it.
    pub(super) conversation: Option<Conversation>,
}

impl<'a, 'w> Caller<'a, 'w> {
    pub(super) fn new(
        engine: &'a mut Engine,
        now: Now,
        connection: ConnectionId,
        call: &Call<'a>,
        world: &'a mut World<'w>,
    ) -> Caller<'a, 'w> {
        let start = world.outputs.writer(connection).len();
        // One that says nothing of itself has none of these flags.
        let is_read_only = call.is_read_only || call.script.flags.has(ScriptFlags::NO_WRITES);
        let allows_oom = call.script.flags.has(ScriptFlags::ALLOW_OOM);
        let (targets, waits_for) = (Targets::ALL, None);
        let request = call.request;
        Caller {
            engine,
            world,
            now,
            connection,
            request,
            start,
            is_read_only,
            allows_oom,
            targets,
            waits_for,
            conversation: None,
        }
    }

    /// Takes back what no longer is to be read. Returns what the script's reply waits for.
    pub(super) fn finish(self) -> Option<Stamp> {
        self.world.outputs.writer(self.connection).truncate(self.start);
        self.waits_for
    }

    /// Resolves a command, and says whether this script may call it.
    fn admit(&mut self, args: Args<'_>) -> Result<CommandId, CommandError> {
        let found = self.engine.commands.resolve(args);
        let id = found.map_err(|_| CommandError::text("ERR Unknown Redis command called from script"))?;
        self.pass(id, args).inspect_err(|_| self.engine.stats.count_rejected(id))?;
        Ok(id)
    }

    fn pass(&mut self, id: CommandId, args: Args<'_>) -> Result<(), CommandError> {
        let engine = &mut *self.engine;
        let command = &engine.commands[id];
        if !command.accepts(args.len()) {
            return Err(CommandError::text("ERR Wrong number of args calling Redis command from script"));
        }
        if command.flags.has(Flags::NOSCRIPT) && !engine.scripts.allows_all {
            return Err(CommandError::text("ERR This Redis command is not allowed from script"));
        }
        gates::may_show(engine, self.connection, command)?;
        let user = engine.sessions.get(self.connection).map(|session| session.user);
        if let Some(Err(denied)) = user.map(|user| engine.check_access(user, id, args)) {
            // What the client is told of it is another sentence; that it is in the log is the same.
            engine.denied(self.now, self.connection, id, args, denied, self.world);
            let name = user.map_or(Vec::new(), |user| engine.users.name(user).to_vec());
            let reason = sentence(denied, &name, &engine.commands[id].full_name, None);
            return Err(CommandError::Text(format!("ERR ACL failure in script: {reason}").into()));
        }
        let command = &engine.commands[id];
        let writes = command.flags.has(Flags::WRITE);
        if self.is_read_only && (writes || command.flags.has(Flags::MAY_REPLICATE)) {
            return Err(CommandError::text("ERR Write commands are not allowed from read-only scripts."));
        }
        let has_written = engine.scripts.running.as_ref().is_some_and(|running| running.has_written);
        if !has_written {
            gates::pass_in_script(engine, self.connection, command, self.allows_oom)?;
        }
        if let Some(running) = &mut engine.scripts.running {
            running.has_written |= writes;
        }
        Ok(())
    }

    /// Runs a command that was let in; its reply is in the client's out-buffer, or it is the error.
    fn run(&mut self, id: CommandId, args: Args<'_>) -> Result<(), CommandError> {
        let engine = &mut *self.engine;
        let from = engine.unit.operation_count();
        if !engine.monitors.is_empty() {
            engine.feed_monitors(self.now, self.connection, id, args, self.world);
        }
        let outcome = engine.run(self.now, self.connection, id, args, self.world);
        if self.targets != Targets::ALL {
            engine.unit.aim(from, self.targets);
        }
        let ended = self.world.stopwatch.read();
        let spent = ended.since(std::mem::replace(&mut engine.mark, ended));
        engine.note_call(self.now, id, spent, outcome.is_err());
        if engine.durability.holds_reads() {
            let stamp = engine.stamp_of_read(self.connection, id, args);
            self.waits_for = later(self.waits_for, stamp);
        }
        outcome.map(|_| ())
    }
}

impl Host for Caller<'_, '_> {
    fn call(&mut self, args: Args<'_>, proto: Proto) -> Called<'_> {
        self.world.outputs.writer(self.connection).truncate(self.start);
        if let Some(session) = self.engine.sessions.get_mut(self.connection) {
            session.proto = proto;
        }
        let outcome = self.admit(args).and_then(|id| self.run(id, args));
        if let Err(error) = outcome {
            self.engine.stats.count_error(&error);
            return Called::Refused(error.to_string());
        }
        Called::Reply(&self.world.outputs.writer(self.connection)[self.start..])
    }

    fn may_call(&mut self, args: Args<'_>) -> Option<bool> {
        let id = self.engine.commands.resolve(args).ok()?;
        let session = self.engine.sessions.get(self.connection)?;
        Some(self.engine.check_access(session.user, id, args).is_ok())
    }

    fn set_targets(&mut self, log: bool, replicas: bool) {
        self.targets = Targets { log, replicas };
    }

    fn log(&mut self, level: u8, text: &[u8]) {
        log(level, text);
    }

    fn goes_on(&mut self) -> bool {
        let threshold = self.engine.config.integer(Directive::BusyReplyThreshold);
        let Ok(threshold) = u64::try_from(threshold) else { return true };
        let elapsed = self.world.stopwatch.read();
        let Some(running) = &mut self.engine.scripts.running else { return true };
        let elapsed = elapsed.since(running.began);
        if threshold == 0 || elapsed < Micros::from_millis(threshold) {
            return true;
        }
        if !std::mem::replace(&mut running.is_slow, true) {
            running.request = OwnedArgs::from(self.request);
            let kill = if running.is_function { "FUNCTION KILL" } else { "SCRIPT KILL" };
            tracing::warn!(
                "Slow script detected: still in execution after {} milliseconds. You can try killing the script \
                 using the {kill} command. Script name is: {}.",
                elapsed.millis(),
                running.script.name
            );
        }
        self.engine.listen_while_busy(self.now, self.connection, self.world)
    }

    fn converse(&mut self, lines: &[Vec<u8>]) -> Result<OwnedArgs, Parting> {
        self.converse(lines)
    }

    fn lingers(&mut self) -> bool {
        self.runs_on()
    }
}

/// A script's own line, at its own level.
pub(super) fn log(level: u8, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    match level {
        0 | 1 => tracing::debug!("{text}"),
        2 => tracing::info!("{text}"),
        _ => tracing::warn!("{text}"),
    }
}
