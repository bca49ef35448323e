//! Bytes that several connections are sent alike, kept once: the replication stream, or a snapshot on its way.
//! Every follower has a place of its own in it; nothing is copied for any of them. Knows no connection: see `outputs`.
//! Always: what is kept is one unbroken piece, from `start` to `end`, in the blocks in which it came.

use std::collections::VecDeque;

/// Bytes of a block that gathers small pieces.
const BLOCK_BYTES_MAX: usize = 64 * 1024;
/// ... at least, however little is to be kept.
const BLOCK_BYTES_MIN: usize = 1024;

/// A piece of a stream, by positions in it.
#[derive(Debug)]
pub struct SharedStream {
    blocks: VecDeque<Block>,
    end: u64,
    block_bytes: usize,
}

#[derive(Debug)]
struct Block {
    start: u64,
    bytes: Vec<u8>,
}

impl SharedStream {
    /// An empty piece that begins at `start`, of which about `kept_bytes` are to be kept.
    pub fn new(start: u64, kept_bytes: u64) -> SharedStream {
        let mut stream = SharedStream { blocks: VecDeque::new(), end: start, block_bytes: BLOCK_BYTES_MAX };
        stream.expect_to_keep(kept_bytes);
        stream
    }

    /// About so much is to be kept from now on: what is let go comes in blocks of a fraction of it.
    pub fn expect_to_keep(&mut self, bytes: u64) {
        let block_bytes = usize::try_from(bytes / 16).unwrap_or(BLOCK_BYTES_MAX);
        self.block_bytes = block_bytes.clamp(BLOCK_BYTES_MIN, BLOCK_BYTES_MAX);
    }

    /// The position of the first byte that is kept; `end` if there is none.
    pub fn start(&self) -> u64 {
        self.blocks.front().map_or(self.end, |block| block.start)
    }

    /// The position behind the last byte.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// How many bytes are kept.
    pub fn len(&self) -> u64 {
        self.end - self.start()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Memory that it takes, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.blocks.iter().map(|block| block.bytes.capacity() + size_of::<Block>()).sum()
    }

    /// Appends a copy of `bytes`.
    pub fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = self.blocks.back().map_or(0, |last| last.bytes.capacity() - last.bytes.len());
            if room == 0 {
                let bytes = Vec::with_capacity(self.block_bytes);
                self.blocks.push_back(Block { start: self.end, bytes });
                continue;
            }
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.blocks.back_mut().expect("made above").bytes.extend_from_slice(now);
            self.end += now.len() as u64;
            bytes = later;
        }
    }

    /// Appends `bytes` as a block of its own, without a copy.
    pub fn append_block(&mut self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            let start = self.end;
            self.end += bytes.len() as u64;
            self.blocks.push_back(Block { start, bytes });
        }
    }

    /// What follows position `from`, as far as it lies in one block; nothing at the end, or where nothing is kept.
    pub fn piece(&self, from: u64) -> &[u8] {
        let behind = self.blocks.partition_point(|block| block.start <= from);
        let Some(block) = behind.checked_sub(1).and_then(|index| self.blocks.get(index)) else { return &[] };
        usize::try_from(from - block.start).ok().and_then(|skipped| block.bytes.get(skipped..)).unwrap_or(&[])
    }

    /// Lets go of blocks that lie wholly before `keep_from`.
    pub fn trim(&mut self, keep_from: u64) {
        while let Some(first) = self.blocks.front()
            && first.start + first.bytes.len() as u64 <= keep_from
        {
            self.blocks.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_read_at_any_place_and_let_go_block_by_block() {
        let mut stream = SharedStream::new(100, 16 * 1024);
        assert_eq!((stream.start(), stream.end(), stream.piece(100)), (100, 100, &b""[..]));
        let bytes: Vec<u8> = (0..3_000_u32).map(|number| number as u8).collect();
        stream.append(&bytes[..10]);
        stream.append(&bytes[10..]);
        assert_eq!((stream.start(), stream.end(), stream.len()), (100, 3_100, 3_000));
        let mut read = Vec::new();
        let mut at = 105;
        while !stream.piece(at).is_empty() {
            let piece = stream.piece(at);
            at += piece.len() as u64;
            read.extend_from_slice(piece);
        }
        assert_eq!(read, bytes[5..]);
        stream.trim(100 + 1_024);
        assert_eq!((stream.start(), stream.piece(1_124).first()), (1_124, Some(&bytes[1_024])));
        assert!(stream.piece(1_000).is_empty() && stream.piece(9_999).is_empty());
        stream.trim(9_999);
        assert_eq!((stream.start(), stream.is_empty(), stream.held_bytes()), (3_100, true, 0));
    }

    #[test]
    fn a_block_that_is_handed_over_is_not_copied() {
        let mut stream = SharedStream::new(0, 1 << 20);
        let block = b"snapshot".to_vec();
        let place = block.as_ptr();
        stream.append_block(block);
        stream.append_block(Vec::new());
        assert_eq!((stream.piece(0).as_ptr(), stream.piece(4)), (place, &b"shot"[..]));
    }
}
