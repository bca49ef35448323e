//! SAVE, BGSAVE, BGREWRITEAOF, LASTSAVE: saves and rewrites on demand.

use tenon_commands::{Argument, Categories, CommandError, Flags, Group, Outcome, Row, Words};
use tenon_resp::Args;

use super::{ServerContext, ServerHandler};
use crate::snapshots::Kind;

/// In alphabetical order.
pub(super) static COMMANDS: &[Row<ServerHandler>] = &[
    Row {
        name: "bgrewriteaof",
        run: bgrewriteaof,
        arity: 1,
        flags: Flags::NO_ASYNC_LOADING.and(Flags::ADMIN).and(Flags::NOSCRIPT),
        keys: &[],
        categories: Categories::NONE,
        tips: &[],
        group: Group::Server,
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Rewrites the append-only file in the background.",
        arguments: &[],
        subcommands: &[],
    },
    Row {
        name: "bgsave",
        run: bgsave,
        arity: -1,
        flags: Flags::NO_ASYNC_LOADING.and(Flags::ADMIN).and(Flags::NOSCRIPT),
        keys: &[],
        categories: Categories::NONE,
        tips: &[],
        group: Group::Server,
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Saves the databases to disk in the background.",
        arguments: &[Argument::word("schedule", "SCHEDULE").optional().since("3.2.2")],
        subcommands: &[],
    },
    Row {
        name: "lastsave",
        run: lastsave,
        arity: 1,
        flags: Flags::LOADING.and(Flags::STALE).and(Flags::FAST),
        keys: &[],
        categories: Categories::ADMIN.and(Categories::DANGEROUS),
        tips: &["nondeterministic_output"],
        group: Group::Server,
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Tells when the last good save was made, in seconds since 1970.",
        arguments: &[],
        subcommands: &[],
    },
    Row {
        name: "save",
        run: save,
        arity: 1,
        flags: Flags::NO_ASYNC_LOADING.and(Flags::ADMIN).and(Flags::NOSCRIPT).and(Flags::NO_MULTI),
        keys: &[],
        categories: Categories::NONE,
        tips: &[],
        group: Group::Server,
        since: "1.0.0",
        complexity: "O(N) where N is the total number of keys in all databases",
        summary: "Saves the databases to disk while everybody waits.",
        arguments: &[],
        subcommands: &[],
    },
];

fn bgrewriteaof(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let (engine, now) = (&mut *context.engine, context.now);
    match engine.snapshots.running() {
        Some(Kind::Rewrite) => {
            return Err(CommandError::text("ERR Background append only file rewriting already in progress"));
        }
        Some(Kind::Save) if engine.durability.is_on() => {
            engine.snapshots.rewrite_scheduled = true;
            engine.snapshots.rewrite.failures_in_a_row = 0;
            context.reply().simple("Background append only file rewriting scheduled");
            return Ok(());
        }
        // The base would hold half of a transaction.
        None if engine.is_in_exec && engine.durability.is_on() => {
            engine.snapshots.rewrite_scheduled = true;
            engine.snapshots.rewrite.failures_in_a_row = 0;
            context.reply().simple("Background append only file rewriting scheduled");
            return Ok(());
        }
        Some(Kind::Save) | None => {}
    }
    if !engine.durability.is_on() {
        return rewrite_without_log(context);
    }
    engine.begin_rewrite(now, context.world.disk).map_err(|sentence| {
        CommandError::Text(format!("ERR Can't execute an AOF background rewriting: {sentence}").into())
    })?;
    context.reply().simple("Background append only file rewriting started");
    Ok(())
}

/// Writes a log that holds what is there now, as Redis does, and goes on without one.
fn rewrite_without_log(context: &mut ServerContext<'_, '_>) -> Outcome {
    let (engine, now) = (&mut *context.engine, context.now);
    engine.rewrite_once(now, context.world).map_err(|sentence| {
        CommandError::Text(format!("ERR Can't execute an AOF background rewriting: {sentence}").into())
    })?;
    let is_scheduled = engine.snapshots.rewrite_scheduled;
    let how = if is_scheduled { "scheduled" } else { "started" };
    context.reply().simple(&format!("Background append only file rewriting {how}"));
    Ok(())
}

fn bgsave(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let is_scheduled = match args.len() {
        1 => false,
        2 if args.is(1, "SCHEDULE") => true,
        _ => return Err(CommandError::Syntax),
    };
    let engine = &mut *context.engine;
    match engine.snapshots.running() {
        Some(Kind::Save) => return Err(CommandError::text("ERR Background save already in progress")),
        // A dump would hold half of a transaction.
        None if engine.is_in_exec => {
            engine.snapshots.save_scheduled = true;
            context.reply().simple("Background saving scheduled");
            return Ok(());
        }
        Some(Kind::Rewrite) if is_scheduled || engine.is_in_exec => {
            engine.snapshots.save_scheduled = true;
            context.reply().simple("Background saving scheduled");
            return Ok(());
        }
        Some(Kind::Rewrite) => {
            return Err(CommandError::text(
                "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order \
                 to schedule a BGSAVE whenever possible.",
            ));
        }
        None => {}
    }
    engine.begin_save(context.now, context.world).map_err(|sentence| {
        CommandError::Text(format!("ERR Background save cannot begin: {sentence}").into())
    })?;
    context.reply().simple("Background saving started");
    Ok(())
}

fn lastsave(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let seconds = context.engine.snapshots.last_save_unix;
    context.reply().integer(seconds);
    Ok(())
}

fn save(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    if context.engine.snapshots.running() == Some(Kind::Save) {
        return Err(CommandError::text("ERR Background save already in progress"));
    }
    match context.engine.save_now(context.now, context.world) {
        Ok(_) => context.reply().ok(),
        Err(_) => return Err(CommandError::text("ERR")),
    }
    Ok(())
}
