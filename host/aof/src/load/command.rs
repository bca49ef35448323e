//! One command at a place in a file. Stricter than a connection: no inline requests, no empty ones; annotation lines
//! besides.
//!
//! Not the decoder of connections, which takes an annotation for an inline request and does not say where a request
//! began. Always: memory follows what the file holds, never what it claims.

use std::io;

use bytes::Bytes;
use tenon_resp::{LARGE_ARGUMENT_BYTES, OwnedArgs};

use crate::load::window::Window;
use crate::marker::ANNOTATION_BYTES_MAX;

/// A line with a number is never longer.
const NUMBER_LINE_BYTES_MAX: usize = 32;

/// What is at a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A command, now in the caller's arguments; the next one starts at `next`.
    Command { next: u64 },
    /// A line `#...`, to be skipped.
    Annotation { next: u64 },
    /// The end comes before the command is whole.
    Incomplete,
    /// Neither a command nor the beginning of one.
    Malformed { at: u64, finding: String },
}

enum Line {
    Number { value: u64, next: u64 },
    Incomplete,
    Malformed { at: u64, finding: String },
}

/// Reads what is at `at`, before `end`, into `args`.
pub(super) fn read(window: &mut Window, at: u64, end: u64, args: &mut OwnedArgs) -> io::Result<Found> {
    args.clear();
    if window.bytes(at, end, 1)?.first() == Some(&b'#') {
        return annotation(window, at, end);
    }
    let (count, mut at) = match number(window, at, end, b'*')? {
        Line::Number { value: 0, .. } => return Ok(malformed(at, "a command of no arguments")),
        Line::Number { value, next } => (value, next),
        Line::Incomplete => return Ok(Found::Incomplete),
        Line::Malformed { at, finding } => return Ok(Found::Malformed { at, finding }),
    };
    for _ in 0..count {
        let (length, body) = match number(window, at, end, b'$')? {
            Line::Number { value, next } => (value, next),
            Line::Incomplete => return Ok(Found::Incomplete),
            Line::Malformed { at, finding } => return Ok(Found::Malformed { at, finding }),
        };
        // As in Redis, the two bytes after an argument are skipped, not checked.
        let next = length.checked_add(2).and_then(|length| body.checked_add(length));
        let Some(next) = next.filter(|&next| next <= end) else { return Ok(Found::Incomplete) };
        let length = length as usize;
        if length >= LARGE_ARGUMENT_BYTES {
            args.push_large(Bytes::from(window.copy(body, length)?));
        } else {
            let bytes = window.bytes(body, end, length)?;
            match bytes.get(..length) {
                Some(bytes) => args.push(bytes),
                None => return Ok(Found::Incomplete),
            }
        }
        at = next;
    }
    Ok(Found::Command { next: at })
}

fn annotation(window: &mut Window, at: u64, end: u64) -> io::Result<Found> {
    let bytes = window.bytes(at, end, ANNOTATION_BYTES_MAX)?;
    let bytes = &bytes[..bytes.len().min(ANNOTATION_BYTES_MAX)];
    Ok(match bytes.iter().position(|&byte| byte == b'\n') {
        Some(line_end) => Found::Annotation { next: at + line_end as u64 + 1 },
        None if bytes.len() < ANNOTATION_BYTES_MAX => Found::Incomplete,
        None => malformed(at, "an annotation line that does not end"),
    })
}

/// A line of `prefix` and a number.
fn number(window: &mut Window, at: u64, end: u64, prefix: u8) -> io::Result<Line> {
    let bytes = window.bytes(at, end, NUMBER_LINE_BYTES_MAX)?;
    let bytes = &bytes[..bytes.len().min(NUMBER_LINE_BYTES_MAX)];
    let Some((&first, rest)) = bytes.split_first() else { return Ok(Line::Incomplete) };
    let unexpected = || Line::Malformed {
        at,
        finding: format!(
            "found '{}', expected '{}' and a number",
            bytes[..bytes.len().min(16)].escape_ascii(),
            char::from(prefix)
        ),
    };
    if first != prefix {
        return Ok(unexpected());
    }
    let Some(line_end) = rest.iter().position(|&byte| byte == b'\n') else {
        return Ok(if bytes.len() < NUMBER_LINE_BYTES_MAX && plausible(rest) {
            Line::Incomplete
        } else {
            unexpected()
        });
    };
    let digits = rest[..line_end].strip_suffix(b"\r").unwrap_or(&rest[..line_end]);
    let value = if digits.is_empty() {
        None
    } else {
        digits.iter().try_fold(0_u64, |value, &byte| {
            byte.is_ascii_digit().then(|| value.checked_mul(10)?.checked_add(u64::from(byte - b'0')))?
        })
    };
    Ok(match value {
        Some(value) => Line::Number { value, next: at + line_end as u64 + 2 },
        None => unexpected(),
    })
}

/// Whether a number's line may have been torn off here.
fn plausible(rest: &[u8]) -> bool {
    let digits = rest.strip_suffix(b"\r").unwrap_or(rest);
    digits.iter().all(u8::is_ascii_digit)
}

fn malformed(at: u64, finding: &str) -> Found {
    Found::Malformed { at, finding: finding.to_owned() }
}
