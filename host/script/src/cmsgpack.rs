//! The library `cmsgpack`: MessagePack as lua-cmsgpack 0.4 reads and writes it.
//! Always: what is written nests 16 deep at most, what lies deeper is nil; what is read nests no deeper than its
//! bytes say and a limit allows, and sets aside no more than they can hold.

use mlua::{Lua, MultiValue, Result, Table, Value};

use crate::told::{Told, bad_argument, number, tell, text, wrong_type};

/// Tables within tables that are written.
const PACK_DEPTH_MAX: usize = 16;
/// Tables within tables that are read: the reader calls itself, and must not run out of stack in any build.
const UNPACK_DEPTH_MAX: usize = 1_000;

/// The library's functions.
pub(crate) fn library(lua: &Lua) -> Result<Table> {
    let library = lua.create_table()?;
    library.raw_set("pack", lua.create_function(|lua, args: MultiValue| tell(lua, pack(lua, &args)))?)?;
    let unpack_all = |lua: &Lua, args: MultiValue| tell(lua, unpack(lua, "unpack", &args, None, 0));
    library.raw_set("unpack", lua.create_function(unpack_all)?)?;
    let unpack_one = |lua: &Lua, args: MultiValue| {
        let told =
            offset(lua, "unpack_one", &args, 1).and_then(|at| unpack(lua, "unpack_one", &args, Some(1), at));
        tell(lua, told)
    };
    library.raw_set("unpack_one", lua.create_function(unpack_one)?)?;
    let unpack_limit = |lua: &Lua, args: MultiValue| {
        let limit = args.get(1).and_then(|value| number(lua, value));
        let limit = limit.ok_or_else(|| wrong_type(2, "unpack_limit", "number", args.get(1)));
        let told = limit.and_then(|limit| {
            unpack(lua, "unpack_limit", &args, Some(limit as i64), offset(lua, "unpack_limit", &args, 2)?)
        });
        tell(lua, told)
    };
    library.raw_set("unpack_limit", lua.create_function(unpack_limit)?)?;
    Ok(library)
}

fn offset(lua: &Lua, name: &str, args: &MultiValue, index: usize) -> Told<i64> {
    match args.get(index) {
        None | Some(Value::Nil) => Ok(0),
        found @ Some(value) => {
            let number = number(lua, value).ok_or_else(|| wrong_type(index + 1, name, "number", found))?;
            Ok(number as i64)
        }
    }
}

fn pack(lua: &Lua, args: &MultiValue) -> Told<Value> {
    if args.is_empty() {
        return Err(bad_argument(0, "pack", "MessagePack pack needs input."));
    }
    let mut out = Vec::new();
    for value in args {
        write(value, 0, &mut out)?;
    }
    lua.create_string(out).map(Value::String).map_err(|error| error.to_string())
}

fn write(value: &Value, depth: usize, out: &mut Vec<u8>) -> Told<()> {
    match value {
        Value::String(text) => write_text(&text.as_bytes(), out),
        Value::Boolean(value) => out.push(if *value { 0xc3 } else { 0xc2 }),
        Value::Integer(number) => write_integer(*number, out),
        Value::Number(number) => write_double(*number, out),
        Value::Table(table) if depth < PACK_DEPTH_MAX => write_table(table, depth, out)?,
        _ => out.push(0xc0),
    }
    Ok(())
}

fn write_text(text: &[u8], out: &mut Vec<u8>) {
    match text.len() {
        length @ 0..32 => out.push(0xa0 | length as u8),
        length @ 32..=0xff => out.extend_from_slice(&[0xd9, length as u8]),
        length @ 0x100..=0xffff => {
            out.push(0xda);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0xdb);
            out.extend_from_slice(&(length as u32).to_be_bytes());
        }
    }
    out.extend_from_slice(text);
}

fn write_double(number: f64, out: &mut Vec<u8>) {
    let single = number as f32;
    if f64::from(single) == number {
        out.push(0xca);
        out.extend_from_slice(&single.to_be_bytes());
    } else {
        out.push(0xcb);
        out.extend_from_slice(&number.to_be_bytes());
    }
}

fn write_integer(number: i64, out: &mut Vec<u8>) {
    match number {
        0..=127 => out.push(number as u8),
        128..=0xff => out.extend_from_slice(&[0xcc, number as u8]),
        0x100..=0xffff => {
            out.push(0xcd);
            out.extend_from_slice(&(number as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xce);
            out.extend_from_slice(&(number as u32).to_be_bytes());
        }
        0x1_0000_0000.. => {
            out.push(0xcf);
            out.extend_from_slice(&number.to_be_bytes());
        }
        -32..=-1 => out.push(number as u8),
        -128..=-33 => out.extend_from_slice(&[0xd0, number as u8]),
        -32_768..=-129 => {
            out.push(0xd1);
            out.extend_from_slice(&(number as i16).to_be_bytes());
        }
        -2_147_483_648..=-32_769 => {
            out.push(0xd2);
            out.extend_from_slice(&(number as i32).to_be_bytes());
        }
        _ => {
            out.push(0xd3);
            out.extend_from_slice(&number.to_be_bytes());
        }
    }
}

fn write_table(table: &Table, depth: usize, out: &mut Vec<u8>) -> Told<()> {
    let (mut count, mut highest, mut is_array) = (0_usize, 0_i64, true);
    for pair in table.pairs::<Value, Value>() {
        let (key, _) = pair.map_err(|error| error.to_string())?;
        match key {
            Value::Integer(index) if index > 0 && index <= i64::from(i32::MAX) => {
                highest = highest.max(index)
            }
            _ => is_array = false,
        }
        count += 1;
    }
    if is_array && highest == count as i64 {
        write_count(count, [0x90, 0xdc, 0xdd], out);
        for index in 1..=count {
            let value: Value = table.raw_get(index).map_err(|error| error.to_string())?;
            write(&value, depth + 1, out)?;
        }
        return Ok(());
    }
    write_count(count, [0x80, 0xde, 0xdf], out);
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair.map_err(|error| error.to_string())?;
        write(&key, depth + 1, out)?;
        write(&value, depth + 1, out)?;
    }
    Ok(())
}

/// A count of elements, in the shortest of three forms.
fn write_count(count: usize, [short, medium, long]: [u8; 3], out: &mut Vec<u8>) {
    match count {
        0..=15 => out.push(short | count as u8),
        16..=0xffff => {
            out.push(medium);
            out.extend_from_slice(&(count as u16).to_be_bytes());
        }
        _ => {
            out.push(long);
            out.extend_from_slice(&(count as u32).to_be_bytes());
        }
    }
}

fn unpack(lua: &Lua, name: &str, args: &MultiValue, limit: Option<i64>, offset: i64) -> Told<MultiValue> {
    let packed = args.front().and_then(|value| text(lua, value));
    let packed = packed.ok_or_else(|| wrong_type(1, name, "string", args.front()))?;
    let packed = packed.as_bytes();
    if offset < 0 || limit.is_some_and(|limit| limit < 0) {
        return Err(format!(
            "Invalid request to unpack with offset of {offset} and limit of {}.",
            packed.len()
        ));
    }
    if offset > packed.len() as i64 {
        return Err(format!("Start offset {offset} greater than input length {}.", packed.len()));
    }
    let is_all = limit.is_none_or(|limit| limit == 0 && offset == 0);
    let limit = if is_all { i64::MAX } else { limit.unwrap_or(0) };
    let mut reader = Reader { lua, rest: &packed[offset as usize..], depth: 0 };
    let mut values = MultiValue::new();
    while !reader.rest.is_empty() && (values.len() as i64) < limit {
        if values.len() >= UNPACKED_MAX {
            return Err("too many return values at once; use unpack_one or unpack_limit instead.".to_owned());
        }
        values.push_back(reader.value()?);
    }
    if !is_all {
        let next = if reader.rest.is_empty() { -1 } else { (packed.len() - reader.rest.len()) as i64 };
        values.push_front(Value::Integer(next));
    }
    Ok(values)
}

/// What a function of Lua's can return.
const UNPACKED_MAX: usize = 7_900;

struct Reader<'a> {
    lua: &'a Lua,
    rest: &'a [u8],
    depth: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self) -> Told<Value> {
        let [kind] = self.bytes()?;
        Ok(match kind {
            0..=0x7f => Value::Integer(i64::from(kind)),
            0xe0..=0xff => Value::Integer(i64::from(kind as i8)),
            0xa0..=0xbf => self.text(usize::from(kind & 0x1f))?,
            0x90..=0x9f => self.array(usize::from(kind & 0xf))?,
            0x80..=0x8f => self.map(usize::from(kind & 0xf))?,
            0xc0 => Value::Nil,
            0xc2 => Value::Boolean(false),
            0xc3 => Value::Boolean(true),
            0xca => Value::Number(f64::from(f32::from_be_bytes(self.bytes()?))),
            0xcb => Value::Number(f64::from_be_bytes(self.bytes()?)),
            0xcc => Value::Integer(i64::from(u8::from_be_bytes(self.bytes()?))),
            0xcd => Value::Integer(i64::from(u16::from_be_bytes(self.bytes()?))),
            0xce => Value::Integer(i64::from(u32::from_be_bytes(self.bytes()?))),
            0xcf => Value::Number(u64::from_be_bytes(self.bytes()?) as f64),
            0xd0 => Value::Integer(i64::from(i8::from_be_bytes(self.bytes()?))),
            0xd1 => Value::Integer(i64::from(i16::from_be_bytes(self.bytes()?))),
            0xd2 => Value::Integer(i64::from(i32::from_be_bytes(self.bytes()?))),
            0xd3 => Value::Number(i64::from_be_bytes(self.bytes()?) as f64),
            0xd9 => {
                let length = u8::from_be_bytes(self.bytes()?);
                self.text(usize::from(length))?
            }
            0xda => {
                let length = u16::from_be_bytes(self.bytes()?);
                self.text(usize::from(length))?
            }
            0xdb => {
                let length = u32::from_be_bytes(self.bytes()?);
                self.text(length as usize)?
            }
            0xdc => {
                let count = u16::from_be_bytes(self.bytes()?);
                self.array(usize::from(count))?
            }
            0xdd => {
                let count = u32::from_be_bytes(self.bytes()?);
                self.array(count as usize)?
            }
            0xde => {
                let count = u16::from_be_bytes(self.bytes()?);
                self.map(usize::from(count))?
            }
            0xdf => {
                let count = u32::from_be_bytes(self.bytes()?);
                self.map(count as usize)?
            }
            _ => return Err("Bad data format in input.".to_owned()),
        })
    }

    fn bytes<const N: usize>(&mut self) -> Told<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or("Missing bytes in input.")?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn text(&mut self, length: usize) -> Told<Value> {
        let (text, rest) = self.rest.split_at_checked(length).ok_or("Missing bytes in input.")?;
        self.rest = rest;
        self.lua.create_string(text).map(Value::String).map_err(|error| error.to_string())
    }

    fn array(&mut self, count: usize) -> Told<Value> {
        self.descend()?;
        let table = self.lua.create_table().map_err(|error| error.to_string())?;
        for index in 1..=count {
            let value = self.value()?;
            table.raw_seti(index, value).map_err(|error| error.to_string())?;
        }
        self.depth -= 1;
        Ok(Value::Table(table))
    }

    fn map(&mut self, count: usize) -> Told<Value> {
        self.descend()?;
        let table = self.lua.create_table().map_err(|error| error.to_string())?;
        for _ in 0..count {
            let key = self.value()?;
            let value = self.value()?;
            match key {
                Value::Nil => return Err("table index is nil".to_owned()),
                Value::Number(number) if number.is_nan() => return Err("table index is NaN".to_owned()),
                key => table.raw_set(key, value).map_err(|error| error.to_string())?,
            }
        }
        self.depth -= 1;
        Ok(Value::Table(table))
    }

    fn descend(&mut self) -> Told<()> {
        self.depth += 1;
        if self.depth > UNPACK_DEPTH_MAX { Err("Bad data format in input.".to_owned()) } else { Ok(()) }
    }
}
