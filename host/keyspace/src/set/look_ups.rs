//! Many look-ups in one set while it does not change.
//! Always: the answers are those of [`Set::contains_element`].

use super::Set;
use crate::listpack::{Element, Index};

/// See [`Set::look_ups`].
pub struct SetLookUps<'a> {
    set: &'a Set,
    index: Option<Index<'a>>,
}

impl<'a> SetLookUps<'a> {
    pub(super) fn new(set: &'a Set, index: Option<Index<'a>>) -> SetLookUps<'a> {
        SetLookUps { set, index }
    }

    /// Whether the element of another set is there.
    #[inline]
    pub fn contains(&self, element: Element<'_>) -> bool {
        match &self.index {
            Some(index) => index.contains(element),
            None => self.set.contains_element(element),
        }
    }
}
