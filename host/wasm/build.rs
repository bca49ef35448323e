//! Builds the default policies as components and embeds them, so that a plain `cargo run` serves with components.
//! Compiles nothing of the house: `plugins/` is a workspace of its own, with its own lock file and target directory.
//! Always: where it cannot build them it says what to do and the native policies serve; in CI that is an error.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-unknown-unknown";

/// The constant's name, the package, and the file that Cargo makes of it.
const GUESTS: [(&str, &str, &str); 2] = [
    ("FSYNC", "fsync-default", "fsync_default.wasm"),
    ("SNAPSHOT", "snapshot-default", "snapshot_default.wasm"),
];

fn main() {
    let house = Path::new(&variable("CARGO_MANIFEST_DIR")).join("../..");
    let out = PathBuf::from(variable("OUT_DIR"));
    for input in [
        "plugins/Cargo.toml",
        "plugins/Cargo.lock",
        "plugins/fsync-default",
        "plugins/snapshot-default",
        "wit",
    ] {
        println!("cargo::rerun-if-changed={}", house.join(input).display());
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CI");

    let built = build(&house.join("plugins"), &out.join("guests"));
    if let Err(reason) = &built {
        let kind = if env::var_os("CI").is_some() { "error" } else { "warning" };
        for line in reason.lines() {
            println!("cargo::{kind}={line}");
        }
    }
    let mut source = String::new();
    for (constant, _, file) in GUESTS {
        let bytes = match &built {
            Ok(folder) => format!("Some(include_bytes!({:?}))", folder.join(file)),
            Err(_) => "None".to_owned(),
        };
        writeln!(source, "pub(crate) const {constant}: Option<&[u8]> = {bytes};").expect("a string grows");
    }
    fs::write(out.join("embedded.rs"), source).expect("OUT_DIR can be written");
}

/// The folder with the components, or what to do.
fn build(plugins: &Path, target: &Path) -> Result<PathBuf, String> {
    if !has_target() {
        return Err(format!(
            "the default policies are not built as components, the native ones will serve: \
             the target is missing; run `rustup target add {TARGET}`"
        ));
    }
    let mut command = Command::new(variable("CARGO"));
    command.args(["build", "--release", "--locked", "--target", TARGET, "--manifest-path"]);
    command.arg(plugins.join("Cargo.toml")).arg("--target-dir").arg(target);
    command.args(GUESTS.iter().flat_map(|(_, package, _)| ["--package", package]));
    // What is meant for the house's own build (flags, wrappers, targets, profiles) must not reach the guests'.
    for (name, _) in env::vars_os().filter(|(name, _)| is_foreign(name)) {
        command.env_remove(name);
    }
    command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-component-ld");
    let output =
        command.output().map_err(|error| format!("cannot run cargo for the default policies: {error}"))?;
    if output.status.success() {
        return Ok(target.join(TARGET).join("release"));
    }
    Err(format!(
        "the default policies could not be built as components, the native ones will serve \
         (the target {TARGET} comes with `rustup target add {TARGET}`); cargo said:\n{}",
        String::from_utf8_lossy(&output.stderr)
    ))
}

fn is_foreign(name: &OsStr) -> bool {
    const NAMES: [&str; 6] = [
        "RUSTFLAGS",
        "RUSTDOCFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_ENCODED_RUSTDOCFLAGS",
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_INCREMENTAL",
    ];
    const PREFIXES: [&str; 4] = ["CARGO_BUILD_", "CARGO_TARGET_", "CARGO_PROFILE_", "CARGO_CFG_"];
    let Some(name) = name.to_str() else { return false };
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether the compiler has the standard library for the guests' target. Cargo looks again when that comes or goes.
fn has_target() -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let output = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output();
    let Some(output) = output.ok().filter(|output| output.status.success()) else { return false };
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    println!("cargo::rerun-if-changed={folder}");
    Path::new(&folder).is_dir()
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("Cargo sets {name} for build scripts"))
}
