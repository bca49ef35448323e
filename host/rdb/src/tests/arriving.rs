//! A file that arrives in pieces: wherever it is split, what comes of it is what comes of the file as a whole.

use super::hostile::mutate;
use super::*;
use crate::{Arrived, ArrivingDecoder};

/// What a decoder makes of a file that arrives in pieces of up to `bytes_max` bytes, and how often it was asked in vain.
fn arrive(
    file: &[u8],
    bytes_max: u64,
    dice: &mut Dice,
    options: &LoadOptions,
) -> Result<(Keyspace, LoadReport, usize), LoadError> {
    let mut keyspace = Keyspace::new(options.databases, &mut Dice::seeded(9));
    let mut decoder = ArrivingDecoder::new(options);
    let (mut rest, mut asked_in_vain) = (file, 0);
    loop {
        match decoder.next_key()? {
            Arrived::Key(key) => {
                let is_new =
                    keyspace.db_mut(key.database).insert(key.key, key.value, key.expires_at).is_none();
                if !is_new {
                    return Err(LoadError::duplicate(decoder.read_bytes(), b""));
                }
            }
            Arrived::End => return Ok((keyspace, decoder.report(), asked_in_vain)),
            Arrived::NotYet if rest.is_empty() => decoder.end(),
            Arrived::NotYet => {
                asked_in_vain += 1;
                let mut wanted = decoder.missing_bytes();
                assert!(wanted > 0, "it knows of some bytes that would be of use");
                while wanted > 0 && !rest.is_empty() {
                    let (piece, behind) = rest.split_at(rest.len().min(1 + dice.below(bytes_max) as usize));
                    decoder.feed(piece.to_vec());
                    (rest, wanted) = (behind, wanted.saturating_sub(piece.len() as u64));
                }
            }
        }
    }
}

/// Asserts that a file which comes byte by byte is told of as the whole one is.
pub(super) fn assert_arrives_alike(file: &[u8], report: &LoadReport) {
    let (_, arrived, _) = arrive(file, 1, &mut Dice::seeded(30), &options()).expect("a sound file");
    assert_eq!(&arrived, report);
}

#[test]
fn a_file_that_arrives_is_read_as_the_whole_one_is() {
    let keyspace = full_keyspace();
    let aux = Aux { stream_database: Some(3), ..Aux::default() };
    let mut dice = Dice::seeded(31);
    for version in VERSIONS {
        let file = file_of(&keyspace, plain(version), &aux);
        let (whole, report) = load_into(&file, &options()).expect("a sound file");
        for bytes_max in [7, 100, 5_000, 200_000] {
            let (arrived, arrived_report, _) =
                arrive(&file, bytes_max, &mut dice, &options()).expect("a sound file");
            assert_eq!(arrived_report, report, "{version:?}, {bytes_max}");
            let digests = [&whole, &arrived].map(crate::full_digest);
            assert_eq!(digests[0], digests[1], "{version:?}, {bytes_max}");
        }
    }
}

#[test]
fn a_long_value_that_comes_slowly_is_begun_anew_a_few_times_only() {
    let members = numbered("member", 40_000);
    for (value, tries_max) in
        [(list_of(&members), 40), (Value::String(Text::from_bytes(&vec![b'x'; 3 << 20])), 4)]
    {
        let file = file_of_value(&value, EncoderOptions { compression: false, ..EncoderOptions::default() });
        let (keyspace, _, tries) =
            arrive(&file, 50, &mut Dice::seeded(32), &options()).expect("a sound file");
        assert_eq!(keyspace.db(0).len(), 1);
        assert!(tries <= tries_max, "{tries} attempts for {} bytes", file.len());
    }
}

#[test]
fn what_ends_early_is_truncated_wherever_that_is() {
    let file = file_of_value(&small_values()[0], EncoderOptions::default());
    for end in 0..file.len() {
        let arrived = arrive(&file[..end], 5, &mut Dice::seeded(33), &options());
        let error = arrived.map(drop).expect_err("a part of a file was read");
        assert!(matches!(error.kind, crate::LoadErrorKind::Truncated), "{error}");
    }
}

#[test]
fn a_changed_file_that_arrives_has_the_same_error_as_the_whole_one() {
    let files: Vec<_> = small_values()
        .iter()
        .flat_map(|value| VERSIONS.map(|version| file_of_value(value, plain(version))))
        .collect();
    let options = LoadOptions { checksum: false, ..options() };
    let mut dice = Dice::seeded(34);
    let (mut sound, mut broken) = (0, 0);
    for number in 0..30_000 {
        let mut file = files[number % files.len()].clone();
        mutate(&mut file, 0, &mut dice);
        let whole = load_into(&file, &options);
        let arrived = arrive(&file, 60, &mut dice, &options);
        match (whole, arrived) {
            (Ok((_, whole)), Ok((_, arrived, _))) => {
                assert_eq!(arrived, whole);
                sound += 1;
            }
            (Err(whole), Err(arrived)) => {
                let is_alike = std::mem::discriminant(&whole.kind) == std::mem::discriminant(&arrived.kind);
                assert!(is_alike && whole.at == arrived.at, "{arrived} instead of {whole}");
                broken += 1;
            }
            (whole, arrived) => panic!("{:?} instead of {:?}", arrived.map(drop), whole.map(drop)),
        }
    }
    assert!(sound > 1_000 && broken > 1_000, "{sound} sound, {broken} broken");
}
