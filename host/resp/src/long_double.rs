//! Numbers as INCRBYFLOAT and HINCRBYFLOAT count: 64 bits of mantissa, printed with at most 17 decimals.
//!
//! Redis computes these in the C compiler's `long double`, which on x86-64 is the x87's 80-bit format; the same
//! arithmetic is done here in integers, so that `0.1` and `0.2` make `0.3` on every machine.
//! Not for scores: those are `double`. Gradual underflow is left out: values that small print as 0.

use std::fmt;

use crate::double::is_infinity;
use crate::extended::{Big, Extended, OutOfRange, Wide, parse_decimal, parse_hexadecimal};

/// Text from this length on is no number (bytes; the size of Redis's buffer for one).
const TEXT_BYTES_MAX: usize = 5 * 1024;

/// The range of the format, by the place of the highest bit.
const TOP_BIT_MAX: i32 = 16_383;
const TOP_BIT_MIN: i32 = -16_445;

/// An 80-bit number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongDouble {
    negative: bool,
    magnitude: Magnitude,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Magnitude {
    Finite(Extended),
    Infinite,
}

/// Why a sum has no answer. `Display` is the error reply without its `ERR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LongDoubleError {
    /// One of the two is no number.
    NotAFloat,
    /// The sum is infinite or no number.
    NotFinite,
}

impl fmt::Display for LongDoubleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAFloat => "value is not a valid float",
            Self::NotFinite => "increment would produce NaN or Infinity",
        })
    }
}

impl std::error::Error for LongDoubleError {}

/// The sum of two numbers given as text, as INCRBYFLOAT writes it.
///
/// # Errors
/// See `LongDoubleError`.
pub fn long_double_add(left: &[u8], right: &[u8]) -> Result<String, LongDoubleError> {
    let parse = |text| LongDouble::parse(text).ok_or(LongDoubleError::NotAFloat);
    let sum = parse(left)?.add(parse(right)?).ok_or(LongDoubleError::NotFinite)?;
    if !sum.is_finite() {
        return Err(LongDoubleError::NotFinite);
    }
    Ok(sum.to_string())
}

impl LongDouble {
    /// Zero: what a missing key counts as.
    pub const ZERO: LongDouble = LongDouble { negative: false, magnitude: Magnitude::Finite(Extended::ZERO) };

    /// Reads a number as C's `strtold` does where Redis asks for one: decimal, hexadecimal or infinity; no spaces,
    /// no NaN, nothing out of range.
    pub fn parse(text: &[u8]) -> Option<LongDouble> {
        if text.len() >= TEXT_BYTES_MAX {
            return None;
        }
        let (negative, magnitude) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        if is_infinity(magnitude) {
            return Some(LongDouble { negative, magnitude: Magnitude::Infinite });
        }
        let value = match magnitude {
            [b'0', b'x' | b'X', digits @ ..] => Extended::round(parse_hexadecimal(digits)?),
            decimal => match parse_decimal(decimal)? {
                Ok(value) => value,
                Err(OutOfRange::Large | OutOfRange::Small) => return None,
            },
        };
        let in_range = value.mantissa == 0 || (TOP_BIT_MIN..=TOP_BIT_MAX).contains(&(value.exponent + 63));
        in_range.then_some(LongDouble { negative, magnitude: Magnitude::Finite(value) })
    }

    /// An integer, exactly.
    pub fn from_integer(value: i64) -> LongDouble {
        let magnitude =
            Extended::round(Wide { bits: u128::from(value.unsigned_abs()), exponent: 0, sticky: false });
        LongDouble { negative: value < 0, magnitude: Magnitude::Finite(magnitude) }
    }

    /// Whether it is no infinity.
    pub fn is_finite(self) -> bool {
        matches!(self.magnitude, Magnitude::Finite(_))
    }

    /// The product with a factor, as long doubles multiply, rounded up to an integer. `None` if it is more than
    /// `i64` holds; one that is less is the least.
    pub fn ceiled_product(self, factor: u32) -> Option<i64> {
        let value = match self.magnitude {
            Magnitude::Infinite if self.negative => return Some(i64::MIN),
            Magnitude::Infinite => return None,
            Magnitude::Finite(value) => value,
        };
        let bits = u128::from(value.mantissa) * u128::from(factor);
        let product = Extended::round(Wide { bits, exponent: value.exponent, sticky: false });
        if product.mantissa == 0 {
            return Some(0);
        }
        // With the highest bit set, the mantissa alone is 2^63 or more.
        let dropped = match u32::try_from(-product.exponent) {
            Ok(dropped @ 1..) => dropped,
            _ => return self.negative.then_some(i64::MIN),
        };
        let whole = product.mantissa.checked_shr(dropped).unwrap_or(0);
        let has_fraction = product.mantissa.trailing_zeros() < dropped;
        let ceiled = if self.negative { -(whole as i64) } else { whole as i64 };
        ceiled.checked_add(i64::from(has_fraction && !self.negative))
    }

    /// The nearest number to the sum; `None` if that is no number (infinities of two signs).
    #[allow(clippy::should_implement_trait)] // it is not total
    pub fn add(self, other: LongDouble) -> Option<LongDouble> {
        match (self.magnitude, other.magnitude) {
            (Magnitude::Finite(left), Magnitude::Finite(right)) => {
                Some(add_finite(self.negative, left, other.negative, right))
            }
            (Magnitude::Infinite, Magnitude::Infinite) if self.negative != other.negative => None,
            (Magnitude::Infinite, _) => Some(self),
            (_, Magnitude::Infinite) => Some(other),
        }
    }
}

fn add_finite(left_negative: bool, left: Extended, right_negative: bool, right: Extended) -> LongDouble {
    // A zero's exponent says nothing, so it must not win the comparison.
    let key = |value: Extended| (value.mantissa != 0, value.exponent, value.mantissa);
    let ((negative, large), (small_negative, small)) = if key(left) >= key(right) {
        ((left_negative, left), (right_negative, right))
    } else {
        ((right_negative, right), (left_negative, left))
    };
    if small.mantissa == 0 {
        let negative = negative && (large.mantissa != 0 || small_negative);
        return LongDouble { negative, magnitude: Magnitude::Finite(large) };
    }
    // 63 bits of room below the larger mantissa; what falls out below them only tips a tie.
    let distance = (large.exponent - small.exponent) as u32;
    let high = u128::from(large.mantissa) << 63;
    let wide = u128::from(small.mantissa) << 63;
    let low = if distance < 128 { wide >> distance } else { 0 };
    let lost = distance >= 128 || wide & !(u128::MAX << distance) != 0;
    let low = low | u128::from(lost);
    let bits = if negative == small_negative { high + low } else { high - low };
    let sum = Extended::round(Wide { bits, exponent: large.exponent - 63, sticky: false });
    let magnitude =
        if sum.exponent + 63 > TOP_BIT_MAX { Magnitude::Infinite } else { Magnitude::Finite(sum) };
    LongDouble { negative: negative && bits != 0, magnitude }
}

impl fmt::Display for LongDouble {
    /// With 17 decimals, trailing zeros cut off, and never as `-0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negative { "-" } else { "" };
        let value = match self.magnitude {
            Magnitude::Infinite => return write!(f, "{sign}inf"),
            Magnitude::Finite(value) => value,
        };
        if value.mantissa == 0 {
            return f.write_str("0");
        }
        if value.exponent >= 0 {
            return write!(f, "{sign}{}", integer_text(value));
        }
        const DECIMALS: u128 = 100_000_000_000_000_000;
        let shift = -value.exponent as u32;
        let (mut integer, mut decimals) = (0, 0);
        if shift < 128 {
            let mantissa = u128::from(value.mantissa);
            integer = mantissa >> shift;
            // Below 2^64 times 10^17, so below 2^121.
            let scaled = (mantissa & !(u128::MAX << shift)) * DECIMALS;
            let remainder = scaled & !(u128::MAX << shift);
            let half = 1 << (shift - 1);
            decimals = scaled >> shift;
            decimals += u128::from(remainder > half || (remainder == half && decimals & 1 == 1));
        }
        if decimals == DECIMALS {
            (integer, decimals) = (integer + 1, 0);
        }
        match (integer, decimals) {
            (0, 0) => f.write_str("0"),
            (_, 0) => write!(f, "{sign}{integer}"),
            _ => {
                let text = format!("{decimals:017}");
                write!(f, "{sign}{integer}.{}", text.trim_end_matches('0'))
            }
        }
    }
}

/// A number without decimals, in full.
fn integer_text(value: Extended) -> String {
    if value.exponent <= 64 {
        return (u128::from(value.mantissa) << value.exponent).to_string();
    }
    let mut rest = Big::from_small(value.mantissa);
    rest.shift_left(value.exponent as usize);
    let mut groups = Vec::new();
    while !rest.is_zero() {
        groups.push(rest.divide(1_000_000_000));
    }
    let mut text = String::new();
    for group in groups.iter().rev() {
        let group = if text.is_empty() { group.to_string() } else { format!("{group:09}") };
        text.push_str(&group);
    }
    text
}

#[cfg(test)]
mod tests;
