//! The keys of an RDB file that arrives over a link, made into entries on another thread.
//! Takes nothing in, and waits for nothing: it is given what has come, and gives back what that is.
//! Always: what it gives back at once is bounded as a piece of a file is, four times as much.

use tenon_keyspace::EntryMaker;
use tenon_rdb::{Arrived, ArrivingDecoder, LoadError, LoadOptions, LoadReport};

use super::keys_ahead::{KeyPiece, KeyRead, PIECE_BYTES, PIECE_KEYS};

/// Pieces of a file that are made at once: whoever takes them is told of each by a message.
const PIECES: usize = 4;

/// Makes entries of what arrives.
pub(crate) struct KeysArriving {
    decoder: ArrivingDecoder,
    maker: EntryMaker,
}

/// What came of what was given.
pub(crate) struct Taken {
    /// To go on with.
    pub(crate) keys: Box<KeysArriving>,
    pub(crate) piece: KeyPiece,
    /// How many more bytes are needed; 0 if there is more to be had without any.
    pub(crate) missing_bytes: u64,
    /// Bytes of the file that were read.
    pub(crate) read_bytes: u64,
}

impl KeysArriving {
    pub(crate) fn new(options: &LoadOptions, maker: EntryMaker) -> KeysArriving {
        KeysArriving { decoder: ArrivingDecoder::new(options), maker }
    }

    /// Takes in what has come, and reads what is whole of it. Behind the last bytes nothing more comes.
    pub(crate) fn take(mut self: Box<Self>, chunks: Vec<Vec<u8>>, are_last: bool) -> Taken {
        chunks.into_iter().for_each(|chunk| self.decoder.feed(chunk));
        if are_last {
            self.decoder.end();
        }
        let mut piece = KeyPiece::default();
        piece.end = self.read(&mut piece).transpose();
        piece.aux = self.decoder.aux();
        let (missing_bytes, read_bytes) = (self.decoder.missing_bytes(), self.decoder.read_bytes());
        Taken { keys: self, piece, missing_bytes, read_bytes }
    }

    fn read(&mut self, piece: &mut KeyPiece) -> Result<Option<LoadReport>, LoadError> {
        let mut bytes = 0;
        while piece.keys.len() < PIECES * PIECE_KEYS && bytes < PIECES * PIECE_BYTES {
            let key = match self.decoder.next_key()? {
                Arrived::Key(key) => key,
                Arrived::NotYet => break,
                Arrived::End => return Ok(Some(self.decoder.report())),
            };
            let entry = self.maker.make(key.key, key.value, key.expires_at);
            let (database, access) = (key.database, key.access);
            bytes += entry.memory();
            piece.keys.push(KeyRead { database, access, end_offset: self.decoder.read_bytes(), entry });
        }
        Ok(None)
    }
}
