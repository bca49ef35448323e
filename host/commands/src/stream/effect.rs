//! What becomes of a group's work when it is propagated: requests that tell its outcome.
//! Always: a follower that runs them has equal groups, at any clock; only when a consumer was seen is its own.

use tenon_base::UnixMillis;
use tenon_keyspace::{StreamGroup, StreamId};
use tenon_resp::{INTEGER_TEXT_BYTES_MAX, format_integer};

use crate::{Concerns, Context, Unit};

/// So many IDs are told by one request.
const CLAIMED_IDS_MAX: usize = 128;
/// Requests tell counts in 63 bits.
const DELIVERIES_MAX: u64 = i64::MAX as u64;

/// A group as requests name it.
#[derive(Clone, Copy)]
pub(super) struct GroupName<'a> {
    pub(super) database: usize,
    pub(super) key: &'a [u8],
    pub(super) group: &'a [u8],
}

impl GroupName<'_> {
    /// Propagates a consumer that nothing else tells of.
    pub(super) fn consumer(self, unit: &mut Unit, consumer: &[u8]) {
        unit.propagate_as(self.database, &[b"XGROUP", b"CREATECONSUMER", self.key, self.group, consumer]);
    }

    /// Propagates how far the group has read.
    pub(super) fn progress(self, unit: &mut Unit, group: &StreamGroup) {
        let words = unit.operation_as(self.database);
        for word in [&b"XGROUP"[..], b"SETID", self.key, self.group] {
            words.push(word);
        }
        words.push(group.last_id().text().as_bytes());
        words.push(b"ENTRIESREAD");
        words.push_integer(group.entries_read().map_or(-1, |read| read as i64));
    }
}

/// How an entry was delivered: to whom, when last, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delivery<'a> {
    pub(super) consumer: &'a [u8],
    pub(super) time: UnixMillis,
    pub(super) count: u64,
}

/// Claims on their way out: entries that are pending alike are told by one request. What is no longer in the stream
/// is told the same way, and whoever follows finds that it is no longer pending.
/// Always: nothing else is propagated between the first claim and `end`.
pub(super) struct Claims<'a> {
    name: GroupName<'a>,
    /// What the request tells that is being written, and of how many entries.
    open: Option<(Delivery<'a>, usize)>,
}

impl<'a> Claims<'a> {
    pub(super) fn new(name: GroupName<'a>) -> Claims<'a> {
        Claims { name, open: None }
    }

    /// Propagates that an entry is pending; the group has been given entries up to `last_id`.
    pub(super) fn add(&mut self, unit: &mut Unit, id: StreamId, delivery: Delivery<'a>, last_id: StreamId) {
        let ids = match self.open {
            Some((open, ids)) if open == delivery && ids < CLAIMED_IDS_MAX => ids,
            _ => {
                self.end(unit, last_id);
                let GroupName { database, key, group } = self.name;
                unit.propagate_as(database, &[b"XCLAIM", key, group, delivery.consumer, b"0"]);
                0
            }
        };
        unit.extend_operation(id.text().as_bytes());
        self.open = Some((delivery, ids + 1));
    }

    /// Propagates that an entry is no longer in the stream and no longer pending, with whatever is being told.
    pub(super) fn add_gone(
        &mut self,
        unit: &mut Unit,
        id: StreamId,
        delivery: Delivery<'a>,
        last_id: StreamId,
    ) {
        let delivery = self.open.map_or(delivery, |(open, _)| open);
        self.add(unit, id, delivery, last_id);
    }

    /// Ends the request that is being written.
    pub(super) fn end(&mut self, unit: &mut Unit, last_id: StreamId) {
        let Some((Delivery { time, count, .. }, _)) = self.open.take() else { return };
        let mut digits = [0; INTEGER_TEXT_BYTES_MAX];
        unit.extend_operation(b"TIME");
        unit.extend_operation(format_integer(time.0, &mut digits));
        unit.extend_operation(b"RETRYCOUNT");
        unit.extend_operation(format_integer(count as i64, &mut digits));
        for word in [&b"FORCE"[..], b"JUSTID", b"LASTID", last_id.text().as_bytes()] {
            unit.extend_operation(word);
        }
    }
}

/// One delivery more, as far as can be told.
pub(super) fn delivered_again(count: u64) -> u64 {
    count.saturating_add(1).min(DELIVERIES_MAX)
}

/// Says that `key` changed in a way that no event tells: `count` changes, maybe none.
pub(super) fn mark(ctx: &mut Context<'_>, key: &[u8], count: u64) {
    if count > 0 {
        ctx.wrote_for(Concerns::Nobody, key, None, count as usize);
    }
}
