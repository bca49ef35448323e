//! The members of a large hash, set or sorted set: fields with values (empty for sets) in a paged table,
//! ordered by a keyed hash of the field. Knows no limits and no small encodings: see [`crate::Hash`] and
//! [`crate::Set`].
//! Always: a clone costs one reference count; a change copies at most one page and the directories above it,
//! 4 KiB each, and only where they are shared; nothing is ever rehashed as a whole.
//!
//! It is a B+tree over 52-bit positions (see `position`): pages of members (`page`) under directories
//! (`directory`) that know how many members each child has, so the n-th member, and therefore a fair random
//! one, is found in logarithmic time. Since a member never changes its position while the table lives, a scan
//! that goes on at the first position not yet visited misses nothing that stays.

mod directory;
mod iter;
mod page;
mod position;

mod block;
#[cfg(test)]
mod tests;

pub use iter::MemberIter;
pub use page::Insertion;

use directory::{DIRECTORY_MEMORY, Directory, Leaf, Ledger, Node, Way};
use page::{Full, Page, ROOM_MAX};
use position::{Key, POSITION_END, Span};

use crate::TableShape;
use crate::shared::Shared;
use tenon_base::Dice;

/// A table of members. Cloning it is O(1).
#[derive(Clone)]
pub struct Members {
    root: Node,
    len: usize,
    /// What all blocks reachable from the root cost.
    bytes: usize,
    seed: u64,
}

impl Members {
    /// An empty table. `seed` keys the hash: it must be secret, and one per process will do.
    pub fn new(seed: u64) -> Members {
        let page = Page::empty();
        Members { bytes: page.memory(), root: Node::Page(page), len: 0, seed }
    }

    /// The number of members.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Heap bytes behind the table (not the table itself), in size classes, shared or not. O(1).
    pub fn memory(&self) -> usize {
        self.bytes
    }

    /// How its pages are filled. Walks over all of them.
    pub fn shape(&self) -> TableShape {
        let mut next = Some(0);
        TableShape::of(std::iter::from_fn(|| {
            let leaf = self.leaf_at(next?);
            next = Some(leaf.span.high).filter(|&high| high < POSITION_END);
            Some(leaf.count)
        }))
    }

    /// The value of a field.
    pub fn get(&self, field: &[u8]) -> Option<&[u8]> {
        self.find(&Key::new(self.seed, field))
    }

    /// Whether there is such a field.
    pub fn contains(&self, field: &[u8]) -> bool {
        self.get(field).is_some()
    }

    /// Adds a field without a value, unless it is there: then nothing shared is copied either. Whether it is new.
    pub fn add(&mut self, field: &[u8]) -> bool {
        let key = Key::new(self.seed, field);
        self.find(&key).is_none() && self.set(&key, b"") == Insertion::Inserted
    }

    /// Sets the value of a field.
    pub fn insert(&mut self, field: &[u8], value: &[u8]) -> Insertion {
        self.set(&Key::new(self.seed, field), value)
    }

    /// Removes a field; whether it was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        let key = Key::new(self.seed, field);
        if self.find(&key).is_none() {
            return false; // before anything shared is copied
        }
        let mut ledger = Ledger { seed: self.seed, bytes: &mut self.bytes };
        match &mut self.root {
            Node::Page(page) => {
                let before = page.memory();
                let slot = page.find(Span::WHOLE.place(key.position, self.len), &key);
                page.remove(slot.expect("a field that is there"));
                *ledger.bytes = *ledger.bytes + page.memory() - before;
            }
            Node::Directory(directory) => directory.make_unique().remove(Span::WHOLE, &key, &mut ledger),
        }
        self.len -= 1;
        while let Node::Directory(directory) = &self.root
            && let Some(child) = directory.sole_child()
        {
            self.root = child;
            self.bytes -= DIRECTORY_MEMORY;
        }
        true
    }

    /// Every member as field and value, in order of position (of no meaning to clients).
    pub fn iter(&self) -> MemberIter<'_> {
        MemberIter::new(self)
    }

    /// Visits about `at_least` members from `cursor` on, and says where to go on: 0 at the start and at the
    /// end, always below 2^53. Members that are there from a scan's start to its end are visited, whatever is
    /// added or removed meanwhile; rarely one is visited twice. An unknown cursor ends the scan.
    pub fn scan(&self, cursor: u64, at_least: usize, mut visit: impl FnMut(&[u8], &[u8])) -> u64 {
        let mut position = cursor;
        let mut visited = 0;
        while position < POSITION_END {
            let Leaf { page, span, count } = self.leaf_at(position);
            let mut slot = page.first_from(span.place(position, count));
            while slot < page.len() {
                let fragment = page.fragment(slot);
                while slot < page.len() && page.fragment(slot) == fragment {
                    let (field, value) = page.member(slot);
                    visit(field, value);
                    visited += 1;
                    slot += 1;
                }
                if visited >= at_least.max(1) && slot < page.len() {
                    return span.after_fragment(fragment);
                }
            }
            position = span.high;
            if visited >= at_least.max(1) {
                break;
            }
        }
        if position < POSITION_END { position } else { 0 }
    }

    /// The member of rank `rank` in order of position. Panics unless `rank` is below the length.
    pub fn nth(&self, rank: usize) -> (&[u8], &[u8]) {
        assert!(rank < self.len, "rank {rank} of {} members", self.len);
        let mut rank = rank;
        let mut way = self.way_in();
        loop {
            match way {
                Way::Page(leaf) => return leaf.page.member(rank),
                Way::Directory(directory, span) => (way, rank) = directory.toward_rank(rank, span),
            }
        }
    }

    /// A member, each with the same chance. None of none.
    pub fn random(&self, dice: &mut Dice) -> Option<(&[u8], &[u8])> {
        (self.len > 0).then(|| self.nth(dice.below(self.len as u64) as usize))
    }

    fn set(&mut self, key: &Key<'_>, value: &[u8]) -> Insertion {
        let mut ledger = Ledger { seed: self.seed, bytes: &mut self.bytes };
        if let Node::Page(page) = &mut self.root {
            let before = page.memory();
            let place = Span::WHOLE.place(key.position, self.len);
            let insertion = page.insert(place, key, value, ROOM_MAX);
            *ledger.bytes = *ledger.bytes + page.memory() - before;
            match insertion {
                Ok(insertion) => {
                    self.len += usize::from(insertion == Insertion::Inserted);
                    return insertion;
                }
                Err(Full) => grow_root(&mut self.root, self.len, &mut ledger),
            }
        }
        let Node::Directory(directory) = &mut self.root else { unreachable!("a full page has been covered") };
        let directory = directory.make_unique();
        let insertion = directory.insert(Span::WHOLE, key, value, &mut ledger);
        self.len += usize::from(insertion == Insertion::Inserted);
        if directory.is_full() {
            grow_root(&mut self.root, self.len, &mut ledger);
        }
        insertion
    }

    fn find(&self, key: &Key<'_>) -> Option<&[u8]> {
        let Leaf { page, span, count } = self.leaf_at(key.position);
        let slot = page.find(span.place(key.position, count), key).ok()?;
        Some(page.member(slot).1)
    }

    fn leaf_at(&self, position: u64) -> Leaf<'_> {
        let mut way = self.way_in();
        loop {
            match way {
                Way::Page(leaf) => return leaf,
                Way::Directory(directory, span) => way = directory.toward(position, span),
            }
        }
    }

    fn way_in(&self) -> Way<'_> {
        match &self.root {
            Node::Page(page) => Way::Page(Leaf { page, span: Span::WHOLE, count: self.len }),
            Node::Directory(directory) => Way::Directory(directory, Span::WHOLE),
        }
    }
}

/// Puts a directory above a root that is full; splits the root if it is one itself.
fn grow_root(root: &mut Node, len: usize, ledger: &mut Ledger<'_>) {
    let child = std::mem::replace(root, Node::Page(Page::empty()));
    let splits = matches!(child, Node::Directory(_));
    let mut directory = Directory::over(child, len);
    *ledger.bytes += DIRECTORY_MEMORY;
    if splits {
        directory.split_directory(0, ledger);
    }
    *root = Node::Directory(Shared::new(directory));
}
