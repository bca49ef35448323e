//! The library `struct`: packs values into bytes by a format, and reads them back.
//! Always: sizes and positions come from outside; none of them overflows or reaches beyond the data.

use mlua::{Lua, MultiValue, Result, Table, Value};

use crate::told::{Told, bad_argument, number, tell, text, type_name, wrong_type};

/// The widest integer, in bytes.
const INTEGER_BYTES_MAX: usize = 32;
/// Where `!` without a number aligns to.
const NATURAL_ALIGNMENT: usize = 8;
/// What a format may come to in all: filled with zeros, it is all that is needed to ask for memory.
const PACKED_BYTES_MAX: usize = 1 << 30;
/// What a function of Lua's can return.
const RESULTS_MAX: usize = 7_900;

/// The library's functions.
pub(crate) fn library(lua: &Lua) -> Result<Table> {
    let library = lua.create_table()?;
    library.raw_set("pack", lua.create_function(|lua, args: MultiValue| tell(lua, pack(lua, &args)))?)?;
    library.raw_set("unpack", lua.create_function(|lua, args: MultiValue| tell(lua, unpack(lua, &args)))?)?;
    library.raw_set("size", lua.create_function(|lua, args: MultiValue| tell(lua, size(lua, &args)))?)?;
    Ok(library)
}

/// A format as it is read: byte order and alignment change on the way.
struct Format<'a> {
    rest: &'a [u8],
    is_little: bool,
    alignment: usize,
}

/// One item of a format.
struct Item {
    option: u8,
    size: usize,
    padding: usize,
}

impl<'a> Format<'a> {
    fn new(format: &'a [u8]) -> Format<'a> {
        let end = format.iter().position(|&byte| byte == 0).unwrap_or(format.len());
        Format { rest: &format[..end], is_little: cfg!(target_endian = "little"), alignment: 1 }
    }

    /// The next item, which begins `position` bytes into the data.
    fn next(&mut self, position: usize) -> Told<Option<Item>> {
        let Some((&option, rest)) = self.rest.split_first() else { return Ok(None) };
        self.rest = rest;
        let size = match option {
            b'B' | b'b' | b'x' => 1,
            b'H' | b'h' => 2,
            b'f' => 4,
            b'L' | b'l' | b'T' | b'd' => 8,
            b'c' => self.number(1)?,
            b'i' | b'I' => {
                let size = self.number(4)?;
                if size > INTEGER_BYTES_MAX {
                    let text = format!("integral size {size} is larger than limit of {INTEGER_BYTES_MAX}");
                    return Err(text);
                }
                size
            }
            _ => 0,
        };
        let unit = size.min(self.alignment);
        let padding = if unit == 0 || option == b'c' {
            0
        } else {
            unit.wrapping_sub(position & (unit - 1)) & (unit - 1)
        };
        Ok(Some(Item { option, size, padding }))
    }

    fn number(&mut self, default: usize) -> Told<usize> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Ok(default);
        }
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        let number = std::str::from_utf8(number).ok().and_then(|number| number.parse::<i32>().ok());
        number.map(|number| number as usize).ok_or_else(|| "integral size overflow".to_owned())
    }

    /// What is no item but a setting.
    fn control(&mut self, option: u8, function: &str) -> Told<()> {
        match option {
            b' ' => {}
            b'>' => self.is_little = false,
            b'<' => self.is_little = true,
            b'!' => {
                let alignment = self.number(NATURAL_ALIGNMENT)?;
                if !alignment.is_power_of_two() {
                    return Err(format!("alignment {alignment} is not a power of 2"));
                }
                self.alignment = alignment;
            }
            other => {
                let what = format!("invalid format option '{}'", char::from(other));
                return Err(bad_argument(1, function, &what));
            }
        }
        Ok(())
    }

    fn ordered<const N: usize>(&self, mut little: [u8; N]) -> [u8; N] {
        if !self.is_little {
            little.reverse();
        }
        little
    }
}

fn pack(lua: &Lua, args: &MultiValue) -> Told<Value> {
    let format = args.front().and_then(|value| text(lua, value));
    let format = format.ok_or_else(|| wrong_type(1, "pack", "string", args.front()))?;
    let format = format.as_bytes();
    let mut format = Format::new(&format);
    let number_at = |index: usize| {
        let found = args.get(index);
        found
            .and_then(|value| number(lua, value))
            .ok_or_else(|| wrong_type(index + 1, "pack", "number", found))
    };
    let mut index = 0;
    let mut out = Vec::new();
    while let Some(Item { option, size, padding }) = format.next(out.len())? {
        out.resize(out.len() + padding, 0);
        index += usize::from(!matches!(option, b'x' | b' ' | b'<' | b'>' | b'!'));
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                write_integer(&mut out, number_at(index)?, size, format.is_little);
            }
            b'x' => out.push(0),
            b'f' => out.extend_from_slice(&format.ordered((number_at(index)? as f32).to_le_bytes())),
            b'd' => out.extend_from_slice(&format.ordered(number_at(index)?.to_le_bytes())),
            b'c' | b's' => {
                let found = args.get(index);
                let bytes = found.and_then(|value| text(lua, value));
                let bytes = bytes.ok_or_else(|| wrong_type(index + 1, "pack", "string", found))?;
                let bytes = bytes.as_bytes();
                let length = if size == 0 { bytes.len() } else { size };
                let piece = bytes.get(..length);
                out.extend_from_slice(
                    piece.ok_or_else(|| bad_argument(index + 2, "pack", "string too short"))?,
                );
                if option == b's' {
                    out.push(0);
                }
            }
            other => format.control(other, "pack")?,
        }
        if out.len() > PACKED_BYTES_MAX {
            return Err("result too long".to_owned());
        }
    }
    lua.create_string(out).map(Value::String).map_err(|error| error.to_string())
}

fn write_integer(out: &mut Vec<u8>, number: f64, size: usize, is_little: bool) {
    let value = if number < 0.0 { number as i64 as u64 } else { number as u64 };
    let byte = |index: usize| if index < 8 { (value >> (8 * index)) as u8 } else { 0 };
    if is_little {
        out.extend((0..size).map(byte));
    } else {
        out.extend((0..size).rev().map(byte));
    }
}

fn unpack(lua: &Lua, args: &MultiValue) -> Told<MultiValue> {
    let argument = |index: usize| {
        let found = args.get(index);
        found
            .and_then(|value| text(lua, value))
            .ok_or_else(|| wrong_type(index + 1, "unpack", "string", found))
    };
    let (format, data) = (argument(0)?, argument(1)?);
    let (format, data) = (format.as_bytes(), data.as_bytes());
    let mut format = Format::new(&format);
    let mut position = match args.get(2) {
        None | Some(Value::Nil) => 0,
        found @ Some(value) => {
            let start = number(lua, value).ok_or_else(|| wrong_type(3, "unpack", "number", found))? as i64;
            let start = usize::try_from(start).ok().filter(|&start| start > 0);
            start.ok_or_else(|| bad_argument(3, "unpack", "offset must be 1 or greater"))? - 1
        }
    };
    let too_short = || bad_argument(2, "unpack", "data string too short");
    let mut values: Vec<Value> = Vec::new();
    while let Some(Item { option, mut size, padding }) = format.next(position)? {
        position += padding;
        let mut piece = piece_at(&data, position, size).ok_or_else(too_short)?;
        if values.len() >= RESULTS_MAX {
            return Err("stack overflow (too many results)".to_owned());
        }
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let number = read_integer(piece, format.is_little, option.is_ascii_lowercase());
                values.push(Value::Number(number));
            }
            b'x' => {}
            b'f' => {
                let bytes = piece.first_chunk().copied().ok_or_else(too_short)?;
                values.push(Value::Number(f64::from(f32::from_le_bytes(format.ordered(bytes)))));
            }
            b'd' => {
                let bytes = piece.first_chunk().copied().ok_or_else(too_short)?;
                values.push(Value::Number(f64::from_le_bytes(format.ordered(bytes))));
            }
            b'c' => {
                if size == 0 {
                    let last = values.pop().and_then(|value| number(lua, &value));
                    let length = last.ok_or("format 'c0' needs a previous size")?;
                    if length < 0.0 || length > data.len() as f64 {
                        return Err(too_short());
                    }
                    size = length as usize;
                    piece = piece_at(&data, position, size).ok_or_else(too_short)?;
                }
                values.push(string(lua, piece)?);
            }
            b's' => {
                let rest = &data[position..];
                let end = rest.iter().position(|&byte| byte == 0).ok_or("unfinished string in data")?;
                values.push(string(lua, &rest[..end])?);
                size = end + 1;
            }
            other => format.control(other, "unpack")?,
        }
        position += size;
    }
    values.push(Value::Integer(position as i64 + 1));
    Ok(MultiValue::from_iter(values))
}

fn piece_at(data: &[u8], position: usize, size: usize) -> Option<&[u8]> {
    data.get(position..position.checked_add(size)?)
}

fn string(lua: &Lua, bytes: &[u8]) -> Told<Value> {
    lua.create_string(bytes).map(Value::String).map_err(|error| error.to_string())
}

/// The low 64 bits of an integer of any width, with its sign.
fn read_integer(bytes: &[u8], is_little: bool, is_signed: bool) -> f64 {
    let add = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    let value = if is_little { bytes.iter().rev().fold(0, add) } else { bytes.iter().fold(0, add) };
    if !is_signed {
        return value as f64;
    }
    if bytes.is_empty() || bytes.len() >= 8 {
        return value as i64 as f64;
    }
    let unused = 64 - 8 * bytes.len() as u32;
    (((value << unused) as i64) >> unused) as f64
}

fn size(lua: &Lua, args: &MultiValue) -> Told<Value> {
    let format = args.front().and_then(|value| text(lua, value));
    let format = format.ok_or_else(|| {
        let found = args.front().map_or("no value", type_name);
        bad_argument(1, "size", &format!("string expected, got {found}"))
    })?;
    let format = format.as_bytes();
    let mut format = Format::new(&format);
    let mut position = 0_usize;
    while let Some(Item { option, size, padding }) = format.next(position)? {
        match option {
            b's' => return Err(bad_argument(1, "size", "option 's' has no fixed size")),
            b'c' if size == 0 => return Err(bad_argument(1, "size", "option 'c0' has no fixed size")),
            option if option.is_ascii_alphanumeric() => {}
            other => format.control(other, "size")?,
        }
        position = position.saturating_add(padding).saturating_add(size);
    }
    Ok(Value::Integer(position as i64))
}
