//! Writes that must wait because too much waits for the disk, or for a replica that is being synchronized.
//! Always: a stalled write keeps its connection's order; whatever came behind it waits with it.

use tenon_base::{ConnectionId, Micros, Now, Output, World};
use tenon_commands::Flags;
use tenon_config::Directive;
use tenon_resp::{Args, OwnedArgs};

use crate::engine::Engine;
use crate::session::Parked;
use crate::table::{Command, CommandId};

/// What a client learns whose write waited for the disk in vain.
const STALLED: &str = "MISCONF Errors writing to the AOF file: the disk does not keep up (aof-pending-max bytes wait \
for it since aof-stall-timeout seconds). The write was not executed.";

impl Engine {
    /// Whether so much waits for the disk, or for a replica, that this command must wait, too.
    pub(crate) fn must_stall(&self, connection: ConnectionId, command: Option<CommandId>) -> bool {
        let is_delayed = self.replication.delays(connection);
        if !is_delayed && !self.durability.is_full() {
            return false;
        }
        let Some(flags) = command.and_then(|id| self.flags_to_run(connection, &self.commands[id])) else {
            return false;
        };
        // Messages and scripts make the stream longer, too.
        flags.has(Flags::WRITE) || is_delayed && flags.has(Flags::MAY_REPLICATE)
    }

    /// What a command is about to do, itself, or as an EXEC that does it. Inside MULTI it is only queued.
    fn flags_to_run(&self, connection: ConnectionId, command: &Command) -> Option<Flags> {
        let session = self.sessions.get(connection)?;
        let is_queued = session.transaction.is_some() && command.name != "exec";
        (!is_queued).then(|| session.effective_flags(command, command.flags))
    }

    /// Keeps a write, and everything behind it on its connection, until the disk or a replica has caught up.
    pub(crate) fn stall(
        &mut self,
        now: Now,
        connection: ConnectionId,
        args: Args<'_>,
        world: &mut World<'_>,
    ) {
        let Some(session) = self.sessions.get_mut(connection) else { return };
        session.parked = Some(Parked::Again(OwnedArgs::from(args)));
        self.stalled.push((connection, now.steady));
        self.stats.delayed_for_sync += u64::from(!self.durability.is_full());
        world.outputs.request(Output::Reading { connection, wanted: false });
    }

    /// Lets stalled writes run once there is room, and refuses those that waited too long for the disk. Those that
    /// waited too long for a replica run all the same, with what came behind them.
    pub(crate) fn settle_stalled(&mut self, now: Now, world: &mut World<'_>) {
        if self.stalled.is_empty() {
            return;
        }
        let limit =
            Micros::from_millis(self.config.integer(Directive::AofStallTimeout).max(0) as u64 * 1_000);
        self.mark = world.stopwatch.read();
        self.serve_waiting(world);
        let stalled = std::mem::take(&mut self.stalled);
        for (connection, since) in stalled {
            let waited = now.steady.since(since);
            let is_late = self.durability.is_full() && waited >= limit;
            let is_delayed = self.replication.delays(connection) && waited < self.replication.delay_max();
            if !is_late && (self.durability.is_full() || is_delayed) {
                self.stalled.push((connection, since));
                continue;
            }
            self.replication.excused = Some(connection);
            let Some(session) = self.sessions.get_mut(connection) else { continue };
            let Some(Parked::Again(request)) = session.parked.take() else { continue };
            world.outputs.request(Output::Reading { connection, wanted: true });
            if is_late {
                self.stats.error_replies += 1;
                self.answer(connection, world, |reply| reply.error(STALLED));
            } else {
                let command = self.commands.find(request.as_args().get(0));
                self.execute(now, connection, command, request.as_args(), world);
                self.serve_waiting(world);
            }
            self.run_kept(now, connection, world);
        }
        self.replication.excused = None;
    }
}
