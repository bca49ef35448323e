//! What memory is used for, in figures: taken when somebody asks (INFO, MEMORY STATS, MEMORY DOCTOR).

use tenon_base::Outputs;

use crate::engine::Engine;
use crate::setup::Gauges;

/// Bytes in use at moments worth knowing.
#[derive(Debug, Default)]
pub(crate) struct MemoryMarks {
    /// What the program and the engine took before there was any data.
    pub(crate) startup_bytes: u64,
    /// What policies took when they were loaded: the process's, whatever the data is, so it does not count against
    /// `maxmemory`.
    pub(crate) policies_bytes: u64,
    /// The most that was seen.
    pub(crate) peak_bytes: u64,
}

impl MemoryMarks {
    /// What an engine begins with that was made between two looks at the allocator, in a program of `program_bytes`.
    pub(crate) fn at_start(program_bytes: u64, before_bytes: u64, after_bytes: u64) -> MemoryMarks {
        let startup_bytes = program_bytes + after_bytes.saturating_sub(before_bytes);
        MemoryMarks {
            startup_bytes,
            policies_bytes: before_bytes.saturating_sub(program_bytes),
            peak_bytes: startup_bytes,
        }
    }
}

/// The figures of one moment, in bytes.
pub(crate) struct MemoryReport {
    /// What the engine knows it holds.
    pub(crate) used: u64,
    /// The most that was.
    pub(crate) peak: u64,
    /// What was in use before there was any data.
    pub(crate) startup: u64,
    /// What clients take.
    pub(crate) clients: u64,
    /// What the log is to be told.
    pub(crate) log_buffer: u64,
    /// Databases that hold something: number, keys, and the pages in which they are found.
    pub(crate) databases: Vec<(usize, usize, u64)>,
    /// Of what is used, what is no data.
    pub(crate) overhead: u64,
    /// What the process's surroundings say.
    pub(crate) gauges: Gauges,
}

/// How much more is taken than needed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waste {
    /// Taken by needed.
    pub(crate) ratio: f64,
    /// Taken less needed.
    pub(crate) bytes: i64,
}

impl Waste {
    /// Whether it is worth a word: more than `ratio`, and more than 10 MB.
    pub(crate) fn exceeds(self, ratio: f64) -> bool {
        self.ratio > ratio && self.bytes > 10 << 20
    }
}

fn waste(taken: u64, needed: u64) -> Waste {
    let ratio = if needed == 0 { 0.0 } else { taken as f64 / needed as f64 };
    Waste { ratio, bytes: taken as i64 - needed as i64 }
}

impl MemoryReport {
    pub(crate) fn new(engine: &Engine, outputs: &Outputs) -> MemoryReport {
        let used = engine.used_bytes(outputs);
        let databases = (0..engine.keyspace.databases()).filter_map(|number| {
            let database = engine.keyspace.db(number);
            (!database.is_empty()).then(|| (number, database.len(), database.table_memory() as u64))
        });
        MemoryReport {
            used,
            peak: engine.memory.peak_bytes.max(used),
            startup: engine.memory.startup_bytes,
            clients: engine.clients_bytes(outputs),
            log_buffer: engine.journal.pending_bytes() as u64,
            databases: databases.collect(),
            overhead: engine.overhead_bytes(outputs),
            gauges: (engine.identity.gauges)(),
        }
    }

    /// What is data.
    pub(crate) fn dataset(&self) -> u64 {
        self.used - self.overhead
    }

    /// What has come since the start.
    pub(crate) fn since_start(&self) -> u64 {
        self.used - self.startup
    }

    /// Keys in all databases.
    pub(crate) fn keys(&self) -> u64 {
        self.databases.iter().map(|&(_, keys, _)| keys as u64).sum()
    }

    /// Data in per cent of what has come since the start.
    pub(crate) fn dataset_percent(&self) -> f64 {
        percent(self.dataset(), self.since_start().max(1))
    }

    /// What is used in per cent of the most that was.
    pub(crate) fn peak_percent(&self) -> f64 {
        percent(self.used, self.peak)
    }

    /// Pages against what is handed out of them.
    pub(crate) fn allocator_fragmentation(&self) -> Waste {
        waste(self.gauges.active_bytes, self.gauges.allocated_bytes)
    }

    /// Resident pages against pages in use.
    pub(crate) fn allocator_residence(&self) -> Waste {
        waste(self.gauges.allocator_resident_bytes, self.gauges.active_bytes)
    }

    /// Resident bytes of the process against those of the allocator.
    pub(crate) fn process_overhead(&self) -> Waste {
        waste(self.gauges.resident_bytes, self.gauges.allocator_resident_bytes)
    }

    /// Resident bytes of the process against what is handed out.
    pub(crate) fn fragmentation(&self) -> Waste {
        waste(self.gauges.resident_bytes, self.gauges.allocated_bytes)
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}
