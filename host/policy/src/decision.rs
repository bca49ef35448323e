//! What every decision has in common: facts, a verdict, a policy that answers, and what became of loading one.
//! Knows no particular decision and no sandbox.
//! Always: a policy that fails says so with a [`Fault`]; it has no other way to disturb its host.

use std::fmt;

use crate::fsync::Fsync;
use crate::snapshot::Snapshot;
use crate::spec::{Setting, Sha256};

/// One kind of question that policies answer.
pub trait Decision: 'static {
    /// What a policy is told.
    type Facts;
    /// What it answers.
    type Verdict: Copy + fmt::Debug + fmt::Display + Send;
    /// What the host carries out: a verdict within the host's limits.
    type Plan: Copy + fmt::Debug + PartialEq + Send;

    /// As in the directive `policy-NAME`.
    const NAME: &'static str;
    /// The world of the WIT package that a component of this decision exports.
    const WORLD: &'static str;

    /// The steady time of the question, in milliseconds since the tenant's start.
    fn now_ms(facts: &Self::Facts) -> u64;

    /// The native default, which answers where no component can.
    fn native(facts: &Self::Facts) -> Self::Verdict;

    /// Whether the native default accepts these settings; a refusal is one sentence.
    fn accept_settings(settings: &[Setting]) -> Result<(), String>;

    /// Brings a verdict within the host's limits. An error is nonsense: one clause that says what is wrong with it.
    fn check(facts: &Self::Facts, verdict: Self::Verdict) -> Result<Checked<Self::Plan>, String>;
}

/// A plan, and whether the host's limits changed what the verdict asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked<P> {
    /// What to carry out.
    pub plan: P,
    /// The verdict asked for something else.
    pub overruled: bool,
}

/// Something that answers a decision: a component in its sandbox, or native code.
pub trait Policy<D: Decision>: Send {
    /// Answers one question. After a fault the policy is discarded and never asked again.
    fn decide(&mut self, facts: &D::Facts) -> Result<D::Verdict, Fault>;

    /// What the last answer cost, and what the instance holds.
    fn usage(&self) -> Usage {
        Usage::default()
    }
}

/// What a policy used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of the last answer, in the sandbox's units; 0 for native code.
    pub fuel: u64,
    /// Linear memory that the instance holds; 0 for native code.
    pub memory_bytes: u64,
}

/// Makes further instances of a loaded policy, when one has failed.
pub trait Factory<D: Decision>: Send + Sync {
    /// A new instance, initialised with the settings it was loaded with. Takes tens of microseconds and is bounded as a
    /// call is, so a guard does it where it is.
    fn build(&self) -> Result<Box<dyn Policy<D>>, Fault>;
}

/// A policy that was compiled, checked, initialised and probed, ready to be swapped in.
pub struct Loaded<D: Decision> {
    /// What it is.
    pub description: Description,
    /// The first instance.
    pub policy: Box<dyn Policy<D>>,
    /// Makes the next ones.
    pub factory: Box<dyn Factory<D>>,
}

/// A loaded fsync policy.
pub type LoadedFsync = Loaded<Fsync>;
/// A loaded snapshot policy.
pub type LoadedSnapshot = Loaded<Snapshot>;

/// What runs, for POLICY LIST, POLICY INFO and INFO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// `builtin`, or the file's name.
    pub name: String,
    /// Component or native code.
    pub form: Form,
    /// The world it exports, as `fsync-policy`.
    pub world: &'static str,
    /// The contract it was built against, as `tenon:policy@0.1.0`.
    pub version: &'static str,
    /// Its path, `embedded`, or `native`.
    pub origin: String,
    /// Of the component's bytes; native code has none.
    pub sha256: Option<Sha256>,
    /// What it was initialised with.
    pub settings: Vec<Setting>,
}

/// What a policy is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A component in a sandbox.
    Component,
    /// The default policy, linked into the server.
    Native,
}

/// Why a policy gave no usable answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which counter it belongs to.
    pub kind: FaultKind,
    /// One line for the log, without newlines.
    pub text: String,
}

/// The kinds of faults that are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It trapped: unreachable code, an access out of bounds, too deep a recursion, too much memory.
    Trap,
    /// It used up its budget of fuel or time.
    Exhausted,
    /// It answered something that makes no sense for these facts.
    Nonsense,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            FaultKind::Trap => "trapped",
            FaultKind::Exhausted => "used up its budget",
            FaultKind::Nonsense => "answered nonsense",
        };
        write!(f, "{kind}: {}", self.text)
    }
}

impl std::error::Error for Fault {}
