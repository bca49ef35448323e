//! Doubles as text: scores, coordinates, anything a RESP3 double carries.
//!
//! Not INCRBYFLOAT's numbers: those are `long_double`.
//! Always: what `format_double` writes, `parse_double` reads back to the same bits (NaN excepted, which is refused).

use std::io::Write;

use crate::extended::{Wide, parse_hexadecimal};
use crate::number::{INTEGER_TEXT_BYTES_MAX, format_integer};

/// Room for any text that `format_double` writes (bytes).
pub const DOUBLE_TEXT_BYTES_MAX: usize = 32;

/// Reads a double as C's `strtod` does where Redis asks for a float: decimal or hexadecimal, `inf` and `infinity` in
/// any case; no spaces, no NaN, no number too large or too small for a double.
pub fn parse_double(text: &[u8]) -> Option<f64> {
    let (negative, magnitude) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let value = match magnitude {
        [b'0', b'x' | b'X', digits @ ..] => nearest_double(parse_hexadecimal(digits)?),
        [b'0'..=b'9' | b'.', ..] => std::str::from_utf8(magnitude).ok()?.parse().ok()?,
        _ if is_infinity(magnitude) => return Some(if negative { f64::NEG_INFINITY } else { f64::INFINITY }),
        _ => return None,
    };
    let underflow = value == 0.0 && has_nonzero_digit(magnitude);
    if value.is_infinite() || underflow {
        return None;
    }
    Some(if negative { -value } else { value })
}

pub(crate) fn is_infinity(text: &[u8]) -> bool {
    text.eq_ignore_ascii_case(b"inf") || text.eq_ignore_ascii_case(b"infinity")
}

/// Whether the digits before the exponent name anything but zero.
fn has_nonzero_digit(magnitude: &[u8]) -> bool {
    let (digits, exponent) = match magnitude {
        [b'0', b'x' | b'X', digits @ ..] => (digits, b'p'),
        digits => (digits, b'e'),
    };
    let before = digits.iter().take_while(|byte| !byte.eq_ignore_ascii_case(&exponent));
    before.into_iter().any(|&byte| byte != b'0' && byte != b'.')
}

/// Writes `value` as Redis 7.2 does: integers plainly, everything else in the shortest digits that read back the
/// same, with an exponent where it is short. Returns the part of `text` written.
pub fn format_double(value: f64, text: &mut [u8; DOUBLE_TEXT_BYTES_MAX]) -> &[u8] {
    const INTEGER_MAX: f64 = (i64::MAX / 2) as f64;
    let mut integer = [0; INTEGER_TEXT_BYTES_MAX];
    let fixed: &[u8] = if value.is_nan() {
        b"nan"
    } else if value.is_infinite() {
        if value > 0.0 { b"inf" } else { b"-inf" }
    } else if value == 0.0 {
        if value.is_sign_negative() { b"-0" } else { b"0" }
    } else if value.abs() <= INTEGER_MAX && value.trunc() == value {
        format_integer(value as i64, &mut integer)
    } else {
        let len = format_shortest(value, text);
        return &text[..len];
    };
    let len = fixed.len();
    text[..len].copy_from_slice(fixed);
    &text[..len]
}

/// The shortest digits, laid out as Redis's float printer lays them out.
fn format_shortest(value: f64, text: &mut [u8; DOUBLE_TEXT_BYTES_MAX]) -> usize {
    let mut scientific = [0; DOUBLE_TEXT_BYTES_MAX];
    let mut rest = &mut scientific[..];
    let written = write!(rest, "{:e}", value.abs()).map(|()| DOUBLE_TEXT_BYTES_MAX - rest.len());
    let scientific = &scientific[..written.expect("17 digits and an exponent fit in 32 bytes")];

    // "d.dddde-xx" gives the digits and, with the last digit as the unit, the power of ten.
    let mark = scientific.iter().position(|&byte| byte == b'e').expect("scientific notation has an exponent");
    let mut digits = [0; 17];
    let mut count = 0;
    for &byte in scientific[..mark].iter().filter(|&&byte| byte != b'.') {
        digits[count] = byte;
        count += 1;
    }
    let digits = &digits[..count];
    let exponent = parse_exponent(&scientific[mark + 1..]);
    let power = exponent - (count as i32 - 1);

    let mut out = Cursor { text, len: 0 };
    if value < 0.0 {
        out.put(b"-");
    }
    if power >= 0 && exponent < count as i32 + 7 {
        out.put(digits);
        out.zeros(power as usize);
    } else if power < 0 && (power > -7 || exponent.abs() < 4) {
        let before_point = count as i32 + power;
        if before_point <= 0 {
            out.put(b"0.");
            out.zeros(-before_point as usize);
            out.put(digits);
        } else {
            out.put(&digits[..before_point as usize]);
            out.put(b".");
            out.put(&digits[before_point as usize..]);
        }
    } else {
        out.put(&digits[..1]);
        if count > 1 {
            out.put(b".");
            out.put(&digits[1..]);
        }
        out.put(if exponent < 0 { b"e-" } else { b"e+" });
        out.put(format_integer(i64::from(exponent.abs()), &mut [0; INTEGER_TEXT_BYTES_MAX]));
    }
    out.len
}

fn parse_exponent(text: &[u8]) -> i32 {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let magnitude = digits.iter().fold(0, |value, byte| value * 10 + i32::from(byte - b'0'));
    if negative { -magnitude } else { magnitude }
}

/// A fixed buffer being filled.
struct Cursor<'a> {
    text: &'a mut [u8; DOUBLE_TEXT_BYTES_MAX],
    len: usize,
}

impl Cursor<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.text[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn zeros(&mut self, count: usize) {
        self.text[self.len..self.len + count].fill(b'0');
        self.len += count;
    }
}

/// The nearest double; infinite or zero where it is out of range.
fn nearest_double(wide: Wide) -> f64 {
    if wide.bits == 0 {
        return 0.0;
    }
    // The value lies in [2^top, 2^(top+1)). Subnormal doubles have fewer bits: round there at once, not twice.
    let top = wide.exponent + 127 - wide.bits.leading_zeros() as i32;
    let (bits, exponent) = match top {
        1024.. => return f64::INFINITY,
        -1022..1024 => wide.round(53),
        -1074..-1022 => wide.round((top + 1075) as u32),
        // Half of the smallest double, exactly, is a tie with zero, and zero is even.
        -1075 if wide.bits.is_power_of_two() && !wide.sticky => return 0.0,
        -1075 => (1, -1074),
        _ => return 0.0,
    };
    // In two steps, each exact: neither power leaves the range of normal doubles.
    let step = exponent / 2;
    bits as f64 * 2_f64.powi(step) * 2_f64.powi(exponent - step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: f64) -> String {
        String::from_utf8(format_double(value, &mut [0; DOUBLE_TEXT_BYTES_MAX]).to_vec()).unwrap()
    }

    #[test]
    fn doubles_are_written_as_redis_writes_them() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-17.0, "-17"),
            (1.5, "1.5"),
            (0.1, "0.1"),
            (0.1 + 0.2, "0.30000000000000004"),
            (-3.25, "-3.25"),
            (1e15, "1000000000000000"),
            (2_251_799_813_685_249.5, "2251799813685249.5"),
            (1e18, "1000000000000000000"),
            (1e19, "1e+19"),
            (1.234_567_890_123_456e22, "12345678901234560000000"),
            (1e-5, "0.00001"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (1.5e-7, "1.5e-7"),
            (123.456_789_012, "123.456789012"),
            (12_345.678_901_234, "1.2345678901234e+4"),
            (0.001_234_567_8, "0.0012345678"),
            (0.000_123_456_78, "1.2345678e-4"),
            (-1.797_693_134_862_315_7e308, "-1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ];
        for (value, expected) in cases {
            assert_eq!(text(value), expected);
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..20_000 {
            bits = bits.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            let value = f64::from_bits(bits);
            if value.is_finite() {
                assert_eq!(
                    parse_double(text(value).as_bytes()).map(f64::to_bits),
                    Some(value.to_bits()),
                    "{value:e}"
                );
            }
        }
    }

    #[test]
    fn doubles_are_read_as_strtod_reads_them() {
        let accepted: [(&str, f64); 16] = [
            ("1", 1.0),
            ("+1", 1.0),
            ("-.5", -0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("1E+3", 1000.0),
            ("inf", f64::INFINITY),
            ("-InFiNiTy", f64::NEG_INFINITY),
            ("+inf", f64::INFINITY),
            ("0x10", 16.0),
            ("0x1.8p1", 3.0),
            ("-0X.8", -0.5),
            ("0x1p-1074", 5e-324),
            ("0x1.fffffffffffff8p0", 2.0),
            ("5e-324", 5e-324),
            ("0e999999", 0.0),
        ];
        for (text, expected) in accepted {
            assert_eq!(parse_double(text.as_bytes()), Some(expected), "{text}");
        }
        let refused = [
            "",
            " 1",
            "1 ",
            "nan",
            "-NaN",
            "1e400",
            "-1e400",
            "1e-400",
            "0x",
            "0x1p",
            "0x1pz",
            "0x1p2000",
            "0x1p-1076",
            "0x.p1",
            ".",
            "e5",
            "1e",
            "1.5.5",
            "+-1",
            "--1",
            "infi",
            "1_0",
            "1\0",
            "0x1g",
            "+ 1",
        ];
        for text in refused {
            assert_eq!(parse_double(text.as_bytes()), None, "{}", text.escape_debug());
        }
    }
}
