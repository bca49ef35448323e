//! Names of things that live as long as the process. None is ever used twice.

use std::fmt;

/// One client connection. `serial` is unique in the process and is what CLIENT ID answers;
/// `slot` indexes the slabs of the worker that serves it, and is used again after the connection closed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId {
    /// Unique in the process, rising, from 1.
    pub serial: u64,
    /// Index into the slabs of one worker.
    pub slot: u32,
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {} (slot {})", self.serial, self.slot)
    }
}

/// Names one piece of work that a machine asked for, so that its completion finds its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);
