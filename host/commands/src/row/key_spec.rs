//! Where the keys of a command are among its words, as a row tells. Rules alone: `keys` of this crate applies them to a
//! request.

use tenon_resp::Args;

use crate::KeyRange;

/// Where some of a command's keys are, and what it does with them. The shape is that of Redis 7 key specs.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    /// What it does with these keys.
    pub flags: KeyFlags,
    /// Where to begin.
    pub begin: Begin,
    /// Which words from there on are keys.
    pub find: Find,
}

/// Where a key specification begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At this word.
    Index(i32),
    /// Behind the word `keyword`, looked for from `from` (from the end backwards if negative).
    Keyword {
        /// The word, upper case.
        keyword: &'static str,
        /// Where to start looking.
        from: i32,
    },
    /// Where no rule tells: see [`Find::Unknown`].
    Unknown,
}

/// Which words are keys.
#[derive(Clone, Copy, Debug)]
pub enum Find {
    /// From the beginning to `last` (relative to the beginning; -1 is the last word), every `step`-th.
    /// `limit` cuts the range: 2 means the first half of what is left.
    Range {
        /// Last key, relative to the first; negative counts from the end.
        last: i32,
        /// Distance between keys.
        step: i32,
        /// Divides the range if `last` is -1.
        limit: i32,
    },
    /// A word tells how many keys follow.
    Number {
        /// Where the number is, relative to the beginning.
        at: i32,
        /// Where the first key is, relative to the beginning.
        first: i32,
        /// Distance between keys.
        step: i32,
    },
    /// A range by the rule, every word from the beginning to `last`; but this function knows when it is another one,
    /// or none.
    Checked {
        /// As in a range.
        last: i32,
        /// The keys in truth.
        find: fn(Args<'_>) -> Option<KeyRange>,
    },
    /// No rule tells, but this function does, as far as the words alone can tell.
    Unknown(fn(Args<'_>) -> Option<KeyRange>),
}

impl Find {
    /// The last key, the step and the limit of a range, if the rule is one.
    pub const fn as_range(self) -> Option<(i32, i32, i32)> {
        match self {
            Find::Range { last, step, limit } => Some((last, step, limit)),
            Find::Checked { last, .. } => Some((last, 1, 0)),
            Find::Number { .. } | Find::Unknown(_) => None,
        }
    }
}

/// What a command does with keys, as Redis 7 names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct KeyFlags(pub u16);

impl KeyFlags {
    /// Reads the value.
    pub const RO: KeyFlags = KeyFlags(1);
    /// Changes the value or its metadata.
    pub const RW: KeyFlags = KeyFlags(1 << 1);
    /// Overwrites the value.
    pub const OW: KeyFlags = KeyFlags(1 << 2);
    /// Removes the key.
    pub const RM: KeyFlags = KeyFlags(1 << 3);
    /// Returns user data.
    pub const ACCESS: KeyFlags = KeyFlags(1 << 4);
    /// Changes user data, depending on it.
    pub const UPDATE: KeyFlags = KeyFlags(1 << 5);
    /// Adds user data.
    pub const INSERT: KeyFlags = KeyFlags(1 << 6);
    /// Removes user data.
    pub const DELETE: KeyFlags = KeyFlags(1 << 7);
    /// Not really a key.
    pub const NOT_KEY: KeyFlags = KeyFlags(1 << 8);
    /// There may be more keys than told.
    pub const INCOMPLETE: KeyFlags = KeyFlags(1 << 9);
    /// What it does depends on arguments.
    pub const VARIABLE_FLAGS: KeyFlags = KeyFlags(1 << 10);

    const NAMES: [(KeyFlags, &'static str); 11] = [
        (KeyFlags::RO, "RO"),
        (KeyFlags::RW, "RW"),
        (KeyFlags::OW, "OW"),
        (KeyFlags::RM, "RM"),
        (KeyFlags::ACCESS, "access"),
        (KeyFlags::UPDATE, "update"),
        (KeyFlags::INSERT, "insert"),
        (KeyFlags::DELETE, "delete"),
        (KeyFlags::NOT_KEY, "not_key"),
        (KeyFlags::INCOMPLETE, "incomplete"),
        (KeyFlags::VARIABLE_FLAGS, "variable_flags"),
    ];

    /// Both sets.
    pub const fn and(self, other: KeyFlags) -> KeyFlags {
        KeyFlags(self.0 | other.0)
    }

    /// Whether all of `other` is in this set.
    pub const fn has(self, other: KeyFlags) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names in this set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        KeyFlags::NAMES.iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, name)| *name)
    }
}

impl KeySpec {
    /// One key at word `index`.
    pub const fn at(index: i32, flags: KeyFlags) -> KeySpec {
        KeySpec { flags, begin: Begin::Index(index), find: Find::Range { last: 0, step: 1, limit: 0 } }
    }

    /// Keys from word `index` to `last` (relative to it; -1: to the end), every `step`-th.
    pub const fn range(index: i32, last: i32, step: i32, flags: KeyFlags) -> KeySpec {
        KeySpec { flags, begin: Begin::Index(index), find: Find::Range { last, step, limit: 0 } }
    }

    /// Keys that no rule tells, and how those are found that the words name.
    pub const fn unknown(flags: KeyFlags, find: fn(Args<'_>) -> Option<KeyRange>) -> KeySpec {
        KeySpec { flags, begin: Begin::Unknown, find: Find::Unknown(find) }
    }

    /// A number at word `index`, and so many keys behind it.
    pub const fn number(index: i32, flags: KeyFlags) -> KeySpec {
        KeySpec { flags, begin: Begin::Index(index), find: Find::Number { at: 0, first: 1, step: 1 } }
    }
}
