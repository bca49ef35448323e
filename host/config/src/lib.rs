//! The table of directives: names, types, defaults, parsers, printers.
//!
//! What a configuration may say, in redis.conf's format, on the command line and in TOML; what holds; and what CONFIG
//! GET, SET and REWRITE make of it. Opens no file and acts on no value: `server` reads the files, whoever is concerned
//! asks a [`Config`].
//!
//! Always: a directive exists once, as a row in `table.rs`; everything else here is derived from the rows.

mod directive;
mod table; // read me first

mod choices;
mod policy;
mod special;
mod value;

mod config;
mod error;
mod parse;

mod arguments;
mod file;
mod toml_file;

mod get;
mod rewrite;
mod rewrite_toml;
mod set;

mod glob; // helpers
mod nearest;
mod number;
mod words;

#[cfg(test)]
mod tests;

pub use arguments::{Arguments, Invocation};
pub use choices::{AppendFsync, Guarded, LogLevel, Named, ShutdownMode};
pub use config::{Config, Notice, Rename};
pub use directive::{Directive, Effect, Flags, Kind, Row, TextRule};
pub use error::{ConfigError, Place, Source};
pub use file::{Include, Included, Line, load_conf, parse_lines};
pub use policy::PolicySelection;
pub use rewrite::{Rewritten, rewrite_conf};
pub use rewrite_toml::rewrite_toml;
pub use set::{Change, SetError, Situation};
pub use special::{Address, KeyspaceEvents, OutputLimit, OutputLimits, SavePoint};
pub use toml_file::load_toml;
