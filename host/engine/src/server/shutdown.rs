//! SHUTDOWN, and the signals that mean it: save if that is configured, bring the log to the disk, leave.
//! Always: a save that fails keeps the server alive, unless it is to be forced; SIGINT gives up the last save, and ends
//! the server at once.

use tenon_base::{Now, Output, Signal, World};
use tenon_commands::{Argument, Categories, CommandError, Flags, Group, Outcome, Row, Words};
use tenon_config::{Directive, ShutdownMode};
use tenon_resp::Args;

use super::{ServerContext, ServerHandler};
use crate::departure::Departing;
use crate::engine::Engine;
use crate::setup::Milestone;
use crate::snapshots::Kind;

/// One command.
pub(super) static COMMANDS: &[Row<ServerHandler>] = &[Row {
    name: "shutdown",
    run: shutdown,
    arity: -1,
    flags: Flags::ADMIN
        .and(Flags::NOSCRIPT)
        .and(Flags::LOADING)
        .and(Flags::STALE)
        .and(Flags::NO_MULTI)
        .and(Flags::SENTINEL)
        .and(Flags::ALLOW_BUSY),
    keys: &[],
    categories: Categories::NONE,
    tips: &[],
    group: Group::Server,
    since: "1.0.0",
    complexity: "O(N) when saving, where N is the total number of keys in all databases, otherwise O(1)",
    summary: "Saves what is to be saved and ends the server.",
    arguments: &[
        Argument::one_of(
            "save-selector",
            &[Argument::word("nosave", "NOSAVE"), Argument::word("save", "SAVE")],
        )
        .optional(),
        Argument::word("now", "NOW").optional().since("7.0.0"),
        Argument::word("force", "FORCE").optional().since("7.0.0"),
        Argument::word("abort", "ABORT").optional().since("7.0.0"),
    ],
    subcommands: &[],
}];

fn shutdown(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let mut mode = ShutdownMode::default();
    let mut is_abort = false;
    for index in 1..args.len() {
        match () {
            () if args.is(index, "NOSAVE") => mode.no_save = true,
            () if args.is(index, "SAVE") => mode.save = true,
            () if args.is(index, "NOW") => mode.now = true,
            () if args.is(index, "FORCE") => mode.force = true,
            () if args.is(index, "ABORT") => is_abort = true,
            () => return Err(CommandError::Syntax),
        }
    }
    if (is_abort && args.len() > 2) || (mode.save && mode.no_save) {
        return Err(CommandError::Syntax);
    }
    if is_abort {
        // One may wait for replicas, or a signal for the clock.
        let is_cancelled = context.engine.cancel_departure(context.now, context.world);
        if context.engine.cron.pending_signal.take().is_none() && !is_cancelled {
            return Err(CommandError::text("ERR No shutdown in progress."));
        }
        tracing::warn!("Shutdown manually aborted.");
        context.reply().ok();
        return Ok(());
    }
    if let Some(running) = &mut context.engine.scripts.running {
        if !mode.no_save && context.engine.load.is_none() {
            return Err(running.busy());
        }
        // What it has done so far is half of something: it is neither answered nor kept.
        running.is_killed = true;
        context.engine.unit.clear();
    }
    tracing::warn!("User requested shutdown...");
    let (engine, now) = (&mut *context.engine, context.now);
    match engine.depart(now, mode, Some(context.connection), context.world) {
        Departing::Gone => {
            let connection = context.connection;
            context.engine.close(connection, false, context.world);
            Ok(())
        }
        Departing::Waits => Ok(()),
        Departing::Refused => Err(CommandError::text(REFUSED)),
    }
}

/// A signal asks to end the server.
pub(crate) fn signalled(engine: &mut Engine, now: Now, signal: Signal, world: &mut World<'_>) {
    let (name, directive) = match signal {
        Signal::Terminate => ("SIGTERM", Directive::ShutdownOnSigterm),
        Signal::Interrupt => ("SIGINT", Directive::ShutdownOnSigint),
    };
    tracing::warn!("Received {name} scheduling shutdown...");
    if engine.cron.is_paused {
        engine.cron.pending_signal = Some(signal);
        return;
    }
    tracing::warn!("User requested shutdown...");
    let mode = engine.config.shutdown_mode(directive);
    if engine.depart(now, mode, None, world) == Departing::Refused {
        tracing::warn!(
            "{name} received but errors trying to shut down the server, check the logs for more information"
        );
    }
}

/// What who asked is told of a server that stays.
pub(crate) const REFUSED: &str = "ERR Errors trying to SHUTDOWN. Check logs.";

/// Saves, syncs, and asks for the end. An error leaves the server as it was.
pub(crate) fn leave(
    engine: &mut Engine,
    now: Now,
    mode: ShutdownMode,
    world: &mut World<'_>,
) -> Result<(), ()> {
    // What is loaded by half, or not at all, must not take the place of what was saved.
    let mode = match engine.load.is_some() || !engine.is_started {
        true => ShutdownMode { save: false, no_save: true, ..mode },
        false => mode,
    };
    let phase = engine.durability.log_mut().map(|log| log.phase());
    let is_wanted = engine.config.bool(Directive::AppendOnly);
    // Before its first file is there, a log that was switched on is still off.
    let is_beginning = phase == Some(tenon_aof::Phase::Waiting)
        || phase == Some(tenon_aof::Phase::Off) && engine.snapshots.running() == Some(Kind::Rewrite);
    // While a script runs it cannot come to be complete: who ends that script by the server's end has no other way.
    let may_wait = engine.scripts.running.is_none();
    if is_beginning && is_wanted && may_wait && !mode.force {
        // What replaces the dump as the truth is not complete yet.
        tracing::warn!("Writing initial AOF, can't exit.");
        return Err(());
    }
    (engine.tell_supervisor)(Milestone::Stopping);
    engine.abort_save();
    if engine.abort_backup() {
        tracing::warn!(
            "A backup was being written: it is given up, and what is left of it is not to be used"
        );
    }
    engine.name_place();
    engine.append_sealed(now, world);
    if let Some(log) = engine.durability.log_mut()
        && log.phase() != tenon_aof::Phase::Off
    {
        tracing::info!("Calling fsync() on the AOF file.");
        if let Err(error) = log.sync_now(now) {
            tracing::warn!("Fsync of the AOF file failed: {error}");
            if !mode.force {
                return Err(());
            }
        }
    }
    let is_saved = mode.save || (!engine.config.save_points().is_empty() && !mode.no_save);
    if is_saved {
        match save_at_last(engine, now, world) {
            LastSave::Made => {}
            LastSave::Failed if mode.force => {}
            LastSave::Failed => return Err(()),
            LastSave::GivenUp => {
                world.outputs.request(Output::Exit { code: 1 });
                return Ok(());
            }
        }
    }
    tracing::warn!("Tenon is now ready to exit, bye bye...");
    world.outputs.request(Output::Exit { code: 0 });
    engine.give_up_load();
    Ok(())
}

/// How the save at the end came out.
enum LastSave {
    Made,
    Failed,
    /// Who asked for the end asked again, and does not wait for it.
    GivenUp,
}

fn save_at_last(engine: &mut Engine, now: Now, world: &mut World<'_>) -> LastSave {
    tracing::info!("Saving the final RDB snapshot before exiting.");
    (engine.tell_supervisor)(Milestone::Saving);
    let mut is_insisted = false;
    let saved = engine.save_while(now, world, |world| {
        is_insisted |= world.interlude.signal() == Some(Signal::Interrupt);
        !is_insisted
    });
    if is_insisted {
        tracing::warn!("You insist... exiting now.");
        return LastSave::GivenUp;
    }
    if saved.is_err() {
        tracing::warn!("Error trying to save the DB, can't exit.");
        return LastSave::Failed;
    }
    LastSave::Made
}

#[cfg(test)]
mod tests {
    use tenon_base::{Input, Signal};

    use crate::testing::Bench;

    fn interrupted(meanwhile: Option<Signal>) -> Option<i32> {
        let mut bench = Bench::new(&[("save", "900 1"), ("rdb-key-save-delay", "1000000")]);
        bench.run(1, "SET k 1");
        if let Some(signal) = meanwhile {
            bench.meanwhile_signalled(signal);
        }
        bench.input(Input::Signal(Signal::Interrupt));
        bench.settle();
        bench.exit_code
    }

    #[test]
    fn who_interrupts_the_last_save_insists() {
        assert_eq!(interrupted(None), Some(0));
        assert_eq!(interrupted(Some(Signal::Terminate)), Some(0), "it ends already");
        assert_eq!(interrupted(Some(Signal::Interrupt)), Some(1));
    }
}
