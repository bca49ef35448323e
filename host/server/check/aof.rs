//! `tenon check aof`: the append-only files that a manifest names, read as a start would, and cut where they are torn.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tenon_aof::{
    AofError, BaseLoaded, Directory, LoadNotice, LoadOptions, LoadSink, Loaded, keep_tail, load,
};
use tenon_base::{Disk, DiskFile, describe};
use tenon_driver::RealDisk;
use tenon_resp::Args;

use super::rdb::Contents;
use super::{Tenths, counted, moment, say};
use crate::log_directory::find;
use crate::read_only::ReadOnlyDisk;

/// Reads everything and says whether a server would start from it.
pub(super) fn check(path: &Path) -> Result<(), String> {
    let directory = find(path)?;
    let loaded = read(&directory).map_err(|error| explain(&error))?;
    tell(&directory, &loaded)
}

/// As [`check`], and cuts the last file off at the first place that is not sound.
pub(super) fn repair(path: &Path) -> Result<(), String> {
    let directory = find(path)?;
    let _lock = directory.lock(&RealDisk).map_err(|error| error.to_string())?;
    match read(&directory) {
        Ok(loaded) => {
            tell(&directory, &loaded)?;
            say("Nothing to repair");
            Ok(())
        }
        Err(AofError::Format { path, offset, finding, .. }) => {
            cut(&directory, &path, offset, &finding)?;
            let loaded = read(&directory).map_err(|error| format!("Still not sound: {error}"))?;
            tell(&directory, &loaded)
        }
        Err(error) => Err(error.to_string()),
    }
}

fn read(directory: &Directory) -> Result<Loaded, AofError> {
    let mut sink = Reading { contents: Contents::default(), tenths: Tenths::new(), total_bytes: 0 };
    let options = LoadOptions { cut_torn_end: false, damaged_tail_bytes_max: 0, checksum: true };
    load(&ReadOnlyDisk, directory, None, options, &mut sink)
}

fn explain(error: &AofError) -> String {
    let AofError::Format { what, path, offset, finding, .. } = error else { return error.to_string() };
    format!(
        "{what}: {} at offset {offset}: {finding}.\nEverything before that offset is sound. `tenon check aof DIRECTORY \
         --repair` cuts the file off there and keeps the rest beside it; a torn end alone (a crash while writing) is \
         also cut at a start, if 'aof-load-truncated yes', and a damaged one of at most \
         'aof-load-corrupt-tail-max-size' bytes.",
        path.display()
    )
}

fn tell(directory: &Directory, loaded: &Loaded) -> Result<(), String> {
    let manifest = &loaded.manifest;
    say(&format!(
        "{}: {}, {}",
        directory.path().display(),
        manifest.base.as_ref().map_or_else(|| "no base".to_owned(), |base| format!("base {}", base.name)),
        counted(manifest.increments.len(), "increment")
    ));
    if let Some(origin) = &loaded.origin {
        say(&format!(
            "ends at offset {} of replication id {}, in database {}",
            origin.offset.0,
            origin.replication_id.as_str(),
            origin.db
        ));
    }
    if let Some(written) = loaded.last_batch {
        say(&format!("the last batch was written on {}", moment(written.0)));
    }
    if loaded.plain_end {
        say("commands without a checksum come last: another server wrote them, or 'aof-checksum no'");
    }
    say(&format!("AOF is sound: {} commands after the base, {} bytes in all", loaded.commands, loaded.bytes));
    Ok(())
}

/// Cuts the file at `offset`, after what follows was copied beside it.
fn cut(directory: &Directory, path: &Path, offset: u64, finding: &str) -> Result<(), String> {
    let failed = |action: &str, path: &Path, error: &io::Error| {
        format!("{action} {} failed: {}; nothing was changed", path.display(), describe(error))
    };
    let manifest = directory.read_manifest(&RealDisk).map_err(|error| error.to_string())?;
    let file = RealDisk.open(path, false).map_err(|error| failed("Opening", path, &error))?;
    let length = file.length().map_err(|error| failed("Measuring", path, &error))?;
    if offset == 0 && manifest.base.as_ref().is_some_and(|base| directory.file(&base.name) == path) {
        return Err(format!(
            "The base {} is not sound: {finding}. Nothing of it can be kept by cutting: restore it from a backup or a \
             replica. Nothing was changed",
            path.display()
        ));
    }
    let follows = manifest
        .increments
        .iter()
        .rev()
        .map(|named| directory.file(&named.name))
        .take_while(|named| named != path)
        .find(|named| {
            RealDisk.open(named, false).and_then(|file| file.length()).is_ok_and(|bytes| bytes > 0)
        });
    if let Some(follows) = follows {
        return Err(format!(
            "{} is not sound at offset {offset}: {finding}. It is not the last file: what is in {} builds on what would \
             be cut off. Restore from a backup or a replica. Nothing was changed",
            path.display(),
            follows.display()
        ));
    }
    let kept = keep_tail(&RealDisk, &*file, path, offset)
        .map_err(|error| failed("Keeping what is to be cut off of", path, &error))?;
    file.truncate(offset)
        .and_then(|()| file.sync())
        .map_err(|error| format!("Cutting {} failed: {}", path.display(), describe(&error)))?;
    say(&format!("{} at offset {offset}: {finding}", path.display()));
    say(&format!("Cut off there: {} bytes, kept in {}", length.saturating_sub(offset), kept.display()));
    Ok(())
}

/// Takes in what a load reads and keeps nothing of it.
struct Reading {
    contents: Contents,
    tenths: Tenths,
    /// All files together.
    total_bytes: u64,
}

impl LoadSink for Reading {
    fn rdb(&mut self, file: &Arc<dyn DiskFile>) -> Result<BaseLoaded, String> {
        let report = self.contents.read(file, &mut self.tenths, self.total_bytes)?;
        Ok(BaseLoaded { bytes: report.bytes, origin: None })
    }

    fn command(&mut self, _: Args<'_>) -> Result<(), String> {
        Ok(())
    }

    fn progress(&mut self, loaded_bytes: u64, total_bytes: u64) {
        self.total_bytes = total_bytes;
        self.tenths.tell(loaded_bytes, total_bytes);
    }

    fn notice(&mut self, line: LoadNotice) {
        say(&line.text);
    }
}
