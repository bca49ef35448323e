//! WebAssembly components as policies: the sandbox, and the loader that the server gives to its engines.
//!
//! A component is read, checked, compiled, initialised and probed before it is handed out as a [`tenon_policy::Policy`].
//! It may import `tenon:policy/log` and nothing else; it has a budget of fuel and time per call, 16 MiB of memory and
//! 256 KiB of stack.
//!
//! Not here: what becomes of a fault (`tenon_policy::Guard`), when to load (`engine`), when to look (`server`).
//! Always: no byte of a file or of a guest makes this crate panic, block, or hold more memory than its limits say.

mod check;
mod contract;
mod directory;
mod instance;
mod log_gate;
mod policies; // read me first
mod sandbox;
mod ticker;

pub use policies::{WasmError, WasmPolicies};
pub use sandbox::{FILE_BYTES_MAX, Limits};
