//! A file that arrives bit by bit, from a socket: its keys are handed out as they become whole.
//! Waits for nothing: where bytes are missing it says so, and begins the key anew when there are more.
//! Always: what is handed out does not depend on where the bytes were split; what is kept is what has arrived of one key,
//! and what was fed since.

use std::collections::VecDeque;
use std::io;

use crate::aux::Aux;
use crate::decoder::{Decoder, LoadOptions, LoadReport, LoadedKey};
use crate::error::{LoadError, LoadErrorKind};
use crate::source::Source;

/// Bytes with which every file begins.
const HEAD_BYTES: u64 = 9;

/// What comes next of a file that arrives.
#[derive(Debug)]
pub enum Arrived<'a> {
    /// A key.
    Key(LoadedKey<'a>),
    /// Nothing yet.
    NotYet,
    /// Its end, checksum included.
    End,
}

/// Reads a file that arrives.
pub struct ArrivingDecoder {
    options: LoadOptions,
    /// None until the first bytes are here.
    decoder: Option<Box<Decoder<Fed>>>,
    /// What was fed before that.
    head: Fed,
    /// So many more bytes are needed for the next attempt to be of use.
    missing_bytes: u64,
    is_at_end: bool,
}

/// What was fed and not read.
#[derive(Default)]
struct Fed {
    chunks: VecDeque<Vec<u8>>,
    /// Bytes of the first chunk that were read.
    read: usize,
    /// Nothing more comes.
    is_over: bool,
}

impl Source for Fed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(chunk) = self.chunks.front() else {
            return if self.is_over { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        };
        let rest = &chunk[self.read..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.read += count;
        if self.read == chunk.len() {
            self.chunks.pop_front();
            self.read = 0;
        }
        Ok(count)
    }
}

impl ArrivingDecoder {
    /// A reader of a file of which nothing is here.
    pub fn new(options: &LoadOptions) -> ArrivingDecoder {
        ArrivingDecoder {
            options: *options,
            decoder: None,
            head: Fed::default(),
            missing_bytes: HEAD_BYTES,
            is_at_end: false,
        }
    }

    /// The next bytes of the file.
    pub fn feed(&mut self, chunk: Vec<u8>) {
        if !chunk.is_empty() {
            self.missing_bytes = self.missing_bytes.saturating_sub(chunk.len() as u64);
            self.fed().chunks.push_back(chunk);
        }
    }

    /// No more bytes come.
    pub fn end(&mut self) {
        self.missing_bytes = 0;
        self.fed().is_over = true;
    }

    /// The next key. After an error, and behind the end, there is nothing more to ask for.
    pub fn next_key(&mut self) -> Result<Arrived<'_>, LoadError> {
        if self.is_at_end {
            return Ok(Arrived::End);
        }
        if self.missing_bytes > 0 {
            return Ok(Arrived::NotYet);
        }
        let decoder = match self.decoder.take() {
            Some(decoder) => decoder,
            None => {
                let mut decoder = Decoder::new(std::mem::take(&mut self.head), &self.options)?;
                decoder.reader_mut().keep();
                Box::new(decoder)
            }
        };
        let decoder = self.decoder.insert(decoder);
        match decoder.find_key() {
            Ok(Some(found)) => Ok(Arrived::Key(decoder.key_of(found))),
            Ok(None) => {
                self.is_at_end = true;
                Ok(Arrived::End)
            }
            Err(error) if is_pause(&error) => {
                // A value of many parts is begun anew a few times only, however long it is and however slowly it comes.
                let (here, missing) = decoder.reader_mut().rewind();
                self.missing_bytes = missing.max(here as u64 / 2).max(1);
                Ok(Arrived::NotYet)
            }
            Err(error) => Err(error),
        }
    }

    /// How many more bytes are to be fed before another attempt is made.
    pub fn missing_bytes(&self) -> u64 {
        self.missing_bytes
    }

    /// What was read so far.
    pub fn report(&self) -> LoadReport {
        self.decoder.as_ref().map(|decoder| decoder.report().clone()).unwrap_or_default()
    }

    /// What the file says of itself, as far as it was read.
    pub fn aux(&self) -> Aux {
        self.decoder.as_ref().map(|decoder| decoder.report().aux.clone()).unwrap_or_default()
    }

    /// Where the key ends that was handed out last.
    pub fn read_bytes(&self) -> u64 {
        self.decoder.as_ref().map_or(0, |decoder| decoder.read_bytes())
    }

    fn fed(&mut self) -> &mut Fed {
        match &mut self.decoder {
            Some(decoder) => decoder.reader_mut().source_mut(),
            None => &mut self.head,
        }
    }
}

fn is_pause(error: &LoadError) -> bool {
    matches!(&error.kind, LoadErrorKind::Io(error) if error.kind() == io::ErrorKind::WouldBlock)
}
