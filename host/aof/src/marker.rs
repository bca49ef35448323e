//! The first line of an increment that a failing disk forced: which file it goes on from, and at which length. Redis
//! skips it as an annotation.
//!
//! Always: it is synced before any manifest names its file, so it is never torn.

use tenon_base::{quoted_if_needed, split_words};

const PREFIX: &str = "#tenon-continues ";
/// Redis reads annotations of at most so many bytes.
pub(crate) const ANNOTATION_BYTES_MAX: usize = 1024;

/// "This file goes on where the first `length` bytes of `name` end."
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) name: String,
    pub(crate) length: u64,
}

/// The line for a file that goes on from `length` bytes of `name`.
pub(crate) fn print(name: &str, length: u64) -> Vec<u8> {
    format!("{PREFIX}{} {length}\r\n", quoted_if_needed(name.as_bytes())).into_bytes()
}

/// Reads the line at the start of a file, if it is such a line.
pub(crate) fn parse(start: &[u8]) -> Option<Marker> {
    let rest = start.strip_prefix(PREFIX.as_bytes())?;
    let end = rest.iter().take(ANNOTATION_BYTES_MAX).position(|&byte| byte == b'\n')?;
    let [name, length] = <[Vec<u8>; 2]>::try_from(split_words(&rest[..end])?).ok()?;
    Some(Marker {
        name: String::from_utf8(name).ok()?,
        length: std::str::from_utf8(&length).ok()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_comes_back() {
        for name in ["appendonly.aof.1.incr.aof", "with blank", "q\"uote"] {
            let line = print(name, 12345);
            assert!(line.starts_with(b"#") && line.ends_with(b"\r\n"));
            assert_eq!(parse(&line), Some(Marker { name: name.to_owned(), length: 12345 }));
            assert_eq!(parse(&line[..line.len() - 1]), None);
        }
        for other in [b"#TS:12\r\n".as_slice(), b"", b"#tenon-continues a\r\n", b"#tenon-continues a b\n"] {
            assert_eq!(parse(other), None);
        }
    }
}
