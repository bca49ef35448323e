//! Distinct members: found out, and chosen. Knows no encoding but elements.

use crate::listpack::Element;
use std::collections::BTreeSet;
use tenon_base::Dice;

/// Chosen one by one below this share of all, in one pass from it on.
const SPARSE_SHARE: usize = 16;

/// `count` different ranks below `len`, ascending, every choice equally likely; all of them if `count` is
/// not below `len`. Takes time in proportion to `count`, or to `len` where that is less than sixteen times as much.
pub fn distinct_ranks(len: usize, count: usize, dice: &mut Dice) -> Vec<usize> {
    if !is_dense(len, count) {
        // Floyd's way: one throw for each, and a clash takes the newest rank instead.
        let mut chosen = BTreeSet::new();
        for newest in len - count..len {
            let rank = dice.below(newest as u64 + 1) as usize;
            if !chosen.insert(rank) {
                chosen.insert(newest);
            }
        }
        return chosen.into_iter().collect();
    }
    let mut selection = Selection::of(len, count);
    (0..len).filter(|_| selection.takes_next(dice)).collect()
}

/// A choice of some among all, decided one after the other in their order.
pub(crate) struct Selection {
    wanted: usize,
    left: usize,
}

impl Selection {
    /// The choice of `count` among `len`, every one equally likely.
    pub(crate) fn of(len: usize, count: usize) -> Selection {
        Selection { wanted: count.min(len), left: len }
    }

    /// Whether the next one is chosen. To be asked once for each of all.
    pub(crate) fn takes_next(&mut self, dice: &mut Dice) -> bool {
        let takes = dice.below(self.left as u64) < self.wanted as u64;
        self.left -= 1;
        self.wanted -= usize::from(takes);
        takes
    }
}

/// Whether reading all `len` members in order is better than looking up each of `count`.
pub(crate) fn is_dense(len: usize, count: usize) -> bool {
    count >= len / SPARSE_SHARE
}

/// Whether no two elements have the same text.
pub(crate) fn all_distinct<'a>(elements: impl Iterator<Item = Element<'a>>) -> bool {
    let mut keys: Vec<(Option<i64>, &[u8])> = elements
        .map(|element| match (element.integer(), element) {
            (None, Element::Bytes(bytes)) => (None, bytes),
            (integer, _) => (integer, &[][..]),
        })
        .collect();
    keys.sort_unstable();
    keys.is_sorted_by(|one, next| one != next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_distinct_ascending_and_fair() {
        let mut dice = Dice::seeded(5);
        for (len, count) in [(100, 5), (100, 60), (100, 100), (100, 200), (0, 3), (1, 1)] {
            let mut seen = vec![0u32; len];
            for _ in 0..2_000 {
                let ranks = distinct_ranks(len, count, &mut dice);
                assert_eq!(ranks.len(), count.min(len));
                assert!(ranks.is_sorted_by(|one, next| one < next));
                ranks.iter().for_each(|&rank| seen[rank] += 1);
            }
            let expected = 2_000 * count.min(len) as u32 / len.max(1) as u32;
            assert!(seen.iter().all(|&times| times.abs_diff(expected) <= expected / 2 + 1), "{seen:?}");
        }
    }

    #[test]
    fn the_same_text_kept_in_two_ways_is_a_duplicate() {
        let elements = |last| [Element::Bytes(b"5x"), Element::Integer(6), Element::Bytes(b"05"), last];
        assert!(all_distinct(elements(Element::Bytes(b"")).into_iter()));
        assert!(!all_distinct(elements(Element::Bytes(b"6")).into_iter()));
        assert!(!all_distinct(elements(Element::Bytes(b"05")).into_iter()));
    }
}
