//! Sums of long doubles against figures worked out elsewhere.

use super::*;

#[test]
fn decimal_fractions_add_up_as_people_expect() {
    let cases = [
        ("0.1", "0.2", "0.3"),
        ("10.50", "0.1", "10.6"),
        ("5.0e3", "2.0e2", "5200"),
        ("3", "-3", "0"),
        ("-0", "-0", "0"),
        ("1", "-0.00000000000000000001", "1"),
        ("0", "-1e-18", "0"),
        ("1e17", "0.5", "100000000000000000.5"),
        ("9223372036854775807", "1", "9223372036854775808"),
        ("18446744073709551615", "1", "18446744073709551616"),
        ("1e20", "1", "100000000000000000000"),
        ("0x10", "0x.8p0", "16.5"),
        ("+1.5", ".5", "2"),
    ];
    for (left, right, sum) in cases {
        assert_eq!(
            long_double_add(left.as_bytes(), right.as_bytes()).as_deref(),
            Ok(sum),
            "{left} + {right}"
        );
    }
}

/// Sums computed by a C compiler's `long double` on x86-64: two numbers and their sum to a line.
#[test]
fn sums_are_those_of_the_x87() {
    for line in include_str!("vectors.txt").lines() {
        let [left, right, sum] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("three fields: {line}")
        };
        assert_eq!(
            long_double_add(left.as_bytes(), right.as_bytes()).as_deref(),
            Ok(sum),
            "{left} + {right}"
        );
        assert_eq!(
            long_double_add(right.as_bytes(), left.as_bytes()).as_deref(),
            Ok(sum),
            "{right} + {left}"
        );
    }
}

#[test]
fn the_largest_numbers_are_printed_in_full_and_then_refused() {
    let huge = long_double_add(b"1e4932", b"0").unwrap();
    assert_eq!(huge.len(), 4933);
    assert!(huge.starts_with("1000000000000000000"));
    assert_eq!(long_double_add(b"1.1e4932", b"1.1e4932"), Err(LongDoubleError::NotFinite));
    assert_eq!(long_double_add(b"inf", b"1"), Err(LongDoubleError::NotFinite));
    assert_eq!(long_double_add(b"inf", b"-inf"), Err(LongDoubleError::NotFinite));
}

#[test]
fn what_is_no_number_is_refused() {
    let long = "1".repeat(TEXT_BYTES_MAX);
    let refused = [
        "",
        " 1",
        "1 ",
        "nan",
        "abc",
        "1e4933",
        "-1e99999999999",
        "1e-4960",
        "1e",
        "0x",
        "0xp1",
        ".",
        "1..2",
        "+-1",
        &long,
    ];
    for text in refused {
        assert_eq!(long_double_add(text.as_bytes(), b"1"), Err(LongDoubleError::NotAFloat), "{text}");
    }
    assert_eq!(long_double_add(b"1e-4940", b"0").as_deref(), Ok("0"));
}

#[test]
fn integers_are_exact() {
    for value in [0, 1, -1, i64::MAX, i64::MIN, 1 << 53] {
        assert_eq!(LongDouble::from_integer(value).to_string(), value.to_string());
        assert_eq!(LongDouble::parse(value.to_string().as_bytes()), Some(LongDouble::from_integer(value)));
    }
    assert_eq!(LongDouble::ZERO.to_string(), "0");
}

#[test]
fn products_are_rounded_up_to_integers() {
    for (text, product) in [
        ("0", Some(0)),
        ("0.1", Some(100)),
        ("0.0001", Some(1)),
        ("1e-4000", Some(1)),
        ("-0.0001", Some(0)),
        ("-1.5", Some(-1_500)),
        ("-1.0001", Some(-1_000)),
        ("9223372036854775.807", Some(9_223_372_036_854_775_807)),
        ("9223372036854775.808", None),
        ("1e300", None),
        ("inf", None),
        ("-1e300", Some(i64::MIN)),
        ("-inf", Some(i64::MIN)),
    ] {
        let number = LongDouble::parse(text.as_bytes()).expect("a number");
        assert_eq!(number.ceiled_product(1_000), product, "{text}");
    }
}
