//! Finds the keys of a request by its row's key specifications: for routing, prefetch, COMMAND GETKEYS, and to
//! know which keys a unit may touch.

use tenon_resp::Args;

use crate::{Begin, Find, KeySpec};

/// Keys at `first`, `first + step` ... up to `last` (inclusive), as word positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// Position of the first key.
    pub first: usize,
    /// Position of the last key.
    pub last: usize,
    /// Distance.
    pub step: usize,
}

impl KeyRange {
    /// The positions.
    pub fn positions(self) -> impl Iterator<Item = usize> + Clone {
        (self.first..=self.last).step_by(self.step)
    }
}

/// Where `spec` finds keys in `args`; `None` if there are none, or the request is malformed.
pub fn key_positions(spec: &KeySpec, args: Args<'_>) -> Option<KeyRange> {
    let begin = begin(spec.begin, args)?;
    let words = args.len();
    let range = match spec.find {
        Find::Range { last, step, limit } => {
            let last = match last {
                last if last >= 0 => begin + last as usize,
                _ if limit > 1 => begin + (words - begin) / limit as usize - 1,
                last => words.checked_sub(last.unsigned_abs() as usize)?,
            };
            KeyRange { first: begin, last, step: step as usize }
        }
        Find::Number { at, first, step } => {
            let count = tenon_resp::parse_integer(args.try_get(begin + at as usize)?)?;
            let count = usize::try_from(count).ok().filter(|&count| count > 0 && count <= words)?;
            let first = begin + first as usize;
            KeyRange { first, last: first + (count - 1) * step as usize, step: step as usize }
        }
        Find::Unknown(find) => find(args)?,
    };
    (range.first <= range.last && range.last < words).then_some(range)
}

fn begin(begin: Begin, args: Args<'_>) -> Option<usize> {
    match begin {
        Begin::Index(index) => Some(index as usize).filter(|&index| index < args.len()),
        Begin::Keyword { keyword, from } => {
            let is_keyword = |&index: &usize| args.get(index).eq_ignore_ascii_case(keyword.as_bytes());
            let found = if from >= 0 {
                (from as usize..args.len()).find(is_keyword)
            } else {
                let start = args.len().checked_sub(from.unsigned_abs() as usize)?;
                (1..=start).rev().find(is_keyword)
            };
            found.map(|index| index + 1).filter(|&index| index < args.len())
        }
        Begin::Unknown => Some(0),
    }
}
