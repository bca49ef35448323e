//! What SORT is told, and which part of the result is wanted.

use std::ops::Range;

use tenon_resp::Args;

use super::pattern::Pattern;
use crate::{CommandError, Words};

/// The words behind the key.
pub(super) struct Options<'a> {
    /// Whether the elements are to be put in an order: not if BY names no pattern.
    pub(super) sorts: bool,
    /// What to sort by; by the elements themselves if nothing is named.
    pub(super) by: Option<Pattern<'a>>,
    pub(super) is_alpha: bool,
    pub(super) is_descending: bool,
    /// What to tell of each element; the element itself if nothing is named.
    pub(super) gets: Vec<Pattern<'a>>,
    /// The key to store in.
    pub(super) target: Option<&'a [u8]>,
    start: i64,
    /// Below zero: all.
    count: i64,
}

impl<'a> Options<'a> {
    /// Reads the words from the second on. Who may not read every key may not have patterns followed.
    pub(super) fn parse(
        args: Args<'a>,
        may_store: bool,
        keys_are_limited: bool,
    ) -> Result<Options<'a>, CommandError> {
        let mut options = Options {
            sorts: true,
            by: None,
            is_alpha: false,
            is_descending: false,
            gets: Vec::new(),
            target: None,
            start: 0,
            count: -1,
        };
        let mut index = 2;
        while index < args.len() {
            let has = |words: usize| index + words < args.len();
            match () {
                () if args.is(index, "ASC") => options.is_descending = false,
                () if args.is(index, "DESC") => options.is_descending = true,
                () if args.is(index, "ALPHA") => options.is_alpha = true,
                () if args.is(index, "LIMIT") && has(2) => {
                    (options.start, options.count) = (args.integer(index + 1)?, args.integer(index + 2)?);
                    index += 2;
                }
                () if may_store && args.is(index, "STORE") && has(1) => {
                    index += 1;
                    options.target = Some(args.get(index));
                }
                () if args.is(index, "BY") && has(1) => {
                    index += 1;
                    let pattern = Pattern::parse(args.get(index));
                    if keys_are_limited && pattern.names_keys() {
                        return Err(CommandError::text(
                            "ERR BY option of SORT denied due to insufficient ACL permissions.",
                        ));
                    }
                    // One pattern that leaves all as it is cannot be taken back.
                    options.sorts &= pattern.names_keys();
                    options.by = Some(pattern);
                }
                () if args.is(index, "GET") && has(1) => {
                    if keys_are_limited {
                        return Err(CommandError::text(
                            "ERR GET option of SORT denied due to insufficient ACL permissions.",
                        ));
                    }
                    index += 1;
                    options.gets.push(Pattern::parse(args.get(index)));
                }
                () => return Err(CommandError::Syntax),
            }
            index += 1;
        }
        Ok(options)
    }

    /// The part that LIMIT names of a result of `len` elements.
    pub(super) fn window(&self, len: usize) -> Range<usize> {
        let cut = |number: i64| usize::try_from(number).unwrap_or(usize::MAX).min(len);
        let start = cut(self.start.max(0));
        let end = if self.count < 0 { len } else { start.saturating_add(cut(self.count)).min(len) };
        start..end
    }
}

#[cfg(test)]
mod tests {
    use tenon_resp::OwnedArgs;

    use super::*;

    #[test]
    fn a_window_stays_within_the_result() {
        let window = |start, count, len| {
            let words = OwnedArgs::new();
            let options = Options::parse(words.as_args(), true, false).expect("no words");
            Options { start, count, ..options }.window(len)
        };
        assert_eq!(window(0, -1, 5), 0..5);
        assert_eq!(window(1, 2, 5), 1..3);
        assert_eq!(window(-7, 2, 5), 0..2);
        assert_eq!(window(4, i64::MAX, 5), 4..5);
        assert_eq!(window(5, 1, 5), 5..5);
        assert_eq!(window(i64::MAX, i64::MAX, 5), 5..5);
        assert_eq!(window(2, 0, 5), 2..2);
        assert_eq!(window(0, -1, 0), 0..0);
        assert_eq!(window(0, i64::MIN, 3), 0..3);
    }
}
