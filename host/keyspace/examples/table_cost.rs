//! What a key costs: bytes, and the time to set and to find it, at millions of keys.
//! `cargo run --release -p tenon-keyspace --example table_cost [KEYS]`
#![allow(clippy::print_stdout)]

use std::time::Instant;

use tenon_base::Dice;
use tenon_keyspace::{CutBounds, CutProgress, Expiry, Keyspace};

const GROUP: usize = 16;
/// Less than a page, more than anything else that an operation here takes or gives back.
const PAGE_BYTES_ABOUT: usize = 4_000;
const FINDS: usize = 2_000_000;

fn main() {
    let keys: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(5_000_000);
    let mut dice = Dice::seeded(1);
    let mut keyspace = Keyspace::new(1, &mut dice);
    let (mut growths, start) = (Vec::new(), Instant::now());
    for number in 0..keys {
        let (before, memory) = (Instant::now(), keyspace.used_memory());
        keyspace.db_mut(0).set_string(&key(number), b"value-of-16-byte", Expiry::Never);
        if keyspace.used_memory() > memory + PAGE_BYTES_ABOUT {
            growths.push(before.elapsed().as_micros());
        }
    }
    println!("set, new:        {} ns (the clock included)", per_key(start, keys as usize));
    print_steps("growing a page", growths);
    println!("memory:          {:.1} bytes per key", keyspace.used_memory() as f64 / keys as f64);
    println!("resident:        {:.1} bytes per key", resident_bytes() as f64 / keys as f64);

    let wanted: Vec<[u8; 16]> = (0..FINDS).map(|_| key(dice.below(keys))).collect();
    let db = keyspace.db_mut(0);
    let start = Instant::now();
    let found = wanted.iter().filter(|key| db.find(&key[..]).is_some()).count();
    println!("find:            {} ns", per_key(start, found));
    let start = Instant::now();
    let mut found = 0;
    for group in wanted.chunks(GROUP) {
        let mut hashes = [0; GROUP];
        for (hash, key) in hashes.iter_mut().zip(group) {
            *hash = db.hash(key);
            db.prefetch_bucket(*hash);
        }
        hashes.iter().for_each(|&hash| db.prefetch_entry(hash));
        found += group.iter().filter(|key| db.find(&key[..]).is_some()).count();
    }
    println!("find, in groups: {} ns", per_key(start, found));
    let start = Instant::now();
    for key in &wanted {
        db.set_string(key, b"VALUE-OF-16-BYTE", Expiry::Never);
    }
    println!("set, there:      {} ns", per_key(start, FINDS));
    cut(&mut keyspace, &wanted);
    let (mut merges, start) = (Vec::new(), Instant::now());
    for number in 0..keys {
        let (before, memory) = (Instant::now(), keyspace.used_memory());
        keyspace.db_mut(0).delete(&key(number));
        if keyspace.used_memory() + PAGE_BYTES_ABOUT < memory {
            merges.push(before.elapsed().as_micros());
        }
    }
    println!("delete:          {} ns (the clock included)", per_key(start, keys as usize));
    print_steps("shrinking a page", merges);
    println!("left:            {} bytes", keyspace.used_memory());
}

/// A cut that is taken at once, while keys are set.
fn cut(keyspace: &mut Keyspace, wanted: &[[u8; 16]]) {
    let bounds = CutBounds { waiting_bytes_max: 16 << 20, preimage_bytes_max: 256 << 20 };
    let start = Instant::now();
    let id = keyspace.begin_cut(bounds);
    let began_us = start.elapsed().as_micros();
    let feed = keyspace.cut_feed(id).expect("just begun");
    let (mut taken, mut slices) = (0, Vec::new());
    for keys in wanted.chunks(40).cycle() {
        for key in keys {
            keyspace.db_mut(0).set_string(key, b"value-of-16-byte", Expiry::Never);
        }
        let before = Instant::now();
        let progress = keyspace.advance_cut(id, 1_000);
        slices.push(before.elapsed().as_micros());
        while let Some(batch) = feed.pop() {
            taken += batch.len();
        }
        if progress == CutProgress::Done {
            break;
        }
    }
    let stats = keyspace.cut_stats(id).expect("not ended");
    println!("cut:             began in {began_us} us, {taken} keys");
    print_steps("slice of 1000", slices);
    println!("                 {} bytes of pre-images", stats.preimage_bytes);
    keyspace.end_cut(id);
}

fn per_key(start: Instant, count: usize) -> u128 {
    start.elapsed().as_nanos() / count as u128
}

/// Percentiles, because the longest of many steps mostly says what else the machine was doing.
fn print_steps(name: &str, mut micros: Vec<u128>) {
    micros.sort_unstable();
    let at = |percent: usize| micros[(micros.len() * percent / 100).min(micros.len() - 1)];
    println!("{name}: {} times, 50 % {} us, 99 % {} us", micros.len(), at(50), at(99));
}

fn key(number: u64) -> [u8; 16] {
    let mut key = *b"key:000000000000";
    let (mut rest, mut at) = (number, key.len());
    while rest > 0 {
        at -= 1;
        key[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

/// Bytes of memory that the process holds, where the system tells.
fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|text| text.parse::<usize>().ok()).unwrap_or(0) * 4096
}
