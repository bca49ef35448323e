//! Scores as text: the shortest digits that read back as the same double, arranged as Redis arranges them,
//! and the reading of what clients send. Knows nothing of sorted sets.
//! Always: `parse_score(ScoreText::of(x))` is `x`, bit for bit, for every `x` that is a number.

use std::fmt::{self, Write};

/// The text of a score, on the stack: `3`, `0.1`, `1e+20`, `-inf`.
#[derive(Clone, Copy)]
pub struct ScoreText {
    bytes: [u8; TEXT_BYTES_MAX],
    length: usize,
}

/// The longest text: a sign, 17 digits, a point and `e+308`, with some room for the intermediate form.
const TEXT_BYTES_MAX: usize = 32;

/// Integers beyond half the range of an i64 are written as floating point, as Redis does.
const SAFE_INTEGER_MAX: f64 = (i64::MAX / 2) as f64;

/// The score as an integer, if it is one that both sides represent exactly. Minus zero gives zero.
pub fn integral(score: f64) -> Option<i64> {
    if !(-SAFE_INTEGER_MAX..=SAFE_INTEGER_MAX).contains(&score) {
        return None;
    }
    let integer = score as i64;
    (integer as f64 == score).then_some(integer)
}

impl ScoreText {
    /// The text of `score`, as ZSCORE answers it over RESP2.
    pub fn of(score: f64) -> ScoreText {
        let mut text = ScoreText { bytes: [0; TEXT_BYTES_MAX], length: 0 };
        if score == 0.0 {
            text.push(if score.is_sign_negative() { b"-0" } else { b"0" });
        } else if score.is_nan() {
            text.push(b"nan");
        } else if score.is_infinite() {
            text.push(if score < 0.0 { b"-inf" } else { b"inf" });
        } else if let Some(integer) = integral(score) {
            text.print(format_args!("{integer}"));
        } else {
            text.arrange(score);
        }
        text
    }

    /// The text itself.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Plain notation where that is short, otherwise scientific: the rule of fpconv, which Redis 7.2 uses.
    fn arrange(&mut self, score: f64) {
        let mut scientific = ScoreText { bytes: [0; TEXT_BYTES_MAX], length: 0 };
        scientific.print(format_args!("{:e}", score.abs()));
        let mut digits = [0; 20];
        let (count, exponent) = scientific.take_apart(&mut digits);
        let digits = &digits[..count];
        let trailing = exponent - (count as i32 - 1); // the power of ten of the last digit
        if score < 0.0 {
            self.push(b"-");
        }
        if trailing >= 0 && exponent < count as i32 + 7 {
            self.push(digits);
            self.zeros(trailing);
        } else if trailing < 0 && (trailing > -7 || exponent.abs() < 4) {
            let before_point = count as i32 + trailing;
            if before_point <= 0 {
                self.push(b"0.");
                self.zeros(-before_point);
                self.push(digits);
            } else {
                let (whole, fraction) = digits.split_at(before_point as usize);
                self.push(whole);
                self.push(b".");
                self.push(fraction);
            }
        } else {
            self.push(&digits[..1]);
            if count > 1 {
                self.push(b".");
                self.push(&digits[1..]);
            }
            self.print(format_args!("e{exponent:+}"));
        }
    }

    /// Splits `d.ddde-xx` into its digits and its exponent.
    fn take_apart(&self, digits: &mut [u8; 20]) -> (usize, i32) {
        let (mut count, mut exponent, mut negative, mut in_exponent) = (0, 0, false, false);
        for &byte in self.as_bytes() {
            match byte {
                b'0'..=b'9' if in_exponent => exponent = exponent * 10 + i32::from(byte - b'0'),
                b'0'..=b'9' => {
                    digits[count] = byte;
                    count += 1;
                }
                b'e' => in_exponent = true,
                b'-' => negative = true,
                _ => {}
            }
        }
        (count, if negative { -exponent } else { exponent })
    }

    fn zeros(&mut self, count: i32) {
        for _ in 0..count {
            self.push(b"0");
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    fn print(&mut self, arguments: fmt::Arguments<'_>) {
        self.write_fmt(arguments).expect("every text of a number fits");
    }
}

impl Write for ScoreText {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if self.length + part.len() > TEXT_BYTES_MAX {
            return Err(fmt::Error);
        }
        self.push(part.as_bytes());
        Ok(())
    }
}

/// Reads a score as ZADD does: decimal, hexadecimal, `inf`; no space, no NaN, nothing that only overflows to
/// infinity or vanishes to zero.
pub fn parse_score(text: &[u8]) -> Option<f64> {
    let (score, exact) = parse(text)?;
    exact.then_some(score)
}

/// Reads one end of a score range: as [`parse_score`], but leading spaces are skipped, nothing at all is
/// zero, and a number out of range is infinite or zero.
pub(super) fn parse_score_bound(text: &[u8]) -> Option<f64> {
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Some(0.0);
    }
    let start = text.iter().position(|byte| !matches!(byte, b' ' | b'\t'..=b'\r'))?;
    parse(&text[start..]).map(|(score, _)| score)
}

/// The number and whether it is in range. None for anything else, and for NaN.
fn parse(text: &[u8]) -> Option<(f64, bool)> {
    let (unsigned, negative) = match text {
        [b'-', rest @ ..] => (rest, true),
        [b'+', rest @ ..] => (rest, false),
        _ => (text, false),
    };
    let (magnitude, exact) = match unsigned {
        [b'0', b'x' | b'X', digits @ ..] => parse_hexadecimal(digits)?,
        [b'0'..=b'9' | b'.', ..] => {
            let value: f64 = std::str::from_utf8(unsigned).ok()?.parse().ok()?;
            let mantissa = unsigned.split(|byte| matches!(byte, b'e' | b'E')).next().unwrap_or_default();
            let vanished = value == 0.0 && mantissa.iter().any(|byte| matches!(byte, b'1'..=b'9'));
            (value, value.is_finite() && !vanished)
        }
        _ if unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity") => {
            (f64::INFINITY, true)
        }
        _ => return None,
    };
    Some((if negative { -magnitude } else { magnitude }, exact))
}

/// The C form `h.hhhp±d` after its `0x`. Digits beyond the 60 leading bits only decide the rounding.
fn parse_hexadecimal(text: &[u8]) -> Option<(f64, bool)> {
    let (mut mantissa, mut exponent, mut digits, mut fraction) = (0u64, 0i64, 0usize, false);
    let mut rest = text;
    while let [byte, tail @ ..] = rest {
        match (char::from(*byte).to_digit(16), byte) {
            (Some(digit), _) => {
                digits += 1;
                if mantissa >> 60 == 0 {
                    mantissa = mantissa << 4 | u64::from(digit);
                    exponent -= 4 * i64::from(fraction);
                } else {
                    mantissa |= u64::from(digit != 0);
                    exponent += 4 * i64::from(!fraction);
                }
            }
            (None, b'.') if !fraction => fraction = true,
            _ => break,
        }
        rest = tail;
    }
    match rest {
        [] => {}
        [b'p' | b'P', power @ ..] => {
            let power: i64 = std::str::from_utf8(power).ok()?.parse().ok()?;
            exponent = exponent.checked_add(power)?;
        }
        _ => return None,
    }
    if digits == 0 {
        return None;
    }
    let value = scaled(mantissa, exponent);
    Some((value, value.is_finite() && (value != 0.0 || mantissa == 0)))
}

/// `mantissa` times two to the `exponent`, rounded to the nearest double.
fn scaled(mantissa: u64, exponent: i64) -> f64 {
    let exponent = exponent.clamp(-2_200, 2_200) as i32;
    let value = mantissa as f64;
    // Two steps, since the power alone may leave the range; only the last one can round.
    let first = exponent.clamp(-1_000, 900);
    let second = exponent - first;
    value * 2f64.powi(first) * 2f64.powi(second.clamp(-1_000, 1_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenon_base::Dice;

    #[track_caller]
    fn written(score: f64, expected: &str) {
        assert_eq!(std::str::from_utf8(ScoreText::of(score).as_bytes()), Ok(expected));
    }

    #[test]
    fn scores_are_written_as_redis_writes_them() {
        written(0.0, "0");
        written(-0.0, "-0");
        written(3.0, "3");
        written(-17.5, "-17.5");
        written(0.1, "0.1");
        written(0.1 + 0.2, "0.30000000000000004");
        written(1e20, "1e+20");
        written(1.5e300, "1.5e+300");
        written(123_456_789_012_345_680_000.0, "123456789012345680000");
        written(4_611_686_018_427_387_904.0, "4611686018427387904");
        written(1e-6, "0.000001");
        written(1e-7, "1e-7");
        written(1.25e-5, "1.25e-5");
        written(0.001_234_567_89, "0.00123456789");
        written(5e-324, "5e-324");
        written(f64::MAX, "1.7976931348623157e+308");
        written(f64::INFINITY, "inf");
        written(f64::NEG_INFINITY, "-inf");
    }

    #[test]
    fn what_is_written_reads_back_as_the_same_bits() {
        let mut dice = Dice::seeded(11);
        for _ in 0..20_000 {
            let score = f64::from_bits(dice.roll());
            if !score.is_nan() {
                let text = ScoreText::of(score);
                let back = parse_score(text.as_bytes()).map(f64::to_bits);
                assert_eq!(back, Some(score.to_bits()), "{score:e}");
            }
        }
    }

    #[test]
    fn clients_may_send_what_c_reads() {
        let good: [(&str, f64); 12] = [
            ("1", 1.0),
            ("+1.50", 1.5),
            ("-.5", -0.5),
            ("5.", 5.0),
            ("1e3", 1_000.0),
            ("-INF", f64::NEG_INFINITY),
            ("+infinity", f64::INFINITY),
            ("0x10", 16.0),
            ("-0X1.8p1", -3.0),
            ("0x1p-1074", 5e-324),
            ("0e5", 0.0),
            ("0x.8", 0.5),
        ];
        for (text, score) in good {
            assert_eq!(parse_score(text.as_bytes()), Some(score), "{text}");
        }
        let bad =
            ["", " 1", "1 ", "nan", "-nan", "1e400", "-1e400", "1e-400", "0x", "0x1p5000", "0xp1", "--1"];
        for text in bad.into_iter().chain(["1e", ".", "e5", "1_0", "0x1.1.1", "infinit", "1\0"]) {
            assert_eq!(parse_score(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn integers_beyond_the_safe_range_are_not_integral() {
        assert_eq!(integral(-0.0), Some(0));
        assert_eq!(integral(4_611_686_018_427_387_904.0), Some(1 << 62));
        assert_eq!(integral(-4_611_686_018_427_387_904.0), Some(-(1 << 62)));
        for score in [0.5, 9.3e18, f64::INFINITY, f64::NAN, 4_611_686_018_427_388_928.0] {
            assert_eq!(integral(score), None, "{score}");
        }
    }
}
