//! Entry IDs as clients write them: `ms-seq`, `ms` alone, `-`, `+`, and `(` before an ID that does not belong to its
//! range. Knows no stream.
//! Always: an ID as replies show it is read back as the same ID.

use tenon_keyspace::StreamId;
use tenon_resp::{Reply, parse_integer, parse_unsigned};

use crate::CommandError;

const INVALID: CommandError =
    CommandError::text("ERR Invalid stream ID specified as stream command argument");

/// Longer words are no IDs, whatever is in them (bytes).
const WORD_BYTES_MAX: usize = 127;

/// Which sequence number an ID has that tells none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    First,
    Last,
}

/// An ID for XADD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NewId {
    /// `*`: the clock's.
    Auto,
    /// `ms-*`: the next of this millisecond.
    AutoSequence(u64),
    /// Exactly this one.
    Exact(StreamId),
}

/// A whole ID, or milliseconds alone, which mean the first of that millisecond.
pub(super) fn parse_id(word: &[u8]) -> Result<StreamId, CommandError> {
    parse_exact(word, Missing::First)
}

/// An ID for XADD that is not `*`.
pub(super) fn parse_new_id(word: &[u8]) -> Result<NewId, CommandError> {
    match word.strip_suffix(b"-*") {
        // Without a `-` of its own: the first one divides.
        Some(ms) if !ms.contains(&b'-') && word.len() <= WORD_BYTES_MAX => {
            Ok(NewId::AutoSequence(parse_part(ms)?))
        }
        _ => parse_id(word).map(NewId::Exact),
    }
}

/// As `parse_id`, but `-` and `+` mean the first and the last ID of all.
pub(super) fn parse_any(word: &[u8], missing: Missing) -> Result<StreamId, CommandError> {
    match word {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        _ => parse_exact(word, missing),
    }
}

/// The first ID of a range.
pub(super) fn parse_start(word: &[u8]) -> Result<StreamId, CommandError> {
    const NONE: CommandError = CommandError::text("ERR invalid start ID for the interval");
    match excluded(word) {
        Some(id) => parse_exact(id, Missing::First)?.next().ok_or(NONE),
        None => parse_any(word, Missing::First),
    }
}

/// The last ID of a range.
pub(super) fn parse_end(word: &[u8]) -> Result<StreamId, CommandError> {
    const NONE: CommandError = CommandError::text("ERR invalid end ID for the interval");
    match excluded(word) {
        Some(id) => parse_exact(id, Missing::Last)?.previous().ok_or(NONE),
        None => parse_any(word, Missing::Last),
    }
}

/// Writes an ID as a string.
#[inline]
pub(super) fn write_id(reply: &mut Reply<'_>, id: StreamId) {
    reply.bulk(id.text().as_bytes());
}

fn excluded(word: &[u8]) -> Option<&[u8]> {
    word.strip_prefix(b"(").filter(|id| !id.is_empty())
}

fn parse_exact(word: &[u8], missing: Missing) -> Result<StreamId, CommandError> {
    if word.len() > WORD_BYTES_MAX {
        return Err(INVALID);
    }
    let Some(dash) = word.iter().position(|&byte| byte == b'-') else {
        let sequence = if missing == Missing::First { 0 } else { u64::MAX };
        return Ok(StreamId::new(parse_part(word)?, sequence));
    };
    Ok(StreamId::new(parse_part(&word[..dash])?, parse_part(&word[dash + 1..])?))
}

/// A number as Redis reads it here: strictly first, and else as C's `strtoull` does, which takes spaces and a sign
/// in front, leading zeros, and turns what is negative around.
fn parse_part(text: &[u8]) -> Result<u64, CommandError> {
    match parse_unsigned(text) {
        Some(number) => Ok(number),
        None => parse_loosely(text).ok_or(INVALID),
    }
}

fn parse_loosely(text: &[u8]) -> Option<u64> {
    // A number of 64 bits with its sign has been understood before, and is out of range if negative.
    if parse_integer(text).is_some() {
        return None;
    }
    let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0B;
    let start = text.iter().position(|byte| !is_space(byte))?;
    let (is_negative, digits) = match &text[start..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let number = digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })?;
    Some(if is_negative { number.wrapping_neg() } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn id(ms: u64, seq: u64) -> StreamId {
        StreamId::new(ms, seq)
    }

    #[test]
    fn ids_are_read_whole_or_without_a_sequence_number() {
        for (word, expected) in [
            ("0-0", id(0, 0)),
            ("5", id(5, 0)),
            ("5-7", id(5, 7)),
            ("18446744073709551615-18446744073709551615", StreamId::MAX),
            ("007-01", id(7, 1)),
            (" 7-+1", id(7, 1)),
            ("1--05", id(1, 5_u64.wrapping_neg())),
        ] {
            assert_eq!(parse_id(word.as_bytes()), Ok(expected), "{word}");
        }
        assert_eq!(parse_any(b"5", Missing::Last), Ok(id(5, u64::MAX)));
        let long = "0".repeat(128);
        for word in [
            "",
            "-",
            "+",
            "x",
            "1-",
            "-1",
            "1-x",
            "1--1",
            "1-2-3",
            "1 -1",
            "1-*",
            "18446744073709551616",
            &long,
        ] {
            assert_eq!(parse_id(word.as_bytes()), Err(INVALID), "{word}");
        }
    }

    #[test]
    fn a_new_id_may_leave_its_sequence_number_open() {
        assert_eq!(parse_new_id(b"5-*"), Ok(NewId::AutoSequence(5)));
        assert_eq!(parse_new_id(b"5-1"), Ok(NewId::Exact(id(5, 1))));
        for word in ["-*", "*-*", "1-1-*", "1-**"] {
            assert_eq!(parse_new_id(word.as_bytes()), Err(INVALID), "{word}");
        }
    }

    #[test]
    fn ranges_may_leave_out_their_ends() {
        assert_eq!(parse_start(b"-"), Ok(StreamId::MIN));
        assert_eq!(parse_end(b"+"), Ok(StreamId::MAX));
        assert_eq!(parse_start(b"5"), Ok(id(5, 0)));
        assert_eq!(parse_end(b"5"), Ok(id(5, u64::MAX)));
        assert_eq!(parse_start(b"(5"), Ok(id(5, 1)));
        assert_eq!(parse_start(b"(5-18446744073709551615"), Ok(id(6, 0)));
        assert_eq!(parse_end(b"(5"), Ok(id(5, u64::MAX - 1)));
        assert_eq!(parse_end(b"(5-0"), Ok(id(4, u64::MAX)));
        let refused = |result: Result<StreamId, CommandError>| result.unwrap_err().to_string();
        assert_eq!(
            refused(parse_start(b"(18446744073709551615-18446744073709551615")),
            "ERR invalid start ID for the interval"
        );
        assert_eq!(refused(parse_end(b"(0-0")), "ERR invalid end ID for the interval");
        for word in ["(", "(-", "(+", "((1"] {
            assert_eq!(parse_start(word.as_bytes()), Err(INVALID), "{word}");
        }
    }

    #[test]
    fn ids_are_read_as_they_are_shown() {
        for id in [StreamId::MIN, id(5, 7), id(1_700_000_000_000, 12), StreamId::MAX] {
            assert_eq!(parse_id(id.text().as_bytes()), Ok(id));
        }
    }
}
