//! Broken and hostile bytes: an error each time, no panic, no memory that only a claim asks for.

use crc_fast::{CrcAlgorithm, checksum};

use super::*;
use crate::{LoadErrorKind, dump, load_bytes, restore};

const MUTATIONS: usize = 200_000;

#[test]
fn a_changed_file_never_panics() {
    let files: Vec<_> = small_values()
        .iter()
        .flat_map(|value| VERSIONS.map(|version| file_of_value(value, plain(version))))
        .collect();
    let options = LoadOptions { checksum: false, ..options() };
    let mut dice = Dice::seeded(1_000);
    let (mut sound, mut broken) = (0, 0);
    for number in 0..MUTATIONS / 2 {
        let mut file = files[number % files.len()].clone();
        mutate(&mut file, 9, &mut dice);
        match load_into(&file, &options) {
            Ok(_) => sound += 1,
            Err(_) => broken += 1,
        }
    }
    assert!(sound > 1_000 && broken > 1_000, "{sound} sound, {broken} broken");
}

#[test]
fn a_changed_payload_never_panics() {
    let payloads: Vec<_> = small_values()
        .iter()
        .flat_map(|value| {
            VERSIONS
                .map(|version| dump(value.as_ref(), &EncoderOptions { compression: false, ..plain(version) }))
        })
        .collect();
    let mut dice = Dice::seeded(2_000);
    let (mut sound, mut broken) = (0, 0);
    for number in 0..MUTATIONS / 2 {
        let payload = &payloads[number % payloads.len()];
        let mut signed = payload[..payload.len() - 10].to_vec();
        mutate(&mut signed, 0, &mut dice);
        match restore(&signed_as(signed, 10), &limits()) {
            Ok(value) => {
                sound += 1;
                let again = dump(value.as_ref(), &plain(RdbVersion::V11));
                assert!(restore(&again, &limits()).is_ok(), "what was read cannot be read again");
            }
            Err(_) => broken += 1,
        }
    }
    assert!(sound > 1_000 && broken > 1_000, "{sound} sound, {broken} broken");
}

/// Changes, inserts, removes or repeats a few bytes from `from` on.
pub(super) fn mutate(bytes: &mut Vec<u8>, from: usize, dice: &mut Dice) {
    for _ in 0..=dice.below(3) {
        if bytes.len() <= from {
            return;
        }
        let at = from + dice.below((bytes.len() - from) as u64) as usize;
        match dice.below(8) {
            0..4 => bytes[at] = dice.roll() as u8,
            4 => bytes[at] = [0, 1, 0x7F, 0x80, 0x81, 0xC3, 0xFE, 0xFF][dice.below(8) as usize],
            5 => bytes.insert(at, dice.roll() as u8),
            6 => drop(bytes.remove(at)),
            _ => bytes.truncate(at),
        }
    }
}

fn signed_as(mut body: Vec<u8>, version: u16) -> Vec<u8> {
    body.extend_from_slice(&version.to_le_bytes());
    let footer = checksum(CrcAlgorithm::Crc64Redis, &body);
    body.extend_from_slice(&footer.to_le_bytes());
    body
}

#[test]
fn every_cut_of_a_file_is_noticed() {
    for value in small_values() {
        let file = file_of_value(&value, EncoderOptions::default());
        assert!(load_bytes(&file).is_ok());
        for end in 0..file.len() {
            let error = load_bytes(&file[..end]).expect_err("a part of a file was read");
            assert!(matches!(error.kind, LoadErrorKind::Truncated), "{error}");
        }
    }
}

#[test]
fn every_changed_bit_of_a_file_is_noticed() {
    let value = hash_of(&[(b"field".to_vec(), b"value".to_vec()), (b"other".to_vec(), vec![b'x'; 40])]);
    let file = file_of_value(&value, EncoderOptions::default());
    let checksum_at = file.len() - 8;
    for bit in 0..file.len() * 8 {
        let mut changed = file.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let error = load_bytes(&changed).expect_err("a changed file was read");
        if bit / 8 >= checksum_at {
            assert!(matches!(error.kind, LoadErrorKind::Checksum { .. }), "{error}");
        }
    }
    let mut unchecked = file;
    unchecked[checksum_at] ^= 1;
    assert!(load_into(&unchecked, &LoadOptions { checksum: false, ..options() }).is_ok());
}

#[test]
fn lengths_that_are_only_claimed_set_no_memory_aside() {
    const HUGE: &[u8] = b"\x81\x0f\xff\xff\xff\xff\xff\xff\xff";
    let claims: [&[&[u8]]; 13] = [
        &[&[21, 1, b'k'], HUGE],
        &[&[15, 1, b'k', 0, 0, 0, 0], HUGE, b"\x01g"],
        &[&[15, 1, b'k', 0, 0, 0, 0, 1, 1, b'g', 0, 0], HUGE, b"0123456789abcdef"],
        &[&[0, 1, b'k'], HUGE, b"only these"],
        &[&[0], HUGE, b"a key"],
        &[&[0, 1, b'k', 0xC3], HUGE, HUGE, b"compressed"],
        &[&[0, 1, b'k', 0xC3, 5], HUGE, b"\x00a\xe0\x00\x00"],
        &[&[1, 1, b'k'], HUGE, b"\x01a\x01b"],
        &[&[2, 1, b'k'], HUGE, b"\x01a\x01b"],
        &[&[4, 1, b'k'], HUGE, b"\x01a\x01b"],
        &[&[5, 1, b'k'], HUGE, b"\x01a12345678"],
        &[&[14, 1, b'k'], HUGE],
        &[&[0xFB], HUGE, HUGE],
    ];
    for claim in claims {
        let mut file = b"REDIS0011".to_vec();
        claim.iter().for_each(|part| file.extend_from_slice(part));
        let error = load_bytes(&file).expect_err("more was claimed than is there");
        assert!(matches!(error.kind, LoadErrorKind::Truncated | LoadErrorKind::Compressed { .. }), "{error}");
        // The same value as a payload, which has no key.
        if let Some((&[type_byte, 1, b'k'], value)) = file[9..].split_first_chunk() {
            let payload = signed_as([&[type_byte], value].concat(), 11);
            assert!(restore(&payload, &limits()).is_err());
        }
    }
}

#[test]
fn a_payload_of_a_newer_version_or_an_empty_value_is_refused() {
    let text = |payload: Vec<u8>| restore(&payload, &limits()).map(drop).unwrap_err().to_string();
    assert!(restore(&signed_as(b"\0\x01a".to_vec(), 12), &limits()).is_ok());
    assert_eq!(text(signed_as(b"\0\x01a".to_vec(), 13)), "DUMP payload version or checksum are wrong");
    assert_eq!(text(signed_as(b"\x01\x00".to_vec(), 11)), "Bad data format");
    assert_eq!(text(signed_as(b"\x15\x00".to_vec(), 11)), "Bad data format");
    assert_eq!(text(signed_as(Vec::new(), 11)), "Bad data format");
}
