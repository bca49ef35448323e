//! Decodes one request that lies whole in memory: the quick path, spans only.
//!
//! Keeps no state: a request that is not all there yet is `Incomplete` and becomes the business of `partial`.
//! Always: what is accepted here is what `partial` accepts, byte for byte.

use bytes::Bytes;

use crate::decoder::Limits;
use crate::header::{argument_count, bulk_length, check_argument_count, check_bulk_length};
use crate::inline::split_words;
use crate::protocol_error::ProtocolError;
use crate::request::{LARGE_ARGUMENT_BYTES, Span};

/// What was found at a position.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Scan {
    /// A request; the next one starts at `next`.
    Request { next: usize },
    /// An empty line or an empty array: nothing to do, the next one starts at `next`.
    Empty { next: usize },
    /// The end is not there yet. Spans may have been appended: the caller takes them back.
    Incomplete,
}

/// Decodes the request at `start` (below the end of `bytes`), appending its spans.
#[inline]
pub(crate) fn scan_request(
    bytes: &[u8],
    start: usize,
    limits: &Limits,
    spans: &mut Vec<Span>,
    large: &mut Vec<Bytes>,
) -> Result<Scan, ProtocolError> {
    if bytes[start] != b'*' {
        return scan_inline(bytes, start, limits, spans, large);
    }
    let (count, mut at) = match quick_number(bytes, start + 1) {
        Some((count, next)) => (check_argument_count(count, limits)?, next),
        None => match line(bytes, start, limits, ProtocolError::TooBigMultibulkCount)? {
            Some((line, next)) => (argument_count(&line[1..], limits)?, next),
            None => return Ok(Scan::Incomplete),
        },
    };
    if count == 0 {
        return Ok(Scan::Empty { next: at });
    }
    for _ in 0..count {
        let Some((length, body)) = scan_bulk_header(bytes, at, limits)? else { return Ok(Scan::Incomplete) };
        let Some(rest) = bytes.len().checked_sub(body).filter(|&rest| rest >= 2 && rest - 2 >= length) else {
            return Ok(Scan::Incomplete);
        };
        debug_assert!(rest >= length);
        if length >= LARGE_ARGUMENT_BYTES {
            spans.push(Span::large(large.len()));
            large.push(Bytes::copy_from_slice(&bytes[body..body + length]));
        } else {
            spans.push(Span::plain(body, length));
        }
        // As in Redis, the two bytes after an argument are skipped, not checked.
        at = body + length + 2;
    }
    Ok(Scan::Request { next: at })
}

/// The length of the argument whose header is at `at`, and where its bytes start.
#[inline]
fn scan_bulk_header(
    bytes: &[u8],
    at: usize,
    limits: &Limits,
) -> Result<Option<(usize, usize)>, ProtocolError> {
    if bytes.get(at) == Some(&b'$')
        && let Some((length, body)) = quick_number(bytes, at + 1)
    {
        return Ok(Some((check_bulk_length(length, limits)?, body)));
    }
    match line(bytes, at, limits, ProtocolError::TooBigBulkCount)? {
        Some((line, body)) => Ok(Some((bulk_length(line, limits)?, body))),
        None => Ok(None),
    }
}

/// A canonical number of at most nine digits and the position behind its line end; everything else (signs, leading
/// zeros, long, cut off) is for the slow way.
#[inline]
pub(crate) fn quick_number(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let window = &bytes[at.min(bytes.len())..];
    let mut value = 0_i64;
    for (index, &byte) in window.iter().take(10).enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            let canonical = index == 1 || (index > 1 && window[0] != b'0');
            return (byte == b'\r' && canonical && index + 1 < window.len())
                .then_some((value, at + index + 2));
        }
        value = value * 10 + i64::from(digit);
    }
    None
}

/// The line at `start` up to its `\r`, and the position two behind that; `None` if it has not ended yet.
#[cold]
fn line<'a>(
    bytes: &'a [u8],
    start: usize,
    limits: &Limits,
    too_big: ProtocolError,
) -> Result<Option<(&'a [u8], usize)>, ProtocolError> {
    let rest = &bytes[start..];
    let end = rest.iter().position(|&byte| byte == b'\r');
    // Also where the end is at hand: whether a line is too long must not depend on how it arrived.
    if end.unwrap_or(rest.len()) > limits.inline_bytes_max {
        return Err(too_big);
    }
    Ok(end.filter(|end| end + 1 < rest.len()).map(|end| (&rest[..end], start + end + 2)))
}

#[cold]
fn scan_inline(
    bytes: &[u8],
    start: usize,
    limits: &Limits,
    spans: &mut Vec<Span>,
    large: &mut Vec<Bytes>,
) -> Result<Scan, ProtocolError> {
    let rest = &bytes[start..];
    let end = rest.iter().position(|&byte| byte == b'\n');
    if end.unwrap_or(rest.len()) > limits.inline_bytes_max {
        return Err(ProtocolError::TooBigInline);
    }
    let Some(end) = end else { return Ok(Scan::Incomplete) };
    let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
    let before = spans.len();
    split_words(line, start, spans, large)?;
    let next = start + end + 1;
    Ok(if spans.len() == before { Scan::Empty { next } } else { Scan::Request { next } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_numbers_are_canonical() {
        type Case = (&'static [u8], Option<(i64, usize)>);
        let cases: [Case; 9] = [
            (b"3\r\n", Some((3, 3))),
            (b"0\r\n", Some((0, 3))),
            (b"123456789\r\n", Some((123_456_789, 11))),
            (b"1234567890\r\n", None),
            (b"03\r\n", None),
            (b"-1\r\n", None),
            (b"3\r", None),
            (b"\r\n", None),
            (b"", None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(quick_number(bytes, 0), expected, "{}", bytes.escape_ascii());
        }
    }
}
