//! SORT and SORT_RO: the elements of a list, a set or a sorted set in another order, by what they are or by what
//! other keys say of them.
//! Always: elements that compare equal come in Redis's order, and the work grows with n log n.

pub(crate) mod table; // read me first

mod options;
mod order;

mod pattern; // helpers
mod weight;

#[cfg(test)]
mod tests;

use std::ops::Range;

use tenon_keyspace::{Element, End, Kind, List, Value};
use tenon_resp::{Args, INTEGER_TEXT_BYTES_MAX};

use crate::element::write_element;
use crate::store::store_changes;
use crate::string::string_bytes_max;
use crate::{CommandError, Context, Event, Outcome};
use options::Options;
use pattern::Pattern;

fn sort(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    sort_by(ctx, args, true)
}

fn sort_ro(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    sort_by(ctx, args, false)
}

fn sort_by(ctx: &mut Context<'_>, args: Args<'_>, may_store: bool) -> Outcome {
    let mut options = Options::parse(args, may_store, ctx.db.keys_are_limited)?;
    let source = match ctx.db.find(args.get(1)) {
        None => Value::List(List::new()),
        // A copy, which a large collection shares: other keys are looked up while its elements are held.
        Some(entry) if matches!(entry.kind(), Kind::List | Kind::Set | Kind::Zset) => entry.to_value(),
        Some(_) => return Err(CommandError::WrongType),
    };
    // A set has no order of its own: what is stored, or seen by a script, must not depend on how it happens to lie.
    let is_unordered = source.kind() == Kind::Set && (options.target.is_some() || ctx.db.unit.is_scripted());
    if is_unordered && !options.sorts {
        (options.sorts, options.is_alpha, options.by) = (true, true, None);
    }
    let len = len_of(&source);
    let window = options.window(len);
    let elements = if options.sorts {
        let mut elements: Vec<Element<'_>> = Vec::with_capacity(len);
        elements_of(&source, &mut |element| elements.push(element));
        if is_unordered && options.is_alpha && options.by.is_some() {
            elements.sort_unstable_by(|&left, &right| order::texts(left, right));
        }
        order::sorted(ctx, elements, window, &options)?
    } else {
        native(&source, window, options.is_descending)
    };
    match options.target {
        Some(target) => store_result(ctx, target, &elements, &options.gets),
        None => reply(ctx, &elements, &options.gets),
    }
}

fn len_of(source: &Value) -> usize {
    match source {
        Value::List(list) => list.len(),
        Value::Set(set) => set.len(),
        Value::Zset(zset) => zset.len(),
        Value::String(_) | Value::Hash(_) | Value::Stream(_) => unreachable!("no such value is sorted"),
    }
}

fn elements_of<'v>(source: &'v Value, visit: &mut dyn FnMut(Element<'v>)) {
    match source {
        Value::List(list) => list.iter().for_each(visit),
        Value::Set(set) => set.iter().for_each(visit),
        Value::Zset(zset) => zset.iter().for_each(|(member, _)| visit(member)),
        Value::String(_) | Value::Hash(_) | Value::Stream(_) => unreachable!("no such value is sorted"),
    }
}

/// A part of the elements as they lie; a list and a sorted set can be read from their end.
fn native(source: &Value, window: Range<usize>, from_end: bool) -> Vec<Element<'_>> {
    let (start, count) = (window.start, window.len());
    match source {
        Value::List(_) if count == 0 => Vec::new(),
        Value::List(list) if from_end => list.range_backward(list.len() - 1 - start, count).collect(),
        Value::List(list) => list.range(start, count).collect(),
        Value::Set(set) => set.iter().skip(start).take(count).collect(),
        Value::Zset(zset) => {
            let len = zset.len();
            let ranks = if from_end { len - window.end..len - start } else { window };
            zset.range_by_rank(ranks, from_end).map(|(member, _)| member).collect()
        }
        Value::String(_) | Value::Hash(_) | Value::Stream(_) => unreachable!("no such value is sorted"),
    }
}

/// What is said where the keys that GET names hold so much that the result passes all bounds.
const RESULT_TOO_LONG: CommandError = CommandError::text("ERR the result of SORT would be too long");

fn reply(ctx: &mut Context<'_>, elements: &[Element<'_>], gets: &[Pattern<'_>]) -> Outcome {
    if gets.is_empty() {
        ctx.reply.array(elements.len());
        elements.iter().for_each(|&element| write_element(&mut ctx.reply, element));
        return Ok(());
    }
    let start = ctx.reply.position();
    ctx.reply.array(elements.len() * gets.len());
    let mut key = Vec::new();
    for &element in elements {
        for pattern in gets {
            match pattern.look_up(&mut ctx.db, element, &mut key) {
                Some(found) => write_element(&mut ctx.reply, found),
                None => ctx.reply.null(),
            }
        }
        // One value may be told once for every element: the reply can be longer than all that is in memory.
        if ctx.reply.position() - start > ctx.limits.string_bytes_max {
            ctx.reply.truncate(start);
            return Err(RESULT_TOO_LONG);
        }
    }
    Ok(())
}

fn store_result(
    ctx: &mut Context<'_>,
    target: &[u8],
    elements: &[Element<'_>],
    gets: &[Pattern<'_>],
) -> Outcome {
    let (mut list, limits, bytes_max) = (List::new(), &ctx.limits.list, string_bytes_max(ctx));
    let mut text = [0; INTEGER_TEXT_BYTES_MAX];
    let (mut key, mut bytes) = (Vec::new(), 0);
    for &element in elements {
        if gets.is_empty() {
            list.push(End::Back, element.as_bytes(&mut text), limits);
        }
        for pattern in gets {
            let found = pattern.look_up(&mut ctx.db, element, &mut key).unwrap_or(Element::Bytes(b""));
            let found = found.as_bytes(&mut text);
            list.push(End::Back, found, limits);
            bytes += found.len();
        }
        if bytes > bytes_max {
            return Err(RESULT_TOO_LONG);
        }
    }
    let len = list.len();
    store_changes(ctx, target, Value::List(list), len, Event::SORTSTORE, len)
}
