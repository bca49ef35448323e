//! One key with its value in one allocation: a header of eight bytes, the expiry time if there is one, what the
//! value needs in place, the key, and a short string's bytes. Knows no table and no clock.
//!
//! ```text
//! 0  access clock, 24 bits | form, 4 bits | has expiry, 1 bit | long key, 1 bit
//! 4  length of the key, 16 bits | length of an inline string, 16 bits
//! 8  expiry time, if any | length of a long key, if it is one
//! .. the number, the root of a large string, or the collection, if the form has any
//! .. the key | the inline string
//! ```
//!
//! Always: an entry's allocation is exactly the size class of what it holds, so its capacity needs no field.

mod raw;

use std::marker::PhantomData;
use std::ptr::NonNull;

use tenon_base::UnixMillis;

use crate::memory::size_class;
use crate::text::{Form, INLINE_BYTES_MAX, LargeText, Text, TextRef, bytes_encoding};
use crate::value::{Kind, Value, ValueRef};
use crate::{Hash, List, Set, Stream, Zset};

pub(crate) use raw::RawEntry;

const HEADER_BYTES: usize = 8;
const WORD_BYTES: usize = 8;
const CLOCK_MASK: u32 = 0x00FF_FFFF;
const FORM_SHIFT: u32 = 24;
const FORM_MASK: u32 = 0x0F00_0000;
const HAS_EXPIRY: u32 = 1 << 28;
const LONG_KEY: u32 = 1 << 29;
const SHORT_KEY_BYTES_MAX: usize = u16::MAX as usize;

const INTEGER: u32 = 0;
const INLINE: u32 = 1;
const INLINE_RAW: u32 = 2;
const LARGE: u32 = 3;
const LIST: u32 = 4;
const SET: u32 = 5;
const HASH: u32 = 6;
const ZSET: u32 = 7;
const STREAM: u32 = 8;

/// Bytes that each form needs in place, before the key.
const PLACE_BYTES: [usize; 9] = [
    8,
    0,
    0,
    size_of::<LargeText>(),
    size_of::<List>().next_multiple_of(8),
    size_of::<Set>().next_multiple_of(8),
    size_of::<Hash>().next_multiple_of(8),
    size_of::<Zset>().next_multiple_of(8),
    size_of::<Stream>().next_multiple_of(8),
];

/// Entries are read and freed on other threads than the one that made them.
const _: fn() = || {
    fn crosses_threads<T: Send + Sync>() {}
    crosses_threads::<(LargeText, List, Set, Hash, Zset, Stream)>();
};

const _: () = {
    assert!(INLINE_BYTES_MAX <= u16::MAX as usize, "an inline length has 16 bits");
    assert!(align_of::<LargeText>() <= 8 && align_of::<List>() <= 8 && align_of::<Set>() <= 8);
    assert!(align_of::<Hash>() <= 8 && align_of::<Zset>() <= 8 && align_of::<Stream>() <= 8);
    assert!(size_of::<List>() <= 16 && size_of::<Set>() <= 16);
    assert!(size_of::<Hash>() <= 16 && size_of::<Zset>() <= 16 && size_of::<Stream>() <= 16);
};

/// A key with its value, looked at where it lies.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    at: NonNull<u8>,
    life: PhantomData<&'a ()>,
}

// SAFETY: an `Entry` only reads, like `&(Header, Value)` would, and every value is Sync (see `Value`).
unsafe impl Send for Entry<'_> {}
// SAFETY: as above.
unsafe impl Sync for Entry<'_> {}

impl<'a> Entry<'a> {
    /// The key.
    pub fn key(self) -> &'a [u8] {
        // SAFETY: a live entry holds `key_bytes` initialised bytes from `key_offset`.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr().add(self.key_offset()), self.key_bytes()) }
    }

    /// The value.
    pub fn value(self) -> ValueRef<'a> {
        // SAFETY: the form says what lies in place, aligned to a word; it lives as long as the entry.
        unsafe {
            let place = self.at.as_ptr().add(self.place_offset());
            match self.form() {
                INTEGER => ValueRef::String(TextRef::Integer(place.cast::<i64>().read())),
                LARGE => ValueRef::String(TextRef::Bytes((*place.cast::<LargeText>()).bytes())),
                LIST => ValueRef::List(&*place.cast()),
                SET => ValueRef::Set(&*place.cast()),
                HASH => ValueRef::Hash(&*place.cast()),
                ZSET => ValueRef::Zset(&*place.cast()),
                STREAM => ValueRef::Stream(&*place.cast()),
                _ => ValueRef::String(TextRef::Bytes(self.inline_value())),
            }
        }
    }

    /// A value of its own, equal to this one: the root of what is large, a copy of what is compact.
    pub fn to_value(self) -> Value {
        match self.value() {
            ValueRef::String(TextRef::Integer(number)) => Value::String(Text::from_integer(number)),
            ValueRef::String(TextRef::Bytes(bytes)) => Value::String(Text(match self.form() {
                // SAFETY: the form says that a large text lies in place.
                LARGE => Form::Large(unsafe { (*self.raw().place().cast::<LargeText>()).clone() }),
                form => Form::Inline { bytes: bytes.into(), raw: form == INLINE_RAW },
            })),
            ValueRef::List(list) => Value::List(list.clone()),
            ValueRef::Set(set) => Value::Set(set.clone()),
            ValueRef::Hash(hash) => Value::Hash(hash.clone()),
            ValueRef::Zset(zset) => Value::Zset(zset.clone()),
            ValueRef::Stream(stream) => Value::Stream(stream.clone()),
        }
    }

    /// The kind of value.
    pub fn kind(self) -> Kind {
        match self.form() {
            LIST => Kind::List,
            SET => Kind::Set,
            HASH => Kind::Hash,
            ZSET => Kind::Zset,
            STREAM => Kind::Stream,
            _ => Kind::String,
        }
    }

    /// What OBJECT ENCODING replies.
    pub fn encoding(self) -> &'static str {
        match self.value() {
            ValueRef::String(TextRef::Integer(_)) => "int",
            ValueRef::String(TextRef::Bytes(bytes)) => bytes_encoding(bytes.len(), self.form() == INLINE_RAW),
            ValueRef::List(list) => list.encoding(),
            ValueRef::Set(set) => set.encoding(),
            ValueRef::Hash(hash) => hash.encoding(),
            ValueRef::Zset(zset) => zset.encoding(),
            ValueRef::Stream(stream) => stream.encoding(),
        }
    }

    /// When the key expires, if it does.
    pub fn expires_at(self) -> Option<UnixMillis> {
        if !self.is_volatile() {
            return None;
        }
        // SAFETY: with the flag set, the word after the header is the expiry time.
        Some(UnixMillis(unsafe { self.at.as_ptr().add(HEADER_BYTES).cast::<i64>().read() }))
    }

    /// Whether the key has an expiry time.
    pub fn is_volatile(self) -> bool {
        self.flags() & HAS_EXPIRY != 0
    }

    /// The access clock: 24 bits whose meaning the eviction policy gives (seconds, or a counter).
    pub fn access_clock(self) -> u32 {
        self.flags() & CLOCK_MASK
    }

    /// Bytes that the entry holds all in all, in size classes.
    pub fn memory(self) -> usize {
        size_class(self.exact_bytes()) + self.value_memory()
    }

    /// Bytes of the value outside the entry's own allocation, in size classes.
    pub(crate) fn value_memory(self) -> usize {
        // SAFETY: the form says what lies in place.
        unsafe {
            let place = self.at.as_ptr().add(self.place_offset());
            match self.form() {
                LARGE => (*place.cast::<LargeText>()).memory(),
                LIST => (*place.cast::<List>()).memory(),
                SET => (*place.cast::<Set>()).memory(),
                HASH => (*place.cast::<Hash>()).memory(),
                ZSET => (*place.cast::<Zset>()).memory(),
                STREAM => (*place.cast::<Stream>()).memory(),
                _ => 0,
            }
        }
    }

    /// Where what a collection has beside the entry begins; `None` for strings.
    #[inline]
    pub(crate) fn collection_address(self) -> Option<*const u8> {
        // SAFETY: the form says what lies in place.
        unsafe {
            let place = self.at.as_ptr().add(self.place_offset());
            match self.form() {
                LIST => Some((*place.cast::<List>()).address()),
                SET => Some((*place.cast::<Set>()).address()),
                HASH => Some((*place.cast::<Hash>()).address()),
                ZSET => Some((*place.cast::<Zset>()).address()),
                STREAM => Some((*place.cast::<Stream>()).address()),
                _ => None,
            }
        }
    }

    /// Bytes in use of the entry's own allocation.
    pub(crate) fn exact_bytes(self) -> usize {
        self.key_offset() + self.key_bytes() + self.inline_bytes()
    }

    /// Whether dropping the value may take long, so that it is better done on another thread.
    pub(crate) fn is_large(self) -> bool {
        self.form() >= LARGE
    }

    /// Whether the value is a collection in shared blocks, whose clone costs nothing.
    pub(crate) fn is_tree(self) -> bool {
        self.form() > LARGE && !matches!(self.encoding(), "listpack" | "intset")
    }

    /// Whether the entry is a string whose bytes lie inline.
    pub(crate) fn is_inline(self) -> bool {
        matches!(self.form(), INLINE | INLINE_RAW)
    }

    pub(crate) fn raw(self) -> RawEntry {
        RawEntry(self.at)
    }

    fn inline_value(self) -> &'a [u8] {
        let start = self.key_offset() + self.key_bytes();
        // SAFETY: a live entry holds `inline_bytes` initialised bytes after its key.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr().add(start), self.inline_bytes()) }
    }

    fn flags(self) -> u32 {
        // SAFETY: every live entry begins with this word.
        unsafe { self.at.as_ptr().cast::<u32>().read() }
    }

    fn form(self) -> u32 {
        (self.flags() & FORM_MASK) >> FORM_SHIFT
    }

    fn key_bytes(self) -> usize {
        let flags = self.flags();
        // SAFETY: the length is in the header, or with the flag set in the last word before the place.
        unsafe {
            if flags & LONG_KEY != 0 {
                let offset = place_offset(flags) - WORD_BYTES;
                return self.at.as_ptr().add(offset).cast::<u64>().read() as usize;
            }
            usize::from(self.at.as_ptr().add(4).cast::<u16>().read())
        }
    }

    fn inline_bytes(self) -> usize {
        // SAFETY: part of the header; zero for forms without inline bytes.
        usize::from(unsafe { self.at.as_ptr().add(6).cast::<u16>().read() })
    }

    fn place_offset(self) -> usize {
        place_offset(self.flags())
    }

    fn key_offset(self) -> usize {
        let flags = self.flags();
        place_offset(flags) + PLACE_BYTES[(flags & FORM_MASK) as usize >> FORM_SHIFT]
    }
}

fn place_offset(flags: u32) -> usize {
    let words = (flags & HAS_EXPIRY != 0) as usize + (flags & LONG_KEY != 0) as usize;
    HEADER_BYTES + words * WORD_BYTES
}

/// What goes into an entry as its value.
pub(crate) enum Payload<'a> {
    Integer(i64),
    Inline { bytes: &'a [u8], raw: bool },
    Large(LargeText),
    List(List),
    Set(Set),
    Hash(Hash),
    Zset(Zset),
    Stream(Stream),
}

impl Payload<'_> {
    fn form(&self) -> u32 {
        match self {
            Payload::Integer(_) => INTEGER,
            Payload::Inline { raw: false, .. } => INLINE,
            Payload::Inline { raw: true, .. } => INLINE_RAW,
            Payload::Large(_) => LARGE,
            Payload::List(_) => LIST,
            Payload::Set(_) => SET,
            Payload::Hash(_) => HASH,
            Payload::Zset(_) => ZSET,
            Payload::Stream(_) => STREAM,
        }
    }

    fn inline_bytes(&self) -> usize {
        if let Payload::Inline { bytes, .. } = self { bytes.len() } else { 0 }
    }

    /// Calls `then` with the payload that a value is; inline bytes are borrowed from it.
    pub(crate) fn of_value<R>(value: Value, then: impl FnOnce(Payload<'_>) -> R) -> R {
        match value {
            Value::String(Text(Form::Integer(number))) => then(Payload::Integer(number)),
            Value::String(Text(Form::Inline { bytes, raw })) => then(Payload::Inline { bytes: &bytes, raw }),
            Value::String(Text(Form::Large(large))) => then(Payload::Large(large)),
            Value::List(list) => then(Payload::List(list)),
            Value::Set(set) => then(Payload::Set(set)),
            Value::Hash(hash) => then(Payload::Hash(hash)),
            Value::Zset(zset) => then(Payload::Zset(zset)),
            Value::Stream(stream) => then(Payload::Stream(stream)),
        }
    }
}
