//! A file, read in blocks. Knows nothing of what is in it.
//!
//! Always: holds one block, whatever the file claims.

use std::io;
use std::sync::Arc;

use crc64fast::Digest;
use tenon_base::DiskFile;

/// Bytes of a block.
pub(super) const BLOCK_BYTES: usize = 1024 * 1024;

/// One block of a file, moved on demand.
pub(super) struct Window {
    file: Arc<dyn DiskFile>,
    bytes: Vec<u8>,
    start: u64,
}

impl Window {
    pub(super) fn new(file: Arc<dyn DiskFile>) -> Window {
        Window { file, bytes: Vec::new(), start: 0 }
    }

    /// The bytes from `at` on, as far as they are at hand and lie before `end`: at least `wanted` of them (at most a
    /// block), unless the file ends before.
    pub(super) fn bytes(&mut self, at: u64, end: u64, wanted: usize) -> io::Result<&[u8]> {
        let left = end.saturating_sub(at);
        if left == 0 {
            return Ok(&[]);
        }
        let wanted = (wanted.min(BLOCK_BYTES) as u64).min(left);
        let held = self.start + self.bytes.len() as u64;
        if at < self.start || at + wanted > held {
            self.move_to(at, left)?;
        }
        let first = (at - self.start) as usize;
        let count = ((self.bytes.len() - first) as u64).min(left) as usize;
        Ok(&self.bytes[first..first + count])
    }

    /// `length` bytes at `at`, for what may exceed a block; the caller has checked that the file is that long.
    pub(super) fn copy(&mut self, at: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let mut read = 0;
        while read < length {
            match self.file.read_at(at + read as u64, &mut bytes[read..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => read += count,
            }
        }
        Ok(bytes)
    }

    /// Adds everything from `at` to `end` to a checksum.
    pub(super) fn digest(&mut self, mut at: u64, end: u64, digest: &mut Digest) -> io::Result<()> {
        while at < end {
            let bytes = self.bytes(at, end, 1)?;
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            digest.write(bytes);
            at += bytes.len() as u64;
        }
        Ok(())
    }

    /// Where `pattern` is found next between `at` and `end`.
    pub(super) fn find(&mut self, mut at: u64, end: u64, pattern: &[u8]) -> io::Result<Option<u64>> {
        while at < end {
            let bytes = self.bytes(at, end, pattern.len())?;
            if let Some(found) = bytes.windows(pattern.len()).position(|window| window == pattern) {
                return Ok(Some(at + found as u64));
            }
            // The pattern may begin in this block and end in the next.
            let step = bytes.len().saturating_sub(pattern.len() - 1).max(1);
            at += step as u64;
        }
        Ok(None)
    }

    /// Behind the last byte between `at` and `end` that is not zero.
    pub(super) fn end_of_content(&mut self, mut at: u64, end: u64) -> io::Result<u64> {
        let mut content = at;
        while at < end {
            let bytes = self.bytes(at, end, 1)?;
            if bytes.is_empty() {
                break;
            }
            if let Some(last) = bytes.iter().rposition(|&byte| byte != 0) {
                content = at + last as u64 + 1;
            }
            at += bytes.len() as u64;
        }
        Ok(content)
    }

    /// Reads a block at `at`, or the `left` bytes that matter.
    fn move_to(&mut self, at: u64, left: u64) -> io::Result<()> {
        let block_bytes = left.min(BLOCK_BYTES as u64) as usize;
        self.start = at;
        self.bytes.resize(block_bytes, 0);
        let mut read = 0;
        while read < block_bytes {
            match self.file.read_at(at + read as u64, &mut self.bytes[read..]) {
                Ok(0) => break,
                Ok(count) => read += count,
                Err(error) => {
                    self.bytes.clear();
                    return Err(error);
                }
            }
        }
        self.bytes.truncate(read);
        Ok(())
    }
}
