//! Scripts and functions: what is kept of them, and how one runs as a unit of its own. Lua itself is in `host/script`;
//! the commands are in `server/scripting`.
//! Always: what a script does is one record, propagated as what its commands did; whatever becomes of it, its session
//! speaks the protocol and has the database selected that it had before.

mod caller; // how a script's commands run
mod libraries;

use std::collections::HashMap;

use tenon_base::{ConnectionId, Dice, Micros, Now, World};
use tenon_commands::CommandError;
use tenon_resp::{Args, OwnedArgs, Proto, Reply};
use tenon_script::{Code, Digest, Ended, Failure, Flavor, Interpreter, ScriptFlags, script_head, sha1_hex};

use self::caller::Caller;
pub(crate) use self::libraries::{Libraries, Library, Loading, RestorePolicy};
use crate::engine::Engine;
use crate::table::CommandId;

/// All scripts and functions of an engine.
#[derive(Default)]
pub(crate) struct Scripts {
    cache: HashMap<Digest, Script>,
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

struct Script {
    code: Code,
    flags: ScriptFlags,
}

/// A script that runs.
pub(crate) struct Running {
    /// Its digest, or the function's name.
    pub(crate) name: String,
    pub(crate) is_function: bool,
    pub(crate) began: Micros,
    /// What its client sent.
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
    pub(crate) name: String,
    pub(crate) code: Code,
    pub(crate) flags: ScriptFlags,
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
    /// How many scripts are kept.
    pub(crate) fn len(&self) -> usize {
        self.cache.len()
    }

    /// What kept scripts take, beside the interpreter.
    pub(crate) fn cache_bytes(&self) -> usize {
        self.cache_bytes + self.cache.capacity() * (size_of::<Digest>() + size_of::<Script>())
    }

    /// Whether a script of this digest, in letters of either case, is kept.
    pub(crate) fn contains(&self, digest: &[u8]) -> bool {
        as_digest(digest).is_some_and(|digest| self.cache.contains_key(&digest))
    }

    /// A kept script, and what it says of itself.
    pub(crate) fn find(&self, digest: &[u8]) -> Option<(Digest, Code, ScriptFlags)> {
        let digest = as_digest(digest)?;
        self.cache.get(&digest).map(|script| (digest, script.code.clone(), script.flags))
    }

    /// Keeps a script, compiled, under its digest.
    pub(crate) fn load(
        &mut self,
        body: &[u8],
        dice: &mut Dice,
    ) -> Result<(Digest, Code, ScriptFlags), CommandError> {
        let digest = sha1_hex(body);
        if let Some(script) = self.cache.get(&digest) {
            return Ok((digest, script.code.clone(), script.flags));
        }
        let (flags, code) = script_head(body).map_err(|error| CommandError::Text(error.into()))?;
        let new = || Box::new(Interpreter::new(Flavor::Scripts, dice.roll()));
        let interpreter = self.interpreter.get_or_insert_with(new);
        let code = interpreter.compile(&body[code]).map_err(|error| {
            CommandError::Text(format!("ERR Error compiling script (new function): {error}").into())
        })?;
        self.script_vm_bytes = interpreter.used_memory();
        self.cache_bytes += body.len() + digest.len();
        self.cache.insert(digest, Script { code: code.clone(), flags });
        Ok((digest, code, flags))
    }

    /// Forgets all scripts, with the interpreter that ran them; returns what is to be freed.
    pub(crate) fn flush(&mut self) -> impl Send + use<> {
        let forgotten = (std::mem::take(&mut self.cache), self.interpreter.take());
        (self.cache_bytes, self.script_vm_bytes) = (0, 0);
        forgotten
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
        let (proto, database) = (session.proto, session.database);
        let (was_in_exec, began) = (std::mem::replace(&mut self.is_in_exec, true), self.mark);
        self.scripts.running = Some(Running {
            name: call.name.clone(),
            is_function,
            began: world.stopwatch.read(),
            request: OwnedArgs::from(call.request),
            has_written: false,
            is_slow: false,
            is_killed: false,
        });
        self.unit.set_scripted(true);
        let mut caller = Caller::new(self, now, connection, &call, world);
        let ended = if is_function {
            interpreter.call(&call.code, call.keys, call.arguments, &mut caller)
        } else {
            interpreter.run(&call.code, call.keys, call.arguments, &mut caller)
        };
        let waits_for = caller.finish();
        self.unit.set_scripted(false);
        self.is_in_exec = was_in_exec;
        self.mark = began;
        self.reply_stamp = waits_for;
        if let Some(session) = self.sessions.get_mut(connection) {
            (session.proto, session.database) = (proto, database);
        }
        self.end_script(connection, proto, &call, ended, world);
        let bytes = interpreter.used_memory();
        if is_function {
            self.scripts.function_vm_bytes = bytes;
            self.scripts.libraries.interpreter.get_or_insert(interpreter);
        } else {
            self.scripts.script_vm_bytes = bytes;
            self.scripts.interpreter.get_or_insert(interpreter);
        }
        Ok(())
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
                write_failure(&mut reply, &text, &call.name, place);
                Some((text, is_counted))
            }
            Ended::Stopped(place) => {
                let text = b"ERR Script killed by user with SCRIPT KILL...";
                write_failure(&mut reply, text, &call.name, place);
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
