//! The policy directory: what lies in it, reading one file of it, and noticing changes.
//! Compiles nothing; the watcher itself touches no file, it compares listings that the caller made.
//! Always: only plain `*.wasm` directly in the directory count, and no more of a file is read than its limit.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::time::SystemTime;

use tenon_policy::FileChange;

use crate::sandbox::FILE_BYTES_MAX;

/// Files beyond so many are not looked at.
const FILES_MAX: usize = 1_000;

/// Size and time must have rested so long before a change counts.
const REST_MS: u64 = 500;

/// One file of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Its name.
    pub(crate) file: String,
    /// What changes when it is written.
    pub(crate) stamp: Stamp,
}

/// What changes when a file is written or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Bytes.
    pub(crate) size: u64,
    /// Where the file system knows it.
    pub(crate) modified: Option<SystemTime>,
}

/// Lists the `*.wasm` directly in a directory, in order of names. Links to files count, as mounted directories have them.
pub(crate) fn scan(directory: &Path) -> io::Result<Vec<Listed>> {
    let mut listed = Vec::new();
    for entry in fs::read_dir(directory)? {
        let Ok(file) = entry?.file_name().into_string() else { continue };
        if !file.ends_with(".wasm") || file.starts_with('.') || listed.len() == FILES_MAX {
            continue;
        }
        // A file that is gone by now is as good as not there.
        let Ok(metadata) = fs::metadata(directory.join(&file)) else { continue };
        if metadata.is_file() {
            let stamp = Stamp { size: metadata.len(), modified: metadata.modified().ok() };
            listed.push(Listed { file, stamp });
        }
    }
    listed.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(listed)
}

/// Why a file was not read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// It is not there or cannot be read: the end of a sentence.
    Missing(String),
    /// It is too large.
    TooLarge(u64),
}

/// Reads a file of the directory.
pub(crate) fn read(directory: &Path, file: &str) -> Result<Vec<u8>, ReadError> {
    let path = directory.join(file);
    let missing = |error: io::Error| ReadError::Missing(format!("{}: {error}", path.display()));
    let metadata = fs::metadata(&path).map_err(missing)?;
    if !metadata.is_file() {
        return Err(ReadError::Missing(format!("{}: it is not a plain file", path.display())));
    }
    if metadata.len() > FILE_BYTES_MAX {
        return Err(ReadError::TooLarge(metadata.len()));
    }
    let mut bytes = Vec::new();
    // It may have grown since.
    File::open(&path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(missing)?;
    match bytes.len() as u64 {
        size if size > FILE_BYTES_MAX => Err(ReadError::TooLarge(size)),
        _ => Ok(bytes),
    }
}

/// Compares listings. Give it one every 100 to 500 ms.
#[derive(Debug, Default)]
pub(crate) struct Watcher {
    seen: Option<HashMap<String, Seen>>,
}

#[derive(Debug)]
struct Seen {
    /// As it was when it was last reported, or at the first listing.
    reported: Option<Stamp>,
    current: Stamp,
    since_ms: u64,
}

impl Watcher {
    /// The first listing is the state to compare with, and reports nothing.
    pub(crate) fn new() -> Watcher {
        Watcher::default()
    }

    /// What changed, in order of names; `now_ms` is any steady clock.
    pub(crate) fn poll(&mut self, now_ms: u64, listing: &[Listed]) -> Vec<FileChange> {
        let Some(seen) = &mut self.seen else {
            let first = |listed: &Listed| {
                let seen = Seen { reported: Some(listed.stamp), current: listed.stamp, since_ms: now_ms };
                (listed.file.clone(), seen)
            };
            self.seen = Some(listing.iter().map(first).collect());
            return Vec::new();
        };
        let mut changes = Vec::new();
        seen.retain(|file, seen| {
            let stays = listing.iter().any(|listed| listed.file == *file);
            if !stays && seen.reported.is_some() {
                changes.push(FileChange::Gone(file.clone()));
            }
            stays
        });
        for Listed { file, stamp } in listing {
            let fresh = || Seen { reported: None, current: *stamp, since_ms: now_ms };
            let seen = seen.entry(file.clone()).or_insert_with(fresh);
            if seen.current != *stamp {
                (seen.current, seen.since_ms) = (*stamp, now_ms);
            }
            if seen.reported != Some(*stamp) && now_ms.saturating_sub(seen.since_ms) >= REST_MS {
                seen.reported = Some(*stamp);
                changes.push(FileChange::Changed(file.clone()));
            }
        }
        changes.sort_by(|a, b| a.file().cmp(b.file()));
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(files: &[(&str, u64)]) -> Vec<Listed> {
        let listed = |&(file, size): &(&str, u64)| Listed {
            file: file.to_owned(),
            stamp: Stamp { size, modified: None },
        };
        files.iter().map(listed).collect()
    }

    #[test]
    fn a_change_counts_once_it_has_rested() {
        let mut watcher = Watcher::new();
        let mut poll = |now_ms, files: &[(&str, u64)]| watcher.poll(now_ms, &listing(files));
        let changed = |file: &str| vec![FileChange::Changed(file.to_owned())];
        assert_eq!(poll(0, &[("a.wasm", 1), ("b.wasm", 1)]), []);
        assert_eq!(poll(1_000, &[("a.wasm", 1), ("b.wasm", 1)]), []);
        // Being written: every new size starts the rest anew.
        assert_eq!(poll(1_100, &[("a.wasm", 2), ("b.wasm", 1)]), []);
        assert_eq!(poll(1_500, &[("a.wasm", 3), ("b.wasm", 1)]), []);
        assert_eq!(poll(1_999, &[("a.wasm", 3), ("b.wasm", 1)]), []);
        assert_eq!(poll(2_000, &[("a.wasm", 3), ("b.wasm", 1)]), changed("a.wasm"));
        assert_eq!(poll(3_000, &[("a.wasm", 3), ("b.wasm", 1)]), []);
        // Back as it was before the rest ended: nothing happened.
        assert_eq!(poll(3_100, &[("a.wasm", 4), ("b.wasm", 1)]), []);
        assert_eq!(poll(3_200, &[("a.wasm", 3), ("b.wasm", 1)]), []);
        assert_eq!(poll(9_000, &[("a.wasm", 3), ("b.wasm", 1)]), []);
    }

    #[test]
    fn new_files_and_missing_ones_are_changes_too() {
        let mut watcher = Watcher::new();
        let mut poll = |now_ms, files: &[(&str, u64)]| watcher.poll(now_ms, &listing(files));
        assert_eq!(poll(0, &[("a.wasm", 1)]), []);
        assert_eq!(poll(100, &[("a.wasm", 1), ("new.wasm", 1)]), []);
        assert_eq!(
            poll(600, &[("new.wasm", 1)]),
            [FileChange::Gone("a.wasm".to_owned()), FileChange::Changed("new.wasm".to_owned())]
        );
        assert_eq!(poll(700, &[("new.wasm", 1), ("brief.wasm", 1)]), []);
        assert_eq!(poll(800, &[("new.wasm", 1)]), [], "a file that was never reported is not missed");
    }
}
