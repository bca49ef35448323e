//! A whole file at once: every key is handed to whoever inserts it, and the progress is told.
//! Always: whoever is told of the progress may give the load up, also within a long value.

use std::io;
use std::ops::ControlFlow;

use crate::decoder::{Decoder, LoadOptions, LoadReport, LoadedKey};
use crate::error::{LoadError, LoadErrorKind};
use crate::limits::Limits;
use crate::source::Source;

/// How many bytes [`load`] reads between two calls of the progress function.
pub const PROGRESS_BYTES: u64 = 2 << 20;

/// Reads a whole file. `insert` says whether the key is new; one that is not ends the load with an error. `progress` is
/// told every [`PROGRESS_BYTES`] how many bytes were read, also within a long value, and may give the load up.
pub fn load(
    source: &mut dyn Source,
    options: &LoadOptions,
    insert: &mut dyn FnMut(LoadedKey<'_>) -> bool,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<LoadReport, LoadError> {
    let mut given_up = false;
    let watched =
        Watched { source, progress, read_bytes: 0, progress_at: PROGRESS_BYTES, given_up: &mut given_up };
    let result = load_all(watched, options, insert);
    result.map_err(|error| match given_up {
        true => LoadError { kind: LoadErrorKind::Cancelled, ..error },
        false => error,
    })
}

fn load_all<S: Source>(
    source: S,
    options: &LoadOptions,
    insert: &mut dyn FnMut(LoadedKey<'_>) -> bool,
) -> Result<LoadReport, LoadError> {
    let mut decoder = Decoder::new(source, options)?;
    while let Some(key) = decoder.next_key()? {
        if !insert(key) {
            return Err(decoder.duplicate());
        }
    }
    Ok(decoder.into_report())
}

/// A source that tells of its progress.
struct Watched<'a> {
    source: &'a mut dyn Source,
    progress: &'a mut dyn FnMut(u64) -> ControlFlow<()>,
    read_bytes: u64,
    progress_at: u64,
    given_up: &'a mut bool,
}

impl Source for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read_bytes >= self.progress_at {
            self.progress_at = self.read_bytes + PROGRESS_BYTES;
            if (self.progress)(self.read_bytes).is_break() {
                *self.given_up = true;
                return Err(io::Error::other("given up"));
            }
        }
        let bytes = self.source.read(buffer)?;
        self.read_bytes += bytes as u64;
        Ok(bytes)
    }
}

/// Reads a whole file from memory, and drops what it holds: to find out whether it is sound.
pub fn load_bytes(bytes: &[u8]) -> Result<LoadReport, LoadError> {
    let options = LoadOptions {
        limits: Limits::standard(0),
        databases: 16,
        checksum: true,
        passes_over_expired_before: None,
    };
    load(&mut { bytes }, &options, &mut |_| true, &mut |_| ControlFlow::Continue(()))
}
