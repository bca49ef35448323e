//! `latency-monitor-threshold`: what took too long, by kind of event, as LATENCY shows it.
//! Measures nothing by itself: who does the work reads the stopwatch.
//! Always: at most [`SAMPLES`] seconds are kept of an event, each with its worst time.

mod advice;
mod graph;

use std::collections::{BTreeMap, VecDeque};

use tenon_base::{Micros, Now};
use tenon_commands::Flags;
use tenon_config::{Config, Directive};

use crate::engine::Engine;
use crate::table::CommandId;

pub(crate) use advice::{Surroundings, report};
pub(crate) use graph::graph;

/// Seconds kept of each event.
const SAMPLES: usize = 160;

/// The events that have been noticed.
pub(crate) struct LatencyMonitor {
    /// What takes so long is noticed; [`Micros::NEVER`] for nothing.
    threshold: Micros,
    events: BTreeMap<&'static str, Series>,
}

/// What was noticed of one event.
#[derive(Debug, Default)]
pub(crate) struct Series {
    samples: VecDeque<Sample>,
    /// The longest since the series began, in milliseconds.
    pub(crate) longest_ms: u64,
}

/// The worst of one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Seconds since 1970.
    pub(crate) second: i64,
    /// How long it took.
    pub(crate) spent_ms: u64,
}

impl LatencyMonitor {
    pub(crate) fn new(config: &Config) -> LatencyMonitor {
        let mut monitor = LatencyMonitor { threshold: Micros::NEVER, events: BTreeMap::new() };
        monitor.configure(config);
        monitor
    }

    pub(crate) fn configure(&mut self, config: &Config) {
        let threshold_ms = config.integer(Directive::LatencyMonitorThreshold);
        self.threshold = match u64::try_from(threshold_ms) {
            Ok(0) | Err(_) => Micros::NEVER,
            Ok(threshold_ms) => Micros::from_millis(threshold_ms),
        };
    }

    /// Whether anything is noticed: whether it is worth reading the stopwatch.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.threshold != Micros::NEVER
    }

    /// Notices an event if it took too long.
    #[inline]
    pub(crate) fn note(&mut self, event: &'static str, spent: Micros, now: Now) {
        if spent >= self.threshold {
            self.add(event, spent, now);
        }
    }

    /// Events by name.
    pub(crate) fn events(&self) -> impl ExactSizeIterator<Item = (&'static str, &Series)> {
        self.events.iter().map(|(&event, series)| (event, series))
    }

    /// One event.
    pub(crate) fn series(&self, event: &[u8]) -> Option<(&'static str, &Series)> {
        self.events().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(event))
    }

    /// Forgets one event, or all. Returns how many there were.
    pub(crate) fn forget(&mut self, event: Option<&[u8]>) -> usize {
        let before = self.events.len();
        self.events
            .retain(|known, _| event.is_some_and(|event| !known.as_bytes().eq_ignore_ascii_case(event)));
        before - self.events.len()
    }

    #[cold]
    fn add(&mut self, event: &'static str, spent: Micros, now: Now) {
        self.events.entry(event).or_default().add(now.unix().seconds(), spent.millis());
    }
}

impl Series {
    /// Oldest first.
    pub(crate) fn samples(&self) -> impl ExactSizeIterator<Item = Sample> {
        self.samples.iter().copied()
    }

    /// The newest; a series begins with one.
    pub(crate) fn last(&self) -> Sample {
        *self.samples.back().expect("a series has a sample")
    }

    fn add(&mut self, second: i64, spent_ms: u64) {
        self.longest_ms = self.longest_ms.max(spent_ms);
        if let Some(last) = self.samples.back_mut()
            && last.second == second
        {
            last.spent_ms = last.spent_ms.max(spent_ms);
            return;
        }
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample { second, spent_ms });
    }
}

impl Engine {
    /// Counts a call that has ended, and what it took.
    #[inline]
    pub(crate) fn note_call(&mut self, now: Now, id: CommandId, spent: Micros, failed: bool) {
        self.stats.count_call(id, spent, failed);
        if self.latency.is_on() {
            let is_fast = self.commands[id].flags.has(Flags::FAST);
            self.latency.note(if is_fast { "fast-command" } else { "command" }, spent, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_each_second_is_kept() {
        let mut series = Series::default();
        for (second, spent_ms) in [(1, 5), (1, 9), (1, 7), (2, 3)] {
            series.add(second, spent_ms);
        }
        let expected = [Sample { second: 1, spent_ms: 9 }, Sample { second: 2, spent_ms: 3 }];
        assert_eq!(series.samples().collect::<Vec<_>>(), expected);
        assert_eq!((series.last().spent_ms, series.longest_ms), (3, 9));
        (0..1_000).for_each(|second| series.add(second, 1));
        assert_eq!((series.samples().len(), series.last().second), (SAMPLES, 999));
    }
}
