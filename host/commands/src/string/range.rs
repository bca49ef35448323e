//! Parts of strings, and their length: read, appended, overwritten.
//! Always: no string grows beyond `proto-max-bulk-len` at a client's wish.

use tenon_keyspace::{Expiry, INTEGER_TEXT_BYTES};
use tenon_resp::Args;

use crate::{CommandError, Context, Event, Origin, Outcome, Words};

/// The longest string that the primary or a file can make, whatever the limit was there (bytes).
const OBEYED_BYTES_MAX: usize = 4 << 30;

pub(super) fn append(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let (key, bytes) = (args.get(1), args.get(2));
    ctx.db.prepare_write(key);
    let bytes_max = string_bytes_max(ctx);
    let length = match ctx.db.database().string_mut(key)? {
        Some(mut slot) => {
            check_length(slot.text().len(), bytes.len(), bytes_max)?;
            slot.append(bytes)
        }
        None => {
            let database = ctx.db.database();
            match args.take_large(2) {
                None => database.set_string(key, bytes, Expiry::Never),
                Some(shared) => database.set_string_shared(key, shared, Expiry::Never),
            };
            ctx.created(key);
            bytes.len()
        }
    };
    ctx.wrote(key, Event::APPEND, 1);
    ctx.reply.integer(length as i64);
    Ok(())
}

pub(super) fn getrange(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let (start, end) = (args.integer(2)?, args.integer(3)?);
    let text = ctx.db.text(args.get(1))?;
    let mut scratch = [0; INTEGER_TEXT_BYTES];
    let bytes = text.as_ref().map_or(&[][..], |text| text.bytes(&mut scratch));
    ctx.reply.bulk(part(bytes, start, end));
    Ok(())
}

pub(super) fn setrange(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let (key, bytes) = (args.get(1), args.get(3));
    let offset =
        usize::try_from(args.integer(2)?).map_err(|_| CommandError::text("ERR offset is out of range"))?;
    ctx.db.prepare_write(key);
    let bytes_max = string_bytes_max(ctx);
    let database = ctx.db.database();
    let found = database.string_mut(key)?;
    if bytes.is_empty() {
        let length = found.map_or(0, |slot| slot.text().len());
        ctx.reply.integer(length as i64);
        return Ok(());
    }
    check_length(offset, bytes.len(), bytes_max)?;
    let is_new = found.is_none();
    let mut slot = match found {
        Some(slot) => slot,
        None => {
            database.set_string(key, b"", Expiry::Never);
            database.string_mut(key)?.expect("it was just set")
        }
    };
    let length = slot.set_range(offset, bytes);
    if is_new {
        ctx.created(key);
    }
    ctx.wrote(key, Event::SETRANGE, 1);
    ctx.reply.integer(length as i64);
    Ok(())
}

pub(super) fn strlen(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let length = ctx.db.text(args.get(1))?.map_or(0, |text| text.len());
    ctx.reply.integer(length as i64);
    Ok(())
}

/// From `start` to `end`, both included; negative ones count from the end.
fn part(bytes: &[u8], start: i64, end: i64) -> &[u8] {
    let length = bytes.len() as i64;
    if start < 0 && end < 0 && start > end {
        return &[];
    }
    let from_front = |at: i64| if at < 0 { (length + at).max(0) } else { at };
    let (start, end) = (from_front(start), from_front(end).min(length - 1));
    if start > end {
        return &[];
    }
    &bytes[start as usize..=end as usize]
}

/// The longest string that whoever asks may make.
pub(crate) fn string_bytes_max(ctx: &Context<'_>) -> usize {
    match ctx.db.origin() {
        Origin::Client | Origin::Reader => ctx.limits.string_bytes_max,
        Origin::Primary | Origin::Load => ctx.limits.string_bytes_max.max(OBEYED_BYTES_MAX),
    }
}

fn check_length(before: usize, more: usize, bytes_max: usize) -> Outcome {
    if before.checked_add(more).is_none_or(|length| length > bytes_max) {
        return Err(CommandError::text("ERR string exceeds maximum allowed size (proto-max-bulk-len)"));
    }
    Ok(())
}
