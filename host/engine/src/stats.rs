//! What the server has done, in numbers: for INFO, and for the facts that policies are told.

use std::collections::BTreeMap;

use tenon_base::Micros;
use tenon_commands::CommandError;

use crate::table::CommandId;

/// Error codes counted apart; beyond, nothing new is counted, as in Redis 7.2.
const ERROR_CODES_MAX: usize = 128;

/// Calls of one command.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallCounts {
    /// Times run.
    pub calls: u64,
    /// Microseconds spent, in all.
    pub usec: u64,
    /// Refused before it ran.
    pub rejected: u64,
    /// Ran and answered an error.
    pub failed: u64,
}

/// Counters since the start, or since CONFIG RESETSTAT.
#[derive(Debug, Default)]
pub struct Stats {
    /// Connections accepted.
    pub connections_received: u64,
    /// Connections refused for `maxclients`.
    pub connections_rejected: u64,
    /// Requests, refused ones included.
    pub commands_processed: u64,
    /// Bytes read from clients.
    pub net_input_bytes: u64,
    /// Keys removed because their time had come.
    pub expired_keys: u64,
    /// Changes, in Redis's count.
    pub dirty_total: u64,
    /// Error replies.
    pub error_replies: u64,
    /// Times the active expiry ran out of its budget.
    pub expire_cycle_cut_short: u64,
    /// By [`CommandId`].
    pub calls: Vec<CallCounts>,
    /// Error replies by code.
    pub errors: BTreeMap<String, u64>,
    ops: OpsMeter,
}

impl Stats {
    /// Counters for a table of `commands` commands.
    pub(crate) fn new(commands: usize) -> Stats {
        Stats { calls: vec![CallCounts::default(); commands], ..Stats::default() }
    }

    /// CONFIG RESETSTAT.
    pub fn reset(&mut self) {
        let dirty_total = self.dirty_total;
        *self = Stats { dirty_total, ..Stats::new(self.calls.len()) };
    }

    pub(crate) fn count_call(&mut self, id: CommandId, spent: Micros, failed: bool) {
        let counts = &mut self.calls[id.index()];
        counts.calls += 1;
        counts.usec += spent.0;
        counts.failed += u64::from(failed);
    }

    pub(crate) fn count_rejected(&mut self, id: CommandId) {
        self.calls[id.index()].rejected += 1;
    }

    pub(crate) fn count_error(&mut self, error: &CommandError) {
        self.error_replies += 1;
        let text = error.to_string();
        let code = text.split(' ').next().unwrap_or("ERR");
        if let Some(count) = self.errors.get_mut(code) {
            *count += 1;
        } else if self.errors.len() < ERROR_CODES_MAX {
            self.errors.insert(code.to_owned(), 1);
        }
    }

    /// Takes a sample of the rate of commands; call about ten times a second.
    pub(crate) fn sample(&mut self, now: Micros) {
        self.ops.sample(now, self.commands_processed);
    }

    /// Commands per second, over the last 16 samples.
    pub fn ops_per_second(&self) -> u64 {
        self.ops.mean()
    }
}

/// A rate over a window of samples.
#[derive(Debug, Default)]
struct OpsMeter {
    samples: [u64; 16],
    next: usize,
    last_count: u64,
    last_at: Micros,
}

impl OpsMeter {
    fn sample(&mut self, now: Micros, count: u64) {
        let span = now.since(self.last_at).0.max(1);
        self.samples[self.next] = count.saturating_sub(self.last_count) * 1_000_000 / span;
        self.next = (self.next + 1) % self.samples.len();
        (self.last_count, self.last_at) = (count, now);
    }

    fn mean(&self) -> u64 {
        self.samples.iter().sum::<u64>() / self.samples.len() as u64
    }
}
