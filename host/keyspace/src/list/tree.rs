//! A persistent sequence of leaves, addressed by the position of their elements: a B+tree whose branches
//! say how many elements and how many heap bytes lie below each child. Knows nothing of limits.
//! Always: all leaves are at one depth and none is empty; a block reachable from two trees is never written to.

use crate::left::Content;
use crate::listpack::{Element, Listpack};
use crate::{SHARED_OVERHEAD_BYTES, Shared, size_class};

/// The children that a branch may have; so a branch is a block of at most 1.5 KiB.
const CHILDREN_MAX: usize = 64;
const NODE_MEMORY: usize = size_class(SHARED_OVERHEAD_BYTES + size_of::<Node>());

/// A run of elements.
#[derive(Clone)]
pub(super) enum Leaf {
    /// Elements in a listpack.
    Packed(Listpack),
    /// One element too large for a listpack.
    Plain(Box<[u8]>),
}

/// The sequence.
#[derive(Clone)]
pub(super) struct Tree {
    root: Slot,
    /// Branches on the way from the root to a leaf.
    height: u32,
}

/// A child, and what lies in and below it.
#[derive(Clone)]
struct Slot {
    node: Shared<Node>,
    len: usize,
    memory: usize,
}

#[derive(Clone)]
enum Node {
    Leaf(Leaf),
    Branch(Vec<Slot>),
}

impl Content for Node {
    fn heap_bytes(&self) -> usize {
        match self {
            Node::Leaf(leaf) => leaf.memory(),
            Node::Branch(children) => children_memory(children) - NODE_MEMORY,
        }
    }
}

/// A leaf, and where it lies among all elements.
pub(super) struct View<'a> {
    pub(super) leaf: &'a Leaf,
    /// The position of its first element.
    pub(super) start: usize,
    /// The position after its last element.
    pub(super) end: usize,
}

impl Tree {
    pub(super) fn of(leaf: Leaf) -> Tree {
        Tree { root: Slot::of_leaf(leaf), height: 0 }
    }

    /// A tree to begin with. It takes nothing but a push.
    pub(super) fn empty() -> Tree {
        Tree::of(Leaf::Packed(Listpack::new()))
    }

    pub(super) fn len(&self) -> usize {
        self.root.len
    }

    /// The heap bytes of all blocks, as if none were shared.
    pub(super) fn memory(&self) -> usize {
        self.root.memory
    }

    pub(super) fn leaf_count(&self) -> usize {
        self.root.leaf_count(self.height)
    }

    /// The listpack that holds all elements, if one does.
    pub(super) fn only_listpack(&self) -> Option<&Listpack> {
        match &*self.root.node {
            Node::Leaf(Leaf::Packed(listpack)) => Some(listpack),
            _ => None,
        }
    }

    /// Takes out the listpack that the caller has seen to hold all elements.
    pub(super) fn take_only_listpack(&mut self) -> Listpack {
        match std::mem::replace(self, Tree::empty()).root.node.into_inner() {
            Node::Leaf(Leaf::Packed(listpack)) => listpack,
            _ => unreachable!("the caller has seen a single listpack"),
        }
    }

    /// The leaf with the element at `index`, which must exist.
    pub(super) fn leaf_at(&self, index: usize) -> View<'_> {
        assert!(index < self.len(), "a position beyond the list");
        let mut slot = &self.root;
        let mut start = 0;
        loop {
            match &*slot.node {
                Node::Leaf(leaf) => return View { leaf, start, end: start + slot.len },
                Node::Branch(children) => {
                    let (child, before) = locate(children, index - start, slot.len);
                    start += before;
                    slot = &children[child];
                }
            }
        }
    }

    /// Changes the leaf with the element at `index`, which must exist and is at the given offset in the leaf.
    /// The leaf must not end up empty.
    pub(super) fn edit<R>(&mut self, index: usize, change: impl FnOnce(&mut Leaf, usize) -> R) -> R {
        self.edit_if(index, |_| true, change).expect("any leaf was wanted")
    }

    /// As [`Tree::edit`], if the leaf is `wanted`; a leaf that is not is not copied either.
    pub(super) fn edit_if<R>(
        &mut self,
        index: usize,
        wanted: impl Fn(&Leaf) -> bool,
        change: impl FnOnce(&mut Leaf, usize) -> R,
    ) -> Option<R> {
        assert!(index < self.len(), "a position beyond the list");
        self.root.edit_if(index, wanted, change)
    }

    /// Adds a leaf, so that its first element is at `index`, which must be where a leaf begins or the end.
    pub(super) fn insert_leaf(&mut self, index: usize, leaf: Leaf) {
        let new = Slot::of_leaf(leaf);
        let second = match self.height {
            0 if index == 0 => Some(std::mem::replace(&mut self.root, new)),
            0 => Some(new),
            height => self.root.insert(index, new, height),
        };
        if let Some(second) = second {
            self.root = Slot::of_branch(vec![self.root.clone(), second]);
            self.height += 1;
        }
    }

    /// Removes the elements from `from` to before `to`: some, but not all.
    pub(super) fn remove_range(&mut self, from: usize, to: usize) {
        assert!(from < to && to <= self.len(), "a range within the list");
        assert!(to - from < self.len(), "a tree is never empty");
        self.root.remove_range(from, to);
        while let Node::Branch(children) = &*self.root.node
            && let [only] = children.as_slice()
        {
            self.root = only.clone();
            self.height -= 1;
        }
    }

    /// The leaves in order.
    pub(super) fn leaves(&self) -> impl Iterator<Item = &Leaf> {
        let mut next = 0;
        std::iter::from_fn(move || {
            let view = (next < self.len()).then(|| self.leaf_at(next))?;
            next = view.end;
            Some(view.leaf)
        })
    }
}

impl Slot {
    fn of_leaf(leaf: Leaf) -> Slot {
        let (len, memory) = (leaf.len(), NODE_MEMORY + leaf.memory());
        Slot { node: Shared::new(Node::Leaf(leaf)), len, memory }
    }

    fn of_branch(children: Vec<Slot>) -> Slot {
        let (len, memory) = weigh(&children);
        Slot { node: Shared::new(Node::Branch(children)), len, memory }
    }

    fn leaf_count(&self, height: u32) -> usize {
        match &*self.node {
            Node::Leaf(_) => 1,
            Node::Branch(children) if height == 1 => children.len(),
            Node::Branch(children) => children.iter().map(|child| child.leaf_count(height - 1)).sum(),
        }
    }

    fn edit_if<R>(
        &mut self,
        index: usize,
        wanted: impl Fn(&Leaf) -> bool,
        change: impl FnOnce(&mut Leaf, usize) -> R,
    ) -> Option<R> {
        let own_before = match &*self.node {
            Node::Leaf(leaf) if !wanted(leaf) => return None,
            Node::Leaf(_) => {
                let Node::Leaf(leaf) = self.node.make_unique() else {
                    unreachable!("a copy is what it copies")
                };
                let result = change(leaf, index);
                (self.len, self.memory) = (leaf.len(), NODE_MEMORY + leaf.memory());
                debug_assert!(self.len > 0, "no leaf is empty");
                return Some(result);
            }
            Node::Branch(children) => children_memory(children),
        };
        let Node::Branch(children) = self.node.make_unique() else {
            unreachable!("a copy is what it copies")
        };
        let (child, start) = locate(children, index, self.len);
        let child = &mut children[child];
        let (len, memory) = (child.len, child.memory);
        let result = child.edit_if(index - start, wanted, change);
        self.len = self.len - len + child.len;
        self.memory = self.memory - memory + child.memory;
        // The copy of a shared branch may have another capacity.
        self.memory = self.memory - own_before + children_memory(children);
        result
    }

    /// Adds a leaf below this branch; what no longer fits comes back as the branch to its right.
    fn insert(&mut self, index: usize, new: Slot, height: u32) -> Option<Slot> {
        let Node::Branch(children) = self.node.make_unique() else { unreachable!("leaves have height 0") };
        let mut position = 0;
        let mut start = 0;
        // At the lowest level the leaf goes before the one that starts at `index`; above it belongs to the first
        // child that reaches as far.
        while position < children.len() && start + children[position].len < index {
            start += children[position].len;
            position += 1;
        }
        if height == 1 {
            position += usize::from(start < index);
            children.insert(position, new);
        } else if let Some(right) = children[position].insert(index - start, new, height - 1) {
            position += 1;
            children.insert(position, right);
        }
        let right = (children.len() > CHILDREN_MAX).then(|| {
            // Lists grow at their ends: leave full what will not be touched again.
            let cut = match position {
                0 => 1,
                last if last + 1 == children.len() => last,
                _ => children.len() / 2,
            };
            Slot::of_branch(children.split_off(cut))
        });
        (self.len, self.memory) = weigh(children);
        right
    }

    /// Removes some of the elements below, but not all.
    fn remove_range(&mut self, from: usize, to: usize) {
        match self.node.make_unique() {
            Node::Leaf(leaf) => {
                leaf.remove_range(from, to);
                (self.len, self.memory) = (leaf.len(), NODE_MEMORY + leaf.memory());
            }
            Node::Branch(children) => {
                let mut start = 0;
                let mut untouched = 0;
                children.retain_mut(|child| {
                    let (first, end) = (start, start + child.len);
                    start = end;
                    untouched += usize::from(end <= from);
                    if from <= first && end <= to {
                        return false;
                    }
                    if first < to && from < end {
                        child.remove_range(from.max(first) - first, to.min(end) - first);
                    }
                    true
                });
                join_small_branches(children, untouched);
                if children.capacity() > 4 * children.len() {
                    children.shrink_to(2 * children.len());
                }
                (self.len, self.memory) = weigh(children);
            }
        }
    }
}

fn children_memory(children: &Vec<Slot>) -> usize {
    NODE_MEMORY + size_class(children.capacity() * size_of::<Slot>())
}

fn weigh(children: &Vec<Slot>) -> (usize, usize) {
    children
        .iter()
        .fold((0, children_memory(children)), |(len, memory), child| (len + child.len, memory + child.memory))
}

/// The child with the element at `index`, and the position of the child's first element. Both ends of a list are
/// found at once.
#[inline]
fn locate(children: &[Slot], index: usize, total: usize) -> (usize, usize) {
    if index < total / 2 {
        let mut start = 0;
        for (position, child) in children.iter().enumerate() {
            if index < start + child.len {
                return (position, start);
            }
            start += child.len;
        }
    } else {
        let mut start = total;
        for (position, child) in children.iter().enumerate().rev() {
            start -= child.len;
            if index >= start {
                return (position, start);
            }
        }
    }
    unreachable!("a position within the branch")
}

/// Joins the branches around `position` that removals have left nearly empty.
fn join_small_branches(children: &mut Vec<Slot>, position: usize) {
    for left in [position, position.saturating_sub(1)] {
        let Some([first, second, ..]) = children.get(left..) else { continue };
        let (Node::Branch(one), Node::Branch(two)) = (&*first.node, &*second.node) else { return };
        if one.len() + two.len() > CHILDREN_MAX / 2 {
            continue;
        }
        let joined: Vec<Slot> = one.iter().chain(two).cloned().collect();
        children[left] = Slot::of_branch(joined);
        children.remove(left + 1);
    }
}

impl Leaf {
    /// A leaf with one element.
    pub(super) fn of(element: &[u8]) -> Leaf {
        if element.len() >= super::limits::PLAIN_BYTES_MIN {
            return Leaf::Plain(element.into());
        }
        let mut listpack = Listpack::new();
        listpack.push_back(element);
        Leaf::Packed(listpack)
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Leaf::Packed(listpack) => listpack.len(),
            Leaf::Plain(_) => 1,
        }
    }

    /// The element at `offset`, which must exist.
    pub(super) fn element(&self, offset: usize) -> Element<'_> {
        match self {
            Leaf::Packed(listpack) => {
                listpack.element(listpack.seek(offset).expect("an element of this leaf"))
            }
            Leaf::Plain(element) => Element::Bytes(element),
        }
    }

    /// The listpack that the caller has seen this leaf to be.
    pub(super) fn packed_mut(&mut self) -> &mut Listpack {
        match self {
            Leaf::Packed(listpack) => listpack,
            Leaf::Plain(_) => unreachable!("only listpacks are asked to take or give part of themselves"),
        }
    }

    fn memory(&self) -> usize {
        match self {
            Leaf::Packed(listpack) => listpack.memory(),
            Leaf::Plain(element) => size_class(element.len()),
        }
    }

    fn remove_range(&mut self, from: usize, to: usize) {
        self.packed_mut().delete_range(from, to - from);
    }
}

/// What tests look at.
#[cfg(test)]
impl Tree {
    /// The heap bytes of all blocks, weighed one by one.
    pub(super) fn memory_weighed(&self) -> usize {
        let mut sum = 0;
        self.root.visit(&mut |slot| {
            sum += match &*slot.node {
                Node::Leaf(leaf) => NODE_MEMORY + leaf.memory(),
                Node::Branch(children) => children_memory(children),
            };
        });
        sum
    }

    pub(super) fn block_count(&self) -> usize {
        let mut count = 0;
        self.root.visit(&mut |_| count += 1);
        count
    }

    /// The blocks that are in both trees.
    pub(super) fn common_block_count(one: &Tree, two: &Tree) -> usize {
        let address = |slot: &Slot| std::ptr::from_ref(&*slot.node);
        let mut blocks = std::collections::HashSet::new();
        one.root.visit(&mut |slot| {
            blocks.insert(address(slot));
        });
        let mut count = 0;
        two.root.visit(&mut |slot| count += usize::from(blocks.contains(&address(slot))));
        count
    }
}

#[cfg(test)]
impl Slot {
    fn visit(&self, see: &mut impl FnMut(&Slot)) {
        see(self);
        if let Node::Branch(children) = &*self.node {
            children.iter().for_each(|child| child.visit(see));
        }
    }
}
