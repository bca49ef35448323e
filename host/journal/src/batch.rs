//! The sealed bytes on their way to the log and to the replicas, and who gets which.
//!
//! Always: a log batch has SELECT outside MULTI only as its first command, and holds whole records.

use std::ops::Range;

use crate::journal::Targets;
use crate::position::{LogPosition, ReplicationOffset};

/// Everything sealed between two takes: one buffer, with marks for its two readers.
#[derive(Debug, Default)]
pub struct BatchBytes {
    pub(crate) bytes: Vec<u8>,
    pub(crate) segments: Vec<Segment>,
    pub(crate) marks: Vec<Mark>,
    pub(crate) offsets: Range<ReplicationOffset>,
    pub(crate) positions: Range<LogPosition>,
}

/// Bytes up to `end` that go to the same readers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) end: usize,
    pub(crate) targets: Targets,
}

/// The beginning of a log batch.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    pub(crate) first_segment: usize,
    pub(crate) db: u32,
    pub(crate) commands: usize,
    pub(crate) first_offset: ReplicationOffset,
    /// Behind it, where that is neither the next batch's start nor the end of all.
    pub(crate) stands_at: Option<ReplicationOffset>,
    pub(crate) positions: Range<LogPosition>,
}

impl BatchBytes {
    /// The units in here: from the first one's position to behind the last.
    pub fn positions(&self) -> Range<LogPosition> {
        self.positions.clone()
    }

    /// The part of the replication stream in here.
    pub fn offsets(&self) -> Range<ReplicationOffset> {
        self.offsets.clone()
    }

    /// What the log gets: usually one batch, more where the database changed.
    pub fn log_batches(&self) -> impl Iterator<Item = LogBatch<'_>> {
        self.marks.iter().enumerate().map(|(index, mark)| {
            let next = self.marks.get(index + 1);
            let end = next.map_or(self.segments.len(), |next| next.first_segment);
            let end_offset = next.map_or(self.offsets.end, |next| next.first_offset);
            let end_offset = mark.stands_at.unwrap_or(end_offset);
            LogBatch { all: self, mark, segments: mark.first_segment..end, end_offset }
        })
    }

    /// What the replicas get, in pieces to be put one after the other.
    pub fn replica_pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces(0..self.segments.len(), |targets| targets.replicas)
    }

    fn pieces(&self, segments: Range<usize>, wanted: fn(Targets) -> bool) -> impl Iterator<Item = &[u8]> {
        segments.filter(move |&index| wanted(self.segments[index].targets)).map(|index| {
            let start = index.checked_sub(1).map_or(0, |previous| self.segments[previous].end);
            &self.bytes[start..self.segments[index].end]
        })
    }

    /// Appends what `write` writes, for `targets`.
    pub(crate) fn append(&mut self, targets: Targets, new_segment: bool, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        let end = self.bytes.len();
        match self.segments.last_mut() {
            Some(last) if last.targets == targets && !new_segment => last.end = end,
            _ => self.segments.push(Segment { end, targets }),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.segments.clear();
        self.marks.clear();
    }
}

/// Records that the log writes, or loses, together.
#[derive(Clone, Debug)]
pub struct LogBatch<'a> {
    all: &'a BatchBytes,
    mark: &'a Mark,
    segments: Range<usize>,
    end_offset: ReplicationOffset,
}

impl<'a> LogBatch<'a> {
    /// The database in which the first record runs. If it differs from that of the batch before, or a seam came
    /// before, the batch starts with SELECT.
    pub fn db(&self) -> u32 {
        self.mark.db
    }

    /// How many commands there are, SELECT, MULTI and EXEC included.
    pub fn commands(&self) -> usize {
        self.mark.commands
    }

    /// The units in here.
    pub fn positions(&self) -> Range<LogPosition> {
        self.mark.positions.clone()
    }

    /// Where in the replication stream the batch starts.
    pub fn first_offset(&self) -> ReplicationOffset {
        self.mark.first_offset
    }

    /// The place in the replication stream that everything up to here has come to.
    pub fn end_offset(&self) -> ReplicationOffset {
        self.end_offset
    }

    /// The bytes, in pieces to be put one after the other; one piece unless something for replicas alone is between.
    pub fn pieces(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.all.pieces(self.segments.clone(), |targets| targets.log)
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.pieces().map(<[u8]>::len).sum()
    }

    /// Never: a batch has at least one command.
    pub fn is_empty(&self) -> bool {
        self.commands() == 0
    }
}
