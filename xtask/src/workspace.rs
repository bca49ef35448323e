//! The repository as files: where it is, what belongs to it.
//! Always: paths handed out are relative to the root and use `/`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The directory of the root manifest, two levels above this crate's sources.
pub(crate) fn root() -> Result<PathBuf, String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root =
        here.parent().ok_or("xtask stands at the top of the file system; expected a workspace above")?;
    Ok(root.to_owned())
}

/// Every file that git tracks or would add, sorted, without those deleted on disk.
pub(crate) fn files(root: &Path) -> Result<Vec<String>, String> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("git could not be run ({error}); the checks ask it which files are ours"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("git ls-files failed in {}: {}", root.display(), said.trim()));
    }
    let listed = String::from_utf8_lossy(&output.stdout);
    let mut files: Vec<String> =
        listed.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    files.retain(|name| root.join(name).is_file());
    files.sort();
    files.dedup();
    Ok(files)
}

/// The text of one file; `None` when it is not UTF-8, which no check reads.
pub(crate) fn text(root: &Path, file: &str) -> Result<Option<String>, String> {
    let bytes = std::fs::read(root.join(file)).map_err(|error| format!("{file}: cannot be read: {error}"))?;
    Ok(String::from_utf8(bytes).ok())
}

/// The program's path, as a shell would find it.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|file| file.is_file())
}

/// Where cargo puts what it builds.
pub(crate) fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// Whether redis-server is there to compare with; in CI (`CI=true`) it must be.
pub(crate) fn has_judge() -> Result<bool, String> {
    match on_path("redis-server") {
        Some(_) => Ok(true),
        None if std::env::var("CI").as_deref() == Ok("true") => {
            Err("redis-server is not installed: apt-get install redis-server".to_owned())
        }
        None => Ok(false),
    }
}
