//! CONFIG.
//! Changes that outlast a turn (policies, sockets) are handed to `transition`; their clients wait.

use std::io;
use std::path::{Path, PathBuf};

use tenon_base::Disk;
use tenon_commands::{
    Argument, ArgumentKind, Categories, CommandError, Flags, Group, LookupCounts, Outcome, Row,
};
use tenon_config::{Config, Directive, Rewritten, SetError, Situation};
use tenon_resp::Args;

use super::{ServerContext, ServerHandler};
use crate::access;
use crate::engine::Engine;
use crate::session::Parked;
use crate::transition::Reason;
use tenon_base::describe;

/// CONFIG and its subcommands.
pub(super) static COMMANDS: &[Row<ServerHandler>] = &[Row {
    name: "config",
    run: super::container,
    arity: -2,
    flags: Flags::NONE,
    keys: &[],
    categories: Categories::NONE,
    tips: &[],
    group: Group::Server,
    since: "2.0.0",
    complexity: "Depends on subcommand.",
    summary: "Holds the commands that show and change settings.",
    arguments: &[],
    subcommands: &[
        Row {
            name: "get",
            run: get,
            arity: -3,
            flags: ADMINISTRATION,
            keys: &[],
            categories: Categories::NONE,
            tips: &[],
            group: Group::Server,
            since: "2.0.0",
            complexity: "O(N) when N is the number of configuration parameters provided",
            summary: "Shows the settings in force.",
            arguments: &[Argument::string("parameter").multiple()],
            subcommands: &[],
        },
        Row::help(help, Group::Server, "5.0.0"),
        Row {
            name: "resetstat",
            run: reset_statistics,
            arity: 2,
            flags: ADMINISTRATION,
            keys: &[],
            categories: Categories::NONE,
            tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
            group: Group::Server,
            since: "2.0.0",
            complexity: "O(1)",
            summary: "Sets the counters that INFO shows back to zero.",
            arguments: &[],
            subcommands: &[],
        },
        Row {
            name: "rewrite",
            run: rewrite,
            arity: 2,
            flags: ADMINISTRATION,
            keys: &[],
            categories: Categories::NONE,
            tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
            group: Group::Server,
            since: "2.8.0",
            complexity: "O(1)",
            summary: "Writes the settings in force into the configuration file.",
            arguments: &[],
            subcommands: &[],
        },
        Row {
            name: "set",
            run: set,
            arity: -4,
            flags: ADMINISTRATION,
            keys: &[],
            categories: Categories::NONE,
            tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
            group: Group::Server,
            since: "2.0.0",
            complexity: "O(N) when N is the number of configuration parameters provided",
            summary: "Changes settings, all of those named or none.",
            arguments: &[Argument::block(
                "data",
                &[Argument::string("parameter"), Argument::new("value", ArgumentKind::String)],
            )
            .multiple()],
            subcommands: &[],
        },
    ],
}];

const ADMINISTRATION: Flags = Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE);

fn get(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let patterns: Vec<&[u8]> = args.rest(2).into_iter().collect();
    let found = context.engine.config.get(&patterns);
    let mut reply = context.reply();
    reply.map(found.len());
    for (name, value) in found {
        reply.bulk(&name);
        reply.bulk(&value);
    }
    Ok(())
}

fn help(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    context.help(
        "CONFIG",
        &[
            "GET <pattern> [<pattern> ...]",
            "    Show the settings whose names match.",
            "SET <directive> <value> [<directive> <value> ...]",
            "    Change settings; if one of them is refused, none is changed.",
            "RESETSTAT",
            "    Set the counters of INFO back to zero.",
            "REWRITE",
            "    Write the settings in force into the configuration file.",
        ],
    )
}

fn reset_statistics(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    context.engine.stats.reset();
    context.engine.replication.primary.reset_counts();
    context.engine.lookups = LookupCounts::default();
    context.reply().ok();
    Ok(())
}

fn rewrite(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    rewrite_with(context, Rewritten::Changed)
}

/// Rewrites the configuration file, with lines for so many directives.
pub(super) fn rewrite_with(context: &mut ServerContext<'_, '_>, which: Rewritten) -> Outcome {
    let engine = &mut *context.engine;
    let Some(path) = engine.config_file.clone() else {
        return Err(CommandError::text("ERR The server is running without a config file"));
    };
    let suffix = engine.dice.hex(8);
    engine.config.replace_users(users_to_write(engine));
    if let Err(reason) = rewrite_file(&path, &suffix, &engine.config, which, context.world.disk) {
        tracing::warn!("CONFIG REWRITE failed: {reason}");
        return Err(CommandError::Text(format!("ERR Rewriting config file: {reason}").into()));
    }
    tracing::info!("CONFIG REWRITE executed with success.");
    context.reply().ok();
    Ok(())
}

/// Users have lines if there is no ACL file for them, and more to tell than `requirepass` does.
fn users_to_write(engine: &Engine) -> Vec<Vec<Vec<u8>>> {
    let users = engine.users.config_words();
    let is_told = users == access::users(&engine.commands, &engine.config).config_words();
    let has_file = !engine.config.text(Directive::AclFile).is_empty();
    if is_told || has_file { Vec::new() } else { users }
}

/// Puts the new text in the place of the old one at one stroke.
fn rewrite_file(
    path: &Path,
    suffix: &str,
    config: &Config,
    which: Rewritten,
    disk: &dyn Disk,
) -> Result<(), String> {
    let old = match read_file(path, disk) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other.map_err(|error| describe(&error))?,
    };
    let text = if path.extension().is_some_and(|extension| extension == "toml") {
        let old = str::from_utf8(&old).map_err(|_| "the file is not UTF-8 text".to_owned())?;
        let text = tenon_config::rewrite_toml(&path.to_string_lossy(), old, config);
        text.map_err(|error| error.to_string().replace('\n', " "))?.into_bytes()
    } else {
        tenon_config::rewrite_conf(&old, config, which)
    };
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!("-{suffix}.tmp"));
    let temporary = PathBuf::from(temporary);
    replace_file(path, &temporary, &text, disk).map_err(|error| {
        // It may not be there, and is of no use if it is.
        let _ = disk.remove(&temporary);
        describe(&error)
    })
}

pub(crate) fn read_file(path: &Path, disk: &dyn Disk) -> io::Result<Vec<u8>> {
    let file = disk.open(path, false)?;
    let mut text = Vec::new();
    let mut block = [0; 4096];
    loop {
        match file.read_at(text.len() as u64, &mut block)? {
            0 => return Ok(text),
            count => text.extend_from_slice(&block[..count]),
        }
    }
}

pub(super) fn replace_file(path: &Path, temporary: &Path, text: &[u8], disk: &dyn Disk) -> io::Result<()> {
    let file = disk.create(temporary)?;
    file.append(text)?;
    file.sync()?;
    disk.rename(temporary, path)?;
    disk.sync_directory(path.parent().unwrap_or(Path::new("")))
}

fn set(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    if args.len() % 2 == 1 {
        return Err(CommandError::Syntax);
    }
    let pairs: Vec<(&[u8], &[u8])> =
        (2..args.len()).step_by(2).map(|at| (args.get(at), args.get(at + 1))).collect();
    let is_loading = context.engine.loading().is_some();
    let situation = Situation { is_loading, client_is_local: context.session().peer.is_local };
    let change = context.engine.config.prepare(&pairs, situation).map_err(refusal)?;
    let (now, client) = (context.now, context.connection);
    if context.engine.outlasts_turn(&change) {
        if context.engine.is_in_exec {
            return Err(CommandError::text(
                "ERR CONFIG SET failed - sockets and policies cannot be changed inside a transaction",
            ));
        }
        context.session().parked = Some(Parked::Job);
        context.engine.begin_transition(now, Reason::Set { client, change }, context.world);
        return Ok(());
    }
    context.engine.apply_change(now, change, context.world).map_err(refusal)?;
    context.reply().ok();
    Ok(())
}

fn refusal(error: SetError) -> CommandError {
    CommandError::Text(format!("{} {error}", error.code()).into())
}
