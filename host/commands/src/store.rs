//! What the commands that store a result have in common: the result takes the place of whatever the key held,
//! and nothing at all removes the key. Knows no type.

use tenon_keyspace::Value;

use crate::{Context, Event, Outcome};

/// Stores a collection of `len` members under `key` and replies with their number. It counts as one change.
pub(crate) fn store(ctx: &mut Context<'_>, key: &[u8], value: Value, len: usize, event: Event) -> Outcome {
    store_changes(ctx, key, value, len, event, 1)
}

/// As [`store`], for what counts as so many changes.
pub(crate) fn store_changes(
    ctx: &mut Context<'_>,
    key: &[u8],
    value: Value,
    len: usize,
    event: Event,
    changes: usize,
) -> Outcome {
    if len > 0 {
        let replaced = ctx.db.insert(key, value, None);
        ctx.discard(replaced);
        ctx.wrote(key, event, changes);
    } else if let Some(removed) = ctx.db.delete(key) {
        ctx.discard(removed);
        ctx.wrote(key, Event::DEL, 1);
    }
    ctx.reply.integer(len as i64);
    Ok(())
}
