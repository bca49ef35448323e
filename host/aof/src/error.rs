//! Why a log cannot be read or opened: each error names the file, what was found and what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::manifest::ManifestError;

/// Why a log cannot be loaded or opened.
#[derive(Debug)]
pub enum AofError {
    /// The disk refused something.
    Disk {
        /// What was being done: "Opening the AOF file".
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// The disk's answer.
        error: io::Error,
    },
    /// Another server uses the log.
    Locked {
        /// The lock's file.
        path: PathBuf,
    },
    /// The manifest cannot be understood.
    Manifest(ManifestError),
    /// A file's contents cannot be understood, or not in this place.
    Format {
        /// Redis's word for it: "Bad file format", "Unexpected end of file".
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Where in it (bytes).
        offset: u64,
        /// What was found and what was expected.
        finding: String,
        /// What can be done.
        advice: &'static str,
    },
    /// A command that is whole was not run.
    Refused {
        /// The reason, as who runs commands gave it: "Unknown command 'x'".
        reason: String,
        /// The file.
        path: PathBuf,
        /// Where in it (bytes).
        offset: u64,
    },
}

/// What to do about damage.
pub(crate) const ADVICE_REPAIR: &str =
    "make a backup of the AOF files, then repair them with: tenon check aof DIRECTORY --repair";
pub(crate) const ADVICE_TRUNCATED: &str = "make a backup of the AOF files, then repair them with: tenon check aof DIRECTORY --repair; \
     or set 'aof-load-truncated yes' and start again";

impl AofError {
    pub(crate) fn disk(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> AofError {
        move |error| AofError::Disk { action, path: path.to_owned(), error }
    }
}

impl fmt::Display for AofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AofError::Disk { action, path, error } => {
                write!(f, "{action} {} failed: {error}", path.display())
            }
            AofError::Locked { path } => write!(
                f,
                "Another server uses this append-only file (it holds the lock {}): give each server its own \
                 'dir', 'appenddirname' or 'appendfilename'",
                path.display()
            ),
            AofError::Manifest(error) => error.fmt(f),
            AofError::Refused { reason, path, offset } => write!(
                f,
                "{reason} reading the append only file {} at offset {offset}; {ADVICE_REPAIR}",
                path.display()
            ),
            AofError::Format { what, path, offset, finding, advice } => write!(
                f,
                "{what} reading the append only file {} at offset {offset}: {finding}; {advice}",
                path.display()
            ),
        }
    }
}

impl std::error::Error for AofError {}

impl From<ManifestError> for AofError {
    fn from(error: ManifestError) -> Self {
        AofError::Manifest(error)
    }
}
