//! INFO's row.

use tenon_commands::{Argument, Categories, Flags, Group, Row};

use crate::server::ServerHandler;

pub(in crate::server) static COMMANDS: &[Row<ServerHandler>] = &[Row {
    name: "info",
    run: super::info,
    arity: -1,
    flags: Flags::LOADING.and(Flags::STALE).and(Flags::SENTINEL),
    keys: &[],
    categories: Categories::DANGEROUS,
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    group: Group::Server,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Tells what the server is and does.",
    arguments: &[Argument::string("section").optional().multiple()],
    subcommands: &[],
}];
