//! The policies of this tenant: loaded at start, asked by the log and the snapshots, replaced by a transition, and
//! the watch over their directory.
//! Compiles nothing on the engine's thread once the server serves.
//! Always: what runs goes on running until its successor has been compiled, checked, initialised and probed.

use std::any::Any;
use std::sync::Arc;

use tenon_base::{ConnectionId, Disk, Lane, Now, World};
use tenon_config::{Config, Directive, PolicySelection};
use tenon_policy::{
    AvailableFile, Decision, FileChange, Fsync, FsyncFacts, FsyncGuard, FsyncPlan, Guard, Level, Loaded,
    Notice, PolicyLoader, PolicySpec, Refusal, RefusalKind, Setting, Sha256, Shadow, Snapshot, SnapshotFacts,
    SnapshotGuard, SnapshotVerdict, Source, SpecError,
};

use crate::engine::{Engine, Purpose};
use crate::transition::Reason;

/// The name of the plain server's tenant.
const TENANT: &str = "default";

/// Guards of both decisions, and what loads their successors.
pub(crate) struct Policies {
    loader: Arc<dyn PolicyLoader>,
    pub(crate) fsync: FsyncGuard,
    pub(crate) snapshot: SnapshotGuard,
    /// Asked beside `fsync` and not obeyed.
    pub(crate) fsync_shadow: Option<Shadow<Fsync>>,
    watch: Watch,
}

/// Whether somebody is looking at the policy directory just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watch {
    Idle,
    Looking,
    /// Looking failed in a way that would only repeat itself.
    GivenUp,
}

/// One of the two decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Fsync,
    Snapshot,
}

/// Any of the decisions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decisions {
    pub(crate) fsync: bool,
    pub(crate) snapshot: bool,
}

/// Policies ready to be put in force, for the decisions that were asked for.
#[derive(Default)]
pub(crate) struct LoadedPolicies {
    fsync: Option<Loaded<Fsync>>,
    snapshot: Option<Loaded<Snapshot>>,
}

/// What a loading job came to.
struct LoadResult {
    fsync: Option<Result<Loaded<Fsync>, Refusal>>,
    snapshot: Option<Result<Loaded<Snapshot>, Refusal>>,
}

/// What a look at the policy directory came to.
struct Seen {
    changes: Vec<FileChange>,
    /// Those among the changed files that nobody uses and nobody could.
    unusable: Vec<AvailableFile>,
}

impl LoadResult {
    /// Nothing was loaded, for a reason that no policy gave.
    fn failed(asked: Decisions, sentence: &str) -> LoadResult {
        let refusal = || Refusal { kind: RefusalKind::Sandbox, sentence: sentence.to_owned() };
        LoadResult {
            fsync: asked.fsync.then(|| Err(refusal())),
            snapshot: asked.snapshot.then(|| Err(refusal())),
        }
    }
}

impl Which {
    pub(crate) const ALL: [Which; 2] = [Which::Fsync, Which::Snapshot];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Which::Fsync => Fsync::NAME,
            Which::Snapshot => Snapshot::NAME,
        }
    }

    pub(crate) fn directive(self) -> Directive {
        match self {
            Which::Fsync => Directive::PolicyFsync,
            Which::Snapshot => Directive::PolicySnapshot,
        }
    }
}

impl Decisions {
    pub(crate) const ALL: Decisions = Decisions { fsync: true, snapshot: true };

    /// Those whose policies are among `directives`.
    pub(crate) fn of(directives: impl Iterator<Item = Directive>) -> Decisions {
        let mut decisions = Decisions::default();
        for directive in directives {
            decisions.fsync |= directive == Directive::PolicyFsync;
            decisions.snapshot |= directive == Directive::PolicySnapshot;
        }
        decisions
    }

    pub(crate) fn one(which: Which) -> Decisions {
        Decisions::of(std::iter::once(which.directive()))
    }

    pub(crate) fn any(self) -> bool {
        self.fsync || self.snapshot
    }
}

#[cfg(test)]
impl Policies {
    pub(crate) fn use_loader(&mut self, loader: Arc<dyn PolicyLoader>) {
        self.loader = loader;
    }
}

impl Policies {
    /// Starts with the native policies; [`Engine::load_policies_at_start`] replaces them.
    pub(crate) fn new(loader: Arc<dyn PolicyLoader>, now: Now) -> Policies {
        fn native<D: Decision>(now: Now) -> Guard<D> {
            Guard::new(Loaded::native(&[]).expect("the native policy needs no settings"), now.unix().0)
        }
        Policies { loader, fsync: native(now), snapshot: native(now), fsync_shadow: None, watch: Watch::Idle }
    }

    pub(crate) fn ask_fsync(&mut self, facts: &FsyncFacts, mut clock_ns: impl FnMut() -> u64) -> FsyncPlan {
        let plan = self.fsync.decide(facts, &mut clock_ns);
        log_notices(self.fsync.take_notices());
        if let Some(shadow) = &mut self.fsync_shadow {
            shadow.observe(facts, plan, clock_ns);
            log_notices(shadow.take_notices());
        }
        plan
    }

    pub(crate) fn ask_snapshot(
        &mut self,
        facts: &SnapshotFacts,
        clock_ns: impl FnMut() -> u64,
    ) -> SnapshotVerdict {
        let verdict = self.snapshot.decide(facts, clock_ns);
        log_notices(self.snapshot.take_notices());
        verdict
    }

    /// Takes the end of a job that loaded what was `asked` for. A refusal is counted, and told with the decision
    /// that it concerns.
    pub(crate) fn accept(
        &mut self,
        asked: Decisions,
        result: Box<dyn Any + Send>,
    ) -> Result<LoadedPolicies, (Which, String)> {
        let result = result
            .downcast::<LoadResult>()
            .map_or_else(|other| LoadResult::failed(asked, &panic_sentence(&*other)), |result| *result);
        let fsync = result.fsync.transpose().map_err(|refusal| {
            self.fsync.note_refusal(&refusal);
            (Which::Fsync, refusal.sentence)
        })?;
        let snapshot = result.snapshot.transpose().map_err(|refusal| {
            self.snapshot.note_refusal(&refusal);
            (Which::Snapshot, refusal.sentence)
        })?;
        Ok(LoadedPolicies { fsync, snapshot })
    }

    /// Swaps loaded policies in. With `only_if_new`, one of the same bytes as the running one is left out: a file
    /// that was touched is no reason to forget what its policy remembers. Says whether the fsync policy is another.
    pub(crate) fn put_in_force(&mut self, policies: LoadedPolicies, only_if_new: bool, now: Now) -> bool {
        fn put<D: Decision>(
            guard: &mut Guard<D>,
            loaded: Option<Loaded<D>>,
            only_if_new: bool,
            now: Now,
        ) -> bool {
            let Some(loaded) = loaded else { return false };
            if only_if_new && loaded.description.sha256 == guard.description().sha256 {
                return false;
            }
            guard.replace(loaded, now.unix().0);
            tracing::info!("{}", guard.loaded_line());
            true
        }
        put(&mut self.snapshot, policies.snapshot, only_if_new, now);
        put(&mut self.fsync, policies.fsync, only_if_new, now)
    }

    /// What goes on in spite of a refusal.
    pub(crate) fn still_running(&self, which: Which) -> String {
        match which {
            Which::Fsync => self.fsync.still_running(),
            Which::Snapshot => self.snapshot.still_running(),
        }
    }

    /// The name of what was last loaded: `builtin`, or a file.
    pub(crate) fn loaded_name(&self, which: Which) -> &str {
        match which {
            Which::Fsync => &self.fsync.description().name,
            Which::Snapshot => &self.snapshot.description().name,
        }
    }
}

impl Engine {
    /// Loads what the configuration names. An error stops the start: the operator's text is wrong.
    pub fn load_policies_at_start(&mut self, now: Now) -> Result<(), String> {
        let loader = Arc::clone(&self.policies.loader);
        let fsync = spec(&self.config, Directive::PolicyFsync);
        let loaded = loader.load_fsync(&fsync, &fsync.start(TENANT, crate::TENON_VERSION));
        self.policies.fsync = guard_at_start(loaded, now)
            .map_err(|sentence| refused(&self.config, Directive::PolicyFsync, &sentence))?;
        let snapshot = spec(&self.config, Directive::PolicySnapshot);
        let loaded = loader.load_snapshot(&snapshot, &snapshot.start(TENANT, crate::TENON_VERSION));
        self.policies.snapshot = guard_at_start(loaded, now)
            .map_err(|sentence| refused(&self.config, Directive::PolicySnapshot, &sentence))?;
        log_notices(self.policies.fsync.take_notices());
        log_notices(self.policies.snapshot.take_notices());
        tracing::info!("{}", self.policies.fsync.loaded_line());
        tracing::info!("{}", self.policies.snapshot.loaded_line());
        self.load_shadow_at_start(now)
    }

    /// Loads the policy that is asked beside the one in force. One that the sandbox refuses is told and left out.
    fn load_shadow_at_start(&mut self, now: Now) -> Result<(), String> {
        let refused = |sentence: &str| refused(&self.config, Directive::PolicyFsyncShadow, sentence);
        let Some(shadow) = shadow_spec(&self.config).map_err(|sentence| refused(&sentence))? else {
            return Ok(());
        };
        let loaded = self.policies.loader.load_fsync(&shadow, &shadow.start(TENANT, crate::TENON_VERSION));
        match loaded {
            Ok(loaded) => {
                let shadow = Guard::new(loaded, now.unix().0);
                tracing::info!("{}, asked beside it and not obeyed", shadow.loaded_line());
                self.policies.fsync_shadow = Some(Shadow::new(shadow));
            }
            Err(refusal) if refusal.stops_start() => return Err(refused(&refusal.sentence)),
            Err(refusal) => tracing::warn!("There is no shadow of the policy fsync: {refusal}"),
        }
        Ok(())
    }

    /// Loads policies as `config` names them, off the engine's thread.
    pub(crate) fn load_policies(&mut self, config: &Config, which: Decisions, world: &mut World<'_>) {
        let loader = Arc::clone(&self.policies.loader);
        let fsync = which.fsync.then(|| spec(config, Directive::PolicyFsync));
        let snapshot = which.snapshot.then(|| spec(config, Directive::PolicySnapshot));
        let job = move |_: &dyn Disk| LoadResult {
            fsync: fsync
                .as_ref()
                .map(|spec| loader.load_fsync(spec, &spec.start(TENANT, crate::TENON_VERSION))),
            snapshot: snapshot
                .as_ref()
                .map(|spec| loader.load_snapshot(spec, &spec.start(TENANT, crate::TENON_VERSION))),
        };
        self.start_job(Purpose::LoadPolicies, Lane::Compile, Box::new(job), world);
    }

    /// Lists the policy directory for a client that is parked.
    pub(crate) fn list_policies(&mut self, client: ConnectionId, world: &mut World<'_>) {
        let loader = Arc::clone(&self.policies.loader);
        let job = move |_: &dyn Disk| loader.available();
        self.start_job(Purpose::ListPolicies(client), Lane::Compile, Box::new(job), world);
    }

    pub(crate) fn policies_listed(
        &mut self,
        now: Now,
        client: ConnectionId,
        result: Box<dyn Any + Send>,
        world: &mut World<'_>,
    ) {
        match result.downcast::<Vec<AvailableFile>>() {
            Ok(files) => crate::server::policy::list(self, client, &files, world),
            Err(other) => {
                let sentence = panic_sentence(&*other);
                self.answer(client, world, |reply| {
                    reply.error_format(format_args!("ERR the policy directory cannot be listed: {sentence}"));
                });
            }
        }
        self.resume(now, client, world);
    }

    /// Looks for changes in the policy directory, if there is one; call it twice a second.
    pub(crate) fn watch_policies(&mut self, now: Now, world: &mut World<'_>) {
        if self.policies.watch != Watch::Idle || self.config.text(Directive::PolicyDirectory).is_empty() {
            return;
        }
        self.policies.watch = Watch::Looking;
        let loader = Arc::clone(&self.policies.loader);
        let used: Vec<String> =
            Which::ALL.into_iter().filter_map(|which| self.configured_file(which)).collect();
        let now_ms = now.steady.millis();
        let job = move |_: &dyn Disk| {
            let changes = loader.changes(now_ms);
            let is_unused =
                |change: &&FileChange| matches!(change, FileChange::Changed(file) if !used.contains(file));
            let unused: Vec<&str> = changes.iter().filter(is_unused).map(FileChange::file).collect();
            let mut unusable = Vec::new();
            if !unused.is_empty() {
                unusable = loader.available();
                unusable.retain(|found| found.error.is_some() && unused.contains(&&*found.file));
            }
            Seen { changes, unusable }
        };
        self.start_job(Purpose::WatchPolicies, Lane::Compile, Box::new(job), world);
    }

    pub(crate) fn policies_watched(&mut self, now: Now, result: Box<dyn Any + Send>, world: &mut World<'_>) {
        let seen = match result.downcast::<Seen>() {
            Ok(seen) => *seen,
            Err(other) => {
                self.policies.watch = Watch::GivenUp;
                tracing::warn!("The policy directory is no longer watched: {}", panic_sentence(&*other));
                return;
            }
        };
        self.policies.watch = Watch::Idle;
        for AvailableFile { file, error, .. } in &seen.unusable {
            tracing::warn!(
                "{file} in the policy directory cannot be used: {}",
                error.as_deref().unwrap_or("")
            );
        }
        for change in &seen.changes {
            for which in Which::ALL {
                self.policy_file_changed(now, which, change, world);
            }
        }
    }

    /// Takes a change of a file, as far as it concerns one decision. The two are loaded apart: what is wrong with
    /// one file says nothing about the other.
    fn policy_file_changed(&mut self, now: Now, which: Which, change: &FileChange, world: &mut World<'_>) {
        match change {
            FileChange::Changed(file) if self.configured_file(which).as_ref() == Some(file) => {
                let reason = Reason::FileChanged { which: Decisions::one(which) };
                self.begin_transition(now, reason, world);
            }
            FileChange::Gone(file) if self.policies.loaded_name(which) == file => tracing::warn!(
                "Policy {}: {file} is gone from the policy directory. {}",
                which.name(),
                self.policies.still_running(which)
            ),
            FileChange::Changed(_) | FileChange::Gone(_) => {}
        }
    }

    /// The file that the configuration names for a decision; none for the built-in policy.
    pub(crate) fn configured_file(&self, which: Which) -> Option<String> {
        self.config.policy(which.directive()).component.clone()
    }
}

fn guard_at_start<D: Decision>(loaded: Result<Loaded<D>, Refusal>, now: Now) -> Result<Guard<D>, String> {
    match loaded {
        Ok(loaded) => Ok(Guard::new(loaded, now.unix().0)),
        Err(refusal) if refusal.stops_start() => Err(refusal.sentence),
        Err(refusal) => Ok(Guard::refused_at_start(&refusal, now.unix().0)),
    }
}

/// Why the policies that a configuration names cannot run, with file and line where it has them; empty if they can.
/// Loads them, so it may take long.
pub fn policy_refusals(loader: &dyn PolicyLoader, config: &Config) -> Vec<String> {
    let (fsync, snapshot) = (spec(config, Directive::PolicyFsync), spec(config, Directive::PolicySnapshot));
    let fsync = loader.load_fsync(&fsync, &fsync.start(TENANT, crate::TENON_VERSION)).err();
    let snapshot = loader.load_snapshot(&snapshot, &snapshot.start(TENANT, crate::TENON_VERSION)).err();
    let told = |directive: Directive, refusal: Option<Refusal>| {
        refusal.map(|refusal| refused(config, directive, &refusal.sentence))
    };
    let shadow = match shadow_spec(config) {
        Ok(shadow) => shadow.and_then(|shadow| {
            let loaded = loader.load_fsync(&shadow, &shadow.start(TENANT, crate::TENON_VERSION));
            told(Directive::PolicyFsyncShadow, loaded.err())
        }),
        Err(sentence) => Some(refused(config, Directive::PolicyFsyncShadow, &sentence)),
    };
    let fsync = told(Directive::PolicyFsync, fsync);
    fsync.into_iter().chain(told(Directive::PolicySnapshot, snapshot)).chain(shadow).collect()
}

/// With file and line, where the directive has them.
fn refused(config: &Config, directive: Directive, sentence: &str) -> String {
    config.refuse(directive, format!("{}: {sentence}", directive.name())).to_string()
}

/// What a directive names, as policies are loaded by it.
fn spec(config: &Config, directive: Directive) -> PolicySpec {
    let PolicySelection { component, sha256, settings } = config.policy(directive).clone();
    PolicySpec {
        source: component.map_or(Source::Builtin, Source::File),
        sha256: sha256.map(Sha256),
        settings: settings.into_iter().map(|(key, value)| Setting { key, value }).collect(),
    }
}

/// What `policy-fsync-shadow` names, if anything.
fn shadow_spec(config: &Config) -> Result<Option<PolicySpec>, String> {
    let text = config.text_lossy(Directive::PolicyFsyncShadow);
    match text.trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|error: SpecError| error.to_string()),
    }
}

/// A job that panicked ends with its message instead of its result.
fn panic_sentence(result: &(dyn Any + Send)) -> String {
    let text = result.downcast_ref::<String>().map_or("the work ended without a result", String::as_str);
    tenon_policy::one_line(text, 300)
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

/// For engines without a sandbox.
#[cfg(test)]
pub(crate) fn native_loader() -> Arc<dyn PolicyLoader> {
    Arc::new(tenon_policy::NativePolicies)
}
