//! The fuzz targets in `tests/fuzz`: prepares what they start from, then runs one or all of them for a while.
//! Fixes nothing and keeps nothing: a finding ends the run and says which input shows it.
//! Always: a run is bounded in time, in memory and in the length of its inputs.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::workspace;

const USAGE: &str = "\
usage: cargo xtask fuzz [--seconds N] [TARGET]

  --seconds N   how long each target runs (60)
  TARGET        one of resp, rdb, aof, acl, config, lua; all of them one after the other if left out
";
const TARGETS: [&str; 6] = ["resp", "rdb", "aof", "acl", "config", "lua"];
const DIRECTORY: &str = "tests/fuzz";
const INSTALL: &str = "cargo-fuzz is not installed; it needs a nightly compiler and a C++ compiler besides:

  rustup toolchain install nightly
  cargo install cargo-fuzz --locked";

/// What bounds every run: seconds, MiB and bytes for one input.
const LIMITS: [&str; 3] = ["-timeout=10", "-rss_limit_mb=2048", "-max_len=65536"];
/// MiB that may be asked for at once: a script may have more.
const ALLOCATION_MIB: u32 = 256;
const SCRIPT_ALLOCATION_MIB: u32 = 600;

/// Runs the chore.
pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    let (mut seconds, mut targets) = (60_u32, Vec::new());
    let mut words = words.iter();
    while let Some(&word) = words.next() {
        match word {
            "--help" | "-h" => {
                print!("{USAGE}");
                return Ok(());
            }
            "--seconds" => {
                let found = words.next().copied().unwrap_or_default();
                seconds =
                    found.parse().ok().filter(|&seconds| seconds > 0).ok_or(format!(
                        "found --seconds {found}; expected a whole number from 1\n\n{USAGE}"
                    ))?;
            }
            name if TARGETS.contains(&name) => targets.push(name),
            other => return Err(format!("found {other}; expected an option or a target\n\n{USAGE}")),
        }
    }
    if targets.is_empty() {
        targets.extend(TARGETS);
    }
    if workspace::on_path("cargo-fuzz").is_none() {
        return Err(INSTALL.to_owned());
    }
    let directory = workspace::root()?.join(DIRECTORY);
    nightly(&directory, &["run", "--quiet", "--locked", "--no-default-features", "--example", "prepare"])?;
    for target in targets {
        println!("fuzzing {target} for {seconds} seconds");
        let total = format!("-max_total_time={seconds}");
        let dictionary = format!("-dict={}", directory.join(format!("dictionaries/{target}.dict")).display());
        let allocation = if target == "lua" { SCRIPT_ALLOCATION_MIB } else { ALLOCATION_MIB };
        let allocation = format!("-malloc_limit_mb={allocation}");
        let mut words =
            vec!["fuzz", "run", "--fuzz-dir", ".", target, "--", &total, &dictionary, &allocation];
        words.extend(LIMITS);
        if target == "lua" {
            // It keeps an interpreter from one input to the next, which looks like a leak.
            words.push("-detect_leaks=0");
        }
        nightly(&directory, &words)?;
    }
    Ok(())
}

/// A command of the nightly toolchain's cargo, in the fuzz crate and its own target directory.
fn nightly(directory: &Path, words: &[&str]) -> Result<(), String> {
    let status = Command::new("rustup")
        .args(["run", "nightly", "cargo"])
        .args(words)
        .current_dir(directory)
        .env_remove("CARGO_TARGET_DIR")
        .stdin(Stdio::null())
        .status()
        .map_err(|error| format!("rustup could not be run ({error}); fuzzing needs its nightly toolchain"))?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("`cargo {}` with nightly ended with {status}", words.join(" "))),
    }
}
