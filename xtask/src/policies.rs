//! `cargo xtask policies [DIRECTORY]`: builds the policies that come with the server and puts them where it can load them.
//! Knows them by their folders alone: whatever has a component and is not built into the server.
//! Always: a file appears whole, written aside and renamed, because a running server may watch the directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::workspace;

const USAGE: &str = "\
usage: cargo xtask policies [DIRECTORY]

Builds the policies below plugins/ as components and puts them into DIRECTORY (`policies`), which `policy-directory` names.
The default policies are part of the server and are left out.
";
const TARGET: &str = "wasm32-unknown-unknown";
/// What the server embeds.
const BUILT_IN: &str = "-default";

/// Understands the words behind `policies` and does it.
pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    let directory = match words {
        [] => "policies",
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            return Ok(());
        }
        [directory] if !directory.starts_with('-') => directory,
        _ => return Err(format!("expected at most one directory.\n\n{USAGE}")),
    };
    let root = workspace::root()?;
    let names = names(&workspace::files(&root)?);
    build(&root, &names)?;
    let directory = Path::new(directory);
    fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let built = root.join("plugins/target").join(TARGET).join("release");
    for name in &names {
        let file = directory.join(format!("{name}.wasm"));
        let bytes = place(&built.join(format!("{}.wasm", name.replace('-', "_"))), &file)?;
        println!("{} ({} KiB)", file.display(), bytes.div_ceil(1024));
    }
    Ok(())
}

/// The folders of `plugins/` with a component of their own, in order.
fn names(files: &[String]) -> Vec<String> {
    let name = |file: &String| {
        let folder = file.strip_prefix("plugins/")?.strip_suffix("/component/Cargo.toml")?;
        (!folder.ends_with(BUILT_IN)).then(|| folder.to_owned())
    };
    files.iter().filter_map(name).collect()
}

fn build(root: &Path, names: &[String]) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // In their own folder, so that its `.cargo/config.toml` is found; what is meant for the house must not reach them.
    command.current_dir(root.join("plugins"));
    for name in ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        command.env_remove(name);
    }
    command.args(["build", "--release", "--locked", "--target", TARGET]);
    command.args(names.iter().flat_map(|name| ["--package", name.as_str()]));
    let status = command.status().map_err(|error| format!("cargo could not be run: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("the policies could not be built; the target comes with `rustup target add {TARGET}`"))
}

fn place(built: &Path, file: &Path) -> Result<u64, String> {
    let aside = PathBuf::from(format!("{}.new", file.display()));
    let bytes = fs::copy(built, &aside).map_err(|error| format!("{}: {error}", built.display()))?;
    fs::rename(&aside, file).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_folders_with_a_component_that_the_server_does_not_hold() {
        let files = [
            "plugins/Cargo.toml",
            "plugins/fsync-default/component/Cargo.toml",
            "plugins/fsync-group/component/Cargo.toml",
            "plugins/fsync-group/policy/Cargo.toml",
            "plugins/settings/Cargo.toml",
        ];
        assert_eq!(names(&files.map(str::to_owned)), ["fsync-group"]);
    }

    #[test]
    fn a_component_is_put_in_place_whole() {
        let folder = std::env::temp_dir().join(format!("xtask-policies-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a directory for the test");
        let (built, file) = (folder.join("a_b.wasm"), folder.join("a-b.wasm"));
        fs::write(&built, b"component").expect("our own directory");
        fs::write(&file, b"an older and longer one").expect("our own directory");
        assert_eq!(place(&built, &file), Ok(9));
        assert_eq!(fs::read(&file).expect("it is there"), b"component");
        assert!(place(&folder.join("gone.wasm"), &file).is_err());
        assert_eq!(fs::read_dir(&folder).expect("it is there").count(), 2, "nothing is left aside");
        fs::remove_dir_all(&folder).expect("our own directory");
    }
}
