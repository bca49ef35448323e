//! What a log is given and what it tells in numbers: plain data.

use tenon_journal::{LogPosition, ReplicationId, ReplicationOffset};

/// How a log is kept. All of it may change while it runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether batches get headers (`aof-checksum`).
    pub checksum: bool,
    /// Whether `#TS:` lines are written (`aof-timestamp-enabled`).
    pub timestamps: bool,
    /// Whether bases are RDB files (`aof-use-rdb-preamble`).
    pub base_is_rdb: bool,
    /// How many bytes may wait in memory before `is_full` (`aof-pending-max`).
    pub pending_bytes_max: u64,
    /// How long records stay in memory.
    pub keep: Keep,
    /// Whether writes may be made on a thread of their own while an fsync is under way, where they would wait for it:
    /// where a reply does not wait for the fsync behind its write.
    pub writes_aside: bool,
    /// Whether files of earlier times are removed (`aof-disable-auto-gc no`).
    pub remove_history: bool,
}

/// Until when a record stays in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Until an fsync covered it: under `appendfsync always` and `everysec`.
    UntilSynced,
    /// Until it was written: under `appendfsync no`.
    UntilWritten,
}

/// Where a log stands when it starts.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The journal's position.
    pub position: LogPosition,
    /// The replication offset.
    pub offset: ReplicationOffset,
    /// Whose offset that is.
    pub replication_id: ReplicationId,
}

/// Whether there is a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// `appendonly no`.
    Off,
    /// It was switched on and gathers records, but its base is not there yet: a restart would not load it.
    Waiting,
    /// What it holds will be loaded.
    On,
}

/// What an fsync policy wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncFacts {
    /// Bytes that no ended fsync covers.
    pub unsynced_bytes: u64,
    /// Appends (one a turn) among them.
    pub unsynced_commits: u32,
    /// Age of the oldest; 0 when there is none.
    pub oldest_unsynced_us: u64,
    /// How long the fsync in flight has been running; `None` if there is none.
    pub running_us: Option<u64>,
    /// Since the last fsync began; `None` if there was none.
    pub since_us: Option<u64>,
    /// Duration of the last fsync that ended.
    pub last_us: u64,
    /// Mean of the last 16.
    pub mean_us: u64,
    /// Worst of the last 60 seconds.
    pub worst_us: u64,
    /// Whether the last one succeeded; `None` if none has ended.
    pub last_succeeded: Option<bool>,
    /// How many have ended since the start.
    pub ended: u64,
    /// How old the oldest of what an fsync covered was when it ended: the worst of the last 60 seconds.
    pub staleness_us: u64,
}

/// Lengths for INFO (bytes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Base and increments (`aof_current_size`).
    pub current: u64,
    /// What `current` was after the last rewrite or at the start (`aof_base_size`).
    pub base: u64,
    /// Of `current`, what a start would replay command by command: increments, and a base of commands.
    pub replayed: u64,
}
