//! Strings through the harness: replies, effects, events and errors, as 7.2.4 has them.

use crate::testing::{Bench, START_MS};

const WRONG_TYPE: &str = "(error) WRONGTYPE Operation against a key holding the wrong kind of value";
const SYNTAX: &str = "(error) ERR syntax error";
const NOT_INTEGER: &str = "(error) ERR value is not an integer or out of range";

#[test]
fn a_string_is_set_and_read() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("SET a hello"), "OK");
    assert_eq!((bench.effects().as_str(), bench.events().as_str()), ("SET a hello", "new a; set a"));
    assert_eq!((bench.dirty(), bench.touched()), (1, 1));
    assert_eq!(bench.run("GET a"), "\"hello\"");
    assert_eq!(bench.run("GET b"), "(nil)");
    assert_eq!((bench.dirty(), bench.effects().as_str(), bench.lookups()), (0, "", (1, 1)));
    assert_eq!(bench.run("SET a 12"), "OK");
    assert_eq!(bench.events(), "set a");
    assert_eq!(bench.run("GET a"), "\"12\"");
    assert_eq!(bench.run("OBJECT ENCODING a"), "\"int\"");
    assert_eq!(bench.run("GET"), "(error) ERR wrong number of arguments for 'get' command");
}

#[test]
fn set_obeys_its_conditions() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("SET a 1 XX"), "(nil)");
    assert_eq!(bench.run("SET a 1 NX"), "OK");
    assert_eq!(bench.run("SET a 2 nx"), "(nil)");
    assert_eq!((bench.dirty(), bench.effects().as_str()), (0, ""));
    assert_eq!(bench.run("SET a 3 XX GET"), "\"1\"");
    assert_eq!(bench.effects(), "SET a 3 XX");
    assert_eq!(bench.run("SET a 4 NX GET"), "\"3\"");
    assert_eq!(bench.effects(), "");
    assert_eq!(bench.run("SET b 4 NX GET"), "(nil)");
    assert_eq!(bench.run("GET b"), "\"4\"");
    assert_eq!(bench.run("SETNX b 5"), "0");
    assert_eq!(bench.run("SETNX c 5"), "1");
    for line in ["SET a 1 NX XX", "SET a 1 XX NX", "SET a 1 EX", "SET a 1 EX 5 PX 5", "SET a 1 KEEPTTL EX 5"]
    {
        assert_eq!(bench.run(line), SYNTAX, "{line}");
    }
    for line in ["SET a 1 EX 5 KEEPTTL", "SET a 1 PERSIST", "SET a 1 EX NX 5"] {
        assert_eq!(bench.run(line), SYNTAX, "{line}");
    }
}

#[test]
fn a_lifetime_is_propagated_as_a_moment() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("SET a 1 EX 10"), "OK");
    assert_eq!(bench.effects(), format!("SET a 1 PXAT {}", START_MS + 10_000));
    assert_eq!(bench.events(), "new a; set a; expire a");
    assert_eq!(bench.run("SET a 1 PX 1500 GET"), "\"1\"");
    assert_eq!(bench.effects(), format!("SET a 1 PXAT {}", START_MS + 1_500));
    assert_eq!(bench.run("PTTL a"), "1500");
    assert_eq!(bench.run("SET a 2 KEEPTTL"), "OK");
    assert_eq!(bench.run("PTTL a"), "1500");
    assert_eq!(bench.run("SET a 2"), "OK");
    assert_eq!(bench.run("PTTL a"), "-1");
    assert_eq!(bench.run("SETEX a 2 x"), "OK");
    assert_eq!(bench.effects(), format!("SET a x PXAT {}", START_MS + 2_000));
    assert_eq!(bench.run("PSETEX a 2 x"), "OK");
    assert_eq!(bench.effects(), format!("SET a x PXAT {}", START_MS + 2));
    let line = format!("SET a 1 PXAT {}", START_MS + 77);
    assert_eq!(bench.run(&line), "OK");
    assert_eq!(bench.effects(), line);
    assert_eq!(bench.run(&format!("SET a 1 EXAT {} EXAT {}", START_MS, START_MS / 1_000 + 9)), "OK");
    assert_eq!(bench.run("PTTL a"), "9000");
}

#[test]
fn a_lifetime_out_of_range_is_refused() {
    let mut bench = Bench::new();
    let invalid = |command: &str| format!("(error) ERR invalid expire time in '{command}' command");
    for line in
        ["SET a 1 EX 0", "SET a 1 PX -1", "SET a 1 EX 9223372036854775807", "SET a 1 PX 9223372036854775807"]
    {
        assert_eq!(bench.run(line), invalid("set"), "{line}");
    }
    assert_eq!(bench.run("SETEX a 0 x"), invalid("setex"));
    assert_eq!(bench.run("PSETEX a -5 x"), invalid("psetex"));
    assert_eq!(bench.run("SET a 1 EX ten"), NOT_INTEGER);
    assert_eq!(bench.run("EXISTS a"), "0");
    bench.run("SET a 1");
    assert_eq!(bench.run("GETEX a EX 0"), invalid("getex"));
}

#[test]
fn an_expired_string_is_gone_and_that_is_propagated_first() {
    let mut bench = Bench::new();
    bench.run("SET a 1 PX 10");
    bench.sleep(10);
    assert_eq!(bench.run("GET a"), "\"1\"");
    bench.sleep(1);
    assert_eq!(bench.run("GET a"), "(nil)");
    assert_eq!((bench.effects().as_str(), bench.events().as_str()), ("DEL a", "expired a"));
    assert_eq!(bench.misses(), "keymiss a");
    bench.run("SET a 1 PX 10");
    bench.sleep(11);
    assert_eq!(bench.run("INCR a"), "1");
    assert_eq!(bench.effects(), "DEL a; INCR a");
    assert_eq!(bench.events(), "expired a; new a; incrby a");
    assert_eq!(bench.run("TTL a"), "-1");
}

#[test]
fn former_values_are_returned() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("GETSET a 1"), "(nil)");
    assert_eq!(bench.run("GETSET a 2"), "\"1\"");
    assert_eq!(bench.effects(), "SET a 2");
    assert_eq!(bench.run("GETDEL a"), "\"2\"");
    assert_eq!((bench.effects().as_str(), bench.events().as_str()), ("DEL a", "del a"));
    assert_eq!(bench.run("GETDEL a"), "(nil)");
    assert_eq!(bench.effects(), "");
}

#[test]
fn getex_changes_the_lifetime() {
    let mut bench = Bench::new();
    bench.run("SET a 1");
    assert_eq!(bench.run("GETEX a"), "\"1\"");
    assert_eq!(bench.effects(), "");
    assert_eq!(bench.run("GETEX a PERSIST"), "\"1\"");
    assert_eq!(bench.effects(), "");
    assert_eq!(bench.run("GETEX a EX 5"), "\"1\"");
    assert_eq!(bench.effects(), format!("PEXPIREAT a {}", START_MS + 5_000));
    assert_eq!(bench.run("GETEX a PERSIST"), "\"1\"");
    assert_eq!((bench.effects().as_str(), bench.events().as_str()), ("PERSIST a", "persist a"));
    assert_eq!(bench.run("GETEX a PXAT 1"), "\"1\"");
    assert_eq!((bench.effects().as_str(), bench.events().as_str()), ("DEL a", "del a"));
    assert_eq!(bench.run("GETEX a EX 5"), "(nil)");
    for line in ["GETEX a EX 5 PERSIST", "GETEX a PERSIST EX 5", "GETEX a KEEPTTL", "GETEX a EX"] {
        assert_eq!(bench.run(line), SYNTAX, "{line}");
    }
}

#[test]
fn several_strings_at_once() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("MSET a 1 b 2 a 3"), "OK");
    assert_eq!((bench.dirty(), bench.events().as_str()), (3, "new a; set a; new b; set b; set a"));
    assert_eq!(bench.run("MGET a missing b"), r#"["3", (nil), "2"]"#);
    assert_eq!(bench.run("MSETNX c 1 b 2"), "0");
    assert_eq!(bench.run("EXISTS c"), "0");
    assert_eq!(bench.run("MSETNX c 1 d 2"), "1");
    assert_eq!(bench.run("MSET a 1 b"), "(error) ERR wrong number of arguments for 'mset' command");
    assert_eq!(bench.run("MSETNX a 1 b"), "(error) ERR wrong number of arguments for 'msetnx' command");
}

#[test]
fn numbers_are_counted_within_64_bits() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("INCR n"), "1");
    assert_eq!(bench.events(), "new n; incrby n");
    assert_eq!(bench.run("INCRBY n 41"), "42");
    assert_eq!(bench.run("DECR n"), "41");
    assert_eq!(bench.run("DECRBY n 42"), "-1");
    bench.run("SET n 9223372036854775807");
    assert_eq!(bench.run("INCR n"), "(error) ERR increment or decrement would overflow");
    assert_eq!(bench.run("DECRBY n -9223372036854775808"), "(error) ERR decrement would overflow");
    bench.run("SET n -9223372036854775808");
    assert_eq!(bench.run("DECR n"), "(error) ERR increment or decrement would overflow");
    assert_eq!(bench.run("INCRBY n x"), NOT_INTEGER);
    bench.run("SET n \" 11\"");
    assert_eq!(bench.run("INCR n"), NOT_INTEGER);
    bench.run("SET n 1 PX 100");
    bench.run("INCR n");
    assert_eq!(bench.run("PTTL n"), "100");
    assert_eq!(bench.run("OBJECT ENCODING n"), "\"int\"");
}

#[test]
fn fractions_are_propagated_as_they_came_out() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("INCRBYFLOAT f 0.1"), "\"0.1\"");
    assert_eq!(bench.run("INCRBYFLOAT f 0.2"), "\"0.3\"");
    assert_eq!((bench.effects().as_str(), bench.events().as_str()), ("SET f 0.3 KEEPTTL", "incrbyfloat f"));
    assert_eq!(bench.run("INCRBYFLOAT f x"), "(error) ERR value is not a valid float");
    assert_eq!(bench.run("INCRBYFLOAT f +inf"), "(error) ERR increment would produce NaN or Infinity");
    bench.run("SET f abc");
    assert_eq!(bench.run("INCRBYFLOAT f 1"), "(error) ERR value is not a valid float");
    assert_eq!(bench.run("INCRBYFLOAT fresh x"), "(error) ERR value is not a valid float");
    assert_eq!(bench.run("EXISTS fresh"), "0");
}

#[test]
fn parts_are_read_appended_and_overwritten() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("APPEND s 12"), "2");
    assert_eq!(bench.run("OBJECT ENCODING s"), "\"int\"");
    assert_eq!(bench.run("APPEND s 34"), "4");
    assert_eq!((bench.events().as_str(), bench.run("OBJECT ENCODING s").as_str()), ("append s", "\"raw\""));
    assert_eq!(bench.run("STRLEN s"), "4");
    assert_eq!(bench.run("STRLEN none"), "0");
    bench.run("SET s \"This is a string\"");
    for (range, part) in [
        ("0 3", "This"),
        ("-3 -1", "ing"),
        ("0 -1", "This is a string"),
        ("10 100", "string"),
        ("-1 -5", ""),
        ("5 3", ""),
        ("-100 -17", "T"),
        ("100 200", ""),
        ("-9223372036854775808 9223372036854775807", "This is a string"),
    ] {
        assert_eq!(bench.run(&format!("GETRANGE s {range}")), format!("\"{part}\""), "{range}");
        assert_eq!(bench.run(&format!("SUBSTR s {range}")), format!("\"{part}\""), "{range}");
    }
    assert_eq!(bench.run("GETRANGE none 0 -1"), "\"\"");
    assert_eq!(bench.run("GETRANGE s a 1"), NOT_INTEGER);
    bench.run("SET n 1234");
    assert_eq!(bench.run("GETRANGE n 1 2"), "\"23\"");
    assert_eq!(bench.run("SETRANGE s 10 \"STRING\""), "16");
    assert_eq!(bench.run("GET s"), "\"This is a STRING\"");
    assert_eq!(bench.run("SETRANGE fresh 2 x"), "3");
    assert_eq!(bench.events(), "new fresh; setrange fresh");
    assert_eq!(bench.run("GET fresh"), r#""\x00\x00x""#);
    assert_eq!(bench.run("SETRANGE other 5 \"\""), "0");
    assert_eq!(bench.run("SETRANGE s 5 \"\""), "16");
    assert_eq!((bench.dirty(), bench.run("EXISTS other")), (0, "0".to_owned()));
    assert_eq!(bench.run("SETRANGE s -1 x"), "(error) ERR offset is out of range");
}

#[test]
fn strings_grow_to_the_limit_only() {
    let mut bench = Bench::new();
    bench.limits.string_bytes_max = 10;
    let too_long = "(error) ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    bench.run("SET s 1234567890");
    assert_eq!(bench.run("APPEND s x"), too_long);
    assert_eq!(bench.run("SETRANGE s 10 x"), too_long);
    assert_eq!(bench.run("SETRANGE fresh 9223372036854775807 x"), too_long);
    assert_eq!(bench.run("EXISTS fresh"), "0");
    assert_eq!(bench.run("SETRANGE s 9 x"), "10");
}

#[test]
fn large_values_go_round_every_way() {
    let mut bench = Bench::new();
    let large = vec![b'x'; 2_000_000];
    bench.run_words(&[b"SET", b"a", &large]);
    bench.run_words(&[b"SETEX", b"b", b"10", &large]);
    bench.run_words(&[b"APPEND", b"c", &large]);
    bench.run_words(&[b"MSET", b"d", &large, b"e", b"small"]);
    bench.run("SETRANGE a 50000 y");
    assert_eq!(bench.run("STRLEN a"), "2000000");
    assert_eq!(bench.run("GETRANGE a 49999 50001"), "\"xyx\"");
    assert_eq!(bench.take_garbage(), 0);
    bench.run("SET a small");
    assert_eq!(bench.take_garbage(), 1, "the former value is freed elsewhere");
    assert_eq!(bench.run("APPEND c y"), "2000001");
}

#[test]
fn the_longest_common_subsequence() {
    let mut bench = Bench::new();
    bench.run("MSET a ohmytext b mynewtext");
    assert_eq!(bench.run("LCS a b"), "\"mytext\"");
    assert_eq!(bench.run("LCS a b LEN"), "6");
    assert_eq!(bench.run("LCS a b IDX"), r#"["matches", [[[4, 7], [5, 8]], [[2, 3], [0, 1]]], "len", 6]"#);
    assert_eq!(
        bench.run("LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN"),
        r#"["matches", [[[4, 7], [5, 8], 4]], "len", 6]"#
    );
    assert_eq!(bench.run("LCS a none"), "\"\"");
    assert_eq!(bench.run("LCS none none IDX"), r#"["matches", [], "len", 0]"#);
    assert_eq!(
        bench.run("LCS a b LEN IDX"),
        "(error) ERR If you want both the length and indexes, please just use IDX."
    );
    assert_eq!(bench.run("LCS a b MINMATCHLEN"), SYNTAX);
    bench.limits.string_bytes_max = 100;
    assert_eq!(
        bench.run("LCS a b"),
        "(error) ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"
    );
}

#[test]
fn other_types_are_refused_and_overwritten_by_set_alone() {
    let mut bench = Bench::new();
    bench.put_list("l", &["x"]);
    for line in [
        "GET l",
        "GETDEL l",
        "GETEX l",
        "GETEX l EX 0",
        "GETSET l 1",
        "SET l 1 GET",
        "APPEND l 1",
        "STRLEN l",
        "INCR l",
        "INCRBYFLOAT l 1",
        "GETRANGE l 0 1",
        "SETRANGE l 0 x",
        "SETRANGE l 0 \"\"",
    ] {
        assert_eq!(bench.run(line), WRONG_TYPE, "{line}");
    }
    assert_eq!(bench.run("LCS l l"), "(error) ERR The specified keys must contain string values");
    assert_eq!(bench.run("MGET l"), "[(nil)]");
    assert_eq!(bench.run("SET l 1"), "OK");
    assert_eq!((bench.events().as_str(), bench.run("TYPE l").as_str()), ("set l", "string"));
}

#[test]
fn many_keys_are_set_and_read_together() {
    let mut bench = Bench::new();
    let pairs: Vec<String> = (0..50).map(|number| format!("k{number} v{number}")).collect();
    assert_eq!(bench.run(&format!("MSET {}", pairs.join(" "))), "OK");
    let keys: Vec<String> = (0..50).rev().map(|number| format!("k{number}")).collect();
    let values: Vec<String> = (0..50).rev().map(|number| format!("\"v{number}\"")).collect();
    assert_eq!(bench.run(&format!("MGET {}", keys.join(" "))), format!("[{}]", values.join(", ")));
}
