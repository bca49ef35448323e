//! What is wrong with a request's framing, in Redis's words. After any of these the stream has lost its frame: the
//! caller answers and closes. (The two `Unauthenticated` ones may be tried again once an earlier request of the same
//! read has authenticated the connection.)

use std::fmt;

/// Why the bytes of a connection are not requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// `*` is followed by something that is no count, or a count beyond the limit.
    InvalidMultibulkLength,
    /// More arguments than an unauthenticated connection may send.
    UnauthenticatedMultibulkLength,
    /// No line end in sight after `*`.
    TooBigMultibulkCount,
    /// An argument starts with this byte instead of `$`.
    ExpectedDollar(u8),
    /// `$` is followed by something that is no length, or a length beyond the limit.
    InvalidBulkLength,
    /// A longer argument than an unauthenticated connection may send.
    UnauthenticatedBulkLength,
    /// No line end in sight after `$`.
    TooBigBulkCount,
    /// No line end in sight in an inline request.
    TooBigInline,
    /// An inline request whose quotes do not close, or close inside a word.
    UnbalancedQuotes,
    /// More undecoded bytes than `Limits::query_buffer_max`. Redis closes without an answer.
    QueryBufferFull,
}

impl ProtocolError {
    /// Appends the error reply to send before closing; nothing for `QueryBufferFull`.
    pub fn write_reply(self, out: &mut Vec<u8>) {
        if self == Self::QueryBufferFull {
            return;
        }
        out.extend_from_slice(b"-ERR ");
        out.extend_from_slice(self.text().as_bytes());
        if let Self::ExpectedDollar(found) = self {
            match found {
                0 => {} // Redis formats into a C string, which ends here
                b'\r' | b'\n' => out.extend_from_slice(b" '"),
                _ => out.extend_from_slice(&[found, b'\'']),
            }
        }
        out.extend_from_slice(b"\r\n");
    }

    fn text(self) -> &'static str {
        match self {
            Self::InvalidMultibulkLength => "Protocol error: invalid multibulk length",
            Self::UnauthenticatedMultibulkLength => "Protocol error: unauthenticated multibulk length",
            Self::TooBigMultibulkCount => "Protocol error: too big mbulk count string",
            Self::ExpectedDollar(_) => "Protocol error: expected '$', got '",
            Self::InvalidBulkLength => "Protocol error: invalid bulk length",
            Self::UnauthenticatedBulkLength => "Protocol error: unauthenticated bulk length",
            Self::TooBigBulkCount => "Protocol error: too big bulk count string",
            Self::TooBigInline => "Protocol error: too big inline request",
            Self::UnbalancedQuotes => "Protocol error: unbalanced quotes in request",
            Self::QueryBufferFull => "max query buffer length reached",
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ExpectedDollar(found) => write!(f, "{}{}'", self.text(), found.escape_ascii()),
            _ => f.write_str(self.text()),
        }
    }
}

impl std::error::Error for ProtocolError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_one_line_whatever_the_byte() {
        let reply = |error: ProtocolError| {
            let mut out = Vec::new();
            error.write_reply(&mut out);
            out
        };
        assert_eq!(
            reply(ProtocolError::ExpectedDollar(b'x')),
            b"-ERR Protocol error: expected '$', got 'x'\r\n"
        );
        assert_eq!(
            reply(ProtocolError::ExpectedDollar(b'\n')),
            b"-ERR Protocol error: expected '$', got ' '\r\n"
        );
        assert_eq!(
            reply(ProtocolError::ExpectedDollar(0xff)),
            b"-ERR Protocol error: expected '$', got '\xff'\r\n"
        );
        assert_eq!(reply(ProtocolError::QueryBufferFull), b"");
    }
}
