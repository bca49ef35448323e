//! A ziplist: how compact values were kept before there were listpacks. A head of ten bytes (length of the whole,
//! offset of the last entry, number of entries), the entries, each behind the length of the one before it, and an
//! end byte. Written for old readers, read from old files; nothing in memory is one.

use tenon_keyspace::{Element, Listpack, Malformed, listpack};

const HEAD_BYTES: usize = 10;
const END: u8 = 0xFF;
/// A length of the entry before from here on takes five bytes.
const FAR: u8 = 0xFE;
const STRING_14: u8 = 0x40;
const STRING_32: u8 = 0x80;
const INTEGER_16: u8 = 0xC0;
const INTEGER_32: u8 = 0xD0;
const INTEGER_64: u8 = 0xE0;
const INTEGER_24: u8 = 0xF0;
const INTEGER_8: u8 = 0xFE;
/// From here on up to 0xFD the integers 0 to 12.
const SMALL: u8 = 0xF1;
/// Strings of this many bytes and more are never kept as integers.
const INTEGER_TEXT_BYTES_END: usize = 32;

/// The elements of a ziplist from outside, as a listpack, once all of it has been checked.
pub(crate) fn to_listpack(bytes: &[u8]) -> Result<Listpack, Malformed> {
    let mut listpack = Listpack::new();
    walk(bytes, |element, at| {
        if !listpack::fits(listpack.total_bytes(), listpack::entry_bytes_of(element)) {
            return Err(Malformed::new("ziplist longer than a listpack can be", at));
        }
        listpack.push_back(element);
        Ok(())
    })?;
    Ok(listpack)
}

/// Checks a ziplist from outside, and shows its elements with their offsets as it goes.
pub(crate) fn walk<'a>(
    bytes: &'a [u8],
    mut visit: impl FnMut(Element<'a>, usize) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    if bytes.len() <= HEAD_BYTES {
        return Err(Malformed::new("ziplist shorter than its head", bytes.len()));
    }
    let stated = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
    if stated(0) != bytes.len() {
        return Err(Malformed::new("ziplist of another length than it states", 0));
    }
    let end = bytes.len() - 1;
    if bytes[end] != END {
        return Err(Malformed::new("ziplist without its end byte", end));
    }
    let (mut at, mut last, mut count) = (HEAD_BYTES, HEAD_BYTES, 0usize);
    let mut previous_bytes = 0;
    while at < end {
        let (element, entry_bytes) =
            entry(&bytes[at..end], previous_bytes).ok_or(Malformed::new("ziplist entry", at))?;
        visit(element, at)?;
        (last, previous_bytes) = (at, entry_bytes);
        at += entry_bytes;
        count += 1;
    }
    if count > 0 && stated(4) != last || stated(4) > end {
        return Err(Malformed::new("ziplist whose last entry is elsewhere than it states", 4));
    }
    let stated_count = u16::from_le_bytes([bytes[8], bytes[9]]);
    if stated_count != u16::MAX && usize::from(stated_count) != count {
        return Err(Malformed::new("ziplist of another count than it states", 8));
    }
    Ok(())
}

/// The element of the entry that `bytes` begin with, and the length of the entry.
fn entry(bytes: &[u8], previous_bytes: usize) -> Option<(Element<'_>, usize)> {
    let (stated, head_bytes) = match *bytes.first()? {
        END => return None,
        FAR => (u32::from_le_bytes(bytes.get(1..5)?.try_into().ok()?) as usize, 5),
        near => (usize::from(near), 1),
    };
    if stated != previous_bytes {
        return None;
    }
    let (element, size) = content(&bytes[head_bytes..])?;
    Some((element, head_bytes + size))
}

fn content(bytes: &[u8]) -> Option<(Element<'_>, usize)> {
    let first = *bytes.first()?;
    let string = |head: usize, length: usize| {
        let end = head.checked_add(length)?;
        Some((Element::Bytes(bytes.get(head..end)?), end))
    };
    let integer = |size: usize| {
        let mut wide = [0; 8];
        wide[8 - size..].copy_from_slice(bytes.get(1..1 + size)?);
        // The bytes lie at the high end, so that shifting down keeps the sign.
        Some((Element::Integer(i64::from_le_bytes(wide) >> (64 - 8 * size)), 1 + size))
    };
    match first {
        0..STRING_14 => string(1, usize::from(first)),
        STRING_14..STRING_32 => string(2, usize::from(u16::from_be_bytes([first & 0x3F, *bytes.get(1)?]))),
        STRING_32..INTEGER_16 => string(5, u32::from_be_bytes(bytes.get(1..5)?.try_into().ok()?) as usize),
        INTEGER_16 => integer(2),
        INTEGER_24 => integer(3),
        INTEGER_32 => integer(4),
        INTEGER_64 => integer(8),
        INTEGER_8 => integer(1),
        SMALL..=0xFD => Some((Element::Integer(i64::from(first - SMALL)), 1)),
        _ => None,
    }
}

/// Writes elements as a ziplist in place of what is in `target`. None if it would be longer than 4 GiB.
pub(crate) fn write<'a>(elements: impl Iterator<Item = Element<'a>>, target: &mut Vec<u8>) -> Option<()> {
    target.clear();
    target.resize(HEAD_BYTES, 0);
    let (mut last, mut count) = (HEAD_BYTES, 0usize);
    let mut previous_bytes = 0;
    for element in elements {
        last = target.len();
        write_entry(element, previous_bytes, target);
        previous_bytes = target.len() - last;
        count += 1;
    }
    target.push(END);
    let total = u32::try_from(target.len()).ok()?;
    target[0..4].copy_from_slice(&total.to_le_bytes());
    target[4..8].copy_from_slice(&(last as u32).to_le_bytes());
    target[8..10].copy_from_slice(&u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes());
    Some(())
}

fn write_entry(element: Element<'_>, previous_bytes: usize, target: &mut Vec<u8>) {
    if previous_bytes < usize::from(FAR) {
        target.push(previous_bytes as u8);
    } else {
        target.push(FAR);
        target.extend_from_slice(&(previous_bytes as u32).to_le_bytes());
    }
    match element {
        Element::Integer(integer) => write_integer(integer, target),
        Element::Bytes(bytes) => match listpack::canonical_integer(bytes) {
            Some(integer) if bytes.len() < INTEGER_TEXT_BYTES_END => write_integer(integer, target),
            _ => write_string(bytes, target),
        },
    }
}

fn write_integer(integer: i64, target: &mut Vec<u8>) {
    let (head, size) = match integer {
        0..=12 => (SMALL + integer as u8, 0),
        -128..=127 => (INTEGER_8, 1),
        -32_768..=32_767 => (INTEGER_16, 2),
        -8_388_608..=8_388_607 => (INTEGER_24, 3),
        -2_147_483_648..=2_147_483_647 => (INTEGER_32, 4),
        _ => (INTEGER_64, 8),
    };
    target.push(head);
    target.extend_from_slice(&integer.to_le_bytes()[..size]);
}

fn write_string(bytes: &[u8], target: &mut Vec<u8>) {
    match bytes.len() {
        length @ 0..64 => target.push(length as u8),
        length @ 64..16_384 => {
            let [high, low] = (length as u16).to_be_bytes();
            target.extend_from_slice(&[STRING_14 | high, low]);
        }
        length => {
            // A length that does not fit makes the whole too long, which is noticed at its end.
            target.push(STRING_32);
            target.extend_from_slice(&(length as u32).to_be_bytes());
        }
    }
    target.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenon_base::Dice;

    fn elements() -> Vec<Vec<u8>> {
        let mut elements: Vec<Vec<u8>> = [0, 1, 12, 13, -1, 127, 128, -128, -129, 32_767, -32_768, 32_768]
            .into_iter()
            .chain([8_388_607, 8_388_608, -8_388_608, -8_388_609, i64::from(i32::MAX), i64::from(i32::MIN)])
            .chain([i64::from(i32::MAX) + 1, i64::MAX, i64::MIN])
            .map(|integer| integer.to_string().into_bytes())
            .collect();
        for length in [0, 1, 63, 64, 250, 251, 252, 253, 254, 255, 16_383, 16_384, 70_000] {
            elements.push(vec![b'x'; length]);
        }
        elements
    }

    fn written(elements: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(elements.iter().map(|element| Element::Bytes(element)), &mut bytes).expect("it is short");
        bytes
    }

    #[test]
    fn what_is_written_reads_back() {
        let elements = elements();
        let listpack = to_listpack(&written(&elements)).expect("it is sound");
        assert_eq!(listpack.iter().map(|element| element.to_vec()).collect::<Vec<_>>(), elements);
        assert!(to_listpack(&written(&[])).expect("it is sound").is_empty());
        assert_eq!(written(&[b"a".to_vec()]), b"\x0e\0\0\0\x0a\0\0\0\x01\0\0\x01a\xff");
    }

    #[test]
    fn many_elements_read_back_though_the_head_cannot_count_them() {
        let elements: Vec<_> = (0..70_000).map(|number: u32| number.to_string().into_bytes()).collect();
        assert_eq!(to_listpack(&written(&elements)).expect("it is sound").len(), 70_000);
    }

    #[test]
    fn a_changed_byte_is_noticed_or_harmless() {
        let mut dice = Dice::seeded(5);
        let sound = written(&elements()[..26]);
        for _ in 0..50_000 {
            let mut bytes = sound.clone();
            for _ in 0..=dice.below(3) {
                let at = dice.below(bytes.len() as u64) as usize;
                bytes[at] = dice.roll() as u8;
            }
            bytes.truncate(bytes.len() - (dice.below(20) / 19) as usize);
            if let Ok(listpack) = to_listpack(&bytes) {
                assert_eq!(listpack.len(), 26);
            }
        }
    }
}
