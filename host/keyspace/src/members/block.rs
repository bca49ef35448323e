//! A head and a run of bytes in one shared allocation: changed in place while it has one owner, copied when
//! it has more. [`crate::Shared`] for content whose size is only known when it is made.
//! Always: a block reachable from two owners is never written to, and its bytes are always initialised.

use crate::left::{self, Content};
use crate::memory::size_class;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

/// A shared head with `capacity` bytes behind it.
pub(super) struct Block<H: Content> {
    start: NonNull<Front<H>>,
}

#[repr(C)]
struct Front<H> {
    owners: AtomicUsize,
    capacity: usize,
    head: H,
}

// SAFETY: owners in several threads reach the head and the bytes only by shared reference (needs `H: Sync`),
// and the last one, in whichever thread, drops the head (needs `H: Send`).
unsafe impl<H: Content + Send + Sync> Send for Block<H> {}
// SAFETY: as above; `&Block<H>` allows cloning, so it needs the same.
unsafe impl<H: Content + Send + Sync> Sync for Block<H> {}

impl<H: Content> Block<H> {
    /// Bytes of the allocation in front of the run.
    pub(super) const FRONT_BYTES: usize = size_of::<Front<H>>();

    /// A block with one owner, whose `capacity` bytes are zero.
    pub(super) fn zeroed(head: H, capacity: usize) -> Block<H> {
        let layout = Self::layout(capacity);
        // SAFETY: the layout is not empty, since it holds at least the front.
        let Some(start) = NonNull::new(unsafe { alloc_zeroed(layout) }.cast::<Front<H>>()) else {
            handle_alloc_error(layout)
        };
        // SAFETY: freshly allocated with the size and alignment of a front at its beginning.
        unsafe { start.write(Front { owners: AtomicUsize::new(1), capacity, head }) };
        Block { start }
    }

    /// The head.
    pub(super) fn head(&self) -> &H {
        &self.front().head
    }

    /// The whole run.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: the run lies behind the front in one allocation that lives as long as `self`, was zeroed when
        // it was made, and is written only through `&mut` of a sole owner.
        unsafe { std::slice::from_raw_parts(self.run(), self.capacity()) }
    }

    /// The length of the run.
    pub(super) fn capacity(&self) -> usize {
        self.front().capacity
    }

    /// What the allocation costs.
    pub(super) fn memory(&self) -> usize {
        size_class(Self::FRONT_BYTES + self.capacity())
    }

    /// Head and run, to be changed in place, if nobody else owns them.
    pub(super) fn unique(&mut self) -> Option<(&mut H, &mut [u8])> {
        // Acquire pairs with the release of owners that let go: their reads are over.
        if self.front().owners.load(Ordering::Acquire) != 1 {
            return None;
        }
        let (capacity, run) = (self.capacity(), self.run());
        // SAFETY: this is the only owner and `&mut self` keeps it from being cloned or read meanwhile; head and
        // run do not overlap, and the run is valid as in `bytes`.
        unsafe { Some((&mut self.start.as_mut().head, std::slice::from_raw_parts_mut(run, capacity))) }
    }

    fn front(&self) -> &Front<H> {
        // SAFETY: the front was written when the block was made and lives as long as any owner.
        unsafe { self.start.as_ref() }
    }

    fn run(&self) -> *mut u8 {
        // SAFETY: the allocation holds `capacity` bytes behind the front, so one front further is within it or
        // at its end.
        unsafe { self.start.as_ptr().add(1).cast::<u8>() }
    }

    fn layout(capacity: usize) -> Layout {
        let run = Layout::array::<u8>(capacity).expect("a run below half the address space");
        Layout::new::<Front<H>>().extend(run).expect("a block below half the address space").0
    }
}

impl<H: Content + Clone> Block<H> {
    /// Head and run, to be changed; copied first if anybody else owns them.
    pub(super) fn make_unique(&mut self) -> (&mut H, &mut [u8]) {
        if self.unique().is_none() {
            let mut copy = Block::zeroed(self.head().clone(), self.capacity());
            let (_, bytes) = copy.unique().expect("just made");
            bytes.copy_from_slice(self.bytes());
            *self = copy;
        }
        self.unique().expect("one owner")
    }
}

impl<H: Content> Clone for Block<H> {
    fn clone(&self) -> Block<H> {
        // Relaxed is enough: the new owner is made from an old one. As many owners as half the address space
        // cannot exist, since each holds a pointer.
        self.front().owners.fetch_add(1, Ordering::Relaxed);
        Block { start: self.start }
    }
}

impl<H: Content> Drop for Block<H> {
    fn drop(&mut self) {
        // While this owner is there, so is the block.
        if self.front().owners.load(Ordering::Relaxed) > 1 {
            left::leave(self.memory() + self.head().heap_bytes());
        }
        if self.front().owners.fetch_sub(1, Ordering::Release) != 1 {
            return;
        }
        fence(Ordering::Acquire); // the reads of all former owners happen before the free
        let layout = Self::layout(self.capacity());
        // SAFETY: the count has just reached zero, so nobody else can reach the block; the head was written when
        // the block was made, and the layout is the one it was allocated with.
        unsafe {
            std::ptr::drop_in_place(&raw mut (*self.start.as_ptr()).head);
            dealloc(self.start.as_ptr().cast::<u8>(), layout);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Block;
    use crate::left::Content;

    impl Content for u32 {}
    use std::sync::Arc;

    #[test]
    fn a_shared_block_is_copied_before_it_changes() {
        let mut one = Block::zeroed(1u32, 5);
        one.make_unique().1.copy_from_slice(b"hello");
        let other = one.clone();
        assert!(one.unique().is_none());
        let (head, bytes) = one.make_unique();
        *head = 2;
        bytes[0] = b'j';
        assert_eq!((one.head(), one.bytes()), (&2, &b"jello"[..]));
        assert_eq!((other.head(), other.bytes()), (&1, &b"hello"[..]));
    }

    #[test]
    fn the_head_is_dropped_once_by_the_last_owner_in_any_thread() {
        let witness = Arc::new(());
        let block = Block::zeroed(Arc::clone(&witness), 100);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let owner = block.clone();
                std::thread::spawn(move || drop(owner.clone()))
            })
            .collect();
        drop(block);
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_eq!(Arc::strong_count(&witness), 1);
    }
}
