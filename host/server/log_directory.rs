//! Where an append-only log lies, from what a person names: its directory, or its manifest.
//! Reads names only.

use std::path::Path;

use tenon_aof::Directory;
use tenon_base::{Disk, describe};

use crate::read_only::ReadOnlyDisk;

const MANIFEST: &str = ".manifest";

/// The log's directory, and the name that its manifest tells.
pub(crate) fn find(path: &Path) -> Result<Directory, String> {
    let name_of = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    if let Some(name) = name_of(path).filter(|name| name.ends_with(MANIFEST)) {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        return Ok(Directory::new(parent, name.trim_end_matches(MANIFEST)));
    }
    let listed = ReadOnlyDisk.list(path).map_err(|error| {
        format!(
            "{} cannot be listed: {}; give the directory of the manifest",
            path.display(),
            describe(&error)
        )
    })?;
    let names: Vec<&str> = listed
        .iter()
        .filter(|listed| !listed.name.starts_with("temp-"))
        .filter_map(|listed| listed.name.strip_suffix(MANIFEST))
        .collect();
    match names.as_slice() {
        [name] => Ok(Directory::new(path, *name)),
        [] => Err(format!(
            "{} holds no manifest (a file that ends in {MANIFEST}): it is 'appenddirname' within 'dir'",
            path.display()
        )),
        several => Err(format!(
            "{} holds {} manifests ({}): name the one to check",
            path.display(),
            several.len(),
            several.join(", ")
        )),
    }
}
