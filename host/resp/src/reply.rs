//! Replies, written straight into a connection's out-buffer in RESP2 or RESP3.
//!
//! Sends nothing and keeps nothing: a `Reply` is a pen. What a RESP2 client has no type for is written as Redis
//! writes it there (maps as flat arrays, booleans as 0 and 1, doubles as strings).
//! Always: whole frames, as long as every deferred length is finished, innermost first.

use std::fmt;

use crate::double::{DOUBLE_TEXT_BYTES_MAX, format_double};
use crate::number::{INTEGER_TEXT_BYTES_MAX, format_integer, format_unsigned};
use crate::request::{write_bulk, write_header};

/// Which protocol a connection speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proto {
    /// What every connection starts with.
    #[default]
    Resp2,
    /// After `HELLO 3`.
    Resp3,
}

/// Writes one connection's replies.
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
    proto: Proto,
    bytes_max: usize,
}

/// A length to be filled in by `Reply::finish`.
#[derive(Debug)]
#[must_use = "a deferred length must be finished"]
pub struct Deferred {
    at: usize,
    /// How many elements one counted item has on the wire.
    factor: u64,
}

/// What stands for a length until it is known: right for counts of one digit.
const PLACEHOLDER: &[u8] = b"0\r\n";

impl<'a> Reply<'a> {
    /// A writer that appends to `out`.
    #[inline]
    pub fn new(out: &'a mut Vec<u8>, proto: Proto) -> Self {
        Reply { out, proto, bytes_max: usize::MAX }
    }

    /// Says how many bytes the out-buffer may hold before its client is closed for them.
    pub fn set_bytes_max(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    /// Whether the client is to be closed for what is written already, so that nothing more need be. Nothing stops
    /// a writer that does not ask.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.out.len() > self.bytes_max
    }

    /// The protocol in which this writes.
    #[inline]
    pub fn proto(&self) -> Proto {
        self.proto
    }

    /// A second writer on the same buffer, for a helper that takes one by value.
    pub fn reborrow(&mut self) -> Reply<'_> {
        Reply { out: self.out, proto: self.proto, bytes_max: self.bytes_max }
    }

    /// How many bytes the out-buffer holds: a mark for `truncate` and `written_since`.
    #[inline]
    pub fn position(&self) -> usize {
        self.out.len()
    }

    /// What was written since the out-buffer held `position` bytes.
    pub fn written_since(&self, position: usize) -> &[u8] {
        &self.out[position..]
    }

    /// Takes back everything written since the out-buffer held `position` bytes.
    pub fn truncate(&mut self, position: usize) {
        self.out.truncate(position);
    }

    /// Bytes that are a reply already.
    #[inline]
    pub fn raw(&mut self, frame: &[u8]) {
        self.out.extend_from_slice(frame);
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// A status line of the server's own words (without line ends).
    pub fn simple(&mut self, text: &str) {
        debug_assert!(!text.contains(['\r', '\n']));
        self.out.push(b'+');
        self.out.extend_from_slice(text.as_bytes());
        self.line_end();
    }

    /// `simple`, of text that is not UTF-8 for certain and has no line ends.
    pub fn simple_bytes(&mut self, text: &[u8]) {
        debug_assert!(!text.iter().any(|byte| matches!(byte, b'\r' | b'\n')));
        self.out.push(b'+');
        self.out.extend_from_slice(text);
        self.line_end();
    }

    /// An error, with its code: `ERR no such key`. Line ends inside become spaces.
    pub fn error(&mut self, text: &str) {
        self.error_bytes(text.as_bytes());
    }

    /// `error`, for texts that quote what a client sent.
    pub fn error_bytes(&mut self, text: &[u8]) {
        self.out.push(b'-');
        let start = self.out.len();
        self.out.extend_from_slice(text);
        self.end_error(start);
    }

    /// `error`, formatted in place.
    pub fn error_format(&mut self, text: fmt::Arguments<'_>) {
        self.out.push(b'-');
        let start = self.out.len();
        self.write_text(text);
        self.end_error(start);
    }

    /// An integer.
    #[inline]
    pub fn integer(&mut self, value: i64) {
        if (0..10).contains(&value) {
            return self.out.extend_from_slice(&[b':', b'0' + value as u8, b'\r', b'\n']);
        }
        let mut frame = [0; INTEGER_TEXT_BYTES_MAX];
        let digits = format_integer(value, &mut frame);
        self.out.reserve(INTEGER_TEXT_BYTES_MAX + 3);
        self.out.push(b':');
        self.out.extend_from_slice(digits);
        self.line_end();
    }

    /// A string.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        write_bulk(self.out, bytes);
    }

    /// A string, or null.
    #[inline]
    pub fn bulk_or_null(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bulk(bytes),
            None => self.null(),
        }
    }

    /// An integer as a string.
    pub fn bulk_integer(&mut self, value: i64) {
        write_bulk(self.out, format_integer(value, &mut [0; INTEGER_TEXT_BYTES_MAX]));
    }

    /// A string formatted in place.
    pub fn bulk_format(&mut self, text: fmt::Arguments<'_>) {
        let at = self.begin(b'$');
        let start = self.out.len();
        self.write_text(text);
        let len = self.out.len() - start;
        self.line_end();
        self.patch(at, len as u64);
    }

    /// No value.
    #[inline]
    pub fn null(&mut self) {
        match self.proto {
            Proto::Resp2 => self.out.extend_from_slice(b"$-1\r\n"),
            Proto::Resp3 => self.out.extend_from_slice(b"_\r\n"),
        }
    }

    /// No array: RESP2 tells it from no value.
    pub fn null_array(&mut self) {
        match self.proto {
            Proto::Resp2 => self.out.extend_from_slice(b"*-1\r\n"),
            Proto::Resp3 => self.out.extend_from_slice(b"_\r\n"),
        }
    }

    /// The head of an array of `count` elements, which follow.
    #[inline]
    pub fn array(&mut self, count: usize) {
        write_header(self.out, b'*', count as u64);
    }

    /// The head of a map of `count` pairs.
    pub fn map(&mut self, count: usize) {
        match self.proto {
            Proto::Resp2 => write_header(self.out, b'*', 2 * count as u64),
            Proto::Resp3 => write_header(self.out, b'%', count as u64),
        }
    }

    /// The head of a set of `count` elements.
    pub fn set(&mut self, count: usize) {
        self.aggregate(b'~', count);
    }

    /// The head of a push message of `count` elements.
    pub fn push(&mut self, count: usize) {
        self.aggregate(b'>', count);
    }

    /// The head of an attribute of `count` pairs, to be followed by the reply it belongs to. RESP3 only: RESP2 has
    /// none, the caller leaves the pairs out.
    pub fn attribute(&mut self, count: usize) {
        debug_assert_eq!(self.proto, Proto::Resp3, "RESP2 has no attributes");
        write_header(self.out, b'|', count as u64);
    }

    /// True or false.
    pub fn boolean(&mut self, value: bool) {
        self.out.extend_from_slice(match (self.proto, value) {
            (Proto::Resp2, true) => b":1\r\n",
            (Proto::Resp2, false) => b":0\r\n",
            (Proto::Resp3, true) => b"#t\r\n",
            (Proto::Resp3, false) => b"#f\r\n",
        });
    }

    /// A double, in the digits of `format_double`.
    pub fn double(&mut self, value: f64) {
        let mut text = [0; DOUBLE_TEXT_BYTES_MAX];
        let text = format_double(value, &mut text);
        match self.proto {
            Proto::Resp2 => write_bulk(self.out, text),
            Proto::Resp3 => {
                self.out.push(b',');
                self.out.extend_from_slice(text);
                self.line_end();
            }
        }
    }

    /// An integer of any size, in decimal.
    pub fn big_number(&mut self, digits: &str) {
        match self.proto {
            Proto::Resp2 => self.bulk(digits.as_bytes()),
            Proto::Resp3 => {
                self.out.push(b'(');
                self.out.extend_from_slice(digits.as_bytes());
                self.line_end();
            }
        }
    }

    /// A text for people, of a format named in three letters (`txt`, `mkd`).
    pub fn verbatim(&mut self, format: &[u8; 3], text: &[u8]) {
        match self.proto {
            Proto::Resp2 => self.bulk(text),
            Proto::Resp3 => {
                write_header(self.out, b'=', text.len() as u64 + 4);
                self.out.extend_from_slice(format);
                self.out.push(b':');
                self.out.extend_from_slice(text);
                self.line_end();
            }
        }
    }

    /// The head of an array whose length `finish` will tell.
    pub fn defer_array(&mut self) -> Deferred {
        Deferred { at: self.begin(b'*'), factor: 1 }
    }

    /// The head of a map whose number of pairs `finish` will tell.
    pub fn defer_map(&mut self) -> Deferred {
        match self.proto {
            Proto::Resp2 => Deferred { at: self.begin(b'*'), factor: 2 },
            Proto::Resp3 => Deferred { at: self.begin(b'%'), factor: 1 },
        }
    }

    /// The head of a set whose length `finish` will tell.
    pub fn defer_set(&mut self) -> Deferred {
        let prefix = if self.proto == Proto::Resp2 { b'*' } else { b'~' };
        Deferred { at: self.begin(prefix), factor: 1 }
    }

    /// Fills in a deferred length, after the elements and after every length deferred inside.
    pub fn finish(&mut self, deferred: Deferred, count: usize) {
        self.patch(deferred.at, count as u64 * deferred.factor);
    }

    fn aggregate(&mut self, prefix: u8, count: usize) {
        let prefix = if self.proto == Proto::Resp2 { b'*' } else { prefix };
        write_header(self.out, prefix, count as u64);
    }

    /// Writes a type byte and a placeholder; returns where the placeholder is.
    fn begin(&mut self, prefix: u8) -> usize {
        self.out.push(prefix);
        let at = self.out.len();
        self.out.extend_from_slice(PLACEHOLDER);
        at
    }

    /// Puts `count` into the place of the `0` at `at`. Clients take no padded numbers, so from ten on what follows
    /// moves up by a few bytes.
    fn patch(&mut self, at: usize, count: u64) {
        debug_assert!(
            self.out[at..].starts_with(PLACEHOLDER),
            "lengths are finished innermost first, and once"
        );
        let mut text = [0; INTEGER_TEXT_BYTES_MAX];
        let digits = format_unsigned(count, &mut text);
        let (end, more) = (self.out.len(), digits.len() - 1);
        if more > 0 {
            self.out.extend_from_slice(&[0; INTEGER_TEXT_BYTES_MAX][..more]);
            self.out.copy_within(at + 1..end, at + 1 + more);
        }
        self.out[at..at + digits.len()].copy_from_slice(digits);
    }

    fn write_text(&mut self, text: fmt::Arguments<'_>) {
        struct Text<'a>(&'a mut Vec<u8>);
        impl fmt::Write for Text<'_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0.extend_from_slice(text.as_bytes());
                Ok(())
            }
        }
        // A vector takes everything; an error could only be some `Display`'s own, and its text then ends early.
        let _ = fmt::Write::write_fmt(&mut Text(self.out), text);
    }

    /// Ends the error text that starts at `start`: line ends at its end fall away, those inside become spaces.
    fn end_error(&mut self, start: usize) {
        while self.out.len() > start && self.out.last().is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
            self.out.pop();
        }
        for byte in &mut self.out[start..] {
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        self.line_end();
    }

    #[inline]
    fn line_end(&mut self) {
        self.out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Write<'a> = &'a dyn Fn(&mut Reply<'_>);

    fn written(proto: Proto, write: impl FnOnce(&mut Reply<'_>)) -> String {
        let mut out = Vec::new();
        write(&mut Reply::new(&mut out, proto));
        String::from_utf8(out).unwrap()
    }

    fn both(write: impl Fn(&mut Reply<'_>)) -> (String, String) {
        (written(Proto::Resp2, &write), written(Proto::Resp3, &write))
    }

    #[test]
    fn the_same_in_both_protocols() {
        let cases: [(Write<'_>, &str); 11] = [
            (&|reply| reply.ok(), "+OK\r\n"),
            (&|reply| reply.simple("QUEUED"), "+QUEUED\r\n"),
            (&|reply| reply.error("ERR no\r\nway\r\n"), "-ERR no  way\r\n"),
            (&|reply| reply.error_format(format_args!("ERR bad '{}'", "a\nb")), "-ERR bad 'a b'\r\n"),
            (&|reply| reply.integer(7), ":7\r\n"),
            (&|reply| reply.integer(-12_345), ":-12345\r\n"),
            (&|reply| reply.bulk(b"a\r\nb"), "$4\r\na\r\nb\r\n"),
            (&|reply| reply.bulk_integer(i64::MIN), "$20\r\n-9223372036854775808\r\n"),
            (&|reply| reply.bulk_format(format_args!("{:>12}", 5)), "$12\r\n           5\r\n"),
            (&|reply| reply.bulk_format(format_args!("")), "$0\r\n\r\n"),
            (&|reply| reply.array(1234), "*1234\r\n"),
        ];
        for (write, expected) in cases {
            assert_eq!(both(write), (expected.to_owned(), expected.to_owned()));
        }
    }

    #[test]
    fn types_that_only_resp3_has() {
        let cases: [(Write<'_>, &str, &str); 10] = [
            (&|reply| reply.null(), "$-1\r\n", "_\r\n"),
            (&|reply| reply.null_array(), "*-1\r\n", "_\r\n"),
            (&|reply| reply.map(3), "*6\r\n", "%3\r\n"),
            (&|reply| reply.set(10), "*10\r\n", "~10\r\n"),
            (&|reply| reply.push(3), "*3\r\n", ">3\r\n"),
            (&|reply| reply.boolean(true), ":1\r\n", "#t\r\n"),
            (&|reply| reply.double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n"),
            (&|reply| reply.double(f64::NEG_INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n"),
            (&|reply| reply.big_number("123"), "$3\r\n123\r\n", "(123\r\n"),
            (&|reply| reply.verbatim(b"txt", b"hi"), "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"),
        ];
        for (write, resp2, resp3) in cases {
            assert_eq!(both(write), (resp2.to_owned(), resp3.to_owned()));
        }
    }

    #[test]
    fn deferred_lengths_nest_and_grow() {
        for count in [0, 1, 9, 10, 99, 100, 12_345] {
            let write = |reply: &mut Reply<'_>| {
                let outer = reply.defer_map();
                reply.bulk(b"members");
                let inner = reply.defer_set();
                (0..count).for_each(|value| reply.integer(value));
                reply.finish(inner, count as usize);
                reply.finish(outer, 1);
                reply.ok();
            };
            let integers: String = (0..count).map(|value| format!(":{value}\r\n")).collect();
            let (resp2, resp3) = both(write);
            assert_eq!(resp2, format!("*2\r\n$7\r\nmembers\r\n*{count}\r\n{integers}+OK\r\n"));
            assert_eq!(resp3, format!("%1\r\n$7\r\nmembers\r\n~{count}\r\n{integers}+OK\r\n"));
        }
    }

    #[test]
    fn what_was_written_can_be_read_and_taken_back() {
        let text = written(Proto::Resp2, |reply| {
            reply.ok();
            let mark = reply.position();
            reply.integer(5);
            assert_eq!(reply.written_since(mark), b":5\r\n");
            reply.truncate(mark);
            reply.error_bytes(b"ERR x");
        });
        assert_eq!(text, "+OK\r\n-ERR x\r\n");
    }
}
