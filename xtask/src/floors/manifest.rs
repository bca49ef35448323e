//! A `Cargo.toml` as the floors see it: a package and the crates it names.
//! Reads no registry and resolves no version.
//! Always: a dependency is known by its package name, also where the manifest renames it.

use toml::{Table, Value};

/// One manifest, by its path from the root.
pub(super) struct Manifest {
    pub(super) file: String,
    pub(super) package: Option<String>,
    text: String,
    table: Table,
}

/// One line of a dependency table, of any kind and for any target.
#[derive(Debug)]
pub(super) struct Dependency {
    /// As written in the manifest.
    pub(super) key: String,
    pub(super) name: String,
    /// From the root, where the dependency is a path.
    pub(super) path: Option<String>,
    pub(super) dev: bool,
}

impl Manifest {
    pub(super) fn parse(file: &str, text: &str) -> Result<Manifest, String> {
        let table: Table = text.parse().map_err(|error| format!("{file}: {error}"))?;
        let package = table.get("package").and_then(|package| package.get("name")).and_then(Value::as_str);
        Ok(Manifest {
            file: file.to_owned(),
            package: package.map(str::to_owned),
            text: text.to_owned(),
            table,
        })
    }

    /// The root package and what lives under `host/`.
    pub(super) fn is_house(&self) -> bool {
        self.file == "Cargo.toml" || self.file.starts_with("host/")
    }

    /// Whether `file` is shipped source of this package; `tests/`, `benches/` and build scripts are not.
    pub(super) fn owns_source(&self, file: &str) -> bool {
        match self.directory() {
            "" => file.starts_with("host/server/"),
            directory => file.starts_with(&format!("{directory}/src/")),
        }
    }

    /// The first line that starts with `key` or names it in quotes; 0 when none does.
    pub(super) fn line_of(&self, key: &str) -> usize {
        let quoted = format!("\"{key}\"");
        let names = |line: &str| {
            let rest = line.trim_start().strip_prefix(key);
            rest.is_some_and(|rest| rest.starts_with(['.', ' ', '='])) || line.contains(&quoted)
        };
        self.text.lines().position(names).map_or(0, |index| index + 1)
    }

    fn directory(&self) -> &str {
        self.file.trim_end_matches("Cargo.toml").trim_end_matches('/')
    }
}

/// Every dependency of `manifest`; `shared` is the manifest that `workspace = true` refers to.
pub(super) fn dependencies_of(manifest: &Manifest, shared: Option<&Manifest>) -> Vec<Dependency> {
    let mut found = Vec::new();
    let targets = manifest.table.get("target").and_then(Value::as_table);
    let tables = targets.into_iter().flat_map(|targets| targets.values().filter_map(Value::as_table));
    for table in tables.chain([&manifest.table]) {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (key, value) in table.get(kind).and_then(Value::as_table).into_iter().flatten() {
                found.push(dependency(manifest, shared, key, value, kind == "dev-dependencies"));
            }
        }
    }
    found
}

fn dependency(
    manifest: &Manifest,
    shared: Option<&Manifest>,
    key: &str,
    value: &Value,
    dev: bool,
) -> Dependency {
    let inherited = value.get("workspace").and_then(Value::as_bool) == Some(true);
    let lookup = |shared: &Manifest| shared.table.get("workspace")?.get("dependencies")?.get(key).cloned();
    let (value, directory) = match shared.filter(|_| inherited).and_then(lookup) {
        Some(value) => (value, ""),
        None => (value.clone(), manifest.directory()),
    };
    let name = value.get("package").and_then(Value::as_str).unwrap_or(key).to_owned();
    let path = value.get("path").and_then(Value::as_str).map(|path| joined(directory, path));
    Dependency { key: key.to_owned(), name, path, dev }
}

/// `directory/path` with its `.` and `..` resolved.
fn joined(directory: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in directory.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}
