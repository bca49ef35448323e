//! Why rules are refused. `Display` is the text that Redis answers.

use std::fmt;

/// What is wrong with one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleError {
    /// No command or category of that name.
    Unknown,
    /// Not understood.
    Syntax,
    /// A pattern of keys, though all keys are allowed.
    KeysAfterAll,
    /// A pattern of channels, though all channels are allowed.
    ChannelsAfterAll,
    /// The password to be removed is not there.
    NoSuchPassword,
    /// Not the hexadecimal form of a SHA-256.
    BadHash,
    /// `+parent|subcommand|word`.
    WordOfSubcommand,
}

impl fmt::Display for RuleError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            RuleError::Unknown => "Unknown command or category name in ACL",
            RuleError::Syntax => "Syntax error",
            RuleError::KeysAfterAll => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any \
                 effect. Try 'resetkeys' to start with an empty list of patterns"
            }
            RuleError::ChannelsAfterAll => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any \
                 effect. Try 'resetchannels' to start with an empty list of channels"
            }
            RuleError::NoSuchPassword => {
                "The password you are trying to remove from the user does not exist"
            }
            RuleError::BadHash => {
                "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
            }
            RuleError::WordOfSubcommand => "Allowing first-arg of a subcommand is not supported",
        })
    }
}

/// Why a user was not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetUserError {
    /// The name has blanks or zero bytes.
    Name,
    /// A parenthesis is opened by this word and never closed.
    Unmatched(Vec<u8>),
    /// A rule, and what is wrong with it.
    Rule(Vec<u8>, RuleError),
}

impl fmt::Display for SetUserError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetUserError::Name => out.write_str("Usernames can't contain spaces or null characters"),
            SetUserError::Unmatched(word) => write!(
                out,
                "Unmatched parenthesis in acl selector starting at '{}'.",
                String::from_utf8_lossy(word)
            ),
            SetUserError::Rule(rule, error) => {
                write!(out, "Error in ACL SETUSER modifier '{}': {error}", String::from_utf8_lossy(rule))
            }
        }
    }
}

impl std::error::Error for RuleError {}
impl std::error::Error for SetUserError {}
