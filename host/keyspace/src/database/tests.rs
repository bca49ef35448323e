//! The table and the database against a plain model.

use std::collections::BTreeSet;

use tenon_base::{Dice, UnixMillis};

use crate::model::{Pair, held, remove_all};
use crate::{AccessRule, Expiry, Keyspace, Kind, List, Text, Value, ValueRef, WrongKind};

#[test]
fn random_changes_agree_with_a_model() {
    for seed in 0..6 {
        let mut pair = Pair::new(3, [50, 3_000, 30_000][seed as usize % 3], seed);
        for round in 0..6_000 {
            pair.step();
            if round % 1_000 == 0 {
                pair.check();
            }
        }
        pair.check();
        for number in 0..3 {
            remove_all(pair.keyspace.db_mut(number));
        }
        assert_eq!(pair.keyspace.used_memory(), 0, "seed {seed}");
    }
}

#[test]
fn a_scan_returns_what_is_there_throughout_however_the_table_changes() {
    for seed in 0..8 {
        let mut dice = Dice::seeded(seed);
        let mut keyspace = Keyspace::new(1, &mut dice);
        let db = keyspace.db_mut(0);
        let growing = seed % 2 == 0;
        for number in 0..2_000 {
            db.set_integer(format!("stay:{number}").as_bytes(), number, Expiry::Never);
        }
        for number in 0..if growing { 0 } else { 40_000 } {
            db.set_integer(format!("go:{number}").as_bytes(), number, Expiry::Never);
        }
        let (mut cursor, mut seen, mut changes) = (0, BTreeSet::new(), 0);
        loop {
            cursor = db.scan(cursor, 1 + dice.below(20) as usize, &mut |entry| {
                seen.insert(entry.key().to_vec());
            });
            assert!(cursor < 1 << 38);
            if cursor == 0 {
                break;
            }
            for _ in 0..dice.below(400) {
                let key = format!("go:{changes}").into_bytes();
                if growing {
                    db.set_integer(&key, 0, Expiry::Never);
                } else {
                    db.delete(&key);
                }
                changes += 1;
            }
        }
        let stayed = seen.iter().filter(|key| key.starts_with(b"stay:")).count();
        assert_eq!(stayed, 2_000, "seed {seed}");
    }
}

#[test]
fn a_scan_of_a_table_at_rest_returns_each_key_once() {
    let mut keyspace = Keyspace::new(1, &mut Dice::seeded(1));
    let db = keyspace.db_mut(0);
    for number in 0..10_000 {
        db.set_integer(format!("{number}").as_bytes(), number, Expiry::Never);
    }
    let (mut cursor, mut seen) = (0, Vec::new());
    loop {
        cursor = db.scan(cursor, 7, &mut |entry| seen.push(entry.key().to_vec()));
        if cursor == 0 {
            break;
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 10_000);
    assert_eq!(db.scan(u64::MAX, 1, &mut |_| {}), 0, "a cursor that was never given out ends soon");
}

#[test]
fn every_key_has_about_the_same_chance() {
    let mut dice = Dice::seeded(5);
    let mut keyspace = Keyspace::new(1, &mut dice);
    let db = keyspace.db_mut(0);
    assert!(db.random(&mut dice).is_none());
    const KEYS: usize = 700; // a table of two pages of unequal load would show
    for number in 0..KEYS {
        db.set_integer(&number.to_le_bytes(), number as i64, Expiry::Never);
    }
    let mut counts = [0u32; KEYS];
    for _ in 0..KEYS * 200 {
        let entry = db.random(&mut dice).expect("there are keys");
        counts[usize::from_le_bytes(entry.key().try_into().expect("eight bytes"))] += 1;
    }
    let (low, high) = (counts.iter().min(), counts.iter().max());
    assert!(low > Some(&120) && high < Some(&290), "{low:?} {high:?}");
    remove_all(db);
    db.set_integer(b"last", 1, Expiry::Never);
    assert_eq!(db.random(&mut dice).map(|entry| entry.key()), Some(&b"last"[..]));
}

#[test]
fn samples_are_fair_to_volatile_keys_and_to_all() {
    let mut dice = Dice::seeded(6);
    let mut keyspace = Keyspace::new(1, &mut dice);
    let db = keyspace.db_mut(0);
    db.sample(&mut dice, 5, false, &mut |_| panic!("there is nothing"));
    const KEYS: usize = 700;
    for number in 0..KEYS {
        let expiry = if number % 7 == 0 { Expiry::At(UnixMillis(1)) } else { Expiry::Never };
        db.set_integer(&number.to_le_bytes(), number as i64, expiry);
    }
    for volatile_only in [false, true] {
        let step = if volatile_only { 7 } else { 1 };
        let (mut counts, mut visited) = ([0usize; KEYS], 0);
        for _ in 0..40_000 {
            db.sample(&mut dice, 5, volatile_only, &mut |entry| {
                counts[usize::from_le_bytes(entry.key().try_into().expect("eight bytes"))] += 1;
                visited += 1;
            });
        }
        assert!(visited >= 200_000, "each time at least as many as asked for");
        let mean = visited / KEYS.div_ceil(step);
        for (number, &count) in counts.iter().enumerate() {
            let expected = if number % step == 0 { mean * 7 / 10..mean * 13 / 10 } else { 0..1 };
            assert!(expected.contains(&count), "{number}: {count}, mean {mean}");
        }
    }
}

#[test]
fn few_volatile_keys_among_many_are_found() {
    let mut dice = Dice::seeded(8);
    let mut keyspace = Keyspace::new(1, &mut dice);
    let db = keyspace.db_mut(0);
    for number in 0..100_000usize {
        let expiry = if number < 2 { Expiry::At(UnixMillis(1)) } else { Expiry::Never };
        db.set_integer(&number.to_le_bytes(), 0, expiry);
    }
    let mut counts = [0; 2];
    for _ in 0..400 {
        let entry = db.random_volatile(&mut dice).expect("there are two");
        counts[usize::from_le_bytes(entry.key().try_into().expect("eight bytes"))] += 1;
    }
    assert!(counts.iter().all(|count| (140..260).contains(count)), "{counts:?}");
    let mut seen = 0;
    db.sample(&mut dice, 5, true, &mut |entry| seen += usize::from(entry.is_volatile()));
    assert_eq!(seen, 2);
}

#[test]
fn active_expiry_hands_out_what_has_expired_and_skips_what_cannot_have() {
    let mut keyspace = Keyspace::new(1, &mut Dice::seeded(2));
    let db = keyspace.db_mut(0);
    for number in 0..20_000i64 {
        let expiry = if number % 4 == 0 { Expiry::At(UnixMillis(1_000 + number)) } else { Expiry::Never };
        db.set_integer(&number.to_le_bytes(), number, expiry);
    }
    assert_eq!(db.volatile_len(), 5_000);
    let early = db.expire_step(UnixMillis(1_000), usize::MAX, &mut |_| panic!("nothing has expired"));
    assert!(early.complete && early.examined < 200, "{early:?}");
    let mut dice = Dice::seeded(7);
    assert!((0..100).all(|_| db.random_volatile(&mut dice).is_some_and(|entry| entry.is_volatile())));
    let mut handed = Vec::new();
    let mut steps = 0;
    loop {
        let mut keys = Vec::new();
        let progress = db.expire_step(UnixMillis(11_001), 2_000, &mut |key| keys.push(key.to_vec()));
        assert_eq!(progress.expired, keys.len());
        assert!(progress.examined < 4_000);
        for key in keys {
            assert!(db.delete(&key).is_some());
            handed.push(i64::from_le_bytes(key.try_into().expect("eight bytes")));
        }
        steps += 1;
        if progress.complete {
            break;
        }
    }
    handed.sort();
    assert_eq!(handed, (0..=10_000).step_by(4).collect::<Vec<i64>>());
    assert!(steps > 5);
    assert!((1..20_000).contains(&db.average_ttl_ms()));
}

#[test]
fn encodings_are_named_as_redis_names_them() {
    let mut keyspace = Keyspace::new(1, &mut Dice::seeded(3));
    let db = keyspace.db_mut(0);
    let encoding = |db: &crate::Database| db.find(b"k").expect("just set").encoding();
    for (text, expected) in [
        (&b"12345678901234567890"[..], "embstr"),
        (b"-12", "int"),
        (b"012", "embstr"),
        (&[b'x'; 44], "embstr"),
        (&[b'x'; 45], "raw"),
        (&[b'x'; 5_000], "raw"),
    ] {
        db.set_string(b"k", text, Expiry::Never);
        assert_eq!(encoding(db), expected, "{text:?}");
    }
    db.set_string(b"k", b"1", Expiry::Never);
    let mut text = db.string_mut(b"k").expect("a string").expect("there");
    assert_eq!(text.append(b"2"), 2);
    assert_eq!(encoding(db), "raw");
    let copy = db.find(b"k").expect("there").to_value();
    db.insert(b"k", copy, None);
    assert_eq!(encoding(db), "raw", "copying a value keeps its encoding");
    let (value, _) = db.remove(b"k").expect("there");
    db.insert(b"k", value, None);
    assert_eq!(encoding(db), "raw", "moving a value keeps its encoding");
    assert_eq!(db.list_mut(b"k").err(), Some(WrongKind { found: Kind::String }));
    // Bytes that a command has made stay bytes, digits or not.
    for made in [&b"12"[..], &[b'x'; 5_000]] {
        db.insert(b"k", Value::String(Text::from_vec(made.to_vec())), None);
        assert_eq!(encoding(db), "raw");
        db.set_string(b"k", b"1", Expiry::Never);
        db.string_mut(b"k").expect("a string").expect("there").replace_vec(made.to_vec());
        assert_eq!(encoding(db), "raw");
        let ValueRef::String(text) = db.find(b"k").expect("there").value() else { panic!("no string") };
        assert_eq!(text.bytes(&mut [0; 20]), made);
    }
    db.check_books();
}

#[test]
fn uses_are_counted_under_the_rule_for_it() {
    let mut keyspace = Keyspace::new(1, &mut Dice::seeded(3));
    keyspace.set_access_rule(AccessRule::Frequency { log_factor: 0, decay_minutes: 1 });
    let db = keyspace.db_mut(0);
    db.set_clock(120);
    db.set_integer(b"k", 1, Expiry::Never);
    assert_eq!(db.find(b"k").map(|entry| entry.access_clock()), Some(2 << 8 | 5));
    db.look_up(b"k", UnixMillis(0), true, Some(180));
    assert_eq!(db.find(b"k").map(|entry| entry.access_clock()), Some(3 << 8 | 5), "one less, one more");
    db.set_integer(b"k", 2, Expiry::Never);
    db.insert(b"k", Value::List(List::new()), None);
    db.list_mut(b"k").expect("a list");
    assert_eq!(db.find(b"k").map(|entry| entry.access_clock()), Some(3 << 8 | 8), "writes are uses");
}

#[test]
fn a_touch_changes_the_clock_and_nothing_else() {
    let mut keyspace = Keyspace::new(1, &mut Dice::seeded(4));
    let db = keyspace.db_mut(0);
    db.set_clock(7);
    db.set_string(b"k", b"value", Expiry::At(UnixMillis(5)));
    let before = held(db.find(b"k").expect("there"));
    assert_eq!(db.find(b"k").map(|entry| entry.access_clock()), Some(7));
    db.touch(b"k", 0xFF12_3456);
    assert_eq!(db.find(b"k").map(|entry| entry.access_clock()), Some(0x0012_3456));
    assert_eq!(held(db.find(b"k").expect("there")), before);
}
