//! Effects as records, and the positions they are counted in.
//!
//! Turns what units did into the one stream that the append-only file and the replicas read. Writes no file, sends
//! nothing, keeps no backlog: `take_batch` hands the bytes over.
//! Always: a unit's record is whole or absent, and every reader can start at a batch or a seam.

mod batch;
mod journal; // units in
mod position; // the three ways of counting // bytes out
mod replication_id; // whose stream it is

pub use batch::{BatchBytes, LogBatch};
pub use journal::{Journal, SealedRange, Targets};
pub use position::{LogPosition, ReplicationOffset};
pub use replication_id::ReplicationId;
