//! XACK and XPENDING: what a group was given and has not acknowledged.

use tenon_base::UnixMillis;
use tenon_keyspace::{StreamGroup, StreamId};
use tenon_resp::{Args, Reply};

use super::effect::mark;
use super::entries::with_ids;
use super::help::no_key_or_group;
use super::id::{parse_end, parse_start, write_id};
use crate::{CommandError, Context, Outcome, Words};

pub(super) fn xack(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let (key, words) = (args.get(1), args.rest(3));
    let acknowledged = match ctx.db.stream_mut(key)? {
        Some(mut stream) => match stream.group_mut(args.get(2)) {
            Some(mut group) => {
                with_ids(words, |ids| ids.iter().filter(|&&id| group.acknowledge(id)).count())?
            }
            None => 0,
        },
        None => 0,
    };
    mark(ctx, key, acknowledged as u64);
    ctx.reply.integer(acknowledged as i64);
    Ok(())
}

pub(super) fn xpending(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let search = Search::parse(args)?;
    let (key, name, now) = (args.get(1), args.get(2), ctx.db.now());
    let group = ctx.db.stream(key)?.and_then(|stream| stream.group(name));
    let group = group.ok_or_else(|| no_key_or_group(key, name))?;
    match search {
        Some(search) => search.write(&mut ctx.reply, group, now),
        None => write_summary(&mut ctx.reply, group),
    }
    Ok(())
}

fn write_summary(reply: &mut Reply<'_>, group: &StreamGroup) {
    reply.array(4);
    reply.integer(group.pending_len() as i64);
    let Some((first, last)) = group.pending_ends() else {
        reply.null();
        reply.null();
        reply.null_array();
        return;
    };
    write_id(reply, first);
    write_id(reply, last);
    let head = reply.defer_array();
    let mut written = 0;
    for consumer in group.consumers().filter(|consumer| consumer.pending_len() > 0) {
        reply.array(2);
        reply.bulk(consumer.name());
        reply.bulk_integer(consumer.pending_len() as i64);
        written += 1;
    }
    reply.finish(head, written);
}

/// Which pending entries XPENDING lists.
struct Search<'a> {
    idle_ms_min: i64,
    start: StreamId,
    end: StreamId,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Search<'a> {
    /// `None`: no range, only a summary.
    fn parse(args: Args<'a>) -> Result<Option<Search<'a>>, CommandError> {
        let (mut first, mut idle_ms_min) = (3, 0);
        match args.len() {
            3 => return Ok(None),
            6..=9 => {}
            _ => return Err(CommandError::Syntax),
        }
        if args.is(3, "IDLE") {
            idle_ms_min = args.integer(4)?;
            if args.len() < 8 {
                return Err(CommandError::Syntax);
            }
            first = 5;
        }
        let count = usize::try_from(args.integer(first + 2)?).unwrap_or(0);
        let (start, end) = (parse_start(args.get(first))?, parse_end(args.get(first + 1))?);
        let consumer = args.try_get(first + 3);
        Ok(Some(Search { idle_ms_min, start, end, count, consumer }))
    }

    fn write(&self, reply: &mut Reply<'_>, group: &StreamGroup, now: UnixMillis) {
        let pending = match self.consumer {
            Some(name) => group.consumer_pending_range(name, self.start, self.end),
            None => group.pending_range(self.start, self.end),
        };
        let idle_ms = |since: UnixMillis| now.0.saturating_sub(since.0);
        let pending = pending
            .filter(|(_, entry)| self.idle_ms_min == 0 || idle_ms(entry.delivery_time()) >= self.idle_ms_min)
            .take(self.count);
        let head = reply.defer_array();
        let mut written = 0;
        for (id, entry) in pending {
            reply.array(4);
            write_id(reply, id);
            reply.bulk(entry.consumer());
            reply.integer(idle_ms(entry.delivery_time()).max(0));
            reply.integer(entry.delivery_count() as i64);
            written += 1;
        }
        reply.finish(head, written);
    }
}
