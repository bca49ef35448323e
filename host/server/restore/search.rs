//! Where to cut: the log is read as a start would read it, up to the first batch that is later than what was asked for.
//! Keeps no contents. Always: a place is named only after everything before it was found sound.

use std::ops::ControlFlow;
use std::sync::Arc;

use tenon_aof::{AofError, BaseLoaded, Directory, LoadNotice, LoadOptions, LoadSink, Manifest, Passed, load};
use tenon_base::DiskFile;
use tenon_journal::ReplicationId;
use tenon_rdb::{Aux, FileSource, Limits};
use tenon_resp::Args;

use super::target::Target;
use crate::check::{Tenths, moment};
use crate::read_only::ReadOnlyDisk;

/// When and where in the replication stream something was written, as far as the log says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark {
    pub(super) unix_ms: Option<i64>,
    pub(super) origin: Option<(u64, Option<ReplicationId>)>,
}

/// A place where the log could end.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) file: String,
    pub(super) end: u64,
    pub(super) mark: Mark,
    /// Commands after the base, up to here.
    pub(super) commands: u64,
}

/// Where the restored log ends, and what is to be said about it.
pub(super) struct Found {
    pub(super) place: Place,
    /// The files before the place's and itself, with the bytes of each that count.
    pub(super) files: Vec<(String, u64)>,
    pub(super) notes: Vec<String>,
}

/// Finds the place that `target` asks for.
pub(super) fn find(directory: &Directory, manifest: &Manifest, target: &Target) -> Result<Found, String> {
    if let Target::Place { file, .. } = target
        && !manifest.live().any(|named| named.name == *file)
    {
        let names: Vec<&str> = manifest.live().map(|named| named.name.as_str()).collect();
        return Err(format!("{file} is none of the log's files, which are {}", names.join(", ")));
    }
    let mut search = Search::new(manifest, target);
    let options = LoadOptions { cut_torn_end: false, damaged_tail_bytes_max: 0, checksum: true };
    let loaded = load(&ReadOnlyDisk, directory, None, options, &mut search);
    search.finish(loaded.map(drop), manifest, directory)
}

/// What the log says of when, or at which offset, the next commands ran.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    Nothing,
    /// From the header of their batch.
    Batch,
    /// From the last time line.
    Line,
}

struct Search<'a> {
    target: &'a Target,
    base: Option<&'a str>,
    files: Vec<(String, u64)>,
    mark: Mark,
    known: Known,
    commands: u64,
    best: Option<Place>,
    /// What came after `best` of which the log does not say when it ran: from, to.
    unplaced: Option<(Place, Place)>,
    was_ever_known: bool,
    /// What is later than what was asked for.
    later: Option<Place>,
    /// Why the whole log is later.
    too_late: Option<String>,
    tenths: Tenths,
}

impl<'a> Search<'a> {
    fn new(manifest: &'a Manifest, target: &'a Target) -> Search<'a> {
        Search {
            target,
            base: manifest.base.as_ref().map(|base| base.name.as_str()),
            files: Vec::new(),
            mark: Mark::default(),
            known: Known::Nothing,
            commands: 0,
            best: None,
            unplaced: None,
            was_ever_known: false,
            later: None,
            too_late: None,
            tenths: Tenths::new(),
        }
    }

    fn file(&self) -> &str {
        self.files.last().map_or("", |(name, _)| name)
    }

    fn is_in_base(&self) -> bool {
        self.base == Some(self.file())
    }

    fn place(&self, end: u64) -> Place {
        Place { file: self.file().to_owned(), end, mark: self.mark, commands: self.commands }
    }

    /// Whether a mark is later than what was asked for.
    fn is_later(&self, mark: Mark) -> bool {
        match self.target {
            Target::Time(asked) => mark.unix_ms.is_some_and(|at| at > *asked),
            Target::Offset(asked) => mark.origin.is_some_and(|(offset, _)| offset > *asked),
            Target::Place { .. } => false,
        }
    }

    /// What comes at `at` has this mark. An error ends the search.
    fn marked(&mut self, at: u64, mark: Mark, known: Known) -> Result<(), String> {
        if self.is_in_base() {
            // A base is one state, whose parts were written one after the other: the first mark says when it was.
            if self.mark.unix_ms.is_none() && self.mark.origin.is_none() {
                self.base_marked(mark)?;
            }
            return Ok(());
        }
        if self.is_later(mark) {
            self.later = Some(Place { mark, ..self.place(at) });
            return Err("later than what was asked for".to_owned());
        }
        (self.mark, self.known, self.was_ever_known) = (mark, known, true);
        Ok(())
    }

    fn base_marked(&mut self, mark: Mark) -> Result<(), String> {
        self.mark = mark;
        if !self.is_later(mark) {
            return Ok(());
        }
        let is_of = match (self.target, mark) {
            (Target::Time(_), Mark { unix_ms: Some(at), .. }) => format!("is of {}", moment(at)),
            (_, Mark { origin: Some((offset, _)), .. }) => format!("is of offset {offset}"),
            _ => "is later".to_owned(),
        };
        let sentence = format!(
            "The log does not reach back to {}: its base {} {is_of}. Earlier states are in older copies of the log",
            self.target,
            self.file()
        );
        self.too_late = Some(sentence);
        Err("the base is later than what was asked for".to_owned())
    }

    fn begins(&mut self, name: &str, bytes: u64) -> Result<(), String> {
        if let Target::Place { file, bytes: asked } = self.target {
            if self.file() == file {
                self.later = Some(Place { file: name.to_owned(), ..self.place(0) });
                return Err("behind the file that was asked for".to_owned());
            }
            if name == file && *asked == 0 && self.best.is_some() {
                return self.reached();
            }
            if name == file && self.base == Some(name) && *asked < bytes {
                self.too_late = Some(format!(
                    "{name} is the base, one state of {bytes} bytes: it cannot be cut at byte {asked}"
                ));
                return Err("a place in the base".to_owned());
            }
        }
        self.files.push((name.to_owned(), bytes));
        Ok(())
    }

    /// The log could end at `end`.
    fn whole(&mut self, end: u64) -> Result<(), String> {
        let place = self.place(end);
        if let Target::Place { file, bytes } = self.target {
            if self.file() == file && end > *bytes {
                self.later = Some(place);
                return Err("behind the place that was asked for".to_owned());
            }
        } else if !self.is_in_base() && self.known == Known::Nothing {
            let from = self
                .unplaced
                .take()
                .map_or_else(|| self.best.clone().unwrap_or(place.clone()), |(from, _)| from);
            self.unplaced = Some((from, place));
            return Ok(());
        }
        (self.best, self.unplaced) = (Some(place), None);
        if self.known == Known::Batch {
            self.known = Known::Nothing;
        }
        match self.target {
            Target::Place { file, bytes } if self.file() == file && end == *bytes => self.reached(),
            _ => Ok(()),
        }
    }

    /// What follows is not read, sound or not.
    fn reached(&mut self) -> Result<(), String> {
        self.later = self.best.clone().map(|best| Place { mark: Mark::default(), ..best });
        Err("the place that was asked for".to_owned())
    }

    fn finish(
        mut self,
        loaded: Result<(), AofError>,
        manifest: &Manifest,
        directory: &Directory,
    ) -> Result<Found, String> {
        if let Some(sentence) = self.too_late {
            return Err(sentence);
        }
        let mut notes = Vec::new();
        match (&self.later, loaded) {
            (Some(later), _) => notes.push(left_out(later)),
            (None, Ok(())) => notes.push(self.nothing_left_out()),
            (None, Err(error)) => notes.push(self.torn(error, manifest, directory)?),
        }
        if let Some((from, to)) = &self.unplaced {
            if !self.was_ever_known {
                return Err(self.nothing_known());
            }
            notes.push(format!(
                "left out as well: {} commands before byte {} of {}, of which the log does not say when they ran; with \
                 them it would be --to {}:{}",
                to.commands - from.commands,
                to.end,
                to.file,
                to.file,
                to.end
            ));
        }
        let Some(place) = self.best else {
            let begins = self
                .later
                .map_or_else(String::new, |later| format!(": it begins with what was {}", known(&later)));
            return Err(format!("The log does not reach back to {}{begins}", self.target));
        };
        let last = self.files.iter().position(|(name, _)| *name == place.file);
        self.files.truncate(last.map_or(0, |last| last + 1));
        if let Some((_, bytes)) = self.files.last_mut() {
            *bytes = place.end;
        }
        Ok(Found { place, files: self.files, notes })
    }

    /// The whole log is restored: what was asked for is its end, or what it has not come to.
    fn nothing_left_out(&self) -> String {
        let whole = "left out: nothing, the log ends there";
        let end = self.best.as_ref().and_then(|place| place.mark.origin).map(|(offset, _)| offset);
        match (self.target, end) {
            (Target::Offset(asked), Some(end)) if end < *asked => {
                format!("{whole}, before offset {asked} (seconds since 1970 would be --to @{asked})")
            }
            _ => whole.to_owned(),
        }
    }

    /// The log is not sound. Its torn end does not matter: what was being written there was never whole.
    fn torn(&self, error: AofError, manifest: &Manifest, directory: &Directory) -> Result<String, String> {
        let AofError::Format { what, path, offset, finding, .. } = error else {
            return Err(error.to_string());
        };
        let last = manifest.live().last().map(|named| directory.file(&named.name));
        if what == "Unexpected end of file" && last.as_ref() == Some(&path) {
            return Ok(format!("left out: the torn end of {}, from byte {offset} on", path.display()));
        }
        Err(format!(
            "The log is not sound at byte {offset} of {}: {finding}. What was asked for, {}, lies behind that. \
             Everything before it is restored with --to {}:{offset}",
            path.display(),
            self.target,
            path.file_name().unwrap_or_default().to_string_lossy()
        ))
    }

    fn nothing_known(&self) -> String {
        let (what, how) = match self.target {
            Target::Time(_) => ("when", "'aof-checksum yes' or 'aof-timestamp-enabled yes'"),
            _ => ("at which offset", "'aof-checksum yes'"),
        };
        format!(
            "The log does not say {what} its commands ran; that takes {how} while it is written. `tenon dump` shows what \
             is in it, and --to FILE:BYTES names a place"
        )
    }
}

/// What a place says of itself.
fn known(place: &Place) -> String {
    let time = place.mark.unix_ms.map(|at| format!("written on {}", moment(at)));
    let offset = place.mark.origin.map(|(offset, _)| format!("up to offset {offset}"));
    let said: Vec<String> = time.into_iter().chain(offset).collect();
    said.join(", ")
}

fn left_out(later: &Place) -> String {
    match later.mark {
        Mark { unix_ms: None, origin: None } => "left out: whatever follows".to_owned(),
        _ => format!(
            "left out: {} from byte {} on, where comes what was {}",
            later.file,
            later.end,
            known(later)
        ),
    }
}

impl LoadSink for Search<'_> {
    fn rdb(&mut self, file: &Arc<dyn DiskFile>) -> Result<BaseLoaded, String> {
        let (bytes, aux) = read_rdb(file, &mut self.tenths)?;
        if self.is_in_base() {
            // The file names a second; the state is of some moment within it.
            let unix_ms = aux.created_seconds.map(|at| at.saturating_mul(1_000).saturating_add(999));
            let offset = aux.replication_offset.and_then(|offset| u64::try_from(offset).ok());
            let id = aux.replication_id.as_ref().and_then(|id| ReplicationId::parse(id.as_bytes()));
            self.base_marked(Mark { unix_ms, origin: offset.map(|offset| (offset, id)) })?;
        }
        Ok(BaseLoaded { bytes, origin: None })
    }

    fn command(&mut self, _: Args<'_>) -> Result<(), String> {
        Ok(())
    }

    fn progress(&mut self, loaded_bytes: u64, total_bytes: u64) {
        self.tenths.tell(loaded_bytes, total_bytes);
    }

    fn notice(&mut self, line: LoadNotice) {
        crate::check::say(&line.text);
    }

    fn passed(&mut self, passed: Passed<'_>) -> Result<(), String> {
        match passed {
            Passed::File { name, bytes } => self.begins(name, bytes),
            Passed::Batch { at, header } => {
                let origin = Some((header.offset.0, Some(header.replication_id)));
                self.marked(at, Mark { unix_ms: Some(header.unix.0), origin }, Known::Batch)
            }
            Passed::Timestamp { at, unix_seconds } => {
                let unix_ms = Some(unix_seconds.saturating_mul(1_000));
                let known = if matches!(self.target, Target::Time(_)) { Known::Line } else { Known::Nothing };
                self.marked(at, Mark { unix_ms, origin: None }, known)
            }
            Passed::Command { .. } => {
                self.commands += u64::from(!self.is_in_base());
                Ok(())
            }
            Passed::Whole { end } => self.whole(end),
        }
    }
}

/// Reads the dump at the start of a file to its checksum; returns its length and what it says of itself.
pub(super) fn read_rdb(file: &Arc<dyn DiskFile>, tenths: &mut Tenths) -> Result<(u64, Aux), String> {
    let options = tenon_rdb::LoadOptions {
        limits: Limits::standard(0),
        databases: usize::MAX,
        checksum: true,
        passes_over_expired_before: None,
    };
    let total_bytes = file.length().map_err(|error| tenon_base::describe(&error))?;
    let mut source = FileSource::new(Arc::clone(file), 0);
    let report = tenon_rdb::load(&mut source, &options, &mut |_| true, &mut |bytes| {
        tenths.tell(bytes, total_bytes);
        ControlFlow::Continue(())
    });
    report.map(|report| (report.bytes, report.aux)).map_err(|error| error.to_string())
}
