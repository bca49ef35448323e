//! The table of one database: a linear hash table in pages of 8 KiB. It grows and shrinks by one page at a time, so
//! that no step depends on how many keys there are, and what it costs per key stays the same at every size.
//! Knows no expiry rule, no cut and no command.
//!
//! The low bits of a key's hash name its page, the next seven its bucket in the page. Read in the other direction,
//! from the lowest bit on, the hash is a key's *position*: pages and buckets are ranges of positions, and a page
//! that splits or merges keeps the order. So a walk in the order of positions (SCAN, a cut) needs only to
//! remember a position, however the table changes meanwhile.
//!
//! Always: with `2^depth + split` pages, pages below `split` and their partners from `2^depth` on are told apart
//! by one more bit than the others.

mod bucket; // read me first

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};

use tenon_base::UnixMillis;

use crate::entry::{Entry, RawEntry};
use crate::memory::size_class;
use bucket::{Bucket, LINE_BYTES};

pub(crate) use bucket::Place;

/// Buckets in a page, and the bits of a hash that tell them apart.
pub(crate) const BUCKETS: usize = 1 << BUCKET_BITS;
const BUCKET_BITS: u32 = 7;
const PAGE_BYTES: usize = BUCKETS * LINE_BYTES;
const PAGE_LAYOUT: Layout = match Layout::from_size_align(PAGE_BYTES, LINE_BYTES) {
    Ok(layout) => layout,
    Err(_) => panic!("a page is a valid layout"),
};
const SEGMENT_PAGES: usize = 64;

/// Entries per page beyond which the table grows by a page: 3.75 to a bucket on average, at most twice that in the
/// pages that split last.
const FULL_PAGE_ENTRIES: usize = BUCKETS * 15 / 4;
/// Entries per page below which the table shrinks by a page; far enough below not to grow again at once.
const SPARSE_PAGE_ENTRIES: usize = BUCKETS * 3 / 2;

/// How far into an entry a prefetch reaches: a key and a value of 16 bytes each.
const ENTRY_AHEAD_BYTES: usize = 40;

/// Entries whose memory is fetched ahead while a page is rearranged, in buckets.
pub(crate) const AHEAD: usize = 3;

/// What is known of a page without reading its entries.
#[derive(Clone, Copy)]
pub(crate) struct PageNotes {
    /// Entries with an expiry time.
    pub(crate) volatile: u32,
    /// No entry of the page expires before this.
    pub(crate) earliest: UnixMillis,
}

const NO_NOTES: PageNotes = PageNotes { volatile: 0, earliest: UnixMillis(i64::MAX) };

struct Segment {
    pages: [*mut Bucket; SEGMENT_PAGES],
    notes: [PageNotes; SEGMENT_PAGES],
}

/// A bucket by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) page: usize,
    pub(crate) bucket: usize,
}

/// The table.
pub(crate) struct Table {
    #[expect(clippy::vec_box, reason = "growing must move pointers, not segments")]
    segments: Vec<Box<Segment>>,
    pages: usize,
    depth: u32,
    len: usize,
    volatile: usize,
    memory: usize,
}

// SAFETY: the table owns its pages, lines and entries; every value is Send.
unsafe impl Send for Table {}

impl Table {
    /// An empty table, which owns no memory.
    pub(crate) const fn new() -> Table {
        Table { segments: Vec::new(), pages: 0, depth: 0, len: 0, volatile: 0, memory: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn volatile_len(&self) -> usize {
        self.volatile
    }

    pub(crate) fn pages(&self) -> usize {
        self.pages
    }

    /// Bytes of pages alone.
    pub(crate) fn page_memory(&self) -> usize {
        self.pages * PAGE_BYTES
    }

    /// Bytes of pages, entries and values, in size classes.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    /// Where a hash belongs, if there is any page.
    #[inline]
    pub(crate) fn address(&self, hash: u64) -> Option<Address> {
        if self.pages == 0 {
            return None;
        }
        let (page, depth) = self.page_of(hash);
        Some(Address { page, bucket: (hash >> depth) as usize % BUCKETS })
    }

    /// The bucket that covers a position, and the position at which the next bucket begins, if there is one.
    pub(crate) fn address_at(&self, position: u64) -> Option<(Address, Option<u64>)> {
        let hash = position.reverse_bits();
        let address = self.address(hash)?;
        Some((address, range_end(position, self.page_of(hash).1 + BUCKET_BITS)))
    }

    /// The page that covers a position, and the position at which the next page begins, if there is one.
    pub(crate) fn page_at(&self, position: u64) -> Option<(usize, Option<u64>)> {
        if self.pages == 0 {
            return None;
        }
        let (page, depth) = self.page_of(position.reverse_bits());
        Some((page, range_end(position, depth)))
    }

    /// The entry with this key.
    #[inline]
    pub(crate) fn find(&self, hash: u64, key: &[u8]) -> Option<Place> {
        let bucket = self.bucket(self.address(hash)?);
        // SAFETY: the bucket and its entries are live, and `&self` keeps them from being changed.
        unsafe { Bucket::find(bucket, tag_of(hash), |entry| entry.view().key() == key) }
    }

    /// Looks at the entry of a place just found.
    #[inline]
    pub(crate) fn entry(&self, place: Place) -> Entry<'_> {
        // SAFETY: places come from `find` and are used before the table changes (every holder is in this crate
        // and keeps them within one call).
        unsafe { place.entry().view() }
    }

    /// The entries of a bucket.
    pub(crate) fn entries_of(&self, address: Address) -> impl Iterator<Item = Entry<'_>> {
        // SAFETY: the bucket and its entries are live, and `&self` keeps them from being changed.
        unsafe { (*self.bucket(address)).entries().map(|entry| entry.view()) }
    }

    /// All entries, in no order worth naming.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let addresses =
            (0..self.pages).flat_map(|page| (0..BUCKETS).map(move |bucket| Address { page, bucket }));
        addresses.flat_map(|address| self.entries_of(address))
    }

    /// Number of entries in a bucket.
    pub(crate) fn bucket_len(&self, address: Address) -> usize {
        // SAFETY: the bucket is live, and `&self` keeps it from being changed.
        unsafe { (*self.bucket(address)).len() }
    }

    pub(crate) fn notes(&self, page: usize) -> PageNotes {
        self.segments[page / SEGMENT_PAGES].notes[page % SEGMENT_PAGES]
    }

    pub(crate) fn set_earliest(&mut self, page: usize, earliest: UnixMillis) {
        self.notes_mut(page).earliest = earliest;
    }

    /// Fetches a hash's bucket into the cache. A hint.
    #[inline]
    pub(crate) fn prefetch_bucket(&self, hash: u64) {
        if let Some(address) = self.address(hash) {
            prefetch(self.bucket(address).cast_const().cast());
        }
    }

    /// Fetches the entry that a hash most likely means into the cache. A hint.
    #[inline]
    pub(crate) fn prefetch_entry(&self, hash: u64) {
        let Some(address) = self.address(hash) else { return };
        // SAFETY: the bucket is live, and `&self` keeps it from being changed.
        if let Some(entry) = unsafe { (*self.bucket(address)).likely(tag_of(hash)) } {
            let entry = entry.pointer().cast_const();
            prefetch(entry);
            prefetch(entry.wrapping_add(ENTRY_AHEAD_BYTES)); // a small entry may reach into the next line
        }
    }

    /// Fetches the beginning of a collection into the cache, if that is what a hash most likely means. A hint.
    #[inline]
    pub(crate) fn prefetch_collection(&self, hash: u64) {
        let Some(address) = self.address(hash) else { return };
        // SAFETY: the bucket is live, and so are its entries; `&self` keeps them from being changed.
        let entry = unsafe { (*self.bucket(address)).likely(tag_of(hash)).map(|entry| entry.view()) };
        if let Some(start) = entry.and_then(Entry::collection_address) {
            prefetch(start);
            prefetch(start.wrapping_add(LINE_BYTES));
        }
    }

    /// Fetches the beginnings of all entries of a bucket into the cache, so many lines of each. A hint.
    pub(crate) fn prefetch_entries(&self, address: Address, lines: usize) {
        // SAFETY: the bucket is live, and `&self` keeps it from being changed.
        let entries = unsafe { (*self.bucket(address)).entries() };
        for entry in entries {
            (0..lines).for_each(|line| prefetch(entry.pointer().wrapping_add(line * LINE_BYTES)));
        }
    }

    /// Adds an entry whose key is not there yet.
    pub(crate) fn insert(&mut self, hash: u64, entry: RawEntry) {
        if self.pages == 0 {
            self.push_page();
        }
        let address = self.address(hash).expect("there is a page");
        // SAFETY: the entry is live and now owned by the table.
        let view = unsafe { entry.view() };
        let (memory, expires) = (view.memory(), view.expires_at());
        // SAFETY: `bucket` is the first line of a bucket, and `&mut self` has it alone.
        let lines = unsafe { (*self.bucket(address)).insert(tag_of(hash), entry) };
        self.len += 1;
        self.memory += memory + lines * LINE_BYTES;
        self.expiry_changed(address.page, false, expires);
    }

    /// Takes an entry out. The caller frees it, or takes it apart.
    pub(crate) fn take(&mut self, hash: u64, place: Place) -> RawEntry {
        let address = self.address(hash).expect("what was found lies in a page");
        // SAFETY: the place was just found.
        let entry = unsafe { place.entry() };
        // SAFETY: the entry is live until the caller frees it.
        let view = unsafe { entry.view() };
        let (memory, volatile) = (view.memory(), view.is_volatile());
        // SAFETY: the place lies in this bucket, and `&mut self` has it alone.
        let lines = unsafe { (*self.bucket(address)).remove(place) };
        self.len -= 1;
        self.memory -= memory + lines * LINE_BYTES;
        self.expiry_changed(address.page, volatile, None);
        entry
    }

    /// Replaces the entry of a place by what `change` makes of it, and keeps the books.
    ///
    /// # Safety
    /// `change` returns a live entry with the same key, and frees the old one if it is another.
    pub(crate) unsafe fn change(
        &mut self,
        hash: u64,
        place: Place,
        change: impl FnOnce(RawEntry) -> RawEntry,
    ) {
        // SAFETY: the place was just found; views are used up before the entry changes.
        let old = unsafe { place.entry() };
        // SAFETY: as above.
        let (old_memory, was_volatile) = unsafe { (old.view().memory(), old.view().is_volatile()) };
        let new = change(old);
        // SAFETY: the caller promises a live entry, and nobody else looks at the bucket.
        let view = unsafe {
            place.put(new);
            new.view()
        };
        let expires = view.expires_at();
        self.memory = self.memory - old_memory + view.memory();
        if was_volatile || expires.is_some() {
            let address = self.address(hash).expect("what was found lies in a page");
            self.expiry_changed(address.page, was_volatile, expires);
        }
    }

    /// The running sum of memory, for who changes a collection in place.
    pub(crate) fn memory_mut(&mut self) -> &mut usize {
        &mut self.memory
    }

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

    #[inline]
    fn page_of(&self, hash: u64) -> (usize, u32) {
        let low_bits = (1usize << self.depth) - 1;
        let low = hash as usize & low_bits;
        if low < self.pages - (low_bits + 1) {
            return (hash as usize & (low_bits << 1 | 1), self.depth + 1);
        }
        (low, self.depth)
    }

    #[inline]
    fn bucket(&self, address: Address) -> *mut Bucket {
        debug_assert!(address.bucket < BUCKETS, "a page has {BUCKETS} buckets");
        // SAFETY: within the page.
        unsafe { self.page(address.page).add(address.bucket) }
    }

    #[inline]
    fn page(&self, page: usize) -> *mut Bucket {
        self.segments[page / SEGMENT_PAGES].pages[page % SEGMENT_PAGES]
    }

    fn set_page(&mut self, page: usize, at: *mut Bucket) {
        self.segments[page / SEGMENT_PAGES].pages[page % SEGMENT_PAGES] = at;
    }

    fn notes_mut(&mut self, page: usize) -> &mut PageNotes {
        &mut self.segments[page / SEGMENT_PAGES].notes[page % SEGMENT_PAGES]
    }

    fn expiry_changed(&mut self, page: usize, was_volatile: bool, expires: Option<UnixMillis>) {
        if !was_volatile && expires.is_none() {
            return;
        }
        let notes = &mut self.segments[page / SEGMENT_PAGES].notes[page % SEGMENT_PAGES];
        if was_volatile {
            notes.volatile -= 1;
            self.volatile -= 1;
        }
        if let Some(expires) = expires {
            notes.volatile += 1;
            notes.earliest = notes.earliest.min(expires);
            self.volatile += 1;
        }
    }

    fn push_page(&mut self) {
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

impl Drop for Table {
    fn drop(&mut self) {
        for page in 0..self.pages {
            for bucket in 0..BUCKETS {
                let address = Address { page, bucket };
                if bucket + AHEAD < BUCKETS {
                    self.prefetch_entries(Address { page, bucket: bucket + AHEAD }, 1);
                }
                // SAFETY: the table owns its buckets and entries, and each is drained once.
                unsafe { (*self.bucket(address)).drain(|_, entry| entry.free()) };
            }
            free_page(self.page(page));
        }
    }
}

/// The tag of a hash: bits that no page or bucket is told apart by, never zero.
#[inline]
fn tag_of(hash: u64) -> u8 {
    ((hash >> 56) as u8).max(1)
}

/// The position after the range that a position shares with all others of the same `bits` first bits.
fn range_end(position: u64, bits: u32) -> Option<u64> {
    let shift = u64::BITS - bits;
    if shift == u64::BITS {
        return None;
    }
    let next = (position >> shift) + 1;
    (next >> bits == 0).then_some(next << shift)
}

fn allocate_page() -> *mut Bucket {
    // SAFETY: the layout is not empty; zeroes are empty buckets.
    let page = unsafe { alloc_zeroed(PAGE_LAYOUT) };
    if page.is_null() {
        handle_alloc_error(PAGE_LAYOUT);
    }
    page.cast()
}

fn free_page(page: *mut Bucket) {
    // SAFETY: every page comes from `allocate_page` and is freed where its owner forgets it, with no entry in it.
    unsafe { dealloc(page.cast(), PAGE_LAYOUT) };
}

#[inline]
fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing and faults at no address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
