//! What elements weigh where SORT compares numbers: the text of a double as C's `strtod` reads it.

use tenon_keyspace::Element;

use super::pattern::until_zero;

/// The number that a text is as a whole; a zero byte ends it, and nothing at all is zero.
pub(super) fn weight_of(element: Element<'_>) -> Option<f64> {
    let text = match element {
        Element::Integer(number) => return Some(number as f64),
        Element::Bytes(bytes) => until_zero(bytes),
    };
    if text.is_empty() {
        return Some(0.0);
    }
    let start = text.iter().position(|byte| !matches!(byte, b' ' | b'\t'..=b'\r'))?;
    // C tells a number too small for all its digits as it tells one too large.
    tenon_resp::parse_double(&text[start..]).filter(|number| !number.is_subnormal())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_weigh_what_strtod_makes_of_them() {
        let weight = |text: &'static str| weight_of(Element::Bytes(text.as_bytes()));
        for (text, expected) in [
            ("", 0.0),
            ("7", 7.0),
            (" \t\n7", 7.0),
            ("-1.5e3", -1500.0),
            ("0x10", 16.0),
            ("inf", f64::INFINITY),
            ("3\0x", 3.0),
            ("\0", 0.0),
        ] {
            assert_eq!(weight(text), Some(expected), "{text:?}");
        }
        for text in [" ", "7 ", "x", "7x", "nan", "1e999", "5e-324"] {
            assert_eq!(weight(text), None, "{text:?}");
        }
        assert_eq!(weight_of(Element::Integer(-3)), Some(-3.0));
    }
}
