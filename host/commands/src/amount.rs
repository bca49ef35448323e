//! Counts that clients send, and how Redis refuses wrong ones. Knows no command.

use tenon_resp::{Args, Reply};

use crate::{CommandError, Words};

/// What commands say to a count that is no number, or below zero.
pub(crate) const NOT_POSITIVE: &str = "ERR value is out of range, must be positive";

/// What a reply says that would be longer than a string may be.
const REPLY_TOO_LONG: CommandError =
    CommandError::text("ERR value is out of range, the reply would be too long");

/// The bytes of the shortest member on the wire.
const SHORTEST_MEMBER_BYTES: usize = 6;

/// The whole number at `index`, refused with `refusal` if it is none or below `least` (which is not negative).
pub(crate) fn at_least(
    args: Args<'_>,
    index: usize,
    least: i64,
    refusal: &'static str,
) -> Result<usize, CommandError> {
    match tenon_resp::parse_integer(args.get(index)) {
        Some(number) if number >= least => Ok(usize::try_from(number).unwrap_or(usize::MAX)),
        _ => Err(CommandError::text(refusal)),
    }
}

/// How many members are to be chosen by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// So many different ones, or all where there are fewer.
    Distinct(usize),
    /// So many, each chosen among all.
    Repeated(usize),
}

impl Choice {
    /// Reads a count: below zero, members may come more than once.
    pub(crate) fn read(args: Args<'_>, index: usize) -> Result<Choice, CommandError> {
        let count = args.integer(index)?;
        let amount = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        match count {
            i64::MIN => Err(CommandError::text(
                "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
            )),
            0.. => Ok(Choice::Distinct(amount)),
            _ => Ok(Choice::Repeated(amount)),
        }
    }
}

/// Writes something `count` times, as long as the reply stays below `bytes_max`: a client may ask for more
/// than memory can hold. It ends early where the client is to be closed for so much.
pub(crate) fn repeat(
    reply: &mut Reply<'_>,
    count: usize,
    bytes_max: usize,
    mut write: impl FnMut(&mut Reply<'_>),
) -> Result<(), CommandError> {
    if count > bytes_max / SHORTEST_MEMBER_BYTES {
        return Err(REPLY_TOO_LONG);
    }
    let start = reply.position();
    for _ in 0..count {
        write(reply);
        if reply.position() - start > bytes_max {
            reply.truncate(start);
            return Err(REPLY_TOO_LONG);
        }
        if reply.is_full() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenon_resp::{OwnedArgs, Proto};

    fn word(text: &str) -> OwnedArgs {
        OwnedArgs::from(&[text.as_bytes()][..])
    }

    #[test]
    fn counts_are_read_with_their_sign() {
        let read = |text: &str| Choice::read(word(text).as_args(), 0);
        assert_eq!(read("3"), Ok(Choice::Distinct(3)));
        assert_eq!(read("0"), Ok(Choice::Distinct(0)));
        assert_eq!(read("-3"), Ok(Choice::Repeated(3)));
        assert_eq!(read("x"), Err(CommandError::NotInteger));
        assert!(read("-9223372036854775808").is_err());
        assert_eq!(at_least(word("1").as_args(), 0, 1, NOT_POSITIVE), Ok(1));
        for bad in ["0", "-1", "x"] {
            assert_eq!(
                at_least(word(bad).as_args(), 0, 1, NOT_POSITIVE),
                Err(CommandError::text(NOT_POSITIVE))
            );
        }
    }

    #[test]
    fn a_reply_ends_where_it_is_too_long() {
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, Proto::Resp2);
        assert_eq!(repeat(&mut reply, 3, 100, |reply| reply.bulk(b"x")), Ok(()));
        assert!(repeat(&mut reply, 15, 100, |reply| reply.bulk(b"long enough")).is_err());
        assert!(repeat(&mut reply, usize::MAX, 100, |_| unreachable!("refused before")).is_err());
        reply.set_bytes_max(40);
        assert_eq!(repeat(&mut reply, 10, 100, |reply| reply.bulk(b"y")), Ok(()));
        assert_eq!(out.len(), 3 * 7 + 3 * 7);
    }
}
