//! Strings read as a whole: GET, MGET, and those that remove the key or change its lifetime besides.
//! Always: GET is one look-up and one write into the reply.

use tenon_keyspace::TextRef;
use tenon_resp::{Args, Reply};

use super::options::Lifetime;
use crate::db::LOOK_AHEAD_KEYS;
use crate::generic::{expire_at, is_past, persist_key, remove_as_expired};
use crate::{Context, Event, Outcome};

pub(super) fn get(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    match ctx.db.text(args.get(1))? {
        Some(text) => write_text(&mut ctx.reply, text),
        None => ctx.reply.null(),
    }
    Ok(())
}

pub(super) fn getdel(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let key = args.get(1);
    let Some(text) = ctx.db.text(key)? else {
        ctx.reply.null();
        return Ok(());
    };
    write_text(&mut ctx.reply, text);
    let value = ctx.db.delete(key).flatten();
    ctx.discard(value);
    ctx.wrote(key, Event::DEL, 1);
    ctx.propagate_as(&[b"DEL", key]);
    Ok(())
}

pub(super) fn getex(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let lifetime = Lifetime::parse(args)?;
    let (key, now) = (args.get(1), ctx.db.now());
    let Some(text) = ctx.db.text(key)? else {
        ctx.reply.null();
        return Ok(());
    };
    let deadline = lifetime.deadline(args, now, "getex")?;
    write_text(&mut ctx.reply, text);
    match (lifetime, deadline) {
        (Lifetime::Until(measure, _), Some(deadline)) => {
            if measure.is_absolute() && is_past(ctx, deadline) {
                remove_as_expired(ctx, key);
            } else {
                expire_at(ctx, key, deadline);
            }
        }
        (Lifetime::Endless, _) if persist_key(ctx, key) => ctx.propagate_as(&[b"PERSIST", key]),
        _ => {}
    }
    Ok(())
}

pub(super) fn mget(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    ctx.reply.array(args.len() - 1);
    for (index, key) in args.rest(1).iter().enumerate() {
        if index % LOOK_AHEAD_KEYS == 0 {
            ctx.db.look_ahead(args.rest(1 + index).iter());
        }
        // A key that holds something else counts as missing here.
        match ctx.db.text(key) {
            Ok(Some(text)) => write_text(&mut ctx.reply, text),
            Ok(None) | Err(_) => ctx.reply.null(),
        }
    }
    Ok(())
}

/// A string as a reply.
#[inline]
pub(super) fn write_text(reply: &mut Reply<'_>, text: TextRef<'_>) {
    match text {
        TextRef::Integer(number) => reply.bulk_integer(number),
        TextRef::Bytes(bytes) => reply.bulk(bytes),
    }
}
