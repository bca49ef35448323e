//! Commands that push and pop at the ends of lists, and move elements from one end to another.

use tenon_keyspace::{End, List, Value};
use tenon_resp::{Args, INTEGER_TEXT_BYTES_MAX, format_integer};

use crate::amount::{NOT_POSITIVE, at_least};
use crate::element::{bulk_since, write_element};
use crate::{CommandError, Context, Event, Outcome, Words};

/// Both keys were looked up before anything was changed.
const FOUND: &str = "a list that was found a moment ago";
const NOT_EMPTY: &str = "a stored list has an element";

pub(super) fn lmove(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let (from, to) = (end_at(args, 3)?, end_at(args, 4)?);
    transfer(ctx, args.get(1), args.get(2), from, to)
}

pub(super) fn lmpop(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let demand = MultiPop::read(args, 1)?;
    if !pop_first(ctx, args, &demand)? {
        ctx.reply.null_array();
    }
    Ok(())
}

pub(super) fn lpop(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    pop(ctx, args, End::Front)
}

pub(super) fn lpush(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    push(ctx, args, End::Front, true)
}

pub(super) fn lpushx(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    push(ctx, args, End::Front, false)
}

pub(super) fn rpop(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    pop(ctx, args, End::Back)
}

pub(super) fn rpoplpush(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    transfer(ctx, args.get(1), args.get(2), End::Back, End::Front)
}

pub(super) fn rpush(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    push(ctx, args, End::Back, true)
}

pub(super) fn rpushx(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    push(ctx, args, End::Back, false)
}

fn push(ctx: &mut Context<'_>, args: Args<'_>, end: End, may_create: bool) -> Outcome {
    let (key, elements, limits) = (args.get(1), args.rest(2), &ctx.limits.list);
    let len = if let Some(mut list) = ctx.db.list_mut(key)? {
        list.extend(end, elements, limits);
        list.len()
    } else if may_create {
        let mut list = List::new();
        list.extend(end, elements, limits);
        ctx.db.insert(key, Value::List(list), None);
        elements.len()
    } else {
        ctx.reply.integer(0);
        return Ok(());
    };
    ctx.wrote(key, pushed(end), elements.len());
    ctx.reply.integer(len as i64);
    Ok(())
}

fn pop(ctx: &mut Context<'_>, args: Args<'_>, end: End) -> Outcome {
    let key = args.get(1);
    match args.len() {
        2 => return pop_one(ctx, key, end),
        3 => {}
        _ => return Err(CommandError::arity(popped(end).name)),
    }
    let count = at_least(args, 2, 0, NOT_POSITIVE)?;
    if count == 0 {
        match ctx.db.list_mut(key)? {
            Some(_) => ctx.reply.array(0),
            None => ctx.reply.null_array(),
        }
    } else if pop_some(ctx, key, end, count, false)?.is_none() {
        ctx.reply.null_array();
    }
    Ok(())
}

fn pop_one(ctx: &mut Context<'_>, key: &[u8], end: End) -> Outcome {
    let limits = &ctx.limits.list;
    let Some(mut list) = ctx.db.list_mut(key)? else {
        ctx.reply.null();
        return Ok(());
    };
    list.pop_with(end, limits, |element| write_element(&mut ctx.reply, element)).expect(NOT_EMPTY);
    let is_empty = list.is_empty();
    drop(list);
    took(ctx, key, end, 1, is_empty);
    Ok(())
}

/// What LMPOP and BLMPOP ask for.
pub(super) struct MultiPop {
    /// Which words are keys.
    pub(super) keys: std::ops::Range<usize>,
    end: End,
    count: usize,
}

impl MultiPop {
    /// Reads the words from the number of keys on.
    pub(super) fn read(args: Args<'_>, at: usize) -> Result<MultiPop, CommandError> {
        let keys = at_least(args, at, 1, "ERR numkeys should be greater than 0")?;
        let place =
            keys.checked_add(at + 1).filter(|&place| place < args.len()).ok_or(CommandError::Syntax)?;
        let end = end_at(args, place)?;
        let mut words = place + 1;
        let mut count = 1;
        if args.is(words, "COUNT") && words + 1 < args.len() {
            count = at_least(args, words + 1, 1, "ERR count should be greater than 0")?;
            words += 2;
        }
        if words < args.len() {
            return Err(CommandError::Syntax);
        }
        Ok(MultiPop { keys: at + 1..place, end, count })
    }
}

/// Pops from the first list there is, and propagates that. Says whether there was one.
pub(super) fn pop_first(
    ctx: &mut Context<'_>,
    args: Args<'_>,
    demand: &MultiPop,
) -> Result<bool, CommandError> {
    for key in demand.keys.clone().map(|index| args.get(index)) {
        let Some(popped) = pop_some(ctx, key, demand.end, demand.count, true)? else { continue };
        let mut text = [0; INTEGER_TEXT_BYTES_MAX];
        ctx.propagate_as(&[pop_command(demand.end), key, format_integer(popped as i64, &mut text)]);
        return Ok(true);
    }
    Ok(false)
}

/// Pops one element, and writes the key and it. Says whether there was a list.
pub(super) fn pop_named(ctx: &mut Context<'_>, key: &[u8], end: End) -> Result<bool, CommandError> {
    let limits = &ctx.limits.list;
    let Some(mut list) = ctx.db.list_mut(key)? else { return Ok(false) };
    ctx.reply.array(2);
    ctx.reply.bulk(key);
    list.pop_with(end, limits, |element| write_element(&mut ctx.reply, element)).expect(NOT_EMPTY);
    let is_empty = list.is_empty();
    drop(list);
    took(ctx, key, end, 1, is_empty);
    Ok(true)
}

/// The command that pops at an end.
pub(super) fn pop_command(end: End) -> &'static [u8] {
    match end {
        End::Front => b"LPOP",
        End::Back => b"RPOP",
    }
}

/// Pops up to `count` elements, at least one, and writes them as an array; with `names_key`, the key and that
/// array. Says how many; nothing is written if there is no list.
fn pop_some(
    ctx: &mut Context<'_>,
    key: &[u8],
    end: End,
    count: usize,
    names_key: bool,
) -> Result<Option<usize>, CommandError> {
    let limits = &ctx.limits.list;
    let Some(mut list) = ctx.db.list_mut(key)? else { return Ok(None) };
    let len = list.len();
    let count = count.min(len);
    let (elements, start) = match end {
        End::Front => (list.range(0, count), 0),
        End::Back => (list.range_backward(len - 1, count), len - count),
    };
    if names_key {
        ctx.reply.array(2);
        ctx.reply.bulk(key);
    }
    ctx.reply.array(count);
    elements.for_each(|element| write_element(&mut ctx.reply, element));
    let whole = if count == len {
        Some(Value::List(std::mem::take(&mut *list)))
    } else {
        list.remove_range(start, count, limits);
        None
    };
    drop(list);
    let is_empty = whole.is_some();
    ctx.discard(whole);
    took(ctx, key, end, count, is_empty);
    Ok(Some(count))
}

/// Pops at one end, pushes at another, maybe of the same list.
pub(super) fn transfer(
    ctx: &mut Context<'_>,
    source: &[u8],
    destination: &[u8],
    from: End,
    to: End,
) -> Outcome {
    let limits = &ctx.limits.list;
    if ctx.db.list_mut(source)?.is_none() {
        ctx.reply.null();
        return Ok(());
    }
    let is_new = ctx.db.list_mut(destination)?.is_none();
    let mut list = ctx.db.list_mut(source)?.expect(FOUND);
    let start = ctx.reply.position();
    list.pop_with(from, limits, |element| write_element(&mut ctx.reply, element)).expect(NOT_EMPTY);
    let is_empty = list.is_empty() && source != destination;
    drop(list);

    let element = bulk_since(&ctx.reply, start);
    if is_new {
        let mut list = List::new();
        list.push(to, element, limits);
        ctx.db.insert(destination, Value::List(list), None);
    } else {
        ctx.db.list_mut(destination)?.expect(FOUND).push(to, element, limits);
    }
    ctx.wrote(destination, pushed(to), 0);
    took(ctx, source, from, 1, is_empty);
    Ok(())
}

/// Says that elements were popped.
fn took(ctx: &mut Context<'_>, key: &[u8], end: End, count: usize, is_empty: bool) {
    if is_empty {
        ctx.changed(key, popped(end), count);
    } else {
        ctx.wrote(key, popped(end), count);
    }
}

fn pushed(end: End) -> Event {
    match end {
        End::Front => Event::LPUSH,
        End::Back => Event::RPUSH,
    }
}

fn popped(end: End) -> Event {
    match end {
        End::Front => Event::LPOP,
        End::Back => Event::RPOP,
    }
}

pub(super) fn end_at(args: Args<'_>, index: usize) -> Result<End, CommandError> {
    if args.is(index, "LEFT") {
        Ok(End::Front)
    } else if args.is(index, "RIGHT") {
        Ok(End::Back)
    } else {
        Err(CommandError::Syntax)
    }
}
