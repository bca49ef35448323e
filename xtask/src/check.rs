//! `cargo xtask check`: everything that must hold before a change is merged, one line per step.
//! Decides the order and counts; the rules themselves are rustfmt's, clippy's, `floors` and `tidy`.
//! Always: a failed step does not hide the ones after it, and the last line counts tests.
//! One profile (dev) serves every step, so that clippy and docs share what they check and tests build once.

mod steps;
mod tally;

use std::path::Path;
use std::time::{Duration, Instant};

use crate::{differential, floors, problem, tidy, workspace};
use steps::{Step, Work};
use tally::Tally;

/// Runs the steps; `fast` stops after those that need no tests built.
pub(crate) fn run(fast: bool) -> Result<(), String> {
    let root = workspace::root()?;
    let mut lines = Vec::new();
    let mut tally = Tally::default();
    let mut failed = 0;
    for step in steps::all(&root, fast)? {
        let started = Instant::now();
        println!("{}", step.name);
        let outcome = perform(&root, &step, &mut tally);
        let (word, told) = match &outcome {
            Ok(()) => ("ok", String::new()),
            Err(sentence) => ("FAILED", format!(": {sentence}")),
        };
        failed += usize::from(outcome.is_err());
        lines.push(format!("{word:<7}{:>8}  {}{told}", seconds(started.elapsed()), step.name));
    }
    println!("\n{}", lines.join("\n"));
    let verdict = if failed == 0 { Ok(()) } else { Err(format!("{failed} of {} steps failed", lines.len())) };
    if fast {
        return verdict;
    }
    print_peers();
    // The count of tests is the last line, whatever the verdict.
    let counted = format!("{} passed, {} failed", tally.passed, tally.failed);
    match verdict {
        Ok(()) => {
            println!("{counted}");
            Ok(())
        }
        Err(sentence) => Err(format!("{sentence}\n{counted}")),
    }
}

fn perform(root: &Path, step: &Step, tally: &mut Tally) -> Result<(), String> {
    match &step.work {
        Work::Floors => floors::check(root).and_then(problem::report),
        Work::Tidy => tidy::check(root).and_then(problem::report),
        Work::Quiet(invocation) => invocation.run_quiet(root),
        Work::Tests(invocation) => invocation.run_counted(root, tally),
        Work::Differential(build) => {
            if !workspace::has_judge()? {
                return Ok(());
            }
            build.run_quiet(root)?;
            differential::run_short(&workspace::target(root).join("debug/tenon"))
        }
    }
}

/// Tests against a peer that is not installed skip themselves; say so where nobody can miss it.
fn print_peers() {
    let missing = ["redis-server", "redis-cli"].into_iter().filter(|name| workspace::on_path(name).is_none());
    for name in missing {
        println!("skipped: every comparison with {name}: apt-get install redis-server redis-tools");
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
