//! One request that arrives in pieces, remembered between reads so that no byte is looked at twice.
//!
//! Not for whole requests: see `scan`. Takes exactly the bytes of its request, never of the next.
//! Always: memory follows what has arrived (at most twice that), never what a header claims.

use bytes::Bytes;

use crate::decoder::Limits;
use crate::header::{argument_count, bulk_length};
use crate::inline::split_words;
use crate::protocol_error::ProtocolError;
use crate::request::{LARGE_ARGUMENT_BYTES, Span};

/// Room kept when a partial request is put aside for reuse.
const SPARE_BYTES_MAX: usize = 64 * 1024;
const SPARE_SPANS_MAX: usize = 1024;

/// The request so far.
#[derive(Debug, Default)]
pub(crate) struct Partial {
    stage: Stage,
    /// The header or inline line being read, in as far as it has arrived.
    line: Vec<u8>,
    /// The bytes of the arguments that are not large, one after the other.
    pub(crate) buffer: Vec<u8>,
    pub(crate) spans: Vec<Span>,
    pub(crate) large: Vec<Bytes>,
    /// The large argument being filled.
    filling: Vec<u8>,
    large_bytes: usize,
    arguments_left: usize,
    /// Bytes this request has taken from the wire.
    pub(crate) wire_bytes: usize,
}

/// What comes next on the wire.
#[derive(Clone, Copy, Debug, Default)]
enum Stage {
    /// The first line: `*count` or an inline request.
    #[default]
    Start,
    /// `$length`.
    Header,
    /// An argument of `length` bytes, `left` of them not here yet.
    Body { length: usize, left: usize },
    /// The two bytes after an argument.
    LineEnd { left: usize },
}

/// What one read gave a partial request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fed {
    /// Bytes taken.
    pub(crate) taken: usize,
    /// Whether the request is all there now (it may turn out empty).
    pub(crate) complete: bool,
}

impl Partial {
    /// Takes from `bytes` what belongs to this request. After an error nothing more may be fed.
    pub(crate) fn feed(&mut self, bytes: &[u8], limits: &Limits) -> Result<Fed, ProtocolError> {
        let mut at = 0;
        let mut complete = false;
        while at < bytes.len() && !complete {
            let rest = &bytes[at..];
            at += match self.stage {
                Stage::Start | Stage::Header => {
                    let (taken, line_complete) = self.read_line(rest, limits)?;
                    if line_complete {
                        complete = self.finish_line(limits)?;
                    }
                    taken
                }
                Stage::Body { length, left } => self.read_body(rest, length, left),
                Stage::LineEnd { left } => {
                    let taken = left.min(rest.len());
                    self.stage = Stage::LineEnd { left: left - taken };
                    if taken == left {
                        self.stage = Stage::Header;
                        self.arguments_left -= 1;
                        complete = self.arguments_left == 0;
                    }
                    taken
                }
            };
        }
        self.wire_bytes += at;
        Ok(Fed { taken: at, complete })
    }

    /// Bytes held. The spans count too: a million empty arguments have no bytes but take room.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.received_bytes() + self.spans.len() * size_of::<Span>()
    }

    /// Bytes of the line that is being read, and of all arguments so far.
    pub(crate) fn received_bytes(&self) -> usize {
        self.line.len() + self.buffer.len() + self.filling.len() + self.large_bytes
    }

    /// Bytes that the argument being read is still to bring, if it is a large one: no memory is taken for them yet.
    pub(crate) fn announced_bytes(&self) -> usize {
        match self.stage {
            Stage::Body { length, left } if length >= LARGE_ARGUMENT_BYTES => left,
            _ => 0,
        }
    }

    /// Empties it for the next request; `false` if it has grown too big to be worth keeping.
    pub(crate) fn recycle(&mut self) -> bool {
        self.stage = Stage::Start;
        self.line.clear();
        self.buffer.clear();
        self.spans.clear();
        self.large.clear();
        self.filling = Vec::new();
        (self.large_bytes, self.arguments_left, self.wire_bytes) = (0, 0, 0);
        let bytes = self.line.capacity().max(self.buffer.capacity());
        bytes <= SPARE_BYTES_MAX && self.spans.capacity() <= SPARE_SPANS_MAX
    }

    /// Extends the current line; says how many bytes that took and whether the line is all there.
    fn read_line(&mut self, rest: &[u8], limits: &Limits) -> Result<(usize, bool), ProtocolError> {
        let first = self.line.first().copied().unwrap_or(rest[0]);
        let inline = matches!(self.stage, Stage::Start) && first != b'*';
        let too_big = match self.stage {
            _ if inline => ProtocolError::TooBigInline,
            Stage::Start => ProtocolError::TooBigMultibulkCount,
            _ => ProtocolError::TooBigBulkCount,
        };
        // A header's line ends one byte after its `\r`, whatever that byte is; an inline line at its `\n`.
        let (taken, complete) = if inline {
            match rest.iter().position(|&byte| byte == b'\n') {
                Some(end) => (end + 1, true),
                None => (rest.len(), false),
            }
        } else if self.line.last() == Some(&b'\r') {
            (1, true)
        } else {
            match rest.iter().position(|&byte| byte == b'\r') {
                Some(end) => ((end + 2).min(rest.len()), end + 1 < rest.len()),
                None => (rest.len(), false),
            }
        };
        self.line.extend_from_slice(&rest[..taken]);
        let end_bytes = match (inline, complete) {
            (true, _) => usize::from(complete),
            (false, true) => 2,
            (false, false) => usize::from(self.line.last() == Some(&b'\r')),
        };
        if self.line.len() - end_bytes > limits.inline_bytes_max {
            return Err(too_big);
        }
        Ok((taken, complete))
    }

    /// Understands the line just read; `true` if that was the whole request.
    fn finish_line(&mut self, limits: &Limits) -> Result<bool, ProtocolError> {
        if matches!(self.stage, Stage::Start) && self.line[0] != b'*' {
            let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            split_words(line, 0, &mut self.spans, &mut self.large)?;
            std::mem::swap(&mut self.buffer, &mut self.line);
            return Ok(true);
        }
        let line = &self.line[..self.line.len() - 2];
        if let Stage::Start = self.stage {
            self.arguments_left = argument_count(&line[1..], limits)?;
            self.stage = Stage::Header;
        } else {
            let length = bulk_length(line, limits)?;
            self.begin_body(length);
        }
        self.line.clear();
        Ok(self.arguments_left == 0)
    }

    fn begin_body(&mut self, length: usize) {
        if length >= LARGE_ARGUMENT_BYTES {
            self.spans.push(Span::large(self.large.len()));
        } else {
            self.spans.push(Span::plain(self.buffer.len(), length));
        }
        self.stage =
            if length == 0 { Stage::LineEnd { left: 2 } } else { Stage::Body { length, left: length } };
    }

    /// Takes what there is of an argument's `left` missing bytes.
    fn read_body(&mut self, rest: &[u8], length: usize, left: usize) -> usize {
        let taken = left.min(rest.len());
        if length < LARGE_ARGUMENT_BYTES {
            self.buffer.extend_from_slice(&rest[..taken]);
        } else {
            self.grow(length, taken);
            self.filling.extend_from_slice(&rest[..taken]);
        }
        if taken < left {
            self.stage = Stage::Body { length, left: left - taken };
            return taken;
        }
        if length >= LARGE_ARGUMENT_BYTES {
            self.large_bytes += length;
            self.large.push(Bytes::from(std::mem::take(&mut self.filling)));
        }
        self.stage = Stage::LineEnd { left: 2 };
        taken
    }

    /// Makes room for `more` bytes of a large argument: doubling with what arrives, and exact at the end, so that
    /// the finished buffer is as large as the value it becomes.
    fn grow(&mut self, length: usize, more: usize) {
        let needed = self.filling.len() + more;
        if needed > self.filling.capacity() {
            let room = length.min((needed * 2).max(LARGE_ARGUMENT_BYTES));
            self.filling.reserve_exact(room - self.filling.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_argument_grows_with_what_arrives() {
        let limits = Limits::default();
        let mut partial = Partial::default();
        partial.feed(b"*2\r\n$3\r\nSET\r\n$536870912\r\nabc", &limits).unwrap();
        assert!(partial.filling.capacity() <= LARGE_ARGUMENT_BYTES);
        let chunk = vec![b'x'; 50_000];
        for count in 1..=20 {
            partial.feed(&chunk, &limits).unwrap();
            assert!(partial.filling.capacity() <= 2 * (3 + count * chunk.len()));
        }
        assert_eq!(partial.pending_bytes(), 3 + 3 + 20 * chunk.len() + 2 * size_of::<Span>());
        assert_eq!(partial.announced_bytes(), 536_870_912 - 3 - 20 * chunk.len());
    }

    #[test]
    fn a_finished_large_argument_wastes_nothing() {
        let length = 100_001;
        let mut partial = Partial::default();
        let mut wire = format!("*1\r\n${length}\r\n").into_bytes();
        wire.resize(wire.len() + length, b'v');
        wire.extend_from_slice(b"\r\nNEXT");
        let mut fed = Fed { taken: 0, complete: false };
        let mut at = 0;
        for chunk in wire.chunks(7_000) {
            fed = partial.feed(chunk, &Limits::default()).unwrap();
            at += fed.taken;
        }
        assert_eq!((fed.complete, at, partial.wire_bytes), (true, wire.len() - 4, wire.len() - 4));
        let value = Vec::from(partial.large.remove(0));
        assert_eq!((value.len(), value.capacity()), (length, length));
    }
}
