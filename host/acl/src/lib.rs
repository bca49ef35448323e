//! Users and what they may do: rules as ACL SETUSER and ACL files have them, compiled into sets that answer quickly.
//! Knows no session, no handler and no file: commands are numbers in a [`Catalogue`] that the caller fills.
//! Always: a password is kept as its SHA-256 alone and compared in constant time; a change of a user is made as a whole
//! or not at all; what a user is described as makes the same user again.

mod catalogue; // read me first
mod user;

mod selector;

mod file;
mod users;

mod error;
mod password;
#[cfg(test)]
mod tests;
mod words;

pub use catalogue::Catalogue;
pub use error::{RuleError, SetUserError};
pub use password::PasswordMaker;
pub use selector::{Access, Channels, Denied, Request, Selector};
pub use user::User;
pub use users::{Change, UserId, Users};
