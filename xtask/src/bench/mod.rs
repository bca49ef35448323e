//! `cargo xtask bench`: Tenon and redis-server on the same work, interleaved, medians side by side.
//! Judges nothing: it prints figures beside their bars, and fails only when something could not run.
//! Always: servers listen on loopback, keep their data in a temporary directory and end with the bench.

mod options;

mod always;
mod collections;
mod commands;
mod connections;
mod eviction;
mod memory;
mod replication;
mod scripts;
mod slow_disk;
mod speed;
mod stall;
mod startup;

mod beside;
mod load;
mod pace;

mod figures;
mod process;
pub(crate) mod server;
pub(crate) mod wire;

use std::path::PathBuf;
use std::process::Command;

use crate::workspace;
use options::Options;
use server::Contender;

/// Runs what the words after `bench` ask for.
pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    let Some(options) = Options::parse(words)? else {
        print!("{}", options::USAGE);
        return Ok(());
    };
    let tenon = match &options.server {
        Some(path) => path.clone(),
        None => built()?,
    };
    let contenders = [Contender::new("Tenon", tenon)?, Contender::new("Redis", options.redis.clone())?];
    for contender in &contenders {
        println!("{}: {}", contender.name, contender.version()?);
    }
    if options.commands {
        return commands::run(&options, &contenders);
    }
    if options.collections {
        return collections::run(&options, &contenders);
    }
    if options.connections {
        return connections::run(&options, &contenders);
    }
    if options.eviction {
        return eviction::run(&options, &contenders);
    }
    if options.always {
        return always::run(&options, &contenders);
    }
    if options.slow_disk {
        return slow_disk::run(&options, &contenders);
    }
    if options.load {
        return startup::run(&options, &contenders);
    }
    if options.replication {
        return replication::run(&options, &contenders);
    }
    if options.scripts {
        return scripts::run(&options, &contenders);
    }
    if options.stall {
        return stall::run(&options, &contenders);
    }
    speed::run(&options, &contenders)?;
    memory::run(&options, &contenders)
}

/// Builds the server for speed and says where it is.
pub(crate) fn built() -> Result<PathBuf, String> {
    let root = workspace::root()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--locked", "--package", "tenon"])
        .current_dir(&root)
        .status()
        .map_err(|error| format!("cargo could not be run: {error}"))?;
    if !status.success() {
        return Err(format!("the release build ended with {status}"));
    }
    Ok(workspace::target(&root).join("release/tenon"))
}
