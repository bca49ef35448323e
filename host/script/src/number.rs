//! Numbers as C's library reads and writes them: `%.14g`, and `strtod`.

/// A number in at most `precision` significant digits, as `%.*g` writes it.
pub(crate) fn write_general(out: &mut Vec<u8>, value: f64, precision: usize) {
    if value.is_nan() {
        return out.extend_from_slice(if value.is_sign_negative() { b"-nan" } else { b"nan" });
    }
    if value.is_infinite() {
        return out.extend_from_slice(if value < 0.0 { b"-inf" } else { b"inf" });
    }
    // Whole numbers of few digits are what is written most.
    if value == value.trunc() && value.abs() < 1e14 && value.abs() < 10_f64.powi(precision as i32) {
        let sign = if value == 0.0 && value.is_sign_negative() { "-" } else { "" };
        return out.extend_from_slice(format!("{sign}{}", value as i64).as_bytes());
    }
    let precision = precision.max(1);
    let text = format!("{:.*e}", precision - 1, value);
    let (mantissa, exponent) = text.split_once('e').expect("a number written with an exponent");
    let exponent: i32 = exponent.parse().expect("an exponent is a number");
    if exponent < -4 || exponent >= precision as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        let text = format!("{}e{sign}{:02}", without_zeros(mantissa), exponent.abs());
        return out.extend_from_slice(text.as_bytes());
    }
    let decimals = (precision as i32 - 1 - exponent).max(0) as usize;
    out.extend_from_slice(without_zeros(&format!("{value:.decimals$}")).as_bytes());
}

fn without_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// The number at the start of `text`, and how many bytes it takes: decimal, hexadecimal, `inf` and `nan`.
pub(crate) fn read_number(text: &[u8]) -> Option<(f64, usize)> {
    let (sign, signed) = match text.first() {
        Some(b'-') => (-1.0, 1),
        Some(b'+') => (1.0, 1),
        _ => (1.0, 0),
    };
    let rest = &text[signed..];
    let starts =
        |word: &str| rest.len() >= word.len() && rest[..word.len()].eq_ignore_ascii_case(word.as_bytes());
    if starts("infinity") {
        return Some((sign * f64::INFINITY, signed + 8));
    }
    if starts("inf") {
        return Some((sign * f64::INFINITY, signed + 3));
    }
    if starts("nan") {
        return Some((f64::NAN.copysign(sign), signed + 3));
    }
    if starts("0x")
        && let Some((value, length)) = read_hexadecimal(&rest[2..])
    {
        return Some((sign * value, signed + 2 + length));
    }
    let digits = |from: usize| rest[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(0);
    let mut length = whole;
    if rest.get(length) == Some(&b'.') {
        let decimals = digits(length + 1);
        if whole + decimals == 0 {
            return None;
        }
        length += 1 + decimals;
    } else if whole == 0 {
        return None;
    }
    if matches!(rest.get(length), Some(b'e' | b'E')) {
        let sign_length = usize::from(matches!(rest.get(length + 1), Some(b'-' | b'+')));
        let exponent =
            if rest.len() > length + 1 + sign_length { digits(length + 1 + sign_length) } else { 0 };
        if exponent > 0 {
            length += 1 + sign_length + exponent;
        }
    }
    let value: f64 = std::str::from_utf8(&rest[..length]).ok()?.parse().ok()?;
    Some((sign * value, signed + length))
}

/// Digits, perhaps a point, perhaps a binary exponent.
fn read_hexadecimal(text: &[u8]) -> Option<(f64, usize)> {
    let (mut value, mut scale, mut length, mut digits) = (0.0, 0_i32, 0, 0);
    let mut is_behind_point = false;
    for &byte in text {
        match (byte as char).to_digit(16) {
            Some(digit) => {
                value = value * 16.0 + f64::from(digit);
                digits += 1;
                scale -= if is_behind_point { 4 } else { 0 };
            }
            None if byte == b'.' && !is_behind_point => is_behind_point = true,
            None => break,
        }
        length += 1;
    }
    if digits == 0 {
        return None;
    }
    if matches!(text.get(length), Some(b'p' | b'P')) {
        let sign_length = usize::from(matches!(text.get(length + 1), Some(b'-' | b'+')));
        let from = length + 1 + sign_length;
        let count =
            text.get(from..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count > 0 {
            let exponent = std::str::from_utf8(&text[length + 1..from + count]).ok()?.trim_start_matches('+');
            scale = scale.saturating_add(exponent.parse().unwrap_or(if sign_length == 1 {
                -5_000
            } else {
                5_000
            }));
            length = from + count;
        }
    }
    Some((value * 2_f64.powi(scale), length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_by_c() {
        let cases: [(f64, &str); 12] = [
            (0.0, "0"),
            (-0.0, "-0"),
            (5.0, "5"),
            (-5000.0, "-5000"),
            (0.1, "0.1"),
            (1023.2, "1023.2"),
            (1e14, "1e+14"),
            (123_456_789_012_345_678.0, "1.2345678901235e+17"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.0 / 3.0, "0.33333333333333"),
            (1e300, "1e+300"),
        ];
        for (value, expected) in cases {
            let mut out = Vec::new();
            write_general(&mut out, value, 14);
            assert_eq!(String::from_utf8(out).as_deref(), Ok(expected));
        }
        let mut out = Vec::new();
        write_general(&mut out, 123.0, 2);
        assert_eq!(out, b"1.2e+02");
    }

    #[test]
    fn numbers_are_read_as_by_c() {
        let cases: [(&str, Option<(f64, usize)>); 13] = [
            ("12,", Some((12.0, 2))),
            ("-5e3]", Some((-5000.0, 4))),
            ("1e", Some((1.0, 1))),
            ("1e+", Some((1.0, 1))),
            (".5x", Some((0.5, 2))),
            ("5.", Some((5.0, 2))),
            (".", None),
            ("-", None),
            ("0x1F}", Some((31.0, 4))),
            ("0x1.8p1", Some((3.0, 7))),
            ("0xg", Some((0.0, 1))),
            ("-InF", Some((f64::NEG_INFINITY, 4))),
            ("infinity1", Some((f64::INFINITY, 8))),
        ];
        for (text, expected) in cases {
            assert_eq!(read_number(text.as_bytes()), expected, "{text}");
        }
        assert!(read_number(b"nan").is_some_and(|(value, length)| value.is_nan() && length == 3));
    }
}
