//! The wire format: RESP2 and RESP3 requests and replies.
//!
//! Bytes in, requests out; replies in, bytes out; and the number formats both need. It is not a session: what a
//! command means, when a connection closes and who is authenticated are the caller's.
//! Always: no length read from the wire is allocated before its bytes arrived, and the steady path (whole small
//! requests, ordinary replies) allocates nothing.

mod batch;
mod decoder;
mod header;
mod inline;
mod partial;
mod peek;
mod protocol_error;
mod request; // read me first: what a request is
mod scan;

mod reply;
mod reply_decoder;
mod value;

mod double;
mod extended;
mod long_double;
mod number;

pub use batch::Batch;
pub use decoder::{Decoder, Limits};
pub use double::{DOUBLE_TEXT_BYTES_MAX, format_double, parse_double};
pub use long_double::{LongDouble, LongDoubleError, long_double_add};
pub use number::{INTEGER_TEXT_BYTES_MAX, format_integer, parse_integer, parse_unsigned};
pub use peek::peek;
pub use protocol_error::ProtocolError;
pub use reply::{Deferred, Proto, Reply};
pub use reply_decoder::{ReplyDecoder, ReplyError};
pub use request::{
    Args, ArgsIter, LARGE_ARGUMENT_BYTES, OwnedArgs, write_array_header, write_bulk, write_request,
};
pub use value::Value;
