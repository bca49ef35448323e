//! From elements to registers, and from registers to a cardinality. Knows no encoding.
//! Always: the same figures as Redis, bit by bit: they are kept in values and travel to followers.

use super::sketch::{REGISTER_BITS, REGISTERS, Ranks};

/// How many registers have each rank.
pub(super) type Histogram = [u32; 64];

/// Bits of a hash that its rank is made of.
const RANKED_BITS: u32 = 64 - REGISTER_BITS;
const HASH_SEED: u64 = 0xADC8_3B19;

/// The register of an element, and the rank that it gives it: how many bits of its hash up to the first that is
/// set.
pub(super) fn place_of(element: &[u8]) -> (usize, u8) {
    let hash = hash(element);
    let ranked = (hash >> REGISTER_BITS) | 1 << RANKED_BITS;
    (hash as usize % REGISTERS, ranked.trailing_zeros() as u8 + 1)
}

/// MurmurHash64A.
fn hash(element: &[u8]) -> u64 {
    const FACTOR: u64 = 0xC6A4_A793_5BD1_E995;
    const SHIFT: u32 = 47;
    let mut hash = HASH_SEED ^ (element.len() as u64).wrapping_mul(FACTOR);
    let (words, tail) = element.as_chunks::<8>();
    for word in words {
        let mut word = u64::from_le_bytes(*word).wrapping_mul(FACTOR);
        word ^= word >> SHIFT;
        hash = (hash ^ word.wrapping_mul(FACTOR)).wrapping_mul(FACTOR);
    }
    if !tail.is_empty() {
        let mut word = [0; 8];
        word[..tail.len()].copy_from_slice(tail);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(FACTOR);
    }
    hash ^= hash >> SHIFT;
    hash = hash.wrapping_mul(FACTOR);
    hash ^ hash >> SHIFT
}

/// How many registers have each rank.
pub(super) fn histogram(ranks: &Ranks) -> Histogram {
    let mut histogram = [0; 64];
    // No element gives a rank above 51, and no encoding holds one above 63.
    ranks.iter().for_each(|&rank| histogram[usize::from(rank & 63)] += 1);
    histogram
}

/// The cardinality, by the estimator of Otmar Ertl (arXiv:1702.01284).
pub(super) fn cardinality(histogram: &Histogram) -> u64 {
    const HIGHEST: usize = RANKED_BITS as usize + 1;
    let registers = REGISTERS as f64;
    let mut mean = registers * tau((registers - f64::from(histogram[HIGHEST])) / registers);
    for rank in (1..HIGHEST).rev() {
        mean = (mean + f64::from(histogram[rank])) * 0.5;
    }
    mean += registers * sigma(f64::from(histogram[0]) / registers);
    let estimate = (std::f64::consts::LOG2_E / 2.0 * registers * registers / mean).round();
    // Registers that no elements could have made: the result is what the processor of most Redis servers makes
    // of a number too large.
    if estimate < -(i64::MIN as f64) { estimate as u64 } else { i64::MIN as u64 }
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut weight, mut sum) = (1.0, x);
    loop {
        x *= x;
        let former = sum;
        sum += x * weight;
        weight += weight;
        if sum == former {
            return sum;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut weight, mut sum) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let former = sum;
        weight *= 0.5;
        sum -= (1.0 - x) * (1.0 - x) * weight;
        if sum == former {
            return sum / 3.0;
        }
    }
}
