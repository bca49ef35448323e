//! What a cut hands over at a time: images of entries, one behind the other in one buffer, so that small ones cost a
//! memcpy each. What an entry holds in place is cloned into its image, and dropped with the batch.
//! Always: an image is aligned to a word, and preceded by a word with its length in bytes.

use tenon_base::UnixMillis;

use crate::entry::{Entry, RawEntry};
use crate::value::ValueRef;

const WORD_BYTES: usize = 8;

/// What a value whose blocks stay shared with the keyspace counts as.
const SHARED_ROOT_BYTES: usize = 64;

/// What a stream that is about to change counts as at most: a change copies a node and the blocks above it.
const STREAM_PATH_BYTES_MAX: usize = 8 << 10;

/// Keys and values of one database, as they were at the moment of the cut.
pub struct CutBatch {
    database: usize,
    images: Vec<u64>,
    entries: usize,
    values_bytes: usize,
    preimage: bool,
}

/// One key as it was at the moment of the cut.
#[derive(Clone, Copy)]
pub struct CutEntry<'a> {
    /// The number that the database had at that moment.
    pub database: usize,
    /// The key.
    pub key: &'a [u8],
    /// When it expires, if it does.
    pub expires_at: Option<UnixMillis>,
    /// Its access clock, 24 bits.
    pub access_clock: u32,
    /// Its value.
    pub value: ValueRef<'a>,
}

impl CutBatch {
    pub(crate) fn new(database: usize, preimage: bool) -> CutBatch {
        CutBatch { database, images: Vec::new(), entries: 0, values_bytes: 0, preimage }
    }

    /// The keys in the batch.
    pub fn iter(&self) -> impl Iterator<Item = CutEntry<'_>> {
        self.images().map(|image| {
            // SAFETY: images are live entries as long as the batch, which is borrowed.
            let entry = unsafe { image.view() };
            CutEntry {
                database: self.database,
                key: entry.key(),
                expires_at: entry.expires_at(),
                access_clock: entry.access_clock(),
                value: entry.value(),
            }
        })
    }

    /// The number that the database had at the moment of the cut.
    pub fn database(&self) -> usize {
        self.database
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Bytes that the batch keeps from being freed.
    pub fn bytes(&self) -> usize {
        self.images.len() * WORD_BYTES + self.values_bytes
    }

    pub(crate) fn is_preimage(&self) -> bool {
        self.preimage
    }

    /// Takes the batch, and leaves an empty one without room for the same database.
    pub(crate) fn take(&mut self) -> CutBatch {
        std::mem::replace(self, CutBatch::new(self.database, self.preimage))
    }

    pub(crate) fn has_room(&self) -> bool {
        self.images.capacity() > 0
    }

    /// Gives a batch without room the room of one that was taken.
    pub(crate) fn furnish(&mut self, room: Vec<u64>) {
        debug_assert!(self.images.is_empty() && room.is_empty());
        self.images = room;
    }

    /// Drops the images and keeps the room that they took.
    pub(crate) fn into_room(mut self) -> Vec<u64> {
        self.drop_images();
        let mut room = std::mem::take(&mut self.images);
        room.clear();
        room
    }

    /// Counts a value whole that only the batch keeps from being freed from now on.
    pub(crate) fn count_removed(&mut self, bytes: usize) {
        self.values_bytes += bytes;
    }

    /// Adds an image of an entry, and returns the bytes that it counts as.
    pub(crate) fn push(&mut self, entry: Entry<'_>) -> usize {
        let bytes = entry.exact_bytes();
        let words = 1 + bytes.div_ceil(WORD_BYTES);
        let start = self.images.len();
        self.images.reserve(words);
        self.images.push(bytes as u64);
        // SAFETY: room for the image was just reserved, aligned to a word; the length is set once all of it,
        // padding included, is written.
        unsafe {
            let target = self.images.as_mut_ptr().add(start + 1);
            target.add(words - 2).write(0);
            entry.raw().write_image(target.cast());
            self.images.set_len(start + words);
        }
        let value_bytes = self.cost_of_value(entry);
        self.entries += 1;
        self.values_bytes += value_bytes;
        words * WORD_BYTES + value_bytes
    }

    /// Compact collections are copied. Large ones are shared with the keyspace, and so are large strings; those
    /// about to change count whole, because a string changes as one block.
    fn cost_of_value(&self, entry: Entry<'_>) -> usize {
        match entry.value() {
            ValueRef::String(_) if !self.preimage => entry.value_memory().min(SHARED_ROOT_BYTES),
            ValueRef::String(_) => entry.value_memory(),
            // Streams are shared from the first entry on: a small one is copied whole by the change that comes.
            ValueRef::Stream(_) if self.preimage => entry.value_memory().min(STREAM_PATH_BYTES_MAX),
            ValueRef::Stream(stream) => stream.root_memory(),
            _ if entry.is_tree() => SHARED_ROOT_BYTES,
            _ => entry.value_memory(),
        }
    }

    /// Drops what the images hold. They must not be looked at again.
    fn drop_images(&mut self) {
        let start = self.images.as_mut_ptr();
        let mut at = 0;
        while at < self.images.len() {
            let bytes = self.images[at] as usize;
            // SAFETY: each image is dropped once, because the only callers empty the buffer, or drop it, next; its
            // bytes are freed as plain words.
            unsafe { RawEntry::from_pointer(start.add(at + 1).cast()).drop_value() };
            at += 1 + bytes.div_ceil(WORD_BYTES);
        }
    }

    fn images(&self) -> impl Iterator<Item = RawEntry> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let bytes = *self.images.get(at)? as usize;
            // SAFETY: after each length lies an image of that many bytes, live as long as the batch.
            let image = unsafe { RawEntry::from_pointer(self.images.as_ptr().add(at + 1).cast_mut().cast()) };
            at += 1 + bytes.div_ceil(WORD_BYTES);
            Some(image)
        })
    }
}

impl Drop for CutBatch {
    fn drop(&mut self) {
        self.drop_images();
    }
}

impl std::fmt::Debug for CutBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (database, entries) = (self.database, self.entries);
        write!(f, "CutBatch {{ database: {database}, entries: {entries}, bytes: {} }}", self.bytes())
    }
}
