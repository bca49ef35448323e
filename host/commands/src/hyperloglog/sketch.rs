//! What a HyperLogLog is in bytes: a header, and 16384 registers in one of two encodings. The bytes are Redis's.
//! Not a type of its own: any string may be offered as one.
//! Always: a [`Sketch`] has a header with the right magic and a known encoding, and a dense one its exact length;
//! whether a sparse one makes sense shows only as it is read.

use std::borrow::Cow;

use tenon_keyspace::TextRef;

use super::dense::{self, DENSE_BYTES};
use super::estimate::Histogram;
use super::sparse;
use crate::CommandError;

/// The registers of every HyperLogLog.
pub(super) const REGISTERS: usize = 1 << REGISTER_BITS;
/// Bits of an element's hash that choose its register.
pub(super) const REGISTER_BITS: u32 = 14;

/// Magic (4), encoding (1), unused (3), cached cardinality (8, little endian).
pub(super) const HEADER_BYTES: usize = 16;

const MAGIC: &[u8] = b"HYLL";
const ENCODING_AT: usize = 4;
const CACHE_AT: usize = 8;
/// The highest bit of the cached cardinality says that it no longer holds.
const STALE: u64 = 1 << 63;

const DENSE: u8 = 0;
const SPARSE: u8 = 1;

/// A sketch of nothing: sparse, all registers zero in one run, and a cached cardinality of zero.
pub(super) const EMPTY: &[u8] = b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x7F\xFF";

/// A rank for each register: the highest that any element had.
pub(super) type Ranks = [u8; REGISTERS];

/// A string that is a HyperLogLog, as far as its header says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sketch<'a> {
    bytes: &'a [u8],
    encoding: Encoding,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Six bits for each register.
    Dense,
    /// Runs of equal registers.
    Sparse,
}

/// The registers of a sketch do not make sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Corrupt;

impl From<Corrupt> for CommandError {
    fn from(_: Corrupt) -> CommandError {
        CommandError::text("INVALIDOBJ Corrupted HLL object detected")
    }
}

impl<'a> Sketch<'a> {
    /// The sketch that a text is.
    pub(super) fn of(text: TextRef<'a>) -> Result<Sketch<'a>, CommandError> {
        let found = match text {
            TextRef::Bytes(bytes) => Sketch::of_bytes(bytes),
            TextRef::Integer(_) => None,
        };
        found.ok_or(CommandError::text("WRONGTYPE Key is not a valid HyperLogLog string value."))
    }

    /// The sketch that these bytes are, if they are one.
    pub(super) fn of_bytes(bytes: &'a [u8]) -> Option<Sketch<'a>> {
        if bytes.len() < HEADER_BYTES || !bytes.starts_with(MAGIC) {
            return None;
        }
        let encoding = match bytes[ENCODING_AT] {
            DENSE if bytes.len() == DENSE_BYTES => Encoding::Dense,
            SPARSE => Encoding::Sparse,
            _ => return None,
        };
        Some(Sketch { bytes, encoding })
    }

    pub(super) fn encoding(self) -> Encoding {
        self.encoding
    }

    pub(super) fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// What lies behind the header.
    pub(super) fn body(self) -> &'a [u8] {
        &self.bytes[HEADER_BYTES..]
    }

    /// The cardinality that was counted last, if it still holds.
    pub(super) fn cached(self) -> Option<u64> {
        let cached = self.bytes[CACHE_AT..HEADER_BYTES].try_into().expect("eight bytes");
        Some(u64::from_le_bytes(cached)).filter(|cached| cached & STALE == 0)
    }

    /// How many registers have each rank.
    pub(super) fn histogram(self) -> Result<Histogram, Corrupt> {
        match self.encoding {
            Encoding::Dense => Ok(dense::histogram(self.body())),
            Encoding::Sparse => sparse::histogram(self.body()),
        }
    }

    /// Raises `ranks` to those of this sketch where they are lower.
    pub(super) fn merge_into(self, ranks: &mut Ranks) -> Result<(), Corrupt> {
        match self.encoding {
            Encoding::Dense => {
                dense::merge_into(self.body(), ranks);
                Ok(())
            }
            Encoding::Sparse => sparse::runs(self.body(), |registers, rank| {
                ranks[registers].iter_mut().for_each(|found| *found = (*found).max(rank));
            }),
        }
    }

    /// The same sketch in the dense encoding, header and all.
    pub(super) fn to_dense(self) -> Result<Vec<u8>, Corrupt> {
        if self.encoding == Encoding::Dense {
            return Ok(self.bytes.to_vec());
        }
        let mut bytes = vec![0; DENSE_BYTES];
        bytes[..HEADER_BYTES].copy_from_slice(&self.bytes[..HEADER_BYTES]);
        bytes[ENCODING_AT] = DENSE;
        let body = &mut bytes[HEADER_BYTES..];
        sparse::runs(self.body(), |registers, rank| {
            registers.for_each(|register| {
                dense::raise(body, register, rank);
            });
        })?;
        Ok(bytes)
    }
}

/// Raises one register of a sketch, which becomes dense where a sparse one would need more than
/// `sparse_bytes_max`. Whether anything changed. The cached cardinality is left as it is.
pub(super) fn raise(
    sketch: &mut Cow<'_, [u8]>,
    register: usize,
    rank: u8,
    sparse_bytes_max: usize,
) -> Result<bool, Corrupt> {
    if sketch[ENCODING_AT] == DENSE {
        let is_higher = rank > dense::rank(&sketch[HEADER_BYTES..], register);
        if is_higher {
            dense::raise(&mut sketch.to_mut()[HEADER_BYTES..], register, rank);
        }
        return Ok(is_higher);
    }
    let Some(spot) = sparse::Spot::find(&sketch[HEADER_BYTES..], register, rank)? else { return Ok(false) };
    let is_long = spot.growth() > 0 && sketch.len() + spot.growth() as usize > sparse_bytes_max;
    if rank <= sparse::RANK_MAX && !is_long {
        spot.write(sketch.to_mut());
        return Ok(true);
    }
    let mut bytes = Sketch { bytes: sketch, encoding: Encoding::Sparse }.to_dense()?;
    dense::raise(&mut bytes[HEADER_BYTES..], register, rank);
    *sketch = Cow::Owned(bytes);
    Ok(true)
}

/// Marks the cached cardinality of a sketch as one that no longer holds.
pub(super) fn forget_cached(sketch: &mut [u8]) {
    sketch[HEADER_BYTES - 1] |= (STALE >> 56) as u8;
}

/// Keeps a cardinality that was just counted.
pub(super) fn cache(sketch: &mut [u8], cardinality: u64) {
    sketch[CACHE_AT..HEADER_BYTES].copy_from_slice(&cardinality.to_le_bytes());
}
