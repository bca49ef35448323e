//! The contract as code: what the WIT package says, generated, and the translation from and to the house's own types.
//! Runs nothing: see `instance`.
//! Always: the translation loses nothing; a value that the contract cannot carry does not exist in the house.

use tenon_policy::{
    Cause, Decision, Durability, Fsync, FsyncFacts, FsyncVerdict, Gather, Job, Level, NEVER, Outcome,
    Snapshot, SnapshotFacts, SnapshotVerdict, Start, conformance,
};
use wasmtime::component::{HasSelf, Instance, Linker};
use wasmtime::{Store, Trap};

use crate::instance::Host;

mod generated {
    #![allow(missing_docs, unreachable_pub, reason = "generated")]
    pub(super) mod fsync {
        wasmtime::component::bindgen!({ path: "../../wit/v0.1", world: "fsync-policy" });
    }
    pub(super) mod snapshot {
        wasmtime::component::bindgen!({ path: "../../wit/v0.1", world: "snapshot-policy" });
    }
}

use generated::fsync::exports::tenon::policy::fsync as wit_fsync;
use generated::fsync::tenon::policy as fsync_imports;
use generated::snapshot::exports::tenon::policy::snapshot as wit_snapshot;
use generated::snapshot::tenon::policy as snapshot_imports;

/// A decision that components can take.
pub(crate) trait Contract: Decision {
    /// The functions of one instance.
    type Functions: Send;

    /// Offers what this decision's guests may import.
    fn add_imports(linker: &mut Linker<Host>) -> wasmtime::Result<()>;
    /// Finds an instance's functions; fails where their types are not the contract's, which shows nowhere earlier.
    fn bind(store: &mut Store<Host>, instance: &Instance) -> wasmtime::Result<Self::Functions>;
    /// Says it the settings; the inner error is its refusal.
    fn init(
        functions: &Self::Functions,
        store: &mut Store<Host>,
        start: &Start,
    ) -> wasmtime::Result<Result<(), String>>;
    /// Asks it.
    fn decide(
        functions: &Self::Functions,
        store: &mut Store<Host>,
        facts: &Self::Facts,
    ) -> wasmtime::Result<Self::Verdict>;
    /// Questions that every policy must be able to answer before it is handed out.
    fn probes() -> Vec<Self::Facts>;
}

/// Whether an error of a call means that its budget of fuel or time is used up.
pub(crate) fn is_exhausted(error: &wasmtime::Error) -> bool {
    matches!(error.downcast_ref::<Trap>(), Some(Trap::OutOfFuel | Trap::Interrupt))
}

impl Contract for Fsync {
    type Functions = generated::fsync::FsyncPolicy;

    fn add_imports(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
        Self::Functions::add_to_linker::<_, HasSelf<_>>(linker, |host| host)
    }

    fn bind(store: &mut Store<Host>, instance: &Instance) -> wasmtime::Result<Self::Functions> {
        Self::Functions::new(store, instance)
    }

    fn init(
        functions: &Self::Functions,
        store: &mut Store<Host>,
        start: &Start,
    ) -> wasmtime::Result<Result<(), String>> {
        let setting = |setting: &tenon_policy::Setting| fsync_imports::types::Setting {
            key: setting.key.clone(),
            value: setting.value.clone(),
        };
        let start = wit_fsync::Start {
            tenant: start.tenant.clone(),
            host_version: start.host_version.clone(),
            settings: start.settings.iter().map(setting).collect(),
        };
        functions.tenon_policy_fsync().call_init(store, &start)
    }

    fn decide(
        functions: &Self::Functions,
        store: &mut Store<Host>,
        facts: &FsyncFacts,
    ) -> wasmtime::Result<FsyncVerdict> {
        let facts = wit_fsync::Facts {
            now_us: facts.now_us,
            cause: match facts.cause {
                Cause::Dirty => wit_fsync::Cause::Dirty,
                Cause::Due => wit_fsync::Cause::Due,
                Cause::FsyncEnded => wit_fsync::Cause::FsyncEnded,
                Cause::SettingsChanged => wit_fsync::Cause::SettingsChanged,
            },
            durability: match facts.durability {
                Durability::Always => wit_fsync::Durability::Always,
                Durability::Everysec => wit_fsync::Durability::Everysec,
                Durability::No => wit_fsync::Durability::No,
            },
            unsynced_bytes: facts.unsynced_bytes,
            unsynced_commits: facts.unsynced_commits,
            oldest_unsynced_us: facts.oldest_unsynced_us,
            waiting_replies: facts.waiting_replies,
            fsync_running_us: facts.fsync_running_us,
            since_fsync_us: facts.since_fsync_us,
            last_fsync_us: facts.last_fsync_us,
            mean_fsync_us: facts.mean_fsync_us,
            worst_fsync_us: facts.worst_fsync_us,
            last_fsync: match facts.last_fsync {
                Outcome::NoneYet => wit_fsync::Outcome::NoneYet,
                Outcome::Ok => wit_fsync::Outcome::Ok,
                Outcome::Failed => wit_fsync::Outcome::Failed,
            },
            disk_busy: facts.disk_busy,
            ceiling_us: facts.ceiling_us,
        };
        let bound =
            |bound: wit_fsync::Bound| tenon_policy::Bound { age_us: bound.age_us, bytes: bound.bytes };
        Ok(match functions.tenon_policy_fsync().call_decide(store, facts)? {
            wit_fsync::Verdict::Sync(gather) => {
                FsyncVerdict::Sync(Gather { us: gather.us, bytes: gather.bytes })
            }
            wit_fsync::Verdict::SyncWhen(when) => FsyncVerdict::SyncWhen(bound(when)),
            wit_fsync::Verdict::AskWhen(when) => FsyncVerdict::AskWhen(bound(when)),
        })
    }

    fn probes() -> Vec<FsyncFacts> {
        let clean = conformance::CLEAN_FSYNC;
        let dirty = FsyncFacts { unsynced_bytes: 120, unsynced_commits: 1, ..clean };
        let always =
            FsyncFacts { durability: Durability::Always, waiting_replies: 1, ceiling_us: 10_000, ..dirty };
        let no = FsyncFacts { durability: Durability::No, ceiling_us: NEVER, ..dirty };
        vec![clean, dirty, always, no]
    }
}

impl Contract for Snapshot {
    type Functions = generated::snapshot::SnapshotPolicy;

    fn add_imports(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
        Self::Functions::add_to_linker::<_, HasSelf<_>>(linker, |host| host)
    }

    fn bind(store: &mut Store<Host>, instance: &Instance) -> wasmtime::Result<Self::Functions> {
        Self::Functions::new(store, instance)
    }

    fn init(
        functions: &Self::Functions,
        store: &mut Store<Host>,
        start: &Start,
    ) -> wasmtime::Result<Result<(), String>> {
        let setting = |setting: &tenon_policy::Setting| snapshot_imports::types::Setting {
            key: setting.key.clone(),
            value: setting.value.clone(),
        };
        let start = wit_snapshot::Start {
            tenant: start.tenant.clone(),
            host_version: start.host_version.clone(),
            settings: start.settings.iter().map(setting).collect(),
        };
        functions.tenon_policy_snapshot().call_init(store, &start)
    }

    fn decide(
        functions: &Self::Functions,
        store: &mut Store<Host>,
        facts: &SnapshotFacts,
    ) -> wasmtime::Result<SnapshotVerdict> {
        let point = |point: &tenon_policy::SavePoint| wit_snapshot::SavePoint {
            seconds: point.seconds,
            changes: point.changes,
        };
        let facts = wit_snapshot::Facts {
            now_ms: facts.now_ms,
            wall_unix_ms: facts.wall_unix_ms,
            utc_offset_minutes: facts.utc_offset_minutes,
            save_points: facts.save_points.iter().map(point).collect(),
            keys: facts.keys,
            used_memory_bytes: facts.used_memory_bytes,
            memory_limit_bytes: facts.memory_limit_bytes,
            disk_free_bytes: facts.disk_free_bytes,
            changes_since_save: facts.changes_since_save,
            bytes_since_save: facts.bytes_since_save,
            changes_total: facts.changes_total,
            commands_total: facts.commands_total,
            save: wit_job(&facts.save),
            rewrite: wit_job(&facts.rewrite),
            aof_enabled: facts.aof_enabled,
            aof_bytes: facts.aof_bytes,
            aof_base_bytes: facts.aof_base_bytes,
            aof_replay_bytes: facts.aof_replay_bytes,
            rewrite_percentage: facts.rewrite_percentage,
            rewrite_min_bytes: facts.rewrite_min_bytes,
            load_bytes_per_second: facts.load_bytes_per_second,
            replay_bytes_per_second: facts.replay_bytes_per_second,
            full_syncs_running: facts.full_syncs_running,
            is_replica: facts.is_replica,
        };
        Ok(match functions.tenon_policy_snapshot().call_decide(store, &facts)? {
            wit_snapshot::Verdict::None => SnapshotVerdict::None,
            wit_snapshot::Verdict::Save => SnapshotVerdict::Save,
            wit_snapshot::Verdict::RewriteAof => SnapshotVerdict::RewriteAof,
        })
    }

    fn probes() -> Vec<SnapshotFacts> {
        let busy = SnapshotFacts {
            save_points: vec![tenon_policy::SavePoint { seconds: 60, changes: 1 }],
            changes_since_save: 1,
            ..conformance::IDLE_SNAPSHOT
        };
        vec![conformance::IDLE_SNAPSHOT, busy]
    }
}

fn wit_job(job: &Job) -> wit_snapshot::Job {
    wit_snapshot::Job {
        running: job.running,
        last: match job.last {
            Outcome::NoneYet => wit_snapshot::Outcome::NoneYet,
            Outcome::Ok => wit_snapshot::Outcome::Ok,
            Outcome::Failed => wit_snapshot::Outcome::Failed,
        },
        failures_in_a_row: job.failures_in_a_row,
        since_attempt_ms: job.since_attempt_ms,
        since_success_ms: job.since_success_ms,
        last_duration_ms: job.last_duration_ms,
        last_file_bytes: job.last_file_bytes,
    }
}

/// The guest's `debug` is below everything that the house itself says.
fn level(level: fsync_imports::log::Level) -> Option<Level> {
    match level {
        fsync_imports::log::Level::Debug => None,
        fsync_imports::log::Level::Verbose => Some(Level::Verbose),
        fsync_imports::log::Level::Notice => Some(Level::Notice),
        fsync_imports::log::Level::Warning => Some(Level::Warning),
    }
}

impl fsync_imports::types::Host for Host {}
impl snapshot_imports::types::Host for Host {}

impl fsync_imports::log::Host for Host {
    fn write(&mut self, said_at: fsync_imports::log::Level, message: String) {
        self.log(level(said_at), &message);
    }
}

impl snapshot_imports::log::Host for Host {
    fn write(&mut self, said_at: snapshot_imports::log::Level, message: String) {
        use fsync_imports::log::Level as Same;
        let said_at = match said_at {
            snapshot_imports::log::Level::Debug => Same::Debug,
            snapshot_imports::log::Level::Verbose => Same::Verbose,
            snapshot_imports::log::Level::Notice => Same::Notice,
            snapshot_imports::log::Level::Warning => Same::Warning,
        };
        self.log(level(said_at), &message);
    }
}
