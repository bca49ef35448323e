//! The copy: the files up to the place, the last one cut there, then the manifest, then a look at the result.
//! Always: the manifest comes last, when everything that it names is on the disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tenon_aof::{BaseLoaded, Directory, LoadNotice, LoadOptions, LoadSink, Manifest, Passed, load};
use tenon_base::{Disk, DiskFile, describe};
use tenon_driver::RealDisk;
use tenon_resp::Args;

use super::search::{Found, read_rdb};
use crate::check::Tenths;
use crate::read_only::ReadOnlyDisk;

/// What `appenddirname` and `appendfilename` are if nothing is said.
const USUAL_DIRECTORY: &str = "appendonlydir";
const USUAL_FILE: &str = "appendonly.aof";
/// Bytes that are copied at once.
const BLOCK_BYTES: usize = 1 << 20;

/// What was made.
pub(super) struct Made {
    directory: Directory,
    pub(super) files: usize,
    pub(super) bytes: u64,
}

impl Made {
    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// What must be said at the start, beside `dir` and `appendonly`.
    pub(super) fn directives(&self) -> String {
        let name = self.path().file_name().unwrap_or_default().to_string_lossy();
        let mut words = String::new();
        if name != USUAL_DIRECTORY {
            words.push_str(&format!(" --appenddirname {name}"));
        }
        if self.directory.file_name() != USUAL_FILE {
            words.push_str(&format!(" --appendfilename {}", self.directory.file_name()));
        }
        words
    }
}

/// Copies the log up to what was found into the new data directory `into`.
pub(super) fn copy(
    from: &Directory,
    manifest: &Manifest,
    found: &Found,
    into: &Path,
) -> Result<Made, String> {
    let failed = |action: &str, path: &Path, error: &io::Error| {
        format!(
            "{action} {} failed: {}; what was made so far starts no server",
            path.display(),
            describe(error)
        )
    };
    let bytes = found.files.iter().map(|(_, bytes)| bytes).sum();
    let parent = into.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Some(free) = RealDisk.free_bytes(parent).filter(|free| *free < bytes) {
        return Err(format!(
            "{} has {free} bytes free, the copy takes {bytes}: nothing was changed",
            parent.display()
        ));
    }
    RealDisk.make_directory(into).map_err(|error| failed("Making", into, &error))?;
    let directory = Directory::new(into.join(directory_name(from)?), from.file_name());
    RealDisk.make_directory(directory.path()).map_err(|error| failed("Making", directory.path(), &error))?;
    let mut left = manifest.clone();
    left.history.clear();
    left.increments.retain(|named| found.files.iter().any(|(name, _)| *name == named.name));
    for (name, bytes) in &found.files {
        let target = directory.file(name);
        copy_file(&from.file(name), &target, *bytes)
            .map_err(|error| failed("Copying to", &target, &error))?;
    }
    directory
        .persist(&RealDisk, &left)
        .and_then(|()| RealDisk.sync_directory(into))
        .and_then(|()| RealDisk.sync_directory(parent))
        .map_err(|error| failed("Writing the manifest in", directory.path(), &error))?;
    verify(&directory, found)?;
    Ok(Made { directory, files: found.files.len(), bytes })
}

/// The name of the log's directory, also where it was named as `.`.
fn directory_name(from: &Directory) -> Result<PathBuf, String> {
    let path = std::fs::canonicalize(from.path())
        .map_err(|error| format!("{}: {}", from.path().display(), describe(&error)))?;
    Ok(path.file_name().map_or_else(|| USUAL_DIRECTORY.into(), PathBuf::from))
}

/// Copies the first `bytes` of a file.
fn copy_file(from: &Path, to: &Path, bytes: u64) -> io::Result<()> {
    let source = ReadOnlyDisk.open(from, false)?;
    let target = RealDisk.create(to)?;
    let mut buffer = vec![0; BLOCK_BYTES];
    let mut copied = 0;
    while copied < bytes {
        let wanted = (bytes - copied).min(BLOCK_BYTES as u64) as usize;
        match source.read_at(copied, &mut buffer[..wanted])? {
            0 => return Err(io::Error::other("the original became shorter meanwhile")),
            count => {
                target.append(&buffer[..count])?;
                copied += count as u64;
            }
        }
    }
    target.sync()
}

/// Reads the copy as a start would.
fn verify(directory: &Directory, found: &Found) -> Result<(), String> {
    let mut count = Count { in_base: false, commands: 0, base: None, tenths: Tenths::new() };
    let manifest = directory.read_manifest(&ReadOnlyDisk).map_err(|error| error.to_string())?;
    count.base = manifest.base.map(|base| base.name);
    let options = LoadOptions { cut_torn_end: false, damaged_tail_bytes_max: 0, checksum: true };
    load(&ReadOnlyDisk, directory, None, options, &mut count)
        .map_err(|error| format!("The copy is not what was read before: {error}"))?;
    if count.commands != found.place.commands {
        return Err(format!(
            "The copy holds {} commands, {} were expected: the original changed meanwhile",
            count.commands, found.place.commands
        ));
    }
    Ok(())
}

/// Counts the commands behind the base.
struct Count {
    base: Option<String>,
    in_base: bool,
    commands: u64,
    tenths: Tenths,
}

impl LoadSink for Count {
    fn rdb(&mut self, file: &Arc<dyn DiskFile>) -> Result<BaseLoaded, String> {
        let (bytes, _) = read_rdb(file, &mut self.tenths)?;
        Ok(BaseLoaded { bytes, origin: None })
    }

    fn command(&mut self, _: Args<'_>) -> Result<(), String> {
        Ok(())
    }

    fn progress(&mut self, loaded_bytes: u64, total_bytes: u64) {
        self.tenths.tell(loaded_bytes, total_bytes);
    }

    fn notice(&mut self, line: LoadNotice) {
        crate::check::say(&line.text);
    }

    fn passed(&mut self, passed: Passed<'_>) -> Result<(), String> {
        match passed {
            Passed::File { name, .. } => self.in_base = self.base.as_deref() == Some(name),
            Passed::Command { .. } => self.commands += u64::from(!self.in_base),
            _ => {}
        }
        Ok(())
    }
}
