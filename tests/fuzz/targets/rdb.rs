//! RDB files and DUMP payloads from hostile bytes: whatever loads is sound, can be worked with, and comes back equal
//! from what it is written to.
#![no_main]

use std::io;
use std::ops::ControlFlow;

use crc_fast::{CrcAlgorithm, checksum};
use libfuzzer_sys::fuzz_target;
use tenon_base::Dice;
use tenon_fuzz::Choices;
use tenon_keyspace::{
    CutEntry, Element, End, Hash, Keyspace, List, Set, Stream, StreamId, StreamKeep, StreamTrim, Value, Zset,
};
use tenon_rdb::{
    Aux, DatabaseSize, Digest, Encoder, EncoderOptions, Limits, LoadError, LoadOptions, RdbVersion, Source,
    dataset_digest, dump, full_digest, load, load_bytes, restore, value_digest,
};

/// Values of more members are written and read, but not taken apart member by member.
const TAKEN_APART_MAX: usize = 2_000;

fuzz_target!(|input: &[u8]| {
    let Some((bytes, choices)) = Choices::split(input) else { return };
    if choices.is_on(0) { payload(bytes, choices) } else { file(bytes, choices) }
});

fn encoder_options(choices: Choices) -> EncoderOptions {
    let version = match (choices.is_on(1), choices.is_on(2)) {
        (true, _) => RdbVersion::V9,
        (false, true) => RdbVersion::V11,
        (false, false) => RdbVersion::V10,
    };
    EncoderOptions { version, compression: choices.is_on(3), ..EncoderOptions::default() }
}

/// Bytes as a file, whose checksum is not looked at: no input would get past it.
fn file(bytes: &[u8], choices: Choices) {
    let _ = load_bytes(bytes);
    let whole = load_into(&mut { bytes }, false);
    let mut pieces = Pieces(choices.pieces(bytes));
    let in_pieces = load_into(&mut pieces, false);
    let (Ok(keyspace), Ok(_)) = (&whole, &in_pieces) else {
        assert_eq!(
            whole.err().map(|error| error.to_string()),
            in_pieces.err().map(|error| error.to_string())
        );
        return;
    };
    let digest = digest_of(keyspace);
    assert_eq!(digest, digest_of(&in_pieces.unwrap_or_else(|_| unreachable!())), "in pieces");
    let written = write(keyspace, encoder_options(choices));
    let again = load_into(&mut written.as_slice(), true);
    let again = again.unwrap_or_else(|error| panic!("what was written does not load: {error}"));
    if encoder_options(choices).version == RdbVersion::V9 {
        // That version has no room for all figures of a stream.
        assert_eq!(dataset_digest(keyspace), dataset_digest(&again), "written and read again");
    } else {
        assert_eq!(digest, digest_of(&again), "written and read again");
    }
    for number in 0..keyspace.databases() {
        for entry in keyspace.db(number).entries() {
            let payload = dump(entry.value(), &encoder_options(choices));
            let value = restore(&payload, &limits()).expect("what was dumped can be restored");
            assert_eq!(value_digest(entry.value(), None), value_digest(value.as_ref(), None));
            take_apart(value);
        }
    }
}

/// Bytes as a payload, with the end that they need to be looked at.
fn payload(bytes: &[u8], choices: Choices) {
    let _ = restore(bytes, &limits());
    let mut payload = bytes.to_vec();
    payload.extend_from_slice(&11_u16.to_le_bytes());
    payload.extend_from_slice(&checksum(CrcAlgorithm::Crc64Redis, &payload).to_le_bytes());
    let Ok(value) = restore(&payload, &limits()) else { return };
    let again = restore(&dump(value.as_ref(), &encoder_options(choices)), &limits());
    let again = again.expect("what was dumped can be restored");
    assert_eq!(value_digest(value.as_ref(), None), value_digest(again.as_ref(), None), "dumped and restored");
    take_apart(value);
}

fn limits() -> Limits {
    Limits::standard(7)
}

fn load_into(source: &mut dyn Source, checksum: bool) -> Result<Keyspace, LoadError> {
    let options = LoadOptions { limits: limits(), databases: 16, checksum, passes_over_expired_before: None };
    let mut keyspace = Keyspace::new(options.databases, &mut Dice::seeded(9));
    let mut insert = |key: tenon_rdb::LoadedKey<'_>| {
        let is_new = !keyspace.db(key.database).contains(key.key);
        keyspace.db_mut(key.database).insert(key.key, key.value, key.expires_at);
        is_new
    };
    load(source, &options, &mut insert, &mut |_| ControlFlow::Continue(()))?;
    Ok(keyspace)
}

/// Content, and how many keys there are and expire.
fn digest_of(keyspace: &Keyspace) -> (Digest, Vec<(usize, usize)>) {
    let databases = (0..keyspace.databases()).map(|number| keyspace.db(number));
    (full_digest(keyspace), databases.map(|database| (database.len(), database.volatile_len())).collect())
}

fn write(keyspace: &Keyspace, options: EncoderOptions) -> Vec<u8> {
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
    encoder.begin(&Aux::default(), &sizes, &mut sink).expect("a vector takes everything");
    for database in 0..keyspace.databases() {
        for entry in keyspace.db(database).entries() {
            let entry = CutEntry {
                database,
                key: entry.key(),
                expires_at: entry.expires_at(),
                access_clock: entry.access_clock(),
                value: entry.value(),
            };
            encoder.entry(&entry, &mut sink).expect("a vector takes everything");
        }
    }
    encoder.finish(&mut sink).expect("a vector takes everything");
    file
}

/// A source that comes in pieces.
struct Pieces<'a>(Vec<&'a [u8]>);

impl Source for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.0.first().is_some_and(|piece| piece.is_empty()) {
            self.0.remove(0);
        }
        self.0.first_mut().map_or(Ok(0), |piece| piece.read(buffer))
    }
}

/// Removes member after member: what a value says of itself must hold all the way down to nothing.
fn take_apart(value: Value) {
    match value {
        Value::String(_) => {}
        Value::List(list) if list.len() <= TAKEN_APART_MAX => take_list_apart(list),
        Value::Set(set) if set.len() <= TAKEN_APART_MAX => take_set_apart(set),
        Value::Hash(hash) if hash.len() <= TAKEN_APART_MAX => take_hash_apart(hash),
        Value::Zset(zset) if zset.len() <= TAKEN_APART_MAX => take_zset_apart(zset),
        Value::Stream(stream) if stream.len() <= TAKEN_APART_MAX as u64 => take_stream_apart(stream),
        Value::List(_) | Value::Set(_) | Value::Hash(_) | Value::Zset(_) | Value::Stream(_) => {}
    }
}

fn text(element: Element<'_>) -> Vec<u8> {
    element.as_bytes(&mut [0; 20]).to_vec()
}

fn take_list_apart(mut list: List) {
    let limits = limits().list;
    let elements: Vec<Vec<u8>> = list.iter().map(text).collect();
    assert_eq!(elements.len(), list.len());
    for (index, element) in elements.iter().enumerate() {
        assert_eq!(list.get(index as i64).map(text).as_ref(), Some(element));
    }
    list.push(End::Back, b"pushed", &limits);
    assert!(list.set(-1, b"17", &limits));
    assert_eq!(list.remove(-1, b"17", &limits), 1);
    for element in &elements {
        assert_eq!(list.pop_with(End::Front, &limits, text).as_ref(), Some(element));
    }
    assert!(list.is_empty());
}

fn take_set_apart(mut set: Set) {
    let members: Vec<Vec<u8>> = set.iter().map(text).collect();
    assert_eq!(members.len(), set.len());
    for member in &members {
        assert!(!set.add(member, &limits().set), "a member is not found");
    }
    for member in &members {
        assert!(set.remove(member));
    }
    assert!(set.is_empty());
}

fn take_hash_apart(mut hash: Hash) {
    let pairs: Vec<(Vec<u8>, Vec<u8>)> =
        hash.iter().map(|(field, value)| (text(field), text(value))).collect();
    assert_eq!(pairs.len(), hash.len());
    for (field, value) in &pairs {
        assert_eq!(hash.value(field).map(text).as_ref(), Some(value));
        hash.set(field, b"longer than it was, perhaps", &limits().hash);
    }
    assert_eq!(pairs.len(), hash.len());
    for (field, _) in &pairs {
        assert!(hash.remove(field));
    }
    assert!(hash.is_empty());
}

fn take_zset_apart(mut zset: Zset) {
    let pairs: Vec<(Vec<u8>, f64)> = zset.iter().map(|(member, score)| (text(member), score)).collect();
    assert_eq!(pairs.len(), zset.len());
    for (rank, (member, score)) in pairs.iter().enumerate() {
        assert!(!score.is_nan());
        assert_eq!(zset.rank_and_score(member, false), Some((rank, *score)));
    }
    for (member, score) in &pairs {
        zset.insert(member, score / 2.0 - 1.0, &limits().zset);
    }
    for (member, _) in &pairs {
        assert!(zset.remove(member).is_some());
    }
    assert!(zset.is_empty());
}

fn take_stream_apart(mut stream: Stream) {
    let ids: Vec<StreamId> = stream.iter().map(|entry| entry.id).collect();
    assert_eq!(ids.len() as u64, stream.len());
    assert!(ids.is_sorted_by(|one, other| one < other));
    let mut backward: Vec<StreamId> =
        stream.range_backward(StreamId::MIN, StreamId::MAX).map(|entry| entry.id).collect();
    backward.reverse();
    assert_eq!(backward, ids);
    for entry in stream.iter() {
        assert_eq!(entry.fields.len(), entry.fields.map(|(field, value)| (text(field), text(value))).count());
    }
    let names: Vec<Vec<u8>> = stream.groups().map(|(name, _)| name.to_vec()).collect();
    for name in &names {
        let mut group = stream.group_mut(name).expect("a group is not found");
        let pending: Vec<StreamId> =
            group.pending_range(StreamId::MIN, StreamId::MAX).map(|(id, _)| id).collect();
        for id in pending.iter().step_by(2) {
            assert!(group.acknowledge(*id));
        }
        let consumers: Vec<Vec<u8>> = group.consumers().map(|consumer| consumer.name().to_vec()).collect();
        let removed: usize = consumers.iter().filter_map(|name| group.remove_consumer(name)).sum();
        assert_eq!((removed, group.pending_len()), (pending.len() / 2, 0));
    }
    names.iter().for_each(|name| assert!(stream.remove_group(name).is_some()));
    for id in ids.iter().skip(1).step_by(2) {
        assert!(stream.delete(*id), "an entry is not found");
    }
    let keep = StreamKeep::Newest(0);
    let left = stream.len();
    assert_eq!(stream.trim(&StreamTrim { keep, approximate: false, limit: 0 }), left);
    assert!(stream.is_empty() && stream.first().is_none());
}
