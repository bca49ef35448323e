//! Values, keys, expiry and the point-in-time cut. Knows no client, no reply and no file.
//! The only crate of the house that may hold `unsafe`, in small files, each block with its argument.

mod cut;
mod database; // read me first
mod entry;
mod table;
mod text;
mod value;

mod access;
pub mod intset;
pub mod list;
pub mod listpack;
pub mod zset;

mod distinct;
mod hash;
mod left;
mod malformed;
mod members;
mod memory;
mod name;
mod ordered;
mod set;
mod shape;
mod shared;
mod stream;
mod thin;

#[cfg(test)]
mod model;

pub use access::AccessRule;
pub use cut::{AbortReason, CutBatch, CutBounds, CutEntry, CutFeed, CutId, CutProgress, CutStats};
pub use database::{
    Collection, Database, Detached, EntryMaker, ExpireProgress, Expiry, Keyspace, LookUp, NewEntry, Replaced,
    Slot, TextSlot, WrongKind,
};
pub use distinct::distinct_ranks;
pub use entry::Entry;
pub use hash::{Hash, HashIter, HashLimits};
pub use intset::Intset;
pub use left::Content;
pub use list::{End, List, ListLimits};
pub use listpack::{Element, Listpack};
pub use malformed::Malformed;
pub use members::{Insertion, MemberIter, Members};
pub use memory::size_class;
pub use set::{Set, SetIter, SetLimits, SetLookUps};
pub use shape::TableShape;
pub use shared::{SHARED_OVERHEAD_BYTES, Shared};
pub use stream::{
    AppendError, Stream, StreamConsumer, StreamEntries, StreamEntry, StreamFields, StreamGroup,
    StreamGroupMut, StreamId, StreamIdText, StreamKeep, StreamLimits, StreamPending, StreamPendingRange,
    StreamRange, StreamTrim,
};
pub use text::{INLINE_BYTES_MAX, INTEGER_TEXT_BYTES, Text, TextRef, decimal, integer_of};
pub use value::{Kind, Value, ValueRef};
pub use zset::{LexRange, ScoreRange, Zset, ZsetLimits};
