//! The cookbook in `examples/cookbook` against Tenon and against redis-server: every chapter ends well on both.
//! Needs an interpreter with redis-py; says so where there is none.

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use support::server::Server;
use support::tools;

const WITHIN: Duration = Duration::from_secs(120);

/// How many chapters there are.
const CHAPTERS: usize = 10;

#[test]
fn every_chapter_ends_well_on_redis() {
    let Some(server) = Server::redis(&["--save", ""]) else { return };
    follow(&server);
}

#[test]
fn every_chapter_ends_well_on_tenon() {
    follow(&Server::tenon(&["--save", ""]));
}

fn follow(server: &Server) {
    let Some(python) = tools::python_with_redis() else { return };
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/cookbook/cookbook.py");
    let mut command = Command::new(python);
    command.arg(program).args(["--port", &server.port().to_string()]);
    let output = tools::run(&mut command, b"", WITHIN);
    let said = tools::said(&output);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.lines().filter(|line| line.contains(" ok ")).count(), CHAPTERS, "{said}");
}
