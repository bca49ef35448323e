//! The entries of a stream, in nodes by id, and the figures that Redis keeps of them. Knows no groups.
//! Always: the length is that of the entries which are not deleted, and the first id is that of the first of them
//! (`0-0` if there is none).

use std::cmp::Ordering;
use std::fmt;

use super::limits::{StreamKeep, StreamLimits, StreamTrim};
use super::node::{NODE_BYTES_MAX, Node, node_bytes_of};
use super::nodes::Nodes;
use super::range::{StreamEntry, StreamRange};
use super::{StreamId, radix};
use crate::Malformed;

/// Entries and figures. Only a [`super::Stream`] changes them.
#[derive(Clone)]
pub struct StreamEntries {
    /// By the id of the first entry that a node ever had.
    pub(super) nodes: Nodes,
    len: u64,
    first_id: StreamId,
    pub(super) last_id: StreamId,
    pub(super) max_deleted_id: StreamId,
    pub(super) entries_added: u64,
}

/// Why an entry cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// Its id is not greater than the last id.
    NotGreater,
    /// Its fields and values are too long for any node.
    TooLarge,
}

impl StreamEntries {
    pub(super) fn new() -> StreamEntries {
        StreamEntries {
            nodes: Nodes::new(),
            len: 0,
            first_id: StreamId::MIN,
            last_id: StreamId::MIN,
            max_deleted_id: StreamId::MIN,
            entries_added: 0,
        }
    }

    /// The number of entries.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is no entry. Such a stream is kept: it has a last id, and may have groups.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The id of the first entry; `0-0` if there is none.
    pub fn first_id(&self) -> StreamId {
        self.first_id
    }

    /// The greatest id that was ever used, of an entry that may be gone.
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// The greatest id that was ever deleted by itself; `0-0` if none was.
    pub fn max_deleted_id(&self) -> StreamId {
        self.max_deleted_id
    }

    /// The number of entries that were ever added.
    pub fn entries_added(&self) -> u64 {
        self.entries_added
    }

    /// The number of nodes, as XINFO STREAM shows it (`radix-tree-keys`).
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The number of nodes that Redis's radix tree would have, as XINFO STREAM shows it (`radix-tree-nodes`). Takes
    /// time by the number of nodes.
    pub fn radix_node_count(&self) -> usize {
        radix::node_count(self.nodes.iter().map(|(master, _)| *master))
    }

    /// The nodes as files carry them: the id that the ids in it are counted from, and the listpack.
    pub fn nodes(&self) -> impl Iterator<Item = (StreamId, &[u8])> {
        self.nodes.iter().map(|(master, node)| (*master, node.bytes()))
    }

    /// The entries from one id to another, both included, ascending.
    pub fn range(&self, from: StreamId, to: StreamId) -> StreamRange<'_> {
        StreamRange::ascending(self, from, to)
    }

    /// The same entries (`from` is the smaller id here too), descending.
    pub fn range_backward(&self, from: StreamId, to: StreamId) -> StreamRange<'_> {
        StreamRange::descending(self, from, to)
    }

    /// All entries, ascending.
    pub fn iter(&self) -> StreamRange<'_> {
        self.range(StreamId::MIN, StreamId::MAX)
    }

    /// The entry of this id.
    pub fn find(&self, id: StreamId) -> Option<StreamEntry<'_>> {
        self.range(id, id).next()
    }

    /// The first entry.
    pub fn first(&self) -> Option<StreamEntry<'_>> {
        self.iter().next()
    }

    /// The last entry.
    pub fn last(&self) -> Option<StreamEntry<'_>> {
        self.range_backward(StreamId::MIN, StreamId::MAX).next()
    }

    /// How many entries had been added when the one of this id was, it included: what a group that has read up to it
    /// has read. None where deletions make that unknown, and for ids to come.
    pub fn entries_added_up_to(&self, id: StreamId) -> Option<u64> {
        if self.entries_added == 0 || id == self.last_id || self.len == 0 && id < self.last_id {
            return Some(self.entries_added);
        }
        let has_gaps = self.max_deleted_id != StreamId::MIN && self.max_deleted_id >= self.first_id;
        if id > self.last_id || has_gaps {
            return None;
        }
        let gone = self.entries_added.wrapping_sub(self.len);
        match id.cmp(&self.first_id) {
            Ordering::Less => Some(gone),
            Ordering::Equal => Some(gone.wrapping_add(1)),
            Ordering::Greater => None,
        }
    }

    /// Whether an entry among those that are there may have been deleted from this id on, so that they cannot be
    /// counted by what was added.
    pub fn may_have_gaps_from(&self, id: StreamId) -> bool {
        let deleted = self.max_deleted_id;
        self.len > 0 && deleted != StreamId::MIN && deleted >= self.first_id && deleted >= id
    }

    pub(super) fn memory(&self) -> usize {
        self.nodes.memory()
    }
}

impl StreamEntries {
    pub(super) fn append<'f>(
        &mut self,
        id: StreamId,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone,
        limits: &StreamLimits,
    ) -> Result<(), AppendError> {
        if id <= self.last_id {
            return Err(AppendError::NotGreater);
        }
        if node_bytes_of(fields.clone()) > NODE_BYTES_MAX {
            return Err(AppendError::TooLarge);
        }
        let more_bytes = fields.clone().map(|(field, value)| field.len() + value.len()).sum();
        self.drop_dead_node_behind(id);
        let has_room = self.nodes.last().is_some_and(|(_, node)| {
            let head = node.head();
            !limits.is_full(node.bytes().len(), head.live + head.deleted, more_bytes)
        });
        if has_room {
            self.nodes.edit_last(|master, node| node.push(master, id, fields));
        } else {
            let mut node = Node::new(fields.clone());
            node.push(id, id, fields);
            self.nodes.insert(id, node);
        }
        self.len += 1;
        // Commands and files tell the number in 63 bits.
        self.entries_added = self.entries_added.saturating_add(1).min(i64::MAX as u64);
        self.last_id = id;
        if self.len == 1 {
            self.first_id = id;
        }
        Ok(())
    }

    /// An exact trim may leave a node in which all is deleted. Where XSETID then sets the last id back, an entry may
    /// have to go before the node's own id.
    fn drop_dead_node_behind(&mut self, id: StreamId) {
        if let Some((master, _)) = self.nodes.last()
            && *master >= id
        {
            let master = *master;
            self.nodes.remove(master);
        }
    }

    pub(super) fn delete(&mut self, id: StreamId) -> bool {
        let Some((master, node)) = self.nodes.floor(id) else { return false };
        let (master, live) = (*master, node.head().live);
        let Some(place) = node.find(master, id) else { return false };
        if live == 1 {
            self.nodes.remove(master);
        } else {
            self.nodes.edit(master, |node| node.delete(place));
        }
        self.len -= 1;
        self.max_deleted_id = self.max_deleted_id.max(id);
        if id == self.first_id {
            self.find_first_id();
        }
        true
    }

    pub(super) fn trim(&mut self, trim: &StreamTrim) -> u64 {
        let mut removed = 0;
        while let Some((master, node)) = self.nodes.first() {
            if self.is_trimmed(trim.keep) {
                break;
            }
            let (master, live) = (*master, node.head().live);
            if trim.limit > 0 && removed + live > trim.limit {
                break;
            }
            let goes_whole = match trim.keep {
                StreamKeep::Newest(len) => self.len - live >= len,
                StreamKeep::From(id) => {
                    node.records_backward(master).next().is_none_or(|record| record.id < id)
                }
            };
            if goes_whole {
                self.nodes.remove(master);
                self.len -= live;
                removed += live;
                continue;
            }
            if !trim.approximate {
                let removed_within = self.trim_node(master, trim.keep);
                self.len -= removed_within;
                removed += removed_within;
            }
            break;
        }
        if removed > 0 {
            self.find_first_id();
        }
        removed
    }

    fn is_trimmed(&self, keep: StreamKeep) -> bool {
        matches!(keep, StreamKeep::Newest(len) if self.len <= len)
    }

    /// Marks as deleted what is to go of a node of which something stays.
    fn trim_node(&mut self, master: StreamId, keep: StreamKeep) -> u64 {
        let surplus = match keep {
            StreamKeep::Newest(len) => self.len - len,
            StreamKeep::From(_) => u64::MAX,
        };
        let until = match keep {
            StreamKeep::Newest(_) => None,
            StreamKeep::From(id) => Some(id),
        };
        let trimmed = self.nodes.edit(master, |node| node.delete_first(master, surplus, until));
        trimmed.expect("the first node is there")
    }

    pub(super) fn push_node(&mut self, master: StreamId, listpack: &[u8]) -> Result<(), Malformed> {
        let (node, last) = Node::from_bytes(master, listpack)?;
        // The last id is that of the last entry so far.
        if self.nodes.last().is_some_and(|(before, _)| master <= *before.max(&self.last_id)) {
            return Err(Malformed::new("order of the nodes of a stream", 0));
        }
        let live = node.head().live;
        let was_empty = self.is_empty();
        self.nodes.insert(master, node);
        self.len += live;
        if was_empty {
            self.find_first_id();
        }
        self.last_id = last.unwrap_or(self.last_id);
        Ok(())
    }

    fn find_first_id(&mut self) {
        self.first_id = self.first().map_or(StreamId::MIN, |entry| entry.id);
    }
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AppendError::NotGreater => "the id is not greater than the last id of the stream",
            AppendError::TooLarge => "the fields and values are too long for a node of a stream",
        })
    }
}

impl std::error::Error for AppendError {}
