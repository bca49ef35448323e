//! A request as its handlers see it: a list of byte strings, borrowed (`Args`) or kept (`OwnedArgs`).
//!
//! Not the decoder: nothing here reads the wire, though `write_request` writes it.
//! Always: an argument of `LARGE_ARGUMENT_BYTES` or more owns its bytes (so it can become a value without a copy), and
//! every span lies within the buffer it was made for.

use std::fmt;
use std::ops::Index;

use bytes::Bytes;

use crate::number::{INTEGER_TEXT_BYTES_MAX, format_unsigned};

/// From this size on an argument has a buffer of its own (bytes; Redis's figure for big arguments).
pub const LARGE_ARGUMENT_BYTES: usize = 32 * 1024;

/// The most bytes a buffer that spans point into may have.
pub(crate) const BUFFER_BYTES_MAX: usize = 1 << 30;

/// Where one argument is: bytes of the request's buffer, or one of the large ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// Offset in the buffer, or `LARGE` and the index of a large argument.
    start: u32,
    len: u32,
}

const LARGE: u32 = 1 << 31;

impl Span {
    pub(crate) fn plain(start: usize, len: usize) -> Self {
        debug_assert!(start < LARGE as usize && len < LARGE_ARGUMENT_BYTES.max(BUFFER_BYTES_MAX));
        Span { start: start as u32, len: len as u32 }
    }

    pub(crate) fn large(index: usize) -> Self {
        debug_assert!(index < LARGE as usize);
        Span { start: LARGE | index as u32, len: 0 }
    }

    fn large_index(self) -> Option<usize> {
        (self.start & LARGE != 0).then_some((self.start & !LARGE) as usize)
    }
}

/// The arguments of one request, the command's name first. A view: cheap to copy, valid while its buffer is.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    buffer: &'a [u8],
    spans: &'a [Span],
    large: &'a [Bytes],
}

impl<'a> Args<'a> {
    pub(crate) fn new(buffer: &'a [u8], spans: &'a [Span], large: &'a [Bytes]) -> Self {
        Args { buffer, spans, large }
    }

    /// How many arguments there are, the command's name included.
    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no argument at all. A decoded request is never empty.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Argument `index`. Panics past the end: for arguments that the arity has promised.
    #[inline]
    pub fn get(&self, index: usize) -> &'a [u8] {
        self.bytes(self.spans[index])
    }

    /// Argument `index`, if there is one.
    #[inline]
    pub fn try_get(&self, index: usize) -> Option<&'a [u8]> {
        self.spans.get(index).map(|&span| self.bytes(span))
    }

    /// All arguments in order.
    pub fn iter(&self) -> ArgsIter<'a> {
        ArgsIter { args: *self, next: 0 }
    }

    /// The arguments from `from` on; empty if there are none.
    pub fn rest(&self, from: usize) -> Args<'a> {
        Args { spans: self.spans.get(from..).unwrap_or_default(), ..*self }
    }

    /// The first `count` arguments, or all of them if there are fewer.
    pub fn first(&self, count: usize) -> Args<'a> {
        Args { spans: &self.spans[..count.min(self.spans.len())], ..*self }
    }

    /// Argument `index` by reference count, if it owns its bytes (see `LARGE_ARGUMENT_BYTES`); copy it otherwise.
    pub fn take_large(&self, index: usize) -> Option<Bytes> {
        let large = self.spans.get(index)?.large_index()?;
        Some(self.large[large].clone())
    }

    /// The bytes of all arguments together.
    pub fn total_bytes(&self) -> usize {
        self.iter().map(<[u8]>::len).sum()
    }

    #[inline]
    fn bytes(&self, span: Span) -> &'a [u8] {
        match span.large_index() {
            None => &self.buffer[span.start as usize..span.start as usize + span.len as usize],
            Some(index) => &self.large[index],
        }
    }
}

impl Index<usize> for Args<'_> {
    type Output = [u8];

    #[inline]
    fn index(&self, index: usize) -> &[u8] {
        self.get(index)
    }
}

impl<'a> IntoIterator for Args<'a> {
    type Item = &'a [u8];
    type IntoIter = ArgsIter<'a>;

    fn into_iter(self) -> ArgsIter<'a> {
        self.iter()
    }
}

impl fmt::Debug for Args<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|argument| argument.escape_ascii().to_string())).finish()
    }
}

/// The arguments of a request, in order.
#[derive(Clone)]
pub struct ArgsIter<'a> {
    args: Args<'a>,
    next: usize,
}

impl<'a> Iterator for ArgsIter<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let argument = self.args.try_get(self.next)?;
        self.next += 1;
        Some(argument)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.args.len() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for ArgsIter<'_> {}

/// A request that keeps its bytes: parked, queued, or made by the server itself. Also a scratch: `clear` and `push`
/// reuse its buffers.
#[derive(Clone, Default)]
pub struct OwnedArgs {
    buffer: Vec<u8>,
    spans: Vec<Span>,
    large: Vec<Bytes>,
}

impl OwnedArgs {
    /// A request without arguments yet. Allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends one argument.
    pub fn push(&mut self, argument: &[u8]) {
        if argument.len() >= LARGE_ARGUMENT_BYTES || self.buffer.len() + argument.len() > BUFFER_BYTES_MAX {
            return self.push_large(Bytes::copy_from_slice(argument));
        }
        self.spans.push(Span::plain(self.buffer.len(), argument.len()));
        self.buffer.extend_from_slice(argument);
    }

    /// Appends one argument that owns its bytes, without copying them.
    pub fn push_large(&mut self, argument: Bytes) {
        self.spans.push(Span::large(self.large.len()));
        self.large.push(argument);
    }

    /// Appends an integer in decimal.
    pub fn push_integer(&mut self, value: i64) {
        let mut text = [0; INTEGER_TEXT_BYTES_MAX];
        self.push(crate::number::format_integer(value, &mut text));
    }

    /// Forgets the arguments, keeps the room.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.spans.clear();
        self.large.clear();
    }

    /// The arguments as a view.
    pub fn as_args(&self) -> Args<'_> {
        Args::new(&self.buffer, &self.spans, &self.large)
    }

    /// Bytes held, for limits and memory accounts; large arguments are counted whole though they may be shared.
    pub fn held_bytes(&self) -> usize {
        let large: usize = self.large.iter().map(Bytes::len).sum();
        self.buffer.capacity() + self.spans.capacity() * size_of::<Span>() + large
    }
}

impl From<Args<'_>> for OwnedArgs {
    fn from(args: Args<'_>) -> Self {
        let plain =
            args.spans.iter().filter(|span| span.large_index().is_none()).map(|span| span.len as usize);
        let mut owned = OwnedArgs {
            buffer: Vec::with_capacity(plain.sum()),
            spans: Vec::with_capacity(args.len()),
            large: Vec::new(),
        };
        for (index, argument) in args.iter().enumerate() {
            match args.take_large(index) {
                Some(large) => owned.push_large(large),
                None => owned.push(argument),
            }
        }
        owned
    }
}

impl From<&[&[u8]]> for OwnedArgs {
    fn from(arguments: &[&[u8]]) -> Self {
        let mut owned = OwnedArgs::new();
        arguments.iter().for_each(|argument| owned.push(argument));
        owned
    }
}

impl<const N: usize> From<&[&[u8]; N]> for OwnedArgs {
    fn from(arguments: &[&[u8]; N]) -> Self {
        OwnedArgs::from(arguments.as_slice())
    }
}

impl fmt::Debug for OwnedArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_args().fmt(f)
    }
}

/// Writes a request as clients, append-only files and replication streams have it: an array of bulk strings.
pub fn write_request(out: &mut Vec<u8>, args: Args<'_>) {
    write_array_header(out, args.len());
    for argument in args {
        write_bulk(out, argument);
    }
}

/// Writes `*count`.
#[inline]
pub fn write_array_header(out: &mut Vec<u8>, count: usize) {
    write_header(out, b'*', count as u64);
}

/// Writes one bulk string.
#[inline]
pub fn write_bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() + INTEGER_TEXT_BYTES_MAX + 5);
    write_header(out, b'$', bytes.len() as u64);
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Writes a type byte, a count and the line's end.
#[inline]
pub(crate) fn write_header(out: &mut Vec<u8>, prefix: u8, count: u64) {
    if count < 10 {
        return out.extend_from_slice(&[prefix, b'0' + count as u8, b'\r', b'\n']);
    }
    if count < 100 {
        let (tens, ones) = (count as u8 / 10, count as u8 % 10);
        return out.extend_from_slice(&[prefix, b'0' + tens, b'0' + ones, b'\r', b'\n']);
    }
    write_long_header(out, prefix, count);
}

fn write_long_header(out: &mut Vec<u8>, prefix: u8, count: u64) {
    let mut text = [0; INTEGER_TEXT_BYTES_MAX];
    let digits = format_unsigned(count, &mut text);
    out.push(prefix);
    out.extend_from_slice(digits);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owned_arguments_read_back_and_share_large_ones() {
        let big = vec![b'x'; LARGE_ARGUMENT_BYTES];
        let owned = OwnedArgs::from(&[b"SET".as_slice(), b"", &big]);
        let args = owned.as_args();
        assert_eq!((args.len(), args.get(0), &args[1], args.try_get(3)), (3, &b"SET"[..], &b""[..], None));
        assert_eq!(args.rest(1).len(), 2);
        assert!(args.rest(9).is_empty());
        assert!(args.take_large(0).is_none());

        let copy = OwnedArgs::from(args.rest(1));
        let (first, second) = (args.take_large(2).unwrap(), copy.as_args().take_large(1).unwrap());
        assert_eq!(first.as_ptr(), second.as_ptr(), "a large argument is shared, not copied");
        assert_eq!(copy.as_args().iter().map(<[u8]>::len).collect::<Vec<_>>(), [0, LARGE_ARGUMENT_BYTES]);
    }

    #[test]
    fn a_scratch_is_reused() {
        let mut scratch = OwnedArgs::new();
        for round in 0..3 {
            scratch.clear();
            scratch.push(b"EXPIRE");
            scratch.push_integer(-round);
            assert_eq!(scratch.as_args().get(1), (-round).to_string().as_bytes());
        }
    }

    #[test]
    fn a_request_is_written_as_an_array_of_bulk_strings() {
        let mut out = Vec::new();
        let long = [b'v'; 123];
        write_request(&mut out, OwnedArgs::from(&[b"SET".as_slice(), b"twelve bytes", &long]).as_args());
        let text = format!("*3\r\n$3\r\nSET\r\n$12\r\ntwelve bytes\r\n$123\r\n{}\r\n", "v".repeat(123));
        assert_eq!(out, text.as_bytes());
    }
}
