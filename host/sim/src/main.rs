//! `tenon-sim SCENARIO`: runs seeds, prints how it goes, and keeps those that fail.
//! Exit codes: 0 all seeds are right, 1 some are not, 2 words not understood.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a chore talks to the person who ran it")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use tenon_sim::{Campaign, Crash, Damage, GivenFile, Loaders, Replicas, SETS_PER_SEED, Scenario, Trace};

const USAGE: &str = "\
usage: tenon-sim SCENARIO [OPTION]

  SCENARIO      crash         one engine: kills, losses of power, failing disks
                damage        files with flipped bits, overwritten ranges, torn ends, exchanged blocks; each seed
                              loads several sets of them
                replication   a primary, two replicas and a chained one: cut links, delays, restarts, failovers
  --seeds N     how many seeds (1000)
  --first S     the first of them (1)
  --threads N   threads (one for each core)
  --trace S     runs one seed once, and prints what happens
  --no-kept     leaves out the seeds that failed once
  --files DIR   damages the dumps (.rdb) and logs (.aof) of other servers below DIR, too
";
/// Failures after which a campaign ends.
const FAILURES_MAX: usize = 20;
/// Seeds between two lines of progress.
const SEEDS_PER_LINE: u64 = 5_000;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--help" || word == "-h") {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match Words::read(&words) {
        Ok(words) => perform(&words),
        Err(sentence) => {
            eprintln!("{sentence}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// What was asked for.
struct Words {
    scenario: Box<dyn Scenario>,
    seeds: u64,
    first: u64,
    threads: usize,
    trace: Option<u64>,
    with_kept: bool,
}

impl Words {
    fn read(words: &[String]) -> Result<Words, String> {
        let mut words = words.iter();
        let name = words.next().map_or("", String::as_str);
        let scenario: Box<dyn Scenario> = match name {
            "crash" => Box::new(Crash::new(Loaders::new()?)),
            "damage" => Box::new(Damage::new(Loaders::new()?, given_files(words.as_slice())?)),
            "replication" => Box::new(Replicas::new(Loaders::new()?)),
            other => return Err(format!("found '{other}', expected a scenario")),
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let mut read = Words { scenario, seeds: 1_000, first: 1, threads, trace: None, with_kept: true };
        while let Some(word) = words.next() {
            if word == "--files" {
                words.next();
                continue;
            }
            let mut number = || {
                let found = words.next().map_or("", String::as_str);
                found.parse::<u64>().map_err(|_| format!("found '{word} {found}', expected a whole number"))
            };
            match word.as_str() {
                "--seeds" => read.seeds = number()?,
                "--first" => read.first = number()?,
                "--threads" => read.threads = usize::try_from(number()?).unwrap_or(1),
                "--trace" => read.trace = Some(number()?),
                "--no-kept" => read.with_kept = false,
                other => return Err(format!("found '{other}', expected an option")),
            }
        }
        Ok(read)
    }
}

fn perform(words: &Words) -> ExitCode {
    let scenario = &*words.scenario;
    if let Some(seed) = words.trace {
        tracing_subscriber::fmt().without_time().with_target(false).with_ansi(false).init();
        let outcome = scenario.run(seed, Trace::printed(|line| println!("{line}")));
        match &outcome {
            Ok(sum) => println!("seed {seed} is right: {sum}"),
            Err(sentence) => println!("seed {seed}: {sentence}"),
        }
        return ExitCode::from(u8::from(outcome.is_err()));
    }
    let path = kept_path(scenario.name());
    let kept = if words.with_kept { read_kept(&path) } else { BTreeSet::new() };
    let campaign = Campaign {
        kept: kept.iter().copied().collect(),
        first: words.first,
        seeds: words.seeds,
        threads: words.threads,
        failures_max: FAILURES_MAX,
    };
    // What fails is told in the end, each with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    let began = Instant::now();
    let report = campaign.run(scenario, &|done| {
        if done.is_multiple_of(SEEDS_PER_LINE) {
            println!("{done} seeds, {:.0} a second", done as f64 / began.elapsed().as_secs_f64());
        }
    });
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{}: {} seeds twice in {seconds:.1} s ({:.0} a second), {} events, {} failed",
        scenario.name(),
        report.seeds,
        report.seeds as f64 / seconds,
        report.events,
        report.failures.len()
    );
    for (seed, sentence) in &report.failures {
        println!("seed {seed}: {sentence}\n    cargo xtask sim {} --trace {seed}", scenario.name());
    }
    if scenario.name() == "damage" {
        println!("{} sets of damaged files", report.seeds * SETS_PER_SEED);
    }
    if words.with_kept {
        keep(&path, &kept, report.failures.keys().copied());
    }
    ExitCode::from(u8::from(!report.failures.is_empty()))
}

/// The dumps and logs in the directory that `--files` names, in the order of their names.
fn given_files(words: &[String]) -> Result<Vec<GivenFile>, String> {
    let Some(at) = words.iter().position(|word| word == "--files") else { return Ok(Vec::new()) };
    let directory = words.get(at + 1).ok_or("expected a directory behind '--files'")?;
    let failed = |error| format!("{directory}: {error}");
    let mut given = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_file() && (name.ends_with(".rdb") || name.ends_with(".aof")) {
            given.push(GivenFile { content: fs::read(&path).map_err(failed)?, name });
        }
    }
    given.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(given)
}

/// Where the seeds of a scenario are kept that failed once.
fn kept_path(scenario: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("kept").join(scenario)
}

/// One seed in a line; what is behind it says what it found.
fn read_kept(path: &Path) -> BTreeSet<u64> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect()
}

fn keep(path: &Path, kept: &BTreeSet<u64>, failed: impl Iterator<Item = u64>) {
    let news: String = failed.filter(|seed| !kept.contains(seed)).map(|seed| format!("{seed}\n")).collect();
    if news.is_empty() {
        return;
    }
    let text = fs::read_to_string(path).unwrap_or_default() + &news;
    let made = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, text));
    match made {
        Ok(()) => println!("kept in {}", path.display()),
        Err(error) => eprintln!("{} cannot be written: {error}", path.display()),
    }
}
