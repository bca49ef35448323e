//! What becomes of a group's work when it is propagated: requests that tell its outcome.
//! Always: a follower that runs them has equal groups, at any clock; only when a consumer was seen is its own.

use tenon_base::UnixMillis;
use tenon_keyspace::{StreamGroup, StreamId};
use tenon_resp::{INTEGER_TEXT_BYTES_MAX, format_integer};

use crate::{Context, Unit};

/// A group as requests name it.
#[derive(Clone, Copy)]
pub(super) struct GroupName<'a> {
    pub(super) database: usize,
    pub(super) key: &'a [u8],
    pub(super) group: &'a [u8],
}

impl GroupName<'_> {
    /// Propagates that an entry is pending with `consumer` since `time`, delivered `count` times; or, if the entry is
    /// no longer in the stream, that it is no longer pending.
    pub(super) fn claim(
        self,
        unit: &mut Unit,
        consumer: &[u8],
        id: StreamId,
        delivery: (UnixMillis, u64),
        last_id: StreamId,
    ) {
        self.begin_claim(unit, consumer);
        unit.extend_operation(id.text().as_bytes());
        end_claim(unit, delivery, last_id);
    }

    /// Begins what `claim` propagates: the IDs follow, then `end_claim`.
    pub(super) fn begin_claim(self, unit: &mut Unit, consumer: &[u8]) {
        unit.propagate_as(self.database, &[b"XCLAIM", self.key, self.group, consumer, b"0"]);
    }

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

/// Ends what `GroupName::begin_claim` began: one delivery time and number of deliveries for all IDs.
pub(super) fn end_claim(unit: &mut Unit, (time, count): (UnixMillis, u64), last_id: StreamId) {
    let mut digits = [0; INTEGER_TEXT_BYTES_MAX];
    unit.extend_operation(b"TIME");
    unit.extend_operation(format_integer(time.0, &mut digits));
    unit.extend_operation(b"RETRYCOUNT");
    unit.extend_operation(format_integer(count as i64, &mut digits));
    for word in [&b"FORCE"[..], b"JUSTID", b"LASTID", last_id.text().as_bytes()] {
        unit.extend_operation(word);
    }
}

/// Says that `key` changed in a way that no event tells: `count` changes.
pub(super) fn mark(ctx: &mut Context<'_>, key: &[u8], count: u64) {
    let index = ctx.db.index();
    if ctx.db.unit.wants_keys() {
        let hash = ctx.db.database_ref().hash(key);
        ctx.db.unit.touch(index, hash);
    }
    ctx.db.unit.dirty += count;
}
