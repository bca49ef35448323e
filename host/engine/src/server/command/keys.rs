//! COMMAND GETKEYS and GETKEYSANDFLAGS: the keys of a request that is not run.

use tenon_commands::{CommandError, Flags, KeyFlags, KeySpec, Outcome, key_positions};
use tenon_resp::Args;

use super::entry::write_key_flags;
use crate::server::ServerContext;
use crate::table::{Command, CommandTable};

pub(super) fn keys(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let request = args.rest(2);
    let (mut reply, table) = context.reply_and_commands();
    let found = find(table, request)?;
    reply.array(found.len());
    found.iter().for_each(|&(at, _)| reply.bulk(request.get(at)));
    Ok(())
}

pub(super) fn keys_and_flags(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let request = args.rest(2);
    let (mut reply, table) = context.reply_and_commands();
    let found = find(table, request)?;
    reply.array(found.len());
    for (at, flags) in found {
        reply.array(2);
        reply.bulk(request.get(at));
        write_key_flags(&mut reply, flags);
    }
    Ok(())
}

/// Where the keys of `request` are, and what it does with them.
fn find(table: &CommandTable, request: Args<'_>) -> Result<Vec<(usize, KeyFlags)>, CommandError> {
    let command = resolve(table, request).ok_or(CommandError::text("ERR Invalid command specified"))?;
    let specs = || command.keys.iter().filter(|spec| !spec.flags.has(KeyFlags::NOT_KEY));
    if specs().next().is_none() {
        return Err(CommandError::text("ERR The command has no key arguments"));
    }
    if !command.accepts(request.len()) {
        return Err(CommandError::text("ERR Invalid number of arguments specified for command"));
    }
    let mut found = Vec::new();
    for spec in specs() {
        let Some(range) = key_positions(spec, request) else { continue };
        let flags = flags_in(command, spec, request);
        found.extend(range.positions().map(|at| (at, flags)));
    }
    if found.is_empty() && !command.flags.has(Flags::NO_MANDATORY_KEYS) {
        return Err(CommandError::text("ERR Invalid arguments specified for command"));
    }
    Ok(found)
}

fn resolve<'a>(table: &'a CommandTable, request: Args<'_>) -> Option<&'a Command> {
    let id = table.find(request.get(0))?;
    match request.try_get(1) {
        Some(word) if !table[id].subcommands.is_empty() => table.find_subcommand(id, word),
        _ => Some(id),
    }
    .map(|id| &table[id])
}

/// What depends on other arguments is narrowed down to what this request does.
fn flags_in(command: &Command, spec: &KeySpec, request: Args<'_>) -> KeyFlags {
    if !spec.flags.has(KeyFlags::VARIABLE_FLAGS) {
        return spec.flags;
    }
    let has = |word: &[u8]| request.rest(3).iter().any(|found| found.eq_ignore_ascii_case(word));
    match command.name {
        // It reads the old value only if that is asked for.
        "set" if has(b"GET") => KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::UPDATE),
        "set" => KeyFlags::OW.and(KeyFlags::UPDATE),
        _ => spec.flags,
    }
}
