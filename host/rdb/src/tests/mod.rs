//! What is written reads back; what older versions wrote reads; what is broken is said so. Samples for all of them.

mod arriving;
mod hostile;
mod memory;
mod old_types;
mod round_trip;
mod streams;
mod valkey;

use std::ops::ControlFlow;

use tenon_base::{Dice, UnixMillis};
use tenon_keyspace::list::End;
use tenon_keyspace::{
    CutEntry, Hash, Keyspace, List, Set, Stream, StreamId, StreamLimits, Text, Value, Zset,
};

use crate::{
    AccessField, Aux, DatabaseSize, Decoder, Encoder, EncoderOptions, FileSource, Limits, LoadError,
    LoadOptions, LoadReport, Piece, RdbVersion, encoding_name, load,
};

/// Both ends of a file may lie on another thread than the keyspace.
const _: () = {
    const fn assert_send<T: Send>() {}
    assert_send::<Encoder>();
    assert_send::<Decoder<FileSource>>();
};

const VERSIONS: [RdbVersion; 3] = [RdbVersion::V9, RdbVersion::V10, RdbVersion::V11];

fn limits() -> Limits {
    Limits::standard(77)
}

fn options() -> LoadOptions {
    LoadOptions { limits: limits(), databases: 16, checksum: true, passes_over_expired_before: None }
}

fn plain(version: RdbVersion) -> EncoderOptions {
    EncoderOptions { version, ..EncoderOptions::default() }
}

fn noise(dice: &mut Dice, bytes: usize) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    dice.fill(&mut noise);
    noise
}

fn list_of(elements: &[Vec<u8>]) -> Value {
    let mut list = List::new();
    elements.iter().for_each(|element| list.push(End::Back, element, &limits().list));
    Value::List(list)
}

fn set_of(members: &[Vec<u8>]) -> Value {
    let mut set = Set::new();
    members.iter().for_each(|member| assert!(set.add(member, &limits().set)));
    Value::Set(set)
}

fn hash_of(pairs: &[(Vec<u8>, Vec<u8>)]) -> Value {
    let mut hash = Hash::new();
    for (field, value) in pairs {
        hash.set(field, value, &limits().hash);
    }
    Value::Hash(hash)
}

fn zset_of(pairs: &[(Vec<u8>, f64)]) -> Value {
    let mut zset = Zset::new();
    for (member, score) in pairs {
        zset.insert(member, *score, &limits().zset);
    }
    Value::Zset(zset)
}

/// A stream of so many entries, and groups that have read up to the first and the last of them. Its figures are those
/// that a reader of the first version of the format estimates.
fn stream_of(entries: u64) -> Value {
    let mut stream = Stream::new();
    for number in 1..=entries {
        let value = number.to_string();
        let fields: [(&[u8], &[u8]); 2] = [(b"field", value.as_bytes()), (b"5", b"text")];
        let most = if number % 7 == 0 { 1 } else { 2 };
        let id = StreamId::new(1_700_000_000_000 + number / 3, number);
        stream.append(id, fields.into_iter().take(most), &StreamLimits::default()).unwrap();
    }
    for (name, last_id) in [(&b"new"[..], stream.first_id()), (b"\xffold", stream.last_id())] {
        stream.create_group(name, last_id, stream.entries_added_up_to(last_id));
    }
    let ids: Vec<_> = stream.iter().map(|entry| entry.id).collect();
    let mut group = stream.group_mut(b"new").unwrap();
    for name in [&b"bob"[..], b"alice", b"", b"idle"] {
        group.create_consumer(name, UnixMillis(1_700_000_000_000));
        group.set_active_time(name, Some(UnixMillis(1_700_000_000_000)));
    }
    for (id, name) in ids.iter().zip([&b"bob"[..], b"alice", b""].into_iter().cycle()) {
        assert!(group.assign(*id, name, UnixMillis(1_700_000_000_123), id.sequence % 5));
    }
    drop(group);
    Value::Stream(stream)
}

fn numbered(word: &str, count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|number| format!("{word}{number}").into_bytes()).collect()
}

/// Values of every kind in every encoding that are short in a file.
fn small_values() -> Vec<Value> {
    let text = |bytes: &[u8]| Value::String(Text::from_bytes(bytes));
    let mut values =
        vec![text(b""), text(b"hello"), text(&b"abc".repeat(50)), text(b"\0\xff\r\n"), text(b"007")];
    let integers = [0, -1, 127, -128, 128, 32_767, -32_769, 1 << 31, -(1 << 31), 1 << 40, i64::MIN, i64::MAX];
    values.extend(integers.map(|integer| Value::String(Text::from_integer(integer))));
    values.push(list_of(&[b"a".to_vec(), b"-5".to_vec(), b"70000".to_vec(), b"".to_vec(), vec![b'x'; 300]]));
    for base in [1i64, 100_000, 1 << 40] {
        values.push(set_of(&[base, -base, 3, 4].map(|integer| integer.to_string().into_bytes())));
    }
    values.push(set_of(&[b"one".to_vec(), b"2".to_vec(), b"three".to_vec()]));
    values.push(set_of(&[b"short".to_vec(), vec![b'l'; 65]]));
    let pair = |field: &[u8], value: &[u8]| (field.to_vec(), value.to_vec());
    values.push(hash_of(&[pair(b"field", b"value"), pair(b"1", b"2"), pair(b"", b"")]));
    values.push(hash_of(&[pair(b"field", &[b'v'; 65]), pair(b"1", b"2")]));
    let scores = [("a", -1.5), ("b", 0.1), ("c", 3.0), ("d", 1e300), ("e", f64::INFINITY)];
    let mut scored: Vec<_> = scores.map(|(member, score)| (member.as_bytes().to_vec(), score)).into();
    values.push(zset_of(&scored));
    scored.push((vec![b'm'; 65], f64::NEG_INFINITY));
    values.push(zset_of(&scored));
    values.extend([0, 1, 12].map(stream_of));
    values
}

/// Values of every kind that are long in a file, beyond blocks and limits.
fn large_values() -> Vec<Value> {
    let dice = &mut Dice::seeded(4);
    let mut values = vec![
        Value::String(Text::from_bytes(&noise(dice, 700_000))),
        Value::String(Text::from_bytes(&b"repeat".repeat(100_000))),
        Value::String(Text::from_bytes(&noise(dice, 5_000))),
    ];
    let mut elements = numbered("element ", 3_000);
    elements.extend([noise(dice, 100_000), b"12".to_vec(), noise(dice, 9_000)]);
    values.push(list_of(&elements));
    values.push(list_of(&numbered("", 20_000)));
    values.push(set_of(&numbered("", 600)));
    values.push(set_of(&numbered("member ", 3_000)));
    let fields = numbered("field ", 3_000).into_iter().zip(numbered("", 3_000));
    values.push(hash_of(&fields.collect::<Vec<_>>()));
    let members =
        numbered("member ", 3_000).into_iter().zip((0..).map(|number| f64::from(number % 50) / 7.0));
    values.push(zset_of(&members.collect::<Vec<_>>()));
    values.push(stream_of(10_000));
    values
}

/// Several databases with everything in them.
fn full_keyspace() -> Keyspace {
    let mut keyspace = Keyspace::new(16, &mut Dice::seeded(1));
    for (number, value) in small_values().into_iter().chain(large_values()).enumerate() {
        let database = [0, 3, 15][number % 3];
        let expires = (number % 4 == 0).then_some(UnixMillis(4_000_000_000_000 + number as i64));
        keyspace.db_mut(database).insert(format!("key {number}").as_bytes(), value, expires);
    }
    keyspace.db_mut(0).insert(b"12345", Value::String(Text::from_integer(1)), None);
    keyspace.db_mut(0).insert(&b"long key ".repeat(30), Value::String(Text::from_integer(2)), None);
    keyspace
}

/// A file with everything in a keyspace.
fn file_of(keyspace: &Keyspace, options: EncoderOptions, aux: &Aux) -> Vec<u8> {
    let mut file = Vec::new();
    let mut sink = |block: &[u8]| {
        file.extend_from_slice(block);
        Ok(())
    };
    let mut encoder = Encoder::new(options);
    let sizes: Vec<_> = (0..keyspace.databases())
        .map(|database| (database, keyspace.db(database)))
        .map(|(database, db)| DatabaseSize { database, keys: db.len(), volatile: db.volatile_len() })
        .collect();
    encoder.begin(aux, &sizes, &mut sink).unwrap();
    for database in 0..keyspace.databases() {
        for entry in keyspace.db(database).entries() {
            let entry = CutEntry {
                database,
                key: entry.key(),
                expires_at: entry.expires_at(),
                access_clock: entry.access_clock(),
                value: entry.value(),
            };
            encoder.entry(&entry, &mut sink).unwrap();
        }
    }
    let bytes = encoder.finish(&mut sink).unwrap();
    assert_eq!(bytes, file.len() as u64);
    file
}

/// A file with one key.
fn file_of_value(value: &Value, options: EncoderOptions) -> Vec<u8> {
    let mut keyspace = Keyspace::new(1, &mut Dice::seeded(2));
    keyspace.db_mut(0).insert(b"key", value.clone(), None);
    file_of(&keyspace, options, &Aux::default())
}

/// A file of a version around bytes of keys, without a checksum.
fn file_around(version: u32, keys: &[u8]) -> Vec<u8> {
    let checksum: &[u8] = if version >= 5 { &[0; 8] } else { &[] };
    [format!("REDIS{version:04}").as_bytes(), keys, &[0xFF], checksum].concat()
}

fn load_into(file: &[u8], options: &LoadOptions) -> Result<(Keyspace, LoadReport), LoadError> {
    let mut keyspace = Keyspace::new(options.databases, &mut Dice::seeded(9));
    let report = load(
        &mut { file },
        options,
        &mut |key| keyspace.db_mut(key.database).insert(key.key, key.value, key.expires_at).is_none(),
        &mut |_| ControlFlow::Continue(()),
    )?;
    Ok((keyspace, report))
}
