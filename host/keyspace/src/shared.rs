//! A reference-counted block that is changed in place while it has one owner and copied when it has more.
//! One count, no weak references: whether a block is shared is a single load, and a clone a single addition.
//! Always: a block reachable from two owners is never written to.

use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

use crate::left::{self, Content};
use crate::size_class;

/// A shared block. Send and Sync where its content is.
pub struct Shared<T: Content> {
    block: NonNull<Block<T>>,
}

struct Block<T> {
    owners: AtomicUsize,
    content: T,
}

/// Bytes that a block needs beside its content.
pub const SHARED_OVERHEAD_BYTES: usize = size_of::<AtomicUsize>();

// SAFETY: owners in several threads reach the content only by shared reference (needs `T: Sync`), and the
// last one, in whichever thread, drops it (needs `T: Send`).
unsafe impl<T: Content + Send + Sync> Send for Shared<T> {}
// SAFETY: as above; `&Shared<T>` allows cloning, so it needs the same.
unsafe impl<T: Content + Send + Sync> Sync for Shared<T> {}

impl<T: Content> Shared<T> {
    /// A block with one owner.
    pub fn new(content: T) -> Shared<T> {
        let block = Box::new(Block { owners: AtomicUsize::new(1), content });
        Shared { block: NonNull::from(Box::leak(block)) }
    }

    /// Whether this is the only owner.
    pub fn is_unique(&self) -> bool {
        // Acquire pairs with the release of owners that let go: their reads of the content are over.
        self.block().owners.load(Ordering::Acquire) == 1
    }

    /// The content, to be changed in place, if nobody else owns it.
    pub fn unique(&mut self) -> Option<&mut T> {
        if !self.is_unique() {
            return None;
        }
        // SAFETY: this is the only owner and `&mut self` keeps it from being cloned meanwhile.
        Some(unsafe { &mut self.block.as_mut().content })
    }

    /// Whether two handles own the same block.
    pub fn same_block(&self, other: &Shared<T>) -> bool {
        self.block == other.block
    }

    fn block(&self) -> &Block<T> {
        // SAFETY: the block lives as long as any owner, and `self` is one.
        unsafe { self.block.as_ref() }
    }
}

impl<T: Content + Clone> Shared<T> {
    /// The content, to be changed; copied first if anybody else owns it.
    pub fn make_unique(&mut self) -> &mut T {
        if !self.is_unique() {
            *self = Shared::new(self.block().content.clone());
        }
        // SAFETY: now this is the only owner, and `&mut self` keeps it from being cloned meanwhile.
        unsafe { &mut self.block.as_mut().content }
    }

    /// The content itself, taken out; copied if anybody else owns it.
    pub fn into_inner(self) -> T {
        if self.is_unique() {
            let this = std::mem::ManuallyDrop::new(self);
            // SAFETY: this is the only owner, and it is forgotten, so the box is freed exactly once.
            return unsafe { Box::from_raw(this.block.as_ptr()) }.content;
        }
        self.block().content.clone()
    }
}

impl<T: Content> Clone for Shared<T> {
    fn clone(&self) -> Shared<T> {
        // Relaxed is enough: the new owner is made from an old one. As many owners as half the address
        // space cannot exist, since each holds a pointer.
        self.block().owners.fetch_add(1, Ordering::Relaxed);
        Shared { block: self.block }
    }
}

impl<T: Content> Drop for Shared<T> {
    fn drop(&mut self) {
        // While this owner is there, so is the content.
        if self.block().owners.load(Ordering::Relaxed) > 1 {
            left::leave(size_class(size_of::<Block<T>>()) + self.block().content.heap_bytes());
        }
        if self.block().owners.fetch_sub(1, Ordering::Release) != 1 {
            return;
        }
        fence(Ordering::Acquire); // the reads of all former owners happen before the free
        // SAFETY: the count has just reached zero, so nobody else can reach the block.
        drop(unsafe { Box::from_raw(self.block.as_ptr()) });
    }
}

impl<T: Content> Deref for Shared<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.block().content
    }
}

impl<T: Content + fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_shared_block_is_copied_before_it_changes() {
        let mut one = Shared::new(vec![1]);
        one.make_unique().push(2);
        let other = one.clone();
        assert!(one.unique().is_none());
        one.make_unique().push(3);
        assert_eq!((&*one, &*other), (&vec![1, 2, 3], &vec![1, 2]));
        assert!(one.is_unique() && other.is_unique());
    }

    #[test]
    fn content_is_dropped_once_by_the_last_owner_in_any_thread() {
        let witness = Arc::new(());
        let block = Shared::new(Arc::clone(&witness));
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

    #[test]
    fn taking_the_content_out_frees_the_block() {
        let witness = Arc::new(());
        let block = Shared::new(Arc::clone(&witness));
        let second = block.clone();
        drop(block.into_inner());
        drop(second.into_inner());
        assert_eq!(Arc::strong_count(&witness), 1);
    }
}
