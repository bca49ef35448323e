//! Which streams a data set is a continuation of: its own, and up to a point the one that it came from.
//! Always: an offset is worth something only together with the id whose stream it counts.

use tenon_journal::{ReplicationId, ReplicationOffset};

/// The names of a data set's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// The stream that is written now.
    pub id: ReplicationId,
    /// The stream that it continues.
    pub second: Option<Second>,
}

/// A stream that was the same as ours, as far as it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Second {
    /// Its name.
    pub id: ReplicationId,
    /// Behind the last byte that both have.
    pub valid_to: ReplicationOffset,
}

impl History {
    /// A history that continues nothing.
    pub fn new(id: ReplicationId) -> History {
        History { id, second: None }
    }

    /// Whether a data set that followed the stream named `id` as far as `offset` can go on with ours.
    pub fn continues(&self, id: &[u8], offset: ReplicationOffset) -> bool {
        if self.is_current(id) {
            return true;
        }
        self.second.is_some_and(|second| is_same(&second.id, id) && offset <= second.valid_to)
    }

    /// Whether `id` names either stream.
    pub fn knows(&self, id: &[u8]) -> bool {
        self.is_current(id) || self.second.is_some_and(|second| is_same(&second.id, id))
    }

    fn is_current(&self, id: &[u8]) -> bool {
        is_same(&self.id, id)
    }
}

fn is_same(own: &ReplicationId, id: &[u8]) -> bool {
    own.0.eq_ignore_ascii_case(id)
}
