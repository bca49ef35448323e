//! How much an interpreter may take. What runs in Lua is limited; what is done to Lua's values from outside is not,
//! because under a limit each step of it must be guarded against failing, which costs more than the step.
//! Always: Lua runs under the limit only; what is done without it is bounded by what it is done with.

use mlua::{Either, IntoLua, IntoLuaMulti, Lua, MultiValue, Result, Value};

/// What scripts may take in all: beyond, they fail.
const BYTES_MAX: usize = 512 << 20;
/// A reply beyond this many bytes is read under the limit.
const SMALL_BYTES_MAX: usize = 64 << 10;

/// Runs Lua code.
pub(crate) fn within_limit<R>(lua: &Lua, run: impl FnOnce() -> Result<R>) -> Result<R> {
    lua.set_memory_limit(BYTES_MAX)?;
    until_unlimited(lua, run)
}

/// Runs Lua code that is limited by what it is started with: see [`Limit::on`].
pub(crate) fn until_unlimited<R>(lua: &Lua, run: impl FnOnce() -> Result<R>) -> Result<R> {
    let ran = run();
    lua.set_memory_limit(0)?;
    ran
}

/// Makes values of `bytes` bytes for Lua code that runs.
pub(crate) fn beside_limit<R>(lua: &Lua, bytes: usize, make: impl FnOnce() -> Result<R>) -> Result<R> {
    if bytes > SMALL_BYTES_MAX {
        return make();
    }
    let limit = lua.set_memory_limit(0)?;
    let made = make();
    lua.set_memory_limit(limit)?;
    made
}

/// What goes to Lua as it is, a text without a handle.
pub(crate) type Crosses = Either<String, Value>;

/// Goes to Lua before a text, as what it holds, and lifts the limit, so that the text can be made there and then.
pub(crate) struct Lift<T> {
    value: T,
    lifts: bool,
}

/// Goes to Lua as the last of words, as a nil: from there on Lua is limited.
pub(crate) struct LimitBehind;

impl IntoLua for LimitBehind {
    fn into_lua(self, lua: &Lua) -> Result<Value> {
        lua.set_memory_limit(BYTES_MAX)?;
        Ok(Value::Nil)
    }
}

/// Goes to Lua behind everything else, as nothing at all: from there on Lua is limited.
pub(crate) struct Limit {
    limits: bool,
}

impl<T> Lift<T> {
    /// Where nothing is to be made.
    pub(crate) fn not(value: T) -> Lift<T> {
        Lift { value, lifts: false }
    }
}

impl Limit {
    /// As the last of what Lua code that is to be limited starts with.
    pub(crate) fn on() -> Limit {
        Limit { limits: true }
    }

    /// See [`Lift::not`].
    pub(crate) fn not() -> Limit {
        Limit { limits: false }
    }
}

impl IntoLua for Lift<u8> {
    fn into_lua(self, lua: &Lua) -> Result<Value> {
        if self.lifts {
            lua.set_memory_limit(0)?;
        }
        Ok(Value::Integer(self.value.into()))
    }
}

impl IntoLua for Lift<()> {
    fn into_lua(self, lua: &Lua) -> Result<Value> {
        if self.lifts {
            lua.set_memory_limit(0)?;
        }
        Ok(Value::Nil)
    }
}

impl IntoLuaMulti for Limit {
    fn into_lua_multi(self, lua: &Lua) -> Result<MultiValue> {
        if self.limits {
            lua.set_memory_limit(BYTES_MAX)?;
        }
        Ok(MultiValue::new())
    }
}

/// A text for Lua code that runs, behind `value`.
pub(crate) fn crossing_text<T>(lua: &Lua, value: T, text: &[u8]) -> Result<(Lift<T>, Crosses, Limit)> {
    match std::str::from_utf8(text) {
        Ok(text) if text.len() <= SMALL_BYTES_MAX => {
            Ok((Lift { value, lifts: true }, Either::Left(text.to_owned()), Limit::on()))
        }
        _ => {
            let text = beside_limit(lua, text.len(), || lua.create_string(text))?;
            Ok((Lift::not(value), Either::Right(Value::String(text)), Limit::not()))
        }
    }
}
