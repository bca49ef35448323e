//! Saves and rewrites on demand.
use super::ServerHandler;
use tenon_commands::Row;
pub(super) static COMMANDS: &[Row<ServerHandler>] = &[];
