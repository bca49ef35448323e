//! An inner node of the tree: children, how many pairs lie under each, and the bounds between them.
//! Always: every pair under child `i` is at or after separator `i`, and before separator `i + 1`; the
//! separator of the first child is never looked at and holds nothing.

use std::sync::Arc;

use super::leaf::shared_bytes;
use super::{Bound, Node};
use crate::shared::Shared;

/// The most children of a node: what fits a block of 4 KiB.
pub(super) const CHILDREN_MAX: usize = 84;

#[derive(Clone)]
pub(super) struct Inner {
    len: usize,
    counts: [u64; CHILDREN_MAX],
    scores: [f64; CHILDREN_MAX],
    separators: [Separator; CHILDREN_MAX],
    children: [Option<Shared<Node>>; CHILDREN_MAX],
}

/// A child with what its parent knows of it.
pub(super) struct Branch {
    pub(super) child: Shared<Node>,
    pub(super) count: u64,
    pub(super) score: f64,
    pub(super) separator: Separator,
}

impl Inner {
    pub(super) fn new() -> Inner {
        Inner {
            len: 0,
            counts: [0; CHILDREN_MAX],
            scores: [0.0; CHILDREN_MAX],
            separators: [const { Separator::EMPTY }; CHILDREN_MAX],
            children: [const { None }; CHILDREN_MAX],
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_full(&self) -> bool {
        self.len == CHILDREN_MAX
    }

    pub(super) fn child(&self, at: usize) -> &Shared<Node> {
        self.children[at].as_ref().expect("a child in every place below the length")
    }

    pub(super) fn child_mut(&mut self, at: usize) -> &mut Shared<Node> {
        self.children[at].as_mut().expect("a child in every place below the length")
    }

    pub(super) fn count(&self, at: usize) -> usize {
        self.counts[at] as usize
    }

    pub(super) fn count_mut(&mut self, at: usize) -> &mut u64 {
        &mut self.counts[at]
    }

    /// Pairs under all children before place `at`.
    pub(super) fn count_until(&self, at: usize) -> usize {
        self.counts[..at].iter().sum::<u64>() as usize
    }

    /// The child in which pairs at `bound` lie: the last one whose separator `bound` is after.
    pub(super) fn child_at(&self, bound: &Bound<'_>) -> usize {
        let (mut low, mut high) = (1, self.len);
        while low < high {
            let middle = (low + high) / 2;
            if bound.is_after(self.scores[middle], || self.separators[middle].bytes()) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low - 1
    }

    /// The child that holds the pair of rank `rank` among those below this node, and the rank of its first.
    pub(super) fn child_of_rank(&self, rank: usize) -> (usize, usize) {
        let mut first = 0;
        for at in 0..self.len {
            if rank < first + self.count(at) {
                return (at, first);
            }
            first += self.count(at);
        }
        unreachable!("a rank below the number of pairs")
    }

    /// Adds a child at place `at`. There must be room.
    pub(super) fn insert(&mut self, at: usize, branch: Branch) {
        assert!(self.len < CHILDREN_MAX, "a full node is split before it takes a child");
        self.len += 1;
        self.rotate(at, 1);
        self.counts[at] = branch.count;
        self.scores[at] = branch.score;
        self.separators[at] = branch.separator;
        self.children[at] = Some(branch.child);
    }

    /// Takes the child at place `at` out. If it was the first, the next one's separator is dropped and its
    /// bytes leave `memory`.
    pub(super) fn remove(&mut self, at: usize, memory: &mut usize) -> Branch {
        let branch = Branch {
            child: self.children[at].take().expect("a child in every place below the length"),
            count: self.counts[at],
            score: self.scores[at],
            separator: std::mem::take(&mut self.separators[at]),
        };
        let last = self.len - 1;
        self.counts[at..=last].rotate_left(1);
        self.scores[at..=last].rotate_left(1);
        self.separators[at..=last].rotate_left(1);
        self.children[at..=last].rotate_left(1);
        self.len = last;
        if at == 0 {
            *memory -= std::mem::take(&mut self.separators[0]).memory();
        }
        branch
    }

    /// Moves the children from place `at` on into a new node, whose own bound comes along.
    pub(super) fn split_off(&mut self, at: usize) -> (Inner, f64, Separator) {
        let mut upper = Inner::new();
        let moved = self.len - at;
        upper.counts[..moved].copy_from_slice(&self.counts[at..self.len]);
        upper.scores[..moved].copy_from_slice(&self.scores[at..self.len]);
        upper.separators[..moved].swap_with_slice(&mut self.separators[at..self.len]);
        upper.children[..moved].swap_with_slice(&mut self.children[at..self.len]);
        upper.len = moved;
        self.len = at;
        let separator = std::mem::take(&mut upper.separators[0]);
        let score = upper.scores[0];
        (upper, score, separator)
    }

    /// Takes over the children of `next`, the node after this one, of which `score` and `separator` are the
    /// bound.
    pub(super) fn append(&mut self, mut next: Inner, score: f64, separator: Separator) {
        let (start, end) = (self.len, self.len + next.len);
        self.counts[start..end].copy_from_slice(&next.counts[..next.len]);
        self.scores[start..end].copy_from_slice(&next.scores[..next.len]);
        self.separators[start..end].swap_with_slice(&mut next.separators[..next.len]);
        self.children[start..end].swap_with_slice(&mut next.children[..next.len]);
        self.scores[start] = score;
        self.separators[start] = separator;
        self.len = end;
    }

    /// Bytes of separators too long to be held inside.
    pub(super) fn separator_memory(&self) -> usize {
        self.separators[..self.len].iter().map(Separator::memory).sum()
    }

    fn rotate(&mut self, at: usize, by: usize) {
        self.counts[at..self.len].rotate_right(by);
        self.scores[at..self.len].rotate_right(by);
        self.separators[at..self.len].rotate_right(by);
        self.children[at..self.len].rotate_right(by);
    }
}

/// The member part of a bound between two children: a prefix, and empty wherever scores alone decide.
#[derive(Clone)]
pub(super) enum Separator {
    Inline { length: u8, bytes: [u8; INLINE_SEPARATOR_BYTES] },
    Outside(Arc<[u8]>),
}

const INLINE_SEPARATOR_BYTES: usize = 22;

impl Separator {
    const EMPTY: Separator = Separator::Inline { length: 0, bytes: [0; INLINE_SEPARATOR_BYTES] };

    pub(super) fn new(prefix: &[u8]) -> Separator {
        if prefix.len() > INLINE_SEPARATOR_BYTES {
            return Separator::Outside(Arc::from(prefix));
        }
        let mut bytes = [0; INLINE_SEPARATOR_BYTES];
        bytes[..prefix.len()].copy_from_slice(prefix);
        Separator::Inline { length: prefix.len() as u8, bytes }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Separator::Inline { length, bytes } => &bytes[..usize::from(*length)],
            Separator::Outside(bytes) => bytes,
        }
    }

    pub(super) fn memory(&self) -> usize {
        match self {
            Separator::Inline { .. } => 0,
            Separator::Outside(bytes) => shared_bytes(bytes.len()),
        }
    }
}

impl Default for Separator {
    fn default() -> Separator {
        Separator::EMPTY
    }
}
