//! The library `bit`: 32-bit integers in Lua's numbers, as LuaBitOp has them.

use mlua::{Lua, MultiValue, Result, Table, Value};

use crate::told::{Told, number, tell, wrong_type};

type Fold = fn(u32, u32) -> u32;

const FOLDS: [(&str, Fold); 3] = [
    ("band", |one, other| one & other),
    ("bor", |one, other| one | other),
    ("bxor", |one, other| one ^ other),
];

const SHIFTS: [(&str, Fold); 5] = [
    ("lshift", |bits, by| bits << by),
    ("rshift", |bits, by| bits >> by),
    ("arshift", |bits, by| ((bits as i32) >> by) as u32),
    ("rol", u32::rotate_left),
    ("ror", u32::rotate_right),
];

/// What makes one number of one.
type Change = fn(u32) -> u32;

const UNARY: [(&str, Change); 3] =
    [("tobit", |bits| bits), ("bnot", |bits| !bits), ("bswap", u32::swap_bytes)];

/// The library's functions.
pub(crate) fn library(lua: &Lua) -> Result<Table> {
    let library = lua.create_table()?;
    for (name, run) in UNARY {
        let function = move |lua: &Lua, args: MultiValue| {
            tell(lua, bits(lua, name, &args, 0).map(|bits| value(run(bits))))
        };
        library.raw_set(name, lua.create_function(function)?)?;
    }
    for (name, run) in FOLDS {
        let function = move |lua: &Lua, args: MultiValue| tell(lua, fold(lua, name, run, &args));
        library.raw_set(name, lua.create_function(function)?)?;
    }
    for (name, run) in SHIFTS {
        let function = move |lua: &Lua, args: MultiValue| {
            let shifted = bits(lua, name, &args, 0)
                .and_then(|shifted| Ok(value(run(shifted, bits(lua, name, &args, 1)? & 31))));
            tell(lua, shifted)
        };
        library.raw_set(name, lua.create_function(function)?)?;
    }
    library.raw_set("tohex", lua.create_function(|lua, args: MultiValue| tell(lua, to_hex(lua, &args)))?)?;
    Ok(library)
}

fn fold(lua: &Lua, name: &str, run: Fold, args: &MultiValue) -> Told<Value> {
    let mut folded = bits(lua, name, args, 0)?;
    for index in 1..args.len() {
        folded = run(folded, bits(lua, name, args, index)?);
    }
    Ok(value(folded))
}

fn to_hex(lua: &Lua, args: &MultiValue) -> Told<String> {
    let bits_shown = bits(lua, "tohex", args, 0)?;
    let digits = if args.len() > 1 { bits(lua, "tohex", args, 1)? as i32 } else { 8 };
    let count = digits.unsigned_abs().min(8) as usize;
    let text = if digits < 0 { format!("{bits_shown:08X}") } else { format!("{bits_shown:08x}") };
    Ok(text[8 - count..].to_owned())
}

/// An argument as bits: wrapped around 2^32, rounded to even.
fn bits(lua: &Lua, name: &str, args: &MultiValue, index: usize) -> Told<u32> {
    /// 2^52 + 2^51: adding it leaves the integer in the low bits.
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    let found = args.get(index);
    match found.and_then(|value| number(lua, value)) {
        Some(number) => Ok((number + SHIFT).to_bits() as u32),
        None => Err(wrong_type(index + 1, name, "number", found)),
    }
}

fn value(bits: u32) -> Value {
    Value::Number(f64::from(bits as i32))
}
