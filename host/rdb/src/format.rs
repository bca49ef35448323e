//! The numbers of the format: opcodes, types, encodings of strings. Every other file speaks in these names.

/// The newest version of Redis that is read.
pub(crate) const VERSION_READ_MAX: u32 = 12;

/// The versions of Valkey from 9 on that are read. What is between belongs to others.
const VALKEY_VERSIONS: std::ops::RangeInclusive<u32> = 80..=81;

/// How files begin, before digits with the version: four of them, or three.
pub const MAGICS: [&[u8]; 2] = [b"REDIS", b"VALKEY"];

/// Whether files, and payloads, of this version are read.
pub fn is_version_read(version: u32) -> bool {
    (1..=VERSION_READ_MAX).contains(&version) || VALKEY_VERSIONS.contains(&version)
}

/// Whose numbers a file has: from 22 on, and below 244, they mean something else to each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Redis,
    Valkey,
}

impl Dialect {
    /// By the version of a file.
    pub(crate) fn of_version(version: u32) -> Dialect {
        if version < *VALKEY_VERSIONS.start() { Dialect::Redis } else { Dialect::Valkey }
    }
}

/// The first version that ends with a checksum.
pub(crate) const VERSION_WITH_CHECKSUM: u32 = 5;

/// A version that is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum RdbVersion {
    /// Redis 5 and 6: compact values are ziplists.
    V9,
    /// Redis 7.0 and later: compact values are listpacks, except sets.
    #[default]
    V10,
    /// Redis 7.2 and later: compact sets are listpacks too.
    V11,
}

impl RdbVersion {
    /// The version of this number (`rdb-version`), if it is one that is written.
    pub const fn of_number(number: u32) -> Option<RdbVersion> {
        match number {
            9 => Some(RdbVersion::V9),
            10 => Some(RdbVersion::V10),
            11 => Some(RdbVersion::V11),
            _ => None,
        }
    }

    /// Its number.
    pub const fn number(self) -> u16 {
        match self {
            RdbVersion::V9 => 9,
            RdbVersion::V10 => 10,
            RdbVersion::V11 => 11,
        }
    }
}

/// What stands where the type of the next key could stand.
pub(crate) mod opcode {
    /// Of Valkey: slots of a cluster that were on their way here.
    pub(crate) const SLOT_IMPORT: u8 = 243;
    pub(crate) const SLOT_INFO: u8 = 244;
    pub(crate) const FUNCTION: u8 = 245;
    pub(crate) const FUNCTION_EARLY: u8 = 246;
    pub(crate) const MODULE_AUX: u8 = 247;
    pub(crate) const IDLE: u8 = 248;
    pub(crate) const FREQUENCY: u8 = 249;
    pub(crate) const AUX: u8 = 250;
    pub(crate) const RESIZE: u8 = 251;
    pub(crate) const EXPIRES_MS: u8 = 252;
    pub(crate) const EXPIRES_SECONDS: u8 = 253;
    pub(crate) const SELECT: u8 = 254;
    pub(crate) const END: u8 = 255;
}

/// Types of values.
pub(crate) mod kind {
    pub(crate) const STRING: u8 = 0;
    pub(crate) const LIST: u8 = 1;
    pub(crate) const SET: u8 = 2;
    pub(crate) const ZSET_TEXT: u8 = 3;
    pub(crate) const HASH: u8 = 4;
    pub(crate) const ZSET: u8 = 5;
    /// Of a module, in parts that tell their lengths.
    pub(crate) const MODULE: u8 = 7;
    pub(crate) const HASH_ZIPMAP: u8 = 9;
    pub(crate) const LIST_ZIPLIST: u8 = 10;
    pub(crate) const SET_INTSET: u8 = 11;
    pub(crate) const ZSET_ZIPLIST: u8 = 12;
    pub(crate) const HASH_ZIPLIST: u8 = 13;
    pub(crate) const LIST_OF_ZIPLISTS: u8 = 14;
    pub(crate) const STREAM: u8 = 15;
    pub(crate) const HASH_LISTPACK: u8 = 16;
    pub(crate) const ZSET_LISTPACK: u8 = 17;
    pub(crate) const LIST_OF_NODES: u8 = 18;
    pub(crate) const STREAM_WITH_FIGURES: u8 = 19;
    pub(crate) const SET_LISTPACK: u8 = 20;
    pub(crate) const STREAM_WITH_ACTIVE_TIMES: u8 = 21;
    // Hashes whose fields expire; the first two are of release candidates.
    pub(crate) const HASH_TIMED_EARLY: u8 = 22;
    pub(crate) const HASH_TIMED_LISTPACK_EARLY: u8 = 23;
    pub(crate) const HASH_TIMED: u8 = 24;
    pub(crate) const HASH_TIMED_LISTPACK: u8 = 25;
    /// The same in the numbers of Valkey.
    pub(crate) const HASH_TIMED_VALKEY: u8 = 22;
}

/// What a type is called in messages, whether it is read or not; None for a number that stands for nothing known.
pub(crate) fn type_name(type_byte: u8) -> Option<&'static str> {
    Some(match type_byte {
        kind::STRING => "string",
        kind::LIST => "list",
        kind::SET => "set",
        kind::ZSET_TEXT => "sorted set with scores as text",
        kind::HASH => "hash",
        kind::ZSET => "sorted set",
        6 | kind::MODULE => "module value",
        kind::HASH_ZIPMAP => "hash as zipmap",
        kind::LIST_ZIPLIST => "list as ziplist",
        kind::SET_INTSET => "set as intset",
        kind::ZSET_ZIPLIST => "sorted set as ziplist",
        kind::HASH_ZIPLIST => "hash as ziplist",
        kind::LIST_OF_ZIPLISTS => "list of ziplists",
        kind::STREAM | kind::STREAM_WITH_FIGURES | kind::STREAM_WITH_ACTIVE_TIMES | 26 => "stream",
        kind::HASH_LISTPACK => "hash as listpack",
        kind::ZSET_LISTPACK => "sorted set as listpack",
        kind::LIST_OF_NODES => "list of listpacks",
        kind::SET_LISTPACK => "set as listpack",
        kind::HASH_TIMED_EARLY..=kind::HASH_TIMED_LISTPACK => "hash whose fields expire",
        opcode::FUNCTION_EARLY => "function of a release candidate of Redis 7.0",
        _ => return None,
    })
}

/// How a file keeps a value of this type, in the words of OBJECT ENCODING where that has one.
pub fn encoding_name(type_byte: u8) -> &'static str {
    match type_byte {
        kind::STRING => "string",
        kind::LIST => "linkedlist",
        kind::SET | kind::HASH => "hashtable",
        kind::ZSET_TEXT | kind::ZSET => "skiplist",
        kind::HASH_ZIPMAP => "zipmap",
        kind::HASH_TIMED_EARLY | kind::HASH_TIMED => "hashtable with times",
        kind::HASH_TIMED_LISTPACK_EARLY | kind::HASH_TIMED_LISTPACK => "listpack with times",
        kind::LIST_ZIPLIST | kind::ZSET_ZIPLIST | kind::HASH_ZIPLIST => "ziplist",
        kind::SET_INTSET => "intset",
        kind::LIST_OF_ZIPLISTS | kind::LIST_OF_NODES => "quicklist",
        kind::HASH_LISTPACK | kind::ZSET_LISTPACK | kind::SET_LISTPACK => "listpack",
        kind::STREAM | kind::STREAM_WITH_FIGURES | kind::STREAM_WITH_ACTIVE_TIMES => "stream",
        _ => "unknown",
    }
}

/// Whether a value of this type can be read.
pub(crate) fn is_readable(type_byte: u8) -> bool {
    matches!(type_byte, 0..=5 | 9..=21)
}

/// Whether a value of this type is a hash whose fields expire: one is loaded without their times, and never restored.
pub(crate) fn is_timed_hash(type_byte: u8, dialect: Dialect) -> bool {
    match dialect {
        Dialect::Redis => matches!(type_byte, kind::HASH_TIMED_EARLY..=kind::HASH_TIMED_LISTPACK),
        Dialect::Valkey => type_byte == kind::HASH_TIMED_VALKEY,
    }
}

/// Whether a key follows on this type, though its value cannot be read.
pub(crate) fn has_key(type_byte: u8, dialect: Dialect) -> bool {
    match dialect {
        Dialect::Redis => matches!(type_byte, 6..=7 | 15 | 19 | 21..=26),
        Dialect::Valkey => matches!(type_byte, 6..=7 | 22..=23),
    }
}

/// How a string is kept that is not kept as its bytes; the low six bits of a length whose high two are set.
pub(crate) mod special {
    pub(crate) const INTEGER_8: u8 = 0;
    pub(crate) const INTEGER_16: u8 = 1;
    pub(crate) const INTEGER_32: u8 = 2;
    pub(crate) const COMPRESSED: u8 = 3;
}

/// What a node of a list is.
pub(crate) mod container {
    pub(crate) const PLAIN: u64 = 1;
    pub(crate) const PACKED: u64 = 2;
}

/// How parts of a module's data begin.
pub(crate) mod module_part {
    pub(crate) const END: u64 = 0;
    pub(crate) const SIGNED: u64 = 1;
    pub(crate) const UNSIGNED: u64 = 2;
    pub(crate) const FLOAT: u64 = 3;
    pub(crate) const DOUBLE: u64 = 4;
    pub(crate) const STRING: u64 = 5;
}
