//! How much an interpreter may take. What runs in Lua is limited; what is done to Lua's values from outside is not,
//! because under a limit each step of it must be guarded against failing, which costs more than the step.
//! Always: Lua runs under the limit only; what is done without it is bounded by what it is done with.

use mlua::{Lua, Result};

/// What scripts may take in all: beyond, they fail.
const BYTES_MAX: usize = 512 << 20;
/// A reply beyond this many bytes is read under the limit.
const SMALL_BYTES_MAX: usize = 64 << 10;

/// Runs Lua code.
pub(crate) fn within_limit<R>(lua: &Lua, run: impl FnOnce() -> Result<R>) -> Result<R> {
    lua.set_memory_limit(BYTES_MAX)?;
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
