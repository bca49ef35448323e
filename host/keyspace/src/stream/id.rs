//! The ids of stream entries: a time in milliseconds and a number within it. How a command spells one that is
//! not complete (`5`, `5-*`, `(5-1`, `$`) is for the command to say.

use std::fmt;

use crate::listpack::{INTEGER_TEXT_BYTES_MAX, integer_text};
use crate::ordered::Weighed;

/// The id of an entry. Ordered by time, then by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// The time of the entry in unix milliseconds, by whoever chose the id.
    pub milliseconds: u64,
    /// Its number among the entries of that time.
    pub sequence: u64,
}

/// The longest text of an id: two numbers of twenty digits and a dash.
const TEXT_BYTES_MAX: usize = 2 * INTEGER_TEXT_BYTES_MAX + 1;

impl StreamId {
    /// `0-0`, which no entry has: below all of them.
    pub const MIN: StreamId = StreamId::new(0, 0);
    /// The last id that there can be.
    pub const MAX: StreamId = StreamId::new(u64::MAX, u64::MAX);
    /// Bytes of [`StreamId::to_bytes`].
    pub const BYTES: usize = 16;

    /// The id of these two numbers.
    pub const fn new(milliseconds: u64, sequence: u64) -> StreamId {
        StreamId { milliseconds, sequence }
    }

    /// The id right behind this one; None behind [`StreamId::MAX`].
    pub const fn next(self) -> Option<StreamId> {
        match (self.milliseconds, self.sequence) {
            (u64::MAX, u64::MAX) => None,
            (milliseconds, u64::MAX) => Some(StreamId::new(milliseconds + 1, 0)),
            (milliseconds, sequence) => Some(StreamId::new(milliseconds, sequence + 1)),
        }
    }

    /// The id right before this one; None before [`StreamId::MIN`].
    pub const fn previous(self) -> Option<StreamId> {
        match (self.milliseconds, self.sequence) {
            (0, 0) => None,
            (milliseconds, 0) => Some(StreamId::new(milliseconds - 1, u64::MAX)),
            (milliseconds, sequence) => Some(StreamId::new(milliseconds, sequence - 1)),
        }
    }

    /// Both numbers, highest byte first, as files carry ids: ordered as the ids are.
    pub fn to_bytes(self) -> [u8; StreamId::BYTES] {
        let number = u128::from(self.milliseconds) << 64 | u128::from(self.sequence);
        number.to_be_bytes()
    }

    /// The id of such bytes.
    pub fn from_bytes(bytes: [u8; StreamId::BYTES]) -> StreamId {
        let number = u128::from_be_bytes(bytes);
        StreamId::new((number >> 64) as u64, number as u64)
    }

    /// The id as clients are told it, without an allocation.
    pub fn text(self) -> StreamIdText {
        let mut text = StreamIdText { bytes: [0; TEXT_BYTES_MAX], length: 0 };
        text.push_number(self.milliseconds);
        text.push(b"-");
        text.push_number(self.sequence);
        text
    }

    /// The id that lies this far from `self`, as entries of a node lie from its first. Wraps, as Redis does.
    pub(super) fn plus(self, milliseconds: i64, sequence: i64) -> StreamId {
        StreamId {
            milliseconds: self.milliseconds.wrapping_add(milliseconds as u64),
            sequence: self.sequence.wrapping_add(sequence as u64),
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.milliseconds, self.sequence)
    }
}

impl Weighed for StreamId {
    fn heap_bytes(&self) -> usize {
        0
    }
}

/// The text of an id: `MILLISECONDS-SEQUENCE`.
#[derive(Clone, Copy, Debug)]
pub struct StreamIdText {
    bytes: [u8; TEXT_BYTES_MAX],
    length: u8,
}

impl StreamIdText {
    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    fn push(&mut self, part: &[u8]) {
        let start = usize::from(self.length);
        self.bytes[start..start + part.len()].copy_from_slice(part);
        self.length += part.len() as u8;
    }

    fn push_number(&mut self, number: u64) {
        let mut buffer = [0; INTEGER_TEXT_BYTES_MAX];
        if let Ok(signed) = i64::try_from(number) {
            return self.push(integer_text(signed, &mut buffer));
        }
        // The upper half of the numbers: all but the last digit fit an i64.
        self.push(integer_text((number / 10) as i64, &mut buffer));
        self.push(&[b'0' + (number % 10) as u8]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_carry_over_between_the_two_numbers() {
        assert_eq!(StreamId::new(5, u64::MAX).next(), Some(StreamId::new(6, 0)));
        assert_eq!(StreamId::new(6, 0).previous(), Some(StreamId::new(5, u64::MAX)));
        assert_eq!(StreamId::MAX.next(), None);
        assert_eq!(StreamId::MIN.previous(), None);
        assert_eq!(StreamId::MIN.next().and_then(StreamId::previous), Some(StreamId::MIN));
    }

    #[test]
    fn bytes_are_ordered_as_ids_are_and_texts_are_exact() {
        let ids = [(0, 0), (0, 1), (0, u64::MAX), (1, 0), (1 << 63, 3), (u64::MAX, u64::MAX)]
            .map(|(milliseconds, sequence)| StreamId::new(milliseconds, sequence));
        assert!(ids.is_sorted() && ids.map(StreamId::to_bytes).is_sorted());
        for id in ids {
            assert_eq!(StreamId::from_bytes(id.to_bytes()), id);
            assert_eq!(id.text().as_bytes(), id.to_string().as_bytes());
        }
    }
}
