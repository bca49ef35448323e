//! What the noticed events say about a server, in sentences: LATENCY DOCTOR.

use std::fmt::Write;

use super::{LatencyMonitor, Series};

/// What is known beside the events.
pub(crate) struct Surroundings {
    /// `slowlog-log-slower-than` in microseconds; `None` if nothing is kept.
    pub(crate) slow_log_us: Option<u64>,
    /// Seconds since 1970.
    pub(crate) now_seconds: i64,
}

/// Figures of one series.
struct Figures {
    samples: u64,
    average_ms: u64,
    /// Mean distance from the average.
    deviation_ms: u64,
    /// Seconds between two samples, on average.
    period_seconds: f64,
}

/// A report on all events.
pub(crate) fn report(monitor: &LatencyMonitor, surroundings: &Surroundings) -> String {
    if monitor.events.is_empty() {
        return if monitor.is_on() {
            "No event has taken longer than latency-monitor-threshold. There is nothing to advise.\n"
                .to_owned()
        } else {
            "Nothing is noticed, because latency-monitor-threshold is zero. CONFIG SET latency-monitor-threshold \
             <milliseconds> switches it on.\n"
                .to_owned()
        };
    }
    let mut text = String::from("These events took longer than latency-monitor-threshold:\n\n");
    for (number, (event, series)) in monitor.events().enumerate() {
        let figures = figures(series, surroundings.now_seconds);
        // A string takes everything.
        let _ = writeln!(
            text,
            "{}. {event}: {} latency spikes (average {}ms, mean deviation {}ms, period {:.2} sec). Worst all time \
             event {}ms.",
            number + 1,
            figures.samples,
            figures.average_ms,
            figures.deviation_ms,
            figures.period_seconds,
            series.longest_ms
        );
    }
    text.push_str("\nWhat may help:\n\n");
    for advice in advice(monitor, surroundings) {
        let _ = writeln!(text, "- {advice}");
    }
    text
}

fn figures(series: &Series, now_seconds: i64) -> Figures {
    let samples = series.samples().len() as u64;
    let average_ms = series.samples().map(|sample| sample.spent_ms).sum::<u64>() / samples.max(1);
    let distances = series.samples().map(|sample| sample.spent_ms.abs_diff(average_ms)).sum::<u64>();
    let first = series.samples().map(|sample| sample.second).min().unwrap_or(now_seconds);
    Figures {
        samples,
        average_ms,
        deviation_ms: distances / samples.max(1),
        period_seconds: (now_seconds - first).max(1) as f64 / samples.max(1) as f64,
    }
}

fn advice(monitor: &LatencyMonitor, surroundings: &Surroundings) -> Vec<&'static str> {
    let happened = |prefix: &str| monitor.events().any(|(event, _)| event.starts_with(prefix));
    let mut advice = Vec::new();
    if happened("command") {
        let threshold_us = monitor.threshold.0;
        match surroundings.slow_log_us {
            None => advice
                .push("SLOWLOG tells which commands are slow, once slowlog-log-slower-than is not negative."),
            Some(slow_us) if slow_us > threshold_us => {
                advice.push("slowlog-log-slower-than is longer than latency-monitor-threshold: SLOWLOG misses some of these commands.");
            }
            Some(_) => advice.push("SLOWLOG GET tells which commands were slow."),
        }
        advice.push("Commands over whole collections take as long as the collections are: ask for parts, with SCAN, HSCAN, SSCAN, ZSCAN or ranges.");
    }
    if happened("fast-command") {
        advice.push("Commands that are quick by nature were slow: the machine lacks CPU or memory at times. Look for other processes, swapping and noisy neighbours.");
    }
    if happened("aof-write") {
        advice.push("Writing to the append-only file was slow: the disk is busy or remote. Look for who else writes to it, and prefer a local one.");
    }
    if happened("aof-fsync") {
        advice.push("Syncing was slow, and with appendfsync always replies wait for it. A quicker disk helps, or appendfsync everysec if losing a second is acceptable.");
    }
    if happened("expire") {
        advice.push("Many keys expired at once: spread their times, or lower active-expire-effort.");
    }
    if happened("eviction") {
        advice.push("Many keys were removed at once: lower maxmemory in small steps, and leave room for large values.");
    }
    advice
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenon_base::{Micros, Now};
    use tenon_config::Config;

    #[test]
    fn events_lead_to_advice() {
        let mut monitor = LatencyMonitor::new(&Config::default());
        let surroundings = Surroundings { slow_log_us: Some(10_000), now_seconds: 10 };
        assert!(report(&monitor, &surroundings).contains("switches it on"));
        monitor.threshold = Micros(1_000);
        assert!(report(&monitor, &surroundings).contains("nothing to advise"));
        for (seconds, spent_us) in [(0, 100_000), (5, 300_000)] {
            let now = Now { unix_us: seconds * 1_000_000, ..Now::default() };
            monitor.note("command", Micros(spent_us), now);
            monitor.note("eviction-cycle", Micros(999), now);
        }
        let text = report(&monitor, &surroundings);
        let line = "1. command: 2 latency spikes (average 200ms, mean deviation 100ms, period 5.00 sec). Worst all time event 300ms.";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("SLOWLOG misses some"));
        assert!(!text.contains("eviction"));
    }
}
