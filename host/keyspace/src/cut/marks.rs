//! Which buckets of a table a cut has been handed, one bit each, kept right while pages split and merge.
//! Always: a bucket that holds entries from the moment of the cut is unmarked exactly until it is handed over.

use crate::table::{Address, BUCKETS};

const SEGMENT_PAGES: usize = 64;
const HALF: usize = BUCKETS / 2;

/// The marks. Memory is taken only for pages near which there is a mark.
#[derive(Default)]
pub(crate) struct Marks {
    segments: Vec<Option<Box<[u128; SEGMENT_PAGES]>>>,
}

impl Marks {
    pub(crate) fn contains(&self, address: Address) -> bool {
        self.page(address.page) >> address.bucket & 1 == 1
    }

    pub(crate) fn insert(&mut self, address: Address) {
        let page = self.page(address.page) | 1 << address.bucket;
        self.set_page(address.page, page);
    }

    /// Page `low` was split into itself and `high`: both halves of a bucket are what it was.
    pub(crate) fn page_split(&mut self, low: usize, high: usize) {
        let (evens, odds) = unzip(self.page(low));
        self.set_page(low, u128::from(evens) | u128::from(evens) << HALF);
        self.set_page(high, u128::from(odds) | u128::from(odds) << HALF);
    }

    /// Buckets of a page that would become one with another and differ from it, as numbers below [`HALF`].
    pub(crate) fn uneven(&self, page: usize) -> impl Iterator<Item = usize> + use<> {
        let marks = self.page(page);
        let mut differing = (marks ^ (marks >> HALF)) as u64;
        std::iter::from_fn(move || {
            if differing == 0 {
                return None;
            }
            let bucket = differing.trailing_zeros() as usize;
            differing &= differing - 1;
            Some(bucket)
        })
    }

    /// Pages `low` and `high` are about to become `low`. No bucket of theirs is uneven.
    pub(crate) fn pages_merged(&mut self, low: usize, high: usize) {
        let marks = zip(self.page(low) as u64, self.page(high) as u64);
        self.set_page(low, marks);
        self.set_page(high, 0);
    }

    fn page(&self, page: usize) -> u128 {
        match self.segments.get(page / SEGMENT_PAGES) {
            Some(Some(segment)) => segment[page % SEGMENT_PAGES],
            _ => 0,
        }
    }

    fn set_page(&mut self, page: usize, marks: u128) {
        let segment = page / SEGMENT_PAGES;
        if marks == 0 && self.segments.get(segment).is_none_or(Option::is_none) {
            return;
        }
        if self.segments.len() <= segment {
            self.segments.resize_with(segment + 1, || None);
        }
        self.segments[segment].get_or_insert_with(|| Box::new([0; SEGMENT_PAGES]))[page % SEGMENT_PAGES] =
            marks;
    }
}

/// The even and the odd bits.
fn unzip(marks: u128) -> (u64, u64) {
    (0..HALF).fold((0, 0), |(evens, odds), bit| {
        (
            evens | ((marks >> (2 * bit)) as u64 & 1) << bit,
            odds | ((marks >> (2 * bit + 1)) as u64 & 1) << bit,
        )
    })
}

fn zip(evens: u64, odds: u64) -> u128 {
    (0..HALF).fold(0, |marks, bit| {
        marks | u128::from(evens >> bit & 1) << (2 * bit) | u128::from(odds >> bit & 1) << (2 * bit + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_and_a_merge_undo_each_other() {
        let mut marks = Marks::default();
        for bucket in [0, 1, 5, 64, 127] {
            marks.insert(Address { page: 3, bucket });
        }
        let before = marks.page(3);
        marks.page_split(3, 200);
        assert!(marks.contains(Address { page: 200, bucket: 63 }));
        assert_eq!(marks.uneven(3).chain(marks.uneven(200)).count(), 0);
        marks.pages_merged(3, 200);
        assert_eq!((marks.page(3), marks.page(200)), (before, 0));
    }

    #[test]
    fn half_a_bucket_is_uneven() {
        let mut marks = Marks::default();
        marks.insert(Address { page: 0, bucket: 70 });
        assert_eq!(marks.uneven(0).collect::<Vec<_>>(), [6]);
    }
}
