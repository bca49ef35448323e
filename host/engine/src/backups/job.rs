//! What writes a backup: the snapshot into a new directory, and the manifest that makes it one. Runs off the engine's
//! thread.
//! Always: a directory whose manifest says `complete` holds every byte that the manifest tells of, synced before it was
//! said.

use std::io;
use std::path::{Path, PathBuf};

use tenon_base::{Disk, DiskFile, Job, Listed, Step, describe};

use super::manifest::{BYTES_MAX, BackupFile, BackupManifest, DUMP, FILE, USERS};
use crate::save_job::{SaveEnd, SaveJob};

/// Bytes that are copied at once.
const BLOCK_BYTES: usize = 1 << 20;
/// What the manifest is written as before it takes its name.
const NEW_FILE: &str = "backup.txt.new";

/// One backup being written.
pub(super) struct BackupJob {
    /// Where all backups are.
    root: PathBuf,
    path: PathBuf,
    manifest: BackupManifest,
    save: SaveJob,
    /// The `aclfile`, if there is one.
    users: Option<PathBuf>,
    is_begun: bool,
}

impl BackupJob {
    pub(super) fn new(
        root: PathBuf,
        path: PathBuf,
        manifest: BackupManifest,
        save: SaveJob,
        users: Option<PathBuf>,
    ) -> BackupJob {
        BackupJob { root, path, manifest, save, users, is_begun: false }
    }

    /// From here on whoever finds the directory learns that it is not finished.
    fn begin(&mut self, disk: &dyn Disk) -> io::Result<()> {
        disk.make_directory(&self.root)?;
        disk.make_directory(&self.path)?;
        self.write_manifest(disk)?;
        disk.sync_directory(&self.root)?;
        if let Some(users) = self.users.take() {
            let copied = copy_users(disk, &users, &self.path.join(USERS));
            let told = |error| io::Error::other(format!("{}: {}", users.display(), describe(&error)));
            self.manifest.files.push(copied.map_err(told)?);
        }
        Ok(())
    }

    fn complete(&mut self, bytes: u64, disk: &dyn Disk) -> io::Result<()> {
        let dump = BackupFile { name: DUMP.to_owned(), bytes, checksum: self.save.checksum() };
        self.manifest.files.insert(0, dump);
        self.manifest.is_complete = true;
        self.write_manifest(disk)
    }

    fn write_manifest(&self, disk: &dyn Disk) -> io::Result<()> {
        let new = self.path.join(NEW_FILE);
        let file = disk.create(&new)?;
        file.append(self.manifest.text().as_bytes())?;
        file.sync()?;
        disk.rename(&new, &self.path.join(FILE))?;
        disk.sync_directory(&self.path)
    }

    /// What cannot be removed stays, and says that it is unfinished.
    fn clear(&self, disk: &dyn Disk) {
        for name in [DUMP, USERS, NEW_FILE, FILE] {
            let _ = disk.remove(&self.path.join(name));
        }
        let _ = disk.remove_directory(&self.path);
    }

    fn failed(&self, error: &io::Error, disk: &dyn Disk) -> Step {
        self.clear(disk);
        Step::Done(Box::new(SaveEnd::Err(format!("{}: {}", self.path.display(), describe(error)))))
    }
}

impl Job for BackupJob {
    fn step(&mut self, disk: &dyn Disk) -> Step {
        if !self.is_begun {
            self.is_begun = true;
            if let Err(error) = self.begin(disk) {
                self.save.give_up(disk);
                return self.failed(&error, disk);
            }
        }
        let end = match self.save.step(disk) {
            Step::Done(end) => end,
            step => return step,
        };
        match end.downcast::<SaveEnd>().map(|end| *end) {
            Ok(Ok(bytes)) => match self.complete(bytes, disk) {
                Ok(()) => Step::Done(Box::new(SaveEnd::Ok(bytes))),
                Err(error) => self.failed(&error, disk),
            },
            Ok(Err(sentence)) => {
                self.clear(disk);
                Step::Done(Box::new(SaveEnd::Err(sentence)))
            }
            Err(other) => Step::Done(other),
        }
    }
}

/// Copies the `aclfile`, for the same people's eyes.
fn copy_users(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<BackupFile> {
    let source = disk.open(from, false)?;
    let target = disk.create_like(to, from)?;
    let (bytes, checksum) = copy_measured(&*source, &*target)?;
    Ok(BackupFile { name: USERS.to_owned(), bytes, checksum })
}

/// Copies all of a file and syncs it. Returns its bytes and their CRC-64/XZ, as a manifest tells of them.
pub fn copy_measured(source: &dyn DiskFile, target: &dyn DiskFile) -> io::Result<(u64, u64)> {
    let (mut digest, mut block, mut bytes) = (crc64fast::Digest::new(), vec![0; BLOCK_BYTES], 0);
    loop {
        match source.read_at(bytes, &mut block)? {
            0 => break,
            read => {
                digest.write(&block[..read]);
                target.append(&block[..read])?;
                bytes += read as u64;
            }
        }
    }
    target.sync()?;
    Ok((bytes, digest.sum64()))
}

/// A directory of backups, looked at.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Name and manifest, sorted by the moment that they show.
    pub(super) complete: Vec<(String, BackupManifest)>,
    /// Names of those that were never finished, and of those that cannot be read, with the reason.
    pub(super) unfinished: Vec<(String, String)>,
}

/// Looks at all backups in a directory. One that is not there holds none.
pub(super) fn find(disk: &dyn Disk, root: &Path) -> io::Result<Found> {
    let listed = match disk.list(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::default()),
        listed => listed?,
    };
    let mut found = Found::default();
    for Listed { name, .. } in listed {
        match read_manifest(disk, &root.join(&name)) {
            None => {}
            Some(Ok(manifest)) if manifest.is_complete => found.complete.push((name, manifest)),
            Some(Ok(_)) => found.unfinished.push((name, "it was not finished".to_owned())),
            Some(Err(sentence)) => found.unfinished.push((name, sentence)),
        }
    }
    found.complete.sort_by_key(|(_, manifest)| manifest.moment_unix_ms);
    found.unfinished.sort();
    Ok(found)
}

/// The manifest in a directory, if there is one.
pub fn read_manifest(disk: &dyn Disk, directory: &Path) -> Option<Result<BackupManifest, String>> {
    let file = match disk.open(&directory.join(FILE), false) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return None;
        }
        Err(error) => return Some(Err(describe(&error))),
    };
    let mut text = vec![0; BYTES_MAX as usize];
    let mut length = 0;
    while length < text.len() {
        match file.read_at(length as u64, &mut text[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) => return Some(Err(describe(&error))),
        }
    }
    Some(BackupManifest::parse(&text[..length]).map_err(|sentence| format!("{FILE}: {sentence}")))
}
