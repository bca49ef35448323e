//! XINFO: what there is to know of a stream, of its groups and of their consumers.

use tenon_base::UnixMillis;
use tenon_keyspace::{Stream, StreamConsumer, StreamGroup, StreamId};
use tenon_resp::{Args, Reply};

use super::entries::{write_entries, write_entry};
use super::help::{misused, no_group};
use super::id::write_id;
use super::lag::lag;
use crate::{CommandError, Context, Outcome, Words};

/// So many entries, and pending ones of each group and consumer, are shown in full unless told otherwise.
const SHOWN_ENTRIES: usize = 10;

pub(super) fn consumers(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let (key, name, now) = (args.get(2), args.get(3), ctx.db.now());
    let stream = ctx.db.stream(key)?.ok_or(CommandError::NoSuchKey)?;
    let group = stream.group(name).ok_or_else(|| no_group(key, name))?;
    let reply = &mut ctx.reply;
    reply.array(group.consumer_count());
    for consumer in group.consumers() {
        let since = |time: UnixMillis| now.0.saturating_sub(time.0);
        reply.map(4);
        reply.bulk(b"name");
        reply.bulk(consumer.name());
        write_figure(reply, "pending", consumer.pending_len() as i64);
        write_figure(reply, "idle", since(consumer.seen_time()).max(0));
        write_figure(reply, "inactive", consumer.active_time().map_or(-1, since));
    }
    Ok(())
}

pub(super) fn groups(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let stream = ctx.db.stream(args.get(2))?.ok_or(CommandError::NoSuchKey)?;
    let reply = &mut ctx.reply;
    reply.array(stream.group_count());
    for (name, group) in stream.groups() {
        reply.map(6);
        reply.bulk(b"name");
        reply.bulk(name);
        write_figure(reply, "consumers", group.consumer_count() as i64);
        write_figure(reply, "pending", group.pending_len() as i64);
        write_progress(reply, stream, group);
    }
    Ok(())
}

pub(super) fn stream(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    // That there is a stream is asked first, as in Redis.
    let stream = ctx.db.stream(args.get(2))?.ok_or(CommandError::NoSuchKey)?;
    let full = parse_full(args)?;
    let reply = &mut ctx.reply;
    reply.map(if full.is_some() { 9 } else { 10 });
    write_figure(reply, "length", stream.len() as i64);
    write_figure(reply, "radix-tree-keys", stream.node_count() as i64);
    write_figure(reply, "radix-tree-nodes", stream.radix_node_count() as i64);
    for (name, id) in
        [("last-generated-id", stream.last_id()), ("max-deleted-entry-id", stream.max_deleted_id())]
    {
        reply.bulk(name.as_bytes());
        write_id(reply, id);
    }
    write_figure(reply, "entries-added", stream.entries_added() as i64);
    reply.bulk(b"recorded-first-entry-id");
    write_id(reply, stream.first_id());
    match full {
        Some(count) => write_content(reply, stream, count),
        None => write_ends(reply, stream),
    }
    Ok(())
}

/// How many of each kind are to be shown; `None` where only an outline is.
fn parse_full(args: Args<'_>) -> Result<Option<usize>, CommandError> {
    match args.len() {
        3 => Ok(None),
        4 if args.is(3, "FULL") => Ok(Some(SHOWN_ENTRIES)),
        6 if args.is(3, "FULL") && args.is(4, "COUNT") => match args.integer(5)? {
            0 => Ok(Some(usize::MAX)),
            count => Ok(Some(usize::try_from(count).unwrap_or(SHOWN_ENTRIES))),
        },
        _ => Err(misused(args)),
    }
}

/// The rest of the outline.
fn write_ends(reply: &mut Reply<'_>, stream: &Stream) {
    write_figure(reply, "groups", stream.group_count() as i64);
    for (name, entry) in [("first-entry", stream.first()), ("last-entry", stream.last())] {
        reply.bulk(name.as_bytes());
        match entry {
            Some(entry) => write_entry(reply, entry),
            None => reply.null(),
        }
    }
}

/// The rest in full.
fn write_content(reply: &mut Reply<'_>, stream: &Stream, count: usize) {
    reply.bulk(b"entries");
    write_entries(reply, stream.iter(), count);
    reply.bulk(b"groups");
    reply.array(stream.group_count());
    for (name, group) in stream.groups() {
        reply.map(7);
        reply.bulk(b"name");
        reply.bulk(name);
        write_progress(reply, stream, group);
        write_figure(reply, "pel-count", group.pending_len() as i64);
        reply.bulk(b"pending");
        reply.array(group.pending_len().min(count));
        for (id, entry) in group.pending_range(StreamId::MIN, StreamId::MAX).take(count) {
            reply.array(4);
            write_id(reply, id);
            reply.bulk(entry.consumer());
            reply.integer(entry.delivery_time().0);
            reply.integer(entry.delivery_count() as i64);
        }
        reply.bulk(b"consumers");
        reply.array(group.consumer_count());
        group.consumers().for_each(|consumer| write_consumer(reply, group, consumer, count));
    }
}

fn write_consumer(reply: &mut Reply<'_>, group: &StreamGroup, consumer: &StreamConsumer, count: usize) {
    reply.map(5);
    reply.bulk(b"name");
    reply.bulk(consumer.name());
    write_figure(reply, "seen-time", consumer.seen_time().0);
    write_figure(reply, "active-time", consumer.active_time().map_or(-1, |time| time.0));
    write_figure(reply, "pel-count", consumer.pending_len() as i64);
    reply.bulk(b"pending");
    reply.array(consumer.pending_len().min(count));
    let pending = group.consumer_pending_range(consumer.name(), StreamId::MIN, StreamId::MAX);
    for (id, entry) in pending.take(count) {
        reply.array(3);
        write_id(reply, id);
        reply.integer(entry.delivery_time().0);
        reply.integer(entry.delivery_count() as i64);
    }
}

/// How far a group has read.
fn write_progress(reply: &mut Reply<'_>, stream: &Stream, group: &StreamGroup) {
    reply.bulk(b"last-delivered-id");
    write_id(reply, group.last_id());
    for (name, figure) in
        [("entries-read", group.entries_read().map(|read| read as i64)), ("lag", lag(stream, group))]
    {
        match figure {
            Some(figure) => write_figure(reply, name, figure),
            None => {
                reply.bulk(name.as_bytes());
                reply.null();
            }
        }
    }
}

fn write_figure(reply: &mut Reply<'_>, name: &str, figure: i64) {
    reply.bulk(name.as_bytes());
    reply.integer(figure);
}
