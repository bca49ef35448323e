//! Brings back what was saved: the append-only file if there is one, else the dump file. Others are heard meanwhile, see
//! `loading`.
//! Always: a load changes nothing of its own accord; it runs effects, and they decide nothing.

mod first_base;
mod keys_ahead;
mod keys_arriving;
mod log;
mod rdb;
mod reload;
mod sums;

use std::any::Any;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use tenon_aof::{Directory, Log, Origin, Start};
use tenon_base::{Now, World, describe};
use tenon_commands::Garbage;
use tenon_config::Directive;
use tenon_journal::{ReplicationId, ReplicationOffset};
use tenon_rdb::LoadReport;
use tenon_replication::Second;

use crate::durability::initial_log_settings;
use crate::engine::Engine;
use crate::leftovers::remove_leftovers;
use crate::loading::Loading;

pub(crate) use keys_ahead::KeyRead;
pub(crate) use keys_arriving::{KeysArriving, Taken};
pub(crate) use rdb::told;
pub(crate) use reload::ReloadSteps;
use sums::LoadRates;
pub(crate) use sums::LoadSums;

/// Why a load ended that nobody wants any more.
const GIVEN_UP: &str = "the load was given up: the server ends";

impl Engine {
    /// Loads what the configuration says is there, and opens the log. An error stops the start.
    pub(crate) fn load_at_start(&mut self, now: Now, world: &mut World<'_>) -> Result<(), String> {
        let began = world.stopwatch.read();
        self.check_backup_at_start(world.disk)?;
        self.tell_unfinished_backups(world.disk);
        remove_leftovers(world.disk, &self.directory(), self.identity.pid);
        self.begin_load(Loading::InPlace, 0, None, world);
        if self.config.bool(Directive::AppendOnly) {
            self.load_log_at_start(now, world)?;
        } else {
            self.lock_dump(world)?;
            let origin = self.load_dump(now, world)?;
            self.keep_name_of_dump(world);
            self.start_journal(origin.map_or(ReplicationOffset(0), |origin| origin.offset));
            self.adopt_log_off(world)?;
            match origin {
                Some(origin) if self.config.primary().is_some() => {
                    self.resume_as_follower(now, origin, world);
                }
                Some(origin) => {
                    self.recover_history(now, second_of(origin), world);
                    self.expire_loaded(now, world);
                }
                None => {}
            }
        }
        // Clients may write before the first turn ends.
        self.keep_promise(now);
        self.stats.dirty_total = 0;
        self.snapshots.nothing_changed(0, self.journal.effect_bytes());
        let spent = world.stopwatch.read().since(began);
        if self.loaded.bytes > 0 {
            tracing::info!("DB loaded from disk: {:.3} seconds", spent.0 as f64 / 1e6);
        }
        Ok(())
    }

    /// Whoever put the dump in its place may have been killed before its name was durable, and what clients are about to
    /// see must not be gone after a loss of power.
    fn keep_name_of_dump(&self, world: &World<'_>) {
        let directory = self.directory();
        if self.loaded.bytes > 0
            && let Err(error) = world.disk.sync_directory(&directory)
        {
            tracing::warn!(
                "{} could not be synced ({}): after a loss of power an older dump may be found there",
                directory.display(),
                describe(&error)
            );
        }
    }

    /// Whoever goes on from the place that the dump names is told what had expired when it was loaded.
    fn expire_loaded(&mut self, now: Now, world: &mut World<'_>) {
        let before = self.stats.expired_keys;
        for index in 0..self.keyspace.databases() {
            while self.keyspace.db(index).volatile_len() > 0 && self.expire_in(now, index, world) {}
        }
        let expired = self.stats.expired_keys - before;
        self.loaded.expired += expired;
        self.loaded.keys = self.loaded.keys.saturating_sub(expired);
    }

    /// The directory of the log, as configured.
    pub(crate) fn log_directory(&self) -> Directory {
        let path = self.directory().join(OsStr::from_bytes(self.config.text(Directive::AppendDirname)));
        Directory::new(path, self.config.text_lossy(Directive::AppendFilename).into_owned())
    }

    fn load_log_at_start(&mut self, now: Now, world: &mut World<'_>) -> Result<(), String> {
        let directory = self.log_directory();
        let lock = directory.lock(world.disk).map_err(|error| error.to_string())?;
        let loaded = self.load_log(now, &directory, world)?;
        let mut base = Vec::new();
        // A log that is there is what holds, also if nothing is in it: whatever a dump says, its end would go on from it.
        if !loaded.found && loaded.manifest.is_empty() {
            self.load_dump(now, world)?;
            base = self.encode_base(now, world)?;
        }
        let offset = loaded.origin.map_or(ReplicationOffset(0), |origin| origin.offset);
        self.start_journal(offset);
        let log = Log::open(
            world.disk,
            directory,
            initial_log_settings(&self.config),
            self.log_start(),
            loaded.manifest,
            loaded.needs_new_increment,
            &base,
        );
        self.durability.adopt(log.map_err(|error| error.to_string())?, Some(lock));
        self.set_readers();
        // Behind what another server wrote, the last known place is not where the data stands.
        match loaded.origin.filter(|_| !loaded.plain_end) {
            Some(origin) if self.config.primary().is_some() => self.resume_as_follower(now, origin, world),
            Some(origin) => self.recover_history(now, second_of(origin), world),
            None => {}
        }
        Ok(())
    }

    /// A log that is off; what its directory holds becomes history when it is switched on.
    fn adopt_log_off(&mut self, world: &mut World<'_>) -> Result<(), String> {
        let directory = self.log_directory();
        let manifest = directory.read_manifest(world.disk).map_err(|error| error.to_string())?;
        let log = Log::off(directory, initial_log_settings(&self.config), self.log_start(), manifest);
        self.durability.adopt(log, None);
        Ok(())
    }

    fn log_start(&self) -> Start {
        Start {
            position: self.journal.position(),
            offset: self.journal.offset(),
            replication_id: self.replication_id(),
        }
    }

    fn start_journal(&mut self, offset: ReplicationOffset) {
        self.journal = tenon_journal::Journal::new(self.journal.position(), offset);
    }

    /// One server for each dump file: the lock is held as long as the process lives.
    fn lock_dump(&mut self, world: &mut World<'_>) -> Result<(), String> {
        self.dump_lock = Some(self.lock_of_dump(world)?);
        Ok(())
    }

    /// Takes the lock on the configured dump file.
    pub(crate) fn lock_of_dump(&self, world: &mut World<'_>) -> Result<Box<dyn Any + Send>, String> {
        let path = self.dump_path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let lock = path.with_file_name(format!(".{name}.lock"));
        world.disk.lock(&lock).map_err(|error| {
            if error.kind() == std::io::ErrorKind::WouldBlock {
                return format!(
                    "Another server uses the dump file {} (it holds the lock {}): give each server its own 'dir' \
                     or 'dbfilename'",
                    path.display(),
                    lock.display()
                );
            }
            format!("Can't lock the dump file by {}: {error}", lock.display())
        })
    }

    /// `dir` is another: the dump file there is ours from now on. A log that is on stays where it is until it is
    /// switched off; one that is off will be in the new directory.
    pub(crate) fn files_moved(&mut self, world: &mut World<'_>) -> Result<(), String> {
        if self.durability.is_on() {
            return Ok(());
        }
        self.lock_dump(world)?;
        self.adopt_log_off(world)
    }

    /// Loads the dump file, if there is one. Returns its place in the stream of the history that it is of, if it says.
    pub(crate) fn load_dump(&mut self, now: Now, world: &mut World<'_>) -> Result<Option<Origin>, String> {
        let path = self.dump_path();
        let file = match world.disk.open(&path, false) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("Can't open {} for reading: {error}", path.display())),
        };
        // A follower may be told yet to let a key live on that has expired: what is gone is its primary's to say.
        let passes_over = self.config.primary().is_none().then_some(now.unix());
        self.count_to_load(file.length().unwrap_or(0));
        let report = self
            .load_rdb(now, &file, passes_over, false, world)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        self.loaded.bytes += report.bytes;
        self.snapshots.note_size(report.bytes, self.keyspace.used_memory());
        if self.config.bool(Directive::AppendOnly) {
            tracing::info!(
                "There is no append-only file yet; loaded {} ({} keys), and the new append-only file begins with it",
                path.display(),
                report.keys
            );
        }
        Ok(origin_of(&report))
    }

    pub(crate) fn forget_everything(&mut self) {
        for index in 0..self.keyspace.databases() {
            let detached = self.keyspace.db_mut(index).clear();
            self.garbage.push(Garbage::Table(detached));
        }
        drop(self.scripts.libraries.flush());
    }
}

/// The place in a stream that an RDB file names.
fn origin_of(report: &LoadReport) -> Option<Origin> {
    let aux = &report.aux;
    let id = aux.replication_id.as_ref().and_then(|id| ReplicationId::parse(id.as_bytes()));
    id.zip(aux.replication_offset).map(|(replication_id, offset)| Origin {
        replication_id,
        offset: ReplicationOffset(offset.max(0) as u64),
        db: aux.stream_database.and_then(|db| u32::try_from(db).ok()).unwrap_or(0),
    })
}

fn second_of(origin: Origin) -> Second {
    Second { id: origin.replication_id, valid_to: origin.offset }
}
