//! Sessions, gates, units and the order in which effects leave. The brain of the server: pure, deterministic,
//! without sockets, threads or clocks.

mod access;
mod backups;
mod client_memory;
mod command_base;
mod connections;
mod cron;
mod departure;
mod dump_sender;
mod durability;
mod engine; // read me first
mod eviction;
mod execute;
mod failover;
mod following;
mod gates;
mod histogram;
mod keys;
mod latency;
mod leftovers;
mod load;
mod loading;
mod look_ahead;
mod memory_report;
mod metrics;
mod migration;
mod notify;
mod output_limits;
mod pause;
mod policies;
mod pubsub;
mod replication;
mod run;
mod save_job;
mod scripts;
mod seal;
mod server;
mod session;
mod settings;
mod setup;
mod snapshots;
mod sockets;
mod spill;
mod stall;
mod standing;
mod stats;
mod sync_job;
mod table;
#[cfg(test)]
mod testing;
mod tracking;
mod transaction;
mod transition;
mod waiting;
mod walks;
mod watch;

pub use backups::{BACKUP_DUMP, BACKUP_USERS, BackupFile, BackupManifest, copy_measured, read_manifest};
pub use engine::Engine;
pub use policies::policy_refusals;
pub use setup::{Allocator, Gauges, Identity, Milestone, Setup};
pub use sockets::tls_settings;
pub use standing::{LogReach, Standing};
pub use stats::{CallCounts, Stats};
pub use table::{Command, CommandId, CommandTable};

/// The version of Redis whose behaviour this is.
pub const REDIS_VERSION: &str = "7.2.4";
/// Our own version.
pub const TENON_VERSION: &str = env!("CARGO_PKG_VERSION");
