//! The manifest: which files make up the log, in which order. Redis 7's format and names.
//!
//! Touches no file: see `directory`. Always: at most one base, and increments by rising sequence number.

use std::fmt;

use tenon_base::{quoted_if_needed, split_words};

/// Redis reads a manifest by lines of at most so many bytes, line end included.
const LINE_BYTES_MAX: usize = 1024;
const TOO_LONG: &str = "The AOF manifest file contains too long line";
/// A manifest of more lines than any server could have written is refused (a rewrite leaves few files).
const FILES_MAX: usize = 100_000;
/// Above it no sequence number is accepted, so that counting on never overflows.
const SEQUENCE_MAX: i64 = 1 << 62;

/// One file of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestFile {
    /// Its name, without a directory.
    pub name: String,
    /// Its number among those of its kind.
    pub sequence: i64,
}

/// All files of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The state that the increments start from.
    pub base: Option<ManifestFile>,
    /// Files of earlier times, to be removed.
    pub history: Vec<ManifestFile>,
    /// What happened since the base, in order.
    pub increments: Vec<ManifestFile>,
    /// The highest numbers used so far.
    pub(crate) base_sequence: i64,
    pub(crate) increment_sequence: i64,
}

/// What is wrong with a manifest, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestError {
    /// The manifest's name.
    pub file: String,
    /// The line, from 1; 0 for an empty manifest.
    pub line_number: usize,
    /// What the line says.
    pub line: String,
    /// Redis's sentence for it.
    pub reason: &'static str,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ManifestError { file, line_number, line, reason } = self;
        write!(f, "{reason}: AOF manifest {file}")?;
        if *line_number > 0 {
            write!(f, ", line {line_number}: '{line}'")?;
        }
        write!(f, " (expected: file NAME seq NUMBER type b|h|i)")
    }
}

impl std::error::Error for ManifestError {}

impl Manifest {
    /// Reads a manifest; `file` is its name, for errors.
    pub fn parse(text: &[u8], file: &str) -> Result<Manifest, ManifestError> {
        let mut manifest = Manifest::default();
        let error = |line_number: usize, line: &[u8], reason| ManifestError {
            file: file.to_owned(),
            line_number,
            line: line
                .trim_ascii()
                .iter()
                .take(LINE_BYTES_MAX)
                .copied()
                .collect::<Vec<_>>()
                .escape_ascii()
                .to_string(),
            reason,
        };
        if text.is_empty() {
            return Err(error(0, b"", "Found an empty AOF manifest"));
        }
        for (index, line) in text.split_inclusive(|&byte| byte == b'\n').enumerate() {
            if line.starts_with(b"#") && line.len() <= LINE_BYTES_MAX {
                continue;
            }
            if line.len() > LINE_BYTES_MAX || !line.ends_with(b"\n") {
                return Err(error(index + 1, line, TOO_LONG));
            }
            manifest.add_line(line).map_err(|reason| error(index + 1, line, reason))?;
        }
        Ok(manifest)
    }

    /// The text of the manifest: base, history, increments.
    pub fn print(&self) -> String {
        let mut text = String::new();
        let files = (self.base.iter().map(|file| ('b', file)))
            .chain(self.history.iter().map(|file| ('h', file)))
            .chain(self.increments.iter().map(|file| ('i', file)));
        files.for_each(|(kind, file)| text.push_str(&print_line(kind, file)));
        text
    }

    /// Whether there is nothing to load.
    pub fn is_empty(&self) -> bool {
        self.base.is_none() && self.increments.is_empty()
    }

    /// Whether there is nothing to load, but files that some manifest has named.
    pub(crate) fn is_lost(&self) -> bool {
        self.is_empty() && self.history.is_empty() && (self.base_sequence, self.increment_sequence) != (0, 0)
    }

    /// The files to load, in order.
    pub fn live(&self) -> impl Iterator<Item = &ManifestFile> {
        self.base.iter().chain(&self.increments)
    }

    /// Adds the next increment of the log `file_name`, and returns its name.
    pub(crate) fn add_increment(&mut self, file_name: &str) -> String {
        let name = loop {
            self.increment_sequence += 1;
            let name = format!("{file_name}.{}.incr.aof", self.increment_sequence);
            // A base or history of that name, in a manifest that somebody wrote, is not to be emptied.
            if !self.base.iter().chain(&self.history).any(|file| file.name == name) {
                break name;
            }
        };
        self.increments.push(ManifestFile { name: name.clone(), sequence: self.increment_sequence });
        name
    }

    /// Puts a new base in front; the old one becomes history. Returns the new one's name.
    pub(crate) fn replace_base(&mut self, file_name: &str, is_rdb: bool) -> String {
        if let Some(old) = self.base.take() {
            self.history.insert(0, old);
        }
        self.base_sequence += 1;
        let ending = if is_rdb { "rdb" } else { "aof" };
        let name = format!("{file_name}.{}.base.{ending}", self.base_sequence);
        self.base = Some(ManifestFile { name: name.clone(), sequence: self.base_sequence });
        name
    }

    /// Makes history of the increments numbered below `first_kept`.
    pub(crate) fn retire_increments(&mut self, first_kept: i64) {
        let (kept, old) =
            std::mem::take(&mut self.increments).into_iter().partition(|file| file.sequence >= first_kept);
        self.increments = kept;
        let old: Vec<ManifestFile> = old;
        self.history.splice(0..0, old.into_iter().rev());
    }

    /// Understands one line that ends in `\n` and is no comment.
    fn add_line(&mut self, line: &[u8]) -> Result<(), &'static str> {
        const INVALID: &str = "Invalid AOF manifest file format";
        let words = split_words(line.trim_ascii()).ok_or(INVALID)?;
        // More pairs than the three known ones are for later versions.
        if words.len() < 6 || words.len() % 2 != 0 {
            return Err(INVALID);
        }
        let (mut name, mut sequence, mut kind) = (None, 0, 0);
        for pair in words.chunks_exact(2) {
            match pair[0].to_ascii_lowercase().as_slice() {
                // Two lines that damage made one.
                b"file" if name.is_some() => return Err(INVALID),
                b"file" => name = Some(base_name(&pair[1])?),
                b"seq" if sequence != 0 => return Err(INVALID),
                b"seq" => sequence = leading_number(&pair[1]),
                b"type" if kind != 0 => return Err(INVALID),
                b"type" => kind = pair[1].first().copied().unwrap_or(0),
                _ => {}
            }
        }
        let name = name.ok_or(INVALID)?;
        if sequence == 0 || sequence.abs() > SEQUENCE_MAX || kind == 0 || self.len() >= FILES_MAX {
            return Err(INVALID);
        }
        let file = ManifestFile { name, sequence };
        // Quoting can make a name four times as long: what is taken in must be readable once it is written again.
        if print_line(char::from(kind), &file).len() > LINE_BYTES_MAX {
            return Err(TOO_LONG);
        }
        self.add(kind, file)
    }

    fn add(&mut self, kind: u8, file: ManifestFile) -> Result<(), &'static str> {
        match kind {
            b'b' if self.base.is_some() => return Err("Found duplicate base file information"),
            b'b' => {
                self.base_sequence = file.sequence;
                self.base = Some(file);
            }
            b'h' => self.history.push(file),
            b'i' if file.sequence <= self.increments.last().map_or(0, |last| last.sequence) => {
                return Err("Found a non-monotonic sequence number");
            }
            b'i' => {
                self.increment_sequence = file.sequence;
                self.increments.push(file);
            }
            _ => return Err("Unknown AOF file type"),
        }
        Ok(())
    }

    fn len(&self) -> usize {
        self.history.len() + self.increments.len()
    }
}

fn print_line(kind: char, file: &ManifestFile) -> String {
    format!("file {} seq {} type {kind}\n", quoted_if_needed(file.name.as_bytes()), file.sequence)
}

/// A name that stays within its directory. Unlike Redis, `.` and `..` are refused as well: they are no files.
fn base_name(word: &[u8]) -> Result<String, &'static str> {
    const PATH: &str = "File can't be a path, just a filename";
    let name = std::str::from_utf8(word).map_err(|_| "Invalid AOF manifest file format")?;
    if name.is_empty() {
        return Err("Invalid AOF manifest file format");
    }
    let path = name.contains(['/', '\\', '\0']) || name == "." || name == "..";
    if path { Err(PATH) } else { Ok(name.to_owned()) }
}

/// The number that `word` starts with, as C's `atoll` reads it.
fn leading_number(word: &[u8]) -> i64 {
    let (negative, digits) = match word {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let number = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0_i64, |number, &byte| number.saturating_mul(10).saturating_add(i64::from(byte - b'0')));
    if negative { -number } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "file appendonly.aof.2.base.rdb seq 2 type b\n\
                           file appendonly.aof.1.incr.aof seq 1 type h\n\
                           file appendonly.aof.4.incr.aof seq 4 type i\n\
                           file appendonly.aof.5.incr.aof seq 5 type i\n";

    #[test]
    fn a_manifest_comes_back_as_it_was() {
        let manifest = Manifest::parse(EXAMPLE.as_bytes(), "m").expect("a manifest");
        assert_eq!(manifest.print(), EXAMPLE);
        let commented = format!("# a comment\n{EXAMPLE}");
        assert_eq!(Manifest::parse(commented.as_bytes(), "m"), Ok(manifest));
        let quoted = b"file \"a b.1.incr.aof\" seq 1 type i later thing\n";
        let manifest = Manifest::parse(quoted, "m").expect("a manifest");
        assert_eq!(manifest.print(), "file \"a b.1.incr.aof\" seq 1 type i\n");
    }

    #[test]
    fn names_count_on() {
        let mut manifest = Manifest::parse(EXAMPLE.as_bytes(), "m").expect("a manifest");
        assert_eq!(manifest.add_increment("appendonly.aof"), "appendonly.aof.6.incr.aof");
        assert_eq!(manifest.replace_base("appendonly.aof", false), "appendonly.aof.3.base.aof");
        manifest.retire_increments(6);
        let history: Vec<_> = manifest.history.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(
            history,
            [
                "appendonly.aof.5.incr.aof",
                "appendonly.aof.4.incr.aof",
                "appendonly.aof.2.base.rdb",
                "appendonly.aof.1.incr.aof"
            ]
        );
        assert_eq!(manifest.live().count(), 2);
    }

    #[test]
    fn an_increment_takes_no_name_that_is_taken() {
        let text =
            "file a.aof.2.incr.aof seq 1 type b\nfile a.aof.3.incr.aof seq 9 type h\nfile x seq 1 type i\n";
        let mut manifest = Manifest::parse(text.as_bytes(), "m").expect("names are anybody's choice");
        assert_eq!(manifest.add_increment("a.aof"), "a.aof.4.incr.aof");
    }

    #[test]
    fn what_is_wrong_is_named_by_file_line_and_reason() {
        let long = format!("file {} seq 1 type i\n", "x".repeat(1024));
        let long_once_written = format!("file {} seq 1 type i\n", "\u{1}".repeat(256));
        let cases = [
            ("", 0, "Found an empty AOF manifest"),
            ("\n", 1, "Invalid AOF manifest file format"),
            ("file a seq 1 type i", 1, "The AOF manifest file contains too long line"),
            (&long, 1, "The AOF manifest file contains too long line"),
            (&long_once_written, 1, "The AOF manifest file contains too long line"),
            ("file a seq 1\n", 1, "Invalid AOF manifest file format"),
            ("file a seq 1 type i file b seq 2 type i\n", 1, "Invalid AOF manifest file format"),
            ("file a seq x type i\n", 1, "Invalid AOF manifest file format"),
            ("file a seq 9223372036854775807 type i\n", 1, "Invalid AOF manifest file format"),
            ("file a seq 1 type b\nfile b seq 2 type b\n", 2, "Found duplicate base file information"),
            ("file a seq 2 type i\nfile b seq 2 type i\n", 2, "Found a non-monotonic sequence number"),
            ("file a seq 1 type z\n", 1, "Unknown AOF file type"),
            ("file ../a seq 1 type i\n", 1, "File can't be a path, just a filename"),
        ];
        for (text, line_number, reason) in cases {
            let error = Manifest::parse(text.as_bytes(), "m").expect_err(text);
            assert_eq!((error.line_number, error.reason), (line_number, reason), "{text}");
            assert!(error.to_string().contains("AOF manifest m"));
        }
    }
}
