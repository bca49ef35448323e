//! The floors of this repository hold, and the checker finds each kind of breach.

use super::*;

const ROOT: &str = "
[workspace.dependencies]
tenon-base = { path = \"host/base\" }
tenon-engine = { path = \"host/engine\" }
fsync-rules = { path = \"plugins/fsync/policy\" }
[package]
name = \"tenon\"
";

#[test]
fn the_house_stands() {
    let root = workspace::root().expect("the workspace is above xtask");
    let problems = check(&root).expect("every manifest can be read");
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

#[test]
fn edges_downward_pass() {
    assert_eq!(found("host/engine", "tenon-engine", "tenon-base.workspace = true\nbytes = \"1\""), [""; 0]);
    assert_eq!(found("host/rdb", "tenon-rdb", "tenon-keyspace = { path = \"../keyspace\" }"), [""; 0]);
    assert_eq!(found("host/policy", "tenon-policy", "fsync-rules.workspace = true"), [""; 0]);
    assert_eq!(
        found("plugins/fsync/component", "fsync-component", "fsync-rules = { path = \"../policy\" }"),
        [""; 0]
    );
    assert_eq!(found("host/base", "tenon-base", "[dev-dependencies]\nrand = \"0.9\""), [""; 0]);
    assert_eq!(found("tests/fuzz", "tenon-fuzz", "tenon-rdb = { path = \"../../host/rdb\" }"), [""; 0]);
}

#[test]
fn edges_upward_sideways_and_outside_fail() {
    let cases = [
        ("host/base", "tenon-base", "tenon-engine.workspace = true", "below floor 0"),
        ("host/keyspace", "tenon-keyspace", "tenon-rdb = { path = \"../rdb\" }", "below floor 1"),
        (
            "host/aof",
            "tenon-aof",
            "c = { package = \"tenon-commands\", path = \"../commands\" }",
            "below floor 2",
        ),
        ("host/engine", "tenon-engine", "[dev-dependencies]\ntenon-driver = \"*\"", "below floor 3"),
        (
            "host/driver",
            "tenon-driver",
            "tenon-wasm = { path = \"../wasm\" }",
            "only tenon and tenon-sim to name",
        ),
        ("host/engine", "tenon-engine", "tokio = \"1\"", "without the outside world"),
        (
            "host/base",
            "tenon-base",
            "[target.'cfg(unix)'.dependencies]\nmio = \"1\"",
            "without the outside world",
        ),
        ("host/engine", "tenon-engine", "fsync-rules.workspace = true", "only tenon-policy to link"),
        (
            "host/policy",
            "tenon-policy",
            "x = { path = \"../../plugins/fsync/component\" }",
            "plugins/NAME/policy",
        ),
        ("xtask", "xtask", "tenon-base.workspace = true", "stand beside it"),
        ("plugins/fsync/policy", "fsync-rules", "tenon-base = \"0.1\"", "stand beside it"),
        ("host/cellar", "tenon-cellar", "", "a line for it in FLOORS"),
    ];
    for (directory, package, dependencies, expected) in cases {
        let found = found(directory, package, dependencies);
        assert_eq!(found.len(), 1, "{package} with {dependencies:?} gives {found:?}");
        assert!(found[0].contains(expected), "{} does not say {expected:?}", found[0]);
    }
}

#[test]
fn a_breach_names_file_and_line() {
    let found = found("host/base", "tenon-base", "bytes = \"1\"\ntenon-engine.workspace = true");
    let expected = "host/base/Cargo.toml:5: found `tenon-base` depending on `tenon-engine`; \
                    expected a dependency below floor 0; `tenon-engine` is on floor 3";
    assert_eq!(found, [expected]);
}

#[test]
fn lower_floors_that_reach_outside_fail() {
    let cases = [
        ("use std::fs::File;", "`std::fs`"),
        ("use std::{collections::BTreeMap, net};", "`std::net`"),
        ("fn f() { ::std::thread::yield_now() }", "`std::thread`"),
        ("fn f() { let t = std::time::Instant::now(); }", "`Instant::now`"),
        ("fn f() { SystemTime::now() }", "`SystemTime::now`"),
        ("use tokio as runtime;", "`tokio`"),
        ("fn f() -> u64 { rand::random() }", "`rand`"),
        ("use foldhash::fast::RandomState;", "`RandomState`"),
        ("async fn f() {}", "`async`"),
    ];
    for (text, expected) in cases {
        let problems = scanned("host/engine/src/unit.rs", text);
        assert_eq!(problems.len(), 1, "{text} gives {problems:?}");
        assert!(problems[0].contains(expected), "{} does not say {expected}", problems[0]);
    }
}

#[test]
fn words_in_comments_tests_and_upper_floors_pass() {
    let text = "//! No std::fs, no tokio.\nfn rand(async_: u8) -> &'static str { \"std::fs::File\" }\n\
                #[cfg(test)]\nmod tests { use std::fs; fn f() { std::thread::yield_now() } }\n";
    assert_eq!(scanned("host/engine/src/unit.rs", text), [""; 0]);
    assert_eq!(scanned("host/engine/tests/all.rs", "use std::fs;"), [""; 0]);
    assert_eq!(scanned("host/driver/src/lib.rs", "use std::fs; use tokio::net;"), [""; 0]);
}

#[test]
fn only_files_declared_as_tests_may_reach_outside() {
    let declared = Source::new("#[cfg(test)]\nmod tests;");
    let reaching = || Source::new("use std::fs;");
    let sources = [
        ("host/base/src/lib.rs".to_owned(), declared),
        ("host/base/src/tests.rs".to_owned(), reaching()),
        ("host/base/src/tests/deep.rs".to_owned(), reaching()),
        ("host/base/src/testsuite.rs".to_owned(), reaching()),
    ];
    let problems = source_problems(&house(), &sources);
    let files: Vec<&str> = problems.iter().map(|problem| problem.file.as_str()).collect();
    assert_eq!(files, ["host/base/src/testsuite.rs"]);
}

#[test]
fn unsafe_outside_its_places_fails() {
    let text = "fn f() { unsafe { g() } }";
    assert_eq!(scanned("host/keyspace/src/entry.rs", text), [""; 0]);
    assert_eq!(scanned("plugins/fsync/component/src/lib.rs", text), [""; 0]);
    assert_eq!(scanned("host/driver/src/lib.rs", text).len(), 1);
    assert_eq!(scanned("tests/wire.rs", text).len(), 1);
    assert_eq!(scanned("host/driver/src/lib.rs", "#![forbid(unsafe_code)] // unsafe"), [""; 0]);
}

fn found(directory: &str, package: &str, dependencies: &str) -> Vec<String> {
    let text = format!("[package]\nname = \"{package}\"\n[dependencies]\n{dependencies}\n");
    let manifests = [
        Manifest::parse("Cargo.toml", ROOT).expect("the root manifest is TOML"),
        Manifest::parse(&format!("{directory}/Cargo.toml"), &text).expect("the manifest is TOML"),
    ];
    manifest_problems(&manifests).iter().map(ToString::to_string).collect()
}

fn house() -> Vec<Manifest> {
    ["base", "keyspace", "engine", "driver"]
        .map(|name| {
            let text = format!("[package]\nname = \"tenon-{name}\"");
            Manifest::parse(&format!("host/{name}/Cargo.toml"), &text).expect("the manifest is TOML")
        })
        .into()
}

fn scanned(file: &str, text: &str) -> Vec<String> {
    let sources = [(file.to_owned(), Source::new(text))];
    source_problems(&house(), &sources).iter().map(ToString::to_string).collect()
}
