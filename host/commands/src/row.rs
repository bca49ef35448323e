//! A command is one row: what it is called, what runs it, and everything that COMMAND, ACLs, routing and
//! prefetch need to know of it. Rows are data; a missing column does not compile.
//! Generic in the handler, because the engine has a table of its own for server commands.

use tenon_resp::Args;

use crate::KeyRange;

/// One command, or one subcommand.
#[derive(Debug)]
pub struct Row<F: 'static> {
    /// Lower-case name; of a subcommand, the word behind the parent's name.
    pub name: &'static str,
    /// What runs it.
    pub run: F,
    /// Number of words with the name: exactly so many, or at least so many if negative.
    /// A subcommand counts its parent's name too.
    pub arity: i16,
    /// What it does to the server.
    pub flags: Flags,
    /// Where its keys are.
    pub keys: &'static [KeySpec],
    /// ACL categories beyond those that follow from flags and group.
    pub categories: Categories,
    /// Hints for proxies, as COMMAND prints them.
    pub tips: &'static [&'static str],
    /// The family it is documented under.
    pub group: Group,
    /// First version of Redis that had it.
    pub since: &'static str,
    /// Cost, in the usual notation.
    pub complexity: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// What it takes.
    pub arguments: &'static [Argument],
    /// Its subcommands.
    pub subcommands: &'static [Row<F>],
}

/// A set of single-bit properties of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Flags(pub u32);

impl Flags {
    /// Nothing special.
    pub const NONE: Flags = Flags(0);
    /// May change the keyspace.
    pub const WRITE: Flags = Flags(1);
    /// Only reads the keyspace.
    pub const READONLY: Flags = Flags(1 << 1);
    /// Refused when memory is short.
    pub const DENYOOM: Flags = Flags(1 << 2);
    /// For administrators.
    pub const ADMIN: Flags = Flags(1 << 3);
    /// Publish and subscribe.
    pub const PUBSUB: Flags = Flags(1 << 4);
    /// Not from scripts.
    pub const NOSCRIPT: Flags = Flags(1 << 5);
    /// May block its client.
    pub const BLOCKING: Flags = Flags(1 << 6);
    /// Allowed while data is loaded.
    pub const LOADING: Flags = Flags(1 << 7);
    /// Allowed on a replica with stale data.
    pub const STALE: Flags = Flags(1 << 8);
    /// Not shown by MONITOR.
    pub const SKIP_MONITOR: Flags = Flags(1 << 9);
    /// Not kept by SLOWLOG.
    pub const SKIP_SLOWLOG: Flags = Flags(1 << 10);
    /// Accepted for a slot that is being imported.
    pub const ASKING: Flags = Flags(1 << 11);
    /// Constant or logarithmic time.
    pub const FAST: Flags = Flags(1 << 12);
    /// Allowed before authentication.
    pub const NO_AUTH: Flags = Flags(1 << 13);
    /// May propagate although it is not a write.
    pub const MAY_REPLICATE: Flags = Flags(1 << 14);
    /// May be called without any key.
    pub const NO_MANDATORY_KEYS: Flags = Flags(1 << 15);
    /// Needs a configuration switch (DEBUG, MODULE).
    pub const PROTECTED: Flags = Flags(1 << 16);
    /// Not while a replica loads in the background.
    pub const NO_ASYNC_LOADING: Flags = Flags(1 << 17);
    /// Not inside MULTI.
    pub const NO_MULTI: Flags = Flags(1 << 18);
    /// Allowed while a script runs too long.
    pub const ALLOW_BUSY: Flags = Flags(1 << 19);
    /// Keys beyond those that its specification tells.
    pub const TOUCHES_ARBITRARY_KEYS: Flags = Flags(1 << 20);
    /// Exists for Sentinel too.
    pub const SENTINEL: Flags = Flags(1 << 21);
    /// Exists for Sentinel alone.
    pub const ONLY_SENTINEL: Flags = Flags(1 << 22);

    /// Names as COMMAND prints them, in its order.
    const NAMES: [(Flags, &'static str); 22] = [
        (Flags::WRITE, "write"),
        (Flags::READONLY, "readonly"),
        (Flags::DENYOOM, "denyoom"),
        (Flags::ADMIN, "admin"),
        (Flags::PUBSUB, "pubsub"),
        (Flags::NOSCRIPT, "noscript"),
        (Flags::BLOCKING, "blocking"),
        (Flags::LOADING, "loading"),
        (Flags::STALE, "stale"),
        (Flags::SKIP_MONITOR, "skip_monitor"),
        (Flags::SKIP_SLOWLOG, "skip_slowlog"),
        (Flags::ASKING, "asking"),
        (Flags::FAST, "fast"),
        (Flags::NO_AUTH, "no_auth"),
        (Flags::MAY_REPLICATE, "may_replicate"),
        (Flags::NO_MANDATORY_KEYS, "no_mandatory_keys"),
        (Flags::NO_ASYNC_LOADING, "no_async_loading"),
        (Flags::NO_MULTI, "no_multi"),
        (Flags::ALLOW_BUSY, "allow_busy"),
        (Flags::SENTINEL, "sentinel"),
        (Flags::ONLY_SENTINEL, "only_sentinel"),
        (Flags::TOUCHES_ARBITRARY_KEYS, "touches_arbitrary_keys"),
    ];

    /// Both sets.
    pub const fn and(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// This set without what is in `other`.
    pub const fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }

    /// Whether all of `other` is in this set.
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names of the flags in this set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Flags::NAMES.iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, name)| *name)
    }
}

/// A set of ACL categories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Categories(pub u32);

impl Categories {
    /// None beyond the implied ones.
    pub const NONE: Categories = Categories(0);
    /// Touches keys in general.
    pub const KEYSPACE: Categories = Categories(1);
    /// Reads keys.
    pub const READ: Categories = Categories(1 << 1);
    /// Writes keys.
    pub const WRITE: Categories = Categories(1 << 2);
    /// Sets.
    pub const SET: Categories = Categories(1 << 3);
    /// Sorted sets.
    pub const SORTED_SET: Categories = Categories(1 << 4);
    /// Lists.
    pub const LIST: Categories = Categories(1 << 5);
    /// Hashes.
    pub const HASH: Categories = Categories(1 << 6);
    /// Strings.
    pub const STRING: Categories = Categories(1 << 7);
    /// Bitmaps.
    pub const BITMAP: Categories = Categories(1 << 8);
    /// HyperLogLog.
    pub const HYPERLOGLOG: Categories = Categories(1 << 9);
    /// Geo.
    pub const GEO: Categories = Categories(1 << 10);
    /// Streams.
    pub const STREAM: Categories = Categories(1 << 11);
    /// Publish and subscribe.
    pub const PUBSUB: Categories = Categories(1 << 12);
    /// Administration.
    pub const ADMIN: Categories = Categories(1 << 13);
    /// Fast commands.
    pub const FAST: Categories = Categories(1 << 14);
    /// All others.
    pub const SLOW: Categories = Categories(1 << 15);
    /// May block.
    pub const BLOCKING: Categories = Categories(1 << 16);
    /// Can do harm.
    pub const DANGEROUS: Categories = Categories(1 << 17);
    /// About the connection.
    pub const CONNECTION: Categories = Categories(1 << 18);
    /// Transactions.
    pub const TRANSACTION: Categories = Categories(1 << 19);
    /// Scripts.
    pub const SCRIPTING: Categories = Categories(1 << 20);

    /// Names in the order of ACL CAT.
    pub const NAMES: [(Categories, &'static str); 21] = [
        (Categories::KEYSPACE, "keyspace"),
        (Categories::READ, "read"),
        (Categories::WRITE, "write"),
        (Categories::SET, "set"),
        (Categories::SORTED_SET, "sortedset"),
        (Categories::LIST, "list"),
        (Categories::HASH, "hash"),
        (Categories::STRING, "string"),
        (Categories::BITMAP, "bitmap"),
        (Categories::HYPERLOGLOG, "hyperloglog"),
        (Categories::GEO, "geo"),
        (Categories::STREAM, "stream"),
        (Categories::PUBSUB, "pubsub"),
        (Categories::ADMIN, "admin"),
        (Categories::FAST, "fast"),
        (Categories::SLOW, "slow"),
        (Categories::BLOCKING, "blocking"),
        (Categories::DANGEROUS, "dangerous"),
        (Categories::CONNECTION, "connection"),
        (Categories::TRANSACTION, "transaction"),
        (Categories::SCRIPTING, "scripting"),
    ];

    /// Both sets.
    pub const fn and(self, other: Categories) -> Categories {
        Categories(self.0 | other.0)
    }

    /// Whether all of `other` is in this set.
    pub const fn has(self, other: Categories) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names in this set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Categories::NAMES.iter().filter(move |(category, _)| self.has(*category)).map(|(_, name)| *name)
    }
}

impl<F> Row<F> {
    /// Whether `words` words, name included, are a right number.
    pub fn accepts(&self, words: usize) -> bool {
        if self.arity >= 0 {
            words == self.arity as usize
        } else {
            words >= self.arity.unsigned_abs() as usize
        }
    }

    /// All ACL categories: the row's own and those that follow from its flags, as Redis derives them.
    pub fn all_categories(&self) -> Categories {
        let mut all = self.categories;
        let mut imply = |condition: bool, category: Categories| {
            if condition {
                all = all.and(category);
            }
        };
        imply(self.flags.has(Flags::WRITE), Categories::WRITE);
        imply(
            self.flags.has(Flags::READONLY) && !self.categories.has(Categories::SCRIPTING),
            Categories::READ,
        );
        imply(self.flags.has(Flags::ADMIN), Categories::ADMIN.and(Categories::DANGEROUS));
        imply(self.flags.has(Flags::PUBSUB), Categories::PUBSUB);
        imply(self.flags.has(Flags::FAST), Categories::FAST);
        imply(self.flags.has(Flags::BLOCKING), Categories::BLOCKING);
        imply(!self.flags.has(Flags::FAST), Categories::SLOW);
        all
    }
}

/// Families, as COMMAND DOCS and HELP name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Keys of any type.
    Generic,
    /// Strings.
    String,
    /// Lists.
    List,
    /// Sets.
    Set,
    /// Sorted sets.
    SortedSet,
    /// Hashes.
    Hash,
    /// Strings of bits.
    Bitmap,
    /// HyperLogLogs.
    Hyperloglog,
    /// Positions on the earth.
    Geo,
    /// Streams.
    Stream,
    /// Publish and subscribe.
    Pubsub,
    /// Transactions.
    Transactions,
    /// The connection.
    Connection,
    /// The server.
    Server,
    /// Scripts and functions.
    Scripting,
    /// Cluster.
    Cluster,
}

impl Group {
    /// The name in COMMAND DOCS.
    pub const fn name(self) -> &'static str {
        match self {
            Group::Generic => "generic",
            Group::String => "string",
            Group::List => "list",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Hash => "hash",
            Group::Bitmap => "bitmap",
            Group::Hyperloglog => "hyperloglog",
            Group::Geo => "geo",
            Group::Stream => "stream",
            Group::Pubsub => "pubsub",
            Group::Transactions => "transactions",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Scripting => "scripting",
            Group::Cluster => "cluster",
        }
    }
}

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

/// One argument in COMMAND DOCS.
#[derive(Clone, Copy, Debug)]
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// What is shown in its place, if not its name.
    pub shown_as: Option<&'static str>,
    /// What it is.
    pub kind: ArgumentKind,
    /// A word before it.
    pub token: Option<&'static str>,
    /// Whether it may be left out.
    pub is_optional: bool,
    /// Whether it may be repeated.
    pub is_multiple: bool,
    /// Whether the token is repeated with it.
    pub is_multiple_token: bool,
    /// Since when, if later than the command.
    pub since: Option<&'static str>,
    /// Which of the row's key specifications it belongs to.
    pub key_spec: Option<u8>,
    /// Its parts, for `Block` and `OneOf`.
    pub parts: &'static [Argument],
}

/// Kinds of arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgumentKind {
    /// Any string.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Double,
    /// A key.
    Key,
    /// A pattern.
    Pattern,
    /// A point in time.
    UnixTime,
    /// A word by itself.
    PureToken,
    /// One of its parts.
    OneOf,
    /// All of its parts.
    Block,
}

impl ArgumentKind {
    /// The name in COMMAND DOCS.
    pub const fn name(self) -> &'static str {
        match self {
            ArgumentKind::String => "string",
            ArgumentKind::Integer => "integer",
            ArgumentKind::Double => "double",
            ArgumentKind::Key => "key",
            ArgumentKind::Pattern => "pattern",
            ArgumentKind::UnixTime => "unix-time",
            ArgumentKind::PureToken => "pure-token",
            ArgumentKind::OneOf => "oneof",
            ArgumentKind::Block => "block",
        }
    }
}

impl Argument {
    /// An argument of some kind.
    pub const fn new(name: &'static str, kind: ArgumentKind) -> Argument {
        Argument {
            name,
            shown_as: None,
            kind,
            token: None,
            is_optional: false,
            is_multiple: false,
            is_multiple_token: false,
            since: None,
            key_spec: None,
            parts: &[],
        }
    }

    /// A key of the row's key specification `spec`.
    pub const fn key(name: &'static str, spec: u8) -> Argument {
        Argument { key_spec: Some(spec), ..Argument::new(name, ArgumentKind::Key) }
    }

    /// A string.
    pub const fn string(name: &'static str) -> Argument {
        Argument::new(name, ArgumentKind::String)
    }

    /// A whole number.
    pub const fn integer(name: &'static str) -> Argument {
        Argument::new(name, ArgumentKind::Integer)
    }

    /// A number.
    pub const fn double(name: &'static str) -> Argument {
        Argument::new(name, ArgumentKind::Double)
    }

    /// A word by itself: `name` as documented, `token` as typed.
    pub const fn word(name: &'static str, token: &'static str) -> Argument {
        Argument { token: Some(token), ..Argument::new(name, ArgumentKind::PureToken) }
    }

    /// One of several.
    pub const fn one_of(name: &'static str, parts: &'static [Argument]) -> Argument {
        Argument { parts, ..Argument::new(name, ArgumentKind::OneOf) }
    }

    /// Several together.
    pub const fn block(name: &'static str, parts: &'static [Argument]) -> Argument {
        Argument { parts, ..Argument::new(name, ArgumentKind::Block) }
    }

    /// Shown under another name, which other arguments of the command may share.
    pub const fn shown_as(mut self, text: &'static str) -> Argument {
        self.shown_as = Some(text);
        self
    }

    /// With a word before it.
    pub const fn after(mut self, token: &'static str) -> Argument {
        self.token = Some(token);
        self
    }

    /// May be left out.
    pub const fn optional(mut self) -> Argument {
        self.is_optional = true;
        self
    }

    /// May be repeated.
    pub const fn multiple(mut self) -> Argument {
        self.is_multiple = true;
        self
    }

    /// May be repeated together with its token.
    pub const fn multiple_token(mut self) -> Argument {
        self.is_multiple = true;
        self.is_multiple_token = true;
        self
    }

    /// Exists since a later version than the command.
    pub const fn since(mut self, version: &'static str) -> Argument {
        self.since = Some(version);
        self
    }
}
