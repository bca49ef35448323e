//! What older versions wrote, byte by byte, and what newer ones write that is not read.

use tenon_keyspace::{Element, ValueRef};

use super::*;
use crate::ziplist;

/// A type, the key "k", and a value.
fn key(type_byte: u8, value: &[u8]) -> Vec<u8> {
    [&[type_byte, 1, b'k'], value].concat()
}

/// A string below 16 KiB.
fn string(bytes: &[u8]) -> Vec<u8> {
    [&(0x4000 | bytes.len() as u16).to_be_bytes(), bytes].concat()
}

fn ziplist_of(elements: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    ziplist::write(elements.iter().map(|element| Element::Bytes(element.as_bytes())), &mut bytes).unwrap();
    string(&bytes)
}

/// The only value of a file, as text: members in order, sets and hashes sorted.
fn shown(version: u32, keys: &[u8]) -> String {
    let (keyspace, report) = load_into(&file_around(version, keys), &options()).unwrap();
    assert_eq!((report.keys, keyspace.db(0).len()), (1, 1));
    let text = |element: Element<'_>| String::from_utf8(element.to_vec()).unwrap();
    let mut parts: Vec<String> = match keyspace.db(0).find(b"k").unwrap().value() {
        ValueRef::String(bytes) => {
            let mut found = Vec::new();
            bytes.write_into(&mut found);
            return String::from_utf8(found).unwrap();
        }
        ValueRef::List(list) => return list.iter().map(text).collect::<Vec<_>>().join(" "),
        ValueRef::Set(set) => set.iter().map(text).collect(),
        ValueRef::Hash(hash) => {
            hash.iter().map(|(field, value)| format!("{}={}", text(field), text(value))).collect()
        }
        ValueRef::Stream(_) => panic!("older than streams"),
        ValueRef::Zset(zset) => {
            let pairs = zset.iter().map(|(member, score)| format!("{}={score}", text(member)));
            return pairs.collect::<Vec<_>>().join(" ");
        }
    };
    parts.sort();
    parts.join(" ")
}

#[test]
fn strings_read_in_every_encoding() {
    for (value, expected) in [
        (&b"\x05hello"[..], "hello"),
        (b"\x40\x05hello", "hello"),
        (b"\x80\0\0\0\x05hello", "hello"),
        (b"\x81\0\0\0\0\0\0\0\x05hello", "hello"),
        (b"\xc0\xfe", "-2"),
        (b"\xc1\x00\x80", "-32768"),
        (b"\xc2\xff\xff\xff\x7f", "2147483647"),
        (b"\xc3\x05\x0a\x00a\xe0\x00\x00", "aaaaaaaaaa"),
    ] {
        assert_eq!(shown(1, &key(0, value)), expected);
    }
}

#[test]
fn members_one_by_one_read_from_version_1_on() {
    assert_eq!(shown(1, &key(1, b"\x03\x01a\xc0\x05\x01b")), "a 5 b");
    assert_eq!(shown(1, &key(2, b"\x03\x01a\xc0\x05\x01b")), "5 a b");
    assert_eq!(shown(1, &key(2, b"\x03\xc0\x07\xc0\x05\xc0\x06")), "5 6 7");
    assert_eq!(shown(1, &key(4, b"\x02\x01a\x01b\x01c\xc0\x01")), "a=b c=1");
    assert_eq!(
        shown(1, &key(3, b"\x04\x01a\x031.5\x01b\x02-3\x01c\xfe\x01d\xff")),
        "d=-inf b=-3 a=1.5 c=inf"
    );
    let scored = [&b"\x02\x01a"[..], &2.5f64.to_le_bytes(), b"\x01b", &(-0.25f64).to_le_bytes()].concat();
    assert_eq!(shown(8, &key(5, &scored)), "b=-0.25 a=2.5");
}

#[test]
fn ziplists_and_zipmaps_read() {
    assert_eq!(shown(4, &key(10, &ziplist_of(&["a", "1", "b", "99999"]))), "a 1 b 99999");
    assert_eq!(shown(4, &key(12, &ziplist_of(&["x", "-1", "y", "2.5", "z", "inf"]))), "x=-1 y=2.5 z=inf");
    assert_eq!(shown(4, &key(13, &ziplist_of(&["f", "1", "g", "two"]))), "f=1 g=two");
    assert_eq!(shown(2, &key(9, &string(b"\x02\x01f\x01\x001\x01g\x03\x02two..\xff"))), "f=1 g=two");
    let nodes = [&[3][..], &ziplist_of(&["a", "b"]), &ziplist_of(&[]), &ziplist_of(&["3"])].concat();
    assert_eq!(shown(7, &key(14, &nodes)), "a b 3");
    assert_eq!(shown(6, &key(11, &string(b"\x02\0\0\0\x02\0\0\0\xff\xff\x07\0"))), "-1 7");
}

#[test]
fn nodes_and_listpacks_read() {
    let listpack = |bytes: &[u8], count: u8| {
        let total = bytes.len() as u8 + 7;
        string(&[&[total, 0, 0, 0, count, 0], bytes, &[0xFF]].concat())
    };
    let pair = b"\x81a\x02\x05\x01";
    let nodes = [&[3, 2][..], &listpack(pair, 2), &[1], &string(b"plain"), &[2], &listpack(b"", 0)].concat();
    assert_eq!(shown(10, &key(18, &nodes)), "a 5 plain");
    assert_eq!(shown(10, &key(16, &listpack(pair, 2))), "a=5");
    assert_eq!(shown(10, &key(17, &listpack(pair, 2))), "a=5");
    assert_eq!(shown(11, &key(20, &listpack(pair, 2))), "5 a");
    assert_eq!(shown(12, &key(20, &listpack(pair, 2))), "5 a");
}

#[test]
fn values_beyond_the_limits_become_large() {
    let few = Limits {
        set: tenon_keyspace::SetLimits { intset_entries: 1, listpack_entries: 1, ..limits().set },
        hash: tenon_keyspace::HashLimits { entries: 1, ..limits().hash },
        zset: tenon_keyspace::ZsetLimits { entries: 1, ..limits().zset },
        list: tenon_keyspace::ListLimits { listpack_size: 2, compress_depth: 0 },
    };
    let options = LoadOptions { limits: few, ..options() };
    for value in small_values() {
        for version in VERSIONS {
            let (keyspace, _) = load_into(&file_of_value(&value, plain(version)), &options).unwrap();
            let found = keyspace.db(0).find(b"key").unwrap();
            assert_eq!(crate::value_digest(found.value(), None), crate::value_digest(value.as_ref(), None));
            assert!(!matches!(found.encoding(), "listpack" | "intset"), "{:?}", found.value());
        }
    }
}

#[test]
fn what_stands_between_keys_is_taken_in_or_passed_over() {
    let keys = [
        &b"\xfa\x03lua\x05print\xfa\x08repl-off\x01x\xfa\x0brepl-offset\xc1\x39\x30"[..],
        b"\xf7\x81\x01\x02\x03\x04\x05\x06\x07\x08\x02\x02\x01\x05\x02\x06\x03abcd\x04abcdefgh\x05\x03xyz\x00",
        b"\xf5\x0b#!lua name=",
        b"\xfe\x02\xfb\x01\x01\xf4\x00\x01\x01",
        b"\xfd\x00\x00\x00\x7f\xf9\x07\x00\x01a\x01b",
        b"\xfc\xff\xff\xff\xff\xff\xff\xff\xff\xf8\x41\x00\x00\x01c\x01d",
        b"\x02\x05empty\x00",
    ]
    .concat();
    let (keyspace, report) = load_into(&file_around(12, &keys), &options()).unwrap();
    arriving::assert_arrives_alike(&file_around(12, &keys), &report);
    assert_eq!((report.keys, report.empty, report.libraries.len(), report.module_data), (2, 1, 1, 1));
    assert_eq!((report.aux.replication_offset, report.lacks_checksum), (Some(12_345), true));
    assert_eq!(keyspace.db(2).find(b"a").unwrap().expires_at(), Some(UnixMillis(0x7F00_0000 * 1_000)));
    assert_eq!(keyspace.db(2).find(b"c").unwrap().expires_at(), None);
}

#[test]
fn every_piece_is_handed_out_in_the_order_of_the_file() {
    let keys = [
        &b"\xfa\x03lua\x05print\xf7\x01\x02\x09\x00\xf5\x05#!lua"[..],
        b"\xfe\x02\xfc\x01\x00\x00\x00\x00\x00\x00\x00\xfa\x01x\x01y\x00\x01a\x01b",
        b"\x02\x05empty\x00\xfc\x01\x00\x00\x00\x00\x00\x00\x00\x07\x01m\x81\x01\x02\x03\x04\x05\x06\x07\x08\x05\x02yz\x00",
        b"\xf9\x07\x0b\x01s\x0a\x02\x00\x00\x00\x01\x00\x00\x00\x05\x00",
    ]
    .concat();
    let file = file_around(12, &keys);
    let mut decoder = crate::Decoder::new(&file[..], &options()).unwrap();
    let mut shown = Vec::new();
    while let Some(piece) = decoder.next_piece().unwrap() {
        shown.push(match piece {
            Piece::Aux { name, value } => format!("{}={}", name.escape_ascii(), value.escape_ascii()),
            Piece::Library(text) => format!("library {}", text.escape_ascii()),
            Piece::ModuleData => "module data".to_owned(),
            Piece::SlotImport(name) => format!("slots of {}", name.escape_ascii()),
            Piece::ModuleValue { database, key } => {
                format!("{database}: {} is a module's", key.escape_ascii())
            }
            Piece::Empty { database, key } => format!("{database}: {} is empty", key.escape_ascii()),
            Piece::Key(key) => {
                let encoding = encoding_name(key.type_byte);
                let key_text = key.key.escape_ascii();
                format!("{}: {key_text} {encoding} {:?} {:?}", key.database, key.expires_at, key.access)
            }
        });
    }
    assert_eq!(
        shown,
        [
            "lua=print",
            "module data",
            "library #!lua",
            "x=y",
            "2: a string Some(UnixMillis(1)) Unknown",
            "2: empty is empty",
            "2: m is a module's",
            "2: s intset None Frequency(7)",
        ]
    );
    let report = decoder.report();
    assert_eq!((report.keys, report.empty, report.libraries.len(), report.module_data), (2, 1, 0, 1));
    assert_eq!(report.bytes, file.len() as u64);
}

#[test]
fn what_is_not_read_is_named_with_its_type_offset_and_key() {
    let message = |version: u32, keys: &[u8]| match load_into(&file_around(version, keys), &options()) {
        Ok(_) => panic!("a broken file was read"),
        Err(error) => error.to_string(),
    };
    assert_eq!(
        message(11, b"\x1a\x08my\nevent\x01x"),
        "RDB offset 9, key \"my\\nevent\": found type byte 26 (stream), which is not supported"
    );
    assert_eq!(
        message(8, b"\x06\x01m\x00"),
        "RDB offset 9, key \"m\": found type byte 6 (module value), which is not supported"
    );
    assert_eq!(
        message(10, b"\x08\x01h\x00"),
        "RDB offset 9: found type byte 8, expected a type of RDB versions 1 to 12"
    );
    assert_eq!(
        message(10, b"\xf6\x01h\x00"),
        "RDB offset 9: found type byte 246 (function of a release candidate of Redis 7.0), which is not supported"
    );
    assert_eq!(message(13, b""), "Can't handle RDB format version 13");
    assert_eq!(message(0, b""), "Can't handle RDB format version 0");
    assert_eq!(
        message(10, b"\xfe\x10"),
        "RDB offset 11: found database 16, expected one below 16 (see 'databases')"
    );
    assert_eq!(
        message(10, b"\x02\x01s\x02\x01a\x01a"),
        "RDB offset 17, key \"s\": Duplicate set members detected: found a member twice, expected a set without repetition"
    );
    assert_eq!(
        message(10, b"\x10\x01h\x07\x07\0\0\0\x01\0\xff"),
        "RDB offset 20, key \"h\": Hash listpack integrity check failed: expected a sound hash as listpack, found a bad listpack of another count than it states at byte 4 of it"
    );
    let twice = [key(0, b"\x01a"), key(0, b"\x01b")].concat();
    assert!(message(10, &twice).contains("key \"k\": found the key a second time"));
    assert_eq!(
        load_into(b"RUBIS0010", &options()).map(drop).unwrap_err().to_string(),
        "RDB offset 5: Wrong signature: found \"RUBIS\", expected \"REDIS\""
    );
}

#[test]
fn values_of_modules_are_passed_over_and_named() {
    let keys = [
        &b"\x00\x01a\x01b"[..],
        b"\xfc\x01\x00\x00\x00\x00\x00\x00\x00\xf9\x07\x07\x04json\x81\x01\x02\x03\x04\x05\x06\x07\x08",
        b"\x02\x05\x01\x06\x03abcd\x04abcdefgh\x05\x03xyz\x05\xc0\x07\x00",
        b"\x00\x01c\x01d",
    ]
    .concat();
    let (keyspace, report) = load_into(&file_around(9, &keys), &options()).unwrap();
    arriving::assert_arrives_alike(&file_around(9, &keys), &report);
    assert_eq!((report.keys, report.module_values, report.module_data), (2, 1, 0));
    assert_eq!(report.module_keys, [b"json"]);
    assert_eq!(keyspace.db(0).len(), 2);
    assert_eq!(keyspace.db(0).find(b"c").unwrap().expires_at(), None, "notes of a key that was passed over");
    let broken = [&keys[..keys.len() - 6], b"\x09\x00\x00"].concat();
    let error = load_into(&file_around(9, &broken), &options()).map(drop).unwrap_err().to_string();
    assert!(error.contains("key \"json\": found module data of kind 9"), "{error}");
}

/// The same three fields, as each of the four types keeps them: one without a time, one that is past, one to come.
fn timed_hashes() -> [Vec<u8>; 4] {
    const EARLIEST: [u8; 8] = 1_000_u64.to_le_bytes();
    let table = |times: [&[u8]; 3]| {
        let fields = [&b"\x01a\x01x"[..], b"\x01b\x01y", b"\x01c\xc0\x07"];
        let tuples: Vec<u8> =
            times.iter().zip(fields).flat_map(|(time, field)| [*time, field].concat()).collect();
        [&[3][..], &tuples].concat()
    };
    let mut listpack = tenon_keyspace::Listpack::new();
    for (name, value, time) in [("a", "x", "0"), ("b", "y", "1000"), ("c", "7", "99000")] {
        [name, value, time].iter().for_each(|part| listpack.push_back(part.as_bytes()));
    }
    let listpack = string(listpack.bytes());
    [
        key(22, &table([b"\x00", b"\x43\xe8", b"\x80\x00\x01\x82\xb8"])),
        key(23, &listpack),
        key(24, &[&EARLIEST[..], &table([b"\x00", b"\x01", b"\x80\x00\x01\x7e\xd1"])].concat()),
        key(25, &[&EARLIEST[..], &listpack].concat()),
    ]
}

#[test]
fn hashes_whose_fields_expire_are_read_without_the_times() {
    for hash in timed_hashes() {
        assert_eq!(shown(12, &hash), "a=x b=y c=7", "type {}", hash[0]);
        let before =
            |unix_ms| LoadOptions { passes_over_expired_before: Some(UnixMillis(unix_ms)), ..options() };
        for (unix_ms, fields, times) in [(1_000, 3, 2), (1_001, 2, 1), (99_001, 1, 0)] {
            let (keyspace, report) = load_into(&file_around(12, &hash), &before(unix_ms)).unwrap();
            let ValueRef::Hash(found) = keyspace.db(0).find(b"k").unwrap().value() else { panic!("no hash") };
            assert_eq!((found.len(), report.field_times), (fields, times), "type {} at {unix_ms}", hash[0]);
            assert_eq!(report.timed_keys.len(), usize::from(times > 0));
        }
    }
    // Whatever their times, no field comes twice.
    let twice = key(22, b"\x02\x01\x01a\x01x\x00\x01a\x01y");
    let later = LoadOptions { passes_over_expired_before: Some(UnixMillis(5)), ..options() };
    for options in [options(), later] {
        let error = load_into(&file_around(12, &twice), &options).map(drop).unwrap_err().to_string();
        assert!(error.contains("found a member twice"), "{error}");
    }
    let gone = key(22, b"\x01\x01\x01a\x01x");
    let (keyspace, report) = load_into(&file_around(12, &gone), &later).unwrap();
    assert_eq!((keyspace.db(0).len(), report.keys, report.empty), (0, 0, 1));
    let endless = key(24, &[&[0xff; 8][..], b"\x01\x02\x01a\x01x"].concat());
    let error = load_into(&file_around(12, &endless), &options()).map(drop).unwrap_err().to_string();
    assert!(error.contains("found a bad time of a field"), "{error}");
}
