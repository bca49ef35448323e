//! Saves and rewrites: when they begin and what they leave behind. At most one of them at a time, as in Redis. What
//! is a rewrite's alone is in [`rewrite`], how the walk over the keyspace is paced in `walks`.
//! Always: a save begins between units, and shows the keyspace as it was at that moment.

use std::any::Any;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tenon_aof::{CommandBase, Origin};
use tenon_base::{Disk, Lane, Micros, Now, World};
use tenon_config::{Config, Directive};
use tenon_keyspace::{AbortReason, CutId};
use tenon_policy::{Job as JobFacts, NEVER, Outcome as PolicyOutcome, rewrite_is_limited};
use tenon_rdb::{AccessField, Aux, DatabaseSize, EncoderOptions};

use crate::command_base::CommandEncoder;
use crate::engine::{Engine, Purpose};
use crate::save_job::{Destination, Format, SaveControl, SaveEnd, SaveJob};
use crate::walks::Walk;

mod foreground;
mod policy;
mod received;
mod rewrite;

/// Work of one slice of a walk: 30 us where memory is at hand, a tenth of a millisecond where it is not.
pub(crate) const SLICE_UNITS: usize = 600;
/// A walk takes at most this share of the engine's time: one part in so many. The longest of a thousand waits grow with
/// it, because the more the engine does, the more often it meets what else runs on its processor.
pub(crate) const WALK_SHARE: u64 = 8;
/// Between two looks at a feed that is full.
pub(crate) const FULL_PAUSE: Micros = Micros(500);
/// Between two looks at what a cut still holds once all of it was handed over.
pub(crate) const DRAIN_PAUSE: Micros = Micros(5_000);
/// What the walk hands over waits in at most so many bytes.
pub(crate) const WAITING_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Pre-images may take at least so much, however small the keyspace is.
const PREIMAGE_BYTES_MIN: usize = 16 * 1024 * 1024;
/// Less data says nothing about how much of memory goes into a file.
const SIZED_MEMORY_BYTES_MIN: usize = 1 << 20;
/// Of data that was never written, one part in so many of its memory is taken for the least that it is on disk.
const UNSIZED_SHARE: usize = 20;

/// Saves and rewrites of one tenant.
pub(crate) struct Snapshots {
    running: Option<Running>,
    /// Of the running one. None while a rewrite waits for its increment, and once nothing of the cut is held any more.
    walk: Option<Walk>,
    pub(crate) save: History,
    pub(crate) rewrite: History,
    /// A save, or a rewrite, is to begin as soon as none is running.
    pub(crate) save_scheduled: bool,
    pub(crate) rewrite_scheduled: bool,
    /// When the last good save was made (or the server started), in seconds since 1970.
    pub(crate) last_save_unix: i64,
    /// `dirty_total` and the bytes of effects when the last good save began.
    dirty_at_save: u64,
    bytes_at_save: u64,
    /// Of the snapshot that was begun last.
    control: Arc<SaveControl>,
    /// How many cuts there were, which INFO shows where Redis shows forks.
    pub(crate) cuts: u64,
    /// Bytes of changed data that were put aside, all in all.
    pub(crate) spilled_bytes: u64,
    /// What all cuts held at most, since one was begun while there was none.
    pub(crate) held_bytes_peak: usize,
    /// The last snapshot's bytes in its file, and in memory.
    sized: Option<(u64, usize)>,
}

/// How one kind of job has fared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct History {
    pub(crate) last: PolicyOutcome,
    pub(crate) failures_in_a_row: u32,
    pub(crate) began: Option<Micros>,
    pub(crate) succeeded_at: Micros,
    pub(crate) last_duration: Micros,
    pub(crate) last_file_bytes: u64,
    /// What cuts held at most meanwhile.
    pub(crate) last_held_bytes: u64,
    /// Good ones since the start.
    pub(crate) count: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Save,
    Rewrite,
}

struct Running {
    kind: Kind,
    began: Now,
    dirty: u64,
    bytes: u64,
    /// It was told to end because nobody wants it any more.
    is_given_up: bool,
}

impl History {
    fn new(start: Micros) -> History {
        History {
            last: PolicyOutcome::NoneYet,
            failures_in_a_row: 0,
            began: None,
            succeeded_at: start,
            last_duration: Micros(0),
            last_file_bytes: 0,
            last_held_bytes: 0,
            count: 0,
        }
    }

    fn ended(&mut self, now: Now, began: Micros, result: &SaveEnd) {
        self.last_duration = now.steady.since(began);
        match result {
            Ok(bytes) => {
                self.last = PolicyOutcome::Ok;
                self.failures_in_a_row = 0;
                self.succeeded_at = now.steady;
                self.last_file_bytes = *bytes;
                self.count += 1;
            }
            Err(_) => {
                self.last = PolicyOutcome::Failed;
                self.failures_in_a_row += 1;
            }
        }
    }

    /// It could not even begin.
    fn refused(&mut self, now: Now) {
        self.began = Some(now.steady);
        self.last = PolicyOutcome::Failed;
        self.failures_in_a_row += 1;
    }

    fn facts(&self, now: Now, running: bool) -> JobFacts {
        JobFacts {
            running,
            last: self.last,
            failures_in_a_row: self.failures_in_a_row,
            since_attempt_ms: self.began.map_or(NEVER, |began| now.steady.since(began).millis()),
            since_success_ms: now.steady.since(self.succeeded_at).millis(),
            last_duration_ms: self.last_duration.millis(),
            last_file_bytes: self.last_file_bytes,
        }
    }
}

impl Snapshots {
    pub(crate) fn new(now: Now) -> Snapshots {
        Snapshots {
            running: None,
            walk: None,
            save: History::new(now.steady),
            rewrite: History::new(now.steady),
            save_scheduled: false,
            rewrite_scheduled: false,
            last_save_unix: now.unix().seconds(),
            dirty_at_save: 0,
            bytes_at_save: 0,
            control: Arc::default(),
            cuts: 0,
            spilled_bytes: 0,
            held_bytes_peak: 0,
            sized: None,
        }
    }

    /// Whether writes are refused because the last save failed.
    pub(crate) fn refuses_writes(&self, config: &Config) -> bool {
        self.save.last == PolicyOutcome::Failed
            && config.bool(Directive::StopWritesOnBgsaveError)
            && !config.save_points().is_empty()
    }

    /// Which job is at work.
    pub(crate) fn running(&self) -> Option<Kind> {
        self.running.as_ref().map(|running| running.kind)
    }

    /// When the running job began.
    pub(crate) fn running_since(&self) -> Option<Micros> {
        self.running.as_ref().map(|running| running.began.steady)
    }

    /// The cut of the running job, while anything of it is held.
    pub(crate) fn running_cut(&self) -> Option<CutId> {
        self.walk.as_ref().map(|walk| walk.cut)
    }

    pub(crate) fn walk(&mut self) -> &mut Option<Walk> {
        &mut self.walk
    }

    /// All cuts hold so many bytes now.
    pub(crate) fn note_held(&mut self, bytes: usize) {
        self.held_bytes_peak = self.held_bytes_peak.max(bytes);
    }

    /// A snapshot of so many bytes was written or read, while the data took so much memory.
    pub(crate) fn note_size(&mut self, file_bytes: u64, memory_bytes: usize) {
        self.sized = (memory_bytes >= SIZED_MEMORY_BYTES_MIN).then_some((file_bytes, memory_bytes));
    }

    /// What a snapshot will take on disk, guessed low.
    fn expected_bytes(&self, memory_bytes: usize) -> u64 {
        // Other data may be shorter on disk for the memory that it takes.
        let sized = self.sized.map(|(file_bytes, then)| (file_bytes * 3 / 4, then));
        let (file_bytes, then) = sized.unwrap_or((1, UNSIZED_SHARE));
        (u128::from(file_bytes) * memory_bytes as u128 / then.max(1) as u128) as u64
    }

    /// Keys and bytes that are in the file that is being written.
    pub(crate) fn written(&self) -> (u64, u64) {
        self.control.written()
    }

    /// Changes since the last good save.
    pub(crate) fn changes(&self, dirty_total: u64) -> u64 {
        dirty_total.saturating_sub(self.dirty_at_save)
    }

    pub(crate) fn wake_at(&self) -> Option<Micros> {
        self.walk.as_ref().map(Walk::wake_at)
    }

    /// Everything in memory is in a file, or was just loaded from one.
    pub(crate) fn nothing_changed(&mut self, dirty_total: u64, bytes_total: u64) {
        (self.dirty_at_save, self.bytes_at_save) = (dirty_total, bytes_total);
    }
}

impl Engine {
    /// Whether a job is writing to the disk.
    pub(crate) fn is_writing_snapshot(&self) -> bool {
        self.snapshots.running.is_some() || self.backups.is_running()
    }

    /// Whether a snapshot has room where it is to go. The error is a sentence.
    pub(crate) fn check_space(&self, directory: &Path, disk: &dyn Disk) -> Result<(), String> {
        let needed = self.snapshots.expected_bytes(self.keyspace.used_memory());
        match disk.free_bytes(directory) {
            Some(free) if free < needed => Err(format!(
                "No space left on device: {} has {free} bytes free, and about {needed} are needed; make room there, \
                 or configure a directory on another disk",
                directory.display()
            )),
            _ => Ok(()),
        }
    }

    /// Begins a save in the background. The error is a sentence, told to the log already.
    pub(crate) fn begin_save(&mut self, now: Now, world: &mut World<'_>) -> Result<(), String> {
        if self.snapshots.running.is_some() {
            return Err("a save or rewrite is in progress".to_owned());
        }
        if let Err(sentence) = self.check_space(&self.directory(), world.disk) {
            tracing::warn!("Background saving error: {sentence}");
            self.snapshots.save.refused(now);
            return Err(sentence);
        }
        self.replication.keep_dump();
        self.start_save(now, world);
        Ok(())
    }

    /// Begins a save whose file replicas are to be sent, if one can begin now.
    pub(crate) fn begin_save_for_replicas(&mut self, now: Now, world: &mut World<'_>) -> bool {
        if self.snapshots.running.is_some() || self.check_space(&self.directory(), world.disk).is_err() {
            return false;
        }
        self.start_save(now, world);
        self.snapshots.control.want_file();
        true
    }

    fn start_save(&mut self, now: Now, world: &mut World<'_>) {
        tracing::info!("Background saving started");
        let target = self.dump_path();
        let temporary = target.with_file_name(format!("temp-{}.rdb", self.identity.pid));
        let (walk, job) = self.cut_for_save(now, temporary, target);
        self.note_running(Kind::Save, now);
        self.snapshots.walk = Some(walk);
        self.start_job(Purpose::Save, Lane::Save, Box::new(job), world);
    }

    fn cut_for_save(&mut self, now: Now, temporary: PathBuf, target: PathBuf) -> (Walk, SaveJob) {
        self.cut_for(now, Destination { temporary, target: Some(target) }, false, true)
    }

    fn cut_for(
        &mut self,
        now: Now,
        destination: Destination,
        is_base: bool,
        is_rdb: bool,
    ) -> (Walk, SaveJob) {
        let format = if is_rdb { self.rdb_format(now, is_base) } else { self.command_format(now) };
        let walk = self.begin_walk(now, &format);
        let control = SaveControl::new(self.config.integer(Directive::RdbKeySaveDelay));
        self.snapshots.control = Arc::clone(&control);
        let (feed, spill) = (Arc::clone(walk.feed()), Arc::clone(walk.spill()));
        (walk, SaveJob::new(feed, format, destination, control, spill))
    }

    pub(crate) fn rdb_format(&self, now: Now, is_base: bool) -> Format {
        Format::Rdb {
            options: EncoderOptions { access: self.access_field(now), ..self.rdb_options() },
            aux: Box::new(self.aux(now, is_base)),
            sizes: self.database_sizes(),
            libraries: self.scripts.libraries.texts(),
        }
    }

    /// What a file says of the use of keys: what the policy of eviction goes by.
    fn access_field(&self, now: Now) -> AccessField {
        let policy = self.config.choice(Directive::MaxMemoryPolicy);
        if self.limits.access.counts_uses() {
            AccessField::Frequency
        } else if policy.ends_with("-lru") {
            AccessField::Idle { clock: now.unix().seconds() as u32 & 0x00FF_FFFF }
        } else {
            AccessField::None
        }
    }

    /// How RDB files are written, as configured.
    pub(crate) fn rdb_options(&self) -> EncoderOptions {
        self.limits.payload
    }

    /// What an RDB file says of its origin.
    pub(crate) fn aux(&self, now: Now, is_base: bool) -> Aux {
        // Where nothing counts the stream, an offset would promise a place that nobody can go on from.
        let is_counted = is_base || self.replication.primary.backlog().is_some();
        Aux {
            redis_version: Some(crate::REDIS_VERSION.to_owned()),
            tenon_version: Some(crate::TENON_VERSION.to_owned()),
            redis_bits: Some(64),
            created_seconds: Some(now.unix().seconds()),
            used_memory_bytes: Some(self.keyspace.used_memory() as i64),
            stream_database: is_counted.then(|| i64::from(self.stream_database())),
            replication_id: is_counted.then(|| self.replication_id().to_string()),
            replication_offset: is_counted.then(|| self.journal.offset().0 as i64),
            is_aof_base: Some(is_base),
        }
    }

    /// The database that the stream to replicas has selected.
    fn stream_database(&self) -> u32 {
        self.journal.home().or(self.journal.replica_db()).unwrap_or(0)
    }

    /// Sizes of the databases that hold something.
    pub(crate) fn database_sizes(&self) -> Vec<DatabaseSize> {
        let all = (0..self.keyspace.databases()).map(|database| {
            let db = self.keyspace.db(database);
            DatabaseSize { database, keys: db.len(), volatile: db.volatile_len() }
        });
        all.filter(|size| size.keys > 0).collect()
    }

    pub(crate) fn command_format(&self, now: Now) -> Format {
        let base = self.command_base();
        Format::Commands(CommandEncoder::new(base, now.unix()), self.scripts.libraries.texts())
    }

    /// A base of commands, as configured.
    pub(crate) fn command_base(&self) -> CommandBase {
        let checksum = self.config.bool(Directive::AofChecksum);
        CommandBase::new(self.origin(), checksum, self.config.bool(Directive::AofTimestampEnabled))
    }

    /// The place in our own stream.
    pub(crate) fn origin(&self) -> Origin {
        Origin {
            replication_id: self.replication_id(),
            offset: self.journal.offset(),
            db: self.stream_database(),
        }
    }

    pub(crate) fn preimage_bytes_max(&self) -> usize {
        let used = self.keyspace.used_memory() as u64;
        let configured = self.config.memory_of(Directive::SnapshotMemoryMax, used);
        usize::try_from(configured).unwrap_or(usize::MAX).max(PREIMAGE_BYTES_MIN)
    }

    /// Where the dump file is.
    pub(crate) fn dump_path(&self) -> PathBuf {
        self.directory().join(OsStr::from_bytes(self.config.text(Directive::DbFilename)))
    }

    /// `dir`, which the server made absolute.
    pub(crate) fn directory(&self) -> PathBuf {
        PathBuf::from(OsStr::from_bytes(self.config.text(Directive::Dir)))
    }

    fn note_running(&mut self, kind: Kind, now: Now) {
        let history = match kind {
            Kind::Save => &mut self.snapshots.save,
            Kind::Rewrite => &mut self.snapshots.rewrite,
        };
        history.began = Some(now.steady);
        self.snapshots.running = Some(Running {
            kind,
            began: now,
            dirty: self.stats.dirty_total,
            bytes: self.journal.effect_bytes(),
            is_given_up: false,
        });
    }

    /// The job that wrote a snapshot has ended.
    pub(crate) fn save_ended(&mut self, now: Now, result: Box<dyn Any + Send>, world: &mut World<'_>) {
        let end = result.downcast::<SaveEnd>().map_or_else(
            |other| Err(other.downcast_ref::<String>().cloned().unwrap_or_else(|| "no result".to_owned())),
            |end| *end,
        );
        let Some(kind) = self.snapshots.running() else { return };
        self.end_walk();
        match kind {
            Kind::Save => self.save_settled(now, &end, world),
            Kind::Rewrite => self.base_written(now, end),
        }
        self.begin_scheduled(now, world);
    }

    fn save_settled(&mut self, now: Now, end: &SaveEnd, world: &mut World<'_>) {
        let Some(running) = self.snapshots.running.take() else { return };
        let former = self.snapshots.save;
        self.snapshots.save.ended(now, running.began.steady, end);
        if end.is_err() && running.is_given_up {
            // Nothing went wrong, so writes need not be refused.
            self.snapshots.save.last = former.last;
            self.snapshots.save.failures_in_a_row = former.failures_in_a_row;
        }
        self.snapshots.save.last_held_bytes = self.snapshots.held_bytes_peak as u64;
        match end {
            Ok(bytes) => {
                self.snapshots.note_size(*bytes, self.keyspace.used_memory());
                self.snapshots.nothing_changed(running.dirty, running.bytes);
                self.snapshots.last_save_unix = now.unix().seconds();
                tracing::info!("DB saved on disk: {bytes} bytes");
                tracing::info!("Background saving terminated with success");
            }
            Err(_) if running.is_given_up => tracing::info!("Background saving was given up"),
            Err(error) => tracing::warn!("Background saving error: {error}"),
        }
        let file = self.snapshots.control.take_file();
        self.dump_for_replicas_ended(now, end, file, world);
    }

    /// Gives up the running save, if there is one: FLUSHALL, SHUTDOWN NOSAVE.
    pub(crate) fn abort_save(&mut self) {
        let Some(running) = self.snapshots.running.as_mut().filter(|running| running.kind == Kind::Save)
        else {
            return;
        };
        running.is_given_up = true;
        self.snapshots.control.cancel();
        if let Some(cut) = self.snapshots.running_cut() {
            self.keyspace.abort_cut(cut, AbortReason::Cancelled);
        }
    }

    fn end_walk(&mut self) {
        if let Some(walk) = self.snapshots.walk.take() {
            self.keyspace.end_cut(walk.cut);
        }
    }

    /// `rdb-key-save-delay` may be another; what is being written goes on with it.
    pub(crate) fn save_settings_changed(&self) {
        self.snapshots.control.set_key_delay(self.config.integer(Directive::RdbKeySaveDelay));
    }

    /// Begins what was asked for while something else was at work.
    pub(crate) fn begin_scheduled(&mut self, now: Now, world: &mut World<'_>) {
        if self.snapshots.running.is_some() || self.is_rewrite_ending() {
            return;
        }
        let rewrite = self.snapshots.rewrite.facts(now, false);
        if self.snapshots.rewrite_scheduled && !rewrite_is_limited(now.unix().0, &rewrite) {
            self.snapshots.rewrite_scheduled = false;
            if let Err(sentence) = self.begin_rewrite(now, world.disk) {
                tracing::warn!("The scheduled rewrite cannot begin: {sentence}");
            }
        } else if self.snapshots.save_scheduled {
            self.snapshots.save_scheduled = false;
            // What went wrong is in the log.
            let _ = self.begin_save(now, world);
        }
    }
}

#[cfg(test)]
mod held_tests;
