//! A group of consumers: how far it has read, what was delivered and not yet acknowledged, and to whom.
//! Reads no entry: what is pending may have been deleted from the stream meanwhile.
//! Always: an id is pending with the group if and only if it is pending with exactly one of its consumers.

use tenon_base::UnixMillis;

use super::StreamId;
use crate::name::Name;
use crate::ordered::{Forward, Map, Weighed};

/// A group.
#[derive(Clone)]
pub struct StreamGroup {
    last_id: StreamId,
    entries_read: Option<u64>,
    pending: Map<StreamId, StreamPending>,
    consumers: Map<Name, StreamConsumer>,
}

/// What was delivered and is not yet acknowledged.
#[derive(Clone)]
pub struct StreamPending {
    consumer: Name,
    delivery_time: UnixMillis,
    delivery_count: u64,
}

/// A consumer.
#[derive(Clone)]
pub struct StreamConsumer {
    name: Name,
    seen_time: UnixMillis,
    active_time: Option<UnixMillis>,
    pending: Map<StreamId, ()>,
}

impl StreamGroup {
    pub(super) fn new(last_id: StreamId, entries_read: Option<u64>) -> StreamGroup {
        StreamGroup { last_id, entries_read, pending: Map::new(), consumers: Map::new() }
    }

    /// The id up to which entries were delivered.
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// Sets the id up to which entries count as delivered.
    pub fn set_last_id(&mut self, id: StreamId) {
        self.last_id = id;
    }

    /// The number of entries that were read, counted from the stream's first ever; None if nobody knows (-1).
    pub fn entries_read(&self) -> Option<u64> {
        self.entries_read
    }

    /// Sets the number of entries that were read.
    pub fn set_entries_read(&mut self, count: Option<u64>) {
        self.entries_read = count;
    }

    /// Bytes on the heap, in size classes. Takes constant time.
    pub fn memory(&self) -> usize {
        self.pending.memory() + self.consumers.memory()
    }
}

/// What is pending. Every step takes time by the logarithm of what is pending.
impl StreamGroup {
    /// How many entries are pending.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// What is known of a pending entry.
    pub fn pending(&self, id: StreamId) -> Option<&StreamPending> {
        self.pending.find(&id)
    }

    /// The first and the last id that are pending; None if none is.
    pub fn pending_ends(&self) -> Option<(StreamId, StreamId)> {
        let ((first, _), (last, _)) = self.pending.first().zip(self.pending.last())?;
        Some((*first, *last))
    }

    /// What is pending from one id to another, both included, by ascending id.
    pub fn pending_range(&self, from: StreamId, to: StreamId) -> StreamPendingRange<'_> {
        StreamPendingRange { source: PendingSource::Group(self.pending.iter_from(&from)), to }
    }

    /// The same, of one consumer; nothing if there is none of this name.
    pub fn consumer_pending_range(
        &self,
        name: &[u8],
        from: StreamId,
        to: StreamId,
    ) -> StreamPendingRange<'_> {
        let source = match self.consumers.find(name) {
            Some(consumer) => PendingSource::Consumer(consumer.pending.iter_from(&from), &self.pending),
            None => PendingSource::None,
        };
        StreamPendingRange { source, to }
    }

    /// Makes an entry pending with a consumer, which must exist (false otherwise), with this time of the last delivery
    /// and this number of deliveries. One that is pending already moves over from whose it was.
    pub fn assign(&mut self, id: StreamId, name: &[u8], time: UnixMillis, count: u64) -> bool {
        let Some(consumer) = self.consumers.find(name).map(|consumer| consumer.name.clone()) else {
            return false;
        };
        let entry = StreamPending { consumer, delivery_time: time, delivery_count: count };
        match self.pending.insert(id, entry) {
            Some(former) if former.consumer.bytes() == name => return true,
            Some(former) => self.forget(former.consumer.bytes(), id),
            None => {}
        }
        self.consumers.edit(name, |consumer| consumer.pending.insert(id, ()));
        true
    }

    /// Ends that an entry is pending; false if it is not.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(entry) = self.pending.remove(&id) else { return false };
        self.forget(entry.consumer.bytes(), id);
        true
    }

    fn forget(&mut self, name: &[u8], id: StreamId) {
        self.consumers.edit(name, |consumer| consumer.pending.remove(&id));
    }
}

/// Consumers.
impl StreamGroup {
    /// The number of consumers.
    pub fn consumer_count(&self) -> usize {
        self.consumers.len()
    }

    /// The consumers, in the order of their names' bytes.
    pub fn consumers(&self) -> impl Iterator<Item = &StreamConsumer> {
        self.consumers.iter().map(|(_, consumer)| consumer)
    }

    /// The consumer of this name.
    pub fn consumer(&self, name: &[u8]) -> Option<&StreamConsumer> {
        self.consumers.find(name)
    }

    /// Makes a consumer that was seen now and never active; false if there is one of this name.
    pub fn create_consumer(&mut self, name: &[u8], seen_time: UnixMillis) -> bool {
        if self.consumers.find(name).is_some() {
            return false;
        }
        let name = Name::new(name);
        let consumer =
            StreamConsumer { name: name.clone(), seen_time, active_time: None, pending: Map::new() };
        self.consumers.insert(name, consumer);
        true
    }

    /// Removes a consumer with all that is pending with it, and says how much that was. None if there is none of
    /// this name.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let consumer = self.consumers.remove(name)?;
        for (id, ()) in consumer.pending.iter() {
            self.pending.remove(id);
        }
        Some(consumer.pending.len())
    }

    /// Sets when a consumer last asked for anything; false if there is none of this name.
    pub fn set_seen_time(&mut self, name: &[u8], time: UnixMillis) -> bool {
        self.consumers.edit(name, |consumer| consumer.seen_time = time).is_some()
    }

    /// Sets when a consumer last was given anything, None for never; false if there is none of this name.
    pub fn set_active_time(&mut self, name: &[u8], time: Option<UnixMillis>) -> bool {
        self.consumers.edit(name, |consumer| consumer.active_time = time).is_some()
    }
}

impl StreamPending {
    /// The name of the consumer that it was delivered to.
    pub fn consumer(&self) -> &[u8] {
        self.consumer.bytes()
    }

    /// When it was last delivered.
    pub fn delivery_time(&self) -> UnixMillis {
        self.delivery_time
    }

    /// How often it was delivered.
    pub fn delivery_count(&self) -> u64 {
        self.delivery_count
    }
}

impl StreamConsumer {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        self.name.bytes()
    }

    /// When it last asked for anything.
    pub fn seen_time(&self) -> UnixMillis {
        self.seen_time
    }

    /// When it last was given anything; None if it never was (-1).
    pub fn active_time(&self) -> Option<UnixMillis> {
        self.active_time
    }

    /// How many entries are pending with it.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// The ids that are pending with it, ascending.
    pub fn pending_ids(&self) -> impl Iterator<Item = StreamId> {
        self.pending.iter().map(|(id, ())| *id)
    }
}

impl Weighed for StreamPending {
    /// The name belongs to the consumer.
    fn heap_bytes(&self) -> usize {
        0
    }
}

impl Weighed for StreamConsumer {
    /// The name is counted as the key.
    fn heap_bytes(&self) -> usize {
        self.pending.memory()
    }
}

/// What is pending, with the ids.
pub struct StreamPendingRange<'g> {
    source: PendingSource<'g>,
    to: StreamId,
}

enum PendingSource<'g> {
    Group(Forward<'g, StreamId, StreamPending>),
    Consumer(Forward<'g, StreamId, ()>, &'g Map<StreamId, StreamPending>),
    None,
}

impl<'g> Iterator for StreamPendingRange<'g> {
    type Item = (StreamId, &'g StreamPending);

    fn next(&mut self) -> Option<Self::Item> {
        let (id, entry) = match &mut self.source {
            PendingSource::Group(entries) => entries.next()?,
            PendingSource::Consumer(ids, entries) => {
                let (id, ()) = ids.next()?;
                (id, entries.find(id).expect("what is pending with a consumer is pending with its group"))
            }
            PendingSource::None => return None,
        };
        (*id <= self.to).then_some((*id, entry))
    }
}

/// What tests look at.
#[cfg(test)]
impl StreamGroup {
    /// The heap bytes of all blocks and names, weighed one by one.
    pub(super) fn memory_weighed(&self) -> usize {
        let consumers: usize =
            self.consumers.iter().map(|(name, consumer)| name.heap_bytes() + consumer.heap_bytes()).sum();
        self.pending.blocks_memory() + self.consumers.blocks_memory() + consumers
    }
}
