//! How a table comes by its pages and gives them back, one at a time: a page splits when the table is full, and two merge
//! when it is sparse.
//! Always: a split or a merge leaves every entry in its order of positions, and the books as true as before.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};

#[cfg(test)]
use super::Address;
use super::bucket::{Bucket, LINE_BYTES};
use super::{AHEAD, BUCKETS, NO_NOTES, PAGE_BYTES, PageNotes, SEGMENT_PAGES, Segment, Table, prefetch};
use crate::memory::size_class;

const PAGE_LAYOUT: Layout = match Layout::from_size_align(PAGE_BYTES, LINE_BYTES) {
    Ok(layout) => layout,
    Err(_) => panic!("a page is a valid layout"),
};

/// Entries per page beyond which the table grows by a page: 3.75 to a bucket on average, at most twice that in the
/// pages that split last.
const FULL_PAGE_ENTRIES: usize = BUCKETS * 15 / 4;
/// Entries per page below which the table shrinks by a page; far enough below not to grow again at once.
const SPARSE_PAGE_ENTRIES: usize = BUCKETS * 3 / 2;

impl Table {
    /// The two pages that the next growth would make of the first of them, if it is time to grow.
    pub(crate) fn growth_due(&self) -> Option<(usize, usize)> {
        (self.len > self.pages * FULL_PAGE_ENTRIES).then(|| (self.pages - (1 << self.depth), self.pages))
    }

    /// The two pages that the next shrinking would merge into the first of them, if it is time to shrink.
    pub(crate) fn shrinking_due(&self) -> Option<(usize, usize)> {
        if self.pages < 2 || self.len >= (self.pages - 1) * SPARSE_PAGE_ENTRIES {
            return None;
        }
        let last = self.pages - 1;
        Some((last - (1 << last.ilog2()), last))
    }

    /// Splits one page in two, as [`Table::growth_due`] said.
    pub(crate) fn grow(&mut self, hash_of: impl Fn(&[u8]) -> u64) {
        let (low, high) = (self.pages - (1 << self.depth), self.pages);
        let old_depth = self.depth;
        self.push_page();
        let old = self.page(low);
        let new_low = allocate_page();
        self.set_page(low, new_low);
        let new_high = self.page(high);
        let earliest = self.notes(low).earliest;
        let mut volatile = [0u32; 2];
        let mut lines = 0;
        for bucket in 0..BUCKETS {
            // SAFETY: `old` is a page that only this function still knows; all entries in it are live. The new
            // pages are the table's own, and `&mut self` has them alone.
            unsafe {
                if bucket + AHEAD < BUCKETS {
                    (*old.add(bucket + AHEAD)).entries().for_each(|entry| prefetch(entry.pointer()));
                }
                lines -= (*old.add(bucket)).drain(|tag, entry| {
                    let view = entry.view();
                    let rest = hash_of(view.key()) >> old_depth;
                    let side = (rest & 1) as usize;
                    volatile[side] += u32::from(view.is_volatile());
                    let page = if side == 0 { new_low } else { new_high };
                    lines += (*page.add((rest >> 1) as usize % BUCKETS)).insert(tag, entry) as isize;
                }) as isize;
            }
        }
        free_page(old);
        *self.notes_mut(low) = PageNotes { volatile: volatile[0], earliest };
        *self.notes_mut(high) = PageNotes { volatile: volatile[1], earliest };
        self.memory = self.memory.strict_add_signed(lines * LINE_BYTES as isize);
    }

    /// Merges two pages into one, as [`Table::shrinking_due`] said.
    pub(crate) fn shrink(&mut self) {
        let high = self.pages - 1;
        let low = high - (1 << high.ilog2());
        let merged = allocate_page();
        let mut lines = 0;
        for (side, page) in [(0, low), (1, high)] {
            let old = self.page(page);
            for bucket in 0..BUCKETS {
                // SAFETY: the pages are the table's own, and `&mut self` has them alone.
                unsafe {
                    let target = merged.add(side | ((bucket % (BUCKETS / 2)) << 1));
                    lines -= (*old.add(bucket))
                        .drain(|tag, entry| lines += (*target).insert(tag, entry) as isize)
                        as isize;
                }
            }
        }
        free_page(self.page(low));
        self.set_page(low, merged);
        let (one, other) = (self.notes(low), self.notes(high));
        *self.notes_mut(low) =
            PageNotes { volatile: one.volatile + other.volatile, earliest: one.earliest.min(other.earliest) };
        self.memory = self.memory.strict_add_signed(lines * LINE_BYTES as isize);
        self.pop_page();
    }

    /// Gives the last page back once nothing is left.
    pub(crate) fn release_if_empty(&mut self) {
        if self.len == 0 && self.pages == 1 {
            self.pop_page();
            self.memory -= size_class(self.segments.capacity() * size_of::<Box<Segment>>());
            self.segments = Vec::new();
        }
    }

    /// Counts everything anew and compares.
    #[cfg(test)]
    pub(crate) fn check_books(&self) {
        let segment_bytes = size_class(self.segments.capacity() * size_of::<Box<Segment>>())
            + self.segments.len() * size_class(size_of::<Segment>());
        let mut memory = segment_bytes + self.pages * PAGE_BYTES;
        let (mut len, mut volatile) = (0, 0);
        for page in 0..self.pages {
            let mut page_volatile = 0;
            for bucket in 0..BUCKETS {
                let address = Address { page, bucket };
                // SAFETY: the bucket is live, and `&self` keeps it from being changed.
                memory += unsafe { (*self.bucket(address)).further_lines() } * LINE_BYTES;
                for entry in self.entries_of(address) {
                    memory += entry.memory();
                    len += 1;
                    page_volatile += u32::from(entry.is_volatile());
                    assert!(entry.expires_at().is_none_or(|expires| self.notes(page).earliest <= expires));
                }
            }
            assert_eq!(self.notes(page).volatile, page_volatile, "page {page}");
            volatile += page_volatile as usize;
        }
        assert_eq!((self.len, self.volatile, self.memory), (len, volatile, memory));
    }

    pub(super) fn push_page(&mut self) {
        if self.pages.is_multiple_of(SEGMENT_PAGES) {
            let before = self.segments.capacity();
            let (pages, notes) = ([std::ptr::null_mut(); SEGMENT_PAGES], [NO_NOTES; SEGMENT_PAGES]);
            self.segments.push(Box::new(Segment { pages, notes }));
            let pointer_bytes = size_of::<Box<Segment>>();
            self.memory += size_class(self.segments.capacity() * pointer_bytes);
            self.memory -= size_class(before * pointer_bytes);
            self.memory += size_class(size_of::<Segment>());
        }
        self.pages += 1;
        self.depth = self.pages.ilog2();
        self.set_page(self.pages - 1, allocate_page());
        *self.notes_mut(self.pages - 1) = NO_NOTES;
        self.memory += PAGE_BYTES;
    }

    fn pop_page(&mut self) {
        free_page(self.page(self.pages - 1));
        self.pages -= 1;
        self.depth = self.pages.checked_ilog2().unwrap_or(0);
        self.memory -= PAGE_BYTES;
        if self.pages.is_multiple_of(SEGMENT_PAGES) {
            self.segments.pop();
            self.memory -= size_class(size_of::<Segment>());
        }
    }
}

fn allocate_page() -> *mut Bucket {
    // SAFETY: the layout is not empty; zeroes are empty buckets.
    let page = unsafe { alloc_zeroed(PAGE_LAYOUT) };
    if page.is_null() {
        handle_alloc_error(PAGE_LAYOUT);
    }
    page.cast()
}

pub(super) fn free_page(page: *mut Bucket) {
    // SAFETY: every page comes from `allocate_page` and is freed where its owner forgets it, with no entry in it.
    unsafe { dealloc(page.cast(), PAGE_LAYOUT) };
}
