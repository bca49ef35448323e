//! Why a file, or a payload, cannot be read. One sentence each: where, which key, what was found, what was expected.

use std::fmt;
use std::io;

use tenon_keyspace::Malformed;

use crate::format::{VERSION_READ_MAX, is_readable, kind, type_name};

/// The bytes of a key that a message shows.
const KEY_SHOWN_BYTES_MAX: usize = 128;

/// Why reading ended early.
#[derive(Debug)]
pub struct LoadError {
    /// The offset at which it was noticed.
    pub at: u64,
    /// The key whose value was being read.
    pub key: Option<Vec<u8>>,
    /// What is wrong.
    pub kind: LoadErrorKind,
}

/// What is wrong with a file.
#[derive(Debug)]
pub enum LoadErrorKind {
    /// It could not be read.
    Io(io::Error),
    /// It ends too early.
    Truncated,
    /// It begins with something else.
    Magic([u8; 5]),
    /// It is of a version that is not read.
    Version(u32),
    /// A key is of a type that is not read, or something stands where a type should.
    Type(u8),
    /// The same in a file of Valkey, of a number that means something else in one of Redis.
    ValkeyType(u8),
    /// A database that there is none of.
    Database {
        /// Its number.
        found: u64,
        /// How many there are.
        databases: usize,
    },
    /// A length begins with a byte that no length begins with.
    Length(u8),
    /// A string is encoded in an unknown way.
    StringEncoding(u64),
    /// A compressed string is not what it claims to be.
    Compressed {
        /// Bytes that are there.
        compressed: u64,
        /// Bytes that should come out.
        claimed: u64,
    },
    /// A node of a list is neither plain nor packed.
    Container(u64),
    /// A part of a module's data is of no known kind.
    ModulePart(u64),
    /// A compact value is not sound.
    Malformed {
        /// The type of the value.
        type_byte: u8,
        /// What is wrong, at an offset within the value.
        malformed: Malformed,
    },
    /// A set, hash or sorted set contains something twice.
    DuplicateMember {
        /// The type of the value.
        type_byte: u8,
    },
    /// A score is no number.
    Score,
    /// Parts of a stream contradict each other.
    Stream(&'static str),
    /// A collection has no members, where it must have some.
    Empty {
        /// The type of the value.
        type_byte: u8,
    },
    /// A key occurs twice.
    DuplicateKey,
    /// The checksum is that of other bytes.
    Checksum {
        /// What the bytes have.
        computed: u64,
        /// What the file says.
        found: u64,
    },
    /// Whoever was told of the progress wanted no more.
    Cancelled,
}

impl LoadError {
    /// The error of a key that was there already; its value ended at this offset.
    pub fn duplicate(at: u64, key: &[u8]) -> LoadError {
        LoadError { at, key: None, kind: LoadErrorKind::DuplicateKey }.with_key(key)
    }

    pub(crate) fn with_key(mut self, key: &[u8]) -> LoadError {
        self.key = Some(key.to_vec());
        self
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let LoadErrorKind::Version(_) = self.kind {
            return self.kind.fmt(f);
        }
        write!(f, "RDB offset {}", self.at)?;
        if let Some(key) = &self.key {
            let shown = &key[..key.len().min(KEY_SHOWN_BYTES_MAX)];
            write!(f, ", key \"{}\"", shown.escape_ascii())?;
            if shown.len() < key.len() {
                write!(f, "... ({} bytes)", key.len())?;
            }
        }
        write!(f, ": {}", self.kind)
    }
}

impl fmt::Display for LoadErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use LoadErrorKind::*;
        match self {
            Io(error) => write!(f, "cannot be read: {error}"),
            Truncated => write!(f, "found the end of the data, expected more"),
            Magic(found) => {
                write!(f, "Wrong signature: found \"{}\", expected \"REDIS\"", found.escape_ascii())
            }
            Version(found) => write!(f, "Can't handle RDB format version {found}"),
            Type(found) => write_type(f, *found),
            ValkeyType(found) => write!(
                f,
                "found type byte {found}, which Valkey gave a meaning of its own that is not known here: let this server \
                 follow that one (REPLICAOF)"
            ),
            Database { found, databases } => {
                write!(f, "found database {found}, expected one below {databases} (see 'databases')")
            }
            Length(found) => write!(f, "found byte {found:#04x}, expected a length"),
            StringEncoding(found) => write!(f, "found string encoding {found}, expected 0 to 3"),
            Compressed { compressed, claimed } => {
                write!(f, "found {compressed} compressed bytes, which do not expand to {claimed} as expected")
            }
            Container(found) => write!(f, "found a list node of kind {found}, expected 1 or 2"),
            ModulePart(found) => write!(f, "found module data of kind {found}, expected 0 to 5"),
            Malformed { type_byte, malformed } => {
                write!(f, "{} integrity check failed: ", compact_name(*type_byte))?;
                write!(f, "expected a sound {}, found a bad {malformed} of it", known_name(*type_byte))
            }
            DuplicateMember { type_byte } => {
                write!(f, "{}: ", duplicate_name(*type_byte))?;
                write!(f, "found a member twice, expected a {} without repetition", known_name(*type_byte))
            }
            // In the words of Redis, too, for which people search their logs.
            Stream(what @ DUPLICATE_CONSUMER) => {
                write!(f, "Duplicate stream consumer detected: expected a sound stream, found {what}")
            }
            Stream(what) => write!(f, "expected a sound stream, found {what}"),
            Score => write!(f, "found a score that is not a number"),
            Empty { type_byte } => {
                // Redis takes an empty zipmap for a broken one, and finds out of other values that they are empty.
                let is_zipmap = *type_byte == kind::HASH_ZIPMAP;
                f.write_str(if is_zipmap { "Zipmap integrity check failed: " } else { "" })?;
                write!(f, "found a collection without members, expected some")
            }
            DuplicateKey => write!(f, "found the key a second time in the same database, expected it once"),
            Checksum { computed, found } => {
                write!(f, "CRC error: Wrong RDB checksum expected: ({computed:x}) but got ({found:x})")
            }
            Cancelled => write!(f, "the load was given up on request"),
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            LoadErrorKind::Io(error) => Some(error),
            _ => None,
        }
    }
}

fn write_type(f: &mut fmt::Formatter<'_>, found: u8) -> fmt::Result {
    match type_name(found) {
        Some(name) if !is_readable(found) => {
            write!(f, "found type byte {found} ({name}), which is not supported")
        }
        _ => write!(f, "found type byte {found}, expected a type of RDB versions 1 to {VERSION_READ_MAX}"),
    }
}

/// A consumer's name occurs twice in a group.
pub(crate) const DUPLICATE_CONSUMER: &str = "a consumer that is there twice";

/// What Redis calls a compact value that is not sound.
fn compact_name(type_byte: u8) -> &'static str {
    match type_byte {
        kind::HASH_ZIPMAP => "Zipmap",
        kind::LIST_ZIPLIST => "List ziplist",
        kind::SET_INTSET => "Intset",
        kind::ZSET_ZIPLIST => "Zset ziplist",
        kind::HASH_ZIPLIST => "Hash ziplist",
        kind::LIST_OF_ZIPLISTS => "Ziplist",
        kind::LIST_OF_NODES => "Listpack",
        kind::SET_LISTPACK => "Set listpack",
        kind::ZSET_LISTPACK => "Zset listpack",
        kind::HASH_LISTPACK => "Hash listpack",
        kind::STREAM | kind::STREAM_WITH_FIGURES | kind::STREAM_WITH_ACTIVE_TIMES => "Stream listpack",
        _ => "Value",
    }
}

/// What Redis calls a value that is written member by member, with one that is there twice.
fn duplicate_name(type_byte: u8) -> &'static str {
    match type_byte {
        kind::SET => "Duplicate set members detected",
        kind::ZSET | kind::ZSET_TEXT => "Duplicate zset fields detected",
        _ => "Duplicate hash fields detected",
    }
}

fn known_name(type_byte: u8) -> &'static str {
    type_name(type_byte).unwrap_or("value")
}
