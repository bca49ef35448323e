//! What a machine has written and not yet sent: an out-buffer for each connection, and the list of requests
//! to the world. Order within one connection is absolute; a reply whose stamp is not satisfied holds back
//! everything behind it on that connection.
//! A connection may also follow a shared stream: what it is sent of it comes behind its own bytes, and is not copied.
//! Always: bytes behind the last held segment are free to leave as soon as that segment is.

mod buffer;
mod streams;

use std::collections::VecDeque;

pub use self::buffer::SegmentKind;
use self::buffer::{KEPT_CAPACITY_MAX, OutBuffer, Segment};
pub use self::streams::StreamId;
use crate::{ConnectionId, Output, Reached, SharedStream, Stamp};

/// How many empty buffers wait for reuse.
const SPARE_BUFFERS_MAX: usize = 256;

/// All out-buffers of one machine by connection slot, and its requests to the world.
#[derive(Default)]
pub struct Outputs {
    buffers: Vec<OutBuffer>,
    /// Slots written to since the flusher last took them.
    dirty: Vec<u32>,
    /// Slots that something was pushed to, which the flusher may send to later.
    pushed: VecDeque<u32>,
    /// Slots that hold at least one segment back.
    held: Vec<u32>,
    requests: Vec<Output>,
    reached: Reached,
    spare: Vec<Vec<u8>>,
    spare_bytes: usize,
    sent_totals: SentTotals,
    /// The sum of what buffers were counted as.
    counted_bytes: usize,
    /// By [`StreamId`].
    streams: Vec<Option<SharedStream>>,
    /// Slots that follow a stream.
    followers: Vec<u32>,
}

/// What has left since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SentTotals {
    /// Bytes.
    pub bytes: u64,
    /// Pieces in which they left.
    pub sends: u64,
    /// Bytes among them that came out of shared streams.
    pub shared_bytes: u64,
}

impl Outputs {
    /// Asks the world for something.
    pub fn request(&mut self, output: Output) {
        self.requests.push(output);
    }

    /// Everything asked for since the last call, in order.
    pub fn take_requests(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.requests)
    }

    /// Whether anything was asked for.
    pub fn has_requests(&self) -> bool {
        !self.requests.is_empty()
    }

    /// The vector to write a reply to `connection` into. The connection is flushed after this turn.
    pub fn writer(&mut self, connection: ConnectionId) -> &mut Vec<u8> {
        let buffer = self.room(connection);
        if !std::mem::replace(&mut buffer.is_dirty, true) {
            self.dirty.push(connection.slot);
        }
        self.bytes(connection)
    }

    /// The vector to write a message to `connection` into. It leaves after this turn or soon after: so many may get
    /// it that others would wait for their replies meanwhile.
    pub fn push_writer(&mut self, connection: ConnectionId) -> &mut Vec<u8> {
        let buffer = self.room(connection);
        if !buffer.is_dirty && !std::mem::replace(&mut buffer.is_pushed, true) {
            self.pushed.push_back(connection.slot);
        }
        self.bytes(connection)
    }

    fn room(&mut self, connection: ConnectionId) -> &mut OutBuffer {
        let slot = connection.slot as usize;
        if slot >= self.buffers.len() {
            self.buffers.resize_with(slot + 1, OutBuffer::default);
        }
        let buffer = &mut self.buffers[slot];
        // What was written last time is counted now.
        buffer.count(&mut self.counted_bytes);
        buffer
    }

    fn bytes(&mut self, connection: ConnectionId) -> &mut Vec<u8> {
        let buffer = &mut self.buffers[connection.slot as usize];
        if buffer.bytes.capacity() == 0
            && let Some(spare) = self.spare.pop()
        {
            buffer.lent_bytes = spare.capacity();
            buffer.bytes = spare;
        }
        &mut buffer.bytes
    }

    /// Holds back what was written to `connection` since its length was `start`, until `stamp` is satisfied.
    pub fn hold(&mut self, connection: ConnectionId, start: usize, stamp: Stamp, kind: SegmentKind) {
        if self.reached.satisfies(stamp) {
            return;
        }
        let buffer = &mut self.buffers[connection.slot as usize];
        let end = buffer.bytes.len();
        assert!(start <= end, "a reply cannot end before it begins");
        buffer.segments.push_back(Segment { start, end, stamp, kind });
        if !buffer.is_listed_held {
            buffer.is_listed_held = true;
            self.held.push(connection.slot);
        }
    }

    /// How far the log has come.
    pub fn reached(&self) -> &Reached {
        &self.reached
    }

    /// Notes how far the log has come, and marks the connections that this releases for the flusher.
    pub fn reach(&mut self, change: impl FnOnce(&mut Reached)) {
        change(&mut self.reached);
        let mut kept = 0;
        for index in 0..self.held.len() {
            let slot = self.held[index];
            let buffer = &mut self.buffers[slot as usize];
            let before = buffer.segments.len();
            while buffer.segments.front().is_some_and(|segment| self.reached.satisfies(segment.stamp)) {
                buffer.segments.pop_front();
            }
            if buffer.segments.len() < before && !buffer.is_dirty {
                buffer.is_dirty = true;
                self.dirty.push(slot);
            }
            if buffer.segments.is_empty() {
                buffer.is_listed_held = false;
            } else {
                self.held[kept] = slot;
                kept += 1;
            }
        }
        self.held.truncate(kept);
    }

    /// Puts `error` (a whole RESP reply) in the place of every held reply, and releases them. Pushes are
    /// kept, and stay held.
    pub fn replace_held_replies(&mut self, error: &[u8]) -> usize {
        let mut replaced = 0;
        for index in 0..self.held.len() {
            let slot = self.held[index];
            let buffer = &mut self.buffers[slot as usize];
            replaced += buffer.replace_replies(error);
            if !buffer.is_dirty {
                buffer.is_dirty = true;
                self.dirty.push(slot);
            }
        }
        let buffers = &mut self.buffers;
        self.held.retain(|&slot| {
            let buffer = &mut buffers[slot as usize];
            buffer.is_listed_held = !buffer.segments.is_empty();
            buffer.is_listed_held
        });
        replaced
    }

    /// How many replies are held back.
    pub fn held_segments(&self) -> usize {
        self.held.iter().map(|&slot| self.buffers[slot as usize].segments.len()).sum()
    }

    /// Moves the slots written to since the last call into `slots`, for the flusher.
    pub fn take_dirty(&mut self, slots: &mut Vec<u32>) {
        slots.append(&mut self.dirty);
        for &slot in slots.iter() {
            let buffer = &mut self.buffers[slot as usize];
            buffer.is_dirty = false;
            buffer.count(&mut self.counted_bytes);
        }
    }

    /// Moves some of the slots that something was pushed to into `slots`, for the flusher.
    pub fn take_pushed(&mut self, slots: &mut Vec<u32>, slots_max: usize) {
        let count = self.pushed.len().min(slots_max);
        for slot in self.pushed.drain(..count) {
            // One that was discarded meanwhile is not in the list any more, though its number may be.
            let buffer = &mut self.buffers[slot as usize];
            if std::mem::take(&mut buffer.is_pushed) {
                buffer.count(&mut self.counted_bytes);
                slots.push(slot);
            }
        }
    }

    /// Whether messages wait to be sent.
    pub fn has_pushed(&self) -> bool {
        !self.pushed.is_empty()
    }

    /// The bytes of a slot that may leave now.
    pub fn sendable(&self, slot: u32) -> &[u8] {
        let Some(buffer) = self.buffers.get(slot as usize) else { return &[] };
        match buffer.follows {
            Some((id, place)) if buffer.bytes.is_empty() => self.stream(id).piece(place),
            _ => buffer.sendable(),
        }
    }

    /// Notes that the first `count` bytes of [`Outputs::sendable`] were sent.
    pub fn sent(&mut self, slot: u32, count: usize) {
        self.sent_totals.bytes += count as u64;
        self.sent_totals.sends += 1;
        let buffer = &mut self.buffers[slot as usize];
        if let Some((_, place)) = &mut buffer.follows
            && buffer.bytes.is_empty()
        {
            *place += count as u64;
            self.sent_totals.shared_bytes += count as u64;
            return;
        }
        buffer.advance(count);
        if buffer.bytes.is_empty() && buffer.segments.is_empty() {
            let bytes = std::mem::take(&mut buffer.bytes);
            self.spare_bytes -= std::mem::take(&mut buffer.lent_bytes);
            if bytes.capacity() <= KEPT_CAPACITY_MAX && self.spare.len() < SPARE_BUFFERS_MAX {
                self.spare_bytes += bytes.capacity();
                self.spare.push(bytes);
            }
        }
        buffer.count(&mut self.counted_bytes);
    }

    /// What was sent on all slots together.
    pub fn sent_totals(&self) -> SentTotals {
        self.sent_totals
    }

    /// How many bytes wait on a slot, held ones included.
    pub fn pending_bytes(&self, slot: u32) -> usize {
        let Some(buffer) = self.buffers.get(slot as usize) else { return 0 };
        let shared = buffer.follows.map_or(0, |(id, place)| self.stream(id).end() - place);
        buffer.bytes.len() - buffer.sent + usize::try_from(shared).unwrap_or(usize::MAX)
    }

    /// Bytes of memory that a slot's buffer takes.
    pub fn memory_bytes(&self, slot: u32) -> usize {
        self.buffers.get(slot as usize).map_or(0, OutBuffer::memory_bytes)
    }

    /// Bytes of memory in empty buffers that wait for reuse, and in those that were taken from there: so it stays the
    /// same whether a reply is on its way or not.
    pub fn spare_bytes(&self) -> usize {
        self.spare_bytes
    }

    /// Bytes of memory that all buffers take, each as it was before it was last written to or as it was flushed.
    pub fn counted_bytes(&self) -> usize {
        self.counted_bytes
    }

    /// Forgets everything that waits on a slot: its connection is gone.
    pub fn discard(&mut self, slot: u32) {
        let Some(buffer) = self.buffers.get_mut(slot as usize) else { return };
        if buffer.is_listed_held {
            self.held.retain(|&held| held != slot);
        }
        if buffer.is_dirty {
            self.dirty.retain(|&dirty| dirty != slot);
        }
        self.counted_bytes -= buffer.counted_bytes;
        self.spare_bytes -= buffer.lent_bytes;
        if buffer.follows.is_some() {
            self.followers.retain(|&follower| follower != slot);
        }
        *buffer = OutBuffer::default();
    }
}

#[cfg(test)]
mod tests;
