//! Chance, as an argument: a small generator that is always seeded from outside.
//! Not for secrets: passwords and ids that must not be guessed are made from [`Dice::fill`] of a dice
//! that the server seeded from the operating system.

/// A seeded generator of pseudo-random numbers (xoshiro256++). Equal seeds give equal sequences.
#[derive(Clone, Debug)]
pub struct Dice {
    state: [u64; 4],
}

impl Dice {
    /// A generator whose sequence follows from `seed` alone.
    pub fn seeded(seed: u64) -> Dice {
        let mut mixer = seed;
        Dice { state: std::array::from_fn(|_| split_mix(&mut mixer)) }
    }

    /// A generator from 32 bytes of entropy; used once at start.
    pub fn from_entropy(entropy: [u8; 32]) -> Dice {
        let mut words =
            entropy.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes")));
        let mut state = std::array::from_fn(|_| words.next().expect("four words"));
        if state == [0; 4] {
            state = [1; 4]; // the one state that the generator never leaves
        }
        Dice { state }
    }

    /// The next 64 bits.
    pub fn roll(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number below `bound`, without noticeable bias. `bound` must not be zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "a choice among nothing");
        ((u128::from(self.roll()) * u128::from(bound)) >> 64) as u64
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.roll().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }

    /// `digits` lower-case hexadecimal characters, as run ids and replication ids are written.
    pub fn hex(&mut self, digits: usize) -> String {
        (0..digits).map(|_| char::from_digit((self.roll() >> 60) as u32, 16).expect("below 16")).collect()
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_the_sequence() {
        let (mut one, mut two) = (Dice::seeded(7), Dice::seeded(7));
        let (first, second): (Vec<_>, Vec<_>) = (0..100).map(|_| (one.roll(), two.roll())).unzip();
        assert_eq!(first, second);
        assert_ne!(first[0], Dice::seeded(8).roll());
    }

    #[test]
    fn every_face_turns_up_about_equally() {
        let mut dice = Dice::seeded(1);
        let mut seen = [0u32; 6];
        for _ in 0..60_000 {
            seen[dice.below(6) as usize] += 1;
        }
        assert!(seen.iter().all(|&count| (9_500..10_500).contains(&count)), "{seen:?}");
    }
}
