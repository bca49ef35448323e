//! How far a group is behind its stream: how many entries were read, and how many are left, as long as deleted
//! entries do not make that unknowable.
//! Always: only figures that the stream keeps are used; nothing is counted.

use tenon_keyspace::{StreamEntries, StreamGroup, StreamId};

/// Requests tell in 63 bits how many entries were read.
const READ_MAX: u64 = i64::MAX as u64;

/// How many entries have not been delivered to the group yet; `None` if nobody knows.
pub(super) fn lag(stream: &StreamEntries, group: &StreamGroup) -> Option<i64> {
    let added = stream.entries_added() as i64;
    if added == 0 {
        return Some(0);
    }
    let read = match group.entries_read() {
        Some(read) if !stream.may_have_gaps_from(group.last_id()) => read,
        _ => stream.entries_added_up_to(group.last_id())?,
    };
    Some(added.wrapping_sub(read as i64))
}

/// How many entries a group has read once the entry `id` is delivered to it, which had read `read` before.
pub(super) fn advance(stream: &StreamEntries, read: Option<u64>, id: StreamId) -> Option<u64> {
    match read {
        Some(read) if read < READ_MAX && !stream.may_have_gaps_from(id) => Some(read + 1),
        read if stream.entries_added() == 0 => read,
        _ => stream.entries_added_up_to(id),
    }
}
