//! Stands between the engine and a policy: asks it, checks what it says, does without it where it fails.
//! Loads nothing (see `loader`), logs nothing (see [`Guard::take_notices`]) and reads no clock.
//! Always: a question is answered, by the native policy if need be. A policy that failed is not asked again before it was
//! rebuilt, with back-off; one that keeps failing is in quarantine for a while.

use std::collections::VecDeque;

use crate::decision::{Checked, Decision, Description, Factory, Fault, FaultKind, Form, Loaded, Policy};
use crate::fsync::Fsync;
use crate::loader::Refusal;
use crate::notice::{Level, Notice, Throttle, one_line};
use crate::snapshot::Snapshot;
use crate::statistics::Statistics;

/// The fsync policy of an engine.
pub type FsyncGuard = Guard<Fsync>;
/// The snapshot policy of an engine.
pub type SnapshotGuard = Guard<Snapshot>;

/// So many failures ...
const FAILURES_MAX: usize = 5;
/// ... within such a window are a quarantine.
const FAILURE_WINDOW_MS: u64 = 60_000;
/// The first rebuild waits so long; each further one twice as long.
const REBUILD_AFTER_MS_MIN: u64 = 100;
const REBUILD_AFTER_MS_MAX: u64 = 10_000;
/// The first quarantine; each further one is twice as long.
const QUARANTINE_MS_MIN: u64 = 60_000;
const QUARANTINE_MS_MAX: u64 = 3_600_000;
/// At most one line about faults, and one about overruled verdicts, in such a time.
const FAULT_LINE_INTERVAL_MS: u64 = 10_000;
const OVERRULED_LINE_INTERVAL_MS: u64 = 60_000;
/// Lines that wait to be taken; further ones are dropped.
const NOTICES_MAX: usize = 8;
/// Of text from a guest, in a line.
const TEXT_BYTES_MAX: usize = 256;

/// How a decision is being taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// By a component.
    Component,
    /// By native code, as intended.
    Native,
    /// By native code, because the chosen component was refused at start.
    Refused,
    /// By native code, because the chosen component kept failing.
    Quarantined,
}

/// A policy with its native fallback, its checks and its statistics.
pub struct Guard<D: Decision> {
    description: Description,
    factory: Box<dyn Factory<D>>,
    loaded_unix_ms: i64,
    state: State<D>,
    refused_at_start: bool,
    health: Health,
    statistics: Statistics,
    last_verdict: Option<D::Verdict>,
    notices: Vec<Notice>,
    fault_lines: Throttle,
    overruled_lines: Throttle,
}

enum State<D: Decision> {
    Healthy(Box<dyn Policy<D>>),
    Broken { rebuild_at_ms: u64 },
    Quarantined { until_ms: u64 },
}

/// What decides between back-off and quarantine.
struct Health {
    failures_ms: VecDeque<u64>,
    rebuild_after_ms: u64,
    quarantine_ms: u64,
}

impl Health {
    const NEW: Health = Health {
        failures_ms: VecDeque::new(),
        rebuild_after_ms: REBUILD_AFTER_MS_MIN,
        quarantine_ms: QUARANTINE_MS_MIN,
    };
}

impl<D: Decision> Guard<D> {
    /// Guards a policy that was just loaded.
    pub fn new(loaded: Loaded<D>, loaded_unix_ms: i64) -> Guard<D> {
        Guard {
            description: loaded.description,
            factory: loaded.factory,
            loaded_unix_ms,
            state: State::Healthy(loaded.policy),
            refused_at_start: false,
            health: Health::NEW,
            statistics: Statistics::default(),
            last_verdict: None,
            notices: Vec::new(),
            fault_lines: Throttle::new(FAULT_LINE_INTERVAL_MS),
            overruled_lines: Throttle::new(OVERRULED_LINE_INTERVAL_MS),
        }
    }

    /// Starts with the native policy, because the sandbox refused the chosen one; a notice says so.
    pub fn refused_at_start(refusal: &Refusal, loaded_unix_ms: i64) -> Guard<D> {
        let native = Loaded::native(&[]).expect("the native policy accepts having no settings");
        let mut guard = Guard::new(native, loaded_unix_ms);
        guard.refused_at_start = true;
        guard.note_refusal(refusal);
        guard.notify(Level::Warning, format!("Policy {}: {refusal}. The native policy decides", D::NAME));
        guard
    }

    /// Swaps another policy in. Ends a quarantine; counters start anew.
    pub fn replace(&mut self, loaded: Loaded<D>, loaded_unix_ms: i64) {
        let refused = self.statistics.refused;
        let notices = std::mem::take(&mut self.notices);
        *self = Guard::new(loaded, loaded_unix_ms);
        self.statistics.refused = refused;
        self.notices = notices;
    }

    /// Counts a policy that could not be loaded; what runs goes on.
    pub fn note_refusal(&mut self, refusal: &Refusal) {
        self.statistics.refused += 1;
        self.statistics.last_error = Some(refusal.sentence.clone());
    }

    /// Answers one question. `clock_ns` is read before and after the policy's call; only differences count.
    pub fn decide(&mut self, facts: &D::Facts, mut clock_ns: impl FnMut() -> u64) -> D::Plan {
        let now_ms = D::now_ms(facts);
        self.rebuild_if_due(now_ms);
        let State::Healthy(policy) = &mut self.state else { return self.fall_back(facts) };

        let start_ns = clock_ns();
        let answer = policy.decide(facts);
        let call_ns = clock_ns().saturating_sub(start_ns);
        self.statistics.called(call_ns, policy.usage());

        let checked = answer.and_then(|verdict| {
            self.last_verdict = Some(verdict);
            D::check(facts, verdict).map_err(|text| Fault { kind: FaultKind::Nonsense, text })
        });
        match checked {
            Ok(Checked { plan, overruled }) => {
                if overruled {
                    self.note_overruled(now_ms, plan);
                }
                plan
            }
            Err(fault) => {
                self.note_failure(now_ms, &fault);
                self.fall_back(facts)
            }
        }
    }

    /// How the decision is being taken.
    pub fn status(&self) -> Status {
        match (&self.state, self.description.form) {
            (State::Quarantined { .. }, _) => Status::Quarantined,
            _ if self.refused_at_start => Status::Refused,
            (_, Form::Component) => Status::Component,
            (_, Form::Native) => Status::Native,
        }
    }

    /// `builtin`, a file's name, or `native` while native code stands in for a component, or there is none.
    pub fn running(&self) -> &str {
        match (&self.state, self.description.form) {
            (State::Healthy(_), Form::Component) => &self.description.name,
            _ => "native",
        }
    }

    /// For the end of a refusal: `Still running: sha256 ab12cd34...`.
    pub fn still_running(&self) -> String {
        match (self.running(), &self.description.sha256) {
            (running @ ("builtin" | "native"), _) | (running, None) => format!("Still running: {running}"),
            (_, Some(sha256)) => format!("Still running: sha256 {:.12}...", sha256.to_string()),
        }
    }

    /// The line for the log when this policy was swapped in:
    /// `Policy fsync: component adaptive-fsync.wasm (sha256 ab12cd34..., tenon:policy@0.1.0)`.
    pub fn loaded_line(&self) -> String {
        let Description { name, form, version, sha256, .. } = &self.description;
        match (form, sha256) {
            (Form::Component, Some(sha256)) => {
                format!(
                    "Policy {}: component {name} (sha256 {:.12}..., {version})",
                    D::NAME,
                    sha256.to_string()
                )
            }
            (Form::Component, None) => format!("Policy {}: component {name} ({version})", D::NAME),
            (Form::Native, _) => format!("Policy {}: native", D::NAME),
        }
    }

    /// What was loaded; in a quarantine, what would run.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// When it was loaded.
    pub fn loaded_unix_ms(&self) -> i64 {
        self.loaded_unix_ms
    }

    /// Counters since it was loaded.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// The last answer of the policy, before the host's limits; `None` if it gave none yet.
    pub fn last_verdict(&self) -> Option<D::Verdict> {
        self.last_verdict
    }

    /// The end of the quarantine, steady milliseconds since the tenant's start.
    pub fn quarantined_until_ms(&self) -> Option<u64> {
        match self.state {
            State::Quarantined { until_ms } => Some(until_ms),
            State::Healthy(_) | State::Broken { .. } => None,
        }
    }

    /// Lines to log now; at most a few, and rarely any.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    fn rebuild_if_due(&mut self, now_ms: u64) {
        let was_quarantined = match self.state {
            State::Broken { rebuild_at_ms } if rebuild_at_ms <= now_ms => false,
            State::Quarantined { until_ms } if until_ms <= now_ms => true,
            _ => return,
        };
        self.statistics.rebuilds += 1;
        match self.factory.build() {
            Ok(policy) => {
                self.state = State::Healthy(policy);
                if was_quarantined {
                    let name = &self.description.name;
                    self.notify(Level::Notice, format!("Policy {}: {name} is out of quarantine", D::NAME));
                }
            }
            Err(fault) => self.note_failure(now_ms, &fault),
        }
    }

    /// The chosen policy cannot answer: the native one does.
    fn fall_back(&mut self, facts: &D::Facts) -> D::Plan {
        self.statistics.fallbacks += 1;
        D::check(facts, D::native(facts)).expect("the native policy's verdicts make sense").plan
    }

    fn note_failure(&mut self, now_ms: u64, fault: &Fault) {
        let fault = Fault { kind: fault.kind, text: one_line(&fault.text, TEXT_BYTES_MAX) };
        self.statistics.faulted(&fault);
        let name = &self.description.name;
        let line = self.fault_lines.pass(now_ms, Level::Warning, || {
            format!("Policy {}: {name} {fault}. The native policy decides until it is rebuilt", D::NAME)
        });

        let health = &mut self.health;
        let is_recent = |&failed_ms: &u64| now_ms.saturating_sub(failed_ms) < FAILURE_WINDOW_MS;
        if !health.failures_ms.back().is_some_and(is_recent) {
            health.rebuild_after_ms = REBUILD_AFTER_MS_MIN;
        }
        health.failures_ms.retain(is_recent);
        health.failures_ms.push_back(now_ms);

        let after_quarantine = health.quarantine_ms > QUARANTINE_MS_MIN && health.failures_ms.len() == 1;
        let failures = health.failures_ms.len();
        if failures < FAILURES_MAX && !after_quarantine {
            self.state = State::Broken { rebuild_at_ms: now_ms.saturating_add(health.rebuild_after_ms) };
            health.rebuild_after_ms = (health.rebuild_after_ms * 2).min(REBUILD_AFTER_MS_MAX);
            self.notices.extend(line);
            return;
        }
        let for_ms = health.quarantine_ms;
        self.state = State::Quarantined { until_ms: now_ms.saturating_add(for_ms) };
        health.quarantine_ms = (for_ms * 2).min(QUARANTINE_MS_MAX);
        health.failures_ms.clear();
        let text = format!(
            "Policy {}: {name} is in quarantine for {} s ({fault}). The native policy decides; POLICY RELOAD ends it",
            D::NAME,
            for_ms / 1_000
        );
        self.notify(Level::Warning, text);
    }

    fn note_overruled(&mut self, now_ms: u64, plan: D::Plan) {
        self.statistics.overruled += 1;
        let name = &self.description.name;
        let verdict = self.last_verdict;
        let line = self.overruled_lines.pass(now_ms, Level::Verbose, || {
            let said = verdict.map(|verdict| verdict.to_string()).unwrap_or_default();
            format!("Policy {}: {name} said {said}, the host's limits make it {plan:?}", D::NAME)
        });
        if let Some(Notice { level, text }) = line {
            self.notify(level, text);
        }
    }

    fn notify(&mut self, level: Level, text: String) {
        if self.notices.len() < NOTICES_MAX {
            self.notices.push(Notice { level, text });
        }
    }
}

#[cfg(test)]
mod tests;
