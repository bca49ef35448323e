//! Entries as they are read: walks from id to id in both directions, and the fields of one entry. Everything is
//! borrowed from the nodes; deleted entries are passed over.

use super::StreamId;
use super::entries::StreamEntries;
use super::node::{Records, RecordsBackward};
use super::nodes::{NodesBackward, NodesForward};
use crate::listpack::{Element, Iter};

/// An entry.
#[derive(Clone, Debug)]
pub struct StreamEntry<'s> {
    /// Its id.
    pub id: StreamId,
    /// Its fields and values.
    pub fields: StreamFields<'s>,
}

/// The fields of an entry with their values, in the order in which they were given.
#[derive(Clone, Debug)]
pub struct StreamFields<'s> {
    /// The fields, where they are not among the elements.
    names: Option<Iter<'s>>,
    elements: Iter<'s>,
    left: usize,
}

impl<'s> StreamFields<'s> {
    pub(super) fn new(names: Option<Iter<'s>>, elements: Iter<'s>, len: usize) -> StreamFields<'s> {
        StreamFields { names, elements, left: len }
    }

    /// How many elements of the node hold what is left.
    pub(super) fn elements_len(&self) -> usize {
        if self.names.is_some() { self.left } else { 2 * self.left }
    }
}

impl<'s> Iterator for StreamFields<'s> {
    type Item = (Element<'s>, Element<'s>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let field = self.names.as_mut().unwrap_or(&mut self.elements).next()?;
        Some((field, self.elements.next()?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for StreamFields<'_> {}

/// Entries from id to id, both included. Both directions have one type, so that a command needs to be written once.
pub struct StreamRange<'s> {
    direction: Direction<'s>,
    from: StreamId,
    to: StreamId,
}

enum Direction<'s> {
    Ascending(NodesForward<'s>, Option<Records<'s>>),
    Descending(NodesBackward<'s>, Option<RecordsBackward<'s>>),
}

impl<'s> StreamRange<'s> {
    pub(super) fn ascending(entries: &'s StreamEntries, from: StreamId, to: StreamId) -> StreamRange<'s> {
        let node = entries.nodes.floor(from).map_or(from, |(master, _)| *master);
        StreamRange { direction: Direction::Ascending(entries.nodes.iter_from(node), None), from, to }
    }

    pub(super) fn descending(entries: &'s StreamEntries, from: StreamId, to: StreamId) -> StreamRange<'s> {
        StreamRange { direction: Direction::Descending(entries.nodes.iter_back_from(to), None), from, to }
    }
}

impl<'s> Iterator for StreamRange<'s> {
    type Item = StreamEntry<'s>;

    fn next(&mut self) -> Option<StreamEntry<'s>> {
        loop {
            let record = match &mut self.direction {
                Direction::Ascending(nodes, records) => match records.as_mut().and_then(Iterator::next) {
                    Some(record) if record.is_deleted => continue,
                    Some(record) if record.id > self.to => return None,
                    Some(record) if record.id < self.from => continue,
                    Some(record) => record,
                    None => {
                        let (master, node) = nodes.next()?;
                        *records = Some(node.records(*master));
                        continue;
                    }
                },
                Direction::Descending(nodes, records) => match records.as_mut().and_then(Iterator::next) {
                    Some(record) if record.is_deleted => continue,
                    Some(record) if record.id < self.from => return None,
                    Some(record) if record.id > self.to => continue,
                    Some(record) => record,
                    None => {
                        let (master, node) = nodes.next()?;
                        *records = Some(node.records_backward(*master));
                        continue;
                    }
                },
            };
            return Some(StreamEntry { id: record.id, fields: record.fields });
        }
    }
}
