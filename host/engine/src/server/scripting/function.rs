//! FUNCTION: libraries as data. They are propagated by the commands that change them, and saved as their texts.

use tenon_base::glob_matches_ignore_case;
use tenon_commands::{CommandError, Outcome, Words};
use tenon_resp::{Args, Reply};
use tenon_script::ScriptFlags;

use super::{free, is_lazy, kill};
use crate::engine::Engine;
use crate::scripts::{Library, Loading, RestorePolicy};
use crate::server::ServerContext;

/// What an error shows of a word.
const SHOWN_CHARS: usize = 128;

pub(super) fn function_delete(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let name = std::str::from_utf8(args.get(2)).ok();
    let removed = name.and_then(|name| context.engine.scripts.libraries.remove(name));
    removed.ok_or(CommandError::text("ERR Library not found"))?;
    context.engine.unit.dirty += 1;
    context.reply().ok();
    Ok(())
}

pub(super) fn function_dump(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let texts = context.engine.scripts.libraries.texts();
    let payload = tenon_rdb::dump_functions(&texts, &context.engine.limits.payload);
    context.reply().bulk(&payload);
    Ok(())
}

pub(super) fn function_flush(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    if args.len() > 3 {
        let word = String::from_utf8_lossy(args.get(1));
        let text = format!(
            "ERR unknown subcommand or wrong number of arguments for '{}'. Try FUNCTION HELP.",
            word.chars().take(SHOWN_CHARS).collect::<String>()
        );
        return Err(CommandError::Text(text.into()));
    }
    let is_lazy = is_lazy(context, args, "ERR FUNCTION FLUSH only supports SYNC|ASYNC option")?;
    let forgotten = context.engine.scripts.libraries.flush();
    context.engine.scripts.function_vm_bytes = 0;
    free(context, is_lazy, forgotten);
    context.engine.unit.dirty += 1;
    context.reply().ok();
    Ok(())
}

pub(super) fn function_help(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    context.help(
        "FUNCTION",
        &[
            "DELETE <LIBRARY NAME>",
            "    Remove a library and its functions.",
            "DUMP",
            "    Tell all libraries as a payload for FUNCTION RESTORE.",
            "FLUSH [ASYNC|SYNC]",
            "    Remove all libraries; by default as lazyfree-lazy-user-flush says:",
            "    * ASYNC: free them aside.",
            "    * SYNC: free them at once.",
            "KILL",
            "    End the function that runs, unless it has written.",
            "LIST [LIBRARYNAME PATTERN] [WITHCODE]",
            "    Tell libraries: names, engines, functions and, if asked for, their texts.",
            "LOAD [REPLACE] <FUNCTION CODE>",
            "    Make a library of a text.",
            "RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
            "    Make libraries of a payload. What happens to those that are there:",
            "    * FLUSH: all are removed.",
            "    * APPEND: they stay; one of the same name is an error. The default.",
            "    * REPLACE: one of the same name is replaced. A function of the same name is an error.",
            "STATS",
            "    Tell which function runs, what called it and for how long, and how many there are.",
        ],
    )
}

pub(super) fn function_kill(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    kill(context, true)
}

pub(super) fn function_list(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let (mut pattern, mut shows_code) = (None, false);
    let mut index = 2;
    while index < args.len() {
        if !shows_code && args.is(index, "WITHCODE") {
            shows_code = true;
        } else if pattern.is_none() && args.is(index, "LIBRARYNAME") {
            index += 1;
            let given = args.try_get(index);
            pattern = Some(given.ok_or(CommandError::text("ERR library name argument was not given"))?);
        } else {
            let word = String::from_utf8_lossy(args.get(index));
            return Err(CommandError::Text(format!("ERR Unknown argument {word}").into()));
        }
        index += 1;
    }
    let ServerContext { engine, connection, world, .. } = context;
    let Some(session) = engine.sessions.get(*connection) else { return Ok(()) };
    let mut reply = Reply::new(world.outputs.writer(*connection), session.proto);
    let is_wanted = |library: &&Library| {
        pattern.is_none_or(|pattern| glob_matches_ignore_case(pattern, library.name.as_bytes()))
    };
    let wanted: Vec<&Library> = engine.scripts.libraries.iter().filter(is_wanted).collect();
    reply.array(wanted.len());
    wanted.into_iter().for_each(|library| write_library(&mut reply, library, shows_code));
    Ok(())
}

fn write_library(reply: &mut Reply<'_>, library: &Library, shows_code: bool) {
    reply.map(if shows_code { 4 } else { 3 });
    reply.bulk(b"library_name");
    reply.bulk(library.name.as_bytes());
    reply.bulk(b"engine");
    reply.bulk(b"LUA");
    reply.bulk(b"functions");
    reply.array(library.functions.len());
    for function in &library.functions {
        reply.map(3);
        reply.bulk(b"name");
        reply.bulk(function.name.as_bytes());
        reply.bulk(b"description");
        reply.bulk_or_null(function.description.as_deref());
        reply.bulk(b"flags");
        write_flags(reply, function.flags);
    }
    if shows_code {
        reply.bulk(b"library_code");
        reply.bulk(&library.text);
    }
}

fn write_flags(reply: &mut Reply<'_>, flags: ScriptFlags) {
    reply.set(flags.names().count());
    flags.names().for_each(|name| reply.simple(name));
}

pub(super) fn function_load(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let (text, replaces) = parse_load(args)?;
    let name = with_loading(context, |libraries, loading| libraries.load(text, replaces, loading))?;
    context.engine.unit.dirty += 1;
    context.reply().bulk(name.as_bytes());
    Ok(())
}

pub(super) fn function_restore(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let (texts, policy) = parse_restore(args)?;
    with_loading(context, |libraries, loading| libraries.restore(&texts, policy, loading))?;
    context.engine.unit.dirty += 1;
    context.reply().ok();
    Ok(())
}

/// Changes libraries by code that runs while it is loaded.
fn with_loading<R>(
    context: &mut ServerContext<'_, '_>,
    act: impl FnOnce(&mut crate::scripts::Libraries, &mut Loading<'_>) -> Result<R, String>,
) -> Result<R, CommandError> {
    let began = context.world.stopwatch.read();
    let seed = context.engine.dice.roll();
    let mut loading = Loading { stopwatch: Some((context.world.stopwatch, began)), seed };
    let scripts = &mut context.engine.scripts;
    let result = act(&mut scripts.libraries, &mut loading);
    scripts.function_vm_bytes = scripts.libraries.vm_bytes();
    result.map_err(|error| CommandError::Text(error.into()))
}

pub(super) fn function_stats(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let now = context.world.stopwatch.read();
    let ServerContext { engine, connection, world, .. } = context;
    let scripts = &engine.scripts;
    if let Some(running) = scripts.running.as_ref().filter(|running| !running.is_function) {
        return Err(running.busy());
    }
    let Some(session) = engine.sessions.get(*connection) else { return Ok(()) };
    let mut reply = Reply::new(world.outputs.writer(*connection), session.proto);
    reply.map(2);
    reply.bulk(b"running_script");
    match &scripts.running {
        None => reply.null(),
        Some(running) => {
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(running.script.name.as_bytes());
            reply.bulk(b"command");
            let request = running.request.as_args();
            reply.array(request.len());
            request.iter().for_each(|word| reply.bulk(word));
            reply.bulk(b"duration_ms");
            reply.integer(now.since(running.began).millis() as i64);
        }
    }
    reply.bulk(b"engines");
    reply.map(1);
    reply.bulk(b"LUA");
    reply.map(2);
    reply.bulk(b"libraries_count");
    reply.integer(scripts.libraries.len() as i64);
    reply.bulk(b"functions_count");
    reply.integer(scripts.libraries.function_count() as i64);
    Ok(())
}

/// A library's text, and whether it may replace one.
fn parse_load(args: Args<'_>) -> Result<(&[u8], bool), CommandError> {
    let last = args.len() - 1;
    let mut replaces = false;
    for index in 2..last {
        if !args.is(index, "REPLACE") {
            let word = String::from_utf8_lossy(args.get(index));
            return Err(CommandError::Text(format!("ERR Unknown option given: {word}").into()));
        }
        replaces = true;
    }
    if last < 2 {
        return Err(CommandError::text("ERR Function code is missing"));
    }
    Ok((args.get(last), replaces))
}

/// The libraries of a payload, and what happens to those that are there.
fn parse_restore(args: Args<'_>) -> Result<(Vec<Vec<u8>>, RestorePolicy), CommandError> {
    let policy = match args.len() {
        3 => RestorePolicy::Append,
        4 if args.is(3, "APPEND") => RestorePolicy::Append,
        4 if args.is(3, "REPLACE") => RestorePolicy::Replace,
        4 if args.is(3, "FLUSH") => RestorePolicy::Flush,
        4 => {
            return Err(CommandError::text(
                "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
            ));
        }
        _ => {
            return Err(CommandError::text(
                "ERR unknown subcommand or wrong number of arguments for 'restore'. Try FUNCTION HELP.",
            ));
        }
    };
    let texts = tenon_rdb::restore_functions(args.get(2))
        .map_err(|error| CommandError::Text(format!("ERR {error}").into()))?;
    Ok((texts, policy))
}

impl Engine {
    /// Does what FUNCTION did that is in a log.
    pub(crate) fn replay_function(&mut self, args: Args<'_>) -> Outcome {
        let mut loading = Loading { stopwatch: None, seed: self.dice.roll() };
        let libraries = &mut self.scripts.libraries;
        let refused = |error: String| CommandError::Text(error.into());
        match args.try_get(1).map(<[u8]>::to_ascii_lowercase).as_deref() {
            Some(b"load") if args.len() > 2 => {
                let (text, replaces) = parse_load(args)?;
                libraries.load(text, replaces, &mut loading).map_err(refused)?;
            }
            Some(b"restore") if args.len() > 2 => {
                let (texts, policy) = parse_restore(args)?;
                libraries.restore(&texts, policy, &mut loading).map_err(refused)?;
            }
            Some(b"delete") if args.len() == 3 => {
                let removed = std::str::from_utf8(args.get(2)).ok().and_then(|name| libraries.remove(name));
                removed.ok_or(CommandError::text("ERR Library not found"))?;
            }
            Some(b"flush") => drop(libraries.flush()),
            _ => return Err(CommandError::text("ERR it changes no data")),
        }
        self.scripts.function_vm_bytes = self.scripts.libraries.vm_bytes();
        Ok(())
    }
}
