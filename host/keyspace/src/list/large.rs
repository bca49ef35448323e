//! What lists do, on a tree of leaves: where a new element goes, when a leaf is divided and when two are
//! joined. Every rule about node sizes is asked of [`ListLimits`].
//! Always: several elements in one leaf take at most 64 KiB.

use super::limits::{ListLimits, NODE_BYTES_MAX, PLAIN_BYTES_MIN};
use super::tree::{Leaf, Tree};
use super::{End, Side};
use crate::listpack::{Element, Listpack, Needle};

/// A tree with the elements of a listpack that has outgrown a compact list.
pub(super) fn tree_of(listpack: Listpack, limits: &ListLimits) -> Tree {
    let mut tree = None;
    push_listpack(&mut tree, listpack, limits);
    tree.unwrap_or_else(Tree::empty)
}

/// Adds a whole listpack at the end: as one leaf, unless it is too large for one.
pub(super) fn push_listpack(tree: &mut Option<Tree>, listpack: Listpack, limits: &ListLimits) {
    if listpack.is_empty() {
        return;
    }
    let single = listpack.first() == listpack.last();
    if listpack.total_bytes() <= NODE_BYTES_MAX || single {
        return push_leaf(tree, Leaf::Packed(listpack));
    }
    for element in listpack.iter() {
        tree.get_or_insert_with(Tree::empty).push(End::Back, &element.to_vec(), limits);
    }
}

/// Adds a leaf at the end.
pub(super) fn push_leaf(tree: &mut Option<Tree>, leaf: Leaf) {
    match tree {
        Some(tree) => tree.insert_leaf(tree.len(), leaf),
        None => *tree = Some(Tree::of(leaf)),
    }
}

impl Tree {
    pub(super) fn push(&mut self, end: End, element: &[u8], limits: &ListLimits) {
        if self.len() == 0 {
            *self = Tree::of(Leaf::of(element));
            return;
        }
        let admits = |leaf: &Leaf| limits.admit(leaf, element.len());
        let pushed = self.edit_if(self.index_of(end), admits, |leaf, _| match end {
            End::Front => leaf.packed_mut().push_front(element),
            End::Back => leaf.packed_mut().push_back(element),
        });
        if pushed.is_some() {
            return;
        }
        let boundary = match end {
            End::Front => 0,
            End::Back => self.len(),
        };
        self.insert_leaf(boundary, Leaf::of(element));
    }

    /// Removes the element at an end, after showing it. There must be another one.
    pub(super) fn pop_with<R>(&mut self, end: End, visit: impl FnOnce(Element<'_>) -> R) -> R {
        let index = self.index_of(end);
        let mut visit = Some(visit);
        let mut show = |element: Element<'_>| visit.take().map(|visit| visit(element));
        let shown = self.edit_if(
            index,
            |leaf| leaf.len() > 1,
            |leaf, _| {
                let listpack = leaf.packed_mut();
                let at = match end {
                    End::Front => listpack.first(),
                    End::Back => listpack.last(),
                };
                let at = at.expect("no leaf is empty");
                let shown = show(listpack.element(at));
                listpack.delete(at);
                shown
            },
        );
        let shown = shown.unwrap_or_else(|| {
            let shown = show(self.leaf_at(index).leaf.element(0));
            self.remove_range(index, index + 1);
            shown
        });
        shown.expect("one of the two ways was taken")
    }

    /// Puts `element` in place of the one at `index`, which must exist.
    pub(super) fn set(&mut self, index: usize, element: &[u8], limits: &ListLimits) {
        let large = element.len() >= PLAIN_BYTES_MIN;
        match self.leaf_at(index).leaf {
            Leaf::Packed(_) if !large => {
                let bytes = self.edit(index, |leaf, offset| {
                    let listpack = leaf.packed_mut();
                    let at = listpack.seek(offset).expect("an element of this leaf");
                    listpack.replace(at, element);
                    listpack.total_bytes()
                });
                if bytes > NODE_BYTES_MAX {
                    self.divide(index);
                    self.divide(index + 1);
                }
            }
            Leaf::Plain(_) if large => self.edit(index, |leaf, _| *leaf = Leaf::Plain(element.into())),
            _ => {
                self.insert(index, Side::After, element, limits);
                self.remove_range(index, index + 1);
            }
        }
    }

    /// Adds `element` beside the one at `index`, which must exist.
    pub(super) fn insert(&mut self, index: usize, side: Side, element: &[u8], limits: &ListLimits) {
        let view = self.leaf_at(index);
        let (place, at_edge) = match side {
            Side::Before => (index, index == view.start),
            Side::After => (index + 1, index + 1 == view.end),
        };
        if limits.admit(view.leaf, element.len()) {
            self.edit(index, |leaf, offset| insert_in_leaf(leaf.packed_mut(), offset, side, element));
        } else if at_edge {
            self.insert_at_edge(place, side, element, limits);
        } else if element.len() >= PLAIN_BYTES_MIN {
            self.divide(place);
            self.insert_leaf(place, Leaf::of(element));
        } else {
            self.divide(place);
            match side {
                Side::Before => {
                    self.edit(place - 1, |leaf, _| leaf.packed_mut().push_back(element));
                    self.join_around(place + 1, limits);
                }
                Side::After => {
                    self.edit(place, |leaf, _| leaf.packed_mut().push_front(element));
                    self.join_around(place - 1, limits);
                }
            }
        }
    }

    /// Removes up to `most` elements equal to the needle, seen from `end`; says how many. Stops before the list
    /// would be empty and then says so with `None`.
    pub(super) fn remove_matching(&mut self, end: End, most: usize, needle: Needle<'_>) -> Option<usize> {
        let mut removed = 0;
        let mut index = self.index_of(end);
        loop {
            let view = self.leaf_at(index);
            let (start, len) = (view.start, view.end - view.start);
            let found = match view.leaf {
                Leaf::Packed(listpack) => listpack.iter().filter(|element| needle.matches(*element)).count(),
                Leaf::Plain(element) => usize::from(needle.matches(Element::Bytes(element))),
            };
            let to_remove = found.min(most - removed);
            let left = len - to_remove;
            if to_remove == self.len() {
                return None;
            } else if left == 0 {
                self.remove_range(start, start + len);
            } else if to_remove > 0 {
                self.edit(index, |leaf, _| retain(leaf.packed_mut(), end, found, to_remove, needle));
            }
            removed += to_remove;
            index = match end {
                End::Front if removed < most && start + left < self.len() => start + left,
                End::Back if removed < most && start > 0 => start - 1,
                _ => return Some(removed),
            };
        }
    }

    fn index_of(&self, end: End) -> usize {
        match end {
            End::Front => 0,
            End::Back => self.len() - 1,
        }
    }

    /// Adds `element` at `place`, where one leaf ends (it is full) and the next begins.
    fn insert_at_edge(&mut self, place: usize, side: Side, element: &[u8], limits: &ListLimits) {
        let neighbour = match side {
            Side::Before => place.checked_sub(1),
            Side::After => (place < self.len()).then_some(place),
        };
        match neighbour {
            Some(neighbour) if limits.admit(self.leaf_at(neighbour).leaf, element.len()) => {
                self.edit(neighbour, |leaf, _| match side {
                    Side::Before => leaf.packed_mut().push_back(element),
                    Side::After => leaf.packed_mut().push_front(element),
                });
            }
            _ => self.insert_leaf(place, Leaf::of(element)),
        }
    }

    /// Makes a leaf begin at `index`.
    fn divide(&mut self, index: usize) {
        if index < self.len() && self.leaf_at(index).start < index {
            let tail = self.edit(index, |leaf, offset| leaf.packed_mut().split_off(offset));
            self.insert_leaf(index, Leaf::Packed(tail));
        }
    }

    /// After the leaf with the element at `index` has been divided: joins what fits together around it, two
    /// leaves to either side.
    fn join_around(&mut self, index: usize, limits: &ListLimits) {
        let (start, end) = (self.leaf_at(index).start, self.leaf_at(index).end);
        if start > 0 {
            let before = self.leaf_at(start - 1).start;
            if before > 0 {
                self.join_with_next(before - 1, limits);
            }
        }
        if end < self.len() {
            self.join_with_next(end, limits);
        }
        if start > 0 {
            self.join_with_next(start - 1, limits);
        }
        self.join_with_next(index, limits);
    }

    /// Joins the leaf with the element at `index` and the one after it, if both together are within the limits.
    fn join_with_next(&mut self, index: usize, limits: &ListLimits) {
        let one = self.leaf_at(index);
        if one.end == self.len() {
            return;
        }
        let two = self.leaf_at(one.end);
        let (Leaf::Packed(first), Leaf::Packed(second)) = (one.leaf, two.leaf) else { return };
        let bytes = first.total_bytes() + second.total_bytes() - crate::listpack::LISTPACK_BYTES_EMPTY;
        if limits.exceeded_by(bytes, first.len() + second.len()) {
            return;
        }
        let (from, to, second) = (two.start, two.end, second.clone());
        self.remove_range(from, to);
        self.edit(index, |leaf, _| leaf.packed_mut().append(&second));
    }
}

fn insert_in_leaf(listpack: &mut Listpack, offset: usize, side: Side, element: &[u8]) {
    let at = listpack.seek(offset).expect("an element of this leaf");
    match side {
        Side::Before => listpack.insert_before(at, element),
        Side::After => {
            listpack.insert_after(at, element);
        }
    }
}

/// Removes `to_remove` of the `found` elements equal to the needle, those nearest to `end`.
pub(super) fn retain(listpack: &mut Listpack, end: End, found: usize, to_remove: usize, needle: Needle<'_>) {
    let spared = match end {
        End::Front => 0,
        End::Back => found - to_remove,
    };
    let mut seen = 0;
    listpack.retain(|element| {
        if !needle.matches(element) {
            return true;
        }
        seen += 1;
        seen <= spared || seen > spared + to_remove
    });
}
