//! The log and its fsyncs: what is appended when a turn settles, when it is synced, and what that releases.
//! What a reply waits for follows from the configuration alone; the fsync policy only says when to sync.
//! Always: nothing counts as written before the write returned, nor as synced before the fsync did.

mod sync;

use std::any::Any;
use std::collections::HashMap;

use tenon_aof::{JobId, Keep, Log, LogEvent, LogJob, Phase, Settings};
use tenon_base::{Level, Micros, Now, Stamp, World};
use tenon_commands::Touched;
use tenon_config::{AppendFsync, Config, Directive};
use tenon_journal::LogPosition;
use tenon_policy::{
    Bound, Cause, Durability as Promise, FsyncPlan, Outcome as PolicyOutcome, durability_in_force,
};

use crate::engine::{Engine, Purpose};

/// Keys remembered as unsynced before those that were synced meanwhile are swept out.
const UNSYNCED_KEYS_SWEEP: usize = 64 * 1024;
/// An fsync that takes so long is one that delays others, as Redis counts (microseconds).
const DELAYED_FROM_US: u64 = 2_000_000;
/// What a client learns whose write is in memory while the disk refuses it.
const NOT_ON_DISK: &[u8] =
    b"-MISCONF Errors writing to the AOF file: the write was applied in memory, not on disk. \
It will be written when the disk recovers.\r\n";

/// The state of durability of one tenant.
pub(crate) struct Durability {
    log: Option<Log>,
    /// The lock on the log's directory.
    lock: Option<Box<dyn Any + Send>>,
    promise: Promise,
    plan: FsyncPlan,
    /// The next moment that the plan names, while something is unsynced.
    plan_due: Option<Micros>,
    /// An fsync is wanted as soon as this comes, or the gathering is complete.
    gather_until: Option<Micros>,
    /// How many replies the last fsync released: so many are expected to gather.
    released: usize,
    cause: Option<Cause>,
    was_dirty: bool,
    /// How long everybody waits before each append (DEBUG AOF-FLUSH-SLEEP).
    pub(crate) flush_sleep: Micros,
    /// Where each unsynced key was last changed; kept under `always` only.
    unsynced: HashMap<(u32, u64), LogPosition>,
    /// Where something changed that no key tells: FLUSHALL.
    unsynced_all: LogPosition,
    /// Fsyncs under `everysec` that kept the next one waiting for long, as INFO counts them.
    pub(crate) delayed_fsyncs: u64,
    /// The fsync in flight has been counted among them.
    is_delaying: bool,
    /// The log is on only until it holds what is there.
    pub(crate) is_for_once: bool,
}

impl Default for Durability {
    fn default() -> Durability {
        Durability {
            log: None,
            lock: None,
            is_for_once: false,
            promise: Promise::No,
            plan: FsyncPlan::Wait { sync: Bound::NEVER, ask: Bound::NEVER },
            plan_due: None,
            gather_until: None,
            released: 0,
            cause: None,
            was_dirty: false,
            flush_sleep: Micros(0),
            unsynced: HashMap::new(),
            unsynced_all: LogPosition(0),
            delayed_fsyncs: 0,
            is_delaying: false,
        }
    }
}

impl Durability {
    /// Takes over the log, as loading has left it, with the lock on its directory.
    pub(crate) fn adopt(&mut self, log: Log, lock: Option<Box<dyn Any + Send>>) {
        self.log = Some(log);
        self.lock = lock;
    }

    pub(crate) fn log(&self) -> Option<&Log> {
        self.log.as_ref()
    }

    pub(crate) fn log_mut(&mut self) -> Option<&mut Log> {
        self.log.as_mut()
    }

    /// Whether anything unsynced waits for an fsync that has not begun, and whether one is in flight.
    pub(crate) fn fsyncs_pending(&self) -> u64 {
        self.log.as_ref().map_or(0, |log| u64::from(log.is_syncing()))
    }

    /// An fsync is due while another is in flight for so long. Under `always` that tells of no slow disk.
    fn note_delayed(&mut self, running_us: u64) {
        let is_long = running_us >= DELAYED_FROM_US && self.promise == Promise::Everysec;
        if is_long && !std::mem::replace(&mut self.is_delaying, true) {
            self.delayed_fsyncs += 1;
        }
    }

    /// Keeps, or lets go of, the lock on the log's directory.
    pub(crate) fn set_lock(&mut self, lock: Option<Box<dyn Any + Send>>) {
        self.lock = lock;
    }

    /// Whether there is a log that gathers records.
    pub(crate) fn is_on(&self) -> bool {
        self.log.as_ref().is_some_and(|log| log.phase() != Phase::Off)
    }

    /// What the reply to a unit that ended at `position` waits for.
    pub(crate) fn stamp(&self, position: LogPosition) -> Option<Stamp> {
        let log = self.log.as_ref()?;
        let level = match (log.phase(), self.promise) {
            // A log that is being switched on would not be loaded yet, so there is nothing to promise.
            (Phase::Off | Phase::Waiting, _) => return None,
            (Phase::On, Promise::Everysec | Promise::No) => Level::Written,
            (Phase::On, Promise::Always) => Level::Synced,
        };
        Some(Stamp { level, position: position.0 })
    }

    /// Whether reads may have to wait for what they saw.
    pub(crate) fn holds_reads(&self) -> bool {
        self.promise == Promise::Always && (!self.unsynced.is_empty() || self.unsynced_all > self.synced())
    }

    /// Whether units must say which keys they touched.
    pub(crate) fn wants_keys(&self) -> bool {
        self.promise == Promise::Always && self.is_on()
    }

    /// Remembers what a unit that ended at `position` changed. Without keys, or with whole databases, it may have
    /// been anything.
    pub(crate) fn note_touched(
        &mut self,
        touched: &[Touched],
        is_whole_database: bool,
        position: LogPosition,
    ) {
        if !self.wants_keys() {
            return;
        }
        if touched.is_empty() || is_whole_database {
            self.unsynced_all = position;
        }
        for key in touched {
            self.unsynced.insert((key.database, key.hash), position);
        }
        if self.unsynced.len() > UNSYNCED_KEYS_SWEEP {
            let synced = self.synced();
            self.unsynced.retain(|_, changed_at| *changed_at > synced);
        }
    }

    /// What a read of this key waits for.
    pub(crate) fn read_stamp(&self, database: u32, hash: u64) -> Option<Stamp> {
        let changed_at = self.unsynced.get(&(database, hash)).copied().unwrap_or(LogPosition(0));
        self.synced_stamp(changed_at.max(self.unsynced_all))
    }

    /// What a read that may have seen anything waits for.
    pub(crate) fn read_all_stamp(&self, position: LogPosition) -> Option<Stamp> {
        self.synced_stamp(position)
    }

    fn synced_stamp(&self, position: LogPosition) -> Option<Stamp> {
        (position > self.synced()).then_some(Stamp { level: Level::Synced, position: position.0 })
    }

    fn synced(&self) -> LogPosition {
        self.log.as_ref().map_or(LogPosition(0), Log::synced)
    }

    /// Why writes are refused, if they are: the disk's last answer.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.log.as_ref()?.failing().map(|(_, error)| error)
    }

    /// Whether so much waits for the disk that no write may run.
    pub(crate) fn is_full(&self) -> bool {
        self.log.as_ref().is_some_and(Log::is_full)
    }

    /// When settling is due if nothing else happens.
    pub(crate) fn wake_at(&self) -> Option<Micros> {
        self.log.as_ref()?.wake_at().into_iter().chain(self.gather_until).chain(self.plan_due).min()
    }

    /// The policy, or what it is told of the configuration, has changed.
    pub(crate) fn settings_changed(&mut self) {
        self.cause = Some(Cause::SettingsChanged);
    }
}

impl Engine {
    /// Ends a turn: appends what was sealed, asks the policy if there is reason to, and releases what that made
    /// safe.
    pub(crate) fn settle_log(&mut self, now: Now, world: &mut World<'_>) {
        self.append_sealed(now, world);
        let Some(log) = self.durability.log.as_mut() else { return };
        log.advance(self.journal.position(), self.journal.offset());
        self.keep_promise(now);
        self.release(world);
        self.decide_sync(now, world);
        self.run_log_jobs(now, world);
        self.hear_log(now, world);
        if self.snapshots.rewrite_scheduled {
            self.begin_scheduled(now, world);
        }
        self.end_rewrite_once(now, world);
    }

    /// What an append took, by what else kept the disk busy.
    pub(crate) fn note_append(&mut self, now: Now, spent: Micros, is_syncing: bool) {
        let circumstance = if is_syncing {
            "aof-write-pending-fsync"
        } else if self.is_writing_snapshot() {
            "aof-write-active-child"
        } else {
            "aof-write-alone"
        };
        self.latency.note(circumstance, spent, now);
        self.latency.note("aof-write", spent, now);
    }

    /// A job of the log has ended.
    pub(crate) fn log_job_ended(&mut self, now: Now, id: JobId, result: Box<dyn Any + Send>) {
        let Some(log) = self.durability.log.as_mut() else { return };
        let was_syncing = log.is_syncing();
        log.job_ended(now, id, result);
        if was_syncing && !log.is_syncing() {
            let took = Micros(log.facts(now).last_us);
            if self.durability.promise == Promise::Always {
                self.latency.note("aof-fsync-always", took, now);
            }
            self.durability.is_delaying = false;
            self.durability.cause = Some(Cause::FsyncEnded);
        }
    }

    /// Brings the level that replies wait for in line with `appendfsync` and `no-appendfsync-on-rewrite`.
    pub(crate) fn keep_promise(&mut self, now: Now) {
        let promise = durability_in_force(
            configured(&self.config),
            self.config.bool(Directive::NoAppendFsyncOnRewrite),
            self.is_writing_snapshot(),
        );
        if promise == self.durability.promise {
            return;
        }
        self.durability.promise = promise;
        self.durability.settings_changed();
        self.listen_to_units();
        let settings = log_settings(&self.config, promise);
        if let Some(log) = self.durability.log.as_mut() {
            log.change_settings(now, settings);
        }
    }

    /// Tells the log of directives that say how it is kept, from the next batch on.
    pub(crate) fn log_settings_changed(&mut self, now: Now, changed: &[Directive]) {
        const PROMISED: [Directive; 2] = [Directive::AppendFsync, Directive::NoAppendFsyncOnRewrite];
        if PROMISED.iter().any(|directive| changed.contains(directive)) {
            // What comes in the same turn is promised what the client has just asked for.
            self.keep_promise(now);
        }
        const KEPT: [Directive; 4] = [
            Directive::AofTimestampEnabled,
            Directive::AofUseRdbPreamble,
            Directive::AofPendingMax,
            Directive::AofDisableAutoGc,
        ];
        if !KEPT.iter().any(|directive| changed.contains(directive)) {
            return;
        }
        let settings = log_settings(&self.config, self.durability.promise);
        if let Some(log) = self.durability.log.as_mut() {
            log.change_settings(now, settings);
        }
    }

    /// CONFIG SET appendonly yes: what is in memory becomes the base of a new log. Nothing is promised until then.
    pub(crate) fn turn_log_on(&mut self, now: Now, world: &mut World<'_>) -> Result<(), String> {
        if self.durability.is_on() {
            return Ok(());
        }
        self.check_space(&self.directory(), world.disk)?;
        if self.durability.lock.is_none() {
            let lock = self.log_directory().lock(world.disk).map_err(|error| error.to_string())?;
            self.durability.set_lock(Some(lock));
        }
        if self.snapshots.running().is_some() || self.is_rewrite_ending() || self.is_in_exec {
            self.snapshots.rewrite_scheduled = true;
            tracing::info!(
                "The append-only file is switched on while something else is at work. An AOF background was \
                 scheduled to start when possible."
            );
            return Ok(());
        }
        let begun = self.begin_rewrite(now, world.disk);
        if begun.is_err() {
            self.durability.set_lock(None);
        }
        begun
    }

    /// Whether a rewrite that was given up still has a job at its files: the next one must wait for that.
    pub(crate) fn is_rewrite_ending(&self) -> bool {
        self.snapshots.running().is_none()
            && self.durability.log().is_some_and(|log| log.rewrite_stage().is_some())
    }

    /// BGREWRITEAOF while the log is off: it is switched on until it holds what is there now.
    pub(crate) fn rewrite_once(&mut self, now: Now, world: &mut World<'_>) -> Result<(), String> {
        self.turn_log_on(now, world)?;
        self.durability.is_for_once = true;
        Ok(())
    }

    /// Lets a log go that was to be written once, unless it is wanted for good by now.
    fn end_rewrite_once(&mut self, now: Now, world: &mut World<'_>) {
        if !self.durability.is_for_once
            || self.snapshots.rewrite_scheduled
            || self.snapshots.running() == Some(crate::snapshots::Kind::Rewrite)
        {
            return;
        }
        self.durability.is_for_once = false;
        if !self.config.bool(Directive::AppendOnly)
            && self.durability.is_on()
            && let Err(sentence) = self.turn_log_off(now, world)
        {
            tracing::warn!("The append-only file could not be let go: {sentence}");
        }
        let has_base = self.snapshots.rewrite.last == PolicyOutcome::Ok;
        if let Some(log) = self.durability.log_mut().filter(|_| has_base) {
            log.keep_base_alone();
        }
    }

    /// CONFIG SET appendonly no: what the log has is synced, then it is let go.
    pub(crate) fn turn_log_off(&mut self, now: Now, world: &mut World<'_>) -> Result<(), String> {
        self.append_sealed(now, world);
        self.abort_rewrite(now);
        let stopped = self.durability.log_mut().map_or(Ok(()), |log| log.stop(now));
        self.set_readers();
        self.durability.set_lock(None);
        self.durability.unsynced.clear();
        stopped
    }

    /// Says to units whether anybody must know what they touch.
    pub(crate) fn listen_to_units(&mut self) {
        let wants_events = crate::notify::is_wanted(self.notified);
        let wants_keys = self.durability.wants_keys()
            || !self.watchers.is_empty()
            || !self.waiting.queues.is_empty()
            || self.migrations.is_any_on_its_way();
        self.unit.listen(wants_events, wants_keys || self.tracking.is_on());
        self.unit.listen_to_names(self.tracking.wants_names());
    }

    /// Lets go the replies whose stamps are satisfied.
    fn release(&mut self, world: &mut World<'_>) {
        let Some(log) = self.durability.log.as_ref() else { return };
        let (written, synced) = (log.written().0, log.synced().0);
        let reached = world.outputs.reached();
        if (reached.written, reached.synced) == (written, synced) {
            return;
        }
        let held = if synced > reached.synced { world.outputs.held_segments() } else { 0 };
        world.outputs.reach(|reached| (reached.written, reached.synced) = (written, synced));
        if held > 0 {
            self.durability.released = held - world.outputs.held_segments();
        }
        if synced == self.journal.position().0 {
            self.durability.unsynced.clear();
        }
    }

    fn run_log_jobs(&mut self, now: Now, world: &mut World<'_>) {
        while let Some(job) = self.durability.log.as_mut().and_then(|log| log.take_job(now)) {
            self.start_log_job(job, world);
        }
    }

    fn start_log_job(&mut self, job: LogJob, world: &mut World<'_>) {
        self.start_job(Purpose::Log(job.id), job.lane, job.job, world);
    }

    /// What the log has to tell.
    fn hear_log(&mut self, now: Now, world: &mut World<'_>) {
        while let Some(event) = self.durability.log.as_mut().and_then(Log::take_event) {
            if event.is_warning() {
                tracing::warn!("{event}");
            } else {
                tracing::info!("{event}");
            }
            match event {
                LogEvent::Failed { .. } => {
                    world.outputs.replace_held_replies(NOT_ON_DISK);
                }
                LogEvent::RewriteReady => self.begin_rewrite_cut(now, world),
                LogEvent::RewriteFinished { base_bytes, .. } => self.rewrite_settled(now, Ok(base_bytes)),
                LogEvent::RewriteFailed { error } => self.rewrite_settled(now, Err(error)),
                LogEvent::TurnedOn => self.listen_to_units(),
                // What was lost from memory is still in the keyspace: a new base makes the log whole.
                LogEvent::Recovered { whole: false, .. } => self.snapshots.rewrite_scheduled = true,
                _ => {}
            }
        }
    }
}

/// What `appendfsync` promises.
fn configured(config: &Config) -> Promise {
    match config.append_fsync() {
        AppendFsync::Always => Promise::Always,
        AppendFsync::EverySecond => Promise::Everysec,
        AppendFsync::No => Promise::No,
    }
}

/// How the log is kept, as configured.
pub(crate) fn log_settings(config: &Config, promise: Promise) -> Settings {
    Settings {
        checksum: config.bool(Directive::AofChecksum),
        timestamps: config.bool(Directive::AofTimestampEnabled),
        base_is_rdb: config.bool(Directive::AofUseRdbPreamble),
        pending_bytes_max: config.memory(Directive::AofPendingMax),
        keep: if promise == Promise::No { Keep::UntilWritten } else { Keep::UntilSynced },
        writes_aside: promise != Promise::Always,
        remove_history: !config.bool(Directive::AofDisableAutoGc),
    }
}

/// The settings with which the log starts.
pub(crate) fn initial_log_settings(config: &Config) -> Settings {
    log_settings(config, configured(config))
}
