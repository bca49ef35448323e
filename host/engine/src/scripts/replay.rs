//! Scripts in a log: servers of old put the request there and not what it did. Such a request runs as it ran then, as a
//! part of the load.
//! Always: what a script does here is propagated to nobody, and no client is involved; what it answers is of no
//! interest, an error included, because the server that wrote the log went on as well.

use std::sync::Arc;

use tenon_base::{Micros, Now, World};
use tenon_commands::{CommandError, Context, Db, Flags, Origin as UnitOrigin, Outcome, Words};
use tenon_config::Directive;
use tenon_resp::{Args, Proto, Reply, parse_integer};
use tenon_script::{Called, Ended, Host};

use super::Runnable;
use super::caller::log;
use crate::engine::Engine;
use crate::table::{CommandTable, Run, Runs};

/// Runs a command as an effect: nothing expires, and nobody is told. Its reply is in `reply`.
pub(crate) fn run_effect(
    engine: &mut Engine,
    now: Now,
    database: usize,
    handler: tenon_commands::Handler,
    args: Args<'_>,
    reply: Reply<'_>,
) -> Outcome {
    let mut db =
        Db::new(&mut engine.keyspace, database, now, UnitOrigin::Load, &mut engine.lookups, &mut engine.unit);
    db.lazy_expire = false;
    let mut context =
        Context { db, reply, dice: &mut engine.dice, limits: &engine.limits, garbage: &mut engine.garbage };
    let outcome = handler(&mut context, args);
    engine.unit.clear();
    outcome
}

impl Engine {
    /// Runs the script or function that a log's request names. Commands are looked up in `own_names`, or among the
    /// engine's. The error says what is wrong with the request.
    pub(crate) fn replay_script(
        &mut self,
        now: Now,
        database: usize,
        runs: Runs,
        args: Args<'_>,
        own_names: Option<&CommandTable>,
        world: &mut World<'_>,
    ) -> Result<(), String> {
        let keys = args.try_get(2).and_then(parse_integer);
        let keys = keys.and_then(|keys| usize::try_from(keys).ok()).filter(|keys| *keys <= args.len() - 3);
        let keys = keys.ok_or("it says how many of its words are keys, and that cannot be")?;
        let shown = || String::from_utf8_lossy(&args.get(1)[..args.get(1).len().min(128)]).into_owned();
        let is_function = matches!(runs, Runs::Function);
        let script: Arc<Runnable> = match runs {
            Runs::Text => {
                self.scripts.load(args.get(1), &mut self.dice).map_err(|error| error.to_string())?
            }
            Runs::Digest => Arc::clone(
                self.scripts
                    .find(args.get(1))
                    .ok_or_else(|| format!("no script before it has the digest '{}'", shown()))?,
            ),
            Runs::Function => Arc::clone(
                self.scripts
                    .libraries
                    .find(args.get(1))
                    .ok_or_else(|| format!("no library before it has the function '{}'", shown()))?,
            ),
        };
        let taken = if is_function {
            self.scripts.libraries.interpreter.take()
        } else {
            self.scripts.interpreter.take()
        };
        let mut interpreter = taken.ok_or("a script is running already")?;
        let began = world.stopwatch.read();
        let mut replay = Replay {
            engine: self,
            world,
            now,
            database,
            own_names,
            name: &script.name,
            began,
            is_slow: false,
            reply: Vec::new(),
        };
        let (keys, arguments) = (args.rest(3).first(keys), args.rest(3 + keys));
        let ended = if is_function {
            interpreter.call(&script.code, keys, arguments, &mut replay)
        } else {
            interpreter.run(&script.code, keys, arguments, &mut replay)
        };
        self.scripts.put_back(is_function, interpreter);
        match ended {
            Ended::Returned(_) => Ok(()),
            Ended::Failed(failure) => {
                let text = String::from_utf8_lossy(&failure.text).into_owned();
                tracing::debug!("A script in the log ended with an error, as it did before: {text}");
                Ok(())
            }
            Ended::Stopped(_) => Err("the load was given up: the server ends".to_owned()),
        }
    }
}

/// A script of a log that runs.
struct Replay<'a, 'w> {
    engine: &'a mut Engine,
    world: &'a mut World<'w>,
    now: Now,
    /// The script's own selection, which ends with it.
    database: usize,
    own_names: Option<&'a CommandTable>,
    name: &'a str,
    began: Micros,
    is_slow: bool,
    reply: Vec<u8>,
}

impl Replay<'_, '_> {
    fn run(&mut self, args: Args<'_>, proto: Proto) -> Result<(), CommandError> {
        self.reply.clear();
        let table = self.own_names.unwrap_or(&self.engine.commands);
        let found = table.resolve(args);
        let id = found.map_err(|_| CommandError::text("ERR Unknown Redis command called from script"))?;
        let command = &table[id];
        if !command.accepts(args.len()) {
            return Err(CommandError::text("ERR Wrong number of args calling Redis command from script"));
        }
        if command.flags.has(Flags::NOSCRIPT) {
            return Err(CommandError::text("ERR This Redis command is not allowed from script"));
        }
        let mut reply = Reply::new(&mut self.reply, proto);
        match (command.run, command.name) {
            (Run::Data(handler), _) => run_effect(self.engine, self.now, self.database, handler, args, reply),
            (_, "select") => {
                let index = usize::try_from(args.integer(1)?).ok();
                let databases = self.engine.keyspace.databases();
                let index = index.filter(|index| *index < databases);
                self.database = index.ok_or(CommandError::text("ERR DB index is out of range"))?;
                reply.ok();
                Ok(())
            }
            (_, "ping") => {
                reply.simple("PONG");
                Ok(())
            }
            (_, "publish" | "spublish") => {
                // Whoever was to hear of it has heard of it.
                reply.integer(0);
                Ok(())
            }
            (_, "time") => {
                let unix_us = self.now.unix_us;
                reply.array(2);
                reply.bulk((unix_us / 1_000_000).to_string().as_bytes());
                reply.bulk((unix_us % 1_000_000).to_string().as_bytes());
                Ok(())
            }
            _ => Err(CommandError::text("ERR This command is not run while data is loaded")),
        }
    }
}

impl Host for Replay<'_, '_> {
    fn call(&mut self, args: Args<'_>, proto: Proto) -> Called<'_> {
        match self.run(args, proto) {
            Ok(()) => Called::Reply(&self.reply),
            Err(error) => Called::Refused(error.to_string()),
        }
    }

    fn may_call(&mut self, args: Args<'_>) -> Option<bool> {
        self.own_names.unwrap_or(&self.engine.commands).resolve(args).ok().map(|_| true)
    }

    fn set_targets(&mut self, _: bool, _: bool) {
        // Nobody is told.
    }

    fn log(&mut self, level: u8, text: &[u8]) {
        log(level, text);
    }

    fn goes_on(&mut self) -> bool {
        let threshold = u64::try_from(self.engine.config.integer(Directive::BusyReplyThreshold)).unwrap_or(0);
        let elapsed = self.world.stopwatch.read().since(self.began);
        let is_slow = threshold > 0 && elapsed >= Micros::from_millis(threshold);
        if is_slow && !std::mem::replace(&mut self.is_slow, true) {
            tracing::warn!(
                "Slow script detected: still in execution after {} milliseconds, while the log is loaded. Script name \
                 is: {}.",
                elapsed.millis(),
                self.name
            );
        }
        self.engine.load_goes_on(self.world).is_continue()
    }
}
