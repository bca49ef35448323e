//! EVAL, EVALSHA, FCALL and those of them that only read; SCRIPT. FUNCTION is in `scripting/function`; what running a
//! script means is in `scripts`.

mod function;
mod table;

pub(super) use table::COMMANDS;

use std::sync::Arc;

use tenon_commands::{CommandError, Outcome, Words};
use tenon_resp::Args;
use tenon_script::{Stepping, script_head, sha1_hex};

use super::ServerContext;
use crate::gates;
use crate::scripts::{Call, Runnable, runnable};
use crate::session::Debugs;

/// What a script has written cannot be taken back without a copy of all data, which elsewhere a fork makes. Who asks
/// for it may not look at this answer (redis-cli does not), so their script is not run either.
const FORKED_DEBUG: CommandError = CommandError::text(
    "ERR SCRIPT DEBUG YES is not supported: nothing is forked here, so what the script writes would stay. Use SCRIPT \
     DEBUG SYNC (redis-cli --ldb-sync-mode) if it may",
);
const NO_SCRIPT: CommandError = CommandError::text("NOSCRIPT No matching script. Please use EVAL.");

fn eval(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    eval_text(context, args, false)
}

fn eval_ro(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    eval_text(context, args, true)
}

fn evalsha(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    eval_digest(context, args, false)
}

fn evalsha_ro(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    eval_digest(context, args, true)
}

fn fcall(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    call_function(context, args, false)
}

fn fcall_ro(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    call_function(context, args, true)
}

fn script_debug(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    if context.world.outputs.pending_bytes(context.connection.slot) > 0 {
        return Err(CommandError::text("ERR SCRIPT DEBUG must be called outside a pipeline"));
    }
    let debugs = match () {
        () if args.is(2, "YES") => Debugs::Undone,
        () if args.is(2, "SYNC") => Debugs::Here,
        () if args.is(2, "NO") => Debugs::Nothing,
        () => return Err(CommandError::text("ERR Use SCRIPT DEBUG YES/SYNC/NO")),
    };
    context.session().debugs = debugs;
    if debugs == Debugs::Undone {
        return Err(FORKED_DEBUG);
    }
    context.reply().ok();
    Ok(())
}

fn script_exists(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let found: Vec<bool> =
        args.rest(2).iter().map(|digest| context.engine.scripts.contains(digest)).collect();
    let mut reply = context.reply();
    reply.array(found.len());
    found.into_iter().for_each(|found| reply.integer(i64::from(found)));
    Ok(())
}

fn script_flush(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let is_lazy = is_lazy(context, args, "ERR SCRIPT FLUSH only support SYNC|ASYNC option")?;
    let forgotten = context.engine.scripts.flush();
    free(context, is_lazy, forgotten);
    context.reply().ok();
    Ok(())
}

fn script_help(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    context.help(
        "SCRIPT",
        &[
            "DEBUG (YES|SYNC|NO)",
            "    Whether the next EVAL is stepped through, with everybody else waiting. What it",
            "    writes stays, so YES, which elsewhere is done in a fork, is refused.",
            "EXISTS <sha1> [<sha1> ...]",
            "    Tell for each digest whether its script is kept.",
            "FLUSH [ASYNC|SYNC]",
            "    Forget all scripts; by default as lazyfree-lazy-user-flush says:",
            "    * ASYNC: free them aside.",
            "    * SYNC: free them at once.",
            "KILL",
            "    End the script that runs, unless it has written.",
            "LOAD <script>",
            "    Keep a script without running it.",
        ],
    )
}

fn script_kill(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    kill(context, false)
}

fn script_load(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let engine = &mut *context.engine;
    let script = engine.scripts.load(args.get(2), &mut engine.dice)?;
    context.reply().bulk(script.name.as_bytes());
    Ok(())
}

/// Ends what runs, if it is of this kind and has not written.
fn kill(context: &mut ServerContext<'_, '_>, ends_functions: bool) -> Outcome {
    let Some(running) = &mut context.engine.scripts.running else {
        return Err(CommandError::text("NOTBUSY No scripts in execution right now."));
    };
    if running.has_written {
        return Err(CommandError::text(
            "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait \
             the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.",
        ));
    }
    if running.is_function != ends_functions {
        return Err(running.busy());
    }
    running.is_killed = true;
    context.reply().ok();
    Ok(())
}

fn eval_text(context: &mut ServerContext<'_, '_>, args: Args<'_>, is_read_only: bool) -> Outcome {
    let keys = key_count(args)?;
    if context.session().debugs != Debugs::Nothing {
        return step_through(context, args, keys, is_read_only);
    }
    let engine = &mut *context.engine;
    let script = engine.scripts.load(args.get(1), &mut engine.dice)?;
    run(context, args, keys, script, is_read_only, false)
}

/// Runs a script with its client looking on.
fn step_through(
    context: &mut ServerContext<'_, '_>,
    args: Args<'_>,
    keys: usize,
    is_read_only: bool,
) -> Outcome {
    let is_first = context.world.outputs.pending_bytes(context.connection.slot) == 0;
    if context.engine.is_in_exec || !is_first {
        return Err(CommandError::text(
            "ERR a script is stepped through outside transactions and pipelines only",
        ));
    }
    if context.session().debugs == Debugs::Undone {
        let ServerContext { engine, connection, world, .. } = context;
        return Err(engine.end_stepping(*connection, FORKED_DEBUG, world));
    }
    let text = args.get(1);
    let (flags, code) = match script_head(text) {
        Ok(head) => head,
        Err(error) => return Err(CommandError::Text(error.into())),
    };
    gates::pass_script(context.engine, flags, is_read_only)?;
    let ServerContext { engine, connection, command, now, world } = context;
    let stepping = match Stepping::new(text, code.start, engine.dice.roll()) {
        Ok(stepping) => Box::new(stepping),
        Err(error) => {
            let text = format!("ERR Error compiling script (new function): {error}");
            return Err(engine.end_stepping(*connection, CommandError::Text(text.into()), world));
        }
    };
    engine.show_monitors(*now, *connection, *command, args, world);
    let name = String::from_utf8_lossy(&sha1_hex(text)).into_owned();
    let call = Call {
        command: *command,
        script: Arc::new(runnable(name, &stepping, flags)),
        is_function: false,
        is_read_only,
        keys: args.rest(3).first(keys),
        arguments: args.rest(3 + keys),
        request: args,
    };
    engine.step_through(*now, call, (*connection, stepping), world);
    Ok(())
}

fn eval_digest(context: &mut ServerContext<'_, '_>, args: Args<'_>, is_read_only: bool) -> Outcome {
    if args.get(1).len() != 40 {
        return Err(NO_SCRIPT);
    }
    if context.session().debugs != Debugs::Nothing {
        return Err(CommandError::text("ERR Please use EVAL instead of EVALSHA for debugging"));
    }
    let keys = key_count(args)?;
    let script = context.engine.scripts.recall(args.get(1)).ok_or(NO_SCRIPT)?;
    run(context, args, keys, script, is_read_only, false)
}

fn call_function(context: &mut ServerContext<'_, '_>, args: Args<'_>, is_read_only: bool) -> Outcome {
    let found = context.engine.scripts.libraries.recall(args.get(1));
    let function = found.ok_or(CommandError::text("ERR Function not found"))?;
    let keys = match key_count(args) {
        Err(CommandError::NotInteger) => return Err(CommandError::text("ERR Bad number of keys provided")),
        keys => keys?,
    };
    run(context, args, keys, function, is_read_only, true)
}

fn run(
    context: &mut ServerContext<'_, '_>,
    args: Args<'_>,
    keys: usize,
    script: Arc<Runnable>,
    is_read_only: bool,
    is_function: bool,
) -> Outcome {
    gates::pass_script(context.engine, script.flags, is_read_only)?;
    let ServerContext { engine, connection, command, now, world } = context;
    engine.show_monitors(*now, *connection, *command, args, world);
    let call = Call {
        command: *command,
        script,
        is_function,
        is_read_only,
        keys: args.rest(3).first(keys),
        arguments: args.rest(3 + keys),
        request: args,
    };
    engine.run_script(*now, *connection, call, world)
}

/// How many of the words behind the number are keys.
fn key_count(args: Args<'_>) -> Result<usize, CommandError> {
    let count = args.integer(2)?;
    if count > args.len() as i64 - 3 {
        return Err(CommandError::text("ERR Number of keys can't be greater than number of args"));
    }
    usize::try_from(count).map_err(|_| CommandError::text("ERR Number of keys can't be negative"))
}

/// Whether a flush is to free aside.
fn is_lazy(
    context: &ServerContext<'_, '_>,
    args: Args<'_>,
    refusal: &'static str,
) -> Result<bool, CommandError> {
    match args.len() {
        2 => Ok(context.engine.limits.lazy_user_flush),
        3 if args.is(2, "SYNC") => Ok(false),
        3 if args.is(2, "ASYNC") => Ok(true),
        _ => Err(CommandError::text(refusal)),
    }
}

/// Frees what was forgotten, here or aside.
fn free(context: &mut ServerContext<'_, '_>, is_lazy: bool, forgotten: impl Send + 'static) {
    if is_lazy {
        context.engine.free_elsewhere(forgotten, context.world);
    }
}
