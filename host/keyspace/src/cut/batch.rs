//! What a cut hands over at a time: images of entries, one behind the other in one buffer, so that small ones cost a
//! memcpy each. What an entry holds in place is cloned into its image, and dropped with the batch.
//! Always: an image is aligned to a word, and preceded by a word with its length in bytes.

use std::sync::Arc;

use tenon_base::UnixMillis;

use super::hold::Tally;
use crate::entry::{Entry, RawEntry};
use crate::memory::size_class;
use crate::value::ValueRef;

const WORD_BYTES: usize = 8;

/// What a value whose blocks stay shared with the keyspace counts as, with what is remembered of it.
const SHARED_ROOT_BYTES: usize = 192;

/// A value in shared blocks that takes no more than this counts whole: it is not worth remembering, and a change may copy
/// all of it.
const SHARED_WHOLE_BYTES_MAX: usize = 8 << 10;

/// Keys and values of one database, as they were at the moment of the cut.
pub struct CutBatch {
    database: usize,
    images: Vec<u64>,
    entries: usize,
    values_bytes: usize,
    entries_bytes: usize,
    preimage: bool,
    /// What the batch costs, from when it has room.
    tally: Option<Arc<Tally>>,
}

/// What an image came to.
pub(crate) struct Pushed {
    /// Bytes that it counts as.
    pub(crate) bytes: usize,
    /// Bytes that were copied for it.
    pub(crate) copied_bytes: usize,
    /// All bytes of the value, if the image shares them and the sharing has to be remembered.
    pub(crate) shared_bytes: Option<usize>,
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
        let (entries, values_bytes, entries_bytes) = (0, 0, 0);
        CutBatch { database, images: Vec::new(), entries, values_bytes, entries_bytes, preimage, tally: None }
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

    /// Bytes that the entries held all in all where they came from, in size classes: all batches of a cut come to what
    /// [`Keyspace::entries_memory`](crate::Keyspace::entries_memory) was at its moment.
    pub fn entries_memory(&self) -> usize {
        self.entries_bytes
    }

    pub(crate) fn is_preimage(&self) -> bool {
        self.preimage
    }

    /// Takes the batch, and leaves an empty one without room for the same database.
    pub(crate) fn take(&mut self) -> CutBatch {
        std::mem::replace(self, CutBatch::new(self.database, self.preimage))
    }

    /// What only the images keep from being freed, and the keyspace has let go of.
    pub(crate) fn held_bytes(&self) -> usize {
        self.tally.as_ref().map_or(0, |tally| tally.held())
    }

    /// What the batch takes.
    pub(crate) fn footprint(&self) -> usize {
        self.images.capacity() * WORD_BYTES + self.values_bytes
    }

    /// Counts the batch as it is, once.
    pub(crate) fn count_footprint(&self) {
        if let Some(tally) = &self.tally {
            tally.count_batch(self.footprint());
        }
    }

    pub(crate) fn tally(&self) -> &Arc<Tally> {
        self.tally.as_ref().expect("given with the room")
    }

    pub(crate) fn has_room(&self) -> bool {
        self.tally.is_some()
    }

    /// Gives a batch without room the room of one that was taken.
    pub(crate) fn furnish(&mut self, room: Vec<u64>, tally: Tally) {
        debug_assert!(self.images.is_empty() && room.is_empty());
        self.images = room;
        self.tally = Some(Arc::new(tally));
    }

    /// Drops the images and keeps the room that they took.
    pub(crate) fn into_room(mut self) -> Vec<u64> {
        self.drop_images();
        let mut room = std::mem::take(&mut self.images);
        room.clear();
        room // what else there is goes when this is dropped
    }

    /// Adds an image of an entry.
    pub(crate) fn push(&mut self, entry: Entry<'_>) -> Pushed {
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
        let value_bytes = entry.value_memory();
        let is_shared = entry.is_large() && (entry.is_tree() || matches!(entry.value(), ValueRef::String(_)));
        let shared_bytes = Some(value_bytes).filter(|&bytes| is_shared && bytes > SHARED_WHOLE_BYTES_MAX);
        let counted = match (shared_bytes, entry.value()) {
            (None, _) => value_bytes,
            (Some(_), ValueRef::Stream(stream)) => SHARED_ROOT_BYTES + stream.root_memory(),
            (Some(_), _) => SHARED_ROOT_BYTES,
        };
        self.entries += 1;
        self.values_bytes += counted;
        self.entries_bytes += size_class(bytes) + value_bytes;
        let copied_bytes = words * WORD_BYTES + if is_shared { 0 } else { value_bytes };
        Pushed { bytes: words * WORD_BYTES + counted, copied_bytes, shared_bytes }
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
        // A room that is freed next, or kept and counted there, is counted a moment too short.
        if let Some(tally) = &self.tally {
            tally.release();
        }
    }
}

impl std::fmt::Debug for CutBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (database, entries) = (self.database, self.entries);
        write!(f, "CutBatch {{ database: {database}, entries: {entries}, bytes: {} }}", self.bytes())
    }
}
