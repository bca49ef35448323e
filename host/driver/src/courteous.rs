//! The disk as long jobs see it: after every write, whoever waits for the processor gets it.
//! Not a limit: where nobody waits, the job goes on at once.
//! Always: what is done to files is what the disk behind does.

use std::any::Any;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use tenon_base::{Disk, DiskFile, Listed};

/// Where the engine's thread has no processor of its own, a job that never pauses keeps it waiting until the scheduler's
/// next tick, four milliseconds at 250 Hz. A large value is written in one step, so steps alone are no measure.
pub(crate) struct Courteous<'a>(pub(crate) &'a dyn Disk);

struct CourteousFile(Arc<dyn DiskFile>);

fn courteous(file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
    Arc::new(CourteousFile(file))
}

impl Disk for Courteous<'_> {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        self.0.open(path, create).map(courteous)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.0.create(path).map(courteous)
    }

    fn create_like(&self, path: &Path, model: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.0.create_like(path, model).map(courteous)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        self.0.make_directory(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.0.remove_directory(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.0.sync_directory(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Listed>> {
        self.0.list(path)
    }

    fn free_bytes(&self, path: &Path) -> Option<u64> {
        self.0.free_bytes(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send>> {
        self.0.lock(path)
    }
}

impl DiskFile for CourteousFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let appended = self.0.append(bytes);
        thread::yield_now();
        appended
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, buffer)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.0.truncate(bytes)
    }

    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }

    fn forget_cached(&self, offset: u64, bytes: u64) {
        self.0.forget_cached(offset, bytes);
        thread::yield_now();
    }
}
