//! DEBUG RELOAD and LOADAOF: everything is forgotten and loaded again.
//! Always: what a transaction or a script has done so far is in no file, so both are refused there.

use tenon_commands::{CommandError, Outcome, Words};
use tenon_resp::Args;

use super::ServerContext;
use crate::load::ReloadSteps;

pub(super) fn load_log(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    outside_transaction(context)?;
    if let Err(sentence) = context.engine.reload_log(context.now, context.connection, context.world) {
        tracing::warn!("{sentence}");
        return Err(CommandError::text("ERR Error trying to load the AOF files, check server logs"));
    }
    touch_everything(context);
    tracing::warn!("Append Only File loaded by DEBUG LOADAOF");
    context.reply().ok();
    Ok(())
}

pub(super) fn reload(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let mut steps = ReloadSteps { saves: true, flushes: true, merges: false };
    for index in 2..args.len() {
        match () {
            () if args.is(index, "NOSAVE") => steps.saves = false,
            () if args.is(index, "NOFLUSH") => steps.flushes = false,
            () if args.is(index, "MERGE") => steps.merges = true,
            () => {
                return Err(CommandError::text(
                    "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.",
                ));
            }
        }
    }
    outside_transaction(context)?;
    if let Err(sentence) = context.engine.reload(context.now, steps, context.connection, context.world) {
        tracing::warn!("{sentence}");
        return Err(CommandError::text("ERR Error trying to load the RDB dump, check server logs"));
    }
    touch_everything(context);
    tracing::warn!("DB reloaded by DEBUG RELOAD");
    context.reply().ok();
    Ok(())
}

/// Every key may be another one now.
fn touch_everything(context: &mut ServerContext<'_, '_>) {
    let engine = &mut *context.engine;
    (0..engine.keyspace.databases()).for_each(|index| engine.unit.touch_database(index));
    engine.unit.note_flush();
}

/// What a transaction has done is in no file yet, so a load in its midst would lose it.
fn outside_transaction(context: &ServerContext<'_, '_>) -> Outcome {
    if context.engine.is_in_exec {
        return Err(CommandError::text("ERR Data cannot be loaded inside a transaction"));
    }
    Ok(())
}
