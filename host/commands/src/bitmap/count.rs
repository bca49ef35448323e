//! Bits counted and looked for: BITCOUNT and BITPOS. Always: a range is a first and a last bit that lie within the
//! string, or there is none.

use tenon_keyspace::INTEGER_TEXT_BYTES;
use tenon_resp::Args;

use super::words;
use crate::{CommandError, Context, Outcome, Words};

/// What the ends of a range count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Byte,
    Bit,
}

/// Bits from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: usize,
    last: usize,
}

pub(super) fn bitcount(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let Some(text) = ctx.db.text(args.get(1))? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let mut scratch = [0; INTEGER_TEXT_BYTES];
    let bytes = text.bytes(&mut scratch);
    let range = match args.len() {
        2 => Range::of(bytes, 0, -1, Unit::Byte),
        4 | 5 => {
            let (start, end) = (args.integer(2)?, args.integer(3)?);
            // As Redis has it, such a range is empty whatever follows it.
            if start < 0 && end < 0 && start > end {
                None
            } else {
                Range::of(bytes, start, end, unit(args, 4)?)
            }
        }
        _ => return Err(CommandError::Syntax),
    };
    ctx.reply.integer(range.map_or(0, |range| range.count(bytes)) as i64);
    Ok(())
}

pub(super) fn bitpos(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let bit = match args.integer(2)? {
        0 => false,
        1 => true,
        _ => return Err(CommandError::text("ERR The bit argument must be 1 or 0.")),
    };
    let Some(text) = ctx.db.text(args.get(1))? else {
        ctx.reply.integer(if bit { -1 } else { 0 });
        return Ok(());
    };
    let mut scratch = [0; INTEGER_TEXT_BYTES];
    let bytes = text.bytes(&mut scratch);
    let range = match args.len() {
        3 => Range::of(bytes, 0, -1, Unit::Byte),
        4 => Range::of(bytes, args.integer(3)?, -1, Unit::Byte),
        5 | 6 => {
            let (start, unit) = (args.integer(3)?, unit(args, 5)?);
            Range::of(bytes, start, args.integer(4)?, unit)
        }
        _ => return Err(CommandError::Syntax),
    };
    // Who gives no end looks beyond the string, where all bits are clear.
    let is_open = args.len() < 5 && !bit;
    let position = range.and_then(|range| range.find(bytes, bit).or(is_open.then_some(bytes.len() * 8)));
    ctx.reply.integer(position.map_or(-1, |position| position as i64));
    Ok(())
}

fn unit(args: Args<'_>, index: usize) -> Result<Unit, CommandError> {
    if index >= args.len() || args.is(index, "BYTE") {
        Ok(Unit::Byte)
    } else if args.is(index, "BIT") {
        Ok(Unit::Bit)
    } else {
        Err(CommandError::Syntax)
    }
}

impl Range {
    /// From `start` to `end`, both included, counted from the end where negative; `None` if nothing lies there.
    fn of(bytes: &[u8], start: i64, end: i64, unit: Unit) -> Option<Range> {
        let total = match unit {
            Unit::Byte => bytes.len() as i64,
            Unit::Bit => bytes.len() as i64 * 8,
        };
        let from_front = |at: i64| if at < 0 { (total + at).max(0) } else { at };
        let (start, end) = (from_front(start), from_front(end).min(total - 1));
        if start > end {
            return None;
        }
        let (start, end) = (start as usize, end as usize);
        Some(match unit {
            Unit::Byte => Range { first: start * 8, last: end * 8 + 7 },
            Unit::Bit => Range { first: start, last: end },
        })
    }

    /// How many of the bits are set.
    fn count(self, bytes: &[u8]) -> usize {
        let (head, tail) = (bytes[self.first / 8], bytes[self.last / 8]);
        let before = head & !(0xFF >> (self.first % 8));
        let behind = tail & (0x7F >> (self.last % 8));
        let around = before.count_ones() + behind.count_ones();
        words::count_ones(&bytes[self.first / 8..=self.last / 8]) - around as usize
    }

    /// The first of the bits that is `bit`.
    fn find(self, bytes: &[u8], bit: bool) -> Option<usize> {
        let head = if bit { bytes[self.first / 8] } else { !bytes[self.first / 8] };
        let head = head & (0xFF >> (self.first % 8));
        let behind_head = self.first / 8 + 1;
        let position = if head != 0 {
            self.first / 8 * 8 + head.leading_zeros() as usize
        } else {
            behind_head * 8 + words::find(&bytes[behind_head..(self.last / 8 + 1).max(behind_head)], bit)?
        };
        (position <= self.last).then_some(position)
    }
}
