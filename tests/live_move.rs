//! The move in `examples/live-move` under writers: from redis-server to Tenon and back, and between two Tenons.
//! Needs an interpreter with redis-py; says so where there is none.
//! Always: one snapshot is all that moving there and back takes.

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use support::replicas::field;
use support::server::Server;
use support::tools;

const WITHIN: Duration = Duration::from_secs(120);
const COMMON: [&str; 4] = ["--save", "", "--repl-diskless-sync-delay", "0"];

#[test]
fn from_redis_to_tenon_and_back() {
    let Some(redis) = Server::redis(&COMMON) else { return };
    there_and_back(&redis, &Server::tenon(&COMMON));
}

#[test]
fn from_tenon_to_redis_and_back() {
    let Some(redis) = Server::redis(&COMMON) else { return };
    there_and_back(&Server::tenon(&COMMON), &redis);
}

#[test]
fn from_tenon_to_tenon_and_back() {
    there_and_back(
        &Server::tenon(&[&COMMON[..], &["--appendonly", "yes"]].concat()),
        &Server::tenon(&COMMON),
    );
}

fn there_and_back(first: &Server, second: &Server) {
    let Some(python) = tools::python_with_redis() else { return };
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/live-move/live_move.py");
    let addresses = [first, second].map(|server| format!("127.0.0.1:{}", server.port()));
    let output = tools::run(Command::new(python).arg(program).arg("show").args(&addresses), b"", WITHIN);
    let said = tools::said(&output);
    assert!(output.status.success(), "{said}\n{}\n{}", first.log(), second.log());
    assert!(said.contains("all there once on both"), "{said}");
    let snapshots = [first, second].map(|server| field(&mut server.client(), "stats", "sync_full"));
    assert_eq!(snapshots, ["1", "0"], "{said}");
}
