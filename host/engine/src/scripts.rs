//! Scripts and functions: what is kept of them, and how one runs as a unit of its own. Lua itself is in `host/script`;
//! the commands are in `server/scripting`.
//! Always: what a script does is one record, propagated as what its commands did; whatever becomes of it, its session
//! speaks the protocol and has the database selected that it had before.

mod caller; // how a script's commands run
mod libraries;
mod recent;
mod replay;
mod stepping;

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::quality::FixedState;
use tenon_base::{ConnectionId, Dice, Micros, Now, World};
use tenon_commands::CommandError;
use tenon_resp::{Args, OwnedArgs, Proto, Reply};
use tenon_script::{Code, Digest, Ended, Failure, Flavor, Interpreter, ScriptFlags, script_head, sha1_hex};

use self::caller::Caller;
pub(crate) use self::libraries::{Libraries, Library, Loading, RestorePolicy};
use self::recent::Recent;
pub(crate) use self::replay::run_effect;
pub(crate) use self::stepping::runnable;
use crate::engine::Engine;
use crate::table::{CommandId, Runs};

/// All scripts and functions of an engine.
pub(crate) struct Scripts {
    by_digest: HashMap<Digest, Arc<Runnable>, FixedState>,
    /// The same, so that no digest is made of a text that is known.
    by_text: HashMap<Box<[u8]>, Arc<Runnable>, FixedState>,
    recent_text: Recent,
    recent_digest: Recent,
    /// What the cache takes: texts and names.
    cache_bytes: usize,
    /// Made when the first script comes; gone while one runs.
    interpreter: Option<Box<Interpreter>>,
    pub(crate) libraries: Libraries,
    /// What runs just now.
    pub(crate) running: Option<Running>,
    /// What the interpreters took when they were last at rest.
    pub(crate) script_vm_bytes: usize,
    pub(crate) function_vm_bytes: usize,
    /// DEBUG SET-DISABLE-DENY-SCRIPTS: scripts may call what only clients may.
    pub(crate) allows_all: bool,
}

/// What can be run: a kept script, or a function of a library.
pub(crate) struct Runnable {
    /// A script's digest, or the function's name.
    pub(crate) name: String,
    pub(crate) code: Code,
    pub(crate) flags: ScriptFlags,
}

/// A script that runs.
pub(crate) struct Running {
    pub(crate) script: Arc<Runnable>,
    pub(crate) is_function: bool,
    pub(crate) began: Micros,
    /// What its client sent; empty until somebody else may ask for it.
    pub(crate) request: OwnedArgs,
    /// It has called a command that writes.
    pub(crate) has_written: bool,
    /// It has run for longer than a script should.
    pub(crate) is_slow: bool,
    /// It is to end.
    pub(crate) is_killed: bool,
}

/// What is run, and for whom.
pub(crate) struct Call<'a> {
    pub(crate) command: CommandId,
    pub(crate) script: Arc<Runnable>,
    pub(crate) is_function: bool,
    /// The command is one of those that only read.
    pub(crate) is_read_only: bool,
    pub(crate) keys: Args<'a>,
    pub(crate) arguments: Args<'a>,
    pub(crate) request: Args<'a>,
}

impl Running {
    /// What everybody else is told once it has run for too long.
    pub(crate) fn busy(&self) -> CommandError {
        CommandError::text(if self.is_function {
            "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
        } else {
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
        })
    }
}

impl Scripts {
    /// None yet; the seed keeps clients from finding texts of one hash.
    pub(crate) fn new(seed: u64) -> Scripts {
        let hasher = FixedState::with_seed(seed);
        Scripts {
            by_digest: HashMap::with_hasher(hasher.clone()),
            by_text: HashMap::with_hasher(hasher),
            recent_text: Recent::default(),
            recent_digest: Recent::default(),
            cache_bytes: 0,
            interpreter: None,
            libraries: Libraries::default(),
            running: None,
            script_vm_bytes: 0,
            function_vm_bytes: 0,
            allows_all: false,
        }
    }

    /// How many scripts are kept.
    pub(crate) fn len(&self) -> usize {
        self.by_digest.len()
    }

    /// What kept scripts take, beside the interpreter.
    pub(crate) fn cache_bytes(&self) -> usize {
        let tables = self.by_digest.capacity() * size_of::<(Digest, Arc<Runnable>)>()
            + self.by_text.capacity() * size_of::<(Box<[u8]>, Arc<Runnable>)>();
        self.cache_bytes + tables
    }

    /// Whether a script of this digest, in letters of either case, is kept.
    pub(crate) fn contains(&self, digest: &[u8]) -> bool {
        self.find(digest).is_some()
    }

    /// A kept script by its digest.
    pub(crate) fn find(&self, digest: &[u8]) -> Option<&Arc<Runnable>> {
        self.recent_digest.find(digest).or_else(|| self.by_digest.get(&as_digest(digest)?))
    }

    /// The same, to run it.
    pub(crate) fn recall(&mut self, digest: &[u8]) -> Option<Arc<Runnable>> {
        let found = Arc::clone(self.find(digest)?);
        self.recent_digest.keep(digest, &found);
        Some(found)
    }

    /// A kept script by its text.
    fn find_text(&self, text: &[u8]) -> Option<&Arc<Runnable>> {
        self.recent_text.find(text).or_else(|| self.by_text.get(text))
    }

    /// What the script says of itself that a request names, if there is one.
    pub(crate) fn flags_of(&self, runs: Runs, args: Args<'_>) -> Option<ScriptFlags> {
        let name = args.get(1);
        let found = match runs {
            Runs::Text => self.find_text(name),
            Runs::Digest => self.find(name),
            Runs::Function => self.libraries.find(name),
        };
        match (found, runs) {
            (None, Runs::Text) => script_head(name).ok().map(|(flags, _)| flags),
            (found, _) => found.map(|script| script.flags),
        }
    }

    /// Keeps a script, compiled, under its digest.
    pub(crate) fn load(&mut self, body: &[u8], dice: &mut Dice) -> Result<Arc<Runnable>, CommandError> {
        if let Some(script) = self.find_text(body) {
            let script = Arc::clone(script);
            self.recent_text.keep(body, &script);
            return Ok(script);
        }
        let digest = sha1_hex(body);
        let (flags, code) = script_head(body).map_err(|error| CommandError::Text(error.into()))?;
        let new = || Box::new(Interpreter::new(Flavor::Scripts, dice.roll()));
        let interpreter = self.interpreter.get_or_insert_with(new);
        let code = interpreter.compile(&body[code]).map_err(|error| {
            CommandError::Text(format!("ERR Error compiling script (new function): {error}").into())
        })?;
        self.script_vm_bytes = interpreter.used_memory();
        self.cache_bytes += body.len() + digest.len() + size_of::<Runnable>();
        let name = String::from_utf8_lossy(&digest).into_owned();
        let script = Arc::new(Runnable { name, code, flags });
        self.by_digest.insert(digest, Arc::clone(&script));
        self.by_text.insert(body.into(), Arc::clone(&script));
        Ok(script)
    }

    /// Puts an interpreter back that has run, unless another has taken its place meanwhile.
    fn put_back(&mut self, is_function: bool, interpreter: Box<Interpreter>) {
        let (place, bytes) = if is_function {
            (&mut self.libraries.interpreter, &mut self.function_vm_bytes)
        } else {
            (&mut self.interpreter, &mut self.script_vm_bytes)
        };
        *bytes = interpreter.used_memory();
        place.get_or_insert(interpreter);
    }

    /// Has interpreters at rest free what nothing refers to, before it is told what they take.
    pub(crate) fn tidy(&mut self) {
        for (interpreter, bytes) in [
            (&mut self.interpreter, &mut self.script_vm_bytes),
            (&mut self.libraries.interpreter, &mut self.function_vm_bytes),
        ] {
            if let Some(interpreter) = interpreter {
                interpreter.tidy();
                *bytes = interpreter.used_memory();
            }
        }
    }

    /// Forgets all scripts, with the interpreter that ran them; returns what is to be freed.
    pub(crate) fn flush(&mut self) -> impl Send + use<> {
        let hasher = self.by_text.hasher().clone();
        let by_digest = std::mem::replace(&mut self.by_digest, HashMap::with_hasher(hasher.clone()));
        let tables = (by_digest, std::mem::replace(&mut self.by_text, HashMap::with_hasher(hasher)));
        self.recent_text.forget();
        self.recent_digest.forget();
        (self.cache_bytes, self.script_vm_bytes) = (0, 0);
        (tables, self.interpreter.take())
    }
}

fn as_digest(word: &[u8]) -> Option<Digest> {
    let mut digest: Digest = word.try_into().ok()?;
    digest.make_ascii_lowercase();
    Some(digest)
}

impl Engine {
    /// Runs a script or a function, and writes what it returns.
    pub(crate) fn run_script(
        &mut self,
        now: Now,
        connection: ConnectionId,
        call: Call<'_>,
        world: &mut World<'_>,
    ) -> Result<(), CommandError> {
        let is_function = call.is_function;
        let taken = if is_function {
            self.scripts.libraries.interpreter.take()
        } else {
            self.scripts.interpreter.take()
        };
        let (Some(mut interpreter), None) = (taken, &self.scripts.running) else {
            return Err(CommandError::text("ERR a script is running already"));
        };
        let Some(session) = self.sessions.get(connection) else { return Ok(()) };
        let proto = session.proto;
        let ended = self.run_as_unit(now, connection, &call, world, |caller, _| {
            if is_function {
                interpreter.call(&call.script.code, call.keys, call.arguments, caller)
            } else {
                interpreter.run(&call.script.code, call.keys, call.arguments, caller)
            }
        });
        self.end_script(connection, proto, &call, ended, world);
        self.scripts.put_back(is_function, interpreter);
        Ok(())
    }

    /// Runs something that calls commands, as one unit. It is told when it began.
    fn run_as_unit(
        &mut self,
        now: Now,
        connection: ConnectionId,
        call: &Call<'_>,
        world: &mut World<'_>,
        run: impl FnOnce(&mut Caller<'_, '_>, Micros) -> Ended,
    ) -> Ended {
        let session = self.sessions.get(connection);
        let before = session.map(|session| (session.proto, session.database));
        let (was_in_exec, began) = (std::mem::replace(&mut self.is_in_exec, true), self.mark);
        self.scripts.running = Some(Running {
            script: Arc::clone(&call.script),
            is_function: call.is_function,
            began,
            request: OwnedArgs::new(),
            has_written: false,
            is_slow: false,
            is_killed: false,
        });
        self.unit.set_scripted(true);
        let mut caller = Caller::new(self, now, connection, call, world);
        let ended = run(&mut caller, began);
        let waits_for = caller.finish();
        self.unit.set_scripted(false);
        self.is_in_exec = was_in_exec;
        self.mark = began;
        self.reply_stamp = waits_for;
        if let (Some(session), Some(before)) = (self.sessions.get_mut(connection), before) {
            (session.proto, session.database) = before;
        }
        ended
    }

    /// Hears everybody else while a script runs for too long: most are told that the server is busy. Says whether the
    /// script goes on.
    fn listen_while_busy(&mut self, now: Now, busy: ConnectionId, world: &mut World<'_>) -> bool {
        self.hear_meanwhile(now, Some(busy), world);
        !self.scripts.running.as_ref().is_some_and(|running| running.is_killed)
    }

    /// Answers with what a script has come to.
    fn end_script(
        &mut self,
        connection: ConnectionId,
        proto: Proto,
        call: &Call<'_>,
        ended: Ended,
        world: &mut World<'_>,
    ) {
        self.scripts.running = None;
        let mut reply = Reply::new(world.outputs.writer(connection), proto);
        let error = match ended {
            Ended::Returned(returned) => {
                returned.write(&mut reply).map(|error| (error.text, error.is_counted))
            }
            Ended::Failed(failure) => {
                let Failure { text, place, is_counted } = failure;
                write_failure(&mut reply, &text, &call.script.name, place);
                Some((text, is_counted))
            }
            Ended::Stopped(place) => {
                let text = b"ERR Script killed by user with SCRIPT KILL...";
                write_failure(&mut reply, text, &call.script.name, place);
                Some((text.to_vec(), false))
            }
        };
        if let Some((text, is_counted)) = error {
            self.stats.count_failed(call.command);
            if !is_counted {
                let text = String::from_utf8_lossy(&text).into_owned();
                self.stats.count_error(&CommandError::Text(text.into()));
            }
        }
    }
}

fn write_failure(reply: &mut Reply<'_>, text: &[u8], name: &str, place: Option<tenon_script::Place>) {
    let mut line = text.to_vec();
    if let Some(place) = place {
        line.extend_from_slice(format!(" script: {name}, on {}:{}.", place.source, place.line).as_bytes());
    }
    reply.error_bytes(&line);
}

#[cfg(test)]
mod tests;
