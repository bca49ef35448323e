//! Everything written in every way reads back equal, in the encoding that it had.

use std::io;
use std::sync::Arc;

use tenon_base::{Dice, DiskFile};
use tenon_keyspace::{CutBounds, CutProgress, ValueRef};

use super::*;
use crate::{Access, PROGRESS_BYTES, RestoreError, dump, full_digest, restore};

fn encoding(value: ValueRef<'_>) -> &'static str {
    match value {
        ValueRef::String(_) => "string",
        ValueRef::List(list) => list.encoding(),
        ValueRef::Set(set) => set.encoding(),
        ValueRef::Hash(hash) => hash.encoding(),
        ValueRef::Zset(zset) => zset.encoding(),
        ValueRef::Stream(stream) => stream.encoding(),
    }
}

#[test]
fn everything_reads_back_from_every_version_compressed_or_not() {
    let keyspace = full_keyspace();
    for version in VERSIONS {
        let mut lengths = Vec::new();
        for (compression, checksum) in [(true, true), (false, false)] {
            let options = EncoderOptions { compression, checksum, ..plain(version) };
            let file = file_of(&keyspace, options, &Aux::default());
            lengths.push(file.len());
            let (loaded, report) = load_into(&file, &super::options()).unwrap();
            assert_eq!(full_digest(&loaded), full_digest(&keyspace), "{version:?} {compression}");
            assert_eq!(report.version, u32::from(version.number()));
            assert_eq!((report.bytes, report.lacks_checksum), (file.len() as u64, !checksum));
            let keys: usize = (0..16).map(|database| keyspace.db(database).len()).sum();
            assert_eq!((report.keys, report.empty, report.expired), (keys as u64, 0, 0));
            for database in 0..16 {
                for entry in keyspace.db(database).entries() {
                    let found = loaded.db(database).find(entry.key()).unwrap();
                    assert_eq!(encoding(found.value()), encoding(entry.value()), "{:?}", entry.key());
                    assert_eq!(found.expires_at(), entry.expires_at());
                }
            }
        }
        assert!(lengths[0] + 500_000 < lengths[1], "{lengths:?}");
    }
}

#[test]
fn a_cut_is_written_while_the_keyspace_changes() {
    let mut keyspace = full_keyspace();
    let before = full_digest(&keyspace);
    let id = keyspace.begin_cut(CutBounds { waiting_bytes_max: 1 << 20, preimage_bytes_max: 1 << 30 });
    let feed = keyspace.cut_feed(id).unwrap();
    let mut file = Vec::new();
    let mut sink = |block: &[u8]| {
        file.extend_from_slice(block);
        Ok(())
    };
    let mut encoder = Encoder::new(EncoderOptions::default());
    encoder.begin(&Aux::default(), &[], &mut sink).unwrap();
    for step in 0.. {
        let progress = keyspace.advance_cut(id, 4);
        keyspace.db_mut(step % 16).insert(format!("key {step}").as_bytes(), list_of(&[vec![b'n']]), None);
        keyspace.db_mut(3).remove(format!("key {}", step + 7).as_bytes());
        while let Some(batch) = feed.pop() {
            encoder.batch(&batch, &mut sink).unwrap();
        }
        if progress == CutProgress::Done {
            break;
        }
    }
    keyspace.end_cut(id);
    encoder.finish(&mut sink).unwrap();
    let (loaded, _) = load_into(&file, &options()).unwrap();
    assert_eq!(full_digest(&loaded), before);
    assert_ne!(full_digest(&keyspace), before);
}

#[test]
fn a_large_value_leaves_in_blocks_and_a_sink_that_fails_ends_it() {
    let value = list_of(&numbered("an element of no great length ", 200_000));
    let mut longest = 0;
    let mut blocks = 0;
    let mut sink = |block: &[u8]| {
        longest = longest.max(block.len());
        blocks += 1;
        if blocks == 12 { Err(io::Error::other("full")) } else { Ok(()) }
    };
    let mut encoder = Encoder::new(EncoderOptions { compression: false, ..EncoderOptions::default() });
    let entry =
        CutEntry { database: 0, key: b"key", expires_at: None, access_clock: 0, value: value.as_ref() };
    let error = encoder.entry(&entry, &mut sink).unwrap_err();
    assert_eq!((error.to_string().as_str(), blocks), ("full", 12));
    assert!(longest < 300_000, "{longest}");
}

#[test]
fn what_a_file_says_of_itself_reads_back() {
    let aux = Aux {
        redis_version: Some("7.2.4".into()),
        tenon_version: Some("0.1.0".into()),
        redis_bits: Some(64),
        created_seconds: Some(1_700_000_000),
        used_memory_bytes: Some(123_456_789_012),
        stream_database: Some(-1),
        replication_id: Some("0123456789abcdef0123456789abcdef01234567".into()),
        replication_offset: Some(i64::MAX),
        is_aof_base: Some(true),
    };
    let keyspace = Keyspace::new(16, &mut Dice::seeded(1));
    let file = file_of(&keyspace, EncoderOptions::default(), &aux);
    assert_eq!(load_into(&file, &options()).unwrap().1.aux, aux);
    let start = b"REDIS0010\xfa\x09redis-ver\x057.2.4\xfa\x0aredis-bits\xc0\x40\xfa\x05ctime\xc2";
    assert_eq!(&file[..start.len()], start);
}

#[test]
fn the_last_access_is_written_where_it_is_asked_for() {
    let mut keyspace = Keyspace::new(1, &mut Dice::seeded(1));
    keyspace.db_mut(0).insert(b"key", Value::String(Text::from_integer(5)), None);
    keyspace.db_mut(0).touch(b"key", 0x00FF_FFF0);
    let cases = [
        (AccessField::None, Access::Unknown),
        (AccessField::Idle { clock: 0x10 }, Access::IdleSeconds(0x20)),
        (AccessField::Frequency, Access::Frequency(0xF0)),
    ];
    for (access, expected) in cases {
        let file =
            file_of(&keyspace, EncoderOptions { access, ..EncoderOptions::default() }, &Aux::default());
        let mut decoder = Decoder::new(&file[..], &options()).unwrap();
        assert_eq!(decoder.next_key().unwrap().unwrap().access, expected);
        assert!(decoder.next_key().unwrap().is_none());
    }
}

#[test]
fn keys_that_expired_are_passed_over_where_that_is_asked_for() {
    let mut keyspace = Keyspace::new(1, &mut Dice::seeded(1));
    for at in [-2, 5, 999, 1_000, 1_001] {
        let value = Value::String(Text::from_integer(at));
        keyspace.db_mut(0).insert(format!("{at}").as_bytes(), value, Some(UnixMillis(at)));
    }
    keyspace.db_mut(0).insert(b"stays", Value::String(Text::from_integer(1)), None);
    let file = file_of(&keyspace, EncoderOptions::default(), &Aux::default());
    assert_eq!(load_into(&file, &options()).unwrap().0.db(0).len(), 6);
    let at_start = LoadOptions { passes_over_expired_before: Some(UnixMillis(1_000)), ..options() };
    let (loaded, report) = load_into(&file, &at_start).unwrap();
    assert_eq!((loaded.db(0).len(), report.keys, report.expired), (3, 3, 3));
}

#[test]
fn a_payload_restores_equal_and_a_changed_one_is_refused() {
    for value in small_values().iter().chain(&large_values()) {
        for version in VERSIONS {
            let payload = dump(value.as_ref(), &plain(version));
            let restored = restore(&payload, &limits()).unwrap();
            let (one, other) = (value.as_ref(), restored.as_ref());
            assert_eq!(crate::value_digest(other, None), crate::value_digest(one, None));
            assert_eq!(encoding(other), encoding(one));
            let mut changed = payload.clone();
            *changed.last_mut().unwrap() ^= 1;
            assert!(matches!(restore(&changed, &limits()), Err(RestoreError::Footer)));
            assert!(restore(&payload[1..], &limits()).is_err());
        }
    }
    // What Redis 7.0 answers to DUMP of 10.
    let dumped = b"\x00\xc0\n\n\x00n\x9fWE\x0e\xaec\xbb";
    assert_eq!(dump(ValueRef::String(tenon_keyspace::TextRef::Integer(10)), &plain(RdbVersion::V10)), dumped);
    let texts = [RestoreError::Footer, restore(&b"\0".repeat(9), &limits()).unwrap_err()];
    assert!(texts.iter().all(|error| error.to_string() == "DUMP payload version or checksum are wrong"));
}

struct MemoryFile(Vec<u8>);

impl DiskFile for MemoryFile {
    fn append(&self, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// As a disk may: fewer bytes than asked for.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = &self.0[offset as usize..];
        let bytes = buffer.len().min(rest.len()).min(1_777);
        buffer[..bytes].copy_from_slice(&rest[..bytes]);
        Ok(bytes)
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
    fn truncate(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }
}

#[test]
fn a_file_is_read_in_pieces_with_progress_and_can_be_given_up() {
    let mut keyspace = full_keyspace();
    let long = Value::String(Text::from_bytes(&noise(&mut Dice::seeded(6), 5_000_000)));
    keyspace.db_mut(1).insert(b"long", long, None);
    let file =
        file_of(&keyspace, EncoderOptions { compression: false, ..plain(RdbVersion::V11) }, &Aux::default());
    let stored: Arc<dyn DiskFile> = Arc::new(MemoryFile([&b"before"[..], &file, b"behind"].concat()));
    let mut source = FileSource::new(Arc::clone(&stored), 6);
    let mut seen = Vec::new();
    let mut keys = 0;
    let report = load(
        &mut source,
        &options(),
        &mut |_| {
            keys += 1;
            true
        },
        &mut |bytes| {
            seen.push(bytes);
            ControlFlow::Continue(())
        },
    );
    let report = report.unwrap();
    assert_eq!((report.bytes, report.keys), (file.len() as u64, keys));
    assert_eq!(seen.len() as u64, file.len() as u64 / PROGRESS_BYTES);
    assert!(!seen.is_empty() && seen.is_sorted());
    let mut source = FileSource::new(stored, 6);
    let given_up = load(&mut source, &options(), &mut |_| true, &mut |_| ControlFlow::Break(()));
    assert!(given_up.unwrap_err().to_string().ends_with("the load was given up on request"));
}
