//! Rules about the text itself: lengths, openings, leftovers, links, the table of dependencies.
//! rustfmt and clippy hold the rest; nothing here looks at meaning.
//! Always: an exception is a line in this file, with its reason.

mod prose;
#[cfg(test)]
mod tests;

use std::path::Path;

use crate::problem::Problem;
use crate::source::{Source, line_of, words};
use crate::workspace;

const FILE_LINES_WARNED: usize = 500;
const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 100;

/// Files that may be long: the end of their path, and why.
const LONG_FILES: [(&str, &str); 3] = [
    ("/tests.rs", "a list of cases has no state to pool"),
    ("host/config/src/table.rs", "one row for each directive of redis.conf"),
    ("host/config/src/directives.rs", "one row for each directive of redis.conf"),
];

/// Words that mean unfinished work. Spelt in halves so that this list does not find itself.
const LEFTOVERS: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

/// Macros that must not reach main.
const MACROS: [&str; 3] = ["dbg!", "todo!", "unimplemented!"];

/// The beginnings of paths that exist on one machine only, in halves for the same reason.
const MACHINE_PATHS: [&str; 4] =
    [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/tmp/", "bash"), concat!("/home/", "user/")];

const TEXT_ENDINGS: [&str; 12] =
    ["rs", "toml", "md", "wit", "resp", "yml", "yaml", "sh", "conf", "json", "txt", "c"];

/// Checks every file of the repository under `root`.
pub(crate) fn check(root: &Path) -> Result<Vec<Problem>, String> {
    let files = workspace::files(root)?;
    let mut problems = Vec::new();
    for file in &files {
        let Some(text) = workspace::text(root, file)? else { continue };
        problems.extend(text_problems(file, &text));
        if file.ends_with(".rs") {
            problems.extend(rust_problems(file, &text));
        }
        if file.ends_with(".md") {
            problems.extend(prose::link_problems(file, &text, |target| root.join(target).exists()));
        }
    }
    let architecture = root.join("host/ARCHITECTURE.md");
    if architecture.exists() {
        let manifest = workspace::text(root, "Cargo.toml")?.unwrap_or_default();
        let page = workspace::text(root, "host/ARCHITECTURE.md")?.unwrap_or_default();
        problems.extend(prose::dependency_problems(&manifest, &page)?);
    }
    Ok(problems)
}

fn text_problems(file: &str, text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    let ending = file.rsplit_once('.').map_or("", |(_, ending)| ending);
    let is_text = TEXT_ENDINGS.contains(&ending) || file.starts_with(".ci/");
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        if is_text && line.ends_with([' ', '\t', '\r']) {
            problems.push(Problem::error(file, number, "white space at the end of the line", "none"));
        }
        for path in MACHINE_PATHS.into_iter().filter(|path| names_path(line, path)) {
            let expected = "paths from the repository's root, or a name the reader can set";
            problems.push(Problem::error(file, number, format!("the machine's own path `{path}`"), expected));
        }
    }
    if is_text && !text.is_empty() && !text.ends_with('\n') {
        let last = text.lines().count();
        problems.push(Problem::error(file, last, "a last line without its end", "a newline"));
    }
    problems
}

/// Whether `path` starts a path in `line`, rather than being the middle of a longer one.
fn names_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-*~}".contains(c))
    })
}

fn rust_problems(file: &str, text: &str) -> Vec<Problem> {
    let source = Source::new(text);
    let mut problems = length_problems(file, &source);
    if !text.starts_with("//!") {
        let expected = "`//!`: what it is, what it is not, what is always true";
        problems.push(Problem::error(file, 1, "no opening", expected));
    }
    for (index, line) in text.lines().enumerate() {
        if line.contains('\t') {
            problems.push(Problem::error(file, index + 1, "a tab", "spaces, or `\\t` in a literal"));
        }
        for word in LEFTOVERS.into_iter().filter(|word| !words(line, word).is_empty()) {
            problems.push(Problem::error(file, index + 1, format!("`{word}`"), "finished work, or an issue"));
        }
    }
    for name in MACROS {
        let bare = name.trim_end_matches('!');
        for at in words(&source.code, bare).into_iter().filter(|at| source.code[*at..].starts_with(name)) {
            problems.push(Problem::error(file, line_of(text, at), format!("`{name}`"), "finished work"));
        }
    }
    for (at, _) in source.code.match_indices("#[ignore]") {
        problems.push(Problem::error(file, line_of(text, at), "`#[ignore]`", "`#[ignore = \"why\"]`"));
    }
    problems
}

fn length_problems(file: &str, source: &Source) -> Vec<Problem> {
    let mut problems = Vec::new();
    let lines = source.raw.lines().count();
    let may_be_long = LONG_FILES.iter().any(|(end, _)| file.ends_with(end));
    if lines > FILE_LINES_MAX && !may_be_long {
        let expected = format!("at most {FILE_LINES_MAX}: split it, or name it in LONG_FILES with a reason");
        problems.push(Problem::error(file, 0, format!("{lines} lines"), expected));
    } else if lines > FILE_LINES_WARNED && !may_be_long {
        let expected = format!("at most {FILE_LINES_WARNED} where possible");
        problems.push(Problem::warning(file, 0, format!("{lines} lines"), expected));
    }
    for function in source.functions() {
        let length = function.last - function.first + 1;
        if length > FUNCTION_LINES_MAX {
            let found = format!("`fn {}` of {length} lines", function.name);
            let expected = format!("at most {FUNCTION_LINES_MAX}");
            problems.push(Problem::error(file, function.first, found, expected));
        }
    }
    problems
}
