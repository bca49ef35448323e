//! Sets as clients see them, and what is propagated of them.

use crate::testing::Bench;

/// A reply of strings as its parts, sorted.
fn members(reply: &str) -> Vec<String> {
    let inner = reply.trim_start_matches('~').trim_start_matches('[').trim_end_matches(']');
    let mut members: Vec<String> =
        inner.split(", ").filter(|member| !member.is_empty()).map(str::to_owned).collect();
    members.sort();
    members
}

#[track_caller]
fn same_members(reply: &str, expected: &[&str]) {
    let expected: Vec<String> = expected.iter().map(|member| format!("\"{member}\"")).collect();
    assert_eq!(members(reply), expected);
}

#[test]
fn members_come_and_go() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("SADD s a b a"), "2");
    assert_eq!((bench.events().as_str(), bench.dirty(), bench.touched()), ("new s; sadd s", 2, 1));
    assert_eq!(bench.effects(), "SADD s a b a");
    assert_eq!(bench.run("SADD s a"), "0");
    assert_eq!(bench.effects(), "");
    assert_eq!(bench.run("SCARD s"), "2");
    assert_eq!(bench.run("SMISMEMBER s a x b"), "[1, 0, 1]");
    assert_eq!(bench.run("SREM s x"), "0");
    assert_eq!(bench.run("SREM s a b b"), "2");
    assert_eq!(bench.events(), "srem s; del s");
    assert_eq!(bench.run("SMEMBERS s"), "[]");
    bench.proto = tenon_resp::Proto::Resp3;
    assert_eq!(bench.run("SMEMBERS s"), "~[]");
    bench.run("SADD s 3 1 2");
    assert_eq!(bench.run("SMEMBERS s"), r#"~["1", "2", "3"]"#);
}

#[test]
fn other_types_are_refused() {
    let mut bench = Bench::new();
    bench.run("ZADD z 1 a");
    bench.run("SADD s a");
    for command in [
        "SADD z a",
        "SREM z a",
        "SCARD z",
        "SISMEMBER z a",
        "SMISMEMBER z a",
        "SMEMBERS z",
        "SPOP z",
        "SPOP z 0",
        "SRANDMEMBER z",
        "SRANDMEMBER z 0",
        "SMOVE z s a",
        "SMOVE s z a",
        "SMOVE s z x",
        "SINTER s z",
        "SINTER missing z",
        "SINTERCARD 2 s z",
        "SINTERSTORE d missing z",
        "SUNION s z",
        "SUNIONSTORE d s z",
        "SDIFF s z",
        "SDIFFSTORE d s z",
        "SSCAN z 0",
    ] {
        assert!(bench.run(command).starts_with("(error) WRONGTYPE"), "{command}");
    }
    assert_eq!(bench.run("SMOVE missing z a"), "0");
}

#[test]
fn a_popped_member_is_propagated_as_its_removal() {
    let mut bench = Bench::new();
    bench.run("SADD s only");
    assert_eq!(bench.run("SPOP s"), r#""only""#);
    assert_eq!(bench.effects(), "SREM s only");
    assert_eq!(bench.events(), "spop s; del s");
    assert_eq!(bench.run("SPOP s"), "(nil)");
    assert_eq!(bench.run("SPOP s 3"), "[]");
    bench.run("SADD s 1 2 3");
    let popped = bench.run("SPOP s");
    assert_eq!(bench.effects(), format!("SREM s {}", popped.trim_matches('"')));
    for bad in ["-1", "x"] {
        assert_eq!(
            bench.run(&format!("SPOP s {bad}")),
            "(error) ERR value is out of range, must be positive"
        );
    }
    assert_eq!(bench.run("SPOP s 1 2"), "(error) ERR syntax error");
}

#[test]
fn many_popped_members_are_propagated_in_batches() {
    let mut bench = Bench::new();
    for member in 0..3_000 {
        bench.run(&format!("SADD s member:{member}"));
    }
    let popped = bench.run("SPOP s 2100");
    assert_eq!(members(&popped).len(), 2100);
    assert_eq!(bench.dirty(), 2100);
    let effects = bench.effects();
    let words: Vec<usize> = effects.split("; ").map(|command| command.split(' ').count()).collect();
    assert_eq!(words, [1026, 1026, 54]);
    assert!(effects.split("; ").all(|command| command.starts_with("SREM s member:")));
    // Nearly all of it: what stays becomes a new set.
    assert_eq!(members(&bench.run("SPOP s 890")).len(), 890);
    assert_eq!(bench.run("SCARD s"), "10");
}

#[test]
fn a_set_popped_whole_is_propagated_as_the_removal_of_its_key() {
    let mut bench = Bench::new();
    bench.run("SADD s a b");
    same_members(&bench.run("SPOP s 10"), &["a", "b"]);
    assert_eq!((bench.effects().as_str(), bench.dirty()), ("DEL s", 2));
    assert_eq!(bench.events(), "spop s; del s");
    bench.run("SADD s a");
    bench.limits.lazy_server_del = true;
    bench.run("SPOP s 1");
    assert_eq!(bench.effects(), "UNLINK s");
}

#[test]
fn members_by_chance_are_distinct_unless_asked_otherwise() {
    let mut bench = Bench::new();
    bench.run("SADD s a b c d e");
    for count in 1..7 {
        let mut found = members(&bench.run(&format!("SRANDMEMBER s {count}")));
        found.dedup();
        assert_eq!(found.len(), count.min(5));
    }
    assert_eq!(members(&bench.run("SRANDMEMBER s -20")).len(), 20);
    assert_eq!(bench.run("SRANDMEMBER s 0"), "[]");
    assert_eq!(bench.run("SRANDMEMBER missing -5"), "[]");
    assert_eq!(bench.run("SRANDMEMBER missing"), "(nil)");
    let too_many = bench.run("SRANDMEMBER s -9223372036854775807");
    assert!(too_many.starts_with("(error) ERR value is out of range"), "{too_many}");
    assert!(bench.run("SRANDMEMBER s -9223372036854775808").starts_with("(error) ERR value is out of range"));
}

#[test]
fn a_member_moves() {
    let mut bench = Bench::new();
    bench.run("SADD s a b");
    assert_eq!(bench.run("SMOVE s t a"), "1");
    assert_eq!((bench.events().as_str(), bench.dirty()), ("srem s; new t; sadd t", 2));
    assert_eq!(bench.run("SMOVE s t a"), "0");
    assert_eq!(bench.run("SMOVE s s b"), "1");
    assert_eq!(bench.run("SMOVE s s x"), "0");
    assert_eq!(bench.effects(), "");
    bench.run("SADD t b");
    assert_eq!(bench.run("SMOVE s t b"), "1");
    assert_eq!((bench.events().as_str(), bench.dirty()), ("srem s; del s", 1));
}

#[test]
fn sets_are_combined() {
    let mut bench = Bench::new();
    bench.run("SADD x 1 2 3 4 a");
    bench.run("SADD y 3 4 5 a");
    bench.run("SADD z 4 a q");
    same_members(&bench.run("SINTER x y z"), &["4", "a"]);
    same_members(&bench.run("SINTER x x"), &["1", "2", "3", "4", "a"]);
    same_members(&bench.run("SINTER x missing"), &[]);
    same_members(&bench.run("SUNION x y z missing"), &["1", "2", "3", "4", "5", "a", "q"]);
    same_members(&bench.run("SDIFF x y missing"), &["1", "2"]);
    same_members(&bench.run("SDIFF x y x"), &[]);
    same_members(&bench.run("SDIFF missing x"), &[]);
    assert_eq!(bench.run("SINTERCARD 2 x y"), "3");
    assert_eq!(bench.run("SINTERCARD 2 x y LIMIT 2"), "2");
    assert_eq!(bench.run("SINTERCARD 2 x y LIMIT 0"), "3");
    assert_eq!(bench.run("SINTERCARD 0 x"), "(error) ERR numkeys should be greater than 0");
    assert_eq!(bench.run("SINTERCARD x x"), "(error) ERR numkeys should be greater than 0");
    assert_eq!(
        bench.run("SINTERCARD 2 x"),
        "(error) ERR Number of keys can't be greater than number of args"
    );
    assert_eq!(bench.run("SINTERCARD 1 x LIMIT -1"), "(error) ERR LIMIT can't be negative");
    assert_eq!(bench.run("SINTERCARD 1 x LIMIT"), "(error) ERR syntax error");
}

#[test]
fn results_are_stored_in_place_of_anything() {
    let mut bench = Bench::new();
    bench.run("SADD x 1 2 3");
    bench.run("SADD y 2 3 4");
    bench.run("ZADD d 1 a");
    assert_eq!(bench.run("SINTERSTORE d x y"), "2");
    assert_eq!((bench.events().as_str(), bench.dirty()), ("sinterstore d", 1));
    same_members(&bench.run("SMEMBERS d"), &["2", "3"]);
    assert_eq!(bench.run("SUNIONSTORE d x y"), "4");
    assert_eq!(bench.run("SDIFFSTORE x x y"), "1");
    same_members(&bench.run("SMEMBERS x"), &["1"]);
    assert_eq!(bench.run("SINTERSTORE d x y"), "0");
    assert_eq!((bench.events().as_str(), bench.dirty()), ("del d", 1));
    assert_eq!(bench.run("SDIFFSTORE d missing y"), "0");
    assert_eq!(bench.effects(), "");
}

#[test]
fn both_ways_to_subtract_agree() {
    let mut bench = Bench::new();
    // One large set and many small ones: removal is cheaper than look-ups.
    for member in 0..200 {
        bench.run(&format!("SADD large {member}"));
    }
    let mut keys = String::new();
    for number in 0..20 {
        bench.run(&format!("SADD small:{number} {number} other"));
        keys += &format!(" small:{number}");
    }
    assert_eq!(members(&bench.run(&format!("SDIFF large{keys}"))).len(), 180);
    assert_eq!(bench.run(&format!("SDIFFSTORE d large{keys}")), "180");
    assert_eq!(members(&bench.run(&format!("SDIFF large{keys} large"))).len(), 0);
    assert_eq!(bench.run("SINTERCARD 2 large d"), "180");
}

#[test]
fn a_walk_sees_every_member() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("SSCAN missing 0 NONSENSE"), r#"["0", []]"#);
    bench.run("SADD small 1 2 12");
    assert_eq!(bench.run("SSCAN small 0 MATCH 1*"), r#"["0", ["1", "12"]]"#);
    assert_eq!(bench.run("SSCAN small x"), "(error) ERR invalid cursor");
    assert_eq!(bench.run("SSCAN small 0 COUNT 0"), "(error) ERR syntax error");
    for member in 0..1_000 {
        bench.run(&format!("SADD s member:{member}"));
    }
    let (mut cursor, mut seen, mut calls) = ("0".to_owned(), Vec::new(), 0);
    loop {
        let reply = bench.run(&format!("SSCAN s {cursor} COUNT 50"));
        let (next, page) = reply[2..].split_once("\", ").expect("a cursor and a page");
        seen.extend(members(&page[..page.len() - 1]));
        cursor = next.to_owned();
        calls += 1;
        if cursor == "0" {
            break;
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 1_000);
    assert!((5..=40).contains(&calls), "{calls}");
}

#[test]
fn many_members_meet_in_the_order_of_the_smaller_set() {
    let mut bench = Bench::new();
    for number in 0..100 {
        bench.run(&format!("SADD two m{}", number * 2));
        bench.run(&format!("SADD three m{}", (99 - number) * 3));
        bench.run(&format!("SADD numbers {}", number * 5));
    }
    bench.run("SADD three extra 20 45");
    bench.run("SADD all m0 m6 m12 20 45");
    let common: Vec<String> = (0..=33).map(|number| format!("\"m{}\"", number * 6)).collect();
    assert_eq!(bench.run("SINTER three two"), format!("[{}]", common.join(", ")));
    assert_eq!(bench.run("SINTERCARD 2 three two LIMIT 7"), "7");
    same_members(&bench.run("SINTER three two all"), &["m0", "m12", "m6"]);
    same_members(&bench.run("SINTER numbers three"), &["20", "45"]);
    let rest: Vec<String> = (0..100).filter(|n| n % 3 != 0).map(|n| format!("\"m{}\"", n * 2)).collect();
    assert_eq!(bench.run("SDIFF two three"), format!("[{}]", rest.join(", ")));
}
