//! COMMAND's rows.

use tenon_commands::{Argument, ArgumentKind, Categories, Flags, Group, Row};

use crate::server::ServerHandler;

pub(in crate::server) static COMMANDS: &[Row<ServerHandler>] = &[Row {
    name: "command",
    run: super::entries,
    arity: -1,
    flags: ANY_STATE,
    keys: &[],
    categories: Categories::CONNECTION,
    tips: &["nondeterministic_output_order"],
    group: Group::Server,
    since: "2.8.13",
    complexity: "O(N) where N is the total number of commands",
    summary: "Describes every command for programs.",
    arguments: &[],
    subcommands: SUBCOMMANDS,
}];

const ANY_STATE: Flags = Flags::LOADING.and(Flags::STALE).and(Flags::SENTINEL);

static SUBCOMMANDS: &[Row<ServerHandler>] = &[
    Row {
        name: "count",
        run: super::count,
        arity: 2,
        flags: ANY_STATE,
        keys: &[],
        categories: Categories::CONNECTION,
        tips: &[],
        group: Group::Server,
        since: "2.8.13",
        complexity: "O(1)",
        summary: "Counts the commands.",
        arguments: &[],
        subcommands: &[],
    },
    Row {
        name: "docs",
        run: super::docs,
        arity: -2,
        flags: ANY_STATE,
        keys: &[],
        categories: Categories::CONNECTION,
        tips: &["nondeterministic_output_order"],
        group: Group::Server,
        since: "7.0.0",
        complexity: "O(N) where N is the number of commands to look up",
        summary: "Documents commands.",
        arguments: &[Argument::string("command-name").optional().multiple()],
        subcommands: &[],
    },
    Row {
        name: "getkeys",
        run: super::keys::keys,
        arity: -3,
        flags: ANY_STATE,
        keys: &[],
        categories: Categories::CONNECTION,
        tips: &[],
        group: Group::Server,
        since: "2.8.13",
        complexity: "O(N) where N is the number of arguments to the command",
        summary: "Finds the keys in a command.",
        arguments: &[Argument::string("command"), Argument::string("arg").optional().multiple()],
        subcommands: &[],
    },
    Row {
        name: "getkeysandflags",
        run: super::keys::keys_and_flags,
        arity: -3,
        flags: ANY_STATE,
        keys: &[],
        categories: Categories::CONNECTION,
        tips: &[],
        group: Group::Server,
        since: "7.0.0",
        complexity: "O(N) where N is the number of arguments to the command",
        summary: "Finds the keys in a command, and what it does with each.",
        arguments: &[Argument::string("command"), Argument::string("arg").optional().multiple()],
        subcommands: &[],
    },
    Row {
        flags: ANY_STATE,
        categories: Categories::CONNECTION,
        summary: "Tells what COMMAND can do.",
        ..Row::help(super::help, Group::Server, "5.0.0")
    },
    Row {
        name: "info",
        run: super::entries,
        arity: -2,
        flags: ANY_STATE,
        keys: &[],
        categories: Categories::CONNECTION,
        tips: &["nondeterministic_output_order"],
        group: Group::Server,
        since: "2.8.13",
        complexity: "O(N) where N is the number of commands to look up",
        summary: "Describes commands for programs.",
        arguments: &[Argument::string("command-name").optional().multiple()],
        subcommands: &[],
    },
    Row {
        name: "list",
        run: super::list,
        arity: -2,
        flags: ANY_STATE,
        keys: &[],
        categories: Categories::CONNECTION,
        tips: &["nondeterministic_output_order"],
        group: Group::Server,
        since: "7.0.0",
        complexity: "O(N) where N is the total number of commands",
        summary: "Lists the names of commands.",
        arguments: LIST_ARGUMENTS,
        subcommands: &[],
    },
];

const LIST_ARGUMENTS: &[Argument] = &[Argument::one_of(
    "filterby",
    &[
        Argument::string("module-name").after("MODULE"),
        Argument::string("category").after("ACLCAT"),
        Argument::new("pattern", ArgumentKind::Pattern).after("PATTERN"),
    ],
)
.after("FILTERBY")
.optional()];
