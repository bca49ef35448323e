//! Walks over an ordered map. They hold the pairs of one leaf, and find the next leaf from the root.

use std::slice;

use super::Map;

/// Pairs by ascending key.
pub(crate) struct Forward<'m, K, V> {
    map: &'m Map<K, V>,
    leaf: slice::Iter<'m, (K, V)>,
    /// The last key of the leaf.
    last: Option<&'m K>,
}

impl<'m, K, V> Forward<'m, K, V> {
    pub(super) fn new(map: &'m Map<K, V>, leaf: &'m [(K, V)]) -> Forward<'m, K, V> {
        Forward { map, leaf: leaf.iter(), last: leaf.last().map(|(key, _)| key) }
    }
}

impl<'m, K: Ord, V> Iterator for Forward<'m, K, V> {
    type Item = (&'m K, &'m V);

    fn next(&mut self) -> Option<Self::Item> {
        if self.leaf.as_slice().is_empty() {
            let root = self.map.root.as_ref()?;
            *self = Forward::new(self.map, root.tail(self.last?, false));
        }
        self.leaf.next().map(|(key, value)| (key, value))
    }
}

/// Pairs by descending key.
pub(crate) struct Backward<'m, K, V> {
    map: &'m Map<K, V>,
    leaf: slice::Iter<'m, (K, V)>,
    /// The first key of the leaf.
    first: Option<&'m K>,
}

impl<'m, K, V> Backward<'m, K, V> {
    pub(super) fn new(map: &'m Map<K, V>, leaf: &'m [(K, V)]) -> Backward<'m, K, V> {
        Backward { map, leaf: leaf.iter(), first: leaf.first().map(|(key, _)| key) }
    }
}

impl<'m, K: Ord, V> Iterator for Backward<'m, K, V> {
    type Item = (&'m K, &'m V);

    fn next(&mut self) -> Option<Self::Item> {
        if self.leaf.as_slice().is_empty() {
            let root = self.map.root.as_ref()?;
            *self = Backward::new(self.map, root.head(self.first?, false));
        }
        self.leaf.next_back().map(|(key, value)| (key, value))
    }
}
