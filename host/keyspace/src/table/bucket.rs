//! A bucket: one cache line of tags and pointers to entries, continued in another line where it overflows.
//! Knows no hash: who calls it says which bucket and which tag.
//! Always: entries fill the slots from the front; a continued line holds six and the pointer to the next line,
//! the last line of a bucket with several holds at least two.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr;

use crate::entry::RawEntry;

const SLOTS: usize = 7;
const NEXT: usize = SLOTS - 1;
const CONTINUED: u8 = 1;
const LINE_LAYOUT: Layout = Layout::new::<Bucket>();

/// Bytes of a line.
pub(crate) const LINE_BYTES: usize = size_of::<Bucket>();

/// One line. All zeroes is an empty one. A tag of zero is an empty slot; the eighth byte says whether the last
/// slot points to another line.
#[repr(C, align(64))]
pub(crate) struct Bucket {
    tags: [u8; 8],
    slots: [*mut u8; SLOTS],
}

/// Where an entry lies: valid until its bucket changes.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    line: *mut Bucket,
    slot: usize,
}

impl Place {
    /// # Safety
    /// The place is valid.
    pub(crate) unsafe fn entry(self) -> RawEntry {
        // SAFETY: a valid place is a filled slot of a live line.
        unsafe { RawEntry::from_pointer((*self.line).slots[self.slot]) }
    }

    /// # Safety
    /// The place is valid and nobody else looks at the bucket.
    pub(crate) unsafe fn put(self, entry: RawEntry) {
        // SAFETY: the caller's promise.
        unsafe { (*self.line).slots[self.slot] = entry.pointer() };
    }
}

impl Bucket {
    /// The entry with this tag for which `matches` says yes.
    ///
    /// # Safety
    /// `first` is the live first line of a bucket, and nobody changes the bucket meanwhile.
    pub(crate) unsafe fn find(
        first: *mut Bucket,
        tag: u8,
        matches: impl Fn(RawEntry) -> bool,
    ) -> Option<Place> {
        let mut at = first;
        loop {
            // SAFETY: every line of a live bucket is live.
            let line = unsafe { &*at };
            let mut hits = line.hits(tag);
            while hits != 0 {
                let slot = hits.trailing_zeros() as usize / 8;
                // SAFETY: a non-zero tag marks a filled slot. (A hit above a true one can be false.)
                if line.tags[slot] == tag && matches(unsafe { RawEntry::from_pointer(line.slots[slot]) }) {
                    return Some(Place { line: at, slot });
                }
                hits &= hits - 1;
            }
            if !line.is_continued() {
                return None;
            }
            at = line.slots[NEXT].cast();
        }
    }

    /// The first entry that the tag may stand for, to be fetched into the cache.
    pub(crate) fn likely(&self, tag: u8) -> Option<RawEntry> {
        let hits = self.hits(tag);
        // SAFETY: the lowest hit is a true one, and a slot with a tag holds a live entry.
        (hits != 0).then(|| unsafe { RawEntry::from_pointer(self.slots[hits.trailing_zeros() as usize / 8]) })
    }

    /// All entries of the bucket, its further lines included.
    pub(crate) fn entries(&self) -> Entries<'_> {
        Entries { line: Some(self), slot: 0 }
    }

    /// Adds an entry and returns the lines that were added.
    ///
    /// # Safety
    /// The bucket is the first line of one.
    pub(crate) unsafe fn insert(&mut self, tag: u8, entry: RawEntry) -> usize {
        let mut line = self;
        while line.is_continued() {
            // SAFETY: the next line of a continued one is live and owned by it.
            line = unsafe { &mut *line.slots[NEXT].cast::<Bucket>() };
        }
        let filled = line.filled();
        if filled < SLOTS {
            (line.tags[filled], line.slots[filled]) = (tag, entry.pointer());
            return 0;
        }
        // SAFETY: the layout is not empty; zeroes are an empty line.
        let next = unsafe { alloc_zeroed(LINE_LAYOUT) }.cast::<Bucket>();
        if next.is_null() {
            handle_alloc_error(LINE_LAYOUT);
        }
        // SAFETY: just allocated.
        let fresh = unsafe { &mut *next };
        (fresh.tags[0], fresh.slots[0]) = (line.tags[NEXT], line.slots[NEXT]);
        (fresh.tags[1], fresh.slots[1]) = (tag, entry.pointer());
        (line.tags[NEXT], line.slots[NEXT]) = (0, next.cast());
        line.tags[SLOTS] = CONTINUED;
        1
    }

    /// Takes the entry at `place` out and returns the lines that were freed. The entry itself stays live.
    ///
    /// # Safety
    /// The bucket is the first line of one, and `place` is a valid place in it.
    pub(crate) unsafe fn remove(&mut self, place: Place) -> usize {
        let first: *mut Bucket = self;
        // SAFETY: all lines are live and owned by this bucket; no reference to any of them is kept.
        unsafe {
            let (mut before, mut last) = (ptr::null_mut::<Bucket>(), first);
            while (*last).is_continued() {
                (before, last) = (last, (*last).slots[NEXT].cast());
            }
            let end = (*last).filled() - 1;
            (*place.line).tags[place.slot] = (*last).tags[end];
            (*place.line).slots[place.slot] = (*last).slots[end];
            (*last).tags[end] = 0;
            if before.is_null() || end > 1 {
                return 0;
            }
            (*before).tags[NEXT] = (*last).tags[0];
            (*before).slots[NEXT] = (*last).slots[0];
            (*before).tags[SLOTS] = 0;
            dealloc(last.cast(), LINE_LAYOUT);
            1
        }
    }

    /// Empties the bucket, hands each entry with its tag to `take`, and returns the lines that were freed.
    ///
    /// # Safety
    /// The bucket is the first line of one.
    pub(crate) unsafe fn drain(&mut self, mut take: impl FnMut(u8, RawEntry)) -> usize {
        let mut freed = 0;
        loop {
            for slot in 0..self.filled() {
                // SAFETY: a filled slot.
                take(self.tags[slot], unsafe { RawEntry::from_pointer(self.slots[slot]) });
            }
            if !self.is_continued() {
                self.tags = [0; 8];
                return freed;
            }
            let next = self.slots[NEXT].cast::<Bucket>();
            // SAFETY: the next line is live and owned by this one; its content moves here, then its memory goes.
            unsafe {
                ptr::copy_nonoverlapping(next, self, 1);
                dealloc(next.cast(), LINE_LAYOUT);
            }
            freed += 1;
        }
    }

    /// Number of entries in the bucket.
    pub(crate) fn len(&self) -> usize {
        self.filled() + self.next().map_or(0, Bucket::len)
    }

    #[cfg(test)]
    pub(crate) fn further_lines(&self) -> usize {
        self.next().map_or(0, |next| 1 + next.further_lines())
    }

    fn hits(&self, tag: u8) -> u64 {
        const ONES: u64 = 0x0101_0101_0101_0101;
        const HIGHS: u64 = 0x8080_8080_8080_8080;
        const SLOT_BYTES: u64 = 0x00FF_FFFF_FFFF_FFFF;
        let differing = u64::from_le_bytes(self.tags) ^ (ONES * u64::from(tag));
        differing.wrapping_sub(ONES) & !differing & HIGHS & SLOT_BYTES
    }

    fn filled(&self) -> usize {
        // The lowest hit is always a true one, and entries fill the slots from the front.
        let empty = self.hits(0);
        if empty == 0 { SLOTS } else { empty.trailing_zeros() as usize / 8 }
    }

    fn is_continued(&self) -> bool {
        self.tags[SLOTS] == CONTINUED
    }

    fn next(&self) -> Option<&Bucket> {
        // SAFETY: the next line of a continued one is live and owned by it.
        self.is_continued().then(|| unsafe { &*self.slots[NEXT].cast::<Bucket>().cast_const() })
    }
}

/// The entries of one bucket.
pub(crate) struct Entries<'a> {
    line: Option<&'a Bucket>,
    slot: usize,
}

impl Iterator for Entries<'_> {
    type Item = RawEntry;

    fn next(&mut self) -> Option<RawEntry> {
        loop {
            let line = self.line?;
            if self.slot < SLOTS && line.tags[self.slot] != 0 {
                self.slot += 1;
                // SAFETY: a non-zero tag marks a filled slot.
                return Some(unsafe { RawEntry::from_pointer(line.slots[self.slot - 1]) });
            }
            (self.line, self.slot) = (line.next(), 0);
        }
    }
}
