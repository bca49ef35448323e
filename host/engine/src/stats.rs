//! What the server has done, in numbers: for INFO, and for the facts that policies are told.

use std::collections::BTreeMap;

use tenon_base::{Micros, SentTotals};
use tenon_commands::CommandError;

use crate::histogram::Histogram;
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

/// Microseconds that turns took.
#[derive(Clone, Copy, Debug, Default)]
pub struct TurnTimes {
    /// From the first input to the last output, in all.
    pub whole_us: u64,
    /// The longest.
    pub longest_us: u64,
    /// Spent with the log, in all.
    pub log_us: u64,
    /// Spent with what is done by the clock, in all.
    pub cron_us: u64,
    /// The most commands in one turn.
    pub commands_max: u64,
}

/// Counters since the start, or since CONFIG RESETSTAT.
#[derive(Debug, Default)]
pub struct Stats {
    /// Connections accepted.
    pub connections_received: u64,
    /// Connections refused for `maxclients`.
    pub connections_rejected: u64,
    /// Commands run.
    pub commands_processed: u64,
    /// Times that bytes came from a client.
    pub reads: u64,
    /// What was sent to clients.
    pub sent: SentTotals,
    /// Turns of the engine.
    pub turns: u64,
    /// What turns took.
    pub turns_by_part: TurnTimes,
    /// Logins with a wrong user or password.
    pub logins_refused: u64,
    /// Requests denied to users for the command.
    pub commands_denied: u64,
    /// For a key.
    pub keys_denied: u64,
    /// For a channel.
    pub channels_denied: u64,
    /// Values and tables freed aside.
    pub lazy_freed: u64,
    /// Bytes read from clients.
    pub net_input_bytes: u64,
    /// Keys removed because their time had come.
    pub expired_keys: u64,
    /// Clients closed because clients took too much memory.
    pub evicted_clients: u64,
    /// Keys removed to make room.
    pub evicted_keys: u64,
    /// Microseconds during which there was more than `maxmemory`; the present time is in the engine.
    pub eviction_exceeded_us: u64,
    /// Changes, in Redis's count.
    pub dirty_total: u64,
    /// Error replies.
    pub error_replies: u64,
    /// Commands of the primary's stream that were refused here.
    pub unexpected_error_replies: u64,
    /// Writes that waited for the sake of a full synchronization.
    pub delayed_for_sync: u64,
    /// Times the active expiry ran out of its budget.
    pub expire_cycle_cut_short: u64,
    /// Microseconds spent on active expiry.
    pub expire_cycle_us: u64,
    /// By [`CommandId`].
    pub calls: Vec<CallCounts>,
    /// `latency-tracking`.
    pub(crate) tracks_times: bool,
    /// By [`CommandId`].
    histograms: Vec<Option<Histogram>>,
    /// Error replies by code.
    pub errors: BTreeMap<String, u64>,
    /// What had been sent in all when `sent` was last brought up to date.
    sent_seen: SentTotals,
    ops: Meter,
    input: Meter,
    output: Meter,
    turn_rate: Meter,
    turn_length: Meter,
    /// Commands processed when the turn began.
    commands_before_turn: u64,
}

impl Stats {
    /// Counters for a table of `commands` commands.
    pub(crate) fn new(commands: usize, tracks_times: bool) -> Stats {
        let histograms = (0..commands).map(|_| None).collect();
        Stats { calls: vec![CallCounts::default(); commands], histograms, tracks_times, ..Stats::default() }
    }

    /// CONFIG RESETSTAT.
    pub fn reset(&mut self) {
        let (dirty_total, sent_seen) = (self.dirty_total, self.sent_seen);
        *self = Stats { dirty_total, sent_seen, ..Stats::new(self.calls.len(), self.tracks_times) };
    }

    pub(crate) fn count_call(&mut self, id: CommandId, spent: Micros, failed: bool) {
        self.commands_processed += 1;
        let counts = &mut self.calls[id.index()];
        counts.calls += 1;
        counts.usec += spent.0;
        counts.failed += u64::from(failed);
        if self.tracks_times {
            // Made at the first call of a command.
            self.histograms[id.index()].get_or_insert_with(Histogram::new).record(spent);
        }
    }

    /// How long calls of a command took, if there were any while it was tracked.
    pub(crate) fn histogram(&self, id: CommandId) -> Option<&Histogram> {
        self.histograms[id.index()].as_ref()
    }

    /// Counts a call as failed that has written its error itself.
    pub(crate) fn count_failed(&mut self, id: CommandId) {
        self.calls[id.index()].failed += 1;
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

    /// Brings `sent` up to date with what was sent in all.
    pub(crate) fn note_sent(&mut self, totals: SentTotals) {
        self.sent.bytes += totals.bytes - self.sent_seen.bytes;
        self.sent.sends += totals.sends - self.sent_seen.sends;
        self.sent.shared_bytes += totals.shared_bytes - self.sent_seen.shared_bytes;
        self.sent_seen = totals;
    }

    /// Counts a turn, which took so long.
    pub(crate) fn count_turn(&mut self, length: Micros) {
        self.turns += 1;
        let commands = self.commands_processed.saturating_sub(self.commands_before_turn);
        self.commands_before_turn = self.commands_processed;
        let times = &mut self.turns_by_part;
        times.whole_us += length.0;
        times.longest_us = times.longest_us.max(length.0);
        times.commands_max = times.commands_max.max(commands);
    }

    /// Takes a sample of every rate; call about ten times a second.
    pub(crate) fn sample(&mut self, now: Micros) {
        self.ops.sample(now, self.commands_processed);
        self.input.sample(now, self.net_input_bytes);
        self.output.sample(now, self.sent.bytes);
        self.turn_rate.sample(now, self.turns);
        self.turn_length.sample_share(self.turns, self.turns_by_part.whole_us);
    }

    /// Commands per second, over the last 16 samples.
    pub fn ops_per_second(&self) -> u64 {
        self.ops.mean()
    }

    /// Bytes read per second, likewise.
    pub fn input_bytes_per_second(&self) -> u64 {
        self.input.mean()
    }

    /// Bytes sent per second, likewise.
    pub fn output_bytes_per_second(&self) -> u64 {
        self.output.mean()
    }

    /// Turns per second, likewise.
    pub fn turns_per_second(&self) -> u64 {
        self.turn_rate.mean()
    }

    /// Microseconds per turn, likewise.
    pub fn turn_microseconds(&self) -> u64 {
        self.turn_length.mean()
    }
}

/// A rate over a window of samples.
#[derive(Debug, Default)]
struct Meter {
    samples: [u64; 16],
    next: usize,
    last_count: u64,
    last_at: Micros,
    /// For a share: what it is a share of.
    last_base: u64,
}

impl Meter {
    /// As [`Meter::sample`], by another count in place of the time.
    fn sample_share(&mut self, base: u64, count: u64) {
        let span = base.saturating_sub(self.last_base);
        let gained = count.saturating_sub(self.last_count);
        self.samples[self.next] = gained.checked_div(span).unwrap_or(0);
        self.next = (self.next + 1) % self.samples.len();
        (self.last_count, self.last_base) = (count, base);
    }

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
