//! What is wrong with bytes that claim to be a compact encoding. Says where, so that a corrupt file can be
//! looked at; carries nothing of the bytes themselves.

use std::fmt;

/// Bytes from outside that are not the encoding they claim to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What does not hold, as a noun phrase.
    pub what: &'static str,
    /// The offset of the offending byte.
    pub at: usize,
}

impl Malformed {
    /// `what` does not hold at offset `at`.
    pub const fn new(what: &'static str, at: usize) -> Malformed {
        Malformed { what, at }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

impl std::error::Error for Malformed {}
