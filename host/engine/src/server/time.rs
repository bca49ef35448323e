//! TIME.

use tenon_commands::{Categories, Flags, Group, Outcome, Row};
use tenon_resp::Args;

use super::{ServerContext, ServerHandler};

/// In alphabetical order.
pub(super) static COMMANDS: &[Row<ServerHandler>] = &[Row {
    name: "time",
    run: time,
    arity: 1,
    flags: Flags::LOADING.and(Flags::STALE).and(Flags::FAST),
    keys: &[],
    categories: Categories::NONE,
    tips: &["nondeterministic_output"],
    group: Group::Server,
    since: "2.6.0",
    complexity: "O(1)",
    summary: "Tells the server's time.",
    arguments: &[],
    subcommands: &[],
}];

fn time(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    // Within a script time stands still.
    let is_still = context.engine.scripts.running.is_some();
    let unix_us = if is_still { context.now.unix_us } else { context.world.stopwatch.unix_us() };
    let mut reply = context.reply();
    reply.array(2);
    reply.bulk_integer(unix_us.div_euclid(1_000_000));
    reply.bulk_integer(unix_us.rem_euclid(1_000_000));
    Ok(())
}
