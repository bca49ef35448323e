//! What a large set and a large hash cost: nanoseconds for each operation at random, and bytes per member.
//! Run with `cargo run --release -p tenon-keyspace --example members_cost`.
#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::time::Instant;
use tenon_base::Dice;
use tenon_keyspace::Members;

const MEMBERS: u64 = 1_000_000;

fn main() {
    let mut dice = Dice::seeded(1);
    let fields: Vec<[u8; 16]> = (0..MEMBERS).map(field).collect();
    let order: Vec<usize> = (0..MEMBERS).map(|_| dice.below(MEMBERS) as usize).collect();
    for value in [&b""[..], b"score-of", b"a value of 16 b."] {
        measure(value, &fields, &order, &mut dice);
    }
}

fn measure(value: &[u8], fields: &[[u8; 16]], order: &[usize], dice: &mut Dice) {
    println!("fields of 16 bytes, values of {}", value.len());
    let mut members = Members::new(dice.roll());
    time("insert", || {
        for field in fields {
            members.insert(field, value);
        }
    });
    println!("  {:>8.1} bytes per member", members.memory() as f64 / MEMBERS as f64);
    time("get", || {
        for &index in order {
            black_box(members.get(&fields[index]));
        }
    });
    time("get, not there", || {
        for number in MEMBERS..2 * MEMBERS {
            black_box(members.get(&field(number)));
        }
    });
    let other: Vec<u8> = value.iter().map(|byte| byte ^ 1).collect();
    time("update", || {
        for &index in order {
            members.insert(&fields[index], &other);
        }
    });
    time("random", || {
        for _ in 0..MEMBERS {
            black_box(members.random(dice));
        }
    });
    time("iterate", || {
        black_box(members.iter().map(|(field, _)| field.len()).sum::<usize>());
    });
    let clone = members.clone();
    time("update while cloned", || {
        for &index in order {
            members.insert(&fields[index], value);
        }
    });
    drop(clone);
    time("remove", || {
        for field in fields {
            members.remove(field);
        }
    });
}

fn field(number: u64) -> [u8; 16] {
    format!("member:{number:09}").into_bytes().try_into().expect("sixteen bytes")
}

fn time(what: &str, work: impl FnOnce()) {
    let start = Instant::now();
    work();
    println!("  {:>8.1} ns {what}", start.elapsed().as_nanos() as f64 / MEMBERS as f64);
}
