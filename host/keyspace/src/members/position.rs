//! Where a member belongs: a keyed hash of its field, cut to 52 bits, and the spans of positions that pages
//! cover. The hash is SipHash-1-3, because a scan's cursor shows positions to clients: whoever sees many of
//! them must still not be able to find fields that share one.
//! Always: equal fields under one seed have equal positions, for as long as the seed lives.

/// Positions are below two to this power, so that a cursor survives clients that parse it as a float.
pub(super) const POSITION_BITS: u32 = 52;

/// One past the last position.
pub(super) const POSITION_END: u64 = 1 << POSITION_BITS;

/// A field and where it belongs.
#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    pub(super) field: &'a [u8],
    pub(super) position: u64,
}

impl<'a> Key<'a> {
    /// The key of `field` in tables of `seed`.
    pub(super) fn new(seed: u64, field: &'a [u8]) -> Key<'a> {
        Key { field, position: hash(seed, field) >> (u64::BITS - POSITION_BITS) }
    }
}

/// The positions `low..high` that one page or directory covers; never empty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    pub(super) low: u64,
    pub(super) high: u64,
}

/// Where in a page to look: the fragment that stands for a position there, and the first of the
/// [`WINDOW_SLOTS`] slots among which it most likely is.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) fragment: u16,
    pub(super) window: usize,
}

/// Slots looked at together. A page of 150 members has its n-th one within six slots of where it would be if
/// all were spread evenly, two times in three.
pub(super) const WINDOW_SLOTS: usize = 32;

impl Span {
    /// Every position.
    pub(super) const WHOLE: Span = Span { low: 0, high: POSITION_END };

    /// The 16 bits that tell positions of this span apart best, in order.
    pub(super) fn fragment(self, position: u64) -> u16 {
        ((position - self.low) >> self.shift()) as u16
    }

    /// The first position whose fragment is larger, or the end of the span.
    pub(super) fn after_fragment(self, fragment: u16) -> u64 {
        (self.low + ((u64::from(fragment) + 1) << self.shift())).min(self.high)
    }

    /// Where to look for `position` in a page of `count` members, which are spread about evenly. The window
    /// lies within the page if that has as many slots.
    pub(super) fn place(self, position: u64, count: usize) -> Place {
        let fragment = self.fragment(position);
        let fragments = u32::from(self.fragment(self.high - 1)) + 1;
        let guess = (u32::from(fragment) * count as u32 / fragments) as usize;
        let window = guess.saturating_sub(WINDOW_SLOTS / 2).min(count.saturating_sub(WINDOW_SLOTS));
        Place { fragment, window }
    }

    fn shift(self) -> u32 {
        (u64::BITS - (self.high - self.low - 1).leading_zeros()).saturating_sub(u16::BITS)
    }
}

/// SipHash-1-3 of `bytes` under a key of 128 bits made from `seed`.
fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let mut second_half = seed ^ 0x9E37_79B9_7F4A_7C15;
    second_half = (second_half ^ (second_half >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    sip(seed, second_half ^ (second_half >> 31), bytes)
}

fn sip(key_low: u64, key_high: u64, bytes: &[u8]) -> u64 {
    let mut state = [
        key_low ^ 0x736F_6D65_7073_6575,
        key_high ^ 0x646F_7261_6E64_6F6D,
        key_low ^ 0x6C79_6765_6E65_7261,
        key_high ^ 0x7465_6462_7974_6573,
    ];
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        absorb(&mut state, u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    last[7] = bytes.len() as u8;
    absorb(&mut state, u64::from_le_bytes(last));
    state[2] ^= 0xFF;
    for _ in 0..3 {
        round(&mut state);
    }
    state[0] ^ state[1] ^ state[2] ^ state[3]
}

#[inline(always)]
fn absorb(state: &mut [u64; 4], word: u64) {
    state[3] ^= word;
    round(state);
    state[0] ^= word;
}

#[inline(always)]
fn round([a, b, c, d]: &mut [u64; 4]) {
    *a = a.wrapping_add(*b);
    *b = b.rotate_left(13) ^ *a;
    *a = a.rotate_left(32);
    *c = c.wrapping_add(*d);
    *d = d.rotate_left(16) ^ *c;
    *a = a.wrapping_add(*d);
    *d = d.rotate_left(21) ^ *a;
    *c = c.wrapping_add(*b);
    *b = b.rotate_left(17) ^ *c;
    *c = c.rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::Hasher;

    #[test]
    fn the_hash_is_the_one_of_the_standard_library_under_a_zero_key() {
        let bytes: Vec<u8> = (0..100).collect();
        for length in 0..bytes.len() {
            let mut hasher = std::hash::DefaultHasher::new();
            hasher.write(&bytes[..length]);
            assert_eq!(sip(0, 0, &bytes[..length]), hasher.finish(), "{length}");
        }
    }

    #[test]
    fn the_seed_decides_the_position() {
        assert_eq!(Key::new(1, b"field").position, Key::new(1, b"field").position);
        assert_ne!(Key::new(1, b"field").position, Key::new(2, b"field").position);
        assert!((0..100u8).all(|byte| Key::new(3, &[byte]).position < POSITION_END));
    }

    #[test]
    fn fragments_keep_order_and_end_where_the_next_begins() {
        for span in [Span::WHOLE, Span { low: 5, high: 6 }, Span { low: 1 << 40, high: (1 << 40) + 70_001 }] {
            let steps = (span.high - span.low).min(1_000);
            let mut before = 0;
            for step in 0..steps {
                let position = span.low + (span.high - span.low - 1) / steps * step;
                let place = span.place(position, 100);
                assert!(place.fragment >= before && place.window <= 100 - WINDOW_SLOTS);
                assert!(span.after_fragment(place.fragment) > position);
                before = place.fragment;
            }
            assert_eq!(span.after_fragment(span.fragment(span.high - 1)), span.high);
        }
    }
}
