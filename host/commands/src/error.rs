//! What a command may answer instead of a result. `Display` is the text on the wire, code first.

use std::borrow::Cow;
use std::fmt;

/// A refused command. Nothing was changed when a handler returns one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// The key holds another type.
    WrongType,
    /// The arguments do not fit together.
    Syntax,
    /// Not a whole number of 64 bits.
    NotInteger,
    /// Not a number.
    NotFloat,
    /// No such key.
    NoSuchKey,
    /// A count or index beyond what is allowed.
    OutOfRange,
    /// Bytes that are to become a value are damaged; how, is for the log.
    BadPayload(Box<str>),
    /// Any other sentence, with its code ("ERR ..."); always a constant or built for this one reply.
    Text(Cow<'static, str>),
}

impl CommandError {
    /// A constant sentence, code included.
    pub const fn text(text: &'static str) -> CommandError {
        CommandError::Text(Cow::Borrowed(text))
    }

    /// "wrong number of arguments" of the command called `name` (lower case; `parent|sub` for subcommands).
    pub fn arity(name: &str) -> CommandError {
        CommandError::Text(format!("ERR wrong number of arguments for '{name}' command").into())
    }
}

/// A word of a request as an error quotes it: up to a zero byte, which ends texts in C, and as text.
pub fn quoted(word: &[u8]) -> String {
    let end = word.iter().position(|&byte| byte == 0).unwrap_or(word.len());
    String::from_utf8_lossy(&word[..end]).into_owned()
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CommandError::WrongType => "WRONGTYPE Operation against a key holding the wrong kind of value",
            CommandError::Syntax => "ERR syntax error",
            CommandError::NotInteger => "ERR value is not an integer or out of range",
            CommandError::NotFloat => "ERR value is not a valid float",
            CommandError::NoSuchKey => "ERR no such key",
            CommandError::OutOfRange => "ERR index out of range",
            CommandError::BadPayload(_) => "ERR Bad data format",
            CommandError::Text(text) => text,
        })
    }
}

/// How a handler ends: its reply is written, or an error is to be written in its place.
pub type Outcome = Result<(), CommandError>;
