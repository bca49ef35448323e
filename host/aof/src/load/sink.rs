//! What a load asks for and brings: the caller's options, the receiver of its contents, and what came of it.

use std::sync::Arc;

use tenon_base::{DiskFile, UnixMillis};
use tenon_journal::{ReplicationId, ReplicationOffset};
use tenon_resp::Args;

use crate::header::BatchHeader;
use crate::manifest::Manifest;

/// Takes in what is loaded. An error ends the load; it is told with file and offset.
pub trait LoadSink {
    /// Loads the RDB file at the start of `file`, and says how long it is.
    fn rdb(&mut self, file: &Arc<dyn DiskFile>) -> Result<BaseLoaded, String>;

    /// Runs a command. SELECT is among them; MULTI and EXEC are not: a transaction comes whole or not at all.
    fn command(&mut self, args: Args<'_>) -> Result<(), String>;

    /// These commands are likely to come next. A hint: nothing comes of it but time.
    fn coming(&mut self, commands: &mut dyn Iterator<Item = Args<'_>>) {
        let _ = commands;
    }

    /// So many of all bytes are loaded. Called with 0 before anything else, then about once a MiB or every thousand
    /// commands.
    fn progress(&mut self, loaded_bytes: u64, total_bytes: u64);

    /// A line for the server's log.
    fn notice(&mut self, line: LoadNotice);

    /// Where the load is. For who wants to know what stands where; whoever wants the contents alone need not listen.
    fn passed(&mut self, passed: Passed<'_>) -> Result<(), String> {
        let _ = passed;
        Ok(())
    }
}

/// What a load comes by on its way. Offsets are in the file that was named last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed<'a> {
    /// A file begins that holds anything.
    File {
        /// Its name in the manifest.
        name: &'a str,
        /// How much of it counts (bytes): a later file may go on before its end.
        bytes: u64,
    },
    /// A batch of ours begins, whose checksum is right.
    Batch {
        /// Where its header starts.
        at: u64,
        /// What that says.
        header: &'a BatchHeader,
    },
    /// A line `#TS:`: what follows was written in this second, or later.
    Timestamp {
        /// Where the line starts.
        at: u64,
        /// Seconds since 1970.
        unix_seconds: i64,
    },
    /// A command of the file is run next.
    Command {
        /// Where it starts.
        at: u64,
        /// Where the transaction starts that it is a part of.
        transaction: Option<u64>,
    },
    /// A file that ended here would be whole.
    Whole {
        /// Behind its last byte.
        end: u64,
    },
}

/// What the RDB part of a base said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BaseLoaded {
    /// Its length (bytes); in old files commands follow.
    pub bytes: u64,
    /// Where in a replication stream it was taken, if it says so.
    pub origin: Option<Origin>,
}

/// A place in a replication stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Whose stream.
    pub replication_id: ReplicationId,
    /// Where in it.
    pub offset: ReplicationOffset,
    /// The database that it has selected there.
    pub db: u32,
}

/// A line for the server's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadNotice {
    /// The sentence.
    pub text: String,
    /// Whether it is a warning.
    pub is_warning: bool,
}

/// How to load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// Whether a torn end of the last file is cut (`aof-load-truncated`), or refused.
    pub cut_torn_end: bool,
    /// How many bytes at the end of the last file may be cut off because they are damaged, and not just torn
    /// (`aof-load-corrupt-tail-max-size`). 0: damage is refused.
    pub damaged_tail_bytes_max: u64,
    /// Whether batches are going to have headers (`aof-checksum`): then a file that does not end in one is not appended
    /// to.
    pub checksum: bool,
}

/// What was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The files, as the manifest names them; give it to `Log::open`.
    pub manifest: Manifest,
    /// Whether there was anything: `false` means start empty.
    pub found: bool,
    /// The place in a replication stream that the last batch, or else the base, names. After `plain_end` it is the
    /// last known one.
    pub origin: Option<Origin>,
    /// The database selected at the end.
    pub db: u32,
    /// When the last batch was written.
    pub last_batch: Option<UnixMillis>,
    /// Bytes loaded.
    pub bytes: u64,
    /// Commands run.
    pub commands: u64,
    /// Bytes cut off the last file.
    pub cut_bytes: u64,
    /// Whether commands without a header came after the last batch: another server was here.
    pub plain_end: bool,
    /// Whether the last file must not be appended to; give it to `Log::open`.
    pub needs_new_increment: bool,
}
