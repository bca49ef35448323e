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
    let chosen: Vec<[u8; 16]> = (0..MEMBERS).map(|_| field(dice.below(MEMBERS))).collect();
    let absent: Vec<[u8; 16]> = (MEMBERS..2 * MEMBERS).map(field).collect();
    for value in [&b""[..], b"score-of", b"a value of 16 b."] {
        measure(value, [&fields, &chosen, &absent], &mut dice);
    }
}

fn measure(value: &[u8], [fields, chosen, absent]: [&[[u8; 16]]; 3], dice: &mut Dice) {
    println!("fields of 16 bytes, values of {}", value.len());
    let mut members = Members::new(dice.roll());
    time("insert", || {
        for field in fields {
            members.insert(field, value);
        }
    });
    println!("  {:>8.1} bytes per member", members.memory() as f64 / MEMBERS as f64);
    time_best("get", || {
        for field in chosen {
            black_box(members.get(field));
        }
    });
    time_best("get, not there", || {
        for field in absent {
            black_box(members.get(field));
        }
    });
    let other: Vec<u8> = value.iter().map(|byte| byte ^ 1).collect();
    time("update", || {
        for field in chosen {
            members.insert(field, &other);
        }
    });
    time_best("random", || {
        for _ in 0..MEMBERS {
            black_box(members.random(dice));
        }
    });
    time_best("iterate", || {
        black_box(members.iter().map(|(field, _)| field.len()).sum::<usize>());
    });
    let clone = members.clone();
    time("update while cloned", || {
        for field in chosen {
            members.insert(field, value);
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
    print(what, nanos(work));
}

/// The best of some rounds, which says more where others use the machine too.
fn time_best(what: &str, mut work: impl FnMut()) {
    print(what, (0..7).map(|_| nanos(&mut work)).min().expect("rounds"));
}

fn nanos(work: impl FnOnce()) -> u128 {
    let start = Instant::now();
    work();
    start.elapsed().as_nanos()
}

fn print(what: &str, nanos: u128) {
    println!("  {:>8.1} ns {what}", nanos as f64 / MEMBERS as f64);
}
