//! XDEL, XLEN, XRANGE, XREVRANGE and XSETID: entries by their IDs, and the figures of a stream.

use tenon_keyspace::{StreamEntry, StreamId, StreamRange};
use tenon_resp::{Args, Reply};

use super::id::{parse_end, parse_id, parse_start, write_id};
use crate::element::write_element;
use crate::room::with_room;
use crate::{CommandError, Concerns, Context, Event, Outcome, Words};

pub(super) fn xdel(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let (key, words) = (args.get(1), args.rest(2));
    let Some(mut stream) = ctx.db.stream_mut(key)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let deleted = with_ids(words, |ids| ids.iter().filter(|&&id| stream.delete(id)).count())?;
    drop(stream);
    if deleted > 0 {
        ctx.wrote(key, Event::XDEL, deleted);
    }
    ctx.reply.integer(deleted as i64);
    Ok(())
}

pub(super) fn xlen(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let len = ctx.db.stream(args.get(1))?.map_or(0, |stream| stream.len());
    ctx.reply.integer(len as i64);
    Ok(())
}

pub(super) fn xrange(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    range(ctx, args, 2, 3)
}

pub(super) fn xrevrange(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    range(ctx, args, 3, 2)
}

pub(super) fn xsetid(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let figures = Figures::parse(args)?;
    let (key, id) = (args.get(1), figures.last_id);
    let mut stream = ctx.db.stream_mut(key)?.ok_or(CommandError::NoSuchKey)?;
    if id < stream.max_deleted_id() {
        return Err(CommandError::text(
            "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
        ));
    }
    if stream.last().is_some_and(|last| id < last.id) {
        return Err(CommandError::text(
            "ERR The ID specified in XSETID is smaller than the target stream top item",
        ));
    }
    if figures.entries_added.is_some_and(|added| added < stream.len()) {
        return Err(CommandError::text(
            "ERR The entries_added specified in XSETID is smaller than the target stream length",
        ));
    }
    stream.set_last_id(id);
    if let Some(added) = figures.entries_added {
        stream.set_entries_added(added);
    }
    if figures.max_deleted_id != StreamId::MIN {
        stream.set_max_deleted_id(figures.max_deleted_id);
    }
    drop(stream);
    ctx.wrote_for(Concerns::Nobody, key, Some(Event::XSETID), 1);
    ctx.reply.ok();
    Ok(())
}

/// Writes an entry: its ID, and its fields and values in one list.
#[inline]
pub(super) fn write_entry(reply: &mut Reply<'_>, entry: StreamEntry<'_>) {
    reply.array(2);
    write_id(reply, entry.id);
    reply.array(2 * entry.fields.len());
    for (field, value) in entry.fields {
        write_element(reply, field);
        write_element(reply, value);
    }
}

/// Writes up to `count` entries as a list.
pub(super) fn write_entries(reply: &mut Reply<'_>, entries: StreamRange<'_>, count: usize) {
    let head = reply.defer_array();
    let mut written = 0;
    for entry in entries.take(count) {
        write_entry(reply, entry);
        written += 1;
    }
    reply.finish(head, written);
}

/// Lends `act` the IDs that `words` are, if all of them are.
pub(super) fn with_ids<R>(words: Args<'_>, act: impl FnOnce(&[StreamId]) -> R) -> Result<R, CommandError> {
    with_room(words.len(), StreamId::MIN, |ids| {
        for (id, word) in ids.iter_mut().zip(words) {
            *id = parse_id(word)?;
        }
        Ok(act(ids))
    })
}

fn range(ctx: &mut Context<'_>, args: Args<'_>, start_at: usize, end_at: usize) -> Outcome {
    let (start, end) = (parse_start(args.get(start_at))?, parse_end(args.get(end_at))?);
    let mut count = None;
    let mut index = 4;
    while index < args.len() {
        if !args.is(index, "COUNT") || index + 1 == args.len() {
            return Err(CommandError::Syntax);
        }
        count = Some(args.integer(index + 1)?.max(0) as usize);
        index += 2;
    }
    let Some(stream) = ctx.db.stream(args.get(1))? else {
        ctx.reply.array(0);
        return Ok(());
    };
    if count == Some(0) {
        ctx.reply.null_array();
        return Ok(());
    }
    let is_forward = start_at < end_at;
    let entries = if is_forward { stream.range(start, end) } else { stream.range_backward(start, end) };
    write_entries(&mut ctx.reply, entries, count.unwrap_or(usize::MAX));
    Ok(())
}

/// What XSETID sets.
struct Figures {
    last_id: StreamId,
    entries_added: Option<u64>,
    /// `0-0`: as it is.
    max_deleted_id: StreamId,
}

impl Figures {
    fn parse(args: Args<'_>) -> Result<Figures, CommandError> {
        let last_id = parse_id(args.get(2))?;
        let mut figures = Figures { last_id, entries_added: None, max_deleted_id: StreamId::MIN };
        let mut index = 3;
        while index < args.len() {
            let value = index + 1;
            if value == args.len() {
                return Err(CommandError::Syntax);
            } else if args.is(index, "ENTRIESADDED") {
                let refusal = CommandError::text("ERR entries_added must be positive");
                figures.entries_added = Some(u64::try_from(args.integer(value)?).map_err(|_| refusal)?);
            } else if args.is(index, "MAXDELETEDID") {
                figures.max_deleted_id = parse_id(args.get(value))?;
                if last_id < figures.max_deleted_id {
                    return Err(CommandError::text(
                        "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                    ));
                }
            } else {
                return Err(CommandError::Syntax);
            }
            index += 2;
        }
        Ok(figures)
    }
}
