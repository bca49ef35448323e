//! The primary's stream, run as it comes and passed on as it came.
//! Always: a transaction runs, and counts, when it is whole; what has no effect here that it must have had there is told.

use tenon_base::{Now, World};
use tenon_commands::{Context, Db, Origin, Words};
use tenon_config::Directive;
use tenon_resp::{Args, Batch, Decoder, Limits, Proto, Reply};

use super::Following;
use crate::engine::Engine;
use crate::pubsub::Space;
use crate::table::Run;

impl Engine {
    /// While clients are paused the stream is heard and not run. What of it finds no room is asked for again later.
    pub(super) fn hold_stream(&mut self, following: &Following) -> Result<(), String> {
        self.pause.hold_stream();
        let bytes_max = self.config.memory(Directive::ClientQueryBufferLimit);
        if following.raw.len() as u64 <= bytes_max {
            return Ok(());
        }
        Err(format!("more than {bytes_max} bytes of its stream came while clients are paused"))
    }

    /// Runs what was held while clients were paused.
    pub(crate) fn run_held_stream(&mut self, now: Now, world: &mut World<'_>) {
        let Some(mut following) = self.replication.following.take() else { return };
        let outcome =
            if following.raw.is_empty() { Ok(()) } else { self.run_stream(now, &mut following, world) };
        self.replication.following = Some(following);
        if let Err(reason) = outcome {
            self.give_up_link(now, &reason, world);
        }
    }

    /// Runs what is complete of the stream, and passes it on as it is.
    pub(super) fn run_stream(
        &mut self,
        now: Now,
        following: &mut Following,
        world: &mut World<'_>,
    ) -> Result<(), String> {
        let raw = std::mem::take(&mut following.raw);
        let mut batch = std::mem::take(&mut following.batch);
        let limits = Limits { bulk_bytes_max: usize::MAX, ..Limits::default() };
        let mut done = 0;
        let outcome = loop {
            let decoded = Decoder::new().decode(&raw[done..], &limits, &mut batch);
            let bytes = self.run_units(now, following, &batch, &raw[done..], world);
            done += bytes;
            if let Err(error) = decoded {
                break Err(format!("Protocol error in the stream: {error}"));
            }
            if following.is_lost {
                break Err("the stream cannot be run here".to_owned());
            }
            if following.has_diverged {
                // What is here is not the primary's any more, so whoever goes on needs everything anew.
                self.begin_history();
                following.upstream.halt();
                break Err("a command of the stream was refused, and propagation-error-behavior forbids to go on. The \
                     primary is not followed any more until somebody says REPLICAOF again"
                    .to_owned());
            }
            if bytes == 0 {
                break Ok(());
            }
        };
        batch.clear();
        following.batch = batch;
        following.raw = raw;
        following.raw.drain(..done);
        outcome
    }

    /// Runs the commands of a batch, transactions as wholes; returns how many bytes they were.
    fn run_units(
        &mut self,
        now: Now,
        following: &mut Following,
        batch: &Batch,
        bytes: &[u8],
        world: &mut World<'_>,
    ) -> usize {
        let is = |index: usize, word: &str| batch.request(index, bytes).is(0, word);
        let (mut at, mut first) = (0, 0);
        while first < batch.len() {
            let mut last = first;
            if is(first, "MULTI") {
                let Some(end) = (first..batch.len()).find(|&index| is(index, "EXEC")) else { break };
                last = end;
            }
            let end = (first..=last).fold(at, |end, index| end + batch.wire_bytes(index));
            self.journal.relay(&bytes[at..end]);
            // One unit, so that the log has all of it or nothing.
            self.is_in_exec = last > first;
            for index in first..=last {
                self.run_from_upstream(now, following, batch.request(index, bytes), world);
            }
            self.journal.set_home(Some(following.database as u32));
            if std::mem::take(&mut self.is_in_exec) {
                self.seal(now, following.database, None, world);
            }
            (at, first) = (end, last + 1);
        }
        at
    }

    /// Runs one command of the stream. What it did goes to the log; replicas of ours were sent it already.
    fn run_from_upstream(
        &mut self,
        now: Now,
        following: &mut Following,
        args: Args<'_>,
        world: &mut World<'_>,
    ) {
        if following.is_lost
            || following.has_diverged
            || args.is(0, "PING")
            || args.is(0, "MULTI")
            || args.is(0, "EXEC")
        {
            return;
        }
        if args.is(0, "REPLCONF") {
            if args.is(1, "GETACK") {
                let (offset, synced) = (self.journal.offset(), self.synced_offset());
                following.upstream.acknowledge(offset, synced, world.outputs);
            }
            return;
        }
        if args.is(0, "SELECT") {
            let index = args.try_get(1).and_then(tenon_resp::parse_integer);
            let index = index.and_then(|index| usize::try_from(index).ok());
            match index.filter(|&index| index < self.keyspace.databases()) {
                Some(index) => following.database = index,
                None => {
                    tracing::warn!("The primary's stream selects a database that is not configured here");
                    // What follows cannot be run: everything has to come anew, and then it is refused as a whole.
                    self.begin_history();
                    following.is_lost = true;
                }
            }
            return;
        }
        if let Some(space) = Space::of_message(args) {
            self.publish(space, args.get(1), args.get(2), now, world);
            return self.seal(now, following.database, None, world);
        }
        if args.is(0, "FUNCTION") {
            match self.replay_function(args) {
                Ok(()) => self.unit.dirty += 1,
                Err(error) => self.note_divergence(following, "function", &error),
            }
            return self.seal(now, following.database, Some(args), world);
        }
        let table = &self.commands;
        let found = table.resolve(args).ok().filter(|&id| table[id].accepts(args.len()));
        // Scripts are not run from here: what they did comes as the commands that they called.
        let Some((id, Run::Data(handler))) = found.map(|id| (id, table[id].run)) else {
            let name = args.get(0);
            let name = name[..name.len().min(64)].escape_ascii().to_string();
            return self.note_divergence(
                following,
                &name,
                &"no command that changes data has this name and so many words",
            );
        };
        let began = world.stopwatch.read();
        let mut db = Db::new(
            &mut self.keyspace,
            following.database,
            now,
            Origin::Primary,
            &mut self.lookups,
            &mut self.unit,
        );
        db.lazy_expire = self.lazy_expire;
        let mut context = Context {
            db,
            reply: Reply::new(&mut following.reply, Proto::Resp2),
            dice: &mut self.dice,
            limits: &self.limits,
            garbage: &mut self.garbage,
        };
        let outcome = handler(&mut context, args);
        following.reply.clear();
        self.seal(now, following.database, Some(args), world);
        let spent = world.stopwatch.read().since(began);
        self.note_call(now, id, spent, outcome.is_err());
        if let Err(error) = outcome {
            self.note_divergence(following, self.commands[id].full_name.clone().as_str(), &error);
        }
    }

    /// A command of the stream had no effect here, as it must have had there.
    #[cold]
    fn note_divergence(&mut self, following: &mut Following, name: &str, reason: &dyn std::fmt::Display) {
        self.stats.unexpected_error_replies += 1;
        tracing::warn!(
            "== CRITICAL == A command of the primary's stream was refused here, '{name}': {reason}"
        );
        let behavior = self.config.choice(Directive::PropagationErrorBehavior);
        // One that may be written to may differ without anybody's fault.
        following.has_diverged = behavior != "ignore" && self.config.bool(Directive::ReplicaReadOnly);
    }
}
