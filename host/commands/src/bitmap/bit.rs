//! One bit: SETBIT and GETBIT. Always: a bit of a large string is changed where it lies, and one that already is as
//! asked changes nothing that a cut would have to copy.

use tenon_keyspace::{Expiry, INLINE_BYTES_MAX, INTEGER_TEXT_BYTES};
use tenon_resp::Args;

use super::{bit_offset, is_set};
use crate::string::string_bytes_max;
use crate::{CommandError, Context, Event, Outcome};

pub(super) fn getbit(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let offset = bit_offset(args.get(2), string_bytes_max(ctx))?;
    let text = ctx.db.text(args.get(1))?;
    let is_set = text.is_some_and(|text| is_set(text.bytes(&mut [0; INTEGER_TEXT_BYTES]), offset));
    ctx.reply.integer(i64::from(is_set));
    Ok(())
}

pub(super) fn setbit(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let (key, offset) = (args.get(1), bit_offset(args.get(2), string_bytes_max(ctx))?);
    let value = match tenon_resp::parse_integer(args.get(3)) {
        Some(0) => false,
        Some(1) => true,
        _ => return Err(CommandError::text("ERR bit is not an integer or out of range")),
    };
    ctx.db.prepare_write(key);
    let database = ctx.db.database();
    let found = database.string_mut(key)?;
    let is_new = found.is_none();
    let mut slot = match found {
        Some(slot) => slot,
        None => {
            database.set_string(key, b"", Expiry::Never);
            database.string_mut(key)?.expect("it was just set")
        }
    };
    let text = slot.text();
    let (length, former) = (text.len(), is_set(text.bytes(&mut [0; INTEGER_TEXT_BYTES]), offset));
    let is_changed = is_new || length <= offset / 8 || former != value;
    // A short string becomes bytes in any case, as OBJECT ENCODING shows.
    if is_changed || length <= INLINE_BYTES_MAX {
        slot.change(offset / 8 + 1, |bytes| {
            let mask = 0x80 >> (offset % 8);
            let byte = &mut bytes[offset / 8];
            *byte = if value { *byte | mask } else { *byte & !mask };
        });
    }
    if is_new {
        ctx.created(key);
    }
    if is_changed {
        ctx.wrote(key, Event::SETBIT, 1);
    }
    ctx.reply.integer(i64::from(former));
    Ok(())
}
