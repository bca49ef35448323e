//! How far a group is behind its stream: how many entries were read, and how many are left, as long as deleted
//! entries do not make that unknowable.
//! Always: only figures that the stream keeps are used; nothing is counted.

use tenon_keyspace::{StreamEntries, StreamGroup, StreamId};

/// How many entries have not been delivered to the group yet; `None` if nobody knows.
pub(super) fn lag(stream: &StreamEntries, group: &StreamGroup) -> Option<i64> {
    let added = stream.entries_added() as i64;
    if added == 0 {
        return Some(0);
    }
    let read = match group.entries_read() {
        Some(read) if !has_deleted_behind(stream, group.last_id()) => read,
        _ => place(stream, group.last_id())?,
    };
    Some(added.wrapping_sub(read as i64))
}

/// How many entries a group has read once the entry `id` is delivered to it, which had read `read` before.
pub(super) fn advance(stream: &StreamEntries, read: Option<u64>, id: StreamId) -> Option<u64> {
    match read {
        Some(read) if !has_deleted_behind(stream, id) => Some(read.wrapping_add(1)),
        read if stream.entries_added() == 0 => read,
        _ => place(stream, id),
    }
}

/// The place of an ID among all entries there ever were, counted from 1; of an ID between two entries, that of the
/// first of them. `None` if it cannot be told.
fn place(stream: &StreamEntries, id: StreamId) -> Option<u64> {
    let (added, len) = (stream.entries_added(), stream.len());
    if added == 0 {
        return Some(0);
    }
    if id == stream.last_id() || (len == 0 && id < stream.last_id()) {
        return Some(added);
    }
    let deleted = stream.max_deleted_id();
    let is_whole = deleted == StreamId::MIN || deleted < stream.first_id();
    if id > stream.last_id() || !is_whole {
        return None;
    }
    let before = added.wrapping_sub(len);
    match id.cmp(&stream.first_id()) {
        std::cmp::Ordering::Less => Some(before),
        std::cmp::Ordering::Equal => Some(before.wrapping_add(1)),
        std::cmp::Ordering::Greater => None,
    }
}

/// Whether an entry from `id` on may have been deleted, other than from the front.
fn has_deleted_behind(stream: &StreamEntries, id: StreamId) -> bool {
    let deleted = stream.max_deleted_id();
    !stream.is_empty() && deleted != StreamId::MIN && stream.first_id() <= deleted && id <= deleted
}
