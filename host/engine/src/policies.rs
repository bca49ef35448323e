//! The policies of this tenant: loaded at start, swapped by CONFIG SET, POLICY RELOAD or a changed file, asked by
//! the log and the snapshots.
//! Always: what runs goes on running until its successor has been compiled, checked, initialised and probed.

use std::any::Any;
use std::sync::Arc;

use tenon_base::{ConnectionId, Disk, Lane, Now, World};
use tenon_config::{Change, Config, Directive, PolicySelection};
use tenon_policy::{
    AvailableFile, Decision, Fsync, FsyncGuard, FsyncPlan, FsyncFacts, Guard, Level, Loaded, NativePolicies, Notice,
    PolicyLoader, PolicySpec, Refusal, Setting, Sha256, Snapshot, SnapshotFacts, SnapshotGuard, SnapshotVerdict, Source,
};

use crate::engine::{Engine, Purpose};

/// The name of the plain server's tenant.
const TENANT: &str = "default";

/// Guards of both decisions, and what loads their successors.
pub(crate) struct Policies {
    pub(crate) loader: Arc<dyn PolicyLoader>,
    pub(crate) fsync: FsyncGuard,
    pub(crate) snapshot: SnapshotGuard,
}

/// Which decisions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decisions {
    pub(crate) fsync: bool,
    pub(crate) snapshot: bool,
}

/// Why policies are being loaded.
pub(crate) struct Request {
    pub(crate) reason: Reason,
}

/// Who waits for a load, and what follows it.
pub(crate) enum Reason {
    /// CONFIG SET: all of the change is put in force, or none of it.
    Set {
        client: ConnectionId,
        change: Change,
    },
    /// POLICY RELOAD.
    Reload {
        client: ConnectionId,
    },
    /// A file in the policy directory has changed.
    FileChanged,
}

/// What a load came to: a policy or a refusal for each decision that was asked for.
pub(crate) struct LoadResult {
    fsync: Option<Result<Loaded<Fsync>, Refusal>>,
    snapshot: Option<Result<Loaded<Snapshot>, Refusal>>,
}

impl Policies {
    /// Starts with the native policies; [`Engine::load_policies_at_start`] replaces them.
    pub(crate) fn new(loader: Arc<dyn PolicyLoader>, now: Now) -> Policies {
        fn native<D: Decision>(now: Now) -> Guard<D> {
            Guard::new(Loaded::native(&[]).expect("the native policy needs no settings"), now.unix().0)
        }
        Policies { loader, fsync: native(now), snapshot: native(now) }
    }

    pub(crate) fn ask_fsync(&mut self, facts: &FsyncFacts, clock_ns: impl FnMut() -> u64) -> FsyncPlan {
        let plan = self.fsync.decide(facts, clock_ns);
        log_notices(self.fsync.take_notices());
        plan
    }

    pub(crate) fn ask_snapshot(&mut self, facts: &SnapshotFacts, clock_ns: impl FnMut() -> u64) -> SnapshotVerdict {
        let verdict = self.snapshot.decide(facts, clock_ns);
        log_notices(self.snapshot.take_notices());
        verdict
    }
}

impl Engine {
    /// Loads what the configuration names. An error stops the start: the operator's text is wrong.
    pub fn load_policies_at_start(&mut self, now: Now) -> Result<(), String> {
        let loader = Arc::clone(&self.policies.loader);
        let fsync = spec(&self.config, Directive::PolicyFsync);
        let loaded = loader.load_fsync(&fsync, &fsync.start(TENANT, crate::TENON_VERSION));
        self.policies.fsync = guard_at_start(loaded, now).map_err(|text| format!("policy-fsync: {text}"))?;
        let snapshot = spec(&self.config, Directive::PolicySnapshot);
        let loaded = loader.load_snapshot(&snapshot, &snapshot.start(TENANT, crate::TENON_VERSION));
        self.policies.snapshot = guard_at_start(loaded, now).map_err(|text| format!("policy-snapshot: {text}"))?;
        log_notices(self.policies.fsync.take_notices());
        log_notices(self.policies.snapshot.take_notices());
        tracing::info!("{}", self.policies.fsync.loaded_line());
        tracing::info!("{}", self.policies.snapshot.loaded_line());
        Ok(())
    }

    /// Loads policies as `config` names them, off the engine's thread; `reason` says what follows.
    pub(crate) fn load_policies(&mut self, config: &Config, which: Decisions, reason: Reason, world: &mut World<'_>) {
        let loader = Arc::clone(&self.policies.loader);
        let fsync = which.fsync.then(|| spec(config, Directive::PolicyFsync));
        let snapshot = which.snapshot.then(|| spec(config, Directive::PolicySnapshot));
        let job = move |_: &dyn Disk| LoadResult {
            fsync: fsync.as_ref().map(|spec| loader.load_fsync(spec, &spec.start(TENANT, crate::TENON_VERSION))),
            snapshot: snapshot
                .as_ref()
                .map(|spec| loader.load_snapshot(spec, &spec.start(TENANT, crate::TENON_VERSION))),
        };
        self.start_job(Purpose::LoadPolicy(Request { reason }), Lane::Compile, Box::new(job), world);
    }

    /// Told by the server that the file of a running policy, as it lies in the policy directory, has changed.
    pub(crate) fn policy_file_changed(&mut self, which: Decisions, world: &mut World<'_>) {
        let config = self.config.clone();
        self.load_policies(&config, which, Reason::FileChanged, world);
    }

    pub(crate) fn policy_loaded(
        &mut self,
        now: Now,
        request: Request,
        result: Box<dyn Any + Send>,
        world: &mut World<'_>,
    ) {
        let result = match result.downcast::<LoadResult>() {
            Ok(result) => *result,
            Err(other) => {
                let text = other.downcast_ref::<String>().cloned().unwrap_or_default();
                self.refused_load(request.reason, Directive::PolicyFsync, text, world);
                return;
            }
        };
        if let Some((directive, refusal)) = first_refusal(&result) {
            match directive {
                Directive::PolicySnapshot => self.policies.snapshot.note_refusal(&refusal),
                _ => self.policies.fsync.note_refusal(&refusal),
            }
            self.refused_load(request.reason, directive, refusal.sentence, world);
            return;
        }
        if let Some(Ok(loaded)) = result.fsync {
            self.policies.fsync.replace(loaded, now.unix().0);
            tracing::info!("{}", self.policies.fsync.loaded_line());
            self.durability.settings_changed();
        }
        if let Some(Ok(loaded)) = result.snapshot {
            self.policies.snapshot.replace(loaded, now.unix().0);
            tracing::info!("{}", self.policies.snapshot.loaded_line());
        }
        match request.reason {
            Reason::Set { client, change } => {
                crate::server::config::finish_set(self, now, client, change, world);
                self.resume(now, client, world);
            }
            Reason::Reload { client } => {
                self.answer(client, world, |reply| reply.ok());
                self.resume(now, client, world);
            }
            Reason::FileChanged => {}
        }
    }

    fn refused_load(&mut self, reason: Reason, directive: Directive, sentence: String, world: &mut World<'_>) {
        let (decision, still) = match directive {
            Directive::PolicySnapshot => ("snapshot", self.policies.snapshot.still_running()),
            _ => ("fsync", self.policies.fsync.still_running()),
        };
        let now = Now { steady: self.mark, ..self.identity.started };
        match reason {
            Reason::Set { client, .. } => {
                self.answer(client, world, |reply| {
                    reply.error_format(format_args!(
                        "ERR CONFIG SET failed (possibly related to argument 'policy-{decision}') - {sentence}"
                    ));
                });
                self.resume(now, client, world);
            }
            Reason::Reload { client } => {
                self.answer(client, world, |reply| {
                    reply.error_format(format_args!("ERR {decision}: {sentence}. {still}"));
                });
                self.resume(now, client, world);
            }
            Reason::FileChanged => tracing::warn!("Policy {decision}: {sentence}. {still}"),
        }
    }

    pub(crate) fn policies_listed(
        &mut self,
        now: Now,
        connection: ConnectionId,
        result: Box<dyn Any + Send>,
        world: &mut World<'_>,
    ) {
        let files = result.downcast::<Vec<AvailableFile>>().map(|files| *files).unwrap_or_default();
        crate::server::policy::list(self, connection, &files, world);
        self.resume(now, connection, world);
    }
}

fn guard_at_start<D: Decision>(loaded: Result<Loaded<D>, Refusal>, now: Now) -> Result<Guard<D>, String> {
    match loaded {
        Ok(loaded) => Ok(Guard::new(loaded, now.unix().0)),
        Err(refusal) if refusal.stops_start() => Err(refusal.sentence),
        Err(refusal) => Ok(Guard::refused_at_start(&refusal, now.unix().0)),
    }
}

fn first_refusal(result: &LoadResult) -> Option<(Directive, Refusal)> {
    let fsync = result.fsync.as_ref().and_then(|loaded| loaded.as_ref().err());
    let snapshot = result.snapshot.as_ref().and_then(|loaded| loaded.as_ref().err());
    let fsync = fsync.map(|refusal| (Directive::PolicyFsync, refusal.clone()));
    fsync.or_else(|| snapshot.map(|refusal| (Directive::PolicySnapshot, refusal.clone())))
}

/// What a directive names, as policies are loaded by it.
pub(crate) fn spec(config: &Config, directive: Directive) -> PolicySpec {
    let PolicySelection { component, sha256, settings } = config.policy(directive).clone();
    PolicySpec {
        source: component.map_or(Source::Builtin, Source::File),
        sha256: sha256.map(Sha256),
        settings: settings.into_iter().map(|(key, value)| Setting { key, value }).collect(),
    }
}

fn log_notices(notices: Vec<Notice>) {
    for notice in notices {
        match notice.level {
            Level::Verbose => tracing::debug!("{}", notice.text),
            Level::Notice => tracing::info!("{}", notice.text),
            Level::Warning => tracing::warn!("{}", notice.text),
        }
    }
}

/// For engines without a sandbox: tests.
pub(crate) fn native_loader() -> Arc<dyn PolicyLoader> {
    Arc::new(NativePolicies)
}
