//! Reads replies, RESP2 and RESP3, into values: for clients of a server, that is tests, benchmarks and replicas.
//!
//! Not on the serving path: it allocates what it reads.
//! Always: depth and memory are bounded by what has arrived, whatever a reply claims.

use std::fmt;

use crate::double::parse_double;
use crate::number::parse_integer;
use crate::value::Value;

/// How deep replies may nest.
const DEPTH_MAX: usize = 32;
/// The longest line, and the longest string (bytes).
const LINE_BYTES_MAX: usize = 64 * 1024;
const BULK_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Why bytes are no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyError {
    /// A reply starts with this byte, which is no type.
    UnknownType(u8),
    /// A number, a length or a line end is malformed.
    Malformed,
    /// Deeper, longer or larger than is accepted.
    TooLarge,
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType(byte) => write!(f, "unknown reply type '{}'", byte.escape_ascii()),
            Self::Malformed => f.write_str("malformed reply"),
            Self::TooLarge => f.write_str("reply too large or nested too deeply"),
        }
    }
}

impl std::error::Error for ReplyError {}

/// Cuts a stream of bytes into replies.
#[derive(Debug, Default)]
pub struct ReplyDecoder {
    buffer: Vec<u8>,
    start: usize,
    /// Below this many bytes from `start` on, trying again is futile.
    needed: usize,
}

impl ReplyDecoder {
    /// A decoder at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes that arrived.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.start * 2 >= self.buffer.len() {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole reply, if it is there. After an error the stream is lost.
    ///
    /// # Errors
    /// See `ReplyError`.
    pub fn next_reply(&mut self) -> Result<Option<Value>, ReplyError> {
        let bytes = &self.buffer[self.start..];
        if bytes.len() < self.needed {
            return Ok(None);
        }
        let mut reader = Reader { bytes, at: 0 };
        match reader.value(0) {
            Ok(value) => {
                self.start += reader.at;
                self.needed = 0;
                Ok(Some(value))
            }
            Err(Stop::Incomplete) => {
                // A reply is read again from its start, but not before the bytes known to be missing are there.
                self.needed = reader.at.max(bytes.len() + 1);
                Ok(None)
            }
            Err(Stop::Failed(error)) => Err(error),
        }
    }
}

enum Stop {
    Incomplete,
    Failed(ReplyError),
}

impl From<ReplyError> for Stop {
    fn from(error: ReplyError) -> Self {
        Stop::Failed(error)
    }
}

/// Reads from a prefix of the stream. Where that ends too early, `at` is the least length known to be needed.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<Value, Stop> {
        if depth > DEPTH_MAX {
            return Err(ReplyError::TooLarge.into());
        }
        let Some(&kind) = self.bytes.get(self.at) else {
            self.at += 1;
            return Err(Stop::Incomplete);
        };
        if !b"+-:$*_#,(!=%~>|".contains(&kind) {
            return Err(ReplyError::UnknownType(kind).into());
        }
        self.at += 1;
        let line = self.line()?;
        let length = || parse_integer(line).ok_or(Stop::Failed(ReplyError::Malformed));
        Ok(match kind {
            b'+' => Value::Simple(line.to_vec()),
            b'-' => Value::Error(line.to_vec()),
            b':' => Value::Integer(
                parse_integer(line.strip_prefix(b"+").unwrap_or(line)).ok_or(ReplyError::Malformed)?,
            ),
            b'_' if line.is_empty() => Value::Null,
            b'#' if line == b"t" => Value::Boolean(true),
            b'#' if line == b"f" => Value::Boolean(false),
            b',' => Value::Double(double(line).ok_or(ReplyError::Malformed)?),
            b'(' if is_decimal(line) => Value::BigNumber(line.to_vec()),
            b'$' if line == b"-1" => Value::Null,
            b'*' if line == b"-1" => Value::NullArray,
            b'$' => Value::Bulk(self.text(length()?)?.to_vec()),
            b'!' => Value::Error(self.text(length()?)?.to_vec()),
            b'=' => match self.text(length()?)? {
                &[a, b, c, b':', ref text @ ..] => Value::Verbatim([a, b, c], text.to_vec()),
                _ => return Err(ReplyError::Malformed.into()),
            },
            b'*' => Value::Array(self.elements(length()?, depth)?),
            b'~' => Value::Set(self.elements(length()?, depth)?),
            b'>' => Value::Push(self.elements(length()?, depth)?),
            b'%' => Value::Map(self.pairs(length()?, depth)?),
            b'|' => {
                let attribute = self.pairs(length()?, depth)?;
                Value::Attribute(attribute, Box::new(self.value(depth + 1)?))
            }
            _ => return Err(ReplyError::Malformed.into()),
        })
    }

    fn elements(&mut self, count: i64, depth: usize) -> Result<Vec<Value>, Stop> {
        let count = usize::try_from(count).map_err(|_| ReplyError::Malformed)?;
        let mut elements = Vec::with_capacity(count.min(64));
        for _ in 0..count {
            elements.push(self.value(depth + 1)?);
        }
        Ok(elements)
    }

    fn pairs(&mut self, count: i64, depth: usize) -> Result<Vec<(Value, Value)>, Stop> {
        let count = usize::try_from(count).map_err(|_| ReplyError::Malformed)?;
        let mut pairs = Vec::with_capacity(count.min(64));
        for _ in 0..count {
            pairs.push((self.value(depth + 1)?, self.value(depth + 1)?));
        }
        Ok(pairs)
    }
}

impl<'a> Reader<'a> {
    /// The line from here on, without its end.
    fn line(&mut self) -> Result<&'a [u8], Stop> {
        let rest = &self.bytes[self.at..];
        match rest.iter().position(|&byte| byte == b'\n') {
            Some(end) if end > 0 && rest[end - 1] == b'\r' => {
                self.at += end + 1;
                Ok(&rest[..end - 1])
            }
            Some(_) => Err(ReplyError::Malformed.into()),
            None if rest.len() > LINE_BYTES_MAX => Err(ReplyError::TooLarge.into()),
            None => {
                self.at = self.bytes.len() + 1;
                Err(Stop::Incomplete)
            }
        }
    }

    /// A string of `length` bytes and its line end.
    fn text(&mut self, length: i64) -> Result<&'a [u8], Stop> {
        let length = usize::try_from(length).map_err(|_| ReplyError::Malformed)?;
        if length > BULK_BYTES_MAX {
            return Err(ReplyError::TooLarge.into());
        }
        let start = self.at;
        self.at += length + 2;
        let Some(text) = self.bytes.get(start..self.at) else { return Err(Stop::Incomplete) };
        text.strip_suffix(b"\r\n").ok_or(Stop::Failed(ReplyError::Malformed))
    }
}

/// A RESP3 double; unlike a score it may be no number.
fn double(line: &[u8]) -> Option<f64> {
    if line.eq_ignore_ascii_case(b"nan") { Some(f64::NAN) } else { parse_double(line) }
}

fn is_decimal(line: &[u8]) -> bool {
    let digits = line.strip_prefix(b"-").unwrap_or(line);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::{Proto, Reply};

    fn decode(bytes: &[u8]) -> Result<Option<Value>, ReplyError> {
        let mut decoder = ReplyDecoder::new();
        decoder.feed(bytes);
        decoder.next_reply()
    }

    fn sample() -> Vec<u8> {
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, Proto::Resp3);
        reply.attribute(1);
        reply.simple("ttl");
        reply.integer(-7);
        reply.map(2);
        reply.bulk(b"a\r\nb");
        reply.array(3);
        reply.null();
        reply.boolean(true);
        reply.double(2.5);
        reply.verbatim(b"txt", b"hello");
        reply.set(2);
        reply.big_number("-123456789012345678901234567890");
        reply.error("ERR no");
        reply.push(1);
        reply.bulk(b"");
        reply.raw(b"*-1\r\n$-1\r\n!3\r\nERR\r\n:+5\r\n");
        out
    }

    fn sample_values() -> Vec<Value> {
        vec![
            Value::Attribute(
                vec![(Value::Simple(b"ttl".to_vec()), Value::Integer(-7))],
                Box::new(Value::Map(vec![
                    (
                        Value::Bulk(b"a\r\nb".to_vec()),
                        Value::Array(vec![Value::Null, Value::Boolean(true), Value::Double(2.5)]),
                    ),
                    (
                        Value::Verbatim(*b"txt", b"hello".to_vec()),
                        Value::Set(vec![
                            Value::BigNumber(b"-123456789012345678901234567890".to_vec()),
                            Value::Error(b"ERR no".to_vec()),
                        ]),
                    ),
                ])),
            ),
            Value::Push(vec![Value::Bulk(Vec::new())]),
            Value::NullArray,
            Value::Null,
            Value::Error(b"ERR".to_vec()),
            Value::Integer(5),
        ]
    }

    #[test]
    fn replies_come_out_the_same_however_they_arrive() {
        let bytes = sample();
        for size in 1..=bytes.len() {
            let mut decoder = ReplyDecoder::new();
            let mut values = Vec::new();
            for chunk in bytes.chunks(size) {
                decoder.feed(chunk);
                while let Some(value) = decoder.next_reply().unwrap() {
                    values.push(value);
                }
            }
            assert_eq!(values, sample_values(), "in pieces of {size}");
        }
    }

    #[test]
    fn malformed_replies_are_refused() {
        let cases: &[(&[u8], ReplyError)] = &[
            (b"?\r\n", ReplyError::UnknownType(b'?')),
            (b":x\r\n", ReplyError::Malformed),
            (b"$-2\r\n", ReplyError::Malformed),
            (b"$3\r\nabcd\r\n", ReplyError::Malformed),
            (b"*-2\r\n", ReplyError::Malformed),
            (b"#x\r\n", ReplyError::Malformed),
            (b"=3\r\ntxt\r\n", ReplyError::Malformed),
            (b"$536870913\r\n", ReplyError::TooLarge),
        ];
        for (bytes, error) in cases {
            assert_eq!(decode(bytes), Err(*error), "{}", bytes.escape_ascii());
        }
        assert_eq!(decode(&b"*1\r\n".repeat(DEPTH_MAX + 2)), Err(ReplyError::TooLarge));
        assert_eq!(decode(b"*1000000000\r\n:1\r\n"), Ok(None));
    }

    #[test]
    fn mutated_replies_never_panic() {
        let mut state = 7_u64;
        let mut random = move |bound: usize| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (state >> 33) as usize % bound
        };
        for _ in 0..20_000 {
            let mut bytes = sample();
            for _ in 0..1 + random(4) {
                let at = random(bytes.len());
                bytes[at] =
                    if random(2) == 0 { random(256) as u8 } else { b"0123456789\r\n$*%-"[random(16)] };
            }
            let mut decoder = ReplyDecoder::new();
            decoder.feed(&bytes);
            while let Ok(Some(_)) = decoder.next_reply() {}
        }
    }
}
