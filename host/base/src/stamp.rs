//! What a reply waits for before it may leave, and what has been reached.
//! Which level a reply needs follows from configuration alone; nothing here decides it.

/// How safe an effect must be before its reply leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The operating system holds it: `write(2)` returned.
    Written,
    /// The disk holds it: an fsync that covers it returned.
    Synced,
    /// So many replicas have acknowledged it.
    Replicas(u16),
}

/// "This may leave once the log has reached `position` at `level`."
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// How safe.
    pub level: Level,
    /// The log position just behind the last effect waited for, in units of work.
    pub position: u64,
}

/// How far the log has come, by level. Positions are log positions, in units of work, and only rise.
#[derive(Clone, Debug, Default)]
pub struct Reached {
    /// Behind the last unit that was written.
    pub written: u64,
    /// Behind the last unit that was synced.
    pub synced: u64,
    /// Positions that replicas acknowledged, highest first.
    pub replicas: Vec<u64>,
}

impl Reached {
    /// Whether what `stamp` asks for has come true.
    pub fn satisfies(&self, stamp: Stamp) -> bool {
        let reached = match stamp.level {
            Level::Written => self.written,
            Level::Synced => self.synced,
            Level::Replicas(0) => u64::MAX,
            Level::Replicas(count) => self.replicas.get(usize::from(count) - 1).copied().unwrap_or(0),
        };
        reached >= stamp.position
    }
}
