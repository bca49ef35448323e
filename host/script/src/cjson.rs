//! The library `cjson`: JSON as lua-cjson 2.1 reads and writes it, with its settings and its limits.
//! Always: depth is bounded by a setting that is itself bounded; a malformed text is told with the place.

mod decode;
mod encode;

use std::sync::{Arc, Mutex, PoisonError};

use mlua::{Lua, MultiValue, Result, Table, Value};

use crate::told::{Told, bad_argument, number, tell, text, wrong_type};

/// The settings of one instance of the library.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    sparse_convert: bool,
    sparse_ratio: i32,
    sparse_safe: i32,
    encode_depth: i32,
    decode_depth: i32,
    encode_invalid: Invalid,
    decode_invalid: bool,
    keep_buffer: bool,
    precision: i32,
}

/// What is made of numbers that JSON does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Invalid {
    Refused,
    Written,
    Null,
}

/// How deep anything nests, whatever the settings say: it is read and written by functions that call themselves.
const DEPTH_MAX: usize = 2_000;

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            sparse_convert: false,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_depth: 1_000,
            decode_depth: 1_000,
            encode_invalid: Invalid::Refused,
            decode_invalid: true,
            keep_buffer: true,
            precision: 14,
        }
    }
}

type Shared = Arc<Mutex<Settings>>;

/// A new instance with settings of its own.
pub(crate) fn library(lua: &Lua) -> Result<Table> {
    let settings = Shared::default();
    let library = lua.create_table()?;
    let add = |name: &'static str, run: fn(&Lua, &mut Settings, &MultiValue) -> Told<MultiValue>| {
        let settings = Arc::clone(&settings);
        let function = lua.create_function(move |lua, args: MultiValue| {
            let mut settings = settings.lock().unwrap_or_else(PoisonError::into_inner);
            tell(lua, run(lua, &mut settings, &args))
        })?;
        library.raw_set(name, function)
    };
    add("encode", encode_value)?;
    add("decode", decode_text)?;
    add("encode_sparse_array", sparse_array)?;
    add("encode_max_depth", |lua, settings, args| {
        one_integer(lua, "encode_max_depth", &mut settings.encode_depth, 1, i32::MAX, args)
    })?;
    add("decode_max_depth", |lua, settings, args| {
        one_integer(lua, "decode_max_depth", &mut settings.decode_depth, 1, i32::MAX, args)
    })?;
    add("encode_number_precision", |lua, settings, args| {
        one_integer(lua, "encode_number_precision", &mut settings.precision, 1, 14, args)
    })?;
    add("encode_keep_buffer", |lua, settings, args| {
        at_most(args, 1, "encode_keep_buffer")?;
        Ok(one(switch(lua, "encode_keep_buffer", &mut settings.keep_buffer, args.front())?))
    })?;
    add("encode_invalid_numbers", invalid_numbers)?;
    add("decode_invalid_numbers", |lua, settings, args| {
        at_most(args, 1, "decode_invalid_numbers")?;
        Ok(one(switch(lua, "decode_invalid_numbers", &mut settings.decode_invalid, args.front())?))
    })?;
    library.raw_set("null", Value::NULL)?;
    Ok(library)
}

fn encode_value(lua: &Lua, settings: &mut Settings, args: &MultiValue) -> Told<MultiValue> {
    let (Some(value), 1) = (args.front(), args.len()) else {
        return Err(bad_argument(1, "encode", "expected 1 argument"));
    };
    let encoded = encode::encode(settings, value)?;
    let text = lua.create_string(encoded).map_err(|error| error.to_string())?;
    Ok(one(Value::String(text)))
}

fn decode_text(lua: &Lua, settings: &mut Settings, args: &MultiValue) -> Told<MultiValue> {
    let (Some(value), 1) = (args.front(), args.len()) else {
        return Err(bad_argument(1, "decode", "expected 1 argument"));
    };
    let json = text(lua, value).ok_or_else(|| wrong_type(1, "decode", "string", Some(value)))?;
    decode::decode(lua, settings, &json.as_bytes()).map(one)
}

fn sparse_array(lua: &Lua, settings: &mut Settings, args: &MultiValue) -> Told<MultiValue> {
    const NAME: &str = "encode_sparse_array";
    at_most(args, 3, NAME)?;
    let convert = switch(lua, NAME, &mut settings.sparse_convert, args.front())?;
    let ratio = setting(lua, NAME, &mut settings.sparse_ratio, (0, i32::MAX), 2, args.get(1))?;
    let safe = setting(lua, NAME, &mut settings.sparse_safe, (0, i32::MAX), 3, args.get(2))?;
    Ok(MultiValue::from_iter([convert, ratio, safe]))
}

fn invalid_numbers(lua: &Lua, settings: &mut Settings, args: &MultiValue) -> Told<MultiValue> {
    const NAME: &str = "encode_invalid_numbers";
    at_most(args, 1, NAME)?;
    settings.encode_invalid = match args.front() {
        None | Some(Value::Nil) => settings.encode_invalid,
        Some(Value::Boolean(true)) => Invalid::Written,
        Some(Value::Boolean(false)) => Invalid::Refused,
        Some(value) => match option(lua, NAME, value)?.as_str() {
            "off" => Invalid::Refused,
            "on" => Invalid::Written,
            "null" => Invalid::Null,
            other => return Err(bad_argument(1, NAME, &format!("invalid option '{other}'"))),
        },
    };
    Ok(one(match settings.encode_invalid {
        Invalid::Refused => Value::Boolean(false),
        Invalid::Written => Value::Boolean(true),
        Invalid::Null => Value::String(lua.create_string("null").map_err(|error| error.to_string())?),
    }))
}

fn one_integer(
    lua: &Lua,
    name: &str,
    kept: &mut i32,
    min: i32,
    max: i32,
    args: &MultiValue,
) -> Told<MultiValue> {
    at_most(args, 1, name)?;
    setting(lua, name, kept, (min, max), 1, args.front()).map(one)
}

/// Sets an integer, if there is one, and tells what it is now.
fn setting(
    lua: &Lua,
    name: &str,
    kept: &mut i32,
    (min, max): (i32, i32),
    index: usize,
    value: Option<&Value>,
) -> Told<Value> {
    if let Some(value) = value.filter(|value| !value.is_nil()) {
        let number = number(lua, value).ok_or_else(|| wrong_type(index, name, "number", Some(value)))?;
        let number = number as i64;
        if number < i64::from(min) || number > i64::from(max) {
            return Err(bad_argument(1, name, &format!("expected integer between {min} and {max}")));
        }
        *kept = number as i32;
    }
    Ok(Value::Integer(i64::from(*kept)))
}

/// Sets a switch, if it is named, and tells what it is now.
fn switch(lua: &Lua, name: &str, kept: &mut bool, value: Option<&Value>) -> Told<Value> {
    match value {
        None | Some(Value::Nil) => {}
        Some(Value::Boolean(value)) => *kept = *value,
        Some(value) => match option(lua, name, value)?.as_str() {
            "on" => *kept = true,
            "off" => *kept = false,
            other => return Err(bad_argument(1, name, &format!("invalid option '{other}'"))),
        },
    }
    Ok(Value::Boolean(*kept))
}

fn option(lua: &Lua, name: &str, value: &Value) -> Told<String> {
    let text = text(lua, value).ok_or_else(|| wrong_type(1, name, "string", Some(value)))?;
    Ok(text.to_string_lossy())
}

fn at_most(args: &MultiValue, count: usize, name: &str) -> Told<()> {
    if args.len() > count { Err(bad_argument(count + 1, name, "found too many arguments")) } else { Ok(()) }
}

fn one(value: Value) -> MultiValue {
    MultiValue::from_iter([value])
}
