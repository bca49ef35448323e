//! The sparse encoding: runs of registers of equal rank, one or two bytes each. Knows no header.
//! `00nnnnnn` is a run of n+1 zeroes, `01nnnnnn nnnnnnnn` one of up to 16384, `1rrrrrnn` one of n+1 registers of
//! rank r+1. Always: what is read may be anything; runs that do not make up all registers, or end in the middle of
//! one, are reported and never followed beyond the end.

use std::ops::Range;

use super::estimate::Histogram;
use super::sketch::{Corrupt, HEADER_BYTES, REGISTERS};

/// The highest rank that fits.
pub(super) const RANK_MAX: u8 = 32;
/// The longest body that can make sense: a run of two bytes for each register.
const BYTES_MAX: usize = 2 * REGISTERS;
const ZEROES_SHORT_MAX: usize = 64;
const RANKED_MAX: usize = 4;
/// Bytes of the longest replacement: zeroes, a rank, zeroes.
const REPLACEMENT_BYTES_MAX: usize = 5;
/// Runs that are looked at for neighbours to be joined after a change, from the one before it on.
const JOINED_RUNS_MAX: usize = 5;

/// A run of registers of one rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    rank: u8,
    length: usize,
    /// How many bytes it is written in.
    bytes: usize,
}

/// Visits the runs that are not of zeroes. They must make up all registers exactly.
pub(super) fn runs(body: &[u8], mut visit: impl FnMut(Range<usize>, u8)) -> Result<(), Corrupt> {
    let (mut register, mut rest) = (0, body);
    while !rest.is_empty() {
        let run = Run::read(rest)?;
        let end = register + run.length;
        if end > REGISTERS {
            return Err(Corrupt);
        }
        if run.rank > 0 {
            visit(register..end, run.rank);
        }
        (register, rest) = (end, &rest[run.bytes..]);
    }
    if register == REGISTERS { Ok(()) } else { Err(Corrupt) }
}

/// How many registers have each rank.
pub(super) fn histogram(body: &[u8]) -> Result<Histogram, Corrupt> {
    let mut histogram = [0; 64];
    let mut ranked = 0;
    runs(body, |registers, rank| {
        histogram[usize::from(rank)] += registers.len() as u32;
        ranked += registers.len() as u32;
    })?;
    histogram[0] = REGISTERS as u32 - ranked;
    Ok(histogram)
}

/// The runs as PFDEBUG DECODE shows them: also those that make up too many registers or too few, unless they are
/// more than any sketch could have.
pub(super) fn shown(body: &[u8]) -> Result<String, Corrupt> {
    if body.len() > BYTES_MAX {
        return Err(Corrupt);
    }
    let (mut rest, mut text) = (body, String::new());
    while !rest.is_empty() {
        let run = Run::read(rest)?;
        let seam = if text.is_empty() { "" } else { " " };
        text.push_str(&match run {
            Run { rank: 0, length, bytes: 1 } => format!("{seam}z:{length}"),
            Run { rank: 0, length, .. } => format!("{seam}Z:{length}"),
            Run { rank, length, .. } => format!("{seam}v:{rank},{length}"),
        });
        rest = &rest[run.bytes..];
    }
    Ok(text)
}

impl Run {
    /// The first run of these bytes.
    fn read(bytes: &[u8]) -> Result<Run, Corrupt> {
        let (rank, length, bytes) = match *bytes {
            [byte @ 0x80..=0xFF, ..] => (((byte >> 2) & 0x1F) + 1, usize::from(byte & 3) + 1, 1),
            [byte @ 0..=0x3F, ..] => (0, usize::from(byte) + 1, 1),
            [byte, low, ..] => (0, (usize::from(byte & 0x3F) << 8 | usize::from(low)) + 1, 2),
            _ => return Err(Corrupt),
        };
        Ok(Run { rank, length, bytes })
    }

    fn is_ranked_byte(byte: u8) -> bool {
        byte & 0x80 != 0
    }
}

/// Where a register lies that is lower than it shall be, and what takes the place of its run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    /// Where the run before begins, if there is one.
    previous: Option<usize>,
    /// Where the run begins, from the first byte behind the header.
    at: usize,
    run_bytes: usize,
    replacement: Replacement,
}

/// A few runs to be written.
#[derive(Clone, Copy, Debug, Default)]
struct Replacement {
    bytes: [u8; REPLACEMENT_BYTES_MAX],
    length: usize,
}

impl Spot {
    /// Finds a register; `None` if it has this rank or a higher one already. A rank above [`RANK_MAX`] must not be
    /// written.
    pub(super) fn find(body: &[u8], register: usize, rank: u8) -> Result<Option<Spot>, Corrupt> {
        let (mut first, mut at, mut previous) = (0, 0, None);
        loop {
            let run = Run::read(&body[at..])?;
            if register < first + run.length {
                if run.rank >= rank {
                    return Ok(None);
                }
                let replacement = Replacement::of(run, register - first, rank);
                return Ok(Some(Spot { previous, at, run_bytes: run.bytes, replacement }));
            }
            (first, previous, at) = (first + run.length, Some(at), at + run.bytes);
        }
    }

    /// How many bytes longer the sketch becomes before neighbours are joined.
    pub(super) fn growth(&self) -> isize {
        self.replacement.length as isize - self.run_bytes as isize
    }

    /// Writes the register into the sketch, header included, that it was found in.
    pub(super) fn write(self, sketch: &mut Vec<u8>) {
        let start = HEADER_BYTES + self.at;
        let replacement = self.replacement.bytes[..self.replacement.length].iter().copied();
        sketch.splice(start..start + self.run_bytes, replacement);
        join_equals(sketch, HEADER_BYTES + self.previous.unwrap_or(self.at));
    }
}

impl Replacement {
    /// The run with one register of another rank, the `index`-th.
    fn of(run: Run, index: usize, rank: u8) -> Replacement {
        let mut replacement = Replacement::default();
        replacement.push(run.rank, index);
        replacement.push(rank, 1);
        replacement.push(run.rank, run.length - index - 1);
        replacement
    }

    fn push(&mut self, rank: u8, length: usize) {
        let mut put = |byte| {
            self.bytes[self.length] = byte;
            self.length += 1;
        };
        match (rank, length) {
            (_, 0) => {}
            (0, ..=ZEROES_SHORT_MAX) => put((length - 1) as u8),
            (0, _) => {
                put(0x40 | ((length - 1) >> 8) as u8);
                put((length - 1) as u8);
            }
            (rank, _) => put(ranked(rank, length)),
        }
    }
}

fn ranked(rank: u8, length: usize) -> u8 {
    0x80 | rank.wrapping_sub(1) << 2 | (length - 1) as u8
}

/// Joins neighbours of equal rank from `at` on, as far as Redis looks: equal sketches must be equal bytes there and
/// here.
fn join_equals(sketch: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOINED_RUNS_MAX {
        let [byte, behind @ ..] = &sketch[at..] else { return };
        if !Run::is_ranked_byte(*byte) {
            at += if *byte < 0x40 { 1 } else { 2 };
            if at > sketch.len() {
                return;
            }
            continue;
        }
        if let [next, ..] = behind
            && Run::is_ranked_byte(*next)
            && let (Ok(run), Ok(next)) = (Run::read(&[*byte]), Run::read(&[*next]))
            && run.rank == next.rank
            && run.length + next.length <= RANKED_MAX
        {
            sketch[at + 1] = ranked(run.rank, run.length + next.length);
            sketch.remove(at);
            continue;
        }
        at += 1;
    }
}
