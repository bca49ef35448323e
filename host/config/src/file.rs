//! Configuration files of Redis's format: lines of words, with `include`.
//! Opens no file: the caller hands in the text, and a closure that finds what an `include` names.
//! Always: lines take effect in the order read, an included file at the place of its `include`; nesting and number of
//! included files are bounded, so that files which include each other end in an error.

use tenon_base::split_words;

use crate::config::Config;
use crate::error::{ConfigError, Place, Source, shown};

const INCLUDE_DEPTH_MAX: usize = 16;
const INCLUDED_FILES_MAX: usize = 1024;

/// One line that says something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Counted from 1.
    pub number: usize,
    /// As written, without blanks around it.
    pub text: Vec<u8>,
    /// At least one: the directive's name and its arguments.
    pub words: Vec<Vec<u8>>,
}

/// A file that an `include` named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Included {
    /// For error messages.
    pub name: String,
    /// Its text.
    pub text: Vec<u8>,
}

/// Finds the files of one `include` argument, which may be a pattern; an unreadable file is a sentence for the operator.
pub type Include<'a> = dyn FnMut(&[u8]) -> Result<Vec<Included>, String> + 'a;

/// The lines of a file, without comments and empty ones.
///
/// # Errors
/// The first line whose quotes do not match or that contains a NUL byte.
pub fn parse_lines(file: &str, text: &[u8]) -> Result<Vec<Line>, ConfigError> {
    lines_of(text, &mut |number, found| place(file, number, found))
}

/// Reads a file into the configuration.
///
/// # Errors
/// The first line that is wrong. What stood before it has taken effect.
pub fn load_conf(
    config: &mut Config,
    file: &str,
    text: &[u8],
    include: &mut Include<'_>,
) -> Result<(), ConfigError> {
    let mut loader = Loader { config, include, files: 0 };
    loader.load(file, text, 0)
}

/// The lines, each error placed by the caller.
pub(crate) fn lines_of(
    text: &[u8],
    place: &mut dyn FnMut(usize, &[u8]) -> Place,
) -> Result<Vec<Line>, ConfigError> {
    let mut lines = Vec::new();
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let number = index + 1;
        let line = trim(line);
        if line.is_empty() || line[0] == b'#' {
            continue;
        }
        if line.contains(&0) {
            return Err(ConfigError::new(Some(&place(number, line)), "The line contains a NUL byte", None));
        }
        let words = split_words(line).ok_or_else(|| {
            ConfigError::new(Some(&place(number, line)), "Unbalanced quotes in configuration line", None)
        })?;
        if !words.is_empty() {
            lines.push(Line { number, text: line.to_vec(), words });
        }
    }
    Ok(lines)
}

/// Without the blanks that Redis cuts off both ends of a line.
pub(crate) fn trim(line: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| !b" \t\r\n".contains(byte);
    match (line.iter().position(is_text), line.iter().rposition(is_text)) {
        (Some(first), Some(last)) => &line[first..=last],
        _ => &[],
    }
}

struct Loader<'a, 'b> {
    config: &'a mut Config,
    include: &'a mut Include<'b>,
    files: usize,
}

impl Loader<'_, '_> {
    fn load(&mut self, file: &str, text: &[u8], depth: usize) -> Result<(), ConfigError> {
        for line in parse_lines(file, text)? {
            let place = place(file, line.number, &line.text);
            match line.words.as_slice() {
                [name, pattern] if name.eq_ignore_ascii_case(b"include") => {
                    self.include(pattern, &place, depth + 1)?
                }
                [name, arguments @ ..] => self.config.apply(name, arguments, &place)?,
                [] => {}
            }
        }
        Ok(())
    }

    fn include(&mut self, pattern: &[u8], place: &Place, depth: usize) -> Result<(), ConfigError> {
        let fail = |reason: String| ConfigError::new(Some(place), reason, None);
        if depth > INCLUDE_DEPTH_MAX {
            return Err(fail(format!("files include each other more than {INCLUDE_DEPTH_MAX} deep")));
        }
        for included in (self.include)(pattern).map_err(fail)? {
            self.files += 1;
            if self.files > INCLUDED_FILES_MAX {
                return Err(fail(format!("more than {INCLUDED_FILES_MAX} files are included")));
            }
            self.load(&included.name, &included.text, depth)?;
        }
        Ok(())
    }
}

fn place(file: &str, line: usize, found: &[u8]) -> Place {
    Place { source: Source::File { name: file.to_owned(), line, column: None }, found: shown(found) }
}
