//! The disk as machines see it: every file operation of the house goes through these traits, so that a
//! simulated disk can stand in and lose, tear and refuse what a real one would.

use std::any::Any;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// A file system. Shared by the engine's thread and the threads that sync and save.
pub trait Disk: Send + Sync {
    /// Opens a file for reading and appending, and creates it if `create`. Appends go to its end.
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>>;
    /// Creates a file, or empties the one that is there.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// As [`Disk::create`], readable and writable for whom `model` is. A disk that knows no permissions just creates it.
    fn create_like(&self, path: &Path, model: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let _ = model;
        self.create(path)
    }
    /// Puts `from` in the place of `to` at one stroke.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes a directory if there is none.
    fn make_directory(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory that is empty. A disk that is only looked at, or has none, refuses.
    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        let _ = path;
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Makes names created, renamed and removed in a directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory.
    fn list(&self, path: &Path) -> io::Result<Vec<Listed>>;
    /// Bytes that an ordinary user may still write below `path`, if that can be told.
    fn free_bytes(&self, path: &Path) -> Option<u64>;
    /// Takes the exclusive lock that marks `path` as ours until the returned value is dropped.
    /// `ErrorKind::WouldBlock` means that another process holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send>>;
}

/// An open file. Calls may come from several threads at once; an append is one `write` call in effect.
pub trait DiskFile: Send + Sync {
    /// Appends all of `bytes`, or fails; after a failure the file may end with a part of them.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
    /// Overwrites bytes at `offset`.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Reads up to `buffer.len()` bytes at `offset`; 0 means the end.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Makes everything appended so far durable (`fdatasync`).
    fn sync(&self) -> io::Result<()>;
    /// Cuts the file to `bytes`.
    fn truncate(&self, bytes: u64) -> io::Result<()>;
    /// Length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Lets the system give up what it keeps of a part of the file in memory. A hint: the file stays as it is.
    fn forget_cached(&self, _offset: u64, _bytes: u64) {}
}

/// Lets the system give up what it keeps in memory of a file that is about to go, a piece at a time. At one stroke, as
/// the file goes, that takes the processor for ten milliseconds a gigabyte, and whoever waits for it then waits.
pub fn forget_cached(disk: &dyn Disk, path: &Path) {
    const PIECE_BYTES: u64 = 4 << 20;
    let Ok(file) = disk.open(path, false) else { return };
    let length = file.length().unwrap_or(0);
    for piece in 0..length.div_ceil(PIECE_BYTES) {
        file.forget_cached(piece * PIECE_BYTES, PIECE_BYTES);
    }
}

/// An error in words, without the number that the standard library appends.
pub fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// What a listed name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Anything else.
    Other,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The name alone, without its directory.
    pub name: String,
    /// What it is.
    pub kind: FileKind,
    /// Length in bytes.
    pub bytes: u64,
}

/// Work that leaves the engine's thread: an fsync, the writing of a snapshot, the freeing of a large value.
/// It is a machine of small steps, so that a simulated world can run it in any order.
pub trait Job: Send {
    /// Does a little.
    fn step(&mut self, disk: &dyn Disk) -> Step;
    /// Whether it is to be done even where others wait for the processor: replies wait for it, or memory grows until it
    /// is done. Asked before each step: it may become so, or cease to be.
    fn is_urgent(&self) -> bool {
        false
    }
}

/// What a step of a job came to.
pub enum Step {
    /// Call again at once.
    Again,
    /// It waits for something that the machine must feed it: call again in about a millisecond.
    Starved,
    /// Finished; the value travels back as [`crate::Input::Completed`].
    Done(Box<dyn Any + Send>),
}

impl<F, R> Job for F
where
    F: FnMut(&dyn Disk) -> R + Send,
    R: Any + Send,
{
    fn step(&mut self, disk: &dyn Disk) -> Step {
        Step::Done(Box::new(self(disk)))
    }
}
