//! A disk that may be looked at and not be changed: whatever reads through it cannot repair anything by the way.

use std::any::Any;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tenon_base::{Disk, DiskFile, Listed};
use tenon_driver::RealDisk;

/// The machine's files, read-only.
pub(crate) struct ReadOnlyDisk;

struct ReadOnlyFile(Arc<dyn DiskFile>);

fn refused<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::PermissionDenied, "a file that is only looked at is not changed"))
}

impl Disk for ReadOnlyDisk {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        if create {
            return refused();
        }
        Ok(Arc::new(ReadOnlyFile(RealDisk.open(path, false)?)))
    }

    fn create(&self, _: &Path) -> io::Result<Arc<dyn DiskFile>> {
        refused()
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        refused()
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn make_directory(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Listed>> {
        RealDisk.list(path)
    }

    fn free_bytes(&self, path: &Path) -> Option<u64> {
        RealDisk.free_bytes(path)
    }

    fn lock(&self, _: &Path) -> io::Result<Box<dyn Any + Send>> {
        refused()
    }
}

impl DiskFile for ReadOnlyFile {
    fn append(&self, _: &[u8]) -> io::Result<()> {
        refused()
    }

    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        refused()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, buffer)
    }

    fn sync(&self) -> io::Result<()> {
        refused()
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        refused()
    }

    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }
}
