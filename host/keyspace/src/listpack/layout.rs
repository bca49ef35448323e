//! The bytes of one entry: its encoding, and behind it the length of that encoding, written so that it reads
//! backwards. Integers take 1 to 9 bytes, strings a head of 1, 2 or 5 bytes. Decoding trusts its bytes;
//! [`checked_size`] is for those that nobody has looked at yet.

use super::element::{Element, Needle, canonical_integer};

const STRING_6: u8 = 0x80;
const INTEGER_13: u8 = 0xC0;
const STRING_12: u8 = 0xE0;
const STRING_32: u8 = 0xF0;
const INTEGER_16: u8 = 0xF1;
const INTEGER_24: u8 = 0xF2;
const INTEGER_32: u8 = 0xF3;
const INTEGER_64: u8 = 0xF4;

/// An element ready to be written.
pub(super) struct Encoded<'a> {
    head: [u8; 9],
    head_bytes: u8,
    payload: &'a [u8],
}

impl<'a> Encoded<'a> {
    pub(super) fn of(element: Element<'a>) -> Encoded<'a> {
        match element {
            Element::Integer(integer) => Encoded::of_integer(integer),
            Element::Bytes(bytes) => match canonical_integer(bytes) {
                Some(integer) => Encoded::of_integer(integer),
                None => Encoded::of_string(bytes),
            },
        }
    }

    fn of_integer(integer: i64) -> Encoded<'a> {
        let [b0, b1, b2, b3, b4, b5, b6, b7] = integer.to_le_bytes();
        let (head, head_bytes) = match integer {
            0..=127 => ([b0, 0, 0, 0, 0, 0, 0, 0, 0], 1),
            -4_096..=4_095 => ([INTEGER_13 | (b1 & 0x1F), b0, 0, 0, 0, 0, 0, 0, 0], 2),
            -32_768..=32_767 => ([INTEGER_16, b0, b1, 0, 0, 0, 0, 0, 0], 3),
            -8_388_608..=8_388_607 => ([INTEGER_24, b0, b1, b2, 0, 0, 0, 0, 0], 4),
            -2_147_483_648..=2_147_483_647 => ([INTEGER_32, b0, b1, b2, b3, 0, 0, 0, 0], 5),
            _ => ([INTEGER_64, b0, b1, b2, b3, b4, b5, b6, b7], 9),
        };
        Encoded { head, head_bytes, payload: &[] }
    }

    fn of_string(payload: &'a [u8]) -> Encoded<'a> {
        let length = u32::try_from(payload.len()).expect("callers keep longer elements elsewhere");
        let [b0, b1, b2, b3] = length.to_le_bytes();
        let (head, head_bytes) = match length {
            0..=63 => ([STRING_6 | b0, 0, 0, 0, 0, 0, 0, 0, 0], 1),
            64..=4_095 => ([STRING_12 | b1, b0, 0, 0, 0, 0, 0, 0, 0], 2),
            _ => ([STRING_32, b0, b1, b2, b3, 0, 0, 0, 0], 5),
        };
        Encoded { head, head_bytes, payload }
    }

    /// The bytes of the whole entry.
    pub(super) fn entry_bytes(&self) -> usize {
        let size = self.size();
        size + back_length_bytes(size)
    }

    /// Writes the entry into `target`, which must be exactly [`Encoded::entry_bytes`] long.
    pub(super) fn write(&self, target: &mut [u8]) {
        let head_bytes = usize::from(self.head_bytes);
        let size = self.size();
        target[..head_bytes].copy_from_slice(&self.head[..head_bytes]);
        target[head_bytes..size].copy_from_slice(self.payload);
        write_back_length(&mut target[size..], size);
    }

    fn size(&self) -> usize {
        usize::from(self.head_bytes) + self.payload.len()
    }
}

/// The element with which `bytes` begin, and the size of its encoding (without the back length).
#[inline]
pub(super) fn decode(bytes: &[u8]) -> (Element<'_>, usize) {
    let first = bytes[0];
    let string = |head: usize, length: usize| (Element::Bytes(&bytes[head..head + length]), head + length);
    let integer = |value: i64, size: usize| (Element::Integer(value), size);
    match first {
        0x00..0x80 => integer(i64::from(first), 1),
        STRING_6..INTEGER_13 => string(1, usize::from(first & 0x3F)),
        INTEGER_13..STRING_12 => {
            let raw = u16::from_be_bytes([first & 0x1F, bytes[1]]);
            integer(i64::from(((raw << 3) as i16) >> 3), 2)
        }
        STRING_12..STRING_32 => string(2, usize::from(u16::from_be_bytes([first & 0x0F, bytes[1]]))),
        STRING_32 => string(5, read_u32(&bytes[1..5]) as usize),
        INTEGER_16 => integer(i64::from(i16::from_le_bytes([bytes[1], bytes[2]])), 3),
        INTEGER_24 => integer(i64::from(i32::from_le_bytes([0, bytes[1], bytes[2], bytes[3]]) >> 8), 4),
        INTEGER_32 => integer(i64::from(read_u32(&bytes[1..5]) as i32), 5),
        INTEGER_64 => integer(i64::from_le_bytes(bytes[1..9].try_into().expect("eight bytes")), 9),
        _ => unreachable!("no entry begins with {first:#04x}: the bytes were checked when they came in"),
    }
}

/// The bytes of the whole entry with which `bytes` begin.
#[inline]
pub(super) fn entry_bytes(bytes: &[u8]) -> usize {
    match bytes[0] {
        0x00..0x80 => 2,
        first @ STRING_6..INTEGER_13 => 2 + usize::from(first & 0x3F),
        INTEGER_13..STRING_12 => 3,
        INTEGER_16 => 4,
        INTEGER_24 => 5,
        INTEGER_32 => 6,
        INTEGER_64 => 10,
        _ => whole_bytes(decode(bytes).1),
    }
}

/// The bytes of the whole entry whose encoding has this size.
#[inline]
pub(super) fn whole_bytes(size: usize) -> usize {
    size + back_length_bytes(size)
}

/// Whether `bytes` begin with an entry that is the needle, and the bytes of that entry.
#[inline]
pub(super) fn compare(bytes: &[u8], needle: &Needle<'_>) -> (bool, usize) {
    match bytes[0] {
        first @ 0x00..0x80 => (needle.is_integer(i64::from(first)), 2),
        first @ STRING_6..INTEGER_13 => {
            let end = 1 + usize::from(first & 0x3F);
            (needle.is_text(&bytes[1..end]), end + 1)
        }
        _ => {
            let (element, size) = decode(bytes);
            (needle.matches(element), whole_bytes(size))
        }
    }
}

/// The bytes of the whole entry that ends where `bytes` end. They must hold one.
#[inline]
pub(super) fn entry_bytes_before(bytes: &[u8]) -> usize {
    let mut size = 0;
    for (position, &byte) in bytes.iter().rev().take(5).enumerate() {
        size |= usize::from(byte & 0x7F) << (7 * position);
        if byte < 0x80 {
            break;
        }
    }
    size + back_length_bytes(size)
}

/// The bytes of the entry with which `bytes` begin, if a whole and sound entry is there.
pub(super) fn checked_size(bytes: &[u8]) -> Option<usize> {
    let first = *bytes.first()?;
    let size = match first {
        0x00..0x80 => 1,
        STRING_6..INTEGER_13 => 1 + usize::from(first & 0x3F),
        INTEGER_13..STRING_12 => 2,
        STRING_12..STRING_32 => 2 + usize::from(u16::from_be_bytes([first & 0x0F, *bytes.get(1)?])),
        STRING_32 => 5 + read_u32(bytes.get(1..5)?) as usize,
        INTEGER_16 => 3,
        INTEGER_24 => 4,
        INTEGER_32 => 5,
        INTEGER_64 => 9,
        _ => return None,
    };
    let back_bytes = back_length_bytes(size);
    let mut expected = [0; 5];
    write_back_length(&mut expected[..back_bytes], size);
    let found = bytes.get(size..size + back_bytes)?;
    (found == &expected[..back_bytes]).then_some(size + back_bytes)
}

// The bounds are those of the format as it is written everywhere: the last value of a width takes the next.
#[inline]
fn back_length_bytes(size: usize) -> usize {
    match size {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

/// Fills `target` with `size`, seven bits to a byte, highest first; all but the first byte are marked.
fn write_back_length(target: &mut [u8], size: usize) {
    let mut rest = size;
    for byte in target[1..].iter_mut().rev() {
        *byte = 0x80 | (rest & 0x7F) as u8;
        rest >>= 7;
    }
    target[0] = rest as u8;
}

fn read_u32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("four bytes"))
}
