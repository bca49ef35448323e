//! Patterns as BY and GET name them: a key, or a field of a hash, in whose name `*` stands for the element; or `#`,
//! the element itself.
//! Always: a key of another type, like one that is not there, says nothing.

use tenon_keyspace::{Element, TextRef, ValueRef};
use tenon_resp::INTEGER_TEXT_BYTES_MAX;

use crate::Db;

/// A pattern, taken apart.
pub(super) enum Pattern<'a> {
    /// `#`
    Itself,
    /// Without `*` there is nothing to look for.
    Constant,
    /// `before*behind`, or `before*behind->field`
    Key { before: &'a [u8], behind: &'a [u8], field: Option<&'a [u8]> },
}

impl<'a> Pattern<'a> {
    /// Takes a word apart. As in Redis, a zero byte ends the search for `*` and for the arrow.
    pub(super) fn parse(word: &'a [u8]) -> Pattern<'a> {
        if word == b"#" {
            return Pattern::Itself;
        }
        let searched = until_zero(word);
        let Some(star) = searched.iter().position(|&byte| byte == b'*') else { return Pattern::Constant };
        let (before, behind) = (&word[..star], &word[star + 1..]);
        let arrow = until_zero(behind).windows(2).position(|pair| pair == b"->");
        match arrow {
            Some(arrow) if until_zero(behind).len() > arrow + 2 => {
                Pattern::Key { before, behind: &behind[..arrow], field: Some(&behind[arrow + 2..]) }
            }
            _ => Pattern::Key { before, behind, field: None },
        }
    }

    /// Whether it has a `*`, so that other keys say how to sort.
    pub(super) fn names_keys(&self) -> bool {
        matches!(self, Pattern::Key { .. })
    }

    /// What it says of an element. `key` is room for the name of a key.
    pub(super) fn look_up<'d>(
        &self,
        db: &'d mut Db<'_>,
        element: Element<'d>,
        key: &mut Vec<u8>,
    ) -> Option<Element<'d>> {
        let &Pattern::Key { before, behind, field } = self else {
            return matches!(self, Pattern::Itself).then_some(element);
        };
        key.clear();
        key.extend_from_slice(before);
        key.extend_from_slice(element.as_bytes(&mut [0; INTEGER_TEXT_BYTES_MAX]));
        key.extend_from_slice(behind);
        match (db.find(key)?.value(), field) {
            (ValueRef::String(TextRef::Integer(number)), None) => Some(Element::Integer(number)),
            (ValueRef::String(TextRef::Bytes(bytes)), None) => Some(Element::Bytes(bytes)),
            (ValueRef::Hash(hash), Some(field)) => hash.value(field),
            _ => None,
        }
    }
}

/// The bytes before the first zero.
pub(super) fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_taken_apart() {
        let parts = |word: &'static str| match Pattern::parse(word.as_bytes()) {
            Pattern::Itself => "itself".to_owned(),
            Pattern::Constant => "constant".to_owned(),
            Pattern::Key { before, behind, field } => {
                let shown = |bytes: &[u8]| bytes.escape_ascii().to_string();
                format!("{}|{}|{}", shown(before), shown(behind), field.map_or("none".to_owned(), shown))
            }
        };
        for (word, expected) in [
            ("#", "itself"),
            ("nosort", "constant"),
            ("", "constant"),
            ("w_*", "w_||none"),
            ("*", "||none"),
            ("a*b*c", "a|b*c|none"),
            ("h*->f", "h||f"),
            ("h*x->f->g", "h|x|f->g"),
            ("h*->", "h|->|none"),
            ("h->*", "h->||none"),
            ("a\0*", "constant"),
            ("a*\0->f", "a|\\x00->f|none"),
        ] {
            assert_eq!(parts(word), expected, "{word:?}");
        }
    }
}
