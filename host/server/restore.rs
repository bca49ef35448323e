//! `tenon restore`: a data directory with the state that an append-only log had at a time or at an offset, or with what is
//! in a backup.
//! Copies, and cuts the copy; runs nothing and needs no server.
//! Always: the original is only read; what is made starts no server until it is complete.

mod backup;
mod copy;
mod search;
mod target; // read me first

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tenon_base::describe;

use self::search::{Mark, Place};
use self::target::Target;
use crate::check::say;
use crate::read_only::ReadOnlyDisk;

const HELP: &str = "\
Usage: tenon restore --to TIME|OFFSET DIRECTORY --into DIRECTORY2
       tenon restore --from BACKUP --into DIRECTORY2

  DIRECTORY         the directory of an append-only log (appendonlydir), or its manifest; it is only read, also
                    while a server writes it
  --into            the data directory ('dir') to make: a new or an empty one
  --from BACKUP     the directory that BACKUP START answered with: it is checked as `tenon check backup` checks it, and
                    its dump and its users are copied
  --to TIME         2026-11-22T19:00:00Z (or with an offset such as +01:00), '2026-11-22 19:00:00' (this machine's
                    time zone), or @SECONDS since 1970; all of them with fractions of a second
  --to OFFSET       a replication offset, as INFO (master_repl_offset) and `tenon dump` tell it
  --to FILE:BYTES   a place in one of the log's files, as `tenon check aof` and `tenon dump` tell it

The copy ends before the first batch that is later than what was asked for. Times and offsets stand in the batches
that Tenon writes ('aof-checksum yes'); other logs have times with 'aof-timestamp-enabled yes', to the second.
What is older than the log's base cannot be restored from it.

Exit status: 0 restored; 1 not restored; 2 the words after 'restore' are not understood.
";

/// What was asked for.
enum Request {
    /// What a log held at a time or a place.
    Log { to: Target, from: PathBuf, into: PathBuf },
    /// What is in a backup.
    Backup { from: PathBuf, into: PathBuf },
}

/// Understands the words behind `restore` and does it.
pub(crate) fn run(words: &[Vec<u8>]) -> ExitCode {
    if let [word] = words
        && matches!(word.as_slice(), b"--help" | b"-h")
    {
        say(HELP.trim_end());
        return ExitCode::SUCCESS;
    }
    let request = match parse(words) {
        Ok(request) => request,
        Err(complaint) => {
            let _ = write!(io::stderr(), "{complaint}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    let restored = match &request {
        Request::Log { to, from, into } => restore(to, from, into),
        Request::Backup { from, into } => backup::restore(from, into),
    };
    match restored {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            let _ = writeln!(io::stderr(), "{sentence}");
            ExitCode::FAILURE
        }
    }
}

/// The words in any order. The error is what to say before the usage.
fn parse(words: &[Vec<u8>]) -> Result<Request, String> {
    let (mut to, mut from, mut into, mut backup) = (None, None, None, None);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let shown = word.escape_ascii();
        let place = match word.as_slice() {
            b"--to" => &mut to,
            b"--into" => &mut into,
            b"--from" => &mut backup,
            option if option.starts_with(b"--") => {
                return Err(format!("{shown} is not understood: expected --to, --from or --into"));
            }
            _ => match from.replace(word) {
                None => continue,
                Some(first) => {
                    let first = first.escape_ascii();
                    return Err(format!("One log can be restored at once, not '{first}' and '{shown}'"));
                }
            },
        };
        let value = words.next().ok_or_else(|| format!("What follows {shown} is missing"))?;
        if place.replace(value).is_some() {
            return Err(format!("{shown} is there twice"));
        }
    }
    let path = |word: &Vec<u8>| PathBuf::from(OsString::from_vec(word.clone()));
    match (to, from, backup, into) {
        (Some(to), Some(from), None, Some(into)) => {
            let to = Target::parse(&String::from_utf8_lossy(to))?;
            Ok(Request::Log { to, from: path(from), into: path(into) })
        }
        (None, None, Some(backup), Some(into)) => {
            Ok(Request::Backup { from: path(backup), into: path(into) })
        }
        (Some(_), _, Some(_), _) => {
            Err("--to goes with a log, and a backup shows one moment: leave out --to, or \
                                         --from"
                .to_owned())
        }
        (None, Some(_), Some(_), _) => {
            Err("--from names what to restore: leave out the log, or --from".to_owned())
        }
        (None, _, None, _) => {
            Err("What to restore is missing: --to and a log, or --from and a backup".to_owned())
        }
        (_, _, _, None) => Err("Where to restore to is missing: --into and a new directory".to_owned()),
        (Some(_), None, None, Some(_)) => {
            Err("The log to restore is missing: the directory that holds its manifest (appendonlydir)"
                .to_owned())
        }
    }
}

fn restore(to: &Target, from: &Path, into: &Path) -> Result<(), String> {
    let directory = crate::log_directory::find(from)?;
    refuse_target(into, directory.path())?;
    let manifest = directory.read_manifest(&ReadOnlyDisk).map_err(|error| error.to_string())?;
    let found = search::find(&directory, &manifest, to)?;
    say(&format!("asked for: {to}"));
    say(&format!("found: {}", told(&found.place)));
    for line in &found.notes {
        say(line);
    }
    let made = copy::copy(&directory, &manifest, &found, into)?;
    let files = crate::check::counted(made.files, "file");
    say(&format!("{}: {files}, {} bytes", made.path().display(), made.bytes));
    say(&format!("start with: tenon --dir {} --appendonly yes{}", into.display(), made.directives()));
    Ok(())
}

/// Where the copy ends, for people.
fn told(place: &Place) -> String {
    let Mark { unix_ms, origin } = place.mark;
    let time = unix_ms.map_or_else(String::new, |at| format!(", written on {}", crate::check::moment(at)));
    let offset = origin.map_or_else(String::new, |(offset, id)| {
        id.map_or_else(
            || format!(", at offset {offset}"),
            |id| format!(", at offset {offset} of replication id {}", id.as_str()),
        )
    });
    format!(
        "the first {} bytes of {}{time}{offset}; {} commands after the base",
        place.end, place.file, place.commands
    )
}

/// A directory that holds something is somebody's; one within the original would change that.
fn refuse_target(into: &Path, from: &Path) -> Result<(), String> {
    let failed = |path: &Path, error: &io::Error| format!("{}: {}", path.display(), describe(error));
    let is_empty = match fs::read_dir(into) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(failed(into, &error)),
    };
    if !is_empty {
        return Err(format!(
            "{} is not empty: --into wants a new or an empty directory; nothing was changed",
            into.display()
        ));
    }
    let parent = into.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let existing = if into.exists() { into } else { parent };
    let target = fs::canonicalize(existing).map_err(|error| failed(existing, &error))?;
    let source = fs::canonicalize(from).map_err(|error| failed(from, &error))?;
    if target.starts_with(&source) {
        return Err(format!(
            "{} lies within {}, which is not to be changed: name a directory elsewhere",
            into.display(),
            from.display()
        ));
    }
    Ok(())
}
