//! What was read in a turn and waits to be handed to the machine: reads of several connections go together, so that
//! the machine can fetch for all of them before it runs the first.
//! Always: reads are handed over in the order in which they were made; nothing waits beyond the turn.

use std::cell::Cell;
use std::rc::Rc;

use tenon_base::ConnectionId;

use crate::connection::Link;

/// What one read takes from a socket at most; also the fairness between connections in a turn.
const READ_BYTES: usize = 64 * 1024;
/// Reads that go together: enough to hide a cache miss, few enough to stay cached.
const READS_MAX: usize = 16;
/// Bytes with which a group is full; its last read may go beyond.
const FULL_BYTES: usize = 8 * 1024;

/// One read.
struct Waiting {
    connection: ConnectionId,
    start: usize,
    end: usize,
    /// It was heard in the middle of long work, before its turn.
    is_taken: Cell<bool>,
}

/// Reads that wait, and their bytes.
pub(crate) struct Group {
    buffer: Box<[u8]>,
    reads: Vec<Waiting>,
}

impl Group {
    pub(crate) fn new() -> Group {
        let buffer = vec![0; FULL_BYTES + READ_BYTES].into_boxed_slice();
        Group { buffer, reads: Vec::with_capacity(READS_MAX) }
    }

    /// What stands in a group's place while it is handed over.
    pub(crate) fn absent() -> Group {
        Group { buffer: Box::default(), reads: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.reads.len()
    }

    /// Whether it is to be handed over before anything more is read.
    pub(crate) fn is_full(&self) -> bool {
        self.reads.len() == READS_MAX || self.filled() >= FULL_BYTES
    }

    /// Where the next read goes, if it is not full.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        let filled = self.filled();
        &mut self.buffer[filled..filled + READ_BYTES]
    }

    /// Takes in what was read into the room. Says whether that filled it.
    pub(crate) fn push(&mut self, link: &Link, bytes: usize) -> bool {
        let start = self.filled();
        self.reads.push(Waiting {
            connection: link.id,
            start,
            end: start + bytes,
            is_taken: Cell::new(false),
        });
        bytes == READ_BYTES
    }

    /// All reads that nobody took before their turn.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConnectionId, &[u8])> {
        (0..self.reads.len()).filter_map(|index| self.read(index))
    }

    /// One read, unless somebody took it before its turn.
    pub(crate) fn read(&self, index: usize) -> Option<(ConnectionId, &[u8])> {
        let read = &self.reads[index];
        (!read.is_taken.get()).then(|| (read.connection, &self.buffer[read.start..read.end]))
    }

    /// The reads from one on.
    pub(crate) fn from(&self, index: usize) -> Behind<'_> {
        Behind { buffer: &self.buffer, reads: &self.reads[index..] }
    }

    pub(crate) fn clear(&mut self) {
        self.reads.clear();
    }

    fn filled(&self) -> usize {
        self.reads.last().map_or(0, |read| read.end)
    }
}

/// Reads whose turn has not come.
pub(crate) struct Behind<'a> {
    buffer: &'a [u8],
    reads: &'a [Waiting],
}

impl Behind<'_> {
    /// Takes the next read of a connection, before its turn.
    pub(crate) fn take(&self, link: &Rc<Link>) -> Option<&[u8]> {
        let mut reads = self.reads.iter();
        let read = reads.find(|read| read.connection == link.id && !read.is_taken.get())?;
        read.is_taken.set(true);
        Some(&self.buffer[read.start..read.end])
    }
}
