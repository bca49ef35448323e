//! The blocks of an ordered map: leaves of pairs, and branches above them. A branch's key for a part is a bound
//! below the part's keys (for the first part not even that), not necessarily one of them.
//! Always: a block has at most [`MOST`] items; one that a removal leaves nearly empty is joined with a neighbour.

use std::borrow::Borrow;

use super::Weighed;
use crate::left::Content;
use crate::shared::{SHARED_OVERHEAD_BYTES, Shared};
use crate::size_class;

/// Items in a block, so that a block of the largest ones stays below 4 KiB.
pub(super) const MOST: usize = 64;

#[derive(Clone)]
pub(super) enum Node<K, V> {
    Leaf(Vec<(K, V)>),
    Branch(Vec<Part<K, V>>),
}

#[derive(Clone)]
pub(super) struct Part<K, V> {
    pub(super) first: K,
    pub(super) node: Shared<Node<K, V>>,
}

impl<K, V> Content for Node<K, V> {
    fn heap_bytes(&self) -> usize {
        size_class(match self {
            Node::Leaf(entries) => entries.capacity() * size_of::<(K, V)>(),
            Node::Branch(parts) => parts.capacity() * size_of::<Part<K, V>>(),
        })
    }
}

impl<K, V> Node<K, V> {
    /// Bytes of the block itself, in size classes.
    pub(super) fn own_bytes(&self) -> usize {
        size_class(SHARED_OVERHEAD_BYTES + size_of::<Node<K, V>>()) + self.heap_bytes()
    }

    pub(super) fn first_leaf(&self) -> &[(K, V)] {
        match self {
            Node::Leaf(entries) => entries,
            Node::Branch(parts) => parts[0].node.first_leaf(),
        }
    }

    pub(super) fn last_leaf(&self) -> &[(K, V)] {
        match self {
            Node::Leaf(entries) => entries,
            Node::Branch(parts) => parts[parts.len() - 1].node.last_leaf(),
        }
    }

    pub(super) fn first_key(&self) -> &K {
        &self.first_leaf()[0].0
    }

    pub(super) fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        match self {
            Node::Leaf(entries) => {
                let at = entries.binary_search_by(|(held, _)| held.borrow().cmp(key)).ok()?;
                Some(&entries[at].1)
            }
            Node::Branch(parts) => parts[part_of(parts, key)].node.find(key),
        }
    }

    /// The pairs behind `key` (or with it) that lie in the leaf of the first of them; none if there is none.
    pub(super) fn tail<Q: Ord + ?Sized>(&self, key: &Q, with: bool) -> &[(K, V)]
    where
        K: Borrow<Q>,
    {
        match self {
            Node::Leaf(entries) => &entries[before(entries, key, !with)..],
            Node::Branch(parts) => {
                let at = part_of(parts, key);
                match parts[at].node.tail(key, with) {
                    [] => parts.get(at + 1).map_or(&[], |part| part.node.first_leaf()),
                    found => found,
                }
            }
        }
    }

    /// The pairs before `key` (or with it) that lie in the leaf of the last of them; none if there is none.
    pub(super) fn head<Q: Ord + ?Sized>(&self, key: &Q, with: bool) -> &[(K, V)]
    where
        K: Borrow<Q>,
    {
        match self {
            Node::Leaf(entries) => &entries[..before(entries, key, with)],
            Node::Branch(parts) => {
                let at = part_of(parts, key);
                match parts[at].node.head(key, with) {
                    [] if at > 0 => parts[at - 1].node.last_leaf(),
                    found => found,
                }
            }
        }
    }
}

impl<K: Clone, V: Clone> Node<K, V> {
    /// What is below a branch that has become superfluous.
    pub(super) fn only_child(&self) -> Option<Shared<Node<K, V>>> {
        match self {
            Node::Branch(parts) if parts.len() == 1 => Some(parts[0].node.clone()),
            _ => None,
        }
    }
}

/// How many pairs lie before `key`, or up to it.
fn before<K: Borrow<Q>, V, Q: Ord + ?Sized>(entries: &[(K, V)], key: &Q, with: bool) -> usize {
    entries.partition_point(|(held, _)| if with { held.borrow() <= key } else { held.borrow() < key })
}

/// The part in which a key is if it is anywhere.
pub(super) fn part_of<K: Borrow<Q>, V, Q: Ord + ?Sized>(parts: &[Part<K, V>], key: &Q) -> usize {
    parts.partition_point(|part| part.first.borrow() <= key).saturating_sub(1)
}

/// The block, to be changed; copied first if a clone shares it.
pub(super) fn open<'n, K: Clone, V: Clone>(
    node: &'n mut Shared<Node<K, V>>,
    memory: &mut usize,
) -> &'n mut Node<K, V> {
    if !node.is_unique() {
        let shared_bytes = node.own_bytes();
        let copied_bytes = node.make_unique().own_bytes(); // a copy may have less room to spare
        *memory = *memory - shared_bytes + copied_bytes;
    }
    node.make_unique()
}

/// Adds a pair below; gives back the value that the key had, and what no longer fits as the part to the right.
pub(super) fn insert<K: Ord + Clone + Weighed, V: Clone + Weighed>(
    node: &mut Shared<Node<K, V>>,
    key: K,
    value: V,
    memory: &mut usize,
) -> (Option<V>, Option<Part<K, V>>) {
    let node = open(node, memory);
    let former_bytes = node.own_bytes();
    let (former, right) = match node {
        Node::Leaf(entries) => match entries.binary_search_by(|(held, _)| held.cmp(&key)) {
            Ok(at) => {
                *memory += value.heap_bytes();
                let former = std::mem::replace(&mut entries[at].1, value);
                *memory -= former.heap_bytes();
                return (Some(former), None);
            }
            Err(at) => {
                *memory += key.heap_bytes() + value.heap_bytes();
                (None, insert_item(entries, at, (key, value)).map(Node::Leaf))
            }
        },
        Node::Branch(parts) => {
            let at = part_of(parts, &key);
            let (former, right) = insert(&mut parts[at].node, key, value, memory);
            let right = right.and_then(|part| insert_item(parts, at + 1, part));
            (former, right.map(Node::Branch))
        }
    };
    *memory = *memory - former_bytes + node.own_bytes();
    let right = right.map(|right| {
        *memory += right.own_bytes();
        Part { first: right.lower_bound().clone(), node: Shared::new(right) }
    });
    (former, right)
}

/// Puts an item at its position; from a full block, the upper part comes back.
fn insert_item<T>(items: &mut Vec<T>, at: usize, item: T) -> Option<Vec<T>> {
    if items.len() < MOST {
        items.insert(at, item);
        return None;
    }
    // Ids ascend: leave full what will not be touched again.
    let cut = if at == items.len() { at } else { items.len() / 2 };
    let mut right = items.split_off(cut);
    if at > cut || right.is_empty() {
        right.insert(at - cut, item);
    } else {
        items.insert(at, item);
    }
    Some(right)
}

impl<K, V> Node<K, V> {
    fn lower_bound(&self) -> &K {
        match self {
            Node::Leaf(entries) => &entries[0].0,
            Node::Branch(parts) => &parts[0].first,
        }
    }

    fn len(&self) -> usize {
        match self {
            Node::Leaf(entries) => entries.len(),
            Node::Branch(parts) => parts.len(),
        }
    }
}

/// Takes out the pair of a key that is there.
pub(super) fn remove<K: Borrow<Q> + Clone + Weighed, V: Clone + Weighed, Q: Ord + ?Sized>(
    node: &mut Shared<Node<K, V>>,
    key: &Q,
    memory: &mut usize,
) -> (K, V) {
    let node = open(node, memory);
    let former_bytes = node.own_bytes();
    let (removed, emptied_bytes) = match node {
        Node::Leaf(entries) => {
            let at = before(entries, key, false);
            let removed = entries.remove(at);
            *memory -= removed.0.heap_bytes() + removed.1.heap_bytes();
            shrink(entries);
            (removed, 0)
        }
        Node::Branch(parts) => {
            let at = part_of(parts, key);
            let removed = remove(&mut parts[at].node, key, memory);
            let mut emptied_bytes = 0;
            if parts[at].node.len() == 0 {
                emptied_bytes = parts.remove(at).node.own_bytes();
            } else {
                join_small(parts, at, memory);
            }
            shrink(parts);
            (removed, emptied_bytes)
        }
    };
    *memory = *memory - former_bytes - emptied_bytes + node.own_bytes();
    removed
}

fn shrink<T>(items: &mut Vec<T>) {
    if items.capacity() > 4 * items.len() {
        items.shrink_to(2 * items.len());
    }
}

/// Joins the part at `at` with a neighbour if both together are half a block at most.
fn join_small<K: Clone, V: Clone>(parts: &mut Vec<Part<K, V>>, at: usize, memory: &mut usize) {
    for left in [at, at.wrapping_sub(1)] {
        let right = left.wrapping_add(1);
        if left >= parts.len() || right >= parts.len() {
            continue;
        }
        if parts[left].node.len() + parts[right].node.len() > MOST / 2 {
            continue;
        }
        let part = parts.remove(right);
        *memory -= part.node.own_bytes();
        let target = open(&mut parts[left].node, memory);
        let former_bytes = target.own_bytes();
        match (&mut *target, part.node.into_inner()) {
            (Node::Leaf(entries), Node::Leaf(more)) => entries.extend(more),
            (Node::Branch(parts), Node::Branch(more)) => parts.extend(more),
            _ => unreachable!("all leaves lie at one depth"),
        }
        *memory = *memory - former_bytes + target.own_bytes();
        return;
    }
}

#[cfg(test)]
impl<K, V> Node<K, V> {
    pub(super) fn blocks_memory(&self) -> usize {
        let below = match self {
            Node::Leaf(_) => 0,
            Node::Branch(parts) => parts.iter().map(|part| part.node.blocks_memory()).sum(),
        };
        self.own_bytes() + below
    }
}
