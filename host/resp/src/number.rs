//! Integers as text: what Redis accepts as one, and how one is written.
//!
//! Always: `parse_integer` accepts exactly what `format_integer` writes, so a stored integer reads back as the same
//! bytes.

/// The longest text of an `i64` or `u64` (bytes).
pub const INTEGER_TEXT_BYTES_MAX: usize = 20;

/// Reads a decimal integer as strictly as Redis does: no spaces, no `+`, no leading zeros, no `-0`, nothing else.
#[inline]
pub fn parse_integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() < INTEGER_TEXT_BYTES_MAX => {}
        _ => return None,
    }
    let mut magnitude = 0_u64;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // Nineteen digits cannot exceed 64 bits.
        magnitude = magnitude * 10 + u64::from(digit);
    }
    if negative { 0_i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

/// Reads a decimal integer from 0 to 2^64-1, as strictly as `parse_integer`.
pub fn parse_unsigned(text: &[u8]) -> Option<u64> {
    match text {
        [b'0'] => Some(0),
        [b'1'..=b'9', ..] if text.len() <= INTEGER_TEXT_BYTES_MAX => {
            text.iter().try_fold(0_u64, |value, &byte| {
                let digit = byte.wrapping_sub(b'0');
                if digit > 9 {
                    return None;
                }
                value.checked_mul(10)?.checked_add(u64::from(digit))
            })
        }
        _ => None,
    }
}

/// Writes `value` in decimal into `text`; returns the part written.
#[inline]
pub fn format_integer(value: i64, text: &mut [u8; INTEGER_TEXT_BYTES_MAX]) -> &[u8] {
    let mut start = write_backwards(value.unsigned_abs(), text);
    if value < 0 {
        start -= 1;
        text[start] = b'-';
    }
    &text[start..]
}

/// Writes `value` in decimal into `text`; returns the part written.
#[inline]
pub(crate) fn format_unsigned(value: u64, text: &mut [u8; INTEGER_TEXT_BYTES_MAX]) -> &[u8] {
    let start = write_backwards(value, text);
    &text[start..]
}

const TWO_DIGITS: [[u8; 2]; 100] = {
    let mut table = [[0; 2]; 100];
    let mut value = 0;
    while value < 100 {
        table[value] = [b'0' + (value / 10) as u8, b'0' + (value % 10) as u8];
        value += 1;
    }
    table
};

/// Two digits at a time from the end; returns where the text starts.
#[inline]
fn write_backwards(mut value: u64, text: &mut [u8; INTEGER_TEXT_BYTES_MAX]) -> usize {
    let mut start = text.len();
    while value >= 100 {
        start -= 2;
        text[start..start + 2].copy_from_slice(&TWO_DIGITS[(value % 100) as usize]);
        value /= 100;
    }
    if value >= 10 {
        start -= 2;
        text[start..start + 2].copy_from_slice(&TWO_DIGITS[value as usize]);
    } else {
        start -= 1;
        text[start] = b'0' + value as u8;
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_strictly() {
        for value in [0, 1, -1, 9, 10, 99, 100, -100, 12_345, i64::MAX, i64::MIN, i64::MIN + 1] {
            let text = value.to_string();
            assert_eq!(parse_integer(text.as_bytes()), Some(value));
            assert_eq!(format_integer(value, &mut [0; 20]), text.as_bytes());
        }
        let refused = [
            "",
            "-",
            "+1",
            " 1",
            "1 ",
            "01",
            "-0",
            "-01",
            "00",
            "1.0",
            "0x1",
            "1a",
            "9223372036854775808",
            "-9223372036854775809",
            "99999999999999999999",
            "18446744073709551616",
            "100000000000000000000000",
        ];
        for text in refused {
            assert_eq!(parse_integer(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn unsigned_integers_reach_to_the_end() {
        for value in [0, 7, 42, 1000, u64::MAX] {
            assert_eq!(parse_unsigned(value.to_string().as_bytes()), Some(value));
            assert_eq!(format_unsigned(value, &mut [0; 20]), value.to_string().as_bytes());
        }
        for text in ["", "-1", "01", "18446744073709551616", "99999999999999999999", "1x"] {
            assert_eq!(parse_unsigned(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn every_length_of_integer_is_written() {
        let mut value = 1_i64;
        while let Some(next) = value.checked_mul(7) {
            for value in [value, -value, value - 1] {
                assert_eq!(format_integer(value, &mut [0; 20]), value.to_string().as_bytes());
            }
            value = next;
        }
    }
}
