//! Decisions as traits: facts in, verdict out, every verdict guarded.
//!
//! A decision ([`Fsync`], [`Snapshot`]) has facts, verdicts and a native default. A [`Policy`] answers it; a
//! [`PolicyLoader`] turns a directive into one; a [`Guard`] asks it, checks what it says and does without it where it
//! fails. What the engine carries out is the guard's plan, never a bare verdict.
//!
//! Not here: the sandbox (see `wasm`), logging, files, clocks. Times arrive in the facts, log lines leave as [`Notice`]s.
//! Always: a guard answers every question with a plan that is within the host's limits, whatever the policy does.

pub mod conformance;
mod decision; // read me first
mod fsync;
mod guard;
mod loader;
mod notice;
mod shadow;
mod snapshot;
mod spec;
mod statistics;

pub use decision::{Checked, Decision};
pub use decision::{
    Description, Factory, Fault, FaultKind, Form, Loaded, LoadedFsync, LoadedSnapshot, Policy, Usage,
};
pub use fsync::{
    ALWAYS_CEILING_US, Bound, Cause, Durability, EVERYSEC_CEILING_US, Fsync, FsyncFacts, FsyncPlan,
    FsyncPolicy, FsyncVerdict, Gather, ceiling_us, durability_in_force,
};
pub use guard::{FsyncGuard, Guard, SnapshotGuard, Status};
pub use loader::{AvailableFile, FileChange, NativePolicies, PolicyLoader, Refusal, RefusalKind};
pub use notice::{Level, Notice, one_line};
pub use shadow::{Difference, Shadow};
pub use snapshot::{
    ATTEMPT_INTERVAL_MS_MIN, Job, SavePoint, Snapshot, SnapshotFacts, SnapshotPolicy, SnapshotVerdict,
    rewrite_is_limited,
};
pub use spec::{PolicySpec, SETTINGS_MAX, SPEC_BYTES_MAX, Setting, Sha256, Source, SpecError, Start};
pub use statistics::Statistics;

/// Never, or no limit: wherever a time, an age or a size may be absent.
pub const NEVER: u64 = u64::MAX;

/// How the last attempt of a kind ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// There was no attempt.
    #[default]
    NoneYet,
    /// It succeeded.
    Ok,
    /// It failed.
    Failed,
}
