//! A base of commands (`aof-use-rdb-preamble no`): encoded commands in, batches out.
//!
//! Encodes no value: the caller does, command by command or many at once.
//! Always: a batch holds whole commands, and no more than `BATCH_BYTES_MAX` of them unless one alone is longer.

use tenon_base::UnixMillis;

use crate::batch_writer::{self, Frame};
use crate::load::Origin;

/// The most commands of one batch (bytes).
pub(crate) const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// Wraps the commands of a base in batches. Where `checksum` is off, passes them through.
#[derive(Clone, Debug)]
pub struct CommandBase {
    origin: Origin,
    checksum: bool,
    /// Whether the next batch is to say when it was written, in a line of its own.
    timestamp: bool,
    /// The database in which the gathered commands begin, and the one in which they end.
    first_db: u32,
    db: Selected,
    gathered: Vec<u8>,
}

/// The database that what was added so far ends in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Selected {
    /// The one in which a file starts.
    Start,
    Db(u32),
    /// Whichever a piece ends in.
    Unknown,
}

impl CommandBase {
    /// A base of the state at `origin`. Its file starts in database 0, and with a `#TS:` line if `timestamp` asks for
    /// it.
    pub fn new(origin: Origin, checksum: bool, timestamp: bool) -> CommandBase {
        CommandBase { origin, checksum, timestamp, first_db: 0, db: Selected::Start, gathered: Vec::new() }
    }

    /// Adds whole commands, encoded, that run in database `db`; `out` gets what is complete by that. Selects the
    /// database by itself.
    pub fn add(&mut self, unix: UnixMillis, db: u32, commands: &[u8], out: &mut Vec<u8>) {
        if self.db != Selected::Db(db) {
            // Outside MULTI a SELECT stands only first in a batch.
            self.finish(unix, out);
            self.first_db = db;
            batch_writer::write_select(&mut self.gathered, db);
            self.db = Selected::Db(db);
        } else if self.gathered.len() + commands.len() > BATCH_BYTES_MAX {
            self.finish(unix, out);
            self.first_db = db;
        }
        self.gathered.extend_from_slice(commands);
    }

    /// Puts what is gathered into `out`, and ends in the database of the place that the base stands at. The caller
    /// does so at the end.
    pub fn end(&mut self, unix: UnixMillis, out: &mut Vec<u8>) {
        if self.db != Selected::Start && self.db != Selected::Db(self.origin.db) {
            self.add(unix, self.origin.db, b"", out);
        }
        self.finish(unix, out);
    }

    /// Another base of the same state, whose batches become a part of this one's file: see
    /// [`CommandBase::piece`].
    pub fn piece_writer(&self) -> CommandBase {
        let mut writer = CommandBase::new(self.origin, self.checksum, false);
        writer.db = Selected::Unknown;
        writer
    }

    /// Puts whole batches that the [`CommandBase::piece_writer`] made behind what was added so far. `bytes` may be any
    /// part of them, as long as all parts come one behind the other.
    pub fn piece(&mut self, unix: UnixMillis, bytes: &[u8], out: &mut Vec<u8>) {
        self.finish(unix, out);
        self.db = Selected::Unknown;
        out.extend_from_slice(bytes);
    }

    /// Puts what is gathered into `out`. What is added afterwards selects its database again.
    pub fn finish_piece(&mut self, unix: UnixMillis, out: &mut Vec<u8>) {
        self.finish(unix, out);
        self.db = Selected::Unknown;
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
