//! A number in seventeen digits, as C's `%.17g` writes it. Knows no sorted set.

use std::fmt::{self, Write};

/// Significant digits.
const DIGITS: usize = 17;
/// A sign, `0.000`, the digits and `e+308` fit, and so does the form with an exponent that it is made from.
const TEXT_BYTES_MAX: usize = 32;

/// The text of a number, on the stack.
pub(super) struct GeneralText {
    bytes: [u8; TEXT_BYTES_MAX],
    length: usize,
}

impl GeneralText {
    /// The text of `number`.
    pub(super) fn of(number: f64) -> GeneralText {
        let mut text = GeneralText::empty();
        if number.is_sign_negative() {
            text.push(b"-");
        }
        if number.is_infinite() {
            text.push(b"inf");
        } else {
            text.arrange(number.abs());
        }
        text
    }

    /// The text itself.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn empty() -> GeneralText {
        GeneralText { bytes: [0; TEXT_BYTES_MAX], length: 0 }
    }

    fn arrange(&mut self, number: f64) {
        let mut scientific = GeneralText::empty();
        scientific.print(format_args!("{number:.16e}"));
        let (digits, exponent) = take_apart(scientific.as_bytes());
        let zeros = digits.iter().rev().take_while(|&&digit| digit == b'0').count();
        let digits = &digits[..(DIGITS - zeros).max(1)];
        let point = usize::try_from(exponent + 1).unwrap_or(0);
        if exponent < -4 || exponent >= DIGITS as i32 {
            let (first, rest) = digits.split_at(1);
            self.push(first);
            self.push_fraction(rest);
            self.print(format_args!("e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs()));
        } else if exponent < 0 {
            self.push(b"0.");
            self.push(&b"000"[..(-exponent - 1) as usize]);
            self.push(digits);
        } else if digits.len() <= point {
            self.push(digits);
            self.push(&[b'0'; DIGITS][..point - digits.len()]);
        } else {
            let (whole, fraction) = digits.split_at(point);
            self.push(whole);
            self.push_fraction(fraction);
        }
    }

    fn push_fraction(&mut self, digits: &[u8]) {
        if !digits.is_empty() {
            self.push(b".");
            self.push(digits);
        }
    }

    fn push(&mut self, part: &[u8]) {
        self.bytes[self.length..self.length + part.len()].copy_from_slice(part);
        self.length += part.len();
    }

    fn print(&mut self, arguments: fmt::Arguments<'_>) {
        self.write_fmt(arguments).expect("every text of a number fits");
    }
}

impl Write for GeneralText {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if self.length + part.len() > TEXT_BYTES_MAX {
            return Err(fmt::Error);
        }
        self.push(part.as_bytes());
        Ok(())
    }
}

/// Splits `d.ddde-xx` into its digits and its exponent.
fn take_apart(text: &[u8]) -> ([u8; DIGITS], i32) {
    let mut digits = [b'0'; DIGITS];
    digits[0] = text[0];
    digits[1..].copy_from_slice(&text[2..=DIGITS]);
    let exponent = std::str::from_utf8(&text[DIGITS + 2..]).ok().and_then(|text| text.parse().ok());
    (digits, exponent.expect("the exponent that was just written"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_c_writes_them() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (3.0, "3"),
            (-17.5, "-17.5"),
            (0.1, "0.10000000000000001"),
            (1.0 / 3.0, "0.33333333333333331"),
            (0.0001, "0.0001"),
            (0.000_123, "0.00012300000000000001"),
            (0.000_01, "1.0000000000000001e-05"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (123_456_789_012_345_680_000.0, "1.2345678901234568e+20"),
            (99_999_999_999_999_984.0, "99999999999999984"),
            (f64::MAX, "1.7976931348623157e+308"),
            (-5e-324, "-4.9406564584124654e-324"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (number, expected) in cases {
            let text = GeneralText::of(number);
            assert_eq!(std::str::from_utf8(text.as_bytes()), Ok(expected));
        }
    }
}
