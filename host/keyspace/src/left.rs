//! What this thread leaves to others: bytes of shared blocks that it let go of while somebody else still owned them. The
//! keyspace lets go of a block where it copies it to change it, and where it removes what is in it; whoever still owns
//! it then is a cut. Counts for the thread, not for a value: see [`crate::cut`] for how the two come together.
//! Always: the count only grows (and wraps); what matters is its difference over a change.

use std::cell::Cell;

thread_local! {
    static LEFT: Cell<usize> = const { Cell::new(0) };
}

/// What a shared block has on the heap beside itself, without other shared blocks.
pub trait Content {
    /// Those bytes, in size classes.
    fn heap_bytes(&self) -> usize {
        0
    }
}

/// So many bytes were left to other owners.
#[cold]
pub(crate) fn leave(bytes: usize) {
    LEFT.set(LEFT.get().wrapping_add(bytes));
}

/// The count, to be compared with [`since`].
pub(crate) fn count() -> usize {
    LEFT.get()
}

/// Bytes left since the count was `before`.
pub(crate) fn since(before: usize) -> usize {
    LEFT.get().wrapping_sub(before)
}

impl Content for Box<[u8]> {
    fn heap_bytes(&self) -> usize {
        crate::size_class(self.len())
    }
}

#[cfg(test)]
impl<T> Content for Vec<T> {
    fn heap_bytes(&self) -> usize {
        crate::size_class(self.capacity() * size_of::<T>())
    }
}

#[cfg(test)]
impl<T> Content for std::sync::Arc<T> {}
