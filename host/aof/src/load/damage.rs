//! A damaged end of the last file, which is cut off where the operator allows it (`aof-load-corrupt-tail-max-size`).
//!
//! Not a torn end, which a crash leaves: what is damaged may have been acknowledged, so it is kept in a file beside.
//! Always: what was loaded is what is left in the file, to the byte.

use std::io;
use std::path::{Path, PathBuf};

use tenon_base::{Disk, DiskFile};

use crate::error::AofError;
use crate::load::file::{FileLoad, FileToLoad};

/// Bytes that are copied at once.
const COPY_BYTES: usize = 1 << 20;

impl FileLoad<'_, '_> {
    /// Cuts the file off behind what is whole, if what follows is short enough; else gives the error back.
    pub(super) fn cut_damage(&mut self, error: AofError) -> Result<(), AofError> {
        let FileToLoad { path, name, file, end, is_last, is_base } = self.from;
        let bytes_max = self.progress.options.damaged_tail_bytes_max;
        let AofError::Format { what: "Bad file format", offset, finding, .. } = &error else {
            return Err(error);
        };
        let (whole, commands) = self.whole;
        let bytes = end - whole;
        // Of a base nothing may be missing. Commands of what is cut off must not have been run.
        if !is_last || *is_base || bytes > bytes_max || self.progress.commands != commands {
            return Err(error);
        }
        self.warn(format!("!!! Warning: the AOF file {name} is damaged at offset {offset}: {finding} !!!"));
        let kept = keep_tail(self.progress.disk, &**file, path, whole)
            .map_err(AofError::disk("Keeping the damaged end of the AOF file", path))?;
        self.warn(format!(
            "!!! Truncating the AOF {name} at offset {whole}: {bytes} bytes are cut off, and kept in {} !!!",
            kept.display()
        ));
        (file.truncate(whole).and_then(|()| file.sync()))
            .map_err(AofError::disk("Truncating the AOF file", path))?;
        self.warn(format!(
            "AOF {name} loaded anyway because aof-load-corrupt-tail-max-size allows {bytes_max} bytes"
        ));
        self.progress.cut_bytes += bytes;
        self.report(whole);
        Ok(())
    }
}

/// Copies what is in a file of a log from `offset` on into a file beside it (`NAME.cut-at-OFFSET`), durably, before it is cut off.
///
/// # Errors
/// What the disk refused; nothing was changed then but that file.
pub fn keep_tail(disk: &dyn Disk, file: &dyn DiskFile, path: &Path, mut offset: u64) -> io::Result<PathBuf> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".cut-at-{offset}"));
    let to = path.with_file_name(name);
    let kept = disk.create(&to)?;
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        match file.read_at(offset, &mut buffer)? {
            0 => break,
            count => {
                kept.append(&buffer[..count])?;
                offset += count as u64;
            }
        }
    }
    kept.sync()?;
    to.parent().map_or(Ok(()), |parent| disk.sync_directory(parent))?;
    Ok(to)
}
