//! Lua 5.1 as Redis has it: scripts and libraries of functions, in a sandbox whose only way out is a [`Host`]. Knows
//! no command, no key and no client: it hands over words and reads replies.
//! Always: a script changes nothing that another script can see but through its host; it ends when its host says
//! so, whatever it catches; memory is bounded.

mod interpreter; // read me first
mod shebang;

mod debugger; // stepping through a script
mod stepping;

mod bridge; // a script's way out
mod convert; // between replies and values
mod failed;
mod hook;
mod memory;
mod scan;

mod bits; // libraries
mod chance;
mod cjson;
mod cmsgpack;
mod number;
mod structs;
mod told;

mod digest;

pub use digest::{Digest, sha1_hex};
pub use interpreter::{Code, Ended, Failure, Flavor, Function, Interpreter, Place, Returned, WrittenError};
pub use shebang::{LibraryHead, ScriptFlags, library_head, script_head};

pub use stepping::Stepping;

use tenon_resp::{Args, OwnedArgs, Proto};

/// What a script can reach of the world.
pub trait Host {
    /// Runs a command. The reply's bytes are in the protocol asked for, and valid until the next call.
    fn call(&mut self, args: Args<'_>, proto: Proto) -> Called<'_>;
    /// Whether the caller may run a command; `None` if there is no such command.
    fn may_call(&mut self, args: Args<'_>) -> Option<bool>;
    /// Where effects go from now on: to the log, to replicas.
    fn set_targets(&mut self, log: bool, replicas: bool);
    /// A line for the server's log: 0 is debug, 3 a warning.
    fn log(&mut self, level: u8, text: &[u8]);
    /// Asked now and then while a script runs: whether it goes on.
    fn goes_on(&mut self) -> bool;
    /// Tells lines to whoever steps through the script, and waits for what they say next.
    fn converse(&mut self, _lines: &[Vec<u8>]) -> Result<OwnedArgs, Parting> {
        Err(Parting::Gone)
    }
    /// Whether a script that is stepped through has run for too long since it was last told to.
    fn lingers(&mut self) -> bool {
        false
    }
}

/// Why nobody says how a script that is stepped through goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// They are gone: it goes on by itself.
    Gone,
    /// What they said makes no sense: it fails.
    Garbled,
    /// It is to end.
    Ended,
}

/// What a command came to.
pub enum Called<'a> {
    /// Its reply.
    Reply(&'a [u8]),
    /// It was not run; the error's text, with its code.
    Refused(String),
}

#[cfg(test)]
mod tests;
