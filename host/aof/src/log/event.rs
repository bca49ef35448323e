//! What a log tells its engine besides positions: each event is a line for the server's log, too.

use std::fmt;

use tenon_base::Micros;

/// Something that people should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogEvent {
    /// The disk refused a write or an fsync. Nothing more becomes durable until `Recovered`.
    Failed {
        /// What was refused: "write" or "fsync".
        what: &'static str,
        /// The disk's answer.
        error: String,
    },
    /// Going on in a new file did not work yet; it is tried again. Told at the first attempt, then twice as rarely
    /// each time.
    StillFailing {
        /// Attempts so far.
        attempts: u32,
        /// The disk's answer.
        error: String,
    },
    /// Everything is durable again, in a new increment.
    Recovered {
        /// Its name.
        increment: String,
        /// How long the failure lasted.
        lasted: Micros,
        /// `false`: under `appendfsync no` an fsync failed for records that memory no longer held. Some may be lost in
        /// a crash of the machine; a rewrite makes the log whole.
        whole: bool,
    },
    /// What the disk had not made durable of the old file could not be cut off. Loading here knows where it ends.
    NotCut {
        /// The file.
        file: String,
        /// Its durable length (bytes).
        length: u64,
        /// The disk's answer.
        error: String,
    },
    /// A rewrite has a new increment, and waits for the cut: see `Log::switch_increment`.
    RewriteReady,
    /// A rewrite is done.
    RewriteFinished {
        /// The new base.
        base: String,
        /// Its length (bytes).
        base_bytes: u64,
    },
    /// A rewrite came to nothing; the log goes on as it was.
    RewriteFailed {
        /// Why.
        error: String,
    },
    /// The log that was switched on has its base: from now on it counts.
    TurnedOn,
    /// The manifest could not be replaced; it is tried again.
    ManifestNotWritten {
        /// The disk's answer.
        error: String,
    },
}

impl LogEvent {
    /// Whether it is a warning.
    pub fn is_warning(&self) -> bool {
        !matches!(
            self,
            LogEvent::Recovered { whole: true, .. }
                | LogEvent::RewriteReady
                | LogEvent::RewriteFinished { .. }
                | LogEvent::TurnedOn
        )
    }
}

impl fmt::Display for LogEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogEvent::Failed { what, error } => write!(
                f,
                "The disk refused a {what} of the append-only file: {error}. What is not durable stays in memory \
                 until a new file has taken it"
            ),
            LogEvent::StillFailing { attempts, error } => {
                write!(f, "The append-only file still cannot go on (attempt {attempts}): {error}")
            }
            LogEvent::Recovered { increment, lasted, whole } => {
                write!(f, "The append-only file goes on in {increment} after {} ms", lasted.millis())?;
                if *whole {
                    return Ok(());
                }
                f.write_str("; a crash of the machine may lose earlier records until it was rewritten")
            }
            LogEvent::NotCut { file, length, error } => {
                write!(f, "Could not cut {file} to its durable {length} bytes: {error}")
            }
            LogEvent::RewriteReady => f.write_str("Background append only file rewriting started"),
            LogEvent::RewriteFinished { base, base_bytes } => write!(
                f,
                "Background AOF rewrite finished successfully: base file {base} of {base_bytes} bytes"
            ),
            LogEvent::RewriteFailed { error } => {
                write!(f, "Background AOF rewrite terminated with error: {error}")
            }
            LogEvent::TurnedOn => f.write_str("The append-only file is on"),
            LogEvent::ManifestNotWritten { error } => {
                write!(f, "Could not replace the AOF manifest: {error}")
            }
        }
    }
}
