//! How a directive becomes a policy: the interface that the engine calls and the sandbox implements.
//! Compiles nothing itself; [`NativePolicies`] serves where there is no sandbox.
//! Always: what a loader returns has been initialised and has answered a question; a refusal is one sentence.

use std::fmt;

use crate::decision::{
    Decision, Description, Factory, Fault, Form, Loaded, LoadedFsync, LoadedSnapshot, Policy,
};
use crate::spec::{PolicySpec, Setting, Source, Start};

/// Turns directives into policies. Loading may take long (it compiles), so an engine calls it from a background job.
pub trait PolicyLoader: Send + Sync {
    /// Loads an fsync policy; `start` is what every instance is told, see [`PolicySpec::start`].
    fn load_fsync(&self, spec: &PolicySpec, start: &Start) -> Result<LoadedFsync, Refusal>;

    /// Loads a snapshot policy.
    fn load_snapshot(&self, spec: &PolicySpec, start: &Start) -> Result<LoadedSnapshot, Refusal>;

    /// What lies in the policy directory, in order of names. May compile, so it belongs in a background job too.
    fn available(&self) -> Vec<AvailableFile>;

    /// What has happened in the policy directory since the last call, or since the start, in order of names. Reads the
    /// directory, so it belongs in a background job. `now_ms` is any steady clock; call it every 100 to 500 ms.
    fn changes(&self, _now_ms: u64) -> Vec<FileChange> {
        Vec::new()
    }
}

/// Something that happened to a `*.wasm` of the policy directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileChange {
    /// It is new or was written, and has rested since.
    Changed(String),
    /// It is gone.
    Gone(String),
}

impl FileChange {
    /// Which file.
    pub fn file(&self) -> &str {
        match self {
            FileChange::Changed(file) | FileChange::Gone(file) => file,
        }
    }
}

/// Why a policy was not loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What it means at start.
    pub kind: RefusalKind,
    /// One sentence without newlines, as `a.wasm refused: ...`.
    pub sentence: String,
}

/// The kinds of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// No policy directory, no such file, or the file cannot be read.
    Missing,
    /// The file is not the pinned one.
    Checksum,
    /// The policy refused its settings.
    Settings,
    /// The sandbox refused the file.
    Sandbox,
}

impl Refusal {
    /// Whether a server must not start with it: the operator's text is wrong. What only the sandbox refuses is replaced
    /// by the native policy, with a warning.
    pub fn stops_start(&self) -> bool {
        match self.kind {
            RefusalKind::Missing | RefusalKind::Checksum | RefusalKind::Settings => true,
            RefusalKind::Sandbox => false,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for Refusal {}

/// One `*.wasm` of the policy directory, for POLICY LIST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvailableFile {
    /// Its name.
    pub file: String,
    /// The world it exports, where that could be told.
    pub world: Option<String>,
    /// The contract it was built against, as `tenon:policy@0.1.0`, where that could be told.
    pub version: Option<String>,
    /// Why it could not be used: one sentence. `None`: available.
    pub error: Option<String>,
}

/// Loads the default policies as native code: for builds and tests without a sandbox.
pub struct NativePolicies;

impl PolicyLoader for NativePolicies {
    fn load_fsync(&self, spec: &PolicySpec, start: &Start) -> Result<LoadedFsync, Refusal> {
        load_native(spec, start)
    }

    fn load_snapshot(&self, spec: &PolicySpec, start: &Start) -> Result<LoadedSnapshot, Refusal> {
        load_native(spec, start)
    }

    fn available(&self) -> Vec<AvailableFile> {
        Vec::new()
    }
}

impl<D: Decision> Loaded<D> {
    /// The default policy as native code.
    pub fn native(settings: &[Setting]) -> Result<Loaded<D>, Refusal> {
        D::accept_settings(settings).map_err(|sentence| Refusal {
            kind: RefusalKind::Settings,
            sentence: format!("builtin refused: {sentence}"),
        })?;
        let description = Description {
            name: "builtin".to_owned(),
            form: Form::Native,
            world: D::WORLD,
            version: "tenon:policy@0.1.0",
            origin: "native".to_owned(),
            sha256: None,
            settings: settings.to_vec(),
        };
        Ok(Loaded { description, policy: Box::new(Native), factory: Box::new(Native) })
    }
}

fn load_native<D: Decision>(spec: &PolicySpec, start: &Start) -> Result<Loaded<D>, Refusal> {
    match &spec.source {
        Source::Builtin => Loaded::native(&start.settings),
        Source::File(file) => Err(Refusal {
            kind: RefusalKind::Sandbox,
            sentence: format!("{file} refused: there is no sandbox to run it in; only builtin is allowed"),
        }),
    }
}

struct Native;

impl<D: Decision> Policy<D> for Native {
    fn decide(&mut self, facts: &D::Facts) -> Result<D::Verdict, Fault> {
        Ok(D::native(facts))
    }
}

impl<D: Decision> Factory<D> for Native {
    fn build(&self) -> Result<Box<dyn Policy<D>>, Fault> {
        Ok(Box::new(Native))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_sandbox_only_the_default_loads() {
        let loader: &dyn PolicyLoader = &NativePolicies;
        let load = |text: &str| {
            let spec: PolicySpec = text.parse().expect("parses");
            loader.load_fsync(&spec, &spec.start("default", "0")).map(|loaded| loaded.description.form)
        };
        assert_eq!(load("builtin"), Ok(Form::Native));
        let refusal = load("a.wasm").unwrap_err();
        assert!(!refusal.stops_start());
        assert!(refusal.sentence.starts_with("a.wasm refused: "));
        let refusal = load("builtin target-ms=20").unwrap_err();
        assert!(refusal.stops_start());
        assert!(refusal.sentence.contains("unknown setting 'target-ms'"), "{refusal}");
        assert!(loader.available().is_empty());
    }
}
