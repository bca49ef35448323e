//! Binary floating point with 64 bits of mantissa, as the x87's `long double` has, and the reading of hexadecimal and
//! decimal text into it.
//!
//! Magnitudes only: signs, infinities and range checks belong to `double` and `long_double`.
//! Always: a value other than zero has its mantissa's top bit set, and every rounding is to nearest, ties to even.

/// `mantissa * 2^exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extended {
    pub(crate) mantissa: u64,
    pub(crate) exponent: i32,
}

/// `bits * 2^exponent`, and less than `2^exponent` more if `sticky`: a number before it is rounded. With `sticky`,
/// there are at least 66 significant bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wide {
    pub(crate) bits: u128,
    pub(crate) exponent: i32,
    pub(crate) sticky: bool,
}

impl Wide {
    /// The nearest number of at most `width` (1 to 64) significant bits: its bits, and the exponent of the lowest.
    pub(crate) fn round(self, width: u32) -> (u64, i32) {
        let shift = (128 - self.bits.leading_zeros()).saturating_sub(width);
        if shift == 0 {
            return (self.bits as u64, self.exponent);
        }
        self.round_off(shift)
    }

    /// The nearest multiple of `2^shift` of the unit (at most 64 bits of it); `shift` is 1 to 127.
    pub(crate) fn round_off(self, shift: u32) -> (u64, i32) {
        let kept = (self.bits >> shift) as u64;
        let dropped = self.bits & ((1 << shift) - 1);
        let half = 1 << (shift - 1);
        let up = dropped > half || (dropped == half && (self.sticky || kept & 1 == 1));
        let exponent = self.exponent + shift as i32;
        match kept.checked_add(u64::from(up)) {
            Some(kept) => (kept, exponent),
            None => (1 << 63, exponent + 1),
        }
    }
}

impl Extended {
    pub(crate) const ZERO: Extended = Extended { mantissa: 0, exponent: 0 };

    /// The nearest value with 64 bits of mantissa.
    pub(crate) fn round(wide: Wide) -> Self {
        if wide.bits == 0 {
            return Self::ZERO;
        }
        let (mantissa, exponent) = wide.round(64);
        let free = mantissa.leading_zeros();
        Extended { mantissa: mantissa << free, exponent: exponent - free as i32 }
    }
}

/// Reads what follows `0x`: digits with at most one point, then perhaps `p` and a decimal exponent.
pub(crate) fn parse_hexadecimal(text: &[u8]) -> Option<Wide> {
    let mut bits = 0_u128;
    let mut exponent = 0_i64;
    let (mut seen, mut point, mut sticky) = (false, false, false);
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if let Some(digit) = (byte as char).to_digit(16) {
            seen = true;
            if bits >> 120 == 0 {
                bits = bits << 4 | u128::from(digit);
                exponent -= if point { 4 } else { 0 };
            } else {
                sticky |= digit != 0;
                exponent += if point { 0 } else { 4 };
            }
        } else if byte == b'.' && !point {
            point = true;
        } else {
            break;
        }
        at += 1;
    }
    if !seen {
        return None;
    }
    if at < text.len() {
        if !text[at].eq_ignore_ascii_case(&b'p') {
            return None;
        }
        exponent += parse_exponent(&text[at + 1..])?;
    }
    Some(Wide { bits, exponent: exponent.clamp(-100_000, 100_000) as i32, sticky })
}

/// A decimal exponent with an optional sign; huge ones are cut to a million, which is out of every range.
fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut magnitude = 0_i64;
    for &byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        magnitude = (magnitude * 10 + i64::from(byte - b'0')).min(1_000_000);
    }
    Some(if negative { -magnitude } else { magnitude })
}

/// Powers of ten that fit 60 bits: as divisors they leave enough bits of quotient to round correctly.
const QUICK_POWER_MAX: usize = 18;

/// Reads decimal digits with at most one point and perhaps an `e` exponent. `None` where that is no number; values
/// out of all range come back as `Err(large)`.
pub(crate) fn parse_decimal(text: &[u8]) -> Option<Result<Extended, OutOfRange>> {
    let (mut significant, mut digits, mut power) = (0_u64, 0_usize, 0_i64);
    let (mut seen, mut point) = (false, false);
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if byte.is_ascii_digit() {
            seen = true;
            power -= i64::from(point);
            if digits > 0 || byte != b'0' {
                // Beyond 19 digits this wraps; it is not used then.
                significant = significant.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
                digits += 1;
            }
        } else if byte == b'.' && !point {
            point = true;
        } else {
            break;
        }
        at += 1;
    }
    if !seen {
        return None;
    }
    if at < text.len() {
        if !text[at].eq_ignore_ascii_case(&b'e') {
            return None;
        }
        power += parse_exponent(&text[at + 1..])?;
    }
    if digits == 0 {
        return Some(Ok(Extended::ZERO));
    }
    let magnitude = digits as i64 + power;
    if magnitude > 5000 {
        return Some(Err(OutOfRange::Large));
    }
    if magnitude < -5000 {
        return Some(Err(OutOfRange::Small));
    }
    if digits <= 19 && power.unsigned_abs() as usize <= QUICK_POWER_MAX {
        return Some(Ok(scale_quickly(significant, power as i32)));
    }
    Some(Ok(scale_exactly(&text[..at], power as i32)))
}

/// Why a decimal number has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutOfRange {
    Large,
    Small,
}

fn scale_quickly(significant: u64, power: i32) -> Extended {
    let ten = 10_u128.pow(power.unsigned_abs());
    if power >= 0 {
        return Extended::round(Wide { bits: u128::from(significant) * ten, exponent: 0, sticky: false });
    }
    let shift = significant.leading_zeros() + 64;
    let scaled = u128::from(significant) << shift;
    Extended::round(Wide {
        bits: scaled / ten,
        exponent: -(shift as i32),
        sticky: !scaled.is_multiple_of(ten),
    })
}

/// `digits * 10^power` (a point among them is passed over) by long arithmetic: for the numbers that people do not write.
fn scale_exactly(digits: &[u8], power: i32) -> Extended {
    let mut numerator = Big::default();
    for &digit in digits.iter().filter(|digit| digit.is_ascii_digit()) {
        numerator.multiply_add(10, u32::from(digit - b'0'));
    }
    let mut denominator = Big::from_small(1);
    let scaled = if power >= 0 { &mut numerator } else { &mut denominator };
    for _ in 0..power.unsigned_abs() {
        scaled.multiply_add(10, 0);
    }
    // Bring the quotient into [1, 4), then draw 67 bits from it.
    let mut exponent = numerator.bits() as i32 - denominator.bits() as i32;
    if exponent > 0 {
        denominator.shift_left(exponent as usize);
    } else {
        numerator.shift_left(-exponent as usize);
    }
    if numerator.is_below(&denominator) {
        numerator.shift_left(1);
        exponent -= 1;
    }
    let mut quotient = 0_u128;
    for _ in 0..67 {
        quotient <<= 1;
        if !numerator.is_below(&denominator) {
            numerator.subtract(&denominator);
            quotient |= 1;
        }
        numerator.shift_left(1);
    }
    Extended::round(Wide { bits: quotient, exponent: exponent - 66, sticky: !numerator.is_zero() })
}

/// A natural number of any size, least significant limb first, no zero limb on top.
#[derive(Clone, Default)]
pub(crate) struct Big {
    limbs: Vec<u32>,
}

impl Big {
    pub(crate) fn from_small(value: u64) -> Self {
        let mut big = Big { limbs: vec![value as u32, (value >> 32) as u32] };
        big.trim();
        big
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.limbs.is_empty()
    }

    fn trim(&mut self) {
        while self.limbs.last() == Some(&0) {
            self.limbs.pop();
        }
    }

    fn bits(&self) -> usize {
        self.limbs.last().map_or(0, |top| self.limbs.len() * 32 - top.leading_zeros() as usize)
    }

    fn multiply_add(&mut self, factor: u32, summand: u32) {
        let mut carry = u64::from(summand);
        for limb in &mut self.limbs {
            let product = u64::from(*limb) * u64::from(factor) + carry;
            *limb = product as u32;
            carry = product >> 32;
        }
        if carry > 0 {
            self.limbs.push(carry as u32);
        }
    }

    /// Divides in place; returns the remainder.
    pub(crate) fn divide(&mut self, divisor: u32) -> u32 {
        let mut remainder = 0_u64;
        for limb in self.limbs.iter_mut().rev() {
            let dividend = remainder << 32 | u64::from(*limb);
            *limb = (dividend / u64::from(divisor)) as u32;
            remainder = dividend % u64::from(divisor);
        }
        self.trim();
        remainder as u32
    }

    pub(crate) fn shift_left(&mut self, count: usize) {
        let (limbs, bits) = (count / 32, count % 32);
        if bits > 0 {
            let mut carry = 0;
            for limb in &mut self.limbs {
                let moved = u64::from(*limb) << bits;
                *limb = moved as u32 | carry;
                carry = (moved >> 32) as u32;
            }
            if carry > 0 {
                self.limbs.push(carry);
            }
        }
        if limbs > 0 && !self.is_zero() {
            self.limbs.splice(0..0, std::iter::repeat_n(0, limbs));
        }
    }

    fn is_below(&self, other: &Big) -> bool {
        let by_length = self.limbs.len().cmp(&other.limbs.len());
        by_length.then_with(|| self.limbs.iter().rev().cmp(other.limbs.iter().rev())).is_lt()
    }

    /// Takes away `other`, which must not be larger.
    fn subtract(&mut self, other: &Big) {
        let mut borrow = false;
        for (index, limb) in self.limbs.iter_mut().enumerate() {
            let (difference, first) = limb.overflowing_sub(other.limbs.get(index).copied().unwrap_or(0));
            let (difference, second) = difference.overflowing_sub(u32::from(borrow));
            (*limb, borrow) = (difference, first || second);
        }
        debug_assert!(!borrow);
        self.trim();
    }
}
