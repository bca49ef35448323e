//! What a snapshot becomes: an RDB file, or commands. Encodes what it is given, and knows no file and no cut.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tenon_keyspace::CutBatch;
use tenon_rdb::{Aux, DatabaseSize, Encoder, EncoderOptions};

use crate::command_base::CommandEncoder;
use crate::spill::PieceFormat;

/// Where the encoded bytes go.
type Sink<'a> = dyn FnMut(&[u8]) -> io::Result<()> + 'a;

/// What a snapshot becomes.
pub(crate) enum Format {
    /// An RDB file.
    Rdb { options: EncoderOptions, aux: Box<Aux>, sizes: Vec<DatabaseSize>, libraries: Vec<Arc<[u8]>> },
    /// Commands: the base of an append-only file with `aof-use-rdb-preamble no`.
    Commands(CommandEncoder, Vec<Arc<[u8]>>),
}

impl Format {
    /// Writes what comes before all keys. Once there is a hurry nothing is compressed any more.
    pub(crate) fn begin(self, hurry: &Arc<AtomicBool>, sink: &mut Sink<'_>) -> io::Result<SnapshotEncoder> {
        match self {
            Format::Commands(mut encoder, libraries) => {
                encoder.functions(&libraries, sink)?;
                Ok(SnapshotEncoder::Commands(encoder))
            }
            Format::Rdb { options, aux, sizes, libraries } => {
                let mut encoder = Encoder::new(options).hurried_by(hurry);
                encoder.begin(&aux, &sizes, sink)?;
                encoder.functions(&libraries, sink)?;
                Ok(SnapshotEncoder::Rdb(Box::new(encoder)))
            }
        }
    }

    /// How pre-images are encoded apart, for a file of this format.
    pub(crate) fn pieces(&self) -> PieceFormat {
        match self {
            Format::Rdb { options, .. } => PieceFormat::Rdb(*options),
            Format::Commands(encoder, _) => {
                let (base, unix) = encoder.pieces();
                PieceFormat::Commands(base, unix)
            }
        }
    }
}

/// Either format, while it is being written.
pub(crate) enum SnapshotEncoder {
    Rdb(Box<Encoder>),
    Commands(CommandEncoder),
}

impl SnapshotEncoder {
    pub(crate) fn batch(&mut self, batch: &CutBatch, sink: &mut Sink<'_>) -> io::Result<()> {
        match self {
            SnapshotEncoder::Rdb(encoder) => encoder.batch(batch, sink),
            SnapshotEncoder::Commands(encoder) => encoder.batch(batch, sink),
        }
    }

    pub(crate) fn piece(&mut self, bytes: &[u8], sink: &mut Sink<'_>) -> io::Result<()> {
        match self {
            SnapshotEncoder::Rdb(encoder) => encoder.piece(bytes, sink),
            SnapshotEncoder::Commands(encoder) => encoder.piece(bytes, sink),
        }
    }

    pub(crate) fn finish(self, sink: &mut Sink<'_>) -> io::Result<()> {
        match self {
            SnapshotEncoder::Rdb(encoder) => encoder.finish(sink).map(drop),
            SnapshotEncoder::Commands(mut encoder) => encoder.finish(sink),
        }
    }
}
