//! One element of a compact encoding: bytes, or the integer that those bytes spell. Knows no layout.
//! Always: an element is equal to the same text, whichever way it is kept.

/// An element as it lies in a block. `Integer(5)` and `Bytes(b"5")` are the same element.
#[derive(Clone, Copy, Debug)]
pub enum Element<'a> {
    /// The bytes as they were given.
    Bytes(&'a [u8]),
    /// An integer, kept as one because its decimal text is what was given.
    Integer(i64),
}

/// The longest text of an `i64`, with its sign.
pub const INTEGER_TEXT_BYTES_MAX: usize = 20;

impl<'a> Element<'a> {
    /// Whether the element is this text.
    pub fn equals(&self, text: &[u8]) -> bool {
        match *self {
            Element::Bytes(bytes) => bytes == text,
            Element::Integer(integer) => canonical_integer(text) == Some(integer),
        }
    }

    /// The element's text, written into `buffer` if it is kept as an integer.
    pub fn as_bytes<'b>(self, buffer: &'b mut [u8; INTEGER_TEXT_BYTES_MAX]) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Element::Bytes(bytes) => bytes,
            Element::Integer(integer) => integer_text(integer, buffer),
        }
    }

    /// Appends the element's text to `out`.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes(&mut [0; INTEGER_TEXT_BYTES_MAX]));
    }

    /// The element's text in a vector of its own.
    pub fn to_vec(&self) -> Vec<u8> {
        self.as_bytes(&mut [0; INTEGER_TEXT_BYTES_MAX]).to_vec()
    }

    /// The bytes of the element's text.
    pub fn text_bytes(&self) -> usize {
        self.as_bytes(&mut [0; INTEGER_TEXT_BYTES_MAX]).len()
    }

    /// The integer whose canonical text the element is.
    pub fn integer(&self) -> Option<i64> {
        match *self {
            Element::Bytes(bytes) => canonical_integer(bytes),
            Element::Integer(integer) => Some(integer),
        }
    }
}

impl<'a> From<&'a [u8]> for Element<'a> {
    fn from(bytes: &'a [u8]) -> Element<'a> {
        Element::Bytes(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Element<'a> {
    fn from(bytes: &'a [u8; N]) -> Element<'a> {
        Element::Bytes(bytes)
    }
}

impl From<i64> for Element<'_> {
    fn from(integer: i64) -> Self {
        Element::Integer(integer)
    }
}

/// A text to look for: what it spells is worked out once, not at each comparison.
#[derive(Clone, Copy, Debug)]
pub struct Needle<'a> {
    text: &'a [u8],
    integer: Option<i64>,
}

impl<'a> Needle<'a> {
    /// The needle that is equal to `text`.
    pub fn new(text: &'a [u8]) -> Needle<'a> {
        Needle { text, integer: canonical_integer(text) }
    }

    /// The needle that is equal to `element`, whose text may be written into `buffer`.
    pub(crate) fn of(element: Element<'a>, buffer: &'a mut [u8; INTEGER_TEXT_BYTES_MAX]) -> Needle<'a> {
        match element {
            Element::Bytes(bytes) => Needle::new(bytes),
            Element::Integer(integer) => {
                Needle { text: integer_text(integer, buffer), integer: Some(integer) }
            }
        }
    }

    /// Whether `element` is this text.
    #[inline]
    pub fn matches(&self, element: Element<'_>) -> bool {
        match element {
            Element::Bytes(bytes) => self.is_text(bytes),
            Element::Integer(integer) => self.is_integer(integer),
        }
    }

    /// Whether `bytes` are this text. Members of one collection often differ in their last byte alone, which so
    /// spares most of them a comparison of the whole.
    #[inline]
    pub(super) fn is_text(&self, bytes: &[u8]) -> bool {
        bytes.len() == self.text.len() && bytes.last() == self.text.last() && bytes == self.text
    }

    /// Whether this text spells `integer`.
    #[inline]
    pub(super) fn is_integer(&self, integer: i64) -> bool {
        self.integer == Some(integer)
    }
}

/// The integer that `text` spells, if it is spelled in the one way in which [`integer_text`] writes it: no plus sign,
/// no leading zero, no "-0", nothing around it.
pub fn canonical_integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() < INTEGER_TEXT_BYTES_MAX => {}
        _ => return None,
    }
    let mut value: u64 = 0; // 19 digits fit
    for &digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    if negative { 0i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}

/// The decimal text of `integer`.
pub fn integer_text(integer: i64, buffer: &mut [u8; INTEGER_TEXT_BYTES_MAX]) -> &[u8] {
    let mut rest = integer.unsigned_abs();
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if integer < 0 {
        at -= 1;
        buffer[at] = b'-';
    }
    &buffer[at..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_text_is_an_integer() {
        for integer in [0, 7, -1, 10, i64::MAX, i64::MIN, i64::MIN + 1, 999_999_999_999_999_999] {
            let text = integer.to_string();
            assert_eq!(canonical_integer(text.as_bytes()), Some(integer));
            assert_eq!(integer_text(integer, &mut [0; 20]), text.as_bytes());
            assert!(Element::Integer(integer).equals(text.as_bytes()));
        }
        let others: [&[u8]; 12] = [
            b"",
            b"-",
            b"-0",
            b"00",
            b"01",
            b"+1",
            b" 1",
            b"1 ",
            b"1a",
            b"9223372036854775808",
            b"-9223372036854775809",
            b"18446744073709551616",
        ];
        for other in others {
            assert_eq!(canonical_integer(other), None, "{}", String::from_utf8_lossy(other));
        }
    }
}
