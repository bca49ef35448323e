//! Reads what the command line names: a TOML file, a redis.conf with its includes, standard input, options.
//! The only place that opens configuration files.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use tenon_base::{describe, glob_matches};
use tenon_config::{Arguments, Config, ConfigError, Directive, Included, load_conf, load_toml};

/// Where the configuration came from.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// The file, made absolute, if one was named.
    pub(crate) file: Option<PathBuf>,
    /// The directory in which the server was started.
    pub(crate) started_in: PathBuf,
}

/// Reads everything, in Redis's order: file, standard input, options. The last word wins.
pub(crate) fn read(arguments: &Arguments) -> Result<(Config, Source), ConfigError> {
    let started_in = std::env::current_dir()
        .map_err(|error| refusal(format!("The current directory cannot be told: {error}")))?;
    let mut config = Config::default();
    let mut file = None;
    if let Some(name) = &arguments.file {
        let path = started_in.join(OsStr::from_bytes(name));
        load_file(&mut config, &path, &String::from_utf8_lossy(name))?;
        file = Some(path);
    }
    if arguments.reads_stdin {
        let mut text = Vec::new();
        std::io::stdin()
            .read_to_end(&mut text)
            .map_err(|error| refusal(format!("Standard input cannot be read: {error}")))?;
        load_conf(&mut config, "stdin", &text, &mut include)?;
    }
    arguments.apply_options(&mut config)?;
    config.finish()?;
    settle_directory(&mut config, &started_in)?;
    Ok((config, Source { file, started_in }))
}

/// Where policies lie: relative to the configuration file, else to where the server was started.
pub(crate) fn policy_directory(config: &Config, source: &Source) -> Option<PathBuf> {
    let named = config.text(Directive::PolicyDirectory);
    if named.is_empty() {
        return None;
    }
    let base = source.file.as_deref().and_then(Path::parent).unwrap_or(&source.started_in);
    Some(base.join(OsStr::from_bytes(named)))
}

fn load_file(config: &mut Config, path: &Path, name: &str) -> Result<(), ConfigError> {
    let text = fs::read(path)
        .map_err(|error| refusal(format!("Can't open config file '{name}': {}", describe(&error))))?;
    if path.extension() == Some(OsStr::new("toml")) {
        return load_toml(config, name, &text);
    }
    load_conf(config, name, &text, &mut include)
}

/// The files of one `include`: a path, or a pattern in its last part. A pattern that matches nothing is no
/// error, a missing file is.
fn include(argument: &[u8]) -> Result<Vec<Included>, String> {
    let path = Path::new(OsStr::from_bytes(argument));
    let name = path.file_name().map_or(&b""[..], OsStrExt::as_bytes);
    if !name.iter().any(|byte| b"*?[".contains(byte)) {
        return Ok(vec![read_included(path)?]);
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(_) => return Ok(Vec::new()),
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|found| glob_matches(name, found.as_bytes())))
        .collect();
    paths.sort();
    paths.iter().map(|path| read_included(path)).collect()
}

fn read_included(path: &Path) -> Result<Included, String> {
    let name = path.display().to_string();
    let text =
        fs::read(path).map_err(|error| format!("Can't open config file '{name}': {}", describe(&error)))?;
    Ok(Included { name, text })
}

/// `dir` is made absolute once, so that nothing depends on a current directory later.
fn settle_directory(config: &mut Config, started_in: &Path) -> Result<(), ConfigError> {
    let directory = started_in.join(OsStr::from_bytes(config.text(Directive::Dir)));
    let directory = fs::canonicalize(&directory).map_err(|error| {
        let shown = directory.display();
        config.refuse(Directive::Dir, format!("Can't chdir to '{shown}': {}", describe(&error)))
    })?;
    config
        .replace(Directive::Dir, &[directory.as_os_str().as_bytes()])
        .map_err(|reason| config.refuse(Directive::Dir, reason))
}

fn refusal(reason: String) -> ConfigError {
    ConfigError { place: None, reason, expected: None }
}
