//! Walks over the entries of a listpack, from both ends. The bytes are sound, so a walk cannot fail.

use super::element::Element;
use super::layout::{decode, entry_bytes, entry_bytes_before, whole_bytes};

/// The elements of a listpack in order; double-ended.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    entries: &'a [u8],
}

impl<'a> Iter<'a> {
    pub(super) fn over(entries: &'a [u8]) -> Iter<'a> {
        Iter { entries }
    }

    /// Bytes of the entries that are left.
    pub(crate) fn len_bytes(&self) -> usize {
        self.entries.len()
    }

    /// Goes past so many bytes, which must be whole entries.
    pub(crate) fn skip_bytes(&mut self, bytes: usize) {
        self.entries = &self.entries[bytes..];
    }

    /// Goes past so many entries, or to the end.
    pub(crate) fn advance(&mut self, count: usize) {
        for _ in 0..count {
            if self.entries.is_empty() {
                return;
            }
            self.skip_bytes(entry_bytes(self.entries));
        }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        if self.entries.is_empty() {
            return None;
        }
        let (element, size) = decode(self.entries);
        self.entries = &self.entries[whole_bytes(size)..];
        Some(element)
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.entries.is_empty() {
            return None;
        }
        let start = self.entries.len() - entry_bytes_before(self.entries);
        let element = decode(&self.entries[start..]).0;
        self.entries = &self.entries[..start];
        Some(element)
    }
}

/// The elements of a listpack two by two.
#[derive(Clone, Debug)]
pub struct Pairs<'a> {
    elements: Iter<'a>,
}

impl<'a> Pairs<'a> {
    pub(super) fn over(elements: Iter<'a>) -> Pairs<'a> {
        Pairs { elements }
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (Element<'a>, Element<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        Some((self.elements.next()?, self.elements.next()?))
    }
}
