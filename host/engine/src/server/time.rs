//! TIME and LOLWUT.

use tenon_commands::{Argument, Categories, Flags, Group, Outcome, Row, Words};
use tenon_resp::Args;

use super::{ServerContext, ServerHandler};

/// In alphabetical order.
pub(super) static COMMANDS: &[Row<ServerHandler>] = &[
    Row {
        name: "lolwut",
        run: lolwut,
        arity: -1,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[],
        categories: Categories::NONE,
        tips: &[],
        group: Group::Server,
        since: "5.0.0",
        complexity: "",
        summary: "Draws something, and tells the version.",
        arguments: &[Argument::integer("version").after("VERSION").optional()],
        subcommands: &[],
    },
    Row {
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
    },
];

/// A beam with its tenons: the width of the drawing.
const COLUMNS: usize = 40;
const ROWS: usize = 5;

/// Timber joints, each time in another pattern.
fn lolwut(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    // One picture serves every version, but a version is a number.
    if args.len() >= 3 && args.is(1, "VERSION") {
        args.integer(2)?;
    }
    let mut text = String::new();
    for row in 0..ROWS {
        let bits = context.engine.dice.roll();
        for column in 0..COLUMNS {
            // Mortise and tenon: what stands out of one beam is missing in the next.
            let is_out = (bits >> column) & 1 == 1;
            text.push(match (row % 2 == 0, is_out) {
                (true, true) => '▀',
                (true, false) => '█',
                (false, true) => '▄',
                (false, false) => '░',
            });
        }
        text.push('\n');
    }
    text.push_str(&format!("\nTenon {}. Redis ver. {}\n", crate::TENON_VERSION, crate::REDIS_VERSION));
    context.reply().verbatim(b"txt", text.as_bytes());
    Ok(())
}

fn time(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let unix_us = context.world.stopwatch.unix_us();
    let mut reply = context.reply();
    reply.array(2);
    reply.bulk_integer(unix_us.div_euclid(1_000_000));
    reply.bulk_integer(unix_us.rem_euclid(1_000_000));
    Ok(())
}
