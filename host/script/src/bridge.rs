//! A script's way to its host: the functions of `redis` that leave the interpreter.
//! They are made once and outlast every run, as scripts may keep them; which host they reach is known for the time of
//! a run only, to the thread that runs it. Not a global: whatever outlives the run finds nobody there.

use mlua::{Error, Lua, MultiValue, Result, Table, Value};
use scoped_tls_hkt::scoped_thread_local;
use tenon_resp::{OwnedArgs, Proto};

use crate::convert::read_reply;
use crate::memory::beside_limit;
use crate::told::{Raised, coded, coded_table, number, text};
use crate::{Called, Host, sha1_hex};

/// What is reached for one run.
pub(crate) struct Crossing<'a> {
    pub(crate) host: &'a mut dyn Host,
    /// The words of the command that is called.
    pub(crate) words: &'a mut OwnedArgs,
    /// In which protocol replies come.
    pub(crate) speaks: Proto,
}

/// A [`Crossing`] whatever it borrows.
trait Cross {
    fn call(&mut self, lua: &Lua, args: &MultiValue) -> Result<Answer>;
    fn check(&mut self, args: &MultiValue) -> Result<bool>;
    fn set_targets(&mut self, log: bool, replicas: bool);
    fn speak(&mut self, proto: Proto);
    fn log(&mut self, level: u8, text: &[u8]);
    fn goes_on(&mut self) -> bool;
}

scoped_thread_local!(static mut CROSSING: for<'a> &'a mut (dyn Cross + 'a));

/// What a command came to, for a script.
enum Answer {
    Value(Value),
    /// The error's text, code first, counted already or not.
    Error(Vec<u8>, bool),
}

impl Crossing<'_> {
    /// Runs something for which this is the way out.
    pub(crate) fn open_for<R>(&mut self, run: impl FnOnce() -> R) -> R {
        CROSSING.set(self, run)
    }
}

/// Whether what runs goes on; where nobody is to be asked, it does.
pub(crate) fn goes_on() -> bool {
    !CROSSING.is_set() || CROSSING.with(|crossing| crossing.goes_on())
}

/// Puts the functions into `native`.
pub(crate) fn install(lua: &Lua, native: &Table) -> Result<()> {
    let call = |lua: &Lua, args: MultiValue| match cross(|crossing| crossing.call(lua, &args))? {
        Answer::Value(value) => Ok(value),
        Answer::Error(text, is_counted) => Err(Error::external(Raised::Coded { text, is_counted })),
    };
    native.raw_set("call", lua.create_function(call)?)?;
    let protected_call = |lua: &Lua, args: MultiValue| match cross(|crossing| crossing.call(lua, &args))? {
        Answer::Value(value) => Ok(value),
        Answer::Error(text, is_counted) => coded_table(lua, &text, is_counted).map(Value::Table),
    };
    native.raw_set("pcall", lua.create_function(protected_call)?)?;
    let check = |_: &Lua, args: MultiValue| cross(|crossing| crossing.check(&args));
    native.raw_set("acl_check_cmd", lua.create_function(check)?)?;
    native.raw_set("set_repl", lua.create_function(set_targets)?)?;
    native.raw_set("setresp", lua.create_function(set_protocol)?)?;
    native.raw_set("log", lua.create_function(log)?)?;
    native.raw_set("sha1hex", lua.create_function(digest)?)
}

fn cross<R>(act: impl FnOnce(&mut dyn Cross) -> Result<R>) -> Result<R> {
    if !CROSSING.is_set() {
        return Err(coded("ERR this function can only be called while a script runs"));
    }
    CROSSING.with(|crossing| act(crossing))
}

fn set_targets(lua: &Lua, args: MultiValue) -> Result<()> {
    if args.len() != 1 {
        return Err(coded("ERR redis.set_repl() requires one argument."));
    }
    let flags = args.front().and_then(|value| number(lua, value)).unwrap_or(0.0) as i64;
    if flags & !3 != 0 {
        let text = "ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.";
        return Err(coded(text));
    }
    cross(|crossing| {
        crossing.set_targets(flags & 1 != 0, flags & 2 != 0);
        Ok(())
    })
}

fn set_protocol(lua: &Lua, args: MultiValue) -> Result<()> {
    if args.len() != 1 {
        return Err(coded("ERR redis.setresp() requires one argument."));
    }
    let proto = match args.front().and_then(|value| number(lua, value)).unwrap_or(0.0) as i64 {
        2 => Proto::Resp2,
        3 => Proto::Resp3,
        _ => return Err(coded("ERR RESP version must be 2 or 3.")),
    };
    cross(|crossing| {
        crossing.speak(proto);
        Ok(())
    })
}

fn log(lua: &Lua, args: MultiValue) -> Result<()> {
    if args.len() < 2 {
        return Err(coded("ERR redis.log() requires two arguments or more."));
    }
    let level = args.front().and_then(|value| number(lua, value));
    let level = level.ok_or_else(|| coded("ERR First argument must be a number (log level)."))? as i64;
    let level = u8::try_from(level)
        .ok()
        .filter(|&level| level <= 3)
        .ok_or_else(|| coded("ERR Invalid debug level."))?;
    let mut line = Vec::new();
    for (index, value) in args.iter().skip(1).enumerate() {
        if let Some(text) = text(lua, value) {
            if index > 0 {
                line.push(b' ');
            }
            line.extend_from_slice(&text.as_bytes());
        }
    }
    cross(|crossing| {
        crossing.log(level, &line);
        Ok(())
    })
}

fn digest(lua: &Lua, args: MultiValue) -> Result<Value> {
    let (Some(value), 1) = (args.front(), args.len()) else {
        return Err(coded("ERR wrong number of arguments"));
    };
    let digest = match text(lua, value) {
        Some(text) => sha1_hex(&text.as_bytes()),
        None => sha1_hex(b""),
    };
    lua.create_string(digest).map(Value::String)
}

impl Cross for Crossing<'_> {
    fn call(&mut self, lua: &Lua, args: &MultiValue) -> Result<Answer> {
        if let Err(sentence) = self.take_words(args) {
            return Ok(Answer::Error(sentence.as_bytes().to_vec(), false));
        }
        Ok(match self.host.call(self.words.as_args(), self.speaks) {
            Called::Refused(text) => Answer::Error(text.into_bytes(), true),
            Called::Reply([b'-', text @ ..]) => Answer::Error(text.to_vec(), true),
            Called::Reply(reply) => {
                Answer::Value(beside_limit(lua, reply.len(), || read_reply(lua, reply, &mut 0))?)
            }
        })
    }

    fn check(&mut self, args: &MultiValue) -> Result<bool> {
        self.take_words(args).map_err(coded)?;
        let may = self.host.may_call(self.words.as_args());
        may.ok_or_else(|| coded("ERR Invalid command passed to redis.acl_check_cmd()"))
    }

    fn set_targets(&mut self, log: bool, replicas: bool) {
        self.host.set_targets(log, replicas);
    }

    fn speak(&mut self, proto: Proto) {
        self.speaks = proto;
    }

    fn log(&mut self, level: u8, text: &[u8]) {
        self.host.log(level, text);
    }

    fn goes_on(&mut self) -> bool {
        self.host.goes_on()
    }
}

impl Crossing<'_> {
    fn take_words(&mut self, args: &MultiValue) -> std::result::Result<(), &'static str> {
        if args.is_empty() {
            return Err("ERR Please specify at least one argument for this redis lib call");
        }
        self.words.clear();
        for value in args {
            match value {
                Value::String(text) => self.words.push(&text.as_bytes()),
                Value::Integer(number) => self.words.push_integer(*number),
                Value::Number(number) => {
                    let mut digits = [0; tenon_resp::DOUBLE_TEXT_BYTES_MAX];
                    self.words.push(tenon_resp::format_double(*number, &mut digits));
                }
                _ => return Err("ERR Lua redis lib command arguments must be strings or integers"),
            }
        }
        Ok(())
    }
}
