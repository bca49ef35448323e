//! What XREADGROUP gives a consumer: what its group has not had yet, or what is pending with it.
//! Always: what is new becomes pending with the consumer as it is written, unless it needs no acknowledgement.

use tenon_base::UnixMillis;
use tenon_keyspace::{StreamEntries, StreamGroupMut, StreamId};
use tenon_resp::Reply;

use super::effect::{Claims, Delivery, GroupName, delivered_again};
use super::entries::write_entry;
use super::id::write_id;
use super::lag::advance;
use super::read::Served;
use crate::{CommandError, Context, Event, Unit};

const FOUND: &str = "a group that was found a moment ago";

/// Who reads.
#[derive(Default)]
pub(super) struct Reader<'a> {
    pub(super) group: Option<&'a [u8]>,
    pub(super) consumer: &'a [u8],
    /// Whether what is delivered counts as acknowledged at once.
    pub(super) acknowledges: bool,
}

/// What is to be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// What the group has not had yet.
    New,
    /// What is pending with the consumer behind an ID.
    Pending { after: StreamId },
}

impl<'a> Reader<'a> {
    pub(super) fn group_name(&self) -> &'a [u8] {
        self.group.unwrap_or_default()
    }

    /// Delivers up to `count` entries of one stream, whose group exists, and says how many changes that counts for.
    pub(super) fn deliver(
        &self,
        ctx: &mut Context<'_>,
        key: &[u8],
        wish: Wish,
        count: usize,
        served: &mut Served,
    ) -> Result<u64, CommandError> {
        let (now, database) = (ctx.db.now(), ctx.db.index());
        let (mut stream, unit) = ctx.db.stream_and_unit_mut(key)?.expect(FOUND);
        let (entries, mut group) = stream.entries_and_group_mut(self.group_name()).expect(FOUND);
        let name = GroupName { database, key, group: self.group_name() };
        let mut work = Work { reader: self, entries, group: &mut group, name, unit, now };
        let is_new = work.greet();
        let is_served = match wish {
            Wish::Pending { .. } => true,
            Wish::New => entries.last().is_some_and(|last| last.id > work.group.last_id()),
        };
        let mut delivered = 0;
        if is_served {
            served.begin(&mut ctx.reply, key);
            let head = ctx.reply.defer_array();
            let written = match wish {
                Wish::New => {
                    delivered = work.deliver_new(&mut ctx.reply, count);
                    delivered
                }
                Wish::Pending { after } => work.deliver_pending(&mut ctx.reply, after, count),
            };
            ctx.reply.finish(head, written);
        }
        // What it is given makes a consumer known to those who follow.
        if is_new && (delivered == 0 || self.acknowledges) {
            name.consumer(work.unit, self.consumer);
        }
        Ok(u64::from(is_new) + u64::from(is_served))
    }
}

/// One delivery from one stream.
struct Work<'w, 'g> {
    reader: &'w Reader<'w>,
    entries: &'w StreamEntries,
    group: &'w mut StreamGroupMut<'g>,
    name: GroupName<'w>,
    unit: &'w mut Unit,
    now: UnixMillis,
}

impl Work<'_, '_> {
    /// Makes the consumer known, and says whether it is new.
    fn greet(&mut self) -> bool {
        let is_new = self.group.create_consumer(self.reader.consumer, self.now);
        if is_new {
            self.unit.notify(Event::XGROUP_CREATECONSUMER, self.name.database, self.name.key);
        } else {
            self.group.set_seen_time(self.reader.consumer, self.now);
        }
        is_new
    }

    /// Writes up to `count` entries that the group has not had, and says how many.
    fn deliver_new(&mut self, reply: &mut Reply<'_>, count: usize) -> usize {
        let (consumer, is_kept) = (self.reader.consumer, !self.reader.acknowledges);
        let Some(start) = self.group.last_id().next() else { return 0 };
        let mut read = self.group.entries_read();
        let mut last = self.group.last_id();
        let mut claims = Claims::new(self.name);
        let mut delivered = 0;
        for entry in self.entries.range(start, StreamId::MAX).take(count) {
            last = entry.id;
            read = advance(self.entries, read, last);
            if is_kept {
                self.group.assign(last, consumer, self.now, 1);
                claims.add(self.unit, last, Delivery { consumer, time: self.now, count: 1 }, last);
            }
            write_entry(reply, entry);
            delivered += 1;
        }
        self.group.set_last_id(last);
        self.group.set_entries_read(read);
        if is_kept {
            claims.end(self.unit, last);
            self.group.set_active_time(consumer, Some(self.now));
        }
        self.name.progress(self.unit, self.group);
        delivered
    }

    /// Writes up to `most` entries that are pending with the consumer, and says how many. What is no longer in the
    /// stream is told by its ID alone.
    fn deliver_pending(&mut self, reply: &mut Reply<'_>, after: StreamId, most: usize) -> usize {
        let consumer = self.reader.consumer;
        let last_id = self.group.last_id();
        let mut claims = Claims::new(self.name);
        let mut from = after.next();
        let mut written = 0;
        while let Some(start) = from
            && written < most
            && let Some((id, pending)) =
                self.group.consumer_pending_range(consumer, start, StreamId::MAX).next()
        {
            let count = delivered_again(pending.delivery_count());
            match self.entries.find(id) {
                Some(entry) => {
                    write_entry(reply, entry);
                    self.group.assign(id, consumer, self.now, count);
                    claims.add(self.unit, id, Delivery { consumer, time: self.now, count }, last_id);
                }
                None => {
                    reply.array(2);
                    write_id(reply, id);
                    reply.null_array();
                }
            }
            written += 1;
            from = id.next();
        }
        claims.end(self.unit, last_id);
        written
    }
}
