//! Limits that are kept by removing keys, or by refusing what needs room.

use super::*;
use crate::testing::Bench;

const OOM: &str = "(error) OOM command not allowed when used memory > 'maxmemory'.";

/// A bench whose limit is so many bytes above what it takes without data, in the turn that asks.
fn bench_with_room(policy: &str, room_bytes: u64, directives: &[(&str, &str)]) -> Bench {
    let mut bench = Bench::new(&[&[("maxmemory-policy", policy)], directives].concat());
    bench.run(1, "PING");
    let limit = bench.engine.used_bytes(&bench.outputs) + room_bytes;
    assert_eq!(bench.run(1, &format!("CONFIG SET maxmemory {limit}")), "OK");
    bench
}

fn field(bench: &mut Bench, name: &str) -> u64 {
    let text = bench.text(1, "INFO everything");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no field {name}"))
}

#[test]
fn without_eviction_what_needs_room_is_refused() {
    let mut bench = bench_with_room("noeviction", 40_000, &[]);
    let value = "v".repeat(4_000);
    let replies: Vec<String> = (0..20).map(|key| bench.run(1, &format!("SET {key} {value}"))).collect();
    assert_eq!((replies[0].as_str(), replies[19].as_str()), ("OK", OOM));
    assert_eq!(bench.run(1, "GET 0").len(), 4_002);
    assert_eq!(bench.run(2, "MULTI"), "OK");
    assert_eq!(bench.run(2, "GET 0"), OOM, "a queue needs room");
    assert!(bench.run(2, "EXEC").starts_with("(error) EXECABORT"));
    bench.sleep(100);
    assert_eq!(field(&mut bench, "evicted_keys"), 0);
    assert!(field(&mut bench, "current_eviction_exceeded_time") >= 100);
    for key in 0..20 {
        bench.run(1, &format!("DEL {key}"));
    }
    assert_eq!(bench.run(1, "SET a 1"), "OK");
    assert_eq!(field(&mut bench, "current_eviction_exceeded_time"), 0);
    assert!(field(&mut bench, "total_eviction_exceeded_time") >= 100);
}

#[test]
fn every_policy_keeps_the_limit_and_spares_what_it_must() {
    for policy in [
        "allkeys-lru",
        "allkeys-lfu",
        "allkeys-random",
        "volatile-lru",
        "volatile-lfu",
        "volatile-random",
        "volatile-ttl",
    ] {
        let mut bench = bench_with_room(policy, 100_000, &[]);
        let value = "v".repeat(1_000);
        for key in 0..20 {
            assert_eq!(bench.run(1, &format!("SET stay:{key} {value}")), "OK");
        }
        for key in 0..400 {
            assert_eq!(bench.run(1, &format!("SET {key} {value} EX {}", 1_000 + key)), "OK", "{policy}");
            let used = bench.engine.counted_bytes(&bench.outputs);
            assert!(used <= bench.engine.eviction.limit_bytes + 8_192, "{policy}: {used}");
        }
        assert!(field(&mut bench, "evicted_keys") > 200, "{policy}");
        let stayed = (0..20).filter(|key| bench.run(1, &format!("EXISTS stay:{key}")) == "1").count();
        assert_eq!(stayed == 20, policy.starts_with("volatile"), "{policy}: {stayed} of 20");
    }
}

#[test]
fn nothing_that_may_go_is_as_no_eviction() {
    let mut bench = bench_with_room("volatile-lru", 40_000, &[]);
    let value = "v".repeat(4_000);
    let replies: Vec<String> = (0..20).map(|key| bench.run(1, &format!("SET {key} {value}"))).collect();
    assert_eq!(replies[19], OOM);
    assert_eq!(bench.run(1, "EXPIRE 3 1000"), "1");
    bench.run(1, "SET a 1");
    assert_eq!(bench.run(1, "EXISTS 3"), "0");
}

#[test]
fn the_soonest_to_expire_go_first() {
    let mut bench = bench_with_room("volatile-ttl", 1_000_000, &[("maxmemory-samples", "64")]);
    for key in 0..100 {
        bench.run(1, &format!("SET {key} {} EX {}", "v".repeat(1_000), 10_000 - key));
    }
    let limit = bench.engine.counted_bytes(&bench.outputs) - 50_000;
    bench.run(1, &format!("CONFIG SET maxmemory {limit}"));
    let left: Vec<u64> = (0..100).filter(|key| bench.run(1, &format!("EXISTS {key}")) == "1").collect();
    assert!((40..=60).contains(&left.len()), "{left:?}");
    let late = left.iter().filter(|&&key| key < 50).count();
    assert!(late * 10 >= left.len() * 8, "mostly those that would have stayed longest: {left:?}");
}

#[test]
fn what_is_used_often_stays() {
    let mut bench = bench_with_room("allkeys-lfu", 1_000_000, &[("lfu-log-factor", "0")]);
    for key in 0..100 {
        bench.run(1, &format!("SET {key} {}", "v".repeat(1_000)));
    }
    for _ in 0..20 {
        for key in 0..20 {
            bench.run(1, &format!("GET {key}"));
        }
    }
    assert_eq!(bench.run(1, "OBJECT FREQ 0"), "25");
    assert!(bench.run(1, "OBJECT IDLETIME 0").starts_with("(error) ERR An LFU maxmemory policy is selected"));
    let limit = bench.engine.counted_bytes(&bench.outputs) - 60_000;
    bench.run(1, &format!("CONFIG SET maxmemory {limit}"));
    let stayed = (0..20).filter(|key| bench.run(1, &format!("EXISTS {key}")) == "1").count();
    assert_eq!(stayed, 20);
    assert!(field(&mut bench, "evicted_keys") >= 50);
}

#[test]
fn removed_keys_are_told_to_subscribers_and_followers() {
    let mut bench =
        bench_with_room("allkeys-random", 30_000, &[("notify-keyspace-events", "Ee"), ("appendonly", "yes")]);
    bench.run(2, "SUBSCRIBE __keyevent@0__:evicted");
    let before = bench.engine.journal.position();
    let value = "v".repeat(4_000);
    (0..10).for_each(|key| drop(bench.run(1, &format!("SET {key} {value}"))));
    assert!(bench.run(2, "PING").contains("evicted"));
    let evicted = field(&mut bench, "evicted_keys");
    assert!(evicted >= 2);
    assert_eq!(bench.engine.journal.position().0 - before.0, 10 + evicted, "a record for each");
}

#[test]
fn a_turn_removes_its_share_only() {
    let mut bench = bench_with_room("allkeys-random", 10_000_000, &[("maxmemory-eviction-tenacity", "0")]);
    (0..1_000).for_each(|key| drop(bench.run(1, &format!("SET {key} {}", "v".repeat(1_000)))));
    bench.engine.config.replace(Directive::MaxMemory, &[b"1600000"]).expect("a limit");
    let Bench { engine, .. } = &mut bench;
    engine.eviction.configure(&engine.config);
    bench.settle();
    assert_eq!(bench.engine.keyspace.db(0).len(), 1_000 - KEYS_AT_LEAST as usize);
    assert_eq!(bench.engine.eviction.wake_at(), Some(Micros(0)), "there is more to do");
    (0..100).for_each(|_| bench.settle());
    assert_eq!(bench.engine.eviction.wake_at(), None);
}

#[test]
fn tenacity_is_work() {
    assert_eq!((keys_at_once(0), keys_at_once(10), keys_at_once(100)), (16, 166, u64::MAX));
    assert!(keys_at_once(50) > keys_at_once(49) && keys_at_once(11) > keys_at_once(10));
}
