//! What a key can hold: values owned, and values looked at in place. Knows nothing of keys, expiry or tables.

use crate::text::{Text, TextRef};
use crate::{Hash, List, Set, Stream, Zset};

/// A value, moved in and out of the keyspace.
#[derive(Clone, Debug)]
pub enum Value {
    /// A string.
    String(Text),
    /// A list.
    List(List),
    /// A set.
    Set(Set),
    /// A hash.
    Hash(Hash),
    /// A sorted set.
    Zset(Zset),
    /// A stream.
    Stream(Stream),
}

/// A value where it lies.
#[derive(Clone, Copy, Debug)]
pub enum ValueRef<'a> {
    /// A string.
    String(TextRef<'a>),
    /// A list.
    List(&'a List),
    /// A set.
    Set(&'a Set),
    /// A hash.
    Hash(&'a Hash),
    /// A sorted set.
    Zset(&'a Zset),
    /// A stream.
    Stream(&'a Stream),
}

/// The kinds of value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A string.
    String,
    /// A list.
    List,
    /// A set.
    Set,
    /// A sorted set.
    Zset,
    /// A hash.
    Hash,
    /// A stream.
    Stream,
}

impl Kind {
    /// The name that TYPE replies with.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::List => "list",
            Kind::Set => "set",
            Kind::Zset => "zset",
            Kind::Hash => "hash",
            Kind::Stream => "stream",
        }
    }
}

impl Value {
    /// The kind of value.
    pub fn kind(&self) -> Kind {
        self.as_ref().kind()
    }

    /// The value as it is seen in place.
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Value::String(text) => ValueRef::String(text.as_ref()),
            Value::List(list) => ValueRef::List(list),
            Value::Set(set) => ValueRef::Set(set),
            Value::Hash(hash) => ValueRef::Hash(hash),
            Value::Zset(zset) => ValueRef::Zset(zset),
            Value::Stream(stream) => ValueRef::Stream(stream),
        }
    }

    /// Bytes on the heap, in size classes.
    pub fn memory(&self) -> usize {
        match self {
            Value::String(text) => text.memory(),
            Value::List(list) => list.memory(),
            Value::Set(set) => set.memory(),
            Value::Hash(hash) => hash.memory(),
            Value::Zset(zset) => zset.memory(),
            Value::Stream(stream) => stream.memory(),
        }
    }
}

impl ValueRef<'_> {
    /// The kind of value.
    pub fn kind(&self) -> Kind {
        match self {
            ValueRef::String(_) => Kind::String,
            ValueRef::List(_) => Kind::List,
            ValueRef::Set(_) => Kind::Set,
            ValueRef::Hash(_) => Kind::Hash,
            ValueRef::Zset(_) => Kind::Zset,
            ValueRef::Stream(_) => Kind::Stream,
        }
    }
}

/// Collections show what they are, not what is in them: that may be large, and is not the log's business.
macro_rules! debug_by_figures {
    ($($collection:ident),*) => {$(
        impl std::fmt::Debug for $collection {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($collection))
                    .field("len", &self.len())
                    .field("encoding", &self.encoding())
                    .finish()
            }
        }
    )*};
}

debug_by_figures!(Set, Hash, Zset, Stream);
