//! What was run last, by the name that it was asked for with: mostly the same is run again, and then neither is its name
//! hashed, nor its letters changed.
//! Always: it is forgotten with what it names.

use std::sync::Arc;

use super::Runnable;

/// A longer name is not kept a second time.
const NAME_BYTES_MAX: usize = 1_024;

/// One thing and its name.
#[derive(Default)]
pub(super) struct Recent {
    name: Vec<u8>,
    found: Option<Arc<Runnable>>,
}

impl Recent {
    /// What was run last, if this is its name.
    pub(super) fn find(&self, name: &[u8]) -> Option<&Arc<Runnable>> {
        self.found.as_ref().filter(|_| self.name == name)
    }

    /// Keeps what has been found by this name.
    pub(super) fn keep(&mut self, name: &[u8], found: &Arc<Runnable>) {
        if name.len() <= NAME_BYTES_MAX && self.find(name).is_none() {
            self.name.clear();
            self.name.extend_from_slice(name);
            self.found = Some(Arc::clone(found));
        }
    }

    pub(super) fn forget(&mut self) {
        self.found = None;
    }
}
