//! Bytes behind one pointer: a block that says in its own first bytes how long it is, so that its owner
//! holds eight bytes and no length or capacity. What the bytes mean is the business of the [`Frame`].
//! Always: the allocation is exactly the size class of the length, and every byte up to the length is written.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::slice;

use crate::size_class;

/// How a kind of block says how long it is.
///
/// # Safety
///
/// `length` depends on the first `HEADER_BYTES` bytes alone and is at least `HEADER_BYTES`; after
/// `write_length(header, n)` it is `n`; `length(EMPTY)` is `EMPTY.len()`. Both may panic.
pub(crate) unsafe trait Frame {
    /// The bytes of an empty block.
    const EMPTY: &'static [u8];
    /// The bytes from which the length follows.
    const HEADER_BYTES: usize;
    /// The length that a header states, in bytes, itself included.
    fn length(header: &[u8]) -> usize;
    /// Makes a header state `length`.
    fn write_length(header: &mut [u8], length: usize);
}

/// The block: one heap allocation, one pointer.
pub(crate) struct Thin<F: Frame> {
    start: NonNull<u8>,
    frame: PhantomData<F>,
}

// SAFETY: the block is owned by this handle alone and is plain bytes; `F` is a name, no value of it is kept.
unsafe impl<F: Frame> Send for Thin<F> {}
// SAFETY: as above; `&Thin` only reads.
unsafe impl<F: Frame> Sync for Thin<F> {}

impl<F: Frame> Thin<F> {
    pub(crate) fn new() -> Thin<F> {
        Thin::copy_of(F::EMPTY)
    }

    /// A copy of `bytes`, whose header must state their number.
    pub(crate) fn copy_of(bytes: &[u8]) -> Thin<F> {
        assert!(bytes.len() >= F::HEADER_BYTES, "a block shorter than its header");
        assert!(F::length(&bytes[..F::HEADER_BYTES]) == bytes.len(), "a block that misstates its length");
        let layout = layout_of(bytes.len());
        // SAFETY: the layout is not empty, since the header is not.
        let Some(start) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        // SAFETY: the block is fresh, so it does not overlap `bytes`, and is at least `bytes.len()` long.
        unsafe { start.as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Thin { start, frame: PhantomData }
    }

    /// Where the block begins, without reading it.
    pub(crate) fn address(&self) -> *const u8 {
        self.start.as_ptr()
    }

    pub(crate) fn length(&self) -> usize {
        // SAFETY: every block begins with a written header.
        F::length(unsafe { slice::from_raw_parts(self.start.as_ptr(), F::HEADER_BYTES) })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `length` bytes are allocated and written, and `&self` keeps them from being changed.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.length()) }
    }

    /// What follows the header; the header itself changes only with the length.
    pub(crate) fn body_mut(&mut self) -> &mut [u8] {
        let length = self.length() - F::HEADER_BYTES;
        // SAFETY: as for `bytes`, from the header's end on; `&mut self` makes the access exclusive.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr().add(F::HEADER_BYTES), length) }
    }

    /// Makes the block `length` bytes long, cutting its end or adding zeroes there.
    pub(crate) fn resize(&mut self, length: usize) {
        assert!(length >= F::HEADER_BYTES, "a block cannot lose its header");
        let former = self.length();
        if length < former {
            self.state_length(length);
            self.reallocate(former, length);
        } else if length > former {
            self.reallocate(former, length);
            // SAFETY: the allocation now holds `length` bytes.
            unsafe { self.start.as_ptr().add(former).write_bytes(0, length - former) };
            self.state_length(length);
        }
    }

    pub(crate) fn memory(&self) -> usize {
        size_class(self.length())
    }

    fn state_length(&mut self, length: usize) {
        // SAFETY: every block begins with a written header, and `&mut self` makes the access exclusive.
        F::write_length(unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), F::HEADER_BYTES) }, length);
    }

    fn reallocate(&mut self, former: usize, length: usize) {
        let (from, to) = (layout_of(former), layout_of(length));
        if from == to {
            return;
        }
        // SAFETY: the block was allocated with `from`, which follows from its length, and `to` is not empty.
        let start = unsafe { realloc(self.start.as_ptr(), from, to.size()) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(to) };
        self.start = start;
    }
}

fn layout_of(length: usize) -> Layout {
    Layout::from_size_align(size_class(length), 1).expect("a length far below the address space")
}

impl<F: Frame> Clone for Thin<F> {
    fn clone(&self) -> Thin<F> {
        Thin::copy_of(self.bytes())
    }
}

impl<F: Frame> Drop for Thin<F> {
    fn drop(&mut self) {
        // SAFETY: the block was allocated with the layout that follows from its length, and nobody else owns it.
        unsafe { dealloc(self.start.as_ptr(), layout_of(self.length())) };
    }
}
