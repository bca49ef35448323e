//! The steps of the check as data, and how a command of one is run.
//! Always: quiet steps print only when they fail; test steps print as they go.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use super::tally::Tally;
use crate::workspace::{self, on_path};

/// One line of the report.
pub(super) struct Step {
    pub(super) name: String,
    pub(super) work: Work,
}

pub(super) enum Work {
    Floors,
    Tidy,
    Quiet(Invocation),
    Tests(Invocation),
    /// Random commands against redis-server; the invocation builds the server.
    Differential(Invocation),
}

/// A cargo command, where it runs, and what it adds to the environment.
pub(super) struct Invocation {
    words: Vec<String>,
    directory: String,
    environment: Vec<(&'static str, &'static str)>,
}

/// Cargo's toolchain ships the linker that makes a component of a wasm module.
const COMPONENT_LINKER: (&str, &str) = ("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-component-ld");
const GUEST_TARGET: &str = "--target=wasm32-unknown-unknown";

/// Every step in order; the tests come last so that their closing lines are the last thing seen.
pub(super) fn all(root: &Path, fast: bool) -> Result<Vec<Step>, String> {
    let mut steps = vec![
        quiet("fmt", ".", &["fmt", "--all", "--check"]),
        quiet("clippy", ".", &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]),
        Step { name: "floors".to_owned(), work: Work::Floors },
        Step { name: "tidy".to_owned(), work: Work::Tidy },
    ];
    if fast {
        return Ok(steps);
    }
    let mut docs = Invocation::new(".", &["doc", "--workspace", "--no-deps", "--locked"]);
    docs.environment.push(("RUSTDOCFLAGS", "-D warnings"));
    steps.push(Step { name: "docs".to_owned(), work: Work::Quiet(docs) });
    steps.extend(guest_steps(root)?);
    steps.push(quiet("fuzz fmt", "tests/fuzz", &["fmt", "--check"]));
    // Without the fuzzer itself, which would have to be compiled and linked: the targets must fit what they call.
    let fuzz = ["clippy", "--all-targets", "--no-default-features", "--locked", "--", "-D", "warnings"];
    steps.push(quiet("fuzz clippy", "tests/fuzz", &fuzz));
    let build = Invocation::new(".", &["build", "--package", "tenon", "--locked"]);
    steps.push(Step { name: "differential".to_owned(), work: Work::Differential(build) });
    if on_path("cargo-nextest").is_some() {
        // nextest runs no documentation tests; they go first, so that its summary ends the output.
        steps.push(tests("doc tests", ".", &["test", "--workspace", "--locked", "--doc"]));
        steps.push(tests(
            "tests",
            ".",
            &["nextest", "run", "--workspace", "--locked", "--config-file", ".ci/nextest.toml"],
        ));
    } else {
        steps.push(tests("tests", ".", &["test", "--workspace", "--locked", "--no-fail-fast"]));
    }
    Ok(steps)
}

/// The guests are workspaces of their own: the default policies, and each example.
fn guest_steps(root: &Path) -> Result<Vec<Step>, String> {
    let files = workspace::files(root)?;
    let mut steps = Vec::new();
    if files.iter().any(|file| file == "plugins/Cargo.toml") {
        steps.push(quiet("guests fmt", "plugins", &["fmt", "--all", "--check"]));
        let clippy = ["clippy", "--workspace", "--locked", GUEST_TARGET, "--", "-D", "warnings"];
        steps.push(quiet("guests clippy", "plugins", &clippy));
        // Components link only for wasm; the rules in them are plain crates and are tested natively.
        let policies = rule_packages(root, &files)?;
        if !policies.is_empty() {
            let mut words = vec!["test", "--locked"];
            words.extend(policies.iter().flat_map(|name| ["--package", name.as_str()]));
            steps.push(tests("guests tests", "plugins", &words));
        }
    }
    for file in &files {
        let Some(directory) = file.strip_suffix("/Cargo.toml").filter(|path| path.starts_with("examples/"))
        else {
            continue;
        };
        if directory.split('/').count() == 2 {
            steps.push(quiet(&format!("{directory} fmt"), directory, &["fmt", "--all", "--check"]));
            let build = ["build", "--workspace", "--release", "--locked", GUEST_TARGET];
            steps.push(quiet(&format!("{directory} build"), directory, &build));
        }
    }
    Ok(steps)
}

/// The packages of the guests' workspace that are no components.
fn rule_packages(root: &Path, files: &[String]) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    let is_rules = |file: &&String| {
        let package = file.strip_prefix("plugins/").and_then(|file| file.strip_suffix("/Cargo.toml"));
        package.is_some_and(|package| !package.ends_with("/component"))
    };
    for file in files.iter().filter(is_rules) {
        let text = workspace::text(root, file)?.unwrap_or_default();
        let table: toml::Table = text.parse().map_err(|error| format!("{file}: {error}"))?;
        let name = table.get("package").and_then(|package| package.get("name")).and_then(toml::Value::as_str);
        names.push(name.ok_or(format!("{file}: found no package name; expected one"))?.to_owned());
    }
    Ok(names)
}

fn quiet(name: &str, directory: &str, words: &[&str]) -> Step {
    Step { name: name.to_owned(), work: Work::Quiet(Invocation::new(directory, words)) }
}

fn tests(name: &str, directory: &str, words: &[&str]) -> Step {
    Step { name: name.to_owned(), work: Work::Tests(Invocation::new(directory, words)) }
}

impl Invocation {
    fn new(directory: &str, words: &[&str]) -> Invocation {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Invocation { words, directory: directory.to_owned(), environment: vec![COMPONENT_LINKER] }
    }

    fn command(&self, root: &Path) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(&self.words).current_dir(root.join(&self.directory)).stdin(Stdio::null());
        command.envs(self.environment.iter().copied());
        if self.directory != "." {
            // A guest's build must not land in, or wait for, the host's target directory.
            command.env_remove("CARGO_TARGET_DIR");
        }
        command
    }

    pub(super) fn run_quiet(&self, root: &Path) -> Result<(), String> {
        let output =
            self.command(root).output().map_err(|error| format!("cargo could not be run: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        print!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        Err(format!("`cargo {}` ended with {}", self.words.join(" "), output.status))
    }

    /// Passes the command's output on line by line while counting the tests in it.
    pub(super) fn run_counted(&self, root: &Path, tally: &mut Tally) -> Result<(), String> {
        let mut command = self.command(root);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("cargo could not be run: {error}"))?;
        let (sender, lines) = mpsc::sync_channel::<String>(1024);
        let stdout = child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>);
        let stderr = child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>);
        std::thread::scope(|scope| {
            for pipe in [stdout, stderr].into_iter().flatten() {
                let sender = sender.clone();
                scope.spawn(move || forward(pipe, &sender));
            }
            drop(sender);
            for line in lines {
                println!("{line}");
                tally.read(&line);
            }
        });
        let status = child.wait().map_err(|error| format!("cargo could not be awaited: {error}"))?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("`cargo {}` ended with {status}", self.words.join(" ")))
        }
    }
}

fn forward(pipe: impl Read, lines: &mpsc::SyncSender<String>) {
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
        if lines.send(text).is_err() {
            return;
        }
        line.clear();
    }
}
