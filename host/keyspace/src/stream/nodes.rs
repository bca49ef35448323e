//! The nodes of a stream by their ids: one in place, or many in an ordered map. Most streams are short, and a map of
//! one node costs as much as the node. Knows nothing of what is in a node.
//! Always: a single node is in place, unless it is what removals have left of many.

use super::StreamId;
use super::node::Node;
use crate::ordered::{Backward, Forward, Map, Weighed};
use crate::shared::Shared;

/// Nodes by id.
#[derive(Clone)]
pub(super) enum Nodes {
    One(StreamId, Shared<Node>),
    /// Or none.
    Many(Map<StreamId, Shared<Node>>),
}

type Pair<'s> = (&'s StreamId, &'s Shared<Node>);

impl Nodes {
    pub(super) fn new() -> Nodes {
        Nodes::Many(Map::new())
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Nodes::One(..) => 1,
            Nodes::Many(map) => map.len(),
        }
    }

    pub(super) fn memory(&self) -> usize {
        match self {
            Nodes::One(_, node) => node.heap_bytes(),
            Nodes::Many(map) => map.memory(),
        }
    }

    pub(super) fn first(&self) -> Option<Pair<'_>> {
        match self {
            Nodes::One(master, node) => Some((master, node)),
            Nodes::Many(map) => map.first().map(|(master, node)| (master, node)),
        }
    }

    pub(super) fn last(&self) -> Option<Pair<'_>> {
        match self {
            Nodes::One(master, node) => Some((master, node)),
            Nodes::Many(map) => map.last().map(|(master, node)| (master, node)),
        }
    }

    /// The node in which the entry of this id is if it is anywhere.
    pub(super) fn floor(&self, id: StreamId) -> Option<Pair<'_>> {
        match self {
            Nodes::One(master, node) => (*master <= id).then_some((master, node)),
            Nodes::Many(map) => map.floor(&id).map(|(master, node)| (master, node)),
        }
    }

    /// All nodes, ascending.
    pub(super) fn iter(&self) -> NodesForward<'_> {
        match self {
            Nodes::One(master, node) => NodesForward::One(Some((master, node))),
            Nodes::Many(map) => NodesForward::Many(map.iter()),
        }
    }

    /// The nodes from this id on, ascending.
    pub(super) fn iter_from(&self, id: StreamId) -> NodesForward<'_> {
        match self {
            Nodes::One(master, node) => NodesForward::One((*master >= id).then_some((master, node))),
            Nodes::Many(map) => NodesForward::Many(map.iter_from(&id)),
        }
    }

    /// The nodes from this id on, descending.
    pub(super) fn iter_back_from(&self, id: StreamId) -> NodesBackward<'_> {
        match self {
            Nodes::One(master, node) => NodesBackward::One((*master <= id).then_some((master, node))),
            Nodes::Many(map) => NodesBackward::Many(map.iter_back_from(&id)),
        }
    }

    /// Adds a node, whose id is none of those that are there.
    pub(super) fn insert(&mut self, master: StreamId, node: Node) {
        let node = Shared::new(node);
        match std::mem::replace(self, Nodes::new()) {
            Nodes::Many(map) if map.is_empty() => *self = Nodes::One(master, node),
            Nodes::One(first, only) => {
                let mut map = Map::new();
                map.insert(first, only);
                map.insert(master, node);
                *self = Nodes::Many(map);
            }
            Nodes::Many(mut map) => {
                map.insert(master, node);
                *self = Nodes::Many(map);
            }
        }
    }

    /// Changes the node of this id; copied first if a clone shares it.
    pub(super) fn edit<R>(&mut self, master: StreamId, change: impl FnOnce(&mut Node) -> R) -> Option<R> {
        match self {
            Nodes::One(only, node) => (*only == master).then(|| change(node.make_unique())),
            Nodes::Many(map) => map.edit(&master, |node| change(node.make_unique())),
        }
    }

    /// Changes the last node, as `edit` does, without looking for it.
    pub(super) fn edit_last<R>(&mut self, change: impl FnOnce(StreamId, &mut Node) -> R) -> Option<R> {
        match self {
            Nodes::One(master, node) => Some(change(*master, node.make_unique())),
            Nodes::Many(map) => map.edit_last(|master, node| change(*master, node.make_unique())),
        }
    }

    /// Drops the node of this id.
    pub(super) fn remove(&mut self, master: StreamId) {
        match self {
            Nodes::One(only, _) if *only == master => *self = Nodes::new(),
            Nodes::One(..) => {}
            Nodes::Many(map) => {
                map.remove(&master);
            }
        }
    }
}

/// Nodes by ascending id.
pub(super) enum NodesForward<'s> {
    One(Option<Pair<'s>>),
    Many(Forward<'s, StreamId, Shared<Node>>),
}

impl<'s> Iterator for NodesForward<'s> {
    type Item = Pair<'s>;

    fn next(&mut self) -> Option<Pair<'s>> {
        match self {
            NodesForward::One(only) => only.take(),
            NodesForward::Many(nodes) => nodes.next(),
        }
    }
}

/// Nodes by descending id.
pub(super) enum NodesBackward<'s> {
    One(Option<Pair<'s>>),
    Many(Backward<'s, StreamId, Shared<Node>>),
}

impl<'s> Iterator for NodesBackward<'s> {
    type Item = Pair<'s>;

    fn next(&mut self) -> Option<Pair<'s>> {
        match self {
            NodesBackward::One(only) => only.take(),
            NodesBackward::Many(nodes) => nodes.next(),
        }
    }
}

/// What tests look at.
#[cfg(test)]
impl Nodes {
    /// The heap bytes of all nodes and of the blocks around them, weighed one by one.
    pub(super) fn memory_weighed(&self) -> usize {
        let nodes: usize = self.iter().map(|(_, node)| node.heap_bytes()).sum();
        nodes + if let Nodes::Many(map) = self { map.blocks_memory() } else { 0 }
    }
}
