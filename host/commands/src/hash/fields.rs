//! Commands that read and change fields by their names.

use tenon_keyspace::{Element, Hash, HashLimits, Insertion, Value};
use tenon_resp::{Args, INTEGER_TEXT_BYTES_MAX, LongDouble, Reply, format_integer};

use crate::element::{bulk_since, write_element};
use crate::{CommandError, Context, Db, Event, Outcome, Words};

pub(super) fn hdel(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let key = args.get(1);
    let Some(mut hash) = ctx.db.hash_mut(key)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let mut removed = 0;
    for field in args.rest(2) {
        removed += usize::from(hash.remove(field));
        if hash.is_empty() {
            break;
        }
    }
    let is_empty = hash.is_empty();
    drop(hash);
    if is_empty {
        ctx.changed(key, Event::HDEL, removed);
    } else if removed > 0 {
        ctx.wrote(key, Event::HDEL, removed);
    }
    ctx.reply.integer(removed as i64);
    Ok(())
}

pub(super) fn hexists(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let exists = ctx.db.hash(args.get(1))?.is_some_and(|hash| hash.contains(args.get(2)));
    ctx.reply.integer(i64::from(exists));
    Ok(())
}

pub(super) fn hget(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let hash = ctx.db.hash(args.get(1))?;
    write_value(&mut ctx.reply, hash, args.get(2));
    Ok(())
}

pub(super) fn hincrby(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    const NOT_INTEGER: CommandError = CommandError::text("ERR hash value is not an integer");
    const OVERFLOW: CommandError = CommandError::text("ERR increment or decrement would overflow");
    let increment = args.integer(3)?;
    let (key, field, limits) = (args.get(1), args.get(2), &ctx.limits.hash);
    let sum = edit(&mut ctx.db, key, |hash| {
        let old = match hash.value(field) {
            Some(value) => value.integer().ok_or(NOT_INTEGER)?,
            None => 0,
        };
        let sum = old.checked_add(increment).ok_or(OVERFLOW)?;
        hash.set(field, format_integer(sum, &mut [0; INTEGER_TEXT_BYTES_MAX]), limits);
        Ok(sum)
    })?;
    ctx.wrote(key, Event::HINCRBY, 1);
    ctx.reply.integer(sum);
    Ok(())
}

pub(super) fn hincrbyfloat(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    const NOT_FINITE: CommandError = CommandError::text("ERR value is NaN or Infinity");
    let increment = LongDouble::parse(args.get(3)).ok_or(CommandError::NotFloat)?;
    if !increment.is_finite() {
        return Err(NOT_FINITE);
    }
    let (key, field, limits) = (args.get(1), args.get(2), &ctx.limits.hash);
    let start = ctx.reply.position();
    edit(&mut ctx.db, key, |hash| {
        let sum = sum_of(hash.value(field), increment)?;
        // The reply is where the sum becomes text: that needs no buffer of its own.
        ctx.reply.bulk_format(format_args!("{sum}"));
        hash.set(field, bulk_since(&ctx.reply, start), limits);
        Ok(())
    })?;
    ctx.wrote(key, Event::HINCRBYFLOAT, 1);
    // Followers get the result: they may count otherwise, or print otherwise.
    let index = ctx.db.index();
    ctx.db.unit.propagate_as(index, &[b"HSET", key, field, bulk_since(&ctx.reply, start)]);
    Ok(())
}

pub(super) fn hlen(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let len = ctx.db.hash(args.get(1))?.map_or(0, Hash::len);
    ctx.reply.integer(len as i64);
    Ok(())
}

pub(super) fn hmget(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let hash = ctx.db.hash(args.get(1))?;
    let fields = args.rest(2);
    ctx.reply.array(fields.len());
    fields.iter().for_each(|field| write_value(&mut ctx.reply, hash, field));
    Ok(())
}

pub(super) fn hmset(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    set_all(ctx, args, "hmset")?;
    ctx.reply.ok();
    Ok(())
}

pub(super) fn hset(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let created = set_all(ctx, args, "hset")?;
    ctx.reply.integer(created as i64);
    Ok(())
}

pub(super) fn hsetnx(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let (key, field, limits) = (args.get(1), args.get(2), &ctx.limits.hash);
    let is_new = edit(&mut ctx.db, key, |hash| {
        let is_new = !hash.contains(field);
        if is_new {
            hash.set(field, args.get(3), limits);
        }
        Ok(is_new)
    })?;
    if is_new {
        ctx.wrote(key, Event::HSET, 1);
    }
    ctx.reply.integer(i64::from(is_new));
    Ok(())
}

pub(super) fn hstrlen(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let value = ctx.db.hash(args.get(1))?.and_then(|hash| hash.value(args.get(2)));
    let len = value.map_or(0, |value| value.text_bytes());
    ctx.reply.integer(len as i64);
    Ok(())
}

/// Sets all fields of a request to their values; says how many are new.
fn set_all(ctx: &mut Context<'_>, args: Args<'_>, name: &str) -> Result<usize, CommandError> {
    let (key, words, limits) = (args.get(1), args.rest(2), &ctx.limits.hash);
    if !words.len().is_multiple_of(2) {
        return Err(CommandError::arity(name));
    }
    let created = edit(&mut ctx.db, key, |hash| Ok(set_each(hash, words, limits)))?;
    ctx.wrote(key, Event::HSET, words.len() / 2);
    Ok(created)
}

fn set_each(hash: &mut Hash, words: Args<'_>, limits: &HashLimits) -> usize {
    hash.make_ready_for(words.iter(), limits);
    let fields = (0..words.len()).step_by(2);
    let insertions = fields.map(|index| hash.set(words.get(index), words.get(index + 1), limits));
    insertions.filter(|&insertion| insertion == Insertion::Inserted).count()
}

/// Changes the hash of a key; if there is none, an empty one, which is then put there. `change` leaves a field in
/// it, or refuses and leaves it as it is.
fn edit<R>(
    db: &mut Db<'_>,
    key: &[u8],
    change: impl FnOnce(&mut Hash) -> Result<R, CommandError>,
) -> Result<R, CommandError> {
    if let Some(mut hash) = db.hash_mut(key)? {
        return change(&mut hash);
    }
    let mut hash = Hash::new();
    let result = change(&mut hash)?;
    db.insert(key, Value::Hash(hash), None);
    Ok(result)
}

fn sum_of(value: Option<Element<'_>>, increment: LongDouble) -> Result<LongDouble, CommandError> {
    const NOT_FLOAT: CommandError = CommandError::text("ERR hash value is not a float");
    const NOT_FINITE: CommandError = CommandError::text("ERR increment would produce NaN or Infinity");
    let old = match value {
        None => LongDouble::ZERO,
        Some(Element::Integer(integer)) => LongDouble::from_integer(integer),
        Some(Element::Bytes(text)) => LongDouble::parse(text).ok_or(NOT_FLOAT)?,
    };
    old.add(increment).filter(|sum| sum.is_finite()).ok_or(NOT_FINITE)
}

fn write_value(reply: &mut Reply<'_>, hash: Option<&Hash>, field: &[u8]) {
    match hash.and_then(|hash| hash.value(field)) {
        Some(value) => write_element(reply, value),
        None => reply.null(),
    }
}
