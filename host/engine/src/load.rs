//! Brings back what was saved: the append-only file if there is one, else the dump file. Everybody waits.
//! Always: a load changes nothing of its own accord; it runs effects, and they decide nothing.

use std::any::Any;
use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;

use std::sync::Arc;

use tenon_aof::{
    BaseLoaded, Directory, LoadNotice, LoadOptions as AofOptions, LoadSink, Loaded, Log, Origin, Start,
};
use tenon_base::{DiskFile, Now, UnixMillis, World};
use tenon_commands::{Context, Db, Garbage, Origin as UnitOrigin};
use tenon_config::Directive;
use tenon_journal::{ReplicationId, ReplicationOffset};
use tenon_keyspace::{AccessRule, CutBounds, Keyspace};
use tenon_rdb::{Access, Encoder, FileSource, Limits as RdbLimits, LoadOptions, LoadReport};
use tenon_replication::Second;
use tenon_resp::{Args, Proto, Reply};

use crate::durability::initial_log_settings;
use crate::engine::Engine;
use crate::scripts::Loading;
use crate::table::{Run, Unresolved};

/// Between two lines about progress.
const PROGRESS_LINE_BYTES: u64 = 256 * 1024 * 1024;
/// Bytes of a command's name that an error shows; no known one is longer.
const NAME_SHOWN_BYTES_MAX: usize = 128;

impl Engine {
    /// Loads what the configuration says is there, and opens the log. An error stops the start.
    pub(crate) fn load_at_start(&mut self, now: Now, world: &mut World<'_>) -> Result<(), String> {
        let began = world.stopwatch.read();
        if self.config.bool(Directive::AppendOnly) {
            self.load_log_at_start(now, world)?;
        } else {
            self.lock_dump(world)?;
            let origin = self.load_dump(now, world)?;
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
        self.stats.dirty_total = 0;
        self.snapshots.nothing_changed(0, self.journal.offset().0);
        let spent = world.stopwatch.read().since(began);
        if self.loaded_bytes > 0 {
            let seconds = spent.0 as f64 / 1e6;
            self.load_bytes_per_second = Some((self.loaded_bytes as f64 / seconds.max(1e-6)) as u64);
            tracing::info!("DB loaded from disk: {seconds:.3} seconds");
        }
        Ok(())
    }

    /// Whoever goes on from the place that the dump names is told what had expired when it was loaded.
    fn expire_loaded(&mut self, now: Now, world: &mut World<'_>) {
        let before = self.stats.expired_keys;
        for index in 0..self.keyspace.databases() {
            while self.keyspace.db(index).volatile_len() > 0 && self.expire_in(now, index, world) {}
        }
        let expired = self.stats.expired_keys - before;
        self.keys_expired_at_load += expired;
        self.keys_loaded = self.keys_loaded.saturating_sub(expired);
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
        if !loaded.found {
            self.load_dump(now, world)?;
            base = self.encode_base(now)?;
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
        if let Some(origin) = loaded.origin {
            self.recover_history(now, second_of(origin), world);
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

    /// Loads the log into the keyspace.
    pub(crate) fn load_log(
        &mut self,
        now: Now,
        directory: &Directory,
        world: &mut World<'_>,
    ) -> Result<Loaded, String> {
        let options = AofOptions {
            cut_torn_end: self.config.bool(Directive::AofLoadTruncated),
            checksum: self.config.bool(Directive::AofChecksum),
        };
        let old_file = self.directory().join(OsStr::from_bytes(self.config.text(Directive::AppendFilename)));
        let disk = world.disk;
        let mut sink = Sink { engine: self, now, database: 0, reply: Vec::new(), told_bytes: 0 };
        let loaded = tenon_aof::load(disk, directory, Some(&old_file), options, &mut sink)
            .map_err(|error| error.to_string())?;
        self.loaded_bytes += loaded.bytes;
        if loaded.found {
            tracing::info!("Append-only file loaded: {} bytes, {} commands", loaded.bytes, loaded.commands);
        }
        Ok(loaded)
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
        let directory = self.log_directory();
        let manifest = directory.read_manifest(world.disk).map_err(|error| error.to_string())?;
        let log = Log::off(directory, initial_log_settings(&self.config), self.log_start(), manifest);
        self.durability.adopt(log, None);
        Ok(())
    }

    /// Loads the dump file, if there is one. Returns its place in the stream of the history that it is of, if it says.
    pub(crate) fn load_dump(&mut self, now: Now, world: &mut World<'_>) -> Result<Option<Origin>, String> {
        let path = self.dump_path();
        let file = match world.disk.open(&path, false) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("Can't open {} for reading: {error}", path.display())),
        };
        let report = self
            .load_rdb(now, &file, Some(now.unix()), false)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        self.loaded_bytes += report.bytes;
        if self.config.bool(Directive::AppendOnly) {
            tracing::info!(
                "There is no append-only file yet; loaded {} ({} keys), and the new append-only file begins with it",
                path.display(),
                report.keys
            );
        }
        Ok(origin_of(&report))
    }

    /// Loads an RDB file into the keyspace. Keys that expired before `passes_over` are left out; a key that is
    /// there already is an error, unless it `merges`.
    pub(crate) fn load_rdb(
        &mut self,
        now: Now,
        file: &Arc<dyn DiskFile>,
        passes_over: Option<UnixMillis>,
        merges: bool,
    ) -> Result<LoadReport, String> {
        let options = self.load_options(passes_over);
        let clock = (now.unix().seconds() as u32, self.limits.access.counts_uses());
        let report = read_rdb(file, &options, &mut self.keyspace, clock, merges)?;
        if report.module_data > 0 {
            tracing::warn!(
                "The file holds {} pieces of module data, which are passed over: the next save will not have them",
                report.module_data
            );
        }
        for text in &report.libraries {
            self.load_library(text, merges)?;
        }
        (self.keys_loaded, self.keys_expired_at_load) = (report.keys, report.expired);
        tracing::info!("Done loading RDB, keys loaded: {}, keys expired: {}.", report.keys, report.expired);
        Ok(report)
    }

    /// Takes in a library that was saved.
    fn load_library(&mut self, text: &[u8], replaces: bool) -> Result<(), String> {
        let mut loading = Loading { stopwatch: None, seed: self.dice.roll() };
        let loaded = self.scripts.libraries.load(text, replaces, &mut loading);
        self.scripts.function_vm_bytes = self.scripts.libraries.vm_bytes();
        loaded.map(drop)
    }

    fn load_options(&self, passes_over: Option<UnixMillis>) -> LoadOptions {
        LoadOptions {
            limits: RdbLimits {
                list: self.limits.list,
                set: self.limits.set,
                hash: self.limits.hash,
                zset: self.limits.zset,
            },
            databases: self.keyspace.databases(),
            checksum: self.config.bool(Directive::RdbChecksum) && !self.limits.skips_checksums,
            passes_over_expired_before: passes_over,
        }
    }

    /// Puts what an RDB file holds in the place of everything. If it cannot be read nothing has changed: where there
    /// is room the file is loaded beside what is here, else it is read through once before anything is let go.
    pub(crate) fn replace_by_rdb(
        &mut self,
        now: Now,
        file: &Arc<dyn DiskFile>,
        is_beside: bool,
    ) -> Result<LoadReport, String> {
        let options = self.load_options(None);
        if !is_beside {
            check_rdb(file, &options)?;
            self.forget_everything();
            let loaded = self.load_rdb(now, file, None, false);
            if loaded.is_err() {
                self.forget_everything();
            }
            return loaded;
        }
        let mut fresh = self.keyspace.beside();
        std::mem::swap(&mut self.keyspace, &mut fresh);
        let loaded = self.load_rdb(now, file, None, false);
        std::mem::swap(&mut self.keyspace, &mut fresh);
        match loaded {
            Ok(report) => {
                let former = self.keyspace.take_over(fresh);
                self.garbage.extend(former.into_iter().map(Garbage::Table));
                Ok(report)
            }
            Err(error) => {
                for index in 0..fresh.databases() {
                    self.garbage.push(Garbage::Table(fresh.db_mut(index).clear()));
                }
                Err(error)
            }
        }
    }

    /// Whether an RDB file holds no key. One that cannot be read is found out when it is loaded.
    pub(crate) fn is_empty_rdb(&self, file: &Arc<dyn DiskFile>) -> bool {
        let mut is_empty = true;
        let mut meet_key = |_: tenon_rdb::LoadedKey<'_>| {
            is_empty = false;
            false
        };
        let mut source = FileSource::new(Arc::clone(file), 0);
        let options = self.load_options(None);
        let read = tenon_rdb::load(&mut source, &options, &mut meet_key, &mut |_| ControlFlow::Continue(()));
        is_empty && read.is_ok()
    }

    /// DEBUG RELOAD: saves, forgets everything and loads it again.
    pub(crate) fn reload(
        &mut self,
        now: Now,
        steps: ReloadSteps,
        world: &mut World<'_>,
    ) -> Result<(), String> {
        if steps.saves {
            self.save_now(now, world)?;
        }
        if steps.flushes {
            self.forget_everything();
        }
        // Everything is kept: the load must give what was there, whatever has expired meanwhile.
        let path = self.dump_path();
        let file = world.disk.open(&path, false).map_err(|error| format!("{}: {error}", path.display()))?;
        self.load_rdb(now, &file, None, steps.merges)?;
        Ok(())
    }

    /// DEBUG LOADAOF: forgets everything and loads it again from the log.
    pub(crate) fn reload_log(&mut self, now: Now, world: &mut World<'_>) -> Result<(), String> {
        self.append_sealed(now, world);
        if !self.durability.is_on() {
            let manifest =
                self.log_directory().read_manifest(world.disk).map_err(|error| error.to_string())?;
            manifest.base.ok_or("There is no append-only file to load")?;
        }
        if let Some(log) = self.durability.log_mut() {
            log.sync_now(now)?;
        }
        self.forget_everything();
        let directory = self.log_directory();
        self.load_log(now, &directory, world)?;
        Ok(())
    }

    pub(crate) fn forget_everything(&mut self) {
        for index in 0..self.keyspace.databases() {
            let detached = self.keyspace.db_mut(index).clear();
            self.garbage.push(Garbage::Table(detached));
        }
        drop(self.scripts.libraries.flush());
    }

    /// The keyspace as the base of a new log.
    fn encode_base(&mut self, now: Now) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        if !self.config.bool(Directive::AofUseRdbPreamble) {
            return self.encode_command_base(now);
        }
        let mut encoder = Encoder::new(self.rdb_options());
        let cut = self
            .keyspace
            .begin_cut(CutBounds { waiting_bytes_max: usize::MAX, preimage_bytes_max: usize::MAX });
        let feed = self.keyspace.cut_feed(cut).expect("a cut that was just begun");
        let (aux, sizes) = (self.aux(now, true), self.database_sizes());
        let mut sink = |block: &[u8]| {
            bytes.extend_from_slice(block);
            Ok(())
        };
        let texts = self.scripts.libraries.texts();
        let mut encoded = encoder.begin(&aux, &sizes, &mut sink);
        encoded = encoded.and_then(|()| encoder.functions(&texts, &mut sink));
        while encoded.is_ok() && !feed.is_finished() {
            self.keyspace.advance_cut(cut, 100_000);
            while let Some(batch) = feed.pop() {
                encoded = encoded.and_then(|()| encoder.batch(&batch, &mut sink));
            }
        }
        self.keyspace.end_cut(cut);
        encoded.and_then(|()| encoder.finish(&mut sink)).map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    fn encode_command_base(&mut self, now: Now) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let base = self.command_base();
        let mut encoder = crate::command_base::CommandEncoder::new(base, now.unix());
        let cut = self
            .keyspace
            .begin_cut(CutBounds { waiting_bytes_max: usize::MAX, preimage_bytes_max: usize::MAX });
        let feed = self.keyspace.cut_feed(cut).expect("a cut that was just begun");
        let mut sink = |block: &[u8]| {
            bytes.extend_from_slice(block);
            Ok(())
        };
        let texts = self.scripts.libraries.texts();
        let mut encoded = encoder.functions(&texts, &mut sink);
        while encoded.is_ok() && !feed.is_finished() {
            self.keyspace.advance_cut(cut, 100_000);
            while let Some(batch) = feed.pop() {
                encoded = encoded.and_then(|()| encoder.batch(&batch, &mut sink));
            }
        }
        self.keyspace.end_cut(cut);
        encoded
            .and_then(|()| encoder.finish(&mut sink))
            .map_err(|error: std::io::Error| error.to_string())?;
        Ok(bytes)
    }
}

/// Reads an RDB file into a keyspace.
fn read_rdb(
    file: &Arc<dyn DiskFile>,
    options: &LoadOptions,
    keyspace: &mut Keyspace,
    (seconds, counts_uses): (u32, bool),
    merges: bool,
) -> Result<LoadReport, String> {
    let mut told = 0;
    let report = tenon_rdb::load(
        &mut FileSource::new(Arc::clone(file), 0),
        options,
        &mut |key| {
            let database = keyspace.db_mut(key.database);
            database.set_clock(seconds);
            let replaced = database.insert(key.key, key.value, key.expires_at);
            match key.access {
                Access::IdleSeconds(idle) if !counts_uses => {
                    database.touch(key.key, AccessRule::with_idle_seconds(idle, seconds));
                }
                Access::Frequency(counter) if counts_uses => {
                    database.touch(key.key, AccessRule::with_frequency(counter, seconds));
                }
                _ => {}
            }
            merges || replaced.is_none()
        },
        &mut |bytes| {
            if bytes >= told + PROGRESS_LINE_BYTES {
                told = bytes;
                tracing::info!("Loading: {} MB read", bytes >> 20);
            }
            ControlFlow::Continue(())
        },
    );
    report.map_err(|error| error.to_string())
}

/// Reads an RDB file through, and keeps nothing.
fn check_rdb(file: &Arc<dyn DiskFile>, options: &LoadOptions) -> Result<(), String> {
    let mut source = FileSource::new(Arc::clone(file), 0);
    let checked = tenon_rdb::load(&mut source, options, &mut |_| true, &mut |_| ControlFlow::Continue(()));
    checked.map(|_| ()).map_err(|error| error.to_string())
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

/// What DEBUG RELOAD does besides loading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReloadSteps {
    /// Saves first.
    pub(crate) saves: bool,
    /// Forgets everything before it loads.
    pub(crate) flushes: bool,
    /// What is in the file replaces what is in memory.
    pub(crate) merges: bool,
}

/// Takes in what the log holds.
struct Sink<'a> {
    engine: &'a mut Engine,
    now: Now,
    database: usize,
    /// Replies that nobody reads.
    reply: Vec<u8>,
    told_bytes: u64,
}

impl LoadSink for Sink<'_> {
    fn rdb(&mut self, file: &Arc<dyn DiskFile>) -> Result<BaseLoaded, String> {
        // Later records may speak of keys that have expired meanwhile, so the base keeps them.
        let report = self.engine.load_rdb(self.now, file, None, false)?;
        Ok(BaseLoaded { bytes: report.bytes, origin: origin_of(&report) })
    }

    fn command(&mut self, args: Args<'_>) -> Result<(), String> {
        let name = args.get(0);
        let name = String::from_utf8_lossy(&name[..name.len().min(NAME_SHOWN_BYTES_MAX)]).into_owned();
        if name.eq_ignore_ascii_case("select") {
            let index = args.try_get(1).and_then(tenon_resp::parse_integer);
            let index = index.and_then(|index| usize::try_from(index).ok());
            let databases = self.engine.keyspace.databases();
            self.database = index.filter(|&index| index < databases).ok_or_else(|| {
                format!("SELECT names a database beyond the {databases} that are configured")
            })?;
            return Ok(());
        }
        if name.eq_ignore_ascii_case("ping") {
            return Ok(());
        }
        let engine = &mut *self.engine;
        if name.eq_ignore_ascii_case("function") {
            return engine.replay_function(args).map_err(|error| format!("'function' was refused: {error}"));
        }
        let table = &engine.commands;
        let id = table.resolve(args).map_err(|unresolved| match unresolved {
            Unresolved::Command => format!("Unknown command '{name}'"),
            Unresolved::Subcommand(_) => format!("Unknown subcommand of '{name}'"),
        })?;
        if !table[id].accepts(args.len()) {
            return Err(format!("wrong number of arguments for '{name}'"));
        }
        let Run::Data(handler) = table[id].run else {
            return Err(format!("'{name}' is no command that changes data"));
        };
        let mut db = Db::new(
            &mut engine.keyspace,
            self.database,
            self.now,
            UnitOrigin::Load,
            &mut engine.lookups,
            &mut engine.unit,
        );
        db.lazy_expire = false;
        let mut context = Context {
            db,
            reply: Reply::new(&mut self.reply, Proto::Resp2),
            dice: &mut engine.dice,
            limits: &engine.limits,
            garbage: &mut engine.garbage,
        };
        let outcome = handler(&mut context, args);
        engine.unit.clear();
        self.reply.clear();
        outcome.map_err(|error| format!("'{name}' was refused: {error}"))
    }

    fn progress(&mut self, loaded_bytes: u64, total_bytes: u64) {
        if loaded_bytes >= self.told_bytes + PROGRESS_LINE_BYTES {
            self.told_bytes = loaded_bytes;
            let percent = loaded_bytes * 100 / total_bytes.max(1);
            tracing::info!("Loading the append-only file: {percent} % of {} MB", total_bytes >> 20);
        }
    }

    fn notice(&mut self, line: LoadNotice) {
        if line.is_warning {
            tracing::warn!("{}", line.text);
        } else {
            tracing::info!("{}", line.text);
        }
    }
}
