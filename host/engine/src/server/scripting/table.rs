//! The table of EVAL, FCALL, FUNCTION and SCRIPT.

use tenon_commands::{Argument, Categories, Flags, Group, KeyFlags, KeySpec, Row};

use super::function::{
    function_delete, function_dump, function_flush, function_help, function_kill, function_list,
    function_load, function_restore, function_stats,
};
use super::{
    eval, eval_ro, evalsha, evalsha_ro, fcall, fcall_ro, script_debug, script_exists, script_flush,
    script_help, script_kill, script_load,
};
use crate::server::{ServerHandler, container};

const RUN: Flags =
    Flags(Flags::NOSCRIPT.0 | Flags::SKIP_MONITOR.0 | Flags::NO_MANDATORY_KEYS.0 | Flags::STALE.0);
const RUN_RW: Flags = RUN.and(Flags::MAY_REPLICATE);
const RUN_RO: Flags = RUN.and(Flags::READONLY);
const KEYS_RW: &[KeySpec] = &[KeySpec::number(2, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::UPDATE))];
const KEYS_RO: &[KeySpec] = &[KeySpec::number(2, KeyFlags::RO.and(KeyFlags::ACCESS))];
const CHANGE: Flags = Flags::NOSCRIPT.and(Flags::WRITE);
const CHANGE_MORE: Flags = CHANGE.and(Flags::DENYOOM);

const ALL_NODES: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];
const ALL_SHARDS: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];
const ONE_OF_SHARDS: &[&str] = &["request_policy:all_shards", "response_policy:one_succeeded"];

const NUMBER: Argument = Argument::integer("numkeys");
const KEY: Argument = Argument::key("key", 0).optional().multiple();
const WORD: Argument = Argument::string("arg").optional().multiple();
const SCRIPT: &[Argument] = &[Argument::string("script"), NUMBER, KEY, WORD];
const DIGEST: &[Argument] = &[Argument::string("sha1"), NUMBER, KEY, WORD];
const FUNCTION: &[Argument] = &[Argument::string("function"), NUMBER, KEY, WORD];
const FLUSH_TYPES: &[Argument] = &[Argument::word("async", "ASYNC"), Argument::word("sync", "SYNC")];
const MODES: &[Argument] =
    &[Argument::word("yes", "YES"), Argument::word("sync", "SYNC"), Argument::word("no", "NO")];
const POLICIES: &[Argument] = &[
    Argument::word("flush", "FLUSH"),
    Argument::word("append", "APPEND"),
    Argument::word("replace", "REPLACE"),
];

/// A row with what all of this family have in common.
const fn row(name: &'static str, run: ServerHandler, arity: i16, flags: Flags) -> Row<ServerHandler> {
    Row {
        name,
        run,
        arity,
        flags,
        keys: &[],
        categories: Categories::SCRIPTING,
        tips: &[],
        group: Group::Scripting,
        since: "7.0.0",
        complexity: "O(1)",
        summary: "",
        arguments: &[],
        subcommands: &[],
    }
}

/// In alphabetical order.
pub(crate) static COMMANDS: &[Row<ServerHandler>] = &[
    Row {
        keys: KEYS_RW,
        since: "2.6.0",
        complexity: "Depends on the script that is executed.",
        summary: "Runs a script.",
        arguments: SCRIPT,
        ..row("eval", eval, -3, RUN_RW)
    },
    Row {
        keys: KEYS_RO,
        complexity: "Depends on the script that is executed.",
        summary: "Runs a script that only reads.",
        arguments: SCRIPT,
        ..row("eval_ro", eval_ro, -3, RUN_RO)
    },
    Row {
        keys: KEYS_RW,
        since: "2.6.0",
        complexity: "Depends on the script that is executed.",
        summary: "Runs a script that is kept, by its digest.",
        arguments: DIGEST,
        ..row("evalsha", evalsha, -3, RUN_RW)
    },
    Row {
        keys: KEYS_RO,
        complexity: "Depends on the script that is executed.",
        summary: "Runs a script that is kept and only reads, by its digest.",
        arguments: DIGEST,
        ..row("evalsha_ro", evalsha_ro, -3, RUN_RO)
    },
    Row {
        keys: KEYS_RW,
        complexity: "Depends on the function that is executed.",
        summary: "Runs a function of a library.",
        arguments: FUNCTION,
        ..row("fcall", fcall, -3, RUN_RW)
    },
    Row {
        keys: KEYS_RO,
        complexity: "Depends on the function that is executed.",
        summary: "Runs a function of a library that only reads.",
        arguments: FUNCTION,
        ..row("fcall_ro", fcall_ro, -3, RUN_RO)
    },
    Row {
        categories: Categories::NONE,
        complexity: "Depends on subcommand.",
        summary: "Commands about libraries of functions.",
        subcommands: FUNCTIONS,
        ..row("function", container, -2, Flags::NONE)
    },
    Row {
        categories: Categories::NONE,
        since: "2.6.0",
        complexity: "Depends on subcommand.",
        summary: "Commands about kept scripts.",
        subcommands: SCRIPTS,
        ..row("script", container, -2, Flags::NONE)
    },
];

const FUNCTIONS: &[Row<ServerHandler>] = &[
    Row {
        tips: ALL_SHARDS,
        summary: "Removes a library and its functions.",
        arguments: &[Argument::string("library-name")],
        ..row("delete", function_delete, 3, CHANGE)
    },
    Row {
        complexity: "O(N) where N is the number of functions",
        summary: "Tells all libraries as a payload that FUNCTION RESTORE takes.",
        ..row("dump", function_dump, 2, Flags::NOSCRIPT)
    },
    Row {
        tips: ALL_SHARDS,
        complexity: "O(N) where N is the number of functions deleted",
        summary: "Removes all libraries.",
        arguments: &[Argument::one_of("flush-type", FLUSH_TYPES).optional()],
        ..row("flush", function_flush, -2, CHANGE)
    },
    Row {
        summary: "Explains the subcommands.",
        ..row("help", function_help, 2, Flags::LOADING.and(Flags::STALE))
    },
    Row {
        tips: ONE_OF_SHARDS,
        summary: "Ends the function that runs, unless it has written.",
        ..row("kill", function_kill, 2, Flags::NOSCRIPT.and(Flags::ALLOW_BUSY))
    },
    Row {
        tips: &["nondeterministic_output_order"],
        complexity: "O(N) where N is the number of functions",
        summary: "Tells libraries and their functions.",
        arguments: &[
            Argument::string("library-name-pattern").after("LIBRARYNAME").optional(),
            Argument::word("withcode", "WITHCODE").optional(),
        ],
        ..row("list", function_list, -2, Flags::NOSCRIPT)
    },
    Row {
        tips: ALL_SHARDS,
        complexity: "O(1) (considering compilation time is redundant)",
        summary: "Makes a library of a text.",
        arguments: &[Argument::word("replace", "REPLACE").optional(), Argument::string("function-code")],
        ..row("load", function_load, -3, CHANGE_MORE)
    },
    Row {
        tips: ALL_SHARDS,
        complexity: "O(N) where N is the number of functions on the payload",
        summary: "Makes libraries of a payload that FUNCTION DUMP told.",
        arguments: &[Argument::string("serialized-value"), Argument::one_of("policy", POLICIES).optional()],
        ..row("restore", function_restore, -3, CHANGE_MORE)
    },
    Row {
        tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        summary: "Tells which function runs, and how many there are.",
        ..row("stats", function_stats, 2, Flags::NOSCRIPT.and(Flags::ALLOW_BUSY))
    },
];

const SCRIPTS: &[Row<ServerHandler>] = &[
    Row {
        since: "3.2.0",
        summary: "Is refused: there is no debugger.",
        arguments: &[Argument::one_of("mode", MODES)],
        ..row("debug", script_debug, 3, Flags::NOSCRIPT)
    },
    Row {
        tips: &["request_policy:all_shards", "response_policy:agg_logical_and"],
        since: "2.6.0",
        complexity: "O(N) with N being the number of scripts to check",
        summary: "Tells whether scripts are kept.",
        arguments: &[Argument::string("sha1").multiple()],
        ..row("exists", script_exists, -3, Flags::NOSCRIPT)
    },
    Row {
        tips: ALL_NODES,
        since: "2.6.0",
        complexity: "O(N) with N being the number of scripts in cache",
        summary: "Forgets all kept scripts.",
        arguments: &[Argument::one_of("flush-type", FLUSH_TYPES).optional().since("6.2.0")],
        ..row("flush", script_flush, -2, Flags::NOSCRIPT)
    },
    Row {
        since: "5.0.0",
        summary: "Explains the subcommands.",
        ..row("help", script_help, 2, Flags::LOADING.and(Flags::STALE))
    },
    Row {
        tips: ONE_OF_SHARDS,
        since: "2.6.0",
        summary: "Ends the script that runs, unless it has written.",
        ..row("kill", script_kill, 2, Flags::NOSCRIPT.and(Flags::ALLOW_BUSY))
    },
    Row {
        tips: ALL_NODES,
        since: "2.6.0",
        complexity: "O(N) with N being the length in bytes of the script body.",
        summary: "Keeps a script and tells its digest.",
        arguments: &[Argument::string("script")],
        ..row("load", script_load, 3, Flags::NOSCRIPT.and(Flags::STALE))
    },
];
