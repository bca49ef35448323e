//! MEMORY: what keys and the whole server take.

use tenon_commands::{
    Argument, Categories, CommandError, Flags, Group, KeyFlags, KeySpec, Outcome, Row, Words,
};
use tenon_resp::Args;

use super::{ServerContext, ServerHandler};

/// MEMORY and its subcommands.
pub(super) static COMMANDS: &[Row<ServerHandler>] = &[Row {
    name: "memory",
    run: super::container,
    arity: -2,
    flags: Flags::NONE,
    keys: &[],
    categories: Categories::NONE,
    tips: &[],
    group: Group::Server,
    since: "4.0.0",
    complexity: "Depends on subcommand.",
    summary: "Holds the commands about memory.",
    arguments: &[],
    subcommands: &[
        Row {
            name: "help",
            run: help,
            arity: 2,
            flags: Flags::LOADING.and(Flags::STALE),
            keys: &[],
            categories: Categories::NONE,
            tips: &[],
            group: Group::Server,
            since: "4.0.0",
            complexity: "O(1)",
            summary: "Explains the subcommands.",
            arguments: &[],
            subcommands: &[],
        },
        Row {
            name: "usage",
            run: usage,
            arity: -3,
            flags: Flags::READONLY,
            keys: &[KeySpec::at(2, KeyFlags::RO)],
            categories: Categories::NONE,
            tips: &[],
            group: Group::Server,
            since: "4.0.0",
            complexity: "O(1)",
            summary: "Tells the bytes that a key and its value take.",
            arguments: &[Argument::key("key", 0), Argument::integer("count").after("SAMPLES").optional()],
            subcommands: &[],
        },
    ],
}];

fn help(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    context.help(
        "MEMORY",
        &[
            "USAGE <key> [SAMPLES <count>]",
            "    Tell the bytes that a key and its value take. They are known, so SAMPLES changes nothing.",
        ],
    )
}

fn usage(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let mut at = 3;
    while at < args.len() {
        if !args.is(at, "SAMPLES") || at + 1 == args.len() || args.integer(at + 1)? < 0 {
            return Err(CommandError::Syntax);
        }
        at += 2;
    }
    let database = context.session().database;
    let bytes = context.engine.keyspace.db(database).find(args.get(2)).map(|entry| entry.memory());
    match bytes {
        Some(bytes) => context.reply().integer(bytes as i64),
        None => context.reply().null(),
    }
    Ok(())
}
