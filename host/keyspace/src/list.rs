//! Lists: one listpack while small, else a counted tree of listpacks, which is cloned in constant time and
//! copied block by block as it changes. Knows no key and no client.
//! Always: an operation leaves the list in the encoding that `OBJECT ENCODING` is to show after it.

mod large;
mod limits;
mod nodes;
mod range;
#[cfg(test)]
mod tests;
mod tree;

pub use limits::ListLimits;
pub use nodes::{ListBuilder, ListNode};
pub use range::Range;

use std::fmt;

use crate::listpack::{Element, Listpack, Needle, entry_bytes_of};
use crate::{Malformed, size_class};
use limits::NODE_BYTES_MAX;
use tree::Tree;

/// A list of byte strings; sixteen bytes in place.
#[derive(Clone)]
pub struct List {
    form: Form,
}

#[derive(Clone)]
enum Form {
    Compact(Listpack),
    /// Empty only between the making of room and the first element.
    Large(Box<Tree>),
}

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where LPUSH and LPOP work.
    Front,
    /// Where RPUSH and RPOP work.
    Back,
}

/// A side of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Nearer to the front.
    Before,
    /// Nearer to the back.
    After,
}

impl List {
    /// An empty list.
    pub fn new() -> List {
        List { form: Form::Compact(Listpack::new()) }
    }

    /// A list of the elements of a listpack from outside, in the encoding that its size calls for.
    pub fn from_listpack(bytes: &[u8], limits: &ListLimits) -> Result<List, Malformed> {
        let mut list = List { form: Form::Compact(Listpack::from_bytes(bytes)?) };
        list.make_room(limits, 0, 0);
        Ok(list)
    }

    /// The bytes of the listpack that a compact list is.
    pub fn as_listpack(&self) -> Option<&[u8]> {
        match &self.form {
            Form::Compact(listpack) => Some(listpack.bytes()),
            Form::Large(_) => None,
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Compact(listpack) => listpack.len(),
            Form::Large(tree) => tree.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The heap bytes owned, in size classes; blocks shared with a clone count for both. Takes constant time.
    pub fn memory(&self) -> usize {
        match &self.form {
            Form::Compact(listpack) => listpack.memory(),
            Form::Large(tree) => size_class(size_of::<Tree>()) + tree.memory(),
        }
    }

    /// Where what the value has beside its place begins, without reading it: to be fetched into the cache.
    pub(crate) fn address(&self) -> *const u8 {
        match &self.form {
            Form::Compact(listpack) => listpack.address(),
            Form::Large(tree) => std::ptr::from_ref(&**tree).cast(),
        }
    }

    /// The name of the encoding, as `OBJECT ENCODING` shows it.
    pub fn encoding(&self) -> &'static str {
        match &self.form {
            Form::Compact(_) => "listpack",
            Form::Large(_) => "quicklist",
        }
    }

    /// The element at `index`; from -1 on, counted from the end.
    pub fn get(&self, index: i64) -> Option<Element<'_>> {
        let index = self.position_of(index)?;
        match &self.form {
            Form::Compact(listpack) => listpack.seek(index).map(|at| listpack.element(at)),
            Form::Large(tree) => {
                let view = tree.leaf_at(index);
                Some(view.leaf.element(index - view.start))
            }
        }
    }

    /// All elements, front to back.
    pub fn iter(&self) -> Range<'_> {
        self.range(0, self.len())
    }

    /// Up to `count` elements from position `start` on.
    pub fn range(&self, start: usize, count: usize) -> Range<'_> {
        Range::new(self, start, count.min(self.len().saturating_sub(start)), false)
    }

    /// Up to `count` elements from position `start` on towards the front; from the last element if `start` lies
    /// behind it.
    pub fn range_backward(&self, start: usize, count: usize) -> Range<'_> {
        let len = self.len();
        let start = start.min(len.saturating_sub(1));
        Range::new(self, start, count.min(len.min(start + 1)), true)
    }

    /// The position of the first element equal to `text`.
    pub fn find(&self, text: &[u8]) -> Option<usize> {
        let needle = Needle::new(text);
        self.iter().position(|element| needle.matches(element))
    }

    /// The position that `index` means: from -1 on, counted from the end.
    fn position_of(&self, index: i64) -> Option<usize> {
        let len = self.len() as i64;
        let index = if index < 0 { index.checked_add(len)? } else { index };
        (0..len).contains(&index).then_some(index as usize)
    }
}

/// Changes. Each leaves the list in the encoding that `limits` ask for; one that empties it leaves it compact.
impl List {
    /// Adds an element at an end.
    pub fn push(&mut self, end: End, element: &[u8], limits: &ListLimits) {
        self.make_room(limits, element.len(), 1);
        self.add(end, element, limits);
    }

    /// Adds elements at an end, one after the other, as one command: the encoding is settled for all of them
    /// before the first is added.
    pub fn extend<'a, I>(&mut self, end: End, elements: I, limits: &ListLimits)
    where
        I: IntoIterator<Item = &'a [u8]>,
        I::IntoIter: Clone,
    {
        let elements = elements.into_iter();
        let sum = |(bytes, len), element: &[u8]| (bytes + element.len(), len + 1);
        let (bytes, len) = elements.clone().fold((0, 0), sum);
        self.make_room(limits, bytes, len);
        elements.for_each(|element| self.add(end, element, limits));
    }

    /// Removes the element at an end, after showing it to `visit`.
    pub fn pop_with<R>(
        &mut self,
        end: End,
        limits: &ListLimits,
        visit: impl FnOnce(Element<'_>) -> R,
    ) -> Option<R> {
        match &mut self.form {
            Form::Compact(listpack) => {
                let at = match end {
                    End::Front => listpack.first(),
                    End::Back => listpack.last(),
                }?;
                let result = visit(listpack.element(at));
                listpack.delete(at);
                Some(result)
            }
            Form::Large(tree) if tree.len() == 1 => {
                let result = visit(tree.leaf_at(0).leaf.element(0));
                *self = List::new();
                Some(result)
            }
            Form::Large(tree) => {
                let result = tree.pop_with(end, visit);
                self.pack(limits, true);
                Some(result)
            }
        }
    }

    /// Puts `element` in place of the one at `index` (from -1 on, counted from the end); false if there is none.
    pub fn set(&mut self, index: i64, element: &[u8], limits: &ListLimits) -> bool {
        if self.is_empty() {
            return false;
        }
        self.make_room(limits, element.len(), 1);
        let Some(index) = self.position_of(index) else { return false };
        match &mut self.form {
            Form::Compact(listpack) => {
                let at = listpack.seek(index).expect("a position within the list");
                listpack.replace(at, element);
            }
            Form::Large(tree) => {
                tree.set(index, element, limits);
                self.pack(limits, true);
            }
        }
        true
    }

    /// Adds `element` beside the first one equal to `pivot`; false if there is none. As in Redis, the encoding is
    /// settled for the growth even then.
    pub fn insert(&mut self, side: Side, pivot: &[u8], element: &[u8], limits: &ListLimits) -> bool {
        if self.is_empty() {
            return false;
        }
        self.make_room(limits, element.len(), 1);
        match &mut self.form {
            Form::Compact(listpack) => {
                let Some(at) = listpack.find(pivot, 0) else { return false };
                match side {
                    Side::Before => listpack.insert_before(at, element),
                    Side::After => {
                        listpack.insert_after(at, element);
                    }
                }
            }
            Form::Large(_) => {
                let Some(index) = self.find(pivot) else { return false };
                let Form::Large(tree) = &mut self.form else { unreachable!("matched above") };
                tree.insert(index, side, element, limits);
            }
        }
        true
    }

    /// Removes elements equal to `text`: the first `count`, or the last `-count`, or all for 0. Says how many.
    pub fn remove(&mut self, count: i64, text: &[u8], limits: &ListLimits) -> usize {
        let end = if count < 0 { End::Back } else { End::Front };
        let most = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
        let needle = Needle::new(text);
        match &mut self.form {
            Form::Compact(listpack) => {
                let found = listpack.iter().filter(|element| needle.matches(*element)).count();
                let removed = found.min(most);
                if removed > 0 {
                    large::retain(listpack, end, found, removed, needle);
                }
                removed
            }
            Form::Large(tree) => {
                let len = tree.len();
                let Some(removed) = tree.remove_matching(end, most, needle) else {
                    *self = List::new();
                    return len;
                };
                if removed > 0 {
                    self.pack(limits, true);
                }
                removed
            }
        }
    }

    /// Keeps the elements from `start` to `stop`, both included; from -1 on, counted from the end. Says how many went.
    pub fn trim(&mut self, start: i64, stop: i64, limits: &ListLimits) -> usize {
        let len = self.len();
        let absolute = |index: i64| if index < 0 { index.saturating_add(len as i64) } else { index };
        let (start, stop) = (absolute(start).max(0), absolute(stop));
        if start > stop || start >= len as i64 {
            *self = List::new();
            return len;
        }
        let kept_to = len.min((stop as usize).saturating_add(1));
        self.drop_range(kept_to, len - kept_to);
        self.drop_range(0, start as usize);
        self.pack(limits, true);
        len - self.len()
    }

    /// Removes up to `count` elements from position `start` on; says how many.
    pub fn remove_range(&mut self, start: usize, count: usize, limits: &ListLimits) -> usize {
        let removed = self.drop_range(start, count);
        self.pack(limits, true);
        removed
    }

    fn drop_range(&mut self, start: usize, count: usize) -> usize {
        let count = count.min(self.len().saturating_sub(start));
        match &mut self.form {
            _ if count == 0 => {}
            Form::Compact(listpack) => listpack.delete_range(start, count),
            Form::Large(tree) if count == tree.len() => *self = List::new(),
            Form::Large(tree) => tree.remove_range(start, start + count),
        }
        count
    }

    fn add(&mut self, end: End, element: &[u8], limits: &ListLimits) {
        // Many tiny elements at once are within the limits by their own bytes, but not with those around them.
        if let Form::Compact(listpack) = &self.form
            && listpack.total_bytes() > NODE_BYTES_MAX
            && listpack.total_bytes() + entry_bytes_of(element) > 2 * NODE_BYTES_MAX
        {
            self.spread(limits);
        }
        match &mut self.form {
            Form::Compact(listpack) => match end {
                End::Front => listpack.push_front(element),
                End::Back => listpack.push_back(element),
            },
            Form::Large(tree) => tree.push(end, element, limits),
        }
    }

    /// Before `more_len` elements of together `more_bytes` come: a compact list that they would make too large
    /// becomes a large one.
    fn make_room(&mut self, limits: &ListLimits, more_bytes: usize, more_len: usize) {
        if let Form::Compact(listpack) = &self.form
            && limits.exceeded_by(listpack.total_bytes() + more_bytes, listpack.len() + more_len)
        {
            self.spread(limits);
        }
    }

    /// Makes a compact list large.
    fn spread(&mut self, limits: &ListLimits) {
        if let Form::Compact(listpack) = &mut self.form {
            let tree = large::tree_of(std::mem::take(listpack), limits);
            self.form = Form::Large(Box::new(tree));
        }
    }

    /// Makes a large list of a single listpack compact if that is small enough.
    fn pack(&mut self, limits: &ListLimits, after_removal: bool) {
        if let Form::Large(tree) = &mut self.form
            && let Some(listpack) = tree.only_listpack()
            && limits.let_pack(listpack.total_bytes(), listpack.len(), after_removal)
        {
            let listpack = tree.take_only_listpack();
            self.form = Form::Compact(listpack);
        }
    }
}

impl Default for List {
    fn default() -> List {
        List::new()
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
