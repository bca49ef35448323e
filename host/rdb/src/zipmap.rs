//! A zipmap: how small hashes were kept before Redis 2.6. A count, and for each field its length, its bytes, the
//! length of the value, a number of unused bytes, the value and those bytes; then an end byte. Only read.

use tenon_keyspace::Malformed;

const END: u8 = 0xFF;
const LONG: u8 = 0xFE;

/// A field and its value.
type Pair<'a> = (&'a [u8], &'a [u8]);

/// The fields and values of a zipmap from outside, once all of it has been checked.
pub(crate) fn pairs(bytes: &[u8]) -> Result<Vec<Pair<'_>>, Malformed> {
    if bytes.len() < 2 || bytes[bytes.len() - 1] != END {
        return Err(Malformed::new("zipmap without its end byte", bytes.len()));
    }
    let end = bytes.len() - 1;
    let mut pairs = Vec::new();
    let mut at = 1;
    while at < end {
        let broken = Malformed::new("zipmap entry", at);
        let (pair, entry_bytes) = entry(&bytes[at..end]).ok_or(broken)?;
        pairs.push(pair);
        at += entry_bytes;
    }
    // From 254 on, the count is not kept up.
    if bytes[0] < LONG && usize::from(bytes[0]) != pairs.len() {
        return Err(Malformed::new("zipmap of another count than it states", 0));
    }
    Ok(pairs)
}

fn entry(bytes: &[u8]) -> Option<(Pair<'_>, usize)> {
    let (field_bytes, head) = length(bytes)?;
    let field_end = head.checked_add(field_bytes)?;
    let field = bytes.get(head..field_end)?;
    let (value_bytes, head) = length(&bytes[field_end..])?;
    let unused = usize::from(*bytes.get(field_end + head)?);
    let start = field_end + head + 1;
    let value = bytes.get(start..start.checked_add(value_bytes)?)?;
    let end = start + value_bytes + unused;
    (end <= bytes.len()).then_some(((field, value), end))
}

fn length(bytes: &[u8]) -> Option<(usize, usize)> {
    match *bytes.first()? {
        END => None,
        LONG => Some((u32::from_le_bytes(bytes.get(1..5)?.try_into().ok()?) as usize, 5)),
        short => Some((usize::from(short), 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_read_in_both_widths_and_with_unused_bytes() {
        let pair = |field: &'static [u8], value: &'static [u8]| (field, value);
        let bytes = b"\x02\x03foo\x03\x00bar\xfe\x05\0\0\0hello\x05\x02world..\xff";
        assert_eq!(pairs(bytes), Ok(vec![pair(b"foo", b"bar"), pair(b"hello", b"world")]));
        assert_eq!(pairs(b"\x00\xff"), Ok(vec![]));
        assert_eq!(pairs(b"\xfe\x01a\x01\x00b\xff"), Ok(vec![pair(b"a", b"b")]));
    }

    #[test]
    fn every_cut_and_every_wrong_length_is_noticed() {
        let bytes = b"\x02\x03foo\x03\x00bar\x05hello\x05\x02world..\xff";
        for end in 0..bytes.len() {
            assert!(pairs(&bytes[..end]).is_err(), "{end}");
        }
        for at in [0, 1, 5, 6, 10, 16, 17] {
            for change in [1, 250] {
                let mut changed = *bytes;
                changed[at] = changed[at].wrapping_add(change);
                if changed[at] != LONG || at > 0 {
                    assert!(pairs(&changed).is_err(), "{at} {change}");
                }
            }
        }
    }
}
