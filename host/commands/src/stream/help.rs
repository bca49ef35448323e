//! What XGROUP and XINFO say about themselves: their HELP, and how they refuse words.

use tenon_resp::Args;

use crate::{CommandError, Context, Outcome, quoted};

/// Longer subcommands are cut where they are quoted.
const QUOTED_BYTES_MAX: usize = 128;

const XGROUP: [&str; 16] = [
    "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CREATE <key> <groupname> <id|$> [option]",
    "    Create a group that goes on behind <id>, or behind what is there ($). Options:",
    "    * MKSTREAM",
    "      Create the stream, too, if there is none.",
    "    * ENTRIESREAD entries_read",
    "      How many entries the group counts as read (for logs and replicas).",
    "CREATECONSUMER <key> <groupname> <consumer>",
    "    Create a consumer in a group.",
    "DELCONSUMER <key> <groupname> <consumer>",
    "    Remove a consumer and what is pending for it.",
    "DESTROY <key> <groupname>",
    "    Remove a group.",
    "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
    "    Let a group go on behind another ID.",
    "HELP",
];

const XINFO: [&str; 8] = [
    "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CONSUMERS <key> <groupname>",
    "    Show the consumers of a group.",
    "GROUPS <key>",
    "    Show the groups of a stream.",
    "STREAM <key> [FULL [COUNT <count>]",
    "    Show a stream.",
    "HELP",
];

pub(super) fn xgroup(ctx: &mut Context<'_>, _: Args<'_>) -> Outcome {
    write(ctx, &XGROUP)
}

pub(super) fn xinfo(ctx: &mut Context<'_>, _: Args<'_>) -> Outcome {
    write(ctx, &XINFO)
}

/// A word that is no subcommand.
pub(super) fn unknown(_: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let (word, parent) = misused_words(args);
    Err(CommandError::Text(format!("ERR unknown subcommand '{word}'. Try {parent} HELP.").into()))
}

/// A subcommand with words that do not belong to it.
pub(super) fn misused(args: Args<'_>) -> CommandError {
    let (word, parent) = misused_words(args);
    let text =
        format!("ERR unknown subcommand or wrong number of arguments for '{word}'. Try {parent} HELP.");
    CommandError::Text(text.into())
}

/// There is no such stream or group.
pub(super) fn no_key_or_group(key: &[u8], group: &[u8]) -> CommandError {
    let (key, group) = (quoted(key), quoted(group));
    CommandError::Text(format!("NOGROUP No such key '{key}' or consumer group '{group}'").into())
}

/// The stream has no such group.
pub(super) fn no_group(key: &[u8], group: &[u8]) -> CommandError {
    let (key, group) = (quoted(key), quoted(group));
    CommandError::Text(format!("NOGROUP No such consumer group '{group}' for key name '{key}'").into())
}

/// The subcommand, and the command in capitals.
fn misused_words(args: Args<'_>) -> (String, String) {
    let word = args.get(1);
    (quoted(&word[..word.len().min(QUOTED_BYTES_MAX)]), quoted(args.get(0)).to_ascii_uppercase())
}

fn write(ctx: &mut Context<'_>, lines: &[&str]) -> Outcome {
    ctx.reply.array(lines.len() + 1);
    lines.iter().for_each(|line| ctx.reply.simple(line));
    ctx.reply.simple("    Print this help.");
    Ok(())
}
