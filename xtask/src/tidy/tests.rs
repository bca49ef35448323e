//! This repository is tidy, and the checker finds each kind of untidiness.

use super::prose::{dependency_problems, link_problems};
use super::*;
use crate::problem::Weight;

#[test]
fn the_repository_is_tidy() {
    let root = workspace::root().expect("the workspace is above xtask");
    let mut problems = check(&root).expect("every file can be read");
    problems.retain(|problem| problem.weight == Weight::Error);
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

#[test]
fn long_files_are_warned_about_and_then_refused() {
    let lines = |count: usize| format!("//! Long.\n{}", "// x\n".repeat(count - 1));
    let weights = |file: &str, count| -> Vec<Weight> {
        rust_problems(file, &lines(count)).iter().map(|problem| problem.weight).collect()
    };
    assert_eq!(weights("a.rs", FILE_LINES_WARNED), []);
    assert_eq!(weights("a.rs", FILE_LINES_WARNED + 1), [Weight::Warning]);
    assert_eq!(weights("a.rs", FILE_LINES_MAX + 1), [Weight::Error]);
    assert_eq!(weights("host/x/src/tests.rs", FILE_LINES_MAX + 1), []);
}

#[test]
fn long_functions_are_refused() {
    let function = |lines: usize| format!("//! Long.\nfn f() {{\n{}}}\n", "    g();\n".repeat(lines - 2));
    assert_eq!(rust_problems("a.rs", &function(FUNCTION_LINES_MAX)), []);
    let problems = rust_problems("a.rs", &function(FUNCTION_LINES_MAX + 1));
    assert_eq!(problems[0].to_string(), "a.rs:2: found `fn f` of 101 lines; expected at most 100");
}

#[test]
fn leftovers_are_refused() {
    let cases = [
        "fn f() {}\n".to_owned(),
        format!("//! A.\n// {}: later\n", LEFTOVERS[0]),
        format!("//! A.\n// {}\n", LEFTOVERS[1]),
        "//! A.\nfn f() { todo!() }\n".to_owned(),
        "//! A.\nfn f() { dbg!(1); }\n".to_owned(),
        "//! A.\nfn f() { unimplemented!() }\n".to_owned(),
        "//! A.\n#[ignore]\nfn f() {}\n".to_owned(),
        "//! A.\nfn f() {\t}\n".to_owned(),
    ];
    for text in cases {
        assert_eq!(rust_problems("a.rs", &text).len(), 1, "{text:?}");
    }
    let fine = "//! A.\n#[ignore = \"needs a disk that fails\"]\nfn f() { g(\"todo!\") } // dbg! prints\n";
    assert_eq!(rust_problems("a.rs", fine), []);
}

#[test]
fn blanks_and_the_machine_show() {
    assert_eq!(text_problems("a.md", "one \n").len(), 1);
    assert_eq!(text_problems("a.md", "one").len(), 1);
    let own = format!("see {}x\n", MACHINE_PATHS[0]);
    assert_eq!(text_problems("LICENSE", &own).len(), 1);
    let longer = format!("see frame{}x and a{}b\n", MACHINE_PATHS[0], MACHINE_PATHS[1]);
    assert_eq!(text_problems("a.md", &longer), []);
}

#[test]
fn links_must_lead_somewhere() {
    let exists = |path: &str| ["host/STYLE.md", "host/../README.md"].contains(&path);
    let text = "[a](STYLE.md#names) [b](../README.md) [c](https://x.y/z) [d](#top) `[e](no.md)`\n```\n[f](no.md)\n```\n";
    assert_eq!(link_problems("host/A.md", text, exists), []);
    let problems = link_problems("host/A.md", "\nsee [x](GONE.md)\n", exists);
    assert_eq!(
        problems[0].to_string(),
        "host/A.md:2: found a link to `GONE.md`; expected a file that is there"
    );
}

#[test]
fn every_dependency_has_a_reason() {
    let manifest =
        "[workspace.dependencies]\ntenon-base = { path = \"host/base\" }\nbytes = \"1\"\nlzf = \"1\"\n";
    let page = "`lzf` is only mentioned\n| crate | reason |\n| `bytes` | shared buffers |\n";
    let problems = dependency_problems(manifest, page).expect("the manifest is TOML");
    assert_eq!(problems.len(), 1);
    assert!(problems[0].to_string().starts_with("Cargo.toml:4: found dependency `lzf`"), "{}", problems[0]);
}
