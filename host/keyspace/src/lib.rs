//! Values, keys, expiry and the point-in-time cut. Knows no client, no reply and no file.
//! The only crate of the house that may hold `unsafe`, in small files, each block with its argument.

mod memory;
mod shared;

pub use memory::size_class;
pub use shared::{SHARED_OVERHEAD_BYTES, Shared};
