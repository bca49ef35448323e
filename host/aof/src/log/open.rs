//! Opening a log at the start of an engine, after loading. Runs on the caller's thread, before anybody is served.
//!
//! Always: what was loaded is synced before anything is appended behind it, and the manifest names the file that is
//! appended to before this returns.

use std::collections::VecDeque;
use std::path::Path;

use tenon_base::Disk;

use crate::directory::{Directory, make_anew};
use crate::error::AofError;
use crate::log::statistics::SyncStatistics;
use crate::log::tail::Tail;
use crate::log::{Dirt, Increment, Lengths, Log, Mark, Phase, PlainPersist, Settings, Start};
use crate::manifest::Manifest;

impl Log {
    /// A log that is off. `begin_rewrite` switches it on; `manifest` is the one on disk, whose files become history
    /// then.
    pub fn off(directory: Directory, settings: Settings, start: Start, manifest: Manifest) -> Log {
        let mark = Mark { position: start.position, offset: start.offset, bytes: 0 };
        Log {
            directory,
            settings,
            replication_id: start.replication_id,
            phase: Phase::Off,
            manifest,
            current: None,
            spare: None,
            tail: Tail::default(),
            appended: mark,
            written: mark,
            synced: mark,
            kept: mark,
            databases: VecDeque::new(),
            select_next: true,
            timestamp_seconds: 0,
            dirt: Dirt::default(),
            sync: None,
            aside: None,
            aside_syncs: 0,
            failure: None,
            leaving: None,
            switching: None,
            rewrite: None,
            manifest_job: None,
            plain_persist: PlainPersist::default(),
            is_replacing: false,
            removal: None,
            litter: Vec::new(),
            doubtful: Vec::new(),
            lengths: Lengths::default(),
            statistics: SyncStatistics::default(),
            events: VecDeque::new(),
            last_job: 0,
            rewrites: 0,
        }
    }

    /// A log that is on: `manifest` as loaded. Where it is empty, a base with `empty_base` (an RDB file, or nothing for
    /// a base of commands) and a first increment are made, as Redis does. `new_increment` is what loading said.
    pub fn open(
        disk: &dyn Disk,
        directory: Directory,
        settings: Settings,
        start: Start,
        manifest: Manifest,
        new_increment: bool,
        empty_base: &[u8],
    ) -> Result<Log, AofError> {
        let path = directory.path().to_owned();
        directory.make(disk).map_err(AofError::disk("Making the AOF directory", &path))?;
        directory.remove_temporary_files(disk);
        let mut log = Log::off(directory, settings, start, manifest);
        let before = log.manifest.clone();
        if log.manifest.is_empty() {
            let name = log.manifest.replace_base(log.directory.file_name(), log.settings.base_is_rdb);
            make_file(disk, &log.directory.file(&name), empty_base)?;
        }
        if log.manifest.increments.is_empty() || new_increment {
            let name = log.manifest.add_increment(log.directory.file_name());
            make_file(disk, &log.directory.file(&name), &[])?;
        }
        log.open_files(disk)?;
        if log.settings.remove_history {
            log.remove_history(disk);
        }
        // What was read may be what the last process could not make durable: it is made so even where nothing changed.
        disk.sync_directory(&path)
            .and_then(|()| match log.manifest == before {
                true => Ok(()),
                false => log.directory.persist(disk, &log.manifest),
            })
            .map_err(AofError::disk("Writing the AOF manifest in", &path))?;
        log.phase = Phase::On;
        log.lengths.after_rewrite = if before.is_empty() { log.current_bytes() } else { log.lengths.base };
        Ok(log)
    }

    /// Syncs every file, and opens the last one to append to.
    fn open_files(&mut self, disk: &dyn Disk) -> Result<(), AofError> {
        for file in self.manifest.live() {
            let path = self.directory.file(&file.name);
            let opened = disk.open(&path, false).and_then(|opened| {
                opened.sync()?;
                let length = opened.length()?;
                Ok((opened, length))
            });
            let (opened, length) = opened.map_err(AofError::disk("Opening the AOF file", &path))?;
            let is_base = self.manifest.base.as_ref().is_some_and(|base| base.name == file.name);
            if is_base {
                self.lengths.base = length;
                continue;
            }
            if let Some(previous) = self.current.take() {
                self.lengths.closed.push((previous.sequence, previous.length));
            }
            self.current = Some(Increment {
                name: file.name.clone(),
                sequence: file.sequence,
                file: opened,
                length,
                opened_at: 0,
            });
        }
        Ok(())
    }

    /// Removes what the last process had no time for.
    fn remove_history(&mut self, disk: &dyn Disk) {
        for file in std::mem::take(&mut self.manifest.history) {
            // Failing to leaves a file that nobody reads.
            let _ = disk.remove(&self.directory.file(&file.name));
        }
    }
}

fn make_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), AofError> {
    (make_anew(disk, path).and_then(|file| file.append(bytes).and_then(|()| file.sync())))
        .map_err(AofError::disk("Making the AOF file", path))
}
