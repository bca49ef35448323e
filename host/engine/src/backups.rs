//! Backups while the server serves: a cut like a save's, written into a directory of its own with a manifest.
//! At most one at a time, beside saves, rewrites and synchronizations.
//! Always: a backup lies below `backup-directory`, under a name without a path.

mod job;
mod manifest; // read me first

use std::any::Any;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tenon_base::{ConnectionId, Disk, Lane, Micros, Now, World, describe};
use tenon_config::Directive;
use tenon_keyspace::AbortReason;

pub use job::{copy_measured, read_manifest};
pub use manifest::{BackupFile, BackupManifest, DUMP as BACKUP_DUMP, USERS as BACKUP_USERS};

use crate::engine::{Engine, Purpose};
use crate::save_job::{Destination, SaveControl, SaveEnd, SaveJob};
use crate::spill::Spill;
use crate::walks::Walk;

/// The longest name of a backup (bytes).
const NAME_BYTES_MAX: usize = 128;

/// Backups of one tenant.
#[derive(Default)]
pub(crate) struct Backups {
    running: Option<Running>,
    walk: Option<Walk>,
    /// The one that ended last.
    last: Option<Last>,
    /// Good ones since the start.
    pub(crate) count: u64,
}

struct Running {
    path: PathBuf,
    began: Now,
    keys: u64,
    control: Arc<SaveControl>,
    spill: Arc<Spill>,
    /// Somebody has said BACKUP ABORT.
    is_unwanted: bool,
}

struct Last {
    path: PathBuf,
    began: Now,
    duration: Micros,
    keys: u64,
    end: SaveEnd,
    is_unwanted: bool,
}

/// What BACKUP STATUS tells.
pub(crate) struct BackupStatus {
    /// `none`, `running`, `ok`, `failed` or `aborted`.
    pub(crate) status: &'static str,
    /// Of the running one, or of the one that ended last.
    pub(crate) directory: String,
    pub(crate) moment_unix_ms: i64,
    pub(crate) keys_done: u64,
    pub(crate) keys_total: u64,
    pub(crate) bytes: u64,
    /// Changed data that was put aside until it is written.
    pub(crate) spilled_bytes: u64,
    pub(crate) elapsed_ms: u64,
    /// None where nothing can be foretold.
    pub(crate) remaining_ms: Option<u64>,
    pub(crate) error: String,
}

impl BackupStatus {
    /// How much of it is done, of 100.
    pub(crate) fn percentage(&self) -> f64 {
        match (self.status, self.keys_total) {
            ("ok", _) => 100.0,
            (_, 0) => 0.0,
            // The last percent is what comes behind the last key.
            (_, total) => (self.keys_done as f64 * 100.0 / total as f64).min(99.0),
        }
    }
}

impl Backups {
    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Whether the last one failed; one that was aborted did not.
    pub(crate) fn has_failed(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.end.is_err() && !last.is_unwanted)
    }

    pub(crate) fn walk(&mut self) -> &mut Option<Walk> {
        &mut self.walk
    }

    pub(crate) fn wake_at(&self) -> Option<Micros> {
        self.walk.as_ref().map(Walk::wake_at)
    }

    pub(crate) fn status(&self, now: Now) -> BackupStatus {
        let none = BackupStatus {
            status: "none",
            directory: String::new(),
            moment_unix_ms: 0,
            keys_done: 0,
            keys_total: 0,
            bytes: 0,
            spilled_bytes: 0,
            elapsed_ms: 0,
            remaining_ms: None,
            error: String::new(),
        };
        if let Some(running) = &self.running {
            let (keys_done, bytes) = running.control.written();
            let elapsed_ms = now.steady.since(running.began.steady).millis();
            let remaining = u128::from(running.keys.saturating_sub(keys_done)) * u128::from(elapsed_ms);
            return BackupStatus {
                status: "running",
                directory: running.path.display().to_string(),
                moment_unix_ms: running.began.unix().0,
                keys_done,
                keys_total: running.keys,
                bytes,
                spilled_bytes: running.spill.figures().0,
                elapsed_ms,
                remaining_ms: (keys_done > 0).then(|| (remaining / u128::from(keys_done)) as u64),
                ..none
            };
        }
        let Some(last) = &self.last else { return none };
        BackupStatus {
            status: match (&last.end, last.is_unwanted) {
                (Ok(_), _) => "ok",
                (Err(_), true) => "aborted",
                (Err(_), false) => "failed",
            },
            directory: last.path.display().to_string(),
            moment_unix_ms: last.began.unix().0,
            keys_done: if last.end.is_ok() { last.keys } else { 0 },
            keys_total: last.keys,
            bytes: *last.end.as_ref().unwrap_or(&0),
            elapsed_ms: last.duration.millis(),
            remaining_ms: last.end.is_ok().then_some(0),
            error: last.end.as_ref().err().filter(|_| !last.is_unwanted).cloned().unwrap_or_default(),
            ..none
        }
    }
}

impl Engine {
    /// Begins a backup under this name, or one made of the time. Returns its directory. The error is a sentence.
    pub(crate) fn begin_backup(
        &mut self,
        now: Now,
        name: Option<&[u8]>,
        world: &mut World<'_>,
    ) -> Result<PathBuf, String> {
        if let Some(running) = &self.backups.running {
            return Err(format!("a backup into {} is being written", running.path.display()));
        }
        let root = self.backup_directory();
        let path = root.join(name_of(name, now)?);
        if world.disk.list(&path).is_ok_and(|listed| !listed.is_empty()) {
            return Err(format!("{} is there already: give another name", path.display()));
        }
        // Where it is yet to be made, its parent's disk is what it will be on.
        let existing = if world.disk.list(&root).is_ok() { root.clone() } else { parent_of(&root) };
        world.disk.list(&existing).map_err(|error| {
            format!("{}: {}; make it, or set 'backup-directory'", existing.display(), describe(&error))
        })?;
        self.check_space(&existing, world.disk)?;
        let format = self.rdb_format(now, false);
        let walk = self.begin_walk(now, &format);
        let manifest = self.backup_manifest(now);
        let control = SaveControl::new(self.config.integer(Directive::RdbKeySaveDelay));
        control.set_bytes_per_second(self.config.memory(Directive::BackupBytesPerSecond));
        let temporary = path.join("dump.rdb.part");
        let destination = Destination { temporary, target: Some(path.join(BACKUP_DUMP)) };
        let (feed, spill) = (Arc::clone(walk.feed()), Arc::clone(walk.spill()));
        let save = SaveJob::new(feed, format, destination, Arc::clone(&control), Arc::clone(&spill));
        tracing::info!("Backup into {} started", path.display());
        self.backups.running = Some(Running {
            path: path.clone(),
            began: now,
            keys: manifest.keys(),
            control,
            spill,
            is_unwanted: false,
        });
        self.backups.walk = Some(walk);
        let users = self.config.text_lossy(Directive::AclFile).into_owned();
        let users = (!users.is_empty()).then(|| self.directory().join(users));
        let job = job::BackupJob::new(root, path.clone(), manifest, save, users);
        self.start_job(Purpose::Backup, Lane::Save, Box::new(job), world);
        Ok(path)
    }

    fn backup_manifest(&self, now: Now) -> BackupManifest {
        BackupManifest {
            is_complete: false,
            moment_unix_ms: now.unix().0,
            tenon_version: crate::TENON_VERSION.to_owned(),
            replication_id: self.replication_id().to_string(),
            replication_offset: self.journal.offset().0,
            databases: self.database_sizes().iter().map(|size| (size.database, size.keys as u64)).collect(),
            functions: self.scripts.libraries.texts().len() as u64,
            files: Vec::new(),
        }
    }

    /// `backup-directory`, below `dir` where it is not absolute.
    pub(crate) fn backup_directory(&self) -> PathBuf {
        let configured = OsStr::from_bytes(self.config.text(Directive::BackupDirectory));
        self.directory().join(configured).components().collect()
    }

    /// Gives up the backup that is being written. False if there is none.
    pub(crate) fn abort_backup(&mut self) -> bool {
        let Some(running) = &mut self.backups.running else { return false };
        running.is_unwanted = true;
        running.control.cancel();
        if let Some(walk) = &self.backups.walk {
            self.keyspace.abort_cut(walk.cut, AbortReason::Cancelled);
        }
        true
    }

    /// The directives that concern a running backup may be others.
    pub(crate) fn backup_settings_changed(&self) {
        if let Some(running) = &self.backups.running {
            running.control.set_bytes_per_second(self.config.memory(Directive::BackupBytesPerSecond));
            running.control.set_key_delay(self.config.integer(Directive::RdbKeySaveDelay));
        }
    }

    /// The job that wrote a backup has ended.
    pub(crate) fn backup_ended(&mut self, now: Now, result: Box<dyn Any + Send>) {
        let end = result.downcast::<SaveEnd>().map_or_else(
            |other| Err(other.downcast_ref::<String>().cloned().unwrap_or_else(|| "no result".to_owned())),
            |end| *end,
        );
        if let Some(walk) = self.backups.walk.take() {
            self.keyspace.end_cut(walk.cut);
        }
        let Some(running) = self.backups.running.take() else { return };
        let path = running.path.display();
        match &end {
            Ok(bytes) => {
                self.backups.count += 1;
                self.snapshots.note_size(*bytes, self.keyspace.used_memory());
                tracing::info!("Backup into {path} is complete: {} keys, {bytes} bytes", running.keys);
            }
            Err(_) if running.is_unwanted => tracing::info!("Backup into {path} was aborted, and removed"),
            Err(sentence) => tracing::warn!("Backup into {path} failed and was removed: {sentence}"),
        }
        let duration = now.steady.since(running.began.steady);
        let Running { path, began, keys, is_unwanted, .. } = running;
        self.backups.last = Some(Last { path, began, duration, keys, end, is_unwanted });
    }

    /// Looks at the directory of backups for a client that is parked.
    pub(crate) fn list_backups(&mut self, client: ConnectionId, world: &mut World<'_>) {
        let root = self.backup_directory();
        let job = move |disk: &dyn Disk| job::find(disk, &root).map_err(|error| describe(&error));
        self.start_job(Purpose::ListBackups(client), Lane::Save, Box::new(job), world);
    }

    pub(crate) fn backups_listed(
        &mut self,
        now: Now,
        client: ConnectionId,
        result: Box<dyn Any + Send>,
        world: &mut World<'_>,
    ) {
        match result.downcast::<Result<job::Found, String>>().map(|result| *result) {
            Ok(Ok(found)) => crate::server::backup::list(self, client, &found.complete, world),
            Ok(Err(sentence)) => self.refuse_backup_list(client, &sentence, world),
            Err(_) => self.refuse_backup_list(client, "looking at it ended in the middle", world),
        }
        self.resume(now, client, world);
    }

    fn refuse_backup_list(&mut self, client: ConnectionId, sentence: &str, world: &mut World<'_>) {
        let root = self.backup_directory();
        self.answer(client, world, |reply| {
            reply.error_format(format_args!("ERR {} cannot be listed: {sentence}", root.display()));
        });
    }

    /// Says what was left by a server that ended while it wrote a backup.
    pub(crate) fn tell_unfinished_backups(&self, disk: &dyn Disk) {
        let root = self.backup_directory();
        let Ok(found) = job::find(disk, &root) else { return };
        for (name, reason) in found.unfinished {
            tracing::warn!("{} is no usable backup and can be removed: {reason}", root.join(name).display());
        }
    }

    /// Whether a server may start from what is in `dir`, where that is a backup.
    pub(crate) fn check_backup_at_start(&self, disk: &dyn Disk) -> Result<(), String> {
        let directory = self.directory();
        let shown = directory.display();
        match read_manifest(disk, &directory) {
            None => Ok(()),
            Some(Ok(manifest)) if manifest.is_complete => {
                tracing::info!(
                    "{shown} is a backup of {}, with {} keys",
                    manifest::utc(manifest.moment_unix_ms),
                    manifest.keys()
                );
                let dump = self.dump_path();
                let is_there = manifest.files.iter().any(|file| directory.join(&file.name) == dump);
                if is_there {
                    return Ok(());
                }
                Err(format!(
                    "The data of the backup in {shown} is in {}, and 'dbfilename' is another: set it to that",
                    manifest.dump().map_or(BACKUP_DUMP, |file| &file.name)
                ))
            }
            Some(Ok(manifest)) => Err(format!(
                "The backup in {shown}, begun on {}, was never finished: its server ended while it was written. It \
                 holds nothing to start from; use another backup",
                manifest::utc(manifest.moment_unix_ms)
            )),
            Some(Err(sentence)) => Err(format!(
                "{shown} looks like a backup, and is none to start from: {sentence}. If the data in it is what you \
                 want, remove that file"
            )),
        }
    }
}

fn parent_of(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("/")).to_owned()
}

/// The name as it is given, or one that says when it is. Never a path.
fn name_of(given: Option<&[u8]>, now: Now) -> Result<String, String> {
    let Some(given) = given else {
        let moment = manifest::utc(now.unix().0);
        return Ok(format!("backup-{}", moment.replace([':', '.'], "-").trim_end_matches('Z')));
    };
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let is_name = (1..=NAME_BYTES_MAX).contains(&given.len()) && given.iter().all(is_plain);
    if !is_name || given.starts_with(b".") {
        return Err(format!(
            "the name of a backup is at most {NAME_BYTES_MAX} letters, digits, '-', '_' and '.', and does not begin \
             with '.': it becomes a directory below 'backup-directory'"
        ));
    }
    Ok(String::from_utf8_lossy(given).into_owned())
}

#[cfg(test)]
mod tests;
