//! The format byte for byte, the operations against a vector, and bytes that nobody should trust.

use super::*;
use tenon_base::Dice;

fn pack(elements: &[&[u8]]) -> Listpack {
    let mut listpack = Listpack::new();
    elements.iter().for_each(|&element| listpack.push_back(element));
    listpack
}

fn texts(listpack: &Listpack) -> Vec<Vec<u8>> {
    listpack.iter().map(|element| element.to_vec()).collect()
}

#[test]
fn the_bytes_are_those_of_the_format() {
    assert_eq!(Listpack::new().bytes(), [7, 0, 0, 0, 0, 0, 0xFF]);
    let cases: [(&[u8], &[u8]); 17] = [
        (b"0", &[0x00, 1]),
        (b"127", &[0x7F, 1]),
        (b"128", &[0xC0, 0x80, 2]),
        (b"-1", &[0xDF, 0xFF, 2]),
        (b"4095", &[0xCF, 0xFF, 2]),
        (b"-4096", &[0xD0, 0x00, 2]),
        (b"4096", &[0xF1, 0x00, 0x10, 3]),
        (b"-32768", &[0xF1, 0x00, 0x80, 3]),
        (b"65536", &[0xF2, 0x00, 0x00, 0x01, 4]),
        (b"-8388608", &[0xF2, 0x00, 0x00, 0x80, 4]),
        (b"8388608", &[0xF3, 0x00, 0x00, 0x80, 0x00, 5]),
        (b"-2147483648", &[0xF3, 0x00, 0x00, 0x00, 0x80, 5]),
        (b"2147483648", &[0xF4, 0, 0, 0, 0x80, 0, 0, 0, 0, 9]),
        (b"-9223372036854775808", &[0xF4, 0, 0, 0, 0, 0, 0, 0, 0x80, 9]),
        (b"", &[0x80, 1]),
        (b"zoink", &[0x85, b'z', b'o', b'i', b'n', b'k', 6]),
        (b"007", &[0x83, b'0', b'0', b'7', 4]),
    ];
    for (text, entry) in cases {
        let listpack = pack(&[text]);
        assert_eq!(
            &listpack.bytes()[6..listpack.total_bytes() - 1],
            entry,
            "{}",
            String::from_utf8_lossy(text)
        );
        assert_eq!(entry_bytes_of(text), entry.len());
        assert_eq!(texts(&listpack), [text]);
        assert_eq!(listpack.bytes()[..6], [7 + entry.len() as u8, 0, 0, 0, 1, 0]);
    }
}

#[test]
fn long_strings_have_longer_heads_and_back_lengths() {
    let cases: [(usize, &[u8], &[u8]); 9] = [
        (63, &[0xBF], &[64]),
        (64, &[0xE0, 64], &[66]),
        (126, &[0xE0, 126], &[1, 0x80]),
        (4_095, &[0xEF, 0xFF], &[0x20, 0x81]),
        (4_096, &[0xF0, 0, 0x10, 0, 0], &[0x20, 0x85]),
        (16_377, &[0xF0, 0xF9, 0x3F, 0, 0], &[0x7F, 0xFE]),
        (16_378, &[0xF0, 0xFA, 0x3F, 0, 0], &[0, 0xFF, 0xFF]),
        (2_097_145, &[0xF0, 0xF9, 0xFF, 0x1F, 0], &[0x7F, 0xFF, 0xFE]),
        (2_097_146, &[0xF0, 0xFA, 0xFF, 0x1F, 0], &[0, 0xFF, 0xFF, 0xFF]),
    ];
    for (length, head, back) in cases {
        let text = vec![b'x'; length];
        let mut listpack = pack(&[&text]);
        let entry = &listpack.bytes()[6..listpack.total_bytes() - 1];
        assert!(entry.starts_with(head), "{length}");
        assert!(entry.ends_with(back), "{length}");
        assert_eq!(entry.len(), head.len() + length + back.len());
        listpack.push_back(b"after");
        let last = listpack.last().expect("two elements");
        assert!(listpack.element(last).equals(b"after"));
        let before = listpack.previous(last).expect("two elements");
        assert_eq!(before.offset(), 6);
        assert!(listpack.element(before).equals(&text));
        assert!(Listpack::from_bytes(listpack.bytes()).is_ok());
    }
}

fn any_text(dice: &mut Dice) -> Vec<u8> {
    match dice.below(8) {
        0 => (dice.roll() as i64 >> dice.below(63)).to_string().into_bytes(),
        1 => dice.below(200).to_string().into_bytes(),
        2 => vec![b'x'; dice.below(300) as usize],
        3 if dice.below(20) == 0 => vec![b'y'; dice.below(20_000) as usize],
        _ => (0..dice.below(12)).map(|_| dice.roll() as u8).collect(),
    }
}

fn compare(listpack: &Listpack, model: &[Vec<u8>], dice: &mut Dice) {
    assert_eq!(listpack.len(), model.len());
    let index = dice.below(model.len() as u64 + 2) as usize;
    let found = listpack.seek(index).map(|at| listpack.element(at).to_vec());
    assert_eq!(found.as_ref(), model.get(index));
    assert_eq!(listpack.memory(), crate::size_class(listpack.total_bytes()));
}

#[test]
fn it_behaves_as_a_vector() {
    let mut dice = Dice::seeded(1);
    for _ in 0..20 {
        let mut listpack = Listpack::new();
        let mut model: Vec<Vec<u8>> = Vec::new();
        for _ in 0..600 {
            let text = any_text(&mut dice);
            let index = dice.below(model.len() as u64 + 1) as usize;
            match (dice.below(9), listpack.seek(index)) {
                (0, _) => {
                    listpack.push_front(text.as_slice());
                    model.insert(0, text);
                }
                (1 | 2, _) | (3, None) => {
                    listpack.push_back(text.as_slice());
                    model.push(text);
                }
                (3, Some(at)) => {
                    listpack.insert_before(at, text.as_slice());
                    model.insert(index, text);
                }
                (4, Some(at)) => {
                    let new = listpack.insert_after(at, text.as_slice());
                    assert!(listpack.element(new).equals(&text));
                    model.insert(index + 1, text);
                }
                (5, Some(at)) => {
                    listpack.replace(at, text.as_slice());
                    model[index] = text;
                }
                (6, Some(at)) => {
                    let next = listpack.delete(at).map(|at| listpack.element(at).to_vec());
                    model.remove(index);
                    assert_eq!(next.as_ref(), model.get(index));
                }
                (7, Some(_)) => {
                    let count = dice.below(4) as usize;
                    listpack.delete_range(index, count);
                    model.drain(index..(index + count).min(model.len()));
                }
                _ => {
                    let tail = listpack.split_off(index);
                    assert_eq!(texts(&tail), model[index..]);
                    listpack.append(&tail);
                }
            }
            compare(&listpack, &model, &mut dice);
        }
        assert_eq!(texts(&listpack), model);
        let backwards: Vec<Vec<u8>> = listpack.iter().rev().map(|element| element.to_vec()).collect();
        assert!(backwards.iter().eq(model.iter().rev()));
        let again = Listpack::from_bytes(listpack.bytes()).expect("own bytes are sound");
        assert_eq!(again.bytes(), listpack.bytes());
    }
}

#[test]
fn finding_skips_and_compares_integers_by_value() {
    let listpack = pack(&[b"a", b"1", b"1", b"a", b"b", b"-70000"]);
    let offset = |index| listpack.seek(index);
    assert_eq!(listpack.find(b"a", 0), offset(0));
    assert_eq!(listpack.find(b"1", 0), offset(1));
    assert_eq!(listpack.find(b"1", 1), offset(2));
    assert_eq!(listpack.find(b"a", 1), offset(0));
    assert_eq!(listpack.find(b"-70000", 0), offset(5));
    assert_eq!(listpack.find(b"-70000", 1), None);
    assert_eq!(listpack.find(b"01", 0), None);
    assert_eq!(listpack.find_from(offset(1).expect("there"), b"a", 0), offset(3));
    let pairs: Vec<_> = listpack.pairs().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
    assert_eq!(pairs[1], (b"1".to_vec(), b"a".to_vec()));
    assert_eq!(Listpack::new().find(b"a", 0), None);
}

#[test]
fn a_count_beyond_the_head_is_walked() {
    let mut listpack = Listpack::new();
    (0..65_534).for_each(|_| listpack.push_back(1));
    assert_eq!((listpack.bytes()[4..6].to_vec(), listpack.len()), (vec![0xFE, 0xFF], 65_534));
    listpack.push_back(2);
    listpack.push_back(3);
    assert_eq!((listpack.bytes()[4..6].to_vec(), listpack.len()), (vec![0xFF, 0xFF], 65_536));
    let third = listpack.seek(65_535).map(|at| listpack.element(at).to_vec());
    assert_eq!(third, Some(b"3".to_vec()));
    assert_eq!(listpack.seek(65_536), None);
    assert!(Listpack::from_bytes(listpack.bytes()).is_ok());
    listpack.delete_range(0, 65_530);
    assert_eq!(listpack.len(), 6);
    listpack.delete_range(0, 6);
    assert_eq!(listpack.bytes(), Listpack::new().bytes());
}

#[test]
fn malformed_bytes_are_named() {
    let sound = pack(&[b"hello", b"1024"]).bytes().to_vec();
    let with = |at: usize, byte: u8| {
        let mut bytes = sound.clone();
        bytes[at] = byte;
        Listpack::from_bytes(&bytes).expect_err("changed").to_string()
    };
    assert_eq!(with(0, 3), "listpack of another length than it states at byte 0");
    assert_eq!(with(4, 3), "listpack of another count than it states at byte 4");
    assert_eq!(with(6, 0xF5), "listpack entry at byte 6");
    assert_eq!(with(6, 0xBF), "listpack entry at byte 6");
    assert_eq!(with(12, 5), "listpack entry at byte 6");
    assert_eq!(with(sound.len() - 1, 0), "listpack without its end byte at byte 16");
    assert!(Listpack::from_bytes(&[]).is_err());
    assert!(Listpack::from_bytes(&sound[..6]).is_err());
}

#[test]
fn hostile_bytes_are_refused_or_sound() {
    let mut dice = Dice::seeded(2);
    let seeds = [
        pack(&[b"hello", b"1024", b"", b"-5", b"123456789012", b"70000", b"3000000"]),
        pack(&[&[b'x'; 70], b"7", &[b'y'; 130]]),
        pack(&[&[b'z'; 5_000], b"a"]),
    ];
    let mut accepted = 0;
    for round in 0..200_000 {
        // The long seed is slow to copy, so it comes seldom.
        let seed = if round % 50 == 0 { &seeds[2] } else { &seeds[round % 2] };
        let mut bytes = seed.bytes().to_vec();
        for _ in 0..=dice.below(2) {
            let near = if dice.below(2) == 0 { 16 } else { bytes.len() as u64 };
            let at = dice.below(near) as usize;
            bytes[at] = if dice.below(2) == 0 { dice.roll() as u8 } else { bytes[at] ^ (1 << dice.below(8)) };
        }
        let Ok(mut listpack) = Listpack::from_bytes(&bytes) else { continue };
        accepted += 1;
        assert_eq!(listpack.iter().count(), listpack.iter().rev().count());
        if let Some(at) = listpack.last() {
            listpack.replace(at, b"replaced");
            listpack.insert_before(at, 5);
            listpack.delete_range(0, 1);
        }
        assert!(Listpack::from_bytes(listpack.bytes()).is_ok());
    }
    assert!(accepted > 1_000, "most changes to a string's content are harmless: {accepted}");
}
