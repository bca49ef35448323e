//! What is wrong with a configuration, and where: one block of lines for the operator.
//! Always: the value of a sensitive directive is not in it.

use std::fmt;

use crate::directive::Directive;

const SHOWN_BYTES_MAX: usize = 400;

/// Why a configuration cannot be used. `Display` names the place, what was found and what was expected:
///
/// ```text
/// Reading the configuration file redis.conf, at line 3
/// >>> 'port abc'
/// argument couldn't be parsed into an integer
/// port expects a whole number from 0 to 65535
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where it stood, if it stood anywhere.
    pub place: Option<Place>,
    /// What is wrong; Redis's own text where Redis has one.
    pub reason: String,
    /// What would be right, if that can be said.
    pub expected: Option<String>,
}

/// Where a directive stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The source.
    pub source: Source,
    /// The text found there, without secrets.
    pub found: String,
}

/// What a configuration was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File {
        /// Its name, as the operator gave it.
        name: String,
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in characters; only TOML knows it.
        column: Option<usize>,
    },
    /// The command line.
    Arguments,
}

impl ConfigError {
    pub(crate) fn new(place: Option<&Place>, reason: impl Into<String>, expected: Option<String>) -> Self {
        Self { place: place.cloned(), reason: reason.into(), expected }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Place { source, found }) = &self.place {
            match source {
                Source::File { name, line, column: None } => {
                    writeln!(out, "Reading the configuration file {name}, at line {line}")?;
                }
                Source::File { name, line, column: Some(column) } => {
                    writeln!(out, "Reading the configuration file {name}, at line {line}, column {column}")?;
                }
                Source::Arguments => writeln!(out, "Reading the command line")?,
            }
            writeln!(out, ">>> '{found}'")?;
        }
        write!(out, "{}", self.reason)?;
        match &self.expected {
            Some(expected) => write!(out, "\n{expected}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}

/// The line as an error may show it: one line, bounded, and without what follows the name of a secret.
pub(crate) fn shown(line: &[u8]) -> String {
    let bare: Vec<u8> =
        line.iter().copied().skip_while(|byte| byte.is_ascii_whitespace() || b"\"'".contains(byte)).collect();
    let end = bare
        .iter()
        .position(|byte| byte.is_ascii_whitespace() || b"\"'=".contains(byte))
        .unwrap_or(bare.len());
    if is_secret(&bare[..end]) && end < bare.len() {
        return format!("{} (value not shown)", String::from_utf8_lossy(&bare[..end]));
    }
    let text = String::from_utf8_lossy(&line[..line.len().min(SHOWN_BYTES_MAX)]);
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// Whether what follows the name may be a password. `user` lines hold them too.
fn is_secret(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"user") || Directive::find(name).is_some_and(Directive::is_sensitive)
}
