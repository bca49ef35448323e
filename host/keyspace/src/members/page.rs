//! A page of members: slots in front, ordered by position, and packed members growing towards them from the
//! end. A slot is 16 bits of position (the *fragment*, relative to the span that the page covers) and the
//! 16-bit offset of its member. Does not know its span: callers pass it, and it must always be the same.
//! Always: slots are in order of fragment, and a page is larger than 4 KiB only where positions cannot be told apart.
//!
//! A member is the lengths of field and value (one byte below 128, else two), then both; or, beyond 1 KiB, a
//! byte 255, an index into the page's long members, and the position, so that nothing long is ever hashed twice.

mod rebuild;

use super::block::Block;
use super::position::{Key, Place, WINDOW_SLOTS};
use crate::left::Content;
use crate::memory::size_class;

/// The largest page, with everything but its long members.
const PAGE_BYTES_MAX: usize = 4_096;
/// The room behind the head of a largest page.
pub(super) const ROOM_MAX: usize = PAGE_BYTES_MAX - Block::<Head>::FRONT_BYTES;
/// The room of a page whose members all share one position: what a 16-bit offset reaches.
pub(super) const ROOM_OF_TIES_MAX: usize = u16::MAX as usize;
/// The room of an empty page.
const ROOM_MIN: usize = 32;
/// A longer member lives in an allocation of its own.
const INLINE_BYTES_MAX: usize = 1_024;
const SLOT_BYTES: usize = 4;
const LONG: u8 = u8::MAX;
const LONG_ENTRY_BYTES: usize = 1 + 2 + 8;

/// A page, owned together with whoever cloned it.
#[derive(Clone)]
pub(super) struct Page {
    block: Block<Head>,
}

#[derive(Clone, Default)]
struct Head {
    count: u16,
    /// Where the packed members begin.
    data_start: u16,
    /// Bytes among the packed members that belong to none.
    garbage: u16,
    long: Option<Box<LongMembers>>,
}

#[derive(Clone, Default)]
struct LongMembers {
    list: Vec<Block<LongHead>>,
    /// What the blocks of the list cost.
    bytes: usize,
}

#[derive(Clone, Copy)]
struct LongHead {
    field_bytes: usize,
}

impl Content for Head {
    /// The long members are blocks of their own.
    fn heap_bytes(&self) -> usize {
        self.long.as_ref().map_or(0, |long| {
            size_class(size_of::<LongMembers>())
                + size_class(long.list.capacity() * size_of::<Block<LongHead>>())
        })
    }
}

impl Content for LongHead {}

/// What one slot's offset leads to.
enum Stored<'a> {
    Inline { field: &'a [u8], value: &'a [u8] },
    Long { index: usize, position: u64 },
}

/// What an insertion did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insertion {
    /// The field is new.
    Inserted,
    /// The field was there; its value is now the given one.
    Updated,
}

/// The page has no room left and must be split.
pub(super) struct Full;

impl Page {
    /// A page without members.
    pub(super) fn empty() -> Page {
        Page::gathered(ROOM_MIN, std::iter::empty())
    }

    /// The number of members.
    pub(super) fn len(&self) -> usize {
        usize::from(self.block.head().count)
    }

    /// Bytes that the members need: slots and packed members without gaps.
    pub(super) fn live_bytes(&self) -> usize {
        let head = self.block.head();
        let packed = self.block.capacity() - usize::from(head.data_start) - usize::from(head.garbage);
        self.len() * SLOT_BYTES + packed
    }

    /// What the page and its long members cost.
    pub(super) fn memory(&self) -> usize {
        let head = self.block.head();
        self.block.memory() + head.heap_bytes() + head.long.as_ref().map_or(0, |long| long.bytes)
    }

    #[cfg(test)]
    pub(super) fn address(&self) -> usize {
        self.block.bytes().as_ptr().addr()
    }

    /// The slot of a field, or the slot it would be inserted at.
    pub(super) fn find(&self, place: Place, key: &Key<'_>) -> Result<usize, usize> {
        let first = self.first_from(place);
        let mut slot = first;
        while slot < self.len() && self.fragment(slot) == place.fragment {
            let same = match self.stored(slot) {
                Stored::Inline { field, .. } => field == key.field,
                Stored::Long { index, position } => {
                    position == key.position && self.long_member(index).0 == key.field
                }
            };
            if same {
                return Ok(slot);
            }
            slot += 1;
        }
        Err(first)
    }

    /// The first slot whose fragment is the place's or a later one. The place must have been found with the
    /// page's own number of members.
    pub(super) fn first_from(&self, place: Place) -> usize {
        let (slots, _) = self.block.bytes().as_chunks::<SLOT_BYTES>();
        let slots = &slots[..self.len()];
        let least = slot_of(place.fragment, 0);
        let is_before = |slot: &[u8; SLOT_BYTES]| u32::from_le_bytes(*slot) < least;
        // The window is counted through without a branch, since no branch here could be predicted, and begins
        // where the place says, so that its load does not wait for that of the head.
        let window = &slots[place.window..];
        let before = match window.first_chunk::<WINDOW_SLOTS>() {
            Some(window) => window.iter().map(|slot| usize::from(is_before(slot))).sum::<usize>(),
            None => window.iter().map(|slot| usize::from(is_before(slot))).sum(),
        };
        let mut slot = place.window + before;
        while slot > 0 && !is_before(&slots[slot - 1]) {
            slot -= 1; // it is in front of the window, which is rare
        }
        while slot < slots.len() && is_before(&slots[slot]) {
            slot += 1; // or behind it
        }
        slot
    }

    /// The fragment of a slot. Panics where there is no such slot.
    pub(super) fn fragment(&self, slot: usize) -> u16 {
        (read_slot(self.block.bytes(), slot) >> 16) as u16
    }

    /// Field and value of a slot. Panics where there is no such slot.
    pub(super) fn member(&self, slot: usize) -> (&[u8], &[u8]) {
        match self.stored(slot) {
            Stored::Inline { field, value } => (field, value),
            Stored::Long { index, .. } => self.long_member(index),
        }
    }

    /// Sets the value of a field; the live bytes may grow to `room`. When it is full nothing has changed.
    pub(super) fn insert(
        &mut self,
        place: Place,
        key: &Key<'_>,
        value: &[u8],
        room: usize,
    ) -> Result<Insertion, Full> {
        let entry_bytes = entry_bytes(key.field, value);
        match self.find(place, key) {
            Ok(slot) => {
                let current = self.member(slot).1;
                if current.len() == value.len() {
                    if current != value {
                        self.overwrite(slot, value);
                    }
                    return Ok(Insertion::Updated);
                }
                if self.live_bytes() - self.stored_bytes(slot) + entry_bytes > room {
                    return Err(Full);
                }
                self.take_out(slot);
                self.put_in(slot, place.fragment, key, value, entry_bytes);
                Ok(Insertion::Updated)
            }
            Err(slot) => {
                if self.live_bytes() + SLOT_BYTES + entry_bytes > room {
                    return Err(Full);
                }
                self.put_in(slot, place.fragment, key, value, entry_bytes);
                Ok(Insertion::Inserted)
            }
        }
    }

    /// Removes the member of a slot and gives room back when half of it is unused.
    pub(super) fn remove(&mut self, slot: usize) {
        self.take_out(slot);
        let live = self.live_bytes();
        if live * 2 < self.block.capacity() && self.block.capacity() > ROOM_MIN {
            *self = self.compacted(live + live / 8);
        }
    }

    fn put_in(&mut self, slot: usize, fragment: u16, key: &Key<'_>, value: &[u8], entry_bytes: usize) {
        let needed = SLOT_BYTES + entry_bytes;
        let gap = usize::from(self.block.head().data_start) - self.len() * SLOT_BYTES;
        if gap < needed {
            let room = self.live_bytes() + needed;
            *self = match self.block.head().garbage {
                0 => self.grown(room),
                _ => self.compacted(room + room / 16), // some air, so that the next change does not compact again
            };
        }
        let (head, bytes) = self.block.make_unique();
        let count = usize::from(head.count);
        let at = usize::from(head.data_start) - entry_bytes;
        let target = &mut bytes[at..at + entry_bytes];
        if entry_bytes == LONG_ENTRY_BYTES && inline_bytes(key.field, value) > INLINE_BYTES_MAX {
            write_long(target, head.add_long(long_block(key.field, value)), key.position);
        } else {
            let (lengths, rest) = write_lengths(target, key.field.len(), value.len());
            debug_assert!(lengths <= 4);
            let (field, rest) = rest.split_at_mut(key.field.len());
            field.copy_from_slice(key.field);
            rest.copy_from_slice(value);
        }
        bytes.copy_within(slot * SLOT_BYTES..count * SLOT_BYTES, (slot + 1) * SLOT_BYTES);
        write_slot(bytes, slot, slot_of(fragment, at));
        head.count += 1;
        head.data_start = at as u16;
    }

    fn take_out(&mut self, slot: usize) {
        let stored_bytes = self.stored_bytes(slot);
        let long_index = match self.stored(slot) {
            Stored::Long { index, .. } => Some(index),
            Stored::Inline { .. } => None,
        };
        let (head, bytes) = self.block.make_unique();
        let count = usize::from(head.count);
        bytes.copy_within((slot + 1) * SLOT_BYTES..count * SLOT_BYTES, slot * SLOT_BYTES);
        head.count -= 1;
        head.garbage += stored_bytes as u16;
        if head.count == 0 {
            head.garbage = 0;
            head.data_start = bytes.len() as u16;
        }
        let Some(index) = long_index else { return };
        let Some(moved) = head.remove_long(index) else { return };
        for slot in 0..usize::from(head.count) {
            let at = (read_slot(bytes, slot) & 0xFFFF) as usize;
            if bytes[at] == LONG && read_long(&bytes[at..]).0 == moved {
                bytes[at + 1..at + 3].copy_from_slice(&(index as u16).to_le_bytes());
            }
        }
    }

    fn overwrite(&mut self, slot: usize, value: &[u8]) {
        let at = self.offset(slot);
        let stored_bytes = self.stored_bytes(slot);
        let long_index = match self.stored(slot) {
            Stored::Long { index, .. } => Some(index),
            Stored::Inline { .. } => None,
        };
        let (head, bytes) = self.block.make_unique();
        let target = match long_index {
            None => &mut bytes[at..at + stored_bytes],
            Some(index) => {
                head.long.as_mut().expect("a slot leads to a long member").list[index].make_unique().1
            }
        };
        let value_at = target.len() - value.len();
        target[value_at..].copy_from_slice(value);
    }

    fn position(&self, slot: usize, seed: u64) -> u64 {
        match self.stored(slot) {
            Stored::Inline { field, .. } => Key::new(seed, field).position,
            Stored::Long { position, .. } => position,
        }
    }

    fn offset(&self, slot: usize) -> usize {
        (read_slot(self.block.bytes(), slot) & 0xFFFF) as usize
    }

    fn stored(&self, slot: usize) -> Stored<'_> {
        let bytes = &self.block.bytes()[self.offset(slot)..];
        if bytes[0] == LONG {
            let (index, position) = read_long(bytes);
            return Stored::Long { index, position };
        }
        let (field_bytes, value_bytes, rest) = read_lengths(bytes);
        let (field, rest) = rest.split_at(field_bytes);
        Stored::Inline { field, value: &rest[..value_bytes] }
    }

    fn stored_slice(&self, slot: usize) -> &[u8] {
        let at = self.offset(slot);
        &self.block.bytes()[at..at + self.stored_bytes(slot)]
    }

    fn stored_bytes(&self, slot: usize) -> usize {
        match self.stored(slot) {
            Stored::Inline { field, value } => inline_bytes(field, value),
            Stored::Long { .. } => LONG_ENTRY_BYTES,
        }
    }

    fn long_member(&self, index: usize) -> (&[u8], &[u8]) {
        let block = &self.block.head().long.as_ref().expect("a slot leads to a long member").list[index];
        block.bytes().split_at(block.head().field_bytes)
    }
}

impl Head {
    fn add_long(&mut self, member: Block<LongHead>) -> usize {
        let long = self.long.get_or_insert_default();
        long.bytes += member.memory();
        long.list.push(member);
        long.list.len() - 1
    }

    /// Removes a long member; the former index of the one that took its place, if any did.
    fn remove_long(&mut self, index: usize) -> Option<usize> {
        let long = self.long.as_mut().expect("a slot led to a long member");
        long.bytes -= long.list.swap_remove(index).memory();
        let last = long.list.len();
        if last == 0 {
            self.long = None;
        }
        (index < last).then_some(last)
    }
}

fn long_block(field: &[u8], value: &[u8]) -> Block<LongHead> {
    let mut block =
        Block::zeroed(LongHead { field_bytes: field.len() }, field.len().saturating_add(value.len()));
    let (_, bytes) = block.unique().expect("just made");
    bytes[..field.len()].copy_from_slice(field);
    bytes[field.len()..].copy_from_slice(value);
    block
}

/// The room that an allocation for `room` bytes really gives.
fn rounded_room(room: usize) -> usize {
    let front = Block::<Head>::FRONT_BYTES;
    (size_class(front + room.max(ROOM_MIN)) - front).min(ROOM_OF_TIES_MAX).max(room)
}

fn entry_bytes(field: &[u8], value: &[u8]) -> usize {
    match inline_bytes(field, value) {
        bytes if bytes <= INLINE_BYTES_MAX => bytes,
        _ => LONG_ENTRY_BYTES,
    }
}

fn inline_bytes(field: &[u8], value: &[u8]) -> usize {
    let lengths = 2 + usize::from(field.len() > 0x7F) + usize::from(value.len() > 0x7F);
    lengths.saturating_add(field.len()).saturating_add(value.len())
}

fn slot_of(fragment: u16, offset: usize) -> u32 {
    (u32::from(fragment) << 16) | offset as u32
}

fn read_slot(bytes: &[u8], slot: usize) -> u32 {
    u32::from_le_bytes(*bytes[slot * SLOT_BYTES..].first_chunk().expect("a slot of the page"))
}

fn write_slot(bytes: &mut [u8], slot: usize, content: u32) {
    bytes[slot * SLOT_BYTES..][..SLOT_BYTES].copy_from_slice(&content.to_le_bytes());
}

/// The lengths of field and value, and what follows them.
fn read_lengths(bytes: &[u8]) -> (usize, usize, &[u8]) {
    let (field_bytes, rest) = read_length(bytes);
    let (value_bytes, rest) = read_length(rest);
    (field_bytes, value_bytes, rest)
}

fn read_length(bytes: &[u8]) -> (usize, &[u8]) {
    match bytes[0] {
        short @ 0..=0x7F => (usize::from(short), &bytes[1..]),
        high => ((usize::from(high & 0x3F) << 8) | usize::from(bytes[1]), &bytes[2..]),
    }
}

fn write_lengths(target: &mut [u8], field_bytes: usize, value_bytes: usize) -> (usize, &mut [u8]) {
    let mut at = 0;
    for length in [field_bytes, value_bytes] {
        if length > 0x7F {
            target[at] = 0x80 | (length >> 8) as u8;
            at += 1;
        }
        target[at] = length as u8;
        at += 1;
    }
    (at, &mut target[at..])
}

fn read_long(bytes: &[u8]) -> (usize, u64) {
    let index = u16::from_le_bytes(*bytes[1..].first_chunk().expect("a whole entry"));
    let position = u64::from_le_bytes(*bytes[3..].first_chunk().expect("a whole entry"));
    (usize::from(index), position)
}

fn write_long(target: &mut [u8], index: usize, position: u64) {
    target[0] = LONG;
    target[1..3].copy_from_slice(&(index as u16).to_le_bytes());
    target[3..LONG_ENTRY_BYTES].copy_from_slice(&position.to_le_bytes());
}
