//! SET and its kin: values set as a whole. Not GETEX and GETDEL, which set no value.
//! Always: a plain SET costs one look-up, and what is propagated is a SET that needs no clock.

use tenon_base::UnixMillis;
use tenon_keyspace::Expiry;
use tenon_resp::{Args, OwnedArgs};

use super::get::write_text;
use super::options::{Condition, Lifetime, Measure, SetOptions};
use crate::db::LOOK_AHEAD_KEYS;
use crate::{CommandError, Context, Event, Outcome};

pub(super) fn getset(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let key = args.get(1);
    reply_former(ctx, key)?;
    assign(ctx, args, 1, 2, Expiry::Never);
    propagate_set(ctx, args, 2, None);
    Ok(())
}

pub(super) fn mset(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    check_pairs(args, "mset")?;
    for (index, key) in (1..args.len()).step_by(2).enumerate() {
        if index % LOOK_AHEAD_KEYS == 0 {
            ctx.db.look_ahead(args.rest(key).iter().step_by(2));
        }
        assign(ctx, args, key, key + 1, Expiry::Never);
    }
    ctx.reply.ok();
    Ok(())
}

pub(super) fn msetnx(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    check_pairs(args, "msetnx")?;
    let mut keys = (1..args.len()).step_by(2);
    if keys.any(|key| ctx.db.exists(args.get(key))) {
        ctx.reply.integer(0);
        return Ok(());
    }
    for key in (1..args.len()).step_by(2) {
        assign(ctx, args, key, key + 1, Expiry::Never);
    }
    ctx.reply.integer(1);
    Ok(())
}

pub(super) fn psetex(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    set_until(ctx, args, Lifetime::Until(Measure::Millis, 2), "psetex")
}

pub(super) fn set(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    if args.len() > 3 {
        return set_with_options(ctx, args);
    }
    assign(ctx, args, 1, 2, Expiry::Never);
    ctx.reply.ok();
    Ok(())
}

pub(super) fn setex(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    set_until(ctx, args, Lifetime::Until(Measure::Seconds, 2), "setex")
}

pub(super) fn setnx(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let is_missing = !ctx.db.exists(args.get(1));
    if is_missing {
        assign(ctx, args, 1, 2, Expiry::Never);
    }
    ctx.reply.integer(i64::from(is_missing));
    Ok(())
}

fn set_with_options(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let options = SetOptions::parse(args)?;
    let deadline = options.lifetime.deadline(args, ctx.db.now(), "set")?;
    let key = args.get(1);
    if options.returns_former {
        reply_former(ctx, key)?;
    }
    let is_refused = match options.condition {
        None => false,
        Some(Condition::IfMissing) => ctx.db.exists(key),
        Some(Condition::IfPresent) => !ctx.db.exists(key),
    };
    if is_refused {
        if !options.returns_former {
            ctx.reply.null();
        }
        return Ok(());
    }
    assign(ctx, args, 1, 2, options.lifetime.expiry(deadline));
    if !options.returns_former {
        ctx.reply.ok();
    }
    if deadline.is_some() {
        let index = ctx.db.index();
        ctx.db.unit.notify(Event::EXPIRE, index, key);
        let says_moment = matches!(options.lifetime, Lifetime::Until(Measure::UnixMillis, _));
        if !says_moment || options.returns_former {
            propagate_set(ctx, args, 2, deadline);
        }
    } else if options.returns_former {
        propagate_without_get(ctx, args);
    }
    Ok(())
}

/// SETEX and PSETEX.
fn set_until(ctx: &mut Context<'_>, args: Args<'_>, lifetime: Lifetime, command: &str) -> Outcome {
    let deadline = lifetime.deadline(args, ctx.db.now(), command)?;
    let key = args.get(1);
    assign(ctx, args, 1, 3, lifetime.expiry(deadline));
    let index = ctx.db.index();
    ctx.db.unit.notify(Event::EXPIRE, index, key);
    propagate_set(ctx, args, 3, deadline);
    ctx.reply.ok();
    Ok(())
}

/// Gives the key at word `key` the string at word `value`: the one place where strings are set as a whole.
#[inline]
pub(super) fn assign(ctx: &mut Context<'_>, args: Args<'_>, key: usize, value: usize, expiry: Expiry) {
    let key = args.get(key);
    ctx.db.prepare_write(key);
    let database = ctx.db.database();
    let replaced = match args.take_large(value) {
        None => database.set_string(key, args.get(value), expiry),
        Some(bytes) => database.set_string_shared(key, bytes, expiry),
    };
    if !replaced.existed {
        ctx.created(key);
    }
    ctx.discard(replaced.value);
    ctx.wrote(key, Event::SET, 1);
}

/// Replies with the string that is there, or with null.
fn reply_former(ctx: &mut Context<'_>, key: &[u8]) -> Outcome {
    match ctx.db.text(key)? {
        Some(text) => write_text(&mut ctx.reply, text),
        None => ctx.reply.null(),
    }
    Ok(())
}

/// `SET key value [PXAT deadline]` in place of the request.
fn propagate_set(ctx: &mut Context<'_>, args: Args<'_>, value: usize, deadline: Option<UnixMillis>) {
    let index = ctx.db.index();
    let words = ctx.db.unit.operation_as(index);
    words.push(b"SET");
    push_word(words, args, 1);
    push_word(words, args, value);
    if let Some(deadline) = deadline {
        words.push(b"PXAT");
        words.push_integer(deadline.0);
    }
}

/// The request without the option GET.
fn propagate_without_get(ctx: &mut Context<'_>, args: Args<'_>) {
    let index = ctx.db.index();
    let words = ctx.db.unit.operation_as(index);
    for word in 0..args.len() {
        if word < 3 || !args.get(word).eq_ignore_ascii_case(b"GET") {
            push_word(words, args, word);
        }
    }
}

fn push_word(words: &mut OwnedArgs, args: Args<'_>, index: usize) {
    match args.take_large(index) {
        Some(bytes) => words.push_large(bytes),
        None => words.push(args.get(index)),
    }
}

fn check_pairs(args: Args<'_>, command: &str) -> Outcome {
    if args.len().is_multiple_of(2) {
        return Err(CommandError::arity(command));
    }
    Ok(())
}
