//! Values, keys, expiry and the point-in-time cut. Knows no client, no reply and no file.
//! The only crate of the house that may hold `unsafe`, in small files, each block with its argument.

pub mod intset;
pub mod listpack;

mod distinct;
mod hash;
mod malformed;
mod members;
mod memory;
mod set;
mod shared;
mod thin;

pub use distinct::distinct_ranks;
pub use hash::{Hash, HashIter, HashLimits};
pub use intset::Intset;
pub use listpack::{Element, Listpack};
pub use malformed::Malformed;
pub use members::{Insertion, MemberIter, Members};
pub use memory::size_class;
pub use set::{Set, SetIter, SetLimits};
pub use shared::{SHARED_OVERHEAD_BYTES, Shared};
