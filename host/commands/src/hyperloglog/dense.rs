//! The dense encoding: 16384 registers of six bits, from the lowest bit of the first byte on. Knows no header.
//! Always: the bytes are exactly [`BODY_BYTES`], and any such bytes make sense.

use super::estimate::Histogram;
use super::sketch::{HEADER_BYTES, REGISTERS, Ranks};

const RANK_BITS: usize = 6;
const RANK_MASK: u8 = (1 << RANK_BITS) - 1;
/// Bytes of all registers.
const BODY_BYTES: usize = REGISTERS * RANK_BITS / 8;
/// Bytes of a dense sketch.
pub(super) const DENSE_BYTES: usize = HEADER_BYTES + BODY_BYTES;

/// The rank of one register.
pub(super) fn rank(body: &[u8], register: usize) -> u8 {
    let (byte, shift) = place(register);
    let pair = u16::from_le_bytes([body[byte], body.get(byte + 1).copied().unwrap_or(0)]);
    (pair >> shift) as u8 & RANK_MASK
}

/// Raises one register. Whether it was lower.
pub(super) fn raise(body: &mut [u8], register: usize, rank: u8) -> bool {
    if rank <= self::rank(body, register) {
        return false;
    }
    let (byte, shift) = place(register);
    let (mask, rank) = (u16::from(RANK_MASK) << shift, u16::from(rank) << shift);
    let [mask, mask_behind] = mask.to_le_bytes();
    let [rank, rank_behind] = rank.to_le_bytes();
    body[byte] = (body[byte] & !mask) | rank;
    if let Some(behind) = body.get_mut(byte + 1) {
        *behind = (*behind & !mask_behind) | rank_behind;
    }
    true
}

/// How many registers have each rank.
pub(super) fn histogram(body: &[u8]) -> Histogram {
    // Four counts side by side, so that equal neighbours do not wait for each other.
    let mut counts = [[0_u32; 1 << RANK_BITS]; 4];
    for three in body.as_chunks::<3>().0 {
        for (counts, rank) in counts.iter_mut().zip(four_ranks(three)) {
            counts[usize::from(rank)] += 1;
        }
    }
    std::array::from_fn(|rank| counts.iter().map(|counts| counts[rank]).sum())
}

/// Raises `ranks` to those of these registers where they are lower.
pub(super) fn merge_into(body: &[u8], ranks: &mut Ranks) {
    for (three, ranks) in body.as_chunks::<3>().0.iter().zip(ranks.as_chunks_mut::<4>().0) {
        for (found, rank) in ranks.iter_mut().zip(four_ranks(three)) {
            *found = (*found).max(rank);
        }
    }
}

fn four_ranks(&[a, b, c]: &[u8; 3]) -> [u8; 4] {
    [a, a >> 6 | b << 2, b >> 4 | c << 4, c >> 2].map(|rank| rank & RANK_MASK)
}

/// The first byte of a register, and its lowest bit in it.
fn place(register: usize) -> (usize, usize) {
    (register * RANK_BITS / 8, register * RANK_BITS % 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenon_base::Dice;

    #[test]
    fn registers_keep_their_ranks_apart() {
        let mut dice = Dice::seeded(3);
        let mut body = vec![0; BODY_BYTES];
        let mut ranks = [0; REGISTERS];
        for _ in 0..100_000 {
            let (register, rank) = (dice.below(REGISTERS as u64) as usize, dice.below(64) as u8);
            assert_eq!(raise(&mut body, register, rank), rank > ranks[register]);
            ranks[register] = ranks[register].max(rank);
        }
        raise(&mut body, REGISTERS - 1, 63);
        ranks[REGISTERS - 1] = 63;
        let mut counts = [0; 64];
        for (register, &expected) in ranks.iter().enumerate() {
            assert_eq!(rank(&body, register), expected);
            counts[usize::from(expected)] += 1;
        }
        assert_eq!(histogram(&body), counts);
        let mut merged = [30; REGISTERS];
        merge_into(&body, &mut merged);
        assert!(merged.iter().zip(ranks).all(|(&merged, rank)| merged == rank.max(30)));
    }
}
