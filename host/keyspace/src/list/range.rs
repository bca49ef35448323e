//! Walks over the elements of a list, in either direction, from any position.

use super::tree::{Leaf, Tree};
use super::{Form, List};
use crate::listpack::{Element, Iter, Listpack};

/// Elements of a list, one after the other. Knows how many are to come.
#[derive(Clone)]
pub struct Range<'a> {
    /// The leaves from which to go on; none for a compact list.
    tree: Option<&'a Tree>,
    leaf: LeafElements<'a>,
    /// The position of the element to come, counted from the walk's direction of view.
    index: usize,
    remaining: usize,
    backward: bool,
}

#[derive(Clone)]
enum LeafElements<'a> {
    Packed(Iter<'a>),
    Plain(Option<&'a [u8]>),
}

impl<'a> Range<'a> {
    /// `count` elements from `index` on; all of them must exist.
    pub(super) fn new(list: &'a List, index: usize, count: usize, backward: bool) -> Range<'a> {
        let none = LeafElements::Plain(None);
        match &list.form {
            Form::Compact(listpack) => {
                let leaf = if count == 0 { none } else { packed(listpack, index, backward) };
                Range { tree: None, leaf, index, remaining: count, backward }
            }
            Form::Large(tree) => Range { tree: Some(tree), leaf: none, index, remaining: count, backward },
        }
    }

    fn next_in_leaf(&mut self) -> Option<Element<'a>> {
        match &mut self.leaf {
            LeafElements::Packed(elements) if self.backward => elements.next_back(),
            LeafElements::Packed(elements) => elements.next(),
            LeafElements::Plain(element) => element.take().map(Element::Bytes),
        }
    }
}

impl<'a> Iterator for Range<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        if self.remaining == 0 {
            return None;
        }
        let element = match self.next_in_leaf() {
            Some(element) => element,
            None => {
                let view = self.tree?.leaf_at(self.index);
                self.leaf = match view.leaf {
                    Leaf::Packed(listpack) => packed(listpack, self.index - view.start, self.backward),
                    Leaf::Plain(element) => LeafElements::Plain(Some(element)),
                };
                self.next_in_leaf()?
            }
        };
        self.remaining -= 1;
        // After the first element of all, a backward walk has no position; nothing remains then.
        self.index = if self.backward { self.index.wrapping_sub(1) } else { self.index + 1 };
        Some(element)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining, Some(self.remaining))
    }
}

impl ExactSizeIterator for Range<'_> {}

fn packed(listpack: &Listpack, offset: usize, backward: bool) -> LeafElements<'_> {
    let at = listpack.seek(offset).expect("an element of this leaf");
    LeafElements::Packed(if backward { listpack.iter_through(at) } else { listpack.iter_from(at) })
}
