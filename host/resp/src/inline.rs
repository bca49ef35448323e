//! Inline requests: one line of words as people type them into telnet, with quotes and escapes.
//!
//! Words without quotes are spans of the line; words with quotes own their bytes.
//! A NUL is a byte like any other here (Redis's C strings end at it).

use bytes::Bytes;

use crate::protocol_error::ProtocolError;
use crate::request::{LARGE_ARGUMENT_BYTES, Span};

/// Splits `line` (its end already cut off), which starts at `offset` of its buffer, into words.
pub(crate) fn split_words(
    line: &[u8],
    offset: usize,
    spans: &mut Vec<Span>,
    large: &mut Vec<Bytes>,
) -> Result<(), ProtocolError> {
    let mut at = 0;
    loop {
        while line.get(at).copied().is_some_and(is_space) {
            at += 1;
        }
        if at == line.len() {
            return Ok(());
        }
        let start = at;
        while line.get(at).is_some_and(|&byte| !ends_word(byte) && byte != b'"' && byte != b'\'') {
            at += 1;
        }
        let quoted = line.get(at).is_some_and(|&byte| !ends_word(byte));
        if !quoted && at - start < LARGE_ARGUMENT_BYTES {
            spans.push(Span::plain(offset + start, at - start));
            continue;
        }
        let mut word = line[start..at].to_vec();
        if quoted {
            at = read_quoted_word(line, at, &mut word)?;
        }
        spans.push(Span::large(large.len()));
        large.push(Bytes::from(word));
    }
}

/// Reads on from a quote to the word's end; returns where that is. After a closing quote a word is over.
fn read_quoted_word(line: &[u8], mut at: usize, word: &mut Vec<u8>) -> Result<usize, ProtocolError> {
    let quote = line[at];
    at += 1;
    loop {
        match (quote, line.get(at)) {
            (_, None) => return Err(ProtocolError::UnbalancedQuotes),
            (_, Some(&byte)) if byte == quote => {
                at += 1;
                return match line.get(at) {
                    Some(&next) if !is_space(next) => Err(ProtocolError::UnbalancedQuotes),
                    _ => Ok(at),
                };
            }
            (b'"', Some(b'\\')) if at + 1 < line.len() => {
                let (byte, len) = unescape(&line[at + 1..]);
                word.push(byte);
                at += 1 + len;
            }
            (b'\'', Some(b'\\')) if line.get(at + 1) == Some(&b'\'') => {
                word.push(b'\'');
                at += 2;
            }
            (_, Some(&byte)) => {
                word.push(byte);
                at += 1;
            }
        }
    }
}

/// The byte meant by what follows a backslash, and how many bytes say so.
fn unescape(escape: &[u8]) -> (u8, usize) {
    let hex = |digit: u8| (digit as char).to_digit(16).map(|value| value as u8);
    if let [b'x', high, low, ..] = *escape
        && let (Some(high), Some(low)) = (hex(high), hex(low))
    {
        return (high * 16 + low, 3);
    }
    let byte = match escape[0] {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    };
    (byte, 1)
}

/// C's `isspace`.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// What ends a word without quotes: fewer than what may stand between words, as in Redis.
fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Args;

    fn words(line: &[u8]) -> Result<Vec<Vec<u8>>, ProtocolError> {
        let (mut spans, mut large) = (Vec::new(), Vec::new());
        split_words(line, 0, &mut spans, &mut large)?;
        Ok(Args::new(line, &spans, &large).iter().map(<[u8]>::to_vec).collect())
    }

    #[test]
    fn words_quotes_and_escapes() {
        let cases: &[(&[u8], &[&[u8]])] = &[
            (b"", &[]),
            (b"  \t ", &[]),
            (b"PING", &[b"PING"]),
            (b" set  k\tv ", &[b"set", b"k", b"v"]),
            (b"set k \"a b\"", &[b"set", b"k", b"a b"]),
            (b"\"\\x41\\xfF\\x4\\n\\r\\t\\b\\a\\\"\\q\"", &[b"A\xffx4\n\r\t\x08\x07\"q"]),
            (b"'it\\'s \\n' ''", &[b"it's \\n", b""]),
            (b"ab\"c d\" e", &[b"abc d", b"e"]),
            (b"a\x0bb \x0bc", &[b"a\x0bb", b"c"]),
        ];
        for (line, expected) in cases {
            let found = words(line).unwrap();
            assert_eq!(found, *expected, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn quotes_must_close_at_a_words_end() {
        for line in [&b"\"abc"[..], b"'abc", b"\"a\"b", b"'a'b", b"\"a\\", b"'a\\'", b"x \"", b"\"a\"\"b\""] {
            assert_eq!(words(line), Err(ProtocolError::UnbalancedQuotes), "{}", line.escape_ascii());
        }
    }
}
