//! Rows of bytes taken eight and more at a time: counted, searched, combined. Plain loops that the compiler turns
//! into vector instructions of the oldest machine there is; nothing asks what this one can do.
//! Always: alignment does not matter, and neither does the order of bytes in a word.

/// Words that are counted together.
const GROUP_WORDS: usize = 16;
const GROUP_BYTES: usize = GROUP_WORDS * 8;

/// How many bits are set.
pub(super) fn count_ones(bytes: &[u8]) -> usize {
    let (groups, rest) = bytes.as_chunks::<GROUP_BYTES>();
    let grouped: u64 = groups.iter().map(count_group).sum();
    let (words, tail) = rest.as_chunks::<8>();
    let words: u32 = words.iter().map(|word| u64::from_ne_bytes(*word).count_ones()).sum();
    let tail: u32 = tail.iter().map(|byte| byte.count_ones()).sum();
    grouped as usize + (words + tail) as usize
}

fn count_group(group: &[u8; GROUP_BYTES]) -> u64 {
    let mut count = 0;
    for word in group.as_chunks::<8>().0 {
        count += u64::from(u64::from_ne_bytes(*word).count_ones());
    }
    count
}

/// The place of the first bit that is `bit`.
pub(super) fn find(bytes: &[u8], bit: bool) -> Option<usize> {
    // What is looked for is set once flipped.
    let flip = if bit { 0 } else { u64::MAX };
    let is_without = |group: &&[u8; GROUP_BYTES]| {
        let words = group.as_chunks::<8>().0;
        words.iter().fold(0, |any, word| any | (u64::from_ne_bytes(*word) ^ flip)) == 0
    };
    let start = bytes.as_chunks::<GROUP_BYTES>().0.iter().take_while(is_without).count() * GROUP_BYTES;
    let (words, tail) = bytes[start..].as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_be_bytes(*word) ^ flip;
        if word != 0 {
            return Some((start + index * 8) * 8 + word.leading_zeros() as usize);
        }
    }
    let start = start + words.len() * 8;
    tail.iter().enumerate().find_map(|(index, byte)| {
        let byte = byte ^ flip as u8;
        (byte != 0).then(|| (start + index) * 8 + byte.leading_zeros() as usize)
    })
}

/// Clears in `target` what is clear in `source`, which goes on with zeroes.
pub(super) fn and(target: &mut [u8], source: &[u8]) {
    target.iter_mut().zip(source).for_each(|(byte, other)| *byte &= other);
    if let Some(rest) = target.get_mut(source.len()..) {
        rest.fill(0);
    }
}

/// Sets in `target` what is set in `source`.
pub(super) fn or(target: &mut [u8], source: &[u8]) {
    target.iter_mut().zip(source).for_each(|(byte, other)| *byte |= other);
}

/// Flips in `target` what is set in `source`.
pub(super) fn xor(target: &mut [u8], source: &[u8]) {
    target.iter_mut().zip(source).for_each(|(byte, other)| *byte ^= other);
}

/// Flips all of `target`.
pub(super) fn not(target: &mut [u8]) {
    target.iter_mut().for_each(|byte| *byte = !*byte);
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenon_base::Dice;

    fn bit_at(bytes: &[u8], at: usize) -> bool {
        bytes[at / 8] >> (7 - at % 8) & 1 == 1
    }

    #[test]
    fn counting_agrees_with_one_bit_at_a_time() {
        let mut dice = Dice::seeded(1);
        for length in (0..300).chain([1_000, 4_099]) {
            let mut bytes = vec![0; length];
            dice.fill(&mut bytes);
            let expected = (0..length * 8).filter(|&at| bit_at(&bytes, at)).count();
            assert_eq!(count_ones(&bytes), expected, "{length} bytes");
        }
        assert_eq!(count_ones(&[0xFF; 1_000]), 8_000);
    }

    #[test]
    fn the_first_bit_is_found_wherever_it_lies() {
        for length in (0..20).chain([127, 128, 129, 400]) {
            for bit in [false, true] {
                let mut bytes = vec![if bit { 0 } else { 0xFF }; length];
                assert_eq!(find(&bytes, bit), None, "{length} bytes");
                for at in (0..length * 8).rev() {
                    bytes[at / 8] ^= 0x80 >> (at % 8);
                    assert_eq!(find(&bytes, bit), Some(at), "{length} bytes");
                }
            }
        }
    }

    #[test]
    fn a_shorter_source_goes_on_with_zeroes() {
        let run = |act: fn(&mut [u8], &[u8])| {
            let mut target = *b"\xF0\xFF\x0F";
            act(&mut target, b"\x3C\x0F");
            target
        };
        assert_eq!(run(and), *b"\x30\x0F\x00");
        assert_eq!(run(or), *b"\xFC\xFF\x0F");
        assert_eq!(run(xor), *b"\xCC\xF0\x0F");
        assert_eq!(run(|target, _| not(target)), *b"\x0F\x00\xF0");
    }
}
