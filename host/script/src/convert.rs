//! Replies as Lua's values, and Lua's values as replies.
//! Always: nothing of a script runs while a value of its is written, whatever its metatables say; depth is bounded.

use std::borrow::Cow;

use mlua::{BString, Either, Lua, Result, Table, Value};
use tenon_resp::{Proto, Reply};

use crate::bridge::is_text;
use crate::interpreter::WrittenError;
use crate::told::coded_table;

/// How deep a script's value may nest before an error stands in its place.
const DEPTH_MAX: usize = 1_000;

/// Reads one reply at `position`, and moves behind it.
pub(crate) fn read_reply(lua: &Lua, bytes: &[u8], position: &mut usize) -> Result<Value> {
    let Some(&kind) = bytes.get(*position) else { return Ok(Value::Nil) };
    let line = line_at(bytes, *position + 1);
    *position += 1 + line.len() + 2;
    let length = || tenon_resp::parse_integer(line).unwrap_or(-1);
    match kind {
        b'$' => match usize::try_from(length()) {
            Ok(length) => Ok(Value::String(lua.create_string(take(bytes, position, length))?)),
            Err(_) => Ok(Value::Boolean(false)),
        },
        b':' => Ok(Value::Number(length_as_number(line))),
        b'+' => match std::str::from_utf8(line) {
            // Goes without a handle.
            Ok(line) => lua.create_table_from([("ok", line)]).map(Value::Table),
            Err(_) => single(lua, "ok", Value::String(lua.create_string(line)?)),
        },
        b'-' => coded_table(lua, &error_text(line), true).map(Value::Table),
        b'*' | b'>' => match usize::try_from(length()) {
            Ok(count) => read_array(lua, bytes, position, count),
            Err(_) => Ok(Value::Boolean(false)),
        },
        b'_' => Ok(Value::Nil),
        b'#' => Ok(Value::Boolean(line == b"t")),
        b',' => single(lua, "double", Value::Number(tenon_resp::parse_double(line).unwrap_or(f64::NAN))),
        b'(' => single(lua, "big_number", Value::String(lua.create_string(line)?)),
        b'=' => {
            let text = take(bytes, position, usize::try_from(length()).unwrap_or(0));
            let verbatim = lua.create_table()?;
            verbatim.raw_set("format", lua.create_string(text.get(..3).unwrap_or_default())?)?;
            verbatim.raw_set("string", lua.create_string(text.get(4..).unwrap_or_default())?)?;
            single(lua, "verbatim_string", Value::Table(verbatim))
        }
        b'%' => {
            let map = lua.create_table()?;
            for _ in 0..length() {
                let key = read_reply(lua, bytes, position)?;
                let value = read_reply(lua, bytes, position)?;
                set(&map, key, value)?;
            }
            single(lua, "map", Value::Table(map))
        }
        b'~' => {
            let set_of = lua.create_table()?;
            for _ in 0..length() {
                let member = read_reply(lua, bytes, position)?;
                set(&set_of, member, Value::Boolean(true))?;
            }
            single(lua, "set", Value::Table(set_of))
        }
        b'|' => {
            for _ in 0..length().saturating_mul(2) {
                read_reply(lua, bytes, position)?;
            }
            read_reply(lua, bytes, position)
        }
        _ => Ok(Value::Nil),
    }
}

/// The text of a reply that is a status.
pub(crate) fn status_of(reply: &[u8]) -> Option<&[u8]> {
    matches!(reply, [b'+', ..]).then(|| line_at(reply, 1))
}

/// The text of a reply that is a bulk string.
pub(crate) fn bulk_of(reply: &[u8]) -> Option<&[u8]> {
    if !matches!(reply, [b'$', ..]) {
        return None;
    }
    let line = line_at(reply, 1);
    let length = usize::try_from(tenon_resp::parse_integer(line)?).ok()?;
    Some(take(reply, &mut (1 + line.len() + 2), length))
}

/// An error's text as scripts see it: with a code before a text that has none.
pub(crate) fn error_text(text: &[u8]) -> Cow<'_, [u8]> {
    let text = text.trim_ascii_end();
    if text.contains(&b' ') { Cow::Borrowed(text) } else { Cow::Owned([b"ERR ", text].concat()) }
}

fn read_array(lua: &Lua, bytes: &[u8], position: &mut usize, count: usize) -> Result<Value> {
    let mut failure = None;
    let elements = (0..count).map_while(|_| {
        // What is claimed cannot be more than what is there.
        let rest = bytes.get(*position..).filter(|rest| !rest.is_empty())?;
        match bulk_of(rest).map(std::str::from_utf8) {
            // Goes without a handle.
            Some(Ok(text)) => {
                *position += 1 + line_at(rest, 1).len() + 2 + text.len() + 2;
                Some(Either::Left(text))
            }
            _ => read_reply(lua, bytes, position)
                .map_err(|error| failure = Some(error))
                .ok()
                .map(Either::Right),
        }
    });
    let table = lua.create_sequence_from::<Either<&str, Value>>(elements)?;
    failure.map_or(Ok(Value::Table(table)), Err)
}

fn single(lua: &Lua, name: &str, value: Value) -> Result<Value> {
    let table = lua.create_table_with_capacity(0, 1)?;
    table.raw_set(name, value)?;
    Ok(Value::Table(table))
}

/// What cannot be a key is left out.
fn set(table: &Table, key: Value, value: Value) -> Result<()> {
    match key {
        Value::Nil => Ok(()),
        Value::Number(number) if number.is_nan() => Ok(()),
        key => table.raw_set(key, value),
    }
}

fn length_as_number(line: &[u8]) -> f64 {
    tenon_resp::parse_integer(line).map_or(f64::NAN, |number| number as f64)
}

fn line_at(bytes: &[u8], from: usize) -> &[u8] {
    let rest = bytes.get(from..).unwrap_or_default();
    let end = rest.iter().position(|&byte| byte == b'\r').unwrap_or(rest.len());
    &rest[..end]
}

fn take<'a>(bytes: &'a [u8], position: &mut usize, length: usize) -> &'a [u8] {
    let start = (*position).min(bytes.len());
    let end = start.saturating_add(length).min(bytes.len());
    *position = end + 2;
    &bytes[start..end]
}

/// Writes a script's value as a reply. `speaks` is the protocol in which the script was spoken to.
pub(crate) fn write_value(
    value: &Value,
    speaks: Proto,
    reply: &mut Reply<'_>,
    error: &mut Option<WrittenError>,
) {
    write_at(value, speaks, reply, error, 0);
}

fn write_at(
    value: &Value,
    speaks: Proto,
    reply: &mut Reply<'_>,
    error: &mut Option<WrittenError>,
    depth: usize,
) {
    if depth > DEPTH_MAX {
        return reply.error("ERR reached lua stack limit");
    }
    match value {
        Value::String(text) => reply.bulk(&text.as_bytes()),
        Value::Integer(number) => reply.integer(*number),
        Value::Number(number) => reply.integer(whole(*number)),
        Value::Boolean(value) => match (speaks, value) {
            (Proto::Resp2, true) => reply.integer(1),
            (Proto::Resp2, false) => reply.null(),
            (Proto::Resp3, value) => reply.boolean(*value),
        },
        Value::Table(table) => write_table(table, speaks, reply, error, depth),
        _ => reply.null(),
    }
}

/// Writes a table that is nothing but an array; see [`write_value`].
pub(crate) fn write_array(
    table: &Table,
    speaks: Proto,
    reply: &mut Reply<'_>,
    error: &mut Option<WrittenError>,
) {
    let first = table.raw_get(1).unwrap_or(Value::Nil);
    write_elements(table, first, speaks, reply, error, 0);
}

/// Cut off towards zero; what does not fit is the least number, as on most processors.
fn whole(number: f64) -> i64 {
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number) {
        number as i64
    } else {
        i64::MIN
    }
}

fn write_table(
    table: &Table,
    speaks: Proto,
    reply: &mut Reply<'_>,
    error: &mut Option<WrittenError>,
    depth: usize,
) {
    let field = |name: &str| table.raw_get::<Value>(name).unwrap_or(Value::Nil);
    let first = table.raw_get::<Value>(1).unwrap_or(Value::Nil);
    if let Value::String(text) = field("err") {
        let is_counted = matches!(field("ignore_error_stats_update"), Value::Boolean(true));
        reply.error_bytes(&text.as_bytes());
        error.get_or_insert_with(|| WrittenError { text: text.as_bytes().to_vec(), is_counted });
    } else if let Value::String(text) = field("ok") {
        write_line(reply, b'+', &text.as_bytes());
    } else if let Some(number) = as_number(&field("double")) {
        reply.double(number);
    } else if let Value::String(digits) = field("big_number") {
        match reply.proto() {
            Proto::Resp2 => reply.bulk(&one_line(&digits.as_bytes())),
            Proto::Resp3 => write_line(reply, b'(', &digits.as_bytes()),
        }
    } else if let Some((format, text)) = as_verbatim(&field("verbatim_string")) {
        reply.verbatim(&format, &text);
    } else if let Value::Table(map) = field("map") {
        write_map(&map, speaks, reply, error, depth);
    } else if let Value::Table(set) = field("set") {
        write_set(&set, speaks, reply, error, depth);
    } else {
        write_elements(table, first, speaks, reply, error, depth);
    }
}

fn write_elements(
    table: &Table,
    first: Value,
    speaks: Proto,
    reply: &mut Reply<'_>,
    error: &mut Option<WrittenError>,
    depth: usize,
) {
    let length = reply.defer_array();
    let (mut element, mut count) = (first, 0);
    while !element.is_nil() {
        write_at(&element, speaks, reply, error, depth + 1);
        count += 1;
        // Behind a string there is mostly another.
        while element.is_string()
            && let Ok(Some(Either::Left(text))) = table.raw_get::<Option<Either<BString, Value>>>(count + 1)
            && is_text(&text)
        {
            reply.bulk(&text);
            count += 1;
        }
        element = table.raw_get(count + 1).unwrap_or(Value::Nil);
    }
    reply.finish(length, count);
}

fn write_map(
    map: &Table,
    speaks: Proto,
    reply: &mut Reply<'_>,
    error: &mut Option<WrittenError>,
    depth: usize,
) {
    let length = reply.defer_map();
    let mut count = 0;
    for (key, value) in map.pairs::<Value, Value>().flatten() {
        write_at(&key, speaks, reply, error, depth + 1);
        write_at(&value, speaks, reply, error, depth + 1);
        count += 1;
    }
    reply.finish(length, count);
}

fn write_set(
    set: &Table,
    speaks: Proto,
    reply: &mut Reply<'_>,
    error: &mut Option<WrittenError>,
    depth: usize,
) {
    let length = reply.defer_set();
    let mut count = 0;
    for (member, _) in set.pairs::<Value, Value>().flatten() {
        write_at(&member, speaks, reply, error, depth + 1);
        count += 1;
    }
    reply.finish(length, count);
}

fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Number(number) => Some(*number),
        _ => None,
    }
}

fn as_verbatim(value: &Value) -> Option<([u8; 3], Vec<u8>)> {
    let Value::Table(verbatim) = value else { return None };
    let field = |name: &str| match verbatim.raw_get::<Value>(name) {
        Ok(Value::String(text)) => Some(text.as_bytes().to_vec()),
        _ => None,
    };
    let (name, text) = (field("format")?, field("string")?);
    let mut format = *b"   ";
    let shown = name.len().min(3);
    format[..shown].copy_from_slice(&name[..shown]);
    Some((format, text))
}

fn one_line(text: &[u8]) -> Vec<u8> {
    text.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }).collect()
}

/// Writes a reply of one line, whatever is in the text.
pub(crate) fn write_line(reply: &mut Reply<'_>, kind: u8, text: &[u8]) {
    reply.raw(&[kind]);
    if text.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
        reply.raw(&one_line(text));
    } else {
        reply.raw(text);
    }
    reply.raw(b"\r\n");
}
