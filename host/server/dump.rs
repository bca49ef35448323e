//! `tenon dump`: what is in a dump or an append-only log, one JSON object a line, for people and for `jq`.
//! Not a judge (see `check`) and not a loader: nothing is run, no key is looked for twice.
//! Always: memory follows the largest value (or transaction), not the file; whatever stands before damage is printed.

mod aof;
mod json;
mod rdb;
mod value;

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tenon_base::{Disk, describe};

use self::json::Json;
use crate::read_only::ReadOnlyDisk;

const HELP: &str = "\
Usage: tenon dump FILE --json

  FILE              a dump (dump.rdb), an append-only file, the directory of an append-only log (appendonlydir)
                    or its manifest
  --json            one JSON object a line, told apart by \"kind\"

  of a dump         rdb (version), aux (name, value), library (code), key (database, key, type, encoding,
                    expires_at_ms, idle_seconds or frequency, value), rdb_end (keys, bytes, checksum); what a
                    load passes over: empty and module_value (database, key), module_data, slot_import (name)
  of a log          log (base, increments), file (name, bytes), batch (at, bytes, written_at_ms, offset,
                    database, replication_id), timestamp (at, unix_seconds), command (at, transaction,
                    database, words), log_end (commands, bytes); a base that is a dump has the lines of one

Text is a JSON string. Bytes that are not UTF-8 are {\"escaped\": \"...\"}, with \\xHH for each of them and \\\\ for a
backslash. Hashes, sorted sets and the fields of streams are lists of pairs, in the order of the file.
\"encoding\" is how the file keeps a value; OBJECT ENCODING may say otherwise once it is loaded.

Exit status: 0 read to its end; 1 not sound, or not to be read (what came before it is printed); 2 the words after
'dump' are not understood.
";

/// Why a dump ended early.
enum Ended {
    /// Whoever read the lines, or the disk behind them, takes no more.
    Output(io::Error),
    /// The file, in a sentence.
    Input(String),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Ended {
        Ended::Output(error)
    }
}

/// Where the lines go.
type Lines = Json<BufWriter<io::StdoutLock<'static>>>;

/// Understands the words behind `dump` and does it.
pub(crate) fn run(words: &[Vec<u8>]) -> ExitCode {
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    let path = match words.as_slice() {
        [b"--help" | b"-h"] => {
            crate::check::say(HELP.trim_end());
            return ExitCode::SUCCESS;
        }
        [b"--json", path] | [path, b"--json"] => PathBuf::from(OsString::from_vec(path.to_vec())),
        _ => {
            let _ = write!(io::stderr(), "{HELP}");
            return ExitCode::from(2);
        }
    };
    let mut lines = Json::new(BufWriter::new(io::stdout().lock()));
    let dumped = dump(&path, &mut lines).and_then(|()| Ok(lines.flush()?));
    let sentence = match dumped {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Ended::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
        Err(Ended::Output(error)) => format!("The lines could not be written: {}", describe(&error)),
        Err(Ended::Input(sentence)) => {
            // What came before it helps to understand it; if it cannot be written, the sentence still can.
            let _ = lines.flush();
            sentence
        }
    };
    let _ = writeln!(io::stderr(), "{sentence}");
    ExitCode::FAILURE
}

fn dump(path: &Path, lines: &mut Lines) -> Result<(), Ended> {
    let is_manifest = path.extension().is_some_and(|extension| extension == "manifest");
    if is_manifest || path.is_dir() {
        let directory = crate::log_directory::find(path).map_err(Ended::Input)?;
        return aof::dump_log(&directory, lines);
    }
    let unreadable =
        |error: io::Error| Ended::Input(format!("{} cannot be read: {}", path.display(), describe(&error)));
    let file = ReadOnlyDisk.open(path, false).map_err(unreadable)?;
    let mut start = [0; 5];
    let length = file.length().map_err(unreadable)?;
    let read = file.read_at(0, &mut start).map_err(unreadable)?;
    match &start[..read] {
        // The second is as much of it as fits.
        b"REDIS" | b"VALKE" => {
            let bytes = rdb::dump(&file, lines).map_err(|ended| match ended {
                Ended::Input(sentence) => Ended::Input(format!("{}: {sentence}", path.display())),
                output => output,
            })?;
            // Before there were directories, commands followed on the dump of a log.
            if bytes < length { aof::dump_behind_rdb(path, bytes, lines) } else { Ok(()) }
        }
        [b'*' | b'#', ..] => aof::dump_file(path, lines),
        [] => Err(Ended::Input(format!("{} is empty", path.display()))),
        other => Err(Ended::Input(format!(
            "{} is neither a dump nor an append-only file: found \"{}\" at offset 0, expected \"REDIS\", \"VALKEY\", '*' or '#'",
            path.display(),
            other.escape_ascii()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::HELP;

    /// The words in the first pair of quotes behind each of these calls.
    fn named(source: &'static str, calls: [&str; 5]) -> Vec<&'static str> {
        let after = calls.iter().flat_map(|call| source.split(call).skip(1));
        after.filter_map(|rest| rest.strip_prefix('"')?.split('"').next()).collect()
    }

    #[test]
    fn the_help_names_every_line_and_what_is_in_it() {
        let calls = [".begin_line(", ".number(", ".number_or_null(", ".named_text(", ".name("];
        let sources = [include_str!("dump/rdb.rs"), include_str!("dump/aof.rs")];
        let words: Vec<&str> = HELP.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        let names: Vec<&str> = sources.iter().flat_map(|source| named(source, calls)).collect();
        assert!(names.contains(&"module_value") && names.contains(&"log_end"), "{names:?}");
        for name in names {
            assert!(words.contains(&name), "{name} is printed, and not in the help");
        }
    }
}
