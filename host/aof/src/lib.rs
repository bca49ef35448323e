//! The append-only file: manifest, batches, loading, rewriting.
//!
//! Turns the journal's batches into files that Redis loads too, and files into commands. Decides neither when to sync
//! nor when to rewrite, and opens nothing but through `tenon_base::Disk`.
//! Always: a record that was called durable is loaded, once and in its place, whatever failed wherever.

mod batch_writer;
mod command_base;
mod directory;
mod error;
mod header; // read me first: what a file is made of
mod load;
mod log; // at work
mod manifest;
mod marker;
#[cfg(any(test, feature = "test-disk"))]
pub mod memory_disk;

pub use command_base::CommandBase;
pub use directory::Directory;
pub use error::AofError;
pub use header::{BatchHeader, HEADER_BYTES};
pub use load::{
    BaseLoaded, LoadNotice, LoadOptions, LoadSink, Loaded, Origin, Passed, keep_tail, load, load_file,
};
pub use log::{
    JobId, Keep, Log, LogEvent, LogJob, Phase, RewriteRefused, RewriteStage, Settings, Sizes, Start,
    SyncFacts,
};
pub use manifest::{Manifest, ManifestError, ManifestFile};

#[cfg(test)]
mod tests;
