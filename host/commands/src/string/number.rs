//! Strings that are numbers, counted up and down. Always: a sum that does not fit changes nothing, and a sum of
//! fractions is propagated as the text that came out.

use tenon_keyspace::{Expiry, INTEGER_TEXT_BYTES};
use tenon_resp::{Args, long_double_add};

use crate::{CommandError, Context, Event, Outcome, Words};

pub(super) fn decr(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    add(ctx, args.get(1), -1)
}

pub(super) fn decrby(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let amount = args.integer(2)?;
    let amount = amount.checked_neg().ok_or(CommandError::text("ERR decrement would overflow"))?;
    add(ctx, args.get(1), amount)
}

pub(super) fn incr(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    add(ctx, args.get(1), 1)
}

pub(super) fn incrby(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let amount = args.integer(2)?;
    add(ctx, args.get(1), amount)
}

pub(super) fn incrbyfloat(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let key = args.get(1);
    ctx.db.prepare_write(key);
    let found = ctx.db.database().string_mut(key)?;
    let is_new = found.is_none();
    let add = |former: &[u8]| {
        long_double_add(former, args.get(2))
            .map_err(|error| CommandError::Text(format!("ERR {error}").into()))
    };
    let sum = match found {
        Some(mut slot) => {
            let sum = add(slot.text().bytes(&mut [0; INTEGER_TEXT_BYTES]))?;
            slot.replace(sum.as_bytes());
            sum
        }
        None => {
            let sum = add(b"0")?;
            ctx.db.database().set_plain(key, sum.as_bytes(), Expiry::Never);
            sum
        }
    };
    if is_new {
        ctx.created(key);
    }
    ctx.wrote(key, Event::INCRBYFLOAT, 1);
    ctx.propagate_as(&[b"SET", key, sum.as_bytes(), b"KEEPTTL"]);
    ctx.reply.bulk(sum.as_bytes());
    Ok(())
}

fn add(ctx: &mut Context<'_>, key: &[u8], amount: i64) -> Outcome {
    ctx.db.prepare_write(key);
    let sum = match ctx.db.database().string_mut(key)? {
        Some(mut slot) => {
            let former = slot.text().integer().ok_or(CommandError::NotInteger)?;
            let sum = former
                .checked_add(amount)
                .ok_or(CommandError::text("ERR increment or decrement would overflow"))?;
            slot.set_integer(sum);
            sum
        }
        None => {
            ctx.db.database().set_integer(key, amount, Expiry::Never);
            ctx.created(key);
            amount
        }
    };
    ctx.wrote(key, Event::INCRBY, 1);
    ctx.reply.integer(sum);
    Ok(())
}
