//! The requests of one read, as spans: shared by all connections of a worker, one read after the other.
//!
//! Decides nothing and decodes nothing: `Decoder` fills it.
//! Always: after `clear` it holds no bytes of any connection, and at most a bounded amount of room.

use bytes::Bytes;

use crate::partial::Partial;
use crate::request::{Args, Span};

/// Room kept between reads.
const ROOM_BYTES_MAX: usize = 256 * 1024;
const ROOM_ITEMS_MAX: usize = 64 * 1024;

/// Decoded requests, in the order in which they arrived. Reused from read to read.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) spans: Vec<Span>,
    pub(crate) large: Vec<Bytes>,
    pub(crate) requests: Vec<Request>,
    /// The plain arguments of a request that arrived in pieces; it can only be the first.
    pub(crate) split: Vec<u8>,
    /// Bytes that the connection had kept undecoded, and where they start.
    pub(crate) kept: Vec<u8>,
    pub(crate) kept_start: usize,
    pub(crate) from_kept: bool,
    /// How far decoding came in the buffer it read from, and why it stopped there.
    pub(crate) decoded_to: usize,
    pub(crate) stop: Stop,
    pub(crate) spare: Option<Box<Partial>>,
}

/// One request: its spans and its place on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) first_span: u32,
    pub(crate) span_count: u32,
    pub(crate) source: Source,
    /// Where it starts and ends in the buffer it was decoded from.
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) wire_bytes: usize,
}

/// Which buffer a request's spans point into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Read,
    Kept,
    Split,
}

/// Why decoding stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stop {
    /// What follows is no whole request (or nothing).
    #[default]
    Incomplete,
    /// `Limits::requests_max` was reached.
    Full,
    /// What follows is malformed.
    Failed,
}

impl Batch {
    /// An empty batch. Allocates nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many requests there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether the read completed no request.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Request `index`; `buffer` is the one given to `Decoder::decode`. Panics past the end.
    #[inline]
    pub fn request<'a>(&'a self, index: usize, buffer: &'a [u8]) -> Args<'a> {
        let request = &self.requests[index];
        let bytes = match request.source {
            Source::Read => buffer,
            Source::Kept => &self.kept[self.kept_start..],
            Source::Split => &self.split,
        };
        let first = request.first_span as usize;
        Args::new(bytes, &self.spans[first..first + request.span_count as usize], &self.large)
    }

    /// How many bytes request `index` took on the wire. Empty requests belong to none.
    pub fn wire_bytes(&self, index: usize) -> usize {
        self.requests[index].wire_bytes
    }

    /// Forgets the requests, keeps the room as long as it is not extravagant.
    pub fn clear(&mut self) {
        self.requests.clear();
        self.spans.clear();
        self.large.clear();
        self.split.clear();
        self.kept = Vec::new();
        (self.kept_start, self.decoded_to, self.from_kept, self.stop) = (0, 0, false, Stop::Incomplete);
        if self.requests.capacity() > ROOM_ITEMS_MAX {
            self.requests = Vec::new();
        }
        if self.spans.capacity() > ROOM_ITEMS_MAX {
            self.spans = Vec::new();
        }
        if self.large.capacity() > ROOM_ITEMS_MAX {
            self.large = Vec::new();
        }
        if self.split.capacity() > ROOM_BYTES_MAX {
            self.split = Vec::new();
        }
    }

    /// Takes over a request that was completed by the first `end` bytes of the read.
    pub(crate) fn adopt(&mut self, mut partial: Box<Partial>, end: usize) {
        debug_assert!(self.requests.is_empty() && self.spans.is_empty());
        if !partial.spans.is_empty() {
            self.spans.extend_from_slice(&partial.spans);
            self.large.append(&mut partial.large);
            std::mem::swap(&mut self.split, &mut partial.buffer);
            self.requests.push(Request {
                first_span: 0,
                span_count: self.spans.len() as u32,
                source: Source::Split,
                start: 0,
                end: end as u32,
                wire_bytes: partial.wire_bytes,
            });
        }
        if partial.recycle() {
            self.spare = Some(partial);
        }
    }

    /// An empty partial request, reused if there is one.
    pub(crate) fn take_spare(&mut self) -> Box<Partial> {
        self.spare.take().unwrap_or_default()
    }
}
