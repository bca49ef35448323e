//! Values, keys, expiry and the point-in-time cut. Knows no client, no reply and no file.
//! The only crate of the house that may hold `unsafe`, in small files, each block with its argument.

mod cut;
mod database; // read me first
mod entry;
mod table;
mod text;
mod value;

mod collections_pending;

mod memory;
mod shared;

#[cfg(test)]
mod model;

pub use collections_pending::{Hash, List, Set, Zset};
pub use cut::{AbortReason, CutBatch, CutBounds, CutEntry, CutFeed, CutId, CutProgress, CutStats};
pub use database::{
    Collection, Database, Detached, ExpireProgress, Expiry, Keyspace, Replaced, Slot, TextSlot, WrongKind,
};
pub use entry::Entry;
pub use memory::size_class;
pub use shared::{SHARED_OVERHEAD_BYTES, Shared};
pub use text::{INLINE_BYTES_MAX, INTEGER_TEXT_BYTES, Text, TextRef, decimal, integer_of};
pub use value::{Kind, Value, ValueRef};
