//! An RDB file taken in: into the keyspace, beside it, or only looked at.
//! Always: what takes the place of everything does so once it was read to its end.

use std::cell::RefCell;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use tenon_base::{DiskFile, Now, UnixMillis, World};
use tenon_commands::Garbage;
use tenon_config::Directive;
use tenon_keyspace::{AccessRule, Keyspace};
use tenon_rdb::{Access, Decoder, FileSource, Limits, LoadError, LoadOptions, LoadReport, LoadedKey, Source};

use super::{GIVEN_UP, LoadRates};
use crate::engine::Engine;
use crate::loading::Loading;
use crate::scripts::{Loading as LibraryLoading, RestorePolicy};

/// Where the keys of a file go.
enum Target<'a> {
    /// Into the keyspace. A key that is there already is replaced if it `merges`, else it is an error.
    Keyspace { merges: bool },
    /// Into one that is to take its place.
    Beside(&'a mut Keyspace),
    /// Nowhere: the file is only looked at.
    Nowhere,
}

impl Engine {
    /// Loads an RDB file into the keyspace. Keys that expired before `passes_over` are left out; a key that is
    /// there already is an error, unless it `merges`.
    pub(super) fn load_rdb(
        &mut self,
        now: Now,
        file: &Arc<dyn DiskFile>,
        passes_over: Option<UnixMillis>,
        merges: bool,
        world: &mut World<'_>,
    ) -> Result<LoadReport, String> {
        let options = self.load_options(passes_over);
        let began = world.stopwatch.read();
        let report = self.read_rdb(now, file, &options, Target::Keyspace { merges }, world)?;
        let spent = world.stopwatch.read().since(began);
        LoadRates::note(&mut self.load_rates.base, report.bytes, spent);
        for text in &report.libraries {
            let mut loading = LibraryLoading { stopwatch: None, seed: self.dice.roll() };
            let loaded = self.scripts.libraries.load(text, merges, &mut loading);
            self.scripts.function_vm_bytes = self.scripts.libraries.vm_bytes();
            loaded?;
        }
        self.note_loaded(&report);
        Ok(report)
    }

    /// Puts what an RDB file holds in the place of everything. If it cannot be read nothing has changed: where there
    /// is room the file is loaded beside what is here, else it is read through once before anything is let go.
    pub(crate) fn replace_by_rdb(
        &mut self,
        now: Now,
        file: &Arc<dyn DiskFile>,
        is_beside: bool,
        world: &mut World<'_>,
    ) -> Result<LoadReport, String> {
        let options = self.load_options(None);
        let bytes = file.length().unwrap_or(0);
        if is_beside {
            return self.replace_from_beside(now, file, bytes, &options, world);
        }
        self.begin_load(Loading::Beside, bytes, None, world);
        let checked = self.read_rdb(now, file, &options, Target::Nowhere, world);
        self.end_load();
        checked?;
        self.forget_everything();
        self.begin_load(Loading::InPlace, bytes, None, world);
        let loaded = self.load_rdb(now, file, None, false, world);
        self.end_load();
        if loaded.is_err() {
            self.forget_everything();
        }
        loaded
    }

    fn replace_from_beside(
        &mut self,
        now: Now,
        file: &Arc<dyn DiskFile>,
        bytes: u64,
        options: &LoadOptions,
        world: &mut World<'_>,
    ) -> Result<LoadReport, String> {
        let mut fresh = self.keyspace.beside();
        self.begin_load(Loading::Beside, bytes, None, world);
        let read = self.read_rdb(now, file, options, Target::Beside(&mut fresh), world);
        self.end_load();
        let loaded = read.and_then(|report| {
            let mut loading = LibraryLoading { stopwatch: None, seed: self.dice.roll() };
            let libraries = &mut self.scripts.libraries;
            libraries.restore(&report.libraries, RestorePolicy::Flush, &mut loading)?;
            self.scripts.function_vm_bytes = libraries.vm_bytes();
            Ok(report)
        });
        match loaded {
            Ok(report) => {
                let former = self.keyspace.take_over(fresh);
                self.garbage.extend(former.into_iter().map(Garbage::Table));
                self.note_loaded(&report);
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
        let options = self.load_options(None);
        let decoder = Decoder::new(FileSource::new(Arc::clone(file), 0), &options);
        decoder.is_ok_and(|mut decoder| matches!(decoder.next_key(), Ok(None)))
    }

    fn read_rdb(
        &mut self,
        now: Now,
        file: &Arc<dyn DiskFile>,
        options: &LoadOptions,
        target: Target<'_>,
        world: &mut World<'_>,
    ) -> Result<LoadReport, String> {
        let clock = (now.unix().seconds() as u32, self.limits.access.counts_uses());
        let taker = RefCell::new(Taker { engine: self, world, target, clock });
        let read = read_all(file, options, &taker);
        if taker.borrow().engine.is_over {
            return Err(GIVEN_UP.to_owned());
        }
        read.map_err(|error| error.to_string())
    }

    fn note_loaded(&mut self, report: &LoadReport) {
        if report.module_data > 0 {
            tracing::warn!(
                "The file holds {} pieces of module data, which are passed over: the next save will not have them",
                report.module_data
            );
        }
        (self.keys_loaded, self.keys_expired_at_load) = (report.keys, report.expired);
        tracing::info!("Done loading RDB, keys loaded: {}, keys expired: {}.", report.keys, report.expired);
    }

    fn load_options(&self, passes_over: Option<UnixMillis>) -> LoadOptions {
        LoadOptions {
            limits: Limits {
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
}

fn read_all(
    file: &Arc<dyn DiskFile>,
    options: &LoadOptions,
    taker: &RefCell<Taker<'_, '_>>,
) -> Result<LoadReport, LoadError> {
    let source = Watched { file: FileSource::new(Arc::clone(file), 0), bytes: 0, taker };
    let mut decoder = Decoder::new(source, options)?;
    let mut is_first = true;
    while let Some(key) = decoder.next_key()? {
        if !taker.borrow_mut().take(key) {
            return Err(decoder.duplicate());
        }
        if std::mem::take(&mut is_first) {
            taker.borrow_mut().engine.note_load_head(&decoder.report().aux);
        }
    }
    Ok(decoder.report().clone())
}

/// Takes in the keys of a file. Borrowed by turns: by whoever reads its bytes and by whoever has its keys.
struct Taker<'a, 'w> {
    engine: &'a mut Engine,
    world: &'a mut World<'w>,
    target: Target<'a>,
    /// Seconds since 1970, and whether uses are counted instead of times.
    clock: (u32, bool),
}

impl Taker<'_, '_> {
    /// Says whether the key may be there.
    fn take(&mut self, key: LoadedKey<'_>) -> bool {
        let (keyspace, merges) = match &mut self.target {
            Target::Keyspace { merges } => (&mut self.engine.keyspace, *merges),
            Target::Beside(fresh) => (&mut **fresh, false),
            Target::Nowhere => return true,
        };
        let is_new = insert(keyspace, self.clock, key);
        // Whether to go on is asked with the next read.
        let _ = self.engine.load_took(self.world);
        is_new || merges
    }
}

fn insert(keyspace: &mut Keyspace, (seconds, counts_uses): (u32, bool), key: LoadedKey<'_>) -> bool {
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
    replaced.is_none()
}

/// A file that tells how far it was read.
struct Watched<'a, 'b, 'w> {
    file: FileSource,
    bytes: u64,
    taker: &'a RefCell<Taker<'b, 'w>>,
}

impl Source for Watched<'_, '_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let taker = &mut *self.taker.borrow_mut();
        if let ControlFlow::Break(()) = taker.engine.load_read(self.bytes, taker.world) {
            return Err(io::Error::other(GIVEN_UP));
        }
        let count = self.file.read(buffer)?;
        self.bytes += count as u64;
        Ok(count)
    }
}
