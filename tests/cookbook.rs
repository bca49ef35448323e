//! The cookbook in `examples/cookbook` against Tenon and against redis-server: every chapter ends well on both.
//! Needs an interpreter with redis-py; says so where there is none.

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use support::server::Server;
use support::tools;

const WITHIN: Duration = Duration::from_secs(120);

/// Chapters whose commands are still to come. A name goes when they are there.
const TO_COME: [(&str, &str); 6] = [
    ("queue", "blpop"),
    ("event_stream", "xadd"),
    ("geo_search", "geoadd"),
    ("visitors", "pfadd"),
    ("attendance", "setbit"),
    ("stock", "watch"),
];

#[test]
fn every_chapter_ends_well_on_redis() {
    let Some(server) = Server::redis(&["--save", ""]) else { return };
    follow(&server, &[]);
}

#[test]
fn every_chapter_ends_well_on_tenon() {
    let server = Server::tenon(&["--save", ""]);
    let names = server.client().command(&["COMMAND", "LIST"]);
    let is_there = |command: &str| names.elements().iter().any(|name| name.text() == command);
    let missing: Vec<&str> =
        TO_COME.iter().filter(|(_, command)| !is_there(command)).map(|(chapter, _)| *chapter).collect();
    if missing.is_empty() {
        return follow(&server, &[]);
    }
    tools::tell(&format!("these chapters wait for their commands: {missing:?}"));
    let chapters = [
        "queue",
        "leaderboard",
        "session",
        "rate_limit",
        "event_stream",
        "geo_search",
        "visitors",
        "attendance",
        "likes",
        "stock",
    ];
    // Chapters with pipelines are transactions as well.
    let needs_multi = ["session", "rate_limit"];
    let ready =
        |chapter: &&str| !missing.contains(chapter) && (is_there("multi") || !needs_multi.contains(chapter));
    let chapters: Vec<&str> = chapters.into_iter().filter(ready).collect();
    follow(&server, &chapters);
}

/// Runs these chapters, or all if there is none.
fn follow(server: &Server, chapters: &[&str]) {
    let Some(python) = tools::python_with_redis() else { return };
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/cookbook/cookbook.py");
    let mut command = Command::new(python);
    command.arg(program).args(["--port", &server.port().to_string()]).args(chapters);
    let output = tools::run(&mut command, b"", WITHIN);
    let said = tools::said(&output);
    assert!(output.status.success(), "{said}");
    let ended = said.lines().filter(|line| line.contains(" ok ")).count();
    assert!(ended >= chapters.len().max(1), "{said}");
}
