//! Files that Valkey 9 writes, byte by byte: a magic, a version and numbers of types of its own.

use tenon_keyspace::ValueRef;

use super::*;
use crate::{RestoreError, full_digest, restore};

/// A file of Valkey around bytes of keys, without a checksum.
fn valkey_file(version: u32, keys: &[u8]) -> Vec<u8> {
    [format!("VALKEY{version:03}").as_bytes(), keys, &[0xFF], &[0; 8]].concat()
}

/// A hash of three fields: one without a time, one whose time is 1000, one whose time is 99000.
fn timed_hash() -> Vec<u8> {
    let mut bytes = b"\x16\x01k\x03".to_vec();
    for (field, time) in [(&b"\x01a\x01x"[..], -1), (b"\x01b\x01y", 1_000), (b"\x01c\xc0\x07", 99_000_i64)] {
        bytes.extend_from_slice(field);
        bytes.extend_from_slice(&time.to_le_bytes());
    }
    bytes
}

fn fields_of(keyspace: &Keyspace) -> Vec<String> {
    let ValueRef::Hash(hash) = keyspace.db(0).find(b"k").unwrap().value() else { panic!("no hash") };
    let text = |element: tenon_keyspace::Element<'_>| String::from_utf8(element.to_vec()).unwrap();
    let mut fields: Vec<String> =
        hash.iter().map(|(field, value)| format!("{}={}", text(field), text(value))).collect();
    fields.sort();
    fields
}

fn refusal(file: &[u8]) -> String {
    load_into(file, &options()).map(drop).unwrap_err().to_string()
}

#[test]
fn a_file_with_everything_is_read_as_one_of_redis_is() {
    let keyspace = full_keyspace();
    let options_11 = EncoderOptions { version: RdbVersion::V11, ..EncoderOptions::default() };
    let redis = file_of(&keyspace, options_11, &Aux::default());
    for version in ["080", "081"] {
        // Up to type 21 the two do not differ; a checksum of another start is of no use.
        let end = redis.len() - 8;
        let file = [b"VALKEY", version.as_bytes(), &redis[9..end], &[0; 8]].concat();
        let (found, report) = load_into(&file, &options()).unwrap();
        assert_eq!(full_digest(&found), full_digest(&keyspace));
        assert_eq!(format!("{:03}", report.version), version);
        arriving::assert_arrives_alike(&file, &report);
    }
}

#[test]
fn hashes_whose_fields_expire_are_read_without_the_times() {
    let file = valkey_file(80, &timed_hash());
    for (before, fields, times) in [
        (None, "a=x b=y c=7", 2),
        (Some(1_000), "a=x b=y c=7", 2),
        (Some(1_001), "a=x c=7", 1),
        (Some(99_001), "a=x", 0),
    ] {
        let passes_over_expired_before = before.map(UnixMillis);
        let (keyspace, report) =
            load_into(&file, &LoadOptions { passes_over_expired_before, ..options() }).unwrap();
        assert_eq!((fields_of(&keyspace).join(" "), report.field_times), (fields.to_owned(), times));
        assert_eq!(report.timed_keys.len(), usize::from(times > 0));
        if before.is_none() {
            arriving::assert_arrives_alike(&file, &report);
        }
    }
    let twice = [b"\x16\x01k\x02\x01a\x01x", &[0xff; 8][..], b"\x01a\x01y", &[0xff; 8]].concat();
    assert!(refusal(&valkey_file(80, &twice)).contains("found a member twice"));
    let endless = [b"\x16\x01k\x01\x01a\x01x", &i64::MIN.to_le_bytes()[..]].concat();
    assert!(refusal(&valkey_file(80, &endless)).contains("found a bad time of a field"));
    // In a file of Redis the same number is laid out in another way.
    assert!(load_into(&file_around(12, &timed_hash()), &options()).is_err());
}

#[test]
fn slots_that_were_on_their_way_are_counted() {
    let import = b"\xf3\x04name\x02\x00\x05\x43\xe8\x43\xe9\xf4\x07\x01\x00";
    let keys = [&import[..], b"\xfe\x00\xf3\x01n\x01\x07\x07", b"\x00\x01k\x01v"].concat();
    let file = valkey_file(80, &keys);
    let (keyspace, report) = load_into(&file, &options()).unwrap();
    assert_eq!((keyspace.db(0).len(), report.slot_imports), (1, 3));
    arriving::assert_arrives_alike(&file, &report);
    let error = refusal(&file_around(12, &keys));
    assert!(error.contains("found type byte 243, expected a type of RDB versions 1 to 12"), "{error}");
}

#[test]
fn what_is_not_known_of_valkey_is_refused_with_a_sentence() {
    let error = refusal(&valkey_file(81, b"\x17\x01k\x00"));
    assert!(error.starts_with("RDB offset 9, key \"k\": found type byte 23, which Valkey gave"), "{error}");
    assert!(
        refusal(&valkey_file(81, b"\xf2\x00")).starts_with("RDB offset 9: found type byte 242, which Valkey")
    );
    for (start, expected) in [
        (&b"VALKEY079"[..], "Can't handle RDB format version 79"),
        (b"VALKEY011", "Can't handle RDB format version 11"),
        (b"VALKEY082", "Can't handle RDB format version 82"),
        (b"VALKEY0+1", "Can't handle RDB format version 0"),
        (b"REDIS0080", "Can't handle RDB format version 80"),
        (b"REDIS+011", "Can't handle RDB format version 0"),
        (b"VALKER080", "RDB offset 9: Wrong signature: found \"VALKE\", expected \"REDIS\""),
    ] {
        assert_eq!(refusal(&[start, b"\xff", &[0; 8]].concat()), expected);
    }
}

#[test]
fn payloads_of_valkey_are_restored_unless_fields_expire() {
    let limits = Limits::standard(0);
    let signed = |body: &[u8], version: u16| {
        let signed = [body, &version.to_le_bytes()].concat();
        let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Redis, &signed);
        [&signed[..], &sum.to_le_bytes()].concat()
    };
    for version in [0, 11, 12, 80, 81] {
        assert!(restore(&signed(b"\x00\x01v", version), &limits).is_ok(), "{version}");
    }
    for version in [13, 79, 82] {
        assert!(
            matches!(restore(&signed(b"\x00\x01v", version), &limits), Err(RestoreError::Footer)),
            "{version}"
        );
    }
    let timed = [b"\x16\x01\x01a\x01x", &[0xff; 8][..]].concat();
    assert!(matches!(restore(&signed(&timed, 80), &limits), Err(RestoreError::Data(_))));
}
