//! Numbers for random tests: from a seed that is printed, so that a failure can be repeated.
//! Not for anything that must be hard to guess.

use std::time::{SystemTime, UNIX_EPOCH};

/// A stream of numbers (SplitMix64).
pub(crate) struct Chance(u64);

impl Chance {
    /// From `TENON_SEED`, else from the time; printed with `what` it serves.
    pub(crate) fn announced(what: &str) -> Chance {
        let from_time = || {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
            since.as_micros() as u64
        };
        let seed = std::env::var("TENON_SEED").ok().map_or_else(from_time, |text| {
            text.parse().unwrap_or_else(|_| panic!("TENON_SEED: found {text:?}, expected a whole number"))
        });
        eprintln!("{what}: TENON_SEED={seed}");
        Chance(seed)
    }

    /// A stream of its own for each `number`, which the seed decides.
    pub(crate) fn branch(&mut self, number: u64) -> Chance {
        Chance(self.next() ^ number)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
