//! Replication as pure state machines. The primary decides which replica continues and which one needs everything
//! anew, keeps the backlog, and knows how far each replica is. Reads no command and makes no snapshot: see `engine`.
//! Always: what a replica is sent of the stream is an unbroken piece of it, from the offset that it was told.

mod history;
mod pace;
mod primary; // read me first
mod replica;
mod settings;
mod upstream;

#[cfg(test)]
mod tests;

pub use history::{History, Second};
pub use primary::{Action, Answer, Counts, Framing, Primary, Request, SyncProgress, Target};
pub use replica::{Filter, Handshake, Replica, State};
pub use settings::{OutputLimit, Settings};
pub use upstream::{Cut, Greeting, Heard, Upstream};
