//! An allocator that counts, to compare the keyspace's own figures with.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use tenon_keyspace::size_class;

/// The system's allocator, with a count in size classes of what each thread allocated and freed.
pub(crate) struct Counting;

thread_local! {
    pub(crate) static HELD: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.set(HELD.get().wrapping_add(size_class(layout.size())));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.set(HELD.get().wrapping_sub(size_class(layout.size())));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}
