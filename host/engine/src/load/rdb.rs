//! An RDB file taken in: into the keyspace, beside it, or only looked at.
//! Always: what takes the place of everything does so once it was read to its end.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tenon_base::{DiskFile, NextPiece, Now, UnixMillis, World};
use tenon_commands::Garbage;
use tenon_config::Directive;
use tenon_keyspace::{AccessRule, Keyspace, NewEntry};
use tenon_rdb::{Access, Decoder, FileSource, Limits, LoadError, LoadOptions, LoadReport};

use super::keys_ahead::{KeyPiece, KeyRead, KeysAhead};
use super::keys_arriving::KeysArriving;
use super::{GIVEN_UP, LoadRates};
use crate::engine::Engine;
use crate::loading::Loading;
use crate::scripts::{Loading as LibraryLoading, RestorePolicy};

/// How many keys ahead their buckets are fetched into the cache.
const BUCKETS_AHEAD: usize = 12;
/// How many keys a line of the log names.
const KEYS_NAMED: usize = 10;

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
        LoadRates::note(&mut self.loaded.rates.base, report.bytes, spent);
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
        match read.and_then(|report| self.take_over(&mut fresh, &report).map(|()| report)) {
            Ok(report) => Ok(report),
            Err(error) => {
                for index in 0..fresh.databases() {
                    self.garbage.push(Garbage::Table(fresh.db_mut(index).clear()));
                }
                Err(error)
            }
        }
    }

    /// Puts what was loaded beside the data in its place, libraries of functions included. If those cannot be, nothing
    /// has changed.
    pub(crate) fn take_over(&mut self, fresh: &mut Keyspace, report: &LoadReport) -> Result<(), String> {
        let mut loading = LibraryLoading { stopwatch: None, seed: self.dice.roll() };
        let libraries = &mut self.scripts.libraries;
        libraries.restore(&report.libraries, RestorePolicy::Flush, &mut loading)?;
        self.scripts.function_vm_bytes = libraries.vm_bytes();
        let former = self.keyspace.take_over(fresh);
        self.garbage.extend(former.into_iter().map(Garbage::Table));
        self.note_loaded(report);
        Ok(())
    }

    /// What reads a snapshot that arrives, for a keyspace beside this one.
    pub(crate) fn keys_arriving(&self) -> KeysArriving {
        KeysArriving::new(&self.load_options(None), self.keyspace.entry_maker())
    }

    /// Takes one key of it in.
    pub(crate) fn take_in_arrived(
        fresh: &mut Keyspace,
        clock: (u32, bool),
        key: KeyRead,
    ) -> Result<(), String> {
        let at = key.end_offset;
        take_in(fresh, clock, false, key).map_err(|entry| told(LoadError::duplicate(at, entry.key())))
    }

    /// By what clock keys are taken in that were last used some time before a load.
    pub(crate) fn load_clock(&self, now: Now) -> (u32, bool) {
        (now.unix().seconds() as u32, self.limits.access.counts_uses())
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
        mut target: Target<'_>,
        world: &mut World<'_>,
    ) -> Result<LoadReport, String> {
        let clock = self.load_clock(now);
        let maker = match &target {
            Target::Keyspace { .. } => Some(self.keyspace.entry_maker()),
            Target::Beside(fresh) => Some(fresh.entry_maker()),
            Target::Nowhere => None,
        };
        let read_bytes = Arc::new(AtomicU64::new(0));
        let keys = KeysAhead::new(Arc::clone(file), *options, maker, Arc::clone(&read_bytes));
        let mut pieces = world.interlude.ahead(Box::new(keys));
        let mut is_first = true;
        loop {
            if self.load_read(read_bytes.load(Ordering::Relaxed), world).is_break() {
                return Err(GIVEN_UP.to_owned());
            }
            let piece = match pieces.next() {
                NextPiece::Piece(piece) => piece.downcast::<KeyPiece>().expect("pieces hold keys"),
                NextPiece::NotYet => continue,
                NextPiece::Over => return Err("the file ends without having been read".to_owned()),
            };
            if std::mem::take(&mut is_first) {
                self.note_load_head(&piece.aux);
            }
            if self.take_keys(&mut target, clock, piece.keys, world)?.is_break() {
                return Err(GIVEN_UP.to_owned());
            }
            if let Some(end) = piece.end {
                return end.map_err(told);
            }
        }
    }

    /// Takes the keys of one piece in.
    fn take_keys(
        &mut self,
        target: &mut Target<'_>,
        clock: (u32, bool),
        keys: Vec<KeyRead>,
        world: &mut World<'_>,
    ) -> Result<ControlFlow<()>, String> {
        let ahead: Vec<(usize, u64)> = keys.iter().map(|key| (key.database, key.entry.hash())).collect();
        for (index, key) in keys.into_iter().enumerate() {
            let (keyspace, merges) = match target {
                Target::Keyspace { merges } => (&mut self.keyspace, *merges),
                Target::Beside(fresh) => (&mut **fresh, false),
                Target::Nowhere => break,
            };
            if let Some(&(database, hash)) = ahead.get(index + BUCKETS_AHEAD) {
                keyspace.db(database).prefetch_bucket(hash);
            }
            let at = key.end_offset;
            if let Err(entry) = take_in(keyspace, clock, merges, key) {
                return Err(told(LoadError::duplicate(at, entry.key())));
            }
            if self.load_took(world).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn note_loaded(&mut self, report: &LoadReport) {
        if report.module_data > 0 {
            tracing::warn!(
                "The file holds {} pieces of module data, which are passed over: the next save will not have them",
                report.module_data
            );
        }
        if report.module_values > 0 {
            tracing::warn!(
                "{} keys hold values of modules, which are passed over: the next save will not have them. The first: {}",
                report.module_values,
                named(&report.module_keys)
            );
        }
        if report.field_times > 0 {
            tracing::warn!(
                "{} fields of hashes have expiry times, which are not kept: they stay until they are deleted. The first \
                 such hashes: {}",
                report.field_times,
                named(&report.timed_keys)
            );
        }
        if report.slot_imports > 0 {
            tracing::warn!(
                "{} ranges of slots were on their way to the server that wrote the file: their keys are those that had \
                 arrived",
                report.slot_imports
            );
        }
        (self.loaded.keys, self.loaded.expired) = (report.keys, report.expired);
        for key in &report.empty_keys {
            tracing::info!("skipping empty key: {}", key.escape_ascii());
        }
        let LoadReport { keys, expired, empty, .. } = report;
        if *empty == 0 {
            tracing::info!("Done loading RDB, keys loaded: {keys}, keys expired: {expired}.");
        } else {
            tracing::info!(
                "Done loading RDB, keys loaded: {keys}, keys expired: {expired}, empty keys skipped: {empty}."
            );
        }
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

/// The first of these keys, as a person reads them.
fn named(keys: &[Vec<u8>]) -> String {
    let shown = keys.iter().take(KEYS_NAMED).map(|key| format!("\"{}\"", key.escape_ascii()));
    shown.collect::<Vec<_>>().join(", ")
}

/// The sentence of an error; the log has it in words for which people search.
pub(crate) fn told(error: LoadError) -> String {
    tracing::warn!("Internal error in RDB reading offset {}: {}", error.at, error.kind);
    error.to_string()
}

/// Gives the entry back if its key is there already and may not be.
fn take_in(
    keyspace: &mut Keyspace,
    (seconds, counts_uses): (u32, bool),
    merges: bool,
    key: KeyRead,
) -> Result<(), NewEntry> {
    let database = keyspace.db_mut(key.database);
    database.set_clock(seconds);
    let clock = match key.access {
        Access::IdleSeconds(idle) if !counts_uses => Some(AccessRule::with_idle_seconds(idle, seconds)),
        Access::Frequency(counter) if counts_uses => Some(AccessRule::with_frequency(counter, seconds)),
        _ => None,
    };
    database.take_in(key.entry, clock, merges).map(drop)
}
