//! BACKUP: complete, checked copies of all data, made while the server serves. Making them is done by `backups`.

use tenon_base::{ConnectionId, World};
use tenon_commands::{Argument, Categories, CommandError, Flags, Group, Outcome, Row};
use tenon_resp::{Args, Reply};

use super::{ServerContext, ServerHandler};
use crate::backups::BackupManifest;
use crate::engine::Engine;
use crate::session::Parked;

/// BACKUP and its subcommands.
pub(super) static COMMANDS: &[Row<ServerHandler>] = &[Row {
    name: "backup",
    run: super::container,
    arity: -2,
    flags: Flags::NONE,
    keys: &[],
    categories: Categories::ADMIN.and(Categories::DANGEROUS),
    tips: &[],
    group: Group::Server,
    since: "0.1.0",
    complexity: "Depends on subcommand.",
    summary: "Holds the commands that make backups.",
    arguments: &[],
    subcommands: &[
        Row {
            name: "abort",
            run: abort,
            arity: 2,
            flags: ADMINISTRATION,
            keys: &[],
            categories: Categories::NONE,
            tips: &[],
            group: Group::Server,
            since: "0.1.0",
            complexity: "O(1)",
            summary: "Gives up the backup that is being written, and removes it.",
            arguments: &[],
            subcommands: &[],
        },
        Row {
            categories: Categories::ADMIN.and(Categories::DANGEROUS),
            ..Row::help(help, Group::Server, "0.1.0")
        },
        Row {
            name: "list",
            run: list_all,
            arity: 2,
            flags: ADMINISTRATION.and(Flags::NO_MULTI),
            keys: &[],
            categories: Categories::NONE,
            tips: &["nondeterministic_output"],
            group: Group::Server,
            since: "0.1.0",
            complexity: "O(N) where N is the number of backups",
            summary: "Lists the complete backups.",
            arguments: &[],
            subcommands: &[],
        },
        Row {
            name: "start",
            run: start,
            arity: -2,
            flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::NO_ASYNC_LOADING).and(Flags::NO_MULTI),
            keys: &[],
            categories: Categories::NONE,
            tips: &["nondeterministic_output"],
            group: Group::Server,
            since: "0.1.0",
            complexity: "O(1)",
            summary: "Begins to write a backup in the background.",
            arguments: &[Argument::string("name").optional()],
            subcommands: &[],
        },
        Row {
            name: "status",
            run: status,
            arity: 2,
            flags: ADMINISTRATION,
            keys: &[],
            categories: Categories::NONE,
            tips: &["nondeterministic_output"],
            group: Group::Server,
            since: "0.1.0",
            complexity: "O(1)",
            summary: "Tells how far the running backup is, or how the last one ended.",
            arguments: &[],
            subcommands: &[],
        },
    ],
}];

const ADMINISTRATION: Flags = Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE);

fn abort(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    if !context.engine.abort_backup() {
        return Err(CommandError::text("ERR No backup is being written"));
    }
    context.reply().ok();
    Ok(())
}

fn help(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    context.help(
        "BACKUP",
        &[
            "START [<name>]",
            "    Begin to write a backup into a new directory of that name below 'backup-directory'.",
            "STATUS",
            "    How far it is, or how the last one ended.",
            "LIST",
            "    The complete backups, oldest first.",
            "ABORT",
            "    Give up the backup that is being written, and remove it.",
        ],
    )
}

fn list_all(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let client = context.connection;
    context.session().parked = Some(Parked::Job);
    context.engine.list_backups(client, context.world);
    Ok(())
}

/// Answers BACKUP LIST, now that the directory was looked at.
pub(crate) fn list(
    engine: &mut Engine,
    client: ConnectionId,
    backups: &[(String, BackupManifest)],
    world: &mut World<'_>,
) {
    let Some(session) = engine.sessions.get(client) else { return };
    let root = engine.backup_directory();
    let mut reply = Reply::new(world.outputs.writer(client), session.proto);
    reply.array(backups.len());
    for (name, manifest) in backups {
        reply.map(7);
        text(&mut reply, "name", name);
        text(&mut reply, "directory", &root.join(name).display().to_string());
        number(&mut reply, "moment-unix-ms", manifest.moment_unix_ms.unsigned_abs());
        number(&mut reply, "keys", manifest.keys());
        number(&mut reply, "bytes", manifest.files.iter().map(|file| file.bytes).sum());
        text(&mut reply, "replication-id", &manifest.replication_id);
        number(&mut reply, "replication-offset", manifest.replication_offset);
    }
}

fn start(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    if args.len() > 3 {
        return Err(CommandError::arity("backup|start"));
    }
    let name = args.try_get(2);
    let begun = context.engine.begin_backup(context.now, name, context.world);
    let path = begun
        .map_err(|sentence| CommandError::Text(format!("ERR The backup cannot begin: {sentence}").into()))?;
    context.reply().bulk(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()));
    Ok(())
}

fn status(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let status = context.engine.backups.status(context.now);
    let mut reply = context.reply();
    reply.map(11);
    text(&mut reply, "status", status.status);
    text(&mut reply, "directory", &status.directory);
    number(&mut reply, "moment-unix-ms", status.moment_unix_ms.unsigned_abs());
    number(&mut reply, "keys-done", status.keys_done);
    number(&mut reply, "keys-total", status.keys_total);
    number(&mut reply, "bytes", status.bytes);
    number(&mut reply, "spilled-bytes", status.spilled_bytes);
    text(&mut reply, "percentage", &format!("{:.2}", status.percentage()));
    number(&mut reply, "elapsed-ms", status.elapsed_ms);
    reply.bulk(b"remaining-ms");
    match status.remaining_ms {
        Some(ms) => reply.integer(i64::try_from(ms).unwrap_or(i64::MAX)),
        None => reply.null(),
    }
    text(&mut reply, "error", &status.error);
    Ok(())
}

fn text(reply: &mut Reply<'_>, name: &str, text: &str) {
    reply.bulk(name.as_bytes());
    reply.bulk(text.as_bytes());
}

fn number(reply: &mut Reply<'_>, name: &str, number: u64) {
    reply.bulk(name.as_bytes());
    reply.integer(i64::try_from(number).unwrap_or(i64::MAX));
}
