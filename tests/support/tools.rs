//! Programs that some tests need beside the servers.
//! Always: one that is missing is said aloud; in CI (`CI=true`) it fails the test.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Whether a program can be run. `install` says how to get it.
pub(crate) fn is_installed(program: &str, install: &str) -> bool {
    let asked = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    asked.is_ok() || missing(&format!("{program} is not installed: {install}"))
}

/// The interpreter that has redis-py: `TENON_PYTHON`, else `python3`.
pub(crate) fn python_with_redis() -> Option<PathBuf> {
    let python = std::env::var_os("TENON_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from);
    let asked = Command::new(&python).args(["-c", "import redis"]).stdin(Stdio::null()).output();
    if asked.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    missing("no python3 with redis-py: pip install redis, or name an interpreter in TENON_PYTHON");
    None
}

/// Where node finds ioredis: `TENON_NODE_MODULES`, or nowhere in particular.
pub(crate) fn node_with_ioredis() -> Option<PathBuf> {
    let modules = std::env::var_os("TENON_NODE_MODULES").map_or_else(PathBuf::new, PathBuf::from);
    let mut command = Command::new("node");
    command.args(["-e", "require('ioredis')"]).env("NODE_PATH", &modules).stdin(Stdio::null());
    if command.output().is_ok_and(|output| output.status.success()) {
        return Some(modules);
    }
    missing("no node with ioredis: npm install ioredis, and name its node_modules in TENON_NODE_MODULES");
    None
}

/// Says why a test is skipped; panics in CI.
pub(crate) fn missing(how: &str) -> bool {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{how}");
    tell(&format!("skipped: {how}"));
    false
}

/// Says something on the terminal.
pub(crate) fn tell(text: &str) {
    eprintln!("{text}");
}

/// Runs a command to its end, with `input` as its standard input, and at most for `within`.
pub(crate) fn run(command: &mut Command, input: &[u8], within: Duration) -> Output {
    use std::io::Write;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} could not be started: {error}"));
    let mut stdin = child.stdin.take().expect("piped above");
    let input = input.to_vec();
    // A program may end without reading all of it: that is its affair.
    let feeder = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let (id, until) = (child.id(), Instant::now() + within);
    let waiter = std::thread::spawn(move || child.wait_with_output());
    while !waiter.is_finished() {
        if Instant::now() > until {
            let _ = Command::new("kill").args(["-KILL", &id.to_string()]).status();
            let output = waiter.join().expect("no panic").expect("our own child can be awaited");
            panic!("{command:?} did not end within {within:?}; it said {}", said(&output));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    feeder.join().expect("no panic");
    waiter.join().expect("no panic").expect("our own child can be awaited")
}

/// What a program printed, on both streams.
pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
