//! The section `persistence`: saves, the log, and loading.
//! Always: every field of Redis 7.2 is there; those of the log only while it is on, those of loading only while it goes
//! on.

use tenon_base::Now;
use tenon_config::Directive;
use tenon_policy::Outcome;

use super::{Facts, Lines};
use crate::engine::Engine;
use crate::loading::Loading;
use crate::snapshots::{History, Kind};

/// What is known of saves, the log and loading. The default is a server that never did any of it.
#[derive(Debug, Default)]
pub(crate) struct PersistenceInfo {
    /// Nobody is served until the data is there.
    pub(crate) is_loading: bool,
    /// Data is loaded while the old one is served.
    pub(crate) is_async_loading: bool,
    /// Bytes held for cuts: at most since the running save began, and now.
    pub(crate) cut_peak_bytes: u64,
    /// See `cut_peak_bytes`.
    pub(crate) cut_bytes: u64,
    /// Seconds since `cut_bytes` was read.
    pub(crate) cut_age_seconds: u64,
    /// Keys that the running save or rewrite has written, and all that it will.
    pub(crate) save_keys_done: u64,
    /// See `save_keys_done`.
    pub(crate) save_keys_total: u64,
    /// Redis's dirty count.
    pub(crate) changes_since_save: u64,
    /// When the last save that succeeded ended, in seconds since 1970; at first, when the server started.
    pub(crate) last_save_unix_seconds: i64,
    /// Background saves.
    pub(crate) save: JobInfo,
    /// Keys of the last RDB loaded that had expired, and those that were kept.
    pub(crate) load_keys_expired: u64,
    /// See `load_keys_expired`.
    pub(crate) load_keys_loaded: u64,
    /// `appendonly`.
    pub(crate) is_log_enabled: bool,
    /// Rewrites of the log.
    pub(crate) rewrite: JobInfo,
    /// Whether files that a rewrite replaced are being removed.
    pub(crate) is_log_clearing: bool,
    /// A rewrite begins once the running save has ended.
    pub(crate) is_rewrite_scheduled: bool,
    /// How many rewrites failed since the last one that succeeded.
    pub(crate) rewrite_failures_in_a_row: u64,
    /// The last write or fsync of the log failed.
    pub(crate) is_log_failing: bool,
    /// How much of the running backup is written, of 100.
    pub(crate) backup_percentage: Option<f64>,
    /// The last backup failed.
    pub(crate) has_backup_failed: bool,
    /// Backups that succeeded since the start.
    pub(crate) backups: u64,
    /// Bytes that cuts keep from being freed of large values that were changed or removed.
    pub(crate) held_bytes: u64,
    /// What a cut that began now could make the process hold of changed data: `snapshot-memory-max`.
    pub(crate) held_bytes_max: u64,
    /// Bytes of changed data that were put into files because memory had no room for them, all in all.
    pub(crate) spilled_bytes: u64,
    /// Shown while `is_log_enabled`.
    pub(crate) log: LogInfo,
    /// Shown while there is a load.
    pub(crate) load: Option<LoadInfo>,
}

/// Saves, or rewrites.
#[derive(Debug, Default)]
pub(crate) struct JobInfo {
    /// How long the running one has been running.
    pub(crate) running_seconds: Option<u64>,
    /// How long the last one took.
    pub(crate) last_seconds: Option<u64>,
    /// The last one failed.
    pub(crate) has_failed: bool,
    /// Those that succeeded since the start.
    pub(crate) count: u64,
    /// Bytes held for the last one's cut.
    pub(crate) last_cut_bytes: u64,
}

/// The log while it is on.
#[derive(Debug, Default)]
pub(crate) struct LogInfo {
    /// Of base and increments together.
    pub(crate) current_bytes: u64,
    /// As it was after the last rewrite or at the start.
    pub(crate) base_bytes: u64,
    /// Not written yet.
    pub(crate) buffered_bytes: u64,
    /// Fsyncs that are running or wait.
    pub(crate) fsyncs_pending: u64,
    /// Fsyncs that were put off because one was running.
    pub(crate) fsyncs_delayed: u64,
    /// Fsyncs that have ended.
    pub(crate) fsyncs: u64,
    /// Duration of the last of them, microseconds.
    pub(crate) last_fsync_us: u64,
    /// Duration of the worst of the last minute, microseconds.
    pub(crate) fsync_worst_us: u64,
    /// How old the oldest write was when the fsync ended that covered it, at worst in the last minute.
    pub(crate) staleness_worst_us: u64,
}

/// A load that goes on.
#[derive(Debug)]
pub(crate) struct LoadInfo {
    /// When it began.
    pub(crate) start_unix_seconds: i64,
    /// How long it has been going on.
    pub(crate) elapsed_seconds: u64,
    /// Of all files; 0 where that is not known.
    pub(crate) total_bytes: u64,
    /// About as many, in any case.
    pub(crate) expected_bytes: u64,
    /// Read of them.
    pub(crate) loaded_bytes: u64,
    /// `used-mem` of the RDB.
    pub(crate) rdb_used_memory_bytes: u64,
}

/// What the engine can tell.
fn persistence(engine: &Engine, now: Now) -> PersistenceInfo {
    let snapshots = &engine.snapshots;
    let cut = snapshots.running_cut().and_then(|cut| engine.keyspace.cut_stats(cut)).unwrap_or_default();
    let cut_bytes = engine.keyspace.cut_memory() as u64;
    let sizes = engine.durability.log().map(|log| log.sizes()).unwrap_or_default();
    let syncs = engine.durability.log().map(|log| log.facts(now));
    PersistenceInfo {
        cut_peak_bytes: cut_bytes.max(snapshots.held_bytes_peak as u64),
        held_bytes: engine.keyspace.cut_held() as u64,
        cut_bytes,
        save_keys_done: cut.keys_handed as u64,
        save_keys_total: cut.keys_total as u64,
        changes_since_save: snapshots.changes(engine.stats.dirty_total),
        last_save_unix_seconds: snapshots.last_save_unix,
        save: job(engine, Kind::Save, &snapshots.save, now),
        load_keys_expired: engine.loaded.expired,
        load_keys_loaded: engine.loaded.keys,
        is_log_enabled: engine.config.bool(Directive::AppendOnly),
        rewrite: job(engine, Kind::Rewrite, &snapshots.rewrite, now),
        is_log_clearing: engine.is_rewrite_ending()
            || engine.durability.log().is_some_and(tenon_aof::Log::is_clearing),
        is_rewrite_scheduled: snapshots.rewrite_scheduled,
        rewrite_failures_in_a_row: u64::from(snapshots.rewrite.failures_in_a_row),
        is_log_failing: engine.durability.failure().is_some(),
        backup_percentage: engine.backups.is_running().then(|| engine.backups.status(now).percentage()),
        has_backup_failed: engine.backups.has_failed(),
        backups: engine.backups.count,
        spilled_bytes: snapshots.spilled_bytes,
        held_bytes_max: engine.preimage_bytes_max() as u64,
        log: LogInfo {
            current_bytes: sizes.current,
            base_bytes: sizes.base,
            buffered_bytes: engine.journal.pending_bytes() as u64,
            fsyncs_pending: engine.durability.fsyncs_pending(),
            fsyncs_delayed: engine.durability.delayed_fsyncs,
            fsyncs: syncs.map_or(0, |facts| facts.ended),
            last_fsync_us: syncs.map_or(0, |facts| facts.last_us),
            fsync_worst_us: syncs.map_or(0, |syncs| syncs.worst_us),
            staleness_worst_us: syncs.map_or(0, |syncs| syncs.staleness_us),
        },
        is_loading: engine.loading() == Some(Loading::InPlace) || engine.receives_other_data(),
        is_async_loading: engine.loading() == Some(Loading::Beside),
        load: engine.load_progress().map(|load| LoadInfo {
            start_unix_seconds: load.began.unix().seconds(),
            elapsed_seconds: now.steady.since(load.began.steady).millis() / 1_000,
            total_bytes: load.total_bytes,
            expected_bytes: load.expected_bytes(),
            loaded_bytes: load.loaded_bytes,
            rdb_used_memory_bytes: load.rdb_used_memory_bytes,
        }),
        ..PersistenceInfo::default()
    }
}

fn job(engine: &Engine, kind: Kind, history: &History, now: Now) -> JobInfo {
    let is_running = engine.snapshots.running() == Some(kind);
    // A snapshot for replicas is what Redis calls a save, too.
    let for_replicas = engine.replication.snapshot_since().filter(|_| kind == Kind::Save);
    let since = engine.snapshots.running_since().filter(|_| is_running).or(for_replicas);
    let has_ended = history.last != Outcome::NoneYet;
    JobInfo {
        running_seconds: since.map(|since| now.steady.since(since).millis() / 1_000),
        last_seconds: has_ended.then(|| history.last_duration.millis() / 1_000),
        has_failed: history.last == Outcome::Failed,
        count: history.count,
        last_cut_bytes: history.last_held_bytes,
    }
}

pub(super) fn write(lines: &mut Lines, facts: &Facts<'_>) {
    write_info(lines, &persistence(facts.engine, facts.now));
}

fn write_info(lines: &mut Lines, info: &PersistenceInfo) {
    lines.flag("loading", info.is_loading);
    lines.flag("async_loading", info.is_async_loading);
    lines.field("current_cow_peak", info.cut_peak_bytes);
    lines.field("current_cow_size", info.cut_bytes);
    lines.field("current_cow_size_age", info.cut_age_seconds);
    lines.hundredths("current_fork_perc", percent(info.save_keys_done, info.save_keys_total));
    lines.field("current_save_keys_processed", info.save_keys_done);
    lines.field("current_save_keys_total", info.save_keys_total);
    lines.field("rdb_changes_since_last_save", info.changes_since_save);
    lines.flag("rdb_bgsave_in_progress", info.save.running_seconds.is_some());
    lines.field("rdb_last_save_time", info.last_save_unix_seconds);
    lines.field("rdb_last_bgsave_status", status(info.save.has_failed));
    lines.field("rdb_last_bgsave_time_sec", seconds(info.save.last_seconds));
    lines.field("rdb_current_bgsave_time_sec", seconds(info.save.running_seconds));
    lines.field("rdb_saves", info.save.count);
    lines.field("rdb_last_cow_size", info.save.last_cut_bytes);
    lines.field("rdb_last_load_keys_expired", info.load_keys_expired);
    lines.field("rdb_last_load_keys_loaded", info.load_keys_loaded);
    lines.flag("aof_enabled", info.is_log_enabled);
    // Until the manifest names nothing that was replaced: whoever waits for a rewrite looks at the files next.
    lines.flag("aof_rewrite_in_progress", info.rewrite.running_seconds.is_some() || info.is_log_clearing);
    lines.flag("aof_rewrite_scheduled", info.is_rewrite_scheduled);
    lines.field("aof_last_rewrite_time_sec", seconds(info.rewrite.last_seconds));
    lines.field("aof_current_rewrite_time_sec", seconds(info.rewrite.running_seconds));
    lines.field("aof_last_bgrewrite_status", status(info.rewrite.has_failed));
    lines.field("aof_rewrites", info.rewrite.count);
    lines.field("aof_rewrites_consecutive_failures", info.rewrite_failures_in_a_row);
    lines.field("aof_last_write_status", status(info.is_log_failing));
    lines.field("aof_last_cow_size", info.rewrite.last_cut_bytes);
    lines.zeros(&["module_fork_in_progress", "module_fork_last_cow_size"]);
    lines.field("snapshot_held_bytes", info.held_bytes);
    lines.field("snapshot_memory_max", info.held_bytes_max);
    lines.field("snapshot_spilled_bytes", info.spilled_bytes);
    lines.flag("backup_in_progress", info.backup_percentage.is_some());
    lines.hundredths("backup_current_perc", info.backup_percentage.unwrap_or(0.0));
    lines.field("backup_last_status", status(info.has_backup_failed));
    lines.field("backups", info.backups);
    if info.is_log_enabled {
        write_log(lines, info);
    }
    if let Some(load) = &info.load {
        write_load(lines, load);
    }
}

fn write_log(lines: &mut Lines, info: &PersistenceInfo) {
    lines.field("aof_current_size", info.log.current_bytes);
    lines.field("aof_base_size", info.log.base_bytes);
    lines.flag("aof_pending_rewrite", info.is_rewrite_scheduled);
    lines.field("aof_buffer_length", info.log.buffered_bytes);
    lines.field("aof_pending_bio_fsync", info.log.fsyncs_pending);
    lines.field("aof_delayed_fsync", info.log.fsyncs_delayed);
    lines.field("aof_fsyncs", info.log.fsyncs);
    lines.field("aof_last_fsync_usec", info.log.last_fsync_us);
    lines.field("aof_fsync_worst_usec", info.log.fsync_worst_us);
    lines.field("aof_staleness_worst_usec", info.log.staleness_worst_us);
}

fn write_load(lines: &mut Lines, load: &LoadInfo) {
    let remaining = load.expected_bytes.saturating_sub(load.loaded_bytes);
    // Within the first second nothing can be foretold.
    let eta_seconds = match load.elapsed_seconds {
        0 => 1,
        elapsed => (u128::from(elapsed) * u128::from(remaining) / (u128::from(load.loaded_bytes) + 1)) as u64,
    };
    lines.field("loading_start_time", load.start_unix_seconds);
    lines.field("loading_total_bytes", load.total_bytes);
    lines.field("loading_rdb_used_mem", load.rdb_used_memory_bytes);
    lines.field("loading_loaded_bytes", load.loaded_bytes);
    lines.hundredths("loading_loaded_perc", percent(load.loaded_bytes, load.expected_bytes));
    lines.field("loading_eta_seconds", eta_seconds);
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

fn status(has_failed: bool) -> &'static str {
    if has_failed { "err" } else { "ok" }
}

/// -1 stands for none.
fn seconds(span: Option<u64>) -> i64 {
    span.map_or(-1, |seconds| seconds as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(info: &PersistenceInfo) -> String {
        let mut lines = Lines(String::new());
        write_info(&mut lines, info);
        lines.0
    }

    #[test]
    fn a_server_that_saves_and_loads_says_how_far_it_is() {
        let idle = written(&PersistenceInfo::default());
        assert!(idle.contains("rdb_last_bgsave_status:ok\r\nrdb_last_bgsave_time_sec:-1\r\n"), "{idle}");
        assert!(!idle.contains("aof_current_size") && !idle.contains("loading_start_time"), "{idle}");
        let save = JobInfo { running_seconds: Some(3), has_failed: true, ..JobInfo::default() };
        let load = LoadInfo {
            start_unix_seconds: 1_700_000_000,
            elapsed_seconds: 10,
            total_bytes: 4_000,
            expected_bytes: 4_000,
            loaded_bytes: 1_000,
            rdb_used_memory_bytes: 8_000,
        };
        let busy = written(&PersistenceInfo {
            save,
            save_keys_done: 1,
            save_keys_total: 3,
            is_log_enabled: true,
            backup_percentage: Some(12.5),
            load: Some(load),
            ..PersistenceInfo::default()
        });
        for line in [
            "current_fork_perc:33.33",
            "rdb_bgsave_in_progress:1",
            "rdb_last_bgsave_status:err",
            "rdb_current_bgsave_time_sec:3",
            "aof_current_size:0",
            "loading_loaded_perc:25.00",
            "loading_eta_seconds:29",
            "backup_in_progress:1",
            "backup_current_perc:12.50",
            "backup_last_status:ok",
        ] {
            assert!(busy.contains(&format!("{line}\r\n")), "no {line} in {busy}");
        }
    }
}
