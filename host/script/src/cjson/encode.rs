//! Lua's values as JSON. A table is an array if all its keys are whole numbers from 1 on and not too sparse.

use mlua::{Table, Value};

use super::{DEPTH_MAX, Invalid, Settings};
use crate::number::write_general;
use crate::told::{Told, type_name};

pub(super) fn encode(settings: &Settings, value: &Value) -> Told<Vec<u8>> {
    let mut out = Vec::new();
    append(settings, value, 0, &mut out)?;
    Ok(out)
}

fn append(settings: &Settings, value: &Value, depth: usize, out: &mut Vec<u8>) -> Told<()> {
    match value {
        Value::String(text) => append_string(&text.as_bytes(), out),
        Value::Integer(number) => append_number(settings, *number as f64, value, out)?,
        Value::Number(number) => append_number(settings, *number, value, out)?,
        Value::Boolean(true) => out.extend_from_slice(b"true"),
        Value::Boolean(false) => out.extend_from_slice(b"false"),
        Value::Nil => out.extend_from_slice(b"null"),
        Value::LightUserData(pointer) if pointer.0.is_null() => out.extend_from_slice(b"null"),
        Value::Table(table) => {
            let depth = depth + 1;
            if depth > DEPTH_MAX.min(settings.encode_depth as usize) {
                return Err(format!("Cannot serialise, excessive nesting ({depth})"));
            }
            match array_length(settings, table)? {
                Some(length) => append_array(settings, table, length, depth, out)?,
                None => append_object(settings, table, depth, out)?,
            }
        }
        _ => return Err(cannot(value, "type not supported")),
    }
    Ok(())
}

/// The highest index, if the table is to be an array; an empty one is an object.
fn array_length(settings: &Settings, table: &Table) -> Told<Option<usize>> {
    let (mut highest, mut items) = (0.0_f64, 0_u64);
    for pair in table.pairs::<Value, Value>() {
        let (key, _) = pair.map_err(|error| error.to_string())?;
        let index = match key {
            Value::Integer(index) => index as f64,
            Value::Number(index) => index,
            _ => return Ok(None),
        };
        if index.floor() != index || index < 1.0 {
            return Ok(None);
        }
        highest = highest.max(index);
        items += 1;
    }
    if settings.sparse_ratio > 0
        && highest > items as f64 * f64::from(settings.sparse_ratio)
        && highest > f64::from(settings.sparse_safe)
    {
        if !settings.sparse_convert {
            return Err("Cannot serialise table: excessively sparse array".to_owned());
        }
        return Ok(None);
    }
    // A table whose ratio does not matter may still name an index that no array could reach.
    Ok((items > 0 && highest <= f64::from(i32::MAX)).then_some(highest as usize))
}

fn append_array(
    settings: &Settings,
    table: &Table,
    length: usize,
    depth: usize,
    out: &mut Vec<u8>,
) -> Told<()> {
    out.push(b'[');
    for index in 1..=length {
        if index > 1 {
            out.push(b',');
        }
        let value: Value = table.raw_get(index).map_err(|error| error.to_string())?;
        append(settings, &value, depth, out)?;
    }
    out.push(b']');
    Ok(())
}

fn append_object(settings: &Settings, table: &Table, depth: usize, out: &mut Vec<u8>) -> Told<()> {
    out.push(b'{');
    for (index, pair) in table.pairs::<Value, Value>().enumerate() {
        let (key, value) = pair.map_err(|error| error.to_string())?;
        if index > 0 {
            out.push(b',');
        }
        match &key {
            Value::String(text) => append_string(&text.as_bytes(), out),
            Value::Integer(_) | Value::Number(_) => {
                let number = match key {
                    Value::Integer(number) => number as f64,
                    Value::Number(number) => number,
                    _ => 0.0,
                };
                out.push(b'"');
                append_number(settings, number, &key, out)?;
                out.push(b'"');
            }
            _ => return Err(cannot(&key, "table key must be a number or string")),
        }
        out.push(b':');
        append(settings, &value, depth, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn append_number(settings: &Settings, number: f64, value: &Value, out: &mut Vec<u8>) -> Told<()> {
    if !number.is_finite() {
        match settings.encode_invalid {
            Invalid::Refused => return Err(cannot(value, "must not be NaN or Inf")),
            Invalid::Null => {
                out.extend_from_slice(b"null");
                return Ok(());
            }
            Invalid::Written if number.is_nan() => {
                out.extend_from_slice(b"nan");
                return Ok(());
            }
            Invalid::Written => {}
        }
    }
    write_general(out, number, settings.precision as usize);
    Ok(())
}

fn append_string(text: &[u8], out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    for &byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'/' => out.extend_from_slice(b"\\/"),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0..=0x1f | 0x7f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

fn cannot(value: &Value, why: &str) -> String {
    format!("Cannot serialise {}: {why}", type_name(value))
}
