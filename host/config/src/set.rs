//! CONFIG SET: several directives at once, all or nothing.
//! Carries out nothing: the caller acts on a prepared change (listens on the new port, compiles the new policy), then
//! commits it, or commits the undo if acting failed.
//! Always: a prepared change has been parsed completely; committing cannot fail.

use std::fmt;

use tenon_base::split_words;

use crate::config::Config;
use crate::directive::{Directive, Flags};
use crate::parse::parse;
use crate::value::Value;

/// What CONFIG SET needs to know of the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    /// A data set is being loaded.
    pub is_loading: bool,
    /// The client is connected from this machine.
    pub client_is_local: bool,
}

/// New values, not in force yet; or, from `commit`, the old ones.
#[derive(Clone, PartialEq)]
pub struct Change {
    values: Vec<(Directive, Value)>,
}

/// Why nothing was set. `Display` is the error reply without its first word: that is `code`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetError {
    /// A name without a value.
    Syntax,
    /// No such directive; as the client wrote it.
    Unknown(Vec<u8>),
    /// A directive that does not take the value, or not now.
    Refused {
        /// As the client wrote it, or its name if the value is at fault.
        name: Vec<u8>,
        /// Why.
        reason: String,
    },
    /// Not while a data set is being loaded.
    Loading,
}

const IMMUTABLE: &str = "can't set immutable config";

impl Config {
    /// Parses the pairs (name, value) without changing anything.
    ///
    /// # Errors
    /// The first pair that Redis would refuse, in its words.
    pub fn prepare<W: AsRef<[u8]>>(
        &self,
        pairs: &[(W, W)],
        situation: Situation,
    ) -> Result<Change, SetError> {
        let mut directives: Vec<Directive> = Vec::with_capacity(pairs.len().min(Directive::ALL.len()));
        for (name, _) in pairs {
            let directive = self.settable(name.as_ref(), &directives, situation)?;
            directives.push(directive);
        }
        let parsed = directives.into_iter().zip(pairs).map(|(directive, (name, value))| {
            self.parse_set(directive, value.as_ref())
                .and_then(|value| {
                    let is_allowed = directive.row().mutable || value == *self.value(directive);
                    if is_allowed { Ok((directive, value)) } else { Err(IMMUTABLE.to_owned()) }
                })
                .map_err(|reason| SetError::Refused { name: name.as_ref().to_ascii_lowercase(), reason })
        });
        Ok(Change { values: parsed.collect::<Result<_, _>>()? })
    }

    /// Puts a change in force and returns its undo.
    pub fn commit(&mut self, change: Change) -> Change {
        let values =
            change.values.into_iter().map(|(directive, value)| (directive, self.swap(directive, value)));
        Change { values: values.collect() }
    }

    /// How the configuration would be after the change.
    pub fn preview(&self, change: &Change) -> Config {
        let mut preview = self.clone();
        preview.commit(change.clone());
        preview
    }

    fn settable(
        &self,
        name: &[u8],
        before: &[Directive],
        situation: Situation,
    ) -> Result<Directive, SetError> {
        let Some(directive) = Directive::find(name) else { return Err(SetError::Unknown(name.to_vec())) };
        let refuse = |reason: &str| Err(SetError::Refused { name: name.to_vec(), reason: reason.to_owned() });
        let row = directive.row();
        let guard = self.guarded(Directive::EnableProtectedConfigs);
        if !row.mutable && !row.flags.has(Flags::OWN) {
            return refuse(IMMUTABLE);
        }
        if row.flags.has(Flags::PROTECTED) && !guard.allows(situation.client_is_local) {
            return refuse("can't set protected config");
        }
        if row.flags.has(Flags::DENY_LOADING) && situation.is_loading {
            return Err(SetError::Loading);
        }
        if before.contains(&directive) {
            return refuse("duplicate parameter");
        }
        Ok(directive)
    }

    /// The value of one argument. Several words are split at single blanks, as Redis does here; those of a policy by
    /// the rules of a configuration file, because its settings may contain blanks.
    fn parse_set(&self, directive: Directive, value: &[u8]) -> Result<Value, String> {
        let row = directive.row();
        let current = Some(self.value(directive));
        if directive == Directive::PolicyFsync || directive == Directive::PolicySnapshot {
            let words = split_words(value).ok_or("Unbalanced quotes")?;
            return parse(row, &words.iter().map(Vec::as_slice).collect::<Vec<_>>(), current);
        }
        let words: Vec<&[u8]> = match row.kind.takes_many() {
            true if value.is_empty() => Vec::new(),
            true => value.split(|byte| *byte == b' ').collect(),
            false => vec![value],
        };
        parse(row, &words, current)
    }
}

impl Change {
    /// The directives named, in the order the client gave them.
    pub fn directives(&self) -> impl Iterator<Item = Directive> {
        self.values.iter().map(|(directive, _)| *directive)
    }

    /// Those whose value differs from the one in force, or that name a file whose content may have changed.
    pub fn changed<'a>(&'a self, config: &'a Config) -> impl Iterator<Item = Directive> + 'a {
        let is_changed = |(directive, value): &&(Directive, Value)| {
            directive.row().flags.has(Flags::VOLATILE) || config.value(*directive) != value
        };
        self.values.iter().filter(is_changed).map(|(directive, _)| *directive)
    }
}

/// Names only: values may be secrets.
impl fmt::Debug for Change {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.directives()).finish()
    }
}

impl SetError {
    /// The refusal of a change that could not be carried out: the reply Redis gives when applying fails.
    pub fn refused(directive: Directive, reason: impl Into<String>) -> SetError {
        SetError::Refused { name: directive.name().into(), reason: reason.into() }
    }

    /// The first word of the error reply.
    pub fn code(&self) -> &'static str {
        match self {
            SetError::Loading => "LOADING",
            _ => "ERR",
        }
    }
}

impl fmt::Display for SetError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetError::Syntax => write!(out, "syntax error"),
            SetError::Unknown(name) => {
                let name = String::from_utf8_lossy(name);
                write!(out, "Unknown option or number of arguments for CONFIG SET - '{name}'")
            }
            SetError::Refused { name, reason } => {
                let name = String::from_utf8_lossy(name);
                write!(out, "CONFIG SET failed (possibly related to argument '{name}') - {reason}")
            }
            SetError::Loading => write!(out, "Redis is loading the dataset in memory"),
        }
    }
}

impl std::error::Error for SetError {}
