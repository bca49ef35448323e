//! A disk in memory, for tests: it fails on request, and forgets in a crash what no fsync covered.
//!
//! Knows no log. Always: what a successful `sync` covered survives a crash; of what came later, each file keeps a prefix
//! of its changes, the last one possibly torn, and each directory a prefix of its changes of names.

use std::any::Any;
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tenon_base::{Dice, Disk, DiskFile, FileKind, Listed};

/// What can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `Disk::open` that creates, and `Disk::create`.
    Create,
    /// `Disk::rename`.
    Rename,
    /// `Disk::remove`.
    Remove,
    /// `Disk::sync_directory`.
    SyncDirectory,
    /// `DiskFile::append`: a part of the bytes may have arrived.
    Append,
    /// `DiskFile::sync`: later ones of the same file report success, and what was unsynced stays unsynced for ever.
    Sync,
    /// `DiskFile::truncate`.
    Truncate,
}

impl Operation {
    /// All of them.
    pub const ALL: [Operation; 7] = [
        Operation::Create,
        Operation::Rename,
        Operation::Remove,
        Operation::SyncDirectory,
        Operation::Append,
        Operation::Sync,
        Operation::Truncate,
    ];
}

/// The disk. Clones share it.
#[derive(Clone, Default)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    nodes: Vec<Node>,
    names: BTreeMap<PathBuf, usize>,
    directories: HashSet<PathBuf>,
    /// Names as a crash would leave them, and the changes since.
    durable_names: BTreeMap<PathBuf, usize>,
    name_changes: Vec<NameChange>,
    failures: Vec<Failure>,
    locks: HashSet<PathBuf>,
    calls: u64,
    dice: Option<Dice>,
    whole_pages: bool,
}

/// One file, whatever its name.
#[derive(Default)]
struct Node {
    content: Vec<u8>,
    /// What a crash cannot take, and the changes since.
    durable: Vec<u8>,
    changes: Vec<Change>,
    /// An fsync failed: what was unsynced then never becomes durable.
    poisoned: bool,
}

#[derive(Clone)]
enum Change {
    Append(Vec<u8>),
    Truncate(usize),
    Write(usize, Vec<u8>),
}

#[derive(Clone)]
enum NameChange {
    Put(PathBuf, usize),
    Move(PathBuf, PathBuf),
    Remove(PathBuf),
}

struct Failure {
    operation: Operation,
    /// Calls that still succeed before.
    after: u64,
    /// Calls that fail then.
    times: u64,
    error: io::ErrorKind,
}

impl MemoryDisk {
    /// An empty disk without accidents of its own.
    pub fn new() -> MemoryDisk {
        MemoryDisk::default()
    }

    /// A disk whose torn writes are drawn from `dice`.
    pub fn with_dice(dice: Dice) -> MemoryDisk {
        let disk = MemoryDisk::new();
        disk.lock_state().dice = Some(dice);
        disk
    }

    /// Whether a torn write in a crash may leave zeros (the length reached the disk, the page did not); it may, unless
    /// told otherwise.
    pub fn leave_zeros(&self, zeros: bool) {
        self.lock_state().whole_pages = !zeros;
    }

    /// Lets `operation` succeed `after` times, then fail `times` times.
    pub fn fail(&self, operation: Operation, after: u64, times: u64, error: io::ErrorKind) {
        self.lock_state().failures.push(Failure { operation, after, times, error });
    }

    /// Forgets all failures that were asked for.
    pub fn heal(&self) {
        self.lock_state().failures.clear();
    }

    /// How many calls changed something, or tried to.
    pub fn calls(&self) -> u64 {
        self.lock_state().calls
    }

    /// The process died: locks are gone, everything written is there, and the system still writes it out.
    pub fn kill(&self) {
        let mut state = self.lock_state();
        state.locks.clear();
        state.nodes.iter_mut().for_each(|node| node.poisoned = false);
    }

    /// The machine died: what no fsync covered is there in part, as `dice` has it.
    pub fn crash(&self, dice: &mut Dice) {
        let mut state = self.lock_state();
        state.locks.clear();
        let zeros = !state.whole_pages;
        for node in &mut state.nodes {
            node.crash(dice, zeros);
        }
        let changes = std::mem::take(&mut state.name_changes);
        let kept = dice.below(changes.len() as u64 + 1) as usize;
        let mut names = std::mem::take(&mut state.durable_names);
        changes.into_iter().take(kept).for_each(|change| change.apply(&mut names));
        (state.durable_names, state.names) = (names.clone(), names);
    }

    /// A file's contents; `None` if there is none.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.lock_state();
        state.names.get(path).map(|&node| state.nodes[node].content.clone())
    }

    /// Puts a file there, durable at once.
    pub fn put(&self, path: &Path, content: &[u8]) {
        let mut state = self.lock_state();
        state.nodes.push(Node { content: content.to_vec(), durable: content.to_vec(), ..Node::default() });
        let node = state.nodes.len() - 1;
        state.names.insert(path.to_owned(), node);
        state.durable_names.insert(path.to_owned(), node);
    }

    /// All names, in order.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.lock_state().names.keys().cloned().collect()
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, node: usize) -> Arc<dyn DiskFile> {
        Arc::new(MemoryFile { disk: self.clone(), node })
    }
}

impl State {
    /// Counts a call, and fails it if that was asked for.
    fn call(&mut self, operation: Operation) -> io::Result<()> {
        self.calls += 1;
        let due =
            self.failures.iter_mut().find(|failure| failure.operation == operation && failure.times > 0);
        let Some(failure) = due else { return Ok(()) };
        if failure.after > 0 {
            failure.after -= 1;
            return Ok(());
        }
        failure.times -= 1;
        Err(failure.error.into())
    }

    fn rename_to(&mut self, change: NameChange) {
        change.clone().apply(&mut self.names);
        self.name_changes.push(change);
    }

    fn make(&mut self, path: &Path) -> usize {
        self.nodes.push(Node::default());
        let node = self.nodes.len() - 1;
        self.rename_to(NameChange::Put(path.to_owned(), node));
        node
    }
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            NameChange::Put(path, node) => {
                names.insert(path, node);
            }
            NameChange::Move(from, to) => {
                if let Some(node) = names.remove(&from) {
                    names.insert(to, node);
                }
            }
            NameChange::Remove(path) => {
                names.remove(&path);
            }
        }
    }
}

impl Node {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.content);
        self.changes.push(change);
    }

    fn crash(&mut self, dice: &mut Dice, zeros: bool) {
        let mut changes = std::mem::take(&mut self.changes);
        if self.poisoned {
            changes.clear();
        }
        let kept = dice.below(changes.len() as u64 + 1) as usize;
        let mut torn = changes.get(kept).cloned();
        changes.into_iter().take(kept).for_each(|change| change.apply(&mut self.durable));
        if let Some(Change::Append(bytes)) = &mut torn {
            bytes.truncate(dice.below(bytes.len() as u64 + 1) as usize);
            if zeros && !bytes.is_empty() && dice.below(4) == 0 {
                // The length reached the disk, the page did not.
                let from = dice.below(bytes.len() as u64) as usize;
                bytes[from..].fill(0);
            }
            Change::Append(std::mem::take(bytes)).apply(&mut self.durable);
        }
        self.content = self.durable.clone();
        self.poisoned = false;
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Change::Append(bytes) => content.extend_from_slice(bytes),
            Change::Truncate(length) => content.resize(*length, 0),
            Change::Write(at, bytes) => {
                let end = at + bytes.len();
                content.resize(content.len().max(end), 0);
                content[*at..end].copy_from_slice(bytes);
            }
        }
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock_state();
        let node = match state.names.get(path) {
            Some(&node) => node,
            None if create => {
                state.call(Operation::Create)?;
                state.make(path)
            }
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(self.file(node))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock_state();
        state.call(Operation::Create)?;
        let node = match state.names.get(path) {
            Some(&node) => {
                state.nodes[node].change(Change::Truncate(0));
                node
            }
            None => state.make(path),
        };
        Ok(self.file(node))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock_state();
        state.call(Operation::Rename)?;
        if !state.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.rename_to(NameChange::Move(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock_state();
        state.call(Operation::Remove)?;
        if !state.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.rename_to(NameChange::Remove(path.to_owned()));
        Ok(())
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        self.lock_state().directories.insert(path.to_owned());
        Ok(())
    }

    fn sync_directory(&self, _path: &Path) -> io::Result<()> {
        let mut state = self.lock_state();
        state.call(Operation::SyncDirectory)?;
        state.durable_names = state.names.clone();
        state.name_changes.clear();
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Listed>> {
        let state = self.lock_state();
        let files = state.names.iter().filter(|(name, _)| name.parent() == Some(path));
        let files = files.filter_map(|(name, &node)| {
            Some(Listed {
                name: name.file_name()?.to_str()?.to_owned(),
                kind: FileKind::File,
                bytes: state.nodes[node].content.len() as u64,
            })
        });
        let directories = state.directories.iter().filter(|name| name.parent() == Some(path));
        let directories = directories.filter_map(|name| {
            let name = name.file_name()?.to_str()?.to_owned();
            Some(Listed { name, kind: FileKind::Directory, bytes: 0 })
        });
        Ok(files.chain(directories).collect())
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock_state();
        if state.names.keys().any(|name| name.parent() == Some(path)) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        if state.directories.remove(path) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn free_bytes(&self, _path: &Path) -> Option<u64> {
        None
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send>> {
        if !self.lock_state().locks.insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Held { disk: self.clone(), path: path.to_owned() }))
    }
}

struct Held {
    disk: MemoryDisk,
    path: PathBuf,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.disk.lock_state().locks.remove(&self.path);
    }
}

struct MemoryFile {
    disk: MemoryDisk,
    node: usize,
}

impl DiskFile for MemoryFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.lock_state();
        let called = state.call(Operation::Append);
        let count = match (&called, &mut state.dice) {
            (Ok(()), _) => bytes.len(),
            (Err(_), Some(dice)) => dice.below(bytes.len() as u64 + 1) as usize,
            (Err(_), None) => bytes.len() / 2,
        };
        state.nodes[self.node].change(Change::Append(bytes[..count].to_vec()));
        called
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.lock_state();
        state.nodes[self.node].change(Change::Write(offset as usize, bytes.to_vec()));
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let state = self.disk.lock_state();
        let content = &state.nodes[self.node].content;
        let rest = content.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.lock_state();
        let called = state.call(Operation::Sync);
        let node = &mut state.nodes[self.node];
        node.poisoned |= called.is_err();
        if called.is_ok() && !node.poisoned {
            node.durable = node.content.clone();
            node.changes.clear();
        }
        called
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.lock_state();
        state.call(Operation::Truncate)?;
        state.nodes[self.node].change(Change::Truncate(bytes as usize));
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        let state = self.disk.lock_state();
        Ok(state.nodes[self.node].content.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_takes_only_what_no_fsync_covered() {
        let path = Path::new("/d/f");
        for seed in 0..50 {
            let (disk, mut dice) = (MemoryDisk::new(), Dice::seeded(seed));
            let file = disk.create(path).expect("a file");
            file.append(b"safe").expect("an append");
            file.sync().expect("an fsync");
            disk.sync_directory(Path::new("/d")).expect("a sync");
            file.append(b"lost").expect("an append");
            disk.crash(&mut dice);
            let content = disk.content(path).expect("the file is there");
            assert!(content.starts_with(b"safe") && content.len() <= 8, "seed {seed}");
        }
    }

    #[test]
    fn a_failed_fsync_loses_what_later_ones_call_safe() {
        let (disk, mut dice) = (MemoryDisk::new(), Dice::seeded(1));
        let path = Path::new("/d/f");
        let file = disk.create(path).expect("a file");
        disk.sync_directory(Path::new("/d")).expect("a sync");
        file.append(b"lost").expect("an append");
        disk.fail(Operation::Sync, 0, 1, io::ErrorKind::Other);
        file.sync().expect_err("the failure asked for");
        file.sync().expect("a false success");
        disk.crash(&mut dice);
        assert_eq!(disk.content(path), Some(Vec::new()));
    }
}
