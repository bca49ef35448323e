//! Brings back what was saved: the append-only file if there is one, else the dump file. Others are heard meanwhile, see
//! `loading`.
//! Always: a load changes nothing of its own accord; it runs effects, and they decide nothing.

mod keys_ahead;
mod keys_arriving;
mod rdb;

use std::any::Any;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use std::sync::Arc;

use tenon_aof::{
    BaseLoaded, Directory, LoadNotice, LoadOptions as AofOptions, LoadSink, Loaded, Log, Origin, Start,
};
use tenon_base::{ConnectionId, Disk, DiskFile, Micros, Now, World, describe};
use tenon_commands::Garbage;
use tenon_config::Directive;
use tenon_journal::{ReplicationId, ReplicationOffset};
use tenon_keyspace::CutBounds;
use tenon_rdb::{Encoder, LoadReport};
use tenon_replication::Second;
use tenon_resp::{Args, Proto, Reply};

use crate::durability::initial_log_settings;
use crate::engine::Engine;
use crate::leftovers::remove_leftovers;
use crate::loading::Loading;
use crate::scripts::run_effect;
use crate::server;
use crate::table::{CommandId, CommandTable, Run, Unresolved};

pub(crate) use keys_ahead::KeyRead;
pub(crate) use keys_arriving::{KeysArriving, Taken};
pub(crate) use rdb::told;

/// Why a load ended that nobody wants any more.
const GIVEN_UP: &str = "the load was given up: the server ends";
/// Bytes of a command's name that an error shows; no known one is longer.
const NAME_SHOWN_BYTES_MAX: usize = 128;

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

    /// Loads the log into the keyspace.
    pub(crate) fn load_log(
        &mut self,
        now: Now,
        directory: &Directory,
        world: &mut World<'_>,
    ) -> Result<Loaded, String> {
        let options = AofOptions {
            cut_torn_end: self.config.bool(Directive::AofLoadTruncated),
            damaged_tail_bytes_max: self.config.memory(Directive::AofLoadCorruptTailMaxSize),
            checksum: self.config.bool(Directive::AofChecksum),
        };
        let old_file = self.directory().join(OsStr::from_bytes(self.config.text(Directive::AppendFilename)));
        let disk = world.disk;
        self.count_to_load(log_bytes(directory, disk));
        // What is in the file has its own names, whatever clients call it.
        let own_names = !self.config.renames().is_empty();
        let own_names = own_names.then(|| CommandTable::new(tenon_commands::TABLES, server::TABLES, &[]));
        let began = world.stopwatch.read();
        let base = (0, Micros(0));
        let mut sink = Sink { engine: self, world, now, database: 0, reply: Vec::new(), own_names, base };
        let loaded = tenon_aof::load(disk, directory, Some(&old_file), options, &mut sink)
            .map_err(|error| error.to_string())?;
        let (base_bytes, base_spent) = sink.base;
        let replayed = Micros(world.stopwatch.read().since(began).0.saturating_sub(base_spent.0));
        LoadRates::note(&mut self.loaded.rates.replay, loaded.bytes.saturating_sub(base_bytes), replayed);
        self.loaded.bytes += loaded.bytes;
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

    /// DEBUG RELOAD: saves, forgets everything and loads it again.
    pub(crate) fn reload(
        &mut self,
        now: Now,
        steps: ReloadSteps,
        client: ConnectionId,
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
        self.begin_load(Loading::InPlace, file.length().unwrap_or(0), Some(client), world);
        let loaded = self.load_rdb(now, &file, None, steps.merges, world);
        self.end_load();
        loaded.map(drop)
    }

    /// DEBUG LOADAOF: forgets everything and loads it again from the log.
    pub(crate) fn reload_log(
        &mut self,
        now: Now,
        client: ConnectionId,
        world: &mut World<'_>,
    ) -> Result<(), String> {
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
        self.begin_load(Loading::InPlace, 0, Some(client), world);
        let loaded = self.load_log(now, &directory, world);
        self.end_load();
        let loaded = loaded?;
        if let Some(log) = self.durability.log_mut() {
            log.take_manifest(loaded.manifest);
        }
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
    fn encode_base(&mut self, now: Now, world: &mut World<'_>) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        if !self.config.bool(Directive::AofUseRdbPreamble) {
            return self.encode_command_base(now, world);
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
            if self.load_goes_on(world).is_break() {
                encoded = Err(std::io::Error::other(GIVEN_UP));
            }
            self.keyspace.advance_cut(cut, ENCODED_UNITS);
            while let Some(batch) = feed.pop() {
                encoded = encoded.and_then(|()| encoder.batch(&batch, &mut sink));
            }
        }
        self.keyspace.end_cut(cut);
        encoded.and_then(|()| encoder.finish(&mut sink)).map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    fn encode_command_base(&mut self, now: Now, world: &mut World<'_>) -> Result<Vec<u8>, String> {
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
            if self.load_goes_on(world).is_break() {
                encoded = Err(std::io::Error::other(GIVEN_UP));
            }
            self.keyspace.advance_cut(cut, ENCODED_UNITS);
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

/// How long the files of a log are. One that cannot be opened is found out when it is loaded.
fn log_bytes(directory: &Directory, disk: &dyn Disk) -> u64 {
    let Ok(manifest) = directory.read_manifest(disk) else { return 0 };
    let length = |name: &str| disk.open(&directory.file(name), false).and_then(|file| file.length());
    manifest.live().map(|file| length(&file.name).unwrap_or(0)).sum()
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

/// What is encoded of a base between two looks at who wants to be heard.
const ENCODED_UNITS: usize = 10_000;

/// What loads came to.
#[derive(Debug, Default)]
pub(crate) struct LoadSums {
    /// Bytes read by all loads.
    pub(crate) bytes: u64,
    /// Keys of the last RDB file.
    pub(crate) keys: u64,
    /// Of these, how many had expired and were left out.
    pub(crate) expired: u64,
    pub(crate) rates: LoadRates,
}

/// How quickly loads went, in bytes a second; `None` before one of weight.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LoadRates {
    /// Of RDB files, also as bases.
    pub(crate) base: Option<u64>,
    /// Of commands that were replayed.
    pub(crate) replay: Option<u64>,
}

impl LoadRates {
    /// Less says more about fixed costs than about the rate.
    const BYTES_MIN: u64 = 1 << 20;

    fn note(rate: &mut Option<u64>, bytes: u64, spent: Micros) {
        if bytes >= Self::BYTES_MIN {
            let per_second = u128::from(bytes) * 1_000_000 / u128::from(spent.0.max(1));
            *rate = Some(u64::try_from(per_second).unwrap_or(u64::MAX));
        }
    }
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
struct Sink<'a, 'w> {
    engine: &'a mut Engine,
    world: &'a mut World<'w>,
    now: Now,
    database: usize,
    /// Replies that nobody reads.
    reply: Vec<u8>,
    /// Commands by their own names, if clients have others for them.
    own_names: Option<CommandTable>,
    /// The bytes of the RDB part, and how long it took.
    base: (u64, Micros),
}

impl Sink<'_, '_> {
    /// What servers of old put into their logs beside commands that change data: scripts.
    #[cold]
    fn script_command(&mut self, id: CommandId, args: Args<'_>) -> Result<(), String> {
        let engine = &mut *self.engine;
        let own_names = self.own_names.as_ref();
        let command = &own_names.unwrap_or(&engine.commands)[id];
        if let Some(runs) = command.runs {
            return engine.replay_script(self.now, self.database, runs, args, own_names, self.world);
        }
        match command.full_name.as_str() {
            "script|load" => {
                let loaded = engine.scripts.load(args.get(2), &mut engine.dice);
                loaded.map(drop).map_err(|error| error.to_string())
            }
            "script|flush" => {
                drop(engine.scripts.flush());
                Ok(())
            }
            _ => Err("it is no command that changes data".to_owned()),
        }
    }
}

impl LoadSink for Sink<'_, '_> {
    fn rdb(&mut self, file: &Arc<dyn DiskFile>) -> Result<BaseLoaded, String> {
        // Later records may speak of keys that have expired meanwhile, so the base keeps them.
        let began = self.world.stopwatch.read();
        let report = self.engine.load_rdb(self.now, file, None, false, self.world)?;
        self.base = (report.bytes, self.world.stopwatch.read().since(began));
        Ok(BaseLoaded { bytes: report.bytes, origin: origin_of(&report) })
    }

    fn coming(&mut self, commands: &mut dyn Iterator<Item = Args<'_>>) {
        self.engine.fetch_for_load(self.database, commands);
    }

    fn command(&mut self, args: Args<'_>) -> Result<(), String> {
        let name = args.get(0);
        if name.eq_ignore_ascii_case(b"select") {
            let index = args.try_get(1).and_then(tenon_resp::parse_integer);
            let index = index.and_then(|index| usize::try_from(index).ok());
            let databases = self.engine.keyspace.databases();
            self.database = index.filter(|&index| index < databases).ok_or_else(|| {
                format!("SELECT names a database beyond the {databases} that are configured")
            })?;
            return Ok(());
        }
        if name.eq_ignore_ascii_case(b"ping") {
            return Ok(());
        }
        let engine = &mut *self.engine;
        if name.eq_ignore_ascii_case(b"function") {
            return engine.replay_function(args).map_err(|error| format!("'function' was refused: {error}"));
        }
        let shown = || String::from_utf8_lossy(&name[..name.len().min(NAME_SHOWN_BYTES_MAX)]).into_owned();
        let table = self.own_names.as_ref().unwrap_or(&engine.commands);
        let id = table.resolve(args).map_err(|unresolved| match unresolved {
            Unresolved::Command => format!("Unknown command '{}'", shown()),
            Unresolved::Subcommand(_) => format!("Unknown subcommand of '{}'", shown()),
        })?;
        if !table[id].accepts(args.len()) {
            return Err(format!("wrong number of arguments for '{}'", shown()));
        }
        let Run::Data(handler) = table[id].run else {
            return self
                .script_command(id, args)
                .map_err(|error| format!("'{}' was refused: {error}", shown()));
        };
        let reply = Reply::new(&mut self.reply, Proto::Resp2);
        let outcome = run_effect(engine, self.now, self.database, handler, args, reply);
        self.reply.clear();
        outcome.map_err(|error| format!("'{}' was refused: {error}", shown()))?;
        if self.engine.load_took(self.world).is_break() { Err(GIVEN_UP.to_owned()) } else { Ok(()) }
    }

    fn progress(&mut self, loaded_bytes: u64, total_bytes: u64) {
        self.engine.count_to_load(total_bytes);
        // Whether to go on is asked with the next command.
        let _ = self.engine.load_read(loaded_bytes, self.world);
    }

    fn notice(&mut self, line: LoadNotice) {
        if line.is_warning {
            tracing::warn!("{}", line.text);
        } else {
            tracing::info!("{}", line.text);
        }
    }
}
