//! The command line: `tenon [FILE] [-] [--directive value ...]`, by Redis's rules.
//! Touches no process: the caller hands in the arguments without the program's name.
//! Always: what the options say is read after file and standard input, so that it wins.

use crate::config::Config;
use crate::error::{ConfigError, Place, Source, shown};
use crate::file::{Line, lines_of};
use tenon_base::{quoted, split_words};

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// `--help` or `-h`, as the only argument that counts.
    Help,
    /// `--version` or `-v`.
    Version,
    /// Serve, configured by these.
    Serve(Arguments),
}

/// Where the configuration comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// The configuration file: the first argument, if it does not begin with a dash.
    pub file: Option<Vec<u8>>,
    /// Whether a lone dash, first or last, asks for more from standard input (Redis's format).
    pub reads_stdin: bool,
    /// Whether `--sentinel` is among them.
    pub is_sentinel: bool,
    /// The options, one line each, as they would stand in a file.
    pub options: Vec<Line>,
}

impl Invocation {
    /// Understands the arguments. Values are not looked at yet: see [`Arguments::apply_options`].
    ///
    /// # Errors
    /// An option whose quotes do not match.
    pub fn parse<A: AsRef<[u8]>>(arguments: &[A]) -> Result<Invocation, ConfigError> {
        let arguments: Vec<&[u8]> = arguments.iter().map(AsRef::as_ref).collect();
        match arguments.first() {
            Some(&(b"--help" | b"-h")) => return Ok(Invocation::Help),
            Some(&(b"--version" | b"-v")) => return Ok(Invocation::Version),
            _ => {}
        }
        let file = arguments.first().filter(|first| !first.starts_with(b"-")).map(|first| first.to_vec());
        let text = OptionText::write(&arguments, usize::from(file.is_some()));
        Ok(Invocation::Serve(Arguments {
            file,
            reads_stdin: text.reads_stdin,
            is_sentinel: arguments.contains(&&b"--sentinel"[..]),
            options: lines_of(&text.options, &mut |_, found| place(found))?,
        }))
    }
}

impl Arguments {
    /// Reads the options into the configuration, after file and standard input.
    ///
    /// # Errors
    /// The first option that is wrong.
    pub fn apply_options(&self, config: &mut Config) -> Result<(), ConfigError> {
        for line in &self.options {
            if let [name, arguments @ ..] = line.words.as_slice() {
                config.apply(name, arguments, &place(&line.text))?;
            }
        }
        Ok(())
    }
}

fn place(found: &[u8]) -> Place {
    Place { source: Source::Arguments, found: shown(found) }
}

/// The options as the text of a configuration file. An argument with two dashes begins a line only if the option before
/// it has a value, so that values may begin with dashes too.
struct OptionText {
    options: Vec<u8>,
    reads_stdin: bool,
    /// Whether the last option has a value.
    is_complete: bool,
}

impl OptionText {
    fn write(arguments: &[&[u8]], first: usize) -> OptionText {
        let mut text = OptionText { options: Vec::new(), reads_stdin: false, is_complete: true };
        for at in first..arguments.len() {
            let argument = arguments[at];
            let is_last = at + 1 == arguments.len();
            if argument == b"-" && (at == 0 || is_last) {
                text.reads_stdin = true;
            } else if let (true, Some(option)) = (text.is_complete, argument.strip_prefix(b"--")) {
                text.begin(option, arguments.get(at + 1).copied());
            } else {
                text.options.extend_from_slice(quoted(argument).as_bytes());
                text.options.push(b' ');
                text.is_complete = true;
            }
        }
        text
    }

    fn begin(&mut self, option: &[u8], next: Option<&[u8]>) {
        if !self.options.is_empty() {
            self.options.push(b'\n');
        }
        self.options.extend_from_slice(option);
        self.options.push(b' ');
        let has_value = split_words(&[b"--", option].concat()).is_none_or(|words| words.len() != 1);
        let next_is_option = next.is_some_and(|next| next.starts_with(b"--"));
        // Start scripts that build the command line from a list produce these two without a value.
        let may_be_empty = next.is_none() || next_is_option;
        if may_be_empty && option.eq_ignore_ascii_case(b"save") {
            self.options.extend_from_slice(b"\"\"");
        }
        self.is_complete = has_value
            || next_is_option
                && (option.eq_ignore_ascii_case(b"save") || option.eq_ignore_ascii_case(b"sentinel"));
    }
}
