//! What an engine is made of, and what it may ask of the process around it.
//! Reads and opens nothing: whoever starts the server has done that.

use std::path::PathBuf;
use std::sync::Arc;

use tenon_base::{Dice, Now};
use tenon_config::{Config, LogLevel};
use tenon_policy::PolicyLoader;

/// What an engine is made of.
pub struct Setup {
    /// The configuration that holds.
    pub config: Config,
    /// The file it came from.
    pub config_file: Option<PathBuf>,
    /// Entropy from the operating system.
    pub dice: Dice,
    /// More of it, for passwords alone: clients see what the dice show.
    pub secret: [u8; 32],
    /// Who this is.
    pub identity: Identity,
    /// Makes policies out of directives.
    pub policy_loader: Arc<dyn PolicyLoader>,
    /// Makes the log as loud as CONFIG SET says.
    pub set_log_level: Box<dyn Fn(LogLevel) + Send>,
    /// Has the log say whether this is a replica.
    pub set_log_role: Box<dyn Fn(bool) + Send>,
    /// Tells whoever started the process how far it is.
    pub tell_supervisor: Box<dyn Fn(Milestone) + Send>,
}

/// What a supervisor wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Milestone {
    /// What was saved is being loaded.
    Loading,
    /// Clients are served.
    Ready,
    /// The last save goes on.
    Saving,
    /// The server ends.
    Stopping,
}

/// Who this server is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// 40 hexadecimal digits, new at each start.
    pub run_id: String,
    /// The process.
    pub pid: u32,
    /// Path of the program.
    pub executable: String,
    /// `uname`'s system, release and machine.
    pub system: String,
    /// When the process started.
    pub started: Now,
    /// Of local time.
    pub utc_offset_minutes: i16,
    /// Bytes of memory in the machine.
    pub total_memory_bytes: u64,
    /// Reads the allocator's and the system's figures, for INFO and DEBUG: it is not the engine's to know how.
    pub gauges: fn() -> Gauges,
    /// Bytes that were allocated before anything else was made.
    pub program_bytes: u64,
    /// What the allocator can be asked for.
    pub allocator: Allocator,
}

/// What the allocator can be asked for, for MEMORY PURGE and MALLOC-STATS.
#[derive(Clone, Copy, Debug)]
pub struct Allocator {
    /// Gives unused pages back to the system. False if that failed.
    pub purge: fn() -> bool,
    /// Its own report, as text.
    pub report: fn() -> Vec<u8>,
}

/// Figures that only the process's surroundings know.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gauges {
    /// Bytes that the allocator has handed out.
    pub allocated_bytes: u64,
    /// Bytes in pages that the allocator uses.
    pub active_bytes: u64,
    /// Resident bytes as the allocator counts them.
    pub allocator_resident_bytes: u64,
    /// Resident bytes as the system counts them.
    pub resident_bytes: u64,
    /// Microseconds of CPU in user mode and in the kernel.
    pub cpu_user_us: u64,
    /// See `cpu_user_us`.
    pub cpu_system_us: u64,
}
