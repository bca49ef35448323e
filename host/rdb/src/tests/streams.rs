//! Streams: what Redis wrote reads and is written the same again; what each version of the format keeps; parts that
//! contradict each other.

use crc_fast::{CrcAlgorithm, checksum};
use tenon_keyspace::{StreamKeep, StreamTrim, ValueRef};

use super::*;
use crate::{LoadErrorKind, RestoreError, dataset_digest, dump, full_digest, restore, value_digest};

/// What Redis 7.0 answers to DUMP, without compression: three nodes with deleted entries, three groups, four entries
/// pending with two of three consumers.
const DUMPED: &str = "\
    130310000000000000000100000000000000014056560000001f00030101010201846e616d6505816e02000103010001\
    0001827631030101050102010101000182763203020105010001020100010101856f7468657206817802060102010301\
    00018276340304010501ff10000000000000000500000000000000014056560000001f00030101010201846e616d6505\
    816e02000103010001000182763503050105010001010100010101856f74686572068178020601020102010001827637\
    03070105010201030100018276380308010501ff10000000000000000900000000000000013b3b000000130001010101\
    0101856f7468657206000102010001000181780204010101010100010201846e616d65058376313004816e020a010801\
    ff070a0102010a010a03036f6e65080181ffffffffffffffff04000000000000000400000000000000010068e5cf8b01\
    0000412c00000000000000050000000000000001147cf903a20100000100000000000000070000000000000001147cf9\
    03a20100000100000000000000080000000000000001147cf903a2010000010305616c696365147cf903a20100000100\
    00000000000005000000000000000103626f62147cf903a2010000030000000000000004000000000000000100000000\
    000000070000000000000001000000000000000800000000000000010469646c65147cf903a2010000000374776f0a01\
    0a000007756e6b6e6f776e050181ffffffffffffffff00000a003af658bb1c7cb52b";

/// What it answers to DEBUG DIGEST-VALUE of the same.
const DIGEST: &str = "c2b9fcefecb4ad3faae03f89bfa46e0626124737";

/// What Redis 5 answers to DUMP: six entries, of which one was deleted and three were trimmed; a group that has read
/// up to the first of the others, and one that has read nothing.
const DUMPED_BY_REDIS_5: &str = "\
    0f011000000000000000010000000000000000c3404a4057165700000023000201040101018464617461050001030100\
    20010381610204200a0001400a0062600a0002400a0063600a4022018164200a4039200a0065600a0005400a0066200a\
    00ff02060002026731050004000000000000000100000000000000003ef783437a010000010000000000000002000000\
    00000000003ef783437a01000001000000000000000400000000000000003ef783437a01000001000000000000000500\
    000000000000003ef783437a0100000101036331313ef783437a01000004000000000000000100000000000000000000\
    000000000002000000000000000000000000000000040000000000000000000000000000000500000000000000000267\
    320000000009003d52ef6867521dfa";

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn id(milliseconds: u64) -> StreamId {
    StreamId::new(milliseconds, 1)
}

fn restored(payload: &[u8]) -> Stream {
    match restore(payload, &limits()).unwrap() {
        Value::Stream(stream) => stream,
        other => panic!("{other:?}"),
    }
}

fn uncompressed(version: RdbVersion) -> EncoderOptions {
    EncoderOptions { compression: false, ..plain(version) }
}

#[test]
fn what_redis_dumped_reads_and_is_written_the_same_again() {
    let payload = bytes_of(DUMPED);
    let stream = restored(&payload);
    assert_eq!((stream.len(), stream.node_count(), stream.radix_node_count()), (7, 3, 8));
    assert_eq!((stream.first_id(), stream.last_id()), (id(2), id(10)));
    assert_eq!((stream.max_deleted_id(), stream.entries_added()), (id(10), 10));
    let ids: Vec<_> = stream.iter().map(|entry| entry.id.milliseconds).collect();
    assert_eq!(ids, [2, 3, 4, 6, 7, 8, 9]);
    let fields: Vec<_> = stream.find(id(4)).unwrap().fields.map(|(_, value)| value.to_vec()).collect();
    assert_eq!(fields, [b"v4".to_vec(), b"4".to_vec()]);
    let groups: Vec<_> = stream.groups().map(|(name, group)| (name, group.entries_read())).collect();
    assert_eq!(groups, [(&b"one"[..], None), (b"two", Some(10)), (b"unknown", None)]);
    let group = stream.group(b"one").unwrap();
    let pending = group.pending_range(StreamId::MIN, StreamId::MAX);
    let pending: Vec<_> = pending
        .map(|(id, pending)| (id.milliseconds, pending.consumer(), pending.delivery_count()))
        .collect();
    assert_eq!(pending, [(4, &b"bob"[..], 300), (5, b"alice", 1), (7, b"bob", 1), (8, b"bob", 1)]);
    assert_eq!(group.pending(id(4)).unwrap().delivery_time(), UnixMillis(1_700_000_000_000));
    let names: Vec<_> = group.consumers().map(|consumer| (consumer.name(), consumer.pending_len())).collect();
    assert_eq!(names, [(&b"alice"[..], 1), (b"bob", 3), (b"idle", 0)]);
    assert_eq!(value_digest(ValueRef::Stream(&stream), None).to_vec(), bytes_of(DIGEST));
    assert_eq!(dump(ValueRef::Stream(&stream), &uncompressed(RdbVersion::V10)), payload);
}

#[test]
fn what_redis_5_dumped_reads_with_figures_estimated_as_redis_does() {
    let stream = restored(&bytes_of(DUMPED_BY_REDIS_5));
    let ids: Vec<_> = stream.iter().map(|entry| entry.id.milliseconds).collect();
    assert_eq!((ids, stream.entries_added(), stream.max_deleted_id()), (vec![5, 6], 2, StreamId::MIN));
    let groups: Vec<_> = stream.groups().map(|(name, group)| (name, group.entries_read())).collect();
    assert_eq!(groups, [(&b"g1"[..], Some(1)), (b"g2", Some(0))]);
    let consumer = stream.group(b"g1").unwrap().consumers().next().unwrap();
    assert_eq!((consumer.name(), consumer.active_time()), (&b"c11"[..], Some(consumer.seen_time())));
    let pending: Vec<_> = consumer.pending_ids().map(|id| id.milliseconds).collect();
    assert_eq!(pending, [1, 2, 4, 5]);
}

#[test]
fn every_version_keeps_what_it_has_room_for() {
    let Value::Stream(mut stream) = stream_of(300) else { unreachable!("it makes streams") };
    assert!(stream.delete(stream.last_id()) && stream.delete(StreamId::new(1_700_000_000_050, 150)));
    stream.trim(&StreamTrim { keep: StreamKeep::Newest(120), approximate: true, limit: 0 });
    let mut group = stream.group_mut(b"new").unwrap();
    group.set_active_time(b"alice", None);
    group.set_entries_read(None);
    drop(group);
    let all = |stream: &Stream| {
        let groups = stream.groups().map(|(name, group)| {
            let times = group.consumers().map(|consumer| (consumer.seen_time(), consumer.active_time()));
            (name.to_vec(), group.entries_read(), times.collect::<Vec<_>>())
        });
        let figures = (stream.first_id(), stream.last_id(), stream.max_deleted_id(), stream.entries_added());
        (figures, groups.collect::<Vec<_>>())
    };
    let [oldest, middle, newest] =
        VERSIONS.map(|version| restored(&dump(ValueRef::Stream(&stream), &plain(version))));
    assert_eq!(all(&newest), all(&stream));
    let (figures, mut groups) = all(&stream);
    groups[0].2.iter_mut().for_each(|(seen, active)| *active = Some(*seen));
    assert_eq!(all(&middle), (figures, groups));
    let expected = (stream.first_id(), stream.last_id(), StreamId::MIN, stream.len());
    assert_eq!(all(&oldest).0, expected);
    assert_eq!(oldest.group(b"new").unwrap().entries_read(), Some(0));
    assert_eq!(oldest.group(b"\xffold").unwrap().entries_read(), Some(stream.len()));
    for loaded in [oldest, middle, newest] {
        assert_eq!(
            value_digest(ValueRef::Stream(&loaded), None),
            value_digest(ValueRef::Stream(&stream), None)
        );
        assert_eq!(loaded.group(b"new").unwrap().pending_len(), 300);
    }
}

#[test]
fn the_full_digest_sees_groups_and_figures_which_that_of_redis_does_not() {
    let mut keyspace = Keyspace::new(1, &mut Dice::seeded(1));
    keyspace.db_mut(0).insert(b"k", stream_of(5), None);
    let mut seen = vec![full_digest(&keyspace)];
    let redis = dataset_digest(&keyspace);
    let first_id = StreamId::new(1_700_000_000_000, 1);
    let changes: [fn(&mut Stream, StreamId); 8] = [
        |stream, first_id| assert!(stream.group_mut(b"new").unwrap().acknowledge(first_id)),
        |stream, first_id| {
            assert!(stream.group_mut(b"new").unwrap().assign(first_id, b"idle", UnixMillis(1), 1))
        },
        |stream, first_id| {
            assert!(stream.group_mut(b"new").unwrap().assign(first_id, b"idle", UnixMillis(1), 2))
        },
        |stream, _| stream.group_mut(b"new").unwrap().set_entries_read(None),
        |stream, _| assert!(stream.group_mut(b"\xffold").unwrap().create_consumer(b"c", UnixMillis(1))),
        |stream, _| stream.set_entries_added(77),
        |stream, first_id| stream.set_max_deleted_id(first_id),
        |stream, _| stream.set_last_id(StreamId::MAX),
    ];
    for change in changes {
        change(&mut keyspace.db_mut(0).stream_mut(b"k").unwrap().unwrap(), first_id);
        let digest = full_digest(&keyspace);
        assert!(!seen.contains(&digest), "change {}", seen.len());
        seen.push(digest);
        assert_eq!(dataset_digest(&keyspace), redis);
    }
}

/// The parts of a payload with one entry, one group, and what is pending in it.
struct Parts {
    master: Vec<u8>,
    len: u8,
    last_id: [u8; 2],
    max_deleted_id: [u8; 2],
    entries_added: Vec<u8>,
    groups: Vec<u8>,
}

impl Parts {
    fn sound() -> Parts {
        let pending = [&[1][..], &raw(5), &[0; 8], &[1]].concat();
        let consumer = [&b"\x01c"[..], &[0; 8], &[0; 8], &[1], &raw(5)].concat();
        Parts {
            master: raw(5).to_vec(),
            len: 1,
            last_id: [5, 1],
            max_deleted_id: [0, 0],
            entries_added: vec![1],
            groups: group(&pending, 1, &consumer),
        }
    }

    fn payload(&self) -> Vec<u8> {
        let node =
            b"\x20\0\0\0\x09\0\x01\x01\0\x01\x01\x01\x81f\x02\0\x01\x02\x01\0\x01\0\x01\x81v\x02\x04\x01\xff";
        let mut node = node.to_vec();
        node[0] = node.len() as u8;
        node[4] = 10;
        let mut body = vec![21, 1, self.master.len() as u8];
        body.extend_from_slice(&self.master);
        body.push(node.len() as u8);
        body.extend_from_slice(&node);
        body.push(self.len);
        body.extend_from_slice(&self.last_id);
        body.extend_from_slice(&[5, 1]);
        body.extend_from_slice(&self.max_deleted_id);
        body.extend_from_slice(&self.entries_added);
        body.extend_from_slice(&self.groups);
        body.extend_from_slice(&11u16.to_le_bytes());
        let footer = checksum(CrcAlgorithm::Crc64Redis, &body);
        body.extend_from_slice(&footer.to_le_bytes());
        body
    }
}

fn raw(milliseconds: u64) -> [u8; StreamId::BYTES] {
    id(milliseconds).to_bytes()
}

/// One group.
fn group(pending: &[u8], consumers: u8, consumer: &[u8]) -> Vec<u8> {
    [&[1, 1][..], b"g", &[5, 1, 1], pending, &[consumers], consumer].concat()
}

#[test]
fn a_greatest_deleted_id_behind_the_last_is_what_redis_7_0_may_have_left() {
    let parts = Parts { max_deleted_id: [5, 2], ..Parts::sound() };
    let stream = restored(&parts.payload());
    assert_eq!((stream.last_id(), stream.max_deleted_id()), (StreamId::new(5, 1), StreamId::new(5, 2)));
}

#[test]
fn parts_that_contradict_each_other_are_refused() {
    assert_eq!(restored(&Parts::sound().payload()).group(b"g").unwrap().pending_len(), 1);
    let sound = Parts::sound;
    let one_pending = [&[1][..], &raw(5), &[0; 8], &[1]].concat();
    let two_pending =
        |first, second| [&[2][..], &raw(first), &[0; 8], &[1], &raw(second), &[0; 8], &[1]].concat();
    let consumer = |ids: &[u64]| {
        let ids: Vec<u8> = ids.iter().flat_map(|milliseconds| raw(*milliseconds)).collect();
        [&b"\x01c"[..], &[0; 8], &[0; 8], &[(ids.len() / 16) as u8], &ids].concat()
    };
    let other = [&b"\x01d"[..], &[0; 8], &[0; 8], &[1], &raw(5)].concat();
    let twice = {
        let group = group(&[0], 0, b"");
        [&[2][..], &group[1..], &group[1..]].concat()
    };
    let groups = |groups| Parts { groups, ..sound() };
    for (parts, reason) in [
        (Parts { master: vec![b'm'; 15], ..sound() }, "a node whose id has another length than ids have"),
        (Parts { len: 2, ..sound() }, "another number of entries than it states"),
        (Parts { last_id: [5, 0], ..sound() }, "a last id that is smaller than the id of its last entry"),
        (Parts { entries_added: vec![0], ..sound() }, "fewer entries that were ever added than it has"),
        (
            Parts { entries_added: [&[0x81][..], &[0xFF; 8]].concat(), ..sound() },
            "a count that no command sets",
        ),
        (groups(twice), "a group that is there twice"),
        (groups(group(&two_pending(5, 5), 1, &consumer(&[5]))), "ids of pending entries that do not ascend"),
        (groups(group(&two_pending(5, 4), 1, &consumer(&[5]))), "ids of pending entries that do not ascend"),
        (groups(group(&one_pending, 0, b"")), "an entry that is pending with no consumer"),
        (groups(group(&one_pending, 1, &consumer(&[]))), "an entry that is pending with no consumer"),
        (
            groups(group(&one_pending, 1, &consumer(&[6]))),
            "an entry that is pending with a consumer and not with the group",
        ),
        (groups(group(&one_pending, 1, &consumer(&[5, 5]))), "an entry that is pending twice"),
        (groups(group(&one_pending, 2, &[consumer(&[5]), other].concat())), "an entry that is pending twice"),
        (
            groups(group(&one_pending, 2, &[consumer(&[5]), consumer(&[])].concat())),
            "a consumer that is there twice",
        ),
    ] {
        match restore(&parts.payload(), &limits()) {
            Err(RestoreError::Data(error)) => {
                assert!(matches!(error.kind, LoadErrorKind::Stream(found) if found == reason), "{error}");
                assert!(error.to_string().contains(reason), "{error}");
            }
            other => panic!("{reason}: {other:?}"),
        }
    }
}
