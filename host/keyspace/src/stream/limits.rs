//! When a node of a stream is full, and what is cut off at a stream's old end.

use super::StreamId;
use super::node::NODE_BYTES_MAX;

/// When an entry goes to a new node instead of the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// Bytes of a node (`stream-node-max-bytes`); 0 for none but the format's own.
    pub node_bytes_max: usize,
    /// Entries of a node, deleted ones included (`stream-node-max-entries`); 0 for any number.
    pub node_entries_max: usize,
}

impl Default for StreamLimits {
    fn default() -> StreamLimits {
        StreamLimits { node_bytes_max: 4096, node_entries_max: 100 }
    }
}

impl StreamLimits {
    /// Whether a node of so many bytes and entries does not take an entry whose fields and values have so many bytes.
    pub(super) fn is_full(&self, bytes: usize, entries: u64, more_bytes: usize) -> bool {
        let bytes_max = match self.node_bytes_max {
            0 => NODE_BYTES_MAX,
            bytes_max => bytes_max.min(NODE_BYTES_MAX),
        };
        bytes + more_bytes >= bytes_max
            || self.node_entries_max > 0 && entries >= self.node_entries_max as u64
    }
}

/// What to cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamTrim {
    /// What is to stay.
    pub keep: StreamKeep,
    /// Removes whole nodes only (`~`), so that more may stay.
    pub approximate: bool,
    /// Removes at most so many entries (`LIMIT`); 0 for any number. As in Redis, a node with more entries than are
    /// left of it ends the trimming, also an exact one.
    pub limit: u64,
}

/// What is to stay of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKeep {
    /// The newest so many entries (`MAXLEN`).
    Newest(u64),
    /// The entries from this id on (`MINID`).
    From(StreamId),
}
