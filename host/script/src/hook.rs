//! How a script is ended that does not end by itself. Every so many instructions its host is asked; one that is to end
//! is unwound by a panic, because an error could be caught, and a script may catch errors for ever.
//! Always: the panic is caught where the script was started, and never seen by anybody else.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use mlua::debug::Debug;
use mlua::{HookTriggers, Lua, Result, VmState};

use crate::bridge;
use crate::interpreter::Place;

/// Instructions between two questions: some hundreds of microseconds.
const INSTRUCTIONS: u32 = 100_000;

/// What a script was ended with.
struct Ended(Option<Place>);

/// Asks the host while anything runs in `lua`.
pub(crate) fn install(lua: &Lua) -> Result<()> {
    lua.set_global_hook(HookTriggers::new().every_nth_instruction(INSTRUCTIONS), |_, debug| {
        if bridge::goes_on() {
            Ok(VmState::Continue)
        } else {
            resume_unwind(Box::new(Ended(place_of(debug))))
        }
    })
}

/// Ends what runs, here.
pub(crate) fn end((source, line): (Option<String>, Option<usize>)) -> ! {
    let place = source.zip(line).map(|(source, line)| Place { source, line });
    resume_unwind(Box::new(Ended(place)))
}

/// Runs what may be ended; `Err` says where it was.
pub(crate) fn run_endable<R>(run: impl FnOnce() -> R) -> std::result::Result<R, Option<Place>> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| match panic.downcast::<Ended>() {
        Ok(ended) => ended.0,
        Err(panic) => resume_unwind(panic),
    })
}

/// Where the code is that a level of the stack runs, if it is a script's.
pub(crate) fn place_of(debug: &Debug<'_>) -> Option<Place> {
    let source = debug.source();
    let source = source.source.filter(|source| source.starts_with("@user_"))?;
    Some(Place { source: source.into_owned(), line: debug.current_line()? })
}
