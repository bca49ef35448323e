//! The keys of an RDB file, made into entries ahead of the engine, on another thread where there is one.
//! Takes nothing in. Always: a piece holds at most [`PIECE_KEYS`] keys, and no more memory than [`PIECE_BYTES`] and one
//! value beyond.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tenon_base::{DiskFile, NextPiece, Pieces};
use tenon_keyspace::{EntryMaker, NewEntry};
use tenon_rdb::{Access, Aux, Decoder, FileSource, LoadError, LoadOptions, LoadReport, Source};

pub(super) const PIECE_KEYS: usize = 256;
pub(super) const PIECE_BYTES: usize = 256 << 10;

/// Some keys of a file, in its order.
#[derive(Default)]
pub(crate) struct KeyPiece {
    pub(crate) keys: Vec<KeyRead>,
    /// What the file says of itself, as far as it was read: nearly always all of it.
    pub(crate) aux: Aux,
    /// How the file ends, with the last piece.
    pub(crate) end: Option<Result<LoadReport, LoadError>>,
}

/// One key.
pub(crate) struct KeyRead {
    pub(super) database: usize,
    pub(super) access: Access,
    /// Where its value ends in the file.
    pub(super) end_offset: u64,
    pub(super) entry: NewEntry,
}

impl KeyRead {
    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.entry.memory()
    }
}

/// Reads a file piece by piece.
pub(super) struct KeysAhead {
    file: Arc<dyn DiskFile>,
    options: LoadOptions,
    /// `None`: the values are not wanted, only whether they can be read.
    maker: Option<EntryMaker>,
    /// Bytes read so far, for whoever shows how far the load is.
    read_bytes: Arc<AtomicU64>,
    decoder: Option<Decoder<Counted>>,
    is_over: bool,
}

impl KeysAhead {
    pub(super) fn new(
        file: Arc<dyn DiskFile>,
        options: LoadOptions,
        maker: Option<EntryMaker>,
        read_bytes: Arc<AtomicU64>,
    ) -> KeysAhead {
        KeysAhead { file, options, maker, read_bytes, decoder: None, is_over: false }
    }

    fn read(&mut self, piece: &mut KeyPiece) -> Result<Option<LoadReport>, LoadError> {
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            None => {
                let file = FileSource::new(Arc::clone(&self.file), 0);
                let source = Counted { file, read_bytes: Arc::clone(&self.read_bytes) };
                self.decoder.insert(Decoder::new(source, &self.options)?)
            }
        };
        let (mut keys, mut bytes) = (0, 0);
        while keys < PIECE_KEYS && bytes < PIECE_BYTES {
            let Some(key) = decoder.next_key()? else { return Ok(Some(decoder.report().clone())) };
            keys += 1;
            let Some(maker) = &self.maker else { continue };
            let entry = maker.make(key.key, key.value, key.expires_at);
            let (database, access) = (key.database, key.access);
            bytes += entry.memory();
            piece.keys.push(KeyRead { database, access, end_offset: decoder.read_bytes(), entry });
        }
        piece.aux = decoder.report().aux.clone();
        Ok(None)
    }
}

impl Pieces for KeysAhead {
    fn next(&mut self) -> NextPiece {
        if self.is_over {
            return NextPiece::Over;
        }
        let mut piece = KeyPiece::default();
        piece.end = self.read(&mut piece).transpose();
        self.is_over = piece.end.is_some();
        NextPiece::Piece(Box::new(piece))
    }
}

/// A file that tells how far it was read.
struct Counted {
    file: FileSource,
    read_bytes: Arc<AtomicU64>,
}

impl Source for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.read_bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
