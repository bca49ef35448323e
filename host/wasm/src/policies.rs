//! The loader: from a directive to a policy that has answered its first questions.
//! Swaps nothing in and decides on no reload; called off the serving threads, because it compiles and reads files.
//! Always: a file is judged by the bytes that were read once: the same bytes are hashed, checked and compiled.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use sha2::Digest;
use tenon_policy::{
    AvailableFile, Decision, Description, FileChange, Form, Fsync, Loaded, LoadedFsync, LoadedSnapshot,
    Policy, PolicyLoader, PolicySpec, Refusal, RefusalKind, Sha256, Snapshot, Source, Start, one_line,
};
use wasmtime::component::{Component, InstancePre, Linker};

use crate::check;
use crate::contract::Contract;
use crate::directory::{self, ReadError, Stamp, Watcher};
use crate::instance::{Guest, Host, Recipe, StartError, Voice, causes};
use crate::sandbox::{FILE_BYTES_MAX, Limits, Sandbox};

mod embedded {
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
}

/// Loads components from the policy directory, and the default policies from the program itself.
pub struct WasmPolicies {
    sandbox: Arc<Sandbox>,
    directory: Option<PathBuf>,
    compiled: Mutex<HashMap<CacheKey, Weak<InstancePre<Host>>>>,
    inspected: Mutex<HashMap<String, (Stamp, AvailableFile)>>,
    watcher: Mutex<Watcher>,
}

/// Tenants that run the same bytes share the code.
type CacheKey = (Sha256, &'static str);

/// Why there is no sandbox.
#[derive(Debug)]
pub enum WasmError {
    /// The policy directory cannot be read.
    Directory(PathBuf, std::io::Error),
    /// The machine does not give what a sandbox needs.
    Sandbox(String),
}

impl WasmPolicies {
    /// Makes the sandbox. Without a directory only `builtin` can be loaded.
    pub fn new(directory: Option<PathBuf>, limits: Limits) -> Result<WasmPolicies, WasmError> {
        let mut watcher = Watcher::new();
        if let Some(directory) = &directory {
            let listed =
                directory::scan(directory).map_err(|error| WasmError::Directory(directory.clone(), error))?;
            watcher.poll(0, &listed);
        }
        let sandbox =
            Sandbox::new(limits).map_err(|error| WasmError::Sandbox(one_line(&format!("{error:#}"), 300)))?;
        Ok(WasmPolicies {
            sandbox: Arc::new(sandbox),
            directory,
            compiled: Mutex::default(),
            inspected: Mutex::default(),
            watcher: Mutex::new(watcher),
        })
    }

    /// The policy directory.
    pub fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    /// Whether this program contains the default policies as components; where not, `builtin` is native code.
    pub const fn builtins_are_components() -> bool {
        embedded::FSYNC.is_some() && embedded::SNAPSHOT.is_some()
    }

    fn load<D: Contract>(
        &self,
        builtin: Option<&'static [u8]>,
        spec: &PolicySpec,
        start: &Start,
    ) -> Result<Loaded<D>, Refusal> {
        let file;
        let (bytes, origin): (&[u8], String) = match (&spec.source, builtin) {
            (Source::Builtin, Some(bytes)) => (bytes, "embedded".to_owned()),
            (Source::Builtin, None) => return Loaded::native(&start.settings),
            (Source::File(name), _) => {
                let (bytes, path) = self.read(name)?;
                file = bytes;
                (&file, path.display().to_string())
            }
        };
        let sha256 = digest(bytes);
        if let Some(pinned) = spec.sha256.filter(|pinned| *pinned != sha256) {
            let sentence = format!("{} refused: its sha256 is {sha256}, expected {pinned}", spec.name());
            return Err(Refusal { kind: RefusalKind::Checksum, sentence });
        }
        let refuse =
            |kind, reason: String| Refusal { kind, sentence: format!("{} refused: {reason}", spec.name()) };
        let linked = self.link::<D>(sha256, bytes).map_err(|reason| refuse(RefusalKind::Sandbox, reason))?;
        let recipe = Recipe {
            sandbox: self.sandbox.clone(),
            linked,
            start: start.clone(),
            voice: Arc::new(Voice::new(D::NAME, spec.name())),
        };
        let policy = first_guest::<D>(&recipe).map_err(|(kind, reason)| refuse(kind, reason))?;
        let description = Description {
            name: spec.name().to_owned(),
            form: Form::Component,
            world: D::WORLD,
            version: check::CONTRACT,
            origin,
            sha256: Some(sha256),
            settings: start.settings.clone(),
        };
        Ok(Loaded { description, policy: Box::new(policy), factory: Box::new(recipe) })
    }

    fn read(&self, file: &str) -> Result<(Vec<u8>, PathBuf), Refusal> {
        let Some(directory) = &self.directory else {
            let sentence = format!("{file} not found: there is no policy-directory");
            return Err(Refusal { kind: RefusalKind::Missing, sentence });
        };
        match directory::read(directory, file) {
            Ok(bytes) => Ok((bytes, directory.join(file))),
            Err(ReadError::Missing(reason)) => {
                let sentence = one_line(&format!("{file} cannot be read: {reason}"), 300);
                Err(Refusal { kind: RefusalKind::Missing, sentence })
            }
            Err(ReadError::TooLarge(size)) => Err(Refusal {
                kind: RefusalKind::Sandbox,
                sentence: format!("{file} refused: {}", too_large(size)),
            }),
        }
    }

    /// Checks, compiles and links bytes, or finds that done. An error is the end of `FILE refused: ...`.
    fn link<D: Contract>(&self, sha256: Sha256, bytes: &[u8]) -> Result<Arc<InstancePre<Host>>, String> {
        let key = (sha256, D::NAME);
        let known = lock(&self.compiled).get(&key).and_then(Weak::upgrade);
        if let Some(linked) = known {
            return Ok(linked);
        }
        check::bytes(bytes)?;
        let component = self.sandbox.compile(bytes).map_err(|error| check::compile_error(&error))?;
        check::identity(self.sandbox.engine(), &component, Some(D::WORLD)).check(D::WORLD)?;
        let linked = Arc::new(self.link_component::<D>(&component)?);
        let mut compiled = lock(&self.compiled);
        compiled.retain(|_, known| known.strong_count() > 0);
        compiled.insert(key, Arc::downgrade(&linked));
        Ok(linked)
    }

    fn link_component<D: Contract>(&self, component: &Component) -> Result<InstancePre<Host>, String> {
        let mut linker = Linker::new(self.sandbox.engine());
        D::add_imports(&mut linker).map_err(|error| types_differ(&causes(&error)))?;
        linker.instantiate_pre(component).map_err(|error| types_differ(&causes(&error)))
    }

    /// Looks at a file as if it were to be loaded, but for its settings.
    fn inspect(&self, directory: &Path, file: &str) -> AvailableFile {
        let mut found = AvailableFile { file: file.to_owned(), world: None, version: None, error: None };
        let inspected = match directory::read(directory, file) {
            Ok(bytes) => self.identify(&bytes, &mut found),
            Err(ReadError::Missing(reason)) => Err(reason),
            Err(ReadError::TooLarge(size)) => Err(too_large(size)),
        };
        found.error = inspected.err().map(|reason| one_line(&reason, 300));
        found
    }

    fn identify(&self, bytes: &[u8], found: &mut AvailableFile) -> Result<(), String> {
        check::bytes(bytes)?;
        let component = self.sandbox.compile(bytes).map_err(|error| check::compile_error(&error))?;
        let identity = check::identity(self.sandbox.engine(), &component, None);
        found.world = identity.world.map(str::to_owned);
        found.version = identity.contract();
        identity.check(identity.world.unwrap_or("fsync-policy or snapshot-policy"))?;
        match identity.world {
            Some(Fsync::WORLD) => self.try_out::<Fsync>(&component),
            _ => self.try_out::<Snapshot>(&component),
        }
    }

    /// Whether an instance can be made; its `init` would need settings.
    fn try_out<D: Contract>(&self, component: &Component) -> Result<(), String> {
        let recipe = Recipe {
            sandbox: self.sandbox.clone(),
            linked: Arc::new(self.link_component::<D>(component)?),
            start: PolicySpec::BUILTIN.start("", ""),
            voice: Arc::new(Voice::new(D::NAME, "an unused file")),
        };
        recipe.instantiate::<D>().map(drop).map_err(|error| start_error(error).1)
    }
}

impl PolicyLoader for WasmPolicies {
    fn load_fsync(&self, spec: &PolicySpec, start: &Start) -> Result<LoadedFsync, Refusal> {
        self.load::<Fsync>(embedded::FSYNC, spec, start)
    }

    fn load_snapshot(&self, spec: &PolicySpec, start: &Start) -> Result<LoadedSnapshot, Refusal> {
        self.load::<Snapshot>(embedded::SNAPSHOT, spec, start)
    }

    fn available(&self) -> Vec<AvailableFile> {
        let Some(directory) = &self.directory else { return Vec::new() };
        let listed = directory::scan(directory).unwrap_or_default();
        let mut known = std::mem::take(&mut *lock(&self.inspected));
        known.retain(|file, (stamp, _)| listed.iter().any(|now| now.file == *file && now.stamp == *stamp));
        let mut available = Vec::new();
        for directory::Listed { file, stamp } in listed {
            let (_, found) =
                known.entry(file).or_insert_with_key(|file| (stamp, self.inspect(directory, file)));
            available.push(found.clone());
        }
        *lock(&self.inspected) = known;
        available
    }

    fn changes(&self, now_ms: u64) -> Vec<FileChange> {
        let Some(directory) = &self.directory else { return Vec::new() };
        let listed = match directory::scan(directory) {
            Ok(listed) => listed,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            // What cannot be listed just now is not gone.
            Err(_) => return Vec::new(),
        };
        lock(&self.watcher).poll(now_ms, &listed)
    }
}

/// Instantiates, initialises and asks: a type mismatch or a trap shows only here. The guest that was probed may remember
/// it, so the one that serves is another, which has been asked nothing; the log hears one of the two.
fn first_guest<D: Contract>(recipe: &Recipe) -> Result<Guest<D>, (RefusalKind, String)> {
    let mut probed = recipe.make::<D>().map_err(start_error)?;
    recipe.voice.mute(true);
    for facts in D::probes() {
        let answered = probed.decide(&facts);
        answered.map_err(|fault| (RefusalKind::Sandbox, format!("asked its first questions, it {fault}")))?;
    }
    drop(probed);
    let guest = recipe.make::<D>().map_err(start_error);
    recipe.voice.mute(false);
    guest
}

fn start_error(error: StartError) -> (RefusalKind, String) {
    match error {
        StartError::Fault(fault) => (RefusalKind::Sandbox, format!("while starting, it {fault}")),
        StartError::Types(causes) => (RefusalKind::Sandbox, types_differ(&causes)),
        StartError::Refused(sentence) => (RefusalKind::Settings, sentence),
    }
}

fn types_differ(causes: &str) -> String {
    format!("its types differ from {}: {causes}", check::CONTRACT)
}

fn too_large(size: u64) -> String {
    format!("it has {size} bytes, at most {FILE_BYTES_MAX} are allowed")
}

/// What these locks hold is whole at every step, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn digest(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}

impl fmt::Display for WasmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WasmError::Directory(path, error) => {
                write!(f, "policy-directory {} cannot be read: {error}", path.display())
            }
            WasmError::Sandbox(reason) => write!(f, "there is no sandbox for policies: {reason}"),
        }
    }
}

impl std::error::Error for WasmError {}
