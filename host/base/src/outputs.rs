//! What a machine has written and not yet sent: an out-buffer for each connection, and the list of requests
//! to the world. Order within one connection is absolute; a reply whose stamp is not satisfied holds back
//! everything behind it on that connection.
//! A connection may also follow a shared stream: what it is sent of it comes behind its own bytes, and is not copied.
//! Always: bytes behind the last held segment are free to leave as soon as that segment is.

use std::collections::VecDeque;

use crate::{ConnectionId, Output, Reached, SharedStream, Stamp};

/// Buffers above this size are given back to the allocator once they are empty.
const KEPT_CAPACITY_MAX: usize = 64 * 1024;
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

/// Names a shared stream. Used again after the stream was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamId(u32);

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

/// Whether a held segment answers a request or was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentKind {
    /// An answer to a request; it may be replaced by an error while it is held.
    Reply,
    /// A push, which is kept as it is.
    Push,
}

/// What waits to be sent on one connection.
#[derive(Default)]
pub struct OutBuffer {
    bytes: Vec<u8>,
    /// How many of `bytes` were sent.
    sent: usize,
    segments: VecDeque<Segment>,
    /// The stream that it follows, and the place up to which it was sent.
    follows: Option<(StreamId, u64)>,
    is_dirty: bool,
    is_pushed: bool,
    is_listed_held: bool,
    /// What it was counted as when its memory was last counted.
    counted_bytes: usize,
    /// What its memory was when it was taken from the spare buffers, if it was.
    lent_bytes: usize,
}

/// Bytes of an out-buffer, from the end of the segment before, that wait for a stamp.
#[derive(Clone, Copy, Debug)]
struct Segment {
    start: usize,
    end: usize,
    stamp: Stamp,
    kind: SegmentKind,
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

    /// Opens a stream that begins at `start`, of which about `kept_bytes` are to be kept.
    pub fn open_stream(&mut self, start: u64, kept_bytes: u64) -> StreamId {
        let stream = Some(SharedStream::new(start, kept_bytes));
        let index = self.streams.iter().position(Option::is_none).unwrap_or(self.streams.len());
        if index == self.streams.len() {
            self.streams.push(stream);
        } else {
            self.streams[index] = stream;
        }
        StreamId(index as u32)
    }

    /// Forgets a stream. Whoever followed it is sent no more of it.
    pub fn close_stream(&mut self, id: StreamId) {
        let buffers = &mut self.buffers;
        self.followers.retain(|&slot| {
            let follows = &mut buffers[slot as usize].follows;
            let is_its = follows.is_some_and(|(followed, _)| followed == id);
            if is_its {
                *follows = None;
            }
            !is_its
        });
        self.streams[id.0 as usize] = None;
    }

    /// An open stream.
    pub fn stream(&self, id: StreamId) -> &SharedStream {
        self.streams[id.0 as usize].as_ref().expect("a stream that is named is open")
    }

    /// Adds to a stream, and marks its followers for the flusher.
    pub fn extend_stream(&mut self, id: StreamId, add: impl FnOnce(&mut SharedStream)) {
        add(self.streams[id.0 as usize].as_mut().expect("a stream that is named is open"));
        for &slot in &self.followers {
            let buffer = &mut self.buffers[slot as usize];
            if !buffer.is_dirty && buffer.follows.is_some_and(|(followed, _)| followed == id) {
                buffer.is_dirty = true;
                self.dirty.push(slot);
            }
        }
    }

    /// Lets go of what lies before `keep_from`, and before the place of every follower.
    pub fn trim_stream(&mut self, id: StreamId, keep_from: u64) {
        let followers = self.followers.iter().filter_map(|&slot| self.buffers[slot as usize].follows);
        let places = followers.filter(|(followed, _)| *followed == id).map(|(_, place)| place);
        let keep_from = places.fold(keep_from, u64::min);
        if let Some(stream) = &mut self.streams[id.0 as usize] {
            stream.trim(keep_from);
        }
    }

    /// Sends a connection, behind what was written to it, a stream from the place `from` on, which must be kept.
    pub fn follow(&mut self, connection: ConnectionId, id: StreamId, from: u64) {
        let stream = self.stream(id);
        assert!(stream.start() <= from && from <= stream.end(), "a follower begins in what is kept");
        self.writer(connection);
        let follows = &mut self.buffers[connection.slot as usize].follows;
        if follows.replace((id, from)).is_none() {
            self.followers.push(connection.slot);
        }
    }

    /// Sends a connection no more of the stream that it follows.
    pub fn unfollow(&mut self, connection: ConnectionId) {
        if let Some(buffer) = self.buffers.get_mut(connection.slot as usize)
            && buffer.follows.take().is_some()
        {
            self.followers.retain(|&slot| slot != connection.slot);
        }
    }

    /// The stream that a connection follows, and the place up to which it was sent.
    pub fn followed(&self, connection: ConnectionId) -> Option<(StreamId, u64)> {
        self.buffers.get(connection.slot as usize)?.follows
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

impl OutBuffer {
    /// A buffer that would be kept for reuse counts as what is in it, so that equal content counts equally.
    fn memory_bytes(&self) -> usize {
        let capacity = self.bytes.capacity();
        let bytes = if capacity > KEPT_CAPACITY_MAX { capacity } else { self.bytes.len() };
        bytes + self.segments.len() * size_of::<Segment>()
    }

    #[inline]
    fn count(&mut self, sum: &mut usize) {
        let memory_bytes = self.memory_bytes();
        *sum = *sum - self.counted_bytes + memory_bytes;
        self.counted_bytes = memory_bytes;
    }

    fn sendable(&self) -> &[u8] {
        let end = self.segments.front().map_or(self.bytes.len(), |segment| segment.start);
        &self.bytes[self.sent..end]
    }

    fn advance(&mut self, count: usize) {
        self.sent += count;
        assert!(self.sent <= self.bytes.len(), "sent more than there was");
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            self.sent = 0;
        } else if self.sent >= KEPT_CAPACITY_MAX && self.sent * 2 >= self.bytes.len() {
            // A slow reader must not make the buffer grow by what was sent already.
            self.bytes.drain(..self.sent);
            for segment in &mut self.segments {
                segment.start -= self.sent;
                segment.end -= self.sent;
            }
            self.sent = 0;
        }
    }

    fn replace_replies(&mut self, error: &[u8]) -> usize {
        let mut rebuilt = Vec::with_capacity(self.bytes.len());
        let mut segments = VecDeque::new();
        let (mut copied, mut replaced) = (self.sent, 0);
        for segment in &self.segments {
            rebuilt.extend_from_slice(&self.bytes[copied..segment.start]);
            let start = rebuilt.len();
            match segment.kind {
                SegmentKind::Reply => {
                    rebuilt.extend_from_slice(error);
                    replaced += 1;
                }
                SegmentKind::Push => {
                    rebuilt.extend_from_slice(&self.bytes[segment.start..segment.end]);
                    segments.push_back(Segment { start, end: rebuilt.len(), ..*segment });
                }
            }
            copied = segment.end;
        }
        rebuilt.extend_from_slice(&self.bytes[copied..]);
        (self.bytes, self.segments, self.sent) = (rebuilt, segments, 0);
        replaced
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Level;

    const ONE: ConnectionId = ConnectionId { serial: 1, slot: 0 };

    fn write(outputs: &mut Outputs, text: &str, stamp: Option<u64>, kind: SegmentKind) {
        let start = outputs.writer(ONE).len();
        outputs.writer(ONE).extend_from_slice(text.as_bytes());
        if let Some(position) = stamp {
            outputs.hold(ONE, start, Stamp { level: Level::Synced, position }, kind);
        }
    }

    fn flush(outputs: &mut Outputs) -> String {
        let text = String::from_utf8(outputs.sendable(0).to_vec()).expect("ascii");
        outputs.sent(0, text.len());
        text
    }

    #[test]
    fn what_was_pushed_counts_once_it_was_to_be_sent_though_nobody_reads() {
        let mut outputs = Outputs::default();
        outputs.push_writer(ONE).extend_from_slice(&[b'p'; 100_000]);
        assert!(outputs.counted_bytes() < 100_000);
        let mut slots = Vec::new();
        outputs.take_pushed(&mut slots, 10);
        assert_eq!(slots, [0]);
        assert!(outputs.counted_bytes() >= 100_000);
    }

    #[test]
    fn a_held_reply_holds_back_everything_behind_it() {
        let mut outputs = Outputs::default();
        write(&mut outputs, "a", None, SegmentKind::Reply);
        write(&mut outputs, "b", Some(10), SegmentKind::Reply);
        write(&mut outputs, "c", None, SegmentKind::Reply);
        write(&mut outputs, "d", Some(20), SegmentKind::Reply);
        assert_eq!(flush(&mut outputs), "a");
        outputs.reach(|reached| reached.synced = 9);
        assert_eq!(flush(&mut outputs), "");
        outputs.reach(|reached| reached.synced = 10);
        assert_eq!(flush(&mut outputs), "bc");
        outputs.reach(|reached| reached.synced = 25);
        assert_eq!(flush(&mut outputs), "d");
        assert_eq!(outputs.pending_bytes(0), 0);
    }

    #[test]
    fn a_failed_disk_turns_held_replies_into_errors_and_keeps_pushes() {
        let mut outputs = Outputs::default();
        write(&mut outputs, "a", Some(10), SegmentKind::Reply);
        write(&mut outputs, "p", Some(10), SegmentKind::Push);
        write(&mut outputs, "b", Some(11), SegmentKind::Reply);
        assert_eq!(outputs.replace_held_replies(b"-E"), 2);
        assert_eq!(flush(&mut outputs), "-E");
        outputs.reach(|reached| reached.synced = 10);
        assert_eq!(flush(&mut outputs), "p-E");
    }

    #[test]
    fn messages_leave_a_few_at_a_time() {
        let mut outputs = Outputs::default();
        let connection = |slot| ConnectionId { serial: u64::from(slot) + 1, slot };
        let mut slots = Vec::new();
        outputs.writer(connection(1)).push(b'r');
        for slot in 0..5 {
            outputs.push_writer(connection(slot)).push(b'p');
            outputs.push_writer(connection(slot)).push(b'q');
        }
        outputs.discard(2);
        outputs.take_dirty(&mut slots);
        assert_eq!((slots.as_slice(), outputs.sendable(1)), (&[1][..], &b"rpq"[..]));
        slots.clear();
        outputs.take_pushed(&mut slots, 2);
        assert_eq!(slots, [0]);
        assert!(outputs.has_pushed());
        outputs.take_pushed(&mut slots, 9);
        assert_eq!(slots, [0, 3, 4]);
        assert!(!outputs.has_pushed());
    }

    #[test]
    fn followers_are_sent_a_shared_stream_behind_their_own_bytes() {
        const TWO: ConnectionId = ConnectionId { serial: 2, slot: 1 };
        let mut outputs = Outputs::default();
        let stream = outputs.open_stream(10, 1 << 20);
        outputs.extend_stream(stream, |stream| stream.append(b"abc"));
        write(&mut outputs, "+CONTINUE ", None, SegmentKind::Reply);
        outputs.follow(ONE, stream, 11);
        outputs.follow(TWO, stream, 10);
        assert_eq!((flush(&mut outputs).as_str(), outputs.pending_bytes(0)), ("+CONTINUE ", 2));
        assert_eq!((flush(&mut outputs).as_str(), outputs.pending_bytes(0)), ("bc", 0));
        let mut slots = Vec::new();
        outputs.take_dirty(&mut slots);
        slots.clear();
        outputs.extend_stream(stream, |stream| stream.append_block(b"def".to_vec()));
        outputs.take_dirty(&mut slots);
        assert_eq!(slots, [0, 1]);
        outputs.trim_stream(stream, 99);
        assert_eq!((outputs.stream(stream).start(), outputs.followed(TWO)), (10, Some((stream, 10))));
        outputs.discard(1);
        outputs.trim_stream(stream, 99);
        assert_eq!((outputs.stream(stream).start(), outputs.sendable(0)), (13, &b"def"[..]));
        outputs.close_stream(stream);
        assert!(outputs.sendable(0).is_empty() && outputs.followed(ONE).is_none());
        assert_eq!(outputs.open_stream(0, 0), stream);
        assert_eq!(outputs.sent_totals().shared_bytes, 2);
    }

    #[test]
    fn a_closed_connection_leaves_nothing_behind() {
        let mut outputs = Outputs::default();
        write(&mut outputs, "a", Some(10), SegmentKind::Reply);
        outputs.discard(0);
        outputs.reach(|reached| reached.synced = 10);
        let mut slots = Vec::new();
        outputs.take_dirty(&mut slots);
        assert!(slots.is_empty() && outputs.sendable(0).is_empty());
    }

    #[test]
    fn memory_is_counted_until_it_is_given_back() {
        let mut outputs = Outputs::default();
        write(&mut outputs, "a", None, SegmentKind::Reply);
        assert_eq!(outputs.counted_bytes(), 0, "not yet flushed");
        outputs.take_dirty(&mut Vec::new());
        assert_eq!((outputs.counted_bytes(), outputs.memory_bytes(0)), (1, 1));
        write(&mut outputs, &"b".repeat(1_000), Some(10), SegmentKind::Reply);
        write(&mut outputs, "", None, SegmentKind::Reply);
        assert!(outputs.counted_bytes() >= 1_001);
        assert_eq!(flush(&mut outputs), "a");
        assert!(outputs.counted_bytes() >= 1_001);
        outputs.discard(0);
        assert_eq!(outputs.counted_bytes(), 0);
    }

    #[test]
    fn spare_memory_counts_while_it_is_in_use() {
        let mut outputs = Outputs::default();
        write(&mut outputs, &"a".repeat(5_000), None, SegmentKind::Reply);
        assert_eq!(outputs.spare_bytes(), 0);
        flush(&mut outputs);
        let spare_bytes = outputs.spare_bytes();
        assert!(spare_bytes >= 5_000);
        write(&mut outputs, "b", None, SegmentKind::Reply);
        assert_eq!(outputs.spare_bytes(), spare_bytes);
        flush(&mut outputs);
        assert_eq!(outputs.spare_bytes(), spare_bytes);
        write(&mut outputs, "c", None, SegmentKind::Reply);
        outputs.discard(0);
        assert_eq!(outputs.spare_bytes(), 0);
    }
}
