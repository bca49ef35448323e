//! LZF: a compressor with a table that is kept from call to call, and the guarded way to decompress.
//! Always: what is compressed depends on the input alone, not on what was compressed before.

/// The longest string that is compressed, and that a compressed one may expand to.
pub(crate) const LZF_BYTES_MAX: usize = 512 << 20;

/// Three bytes of a back reference expand to at most 264.
const EXPANSION_MAX: usize = 88;

const TABLE_BITS: u32 = 14;
const DISTANCE_MAX: usize = 1 << 13;
const LITERALS_MAX: usize = 32;
const MATCH_BYTES_MIN: usize = 3;
const MATCH_BYTES_MAX: usize = 264;

/// The most memory that is kept for the next output.
const OUTPUT_KEPT_BYTES_MAX: usize = 1 << 20;

/// After so many misses in a row every second position is tried, after twice as many every third.
const MISSES_PER_STEP: usize = 64;

/// A compressor.
pub(crate) struct Compressor {
    /// Where three bytes with this hash were last seen, counted from the start of the first input ever.
    table: Vec<u32>,
    /// Where the next input starts, counted the same way. Never zero, so that zero means: nowhere.
    next_base: usize,
    output: Vec<u8>,
}

impl Compressor {
    pub(crate) fn new() -> Compressor {
        Compressor { table: Vec::new(), next_base: 1, output: Vec::new() }
    }

    /// The input compressed, if that takes at least four bytes less.
    pub(crate) fn compress(&mut self, input: &[u8]) -> Option<&[u8]> {
        if input.len() <= 4 || input.len() > LZF_BYTES_MAX {
            return None;
        }
        let output_max = input.len() - 4;
        let base = self.begin(input.len());
        let (mut at, mut literals, mut misses) = (0, 0, 0);
        while at + MATCH_BYTES_MIN <= input.len() {
            let seen = self.note(base, input, at);
            let matched = seen.checked_sub(base).map_or(0, |earlier| match_bytes(input, earlier, at));
            if matched < MATCH_BYTES_MIN {
                misses += 1;
                at += 1 + misses / MISSES_PER_STEP;
                continue;
            }
            push_literals(&mut self.output, &input[literals..at]);
            push_match(&mut self.output, at - (seen - base) - 1, matched);
            if self.output.len() > output_max {
                return None;
            }
            misses = 0;
            at += matched;
            literals = at;
            // So that what follows on the end of this match can be found with it.
            self.note(base, input, at - 2);
            self.note(base, input, at - 1);
        }
        let rest = input.len() - literals;
        if self.output.len() + rest + rest.div_ceil(LITERALS_MAX) > output_max {
            return None;
        }
        push_literals(&mut self.output, &input[literals..]);
        Some(&self.output)
    }

    /// Makes everything in the table lie before an input of this length, and says where that starts.
    fn begin(&mut self, length: usize) -> usize {
        if self.table.is_empty() || self.next_base + length > u32::MAX as usize {
            self.table = vec![0; 1 << TABLE_BITS];
            self.next_base = 1;
        }
        self.output.clear();
        self.output.shrink_to(OUTPUT_KEPT_BYTES_MAX);
        let base = self.next_base;
        self.next_base += length;
        base
    }

    /// Notes that the three bytes at `at` are there, if there are three, and says where their like was before.
    fn note(&mut self, base: usize, input: &[u8], at: usize) -> usize {
        let Some(&[one, two, three]) = input.get(at..at + 3) else { return 0 };
        let hash = u32::from_le_bytes([one, two, three, 0]).wrapping_mul(0x9E37_79B1);
        let slot = &mut self.table[(hash >> (u32::BITS - TABLE_BITS)) as usize];
        std::mem::replace(slot, (base + at) as u32) as usize
    }
}

/// What `compressed` expands to, if it is sound and that is `claimed` bytes long.
pub(crate) fn decompress(compressed: &[u8], claimed: u64) -> Option<Vec<u8>> {
    let claimed = usize::try_from(claimed).ok()?;
    if claimed > LZF_BYTES_MAX || claimed > compressed.len().saturating_mul(EXPANSION_MAX) {
        return None;
    }
    lzf::decompress(compressed, claimed).ok().filter(|bytes| bytes.len() == claimed)
}

/// How many bytes at `at` repeat those at `earlier`; 0 where a reference cannot reach.
fn match_bytes(input: &[u8], earlier: usize, at: usize) -> usize {
    if earlier >= at || at - earlier > DISTANCE_MAX {
        return 0;
    }
    let pairs = input[earlier..].iter().zip(&input[at..]).take(MATCH_BYTES_MAX);
    pairs.take_while(|(one, other)| one == other).count()
}

fn push_literals(output: &mut Vec<u8>, literals: &[u8]) {
    for run in literals.chunks(LITERALS_MAX) {
        output.push((run.len() - 1) as u8);
        output.extend_from_slice(run);
    }
}

/// `distance` is one less than how far back the match lies.
fn push_match(output: &mut Vec<u8>, distance: usize, bytes: usize) {
    let length = bytes - 2;
    let high = (distance >> 8) as u8;
    if length < 7 {
        output.push((length as u8) << 5 | high);
    } else {
        output.extend_from_slice(&[7 << 5 | high, (length - 7) as u8]);
    }
    output.push(distance as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenon_base::Dice;

    /// Runs, words and noise.
    fn sample(dice: &mut Dice) -> Vec<u8> {
        let (pieces, alphabet) = (dice.below(60), 1 + dice.below(200));
        let mut bytes: Vec<u8> = Vec::new();
        for _ in 0..pieces {
            let length = dice.below(300) as usize;
            match dice.below(3) {
                0 => bytes.resize(bytes.len() + length, dice.below(256) as u8),
                1 => (0..length).for_each(|_| bytes.push(dice.below(alphabet) as u8)),
                _ if bytes.is_empty() => {}
                _ => {
                    let from = dice.below(bytes.len() as u64) as usize;
                    bytes.extend_from_within(from..bytes.len().min(from + length));
                }
            }
        }
        bytes
    }

    #[test]
    fn what_is_compressed_expands_to_the_same_and_does_not_depend_on_the_past() {
        let mut dice = Dice::seeded(3);
        let mut compressor = Compressor::new();
        let mut compressed_count = 0;
        for _ in 0..2_000 {
            let input = sample(&mut dice);
            let fresh = Compressor::new().compress(&input).map(<[u8]>::to_vec);
            let reused = compressor.compress(&input);
            assert_eq!(fresh.as_deref(), reused);
            if let Some(compressed) = reused {
                compressed_count += 1;
                assert!(compressed.len() + 4 <= input.len());
                assert_eq!(lzf::decompress(compressed, input.len()).as_deref(), Ok(&input[..]));
                assert_eq!(decompress(compressed, input.len() as u64).as_deref(), Some(&input[..]));
            }
        }
        assert!(compressed_count > 1_000, "{compressed_count}");
    }

    #[test]
    fn the_table_starts_anew_before_positions_overflow() {
        let mut compressor = Compressor::new();
        let input = b"abcabcabcabcabcabcabcabcabcabcabcabc";
        let first = compressor.compress(input).map(<[u8]>::to_vec);
        compressor.next_base = u32::MAX as usize - 10;
        assert_eq!(compressor.compress(input), first.as_deref());
        assert_eq!(compressor.next_base, 1 + input.len());
    }

    #[test]
    fn a_repetitive_text_shrinks_as_much_as_the_reference_shrinks_it() {
        let text = b"the quick brown fox jumps over the lazy dog; ".repeat(200);
        let reference = lzf::compress(&text).expect("it repeats").len();
        let ours = Compressor::new().compress(&text).expect("it repeats").len();
        assert!(ours <= reference + reference / 20, "{ours} bytes, reference {reference}");
        assert_eq!(Compressor::new().compress(b"no four bytes can be gained here"), None);
    }

    #[test]
    fn a_claim_that_the_bytes_cannot_meet_allocates_nothing() {
        assert_eq!(decompress(&[0, 1], 1 << 29), None);
        assert_eq!(decompress(&[0, 1], u64::MAX), None);
        assert_eq!(decompress(&[0, b'x'], 2), None);
        assert_eq!(decompress(&[0, b'x'], 1).as_deref(), Some(&b"x"[..]));
        assert_eq!(decompress(&[], 0), None);
    }
}
