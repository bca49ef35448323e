//! The data commands: one row and one handler each, one file per data type. Knows no socket, no log, no
//! replica: a handler reads its arguments, changes the selected database, says what changed, writes its reply.
//! Always: a handler that returns an error has changed nothing.

mod context;
mod db;
mod docs;
mod error;
mod event;
mod keys;
mod row; // read me first: what a command is
mod unit;
mod wait;

mod bitmap; // the families
mod databases;
mod generic;
mod geo;
mod hash;
mod hyperloglog;
mod list;
mod payload;
mod set;
mod sort;
mod stream;
mod string;
mod zset;

mod amount; // what several families share
mod element;
mod page;
mod partial_sort;
mod room;
mod scan;
mod store;

#[cfg(test)]
mod testing;

pub use context::{Context, Garbage, Limits, Words};
pub use db::{Db, LookupCounts, Origin};
pub use docs::{Docs, docs};
pub use error::{CommandError, Outcome, quoted};
pub use event::{Event, EventClass};
pub use keys::{KeyRange, key_positions};
pub use row::{Argument, ArgumentKind, Begin, Categories, Find, Flags, Group, KeyFlags, KeySpec, Row};
pub use unit::{Concerns, Touched, Unit};
pub(crate) use wait::timeout_in_seconds;
pub use wait::{Empty, Wait, timeout_in_milliseconds};

/// What runs a data command.
pub type Handler = for<'a, 'b, 'c> fn(&'a mut Context<'b>, tenon_resp::Args<'c>) -> Outcome;

/// The table of data commands, family by family.
pub static TABLES: &[&[Row<Handler>]] = &[
    databases::COMMANDS,
    generic::COMMANDS,
    string::COMMANDS,
    hash::COMMANDS,
    list::COMMANDS,
    set::members::COMMANDS,
    set::chance::COMMANDS,
    set::algebra::COMMANDS,
    zset::add::COMMANDS,
    zset::look::COMMANDS,
    zset::range::COMMANDS,
    zset::remove::COMMANDS,
    zset::algebra::COMMANDS,
    zset::blocking::COMMANDS,
    stream::COMMANDS,
    bitmap::COMMANDS,
    hyperloglog::COMMANDS,
    geo::table::COMMANDS,
    sort::table::COMMANDS,
    payload::COMMANDS,
];
