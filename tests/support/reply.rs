//! A reply of RESP2 or RESP3, read from a stream and printed as redis-cli prints it.
//! Always: printing tells apart whatever differs on the wire, except how a double was spelt.

use std::fmt;
use std::io::{self, BufRead, Error, ErrorKind};

const BULK_MAX: usize = 512 * 1024 * 1024;
const DEPTH_MAX: usize = 32;

/// One reply, owned.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reply {
    Status(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    /// `$-1`, `*-1` or `_`: RESP2 has two spellings and clients see one.
    Nil,
    Array(Vec<Reply>),
    Map(Vec<(Reply, Reply)>),
    Set(Vec<Reply>),
    Push(Vec<Reply>),
    /// As spelt on the wire.
    Double(String),
    Boolean(bool),
    BigNumber(String),
    /// Format of three letters, and text.
    Verbatim(String, Vec<u8>),
}

impl Reply {
    /// The text of a status or a bulk string; panics on anything else.
    pub(crate) fn text(&self) -> String {
        match self {
            Reply::Status(text) => text.clone(),
            Reply::Bulk(bytes) | Reply::Verbatim(_, bytes) => String::from_utf8_lossy(bytes).into_owned(),
            other => panic!("found {other}; expected a string"),
        }
    }

    /// The value of an integer reply; panics on anything else.
    pub(crate) fn integer(&self) -> i64 {
        match self {
            Reply::Integer(value) => *value,
            other => panic!("found {other}; expected an integer"),
        }
    }

    /// The elements of an array or set; panics on anything else.
    pub(crate) fn elements(&self) -> &[Reply] {
        match self {
            Reply::Array(elements) | Reply::Set(elements) | Reply::Push(elements) => elements,
            other => panic!("found {other}; expected an array"),
        }
    }

    /// The reply's elements in an order of their own; map entries stay together.
    pub(crate) fn sorted(self) -> Reply {
        let by_text = |mut elements: Vec<Reply>| {
            elements.sort_by_key(ToString::to_string);
            elements
        };
        match self {
            Reply::Array(elements) => Reply::Array(by_text(elements)),
            Reply::Set(elements) => Reply::Set(by_text(elements)),
            Reply::Map(mut entries) => {
                entries.sort_by_key(|(key, _)| key.to_string());
                Reply::Map(entries)
            }
            other => other,
        }
    }
}

/// Reads one reply. A malformed one is `InvalidData`.
pub(crate) fn read(stream: &mut impl BufRead) -> io::Result<Reply> {
    read_nested(stream, 0)
}

fn read_nested(stream: &mut impl BufRead, depth: usize) -> io::Result<Reply> {
    let line = read_line(stream)?;
    let bad = || Error::new(ErrorKind::InvalidData, format!("found reply line {line:?}; expected RESP"));
    if depth > DEPTH_MAX {
        return Err(bad());
    }
    let mut characters = line.chars();
    let kind = characters.next().ok_or_else(bad)?;
    let rest = characters.as_str();
    let count = || rest.parse::<usize>().ok().filter(|count| *count <= BULK_MAX).ok_or_else(bad);
    let reply = match kind {
        '+' => Reply::Status(rest.to_owned()),
        '-' => Reply::Error(rest.to_owned()),
        ':' => Reply::Integer(rest.parse().map_err(|_| bad())?),
        ',' => Reply::Double(rest.to_owned()),
        '#' => Reply::Boolean(rest == "t"),
        '(' => Reply::BigNumber(rest.to_owned()),
        '_' => Reply::Nil,
        '$' | '*' if rest == "-1" => Reply::Nil,
        '$' => Reply::Bulk(read_bulk(stream, count()?)?),
        '!' => Reply::Error(String::from_utf8_lossy(&read_bulk(stream, count()?)?).into_owned()),
        '=' => {
            let bytes = read_bulk(stream, count()?)?;
            let (format, text) = bytes.split_at_checked(4).ok_or_else(bad)?;
            Reply::Verbatim(String::from_utf8_lossy(&format[..3]).into_owned(), text.to_vec())
        }
        '*' => Reply::Array(read_many(stream, count()?, depth)?),
        '~' => Reply::Set(read_many(stream, count()?, depth)?),
        '>' => Reply::Push(read_many(stream, count()?, depth)?),
        '%' => {
            let mut entries = Vec::new();
            for _ in 0..count()? {
                entries.push((read_nested(stream, depth + 1)?, read_nested(stream, depth + 1)?));
            }
            Reply::Map(entries)
        }
        _ => return Err(bad()),
    };
    Ok(reply)
}

fn read_many(stream: &mut impl BufRead, count: usize, depth: usize) -> io::Result<Vec<Reply>> {
    (0..count).map(|_| read_nested(stream, depth + 1)).collect()
}

fn read_line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    match line.strip_suffix(b"\r\n") {
        Some(text) => Ok(String::from_utf8_lossy(text).into_owned()),
        None => Err(Error::new(ErrorKind::UnexpectedEof, "the connection was closed")),
    }
}

fn read_bulk(stream: &mut impl BufRead, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length + 2];
    stream.read_exact(&mut bytes)?;
    if bytes.split_off(length) == b"\r\n" {
        return Ok(bytes);
    }
    Err(Error::new(ErrorKind::InvalidData, "found a bulk string that does not end in CR LF"))
}

impl fmt::Display for Reply {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Status(text) => write!(out, "{text}"),
            Reply::Error(text) => write!(out, "(error) {text}"),
            Reply::Integer(value) => write!(out, "(integer) {value}"),
            Reply::Bulk(bytes) => write!(out, "\"{}\"", bytes.escape_ascii().to_string().replace("\\'", "'")),
            Reply::Nil => write!(out, "(nil)"),
            Reply::Double(text) => write!(out, "(double) {text}"),
            Reply::Boolean(value) => write!(out, "({value})"),
            Reply::BigNumber(text) => write!(out, "(big number) {text}"),
            Reply::Verbatim(format, bytes) => write!(out, "({format}) \"{}\"", bytes.escape_ascii()),
            Reply::Array(elements) => write_many(out, "array", ')', elements),
            Reply::Set(elements) => write_many(out, "set", '~', elements),
            Reply::Push(elements) => write_many(out, "push", '>', elements),
            Reply::Map(entries) if entries.is_empty() => write!(out, "(empty map)"),
            Reply::Map(entries) => {
                let lines = entries.iter().map(|(key, value)| {
                    let key = format!("{key} => ");
                    let indent = format!("\n{}", " ".repeat(key.len()));
                    format!("{key}{}", value.to_string().replace('\n', &indent))
                });
                write_numbered(out, '#', lines.collect())
            }
        }
    }
}

fn write_many(out: &mut fmt::Formatter<'_>, kind: &str, mark: char, elements: &[Reply]) -> fmt::Result {
    if elements.is_empty() {
        return write!(out, "(empty {kind})");
    }
    write_numbered(out, mark, elements.iter().map(ToString::to_string).collect())
}

/// One numbered line per element; a nested element's later lines are indented below its first.
fn write_numbered(out: &mut fmt::Formatter<'_>, mark: char, elements: Vec<String>) -> fmt::Result {
    let width = elements.len().to_string().len();
    let indent = format!("\n{}", " ".repeat(width + 2));
    for (index, element) in elements.iter().enumerate() {
        let end = if index + 1 == elements.len() { "" } else { "\n" };
        write!(out, "{:>width$}{mark} {}{end}", index + 1, element.replace('\n', &indent))?;
    }
    Ok(())
}
