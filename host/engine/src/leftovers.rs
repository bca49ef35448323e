//! Temporary files in `dir`: made so that another server can tell whether somebody still writes them, and removed at a
//! start where nobody does. The log's own are `tenon_aof`'s.
//! Always: only names that Tenon alone gives are removed, and only when no living server holds their lock.

use std::any::Any;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tenon_base::{Disk, DiskFile, FileKind};

/// Makes a temporary file anew, and holds its lock until the last handle is gone. Where locks cannot be had it is made
/// without.
pub(crate) fn create_temporary(disk: &dyn Disk, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
    // A file of an earlier attempt may have bytes that a failed fsync gave up: it is made anew, not emptied.
    let _ = disk.remove(path);
    // Locked first: nobody finds it without an owner once it holds anything.
    let lock = disk.lock(path).ok().map(Mutex::new);
    Ok(Arc::new(LockedFile { file: disk.create(path)?, _lock: lock }))
}

/// Removes what servers left in `directory` that ended while they wrote it. Failing to costs room, not data.
pub(crate) fn remove_leftovers(disk: &dyn Disk, directory: &Path, own_pid: u32) {
    for listed in disk.list(directory).unwrap_or_default() {
        let Some(kind) = Leftover::of(&listed.name, own_pid) else { continue };
        let path = directory.join(&listed.name);
        if listed.kind != FileKind::File {
            continue;
        }
        let Ok(_lock) = disk.lock(&path) else { continue };
        let bytes = listed.bytes;
        if kind == Leftover::Dump {
            tracing::warn!(
                "{} ({bytes} bytes) is of a server that ended while it saved: remove it unless a redis-server is \
                 writing it",
                path.display()
            );
        } else if disk.remove(&path).is_ok() {
            tracing::info!("{} ({bytes} bytes) was left by a server that ended: removed", path.display());
        }
    }
}

/// What a temporary file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leftover {
    /// Of a name that Tenon alone gives, or with our own process's number, which is no other's.
    Ours,
    /// A dump that was being written, by the name that Redis gives, too.
    Dump,
}

impl Leftover {
    fn of(name: &str, own_pid: u32) -> Option<Leftover> {
        let rest = name.strip_prefix("temp-")?;
        let numbers =
            rest.strip_prefix("changed-").and_then(|rest| rest.strip_suffix(".part")).or_else(|| {
                let rest = rest.strip_prefix("sync-").or_else(|| rest.strip_prefix("save-"))?;
                rest.strip_suffix(".rdb")
            });
        if let Some((pid, count)) = numbers.and_then(|numbers| numbers.split_once('-')) {
            return (is_number(pid) && is_number(count)).then_some(Leftover::Ours);
        }
        let dump = rest.strip_suffix(".rdb")?;
        if let Some(pid) = dump.strip_suffix(".replica") {
            return is_number(pid).then_some(Leftover::Ours);
        }
        let pid = is_number(dump).then_some(dump)?;
        Some(if pid == own_pid.to_string() { Leftover::Ours } else { Leftover::Dump })
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A file and the lock that says that it is in use.
struct LockedFile {
    file: Arc<dyn DiskFile>,
    /// Never looked at: it ends with the file.
    _lock: Option<Mutex<Box<dyn Any + Send>>>,
}

impl DiskFile for LockedFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.file.append(bytes)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.file.truncate(bytes)
    }

    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }
}

#[cfg(test)]
mod tests {
    use tenon_aof::memory_disk::MemoryDisk;

    use super::*;

    #[test]
    fn what_nobody_writes_any_more_is_removed_and_the_rest_stays() {
        let disk = MemoryDisk::new();
        let put = |name: &str| disk.put(&Path::new("/data").join(name), b"bytes");
        let left = [
            "temp-changed-9-2.part",
            "temp-sync-12-1.rdb",
            "temp-save-12-1.rdb",
            "temp-4711.rdb",
            "temp-7.replica.rdb",
        ];
        let kept = [
            "dump.rdb",
            "temp-8.rdb",
            "temp-changed-9-x.part",
            "temp-changed-9.part",
            "temp-sync-1-2.part",
            "temp-.rdb",
            "temp-my-own.rdb",
            "temp-9.replica",
        ];
        left.iter().chain(&kept).for_each(|name| put(name));
        let written = create_temporary(&disk, Path::new("/data/temp-changed-5-1.part")).expect("room");
        written.append(b"in use").expect("room");
        remove_leftovers(&disk, Path::new("/data"), 4_711);
        let mut names: Vec<String> = disk
            .list(Path::new("/data"))
            .expect("a directory")
            .into_iter()
            .map(|listed| listed.name)
            .collect();
        names.sort();
        let mut expected: Vec<&str> = kept.iter().copied().chain(["temp-changed-5-1.part"]).collect();
        expected.sort_unstable();
        assert_eq!(names, expected);
        drop(written);
        remove_leftovers(&disk, Path::new("/data"), 4_711);
        assert_eq!(disk.list(Path::new("/data")).expect("a directory").len(), kept.len());
    }
}
