//! The RDB file format, read and written, and what goes with it: DUMP payloads and digests.
//! Opens no file, starts no thread and reads no clock: bytes come from a [`Source`] and go to a [`Sink`].
//! Always: no byte from outside panics, and memory follows what has arrived, not what it claims.

mod aux;
mod format; // read me first
mod limits;

mod encoder;
mod stream;
mod write_value;
mod writer;

mod arriving;
mod decoder;
mod error;
mod header;
mod load;
mod read_value;
mod reader;
mod source;
mod timed_hash;

mod digest;
mod dump;

mod compress;
mod ziplist;
mod zipmap;

#[cfg(test)]
mod tests;

pub use arriving::{Arrived, ArrivingDecoder};
pub use aux::Aux;
pub use decoder::{Access, Decoder, LoadOptions, LoadReport, LoadedKey, Piece};
pub use digest::{Digest, dataset_digest, full_digest, full_digest_by, value_digest};
pub use dump::{RestoreError, dump, dump_functions, restore, restore_functions, restore_unsigned};
pub use encoder::{AccessField, DatabaseSize, Encoder, EncoderOptions};
pub use error::{LoadError, LoadErrorKind};
pub use format::{MAGICS, RdbVersion, encoding_name, is_version_read};
pub use limits::Limits;
pub use load::{PROGRESS_BYTES, load, load_bytes};
pub use source::{FileSource, Source};
pub use writer::Sink;
