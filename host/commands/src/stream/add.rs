//! XADD and XTRIM: entries behind a stream, and away from its front.
//! Always: what is propagated names the ID that was chosen and the length that was reached, so that whoever
//! follows needs neither this clock nor these nodes.

use tenon_base::UnixMillis;
use tenon_keyspace::{Stream, StreamId, StreamKeep, StreamLimits, Value};
use tenon_resp::{Args, INTEGER_TEXT_BYTES_MAX, OwnedArgs, format_integer};

use super::id::NewId;
use super::options::{AddOptions, Trim, parse_add, parse_trim};
use crate::{CommandError, Context, Event, Outcome};

const NOT_GREATER: CommandError =
    CommandError::text("ERR The ID specified in XADD is equal or smaller than the target stream top item");

/// What came of an XADD.
struct Added {
    id: StreamId,
    trimmed: u64,
    /// What to propagate in place of an approximate threshold.
    reached: Option<StreamKeep>,
}

pub(super) fn xadd(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let options = parse_add(ctx, args)?;
    if options.id == NewId::Exact(StreamId::MIN) {
        return Err(CommandError::text("ERR The ID specified in XADD must be greater than 0-0"));
    }
    let (key, now, limits) = (args.get(1), ctx.db.now(), &ctx.limits.stream);
    let added = if let Some(mut stream) = ctx.db.stream_mut(key)? {
        add(&mut stream, args, &options, now, limits)?
    } else if options.may_create {
        let mut stream = Stream::new();
        let added = add(&mut stream, args, &options, now, limits)?;
        ctx.db.insert(key, Value::Stream(stream), None);
        added
    } else {
        ctx.reply.null();
        return Ok(());
    };
    let text = added.id.text();
    ctx.reply.bulk(text.as_bytes());
    ctx.wrote(key, Event::XADD, 1);
    if added.trimmed > 0 {
        let index = ctx.db.index();
        ctx.db.unit.notify(Event::XTRIM, index, key);
    }
    let is_chosen = !matches!(options.id, NewId::Exact(_));
    if is_chosen || added.reached.is_some() {
        let index = ctx.db.index();
        let words = ctx.db.unit.operation_as(index);
        let trim = options.trim.map(|trim| trim.at);
        for at in 0..args.len() {
            if at == options.id_at {
                words.push(text.as_bytes());
            } else {
                push_word(words, args, at, trim.zip(added.reached));
            }
        }
    }
    Ok(())
}

pub(super) fn xtrim(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let trim = parse_trim(ctx, args)?;
    let key = args.get(1);
    let Some(mut stream) = ctx.db.stream_mut(key)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let trimmed = stream.trim(&trim.amount);
    let reached = reached(&stream, &trim);
    drop(stream);
    if trimmed > 0 {
        ctx.wrote(key, Event::XTRIM, trimmed as usize);
        if reached.is_some() {
            let index = ctx.db.index();
            let words = ctx.db.unit.operation_as(index);
            (0..args.len())
                .for_each(|at| push_word(words, args, at, reached.map(|reached| (trim.at, reached))));
        }
    }
    ctx.reply.integer(trimmed as i64);
    Ok(())
}

fn add(
    stream: &mut Stream,
    args: Args<'_>,
    options: &AddOptions,
    now: UnixMillis,
    limits: &StreamLimits,
) -> Result<Added, CommandError> {
    let id = choose(options.id, stream.last_id(), now)?;
    let fields = (options.id_at + 1..args.len()).step_by(2).map(|at| (args.get(at), args.get(at + 1)));
    stream
        .append(id, fields, limits)
        .map_err(|_| CommandError::text("ERR Elements are too large to be stored"))?;
    let Some(trim) = &options.trim else { return Ok(Added { id, trimmed: 0, reached: None }) };
    let trimmed = stream.trim(&trim.amount);
    Ok(Added { id, trimmed, reached: reached(stream, trim) })
}

/// The ID of an entry behind `last`.
fn choose(id: NewId, last: StreamId, now: UnixMillis) -> Result<StreamId, CommandError> {
    if last == StreamId::MAX {
        return Err(CommandError::text(
            "ERR The stream has exhausted the last possible ID, unable to add more items",
        ));
    }
    let id = match id {
        NewId::Exact(id) => id,
        NewId::AutoSequence(ms) if ms == last.milliseconds => {
            StreamId::new(ms, last.sequence.checked_add(1).ok_or(NOT_GREATER)?)
        }
        NewId::AutoSequence(ms) => StreamId::new(ms, 0),
        NewId::Auto => match u64::try_from(now.0) {
            Ok(ms) if ms > last.milliseconds => StreamId::new(ms, 0),
            _ => last.next().ok_or(NOT_GREATER)?,
        },
    };
    if id > last { Ok(id) } else { Err(NOT_GREATER) }
}

/// What an approximate trim came to: the exact trim that does the same. `None` after an exact one.
fn reached(stream: &Stream, trim: &Trim) -> Option<StreamKeep> {
    if !trim.amount.approximate {
        return None;
    }
    Some(match trim.amount.keep {
        StreamKeep::Newest(_) => StreamKeep::Newest(stream.len()),
        StreamKeep::From(_) if stream.is_empty() => StreamKeep::From(StreamId::MAX),
        StreamKeep::From(_) => StreamKeep::From(stream.first_id()),
    })
}

/// Appends word `at` of the request to what is propagated, with `reached` in place of the threshold at its place.
fn push_word(words: &mut OwnedArgs, args: Args<'_>, at: usize, reached: Option<(usize, StreamKeep)>) {
    match reached {
        Some((threshold, _)) if at + 1 == threshold => words.push(b"="),
        Some((threshold, StreamKeep::Newest(len))) if at == threshold => {
            words.push(format_integer(len as i64, &mut [0; INTEGER_TEXT_BYTES_MAX]));
        }
        Some((threshold, StreamKeep::From(id))) if at == threshold => words.push(id.text().as_bytes()),
        _ => match args.take_large(at) {
            Some(large) => words.push_large(large),
            None => words.push(args.get(at)),
        },
    }
}
