//! A script's way to its host: the functions of `redis` that leave the interpreter. A command's words and what it came
//! to cross without a handle on Lua's values where they can; `sandbox.lua` has the other half of it.
//! They are made once and outlast every run, as scripts may keep them; which host they reach is known for the time of
//! a run only, to the thread that runs it. Not a global: whatever outlives the run finds nobody there.

use mlua::{BString, Either, Error, Lua, MultiValue, Result, Table, Value};
use scoped_tls_hkt::scoped_thread_local;
use tenon_resp::{DOUBLE_TEXT_BYTES_MAX, OwnedArgs, Proto};

use crate::convert::{bulk_of, error_text, read_reply, status_of};
use crate::debugger::Debugger;
use crate::memory::{Crosses, Lift, Limit, beside_limit, crossing_text};
use crate::told::{Raised, coded, coded_table, number, text};
use crate::{Called, Host, Parting, sha1_hex};

/// What may be a word of a command, or none. A number is taken for its text here.
type Word = Option<Either<BString, Value>>;
/// As many words as most commands have at most.
type Words = (Word, Word, Word, Word);
/// What a command came to, one of [`VALUE`] and so on, and the value or text.
type Answer = (Lift<u8>, Crosses, Limit);

/// What is behind it is what the script is to get.
const VALUE: u8 = 0;
/// What is behind it is the text of a status.
const STATUS: u8 = 1;
/// What is behind it is the text of an error, code first, which was counted when it arose.
const ERROR: u8 = 2;
/// It is the status `OK`, and nothing is behind it. Not 3, by which the other side has errors of its own.
const OK: u8 = 4;
/// It has not been run, because not all of its words are strings for certain.
const UNSURE: u8 = 5;

/// What is reached for one run.
pub(crate) struct Crossing<'a> {
    pub(crate) host: &'a mut dyn Host,
    /// The words of the command that is called.
    pub(crate) words: &'a mut OwnedArgs,
    /// In which protocol replies come.
    pub(crate) speaks: Proto,
    /// Where it is stepped through.
    pub(crate) debugger: Option<&'a mut Debugger>,
}

/// A [`Crossing`] whatever it borrows.
trait Cross {
    fn words(&mut self) -> &mut OwnedArgs;
    fn call(&mut self, lua: &Lua) -> Result<Answer>;
    fn call_wide(&mut self, lua: &Lua, args: &MultiValue) -> Result<Wide>;
    fn check(&mut self, args: &MultiValue) -> Result<bool>;
    fn set_targets(&mut self, log: bool, replicas: bool);
    fn speak(&mut self, proto: Proto);
    fn log(&mut self, level: u8, text: &[u8]);
    fn goes_on(&mut self) -> bool;
    fn debugger(&mut self) -> Option<&mut Debugger>;
    fn converse(&mut self) -> std::result::Result<OwnedArgs, Parting>;
    fn lingers(&mut self) -> bool;
}

/// What a command of any number of words came to.
enum Wide {
    Value(Value),
    /// The error's text, code first.
    Error {
        text: Vec<u8>,
        is_counted: bool,
    },
}

scoped_thread_local!(static mut CROSSING: for<'a> &'a mut (dyn Cross + 'a));

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

/// Does something with the debugger of what runs, if there is one.
pub(crate) fn debugging<R>(act: impl FnOnce(&mut Debugger) -> R) -> Option<R> {
    if !CROSSING.is_set() {
        return None;
    }
    CROSSING.with(|crossing| crossing.debugger().map(act))
}

/// Tells what the debugger has said, and waits for an answer.
pub(crate) fn converse() -> std::result::Result<OwnedArgs, Parting> {
    if !CROSSING.is_set() {
        return Err(Parting::Gone);
    }
    CROSSING.with(|crossing| crossing.converse())
}

/// See [`Host::lingers`].
pub(crate) fn lingers() -> bool {
    CROSSING.is_set() && CROSSING.with(|crossing| crossing.lingers())
}

/// Puts the functions into `native`.
pub(crate) fn install(lua: &Lua, native: &Table) -> Result<()> {
    let send = |lua: &Lua, (count, words): (usize, Words)| {
        cross(|crossing| {
            crossing.words().clear();
            if count == 0 || add(crossing.words(), words, is_text) < count {
                return Ok((Lift::not(UNSURE), Either::Right(Value::Nil), Limit::not()));
            }
            crossing.call(lua)
        })
    };
    native.raw_set("send", lua.create_function(send)?)?;
    let gather = |_: &Lua, (is_first, words): (bool, Words)| {
        cross(|crossing| {
            if is_first {
                crossing.words().clear();
            }
            Ok(add(crossing.words(), words, |_| true))
        })
    };
    native.raw_set("gather", lua.create_function(gather)?)?;
    let send_sure = |lua: &Lua, words: Words| {
        cross(|crossing| {
            // Without words it sends what is gathered.
            if words.0.is_some() {
                crossing.words().clear();
                add(crossing.words(), words, |_| true);
            }
            crossing.call(lua)
        })
    };
    native.raw_set("send_sure", lua.create_function(send_sure)?)?;
    let call = |lua: &Lua, args: MultiValue| match cross(|crossing| crossing.call_wide(lua, &args))? {
        Wide::Value(value) => Ok(value),
        Wide::Error { text, is_counted } => Err(Error::external(Raised::Coded { text, is_counted })),
    };
    native.raw_set("call", lua.create_function(call)?)?;
    let protected_call = |lua: &Lua, args: MultiValue| match cross(|crossing| crossing.call_wide(lua, &args))?
    {
        Wide::Value(value) => Ok(value),
        Wide::Error { text, is_counted } => coded_table(lua, &text, is_counted).map(Value::Table),
    };
    native.raw_set("pcall", lua.create_function(protected_call)?)?;
    native.raw_set("number_text", lua.create_function(number_text)?)?;
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

/// Adds the words in front that are good; returns how many.
fn add(words: &mut OwnedArgs, given: Words, is_good: impl Fn(&[u8]) -> bool) -> usize {
    let (a, b, c, d) = given;
    let mut count = 0;
    for word in [a, b, c, d] {
        match word {
            Some(Either::Left(word)) if is_good(&word) => words.push(&word),
            _ => break,
        }
        count += 1;
    }
    count
}

/// Whether this was a string, not a number whose text it is.
pub(crate) fn is_text(word: &[u8]) -> bool {
    let looks = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e');
    match word {
        [b'0'..=b'9', rest @ ..] | [b'-', b'0'..=b'9', rest @ ..] => {
            // A sign is in front of the number or of its exponent.
            let has_sign = |pair: &[u8]| pair[0] != b'e' && matches!(pair[1], b'-' | b'+');
            !rest.iter().all(looks) || rest.windows(2).any(has_sign)
        }
        b"inf" | b"-inf" | b"nan" | b"-nan" => false,
        _ => true,
    }
}

/// A number as a word of a command: never with an exponent if it is whole and fits, as commands may want an integer.
fn number_text(lua: &Lua, number: f64) -> Result<(Lift<()>, Crosses, Limit)> {
    let mut words = OwnedArgs::new();
    push_number(&mut words, number);
    crossing_text(lua, (), words.as_args().get(0))
}

fn push_number(words: &mut OwnedArgs, number: f64) {
    if number == number.trunc() && number.abs() <= (i64::MAX / 2) as f64 {
        return words.push_integer(number as i64);
    }
    let mut digits = [0; DOUBLE_TEXT_BYTES_MAX];
    words.push(tenon_resp::format_double(number, &mut digits));
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
    fn words(&mut self) -> &mut OwnedArgs {
        self.words
    }

    fn call(&mut self, lua: &Lua) -> Result<Answer> {
        match self.host.call(self.words.as_args(), self.speaks) {
            Called::Refused(text) => crossing_text(lua, ERROR, &error_text(text.as_bytes())),
            Called::Reply([b'-', text @ ..]) => crossing_text(lua, ERROR, &error_text(text)),
            Called::Reply(reply) => match (status_of(reply), bulk_of(reply)) {
                (Some(b"OK"), _) => Ok((Lift::not(OK), Either::Right(Value::Nil), Limit::not())),
                (Some(text), _) => crossing_text(lua, STATUS, text),
                (None, Some(text)) => crossing_text(lua, VALUE, text),
                (None, None) => {
                    let value = beside_limit(lua, reply.len(), || read_reply(lua, reply, &mut 0))?;
                    Ok((Lift::not(VALUE), Either::Right(value), Limit::not()))
                }
            },
        }
    }

    fn call_wide(&mut self, lua: &Lua, args: &MultiValue) -> Result<Wide> {
        if let Err(sentence) = self.take_words(args) {
            return Ok(Wide::Error { text: sentence.as_bytes().to_vec(), is_counted: false });
        }
        let called = self.host.call(self.words.as_args(), self.speaks);
        if let Some(debugger) = &mut self.debugger {
            debugger.note_call(self.words.as_args(), &called);
        }
        Ok(match called {
            Called::Refused(text) => {
                Wide::Error { text: error_text(text.as_bytes()).into(), is_counted: true }
            }
            Called::Reply([b'-', text @ ..]) => {
                Wide::Error { text: error_text(text).into(), is_counted: true }
            }
            Called::Reply(reply) => {
                Wide::Value(beside_limit(lua, reply.len(), || read_reply(lua, reply, &mut 0))?)
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

    fn debugger(&mut self) -> Option<&mut Debugger> {
        self.debugger.as_deref_mut()
    }

    fn converse(&mut self) -> std::result::Result<OwnedArgs, Parting> {
        let said = self.debugger.as_deref_mut().map(Debugger::take_said).unwrap_or_default();
        self.host.converse(&said)
    }

    fn lingers(&mut self) -> bool {
        self.host.lingers()
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
                Value::Number(number) => push_number(self.words, *number),
                _ => return Err("ERR Lua redis lib command arguments must be strings or integers"),
            }
        }
        Ok(())
    }
}
