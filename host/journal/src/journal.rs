//! The effects of units, sealed: encoded once, if anybody reads.
//!
//! Knows no command and checks none; SELECT, MULTI and EXEC are its own, and nobody else writes them into the stream.
//! Always: a unit of one operation is that operation, a unit of several is wrapped in MULTI and EXEC; SELECT stands
//! inside, before the first operation of another database, as Redis writes it. Nothing is allocated per unit once the buffers
//! have grown.

use std::ops::Range;

use tenon_resp::{
    Args, INTEGER_TEXT_BYTES_MAX, format_integer, write_array_header, write_bulk, write_request,
};

use crate::batch::{BatchBytes, Mark};
use crate::position::{LogPosition, ReplicationOffset};

/// Room kept for the next batch or unit (bytes).
const ROOM_BYTES_MAX: usize = 1024 * 1024;
const ROOM_ITEMS_MAX: usize = 16 * 1024;

const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";
const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";

/// Who gets an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Targets {
    /// The append-only file.
    pub log: bool,
    /// The replicas.
    pub replicas: bool,
}

impl Targets {
    /// Both: what ordinary writes get.
    pub const ALL: Targets = Targets { log: true, replicas: true };
    /// The append-only file alone.
    pub const LOG: Targets = Targets { log: true, replicas: false };
    /// The replicas alone: PUBLISH, PING, GETACK.
    pub const REPLICAS: Targets = Targets { log: false, replicas: true };
    /// Nobody.
    pub const NONE: Targets = Targets { log: false, replicas: false };

    /// Who gets either.
    pub fn union(self, other: Targets) -> Targets {
        Targets { log: self.log || other.log, replicas: self.replicas || other.replicas }
    }

    /// Who gets both.
    pub fn intersection(self, other: Targets) -> Targets {
        Targets { log: self.log && other.log, replicas: self.replicas && other.replicas }
    }
}

/// What sealing one unit added. Empty ranges for a unit without operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedRange {
    /// The unit's position, to behind it.
    pub positions: Range<LogPosition>,
    /// Its part of the replication stream.
    pub offsets: Range<ReplicationOffset>,
    /// How many operations it had, whoever reads them.
    pub operations: usize,
}

/// The stream of one engine's effects.
#[derive(Debug)]
pub struct Journal {
    readers: Targets,
    position: LogPosition,
    offset: ReplicationOffset,
    effect_bytes: u64,
    /// The database that each reader of the stream has selected so far; `None` at a seam.
    log_db: Option<u32>,
    replica_db: Option<u32>,
    /// What the stream that is followed has selected.
    home: Option<u32>,
    unit: Unit,
    sealed: BatchBytes,
    spare: BatchBytes,
}

/// The unit that is running: its operations encoded, not yet part of the stream.
#[derive(Debug, Default)]
struct Unit {
    open: bool,
    bytes: Vec<u8>,
    encoded: Vec<Operation>,
    operations: usize,
}

#[derive(Clone, Copy, Debug)]
struct Operation {
    end: usize,
    db: u32,
    targets: Targets,
}

impl Journal {
    /// A journal that goes on from a position and an offset, at a seam, with no readers.
    pub fn new(start: LogPosition, offset: ReplicationOffset) -> Self {
        Journal {
            readers: Targets::NONE,
            position: start,
            offset,
            effect_bytes: 0,
            log_db: None,
            replica_db: None,
            home: None,
            unit: Unit::default(),
            sealed: BatchBytes { positions: start..start, offsets: offset..offset, ..BatchBytes::default() },
            spare: BatchBytes::default(),
        }
    }

    /// Says who reads from the next unit on. Without readers sealing only counts. A reader that joins needs a `seam`.
    pub fn set_readers(&mut self, log: bool, replicas: bool) {
        assert!(!self.unit.open, "readers change between units");
        self.readers = Targets { log, replicas };
    }

    /// Who reads.
    pub fn readers(&self) -> Targets {
        self.readers
    }

    /// Behind the last sealed unit.
    pub fn position(&self) -> LogPosition {
        self.position
    }

    /// Behind the last sealed byte of the replication stream. It counts what is meant for replicas and was encoded,
    /// be it only for the log: so a log that outlives its replicas still knows its place.
    pub fn offset(&self) -> ReplicationOffset {
        self.offset
    }

    /// Bytes of the arguments of all effects that a log would have, whether anybody reads or not.
    pub fn effect_bytes(&self) -> u64 {
        self.effect_bytes
    }

    /// Starts a unit.
    pub fn begin_unit(&mut self) {
        assert!(!self.unit.open, "a unit within a unit");
        self.unit.open = true;
    }

    /// Adds an effect of the running unit.
    pub fn operation(&mut self, db: u32, args: Args<'_>, targets: Targets) {
        assert!(self.unit.open, "an operation outside a unit");
        if targets == Targets::NONE {
            return;
        }
        self.unit.operations += 1;
        if targets.log {
            self.effect_bytes += args.into_iter().map(|arg| arg.len() as u64).sum::<u64>();
        }
        if targets.intersection(self.readers) != Targets::NONE {
            write_request(&mut self.unit.bytes, args);
            let end = self.unit.bytes.len();
            self.unit.encoded.push(Operation { end, db, targets });
        }
    }

    /// Ends the running unit: its effects are now one record of the stream.
    pub fn seal(&mut self) -> SealedRange {
        self.end_unit(true)
    }

    /// Ends the running unit, whose effects have nothing to do with each other: they are not wrapped.
    pub fn seal_apart(&mut self) -> SealedRange {
        self.end_unit(false)
    }

    fn end_unit(&mut self, belongs_together: bool) -> SealedRange {
        assert!(self.unit.open, "a unit is sealed once");
        let (position, offset, operations) = (self.position, self.offset, self.unit.operations);
        if operations > 0 {
            self.position += 1;
            if !self.unit.encoded.is_empty() {
                self.write_encoded(belongs_together);
            }
            self.sealed.positions.end = self.position;
            self.sealed.offsets.end = self.offset;
        }
        (self.unit.open, self.unit.operations) = (false, 0);
        SealedRange { positions: position..self.position, offsets: offset..self.offset, operations }
    }

    /// Adds a command that works on no database, between units: PING, GETACK. It is no unit and has no position.
    pub fn aside(&mut self, args: Args<'_>, targets: Targets) {
        assert!(!self.unit.open, "a word aside is said between units");
        if targets.intersection(self.readers) != Targets::NONE {
            self.write(targets, |out| write_request(out, args));
            self.sealed.offsets.end = self.offset;
        }
    }

    /// Has the log name the place that our own stream has come to, behind words that left nothing else there: whoever
    /// loads it knows the stream up to here. Nothing while a unit runs, or another's stream is followed.
    pub fn name_place(&mut self) {
        if self.unit.open || self.home.is_some() || !self.readers.log {
            return;
        }
        let db = self.replica_db.or(self.log_db).unwrap_or(0);
        self.begin_batch(db, self.position..self.position);
        self.log_db = None;
        self.select(db, Targets::LOG);
    }

    /// Adds bytes of the stream that is followed, as they came: whole commands, between units.
    pub fn relay(&mut self, bytes: &[u8]) {
        assert!(!self.unit.open, "what is followed is passed on between units");
        if self.readers.replicas {
            self.sealed.append(Targets::REPLICAS, false, |out| out.extend_from_slice(bytes));
        }
        self.offset += bytes.len() as u64;
        self.sealed.offsets.end = self.offset;
    }

    /// Goes on at a place in another stream. What was sealed before must have been taken.
    pub fn set_offset(&mut self, offset: ReplicationOffset) {
        assert!(self.sealed.bytes.is_empty(), "a batch is of one stream");
        self.offset = offset;
        self.sealed.offsets = offset..offset;
    }

    /// Makes the next record start with SELECT for every reader, in a batch of its own.
    pub fn seam(&mut self) {
        self.log_seam();
        self.replica_seam();
    }

    /// Makes the next record start with SELECT in the log, in a batch of its own: a new file begins.
    pub fn log_seam(&mut self) {
        self.log_db = None;
    }

    /// Makes the next record start with SELECT for the replicas: one of them begins here, after a cut.
    pub fn replica_seam(&mut self) {
        self.replica_db = None;
    }

    /// The database that the stream of the replicas has selected; `None` at a seam.
    pub fn replica_db(&self) -> Option<u32> {
        self.replica_db
    }

    /// Says what the stream that is followed has selected, or that none is. While one is, whatever goes to the log
    /// ends in that database, and its batches stand at the last place in the stream that something was logged for: so
    /// whoever loads the log knows where to go on.
    pub fn set_home(&mut self, database: Option<u32>) {
        assert!(!self.unit.open, "a stream selects between units");
        self.home = database;
    }

    /// What the stream that is followed has selected.
    pub fn home(&self) -> Option<u32> {
        self.home
    }

    /// Everything sealed since the last take; `None` if that is nothing to read. Hand it back with `recycle`.
    pub fn take_batch(&mut self) -> Option<BatchBytes> {
        let next = BatchBytes {
            positions: self.position..self.position,
            offsets: self.offset..self.offset,
            ..std::mem::take(&mut self.spare)
        };
        let taken = std::mem::replace(&mut self.sealed, next);
        if taken.bytes.is_empty() {
            self.recycle(taken);
            return None;
        }
        Some(taken)
    }

    /// Takes the room of a batch that was read to its end, for the next one.
    pub fn recycle(&mut self, mut batch: BatchBytes) {
        if batch.bytes.capacity() <= ROOM_BYTES_MAX {
            batch.clear();
            self.spare = batch;
        }
    }

    /// Bytes sealed and not taken yet.
    pub fn pending_bytes(&self) -> usize {
        self.sealed.bytes.len()
    }

    /// Moves what the running unit has encoded to the stream. Not called where nobody reads.
    fn write_encoded(&mut self, belongs_together: bool) {
        let mut unit = std::mem::take(&mut self.unit);
        self.write_record(&unit, belongs_together);
        unit.encoded.clear();
        unit.bytes.clear();
        unit.bytes.shrink_to(ROOM_BYTES_MAX);
        unit.encoded.shrink_to(ROOM_ITEMS_MAX);
        self.unit = unit;
    }

    fn write_record(&mut self, unit: &Unit, belongs_together: bool) {
        let targets = unit.encoded.iter().fold(Targets::NONE, |all, operation| all.union(operation.targets));
        if let Some(first) = unit.encoded.iter().find(|operation| operation.targets.log) {
            self.begin_logged(first.db);
        }
        let last = unit.encoded.iter().rfind(|operation| operation.targets.log);
        let returns_to = self.home.filter(|&home| last.is_some_and(|last| last.db != home));
        let before = self.offset;
        let wrapped = (belongs_together && unit.encoded.len() > 1) || returns_to.is_some();
        if wrapped {
            self.write(targets, |out| out.extend_from_slice(MULTI));
        }
        let mut start = 0;
        for operation in &unit.encoded {
            self.select(operation.db, operation.targets);
            self.write(operation.targets, |out| out.extend_from_slice(&unit.bytes[start..operation.end]));
            start = operation.end;
        }
        if let Some(home) = returns_to {
            self.select(home, Targets::LOG);
        }
        if targets.log && self.is_stream_elsewhere() {
            self.select(self.log_db.unwrap_or(0), Targets::REPLICAS);
        }
        if wrapped {
            self.write(targets, |out| out.extend_from_slice(EXEC));
        }
        self.place(targets, before);
    }

    /// Says where the last batch stands by a record that began `before`.
    fn place(&mut self, targets: Targets, before: ReplicationOffset) {
        let is_elsewhere = self.is_stream_elsewhere();
        let Some(mark) = self.sealed.marks.last_mut() else { return };
        if targets.log {
            mark.positions.end = self.position;
            mark.stands_at = self.home.map(|_| self.offset);
        } else if self.home.is_none() {
            // What is for replicas alone is behind a batch only where that leaves the stream in the batch's database.
            mark.stands_at = is_elsewhere.then_some(mark.stands_at.unwrap_or(before));
        }
    }

    /// Whether our own stream has another database selected than the log: whoever loads the log, to follow later, would
    /// go on in the wrong one.
    fn is_stream_elsewhere(&self) -> bool {
        self.home.is_none() && self.replica_db.is_some() && self.replica_db != self.log_db
    }

    /// Begins a new batch if the log has not selected the database of the record's first operation.
    fn begin_logged(&mut self, db: u32) {
        if self.log_db != Some(db) || self.sealed.marks.is_empty() {
            self.begin_batch(db, LogPosition(self.position.0 - 1)..self.position);
        }
    }

    fn begin_batch(&mut self, db: u32, positions: Range<LogPosition>) {
        self.sealed.marks.push(Mark {
            first_segment: self.sealed.segments.len(),
            db,
            commands: 0,
            first_offset: self.offset,
            stands_at: None,
            positions,
        });
    }

    /// Writes SELECT to those of `targets` that have another database selected.
    fn select(&mut self, db: u32, targets: Targets) {
        let log = targets.log && self.log_db != Some(db);
        let replicas = targets.replicas && self.replica_db != Some(db);
        if !log && !replicas {
            return;
        }
        self.write(Targets { log, replicas }, |out| {
            write_array_header(out, 2);
            write_bulk(out, b"SELECT");
            write_bulk(out, format_integer(i64::from(db), &mut [0; INTEGER_TEXT_BYTES_MAX]));
        });
        if log {
            self.log_db = Some(db);
        }
        if replicas {
            self.replica_db = Some(db);
        }
    }

    /// Appends one command to the stream.
    fn write(&mut self, targets: Targets, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.sealed.bytes.len();
        let starts_batch =
            self.sealed.marks.last().is_some_and(|mark| mark.first_segment == self.sealed.segments.len());
        self.sealed.append(targets, starts_batch, write);
        if targets.replicas {
            self.offset += (self.sealed.bytes.len() - before) as u64;
        }
        if targets.log
            && let Some(mark) = self.sealed.marks.last_mut()
        {
            mark.commands += 1;
        }
    }
}

#[cfg(test)]
mod tests;
