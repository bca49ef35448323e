//! Strings: set as a whole, which is the hottest path there is, and changed in place.
//! Always: what is the decimal form of an integer is stored as one when it is set, as bytes once it was changed.

use bytes::Bytes;
use tenon_base::UnixMillis;

use super::{Database, WrongKind};
use crate::entry::{Entry, Payload, RawEntry};
use crate::left;
use crate::table::Place;
use crate::text::{INLINE_BYTES_MAX, INTEGER_TEXT_BYTES, LargeText, TextRef, integer_of};
use crate::value::{Kind, Value, ValueRef};

/// What becomes of a key's expiry time when its value is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// It stays as it is.
    Keep,
    /// There is none.
    Never,
    /// It is this.
    At(UnixMillis),
}

/// What was there before a value was set.
#[derive(Debug, Default)]
pub struct Replaced {
    /// Whether the key was there.
    pub existed: bool,
    /// Its former value, if that has memory of its own: to be dropped elsewhere if it is large.
    pub value: Option<Value>,
}

impl Database {
    /// Gives the key a string.
    #[inline]
    pub fn set_string(&mut self, key: &[u8], bytes: &[u8], expiry: Expiry) -> Replaced {
        let payload = match integer_of(bytes) {
            Some(number) => Payload::Integer(number),
            None => payload_of(bytes, false),
        };
        self.put(key, payload, expiry)
    }

    /// Gives the key a string from a buffer that it may keep: nothing is copied if it is large.
    pub fn set_string_shared(&mut self, key: &[u8], bytes: Bytes, expiry: Expiry) -> Replaced {
        if bytes.len() <= INLINE_BYTES_MAX {
            return self.set_string(key, &bytes, expiry);
        }
        self.put(key, Payload::Large(LargeText::from_shared(bytes)), expiry)
    }

    /// Gives the key a string that is stored as bytes, even where it is the decimal form of an integer.
    pub fn set_plain(&mut self, key: &[u8], bytes: &[u8], expiry: Expiry) -> Replaced {
        self.put(key, payload_of(bytes, false), expiry)
    }

    /// Gives the key a number.
    pub fn set_integer(&mut self, key: &[u8], number: i64, expiry: Expiry) -> Replaced {
        self.put(key, Payload::Integer(number), expiry)
    }

    /// The string of a key, to be changed in place.
    pub fn string_mut(&mut self, key: &[u8]) -> Result<Option<TextSlot<'_>>, WrongKind> {
        let hash = self.hash(key);
        let Some(place) = self.table.find(hash, key) else { return Ok(None) };
        self.use_entry(place);
        let found = self.table.entry(place).kind();
        if found != Kind::String {
            return Err(WrongKind { found });
        }
        self.before_change(hash);
        Ok(Some(TextSlot { database: self, hash, place }))
    }

    #[inline]
    fn put(&mut self, key: &[u8], payload: Payload<'_>, expiry: Expiry) -> Replaced {
        let hash = self.hash(key);
        let Some(place) = self.table.find(hash, key) else {
            self.before_change(hash);
            let expires = if let Expiry::At(moment) = expiry { Some(moment) } else { None };
            self.table.insert(hash, RawEntry::build(key, self.clock.fresh(), expires, payload));
            self.grow_if_due();
            return Replaced::default();
        };
        self.before_removal(hash, place);
        let old = self.table.entry(place);
        let expires = match expiry {
            Expiry::Keep => old.expires_at(),
            Expiry::Never => None,
            Expiry::At(moment) => Some(moment),
        };
        let (is_large, clock) = (old.is_large(), self.clock.used(old.access_clock()));
        let mut value = None;
        // SAFETY: the table is had alone; either way the result is live, has the same key, and the old entry is freed
        // if it is another.
        unsafe {
            self.table.change(hash, place, |entry| {
                if !is_large {
                    entry.set_clock(clock);
                    return entry.rewrite(expires, payload);
                }
                value = Some(entry.into_value());
                RawEntry::build(key, clock, expires, payload)
            });
        }
        Replaced { existed: true, value }
    }
}

/// A string to be changed in place.
pub struct TextSlot<'a> {
    database: &'a mut Database,
    hash: u64,
    place: Place,
}

impl TextSlot<'_> {
    /// The text as it is now.
    pub fn text(&self) -> TextRef<'_> {
        match self.entry().value() {
            ValueRef::String(text) => text,
            _ => unreachable!("a text slot is made for strings only"),
        }
    }

    /// Appends, and returns the new length in bytes.
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        let length = self.text().len();
        self.write(length, bytes)
    }

    /// Writes at an offset, zeroes before it where the text was shorter, and returns the new length in bytes.
    /// How long a text may become is the caller's to limit.
    pub fn set_range(&mut self, offset: usize, bytes: &[u8]) -> usize {
        self.write(offset, bytes)
    }

    /// Changes a run of bytes, made long enough with zeroes first.
    pub fn change(&mut self, length_at_least: usize, change: impl FnOnce(&mut [u8])) {
        let length = self.text().len().max(length_at_least);
        self.make_bytes(length);
        self.change_entry(|entry| {
            // SAFETY: the slot has the entry alone, and `make_bytes` made it a string of bytes.
            unsafe {
                if entry.view().is_inline() {
                    change(entry.inline_mut());
                } else {
                    change(entry.place_mut::<LargeText>().make_mut());
                }
            }
            entry
        });
    }

    /// Replaces the text by a number.
    pub fn set_integer(&mut self, number: i64) {
        self.rewrite(Payload::Integer(number));
    }

    /// Replaces the text by bytes, which are stored as such even where they are the decimal form of an integer.
    pub fn replace(&mut self, bytes: &[u8]) {
        self.rewrite(payload_of(bytes, false));
    }

    /// Replaces the text by bytes that a command has made: as [`crate::Text::from_vec`].
    pub fn replace_vec(&mut self, bytes: Vec<u8>) {
        if bytes.len() > INLINE_BYTES_MAX {
            self.rewrite(Payload::Large(LargeText::from_vec(bytes)));
        } else {
            self.rewrite(Payload::Inline { bytes: &bytes, raw: true });
        }
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) -> usize {
        let length = self.text().len();
        let new_length = length.max(offset + bytes.len());
        if offset == length && length > INLINE_BYTES_MAX {
            // Appending to a large text: no zeroes first.
            // SAFETY: a text of this length is always a large one, and the slot has the entry alone.
            self.change_entry(|entry| unsafe {
                entry.place_mut::<LargeText>().make_mut().extend_from_slice(bytes);
                entry
            });
            return new_length;
        }
        self.change(new_length, |all| all[offset..offset + bytes.len()].copy_from_slice(bytes));
        new_length
    }

    /// Makes the text a string of bytes of exactly this length, which is not less than it has.
    fn make_bytes(&mut self, length: usize) {
        if let TextRef::Integer(number) = self.text() {
            let mut scratch = [0; INTEGER_TEXT_BYTES];
            let bytes = TextRef::Integer(number).bytes(&mut scratch);
            self.rewrite(Payload::Inline { bytes, raw: true });
        }
        if !self.entry().is_inline() {
            // SAFETY: neither a number nor inline, so a large text; the slot has the entry alone.
            self.change_entry(|entry| unsafe {
                entry.place_mut::<LargeText>().make_mut().resize(length, 0);
                entry
            });
        } else if length <= INLINE_BYTES_MAX {
            // SAFETY: the entry is an inline string, and the slot has it alone.
            self.change_entry(|entry| unsafe { entry.resize_inline(length) });
        } else {
            // Zeroes from the allocator: those of a large block are not even touched.
            let mut bytes = vec![0; length];
            let mut scratch = [0; INTEGER_TEXT_BYTES];
            let text = self.text();
            let former = text.bytes(&mut scratch);
            bytes[..former.len()].copy_from_slice(former);
            self.rewrite(Payload::Large(LargeText::from_vec(bytes)));
        }
    }

    fn rewrite(&mut self, payload: Payload<'_>) {
        let expires = self.entry().expires_at();
        // SAFETY: the slot has the entry alone; the payload's bytes lie elsewhere.
        self.change_entry(|entry| unsafe { entry.rewrite(expires, payload) });
    }

    fn entry(&self) -> Entry<'_> {
        self.database.table.entry(self.place)
    }

    fn change_entry(&mut self, change: impl FnOnce(RawEntry) -> RawEntry) {
        let left_before = left::count();
        // SAFETY: all changes above keep the key and free what they replace; the slot borrows the database, so
        // the place stays valid.
        unsafe { self.database.table.change(self.hash, self.place, change) };
        let holds = &mut self.database.cuts.holds;
        if !holds.is_empty() {
            holds.count(self.hash, left::since(left_before));
        }
    }
}

fn payload_of(bytes: &[u8], raw: bool) -> Payload<'_> {
    if bytes.len() > INLINE_BYTES_MAX {
        return Payload::Large(LargeText::from_vec(bytes.to_vec()));
    }
    Payload::Inline { bytes, raw }
}
