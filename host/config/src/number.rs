//! Numbers as configurations write them: whole, octal, and bytes with a unit.
//! Always: what does not fit is refused, never wrapped.

/// A whole number without sign `+`, leading zero or blank: as Redis reads it.
pub(crate) fn parse_integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    match digits {
        [b'0'] if digits.len() == text.len() => Some(0),
        [b'1'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit) => {
            std::str::from_utf8(text).ok()?.parse().ok()
        }
        _ => None,
    }
}

/// A number in octal digits.
pub(crate) fn parse_octal(text: &[u8]) -> Option<i64> {
    let is_octal = !text.is_empty() && text.iter().all(|byte| matches!(byte, b'0'..=b'7'));
    if is_octal { i64::from_str_radix(std::str::from_utf8(text).ok()?, 8).ok() } else { None }
}

/// Bytes: digits and, in any case, `b`, `k` (1000), `kb` (1024), `m`, `mb`, `g` or `gb`.
pub(crate) fn parse_memory(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    std::str::from_utf8(number).ok()?.parse::<u64>().ok()?.checked_mul(factor)
}

/// Bytes in the largest unit that divides them, as CONFIG REWRITE writes them.
pub(crate) fn format_memory(bytes: u64) -> String {
    for (shift, unit) in [(30, "gb"), (20, "mb"), (10, "kb")] {
        if bytes != 0 && bytes.is_multiple_of(1 << shift) {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

/// A percentile: six digits behind the point, without the zeros at the end.
pub(crate) fn format_percentile(number: f64) -> String {
    format!("{number:.6}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_redis_reads_them() {
        for (text, number) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("", None),
            ("-", None),
            ("-0", None),
            ("01", None),
            ("+1", None),
            (" 1", None),
            ("1k", None),
        ] {
            assert_eq!(parse_integer(text.as_bytes()), number, "{text}");
        }
        assert_eq!(parse_octal(b"755"), Some(0o755));
        assert_eq!((parse_octal(b"8"), parse_octal(b""), parse_octal(b"-7")), (None, None, None));
    }

    #[test]
    fn memory_has_decimal_and_binary_units() {
        for (text, bytes) in [
            ("1", Some(1)),
            ("5B", Some(5)),
            ("1k", Some(1000)),
            ("1Kb", Some(1024)),
            ("2m", Some(2_000_000)),
            ("2mb", Some(2 << 20)),
            ("1G", Some(1_000_000_000)),
            ("1gb", Some(1 << 30)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("18446744073709551615kb", None),
            ("-1", None),
            ("kb", None),
            ("", None),
            ("1 kb", None),
        ] {
            assert_eq!(parse_memory(text.as_bytes()), bytes, "{text}");
        }
        for bytes in [0, 1, 1023, 1024, 1536, 3 << 20, 5 << 30, u64::MAX] {
            assert_eq!(parse_memory(format_memory(bytes).as_bytes()), Some(bytes));
        }
        assert_eq!(format_memory(1 << 30), "1gb");
    }
}
