//! What the fuzz targets share: how an input is divided into bytes for the reader and choices of the harness.
//! Reads nothing itself. Always: equal inputs give equal runs.

/// Where one input holds several parts.
pub const PART_END: &[u8] = b"\n---\n";

/// What the last three bytes of an input decide: eight switches, and where the bytes before them are cut.
#[derive(Clone, Copy, Debug)]
pub struct Choices {
    switches: u8,
    seed: u16,
}

impl Choices {
    /// The bytes for the reader, and the choices; `None` for an input too short to hold any.
    pub fn split(input: &[u8]) -> Option<(&[u8], Choices)> {
        let (bytes, &[switches, low, high]) = input.split_last_chunk()?;
        Some((bytes, Choices { switches, seed: u16::from_le_bytes([low, high]) }))
    }

    /// Whether switch `number`, of eight, is on.
    pub fn is_on(self, number: u32) -> bool {
        self.switches >> number & 1 == 1
    }

    /// The seed that also cuts the bytes, for whatever else is to be drawn.
    pub fn seed(self) -> usize {
        usize::from(self.seed)
    }

    /// `bytes` in at most 40 pieces whose lengths follow from the seed; in one if the seed is 0.
    pub fn pieces(self, bytes: &[u8]) -> Vec<&[u8]> {
        let (mut pieces, mut rest) = (Vec::new(), bytes);
        let mut state = u64::from(self.seed);
        while state != 0 && pieces.len() < 39 && !rest.is_empty() {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            // Half of the pieces are short, so that they end within lines and lengths.
            let longest = if state >> 60 & 1 == 0 { 8 } else { rest.len() };
            let (piece, behind) = rest.split_at((state >> 33) as usize % longest.min(rest.len()) + 1);
            pieces.push(piece);
            rest = behind;
        }
        pieces.push(rest);
        pieces
    }
}

/// The parts of an input, at most `count` of them.
pub fn parts(bytes: &[u8], count: usize) -> Vec<&[u8]> {
    let (mut parts, mut rest) = (Vec::new(), bytes);
    while parts.len() + 1 < count
        && let Some(at) = rest.windows(PART_END.len()).position(|window| window == PART_END)
    {
        parts.push(&rest[..at]);
        rest = &rest[at + PART_END.len()..];
    }
    parts.push(rest);
    parts
}
