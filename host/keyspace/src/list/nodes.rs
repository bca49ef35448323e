//! A list as files keep it: node by node. Nothing here reads or writes a file.

use super::large::{push_leaf, push_listpack};
use super::limits::ListLimits;
use super::tree::{Leaf, Tree};
use super::{End, Form, List};
use crate::Malformed;
use crate::listpack::Listpack;

/// A node of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListNode<'a> {
    /// The bytes of a listpack.
    Packed(&'a [u8]),
    /// One element, too large for a listpack.
    Plain(&'a [u8]),
}

/// A list in the making, from nodes or elements in order.
pub struct ListBuilder {
    limits: ListLimits,
    tree: Option<Tree>,
}

impl ListBuilder {
    /// Nothing yet.
    pub fn new(limits: &ListLimits) -> ListBuilder {
        ListBuilder { limits: *limits, tree: None }
    }

    /// Adds a node that claims to be a listpack. One without elements is passed over.
    pub fn push_node(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        push_listpack(&mut self.tree, Listpack::from_bytes(bytes)?, &self.limits);
        Ok(())
    }

    /// Adds a node that is one element as it is. It cannot be empty.
    pub fn push_plain(&mut self, element: &[u8]) -> Result<(), Malformed> {
        if element.is_empty() {
            return Err(Malformed::new("list node without content", 0));
        }
        push_leaf(&mut self.tree, Leaf::Plain(element.into()));
        Ok(())
    }

    /// Adds one element.
    pub fn push(&mut self, element: &[u8]) {
        self.tree.get_or_insert_with(Tree::empty).push(End::Back, element, &self.limits);
    }

    /// The list, in the encoding that its size calls for.
    pub fn finish(self) -> List {
        let Some(tree) = self.tree else { return List::new() };
        let mut list = List { form: Form::Large(Box::new(tree)) };
        list.pack(&self.limits, false);
        list
    }
}

impl List {
    /// The nodes in order; a compact list is one.
    pub fn nodes(&self) -> impl Iterator<Item = ListNode<'_>> {
        let (compact, large) = match &self.form {
            Form::Compact(listpack) => (Some(ListNode::Packed(listpack.bytes())), None),
            Form::Large(tree) => (None, Some(tree.leaves())),
        };
        compact.into_iter().chain(large.into_iter().flatten().map(|leaf| match leaf {
            Leaf::Packed(listpack) => ListNode::Packed(listpack.bytes()),
            Leaf::Plain(element) => ListNode::Plain(element),
        }))
    }

    /// The number of nodes.
    pub fn node_count(&self) -> usize {
        match &self.form {
            Form::Compact(_) => 1,
            Form::Large(tree) => tree.leaf_count(),
        }
    }
}
