//! An ordered map in shared blocks: a B+tree whose clone takes constant time and whose changes afterwards copy the
//! blocks on their path. Knows nothing of what it holds but its order and its weight.
//! Always: no block is empty, keys ascend, and the count of bytes is exact after every call.

mod iter;
mod node;
#[cfg(test)]
mod tests;

pub(crate) use iter::{Backward, Forward};

use std::borrow::Borrow;

use crate::shared::Shared;
use node::{Node, Part, open};

/// What a key or a value must say of itself.
pub(crate) trait Weighed {
    /// Bytes on the heap beside its place in the map, in size classes.
    fn heap_bytes(&self) -> usize;
}

impl Weighed for () {
    fn heap_bytes(&self) -> usize {
        0
    }
}

/// The map.
#[derive(Clone)]
pub(crate) struct Map<K, V> {
    root: Option<Shared<Node<K, V>>>,
    len: usize,
    memory: usize,
}

impl<K, V> Map<K, V> {
    pub(crate) fn new() -> Map<K, V> {
        Map { root: None, len: 0, memory: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes on the heap, in size classes; blocks shared with a clone count for both.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    pub(crate) fn first(&self) -> Option<&(K, V)> {
        self.root.as_ref()?.first_leaf().first()
    }

    pub(crate) fn last(&self) -> Option<&(K, V)> {
        self.root.as_ref()?.last_leaf().last()
    }

    pub(crate) fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.root.as_ref()?.find(key)
    }

    /// The pair with the greatest key up to `key`.
    pub(crate) fn floor<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&(K, V)>
    where
        K: Borrow<Q>,
    {
        self.root.as_ref()?.head(key, true).last()
    }

    /// The pairs by ascending key.
    pub(crate) fn iter(&self) -> Forward<'_, K, V> {
        Forward::new(self, self.root.as_ref().map_or(&[], |root| root.first_leaf()))
    }

    /// The pairs from `key` on, ascending.
    pub(crate) fn iter_from<Q: Ord + ?Sized>(&self, key: &Q) -> Forward<'_, K, V>
    where
        K: Borrow<Q>,
    {
        Forward::new(self, self.root.as_ref().map_or(&[], |root| root.tail(key, true)))
    }

    /// The pairs from `key` on, descending.
    pub(crate) fn iter_back_from<Q: Ord + ?Sized>(&self, key: &Q) -> Backward<'_, K, V>
    where
        K: Borrow<Q>,
    {
        Backward::new(self, self.root.as_ref().map_or(&[], |root| root.head(key, true)))
    }
}

/// Changes. A block that a clone shares is copied first.
impl<K: Ord + Clone + Weighed, V: Clone + Weighed> Map<K, V> {
    /// Adds a pair, or puts the value in place of the one that the key had, which comes back.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let Some(root) = &mut self.root else {
            self.memory = key.heap_bytes() + value.heap_bytes();
            let leaf = Node::Leaf(vec![(key, value)]);
            self.memory += leaf.own_bytes();
            self.root = Some(Shared::new(leaf));
            self.len = 1;
            return None;
        };
        let (former, right) = node::insert(root, key, value, &mut self.memory);
        if let Some(right) = right {
            let first = root.first_key().clone();
            let branch = Node::Branch(vec![Part { first, node: root.clone() }, right]);
            self.memory += branch.own_bytes();
            *root = Shared::new(branch);
        }
        self.len += usize::from(former.is_none());
        former
    }

    /// The value of a key, to be changed in ways that leave its weight as it is.
    pub(crate) fn find_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        if !self.root.as_ref()?.is_unique() {
            self.find(key)?; // what is not there copies nothing
        }
        let memory = &mut self.memory;
        let mut node = self.root.as_mut()?;
        loop {
            match open(node, memory) {
                Node::Leaf(entries) => {
                    let at = entries.binary_search_by(|(held, _)| held.borrow().cmp(key)).ok()?;
                    return Some(&mut entries[at].1);
                }
                Node::Branch(parts) => {
                    let at = node::part_of(parts, key);
                    node = &mut parts[at].node;
                }
            }
        }
    }

    /// Changes the value of a key, and weighs it anew.
    pub(crate) fn edit<Q: Ord + ?Sized, R>(&mut self, key: &Q, change: impl FnOnce(&mut V) -> R) -> Option<R>
    where
        K: Borrow<Q>,
    {
        let value = self.find_mut(key)?;
        let before = value.heap_bytes();
        let result = change(value);
        let after = value.heap_bytes();
        self.memory = self.memory - before + after;
        Some(result)
    }

    /// Changes the value of the greatest key, and weighs it anew. Compares no keys.
    pub(crate) fn edit_last<R>(&mut self, change: impl FnOnce(&K, &mut V) -> R) -> Option<R> {
        let memory = &mut self.memory;
        let mut node = self.root.as_mut()?;
        loop {
            match open(node, memory) {
                Node::Leaf(entries) => {
                    let (key, value) = entries.last_mut()?;
                    let before = value.heap_bytes();
                    let result = change(key, value);
                    *memory = *memory - before + value.heap_bytes();
                    return Some(result);
                }
                Node::Branch(parts) => node = &mut parts.last_mut()?.node,
            }
        }
    }

    /// Takes a key out, with its value.
    pub(crate) fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.find(key)?; // what is not there copies nothing
        let root = self.root.as_mut()?;
        let (_, value) = node::remove(root, key, &mut self.memory);
        self.len -= 1;
        if self.len == 0 {
            *self = Map::new();
            return Some(value);
        }
        while let Some(only) = root.only_child() {
            self.memory -= root.own_bytes();
            *root = only;
        }
        Some(value)
    }
}

/// What tests look at.
#[cfg(test)]
impl<K, V> Map<K, V> {
    /// The bytes of all blocks, without what the pairs weigh.
    pub(crate) fn blocks_memory(&self) -> usize {
        self.root.as_ref().map_or(0, |root| root.blocks_memory())
    }
}
