//! What a load takes in memory, of files that claim anything: a constant, and so many bytes for each byte that is there.
//! Measured is all that is allocated meanwhile, whether it is freed or not: no peak is higher.

use tikv_jemalloc_ctl::thread;

use super::hostile::mutate;
use super::*;
use crate::{Arrived, ArrivingDecoder};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Of any file.
const CONSTANT_BYTES: u64 = 2 << 20;
/// For each byte of a file without compressed strings.
const PLAIN_SHARE: u64 = 32;
/// For each byte of one with them, which may expand 88 times.
const COMPRESSED_SHARE: u64 = 88 * 16;

const MUTATIONS: usize = 3_000;

/// All that this thread allocates while it does something.
fn allocated_by(act: impl FnOnce()) -> u64 {
    let counter = thread::allocatedp::read().expect("jemalloc counts");
    let before = counter.get();
    act();
    counter.get() - before
}

/// The most that a load of the file allocates, as a whole or as it arrives.
fn cost(file: &[u8]) -> u64 {
    let options = LoadOptions { checksum: false, ..options() };
    let whole = allocated_by(|| drop(load_into(file, &options)));
    let arriving = allocated_by(|| {
        let mut decoder = ArrivingDecoder::new(&options);
        decoder.feed(file.to_vec());
        decoder.end();
        while let Ok(Arrived::Key(_)) = decoder.next_key() {}
    });
    whole.max(arriving)
}

/// Changes a few bytes, and puts a length in that nothing follows.
fn damage(file: &mut Vec<u8>, dice: &mut Dice) {
    mutate(file, 9, dice);
    let claims: [&[u8]; 6] = [
        b"\x81\x0f\xff\xff\xff\xff\xff\xff\xff",
        b"\x81\x00\x00\x00\x01\x00\x00\x00\x00",
        b"\x80\x7f\xff\xff\xff",
        b"\x80\x02\x00\x00\x00",
        b"\xc3\x80\x10\x00\x00\x00\x80\x20\x00\x00\x00",
        b"\xc3\x0b\x80\x1f\xff\xff\xff",
    ];
    if dice.below(2) == 0 && file.len() > 9 {
        let at = 9 + dice.below(file.len() as u64 - 9) as usize;
        let claim = claims[dice.below(6) as usize];
        let replaced = if dice.below(2) == 0 { at } else { file.len().min(at + claim.len()) };
        drop(file.splice(at..replaced, claim.iter().copied()));
    }
}

/// A list of nodes, each of which is compressed and holds the same element over and over: what grows most.
fn compressed_list(nodes: usize, elements: usize) -> Vec<u8> {
    let mut listpack = tenon_keyspace::Listpack::new();
    (0..elements).for_each(|_| listpack.push_back(b"7"));
    let mut compressor = crate::compress::Compressor::new();
    let compressed = compressor.compress(listpack.bytes()).expect("it repeats itself").to_vec();
    let length = |bytes: usize| [&[0x80][..], &(bytes as u32).to_be_bytes()].concat();
    let node =
        [&[2, 0xC3][..], &length(compressed.len()), &length(listpack.bytes().len()), &compressed].concat();
    [&b"\x12\x01k"[..], &length(nodes), &node.repeat(nodes)].concat()
}

/// Files that are sound, and dense: short members without number, or what compresses well.
fn dense_files() -> Vec<(&'static str, Vec<u8>)> {
    const COUNT: u32 = 60_000;
    let members = |behind: &[u8]| -> Vec<u8> {
        (0..COUNT).flat_map(|member| [&[0xC2][..], &member.to_le_bytes(), behind].concat()).collect()
    };
    let counted = |type_byte: u8, members: Vec<u8>| {
        [&[type_byte, 1, b'k', 0x80][..], &COUNT.to_be_bytes(), &members].concat()
    };
    let keys = (0..COUNT).flat_map(|key| [&b"\x00\xc2"[..], &key.to_le_bytes(), b"\xc0\x01"].concat());
    let stream =
        |version| file_of_value(&stream_of(20_000), EncoderOptions { compression: true, ..plain(version) });
    [
        ("keys", keys.collect()),
        ("libraries", b"\xf5\x01x".repeat(COUNT as usize)),
        ("fields", b"\xfa\x01a\x01b".repeat(COUNT as usize)),
        ("a list", counted(1, b"\x01x".repeat(COUNT as usize))),
        ("a set", counted(2, members(b""))),
        ("a hash", counted(4, members(b"\x01v"))),
        ("a sorted set", counted(5, members(&1.5_f64.to_le_bytes()))),
        ("a compressed list of short nodes", compressed_list(300, 2_000)),
        ("a compressed list of a long node", compressed_list(1, 400_000)),
        ("a compressed string", [&b"\x00\x01k"[..], &compressed_text(2 << 20)].concat()),
    ]
    .into_iter()
    .map(|(name, keys)| (name, file_around(11, &keys)))
    .chain(VERSIONS.map(|version| ("a compressed stream", stream(version))))
    .collect()
}

fn compressed_text(bytes: usize) -> Vec<u8> {
    let mut compressor = crate::compress::Compressor::new();
    let compressed = compressor.compress(&b"a".repeat(bytes)).expect("it repeats itself").to_vec();
    let length = |bytes: usize| [&[0x80][..], &(bytes as u32).to_be_bytes()].concat();
    [&[0xC3][..], &length(compressed.len()), &length(bytes), &compressed].concat()
}

#[test]
fn a_dense_file_takes_memory_by_what_is_there() {
    for (name, file) in dense_files() {
        let (cost, length) = (cost(&file), file.len() as u64);
        let share = if name.contains("compressed") { COMPRESSED_SHARE } else { PLAIN_SHARE };
        assert!(cost <= CONSTANT_BYTES + share * length, "{name}: {cost} bytes for {length}");
    }
}

#[test]
fn a_damaged_file_takes_memory_by_what_is_there() {
    let mut dice = Dice::seeded(3_000);
    for (compression, share) in [(false, PLAIN_SHARE), (true, COMPRESSED_SHARE)] {
        let values = small_values().into_iter().chain(large_values());
        let files: Vec<_> = values
            .flat_map(|value| {
                VERSIONS
                    .map(|version| file_of_value(&value, EncoderOptions { compression, ..plain(version) }))
            })
            .filter(|file| file.len() < 300_000)
            .collect();
        for number in 0..MUTATIONS {
            let mut file = files[number % files.len()].clone();
            damage(&mut file, &mut dice);
            let (cost, length) = (cost(&file), file.len() as u64);
            assert!(cost <= CONSTANT_BYTES + share * length, "{cost} bytes for {length}");
        }
    }
}
