//! OBJECT: how values are kept. Always: no look-up here moves an access clock.

use std::ops::Range;

use tenon_keyspace::{Entry, TextRef, ValueRef};
use tenon_resp::Args;

use crate::{CommandError, Context, Outcome, quoted};

/// The access clock has so many bits and then begins anew.
const CLOCK_MASK: u32 = 0x00FF_FFFF;

/// Whole numbers that Redis keeps in objects for everybody, and the count of references that those have.
const SHARED_INTEGERS: Range<i64> = 0..10_000;
const SHARED: i64 = i32::MAX as i64;

const HELP: [&str; 11] = [
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    Tell the encoding in which the value of <key> is kept.",
    "FREQ <key>",
    "    Tell how often <key> is used, on a logarithmic scale. Needs an LFU policy.",
    "IDLETIME <key>",
    "    Tell how many seconds ago <key> was used last.",
    "REFCOUNT <key>",
    "    Tell how many references to the value of <key> there are.",
    "HELP",
    "    Print this help.",
];

/// OBJECT with a word that is no subcommand.
pub(super) fn unknown(_: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let shown: String = quoted(args.get(1)).chars().take(128).collect();
    Err(CommandError::Text(format!("ERR unknown subcommand '{shown}'. Try OBJECT HELP.").into()))
}

pub(super) fn encoding(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    match find(ctx, args) {
        Some(entry) => {
            let encoding = entry.encoding();
            ctx.reply.bulk(encoding.as_bytes());
        }
        None => ctx.reply.null(),
    }
    Ok(())
}

/// Frequencies are kept under an LFU policy only.
pub(super) fn freq(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    if find(ctx, args).is_some() {
        return Err(CommandError::text(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when \
             switching between policies at runtime LRU and LFU data will take some time to adjust.",
        ));
    }
    ctx.reply.null();
    Ok(())
}

pub(super) fn help(ctx: &mut Context<'_>, _: Args<'_>) -> Outcome {
    ctx.reply.array(HELP.len());
    HELP.iter().for_each(|line| ctx.reply.simple(line));
    Ok(())
}

pub(super) fn idletime(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let now = ctx.db.now().seconds() as u32;
    match find(ctx, args).map(|entry| entry.access_clock()) {
        Some(clock) => ctx.reply.integer(i64::from(now.wrapping_sub(clock) & CLOCK_MASK)),
        None => ctx.reply.null(),
    }
    Ok(())
}

/// A value belongs to its key alone; a small whole number takes no memory of its own, which Redis tells as a reference
/// to an object that everybody shares.
pub(super) fn refcount(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let is_shared = |entry: Entry<'_>| matches!(entry.value(), ValueRef::String(TextRef::Integer(number)) if SHARED_INTEGERS.contains(&number));
    match find(ctx, args) {
        Some(entry) if is_shared(entry) => ctx.reply.integer(SHARED),
        Some(_) => ctx.reply.integer(1),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn find<'c>(ctx: &'c mut Context<'_>, args: Args<'_>) -> Option<Entry<'c>> {
    ctx.db.inspect_quietly(args.get(2))
}
