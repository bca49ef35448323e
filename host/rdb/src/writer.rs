//! The pieces of the format, written: lengths, strings, blocks handed on, the checksum over all of them.
//! Always: what waits in the buffer is at most a block and one piece.

use std::io;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crc_fast::{CrcAlgorithm, Digest};
use tenon_keyspace::{Element, TextRef, integer_of};

use crate::compress::Compressor;
use crate::format::special;

/// Where bytes go, block after block. An error ends the writing; what was written so far is then worth nothing.
pub type Sink<'a> = dyn FnMut(&[u8]) -> io::Result<()> + 'a;

/// A block is handed on when it has at least so many bytes.
const BLOCK_BYTES: usize = 256 << 10;

/// The shortest string that is worth an attempt to compress it.
const COMPRESSED_BYTES_MIN: usize = 21;

/// The longest text of an integer of 32 bits.
const INTEGER_TEXT_BYTES_MAX: usize = 11;

/// Writes into a buffer, and from there in blocks into a sink.
pub(crate) struct Writer {
    buffer: Vec<u8>,
    checksum: Option<Digest>,
    compressor: Option<Compressor>,
    /// While it is set, nothing is compressed.
    hurry: Option<Arc<AtomicBool>>,
    handed_on_bytes: u64,
}

impl Writer {
    pub(crate) fn new(checksum: bool, compression: bool) -> Writer {
        Writer {
            buffer: Vec::new(),
            checksum: checksum.then(|| Digest::new(CrcAlgorithm::Crc64Redis)),
            compressor: compression.then(Compressor::new),
            hurry: None,
            handed_on_bytes: 0,
        }
    }

    pub(crate) fn hurried_by(&mut self, hurry: &Arc<AtomicBool>) {
        self.hurry = Some(Arc::clone(hurry));
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.buffer.push(byte);
    }

    pub(crate) fn length(&mut self, length: usize) {
        match length {
            0..64 => self.byte(length as u8),
            64..16_384 => self.bytes(&(length as u16 | 0x4000).to_be_bytes()),
            16_384..=0xFFFF_FFFF => {
                self.byte(0x80);
                self.bytes(&(length as u32).to_be_bytes());
            }
            _ => {
                self.byte(0x81);
                self.bytes(&(length as u64).to_be_bytes());
            }
        }
    }

    /// A string, in the shortest way: as an integer, compressed, or as it is.
    pub(crate) fn string(&mut self, bytes: &[u8], sink: &mut Sink<'_>) -> io::Result<()> {
        if bytes.len() <= INTEGER_TEXT_BYTES_MAX
            && let Some(integer) = integer_of(bytes)
            && self.short_integer(integer)
        {
            return Ok(());
        }
        if bytes.len() >= COMPRESSED_BYTES_MIN && self.compressed(bytes) {
            return self.hand_on_if_full(sink);
        }
        self.length(bytes.len());
        if bytes.len() < BLOCK_BYTES {
            self.bytes(bytes);
            return self.hand_on_if_full(sink);
        }
        self.hand_on(sink)?;
        for block in bytes.chunks(BLOCK_BYTES) {
            self.pass(block, sink)?;
        }
        Ok(())
    }

    pub(crate) fn text(&mut self, text: TextRef<'_>, sink: &mut Sink<'_>) -> io::Result<()> {
        match text {
            TextRef::Integer(integer) => self.element(Element::Integer(integer), sink),
            TextRef::Bytes(bytes) => self.string(bytes, sink),
        }
    }

    pub(crate) fn element(&mut self, element: Element<'_>, sink: &mut Sink<'_>) -> io::Result<()> {
        match element {
            Element::Integer(integer) if self.short_integer(integer) => self.hand_on_if_full(sink),
            _ => self.string(element.as_bytes(&mut [0; 20]), sink),
        }
    }

    /// Hands everything on.
    pub(crate) fn hand_on(&mut self, sink: &mut Sink<'_>) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let mut block = std::mem::take(&mut self.buffer);
        let result = self.pass(&block, sink);
        block.clear();
        block.shrink_to(2 * BLOCK_BYTES);
        self.buffer = block;
        result
    }

    /// The checksum of everything before this point, which is handed on. Zero if there is none to be.
    pub(crate) fn checksum(&mut self, sink: &mut Sink<'_>) -> io::Result<u64> {
        self.hand_on(sink)?;
        Ok(self.checksum.as_ref().map_or(0, Digest::finalize))
    }

    /// Bytes written, those that wait included.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.handed_on_bytes + self.buffer.len() as u64
    }

    /// Bytes that the sink was given.
    pub(crate) fn handed_on_bytes(&self) -> u64 {
        self.handed_on_bytes
    }

    /// Hands everything on if a block is full.
    pub(crate) fn hand_on_if_full(&mut self, sink: &mut Sink<'_>) -> io::Result<()> {
        if self.buffer.len() < BLOCK_BYTES { Ok(()) } else { self.hand_on(sink) }
    }

    fn pass(&mut self, block: &[u8], sink: &mut Sink<'_>) -> io::Result<()> {
        if let Some(digest) = &mut self.checksum {
            digest.update(block);
        }
        self.handed_on_bytes += block.len() as u64;
        sink(block)
    }

    /// An integer of at most 32 bits; false, and nothing written, if it is longer.
    fn short_integer(&mut self, integer: i64) -> bool {
        let (encoding, size) = match integer {
            -128..=127 => (special::INTEGER_8, 1),
            -32_768..=32_767 => (special::INTEGER_16, 2),
            -2_147_483_648..=2_147_483_647 => (special::INTEGER_32, 4),
            _ => return false,
        };
        self.byte(0xC0 | encoding);
        self.bytes(&integer.to_le_bytes()[..size]);
        true
    }

    fn compressed(&mut self, bytes: &[u8]) -> bool {
        if self.hurry.as_ref().is_some_and(|hurry| hurry.load(Ordering::Relaxed)) {
            return false;
        }
        let Some(mut compressor) = self.compressor.take() else { return false };
        let compressed = compressor.compress(bytes);
        if let Some(compressed) = compressed {
            self.byte(0xC0 | special::COMPRESSED);
            self.length(compressed.len());
            self.length(bytes.len());
            self.bytes(compressed);
        }
        let pays = compressed.is_some();
        self.compressor = Some(compressor);
        pays
    }
}
