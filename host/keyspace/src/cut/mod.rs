//! The point-in-time cut: everything that was there at one moment, handed over piece by piece while it changes.
//! There is no fork: a walk goes through each table in small steps, and a bucket that is about to change is handed
//! over first. Writes no file and starts no thread: see [`CutFeed`].
//! Always: every key that was there at the moment of the cut is handed over exactly once, as it was.

mod batch;
mod feed;
mod hold;
mod marks;

#[cfg(test)]
mod tests;
mod walker; // read me first

use std::sync::Arc;

pub use batch::{CutBatch, CutEntry};
pub use feed::{AbortReason, CutFeed};
pub(crate) use hold::Holds;
pub(crate) use walker::{TableCuts, Walker};

/// Names a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CutId(pub(crate) u64);

/// How much memory a cut may take.
#[derive(Clone, Copy, Debug)]
pub struct CutBounds {
    /// Bytes that the walk may hand over before it waits for them to be taken.
    pub waiting_bytes_max: usize,
    /// Bytes of pre-images that may wait, and bytes that may be held beyond what the keyspace took at the moment of the
    /// cut; beyond it the cut is aborted.
    pub preimage_bytes_max: usize,
}

/// How far a cut is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutProgress {
    /// There is more to walk.
    Walking,
    /// There is more to walk, once the feed has been emptied a little.
    Waiting,
    /// Everything was handed over.
    Done,
    /// The cut was given up.
    Aborted(AbortReason),
}

/// Figures of a cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CutStats {
    /// Keys at the moment of the cut.
    pub keys_total: usize,
    /// Keys handed over so far.
    pub keys_handed: usize,
    /// Bytes handed over before a change, all in all.
    pub preimage_bytes: usize,
}

/// What the keyspace remembers of a cut; the rest lies with the tables that it walks.
pub(crate) struct Cut {
    pub(crate) id: CutId,
    pub(crate) bounds: CutBounds,
    pub(crate) feed: Arc<CutFeed>,
    /// What the keyspace took at the moment of the cut.
    pub(crate) used_memory: usize,
    /// Figures of tables that are done.
    pub(crate) stats: CutStats,
}
