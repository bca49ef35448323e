//! Replies of RESP2 and RESP3 as trees that keep every byte that matters: two trees are equal when the bytes were.
//! Also how a reply is looked at when bytes may differ: sorted, as numbers, by its shape.

use std::fmt;
use std::io::{self, BufRead, Error, ErrorKind};

const BULK_MAX: usize = 64 * 1024 * 1024;
const DEPTH_MAX: usize = 32;

/// One reply. Texts of lines are kept as they came.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reply {
    /// `+`, `-`, `:`, `,`, `#`, `(` and the text behind it.
    Line(u8, Vec<u8>),
    /// `$`, `=` or `!`.
    Bulk(u8, Vec<u8>),
    /// `$-1`, `*-1` or `_`, by its first byte.
    Nil(u8),
    /// `*`, `~`, `%` or `>`; a map is keys and values in turn.
    Many(u8, Vec<Reply>),
}

impl Reply {
    pub(super) fn is_error(&self) -> bool {
        matches!(self, Reply::Line(b'-', _) | Reply::Bulk(b'!', _))
    }

    /// The elements of an aggregate, none of anything else.
    pub(super) fn elements(&self) -> &[Reply] {
        match self {
            Reply::Many(_, elements) => elements,
            _ => &[],
        }
    }

    /// The bytes of a line or a bulk string, none of anything else.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Reply::Line(_, bytes) | Reply::Bulk(_, bytes) => bytes,
            _ => &[],
        }
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    pub(super) fn integer(&self) -> Option<i64> {
        match self {
            Reply::Line(b':', text) => std::str::from_utf8(text).ok()?.parse().ok(),
            _ => None,
        }
    }

    /// The reply as a number, if it is a double or a string that spells one.
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Reply::Line(b',', text) | Reply::Bulk(b'$', text) => {
                let is_number = |byte: &u8| byte.is_ascii_digit() || b"+-.einfa".contains(byte);
                let text = Some(text).filter(|text| !text.is_empty() && text.iter().all(is_number))?;
                std::str::from_utf8(text).ok()?.parse().ok()
            }
            _ => None,
        }
    }

    /// The elements of every aggregate in an order of their own; in pairs where they come in pairs.
    pub(super) fn sorted(&self, width: usize) -> Reply {
        let Reply::Many(kind, elements) = self else { return self.clone() };
        let width = if *kind == b'%' { 2 } else { width };
        let mut groups: Vec<&[Reply]> = elements.chunks(width.max(1)).collect();
        groups.sort();
        Reply::Many(*kind, groups.concat())
    }

    /// What kind of reply it is and how many elements it has, without what they say.
    pub(super) fn shape(&self) -> Reply {
        match self {
            Reply::Line(kind, text) if *kind == b'-' => Reply::Line(*kind, text.clone()),
            Reply::Line(kind, _) => Reply::Line(*kind, Vec::new()),
            Reply::Bulk(kind, _) => Reply::Bulk(*kind, Vec::new()),
            Reply::Nil(kind) => Reply::Nil(*kind),
            Reply::Many(kind, elements) => Reply::Many(*kind, elements.iter().map(Reply::shape).collect()),
        }
    }
}

/// Whether two replies are equal when doubles are read as numbers.
pub(super) fn equal_as_numbers(left: &Reply, right: &Reply) -> bool {
    match (left, right) {
        (Reply::Many(kind, left), Reply::Many(other, right)) => {
            let alike = |(left, right)| equal_as_numbers(left, right);
            kind == other && left.len() == right.len() && left.iter().zip(right).all(alike)
        }
        _ if left == right => true,
        _ => match (left.number(), right.number()) {
            (Some(left), Some(right)) => left == right || (left.is_nan() && right.is_nan()),
            _ => false,
        },
    }
}

/// Whether two replies are equal when whole numbers may be `tolerance` apart.
pub(super) fn equal_within(left: &Reply, right: &Reply, tolerance: u64) -> bool {
    match (left.integer(), right.integer()) {
        (Some(left), Some(right)) => {
            left == right || (left >= 0 && right >= 0 && left.abs_diff(right) <= tolerance)
        }
        _ => left == right,
    }
}

/// Reads one reply.
pub(super) fn read(stream: &mut impl BufRead) -> io::Result<Reply> {
    read_nested(stream, 0)
}

fn read_nested(stream: &mut impl BufRead, depth: usize) -> io::Result<Reply> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    let Some(line) = line.strip_suffix(b"\r\n").filter(|_| depth <= DEPTH_MAX) else {
        return Err(Error::new(ErrorKind::UnexpectedEof, "the connection was closed"));
    };
    let bad = || {
        Error::new(
            ErrorKind::InvalidData,
            format!("found reply line {:?}; expected RESP", line.escape_ascii()),
        )
    };
    let (&kind, rest) = line.split_first().ok_or_else(bad)?;
    let count = || {
        let count: usize = std::str::from_utf8(rest).ok()?.parse().ok()?;
        (count <= BULK_MAX).then_some(count)
    };
    match kind {
        b'$' | b'*' if rest == b"-1" => Ok(Reply::Nil(kind)),
        b'_' => Ok(Reply::Nil(kind)),
        b'+' | b'-' | b':' | b',' | b'#' | b'(' => Ok(Reply::Line(kind, rest.to_vec())),
        b'$' | b'=' | b'!' => {
            let mut bytes = vec![0; count().ok_or_else(bad)? + 2];
            stream.read_exact(&mut bytes)?;
            bytes.truncate(bytes.len() - 2);
            Ok(Reply::Bulk(kind, bytes))
        }
        b'*' | b'~' | b'>' | b'%' => {
            let count = count().ok_or_else(bad)? * if kind == b'%' { 2 } else { 1 };
            let elements = (0..count).map(|_| read_nested(stream, depth + 1));
            Ok(Reply::Many(kind, elements.collect::<io::Result<_>>()?))
        }
        _ => Err(bad()),
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |bytes: &[u8]| bytes.escape_ascii().to_string().replace("\\'", "'");
        match self {
            Reply::Line(kind, text) => write!(out, "{}{}", char::from(*kind), shown(text)),
            Reply::Bulk(_, bytes) => write!(out, "\"{}\"", shown(bytes)),
            Reply::Nil(kind) => write!(out, "(nil {})", char::from(*kind)),
            Reply::Many(kind, elements) => {
                write!(out, "{}[", char::from(*kind))?;
                for (index, element) in elements.iter().enumerate() {
                    write!(out, "{}{element}", if index == 0 { "" } else { ", " })?;
                }
                write!(out, "]")
            }
        }
    }
}

#[cfg(test)]
pub(super) fn parse(text: &str) -> Reply {
    read(&mut text.as_bytes()).expect("a well-formed reply")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_equal_when_their_bytes_are() {
        assert_eq!(parse("*2\r\n:1\r\n$1\r\na\r\n"), parse("*2\r\n:1\r\n$1\r\na\r\n"));
        assert_ne!(parse("~1\r\n:1\r\n"), parse("*1\r\n:1\r\n"));
        assert_ne!(parse("$-1\r\n"), parse("*-1\r\n"));
        assert!(read(&mut &b"?x\r\n"[..]).is_err() && read(&mut &b"$99999999999\r\n"[..]).is_err());
    }

    #[test]
    fn numbers_are_compared_by_value_and_order_by_pairs() {
        let (long, short) = (parse("*1\r\n$19\r\n0.10000000000000001\r\n"), parse("*1\r\n$3\r\n0.1\r\n"));
        assert!(equal_as_numbers(&long, &short) && !equal_as_numbers(&long, &parse("*1\r\n$3\r\n0.2\r\n")));
        let pairs = parse("*4\r\n:2\r\n:0\r\n:1\r\n:9\r\n");
        assert_eq!(pairs.sorted(2), parse("*4\r\n:1\r\n:9\r\n:2\r\n:0\r\n"));
        assert!(equal_within(&parse(":1000\r\n"), &parse(":1003\r\n"), 5));
        assert!(!equal_within(&parse(":-1\r\n"), &parse(":1\r\n"), 5));
    }
}
