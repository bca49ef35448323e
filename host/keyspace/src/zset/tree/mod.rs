//! An order-statistics B+tree of (score, member) pairs, in Redis's order: by score, then by the members'
//! bytes. Knows where a member is only by its score: the table beside it answers for members alone.
//! Always: blocks of at most 4 KiB, all leaves at one depth; a clone shares every block, and a change copies
//! the shared blocks on its path and no other.

mod inner;
mod leaf;
mod removal;

use inner::{Branch, CHILDREN_MAX, Inner, Separator};
use leaf::Leaf;

use crate::left::Content;
use crate::memory::size_class;
use crate::shared::{SHARED_OVERHEAD_BYTES, Shared};

/// The tree. A clone is the clone of its root.
#[derive(Clone)]
pub(super) struct Tree {
    root: Shared<Node>,
    len: usize,
    memory: usize,
}

// Leaves and inner nodes fill a block alike, so neither wastes what the other needs.
#[allow(clippy::large_enum_variant)]
#[derive(Clone)]
enum Node {
    Leaf(Leaf),
    Inner(Inner),
}

impl Content for Node {
    fn heap_bytes(&self) -> usize {
        match self {
            Node::Leaf(leaf) => leaf.outside_memory(),
            Node::Inner(_) => 0,
        }
    }
}

/// What a node costs.
const BLOCK_BYTES: usize = size_class(SHARED_OVERHEAD_BYTES + size_of::<Node>());
const _: () = assert!(BLOCK_BYTES <= 4_096, "a block is at most 4 KiB");

/// A place between two neighbouring pairs of the order.
#[derive(Clone, Copy)]
pub(super) enum Bound<'a> {
    /// Right before this pair.
    Before(f64, &'a [u8]),
    /// Right after this pair.
    After(f64, &'a [u8]),
    /// Before every pair of this score.
    BeforeScore(f64),
    /// After every pair of this score.
    AfterScore(f64),
}

impl Bound<'_> {
    /// Whether the pair lies before this bound.
    #[inline]
    fn is_after<'m>(&self, score: f64, member: impl FnOnce() -> &'m [u8]) -> bool {
        match *self {
            Bound::Before(own, limit) => score < own || (score == own && member() < limit),
            Bound::After(own, limit) => score < own || (score == own && member() <= limit),
            Bound::BeforeScore(own) => score < own,
            Bound::AfterScore(own) => score <= own,
        }
    }
}

/// Which ends of the tree a node lies at: pages filled in order from an end are left full when they split.
#[derive(Clone, Copy)]
struct Edge {
    first: bool,
    last: bool,
}

impl Tree {
    /// A tree without pairs.
    pub(super) fn new() -> Tree {
        Tree { root: Shared::new(Node::Leaf(Leaf::new())), len: 0, memory: BLOCK_BYTES }
    }

    /// A tree of pairs that come in ascending order, in full pages, each written once. None if they do not.
    pub(super) fn from_sorted<M: AsRef<[u8]>>(pairs: impl Iterator<Item = (M, f64)>) -> Option<Tree> {
        let mut level: Vec<Branch> = Vec::new();
        let mut memory = 0;
        let (mut leaf, mut own_bound) = (Leaf::new(), (0.0, Separator::default()));
        for (member, score) in pairs {
            let member = member.as_ref();
            let bound = Bound::Before(score, member);
            if leaf.last().is_some_and(|(last, own)| !bound.is_after(own, || last)) {
                return None;
            }
            if !leaf.insert(leaf.len(), score, member) {
                let mut next = Leaf::new();
                next.insert(0, score, member);
                let next_bound = leaf.separator(&next);
                level.push(Branch::of_leaf(std::mem::replace(&mut leaf, next), own_bound, &mut memory));
                own_bound = next_bound;
            }
        }
        level.push(Branch::of_leaf(leaf, own_bound, &mut memory));
        while level.len() > 1 {
            level = gathered(level, &mut memory);
        }
        let Branch { child: root, count, .. } = level.pop().expect("the loop ends with one branch");
        Some(Tree { root, len: count as usize, memory })
    }

    /// Pairs in the tree.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Heap bytes of all blocks.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    /// Adds a pair, which must be new: its member is in no other pair.
    pub(super) fn insert(&mut self, score: f64, member: &[u8]) {
        let edge = Edge { first: true, last: true };
        let upper = insert(&mut self.root, score, member, edge, &mut self.memory);
        self.len += 1;
        if let Some(upper) = upper {
            let lower = (self.len as u64) - upper.count;
            let mut root = Inner::new();
            let separator = Separator::default();
            root.insert(0, Branch { child: self.root.clone(), count: lower, score: 0.0, separator });
            root.insert(1, upper);
            self.root = Shared::new(Node::Inner(root));
            self.memory += BLOCK_BYTES;
        }
    }

    /// Takes a pair out. False if it is not there.
    pub(super) fn remove(&mut self, score: f64, member: &[u8]) -> bool {
        let removed = removal::remove(&mut self.root, score, member, &mut self.memory);
        if removed {
            self.len -= 1;
            self.lower_root();
        }
        removed
    }

    /// Takes the pairs of the ranks from `start` to before `end` out.
    pub(super) fn remove_ranks(&mut self, start: usize, end: usize) {
        assert!(start <= end && end <= self.len, "ranks of pairs that are there");
        if start < end {
            removal::remove_ranks(&mut self.root, start, end, &mut self.memory);
            self.len -= end - start;
            self.lower_root();
        }
    }

    /// Gives a pair that is there another score.
    pub(super) fn rescore(&mut self, old: f64, new: f64, member: &[u8]) {
        if !rescore(&mut self.root, old, new, member) {
            self.remove(old, member);
            self.insert(new, member);
        }
    }

    /// How many pairs lie before `bound`.
    pub(super) fn count_before(&self, bound: Bound<'_>) -> usize {
        let (mut node, mut rank) = (&*self.root, 0);
        loop {
            match node {
                Node::Leaf(leaf) => return rank + leaf.count_before(&bound),
                Node::Inner(inner) => {
                    let at = inner.child_at(&bound);
                    rank += inner.count_until(at);
                    node = inner.child(at);
                }
            }
        }
    }

    /// The pair of rank `rank`, which must be below the number of pairs.
    pub(super) fn pair(&self, rank: usize) -> (&[u8], f64) {
        let (leaf, first) = self.leaf_of_rank(rank);
        (leaf.member(rank - first), leaf.score(rank - first))
    }

    /// The pairs of the ranks from `start` to before `end`, from either side.
    pub(super) fn pairs(&self, start: usize, end: usize) -> Pairs<'_> {
        assert!(start <= end && end <= self.len, "ranks of pairs that are there");
        Pairs { tree: self, start, end, front: None, back: None }
    }

    fn leaf_of_rank(&self, rank: usize) -> (&Leaf, usize) {
        assert!(rank < self.len, "the rank of a pair that is there");
        let (mut node, mut first) = (&*self.root, 0);
        loop {
            match node {
                Node::Leaf(leaf) => return (leaf, first),
                Node::Inner(inner) => {
                    let (at, before) = inner.child_of_rank(rank - first);
                    first += before;
                    node = inner.child(at);
                }
            }
        }
    }

    /// A root with one child gives way to it; one with none, to an empty leaf.
    fn lower_root(&mut self) {
        if self.len == 0 {
            *self = Tree::new();
        }
        while let Node::Inner(inner) = &*self.root
            && inner.len() == 1
        {
            self.root = inner.child(0).clone();
            self.memory -= BLOCK_BYTES;
        }
    }
}

impl Branch {
    fn of_leaf(leaf: Leaf, (score, separator): (f64, Separator), memory: &mut usize) -> Branch {
        *memory += BLOCK_BYTES + leaf.outside_memory() + separator.memory();
        let count = leaf.len() as u64;
        Branch { child: Shared::new(Node::Leaf(leaf)), count, score, separator }
    }
}

/// The level above `level`, evenly filled.
fn gathered(level: Vec<Branch>, memory: &mut usize) -> Vec<Branch> {
    let nodes = level.len().div_ceil(CHILDREN_MAX);
    let (share, more) = (level.len() / nodes, level.len() % nodes);
    let mut branches = level.into_iter();
    let mut above = Vec::with_capacity(nodes);
    for node in 0..nodes {
        let mut inner = Inner::new();
        let (mut count, mut score, mut separator) = (0, 0.0, Separator::default());
        for mut branch in branches.by_ref().take(share + usize::from(node < more)) {
            if inner.len() == 0 {
                (score, separator) = (branch.score, std::mem::take(&mut branch.separator));
            }
            count += branch.count;
            inner.insert(inner.len(), branch);
        }
        *memory += BLOCK_BYTES;
        above.push(Branch { child: Shared::new(Node::Inner(inner)), count, score, separator });
    }
    above
}

/// Adds a pair below `node`. If the node had to be split, its upper part comes back.
fn insert(
    node: &mut Shared<Node>,
    score: f64,
    member: &[u8],
    edge: Edge,
    memory: &mut usize,
) -> Option<Branch> {
    match node.make_unique() {
        Node::Leaf(leaf) => insert_into_leaf(leaf, score, member, edge, memory),
        Node::Inner(inner) => {
            let at = inner.child_at(&Bound::After(score, member));
            let below = Edge { first: edge.first && at == 0, last: edge.last && at + 1 == inner.len() };
            let upper = insert(inner.child_mut(at), score, member, below, memory);
            *inner.count_mut(at) += 1;
            let upper = upper?;
            *inner.count_mut(at) -= upper.count;
            insert_child(inner, at + 1, upper, edge, memory)
        }
    }
}

fn insert_into_leaf(
    leaf: &mut Leaf,
    score: f64,
    member: &[u8],
    edge: Edge,
    memory: &mut usize,
) -> Option<Branch> {
    let at = leaf.count_before(&Bound::After(score, member));
    let outside = leaf.outside_memory();
    if leaf.insert(at, score, member) {
        *memory = *memory - outside + leaf.outside_memory();
        return None;
    }
    let (upper, fits) = if at == leaf.len() && edge.last {
        let mut upper = Leaf::new();
        let fits = upper.insert(0, score, member);
        (upper, fits)
    } else if at == 0 && edge.first {
        let upper = std::mem::replace(leaf, Leaf::new());
        (upper, leaf.insert(0, score, member))
    } else {
        let mut upper = leaf.split_off_half();
        let lower = leaf.len();
        let fits = if at <= lower {
            leaf.insert(at, score, member)
        } else {
            upper.insert(at - lower, score, member)
        };
        (upper, fits)
    };
    assert!(fits, "half a page has room for any member that is held inside");
    *memory = *memory - outside + leaf.outside_memory();
    let bound = leaf.separator(&upper);
    Some(Branch::of_leaf(upper, bound, memory))
}

/// Adds a child at place `at`, splitting the node if it is full.
fn insert_child(
    inner: &mut Inner,
    at: usize,
    branch: Branch,
    edge: Edge,
    memory: &mut usize,
) -> Option<Branch> {
    if !inner.is_full() {
        inner.insert(at, branch);
        return None;
    }
    let middle = match at {
        1 if edge.first => 1,
        CHILDREN_MAX if edge.last => CHILDREN_MAX - 1,
        _ => CHILDREN_MAX / 2,
    };
    let (mut upper, score, separator) = inner.split_off(middle);
    if at <= middle {
        inner.insert(at, branch);
    } else {
        upper.insert(at - middle, branch);
    }
    *memory += BLOCK_BYTES;
    let count = upper.count_until(upper.len()) as u64;
    Some(Branch { child: Shared::new(Node::Inner(upper)), count, score, separator })
}

/// Changes a score where the pair stays in its leaf. False, and nothing changed, otherwise.
fn rescore(node: &mut Shared<Node>, old: f64, new: f64, member: &[u8]) -> bool {
    match node.make_unique() {
        Node::Leaf(leaf) => {
            let from = leaf.count_before(&Bound::Before(old, member));
            let target = leaf.count_before(&Bound::Before(new, member));
            leaf.rescore(from, if target > from { target - 1 } else { target }, new);
            true
        }
        Node::Inner(inner) => {
            let at = inner.child_at(&Bound::After(old, member));
            at == inner.child_at(&Bound::After(new, member)) && rescore(inner.child_mut(at), old, new, member)
        }
    }
}

/// Pairs in order, from either side. Each page is looked up once.
#[derive(Clone)]
pub(super) struct Pairs<'a> {
    tree: &'a Tree,
    start: usize,
    end: usize,
    /// The page that the next pair from the front is in, and the rank of its first pair.
    front: Option<(&'a Leaf, usize)>,
    back: Option<(&'a Leaf, usize)>,
}

impl<'a> Pairs<'a> {
    /// Leaves out the next `count` pairs from the front.
    pub(super) fn skip_front(&mut self, count: usize) {
        self.start += count.min(self.end - self.start);
    }

    /// Leaves out the next `count` pairs from the back.
    pub(super) fn skip_back(&mut self, count: usize) {
        self.end -= count.min(self.end - self.start);
    }

    fn pair(tree: &'a Tree, page: &mut Option<(&'a Leaf, usize)>, rank: usize) -> (&'a [u8], f64) {
        let (leaf, first) = match *page {
            Some((leaf, first)) if (first..first + leaf.len()).contains(&rank) => (leaf, first),
            _ => *page.insert(tree.leaf_of_rank(rank)),
        };
        (leaf.member(rank - first), leaf.score(rank - first))
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], f64);

    fn next(&mut self) -> Option<(&'a [u8], f64)> {
        if self.start == self.end {
            return None;
        }
        self.start += 1;
        Some(Pairs::pair(self.tree, &mut self.front, self.start - 1))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.end - self.start, Some(self.end - self.start))
    }
}

impl<'a> DoubleEndedIterator for Pairs<'a> {
    fn next_back(&mut self) -> Option<(&'a [u8], f64)> {
        if self.start == self.end {
            return None;
        }
        self.end -= 1;
        Some(Pairs::pair(self.tree, &mut self.back, self.end))
    }
}

#[cfg(test)]
mod tests;
