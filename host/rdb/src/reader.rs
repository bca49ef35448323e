//! The pieces of the format, read: bytes, lengths, strings, and the checksum over all of them.
//! Always: a length that is only claimed allocates at most as much again as has arrived, and one MiB.

use std::io::ErrorKind;

use crc_fast::{CrcAlgorithm, Digest};
use tenon_keyspace::{INTEGER_TEXT_BYTES, decimal};

use crate::compress::{LZF_BYTES_MAX, decompress};
use crate::error::{LoadError, LoadErrorKind};
use crate::format::special;
use crate::source::Source;

const BLOCK_BYTES: usize = 128 << 10;
const GROWTH_BYTES: usize = 1 << 20;

/// The most memory that a scratch buffer keeps from one value to the next.
pub(crate) const SCRATCH_BYTES_MAX: usize = 1 << 20;

/// Reads from a source, block by block.
pub(crate) struct Reader<S> {
    source: S,
    block: Vec<u8>,
    /// The unread part of the block.
    start: usize,
    end: usize,
    /// Up to where the block is in the checksum.
    digested: usize,
    digest: Digest,
    /// The offset of the block in the source.
    block_offset: u64,
    /// From where on in the block everything is kept, for [`Reader::rewind`]; `None` where there is no way back.
    mark: Option<usize>,
    /// Bytes of a string that were still to come when the source last failed.
    missing: u64,
    compressed: Vec<u8>,
}

/// A length, or what stands in its place.
enum Length {
    Plain(u64),
    Special(u8),
}

impl<S: Source> Reader<S> {
    /// Reads in blocks; smaller ones if `expected_bytes` is less than one.
    pub(crate) fn new(source: S, expected_bytes: usize) -> Reader<S> {
        Reader {
            source,
            block: vec![0; expected_bytes.clamp(64, BLOCK_BYTES)],
            start: 0,
            end: 0,
            digested: 0,
            digest: Digest::new(CrcAlgorithm::Crc64Redis),
            block_offset: 0,
            mark: None,
            missing: 0,
            compressed: Vec::new(),
        }
    }

    /// Where the bytes come from.
    pub(crate) fn source_mut(&mut self) -> &mut S {
        &mut self.source
    }

    /// From now on there is a way back, to the last [`Reader::pass`].
    pub(crate) fn keep(&mut self) {
        self.mark = Some(self.start);
    }

    /// Nobody comes back to what was read so far.
    pub(crate) fn pass(&mut self) {
        if let Some(mark) = &mut self.mark {
            *mark = self.start;
        }
    }

    /// Goes back to the last [`Reader::pass`]. Returns how many bytes are here from there on, and how many more were
    /// known to be needed.
    pub(crate) fn rewind(&mut self) -> (usize, u64) {
        self.start = self.mark.unwrap_or(self.start);
        (self.end - self.start, std::mem::take(&mut self.missing))
    }

    /// The offset of the next byte.
    pub(crate) fn offset(&self) -> u64 {
        self.block_offset + self.start as u64
    }

    /// An error at this point.
    pub(crate) fn error(&self, kind: LoadErrorKind) -> LoadError {
        LoadError { at: self.offset(), key: None, kind }
    }

    /// The checksum of everything before this point.
    pub(crate) fn checksum(&self) -> u64 {
        let mut digest = self.digest;
        digest.update(&self.block[self.digested..self.start]);
        digest.finalize()
    }

    pub(crate) fn byte(&mut self) -> Result<u8, LoadError> {
        if self.start == self.end {
            self.fill()?;
        }
        let byte = self.block[self.start];
        self.start += 1;
        Ok(byte)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], LoadError> {
        let mut array = [0; N];
        if let Some(bytes) = self.block[self.start..self.end].first_chunk::<N>() {
            array = *bytes;
            self.start += N;
        } else {
            for byte in &mut array {
                *byte = self.byte()?;
            }
        }
        Ok(array)
    }

    /// A length that must be one.
    pub(crate) fn length(&mut self) -> Result<u64, LoadError> {
        match self.length_or_special()? {
            Length::Plain(length) => Ok(length),
            Length::Special(special) => Err(self.error(LoadErrorKind::Length(0xC0 | special))),
        }
    }

    /// A string, in place of what is in `text`.
    pub(crate) fn string(&mut self, text: &mut Vec<u8>) -> Result<(), LoadError> {
        text.clear();
        let integer = match self.length_or_special()? {
            Length::Plain(length) => return self.append(length, text),
            Length::Special(special::INTEGER_8) => i64::from(i8::from_le_bytes(self.array()?)),
            Length::Special(special::INTEGER_16) => i64::from(i16::from_le_bytes(self.array()?)),
            Length::Special(special::INTEGER_32) => i64::from(i32::from_le_bytes(self.array()?)),
            Length::Special(special::COMPRESSED) => return self.compressed(text),
            Length::Special(other) => {
                return Err(self.error(LoadErrorKind::StringEncoding(u64::from(other))));
            }
        };
        text.extend_from_slice(decimal(integer, &mut [0; INTEGER_TEXT_BYTES]));
        Ok(())
    }

    /// Passes over bytes.
    pub(crate) fn skip(&mut self, bytes: u64) -> Result<(), LoadError> {
        let mut rest = bytes;
        while rest > 0 {
            rest -= self.piece(rest)?.len() as u64;
        }
        Ok(())
    }

    fn length_or_special(&mut self) -> Result<Length, LoadError> {
        let first = self.byte()?;
        Ok(match first {
            0x00..0x40 => Length::Plain(u64::from(first)),
            0x40..0x80 => Length::Plain(u64::from(u16::from_be_bytes([first & 0x3F, self.byte()?]))),
            0x80 => Length::Plain(u64::from(u32::from_be_bytes(self.array()?))),
            0x81 => Length::Plain(u64::from_be_bytes(self.array()?)),
            0xC0.. => Length::Special(first & 0x3F),
            _ => return Err(self.error(LoadErrorKind::Length(first))),
        })
    }

    fn compressed(&mut self, text: &mut Vec<u8>) -> Result<(), LoadError> {
        let compressed_bytes = self.length()?;
        let claimed = self.length()?;
        let wrong = LoadErrorKind::Compressed { compressed: compressed_bytes, claimed };
        if compressed_bytes > LZF_BYTES_MAX as u64 {
            return Err(self.error(wrong));
        }
        let mut compressed = std::mem::take(&mut self.compressed);
        compressed.clear();
        self.append(compressed_bytes, &mut compressed)?;
        *text = decompress(&compressed, claimed).ok_or_else(|| self.error(wrong))?;
        compressed.shrink_to(SCRATCH_BYTES_MAX);
        self.compressed = compressed;
        Ok(())
    }

    /// Appends bytes to `target`, which grows only as they arrive; its capacity is exact at the end if it is long.
    fn append(&mut self, bytes: u64, target: &mut Vec<u8>) -> Result<(), LoadError> {
        let mut rest = bytes;
        while rest > 0 {
            let room = target.capacity() - target.len();
            if room == 0 {
                let growth = target.len().max(GROWTH_BYTES) as u64;
                target.reserve_exact(growth.min(rest) as usize);
                continue;
            }
            if self.start == self.end
                && let Err(error) = self.fill()
            {
                self.missing = rest;
                return Err(error);
            }
            let piece = self.piece(rest.min(room as u64))?;
            target.extend_from_slice(piece);
            rest -= piece.len() as u64;
        }
        Ok(())
    }

    /// The next bytes, at least one and at most so many.
    fn piece(&mut self, bytes_max: u64) -> Result<&[u8], LoadError> {
        if self.start == self.end {
            self.fill()?;
        }
        let start = self.start;
        let bytes = usize::try_from(bytes_max).unwrap_or(usize::MAX).min(self.end - start);
        self.start += bytes;
        Ok(&self.block[start..start + bytes])
    }

    /// Reads the next block, behind what is kept of the present one, which has been read to its end.
    fn fill(&mut self) -> Result<(), LoadError> {
        self.let_go(self.mark.unwrap_or(self.end));
        if self.end == self.block.len() {
            self.block.resize(self.end + (self.end / 2).max(BLOCK_BYTES), 0);
        }
        loop {
            match self.source.read(&mut self.block[self.end..]) {
                Ok(0) => return Err(self.error(LoadErrorKind::Truncated)),
                Ok(bytes) => {
                    self.end = self.block.len().min(self.end + bytes);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.error(LoadErrorKind::Io(error))),
            }
        }
    }

    /// Lets go of the first bytes of the block, and of the room that a large value took.
    fn let_go(&mut self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.digest.update(&self.block[self.digested..bytes]);
        self.block.copy_within(bytes..self.end, 0);
        self.block_offset += bytes as u64;
        (self.start, self.end, self.digested) = (self.start - bytes, self.end - bytes, 0);
        self.mark = self.mark.map(|_| 0);
        if self.block.len() > 2 * BLOCK_BYTES && self.end < BLOCK_BYTES {
            self.block.truncate(BLOCK_BYTES);
            self.block.shrink_to_fit();
        }
    }
}
