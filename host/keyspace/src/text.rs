//! String values: integers where the text is one, short bytes, and large bytes in a shared block.
//! Not the place where a string lies in an entry: see `entry`.
//! Always: a text of at most [`INLINE_BYTES_MAX`] bytes is never `Large`, a longer one always is.

use bytes::Bytes;

use crate::left::Content;
use crate::memory::size_class;
use crate::shared::{SHARED_OVERHEAD_BYTES, Shared};

/// The longest string that lies inside its entry.
pub const INLINE_BYTES_MAX: usize = 4 * 1024;

/// The longest string that OBJECT ENCODING calls "embstr".
const EMBEDDED_BYTES_MAX: usize = 44;

/// Bytes that the decimal form of any `i64` fits in.
pub const INTEGER_TEXT_BYTES: usize = 20;

/// A string value, owned.
#[derive(Clone, Debug)]
pub struct Text(pub(crate) Form);

#[derive(Clone, Debug)]
pub(crate) enum Form {
    Integer(i64),
    /// `raw`: changed in place since it was set, which OBJECT ENCODING shows.
    Inline {
        bytes: Box<[u8]>,
        raw: bool,
    },
    Large(LargeText),
}

/// A string value where it lies.
#[derive(Clone, Copy, Debug)]
pub enum TextRef<'a> {
    /// Stored as a number; its text is the decimal form.
    Integer(i64),
    /// Stored as bytes.
    Bytes(&'a [u8]),
}

impl Text {
    /// A text as SET stores it: an integer if the bytes are the decimal form of one.
    pub fn from_bytes(bytes: &[u8]) -> Text {
        integer_of(bytes).map_or_else(|| Text::plain(bytes), Text::from_integer)
    }

    /// A text from a buffer that it may keep: nothing is copied if it is large.
    pub fn from_shared(bytes: Bytes) -> Text {
        if bytes.len() > INLINE_BYTES_MAX {
            return Text(Form::Large(LargeText::from_shared(bytes)));
        }
        Text::from_bytes(&bytes)
    }

    /// Bytes that a command has made, kept as bytes and shown as "raw"; nothing is copied if they are many.
    pub fn from_vec(bytes: Vec<u8>) -> Text {
        if bytes.len() > INLINE_BYTES_MAX {
            return Text(Form::Large(LargeText::from_vec(bytes)));
        }
        Text(Form::Inline { bytes: bytes.into(), raw: true })
    }

    /// A number.
    pub fn from_integer(number: i64) -> Text {
        Text(Form::Integer(number))
    }

    /// Bytes stored as bytes, even where they are the decimal form of an integer.
    pub fn plain(bytes: &[u8]) -> Text {
        if bytes.len() > INLINE_BYTES_MAX {
            return Text(Form::Large(LargeText::from_vec(bytes.to_vec())));
        }
        Text(Form::Inline { bytes: bytes.into(), raw: false })
    }

    /// The text as it is seen in place.
    pub fn as_ref(&self) -> TextRef<'_> {
        match &self.0 {
            Form::Integer(number) => TextRef::Integer(*number),
            Form::Inline { bytes, .. } => TextRef::Bytes(bytes),
            Form::Large(large) => TextRef::Bytes(large.bytes()),
        }
    }

    /// Bytes on the heap, in size classes.
    pub fn memory(&self) -> usize {
        match &self.0 {
            Form::Integer(_) => 0,
            Form::Inline { bytes, .. } => size_class(bytes.len()),
            Form::Large(large) => large.memory(),
        }
    }
}

impl<'a> TextRef<'a> {
    /// Length of the text in bytes.
    pub fn len(&self) -> usize {
        match self {
            TextRef::Integer(number) => decimal(*number, &mut [0; INTEGER_TEXT_BYTES]).len(),
            TextRef::Bytes(bytes) => bytes.len(),
        }
    }

    /// Whether the text is empty.
    pub fn is_empty(&self) -> bool {
        matches!(self, TextRef::Bytes(bytes) if bytes.is_empty())
    }

    /// The text as bytes; a number is written into `scratch`.
    pub fn bytes<'s>(&self, scratch: &'s mut [u8; INTEGER_TEXT_BYTES]) -> &'s [u8]
    where
        'a: 's,
    {
        match *self {
            TextRef::Integer(number) => decimal(number, scratch),
            TextRef::Bytes(bytes) => bytes,
        }
    }

    /// Appends the text to `target`.
    pub fn write_into(&self, target: &mut Vec<u8>) {
        target.extend_from_slice(self.bytes(&mut [0; INTEGER_TEXT_BYTES]));
    }

    /// The number whose decimal form the text is, if it is one.
    pub fn integer(&self) -> Option<i64> {
        match *self {
            TextRef::Integer(number) => Some(number),
            TextRef::Bytes(bytes) => integer_of(bytes),
        }
    }
}

/// The number whose decimal form `bytes` is, exactly: no plus sign, no leading zero, no minus zero, no space.
pub fn integer_of(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = match bytes {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() < INTEGER_TEXT_BYTES => {}
        _ => return None,
    }
    let mut magnitude: u64 = 0;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        // Nineteen digits stay below 2^64.
        magnitude = magnitude * 10 + u64::from(digit - b'0');
    }
    if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

/// The decimal form of `number`, in `scratch`.
pub fn decimal(number: i64, scratch: &mut [u8; INTEGER_TEXT_BYTES]) -> &[u8] {
    let mut at = INTEGER_TEXT_BYTES;
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        scratch[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        at -= 1;
        scratch[at] = b'-';
    }
    &scratch[at..]
}

/// The name that OBJECT ENCODING replies with for bytes of this length stored as bytes.
pub(crate) fn bytes_encoding(length: usize, raw: bool) -> &'static str {
    if raw || length > EMBEDDED_BYTES_MAX { "raw" } else { "embstr" }
}

/// A string longer than an entry takes in: one shared block, so that a clone is O(1).
#[derive(Clone, Debug)]
pub(crate) struct LargeText(Shared<LargeBytes>);

#[derive(Debug)]
enum LargeBytes {
    /// A buffer that came from outside, taken over as it is.
    Taken(Bytes),
    /// A buffer of our own, which grows in place.
    Grown(Vec<u8>),
}

impl Clone for LargeBytes {
    fn clone(&self) -> LargeBytes {
        LargeBytes::Grown(self.bytes().to_vec())
    }
}

impl Content for LargeBytes {
    fn heap_bytes(&self) -> usize {
        size_class(match self {
            LargeBytes::Taken(bytes) => bytes.len(),
            LargeBytes::Grown(bytes) => bytes.capacity(),
        })
    }
}

impl LargeBytes {
    fn bytes(&self) -> &[u8] {
        match self {
            LargeBytes::Taken(bytes) => bytes,
            LargeBytes::Grown(bytes) => bytes,
        }
    }
}

impl LargeText {
    pub(crate) fn from_vec(bytes: Vec<u8>) -> LargeText {
        LargeText(Shared::new(LargeBytes::Grown(bytes)))
    }

    pub(crate) fn from_shared(bytes: Bytes) -> LargeText {
        LargeText(Shared::new(LargeBytes::Taken(bytes)))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    pub(crate) fn memory(&self) -> usize {
        size_class(SHARED_OVERHEAD_BYTES + size_of::<LargeBytes>()) + self.0.heap_bytes()
    }

    /// The bytes to be changed in place; copied first if shared or taken over.
    pub(crate) fn make_mut(&mut self) -> &mut Vec<u8> {
        let block = self.0.make_unique();
        if let LargeBytes::Taken(bytes) = block {
            *block = LargeBytes::Grown(bytes.to_vec());
        }
        match block {
            LargeBytes::Grown(bytes) => bytes,
            LargeBytes::Taken(_) => unreachable!("a taken buffer was just replaced"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_decimal_form_is_an_integer() {
        for number in [0, 1, -1, 42, i64::MAX, i64::MIN] {
            assert_eq!(integer_of(number.to_string().as_bytes()), Some(number));
            assert_eq!(decimal(number, &mut [0; INTEGER_TEXT_BYTES]), number.to_string().as_bytes());
        }
        for text in
            ["", "-", "+1", "01", "-0", " 1", "1 ", "1a", "9223372036854775808", "-9223372036854775809", "00"]
        {
            assert_eq!(integer_of(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_large_text_is_copied_before_it_changes() {
        let mut one = LargeText::from_shared(Bytes::from(vec![7; 5_000]));
        let other = one.clone();
        one.make_mut().push(8);
        assert_eq!((one.bytes().len(), other.bytes().len()), (5_001, 5_000));
    }
}
