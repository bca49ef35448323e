//! Bitmaps through the harness: replies, effects, events and errors, as 7.2.4 has them.

use crate::testing::Bench;

const WRONG_TYPE: &str = "(error) WRONGTYPE Operation against a key holding the wrong kind of value";
const SYNTAX: &str = "(error) ERR syntax error";
const BAD_OFFSET: &str = "(error) ERR bit offset is not an integer or out of range";
const NOT_INTEGER: &str = "(error) ERR value is not an integer or out of range";

#[test]
fn a_bit_is_set_and_read() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("SETBIT a 9 1"), "0");
    assert_eq!((bench.effects().as_str(), bench.events().as_str()), ("SETBIT a 9 1", "new a; setbit a"));
    assert_eq!((bench.dirty(), bench.touched()), (1, 1));
    assert_eq!(bench.run("GET a"), r#""\x00@""#);
    assert_eq!(bench.run("OBJECT ENCODING a"), "\"raw\"");
    assert_eq!(bench.run("GETBIT a 9"), "1");
    assert_eq!(bench.run("GETBIT a 8"), "0");
    assert_eq!(bench.run("GETBIT a 4294967295"), "0");
    assert_eq!(bench.run("GETBIT none 0"), "0");
    assert_eq!(bench.run("SETBIT a 9 0"), "1");
    assert_eq!(bench.events(), "setbit a");
    assert_eq!(bench.lookups(), (5, 1));
}

#[test]
fn a_bit_that_is_as_asked_changes_nothing() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("SETBIT a 7 0"), "0");
    assert_eq!(bench.dirty(), 1);
    assert_eq!(bench.run("SETBIT a 7 0"), "0");
    assert_eq!((bench.dirty(), bench.events().as_str(), bench.effects().as_str()), (0, "", ""));
    assert_eq!(bench.run("SETBIT a 8 0"), "0");
    assert_eq!((bench.dirty(), bench.run("STRLEN a").as_str()), (1, "2"));
    // The same within a large string, which is left alone.
    bench.run("SETBIT large 80000 1");
    assert_eq!(bench.run("SETBIT large 80000 1"), "1");
    assert_eq!(bench.dirty(), 0);
    assert_eq!(bench.run("SETBIT large 80001 1"), "0");
    assert_eq!((bench.dirty(), bench.run("BITCOUNT large").as_str()), (1, "2"));
}

#[test]
fn bits_of_a_number_are_those_of_its_digits() {
    let mut bench = Bench::new();
    bench.run("SET a 17");
    assert_eq!(bench.run("GETBIT a 2"), "1");
    assert_eq!(bench.run("BITCOUNT a"), "8");
    assert_eq!(bench.run("BITPOS a 1"), "2");
    assert_eq!(bench.run("BITFIELD_RO a GET u8 8"), "[55]");
    assert_eq!(bench.run("OBJECT ENCODING a"), "\"int\"");
    assert_eq!(bench.run("SETBIT a 15 0"), "1");
    assert_eq!(bench.run("GET a"), "\"16\"");
    assert_eq!(bench.run("OBJECT ENCODING a"), "\"raw\"");
    assert_eq!(bench.run("INCR a"), "17");
}

#[test]
fn offsets_and_bits_out_of_range_are_refused() {
    let mut bench = Bench::new();
    for line in ["SETBIT a -1 0", "SETBIT a x 0", "GETBIT a 01", "GETBIT a -1", "GETBIT a 4294967296"] {
        assert_eq!(bench.run(line), BAD_OFFSET, "{line}");
    }
    for line in ["SETBIT a 0 2", "SETBIT a 0 -1", "SETBIT a 0 x"] {
        assert_eq!(bench.run(line), "(error) ERR bit is not an integer or out of range", "{line}");
    }
    bench.limits.string_bytes_max = 10;
    assert_eq!(bench.run("SETBIT a 80 1"), BAD_OFFSET);
    assert_eq!(bench.run("BITFIELD a SET u8 80 1"), BAD_OFFSET);
    assert_eq!(bench.run("BITFIELD a SET u8 #10 1"), BAD_OFFSET);
    assert_eq!(bench.run("EXISTS a"), "0");
    assert_eq!(bench.run("SETBIT a 79 1"), "0");
}

#[test]
fn bits_are_counted_within_a_range() {
    let mut bench = Bench::new();
    bench.run("SET a foobar");
    for (line, count) in [
        ("BITCOUNT a", "26"),
        ("BITCOUNT a 1 1", "6"),
        ("BITCOUNT a 0 0", "4"),
        ("BITCOUNT a -2 -1 BYTE", "7"),
        ("BITCOUNT a 5 30 bit", "17"),
        ("BITCOUNT a 1 1 BIT", "1"),
        ("BITCOUNT a -1 -1 BIT", "0"),
        ("BITCOUNT a 0 -1 BIT", "26"),
        ("BITCOUNT a 100 200", "0"),
        ("BITCOUNT a 3 2", "0"),
        ("BITCOUNT a -9223372036854775808 9223372036854775807", "26"),
        ("BITCOUNT a -1 -2 nonsense", "0"),
        ("BITCOUNT none 0", "0"),
    ] {
        assert_eq!(bench.run(line), count, "{line}");
    }
    for line in ["BITCOUNT a 0", "BITCOUNT a 0 1 WORD", "BITCOUNT a 0 1 BIT more"] {
        assert_eq!(bench.run(line), SYNTAX, "{line}");
    }
    assert_eq!(bench.run("BITCOUNT a x 1"), NOT_INTEGER);
    bench.run("SET a \"\"");
    assert_eq!(bench.run("BITCOUNT a 0 -1"), "0");
}

#[test]
fn the_first_bit_is_found_within_a_range() {
    let mut bench = Bench::new();
    bench.run(r#"SET a "\xff\xf0\x00""#);
    bench.run(r#"SET ones "\xff\xff\xff""#);
    bench.run(r#"SET empty """#);
    for (line, position) in [
        ("BITPOS a 0", "12"),
        ("BITPOS a 1 2", "-1"),
        ("BITPOS a 0 2", "16"),
        ("BITPOS a 1 1 1", "8"),
        ("BITPOS a 1 7 15 bit", "7"),
        ("BITPOS a 0 0 11 BIT", "-1"),
        ("BITPOS a 0 11 12 BIT", "12"),
        ("BITPOS a 1 12 -1 BIT", "-1"),
        ("BITPOS a 1 3 1", "-1"),
        ("BITPOS a 0 5", "-1"),
        ("BITPOS ones 0", "24"),
        ("BITPOS ones 0 1", "24"),
        ("BITPOS ones 0 0 -1", "-1"),
        ("BITPOS ones 0 0 5 BYTE", "-1"),
        ("BITPOS empty 0", "-1"),
        ("BITPOS none 0", "0"),
        ("BITPOS none 1", "-1"),
        ("BITPOS none 1 x y z more", "-1"),
    ] {
        assert_eq!(bench.run(line), position, "{line}");
    }
    assert_eq!(bench.run("BITPOS a 2"), "(error) ERR The bit argument must be 1 or 0.");
    assert_eq!(bench.run("BITPOS a x"), NOT_INTEGER);
    assert_eq!(bench.run("BITPOS a 1 x"), NOT_INTEGER);
    assert_eq!(bench.run("BITPOS a 1 0 x"), NOT_INTEGER);
    assert_eq!(bench.run("BITPOS a 1 0 x WORD"), SYNTAX);
    assert_eq!(bench.run("BITPOS a 1 0 1 BIT more"), SYNTAX);
}

#[test]
fn strings_are_combined() {
    let mut bench = Bench::new();
    bench.run(r#"SET a "\x0f\xff\x01""#);
    bench.run(r#"SET b "\x3c\x0f""#);
    for (line, result) in [
        ("BITOP AND t a b", r#""\x0c\x0f\x00""#),
        ("BITOP or t b a none", r#""?\xff\x01""#),
        ("BITOP XOR t a b", r#""3\xf0\x01""#),
        ("BITOP NOT t a", r#""\xf0\x00\xfe""#),
        ("BITOP AND t a none", r#""\x00\x00\x00""#),
        ("BITOP XOR t b", r#""<\x0f""#),
    ] {
        assert_eq!(bench.run(line), if line.contains(" t b") && !line.contains(" a") { "2" } else { "3" });
        assert_eq!((bench.dirty(), bench.effects().as_str()), (1, line));
        assert_eq!(bench.run("GET t"), result, "{line}");
    }
    bench.run("SET n 12");
    assert_eq!(bench.run("BITOP XOR n n t"), "2");
    assert_eq!(bench.events(), "set n");
    assert_eq!(bench.run("GET n"), "\"\\r=\"");
    assert_eq!(bench.run("OBJECT ENCODING n"), "\"raw\"");
}

#[test]
fn the_result_takes_the_place_of_anything() {
    let mut bench = Bench::new();
    bench.run("SET a x EX 100");
    bench.run("LPUSH t 1 2");
    assert_eq!(bench.run("BITOP NOT t a"), "1");
    assert_eq!((bench.run("TYPE t").as_str(), bench.run("TTL t").as_str()), ("string", "-1"));
    assert_eq!(bench.run("BITOP OR t none other"), "0");
    assert_eq!((bench.events().as_str(), bench.dirty()), ("del t", 1));
    assert_eq!(bench.run("BITOP OR t none"), "0");
    assert_eq!((bench.events().as_str(), bench.dirty(), bench.effects().as_str()), ("", 0, ""));
    bench.run("LPUSH l 1");
    assert_eq!(bench.run("BITOP AND t a l"), WRONG_TYPE);
    assert_eq!(bench.run("BITOP NAND t a"), SYNTAX);
    let not = "(error) ERR BITOP NOT must be called with a single source key.";
    assert_eq!(bench.run("BITOP NOT t a a"), not);
}

#[test]
fn long_strings_of_many_keys_are_combined_byte_by_byte() {
    let mut bench = Bench::new();
    let mut dice = tenon_base::Dice::seeded(11);
    let mut sources = Vec::new();
    let mut words: Vec<Vec<u8>> = vec![Vec::new(), Vec::new(), b"t".to_vec()];
    for number in 0..20 {
        let mut bytes = vec![0; 30_000 - number * 1_400];
        dice.fill(&mut bytes);
        let key = format!("k{number}").into_bytes();
        bench.run_words(&[b"SET", &key, &bytes]);
        sources.push(bytes);
        words.push(key);
    }
    words[0] = b"BITOP".to_vec();
    for (name, fold) in
        [("AND", (|a, b| a & b) as fn(u8, u8) -> u8), ("OR", |a, b| a | b), ("XOR", |a, b| a ^ b)]
    {
        words[1] = name.as_bytes().to_vec();
        let request: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        assert_eq!(bench.run_words(&request), tenon_resp::Value::Integer(30_000));
        let byte = |bytes: &Vec<u8>, at: usize| bytes.get(at).copied().unwrap_or(0);
        let expected = (0..30_000)
            .map(|at| sources[1..].iter().fold(sources[0][at], |all, next| fold(all, byte(next, at))));
        let found = bench.run_words(&[b"GET", b"t"]);
        assert_eq!(found, tenon_resp::Value::Bulk(expected.collect()), "{name}");
    }
}

#[test]
fn fields_are_read_set_and_counted_up() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("BITFIELD a SET i8 0 -100 GET u8 0 INCRBY u2 6 1"), "[0, 156, 1]");
    assert_eq!((bench.dirty(), bench.events().as_str()), (2, "new a; setbit a"));
    assert_eq!(bench.run("BITFIELD a GET i8 0 GET u4 100"), "[-99, 0]");
    assert_eq!((bench.dirty(), bench.effects().as_str()), (0, ""));
    assert_eq!(bench.run("BITFIELD a SET i8 0 -99"), "[-99]");
    assert_eq!((bench.dirty(), bench.events().as_str()), (0, ""));
    assert_eq!(bench.run("BITFIELD a SET u8 #3 255 INCRBY i64 #1 -1"), "[0, -1]");
    assert_eq!(bench.run("STRLEN a"), "16");
    assert_eq!(bench.run("BITFIELD a"), "[]");
    assert_eq!(bench.run("BITFIELD a OVERFLOW SAT"), "[]");
    assert_eq!(bench.run("BITFIELD_RO a GET u63 1 GET i64 64"), "[2089671322316570624, -1]");
    assert_eq!(bench.run("BITFIELD_RO none GET u8 0"), "[0]");
    assert_eq!(bench.run("BITFIELD_RO none"), "[]");
    assert_eq!(bench.run("BITFIELD unaligned SET i64 7 -2 GET i64 7 GET u8 0 GET u8 64"), "[0, -2, 1, 252]");
    assert_eq!(bench.run("STRLEN unaligned"), "9");
}

#[test]
fn a_number_that_does_not_fit_obeys_its_overflow() {
    let mut bench = Bench::new();
    for (line, reply) in [
        (
            "BITFIELD a SET u8 0 250 INCRBY u8 0 10 OVERFLOW SAT INCRBY u8 0 255 INCRBY u8 0 -300",
            "[0, 4, 255, 0]",
        ),
        (
            "BITFIELD a OVERFLOW FAIL INCRBY u8 0 -1 SET u8 0 256 SET u8 0 7 INCRBY u8 0 -8",
            "[(nil), (nil), 0, (nil)]",
        ),
        ("BITFIELD b SET i8 0 200 OVERFLOW SAT SET i8 0 200 SET i8 0 -200 GET i8 0", "[0, -56, 127, -128]"),
        ("BITFIELD b OVERFLOW SAT INCRBY i8 0 -1 OVERFLOW WRAP INCRBY i8 0 -1", "[-128, 127]"),
        ("BITFIELD c SET i64 0 9223372036854775807 INCRBY i64 0 1", "[0, -9223372036854775808]"),
        (
            "BITFIELD c OVERFLOW SAT INCRBY i64 0 -1 OVERFLOW FAIL INCRBY i64 0 -1",
            "[-9223372036854775808, (nil)]",
        ),
        ("BITFIELD d SET u63 0 -1 INCRBY u63 0 1", "[0, 0]"),
        ("BITFIELD d OVERFLOW SAT SET u63 0 -1 GET u63 0", "[0, 9223372036854775807]"),
        // A number far below the smallest is taken for one above the largest, as Redis takes it.
        ("BITFIELD e OVERFLOW SAT SET i8 0 -9223372036854775808 GET i8 0", "[0, 127]"),
        ("BITFIELD f SET u1 0 1 INCRBY i1 0 -1", "[0, 0]"),
    ] {
        assert_eq!(bench.run(line), reply, "{line}");
    }
    // Nothing fitted, and yet there is a string now: that is told.
    assert_eq!(bench.run("BITFIELD g OVERFLOW FAIL SET u8 8 256"), "[(nil)]");
    assert_eq!((bench.dirty(), bench.run("GET g").as_str()), (1, r#""\x00\x00""#));
}

#[test]
fn bad_fields_are_refused() {
    let mut bench = Bench::new();
    let encoding = "(error) ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but \
                    i64 is.";
    for word in ["u64", "i65", "u0", "x8", "u", "i-1", "\"\"", "8", "i08"] {
        assert_eq!(bench.run(&format!("BITFIELD a GET {word} 0")), encoding, "{word}");
    }
    for word in ["-1", "#-1", "#", "x", "#x", "\"\"", "#9223372036854775807", "4294967296"] {
        assert_eq!(bench.run(&format!("BITFIELD a SET u8 {word} 0")), BAD_OFFSET, "{word}");
    }
    for line in ["BITFIELD a GET u8", "BITFIELD a SET u8 0", "BITFIELD a NOP u8 0 1", "BITFIELD a OVERFLOW"] {
        assert_eq!(bench.run(line), SYNTAX, "{line}");
    }
    assert_eq!(bench.run("BITFIELD a SET u8 0 x"), NOT_INTEGER);
    assert_eq!(bench.run("BITFIELD a OVERFLOW NONE"), "(error) ERR Invalid OVERFLOW type specified");
    let read_only = "(error) ERR BITFIELD_RO only supports the GET subcommand";
    assert_eq!(bench.run("BITFIELD_RO a GET u8 0 SET u8 0 1"), read_only);
    assert_eq!(bench.run("BITFIELD_RO a SET u8 0 1 GET u8"), SYNTAX);
    assert_eq!(bench.run("EXISTS a"), "0");
}

#[test]
fn other_types_are_refused() {
    let mut bench = Bench::new();
    bench.run("LPUSH l 1");
    for line in [
        "SETBIT l 0 1",
        "GETBIT l 0",
        "BITCOUNT l",
        "BITCOUNT l nonsense",
        "BITPOS l 1",
        "BITFIELD l",
        "BITFIELD l GET u8 0",
        "BITFIELD l SET u8 0 1",
        "BITFIELD_RO l",
        "BITOP NOT t l",
    ] {
        assert_eq!(bench.run(line), WRONG_TYPE, "{line}");
    }
}

#[test]
fn what_has_expired_reads_as_missing() {
    let mut bench = Bench::new();
    for key in ["a", "b", "c", "d"] {
        bench.run(&format!("SET {key} xyz PX 10"));
    }
    bench.run("SET live x");
    bench.sleep(11);
    assert_eq!(bench.run("BITOP OR t a live"), "1");
    assert_eq!(bench.effects(), "DEL a; BITOP OR t a live");
    assert_eq!(bench.run("SETBIT b 7 1"), "0");
    assert_eq!(bench.effects(), "DEL b; SETBIT b 7 1");
    assert_eq!(bench.events(), "expired b; new b; setbit b");
    assert_eq!(bench.run("BITFIELD c INCRBY u8 0 5"), "[5]");
    assert_eq!((bench.run("TTL c").as_str(), bench.run("STRLEN c").as_str()), ("-1", "1"));
    assert_eq!(bench.run("BITCOUNT d"), "0");
    assert_eq!((bench.effects().as_str(), bench.dirty()), ("DEL d", 0));
}

#[test]
fn fields_agree_with_one_bit_at_a_time() {
    let mut bench = Bench::new();
    let mut dice = tenon_base::Dice::seeded(5);
    let mut model = [false; 300];
    for _ in 0..3_000 {
        let bits = 1 + dice.below(63) as usize;
        let offset = dice.below((model.len() - bits) as u64) as usize;
        let number = dice.roll() >> (64 - bits);
        let field = &mut model[offset..offset + bits];
        let former = field.iter().fold(0, |all: u64, &bit| all << 1 | u64::from(bit));
        let reply = bench.run(&format!("BITFIELD a SET u{bits} {offset} {number}"));
        assert_eq!(reply, format!("[{former}]"));
        for (index, bit) in field.iter_mut().enumerate() {
            *bit = number >> (bits - 1 - index) & 1 == 1;
        }
    }
    let ones = model.iter().filter(|bit| **bit).count();
    assert_eq!(bench.run("BITCOUNT a"), ones.to_string());
}
