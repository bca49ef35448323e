//! ACL, as far as there is only the default user: who it is, what it may, and the categories of commands.

use tenon_commands::{Argument, Categories, CommandError, Flags, Group, Outcome, Row};
use tenon_resp::Args;

use super::{ServerContext, ServerHandler};

/// ACL and its subcommands.
pub(super) static COMMANDS: &[Row<ServerHandler>] = &[Row {
    name: "acl",
    run: super::container,
    arity: -2,
    flags: Flags::SENTINEL,
    keys: &[],
    categories: Categories::NONE,
    tips: &[],
    group: Group::Server,
    since: "6.0.0",
    complexity: "Depends on subcommand.",
    summary: "Holds the commands about users and what they may.",
    arguments: &[],
    subcommands: &[
        Row {
            name: "cat",
            run: categories,
            arity: -2,
            flags: ANYBODY,
            keys: &[],
            categories: Categories::NONE,
            tips: &[],
            group: Group::Server,
            since: "6.0.0",
            complexity: "O(1) since the categories and commands are a fixed set.",
            summary: "Lists the categories of commands, or the commands of one.",
            arguments: &[Argument::string("category").optional()],
            subcommands: &[],
        },
        Row {
            name: "help",
            run: help,
            arity: 2,
            flags: Flags::LOADING.and(Flags::STALE).and(Flags::SENTINEL),
            keys: &[],
            categories: Categories::NONE,
            tips: &[],
            group: Group::Server,
            since: "6.0.0",
            complexity: "O(1)",
            summary: "Explains the subcommands.",
            arguments: &[],
            subcommands: &[],
        },
        Row {
            name: "users",
            run: users,
            arity: 2,
            flags: ANYBODY.and(Flags::ADMIN),
            keys: &[],
            categories: Categories::NONE,
            tips: &[],
            group: Group::Server,
            since: "6.0.0",
            complexity: "O(N). Where N is the number of configured users.",
            summary: "Lists the users.",
            arguments: &[],
            subcommands: &[],
        },
        Row {
            name: "whoami",
            run: who_am_i,
            arity: 2,
            flags: ANYBODY,
            keys: &[],
            categories: Categories::NONE,
            tips: &[],
            group: Group::Server,
            since: "6.0.0",
            complexity: "O(1)",
            summary: "Tells as whom the connection is logged in.",
            arguments: &[],
            subcommands: &[],
        },
    ],
}];

const ANYBODY: Flags = Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE).and(Flags::SENTINEL);

fn categories(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let Some(word) = args.try_get(2) else {
        let mut reply = context.reply();
        reply.array(Categories::NAMES.len());
        Categories::NAMES.iter().for_each(|(_, name)| reply.bulk(name.as_bytes()));
        return Ok(());
    };
    if args.len() > 3 {
        return Err(CommandError::arity("acl|cat"));
    }
    let is_it = |known: &&(Categories, &str)| known.1.as_bytes().eq_ignore_ascii_case(word);
    let Some((category, _)) = Categories::NAMES.iter().find(is_it) else {
        let word = String::from_utf8_lossy(&word[..word.len().min(128)]).into_owned();
        return Err(CommandError::Text(format!("ERR Unknown category '{word}'").into()));
    };
    let table = &context.engine.commands;
    let names: Vec<String> = table
        .ids()
        .map(|id| &table[id])
        .filter(|command| command.categories.has(*category) && command.subcommands.is_empty())
        .map(|command| command.full_name.clone())
        .collect();
    let mut reply = context.reply();
    reply.array(names.len());
    names.iter().for_each(|name| reply.bulk(name.as_bytes()));
    Ok(())
}

fn help(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    context.help(
        "ACL",
        &[
            "CAT [<category>]",
            "    List the categories of commands, or the commands of one.",
            "USERS",
            "    List the users.",
            "WHOAMI",
            "    Tell as whom this connection is logged in.",
        ],
    )
}

fn users(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let mut reply = context.reply();
    reply.array(1);
    reply.bulk(b"default");
    Ok(())
}

fn who_am_i(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    context.reply().bulk(b"default");
    Ok(())
}
