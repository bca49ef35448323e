//! Rules about Markdown: links lead somewhere, and the table of dependencies is complete.
//! Follows no link out of the repository.

use toml::{Table, Value};

use crate::problem::Problem;

/// Links to files in the repository that do not resolve; `exists` is asked with paths from the root.
pub(super) fn link_problems(file: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<Problem> {
    let directory = file.rsplit_once('/').map_or("", |(directory, _)| directory);
    let mut problems = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        if fenced {
            continue;
        }
        for target in link_targets(line) {
            let path = target.split('#').next().unwrap_or("");
            let elsewhere = path.contains("://") || path.starts_with("mailto:");
            if path.is_empty() || elsewhere {
                continue;
            }
            let resolved = match path.strip_prefix('/') {
                Some(from_root) => from_root.to_owned(),
                None => format!("{directory}/{path}").trim_start_matches('/').to_owned(),
            };
            if !exists(&resolved) {
                let found = format!("a link to `{target}`");
                problems.push(Problem::error(file, index + 1, found, "a file that is there"));
            }
        }
    }
    problems
}

/// What stands in `](...)`, outside inline code.
fn link_targets(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    // Code spans are the odd pieces between backquotes.
    for (index, piece) in line.split('`').enumerate() {
        let starts = piece.match_indices("](").filter(|_| index % 2 == 0).map(|(at, _)| at + 2);
        found.extend(starts.filter_map(|at| piece[at..].split_once(')').map(|(target, _)| target.trim())));
    }
    found
}

/// Third-party crates of the workspace that no row of a table in the architecture page names.
pub(super) fn dependency_problems(manifest: &str, page: &str) -> Result<Vec<Problem>, String> {
    let table: Table = manifest.parse().map_err(|error| format!("Cargo.toml: {error}"))?;
    let listed = table.get("workspace").and_then(|workspace| workspace.get("dependencies"));
    let mut problems = Vec::new();
    for (name, value) in listed.and_then(Value::as_table).into_iter().flatten() {
        let row = format!("`{name}`");
        let described = page.lines().any(|line| line.trim_start().starts_with('|') && line.contains(&row));
        if value.get("path").is_none() && !described {
            let line =
                manifest.lines().position(|line| line.starts_with(name.as_str())).map_or(0, |at| at + 1);
            let found = format!("dependency {row} without a reason");
            let expected = format!("a table row naming {row} in host/ARCHITECTURE.md");
            problems.push(Problem::error("Cargo.toml", line, found, expected));
        }
    }
    Ok(problems)
}
