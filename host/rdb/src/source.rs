//! Where the bytes of a file come from.

use std::io;
use std::sync::Arc;

use tenon_base::DiskFile;

/// Bytes in order. Zero bytes mean the end.
pub trait Source {
    /// Reads up to `buffer.len()` bytes, which is never zero.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
}

impl Source for &[u8] {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (taken, rest) = self.split_at(buffer.len().min(self.len()));
        buffer[..taken.len()].copy_from_slice(taken);
        *self = rest;
        Ok(taken.len())
    }
}

impl<S: Source + ?Sized> Source for &mut S {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (**self).read(buffer)
    }
}

/// A file from an offset on.
pub struct FileSource {
    file: Arc<dyn DiskFile>,
    offset: u64,
}

impl FileSource {
    /// The bytes of `file` from `offset` on.
    pub fn new(file: Arc<dyn DiskFile>, offset: u64) -> FileSource {
        FileSource { file, offset }
    }
}

impl Source for FileSource {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.file.read_at(self.offset, buffer)?;
        self.offset += bytes as u64;
        Ok(bytes)
    }
}
