//! An append-only log, command by command in the order in which a start would run them.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tenon_aof::{
    AofError, BaseLoaded, Directory, LoadNotice, LoadOptions, LoadSink, Loaded, Manifest, Passed, load,
    load_file,
};
use tenon_base::DiskFile;
use tenon_resp::{Args, parse_unsigned};

use super::{Ended, Lines, rdb};
use crate::read_only::ReadOnlyDisk;

const OPTIONS: LoadOptions = LoadOptions { cut_torn_end: false, damaged_tail_bytes_max: 0, checksum: true };

/// Everything that the manifest names.
pub(super) fn dump_log(directory: &Directory, lines: &mut Lines) -> Result<(), Ended> {
    let manifest = directory.read_manifest(&ReadOnlyDisk).map_err(|error| Ended::Input(error.to_string()))?;
    self::manifest(&manifest, lines)?;
    let mut sink = Sink::new(lines);
    let loaded = load(&ReadOnlyDisk, directory, None, OPTIONS, &mut sink);
    sink.finish(loaded)
}

/// One append-only file.
pub(super) fn dump_file(path: &Path, lines: &mut Lines) -> Result<(), Ended> {
    let mut sink = Sink::new(lines);
    let loaded = load_file(&ReadOnlyDisk, path, OPTIONS, &mut sink);
    sink.finish(loaded)
}

/// The commands of one append-only file; its first `rdb_bytes` are a dump that was written down before.
pub(super) fn dump_behind_rdb(path: &Path, rdb_bytes: u64, lines: &mut Lines) -> Result<(), Ended> {
    let mut sink = Sink { rdb_bytes: Some(rdb_bytes), ..Sink::new(lines) };
    let loaded = load_file(&ReadOnlyDisk, path, OPTIONS, &mut sink);
    sink.finish(loaded)
}

fn manifest(manifest: &Manifest, lines: &mut Lines) -> io::Result<()> {
    lines.begin_line("log")?;
    lines.name("base")?;
    match &manifest.base {
        Some(base) => lines.text(base.name.as_bytes())?,
        None => lines.bare("null")?,
    }
    for (name, files) in [("increments", &manifest.increments), ("history", &manifest.history)] {
        lines.name(name)?;
        lines.open(b'[')?;
        files.iter().try_for_each(|file| lines.text(file.name.as_bytes()))?;
        lines.close(b']')?;
    }
    lines.end_line()
}

/// Takes in what a load comes by and writes it down.
struct Sink<'a> {
    lines: &'a mut Lines,
    /// Why the lines ended early, if they did.
    ended: Option<Ended>,
    /// Where the next command stands; None for a SELECT that no file holds.
    next: Option<(u64, Option<u64>)>,
    database: u64,
    /// Length of a dump that was written down before.
    rdb_bytes: Option<u64>,
}

impl<'a> Sink<'a> {
    fn new(lines: &'a mut Lines) -> Sink<'a> {
        Sink { lines, ended: None, next: None, database: 0, rdb_bytes: None }
    }

    fn finish(self, loaded: Result<Loaded, AofError>) -> Result<(), Ended> {
        match (self.ended, loaded) {
            (Some(Ended::Output(error)), _) => Err(Ended::Output(error)),
            (_, Err(error)) => Err(Ended::Input(error.to_string())),
            (_, Ok(loaded)) => {
                self.lines.begin_line("log_end")?;
                self.lines.number("commands", loaded.commands)?;
                self.lines.number("bytes", loaded.bytes)?;
                Ok(self.lines.end_line()?)
            }
        }
    }

    /// Remembers why nothing more can be written, and ends the load.
    fn kept<T>(&mut self, result: io::Result<T>) -> Result<T, String> {
        result.map_err(|error| {
            let text = error.to_string();
            self.ended = Some(Ended::Output(error));
            text
        })
    }

    fn write_passed(&mut self, passed: Passed<'_>) -> io::Result<()> {
        let lines = &mut *self.lines;
        match passed {
            Passed::File { name, bytes } => {
                lines.begin_line("file")?;
                lines.named_text("name", name.as_bytes())?;
                lines.number("bytes", bytes)?;
            }
            Passed::Batch { at, header } => {
                lines.begin_line("batch")?;
                lines.number("at", at)?;
                lines.number("bytes", header.batch_bytes)?;
                lines.number("written_at_ms", header.unix.0)?;
                lines.number("offset", header.offset.0)?;
                lines.number("database", header.db)?;
                lines.named_text("replication_id", header.replication_id.as_str().as_bytes())?;
            }
            Passed::Timestamp { at, unix_seconds } => {
                lines.begin_line("timestamp")?;
                lines.number("at", at)?;
                lines.number("unix_seconds", unix_seconds)?;
            }
            Passed::Command { at, transaction } => {
                self.next = Some((at, transaction));
                return Ok(());
            }
            Passed::Whole { .. } => return Ok(()),
        }
        lines.end_line()
    }

    fn write_command(&mut self, at: u64, transaction: Option<u64>, args: Args<'_>) -> io::Result<()> {
        let lines = &mut *self.lines;
        lines.begin_line("command")?;
        lines.number("at", at)?;
        if let Some(transaction) = transaction {
            lines.number("transaction", transaction)?;
        }
        lines.number("database", self.database)?;
        lines.name("words")?;
        lines.open(b'[')?;
        args.iter().try_for_each(|word| lines.text(word))?;
        lines.close(b']')?;
        lines.end_line()
    }
}

impl LoadSink for Sink<'_> {
    fn rdb(&mut self, file: &Arc<dyn DiskFile>) -> Result<BaseLoaded, String> {
        let bytes = self.rdb_bytes.take().map_or_else(|| rdb::dump(file, self.lines), Ok);
        match bytes {
            Ok(bytes) => Ok(BaseLoaded { bytes, origin: None }),
            Err(Ended::Input(sentence)) => Err(sentence),
            Err(Ended::Output(error)) => self.kept(Err(error)),
        }
    }

    fn command(&mut self, args: Args<'_>) -> Result<(), String> {
        if args.get(0).eq_ignore_ascii_case(b"SELECT")
            && let Some(database) = args.try_get(1).and_then(parse_unsigned)
        {
            self.database = database;
        }
        let Some((at, transaction)) = self.next.take() else { return Ok(()) };
        let written = self.write_command(at, transaction, args);
        self.kept(written)
    }

    fn progress(&mut self, _: u64, _: u64) {}

    fn notice(&mut self, line: LoadNotice) {
        use std::io::Write;
        let _ = writeln!(io::stderr(), "{}", line.text);
    }

    fn passed(&mut self, passed: Passed<'_>) -> Result<(), String> {
        let written = self.write_passed(passed);
        self.kept(written)
    }
}
