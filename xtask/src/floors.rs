//! Holds the house to its floors: who may depend on whom, and what the lower floors may not name.
//! Knows only manifests and words in sources; what a crate does with its edges is not its matter.
//! Always: a crate under `host/` that has no floor here is itself a problem.

mod manifest;
#[cfg(test)]
mod tests;

use std::path::Path;

use crate::problem::Problem;
use crate::source::{Source, line_of, used_paths, words};
use crate::workspace;
use manifest::{Dependency, Manifest, dependencies_of};

/// Package and floor. A crate depends only on lower floors, and on `BESIDE`.
const FLOORS: [(&str, u8); 17] = [
    ("tenon-base", 0),
    ("tenon-resp", 0),
    ("tenon-keyspace", 1),
    ("tenon-rdb", 1),
    ("tenon-journal", 1),
    ("tenon-config", 1),
    ("tenon-policy", 1),
    ("tenon-commands", 2),
    ("tenon-aof", 2),
    ("tenon-script", 2),
    ("tenon-acl", 2),
    ("tenon-replication", 2),
    ("tenon-engine", 3),
    ("tenon-driver", 4),
    ("tenon-wasm", 4),
    ("tenon-sim", 4),
    ("tenon", 5),
];

/// The edges drawn within one floor: (from, to).
const BESIDE: [(&str, &str); 2] = [("tenon-rdb", "tenon-keyspace"), ("tenon-sim", "tenon-wasm")];

/// Who may name the components' host.
const NAMES_WASM: [&str; 2] = ["tenon", "tenon-sim"];

/// The highest floor that must stay pure: same inputs at the same times, same outputs.
const PURE_UP_TO: u8 = 3;

/// Crates that bring the outside world with them.
const WORLDLY_CRATES: [&str; 6] = ["tokio", "wasmtime", "mio", "socket2", "rand", "getrandom"];

/// Paths that reach for the outside world, and what to use instead.
const WORLDLY_PATHS: [(&str, &str); 7] = [
    ("std::fs", "an output that the driver carries out"),
    ("std::net", "core::net for addresses, an output for anything else"),
    ("std::thread", "an output that the driver carries out"),
    ("Instant::now", "the time as an argument (`Now`)"),
    ("SystemTime::now", "the time as an argument (`Now`)"),
    ("RandomState", "a hasher seeded from `Dice`"),
    ("async", "a plain function: machines do not wait"),
];

/// The one manifest outside the workspace that may name crates of the house: it only tests them.
const FUZZ_MANIFEST: &str = "tests/fuzz/Cargo.toml";

/// Where `unsafe` may stand.
const UNSAFE_IN: [&str; 3] = ["host/keyspace/", "plugins/", "examples/"];

/// Checks the manifests and sources under `root`.
pub(crate) fn check(root: &Path) -> Result<Vec<Problem>, String> {
    let files = workspace::files(root)?;
    let mut manifests = Vec::new();
    for file in files.iter().filter(|file| file.ends_with("Cargo.toml")) {
        let text = workspace::text(root, file)?.ok_or(format!("{file}: found bytes that are not UTF-8"))?;
        manifests.push(Manifest::parse(file, &text)?);
    }
    let mut problems = manifest_problems(&manifests);
    let mut sources = Vec::new();
    for file in files.iter().filter(|file| file.ends_with(".rs")) {
        if let Some(text) = workspace::text(root, file)? {
            sources.push((file.clone(), Source::new(&text)));
        }
    }
    problems.extend(source_problems(&manifests, &sources));
    Ok(problems)
}

fn floor_of(package: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == package).map(|(_, floor)| *floor)
}

fn manifest_problems(manifests: &[Manifest]) -> Vec<Problem> {
    let shared = manifests.iter().find(|manifest| manifest.file == "Cargo.toml");
    let mut problems = Vec::new();
    for manifest in manifests {
        let Some(package) = &manifest.package else { continue };
        if manifest.file.starts_with("host/") && floor_of(package).is_none() {
            problems.push(Problem::error(
                &manifest.file,
                manifest.line_of(package),
                format!("package `{package}`, which has no floor"),
                "a line for it in FLOORS (xtask/src/floors.rs)",
            ));
        }
        for dependency in dependencies_of(manifest, shared) {
            problems.extend(edge_problem(manifest, package, &dependency));
        }
    }
    problems
}

fn edge_problem(manifest: &Manifest, package: &str, dependency: &Dependency) -> Option<Problem> {
    let name = dependency.name.as_str();
    let problem = |expected: String| {
        let found = format!("`{package}` depending on `{name}`");
        Some(Problem::error(&manifest.file, manifest.line_of(&dependency.key), found, expected))
    };
    let own = floor_of(package).filter(|_| manifest.is_house());
    let other = floor_of(name);
    if let Some(path) = dependency.path.as_deref().filter(|path| path.starts_with("plugins/")) {
        let is_policy = path.split('/').count() == 3 && path.ends_with("/policy");
        return match own {
            Some(_) if package != "tenon-policy" => problem("only tenon-policy to link a plugin".to_owned()),
            Some(_) if !is_policy => problem("a crate at plugins/NAME/policy".to_owned()),
            _ => None,
        };
    }
    match (own, other) {
        (None, Some(_)) if manifest.file == FUZZ_MANIFEST => None,
        (None, Some(_)) => {
            problem("no crate of the house outside host/ (guests and xtask stand beside it)".to_owned())
        }
        (Some(_), Some(_)) if name == "tenon-wasm" && !NAMES_WASM.contains(&package) => {
            problem(format!("only {} to name tenon-wasm", NAMES_WASM.join(" and ")))
        }
        (Some(own), Some(other)) if other >= own && !BESIDE.contains(&(package, name)) => {
            problem(format!("a dependency below floor {own}; `{name}` is on floor {other}"))
        }
        (Some(own), None) if own <= PURE_UP_TO && !dependency.dev && WORLDLY_CRATES.contains(&name) => {
            problem(format!("floors 0 to {PURE_UP_TO} without the outside world"))
        }
        _ => None,
    }
}

fn source_problems(manifests: &[Manifest], sources: &[(String, Source)]) -> Vec<Problem> {
    let test_places = test_places(sources);
    let mut problems = Vec::new();
    for (file, source) in sources {
        if !UNSAFE_IN.iter().any(|place| file.starts_with(place)) {
            problems.extend(words(&source.code, "unsafe").into_iter().map(|at| {
                let expected = format!("it only under {}", UNSAFE_IN.join(", "));
                Problem::error(file, line_of(&source.code, at), "`unsafe`", expected)
            }));
        }
        let house = manifests.iter().filter(|manifest| manifest.is_house());
        let package = house
            .filter(|manifest| manifest.owns_source(file))
            .find_map(|manifest| manifest.package.as_deref());
        let pure = package.and_then(floor_of).is_some_and(|floor| floor <= PURE_UP_TO);
        let is_test =
            test_places.iter().any(|place| file == place || place.ends_with('/') && file.starts_with(place));
        if pure && !is_test {
            problems.extend(worldly_words(file, &source.production()));
        }
    }
    problems
}

/// The files and directories that `#[cfg(test)] mod name;` lines name.
fn test_places(sources: &[(String, Source)]) -> Vec<String> {
    let mut places = Vec::new();
    for (file, source) in sources {
        let (directory, name) = file.rsplit_once('/').unwrap_or(("", file));
        let inside = match name {
            "lib.rs" | "main.rs" | "mod.rs" => directory,
            _ => file.trim_end_matches(".rs"),
        };
        for module in source.test_modules() {
            places.push(format!("{inside}/{module}.rs"));
            places.push(format!("{inside}/{module}/"));
        }
    }
    places
}

fn worldly_words(file: &str, code: &str) -> Vec<Problem> {
    let mut found: Vec<(usize, String, String)> = Vec::new();
    let used = used_paths(code);
    for (path, instead) in WORLDLY_PATHS {
        for at in words(code, path) {
            found.push((line_of(code, at), path.to_owned(), instead.to_owned()));
        }
        for (line, used) in &used {
            let within = used == path || used.starts_with(&format!("{path}::"));
            if within {
                found.push((*line, path.to_owned(), instead.to_owned()));
            }
        }
    }
    for name in WORLDLY_CRATES {
        let instead = "an output that the driver carries out";
        for at in words(code, name) {
            let is_path = code[at + name.len()..].starts_with("::") && !code[..at].ends_with("::");
            if is_path {
                found.push((line_of(code, at), name.to_owned(), instead.to_owned()));
            }
        }
        for (line, used) in &used {
            if used.split("::").next() == Some(name) {
                found.push((*line, name.to_owned(), instead.to_owned()));
            }
        }
    }
    found.sort();
    found.dedup();
    let problem = |(line, path, instead): (usize, String, String)| {
        let expected = format!("floors 0 to {PURE_UP_TO} without it: {instead}");
        Problem::error(file, line, format!("`{path}`"), expected)
    };
    found.into_iter().map(problem).collect()
}
