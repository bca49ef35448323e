//! The requests of one connection, out of whatever pieces its bytes arrive in.
//!
//! Not a buffer: it reads the caller's, and an idle connection holds nothing. Knows no command.
//! Always: bytes are decoded in the order in which they came, each at most a constant number of times; what a batch
//! did not deliver is kept by `keep_rest` or `keep_tail`.
//!
//! The cycle: `decode` a read into the batch, run requests, then `keep_rest` with how many were run.

use crate::batch::{Batch, Request, Source, Stop};
use crate::partial::Partial;
use crate::protocol_error::ProtocolError;
use crate::request::{BUFFER_BYTES_MAX, write_request};
use crate::scan::{Scan, scan_request};

/// What a connection may send.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Longest argument (bytes; `proto-max-bulk-len`). A primary's stream has none: `usize::MAX`.
    pub bulk_bytes_max: usize,
    /// Most arguments of one request.
    pub arguments_max: usize,
    /// Longest inline request, and longest header line (bytes, without what ends it). Redis lets a longer line pass if it
    /// happens to arrive in one read.
    pub inline_bytes_max: usize,
    /// Most bytes held undecoded for one connection (`client-query-buffer-limit`); above 1 GiB it counts as 1 GiB
    /// for everything but large arguments.
    pub query_buffer_max: usize,
    /// Most requests decoded at once; the rest waits (see `Decoder::has_kept`).
    pub requests_max: usize,
    /// Whether the connection may send more than 10 arguments and longer ones than 16 KiB.
    pub authenticated: bool,
}

impl Default for Limits {
    /// Redis's defaults, for an authenticated connection.
    fn default() -> Self {
        Limits {
            bulk_bytes_max: 512 * 1024 * 1024,
            arguments_max: i32::MAX as usize,
            inline_bytes_max: 64 * 1024,
            query_buffer_max: 1024 * 1024 * 1024,
            requests_max: 16 * 1024,
            authenticated: true,
        }
    }
}

impl Limits {
    /// For bytes that were already found within limits.
    const CHECKED: Limits = Limits {
        bulk_bytes_max: usize::MAX,
        arguments_max: usize::MAX,
        inline_bytes_max: usize::MAX,
        query_buffer_max: usize::MAX,
        requests_max: usize::MAX,
        authenticated: true,
    };
}

/// The undecoded rest of one connection: nothing while it is idle.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The request whose first part has arrived.
    partial: Option<Box<Partial>>,
    /// Bytes behind it that nobody looked at yet, from `kept_start` on.
    kept: Vec<u8>,
    kept_start: usize,
}

impl Decoder {
    /// A decoder at the start of a stream. Allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes all complete requests of what was kept and of `buffer` into `batch` (emptied first). Returns how many
    /// bytes the decoded requests, and empty lines between them, took. On an error, the requests before it are in the batch and are to be run.
    ///
    /// `keep_rest` must follow, whatever came out, unless the connection closes.
    pub fn decode(
        &mut self,
        buffer: &[u8],
        limits: &Limits,
        batch: &mut Batch,
    ) -> Result<usize, ProtocolError> {
        batch.clear();
        if self.kept.is_empty() && self.partial.is_none() {
            return decode_whole(buffer, 0, limits, batch);
        }
        if self.pending_bytes() + buffer.len() > limits.query_buffer_max {
            batch.stop = Stop::Failed;
            return Err(ProtocolError::QueryBufferFull);
        }
        if self.kept.is_empty() {
            return self.decode_on(buffer, limits, batch);
        }
        if self.keep_tail(buffer).is_err() {
            batch.stop = Stop::Failed;
            return Err(ProtocolError::QueryBufferFull);
        }
        let (kept, start) = (std::mem::take(&mut self.kept), std::mem::take(&mut self.kept_start));
        batch.from_kept = true;
        let result = self.decode_on(&kept[start..], limits, batch);
        (batch.kept, batch.kept_start) = (kept, start);
        result
    }

    /// Keeps what the batch of the last `decode` did not deliver: the requests from `executed` on (parked
    /// connection, turn over, handed to another worker) and the incomplete one behind them. `buffer` is the one
    /// given to `decode`. Empties the batch.
    pub fn keep_rest(&mut self, batch: &mut Batch, executed: usize, buffer: &[u8]) {
        assert!(executed <= batch.len(), "more requests executed than decoded");
        let mut kept = std::mem::take(&mut batch.kept);
        let source = if batch.from_kept { &kept[batch.kept_start..] } else { buffer };
        let first_kept = batch.requests.get(executed);
        let rest_start = match first_kept {
            Some(request) if request.source == Source::Split => request.end as usize,
            Some(request) => request.start as usize,
            None => batch.decoded_to,
        };
        let rest = &source[rest_start..];
        if first_kept.is_none() && batch.stop == Stop::Incomplete && !rest.is_empty() {
            self.begin_partial(batch.take_spare(), rest);
        } else if first_kept.is_some_and(|request| request.source == Source::Split) {
            let mut encoded = Vec::new();
            write_request(&mut encoded, batch.request(executed, buffer));
            encoded.extend_from_slice(rest);
            (self.kept, self.kept_start) = (encoded, 0);
        } else if batch.from_kept && !rest.is_empty() {
            let start = batch.kept_start + rest_start;
            (self.kept, self.kept_start) = (std::mem::take(&mut kept), start);
        } else {
            self.kept.extend_from_slice(rest);
        }
        batch.clear();
    }

    /// Keeps bytes that arrived while the connection may not run requests, without looking at them. They are decoded
    /// by the next `decode`, before its own buffer.
    ///
    /// # Errors
    /// `QueryBufferFull` past 1 GiB; the caller compares `pending_bytes` with its own limit.
    pub fn keep_tail(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        if self.kept.len() - self.kept_start + bytes.len() > BUFFER_BYTES_MAX {
            return Err(ProtocolError::QueryBufferFull);
        }
        // Each byte is moved at most once for every byte taken off the front: linear in all.
        if self.kept_start * 2 >= self.kept.len() {
            self.kept.drain(..self.kept_start);
            self.kept_start = 0;
        }
        self.kept.extend_from_slice(bytes);
        Ok(())
    }

    /// Whether bytes are kept that may hold complete requests: `decode(&[], ..)` when the connection's turn comes.
    pub fn has_kept(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Bytes held for this connection: the incomplete request and everything behind it.
    pub fn pending_bytes(&self) -> usize {
        let partial = self.partial.as_ref().map_or(0, |partial| partial.pending_bytes());
        partial + self.kept.len() - self.kept_start
    }

    /// Of [`Decoder::pending_bytes`] those that came from the client: what it takes to remember where they are is left
    /// out.
    pub fn received_bytes(&self) -> usize {
        let partial = self.partial.as_ref().map_or(0, |partial| partial.received_bytes());
        partial + self.kept.len() - self.kept_start
    }

    /// Bytes that the client has said will come of the large argument that it is sending.
    pub fn announced_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| partial.announced_bytes())
    }

    /// Finishes the partial request, if there is one, and decodes on behind it.
    fn decode_on(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        batch: &mut Batch,
    ) -> Result<usize, ProtocolError> {
        let Some(mut partial) = self.partial.take() else { return decode_whole(bytes, 0, limits, batch) };
        let fed = partial.feed(bytes, limits).inspect_err(|_| batch.stop = Stop::Failed)?;
        if partial.buffer.len() > BUFFER_BYTES_MAX {
            batch.stop = Stop::Failed;
            return Err(ProtocolError::QueryBufferFull);
        }
        if !fed.complete {
            self.partial = Some(partial);
            batch.decoded_to = fed.taken;
            return Ok(0);
        }
        let before = partial.wire_bytes - fed.taken;
        batch.adopt(partial, fed.taken);
        Ok(before + decode_whole(bytes, fed.taken, limits, batch)?)
    }

    /// Starts on the incomplete request that `rest` holds the beginning of.
    fn begin_partial(&mut self, mut partial: Box<Partial>, rest: &[u8]) {
        debug_assert!(self.partial.is_none() && self.kept.is_empty());
        let fed = partial.feed(rest, &Limits::CHECKED);
        assert!(
            fed.is_ok_and(|fed| !fed.complete && fed.taken == rest.len()),
            "what was found well-formed but incomplete is neither malformed nor complete"
        );
        self.partial = Some(partial);
    }
}

/// Decodes the requests that lie whole in `bytes[start..]`.
fn decode_whole(
    bytes: &[u8],
    start: usize,
    limits: &Limits,
    batch: &mut Batch,
) -> Result<usize, ProtocolError> {
    assert!(bytes.len() <= 2 * BUFFER_BYTES_MAX, "a read buffer of more than 2 GiB");
    let source = if batch.from_kept { Source::Kept } else { Source::Read };
    let mut at = start;
    while at < bytes.len() {
        if batch.requests.len() >= limits.requests_max {
            batch.stop = Stop::Full;
            break;
        }
        let (spans, large) = (batch.spans.len(), batch.large.len());
        let found = scan_request(bytes, at, limits, &mut batch.spans, &mut batch.large);
        match found {
            Ok(Scan::Request { next }) => {
                batch.requests.push(Request {
                    first_span: spans as u32,
                    span_count: (batch.spans.len() - spans) as u32,
                    source,
                    start: at as u32,
                    end: next as u32,
                    wire_bytes: next - at,
                });
                at = next;
            }
            Ok(Scan::Empty { next }) => at = next,
            Ok(Scan::Incomplete) | Err(_) => {
                batch.spans.truncate(spans);
                batch.large.truncate(large);
                batch.decoded_to = at;
                if let Err(error) = found {
                    batch.stop = Stop::Failed;
                    return Err(error);
                }
                return Ok(at);
            }
        }
    }
    batch.decoded_to = at;
    Ok(at)
}

#[cfg(test)]
mod tests;
