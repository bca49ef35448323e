//! How functions written in Rust tell a script what is wrong. Lua's own errors are strings, or tables with a code;
//! Rust's reach Lua as something else, which the sandbox opens wherever a script could catch it.

use std::fmt;

use mlua::{Error, Lua, LuaString, Result, Table, Value};

/// What a library's function came to; its error is a sentence.
pub(crate) type Told<R> = std::result::Result<R, String>;

/// An error as a script is to see it.
#[derive(Debug)]
pub(crate) enum Raised {
    /// A sentence, with the place where it was raised.
    Sentence(String),
    /// A table with this text, code first; a command's own error is marked as counted.
    Coded {
        /// Code and sentence.
        text: Vec<u8>,
        /// See above.
        is_counted: bool,
    },
    /// What a script raised, as it is.
    Value(Value),
}

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Raised::Sentence(sentence) => f.write_str(sentence),
            Raised::Coded { text, .. } => f.write_str(&String::from_utf8_lossy(text)),
            Raised::Value(value) => f.write_str(type_name(value)),
        }
    }
}

impl std::error::Error for Raised {}

/// Raises what a library's function says, at the line that called it.
pub(crate) fn tell<R>(lua: &Lua, told: Told<R>) -> Result<R> {
    told.map_err(|sentence| {
        let place = lua.inspect_stack(1, |debug| {
            let line = debug.current_line()?;
            Some(format!("{}:{line}: ", debug.source().short_src?))
        });
        Error::external(Raised::Sentence(place.flatten().unwrap_or_default() + &sentence))
    })
}

/// Raises what a script raises.
pub(crate) fn raise(_: &Lua, value: Value) -> Result<()> {
    Err(Error::external(Raised::Value(value)))
}

/// An error with a code, as a table.
pub(crate) fn coded(text: impl Into<Vec<u8>>) -> Error {
    Error::external(Raised::Coded { text: text.into(), is_counted: false })
}

/// As Lua has it: a string or a table for what was raised in Rust, and anything else as it is.
pub(crate) fn open(lua: &Lua, value: Value) -> Result<Value> {
    let Value::Error(error) = value else { return Ok(value) };
    let mut error: &Error = &error;
    while let Error::CallbackError { cause, .. } = error {
        error = cause;
    }
    match error.downcast_ref::<Raised>() {
        Some(Raised::Sentence(sentence)) => Ok(Value::String(lua.create_string(sentence)?)),
        Some(Raised::Coded { text, is_counted }) => coded_table(lua, text, *is_counted).map(Value::Table),
        Some(Raised::Value(value)) => Ok(value.clone()),
        None if matches!(error, Error::MemoryError(_)) => {
            Ok(Value::String(lua.create_string("not enough memory")?))
        }
        None => Ok(Value::String(lua.create_string(error.to_string())?)),
    }
}

/// `{err = text}`, marked if it is counted already.
pub(crate) fn coded_table(lua: &Lua, text: &[u8], is_counted: bool) -> Result<Table> {
    let table = lua.create_table_with_capacity(0, 2)?;
    table.raw_set("err", lua.create_string(text)?)?;
    if is_counted {
        table.raw_set("ignore_error_stats_update", true)?;
    }
    Ok(table)
}

/// The sentence about argument `index` (from 1) of `function`.
pub(crate) fn bad_argument(index: usize, function: &str, what: &str) -> String {
    format!("bad argument #{index} to '{function}' ({what})")
}

/// The sentence about an argument of a wrong type.
pub(crate) fn wrong_type(index: usize, function: &str, expected: &str, found: Option<&Value>) -> String {
    let found = found.map_or("no value", type_name);
    bad_argument(index, function, &format!("{expected} expected, got {found}"))
}

/// A type's name as Lua 5.1 says it.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nil",
        Value::Boolean(_) => "boolean",
        Value::Integer(_) | Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Table(_) => "table",
        Value::Function(_) => "function",
        Value::Thread(_) => "thread",
        _ => "userdata",
    }
}

/// A number, or a string that reads as one.
pub(crate) fn number(lua: &Lua, value: &Value) -> Option<f64> {
    match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Number(number) => Some(*number),
        Value::String(_) => lua.coerce_number(value.clone()).ok().flatten(),
        _ => None,
    }
}

/// A string, or a number written as one.
pub(crate) fn text(lua: &Lua, value: &Value) -> Option<LuaString> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(_) | Value::Number(_) => lua.coerce_string(value.clone()).ok().flatten(),
        _ => None,
    }
}
