//! XGROUP: groups of a stream, and their consumers.

use tenon_keyspace::{Stream, StreamId, Value};
use tenon_resp::Args;

use super::help::{misused, no_group};
use super::id::{Missing, parse_any, parse_id};
use crate::{CommandError, Concerns, Context, Event, Outcome, Words};

const NO_KEY: CommandError = CommandError::text(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM \
     option to create an empty stream automatically.",
);

pub(super) fn create(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let options = Options::parse(args, true)?;
    let (key, name) = (args.get(2), args.get(3));
    let begin = |last_id: StreamId| match args.get(4) {
        _ if args.len() > 8 => Err(misused(args)),
        b"$" => Ok(last_id),
        word => parse_id(word),
    };
    let is_new = if let Some(mut stream) = ctx.db.stream_mut(key)? {
        let last_id = begin(stream.last_id())?;
        if !stream.create_group(name, last_id, options.entries_read) {
            return Err(CommandError::text("BUSYGROUP Consumer Group name already exists"));
        }
        false
    } else if options.creates_stream {
        let mut stream = Stream::new();
        stream.create_group(name, begin(StreamId::MIN)?, options.entries_read);
        ctx.db.insert(key, Value::Stream(stream), None);
        true
    } else {
        return Err(NO_KEY);
    };
    if is_new {
        ctx.wrote(key, Event::XGROUP_CREATE, 1);
    } else {
        ctx.wrote_for(Concerns::Nobody, key, Some(Event::XGROUP_CREATE), 1);
    }
    ctx.reply.ok();
    Ok(())
}

pub(super) fn create_consumer(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let (key, name, now) = (args.get(2), args.get(3), ctx.db.now());
    let mut stream = ctx.db.stream_mut(key)?.ok_or(NO_KEY)?;
    let mut group = stream.group_mut(name).ok_or_else(|| no_group(key, name))?;
    let is_new = group.create_consumer(args.get(4), now);
    drop(group);
    drop(stream);
    if is_new {
        ctx.wrote_for(Concerns::Nobody, key, Some(Event::XGROUP_CREATECONSUMER), 1);
    }
    ctx.reply.integer(i64::from(is_new));
    Ok(())
}

pub(super) fn delete_consumer(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let (key, name) = (args.get(2), args.get(3));
    let mut stream = ctx.db.stream_mut(key)?.ok_or(NO_KEY)?;
    let mut group = stream.group_mut(name).ok_or_else(|| no_group(key, name))?;
    let pending = group.remove_consumer(args.get(4));
    drop(group);
    drop(stream);
    if pending.is_some() {
        ctx.wrote_for(Concerns::Nobody, key, Some(Event::XGROUP_DELCONSUMER), 1);
    }
    ctx.reply.integer(pending.unwrap_or(0) as i64);
    Ok(())
}

pub(super) fn destroy(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let key = args.get(2);
    let removed = ctx.db.stream_mut(key)?.ok_or(NO_KEY)?.remove_group(args.get(3));
    if removed.is_some() {
        // Those who wait for the group hear of it, because the key is touched.
        ctx.wrote_for(Concerns::Waiting, key, Some(Event::XGROUP_DESTROY), 1);
    }
    ctx.reply.integer(i64::from(removed.is_some()));
    Ok(())
}

pub(super) fn set_id(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let options = Options::parse(args, false)?;
    let (key, name) = (args.get(2), args.get(3));
    let mut stream = ctx.db.stream_mut(key)?.ok_or(NO_KEY)?;
    let last_id = stream.last_id();
    let mut group = stream.group_mut(name).ok_or_else(|| no_group(key, name))?;
    let id = match args.get(4) {
        _ if !matches!(args.len(), 5 | 7) => return Err(misused(args)),
        b"$" => last_id,
        word => parse_any(word, Missing::First)?,
    };
    group.set_last_id(id);
    group.set_entries_read(options.entries_read);
    drop(group);
    drop(stream);
    ctx.wrote_for(Concerns::Nobody, key, Some(Event::XGROUP_SETID), 1);
    ctx.reply.ok();
    Ok(())
}

/// The options of CREATE and SETID.
struct Options {
    creates_stream: bool,
    entries_read: Option<u64>,
}

impl Options {
    fn parse(args: Args<'_>, may_create: bool) -> Result<Options, CommandError> {
        let mut options = Options { creates_stream: false, entries_read: None };
        let mut index = 5;
        while index < args.len() {
            if may_create && args.is(index, "MKSTREAM") {
                options.creates_stream = true;
                index += 1;
            } else if args.is(index, "ENTRIESREAD") && index + 1 < args.len() {
                options.entries_read = match args.integer(index + 1)? {
                    -1 => None,
                    read => Some(u64::try_from(read).map_err(|_| {
                        CommandError::text("ERR value for ENTRIESREAD must be positive or -1")
                    })?),
                };
                index += 2;
            } else {
                return Err(misused(args));
            }
        }
        Ok(options)
    }
}
