//! The real file system behind [`tenon_base::Disk`].

use std::any::Any;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use tenon_base::{Disk, DiskFile, FileKind, Listed};

/// Files as the operating system has them.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

struct RealFile(File);

impl Disk for RealDisk {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        // Reading must work on files that we may not write, such as a base file on a read-only disk.
        let writable = OpenOptions::new().read(true).append(true).create(create).open(path);
        let file = match writable {
            Err(error) if !create && is_read_only(&error) => File::open(path)?,
            other => other?,
        };
        Ok(Arc::new(RealFile(file)))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        // Emptied by hand: `append` and `truncate` exclude each other in one open.
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        file.set_len(0)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn create_like(&self, path: &Path, model: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let permissions = fs::metadata(model)?.permissions();
        // Ours alone until it has them: nobody reads it in between who may not.
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        file.set_permissions(permissions)?;
        file.set_len(0)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            other => other,
        }
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        File::open(path)?.sync_all()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Listed>> {
        let mut listed = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let Ok(name) = entry.file_name().into_string() else { continue };
            listed.push(Listed { name, kind: kind(&metadata), bytes: metadata.len() });
        }
        Ok(listed)
    }

    fn free_bytes(&self, path: &Path) -> Option<u64> {
        let stat = rustix::fs::statvfs(path).ok()?;
        stat.f_bavail.checked_mul(stat.f_frsize)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send>> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(file)),
            Err(fs::TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

impl DiskFile for RealFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.0).write_all(bytes)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        // On Linux a file opened for appending ignores the offset of pwrite, so a second handle is used.
        let writer = OpenOptions::new().write(true).open(format!("/proc/self/fd/{}", descriptor(&self.0)))?;
        writer.write_all_at(bytes, offset)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn forget_cached(&self, offset: u64, bytes: u64) {
        // Where the system does not want to hear it, it keeps what it has.
        let _ = rustix::fs::fadvise(&self.0, offset, NonZeroU64::new(bytes), rustix::fs::Advice::DontNeed);
    }
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

fn descriptor(file: &File) -> i32 {
    use std::os::fd::AsRawFd;
    file.as_raw_fd()
}

fn kind(metadata: &fs::Metadata) -> FileKind {
    match () {
        () if metadata.is_file() => FileKind::File,
        () if metadata.is_dir() => FileKind::Directory,
        () => FileKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appends_overwrites_reads_and_is_cut() {
        let directory = std::env::temp_dir().join(format!("tenon-disk-{}", std::process::id()));
        RealDisk.make_directory(&directory).unwrap();
        RealDisk.make_directory(&directory).unwrap();
        let path = directory.join("file");
        let file = RealDisk.create(&path).unwrap();
        file.append(b"hello ").unwrap();
        file.append(b"world").unwrap();
        file.write_at(0, b"J").unwrap();
        file.sync().unwrap();
        let mut buffer = [0; 20];
        let read = file.read_at(0, &mut buffer).unwrap();
        assert_eq!(&buffer[..read], b"Jello world");
        file.truncate(5).unwrap();
        assert_eq!(file.length().unwrap(), 5);
        assert!(RealDisk.free_bytes(&directory).unwrap() > 0);
        assert_eq!(RealDisk.list(&directory).unwrap().len(), 1);
        let held = RealDisk.lock(&path).unwrap();
        assert_eq!(RealDisk.lock(&path).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(held);
        RealDisk.lock(&path).unwrap();
        RealDisk.remove(&path).unwrap();
        fs::remove_dir(&directory).unwrap();
    }
}
