//! What the commands of the SCAN family have in common: how a cursor is read, and which options there are.

use tenon_base::glob_matches;
use tenon_keyspace::Element;
use tenon_resp::Args;

use crate::{Argument, ArgumentKind, CommandError, Words};

/// What they take, in this order.
pub(crate) const CURSOR: Argument = Argument::integer("cursor");
pub(crate) const PATTERN: Argument =
    Argument::new("pattern", ArgumentKind::Pattern).after("MATCH").optional();
pub(crate) const COUNT: Argument = Argument::integer("count").after("COUNT").optional();

/// How many elements a call looks at unless told.
const COUNT_DEFAULT: usize = 10;

/// Options of HSCAN and its like.
pub(crate) struct ScanOptions<'a> {
    /// About how many elements to look at.
    pub(crate) count: usize,
    pattern: Option<&'a [u8]>,
}

impl<'a> ScanOptions<'a> {
    /// Reads the options from word `from` on.
    pub(crate) fn parse(args: Args<'a>, from: usize) -> Result<ScanOptions<'a>, CommandError> {
        let mut options = ScanOptions { count: COUNT_DEFAULT, pattern: None };
        let mut index = from;
        while index < args.len() {
            let value = args.try_get(index + 1).ok_or(CommandError::Syntax)?;
            if args.is(index, "COUNT") {
                let count = args.integer(index + 1)?;
                options.count =
                    usize::try_from(count).ok().filter(|&count| count > 0).ok_or(CommandError::Syntax)?;
            } else if args.is(index, "MATCH") {
                options.pattern = (value != b"*").then_some(value);
            } else {
                return Err(CommandError::Syntax);
            }
            index += 2;
        }
        Ok(options)
    }

    /// Whether an element is to be returned.
    pub(crate) fn matches(&self, element: Element<'_>) -> bool {
        self.pattern.is_none_or(|pattern| {
            glob_matches(pattern, element.as_bytes(&mut [0; tenon_resp::INTEGER_TEXT_BYTES_MAX]))
        })
    }
}

/// Reads a cursor as leniently as C's `strtoul`: with a sign, or empty, which is 0; but with nothing around it. A zero
/// byte ends it.
pub(crate) fn parse_cursor(word: &[u8]) -> Result<u64, CommandError> {
    const INVALID: CommandError = CommandError::text("ERR invalid cursor");
    let text = word.split(|&byte| byte == 0).next().unwrap_or_default();
    let (is_negative, digits) = match text {
        [] => return Ok(0),
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return Err(INVALID);
    }
    let magnitude = digits.iter().try_fold(0u64, |value, byte| match byte {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    });
    let magnitude = magnitude.ok_or(INVALID)?;
    Ok(if is_negative { magnitude.wrapping_neg() } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenon_resp::OwnedArgs;

    #[test]
    fn cursors_are_read_as_strtoul_reads_them() {
        let max = u64::MAX.to_string();
        for (text, cursor) in [
            ("0", 0),
            ("", 0),
            ("+7", 7),
            ("007", 7),
            ("-1", u64::MAX),
            (max.as_str(), u64::MAX),
            ("7\0x", 7),
        ] {
            assert_eq!(parse_cursor(text.as_bytes()), Ok(cursor), "{text:?}");
        }
        for text in ["-", "+", "x", "1x", " 1", "1 ", "0x10", "--1", " \0", "18446744073709551616"] {
            assert!(parse_cursor(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn options_come_in_any_order_and_case() {
        let options = |words: &[&[u8]]| {
            let args = OwnedArgs::from(words);
            ScanOptions::parse(args.as_args(), 0)
                .map(|options| (options.count, options.pattern.map(<[u8]>::to_vec)))
        };
        assert_eq!(options(&[]), Ok((10, None)));
        assert_eq!(options(&[b"match", b"*", b"COUNT", b"5"]), Ok((5, None)));
        assert_eq!(
            options(&[b"COUNT", b"5", b"MATCH", b"a*", b"Count", b"6"]),
            Ok((6, Some(b"a*".to_vec())))
        );
        assert_eq!(options(&[b"COUNT", b"0"]), Err(CommandError::Syntax));
        assert_eq!(options(&[b"COUNT", b"x"]), Err(CommandError::NotInteger));
        assert_eq!(options(&[b"COUNT"]), Err(CommandError::Syntax));
        assert_eq!(options(&[b"TYPE", b"hash"]), Err(CommandError::Syntax));
    }
}
