//! BITOP: strings combined bit by bit. Always: all sources have been looked up and are strings before the target
//! changes, and the target may be one of them.

use tenon_keyspace::{INTEGER_TEXT_BYTES, Text, TextRef, Value, ValueRef};
use tenon_resp::Args;

use super::words;
use crate::room::with_room;
use crate::store::store;
use crate::{CommandError, Context, Event, Outcome, Words};

/// So much of the result is made of all sources before the next: it stays in the nearest cache meanwhile.
const BLOCK_BYTES: usize = 8 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    And,
    Or,
    Xor,
    Not,
}

pub(super) fn bitop(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let operation = Operation::parse(args)?;
    let target = args.get(2);
    let result = with_room(args.len() - 3, None, |lengths| {
        for (length, key) in lengths.iter_mut().zip(args.rest(3)) {
            *length = ctx.db.text(key)?.map(|text| text.len());
        }
        Ok::<_, CommandError>(combine(ctx, args, operation, lengths))
    })?;
    let length = result.len();
    store(ctx, target, Value::String(Text::from_vec(result)), length, Event::SET)
}

impl Operation {
    fn parse(args: Args<'_>) -> Result<Operation, CommandError> {
        let operation = if args.is(1, "AND") {
            Operation::And
        } else if args.is(1, "OR") {
            Operation::Or
        } else if args.is(1, "XOR") {
            Operation::Xor
        } else if args.is(1, "NOT") {
            Operation::Not
        } else {
            return Err(CommandError::Syntax);
        };
        if operation == Operation::Not && args.len() != 4 {
            return Err(CommandError::text("ERR BITOP NOT must be called with a single source key."));
        }
        Ok(operation)
    }

    fn apply(self, target: &mut [u8], source: &[u8]) {
        match self {
            Operation::And => words::and(target, source),
            Operation::Or => words::or(target, source),
            Operation::Xor => words::xor(target, source),
            Operation::Not => unreachable!("NOT takes one source alone"),
        }
    }
}

/// The result for the keys of a request, whose lengths were found just before; `None` for those that are missing.
fn combine(ctx: &Context<'_>, args: Args<'_>, operation: Operation, lengths: &[Option<usize>]) -> Vec<u8> {
    let length_max = lengths.iter().copied().flatten().max().unwrap_or(0);
    let database = ctx.db.database_ref();
    with_room(lengths.len(), [0; INTEGER_TEXT_BYTES], |scratches| {
        with_room(lengths.len(), &[][..], |sources: &mut [&[u8]]| {
            let keys = args.rest(3).iter().zip(lengths).zip(scratches);
            for (source, ((key, length), scratch)) in sources.iter_mut().zip(keys) {
                if length.is_none() {
                    continue;
                }
                if let Some(ValueRef::String(text)) = database.find(key).map(|entry| entry.value()) {
                    *source = match text {
                        TextRef::Bytes(bytes) => bytes,
                        number => number.bytes(scratch),
                    };
                }
            }
            result_of(operation, sources, length_max)
        })
    })
}

/// The result of `length` bytes, which is that of the longest source.
fn result_of(operation: Operation, sources: &[&[u8]], length: usize) -> Vec<u8> {
    let mut result = Vec::with_capacity(length);
    while result.len() < length {
        let (start, end) = (result.len(), (result.len() + BLOCK_BYTES).min(length));
        result.extend_from_slice(part(sources[0], start, end));
        result.resize(end, 0);
        let block = &mut result[start..];
        if operation == Operation::Not {
            words::not(block);
        }
        for source in &sources[1..] {
            operation.apply(block, part(source, start, end));
        }
    }
    result
}

fn part(source: &[u8], start: usize, end: usize) -> &[u8] {
    &source[start.min(source.len())..end.min(source.len())]
}
