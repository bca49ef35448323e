//! A data directory out of a backup: checks the backup, then copies its dump and its users.
//! Always: until everything is there, the new directory says of itself that it is unfinished, and starts no server.

use std::io;
use std::path::{Path, PathBuf};

use tenon_base::{Disk, describe};
use tenon_driver::RealDisk;
use tenon_engine::{BACKUP_USERS, BackupFile, BackupManifest, copy_measured};

use crate::check::{counted, say};
use crate::read_only::ReadOnlyDisk;

/// What a server takes for an unfinished backup, and does not start from.
const MARK: &str = "backup.txt";

/// Makes `into` out of the backup in `from`.
pub(super) fn restore(from: &Path, into: &Path) -> Result<(), String> {
    let manifest = crate::check::backup::check(from)?;
    super::refuse_target(into, from)?;
    let bytes = manifest.files.iter().map(|file| file.bytes).sum();
    let parent = into.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Some(free) = RealDisk.free_bytes(parent).filter(|free| *free < bytes) {
        return Err(format!(
            "{} has {free} bytes free, the copy takes {bytes}: nothing was changed",
            parent.display()
        ));
    }
    copy(&manifest, from, into, parent).map_err(|(path, error)| {
        format!(
            "Making {} failed: {}; what was made so far starts no server",
            path.display(),
            describe(&error)
        )
    })?;
    let files = counted(manifest.files.len(), "file");
    say(&format!("{}: {files}, {bytes} bytes", into.display()));
    let users = if manifest.users().is_some() { format!(" --aclfile {BACKUP_USERS}") } else { String::new() };
    say(&format!("start with: tenon --dir {}{users}", into.display()));
    Ok(())
}

fn copy(
    manifest: &BackupManifest,
    from: &Path,
    into: &Path,
    parent: &Path,
) -> Result<(), (PathBuf, io::Error)> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error| (path, error)
    };
    RealDisk.make_directory(into).map_err(at(into))?;
    let mark = into.join(MARK);
    let unfinished = BackupManifest { is_complete: false, files: Vec::new(), ..manifest.clone() };
    let marked = RealDisk.create(&mark).and_then(|file| {
        file.append(unfinished.text().as_bytes())?;
        file.sync()
    });
    marked.map_err(at(&mark))?;
    for file in &manifest.files {
        let target = into.join(&file.name);
        copy_file(file, &from.join(&file.name), &target).map_err(at(&target))?;
    }
    let synced = RealDisk.sync_directory(into).and_then(|()| RealDisk.sync_directory(parent));
    synced.map_err(at(into))?;
    let removed = RealDisk.remove(&mark).and_then(|()| RealDisk.sync_directory(into));
    removed.map_err(at(&mark))
}

/// Copies a file, for the same people's eyes; it must be what the manifest tells of.
fn copy_file(told: &BackupFile, from: &Path, to: &Path) -> io::Result<()> {
    let source = ReadOnlyDisk.open(from, false)?;
    let target = RealDisk.create_like(to, from)?;
    if copy_measured(&*source, &*target)? != (told.bytes, told.checksum) {
        return Err(io::Error::other("the original was changed meanwhile"));
    }
    Ok(())
}
