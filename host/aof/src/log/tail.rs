//! What was appended and is not safe yet, kept in memory: the buffer that is written from, and what a failing disk is
//! repaired with. Bytes are counted from the log's opening on, across files.
//!
//! Always: an append lies in one piece, and the steady state allocates nothing.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// Bytes of an ordinary chunk.
const CHUNK_BYTES: usize = 256 * 1024;
/// Room kept for reuse (bytes).
const SPARE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The bytes from where it was last released to (or a little before) to `end`.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    chunks: VecDeque<Chunk>,
    spare: Vec<Vec<u8>>,
    spare_bytes: usize,
    end: u64,
}

/// Shared with a job while the disk fails; unique otherwise.
#[derive(Debug)]
struct Chunk {
    bytes: Arc<Vec<u8>>,
    start: u64,
}

/// A part of the tail in the hands of a job.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    bytes: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Piece {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.range.clone()]
    }
}

impl Tail {
    /// Behind the last byte.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Appends what `write` writes, at most `bytes_max` bytes, in one piece.
    pub(crate) fn append(&mut self, bytes_max: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let room = self.chunks.back_mut().and_then(|chunk| Arc::get_mut(&mut chunk.bytes));
        if room.is_none_or(|bytes| bytes.capacity() - bytes.len() < bytes_max) {
            self.add_chunk(bytes_max);
        }
        let chunk = self.chunks.back_mut().expect("a chunk was just added");
        let bytes = Arc::get_mut(&mut chunk.bytes).expect("a chunk that is shared takes no bytes");
        write(bytes);
        self.end = chunk.start + bytes.len() as u64;
    }

    /// The pieces from `from` to `to`.
    pub(crate) fn pieces(&self, from: u64, to: u64) -> impl Iterator<Item = &[u8]> {
        self.chunks.iter().filter_map(move |chunk| {
            let end = chunk.start + chunk.bytes.len() as u64;
            let (first, last) = (from.max(chunk.start), to.min(end));
            (first < last)
                .then(|| &chunk.bytes[(first - chunk.start) as usize..(last - chunk.start) as usize])
        })
    }

    /// The same, to be read elsewhere; what comes later goes into other chunks.
    pub(crate) fn share(&self, from: u64, to: u64) -> Vec<Piece> {
        let pieces = self.chunks.iter().filter_map(|chunk| {
            let (bytes, start) = (Arc::clone(&chunk.bytes), chunk.start);
            let place = |at: u64| (at.saturating_sub(start) as usize).min(bytes.len());
            let range = place(from)..place(to);
            (!range.is_empty()).then_some(Piece { bytes, range })
        });
        pieces.collect()
    }

    /// Lets go of everything before `to`.
    pub(crate) fn release(&mut self, to: u64) {
        while let Some(chunk) = self.chunks.front_mut() {
            if chunk.start + chunk.bytes.len() as u64 > to {
                return;
            }
            if self.chunks.len() == 1 {
                return self.restart_last();
            }
            if let Some(chunk) = self.chunks.pop_front() {
                self.recycle(chunk);
            }
        }
    }

    /// Reuses the one chunk left, all of whose bytes were released.
    fn restart_last(&mut self) {
        let Some(mut chunk) = self.chunks.pop_back() else { return };
        match Arc::get_mut(&mut chunk.bytes) {
            Some(bytes) if bytes.capacity() <= SPARE_BYTES_MAX => {
                bytes.clear();
                chunk.start = self.end;
                self.chunks.push_back(chunk);
            }
            _ => {}
        }
    }

    fn add_chunk(&mut self, bytes_min: usize) {
        let reused = self.spare.iter().position(|spare| spare.capacity() >= bytes_min);
        let bytes = match reused {
            Some(index) => {
                let bytes = self.spare.swap_remove(index);
                self.spare_bytes -= bytes.capacity();
                bytes
            }
            None => Vec::with_capacity(bytes_min.max(CHUNK_BYTES)),
        };
        if let Some(chunk) = self.chunks.pop_back_if(|chunk| chunk.bytes.is_empty()) {
            self.recycle(chunk);
        }
        self.chunks.push_back(Chunk { bytes: Arc::new(bytes), start: self.end });
    }

    fn recycle(&mut self, chunk: Chunk) {
        let Ok(mut bytes) = Arc::try_unwrap(chunk.bytes) else { return };
        if self.spare_bytes + bytes.capacity() <= SPARE_BYTES_MAX {
            bytes.clear();
            self.spare_bytes += bytes.capacity();
            self.spare.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(tail: &mut Tail, bytes: &[u8]) {
        tail.append(bytes.len(), |out| out.extend_from_slice(bytes));
    }

    #[test]
    fn what_is_kept_comes_back_in_pieces() {
        let mut tail = Tail::default();
        append(&mut tail, b"abc");
        append(&mut tail, b"defg");
        assert_eq!(tail.pieces(1, 6).collect::<Vec<_>>(), [b"bcdef"]);
        let (shared, fewer) = (tail.share(2, 7), tail.share(2, 4));
        append(&mut tail, &vec![b'x'; CHUNK_BYTES]);
        assert_eq!(shared.iter().map(Piece::bytes).collect::<Vec<_>>(), [b"cdefg"]);
        assert_eq!(fewer.iter().map(Piece::bytes).collect::<Vec<_>>(), [b"cd"]);
        let shared = tail.share(6, 9);
        assert_eq!(shared.iter().map(Piece::bytes).collect::<Vec<_>>(), [b"g".as_slice(), b"xx"]);
        assert_eq!(tail.pieces(6, 9).collect::<Vec<_>>(), [b"g".as_slice(), b"xx"]);
        assert_eq!(tail.end(), 7 + CHUNK_BYTES as u64);
    }

    #[test]
    fn the_steady_state_reuses_its_room() {
        let mut tail = Tail::default();
        append(&mut tail, &[1; 100]);
        let place = tail.pieces(0, 100).next().expect("a piece").as_ptr();
        for round in 1..100_u64 {
            tail.release(round * 100);
            append(&mut tail, &[1; 100]);
            let piece = tail.pieces(round * 100, round * 100 + 100).next().expect("a piece");
            assert_eq!((piece.as_ptr(), piece.len()), (place, 100));
        }
    }

    #[test]
    fn chunks_are_let_go_one_by_one_and_used_again() {
        let mut tail = Tail::default();
        for _ in 0..8 {
            append(&mut tail, &[7; CHUNK_BYTES]);
        }
        tail.release(3 * CHUNK_BYTES as u64 + 5);
        assert_eq!((tail.chunks.len(), tail.spare.len()), (5, 3));
        append(&mut tail, &[7; CHUNK_BYTES]);
        assert_eq!((tail.chunks.len(), tail.spare.len()), (6, 2));
        tail.release(tail.end());
        assert_eq!(tail.chunks.len(), 1);
        assert_eq!((tail.pieces(0, u64::MAX).count(), tail.share(0, u64::MAX).len()), (0, 0));
    }
}
