//! MODULE: there are none, and none can be loaded.

use tenon_commands::{Argument, Categories, CommandError, Flags, Group, Outcome, Row};
use tenon_resp::Args;

use super::{ServerContext, ServerHandler, container};

const LOAD: Flags =
    Flags(Flags::NO_ASYNC_LOADING.0 | Flags::ADMIN.0 | Flags::NOSCRIPT.0 | Flags::PROTECTED.0);

const fn row(name: &'static str, run: ServerHandler, arity: i16, flags: Flags) -> Row<ServerHandler> {
    Row {
        name,
        run,
        arity,
        flags,
        keys: &[],
        categories: Categories::NONE,
        tips: &[],
        group: Group::Server,
        since: "4.0.0",
        complexity: "O(1)",
        summary: "",
        arguments: &[],
        subcommands: &[],
    }
}

/// MODULE alone.
pub(super) static COMMANDS: &[Row<ServerHandler>] = &[Row {
    complexity: "Depends on subcommand.",
    summary: "Commands about modules.",
    subcommands: &[
        Row {
            since: "5.0.0",
            summary: "Explains the subcommands.",
            ..row("help", module_help, 2, Flags::LOADING.and(Flags::STALE))
        },
        Row {
            tips: &["nondeterministic_output_order"],
            complexity: "O(N) where N is the number of loaded modules.",
            summary: "Tells the loaded modules, of which there are none.",
            ..row("list", module_list, 2, Flags::ADMIN.and(Flags::NOSCRIPT))
        },
        Row {
            summary: "Is refused: modules cannot be loaded.",
            arguments: &[Argument::string("path"), Argument::string("arg").optional().multiple()],
            ..row("load", module_load, -3, LOAD)
        },
        Row {
            since: "7.0.0",
            summary: "Is refused: modules cannot be loaded.",
            arguments: &[
                Argument::string("path"),
                Argument::block("configs", &[Argument::string("name"), Argument::string("value")])
                    .after("CONFIG")
                    .optional()
                    .multiple(),
                Argument::string("args").after("ARGS").optional().multiple(),
            ],
            ..row("loadex", module_load, -3, LOAD)
        },
        Row {
            summary: "Is refused: no module is loaded.",
            arguments: &[Argument::string("name")],
            ..row("unload", module_unload, 3, LOAD)
        },
    ],
    ..row("module", container, -2, Flags::NONE)
}];

fn module_help(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    context.help("MODULE", &["LIST", "    Tell the loaded modules: there are none, and none can be loaded."])
}

fn module_list(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    context.reply().array(0);
    Ok(())
}

fn module_load(_: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let path = String::from_utf8_lossy(args.get(2));
    tracing::warn!("Module {path} was not loaded: modules of Redis cannot run here");
    Err(CommandError::text("ERR Error loading the extension. Please check the server logs."))
}

fn module_unload(_: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    Err(CommandError::text("ERR Error unloading module: no such module with that name"))
}
