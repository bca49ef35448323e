//! What waits to be sent on one connection, and which of it waits for the log.
//! Knows no other connection and no stamp that was reached: see `outputs`.
//! Always: segments stand in the order of their bytes, and none begins before what was sent.

use std::collections::VecDeque;

use super::StreamId;
use crate::Stamp;

/// Buffers above this size are given back to the allocator once they are empty.
pub(super) const KEPT_CAPACITY_MAX: usize = 64 * 1024;

/// What waits to be sent on one connection.
#[derive(Default)]
pub(super) struct OutBuffer {
    pub(super) bytes: Vec<u8>,
    /// How many of `bytes` were sent.
    pub(super) sent: usize,
    pub(super) segments: VecDeque<Segment>,
    /// The stream that it follows, and the place up to which it was sent.
    pub(super) follows: Option<(StreamId, u64)>,
    pub(super) is_dirty: bool,
    pub(super) is_pushed: bool,
    pub(super) is_listed_held: bool,
    /// What it was counted as when its memory was last counted.
    pub(super) counted_bytes: usize,
    /// What its memory was when it was taken from the spare buffers, if it was.
    pub(super) lent_bytes: usize,
}

/// Whether a held segment answers a request or was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentKind {
    /// An answer to a request; it may be replaced by an error while it is held.
    Reply,
    /// A push, which is kept as it is.
    Push,
}

/// Bytes of an out-buffer, from the end of the segment before, that wait for a stamp.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) stamp: Stamp,
    pub(super) kind: SegmentKind,
}

impl OutBuffer {
    /// A buffer that would be kept for reuse counts as what is in it, so that equal content counts equally.
    #[inline]
    pub(super) fn memory_bytes(&self) -> usize {
        let capacity = self.bytes.capacity();
        let bytes = if capacity > KEPT_CAPACITY_MAX { capacity } else { self.bytes.len() };
        bytes + self.segments.len() * size_of::<Segment>()
    }

    #[inline]
    pub(super) fn count(&mut self, sum: &mut usize) {
        let memory_bytes = self.memory_bytes();
        *sum = *sum - self.counted_bytes + memory_bytes;
        self.counted_bytes = memory_bytes;
    }

    #[inline]
    pub(super) fn sendable(&self) -> &[u8] {
        let end = self.segments.front().map_or(self.bytes.len(), |segment| segment.start);
        &self.bytes[self.sent..end]
    }

    #[inline]
    pub(super) fn advance(&mut self, count: usize) {
        self.sent += count;
        assert!(self.sent <= self.bytes.len(), "sent more than there was");
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            self.sent = 0;
        } else if self.sent >= KEPT_CAPACITY_MAX && self.sent * 2 >= self.bytes.len() {
            // A slow reader must not make the buffer grow by what was sent already.
            self.bytes.drain(..self.sent);
            for segment in &mut self.segments {
                segment.start -= self.sent;
                segment.end -= self.sent;
            }
            self.sent = 0;
        }
    }

    pub(super) fn replace_replies(&mut self, error: &[u8]) -> usize {
        let mut rebuilt = Vec::with_capacity(self.bytes.len());
        let mut segments = VecDeque::new();
        let (mut copied, mut replaced) = (self.sent, 0);
        for segment in &self.segments {
            rebuilt.extend_from_slice(&self.bytes[copied..segment.start]);
            let start = rebuilt.len();
            match segment.kind {
                SegmentKind::Reply => {
                    rebuilt.extend_from_slice(error);
                    replaced += 1;
                }
                SegmentKind::Push => {
                    rebuilt.extend_from_slice(&self.bytes[segment.start..segment.end]);
                    segments.push_back(Segment { start, end: rebuilt.len(), ..*segment });
                }
            }
            copied = segment.end;
        }
        rebuilt.extend_from_slice(&self.bytes[copied..]);
        (self.bytes, self.segments, self.sent) = (rebuilt, segments, 0);
        replaced
    }
}
