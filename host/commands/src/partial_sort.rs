//! Sorting a part: of a slice, only those elements get in order that end up in a range of positions.
//! Which of several equal elements come first is what the quicksort of Bentley and McIlroy makes of them, since
//! Redis sorts parts with it and clients see the result.
//! Always: the work grows with n log n, whatever the order of the input.

use std::cmp::Ordering;
use std::ops::Range;

/// Slices shorter than this are sorted by insertion.
const INSERTION_MAX: usize = 7;
/// Slices longer than this get their pivot from nine elements.
const NINTHER_MIN: usize = 40;

/// Puts in place the elements that belong to the positions of `part`.
pub(crate) fn sort_part<T>(
    items: &mut [T],
    part: Range<usize>,
    compare: &mut impl FnMut(&T, &T) -> Ordering,
) {
    if part.is_empty() {
        return;
    }
    // Few inputs split this badly, unless they are made to.
    let depth = 4 * (items.len().max(1).ilog2() + 1);
    Sorter { part, compare }.sort(items, 0, depth);
}

struct Sorter<'c, C> {
    /// Positions in the whole slice.
    part: Range<usize>,
    compare: &'c mut C,
}

impl<C> Sorter<'_, C> {
    /// Sorts what lies at position `offset` of the whole.
    fn sort<T>(&mut self, mut items: &mut [T], mut offset: usize, mut depth: u32)
    where
        C: FnMut(&T, &T) -> Ordering,
    {
        loop {
            let len = items.len();
            if len < INSERTION_MAX {
                return self.sort_by_insertion(items);
            }
            if depth == 0 {
                return items.sort_by(&mut *self.compare);
            }
            depth -= 1;
            let pivot = self.pivot(items);
            items.swap(0, pivot);
            let (lower, higher) = self.split(items);
            if lower > 1 && self.concerns(offset, lower) {
                self.sort(&mut items[..lower], offset, depth);
            }
            if higher <= 1 || !self.concerns(offset + len - higher, higher) {
                return;
            }
            items = &mut items[len - higher..];
            offset += len - higher;
        }
    }

    /// Whether any of `len` positions from `start` on is wanted.
    fn concerns(&self, start: usize, len: usize) -> bool {
        self.part.start < start + len && start < self.part.end
    }

    fn sort_by_insertion<T>(&mut self, items: &mut [T])
    where
        C: FnMut(&T, &T) -> Ordering,
    {
        for next in 1..items.len() {
            let mut at = next;
            while at > 0 && (self.compare)(&items[at - 1], &items[at]).is_gt() {
                items.swap(at - 1, at);
                at -= 1;
            }
        }
    }

    /// Where the element to split by is: the middle one, the median of three, or of three medians.
    fn pivot<T>(&mut self, items: &[T]) -> usize
    where
        C: FnMut(&T, &T) -> Ordering,
    {
        let len = items.len();
        let mut middle = len / 2;
        if len > INSERTION_MAX {
            let (mut low, mut high) = (0, len - 1);
            if len > NINTHER_MIN {
                let step = len / 8;
                low = self.median(items, low, low + step, low + 2 * step);
                middle = self.median(items, middle - step, middle, middle + step);
                high = self.median(items, high - 2 * step, high - step, high);
            }
            middle = self.median(items, low, middle, high);
        }
        middle
    }

    fn median<T>(&mut self, items: &[T], a: usize, b: usize, c: usize) -> usize
    where
        C: FnMut(&T, &T) -> Ordering,
    {
        let mut order = |left: usize, right: usize| (self.compare)(&items[left], &items[right]);
        if order(a, b).is_lt() {
            if order(b, c).is_lt() {
                b
            } else if order(a, c).is_lt() {
                c
            } else {
                a
            }
        } else if order(b, c).is_gt() {
            b
        } else if order(a, c).is_lt() {
            a
        } else {
            c
        }
    }

    /// Splits by the first element: lower ones to the front, equal ones to the middle, higher ones to the end.
    /// Returns how many are lower and how many are higher.
    fn split<T>(&mut self, items: &mut [T]) -> (usize, usize)
    where
        C: FnMut(&T, &T) -> Ordering,
    {
        let len = items.len();
        // Equal ones gather at both ends while the others are told apart: equal, lower, unseen, higher, equal.
        let (mut equal_low, mut unseen) = (1, 1);
        let (mut unseen_end, mut higher_end) = (len, len);
        loop {
            while unseen < unseen_end {
                match (self.compare)(&items[unseen], &items[0]) {
                    Ordering::Greater => break,
                    Ordering::Equal => {
                        items.swap(equal_low, unseen);
                        equal_low += 1;
                    }
                    Ordering::Less => {}
                }
                unseen += 1;
            }
            while unseen < unseen_end {
                match (self.compare)(&items[unseen_end - 1], &items[0]) {
                    Ordering::Less => break,
                    Ordering::Equal => {
                        higher_end -= 1;
                        items.swap(unseen_end - 1, higher_end);
                    }
                    Ordering::Greater => {}
                }
                unseen_end -= 1;
            }
            if unseen >= unseen_end {
                break;
            }
            items.swap(unseen, unseen_end - 1);
            unseen += 1;
            unseen_end -= 1;
        }
        let (lower, higher) = (unseen - equal_low, higher_end - unseen_end);
        exchange(items, 0, unseen, equal_low.min(lower));
        exchange(items, unseen, len, higher.min(len - higher_end));
        (lower, higher)
    }
}

/// Exchanges the `count` elements from `start` on with the `count` elements before `end`, one by one.
fn exchange<T>(items: &mut [T], start: usize, end: usize, count: usize) {
    (0..count).for_each(|index| items.swap(start + index, end - count + index));
}

#[cfg(test)]
mod tests {
    use tenon_base::Dice;

    use super::*;

    #[test]
    fn the_part_holds_what_a_whole_sort_puts_there() {
        let mut dice = Dice::seeded(4711);
        for round in 0..400 {
            let len = dice.below(200) as usize;
            let kinds = 1 + dice.below(if round % 2 == 0 { 5 } else { 1_000 });
            let items: Vec<u64> = (0..len).map(|_| dice.below(kinds)).collect();
            let start = dice.below(len as u64 + 1) as usize;
            let end = start + dice.below((len - start) as u64 + 1) as usize;
            let mut sorted = items.clone();
            sorted.sort_unstable();
            let mut part = items.clone();
            sort_part(&mut part, start..end, &mut u64::cmp);
            assert_eq!(part[start..end], sorted[start..end], "round {round}");
            part.sort_unstable();
            assert_eq!(part, sorted, "round {round}: nothing is lost");
        }
    }

    #[test]
    fn the_work_is_bounded_for_input_made_to_be_slow() {
        // An adversary that decides what is larger only when it must: every pivot turns out to be a bad one.
        const LEN: usize = 20_000;
        let (mut values, mut next, mut candidate) = (vec![usize::MAX; LEN], 0, 0);
        let mut comparisons = 0u64;
        let mut items: Vec<usize> = (0..LEN).collect();
        sort_part(&mut items, 0..LEN, &mut |&left: &usize, &right: &usize| {
            comparisons += 1;
            if values[left] == usize::MAX && values[right] == usize::MAX {
                let frozen = if left == candidate { left } else { right };
                values[frozen] = next;
                next += 1;
            }
            if values[left] == usize::MAX {
                candidate = left;
            } else if values[right] == usize::MAX {
                candidate = right;
            }
            values[left].cmp(&values[right])
        });
        assert!(comparisons < 100 * LEN as u64, "{comparisons} comparisons");
        assert!(items.is_sorted_by_key(|&item| values[item]));
    }
}
