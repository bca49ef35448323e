//! Taking pairs out of the tree: one by its key, or a range of ranks in which whole subtrees fall at once.
//! Always: a node that loses its last pair is removed from its parent, and one that is less than a third full
//! is merged with a neighbour where both fit one block with room to spare.

use super::inner::{CHILDREN_MAX, Inner};
use super::leaf::PAGE_BYTES;
use super::{BLOCK_BYTES, Bound, Node};
use crate::shared::Shared;

/// Two nodes are merged only if some room is left, so that the next insertion does not split them again.
const JOINED_PERCENT_MAX: usize = 85;

/// Takes one pair out from below `node`. False if it is not there.
pub(super) fn remove(node: &mut Shared<Node>, score: f64, member: &[u8], memory: &mut usize) -> bool {
    match node.make_unique() {
        Node::Leaf(leaf) => {
            let at = leaf.count_before(&Bound::Before(score, member));
            let found = at < leaf.len() && leaf.score(at) == score && leaf.member(at) == member;
            if found {
                let outside = leaf.outside_memory();
                leaf.remove(at, at + 1);
                *memory = *memory - outside + leaf.outside_memory();
            }
            found
        }
        Node::Inner(inner) => {
            let at = inner.child_at(&Bound::After(score, member));
            let found = remove(inner.child_mut(at), score, member, memory);
            if found {
                *inner.count_mut(at) -= 1;
                settle(inner, at, memory);
            }
            found
        }
    }
}

/// Takes the pairs of ranks `start..end` (among those below `node`) out. The range is not empty.
pub(super) fn remove_ranks(node: &mut Shared<Node>, start: usize, end: usize, memory: &mut usize) {
    let inner = match node.make_unique() {
        Node::Leaf(leaf) => {
            let outside = leaf.outside_memory();
            leaf.remove(start, end);
            *memory = *memory - outside + leaf.outside_memory();
            return;
        }
        Node::Inner(inner) => inner,
    };
    let (first, first_rank) = inner.child_of_rank(start);
    let (last, last_rank) = inner.child_of_rank(end - 1);
    // From the right, so that the places further left stay what they are.
    for at in (first..=last).rev() {
        let rank = match at {
            _ if at == first => first_rank,
            _ if at == last => last_rank,
            _ => start, // a child between the ends goes as a whole
        };
        let from = if at == first { start - rank } else { 0 };
        let to = if at == last { end - rank } else { inner.count(at) };
        if (from, to) == (0, inner.count(at)) {
            drop_child(inner, at, memory);
        } else {
            remove_ranks(inner.child_mut(at), from, to, memory);
            *inner.count_mut(at) -= (to - from) as u64;
        }
    }
    // What is left of the ends, and the one that has moved up to them.
    for at in [first + 1, first] {
        if at < inner.len() {
            settle(inner, at, memory);
        }
    }
}

/// Merges the child at place `at` with a neighbour if it has become too small, or removes it if it is empty.
fn settle(inner: &mut Inner, at: usize, memory: &mut usize) {
    if inner.count(at) == 0 {
        return drop_child(inner, at, memory);
    }
    if fill_percent(inner.child(at)) >= 33 {
        return;
    }
    let joinable = |left: usize| {
        fill_percent(inner.child(left)) + fill_percent(inner.child(left + 1)) <= JOINED_PERCENT_MAX
    };
    let left = if at > 0 && joinable(at - 1) {
        at - 1
    } else if at + 1 < inner.len() && joinable(at) {
        at
    } else {
        return;
    };
    join(inner, left, memory);
}

/// Moves everything below the child after `left` into the child `left`.
fn join(inner: &mut Inner, left: usize, memory: &mut usize) {
    let right = inner.remove(left + 1, memory);
    *inner.count_mut(left) += right.count;
    *memory -= BLOCK_BYTES;
    match inner.child_mut(left).make_unique() {
        Node::Leaf(lower) => {
            let Node::Leaf(upper) = &*right.child else { unreachable!("all leaves are at one depth") };
            let outside = lower.outside_memory() + upper.outside_memory();
            lower.append(upper, 0);
            *memory = *memory + lower.outside_memory() - outside - right.separator.memory();
        }
        Node::Inner(lower) => {
            let Node::Inner(upper) = right.child.into_inner() else { unreachable!("one depth") };
            lower.append(upper, right.score, right.separator);
        }
    }
}

fn drop_child(inner: &mut Inner, at: usize, memory: &mut usize) {
    let branch = inner.remove(at, memory);
    *memory -= memory_below(&branch.child) + branch.separator.memory();
}

/// How full a node is, rounded up.
fn fill_percent(node: &Node) -> usize {
    match node {
        Node::Leaf(leaf) => (leaf.used() * 100).div_ceil(PAGE_BYTES),
        Node::Inner(inner) => (inner.len() * 100).div_ceil(CHILDREN_MAX),
    }
}

/// Heap bytes of a subtree.
fn memory_below(node: &Node) -> usize {
    BLOCK_BYTES
        + match node {
            Node::Leaf(leaf) => leaf.outside_memory(),
            Node::Inner(inner) => {
                let children = (0..inner.len()).map(|at| memory_below(inner.child(at)));
                inner.separator_memory() + children.sum::<usize>()
            }
        }
}
