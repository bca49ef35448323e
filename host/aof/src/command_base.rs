//! A base of commands (`aof-use-rdb-preamble no`): encoded commands in, batches out.
//!
//! Encodes no value: the caller does, command by command or many at once.
//! Always: a batch holds whole commands, and no more than `BATCH_BYTES_MAX` of them unless one alone is longer.

use tenon_base::UnixMillis;

use crate::batch_writer::{self, Frame};
use crate::load::Origin;

/// The most commands of one batch (bytes).
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// Wraps the commands of a base in batches. Where `checksum` is off, passes them through.
#[derive(Debug)]
pub struct CommandBase {
    origin: Origin,
    checksum: bool,
    /// Whether the next batch is to say when it was written, in a line of its own.
    timestamp: bool,
    /// The database in which the gathered commands begin, and the one in which they end.
    first_db: u32,
    db: Option<u32>,
    gathered: Vec<u8>,
}

impl CommandBase {
    /// A base of the state at `origin`. Its file starts in database 0, and with a `#TS:` line if `timestamp` asks for
    /// it.
    pub fn new(origin: Origin, checksum: bool, timestamp: bool) -> CommandBase {
        CommandBase { origin, checksum, timestamp, first_db: 0, db: None, gathered: Vec::new() }
    }

    /// Adds whole commands, encoded, that run in database `db`; `out` gets what is complete by that. Selects the
    /// database by itself.
    pub fn add(&mut self, unix: UnixMillis, db: u32, commands: &[u8], out: &mut Vec<u8>) {
        if self.db != Some(db) {
            // Outside MULTI a SELECT stands only first in a batch.
            self.finish(unix, out);
            self.first_db = db;
            batch_writer::write_select(&mut self.gathered, db);
            self.db = Some(db);
        } else if self.gathered.len() + commands.len() > BATCH_BYTES_MAX {
            self.finish(unix, out);
            self.first_db = db;
        }
        self.gathered.extend_from_slice(commands);
    }

    /// Puts what is gathered into `out`, and ends in the database of the place that the base stands at. The caller
    /// does so at the end.
    pub fn end(&mut self, unix: UnixMillis, out: &mut Vec<u8>) {
        if self.db.is_some_and(|db| db != self.origin.db) {
            self.add(unix, self.origin.db, b"", out);
        }
        self.finish(unix, out);
    }

    /// Puts what is gathered into `out`.
    fn finish(&mut self, unix: UnixMillis, out: &mut Vec<u8>) {
        if self.gathered.is_empty() {
            return;
        }
        let frame = Frame {
            header: self.checksum.then_some((unix, &self.origin.replication_id)),
            timestamp: std::mem::take(&mut self.timestamp).then_some(unix.seconds()),
            select: false,
            offset: self.origin.offset,
            db: self.first_db,
            unsynced_bytes: 0,
        };
        frame.write(out, std::iter::once(self.gathered.as_slice()));
        self.gathered.clear();
        self.gathered.shrink_to(BATCH_BYTES_MAX);
    }
}
