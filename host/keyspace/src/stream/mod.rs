//! Streams: entries of fields and values by ascending id, in listpack nodes byte for byte as RDB files carry them,
//! and the groups of consumers that read them. Knows no key, no clock and no client, and decides no id.
//! Always: a clone takes constant time, and what changes afterwards is copied node by node; an entry is in exactly
//! one node, and the ids of nodes and entries ascend.

mod entries; // read me first
mod group;
mod id;
mod limits;
mod node;
mod nodes;
mod radix;
mod range;
#[cfg(test)]
mod tests;

pub use entries::{AppendError, StreamEntries};
pub use group::{StreamConsumer, StreamGroup, StreamPending, StreamPendingRange};
pub use id::{StreamId, StreamIdText};
pub use limits::{StreamKeep, StreamLimits, StreamTrim};
pub use range::{StreamEntry, StreamFields, StreamRange};

use std::ops::{Deref, DerefMut};

use crate::left::Content;
use crate::name::Name;
use crate::ordered::{Map, Weighed};
use crate::shared::{SHARED_OVERHEAD_BYTES, Shared};
use crate::{Malformed, size_class};

/// A stream; eight bytes in place. What is read of its entries and figures is read through [`StreamEntries`], to
/// which it dereferences.
#[derive(Clone)]
pub struct Stream {
    body: Box<Body>,
}

#[derive(Clone)]
struct Body {
    entries: StreamEntries,
    /// Made with the first group: most streams have none.
    groups: Option<Box<Groups>>,
}

#[derive(Clone)]
struct Groups {
    map: Map<Name, Shared<StreamGroup>>,
    /// Bytes of what is in all groups.
    memory: usize,
}

impl Stream {
    /// A stream without entries and groups, whose last id is `0-0`.
    pub fn new() -> Stream {
        Stream { body: Box::new(Body { entries: StreamEntries::new(), groups: None }) }
    }

    /// The heap bytes owned, in size classes; nodes shared with a clone count for both. Takes constant time.
    pub fn memory(&self) -> usize {
        let groups = self.body.groups.as_ref().map_or(0, |groups| groups.map.memory() + groups.memory);
        self.root_memory() + self.body.entries.memory() + groups
    }

    /// The heap bytes that a clone has for itself.
    pub(crate) fn root_memory(&self) -> usize {
        let groups = self.body.groups.as_ref().map_or(0, |_| size_class(size_of::<Groups>()));
        size_class(size_of::<Body>()) + groups
    }

    /// Where what the value has beside its place begins, without reading it: to be fetched into the cache.
    pub(crate) fn address(&self) -> *const u8 {
        std::ptr::from_ref(&*self.body).cast()
    }

    /// The name of the encoding, as `OBJECT ENCODING` shows it.
    pub fn encoding(&self) -> &'static str {
        "stream"
    }
}

/// Changes of entries and figures.
impl Stream {
    /// Adds an entry, which becomes the last one. Its id must be greater than the last id. Takes time by its size
    /// and the logarithm of the number of nodes.
    pub fn append<'f, I>(&mut self, id: StreamId, fields: I, limits: &StreamLimits) -> Result<(), AppendError>
    where
        I: IntoIterator<Item = (&'f [u8], &'f [u8])>,
        I::IntoIter: Clone,
    {
        self.body.entries.append(id, fields.into_iter(), limits)
    }

    /// Removes an entry; false if there is none of this id. Keeps the first id and the greatest deleted id right.
    pub fn delete(&mut self, id: StreamId) -> bool {
        self.body.entries.delete(id)
    }

    /// Removes entries from the old end on, and says how many. Keeps the first id right; the greatest deleted id
    /// stays what it was, as in Redis.
    pub fn trim(&mut self, trim: &StreamTrim) -> u64 {
        self.body.entries.trim(trim)
    }

    /// Sets the last id. It must not be smaller than that of the last entry.
    pub fn set_last_id(&mut self, id: StreamId) {
        self.body.entries.last_id = id;
    }

    /// Sets the greatest id that was ever deleted.
    pub fn set_max_deleted_id(&mut self, id: StreamId) {
        self.body.entries.max_deleted_id = id;
    }

    /// Sets the number of entries that were ever added.
    pub fn set_entries_added(&mut self, count: u64) {
        self.body.entries.entries_added = count;
    }

    /// Adds a node as files carry it, behind all others, once all of it has been checked. The last id becomes that of
    /// its last entry; figures that do not follow from entries are the caller's to set.
    pub fn push_node(&mut self, master: StreamId, listpack: &[u8]) -> Result<(), Malformed> {
        self.body.entries.push_node(master, listpack)
    }
}

/// Groups.
impl Stream {
    /// The number of groups.
    pub fn group_count(&self) -> usize {
        self.body.groups.as_ref().map_or(0, |groups| groups.map.len())
    }

    /// The groups with their names, in the order of the names' bytes.
    pub fn groups(&self) -> impl Iterator<Item = (&[u8], &StreamGroup)> {
        let groups = self.body.groups.iter().flat_map(|groups| groups.map.iter());
        groups.map(|(name, group)| (name.bytes(), &**group))
    }

    /// The group of this name.
    pub fn group(&self, name: &[u8]) -> Option<&StreamGroup> {
        self.body.groups.as_ref()?.map.find(name).map(|group| &**group)
    }

    /// The group of this name, to be changed.
    pub fn group_mut(&mut self, name: &[u8]) -> Option<StreamGroupMut<'_>> {
        self.entries_and_group_mut(name).map(|(_, group)| group)
    }

    /// The entries to be read and the group of this name to be changed, both at once.
    pub fn entries_and_group_mut(&mut self, name: &[u8]) -> Option<(&StreamEntries, StreamGroupMut<'_>)> {
        let Body { entries, groups } = &mut *self.body;
        let Groups { map, memory } = &mut **groups.as_mut()?;
        let group = map.find_mut(name)?.make_unique();
        let memory_before = group.memory();
        Some((entries, StreamGroupMut { group, memory_before, memory }))
    }

    /// Makes a group that has read up to `last_id`; false if there is one of this name.
    pub fn create_group(&mut self, name: &[u8], last_id: StreamId, entries_read: Option<u64>) -> bool {
        let groups = self.body.groups.get_or_insert_with(|| Box::new(Groups { map: Map::new(), memory: 0 }));
        if groups.map.find(name).is_some() {
            return false;
        }
        let group = StreamGroup::new(last_id, entries_read);
        groups.memory += group.memory();
        groups.map.insert(Name::new(name), Shared::new(group));
        true
    }

    /// Takes a group out, with its consumers and what is pending.
    pub fn remove_group(&mut self, name: &[u8]) -> Option<StreamGroup> {
        let groups = self.body.groups.as_mut()?;
        let group = groups.map.remove(name)?;
        groups.memory -= group.memory();
        if groups.map.is_empty() {
            self.body.groups = None;
        }
        Some(group.into_inner())
    }
}

/// The maps of a group are blocks of their own.
impl Content for StreamGroup {}

impl Weighed for Shared<StreamGroup> {
    /// The block itself: what is in a group changes while it is held, and is counted beside the map.
    fn heap_bytes(&self) -> usize {
        size_class(SHARED_OVERHEAD_BYTES + size_of::<StreamGroup>())
    }
}

/// A group to be changed. Always: when it is let go, the stream's memory is right again.
pub struct StreamGroupMut<'s> {
    group: &'s mut StreamGroup,
    memory_before: usize,
    memory: &'s mut usize,
}

impl Deref for StreamGroupMut<'_> {
    type Target = StreamGroup;
    fn deref(&self) -> &StreamGroup {
        self.group
    }
}

impl DerefMut for StreamGroupMut<'_> {
    fn deref_mut(&mut self) -> &mut StreamGroup {
        self.group
    }
}

impl Drop for StreamGroupMut<'_> {
    fn drop(&mut self) {
        *self.memory = *self.memory - self.memory_before + self.group.memory();
    }
}

impl Deref for Stream {
    type Target = StreamEntries;
    fn deref(&self) -> &StreamEntries {
        &self.body.entries
    }
}

impl Default for Stream {
    fn default() -> Stream {
        Stream::new()
    }
}
