//! HyperLogLogs through the harness: replies, bytes, effects, events and errors, as 7.2.4 has them.

use super::sketch::{EMPTY, HEADER_BYTES};
use crate::testing::Bench;
use tenon_base::Dice;
use tenon_resp::Value;

const CORRUPT: &str = "(error) INVALIDOBJ Corrupted HLL object detected";
const NOT_ONE: &str = "(error) WRONGTYPE Key is not a valid HyperLogLog string value.";
const WRONG_TYPE: &str = "(error) WRONGTYPE Operation against a key holding the wrong kind of value";

fn bytes_of(bench: &mut Bench, key: &str) -> Vec<u8> {
    match bench.run_words(&[b"GET", key.as_bytes()]) {
        Value::Bulk(bytes) => bytes,
        other => panic!("{other:?} in place of a string"),
    }
}

fn set(bench: &mut Bench, key: &str, bytes: &[u8]) {
    bench.run_words(&[b"SET", key.as_bytes(), bytes]);
}

/// A sparse sketch with these bytes behind its header, and nothing cached.
fn sparse(body: &[u8]) -> Vec<u8> {
    let mut bytes = EMPTY[..HEADER_BYTES].to_vec();
    bytes[HEADER_BYTES - 1] = 0x80;
    bytes.extend_from_slice(body);
    bytes
}

fn add_numbers(bench: &mut Bench, key: &str, numbers: std::ops::Range<u32>) -> Value {
    let words: Vec<String> = numbers.map(|number| number.to_string()).collect();
    let mut request: Vec<&[u8]> = vec![b"PFADD", key.as_bytes()];
    request.extend(words.iter().map(|word| word.as_bytes()));
    bench.run_words(&request)
}

#[test]
fn elements_are_added_and_counted() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("PFADD a"), "1");
    assert_eq!((bench.events().as_str(), bench.dirty()), ("new a; pfadd a", 1));
    assert_eq!(bench.run("PFADD a"), "0");
    assert_eq!((bench.effects().as_str(), bench.events().as_str(), bench.dirty()), ("", "", 0));
    assert_eq!(bench.run("OBJECT ENCODING a"), "\"raw\"");
    assert_eq!(bench.run("PFADD a x y z"), "1");
    assert_eq!((bench.effects().as_str(), bench.events().as_str()), ("PFADD a x y z", "pfadd a"));
    assert_eq!((bench.dirty(), bench.touched()), (3, 1));
    assert_eq!(bench.run("PFADD a x y z"), "0");
    assert_eq!(bench.run("PFCOUNT a"), "3");
    assert_eq!(bench.run("PFCOUNT none"), "0");
    assert_eq!(bench.run("PFADD b x y"), "1");
    assert_eq!(bench.dirty(), 3);
}

#[test]
fn a_count_is_kept_until_something_changes() {
    let mut bench = Bench::new();
    bench.run("PFADD a x y z");
    assert_eq!(bytes_of(&mut bench, "a")[8..16], [0, 0, 0, 0, 0, 0, 0, 0x80]);
    assert_eq!(bench.run("PFCOUNT a"), "3");
    assert_eq!((bench.effects().as_str(), bench.events().as_str()), ("PFCOUNT a", ""));
    assert_eq!((bench.dirty(), bench.touched()), (1, 1));
    assert_eq!(bytes_of(&mut bench, "a")[8..16], [3, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bench.run("PFCOUNT a"), "3");
    assert_eq!((bench.effects().as_str(), bench.dirty(), bench.touched()), ("", 0, 0));
    // What is kept is believed.
    bench.run(r#"SETRANGE a 8 "\x09""#);
    assert_eq!(bench.run("PFCOUNT a"), "9");
    bench.run("PFADD a w");
    assert_eq!(bench.run("PFCOUNT a"), "4");
}

#[test]
fn runs_are_split_and_joined_as_in_redis() {
    let mut bench = Bench::new();
    bench.run("PFADD a");
    assert_eq!(bench.run("PFDEBUG DECODE a"), "\"Z:16384\"");
    bench.run("PFADD a a b c");
    assert_eq!(bench.run("PFDEBUG DECODE a"), "\"Z:8436 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603\"");
    assert_eq!(bench.run("PFDEBUG ENCODING a"), "sparse");
}

#[test]
fn a_sparse_sketch_becomes_dense_where_it_is_too_long() {
    let mut bench = Bench::new();
    bench.limits.sparse_sketch_bytes_max = 100;
    bench.run("PFADD a");
    let mut number = 0;
    while bench.run("PFDEBUG ENCODING a") == "sparse" {
        assert!(bytes_of(&mut bench, "a").len() <= 100);
        number += 1;
        bench.run(&format!("PFADD a {number}"));
    }
    assert_eq!(bytes_of(&mut bench, "a").len(), 12_304);
    assert!((20..40).contains(&number), "{number} elements");
    assert_eq!(bench.run("PFCOUNT a"), number.to_string());
    assert_eq!(bench.run("PFADD a 1"), "0");
    assert_eq!((bench.effects().as_str(), bench.dirty()), ("", 0));
    assert_eq!(bench.run("PFADD a 1 another 2 more"), "1");
    assert_eq!(bench.dirty(), 2);
    assert_eq!(bench.run("PFCOUNT a"), (number + 2).to_string());
    // The same elements in one step, and in a sketch that was dense before.
    bench.run("PFADD dense");
    assert_eq!(bench.run("PFDEBUG TODENSE dense"), "1");
    for key in ["b", "dense"] {
        add_numbers(&mut bench, key, 1..number + 1);
        bench.run(&format!("PFADD {key} another more"));
        assert_eq!(bytes_of(&mut bench, key)[16..], bytes_of(&mut bench, "a")[16..]);
    }
}

#[test]
fn estimates_stay_near_the_truth() {
    let mut bench = Bench::new();
    let mut total = 0;
    for step in [1, 9, 90, 900, 9_000, 40_000] {
        add_numbers(&mut bench, "a", total..total + step);
        total += step;
        let Value::Integer(count) = bench.run_words(&[b"PFCOUNT", b"a"]) else { panic!("no number") };
        let error = count.abs_diff(i64::from(total));
        assert!(error * 20 <= u64::from(total), "{count} in place of {total}");
    }
}

#[test]
fn several_are_counted_and_merged_together() {
    let mut bench = Bench::new();
    bench.run("PFADD a 1 2 3");
    bench.run("PFADD b 3 4 5");
    assert_eq!(bench.run("PFCOUNT a b none"), "5");
    assert_eq!((bench.effects().as_str(), bench.dirty()), ("", 0));
    assert_eq!(bench.run("PFMERGE t a b none"), "OK");
    assert_eq!((bench.effects().as_str(), bench.events().as_str()), ("PFMERGE t a b none", "new t; pfadd t"));
    assert_eq!((bench.dirty(), bench.run("PFCOUNT t").as_str()), (1, "5"));
    assert_eq!(bench.run("PFMERGE t"), "OK");
    assert_eq!((bench.events().as_str(), bench.dirty()), ("pfadd t", 1));
    assert_eq!(bench.run("PFDEBUG ENCODING t"), "sparse");
    assert_eq!(bench.run("PFMERGE empty none"), "OK");
    assert_eq!(bytes_of(&mut bench, "empty"), sparse(b"\x7f\xff"));
    // One dense source makes the target dense, which then is changed where it lies.
    bench.run("PFDEBUG TODENSE b");
    assert_eq!(bench.run("PFMERGE t b"), "OK");
    assert_eq!(bench.run("PFDEBUG ENCODING t"), "dense");
    bench.run("PFADD c 6");
    assert_eq!(bench.run("PFMERGE t c"), "OK");
    assert_eq!(bench.run("PFCOUNT t"), "6");
    assert_eq!(bench.run("PFMERGE fresh b"), "OK");
    assert_eq!(
        (bench.run("PFDEBUG ENCODING fresh").as_str(), bench.run("PFCOUNT fresh").as_str()),
        ("dense", "3")
    );
    assert_eq!(bench.run("PFCOUNT t fresh"), "6");
}

#[test]
fn merging_keeps_the_lifetime_of_its_target() {
    let mut bench = Bench::new();
    bench.run("PFADD a 1");
    bench.run("PFADD t 2");
    bench.run("EXPIRE t 100");
    bench.run("PFMERGE t a");
    bench.run("PFADD t 3");
    assert_eq!((bench.run("TTL t").as_str(), bench.run("PFCOUNT t").as_str()), ("100", "3"));
}

#[test]
fn a_sketch_that_has_expired_begins_anew() {
    let mut bench = Bench::new();
    for key in ["a", "b", "c"] {
        bench.run(&format!("PFADD {key} 1 2 3"));
        bench.run(&format!("PEXPIRE {key} 10"));
    }
    bench.sleep(11);
    assert_eq!(bench.run("PFCOUNT a"), "0");
    assert_eq!((bench.effects().as_str(), bench.dirty()), ("DEL a", 0));
    assert_eq!(bench.run("PFADD b 1"), "1");
    assert_eq!((bench.effects().as_str(), bench.run("PFCOUNT b").as_str()), ("DEL b; PFADD b 1", "1"));
    assert_eq!(bench.run("PFMERGE b c"), "OK");
    assert_eq!((bench.effects().as_str(), bench.run("PFCOUNT b").as_str()), ("DEL c; PFMERGE b c", "1"));
}

#[test]
fn registers_are_shown() {
    let mut bench = Bench::new();
    bench.run("PFADD a x y");
    let Value::Array(registers) = bench.run_words(&[b"PFDEBUG", b"GETREG", b"a"]) else { panic!("no array") };
    assert_eq!((registers.len(), bench.effects().as_str(), bench.dirty()), (16_384, "PFDEBUG GETREG a", 1));
    assert_eq!(registers.iter().filter(|rank| **rank != Value::Integer(0)).count(), 2);
    assert_eq!(bench.run("PFDEBUG ENCODING a"), "dense");
    assert_eq!(bench.run("PFDEBUG TODENSE a"), "0");
    assert_eq!(bench.dirty(), 0);
    assert_eq!(bench.run("PFDEBUG DECODE a"), "(error) ERR HLL encoding is not sparse");
    assert_eq!(bench.run("PFDEBUG NOP a"), "(error) ERR Unknown PFDEBUG subcommand 'NOP'");
    assert_eq!(bench.run("PFDEBUG GETREG none"), "(error) ERR The specified key does not exist");
    assert_eq!(bench.run("PFDEBUG TODENSE"), "(error) ERR wrong number of arguments for 'pfdebug' command");
}

#[test]
fn the_self_test_passes() {
    assert_eq!(Bench::new().run("PFSELFTEST"), "OK");
}

#[test]
fn strings_that_are_none_are_refused() {
    let mut bench = Bench::new();
    bench.run("LPUSH list 1");
    bench.run("SET number 12");
    bench.run("SET short HYLL");
    set(&mut bench, "magic", &[b"HALL", &EMPTY[4..]].concat());
    set(&mut bench, "encoding", &[b"HYLL\x02", &EMPTY[5..]].concat());
    set(&mut bench, "dense", &[b"HYLL\0", &EMPTY[5..]].concat());
    bench.run("PFADD good 1");
    for (key, error) in [
        ("list", WRONG_TYPE),
        ("number", NOT_ONE),
        ("short", NOT_ONE),
        ("magic", NOT_ONE),
        ("encoding", NOT_ONE),
        ("dense", NOT_ONE),
    ] {
        for line in [
            "PFADD {} 1",
            "PFCOUNT {}",
            "PFCOUNT good {}",
            "PFMERGE good {}",
            "PFMERGE {} good",
            "PFDEBUG X {}",
        ] {
            let line = line.replace("{}", key);
            assert_eq!(bench.run(&line), error, "{line}");
        }
    }
}

#[test]
fn registers_that_make_no_sense_are_refused() {
    let mut bench = Bench::new();
    for body in [
        &b""[..],
        b"\x7f\xfe",
        b"\x7f\xff\x00",
        b"\x7f\xff\x80",
        b"\x7f",
        b"\x80",
        b"\x7f\xfe\x40",
        b"\x7f\xff\x40",
    ] {
        set(&mut bench, "bad", &sparse(body));
        for line in ["PFCOUNT bad", "PFCOUNT bad none", "PFMERGE t bad", "PFMERGE bad", "PFDEBUG TODENSE bad"]
        {
            assert_eq!(bench.run(line), CORRUPT, "{line} {body:?}");
        }
        assert_eq!(bytes_of(&mut bench, "bad"), sparse(body));
    }
    // Elements of the first registers find a place; one of the others refuses them all.
    set(&mut bench, "bad", &sparse(b"\x6f\xff"));
    assert_eq!(bench.run("PFADD bad c"), "1");
    let before = bytes_of(&mut bench, "bad");
    assert_eq!(bench.run("PFADD bad d e"), CORRUPT);
    assert_eq!(bytes_of(&mut bench, "bad"), before);
    assert_eq!(bench.run("PFDEBUG DECODE bad"), "\"Z:8436 v:1,1 Z:3851\"");
    set(&mut bench, "bad", &sparse(&[0x3F; 40_000]));
    assert_eq!(bench.run("PFDEBUG DECODE bad"), CORRUPT);
    // Ranks that no element could have.
    let mut dense = vec![0xFF; 12_304];
    dense[..HEADER_BYTES].copy_from_slice(&EMPTY[..HEADER_BYTES]);
    (dense[4], dense[15]) = (0, 0x80);
    set(&mut bench, "full", &dense);
    assert_eq!(bench.run("PFCOUNT full"), "-9223372036854775808");
    assert_eq!(bench.run("PFCOUNT full none"), "-9223372036854775808");
}

/// Strings that begin as a sketch and go on anyhow, and sketches with a few bytes changed: any reply will do, but
/// there must be one, a refusal must have changed nothing, and followers must come to the same.
#[test]
fn no_string_offered_as_a_sketch_does_harm() {
    let mut bench = Bench::new();
    let mut dice = Dice::seeded(7);
    bench.run("PFADD good 1 2 3 4 5 6 7 8 9");
    let good = bytes_of(&mut bench, "good");
    for _ in 0..3_000 {
        let mut bytes = match dice.below(3) {
            0 => good.clone(),
            _ => {
                let mut body = vec![0; dice.below(200) as usize];
                dice.fill(&mut body);
                if dice.below(2) == 0 {
                    // About as many registers as there should be.
                    body.iter_mut().for_each(|byte| *byte = 0x40 | *byte & 3 | *byte & 0x80);
                }
                sparse(&body)
            }
        };
        for _ in 0..dice.below(4) {
            let at = 6 + dice.below(bytes.len() as u64 - 6) as usize;
            bytes[at] = dice.roll() as u8;
        }
        set(&mut bench, "odd", &bytes);
        let element = dice.roll().to_le_bytes();
        let requests: [&[&[u8]]; 7] = [
            &[b"PFADD", b"odd", &element, b"x", b"y"],
            &[b"PFCOUNT", b"odd"],
            &[b"PFCOUNT", b"odd", b"good"],
            &[b"PFDEBUG", b"DECODE", b"odd"],
            &[b"PFMERGE", b"t", b"odd", b"good"],
            &[b"PFMERGE", b"odd", b"good"],
            &[b"PFDEBUG", b"GETREG", b"odd"],
        ];
        for request in requests {
            let before = bytes_of(&mut bench, "odd");
            if matches!(bench.run_words(request), Value::Error(_)) {
                assert!(bench.dirty() == 0, "{request:?}");
                assert!(bytes_of(&mut bench, "odd") == before, "{request:?}");
            }
        }
    }
}
