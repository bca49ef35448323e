//! Digests of all data, quick enough to be taken after every change.
//! Not against anybody who wants to deceive: see `tenon_rdb::full_digest` for that.

use tenon_engine::Engine;
use tenon_rdb::{Digest, full_digest_by};

use crate::trace::Mix;

/// All that an engine holds, in 64 bits.
pub(crate) fn digest(engine: &Engine) -> u64 {
    let digest = full_digest_by(engine.keyspace(), quick);
    u64::from_le_bytes(digest[..8].try_into().expect("eight of twenty bytes"))
}

fn quick(bytes: &[u8]) -> Digest {
    let mut mix = Mix(0x5eed);
    mix.bytes(bytes);
    let sum = mix.end();
    let mut digest = [0; 20];
    digest[..8].copy_from_slice(&sum.to_le_bytes());
    digest[8..16].copy_from_slice(&sum.rotate_left(31).wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    digest[16..].copy_from_slice(&(sum as u32).to_le_bytes());
    digest
}
