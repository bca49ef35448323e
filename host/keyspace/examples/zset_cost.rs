//! What a sorted set of a million members costs: nanoseconds per operation and bytes per member.
//! Run with `cargo run --release -p tenon-keyspace --example zset_cost`.

use std::hint::black_box;
use std::time::Instant;

use tenon_base::Dice;
use tenon_keyspace::{ScoreRange, Zset, ZsetLimits};

const MEMBERS: usize = 1_000_000;
const LIMITS: ZsetLimits = ZsetLimits { entries: 128, value_bytes: 64, seed: 1 };

fn main() {
    let mut dice = Dice::seeded(3);
    let mut order: Vec<u32> = (0..MEMBERS as u32).collect();
    for last in (1..order.len()).rev() {
        order.swap(last, dice.below(last as u64 + 1) as usize);
    }
    let names: Vec<String> = order.iter().map(|number| format!("member:{number:09}")).collect();
    let mut zset = Zset::new();
    timed("ZADD new, random score", || {
        for name in &names {
            zset.insert(name.as_bytes(), dice.below(1 << 40) as f64 / 8.0, &LIMITS);
        }
    });
    println!("{:>40}: {:.1}", "bytes per member of 16 bytes", zset.memory() as f64 / MEMBERS as f64);
    let chosen: Vec<&str> = (0..MEMBERS).map(|_| &*names[dice.below(MEMBERS as u64) as usize]).collect();
    timed("ZSCORE", || {
        for name in &chosen {
            black_box(zset.score(name.as_bytes()));
        }
    });
    timed("ZRANK", || {
        for name in &chosen {
            black_box(zset.rank(name.as_bytes(), false));
        }
    });
    timed("ZADD known, random score", || {
        for name in &chosen {
            zset.insert(name.as_bytes(), dice.below(1 << 40) as f64 / 8.0, &LIMITS);
        }
    });
    timed("ZINCRBY 1", || {
        for name in &chosen {
            let score = zset.score(name.as_bytes()).unwrap_or_default();
            zset.insert(name.as_bytes(), score + 1.0, &LIMITS);
        }
    });
    timed("ZRANGEBYSCORE LIMIT 0 10", || {
        for _ in 0..MEMBERS {
            let min = dice.below(1 << 40) as f64 / 8.0;
            let range = ScoreRange { min, max: f64::INFINITY, min_exclusive: false, max_exclusive: false };
            for pair in zset.range_by_score(&range, false).take(10) {
                black_box(pair);
            }
        }
    });
    timed("ZRANGE 0 -1", || {
        for pair in zset.iter() {
            black_box(pair);
        }
    });
    let cut = zset.clone();
    timed("ZADD known, after a cut", || {
        for name in &chosen {
            zset.insert(name.as_bytes(), dice.below(1 << 40) as f64 / 8.0, &LIMITS);
        }
    });
    drop(cut);
    timed("ZPOPMIN", || while zset.remove_ranks(0..1, |_, _| ()) > 0 {});
}

/// Runs `work`, which does a million things, and prints what one of them took.
fn timed(what: &str, work: impl FnOnce()) {
    let start = Instant::now();
    work();
    println!("{what:>40}: {} ns", start.elapsed().as_nanos() / MEMBERS as u128);
}
