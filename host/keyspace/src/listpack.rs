//! A listpack: elements one after the other in one block of bytes, exactly as RDB files carry them. A head
//! of six bytes (length of the whole, number of elements), the entries, and an end byte.
//! Knows no threshold: when a collection outgrows its listpack is for the collection to say.
//! Always: the bytes are a sound listpack; whatever comes from outside was checked whole.

mod element;
mod index;
mod iter;
mod layout;
#[cfg(test)]
mod tests;

pub use element::{Element, INTEGER_TEXT_BYTES_MAX, Needle, canonical_integer, integer_text};
pub(crate) use index::Index;
pub use iter::{Iter, Pairs};

use std::fmt;

use crate::Malformed;
use crate::thin::{Frame, Thin};
use layout::{Encoded, checked_size, compare, decode, entry_bytes, entry_bytes_before};

/// The bytes that no listpack may exceed; what would make one longer belongs elsewhere.
pub const LISTPACK_BYTES_MAX: usize = 1 << 30;
/// The bytes of a listpack without elements.
pub const LISTPACK_BYTES_EMPTY: usize = HEAD_BYTES + 1;

const HEAD_BYTES: usize = 6;
const LENGTH_BYTES: usize = 4;
const END: u8 = 0xFF;
/// The count that says: too many to say, walk.
const COUNT_UNKNOWN: u16 = u16::MAX;

/// Whether `more` bytes of entries may be added to a listpack of `total` bytes.
pub fn fits(total: usize, more: usize) -> bool {
    total.saturating_add(more) <= LISTPACK_BYTES_MAX
}

/// The bytes that an element takes in a listpack.
pub fn entry_bytes_of<'a>(element: impl Into<Element<'a>>) -> usize {
    Encoded::of(element.into()).entry_bytes()
}

/// Where an entry begins. Good until the listpack changes before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct At(u32);

impl At {
    fn new(offset: usize) -> At {
        At(u32::try_from(offset).expect("a listpack is shorter than 4 GiB"))
    }

    /// The offset in the listpack's bytes.
    pub fn offset(self) -> usize {
        self.0 as usize
    }
}

/// A listpack; eight bytes in place, everything else in one heap block.
#[derive(Clone)]
pub struct Listpack {
    block: Thin<ListpackFrame>,
}

struct ListpackFrame;

// SAFETY: the length is the first four bytes and nothing else, little-endian both ways. A length below four
// cannot be stated: `Thin` asks for none, and `copy_of` compares it with bytes that are longer.
unsafe impl Frame for ListpackFrame {
    const EMPTY: &'static [u8] = &[LISTPACK_BYTES_EMPTY as u8, 0, 0, 0, 0, 0, END];
    const HEADER_BYTES: usize = LENGTH_BYTES;

    fn length(header: &[u8]) -> usize {
        u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize
    }

    fn write_length(header: &mut [u8], length: usize) {
        let length = u32::try_from(length).expect("a listpack is shorter than 4 GiB");
        header.copy_from_slice(&length.to_le_bytes());
    }
}

impl Listpack {
    /// An empty listpack.
    pub fn new() -> Listpack {
        Listpack { block: Thin::new() }
    }

    /// A copy of `bytes`, once all of them have been checked.
    pub fn from_bytes(bytes: &[u8]) -> Result<Listpack, Malformed> {
        check(bytes)?;
        Ok(Listpack { block: Thin::copy_of(bytes) })
    }

    /// The listpack as it is written to files.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.block.bytes()
    }

    /// Where the bytes begin, to be fetched into the cache.
    pub(crate) fn address(&self) -> *const u8 {
        self.block.address()
    }

    /// The bytes of the whole, head and end included.
    #[inline]
    pub fn total_bytes(&self) -> usize {
        self.block.length()
    }

    /// The heap bytes owned, in size classes.
    pub fn memory(&self) -> usize {
        self.block.memory()
    }

    /// The number of elements. Walks if there are more than the head can say (65,534).
    #[inline]
    pub fn len(&self) -> usize {
        match self.stated_count() {
            COUNT_UNKNOWN => self.iter().count(),
            count => usize::from(count),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.total_bytes() == LISTPACK_BYTES_EMPTY
    }

    /// The element at `at`.
    #[inline]
    pub fn element(&self, at: At) -> Element<'_> {
        decode(&self.bytes()[at.offset()..]).0
    }

    /// The first entry.
    #[inline]
    pub fn first(&self) -> Option<At> {
        self.entry_at(HEAD_BYTES)
    }

    /// The last entry.
    #[inline]
    pub fn last(&self) -> Option<At> {
        self.entry_before(self.total_bytes() - 1)
    }

    /// The entry after `at`.
    pub fn next(&self, at: At) -> Option<At> {
        self.entry_at(self.end_of(at))
    }

    /// The entry before `at`.
    pub fn previous(&self, at: At) -> Option<At> {
        self.entry_before(at.offset())
    }

    /// The entry at position `index`, walking from the nearer end.
    pub fn seek(&self, index: usize) -> Option<At> {
        let count = match self.stated_count() {
            COUNT_UNKNOWN => usize::MAX,
            count => usize::from(count),
        };
        if index >= count {
            return None;
        }
        if count != usize::MAX && index > count / 2 {
            return (index + 1..count).try_fold(self.last()?, |at, _| self.previous(at));
        }
        (0..index).try_fold(self.first()?, |at, _| self.next(at))
    }

    /// The first entry from `from` on whose element is `text`, looking at every `skip + 1`st entry only.
    pub fn find_from(&self, from: At, text: &[u8], skip: usize) -> Option<At> {
        let bytes = self.bytes();
        let end = bytes.len() - 1;
        let needle = Needle::new(text);
        let mut offset = from.offset();
        while offset < end {
            let (is_found, size) = compare(&bytes[offset..], &needle);
            if is_found {
                return Some(At::new(offset));
            }
            offset += size;
            for _ in 0..skip {
                if offset < end {
                    offset += entry_bytes(&bytes[offset..]);
                }
            }
        }
        None
    }

    /// The first entry whose element is `text`, looking at every `skip + 1`st entry only.
    pub fn find(&self, text: &[u8], skip: usize) -> Option<At> {
        self.find_from(self.first()?, text, skip)
    }

    /// The elements in order.
    pub fn iter(&self) -> Iter<'_> {
        Iter::over(&self.bytes()[HEAD_BYTES..self.total_bytes() - 1])
    }

    /// The elements from `from` on.
    pub fn iter_from(&self, from: At) -> Iter<'_> {
        Iter::over(&self.bytes()[from.offset()..self.total_bytes() - 1])
    }

    /// The elements up to and with the one at `last`.
    pub fn iter_through(&self, last: At) -> Iter<'_> {
        Iter::over(&self.bytes()[HEAD_BYTES..self.end_of(last)])
    }

    /// The elements two by two; an odd one at the end is left out.
    pub fn pairs(&self) -> Pairs<'_> {
        Pairs::over(self.iter())
    }

    /// The entry that begins so many bytes before the end of the last one.
    pub(crate) fn at_before_end(&self, bytes: usize) -> At {
        At::new(self.total_bytes() - 1 - bytes)
    }

    #[inline]
    fn stated_count(&self) -> u16 {
        let bytes = self.bytes();
        u16::from_le_bytes([bytes[4], bytes[5]])
    }

    #[inline]
    fn entry_at(&self, offset: usize) -> Option<At> {
        (offset < self.total_bytes() - 1).then(|| At::new(offset))
    }

    #[inline]
    fn entry_before(&self, offset: usize) -> Option<At> {
        (offset > HEAD_BYTES).then(|| At::new(offset - entry_bytes_before(&self.bytes()[HEAD_BYTES..offset])))
    }

    fn end_of(&self, at: At) -> usize {
        at.offset() + entry_bytes(&self.bytes()[at.offset()..])
    }
}

/// Changes. An element must fit: see [`fits`].
impl Listpack {
    /// Adds an element at the end.
    pub fn push_back<'a>(&mut self, element: impl Into<Element<'a>>) {
        let end = self.total_bytes() - 1;
        self.insert(end, &Encoded::of(element.into()));
    }

    /// Adds an element at the start.
    pub fn push_front<'a>(&mut self, element: impl Into<Element<'a>>) {
        self.insert(HEAD_BYTES, &Encoded::of(element.into()));
    }

    /// Adds an element before the entry at `at`; afterwards `at` is where it begins.
    pub fn insert_before<'a>(&mut self, at: At, element: impl Into<Element<'a>>) {
        self.insert(at.offset(), &Encoded::of(element.into()));
    }

    /// Adds an element after the entry at `at`, and says where it begins.
    pub fn insert_after<'a>(&mut self, at: At, element: impl Into<Element<'a>>) -> At {
        let after = self.end_of(at);
        self.insert(after, &Encoded::of(element.into()));
        At::new(after)
    }

    /// Puts an element in place of the entry at `at`.
    pub fn replace<'a>(&mut self, at: At, element: impl Into<Element<'a>>) {
        let encoded = Encoded::of(element.into());
        let removed = self.end_of(at) - at.offset();
        self.splice(at.offset(), removed, encoded.entry_bytes());
        encoded.write(self.entry_mut(at.offset(), encoded.entry_bytes()));
    }

    /// Removes the entry at `at`; says where the one after it now begins.
    pub fn delete(&mut self, at: At) -> Option<At> {
        self.delete_from(at, 1)
    }

    /// Removes up to `count` entries from `at` on; says where the one after them now begins.
    pub fn delete_from(&mut self, at: At, count: usize) -> Option<At> {
        let end = self.total_bytes() - 1;
        let mut until = at.offset();
        let mut removed = 0;
        while removed < count && until < end {
            until += entry_bytes(&self.bytes()[until..]);
            removed += 1;
        }
        self.splice(at.offset(), until - at.offset(), 0);
        self.count_less(removed);
        self.entry_at(at.offset())
    }

    /// Removes up to `count` entries from position `index` on.
    pub fn delete_range(&mut self, index: usize, count: usize) {
        if let Some(at) = self.seek(index) {
            self.delete_from(at, count);
        }
    }

    /// Keeps the entries whose element `keep` wants, in one pass, and says how many went.
    pub fn retain(&mut self, mut keep: impl FnMut(Element<'_>) -> bool) -> usize {
        let former = self.len();
        let body = self.block.body_mut();
        let end = body.len() - 1;
        let (mut from, mut to) = (HEAD_BYTES - LENGTH_BYTES, HEAD_BYTES - LENGTH_BYTES);
        let mut kept = 0;
        while from < end {
            let bytes = entry_bytes(&body[from..]);
            if keep(decode(&body[from..]).0) {
                body.copy_within(from..from + bytes, to);
                to += bytes;
                kept += 1;
            }
            from += bytes;
        }
        body[to] = END;
        self.block.resize(LENGTH_BYTES + to + 1);
        self.count_less(former - kept);
        former - kept
    }

    /// Cuts off the entries from position `index` on and returns them.
    pub fn split_off(&mut self, index: usize) -> Listpack {
        let mut tail = Listpack::new();
        let Some(at) = self.seek(index) else { return tail };
        let moved = self.len() - index;
        let (from, until) = (at.offset(), self.total_bytes() - 1);
        tail.splice(HEAD_BYTES, 0, until - from);
        tail.entry_mut(HEAD_BYTES, until - from).copy_from_slice(&self.bytes()[from..until]);
        tail.count_more(moved);
        self.splice(from, until - from, 0);
        self.count_less(moved);
        tail
    }

    /// Adds all elements of `other` at the end.
    pub fn append(&mut self, other: &Listpack) {
        let entries = &other.bytes()[HEAD_BYTES..other.total_bytes() - 1];
        let end = self.total_bytes() - 1;
        self.splice(end, 0, entries.len());
        self.entry_mut(end, entries.len()).copy_from_slice(entries);
        self.count_more(other.len());
    }

    fn insert(&mut self, offset: usize, encoded: &Encoded<'_>) {
        let bytes = encoded.entry_bytes();
        self.splice(offset, 0, bytes);
        encoded.write(self.entry_mut(offset, bytes));
        self.count_more(1);
    }

    /// Makes `removed` bytes at `offset` into `inserted` bytes, whose content is yet to be written.
    fn splice(&mut self, offset: usize, removed: usize, inserted: usize) {
        let total = self.total_bytes();
        let rest = offset + removed - LENGTH_BYTES..total - LENGTH_BYTES;
        let target = offset + inserted - LENGTH_BYTES;
        if inserted > removed {
            self.block.resize(total + inserted - removed);
            self.block.body_mut().copy_within(rest, target);
        } else if inserted < removed {
            self.block.body_mut().copy_within(rest, target);
            self.block.resize(total + inserted - removed);
        }
    }

    fn entry_mut(&mut self, offset: usize, bytes: usize) -> &mut [u8] {
        &mut self.block.body_mut()[offset - LENGTH_BYTES..][..bytes]
    }

    fn count_more(&mut self, more: usize) {
        let known = usize::from(self.stated_count()) + more; // unknown stays unknown
        self.state_count(u16::try_from(known).unwrap_or(COUNT_UNKNOWN));
    }

    fn count_less(&mut self, less: usize) {
        match self.stated_count() {
            COUNT_UNKNOWN => {
                if self.total_bytes() == LISTPACK_BYTES_EMPTY {
                    self.state_count(0);
                }
            }
            count => {
                self.state_count(count - u16::try_from(less).expect("no more entries than were counted"))
            }
        }
    }

    fn state_count(&mut self, count: u16) {
        self.block.body_mut()[..2].copy_from_slice(&count.to_le_bytes());
    }
}

impl Default for Listpack {
    fn default() -> Listpack {
        Listpack::new()
    }
}

impl fmt::Debug for Listpack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Whether `bytes` are a listpack, down to every entry and its back length.
fn check(bytes: &[u8]) -> Result<(), Malformed> {
    if bytes.len() < LISTPACK_BYTES_EMPTY {
        return Err(Malformed::new("listpack shorter than its head", bytes.len()));
    }
    if ListpackFrame::length(bytes) != bytes.len() {
        return Err(Malformed::new("listpack of another length than it states", 0));
    }
    let end = bytes.len() - 1;
    if bytes[end] != END {
        return Err(Malformed::new("listpack without its end byte", end));
    }
    let mut offset = HEAD_BYTES;
    let mut count = 0usize;
    while offset < end {
        offset += checked_size(&bytes[offset..end]).ok_or(Malformed::new("listpack entry", offset))?;
        count += 1;
    }
    let stated = u16::from_le_bytes([bytes[4], bytes[5]]);
    if stated != COUNT_UNKNOWN && usize::from(stated) != count {
        return Err(Malformed::new("listpack of another count than it states", LENGTH_BYTES));
    }
    Ok(())
}
