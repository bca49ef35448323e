//! What a command waits for that cannot be answered yet: keys of a kind, for a time. Knows no client and no clock:
//! who waits, in which order and until when is the engine's business.
//! Always: a command that waits has written no reply.

use tenon_base::UnixMillis;
use tenon_keyspace::Kind;
use tenon_resp::{Args, LongDouble, OwnedArgs, Reply, parse_integer};

use crate::CommandError;

/// Why a request is not answered yet. It runs again when one of its keys may be ready.
#[derive(Debug)]
pub struct Wait {
    /// Keys of the selected database; one may come more than once.
    pub keys: Vec<Box<[u8]>>,
    /// The request runs again when one of the keys holds a value of this kind.
    pub kind: Kind,
    /// Milliseconds until it is answered with nothing; `None` waits for ever.
    pub timeout: Option<u64>,
    /// Whether it runs again also when a key was removed, or holds a value of another kind.
    pub wakes_when_gone: bool,
    /// What runs again in place of the request, if that would not mean the same later.
    pub request: Option<OwnedArgs>,
    /// The answer where nobody may wait. (When time is up, the answer is always a null array.)
    pub empty: Empty,
}

/// The two ways of answering with nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Empty {
    /// No list.
    NullArray,
    /// No value.
    Null,
}

impl Empty {
    /// Writes it.
    pub fn write(self, reply: &mut Reply<'_>) {
        match self {
            Empty::NullArray => reply.null_array(),
            Empty::Null => reply.null(),
        }
    }
}

/// The timeout at `index` in seconds, which may have a fraction: in milliseconds, rounded up. `None` is for ever.
pub(crate) fn timeout_in_seconds(
    args: Args<'_>,
    index: usize,
    now: UnixMillis,
) -> Result<Option<u64>, CommandError> {
    let seconds = LongDouble::parse(args.get(index))
        .ok_or(CommandError::text("ERR timeout is not a float or out of range"))?;
    timeout(seconds.ceiled_product(1_000), now)
}

/// The timeout at `index` in whole milliseconds. `None` is for ever.
pub fn timeout_in_milliseconds(
    args: Args<'_>,
    index: usize,
    now: UnixMillis,
) -> Result<Option<u64>, CommandError> {
    let span = parse_integer(args.get(index))
        .ok_or(CommandError::text("ERR timeout is not an integer or out of range"))?;
    timeout(Some(span), now)
}

fn timeout(span: Option<i64>, now: UnixMillis) -> Result<Option<u64>, CommandError> {
    const TOO_LONG: CommandError = CommandError::text("ERR timeout is out of range");
    let span = span.ok_or(TOO_LONG)?;
    let length = u64::try_from(span).map_err(|_| CommandError::text("ERR timeout is negative"))?;
    // The moment itself must be one that can be told.
    now.0.checked_add(span).ok_or(TOO_LONG)?;
    Ok(Some(length).filter(|&length| length > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn seconds(text: &str) -> Result<Option<u64>, String> {
        let request = OwnedArgs::from(&[text.as_bytes()]);
        timeout_in_seconds(request.as_args(), 0, NOW).map_err(|error| error.to_string())
    }

    fn milliseconds(text: &str) -> Result<Option<u64>, String> {
        let request = OwnedArgs::from(&[text.as_bytes()]);
        timeout_in_milliseconds(request.as_args(), 0, NOW).map_err(|error| error.to_string())
    }

    #[test]
    fn seconds_are_rounded_up_to_milliseconds() {
        for (text, length) in
            [("0", None), ("-0", None), ("1", Some(1_000)), ("0.1", Some(100)), ("0.0001", Some(1))]
        {
            assert_eq!(seconds(text), Ok(length), "{text}");
        }
        for (text, length) in [("0x7FFFF", Some(524_287_000)), ("2.0011", Some(2_002)), ("-0.0001", None)] {
            assert_eq!(seconds(text), Ok(length), "{text}");
        }
    }

    #[test]
    fn what_is_no_timeout_is_refused() {
        for (text, error) in [
            ("x", "ERR timeout is not a float or out of range"),
            ("nan", "ERR timeout is not a float or out of range"),
            ("-1", "ERR timeout is negative"),
            ("-inf", "ERR timeout is negative"),
            ("inf", "ERR timeout is out of range"),
            ("1e300", "ERR timeout is out of range"),
            ("0x7FFFFFFFFFFFFF", "ERR timeout is out of range"),
            ("0x7FFFFFFFFFFFFFF", "ERR timeout is out of range"),
        ] {
            assert_eq!(seconds(text), Err(error.to_owned()), "{text}");
        }
    }

    #[test]
    fn milliseconds_are_whole() {
        assert_eq!(milliseconds("0"), Ok(None));
        assert_eq!(milliseconds("250"), Ok(Some(250)));
        for (text, error) in [
            ("1.5", "ERR timeout is not an integer or out of range"),
            ("-1", "ERR timeout is negative"),
            ("9223372036854775807", "ERR timeout is out of range"),
        ] {
            assert_eq!(milliseconds(text), Err(error.to_owned()), "{text}");
        }
    }
}
