//! A walk over the pairs of a range, up or down. Allocates nothing.
//! Always: `remaining` pairs lie ahead in the direction of the walk.

use std::ops::Range;

use super::compact::CompactPairs;
use super::tree;
use crate::Element;

/// Members with their scores, in the order in which they were asked for.
#[derive(Clone)]
pub struct ZsetPairs<'a> {
    pairs: Pairs<'a>,
    remaining: usize,
    reverse: bool,
}

#[derive(Clone)]
enum Pairs<'a> {
    Compact(CompactPairs<'a>),
    Large(tree::Pairs<'a>),
}

impl<'a> ZsetPairs<'a> {
    pub(super) fn compact(
        pairs: CompactPairs<'a>,
        ranks: Range<usize>,
        len: usize,
        reverse: bool,
    ) -> ZsetPairs<'a> {
        ZsetPairs::new(Pairs::Compact(pairs), ranks, len, reverse)
    }

    pub(super) fn large(
        pairs: tree::Pairs<'a>,
        ranks: Range<usize>,
        len: usize,
        reverse: bool,
    ) -> ZsetPairs<'a> {
        ZsetPairs::new(Pairs::Large(pairs), ranks, len, reverse)
    }

    fn new(pairs: Pairs<'a>, ranks: Range<usize>, len: usize, reverse: bool) -> ZsetPairs<'a> {
        let before = match (ranks.is_empty(), reverse) {
            (true, _) => 0,
            (false, true) => len - ranks.end,
            (false, false) => ranks.start,
        };
        let mut walk = ZsetPairs { pairs, remaining: before + ranks.len(), reverse };
        walk.skip_pairs(before);
        walk
    }

    fn skip_pairs(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        match (&mut self.pairs, self.reverse) {
            (Pairs::Compact(pairs), false) => drop(pairs.nth(count - 1)),
            (Pairs::Compact(pairs), true) => drop(pairs.nth_back(count - 1)),
            (Pairs::Large(pairs), false) => pairs.skip_front(count),
            (Pairs::Large(pairs), true) => pairs.skip_back(count),
        }
        self.remaining -= count;
    }
}

impl<'a> Iterator for ZsetPairs<'a> {
    type Item = (Element<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<(Element<'a>, f64)> {
        self.remaining = self.remaining.checked_sub(1)?;
        let inline = |(member, score)| (Element::Bytes(member), score);
        match (&mut self.pairs, self.reverse) {
            (Pairs::Compact(pairs), false) => pairs.next(),
            (Pairs::Compact(pairs), true) => pairs.next_back(),
            (Pairs::Large(pairs), false) => pairs.next().map(inline),
            (Pairs::Large(pairs), true) => pairs.next_back().map(inline),
        }
    }

    fn nth(&mut self, count: usize) -> Option<(Element<'a>, f64)> {
        self.skip_pairs(count.min(self.remaining));
        self.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining, Some(self.remaining))
    }
}

impl ExactSizeIterator for ZsetPairs<'_> {}
