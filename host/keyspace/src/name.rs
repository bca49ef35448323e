//! A name that several places refer to: one copy of its bytes, counted. Ordered as its bytes are.

use std::borrow::Borrow;
use std::cmp::Ordering;

use crate::ordered::Weighed;
use crate::shared::{SHARED_OVERHEAD_BYTES, Shared};
use crate::size_class;

/// The name; eight bytes in place. A clone is one more reference.
#[derive(Clone)]
pub(crate) struct Name {
    bytes: Shared<Box<[u8]>>,
}

impl Name {
    pub(crate) fn new(bytes: &[u8]) -> Name {
        Name { bytes: Shared::new(bytes.into()) }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Weighed for Name {
    fn heap_bytes(&self) -> usize {
        size_class(SHARED_OVERHEAD_BYTES + size_of::<Box<[u8]>>()) + size_class(self.bytes.len())
    }
}

impl Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        self.bytes()
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Name) -> Ordering {
        self.bytes().cmp(other.bytes())
    }
}
