//! Settings of policies as the operator wrote them: read, or refused with one sentence.
//! Knows no policy: each names its keys, ranges and defaults itself.
//! Always: a refusal says the key, what was found and what is expected.
#![no_std]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use core::fmt;

/// A whole number within bounds, both included.
pub fn number(key: &str, text: &str, min: u64, max: u64) -> Result<u64, String> {
    let found = text.parse().ok().filter(|number| (min..=max).contains(number));
    found.ok_or_else(|| format!("{key}: found '{text}', expected a whole number from {min} to {max}"))
}

/// A number of bytes within bounds, both included; units as in Redis's configuration: `1k` is 1000, `1kb` is 1024.
pub fn bytes(key: &str, text: &str, min: u64, max: u64) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let found = number.parse::<u64>().ok().zip(unit_bytes(unit));
    let found = found.and_then(|(number, unit)| number.checked_mul(unit));
    found.filter(|bytes| (min..=max).contains(bytes)).ok_or_else(|| {
        let (min, max) = (Bytes(min), Bytes(max));
        format!("{key}: found '{text}', expected a size from {min} to {max}, as 64kb or 1mb")
    })
}

/// The refusal of a key that a policy does not have.
pub fn unknown(key: &str, known: &[&str]) -> String {
    format!("unknown setting '{key}'; there are {}", known.join(", "))
}

fn unit_bytes(unit: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 8] = [
        ("", 1),
        ("b", 1),
        ("k", 1_000),
        ("kb", 1 << 10),
        ("m", 1_000_000),
        ("mb", 1 << 20),
        ("g", 1_000_000_000),
        ("gb", 1 << 30),
    ];
    UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|&(_, bytes)| bytes)
}

/// A number of bytes for people: `64kb`, in the largest unit of Redis's configuration that leaves no rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, bytes) in [("gb", 1 << 30), ("mb", 1 << 20), ("kb", 1 << 10)] {
            if self.0 >= bytes && self.0.is_multiple_of(bytes) {
                return write!(f, "{}{unit}", self.0 / bytes);
            }
        }
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn numbers_are_read_within_their_bounds() {
        assert_eq!(number("us", "0", 0, 10), Ok(0));
        assert_eq!(number("us", "10", 0, 10), Ok(10));
        for text in ["11", "-1", "", "ten", "1.5", "99999999999999999999"] {
            let refusal = number("us", text, 0, 10).unwrap_err();
            assert_eq!(refusal, format!("us: found '{text}', expected a whole number from 0 to 10"));
        }
    }

    #[test]
    fn sizes_have_the_units_of_redis() {
        for (text, expected) in
            [("7", 7), ("7b", 7), ("2k", 2_000), ("2kb", 2_048), ("3MB", 3 << 20), ("1g", 1_000_000_000)]
        {
            assert_eq!(bytes("bytes", text, 1, u64::MAX), Ok(expected), "{text}");
        }
        for text in ["0", "2gb", "kb", "1tb", "1 kb", "-1", "", "99999999999gb"] {
            let refusal = bytes("bytes", text, 1, 1 << 30).unwrap_err();
            let expected = "expected a size from 1 to 1gb, as 64kb or 1mb";
            assert_eq!(refusal, format!("bytes: found '{text}', {expected}"));
        }
    }

    #[test]
    fn sizes_print_as_they_may_be_written() {
        for text in ["0", "1023", "64kb", "1mb", "5gb", "1025kb"] {
            assert_eq!(Bytes(bytes("x", text, 0, u64::MAX).unwrap()).to_string(), text);
        }
    }

    #[test]
    fn an_unknown_key_is_refused_with_those_that_are_known() {
        assert_eq!(unknown("speed", &["bytes", "us"]), "unknown setting 'speed'; there are bytes, us");
    }
}
