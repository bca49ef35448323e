//! The command in front of every batch: Redis runs it and ignores it, we check the batch with it.
//!
//! `PING "tenon1 <bytes> <crc64> <unix-ms> <offset> <db> <unsynced> <replid>"`: how many bytes the batch has, CRC-64/XZ
//! of the fields behind the checksum and of the batch, when it was written, the replication offset behind it, the
//! database in which it starts, how many bytes before it no fsync had covered by then, and whose offset that is.
//! Always: a header has `HEADER_BYTES` bytes, whatever is in it, so that it can be filled in place.

use crc64fast::Digest;
use tenon_base::UnixMillis;
use tenon_journal::{ReplicationId, ReplicationOffset};

/// Bytes of a whole header, as a command.
pub const HEADER_BYTES: usize = OPENING.len() + FIELDS_BYTES + 2;

/// What every header, and nothing else that a server writes, starts with.
pub(crate) const OPENING: &[u8] = b"*2\r\n$4\r\nPING\r\n$138\r\ntenon1 ";

/// The part of the opening that no other command in a log starts with: of a torn header it may be all there is.
pub(crate) const OPENING_START: &[u8] = b"*2\r\n$4\r\nPING\r\n$138\r\n";

/// Widths of the fields; one space between two.
const WIDTHS: [usize; 7] = [12, 16, 15, 20, 10, 12, ReplicationId::BYTES];
const FIELDS_BYTES: usize = 12 + 16 + 15 + 20 + 10 + 12 + ReplicationId::BYTES + 6;
/// Where the checksum's cover starts, from the header's start.
const COVERED_START: usize = OPENING.len() + 12 + 1 + 16 + 1;
const BATCH_BYTES_MAX: u64 = 999_999_999_999;
const UNIX_MS_MAX: i64 = 999_999_999_999_999;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Bytes of the batch behind the header.
    pub batch_bytes: u64,
    /// CRC-64/XZ of the fields below, as written, and of the batch.
    pub checksum: u64,
    /// When it was written.
    pub unix: UnixMillis,
    /// The replication offset behind the batch.
    pub offset: ReplicationOffset,
    /// The database in which its first record runs.
    pub db: u32,
    /// How many bytes before it might have been lost with it: what lies before those was durable when it was written.
    pub unsynced_bytes: u64,
    /// Whose offset that is.
    pub replication_id: ReplicationId,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`; `None` if that is anything but an exact header.
    pub fn parse(bytes: &[u8]) -> Option<BatchHeader> {
        let header = bytes.get(..HEADER_BYTES)?;
        let fields = header.strip_prefix(OPENING)?.strip_suffix(b"\r\n")?;
        let mut at = 0;
        let parts: [&[u8]; WIDTHS.len()] = std::array::from_fn(|index| {
            let part = &fields[at..at + WIDTHS[index]];
            at += WIDTHS[index] + 1;
            part
        });
        let mut gap = 0;
        for width in &WIDTHS[..WIDTHS.len() - 1] {
            gap += width + 1;
            if fields[gap - 1] != b' ' {
                return None;
            }
        }
        Some(BatchHeader {
            batch_bytes: decimal(parts[0])?,
            checksum: hexadecimal(parts[1])?,
            unix: UnixMillis(decimal(parts[2])? as i64),
            offset: ReplicationOffset(decimal(parts[3])?),
            db: u32::try_from(decimal(parts[4])?).ok()?,
            unsynced_bytes: decimal(parts[5])?,
            replication_id: ReplicationId::parse(parts[6])?,
        })
    }

    /// The checksum so far: over the fields of the header at the start of `bytes`. Add the batch to it.
    pub(crate) fn begin_checksum(bytes: &[u8]) -> Digest {
        let mut digest = Digest::new();
        digest.write(&bytes[COVERED_START..HEADER_BYTES - 2]);
        digest
    }
}

/// Makes room for a header at the end of `out`.
pub(crate) fn reserve(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.resize(start + HEADER_BYTES, 0);
    start
}

/// Fills the header reserved at `start`; everything behind it is the batch.
pub(crate) fn fill(
    out: &mut [u8],
    start: usize,
    unix: UnixMillis,
    offset: ReplicationOffset,
    db: u32,
    unsynced_bytes: u64,
    replication_id: &ReplicationId,
) {
    let (header, batch) = out[start..].split_at_mut(HEADER_BYTES);
    let batch_bytes = batch.len() as u64;
    assert!(batch_bytes <= BATCH_BYTES_MAX, "a batch beyond what its header can count");
    header[..OPENING.len()].copy_from_slice(OPENING);
    header[OPENING.len()..].fill(b' ');
    let mut at = COVERED_START;
    write_decimal(&mut header[at..at + 15], unix.0.clamp(0, UNIX_MS_MAX) as u64);
    at += 16;
    write_decimal(&mut header[at..at + 20], offset.0);
    at += 21;
    write_decimal(&mut header[at..at + 10], u64::from(db));
    at += 11;
    write_decimal(&mut header[at..at + 12], unsynced_bytes.min(BATCH_BYTES_MAX));
    at += 13;
    header[at..at + ReplicationId::BYTES].copy_from_slice(&replication_id.0);
    header[HEADER_BYTES - 2..].copy_from_slice(b"\r\n");
    let mut digest = BatchHeader::begin_checksum(header);
    digest.write(batch);
    write_decimal(&mut header[OPENING.len()..OPENING.len() + 12], batch_bytes);
    write_hexadecimal(&mut header[OPENING.len() + 13..OPENING.len() + 29], digest.sum64());
}

fn write_decimal(out: &mut [u8], mut value: u64) {
    for byte in out.iter_mut().rev() {
        *byte = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

fn write_hexadecimal(out: &mut [u8], mut value: u64) {
    for byte in out.iter_mut().rev() {
        *byte = b"0123456789abcdef"[(value & 15) as usize];
        value >>= 4;
    }
}

/// Digits alone, within a `u64`.
fn decimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |value, &byte| {
        byte.is_ascii_digit().then(|| value.checked_mul(10)?.checked_add(u64::from(byte - b'0')))?
    })
}

/// Sixteen lower-case hexadecimal digits.
fn hexadecimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |value, &byte| match byte {
        b'0'..=b'9' => Some(value << 4 | u64::from(byte - b'0')),
        b'a'..=b'f' => Some(value << 4 | u64::from(byte - b'a' + 10)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ReplicationId = ReplicationId(*b"0123456789abcdef0123456789abcdef01234567");

    fn batch() -> Vec<u8> {
        let mut out = b"before".to_vec();
        let start = reserve(&mut out);
        out.extend_from_slice(b"*1\r\n$8\r\nFLUSHALL\r\n");
        fill(&mut out, start, UnixMillis(1_700_000_000_123), ReplicationOffset(42), 7, 99, &ID);
        out.split_off(start)
    }

    #[test]
    fn a_header_comes_back_and_has_its_width() {
        let bytes = batch();
        let header = BatchHeader::parse(&bytes).expect("a header");
        assert_eq!((header.batch_bytes, header.unix.0), (18, 1_700_000_000_123));
        assert_eq!((header.offset, header.db, header.replication_id), (ReplicationOffset(42), 7, ID));
        assert_eq!(header.unsynced_bytes, 99);
        let mut digest = BatchHeader::begin_checksum(&bytes);
        digest.write(&bytes[HEADER_BYTES..]);
        assert_eq!(digest.sum64(), header.checksum);
        let payload = &bytes[OPENING.len() - 7..HEADER_BYTES - 2];
        assert_eq!(payload.len(), 138, "the length that the opening announces");
    }

    #[test]
    fn extremes_fit() {
        let mut out = Vec::new();
        let start = reserve(&mut out);
        fill(&mut out, start, UnixMillis(i64::MAX), ReplicationOffset(u64::MAX), u32::MAX, u64::MAX, &ID);
        let header = BatchHeader::parse(&out).expect("a header");
        assert_eq!((header.unix.0, header.offset.0, header.db), (UNIX_MS_MAX, u64::MAX, u32::MAX));
        fill(&mut out, start, UnixMillis(-5), ReplicationOffset(0), 0, 0, &ID);
        assert_eq!(BatchHeader::parse(&out).expect("a header").unix.0, 0);
    }

    #[test]
    fn any_flipped_bit_is_no_header_or_another_checksum() {
        let bytes = batch();
        for index in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[index] ^= 1 << bit;
                let Some(header) = BatchHeader::parse(&damaged) else { continue };
                let mut digest = BatchHeader::begin_checksum(&damaged);
                digest.write(&damaged[HEADER_BYTES..]);
                let whole = header.batch_bytes == 18;
                assert!(!whole || digest.sum64() != header.checksum, "byte {index}, bit {bit}");
            }
        }
        for length in 0..HEADER_BYTES {
            assert_eq!(BatchHeader::parse(&bytes[..length]), None);
        }
    }
}
