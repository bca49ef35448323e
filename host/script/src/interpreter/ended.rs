//! What comes of a run: what was returned, an error, or the place where it was stopped.

use mlua::{Table, Value};
use tenon_resp::{Proto, Reply};

use crate::convert::{write_array, write_line, write_value};

/// How a run ended.
pub enum Ended {
    /// By itself.
    Returned(Returned),
    /// By an error that nobody caught.
    Failed(Failure),
    /// Its host ended it.
    Stopped(Option<Place>),
}

/// A line of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// `@user_script` or `@user_function`.
    pub source: String,
    /// From 1.
    pub line: usize,
}

/// What a script returned.
pub struct Returned {
    pub(super) value: Kind,
    pub(super) speaks: Proto,
}

/// What is returned most, and everything else.
pub(super) enum Kind {
    Text(Vec<u8>),
    Status(Vec<u8>),
    /// The status `OK`.
    Okay,
    /// A table that is nothing but an array.
    Array(Table),
    Value(Value),
}

/// An error that ended a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What it says, code first.
    pub text: Vec<u8>,
    /// Where it was raised.
    pub place: Option<Place>,
    /// Whether it is a command's, which was counted when that command ran.
    pub is_counted: bool,
}

/// An error among what a script returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenError {
    /// What it says, code first.
    pub text: Vec<u8>,
    /// As in [`Failure`].
    pub is_counted: bool,
}

impl Returned {
    /// Writes it as a reply; tells of the first error in it.
    pub fn write(&self, reply: &mut Reply<'_>) -> Option<WrittenError> {
        let mut error = None;
        match &self.value {
            Kind::Text(text) => reply.bulk(text),
            Kind::Status(text) => write_line(reply, b'+', text),
            Kind::Okay => reply.ok(),
            Kind::Array(table) => write_array(table, self.speaks, reply, &mut error),
            Kind::Value(value) => write_value(value, self.speaks, reply, &mut error),
        }
        error
    }
}
