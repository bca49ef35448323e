//! A request that was let in, run as one unit: the command's own function, and the seal on what it did.
//! Knows nothing of gates, transactions and the order of replies.
//! Always: when it returns, the unit's effects are in the journal.

use tenon_base::{ConnectionId, Now, Stamp, World};
use tenon_commands::{Begin, CommandError, Context, Db, Flags, Origin, Wait, key_positions};
use tenon_resp::{Args, Reply};

use crate::engine::Engine;
use crate::output_limits::reply_bytes_max;
use crate::server::ServerContext;
use crate::table::{CommandId, Run};

impl Engine {
    /// Runs a request as a unit. Returns what it waits for, if it has no answer yet.
    #[inline]
    pub(crate) fn run(
        &mut self,
        now: Now,
        connection: ConnectionId,
        id: CommandId,
        args: Args<'_>,
        world: &mut World<'_>,
    ) -> Result<Option<Box<Wait>>, CommandError> {
        let outcome = self.run_unit(now, connection, id, args, world);
        if self.tracking.is_on() {
            self.remember_reads(now, connection, id, args, world);
        }
        outcome
    }

    fn run_unit(
        &mut self,
        now: Now,
        connection: ConnectionId,
        id: CommandId,
        args: Args<'_>,
        world: &mut World<'_>,
    ) -> Result<Option<Box<Wait>>, CommandError> {
        match self.commands[id].run {
            Run::Data(handler) => {
                let session = self.sessions.get(connection).expect("a request comes from a session");
                let (database, proto, no_touch) = (session.database, session.proto, session.no_touch);
                let keys_are_limited = self.limits_keys(session.user, id, args);
                let reply_bytes_max = reply_bytes_max(&self.output_limits, session);
                self.unit.set_may_wait(!self.is_in_exec);
                let only_reads = self.replication.is_following && !self.commands[id].flags.has(Flags::WRITE);
                let origin = if only_reads { Origin::Reader } else { Origin::Client };
                let mut db =
                    Db::new(&mut self.keyspace, database, now, origin, &mut self.lookups, &mut self.unit);
                db.no_touch = no_touch;
                db.keys_are_limited = keys_are_limited;
                db.lazy_expire = self.lazy_expire;
                db.keeps_expired = self.pause.is_on();
                let mut reply = Reply::new(world.outputs.writer(connection), proto);
                // What was sent already and is still in the buffer makes this a little less than it could be.
                reply.set_bytes_max(reply_bytes_max);
                let mut context = Context {
                    db,
                    reply,
                    dice: &mut self.dice,
                    limits: &self.limits,
                    garbage: &mut self.garbage,
                };
                let outcome = handler(&mut context, args);
                self.unit.set_may_wait(false);
                let wait = self.unit.take_wait();
                if self.replication.is_following && !only_reads {
                    self.note_own_keys(database, id, args);
                }
                let has_flushed =
                    !self.unit.touched_databases().is_empty() && self.commands[id].name == "flushall";
                // What waits has done nothing yet that its words would tell.
                self.seal(now, database, Some(args).filter(|_| wait.is_none()), world);
                if has_flushed {
                    self.flushed_all(now, world);
                }
                outcome.map(|()| wait)
            }
            Run::Server(handler) => {
                let mut context = ServerContext { engine: self, connection, command: id, now, world };
                let outcome = handler(&mut context, args);
                let database = self.sessions.get(connection).map_or(0, |session| session.database);
                self.seal(now, database, Some(args), world);
                if std::mem::take(&mut self.has_flushed_in_exec) {
                    self.flushed_all(now, world);
                }
                outcome.map(|()| None)
            }
        }
    }

    /// What a reply waits for that saw what is not yet durable, though it is promised: `always` only.
    pub(crate) fn stamp_of_read(
        &self,
        connection: ConnectionId,
        id: CommandId,
        args: Args<'_>,
    ) -> Option<Stamp> {
        let command = &self.commands[id];
        // SORT may look at keys that its words do not name.
        let names_no_keys = command.keys.iter().any(|spec| spec.begin == Begin::Unknown);
        if names_no_keys || command.keys.is_empty() && command.flags.has(Flags::READONLY) {
            return self.durability.read_all_stamp(self.journal.position());
        }
        let index = self.sessions.get(connection)?.database;
        let database = self.keyspace.db(index);
        let keys = command
            .keys
            .iter()
            .filter_map(|spec| key_positions(spec, args))
            .flat_map(|range| range.positions());
        keys.filter_map(|at| self.durability.read_stamp(index as u32, database.hash(args.get(at))))
            .max_by_key(|stamp| stamp.position)
    }

    /// FLUSHALL gives up a running save and a snapshot for replicas, whose data is no longer wanted, and leaves an empty
    /// dump if saves are configured.
    fn flushed_all(&mut self, now: Now, world: &mut World<'_>) {
        if self.is_in_exec {
            // A dump would hold what is not sealed yet.
            self.has_flushed_in_exec = true;
            return;
        }
        self.abort_save();
        self.restart_snapshot_for_replicas(world);
        if !self.config.save_points().is_empty() {
            // The client is not to blame if that fails; the log tells.
            let _ = self.save_now(now, world);
        }
    }
}
