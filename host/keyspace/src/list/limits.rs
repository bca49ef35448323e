//! How large a node of a list may grow, and when a list changes its encoding: what `list-max-listpack-size`
//! says. Decides; changes nothing.

use super::tree::Leaf;

/// The thresholds of lists, as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListLimits {
    /// `list-max-listpack-size`: from -1 to -5 nodes of 4, 8, 16, 32 or 64 KiB; otherwise a number of elements.
    pub listpack_size: i64,
    /// `list-compress-depth`. Nodes are never compressed in memory, so nothing follows from it.
    pub compress_depth: u32,
}

impl Default for ListLimits {
    fn default() -> ListLimits {
        ListLimits { listpack_size: -2, compress_depth: 0 }
    }
}

/// The bytes that several elements in one node never exceed, whatever is configured.
pub(super) const NODE_BYTES_MAX: usize = 64 << 10;
/// The bytes from which on an element is kept as it is, in no listpack.
pub(super) const PLAIN_BYTES_MIN: usize = 1 << 30;
/// The bytes of a node whose limit is a number of elements.
const COUNTED_NODE_BYTES_MAX: usize = 8 << 10;
/// What an element is reckoned to need in a listpack beside its text.
const ENTRY_OVERHEAD_BYTES: usize = 8;

impl ListLimits {
    /// Whether a listpack of `bytes` with `len` elements is too large for a node or a compact list.
    pub(super) fn exceeded_by(&self, bytes: usize, len: usize) -> bool {
        match self.node_limit() {
            NodeLimit::Bytes(limit) => bytes > limit,
            NodeLimit::Len(limit) => bytes > COUNTED_NODE_BYTES_MAX || len > limit,
        }
    }

    /// Whether one more element of `more_bytes` may go into `leaf`.
    pub(super) fn admit(&self, leaf: &Leaf, more_bytes: usize) -> bool {
        match leaf {
            Leaf::Plain(_) => false,
            Leaf::Packed(_) if more_bytes >= PLAIN_BYTES_MIN => false,
            Leaf::Packed(listpack) => {
                let bytes = listpack.total_bytes() + more_bytes + ENTRY_OVERHEAD_BYTES;
                !self.exceeded_by(bytes, listpack.len() + 1)
            }
        }
    }

    /// Whether a list whose only node is a listpack of `bytes` with `len` elements becomes compact. After elements
    /// were removed that takes half the limit, so that a list at the limit does not change at every command.
    pub(super) fn let_pack(&self, bytes: usize, len: usize, after_removal: bool) -> bool {
        let part = if after_removal { 2 } else { 1 };
        match self.node_limit() {
            NodeLimit::Bytes(limit) => bytes <= limit / part,
            NodeLimit::Len(limit) => len <= limit / part,
        }
    }

    fn node_limit(&self) -> NodeLimit {
        match self.listpack_size {
            0 => NodeLimit::Len(1),
            len @ 1.. => NodeLimit::Len(usize::try_from(len).unwrap_or(usize::MAX)),
            -1 => NodeLimit::Bytes(4 << 10),
            -2 => NodeLimit::Bytes(8 << 10),
            -3 => NodeLimit::Bytes(16 << 10),
            -4 => NodeLimit::Bytes(32 << 10),
            _ => NodeLimit::Bytes(NODE_BYTES_MAX),
        }
    }
}

enum NodeLimit {
    Bytes(usize),
    Len(usize),
}
