//! The directory of a log: names, the lock, and the manifest on disk.
//!
//! Always: a manifest is replaced at one stroke, and durable before `persist` returns.

use std::any::Any;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tenon_base::{Disk, DiskFile, FileKind};

use crate::error::AofError;
use crate::manifest::Manifest;

/// A manifest of more bytes is refused before it is read.
const MANIFEST_BYTES_MAX: u64 = 64 * 1024 * 1024;
const TEMPORARY_BASE_PREFIX: &str = "temp-rewriteaof-";

/// Where a log lives, and what its files are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    path: PathBuf,
    file_name: String,
}

impl Directory {
    /// The directory (`dir`/`appenddirname`) and the names' common start (`appendfilename`).
    pub fn new(path: impl Into<PathBuf>, file_name: impl Into<String>) -> Directory {
        Directory { path: path.into(), file_name: file_name.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the names of its files start with.
    pub fn file_name(&self) -> &str {
        &self.file_name
    }

    /// Makes the directory if there is none. Its own name is safe then, too: what is in a directory that a loss of power
    /// takes is gone with it.
    pub(crate) fn make(&self, disk: &dyn Disk) -> io::Result<()> {
        disk.make_directory(&self.path)?;
        match self.path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => disk.sync_directory(Path::new(".")),
            Some(parent) => disk.sync_directory(parent),
            None => Ok(()),
        }
    }

    /// Makes the directory if there is none and marks the log in it as ours until the returned value is dropped. Logs of
    /// other names may lie beside it. Redis ignores the lock's file.
    pub fn lock(&self, disk: &dyn Disk) -> Result<Box<dyn Any + Send>, AofError> {
        disk.make_directory(&self.path).map_err(AofError::disk("Making the AOF directory", &self.path))?;
        let path = self.file(&format!(".{}.lock", self.file_name));
        disk.lock(&path).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => AofError::Locked { path },
            _ => AofError::Disk { action: "Locking the AOF directory by", path, error },
        })
    }

    /// The manifest on disk. An empty one if there is none, whose numbers go on behind those of the files that are there:
    /// what a lost manifest named is not written over.
    pub fn read_manifest(&self, disk: &dyn Disk) -> Result<Manifest, AofError> {
        let (name, path) = (self.manifest_name(), self.file(&self.manifest_name()));
        let failed = |error| AofError::Disk { action: "Reading the AOF manifest", path: path.clone(), error };
        let file = match disk.open(&path, false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(self.behind_what_is_there(disk));
            }
            other => other.map_err(failed)?,
        };
        let length = file.length().map_err(failed)?;
        if length > MANIFEST_BYTES_MAX {
            return Err(failed(io::Error::other("it is longer than any manifest")));
        }
        let text = read_whole(&*file, length as usize).map_err(failed)?;
        Ok(Manifest::parse(&text, &name)?)
    }

    fn behind_what_is_there(&self, disk: &dyn Disk) -> Manifest {
        let mut manifest = Manifest::default();
        for listed in disk.list(&self.path).unwrap_or_default() {
            let Some((sequence, is_base)) = self.sequence_of(&listed.name) else { continue };
            let last = if is_base { &mut manifest.base_sequence } else { &mut manifest.increment_sequence };
            *last = sequence.max(*last);
        }
        manifest
    }

    /// The number in a name that only this log's files have, and whether it is a base's.
    fn sequence_of(&self, name: &str) -> Option<(i64, bool)> {
        let (sequence, kind) = name.strip_prefix(&self.file_name)?.strip_prefix('.')?.split_once('.')?;
        let is_base = match kind {
            "base.rdb" | "base.aof" => true,
            "incr.aof" => false,
            _ => return None,
        };
        // Some numbers follow it.
        let sequence = sequence.parse().ok().filter(|sequence| (1..i64::MAX / 2).contains(sequence))?;
        Some((sequence, is_base))
    }

    /// The path of one of the log's files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Puts `manifest` in the place of the one on disk. After an error either may be there.
    pub fn persist(&self, disk: &dyn Disk, manifest: &Manifest) -> io::Result<()> {
        let temporary = self.file(&format!("temp-{}", self.manifest_name()));
        let file = make_anew(disk, &temporary)?;
        file.append(manifest.print().as_bytes())?;
        file.sync()?;
        disk.rename(&temporary, &self.file(&self.manifest_name()))?;
        disk.sync_directory(&self.path)
    }

    /// A name for the base that a rewrite is writing.
    pub(crate) fn temporary_base(&self, number: u64) -> String {
        format!("{TEMPORARY_BASE_PREFIX}{}-{number}.base", self.file_name)
    }

    /// Removes what interrupted rewrites left: unfinished bases. Failing to costs room, not data.
    pub(crate) fn remove_temporary_files(&self, disk: &dyn Disk) {
        for listed in disk.list(&self.path).unwrap_or_default() {
            if listed.kind == FileKind::File && self.is_temporary_base(&listed.name) {
                let _ = disk.remove(&self.file(&listed.name));
            }
        }
    }

    /// Not one of another log, whose name may begin as this one's does.
    fn is_temporary_base(&self, name: &str) -> bool {
        let rest =
            name.strip_prefix(TEMPORARY_BASE_PREFIX).and_then(|rest| rest.strip_prefix(&*self.file_name));
        let number = rest.and_then(|rest| rest.strip_prefix('-')?.strip_suffix(".base"));
        number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
    }

    pub(crate) fn manifest_name(&self) -> String {
        format!("{}.manifest", self.file_name)
    }
}

/// Makes a file that has nothing in common with one of that name that may be there: after a failed fsync, a later one of
/// the same file may report success for bytes that are lost.
pub(crate) fn make_anew(disk: &dyn Disk, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    disk.create(path)
}

/// Opens one of the log's files, which must be there.
pub(crate) fn open_existing(
    disk: &dyn Disk,
    directory: &Directory,
    name: &str,
) -> Result<(PathBuf, Arc<dyn DiskFile>, u64), AofError> {
    let path = directory.file(name);
    let opened = disk.open(&path, false).and_then(|file| file.length().map(|length| (file, length)));
    match opened {
        Ok((file, length)) => Ok((path, file, length)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let named = "No such file or directory, but the manifest names it: bring it back from a copy";
            let error = io::Error::new(io::ErrorKind::NotFound, named);
            Err(AofError::Disk { action: "Opening the AOF file", path, error })
        }
        Err(error) => Err(AofError::Disk { action: "Opening the AOF file", path, error }),
    }
}

fn read_whole(file: &dyn DiskFile, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut read = 0;
    while read < length {
        match file.read_at(read as u64, &mut bytes[read..])? {
            0 => break,
            count => read += count,
        }
    }
    bytes.truncate(read);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory_disk::MemoryDisk;

    #[test]
    fn logs_of_two_names_share_a_directory() {
        let disk = MemoryDisk::new();
        let (first, second) = (Directory::new("/d", "a"), Directory::new("/d", "a-1"));
        let _held = first.lock(&disk).expect("nobody has it");
        let _other = second.lock(&disk).expect("it is another's");
        assert!(matches!(first.lock(&disk), Err(AofError::Locked { .. })));
        for directory in [&first, &second] {
            disk.put(&directory.file(&directory.temporary_base(2)), b"unfinished");
        }
        first.remove_temporary_files(&disk);
        assert_eq!(disk.content(&first.file(&first.temporary_base(2))), None);
        assert!(disk.content(&second.file(&second.temporary_base(2))).is_some());
    }
}
