//! `tenon check`: whether data files are sound, said so that a person can act on it.
//! Runs beside a server or without one; reads, and changes nothing unless `--repair` asks for it.

mod aof;
pub(crate) mod backup;
mod rdb;
mod repeats;

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::ExitCode;

const HELP: &str = "\
Usage: tenon check rdb FILE
       tenon check aof DIRECTORY [--repair]
       tenon check backup DIRECTORY

  rdb FILE          reads every key of a dump, compares the checksum, says what is in it and what a load would
                    pass over
  aof DIRECTORY     reads the append-only files that the manifest in DIRECTORY names (appendonlydir); the manifest
                    itself may be named, too
  backup DIRECTORY  compares what BACKUP START wrote with its manifest, and reads every key of it
  --repair          cuts the last file off at the first place that is not sound, and keeps what is cut off
                    in a file beside it; refused while a server uses the directory

Exit status: 0 sound (or repaired); 1 not sound, or not to be read; 2 the words after 'check' are not understood.
";

/// Understands the words behind `check` and does it.
pub(crate) fn run(words: &[Vec<u8>]) -> ExitCode {
    let path = |word: &[u8]| PathBuf::from(OsString::from_vec(word.to_vec()));
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    let result = match words.as_slice() {
        [b"--help" | b"-h"] | [_, b"--help" | b"-h"] => {
            say(HELP.trim_end());
            return ExitCode::SUCCESS;
        }
        [b"rdb", file] => rdb::check(&path(file)),
        [b"backup", directory] => backup::check(&path(directory)).map(drop),
        [b"aof", directory] if *directory != b"--repair" => aof::check(&path(directory)),
        [b"aof", b"--repair", directory] | [b"aof", directory, b"--repair"] if *directory != b"--repair" => {
            aof::repair(&path(directory))
        }
        words => {
            let _ = write!(std::io::stderr(), "{}\n\n{HELP}", complaint(words));
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            let _ = writeln!(std::io::stderr(), "{sentence}");
            ExitCode::FAILURE
        }
    }
}

/// What is wrong with words that are not understood.
fn complaint(words: &[&[u8]]) -> String {
    let shown = |word: &[u8]| format!("'{}'", word.escape_ascii());
    match words {
        [] => "What is to be checked is missing: expected rdb, aof or backup".to_owned(),
        [b"rdb"] => "The file behind rdb is missing".to_owned(),
        [kind @ (b"aof" | b"backup"), rest @ ..] if rest.iter().all(|word| *word == b"--repair") => {
            format!("The directory behind {} is missing", kind.escape_ascii())
        }
        [b"rdb" | b"backup", _, word, ..] => format!("{} is not understood here", shown(word)),
        [b"aof", rest @ ..] => {
            let is_option = |word: &&&[u8]| word.starts_with(b"--") && **word != b"--repair";
            let word = rest.iter().find(is_option).or(rest.last());
            format!(
                "{} is not understood: expected a directory, and --repair",
                shown(word.unwrap_or(&&b""[..]))
            )
        }
        [word, ..] => format!("{} is not understood: expected rdb, aof or backup", shown(word)),
    }
}

/// So many of something, in words.
pub(crate) fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// A line of the report. Whoever closed the pipe does not want it.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A moment as people write it.
pub(crate) fn moment(unix_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(unix_ms)
        .map_or_else(|_| format!("{unix_ms} ms since 1970"), |moment| moment.to_string())
}

/// How far a long reading has come, on standard error, once for every tenth.
pub(crate) struct Tenths {
    told: u64,
}

impl Tenths {
    /// Files below this are read before anybody wonders.
    const FROM_BYTES: u64 = 256 << 20;

    pub(crate) fn new() -> Tenths {
        Tenths { told: 0 }
    }

    pub(crate) fn tell(&mut self, done_bytes: u64, total_bytes: u64) {
        if total_bytes < Tenths::FROM_BYTES {
            return;
        }
        let tenth = done_bytes.saturating_mul(10) / total_bytes;
        if tenth > self.told {
            self.told = tenth;
            let _ = writeln!(std::io::stderr(), "{} % of {} MB read", tenth * 10, total_bytes >> 20);
        }
    }
}
