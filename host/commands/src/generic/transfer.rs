//! Values given another key or another database: COPY, MOVE, RENAME, RENAMENX.
//! Always: the expiry time goes with the value.

use tenon_resp::Args;

use crate::databases::database_number;
use crate::{CommandError, Context, Event, Outcome, Words};

pub(super) fn copy(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let (mut replaces, mut database) = (false, ctx.db.index());
    let mut index = 3;
    while index < args.len() {
        if args.is(index, "REPLACE") {
            replaces = true;
        } else if args.is(index, "DB") && index + 1 < args.len() {
            index += 1;
            database = named_database(ctx, args, index)?;
        } else {
            return Err(CommandError::Syntax);
        }
        index += 1;
    }
    let (source, target) = (args.get(1), args.get(2));
    if database == ctx.db.index() && source == target {
        return Err(SAME_OBJECT);
    }
    let Some(entry) = ctx.db.find(source) else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let (value, expires) = (entry.to_value(), entry.expires_at());
    let mut other = ctx.db.other(database);
    if !replaces && other.exists(target) {
        ctx.reply.integer(0);
        return Ok(());
    }
    let former = other.delete(target).flatten();
    other.insert(target, value, expires);
    ctx.discard(former);
    wrote_in(ctx, database, target, Event::COPY_TO);
    ctx.db.unit.dirty += 1;
    ctx.reply.integer(1);
    Ok(())
}

pub(super) fn move_key(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let (key, database) = (args.get(1), named_database(ctx, args, 2)?);
    if database == ctx.db.index() {
        return Err(SAME_OBJECT);
    }
    if !ctx.db.exists(key) || ctx.db.other(database).exists(key) {
        ctx.reply.integer(0);
        return Ok(());
    }
    if let Some((value, expires)) = ctx.db.remove(key) {
        ctx.db.other(database).insert(key, value, expires);
    }
    ctx.wrote(key, Event::MOVE_FROM, 1);
    wrote_in(ctx, database, key, Event::MOVE_TO);
    ctx.reply.integer(1);
    Ok(())
}

pub(super) fn rename(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let (source, target) = (args.get(1), args.get(2));
    if !ctx.db.exists(source) {
        return Err(CommandError::NoSuchKey);
    }
    if source != target {
        transfer(ctx, source, target);
    }
    ctx.reply.ok();
    Ok(())
}

pub(super) fn renamenx(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let (source, target) = (args.get(1), args.get(2));
    if !ctx.db.exists(source) {
        return Err(CommandError::NoSuchKey);
    }
    let is_free = source != target && !ctx.db.exists(target);
    if is_free {
        transfer(ctx, source, target);
    }
    ctx.reply.integer(i64::from(is_free));
    Ok(())
}

const SAME_OBJECT: CommandError = CommandError::text("ERR source and destination objects are the same");

fn transfer(ctx: &mut Context<'_>, source: &[u8], target: &[u8]) {
    let former = ctx.db.delete(target).flatten();
    ctx.discard(former);
    ctx.db.rename(source, target);
    ctx.wrote(source, Event::RENAME_FROM, 1);
    ctx.wrote(target, Event::RENAME_TO, 0);
}

/// Says that a key changed in a database that may be another than the selected one.
fn wrote_in(ctx: &mut Context<'_>, database: usize, key: &[u8], event: Event) {
    let hash = ctx.db.database_ref().hash(key);
    ctx.db.unit.touch(database, hash, key);
    ctx.db.unit.notify(event, database, key);
}

fn named_database(ctx: &mut Context<'_>, args: Args<'_>, index: usize) -> Result<usize, CommandError> {
    let number = args.integer(index)?;
    if i32::try_from(number).is_err() {
        return Err(CommandError::text(
            "ERR value is out of range, value must between -2147483648 and 2147483647",
        ));
    }
    database_number(ctx, number)
}
