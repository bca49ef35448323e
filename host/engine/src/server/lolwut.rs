//! LOLWUT: a drawing, and the version below it.
//! Always: the drawing is of a bounded size, and the last line ends with the version.

use tenon_base::Dice;
use tenon_commands::{Argument, Categories, CommandError, Flags, Group, Outcome, Row, Words};
use tenon_resp::Args;

use super::{ServerContext, ServerHandler};

/// One row.
pub(super) static COMMANDS: &[Row<ServerHandler>] = &[Row {
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
}];

/// How large the drawing is, unless told otherwise.
const COLUMNS: i64 = 40;
const BEAMS: i64 = 5;
/// How large it can be.
const COLUMNS_MAX: i64 = 1_000;
const BEAMS_MAX: i64 = 200;

/// LOLWUT [VERSION number [columns [beams]]]: every version draws the same kind of thing here.
fn lolwut(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let (mut columns, mut beams) = (COLUMNS, BEAMS);
    if args.len() >= 3 && args.is(1, "VERSION") {
        args.integer(2)?;
        columns = size_at(args, 3, COLUMNS, COLUMNS_MAX)?;
        beams = size_at(args, 4, BEAMS, BEAMS_MAX)?;
    }
    let mut text = drawing(columns, beams, &mut context.engine.dice);
    text.push_str(&format!("\nTenon {}. Redis ver. {}\n", crate::TENON_VERSION, crate::REDIS_VERSION));
    context.reply().verbatim(b"txt", text.as_bytes());
    Ok(())
}

fn size_at(args: Args<'_>, index: usize, standard: i64, max: i64) -> Result<i64, CommandError> {
    if index < args.len() { Ok(args.integer(index)?.clamp(1, max)) } else { Ok(standard) }
}

/// Timber joints, each time in another pattern.
fn drawing(columns: i64, beams: i64, dice: &mut Dice) -> String {
    let mut text = String::new();
    for beam in 0..beams {
        for _ in 0..columns {
            // Mortise and tenon: what stands out of one beam is missing in the next.
            text.push(match (beam % 2 == 0, dice.below(2) == 1) {
                (true, true) => '▀',
                (true, false) => '█',
                (false, true) => '▄',
                (false, false) => '░',
            });
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_has_the_size_asked_for() {
        let text = drawing(7, 3, &mut Dice::seeded(1));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.chars().count() == 7), "{text}");
    }
}
