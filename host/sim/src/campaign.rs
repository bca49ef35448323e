//! Many seeds of one scenario, each run twice: both runs must be right, and equal. Seeds that fail are kept in a file, and
//! run again before all others from then on.
//! Knows no scenario. Always: a failure names its seed.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::trace::{Trace, TraceSum};

/// What a seed is run through.
pub trait Scenario: Sync {
    /// Its name, in one word.
    fn name(&self) -> &'static str;
    /// One run. An error says what should not have been.
    fn run(&self, seed: u64, trace: Trace) -> Result<TraceSum, String>;
}

/// Which seeds, and how.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// Seeds that failed once.
    pub kept: Vec<u64>,
    /// The first of the others.
    pub first: u64,
    /// How many others.
    pub seeds: u64,
    /// Threads that run them.
    pub threads: usize,
    /// Failures after which it ends.
    pub failures_max: usize,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Seeds that were run.
    pub seeds: u64,
    /// Events in one run of each, together.
    pub events: u64,
    /// What failed, by seed.
    pub failures: BTreeMap<u64, String>,
}

impl Campaign {
    /// Runs all seeds. `progress` is told how many are done, now and then, from any thread.
    pub fn run(&self, scenario: &dyn Scenario, progress: &(dyn Fn(u64) + Sync)) -> Report {
        let kept = self.kept.len() as u64;
        let (next, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
        let report = Mutex::new(Report::default());
        let work = || {
            while !is_over.load(Ordering::Relaxed) {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= kept + self.seeds {
                    return;
                }
                let seed =
                    self.kept.get(index as usize).copied().unwrap_or(self.first + index.saturating_sub(kept));
                let outcome = run_twice(scenario, seed);
                let mut report = report.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                report.seeds += 1;
                match outcome {
                    Ok(events) => report.events += events,
                    Err(sentence) => {
                        report.failures.insert(seed, sentence);
                        is_over.fetch_or(report.failures.len() >= self.failures_max, Ordering::Relaxed);
                    }
                }
                progress(report.seeds);
            }
        };
        std::thread::scope(|threads| {
            for _ in 0..self.threads.max(1) {
                threads.spawn(work);
            }
        });
        report.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Both runs of a seed; how many events one had.
fn run_twice(scenario: &dyn Scenario, seed: u64) -> Result<u64, String> {
    let one = run_once(scenario, seed)?;
    let other = run_once(scenario, seed)?;
    if one != other {
        return Err(format!("two runs differ: {one}; {other}"));
    }
    Ok(one.events)
}

fn run_once(scenario: &dyn Scenario, seed: u64) -> Result<TraceSum, String> {
    let run = catch_unwind(AssertUnwindSafe(|| scenario.run(seed, Trace::silent())));
    run.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Err(format!("a panic: {}", text.unwrap_or("without a message")))
    })
}
