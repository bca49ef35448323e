//! `math.random` and `math.randomseed`: 48 bits of linear congruence, so that a seed gives the same numbers on every
//! machine, and the ones that Redis gives.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mlua::{Lua, MultiValue, Result, Table, Value};

use crate::told::{Told, bad_argument, number, tell, wrong_type};

const FACTOR: u64 = 0x5_DEEC_E66D;
const STEP: u64 = 0xB;
const MASK: u64 = (1 << 48) - 1;
/// What numbers lie below.
const LIMIT: u64 = i32::MAX as u64;

/// Puts the functions into `native`.
pub(crate) fn install(lua: &Lua, native: &Table, seed: u64) -> Result<()> {
    let state = Arc::new(AtomicU64::new(seed & MASK));
    let seeded = Arc::clone(&state);
    native.raw_set(
        "random",
        lua.create_function(move |lua, args: MultiValue| tell(lua, random(lua, &state, &args)))?,
    )?;
    let seed = move |lua: &Lua, args: MultiValue| {
        let value = args.front().and_then(|value| number(lua, value));
        let value = value.ok_or_else(|| wrong_type(1, "randomseed", "number", args.front()));
        tell(lua, value.map(|value| seeded.store(state_of_seed(value as i64 as i32), Ordering::Relaxed)))
    };
    native.raw_set("randomseed", lua.create_function(seed)?)
}

fn state_of_seed(seed: i32) -> u64 {
    (u64::from(seed as u32) << 16) + 0x330E
}

fn random(lua: &Lua, state: &AtomicU64, args: &MultiValue) -> Told<Value> {
    let mut bounds = [0_i32; 2];
    for (index, (bound, value)) in bounds.iter_mut().zip(args).enumerate() {
        let found =
            number(lua, value).ok_or_else(|| wrong_type(index + 1, "random", "number", Some(value)))?;
        *bound = found as i64 as i32;
    }
    let next = state.load(Ordering::Relaxed).wrapping_mul(FACTOR).wrapping_add(STEP) & MASK;
    state.store(next, Ordering::Relaxed);
    let share = ((next >> 17) % LIMIT) as f64 / LIMIT as f64;
    let between = |low: i32, high: i32, index: usize| {
        if low > high {
            return Err(bad_argument(index, "random", "interval is empty"));
        }
        let span = f64::from(high) - f64::from(low) + 1.0;
        Ok(Value::Number((share * span).floor() + f64::from(low)))
    };
    match args.len() {
        0 => Ok(Value::Number(share)),
        1 => between(1, bounds[0], 1),
        2 => between(bounds[0], bounds[1], 2),
        _ => Err("wrong number of arguments".to_owned()),
    }
}
