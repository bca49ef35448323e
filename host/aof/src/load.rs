//! Loading a log: the manifest's files in order, checked, into a sink.
//!
//! Runs no command itself and opens no new file: `Log::open` goes on from what is returned.
//! Always: a file is cut only at its torn end, only if nothing follows it, and with a line that says what was lost.

mod ahead;
mod command;
mod damage;
mod file; // read me first: the rules
mod judge;
mod sink;
mod window;

use std::io;
use std::path::Path;
use std::sync::Arc;

use tenon_base::{Disk, DiskFile};

use crate::directory::{Directory, open_existing};
use crate::error::{ADVICE_REPAIR, AofError};
use crate::manifest::{Manifest, ManifestFile};
use crate::marker::{self, ANNOTATION_BYTES_MAX, Marker};

pub use damage::keep_tail;
use file::{FileToLoad, Progress};
pub use sink::{BaseLoaded, LoadNotice, LoadOptions, LoadSink, Loaded, Origin, Passed};

/// Loads everything that the manifest in `directory` names. `old_file` is where servers before Redis 7 kept the log
/// (`dir`/`appendfilename`): it is moved into the directory first, if it is there and the directory has nothing yet.
///
/// # Errors
/// Damage, a torn end that may not be cut, what the sink refused, or what the disk did. The sink may have been given a
/// part of the contents then.
pub fn load(
    disk: &dyn Disk,
    directory: &Directory,
    old_file: Option<&Path>,
    options: LoadOptions,
    sink: &mut dyn LoadSink,
) -> Result<Loaded, AofError> {
    let mut manifest = directory.read_manifest(disk)?;
    if manifest.is_lost() {
        let text = format!(
            "There is no manifest in {}, but there are files of a log of that name. Nothing of them is loaded, and they \
             are left as they are: if they are not what a first start left that was cut short, stop this server, bring \
             the manifest back from a copy, and start again",
            directory.path().display()
        );
        sink.notice(LoadNotice { text, is_warning: true });
    }
    if let Some(old_file) = old_file {
        upgrade(disk, directory, old_file, &mut manifest, sink)?;
    }
    let files = open_files(disk, directory, &manifest)?;
    load_files(disk, &files, manifest, options, sink)
}

/// Loads one file as if it were all of a log, whatever manifest names it.
///
/// # Errors
/// As [`load`].
pub fn load_file(
    disk: &dyn Disk,
    path: &Path,
    options: LoadOptions,
    sink: &mut dyn LoadSink,
) -> Result<Loaded, AofError> {
    let opened = disk.open(path, false).and_then(|file| file.length().map(|length| (file, length)));
    let (file, end) = opened.map_err(AofError::disk("Opening the AOF file", path))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let file = FileToLoad { path: path.to_owned(), name, file, end, is_last: true, is_base: false };
    load_files(disk, &[file], Manifest::default(), options, sink)
}

fn load_files(
    disk: &dyn Disk,
    files: &[FileToLoad],
    manifest: Manifest,
    options: LoadOptions,
    sink: &mut dyn LoadSink,
) -> Result<Loaded, AofError> {
    let total_bytes = files.iter().map(|file| file.end).sum();
    let mut progress = Progress {
        disk,
        sink,
        options,
        total_bytes,
        bytes_before: 0,
        commands: 0,
        origin: None,
        db: 0,
        last_batch: None,
        cut_bytes: 0,
        plain_end: false,
        taken_over: false,
    };
    progress.sink.progress(0, total_bytes);
    for file in files {
        file::load(&mut progress, file)?;
        progress.bytes_before += file.end;
    }
    // An empty last file can be appended to, whatever is in those before it.
    let last_is_empty = files.last().is_none_or(|file| file.end == 0);
    let needs_new = progress.taken_over || (progress.plain_end && options.checksum);
    Ok(Loaded {
        found: total_bytes > 0,
        origin: progress.origin,
        db: progress.db,
        last_batch: progress.last_batch,
        bytes: total_bytes - progress.cut_bytes,
        commands: progress.commands,
        cut_bytes: progress.cut_bytes,
        plain_end: progress.plain_end,
        needs_new_increment: needs_new && !last_is_empty,
        manifest,
    })
}

/// Opens all files, and finds out where each ends: where the next one that goes on from it says, or at its end.
fn open_files(
    disk: &dyn Disk,
    directory: &Directory,
    manifest: &Manifest,
) -> Result<Vec<FileToLoad>, AofError> {
    let mut files = Vec::new();
    for named in manifest.live() {
        let (path, file, end) = open_existing(disk, directory, &named.name)?;
        let marker = read_marker(&*file).map_err(AofError::disk("Reading the AOF file", &path))?;
        if let Some(marker) = marker {
            end_where_continued(&mut files, &marker, &path)?;
        }
        let is_base = manifest.base.as_ref().is_some_and(|base| base.name == named.name);
        files.push(FileToLoad { path, name: named.name.clone(), file, end, is_last: false, is_base });
    }
    for file in files.iter_mut().rev() {
        file.is_last = true;
        if file.end > 0 {
            break;
        }
    }
    Ok(files)
}

/// A later file goes on from a safe place of an earlier one: what comes after that place was refused by the disk, and
/// is in the later file.
fn end_where_continued(files: &mut [FileToLoad], marker: &Marker, path: &Path) -> Result<(), AofError> {
    let Some(continued) = files.iter_mut().find(|file| file.name == marker.name) else { return Ok(()) };
    if continued.end < marker.length {
        return Err(AofError::Format {
            what: "Unexpected end of file",
            path: continued.path.clone(),
            offset: continued.end,
            finding: format!("{} goes on from offset {} of it", path.display(), marker.length),
            advice: ADVICE_REPAIR,
        });
    }
    if continued.end > marker.length {
        // For servers that do not know the marker; loading here is right either way.
        let _ = continued.file.truncate(marker.length);
        continued.end = marker.length;
    }
    Ok(())
}

fn read_marker(file: &dyn DiskFile) -> io::Result<Option<Marker>> {
    let mut start = [0; ANNOTATION_BYTES_MAX];
    let mut read = 0;
    while read < start.len() {
        match file.read_at(read as u64, &mut start[read..])? {
            0 => break,
            count => read += count,
        }
    }
    Ok(marker::parse(&start[..read]))
}

/// Moves an old log into the directory, as its base. A crash at any step leaves what the next start goes on with.
fn upgrade(
    disk: &dyn Disk,
    directory: &Directory,
    old_file: &Path,
    manifest: &mut Manifest,
    sink: &mut dyn LoadSink,
) -> Result<(), AofError> {
    let target = directory.file(directory.file_name());
    let interrupted = manifest.increments.is_empty()
        && manifest.base.as_ref().is_some_and(|base| base.name == directory.file_name())
        && !exists(disk, &target)?;
    if !(manifest.is_empty() || interrupted) || !exists(disk, old_file)? {
        return Ok(());
    }
    if exists(disk, &target)? {
        let error = io::Error::new(io::ErrorKind::AlreadyExists, "a file of that name is there, too");
        return Err(AofError::Disk { action: "Moving the old-style AOF file to", path: target, error });
    }
    let path = directory.path();
    disk.make_directory(path).map_err(AofError::disk("Making the AOF directory", path))?;
    manifest.base = Some(ManifestFile { name: directory.file_name().to_owned(), sequence: 1 });
    manifest.base_sequence = 1;
    directory.persist(disk, manifest).map_err(AofError::disk("Writing the AOF manifest in", path))?;
    disk.rename(old_file, &target)
        .and_then(|()| disk.sync_directory(path))
        .and_then(|()| old_file.parent().map_or(Ok(()), |parent| disk.sync_directory(parent)))
        .map_err(AofError::disk("Moving the old-style AOF file", old_file))?;
    sink.notice(LoadNotice {
        text: format!(
            "Successfully migrated an old-style AOF file ({}) into the AOF directory ({}).",
            directory.file_name(),
            path.display()
        ),
        is_warning: false,
    });
    Ok(())
}

fn exists(disk: &dyn Disk, path: &Path) -> Result<bool, AofError> {
    match disk.open(path, false) {
        Ok(file) => {
            let _: Arc<dyn DiskFile> = file;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(AofError::Disk { action: "Opening", path: path.to_owned(), error }),
    }
}

#[cfg(test)]
mod tests;
