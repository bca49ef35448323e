//! Hash commands against what Redis 7.2 answers, counts, notifies and propagates.

use std::collections::BTreeSet;

use super::COMMANDS;
use crate::testing::Bench;
use tenon_resp::{Proto, Value};

/// Runs each line and compares its reply.
fn speak(bench: &mut Bench, lines: &[(&str, &str)]) {
    for (line, expected) in lines {
        assert_eq!(bench.run(line), *expected, "{line}");
    }
}

/// A bench with a hash `large` of `count` fields `field:0`, `field:1` ... with their numbers.
fn with_large(count: usize) -> Bench {
    let mut bench = Bench::new();
    for number in 0..count {
        bench.run(&format!("HSET large field:{number} {number}"));
    }
    bench
}

const WRONG_TYPE: &str = "(error) WRONGTYPE Operation against a key holding the wrong kind of value";
const NOT_INTEGER: &str = "(error) ERR value is not an integer or out of range";
const SYNTAX: &str = "(error) ERR syntax error";

#[test]
fn rows_are_in_order_and_hold_together() {
    assert!(COMMANDS.is_sorted_by(|one, next| one.name < next.name));
    for row in COMMANDS {
        assert_eq!(row.keys.len(), 1, "{}", row.name);
        assert_eq!(row.arguments[0].key_spec, Some(0), "{}", row.name);
    }
}

#[test]
fn fields_are_set_counted_and_read() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("HSET h a 1 b 2 a 3"), "2");
    assert_eq!((bench.dirty(), bench.touched()), (3, 1));
    assert_eq!(bench.effects(), "HSET h a 1 b 2 a 3");
    assert_eq!(bench.run("HMSET h b 4 c five"), "OK");
    assert_eq!((bench.dirty(), bench.events()), (2, "hset h".into()));
    speak(
        &mut bench,
        &[
            ("HGET h a", r#""3""#),
            ("HGET h none", "(nil)"),
            ("HGET none a", "(nil)"),
            ("HMGET h a none c", r#"["3", (nil), "five"]"#),
            ("HMGET none a b", "[(nil), (nil)]"),
            ("HLEN h", "3"),
            ("HLEN none", "0"),
            ("HEXISTS h a", "1"),
            ("HEXISTS h none", "0"),
            ("HEXISTS none a", "0"),
            ("HSTRLEN h c", "4"),
            ("HSTRLEN h b", "1"),
            ("HSTRLEN h none", "0"),
            ("HSTRLEN none a", "0"),
            ("HSET h a 1 b", "(error) ERR wrong number of arguments for 'hset' command"),
            ("HMSET h a 1 b", "(error) ERR wrong number of arguments for 'hmset' command"),
        ],
    );
    assert_eq!(bench.lookups(), (9, 5));
}

#[test]
fn hsetnx_sets_only_what_is_missing() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("HSETNX h f 1"), "1");
    assert_eq!((bench.dirty(), bench.effects()), (1, "HSETNX h f 1".into()));
    assert_eq!(bench.run("HSETNX h f 2"), "0");
    assert_eq!((bench.dirty(), bench.events(), bench.effects()), (0, String::new(), String::new()));
    assert_eq!(bench.run("HSETNX h g 2"), "1");
    assert_eq!(bench.events(), "hset h");
    assert_eq!(bench.run("HMGET h f g"), r#"["1", "2"]"#);
}

#[test]
fn hdel_removes_an_empty_key() {
    let mut bench = Bench::new();
    bench.run("HSET h a 1 b 2 c 3");
    assert_eq!(bench.run("HDEL h a none a"), "1");
    assert_eq!((bench.dirty(), bench.events()), (1, "hdel h".into()));
    assert_eq!(bench.run("HDEL h none"), "0");
    assert_eq!((bench.dirty(), bench.events(), bench.effects()), (0, String::new(), String::new()));
    assert_eq!(bench.run("HDEL h c b none"), "2");
    assert_eq!((bench.dirty(), bench.events()), (2, "hdel h; del h".into()));
    speak(&mut bench, &[("HDEL h a", "0"), ("HLEN h", "0")]);
}

#[test]
fn everything_is_read_as_a_map_or_in_parts() {
    let mut bench = Bench::new();
    bench.run("HSET h a 1 b 2");
    speak(
        &mut bench,
        &[
            ("HGETALL h", r#"["a", "1", "b", "2"]"#),
            ("HKEYS h", r#"["a", "b"]"#),
            ("HVALS h", r#"["1", "2"]"#),
            ("HGETALL none", "[]"),
            ("HKEYS none", "[]"),
            ("HVALS none", "[]"),
        ],
    );
    bench.proto = Proto::Resp3;
    speak(
        &mut bench,
        &[("HGETALL h", r#"{"a": "1", "b": "2"}"#), ("HGETALL none", "{}"), ("HVALS none", "[]")],
    );
}

#[test]
fn hincrby_adds_whole_numbers() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("HINCRBY h f 3"), "3");
    assert_eq!(bench.run("HINCRBY h f 2"), "5");
    assert_eq!((bench.dirty(), bench.events()), (1, "hincrby h".into()));
    assert_eq!(bench.effects(), "HINCRBY h f 2");
    bench.run("HSET h word x float 1.5 space \" 1\" big 9223372036854775807 long 17");
    bench.run_words(&[b"HSET", b"h", b"padding", &[b'x'; 65]]); // now it is a table
    let not_integer = "(error) ERR hash value is not an integer";
    let overflow = "(error) ERR increment or decrement would overflow";
    speak(
        &mut bench,
        &[
            ("HINCRBY h f -7", "-2"),
            ("HINCRBY h long 3", "20"),
            ("HINCRBY h word 1", not_integer),
            ("HINCRBY h float 1", not_integer),
            ("HINCRBY h space 1", not_integer),
            ("HINCRBY h big 1", overflow),
            ("HINCRBY h f -9223372036854775808", overflow),
            ("HINCRBY h f 1.5", NOT_INTEGER),
            ("HINCRBY none f x", NOT_INTEGER),
            ("HMGET h f big", r#"["-2", "9223372036854775807"]"#),
            ("HLEN none", "0"),
        ],
    );
}

#[test]
fn hincrbyfloat_propagates_its_result() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("HINCRBYFLOAT h f 10"), r#""10""#);
    assert_eq!(bench.run("HINCRBYFLOAT h f 0.50"), r#""10.5""#);
    assert_eq!((bench.dirty(), bench.events()), (1, "hincrbyfloat h".into()));
    assert_eq!(bench.effects(), "HSET h f 10.5");
    bench.run("HSET h whole 3 word x empty \"\" infinite inf");
    let not_finite = "(error) ERR increment would produce NaN or Infinity";
    speak(
        &mut bench,
        &[
            ("HINCRBYFLOAT h f 0.1", r#""10.6""#),
            ("HINCRBYFLOAT h f -5", r#""5.6""#),
            ("HINCRBYFLOAT h whole 5.0e3", r#""5003""#),
            ("HINCRBYFLOAT h third 0.3333333333333333333", r#""0.33333333333333333""#),
            ("HINCRBYFLOAT h word 1", "(error) ERR hash value is not a float"),
            ("HINCRBYFLOAT h empty 1", "(error) ERR hash value is not a float"),
            ("HINCRBYFLOAT h infinite 1", not_finite),
            ("HINCRBYFLOAT h f x", "(error) ERR value is not a valid float"),
            ("HINCRBYFLOAT h f nan", "(error) ERR value is not a valid float"),
            ("HINCRBYFLOAT none f inf", "(error) ERR value is NaN or Infinity"),
            ("HGET h f", r#""5.6""#),
            ("HLEN none", "0"),
        ],
    );
}

#[test]
fn a_scan_of_a_compact_hash_returns_all_at_once() {
    let mut bench = Bench::new();
    bench.run("HSET h a 1 b 2 12 3");
    speak(
        &mut bench,
        &[
            ("HSCAN h 0", r#"["0", ["a", "1", "b", "2", "12", "3"]]"#),
            ("HSCAN h 0 COUNT 1", r#"["0", ["a", "1", "b", "2", "12", "3"]]"#),
            ("HSCAN h 77 MATCH 1*", r#"["0", ["12", "3"]]"#),
            ("HSCAN h 0 match none count 5", r#"["0", []]"#),
            ("HSCAN none 0", r#"["0", []]"#),
            ("HSCAN none 0 COUNT x", r#"["0", []]"#),
            ("HSCAN none x", "(error) ERR invalid cursor"),
            ("HSCAN h -", "(error) ERR invalid cursor"),
            ("HSCAN h 0 COUNT x", NOT_INTEGER),
            ("HSCAN h 0 COUNT 0", SYNTAX),
            ("HSCAN h 0 TYPE hash", SYNTAX),
        ],
    );
}

#[test]
fn a_scan_of_a_large_hash_sees_every_field() {
    let mut bench = with_large(1_000);
    let mut seen = BTreeSet::new();
    let (mut cursor, mut calls) = ("0".to_owned(), 0);
    loop {
        let reply = bench.run_words(&[b"HSCAN", b"large", cursor.as_bytes(), b"COUNT", b"50"]);
        let [Value::Bulk(next), Value::Array(pairs)] = reply.as_elements().expect("an array") else {
            panic!("{reply:?}")
        };
        for pair in pairs.chunks(2) {
            let text = |value: &Value| String::from_utf8(value.as_bytes().unwrap().to_vec()).unwrap();
            assert_eq!(text(&pair[0]), format!("field:{}", text(&pair[1])));
            seen.insert(text(&pair[0]));
        }
        cursor = String::from_utf8(next.clone()).unwrap();
        calls += 1;
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(seen.len(), 1_000);
    assert!((5..=25).contains(&calls), "{calls} calls");
    assert_eq!(bench.run("HSCAN large 0 COUNT 100000 MATCH field:123"), r#"["0", ["field:123", "123"]]"#);
    assert_eq!(bench.run("HSCAN large 18446744073709551615"), r#"["0", []]"#);
}

#[test]
fn random_fields_are_distinct_unless_the_count_is_negative() {
    let mut bench = with_large(300);
    let fields = |bench: &mut Bench, line: &str| -> Vec<Value> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        bench.run_words(&words).as_elements().expect("an array").to_vec()
    };
    for count in [1, 10, 299, 300, 1_000] {
        let found = fields(&mut bench, &format!("HRANDFIELD large {count}"));
        let distinct: BTreeSet<_> = found.iter().map(|field| field.as_bytes().unwrap().to_vec()).collect();
        assert_eq!((found.len(), distinct.len()), (count.min(300), count.min(300)));
    }
    let found = fields(&mut bench, "HRANDFIELD large -2000");
    let distinct: BTreeSet<_> = found.iter().map(|field| field.as_bytes().unwrap().to_vec()).collect();
    assert_eq!(found.len(), 2_000);
    assert!((250..=300).contains(&distinct.len()), "{} of 300 fields", distinct.len());
    for pair in fields(&mut bench, "HRANDFIELD large -20 WITHVALUES").chunks(2) {
        assert_eq!(pair[0].as_bytes().unwrap(), [b"field:", pair[1].as_bytes().unwrap()].concat());
    }
}

#[test]
fn random_fields_have_the_shapes_of_both_protocols() {
    let mut bench = Bench::new();
    bench.run("HSET h f 7");
    let range =
        "(error) ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
    speak(
        &mut bench,
        &[
            ("HRANDFIELD h", r#""f""#),
            ("HRANDFIELD h 2", r#"["f"]"#),
            ("HRANDFIELD h 0", "[]"),
            ("HRANDFIELD h -2", r#"["f", "f"]"#),
            ("HRANDFIELD h 5 WITHVALUES", r#"["f", "7"]"#),
            ("HRANDFIELD h -2 withvalues", r#"["f", "7", "f", "7"]"#),
            ("HRANDFIELD none", "(nil)"),
            ("HRANDFIELD none 1", "[]"),
            ("HRANDFIELD h x", NOT_INTEGER),
            ("HRANDFIELD h 1 VALUES", SYNTAX),
            ("HRANDFIELD h 1 WITHVALUES x", SYNTAX),
            ("HRANDFIELD h -9223372036854775808", range),
            ("HRANDFIELD h -9223372036854770000 WITHVALUES", "(error) ERR value is out of range"),
            ("HRANDFIELD h 9223372036854775807", r#"["f"]"#),
        ],
    );
    bench.proto = Proto::Resp3;
    speak(
        &mut bench,
        &[
            ("HRANDFIELD h 5 WITHVALUES", r#"[["f", "7"]]"#),
            ("HRANDFIELD h -2 WITHVALUES", r#"[["f", "7"], ["f", "7"]]"#),
            ("HRANDFIELD h -1", r#"["f"]"#),
            ("HRANDFIELD none 1", "[]"),
        ],
    );
    bench.limits.string_bytes_max = 1_000;
    assert_eq!(bench.run("HRANDFIELD h -9223372036854775807"), "(error) ERR value is out of range");
}

#[test]
fn other_types_are_refused() {
    let mut bench = Bench::new();
    bench.run("RPUSH l a");
    for line in [
        "HSET l f v",
        "HMSET l f v",
        "HSETNX l f v",
        "HGET l f",
        "HMGET l f",
        "HDEL l f",
        "HLEN l",
        "HSTRLEN l f",
        "HEXISTS l f",
        "HGETALL l",
        "HKEYS l",
        "HVALS l",
        "HINCRBY l f 1",
        "HINCRBYFLOAT l f 1",
        "HSCAN l 0 COUNT x",
        "HRANDFIELD l",
        "HRANDFIELD l 1",
    ] {
        assert_eq!(bench.run(line), WRONG_TYPE, "{line}");
    }
}
