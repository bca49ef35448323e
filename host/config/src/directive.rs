//! What a directive is: the columns of its row, and the one macro that makes the `Directive` identifiers from the rows.
//! Not the rows themselves (`table`) and not their values (`value`).
//! Always: `Directive as usize` is the row's place in the table.

use crate::choices::Named;
pub use crate::table::Directive;

/// One directive. Every column is required: a missing one does not compile.
#[derive(Debug)]
pub struct Row {
    /// As in redis.conf, lower case.
    pub name: &'static str,
    /// The other name it answers to.
    pub alias: Option<&'static str>,
    /// What it accepts.
    pub kind: Kind,
    /// What holds when nobody says anything, written as in redis.conf.
    pub default: &'static str,
    /// Whether CONFIG SET may change it.
    pub mutable: bool,
    /// What else is special about it.
    pub flags: Flags,
    /// What it does in this server.
    pub effect: Effect,
}

/// What a directive accepts. Bounds are inclusive; memory is in bytes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `yes` or `no`.
    Bool,
    /// A whole number.
    Integer {
        /// Least.
        min: i64,
        /// Most.
        max: i64,
    },
    /// A whole number from 0 that is drawn into the range instead of refused (`hz`).
    Rate {
        /// Least that takes effect.
        min: i64,
        /// Most that takes effect.
        max: i64,
    },
    /// Bytes, with a unit or without.
    Memory {
        /// Least.
        min: u64,
        /// Most.
        max: u64,
    },
    /// Bytes, or a share of a whole that the reader knows.
    MemoryOrPercent {
        /// Most percent.
        percent_max: u8,
    },
    /// A number in octal notation.
    Octal {
        /// Most.
        max: u32,
    },
    /// One name of a list.
    Choice(&'static [Named]),
    /// Some names of a list of flags.
    Choices(&'static [Named]),
    /// Any bytes, also none.
    Text(TextRule),
    /// Any bytes; none means unset, and CONFIG REWRITE then writes no line.
    OptionalText(TextRule),
    /// A list of words (`bind`).
    Words {
        /// Most words.
        max: usize,
    },
    /// Pairs of seconds and changes (`save`).
    SavePoints,
    /// Class, hard limit, soft limit, seconds (`client-output-buffer-limit`).
    OutputLimits,
    /// Three whole numbers (`oom-score-adj-values`).
    OomScores,
    /// Letters of event classes (`notify-keyspace-events`).
    Events,
    /// Numbers from 0 to 100 (`latency-tracking-info-percentiles`).
    Percentiles,
    /// Host and port, or `no one` (`replicaof`).
    Replica,
    /// `builtin` or a component, then its pin and settings (`policy-fsync`).
    Policy,
}

impl Kind {
    /// Whether the value may be written as several words. One word is then split at its blanks, as Redis does.
    pub fn takes_many(self) -> bool {
        matches!(
            self,
            Kind::Choices(_)
                | Kind::Words { .. }
                | Kind::SavePoints
                | Kind::OutputLimits
                | Kind::OomScores
                | Kind::Percentiles
                | Kind::Replica
                | Kind::Policy
        )
    }
}

/// What a text must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextRule {
    /// Anything.
    Any,
    /// Not empty.
    Directory,
    /// No path (`dbfilename`).
    FileName,
    /// No path, not empty (`appendfilename`).
    OwnFileName,
    /// No path, not empty (`appenddirname`).
    OwnDirectoryName,
    /// Letters, digits, hyphens and dots, under 256 bytes.
    HostName,
    /// No character that the cluster's node file uses for itself.
    NodeName,
    /// A title with the variables Redis knows in braces.
    Title,
}

/// A set of peculiarities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// Nothing special.
    pub const PLAIN: Flags = Flags(0);
    /// A secret: its value appears in no log, error or `Debug`, and the slow log redacts it.
    pub const SENSITIVE: Flags = Flags(1);
    /// CONFIG GET shows it by its exact name only.
    pub const HIDDEN: Flags = Flags(2);
    /// CONFIG SET may change it only where `enable-protected-configs` allows.
    pub const PROTECTED: Flags = Flags(4);
    /// CONFIG SET may not change it while a data set is being loaded.
    pub const DENY_LOADING: Flags = Flags(8);
    /// Names a file whose content counts: setting it to the same value is a change too.
    pub const VOLATILE: Flags = Flags(16);
    /// CONFIG REWRITE writes it even at its default.
    pub const WRITTEN: Flags = Flags(32);
    /// Unknown to Redis: tools that set every directive to the value that it has must not stumble over it, though it
    /// cannot be changed.
    pub const OWN: Flags = Flags(64);

    /// Both.
    pub const fn and(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// Whether all of `other` are among these.
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What a directive does in this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// What Redis's documentation says, or ours for our own.
    Acts,
    /// Recognised, kept, shown and rewritten; nothing reads it yet.
    Later,
    /// Recognised, kept, shown and rewritten; nothing to do with it here, for this reason.
    Meaningless(&'static str),
}

impl Directive {
    /// The directive of that name or alias, in any case.
    pub fn find(name: &[u8]) -> Option<Directive> {
        Directive::ALL
            .into_iter()
            .find(|directive| directive.names().any(|own| own.as_bytes().eq_ignore_ascii_case(name)))
    }

    /// Its name, then its alias if it has one.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.row().name).chain(self.row().alias)
    }

    /// Its name in redis.conf.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Whether its value is a secret.
    pub fn is_sensitive(self) -> bool {
        self.row().flags.has(Flags::SENSITIVE)
    }
}

macro_rules! directives {
    ($($identifier:ident => $row:expr,)*) => {
        /// A directive's identifier: its row's name in camel case.
        #[allow(missing_docs, reason = "each is documented by the row of its name")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Directive { $($identifier,)* }

        static ROWS: &[Row] = &[$($row,)*];

        impl Directive {
            /// Every directive, in the order of the table.
            pub const ALL: [Directive; [$(stringify!($identifier)),*].len()] = [$(Directive::$identifier),*];

            /// Its row.
            pub fn row(self) -> &'static Row {
                &ROWS[self as usize]
            }
        }
    };
}
pub(crate) use directives;
