//! Keys of any type through the harness: replies, effects, events and errors, as 7.2.4 has them.

use crate::testing::{Bench, START_MS};

const SYNTAX: &str = "(error) ERR syntax error";

#[test]
fn keys_are_removed_and_counted() {
    let mut bench = Bench::new();
    bench.run("MSET a 1 b 2 c 3");
    assert_eq!(bench.run("EXISTS a a nothing"), "2");
    assert_eq!(bench.run("TOUCH a b nothing"), "2");
    assert_eq!(bench.lookups(), (4, 2));
    assert_eq!(bench.run("DEL a nothing b"), "2");
    assert_eq!((bench.dirty(), bench.touched(), bench.events().as_str()), (2, 2, "del a; del b"));
    assert_eq!(bench.effects(), "DEL a nothing b");
    assert_eq!(bench.run("UNLINK nothing"), "0");
    assert_eq!(bench.effects(), "");
    assert_eq!(bench.run("UNLINK c"), "1");
    assert_eq!(bench.run("DBSIZE"), "0");
}

#[test]
fn types_and_encodings_are_told() {
    let mut bench = Bench::new();
    bench.run("SET s text");
    bench.put_list("l", &["x"]);
    assert_eq!((bench.run("TYPE s"), bench.run("TYPE l")), ("string".to_owned(), "list".to_owned()));
    assert_eq!(bench.run("TYPE nothing"), "none");
    assert_eq!(bench.run("OBJECT ENCODING s"), "\"embstr\"");
    assert_eq!(bench.run("OBJECT ENCODING l"), "\"listpack\"");
    assert_eq!(bench.run("OBJECT ENCODING nothing"), "(nil)");
    assert_eq!(bench.run("OBJECT REFCOUNT s"), "1");
    assert_eq!(bench.run("OBJECT FREQ nothing"), "(nil)");
    assert!(bench.run("OBJECT FREQ s").starts_with("(error) ERR An LFU maxmemory policy is not selected"));
    assert_eq!(bench.run("OBJECT sHape s"), "(error) ERR unknown subcommand 'sHape'. Try OBJECT HELP.");
    assert!(bench.run("OBJECT HELP").contains("IDLETIME <key>"));
}

#[test]
fn idle_time_counts_from_the_last_use() {
    let mut bench = Bench::new();
    bench.run("SET a 1");
    bench.sleep(10_000);
    assert_eq!(bench.run("OBJECT IDLETIME a"), "10");
    bench.run("TTL a");
    bench.run("EXISTS a");
    assert_eq!(bench.run("OBJECT IDLETIME a"), "10");
    bench.run("TOUCH a");
    assert_eq!(bench.run("OBJECT IDLETIME a"), "0");
    for line in ["GET a", "SET a 2", "APPEND a 3", "INCR a"] {
        bench.sleep(5_000);
        bench.run(line);
        assert_eq!(bench.run("OBJECT IDLETIME a"), "0", "{line}");
    }
}

#[test]
fn lifetimes_are_set_told_and_taken_away() {
    let mut bench = Bench::new();
    bench.run("SET a 1");
    assert_eq!((bench.run("TTL a"), bench.run("PEXPIRETIME a")), ("-1".to_owned(), "-1".to_owned()));
    assert_eq!((bench.run("TTL b"), bench.run("EXPIRETIME b")), ("-2".to_owned(), "-2".to_owned()));
    assert_eq!(bench.run("EXPIRE a 10"), "1");
    assert_eq!(bench.effects(), format!("PEXPIREAT a {}", START_MS + 10_000));
    assert_eq!((bench.dirty(), bench.events().as_str()), (1, "expire a"));
    bench.sleep(600);
    assert_eq!(bench.run("TTL a"), "9");
    assert_eq!(bench.run("PTTL a"), "9400");
    assert_eq!(bench.run("EXPIRETIME a"), (START_MS / 1_000 + 10).to_string());
    assert_eq!(bench.run("PEXPIRETIME a"), (START_MS + 10_000).to_string());
    assert_eq!(bench.run("PERSIST a"), "1");
    assert_eq!((bench.effects().as_str(), bench.events().as_str()), ("PERSIST a", "persist a"));
    assert_eq!(bench.run("PERSIST a"), "0");
    assert_eq!(bench.run("PERSIST b"), "0");
    assert_eq!(bench.run("PEXPIRE a 1500"), "1");
    assert_eq!(bench.run("TTL a"), "2");
    assert_eq!(bench.run(&format!("EXPIREAT a {}", START_MS / 1_000 + 7)), "1");
    assert_eq!(bench.run("PTTL a"), "6400");
    assert_eq!(bench.run(&format!("PEXPIREAT a {}", START_MS + 7)), "1");
    assert_eq!((bench.effects().as_str(), bench.events().as_str()), ("DEL a", "del a"));
    assert_eq!(bench.run("EXPIRE a 10"), "0");
    assert_eq!(bench.effects(), "");
}

#[test]
fn lifetimes_obey_their_conditions() {
    let mut bench = Bench::new();
    bench.run("SET a 1");
    assert_eq!(bench.run("EXPIRE a 100 XX"), "0");
    assert_eq!(bench.run("EXPIRE a 100 GT"), "0");
    assert_eq!(bench.run("EXPIRE a 100 LT"), "1");
    assert_eq!(bench.run("EXPIRE a 200 NX"), "0");
    assert_eq!(bench.run("EXPIRE a 50 GT"), "0");
    assert_eq!(bench.run("EXPIRE a 200 gt xx"), "1");
    assert_eq!(bench.effects(), format!("PEXPIREAT a {}", START_MS + 200_000));
    assert_eq!(bench.run("EXPIRE a 300 LT"), "0");
    assert_eq!(bench.run("EXPIRE a -1 LT"), "1");
    assert_eq!(bench.run("EXISTS a"), "0");
    assert_eq!(
        bench.run("EXPIRE a 1 NX XX"),
        "(error) ERR NX and XX, GT or LT options at the same time are not compatible"
    );
    assert_eq!(
        bench.run("EXPIRE a 1 GT LT"),
        "(error) ERR GT and LT options at the same time are not compatible"
    );
    assert_eq!(bench.run("EXPIRE a 1 AB"), "(error) ERR Unsupported option AB");
    assert_eq!(bench.run("EXPIRE a x"), "(error) ERR value is not an integer or out of range");
    for (line, command) in [
        ("EXPIRE a 9223372036854775807", "expire"),
        ("EXPIREAT a -9223372036854775808", "expireat"),
        ("PEXPIRE a 9223372036854775807", "pexpire"),
    ] {
        assert_eq!(bench.run(line), format!("(error) ERR invalid expire time in '{command}' command"));
    }
    bench.run("SET a 1");
    assert_eq!(bench.run("PEXPIREAT a 9223372036854775807"), "1");
    assert_eq!(bench.run("EXPIRETIME a"), "9223372036854775");
}

#[test]
fn values_are_renamed_with_their_lifetime() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("RENAME a b"), "(error) ERR no such key");
    assert_eq!(bench.run("RENAMENX a a"), "(error) ERR no such key");
    bench.run("SET a 1 PX 5000");
    bench.run("SET b 2");
    assert_eq!(bench.run("RENAMENX a b"), "0");
    assert_eq!(bench.run("RENAMENX a a"), "0");
    assert_eq!(bench.run("RENAME a a"), "OK");
    assert_eq!(bench.dirty(), 0);
    assert_eq!(bench.run("RENAME a b"), "OK");
    assert_eq!((bench.dirty(), bench.touched()), (1, 2));
    assert_eq!(bench.events(), "new b; rename_from a; rename_to b");
    assert_eq!((bench.run("PTTL b"), bench.run("EXISTS a")), ("5000".to_owned(), "0".to_owned()));
    assert_eq!(bench.run("RENAMENX b c"), "1");
    assert_eq!(bench.run("GET c"), "\"1\"");
}

#[test]
fn values_are_copied() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("COPY a b"), "0");
    bench.run("SET a 1 EX 5");
    bench.put_list("l", &["x", "y"]);
    assert_eq!(bench.run("COPY a b"), "1");
    assert_eq!((bench.dirty(), bench.events().as_str()), (1, "new b; copy_to b"));
    assert_eq!((bench.run("PTTL b"), bench.run("COPY l b")), ("5000".to_owned(), "0".to_owned()));
    assert_eq!(bench.run("COPY l b REPLACE"), "1");
    assert_eq!((bench.run("TYPE b"), bench.run("TTL b")), ("list".to_owned(), "-1".to_owned()));
    assert_eq!(bench.run("COPY a a DB 2"), "1");
    assert_eq!(bench.events(), "@2 new a; @2 copy_to a");
    assert_eq!(bench.run("COPY a a"), "(error) ERR source and destination objects are the same");
    assert_eq!(bench.run("COPY a b DB 4"), "(error) ERR DB index is out of range");
    assert_eq!(bench.run("COPY a b DB"), SYNTAX);
    assert_eq!(bench.run("COPY a b DB x"), "(error) ERR value is not an integer or out of range");
    bench.select(2);
    assert_eq!(bench.run("PTTL a"), "5000");
}

#[test]
fn keys_are_moved_between_databases() {
    let mut bench = Bench::new();
    bench.run("MSET a 1 b 2");
    bench.run("EXPIRE a 5");
    assert_eq!(bench.run("MOVE a 1"), "1");
    assert_eq!(bench.events(), "@1 new a; move_from a; @1 move_to a");
    assert_eq!((bench.dirty(), bench.touched(), bench.effects().as_str()), (1, 2, "MOVE a 1"));
    assert_eq!(bench.run("MOVE a 1"), "0");
    bench.run("SET a 3");
    assert_eq!(bench.run("MOVE a 1"), "0");
    assert_eq!(bench.run("MOVE a 0"), "(error) ERR source and destination objects are the same");
    assert_eq!(bench.run("MOVE a 9"), "(error) ERR DB index is out of range");
    assert_eq!(bench.run("MOVE a -1"), "(error) ERR DB index is out of range");
    assert_eq!(
        bench.run("MOVE a 4294967296"),
        "(error) ERR value is out of range, value must between -2147483648 and 2147483647"
    );
    bench.select(1);
    assert_eq!((bench.run("GET a"), bench.run("TTL a")), ("\"1\"".to_owned(), "5".to_owned()));
}

#[test]
fn what_expired_elsewhere_does_not_stand_in_the_way() {
    let mut bench = Bench::new();
    bench.select(1);
    bench.run("SET a old PX 1");
    bench.select(0);
    bench.run("SET a new");
    bench.sleep(2);
    assert_eq!(bench.run("MOVE a 1"), "1");
    assert_eq!(bench.effects(), "@1 DEL a; MOVE a 1");
}

#[test]
fn a_scan_visits_every_key_that_stays() {
    let mut bench = Bench::new();
    for number in 0..1_000 {
        bench.run(&format!("SET key:{number} {number}"));
    }
    bench.run("SET other 1");
    let mut seen = Vec::new();
    let mut cursor = "0".to_owned();
    let mut steps = 0;
    loop {
        let reply = bench.run(&format!("SCAN {cursor} MATCH key:* COUNT 50"));
        let (next, keys) = reply.trim_matches(['[', ']']).split_once(", [").expect("a cursor and keys");
        seen.extend(keys.split(", ").filter(|key| !key.is_empty()).map(str::to_owned));
        cursor = next.trim_matches('"').to_owned();
        steps += 1;
        if cursor == "0" {
            break;
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 1_000);
    assert!((5..=30).contains(&steps), "{steps} steps of about 50 keys");
}

#[test]
fn a_scan_filters_and_leaves_out_what_has_expired() {
    let mut bench = Bench::new();
    bench.run("MSET a 1 b 2");
    bench.put_list("l", &["x"]);
    bench.run("PEXPIRE b 5");
    bench.sleep(6);
    assert_eq!(bench.run("SCAN 0 TYPE LIST COUNT 1000"), r#"["0", ["l"]]"#);
    assert_eq!(bench.effects(), "DEL b");
    assert_eq!(bench.run("SCAN 0 TYPE string COUNT 1000"), r#"["0", ["a"]]"#);
    assert_eq!(bench.run("SCAN 0 TYPE shape COUNT 1000"), r#"["0", []]"#);
    assert_eq!(bench.run("SCAN 0 COUNT 0"), SYNTAX);
    assert_eq!(bench.run("SCAN 0 COUNT"), SYNTAX);
    assert_eq!(bench.run("SCAN 0 LIMIT 5"), SYNTAX);
    for cursor in ["x", "-", "1x", "\" 1\"", "18446744073709551616"] {
        assert_eq!(bench.run(&format!("SCAN {cursor}")), "(error) ERR invalid cursor");
    }
    assert!(bench.run("SCAN 18446744073709551615 COUNT 9223372036854775807").starts_with("[\"0\""));
    for start in ["+0", "-0", "00", "\"\"", "\"0\\x00x\""] {
        assert_eq!(bench.run(&format!("SCAN {start} TYPE string")), r#"["0", ["a"]]"#);
    }
    assert!(bench.run("SCAN -1").starts_with("[\"0\""));
}

#[test]
fn keys_lists_what_matches() {
    let mut bench = Bench::new();
    assert_eq!((bench.run("KEYS *"), bench.run("RANDOMKEY")), ("[]".to_owned(), "(nil)".to_owned()));
    bench.run("MSET foo 1 bar 2");
    assert_eq!(bench.run("KEYS f?o"), r#"["foo"]"#);
    bench.run("PEXPIRE foo 5");
    bench.sleep(6);
    assert_eq!(bench.run("KEYS *"), r#"["bar"]"#);
    assert_eq!((bench.effects().as_str(), bench.run("DBSIZE").as_str()), ("", "2"));
    bench.run("SET old 1 PX 1");
    bench.sleep(2);
    assert_eq!(bench.run("DEL bar"), "1");
    assert_eq!(bench.run("RANDOMKEY"), "(nil)");
    assert_eq!(bench.run("DBSIZE"), "0");
}

#[test]
fn what_is_looked_for_in_vain_is_told() {
    let mut bench = Bench::new();
    bench.run("SET a 1");
    for (line, told) in [
        ("EXISTS a b c", "keymiss b; keymiss c"),
        ("TYPE b", "keymiss b"),
        ("TTL b", "keymiss b"),
        ("MGET a b", "keymiss b"),
        ("OBJECT ENCODING b", ""),
        ("DEL b", ""),
        ("INCR b", ""),
    ] {
        bench.run(line);
        assert_eq!(bench.misses(), told, "{line}");
    }
}
