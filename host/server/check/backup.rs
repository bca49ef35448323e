//! `tenon check backup`: a backup's manifest, and every byte that it tells of.

use std::path::Path;

use tenon_base::{Disk, DiskFile, describe};
use tenon_engine::{BACKUP_DUMP, BACKUP_USERS, BackupFile, BackupManifest, read_manifest};

use super::rdb::Contents;
use super::{Tenths, moment, say};
use crate::read_only::ReadOnlyDisk;

/// Bytes that are read at once.
const BLOCK_BYTES: usize = 1 << 20;

/// Reads the backup in a directory, and says whether a server would start from it with what was there.
pub(crate) fn check(directory: &Path) -> Result<BackupManifest, String> {
    let shown = directory.display();
    let manifest = match read_manifest(&ReadOnlyDisk, directory) {
        None => {
            return Err(format!(
                "{shown} holds no backup.txt: give the directory that BACKUP START answered with"
            ));
        }
        Some(manifest) => manifest.map_err(|sentence| format!("{shown} is not sound: {sentence}"))?,
    };
    if !manifest.is_complete {
        return Err(format!(
            "{shown} was begun on {} and never finished: its server ended while it was written, or it is still being \
             written (BACKUP STATUS). It is not to be used",
            moment(manifest.moment_unix_ms)
        ));
    }
    say(&format!("{shown}: a backup of {}", moment(manifest.moment_unix_ms)));
    say(&format!(
        "written by Tenon {}, at offset {} of replication id {}",
        manifest.tenon_version, manifest.replication_offset, manifest.replication_id
    ));
    for file in &manifest.files {
        check_file(directory, file).map_err(|sentence| format!("{shown} is not sound: {sentence}"))?;
    }
    check_keys(directory, &manifest).map_err(|sentence| format!("{shown} is not sound: {sentence}"))?;
    say("Backup is sound");
    Ok(manifest)
}

fn check_file(directory: &Path, told: &BackupFile) -> Result<(), String> {
    let path = directory.join(&told.name);
    let failed = |error: std::io::Error| format!("{}: {}", path.display(), describe(&error));
    let file = ReadOnlyDisk.open(&path, false).map_err(failed)?;
    let bytes = file.length().map_err(failed)?;
    if bytes != told.bytes {
        return Err(format!(
            "{} has {bytes} bytes, and it had {} when it was written",
            told.name, told.bytes
        ));
    }
    let checksum = checksum_of(&*file, bytes).map_err(failed)?;
    if checksum != told.checksum {
        return Err(format!(
            "{} has the checksum {checksum:016x}, and it had {:016x} when it was written",
            told.name, told.checksum
        ));
    }
    say(&format!("{}: {bytes} bytes, checksum {checksum:016x}, as written", told.name));
    Ok(())
}

fn checksum_of(file: &dyn DiskFile, total_bytes: u64) -> std::io::Result<u64> {
    let mut digest = crc64fast::Digest::new();
    let mut tenths = Tenths::new();
    let mut block = vec![0; BLOCK_BYTES];
    let mut at = 0;
    loop {
        match file.read_at(at, &mut block)? {
            0 => return Ok(digest.sum64()),
            read => {
                digest.write(&block[..read]);
                at += read as u64;
                tenths.tell(at, total_bytes);
            }
        }
    }
}

fn check_keys(directory: &Path, manifest: &BackupManifest) -> Result<(), String> {
    let known = [manifest.dump(), manifest.users()].into_iter().flatten().count();
    let Some(dump) = manifest.dump().filter(|_| known == manifest.files.len()) else {
        let names: Vec<&str> = manifest.files.iter().map(|file| file.name.as_str()).collect();
        return Err(format!(
            "backup.txt tells of {names:?}; expected a {BACKUP_DUMP}, and a {BACKUP_USERS} where there was an aclfile"
        ));
    };
    let path = directory.join(&dump.name);
    let file = ReadOnlyDisk.open(&path, false).map_err(|error| describe(&error))?;
    let mut contents = Contents::default();
    contents
        .read(&file, &mut Tenths::new(), dump.bytes)
        .map_err(|error| format!("{}: {error}", dump.name))?;
    say(&contents.lines());
    let found = contents.key_counts();
    if found != manifest.databases {
        return Err(format!(
            "backup.txt tells of other keys ({:?} by database) than {} holds ({found:?})",
            manifest.databases, dump.name
        ));
    }
    Ok(())
}
