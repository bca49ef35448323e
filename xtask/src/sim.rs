//! The simulations: builds them as fast as they get and hands the words on.
//! Knows no scenario: see `host/sim`.

use std::process::Command;

use crate::workspace;

/// Runs the chore.
pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["run", "--quiet", "--release", "--locked", "--package", "tenon-sim", "--"])
        .args(words)
        .current_dir(workspace::root()?)
        .status()
        .map_err(|error| format!("cargo could not be run: {error}"))?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("the simulation ended with {status}")),
    }
}
