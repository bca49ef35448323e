//! The append-only file taken in: its base, and the commands behind it, which run as effects. Which files these are and
//! where a torn end is cut is `tenon_aof`'s to say.
//! Always: a command that the log holds runs as it stands there, under its own name, whatever clients call it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use tenon_aof::{BaseLoaded, Directory, LoadNotice, LoadOptions as AofOptions, LoadSink, Loaded};
use tenon_base::{Disk, DiskFile, Micros, Now, World};
use tenon_config::Directive;
use tenon_resp::{Args, Proto, Reply};

use super::{GIVEN_UP, LoadRates, origin_of};
use crate::engine::Engine;
use crate::scripts::run_effect;
use crate::server;
use crate::table::{CommandId, CommandTable, Run, Unresolved};

/// Bytes of a command's name that an error shows; no known one is longer.
const NAME_SHOWN_BYTES_MAX: usize = 128;

impl Engine {
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
}

/// How long the files of a log are. One that cannot be opened is found out when it is loaded.
fn log_bytes(directory: &Directory, disk: &dyn Disk) -> u64 {
    let Ok(manifest) = directory.read_manifest(disk) else { return 0 };
    let length = |name: &str| disk.open(&directory.file(name), false).and_then(|file| file.length());
    manifest.live().map(|file| length(&file.name).unwrap_or(0)).sum()
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
