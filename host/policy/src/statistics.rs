//! What POLICY INFO and INFO say about a guarded policy.
//! Counts only; decides nothing.
//! Always: everything but `refused` starts anew when another policy is swapped in.

use crate::decision::{Fault, FaultKind, Usage};

/// Counters of one guard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Questions that the chosen policy was asked.
    pub calls: u64,
    /// Decisions that the native policy took in place of a component that was chosen.
    pub fallbacks: u64,
    /// Calls that trapped.
    pub traps: u64,
    /// Calls that used up their budget.
    pub exhausted: u64,
    /// Answers that made no sense.
    pub nonsense: u64,
    /// Verdicts that the host's limits changed.
    pub overruled: u64,
    /// Instances made after a fault.
    pub rebuilds: u64,
    /// Policies that could not be loaded since the start.
    pub refused: u64,
    /// Of all calls.
    pub call_ns_total: u64,
    /// Of the slowest call.
    pub call_ns_max: u64,
    /// Of the dearest call.
    pub fuel_max: u64,
    /// Linear memory of the instance after its last call.
    pub memory_bytes: u64,
    /// The last fault or refusal; one line.
    pub last_error: Option<String>,
}

impl Statistics {
    /// Mean duration of a call, rounded down; 0 if there was none.
    pub fn call_ns_mean(&self) -> u64 {
        self.call_ns_total.checked_div(self.calls).unwrap_or(0)
    }

    pub(crate) fn called(&mut self, call_ns: u64, usage: Usage) {
        self.calls += 1;
        self.call_ns_total = self.call_ns_total.saturating_add(call_ns);
        self.call_ns_max = self.call_ns_max.max(call_ns);
        self.fuel_max = self.fuel_max.max(usage.fuel);
        self.memory_bytes = usage.memory_bytes;
    }

    pub(crate) fn faulted(&mut self, fault: &Fault) {
        match fault.kind {
            FaultKind::Trap => self.traps += 1,
            FaultKind::Exhausted => self.exhausted += 1,
            FaultKind::Nonsense => self.nonsense += 1,
        }
        self.last_error = Some(fault.to_string());
    }
}
