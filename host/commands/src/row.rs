//! A command is one row: what it is called, what runs it, and everything that COMMAND, ACLs, routing and
//! prefetch need to know of it. Rows are data; a missing column does not compile.
//! Generic in the handler, because the engine has a table of its own for server commands.

mod argument;
mod categories;
mod flags;
mod key_spec;

pub use self::argument::{Argument, ArgumentKind};
pub use self::categories::Categories;
pub use self::flags::Flags;
pub use self::key_spec::{Begin, Find, KeyFlags, KeySpec};

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

impl<F> Row<F> {
    /// The row of a subcommand HELP. Those that differ from it say in what.
    pub const fn help(run: F, group: Group, since: &'static str) -> Row<F> {
        Row {
            name: "help",
            run,
            arity: 2,
            flags: Flags::LOADING.and(Flags::STALE),
            keys: &[],
            categories: Categories::NONE,
            tips: &[],
            group,
            since,
            complexity: "O(1)",
            summary: "Explains the subcommands.",
            arguments: &[],
            subcommands: &[],
        }
    }

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
