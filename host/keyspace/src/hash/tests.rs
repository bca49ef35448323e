//! Hashes against a `BTreeMap`; conversions and hostile bytes.

use super::*;
use std::collections::{BTreeMap, BTreeSet};

const LIMITS: HashLimits = HashLimits { entries: 8, value_bytes: 20, seed: 11 };

fn pairs(hash: &Hash) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let pairs: BTreeMap<_, _> = hash.iter().map(|(field, value)| (field.to_vec(), value.to_vec())).collect();
    assert_eq!((pairs.len(), hash.iter().len()), (hash.len(), hash.len()));
    pairs
}

fn hash_of(fields: usize) -> Hash {
    let mut hash = Hash::new();
    for field in 0..fields {
        hash.set(format!("field:{field}").as_bytes(), format!("{}", field * 3).as_bytes(), &LIMITS);
    }
    hash
}

#[test]
fn random_changes_agree_with_a_model_and_leave_clones_alone() {
    for seed in 0..20 {
        let mut dice = Dice::seeded(seed);
        let mut hash = Hash::new();
        let mut model = BTreeMap::new();
        let mut clones = Vec::new();
        for step in 0..600 {
            let number = dice.below([6, 12, 200][seed as usize % 3]);
            let field =
                if number.is_multiple_of(2) { format!("{number}") } else { format!("field {number}") };
            let field = field.as_bytes();
            if dice.below(3) == 0 {
                assert_eq!(hash.remove(field), model.remove(field).is_some());
            } else {
                let longest_digits = 1 + dice.below(19) as usize;
                let value = dice.hex(longest_digits).into_bytes();
                let is_new = hash.set(field, &value, &LIMITS) == Insertion::Inserted;
                assert_eq!(is_new, model.insert(field.to_vec(), value).is_none());
            }
            assert_eq!(hash.contains(field), model.contains_key(field));
            assert_eq!(hash.value(field).map(|value| value.to_vec()), model.get(field).cloned());
            if step % 100 == 0 {
                clones.push((hash.clone(), model.clone()));
            }
        }
        assert_eq!(pairs(&hash), model, "seed {seed}");
        clones.iter().for_each(|(hash, model)| assert_eq!(&pairs(hash), model, "seed {seed}"));
    }
}

#[test]
fn a_hash_becomes_a_table_where_redis_makes_it_one_and_stays_it() {
    let mut hash = hash_of(8);
    assert_eq!((hash.encoding(), hash.as_listpack().is_some()), ("listpack", true));
    hash.set(b"field:1", b"12345678901234567890", &LIMITS);
    assert_eq!(hash.encoding(), "listpack");
    hash.set(b"one more", b"", &LIMITS);
    assert_eq!((hash.encoding(), hash.as_listpack(), hash.len()), ("hashtable", None, 9));
    (0..8).for_each(|field| assert!(hash.remove(format!("field:{field}").as_bytes())));
    assert_eq!((hash.encoding(), hash.len()), ("hashtable", 1));

    for (field, value) in [(&b"f"[..], &[b'x'; 21][..]), (&[b'x'; 21], b"v")] {
        let mut hash = hash_of(2);
        hash.set(field, value, &LIMITS);
        assert_eq!((hash.encoding(), hash.len()), ("hashtable", 3));
        assert!(hash.value(field).is_some_and(|found| found.equals(value)));
    }
    assert_eq!(Hash::with_expected(8, &LIMITS).encoding(), "listpack");
    assert_eq!(Hash::with_expected(9, &LIMITS).encoding(), "hashtable");
}

#[test]
fn a_command_with_many_or_long_arguments_converts_ahead() {
    let encoding_after = |texts: &[&[u8]]| {
        let mut hash = Hash::new();
        hash.make_ready_for(texts.iter().copied(), &LIMITS);
        hash.encoding()
    };
    assert_eq!(encoding_after(&[&b"same"[..]; 16]), "listpack");
    assert_eq!(encoding_after(&[&b"same"[..]; 18]), "hashtable");
    assert_eq!(encoding_after(&[b"f", &[b'v'; 21]]), "hashtable");
}

#[test]
fn a_listpack_from_a_file_is_checked() {
    let hash = hash_of(8);
    let bytes = hash.as_listpack().expect("compact").to_vec();
    let again = Hash::from_listpack(&bytes, &LIMITS).expect("sound");
    assert_eq!((pairs(&again), again.encoding()), (pairs(&hash), "listpack"));
    let tighter = HashLimits { entries: 7, ..LIMITS };
    let large = Hash::from_listpack(&bytes, &tighter).expect("sound");
    assert_eq!((pairs(&large), large.encoding()), (pairs(&hash), "hashtable"));

    let listpack_of = |elements: &[&str]| {
        let mut listpack = Listpack::new();
        elements.iter().for_each(|element| listpack.push_back(element.as_bytes()));
        listpack.bytes().to_vec()
    };
    for elements in [&["odd"][..], &["f", "1", "g"], &["f", "1", "f", "2"], &["7", "1", "7", "1"]] {
        for limits in [LIMITS, HashLimits { entries: 0, ..LIMITS }] {
            assert!(Hash::from_listpack(&listpack_of(elements), &limits).is_err(), "{elements:?}");
        }
    }
    let mut dice = Dice::seeded(9);
    for _ in 0..20_000 {
        let mut hostile = bytes.clone();
        for _ in 0..=dice.below(3) {
            let at = dice.below(hostile.len() as u64) as usize;
            hostile[at] = dice.roll() as u8;
        }
        hostile.truncate(hostile.len() - dice.below(3) as usize / 2);
        if let Ok(hash) = Hash::from_listpack(&hostile, &LIMITS) {
            assert_eq!(pairs(&hash).len(), hash.len());
        }
    }
}

#[test]
fn samples_are_distinct_and_reach_every_field() {
    let mut dice = Dice::seeded(2);
    for (fields, count) in [(5, 3), (5, 9), (400, 3), (400, 200), (400, 400)] {
        let hash = hash_of(fields);
        let mut reached = BTreeSet::new();
        for _ in 0..4_000 / count {
            let mut seen = BTreeSet::new();
            hash.sample(count, &mut dice, |field, value| {
                assert!(hash.value(&field.to_vec()).is_some_and(|found| found.equals(&value.to_vec())));
                assert!(seen.insert(field.to_vec()));
            });
            assert_eq!(seen.len(), count.min(fields));
            reached.append(&mut seen);
            assert!(hash.random(&mut dice).is_some_and(|(field, _)| hash.contains(&field.to_vec())));
        }
        assert_eq!(reached.len(), fields);
    }
    assert!(Hash::new().random(&mut dice).is_none());
}

#[test]
fn a_scan_visits_a_compact_hash_whole_and_a_large_one_in_steps() {
    let mut visited = 0;
    assert_eq!(hash_of(8).scan(123, 1, |_, _| visited += 1), 0);
    assert_eq!(visited, 8);
    let hash = hash_of(500);
    let (mut cursor, mut visited, mut calls) = (0, 0, 0);
    loop {
        cursor = hash.scan(cursor, 10, |_, _| visited += 1);
        calls += 1;
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(visited, 500);
    assert!((40..=50).contains(&calls), "{calls} calls");
}

#[test]
fn memory_follows_what_is_there() {
    let mut hash = hash_of(8);
    let compact = hash.memory();
    assert!((1..512).contains(&compact));
    (0..2_000).for_each(|number: u32| {
        hash.set(&number.to_le_bytes(), &[0; 16], &LIMITS);
    });
    assert!(hash.memory() > 2_000 * 20);
    let fields: Vec<_> = hash.iter().map(|(field, _)| field.to_vec()).collect();
    fields.iter().for_each(|field| assert!(hash.remove(field)));
    assert!(hash.is_empty() && hash.memory() < 512, "{} bytes", hash.memory());
}
