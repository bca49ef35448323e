//! How something compiled is called: by the shortest way that the number of its words allows.
//! Not what it may do, nor what it finds around it: see `interpreter`.
//! Always: no memory limit holds while words are made, and one holds while the code runs.

use mlua::{BString, Either, Function as LuaFunction, Lua, LuaString, Result, Table, Value, Variadic};
use tenon_resp::Args;

use super::Code;
use crate::memory::{Limit, LimitBehind, until_unlimited, within_limit};

/// A run of at most this many keys and so many arguments has its tables made by Lua, of words that need no handle.
pub(super) const FEW_KEYS_MAX: usize = 2;
const FEW_ARGUMENTS_MAX: usize = 64;

/// What runs something compiled.
pub(super) struct Runner {
    /// With at most one key and one argument, and with at most two of each.
    one: LuaFunction,
    two: LuaFunction,
    /// The same with tables that are used again.
    one_again: LuaFunction,
    two_again: LuaFunction,
    /// The tables that are used again hold more than one each.
    holds_two: bool,
    /// With so many keys, and the arguments behind them.
    few: [LuaFunction; FEW_KEYS_MAX + 1],
    /// With a table of each.
    pub(super) many: LuaFunction,
}

/// What came of a run, as `sandbox.lua` has it: of which kind it is, a value, and a text.
pub(super) type Outcome = (u8, Value, Option<BString>);

impl Runner {
    pub(super) fn find(runner: &Table, name: &str) -> Result<Runner> {
        let find = |kind: &str| runner.raw_get(format!("{name}_{kind}"));
        Ok(Runner {
            one: find("one")?,
            two: find("two")?,
            one_again: find("one_again")?,
            two_again: find("two_again")?,
            holds_two: false,
            few: [find("0")?, find("1")?, find("2")?],
            many: find("many")?,
        })
    }

    pub(super) fn run(
        &mut self,
        lua: &Lua,
        code: &Code,
        keys: Args<'_>,
        arguments: Args<'_>,
    ) -> Result<Outcome> {
        let function = &code.function;
        let most = keys.len().max(arguments.len());
        if most <= 1 && !(code.leaves_tables && self.holds_two) {
            let run = if code.leaves_tables { &self.one_again } else { &self.one };
            return until_unlimited(lua, || {
                let (key, argument) = (word_at(lua, keys, 0)?, word_at(lua, arguments, 0)?);
                run.call((function, key, argument, Limit::on()))
            });
        } else if most <= FEW_KEYS_MAX {
            let run = if code.leaves_tables { &self.two_again } else { &self.two };
            self.holds_two = if code.leaves_tables { most > 1 } else { self.holds_two };
            return until_unlimited(lua, || {
                let (key, other) = (word_at(lua, keys, 0)?, word_at(lua, keys, 1)?);
                let (first, second) = (word_at(lua, arguments, 0)?, word_at(lua, arguments, 1)?);
                run.call((function, key, other, first, second, Limit::on()))
            });
        }
        match self.few.get(keys.len()) {
            Some(run) if arguments.len() <= FEW_ARGUMENTS_MAX && !code.is_wide => {
                until_unlimited(lua, || {
                    let mut words = Vec::with_capacity(keys.len() + arguments.len() + 1);
                    for bytes in keys.iter().chain(arguments.iter()) {
                        words.push(Either::Left(word(lua, bytes)?));
                    }
                    words.push(Either::Right(LimitBehind));
                    run.call((function, Variadic::from(words)))
                })
            }
            _ => {
                let (keys, arguments) = (list(lua, keys)?, list(lua, arguments)?);
                within_limit(lua, || self.many.call((function, keys, arguments)))
            }
        }
    }
}

/// A word for Lua, without a handle where that is possible.
type Word<'a> = Either<&'a str, LuaString>;

fn word<'a>(lua: &Lua, bytes: &'a [u8]) -> Result<Word<'a>> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Either::Left(text)),
        Err(_) => lua.create_string(bytes).map(Either::Right),
    }
}

fn word_at<'a>(lua: &Lua, words: Args<'a>, index: usize) -> Result<Option<Word<'a>>> {
    words.try_get(index).map(|bytes| word(lua, bytes)).transpose()
}

pub(super) fn list(lua: &Lua, words: Args<'_>) -> Result<Table> {
    let mut failure = None;
    let words = words.iter().map_while(|bytes| word(lua, bytes).map_err(|error| failure = Some(error)).ok());
    let list = lua.create_sequence_from::<Word<'_>>(words)?;
    failure.map_or(Ok(list), Err)
}
