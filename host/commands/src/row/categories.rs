//! The categories of ACLs. Which ones a command is in follows from its row: see [`Row::all_categories`].
//!
//! [`Row::all_categories`]: crate::Row::all_categories

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
