//! Entries as a table owns them: made, changed, taken apart and freed. The layout is told in the module above.
//! Always: who holds a [`RawEntry`] knows that it is live; each function says what else it must know.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use tenon_base::UnixMillis;

use super::{
    CLOCK_MASK, Entry, FORM_MASK, FORM_SHIFT, HAS_EXPIRY, HASH, HEADER_BYTES, INLINE_RAW, INTEGER, LARGE,
    LIST, LONG_KEY, PLACE_BYTES, Payload, SET, SHORT_KEY_BYTES_MAX, STREAM, WORD_BYTES, ZSET, place_offset,
};
use crate::memory::size_class;
use crate::text::{Form, LargeText, Text};
use crate::value::Value;
use crate::{Hash, List, Set, Stream, Zset};

/// A live entry as a table holds it. Who holds one decides when it is freed; a copy of it is not another entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawEntry(pub(super) NonNull<u8>);

impl RawEntry {
    /// A new entry. It must be freed with [`RawEntry::free`] or taken apart with [`RawEntry::into_value`].
    pub(crate) fn build(
        key: &[u8],
        clock: u32,
        expires: Option<UnixMillis>,
        payload: Payload<'_>,
    ) -> RawEntry {
        let flags = flags_of(key.len(), clock, expires, payload.form());
        let key_offset = place_offset(flags) + PLACE_BYTES[payload.form() as usize];
        let at = allocate(key_offset + key.len() + payload.inline_bytes());
        // SAFETY: the allocation holds the header, the place, the key and the inline bytes, in this order.
        unsafe {
            ptr::copy_nonoverlapping(key.as_ptr(), at.as_ptr().add(key_offset), key.len());
            write_around_key(at, flags, key.len(), expires, payload);
        }
        RawEntry(at)
    }

    pub(crate) fn pointer(self) -> *mut u8 {
        self.0.as_ptr()
    }

    /// # Safety
    /// `pointer` came from [`RawEntry::pointer`] or points to an image of an entry, live and aligned to a word.
    pub(crate) unsafe fn from_pointer(pointer: *mut u8) -> RawEntry {
        // SAFETY: the caller's promise; no live entry is at address zero.
        RawEntry(unsafe { NonNull::new_unchecked(pointer) })
    }

    /// # Safety
    /// The entry is live and not changed for `'a`.
    pub(crate) unsafe fn view<'a>(self) -> Entry<'a> {
        Entry { at: self.0, life: PhantomData }
    }

    /// # Safety
    /// The entry is live and nobody else looks at it.
    pub(crate) unsafe fn free(self) {
        // SAFETY: the caller's promise; the layout is the one it was allocated with.
        unsafe {
            let layout = layout_of(self.view().exact_bytes());
            self.drop_value();
            dealloc(self.0.as_ptr(), layout);
        }
    }

    /// Drops what lies in place and leaves the bytes alone; after that the entry is only memory.
    ///
    /// # Safety
    /// The entry is live, nobody else looks at it, and its value is not used again.
    pub(crate) unsafe fn drop_value(self) {
        // SAFETY: the form says what lies in place; the caller promises that it is dropped once.
        unsafe {
            let place = self.place();
            match self.view().form() {
                LARGE => ptr::drop_in_place(place.cast::<LargeText>()),
                LIST => ptr::drop_in_place(place.cast::<List>()),
                SET => ptr::drop_in_place(place.cast::<Set>()),
                HASH => ptr::drop_in_place(place.cast::<Hash>()),
                ZSET => ptr::drop_in_place(place.cast::<Zset>()),
                STREAM => ptr::drop_in_place(place.cast::<Stream>()),
                _ => {}
            }
        }
    }

    /// Frees the entry and hands out its value.
    ///
    /// # Safety
    /// The entry is live and nobody else looks at it.
    pub(crate) unsafe fn into_value(self) -> Value {
        // SAFETY: what lies in place is read once and then only the memory is freed.
        unsafe {
            let place = self.place();
            let entry = self.view();
            let value = match entry.form() {
                INTEGER => Value::String(Text::from_integer(place.cast::<i64>().read())),
                LARGE => Value::String(Text(Form::Large(place.cast::<LargeText>().read()))),
                LIST => Value::List(place.cast::<List>().read()),
                SET => Value::Set(place.cast::<Set>().read()),
                HASH => Value::Hash(place.cast::<Hash>().read()),
                ZSET => Value::Zset(place.cast::<Zset>().read()),
                STREAM => Value::Stream(place.cast::<Stream>().read()),
                form => {
                    let bytes = entry.inline_value().into();
                    Value::String(Text(Form::Inline { bytes, raw: form == INLINE_RAW }))
                }
            };
            dealloc(self.0.as_ptr(), layout_of(entry.exact_bytes()));
            value
        }
    }

    /// Gives the key another value and expiry, in the same allocation if the size class is the same.
    ///
    /// # Safety
    /// The entry is live, nobody else looks at it, and it is not used again: the result takes its place.
    pub(crate) unsafe fn rewrite(self, expires: Option<UnixMillis>, payload: Payload<'_>) -> RawEntry {
        // SAFETY: within the same size class the key is moved to its new offset (regions may overlap) before
        // anything is written over it; the payload's bytes lie outside the entry, which nobody else looks at.
        unsafe {
            let entry = self.view();
            let (key_bytes, old_bytes) = (entry.key_bytes(), entry.exact_bytes());
            let flags = flags_of(key_bytes, entry.access_clock(), expires, payload.form());
            let key_offset = place_offset(flags) + PLACE_BYTES[payload.form() as usize];
            let new_bytes = key_offset + key_bytes + payload.inline_bytes();
            let key_source = self.0.as_ptr().add(entry.key_offset());
            self.drop_value();
            if size_class(new_bytes) == size_class(old_bytes) {
                ptr::copy(key_source, self.0.as_ptr().add(key_offset), key_bytes);
                write_around_key(self.0, flags, key_bytes, expires, payload);
                return self;
            }
            let at = allocate(new_bytes);
            ptr::copy_nonoverlapping(key_source, at.as_ptr().add(key_offset), key_bytes);
            write_around_key(at, flags, key_bytes, expires, payload);
            dealloc(self.0.as_ptr(), layout_of(old_bytes));
            RawEntry(at)
        }
    }

    /// Gives the key another expiry, or none.
    ///
    /// # Safety
    /// As [`RawEntry::rewrite`].
    pub(crate) unsafe fn with_expiry(self, expires: Option<UnixMillis>) -> RawEntry {
        // SAFETY: everything behind the header (and the expiry) is one region that is moved as a whole; moving a
        // value in memory is what Rust calls a move, and the old place is not used again.
        unsafe {
            let entry = self.view();
            let (old_bytes, old_start) = (entry.exact_bytes(), expiry_end(entry.is_volatile()));
            let new_start = expiry_end(expires.is_some());
            let tail_bytes = old_bytes - old_start;
            let old_class = size_class(old_bytes);
            let mut at = self.0;
            if size_class(new_start + tail_bytes) != old_class {
                at = allocate(new_start + tail_bytes);
                ptr::copy_nonoverlapping(self.0.as_ptr(), at.as_ptr(), HEADER_BYTES);
            }
            ptr::copy(self.0.as_ptr().add(old_start), at.as_ptr().add(new_start), tail_bytes);
            if at != self.0 {
                dealloc(self.0.as_ptr(), layout_of(old_bytes));
            }
            let header = at.as_ptr().cast::<u32>();
            header.write(header.read() & !HAS_EXPIRY);
            if let Some(UnixMillis(millis)) = expires {
                header.write(header.read() | HAS_EXPIRY);
                at.as_ptr().add(HEADER_BYTES).cast::<i64>().write(millis);
            }
            RawEntry(at)
        }
    }

    /// Makes an inline string `length` bytes long, zeroes where it grows, and marks it as changed in place.
    ///
    /// # Safety
    /// As [`RawEntry::rewrite`]; the entry is an inline string and `length` at most [`INLINE_BYTES_MAX`].
    pub(crate) unsafe fn resize_inline(self, length: usize) -> RawEntry {
        // SAFETY: the inline bytes are the last thing in the allocation, whose class is that of its content.
        unsafe {
            let entry = self.view();
            let (old_bytes, old_length) = (entry.exact_bytes(), entry.inline_bytes());
            let new_bytes = old_bytes - old_length + length;
            let mut at = self.0;
            if size_class(new_bytes) != size_class(old_bytes) {
                let layout = layout_of(new_bytes);
                let moved = realloc(at.as_ptr(), layout_of(old_bytes), layout.size());
                at = NonNull::new(moved).unwrap_or_else(|| handle_alloc_error(layout));
            }
            if length > old_length {
                ptr::write_bytes(at.as_ptr().add(old_bytes), 0, length - old_length);
            }
            at.as_ptr().add(6).cast::<u16>().write(length as u16);
            let header = at.as_ptr().cast::<u32>();
            header.write((header.read() & !FORM_MASK) | (INLINE_RAW << FORM_SHIFT));
            RawEntry(at)
        }
    }

    /// The bytes of an inline string.
    ///
    /// # Safety
    /// The entry is live, an inline string, and nobody else looks at it for `'a`.
    pub(crate) unsafe fn inline_mut<'a>(self) -> &'a mut [u8] {
        // SAFETY: the caller's promise.
        unsafe {
            let entry = self.view();
            let start = self.0.as_ptr().add(entry.key_offset() + entry.key_bytes());
            std::slice::from_raw_parts_mut(start, entry.inline_bytes())
        }
    }

    /// What lies in place, to be changed.
    ///
    /// # Safety
    /// The entry is live, its form says that a `T` lies in place, and nobody else looks at it for `'a`.
    pub(crate) unsafe fn place_mut<'a, T>(self) -> &'a mut T {
        // SAFETY: the caller's promise.
        unsafe { &mut *self.place().cast() }
    }

    /// Sets the access clock.
    ///
    /// # Safety
    /// The entry is live and nobody else looks at it.
    pub(crate) unsafe fn set_clock(self, clock: u32) {
        // SAFETY: the first word of every entry.
        unsafe {
            let header = self.0.as_ptr().cast::<u32>();
            header.write((header.read() & !CLOCK_MASK) | (clock & CLOCK_MASK));
        }
    }

    /// Copies the entry to `target`, bytes as bytes and what lies in place as a clone.
    ///
    /// # Safety
    /// The entry is live; `target` is aligned to a word and has room for its `exact_bytes`.
    pub(crate) unsafe fn write_image(self, target: *mut u8) {
        // SAFETY: the copied place is overwritten by a clone before anybody could drop the copy.
        unsafe {
            let entry = self.view();
            ptr::copy_nonoverlapping(self.0.as_ptr(), target, entry.exact_bytes());
            let place = target.add(entry.place_offset());
            let source = self.place();
            match entry.form() {
                LARGE => place.cast::<LargeText>().write((*source.cast::<LargeText>()).clone()),
                LIST => place.cast::<List>().write((*source.cast::<List>()).clone()),
                SET => place.cast::<Set>().write((*source.cast::<Set>()).clone()),
                HASH => place.cast::<Hash>().write((*source.cast::<Hash>()).clone()),
                ZSET => place.cast::<Zset>().write((*source.cast::<Zset>()).clone()),
                STREAM => place.cast::<Stream>().write((*source.cast::<Stream>()).clone()),
                _ => {}
            }
        }
    }

    pub(super) fn place(self) -> *mut u8 {
        // SAFETY: every holder of a `RawEntry` promises that it is live; the place lies within it.
        unsafe { self.0.as_ptr().add(self.view().place_offset()) }
    }
}

fn expiry_end(volatile: bool) -> usize {
    HEADER_BYTES + if volatile { WORD_BYTES } else { 0 }
}

fn flags_of(key_bytes: usize, clock: u32, expires: Option<UnixMillis>, form: u32) -> u32 {
    let mut flags = (clock & CLOCK_MASK) | (form << FORM_SHIFT);
    if expires.is_some() {
        flags |= HAS_EXPIRY;
    }
    if key_bytes > SHORT_KEY_BYTES_MAX {
        flags |= LONG_KEY;
    }
    flags
}

/// Writes everything of an entry but its key.
///
/// # Safety
/// `at` is an allocation for all of it, with no value in place that would have to be dropped.
unsafe fn write_around_key(
    at: NonNull<u8>,
    flags: u32,
    key_bytes: usize,
    expires: Option<UnixMillis>,
    payload: Payload<'_>,
) {
    let at = at.as_ptr();
    let form = payload.form() as usize;
    let short_key = if flags & LONG_KEY == 0 { key_bytes as u16 } else { 0 };
    // SAFETY: the caller's promise; all offsets are those that `Entry` reads, words aligned to words.
    unsafe {
        at.cast::<u32>().write(flags);
        at.add(4).cast::<u16>().write(short_key);
        at.add(6).cast::<u16>().write(payload.inline_bytes() as u16);
        if let Some(UnixMillis(millis)) = expires {
            at.add(HEADER_BYTES).cast::<i64>().write(millis);
        }
        let place = at.add(place_offset(flags));
        if flags & LONG_KEY != 0 {
            place.sub(WORD_BYTES).cast::<u64>().write(key_bytes as u64);
        }
        match payload {
            Payload::Integer(number) => place.cast::<i64>().write(number),
            Payload::Inline { bytes, .. } => {
                let target = place.add(PLACE_BYTES[form] + key_bytes);
                ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len());
            }
            Payload::Large(large) => place.cast::<LargeText>().write(large),
            Payload::List(list) => place.cast::<List>().write(list),
            Payload::Set(set) => place.cast::<Set>().write(set),
            Payload::Hash(hash) => place.cast::<Hash>().write(hash),
            Payload::Zset(zset) => place.cast::<Zset>().write(zset),
            Payload::Stream(stream) => place.cast::<Stream>().write(stream),
        }
    }
}

fn allocate(bytes: usize) -> NonNull<u8> {
    let layout = layout_of(bytes);
    // SAFETY: the layout is never empty, since an entry has a header.
    NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
}

fn layout_of(bytes: usize) -> Layout {
    Layout::from_size_align(size_class(bytes), WORD_BYTES).expect("an entry is far below the address space")
}
