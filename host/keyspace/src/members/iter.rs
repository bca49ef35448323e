//! Every member of a table, one after the other, without a stack: after each page it looks up the next one.

use super::Members;
use super::directory::Leaf;
use super::position::POSITION_END;

/// See [`Members::iter`].
#[derive(Clone)]
pub struct MemberIter<'a> {
    members: &'a Members,
    leaf: Leaf<'a>,
    slot: usize,
    rest: usize,
}

impl<'a> MemberIter<'a> {
    pub(super) fn new(members: &'a Members) -> MemberIter<'a> {
        MemberIter { members, leaf: members.leaf_at(0), slot: 0, rest: members.len() }
    }
}

impl<'a> Iterator for MemberIter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while self.slot == self.leaf.page.len() {
            if self.leaf.span.high == POSITION_END {
                return None;
            }
            self.leaf = self.members.leaf_at(self.leaf.span.high);
            self.slot = 0;
        }
        self.slot += 1;
        self.rest -= 1;
        Some(self.leaf.page.member(self.slot - 1))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.rest, Some(self.rest))
    }
}

impl ExactSizeIterator for MemberIter<'_> {}
