//! Words of a configuration line, as Redis splits and quotes them; manifests name their files so.
//!
//! Knows no manifest. Always: what `quoted` writes is one word, and `split` reads it back.

/// The words of `line`; `None` where quotes are not closed, or not followed by a blank.
pub(crate) fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        let blanks = rest.iter().take_while(|&&byte| is_blank(byte)).count();
        rest = &rest[blanks..];
        if rest.is_empty() {
            return Some(words);
        }
        let (word, behind) = take_word(rest)?;
        words.push(word);
        rest = behind;
    }
}

/// `word` as it is, or between quotes where it would not come back whole otherwise.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'"' | b'\'');
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    tenon_base::quoted(word.as_bytes())
}

/// The word at the start of `rest`, and what is behind it.
fn take_word(rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    let mut at = 0;
    loop {
        match rest.get(at) {
            None => return Some((word, &[])),
            Some(b'"') => {
                at = take_double_quoted(rest, at + 1, &mut word)?;
                return closed(rest, at).map(|behind| (word, behind));
            }
            Some(b'\'') => {
                at = take_single_quoted(rest, at + 1, &mut word)?;
                return closed(rest, at).map(|behind| (word, behind));
            }
            Some(b' ' | b'\n' | b'\r' | b'\t' | 0) => return Some((word, &rest[at + 1..])),
            Some(&byte) => word.push(byte),
        }
        at += 1;
    }
}

/// What follows a closing quote: a blank or nothing.
fn closed(rest: &[u8], at: usize) -> Option<&[u8]> {
    let behind = &rest[at..];
    behind.first().is_none_or(|&byte| is_blank(byte)).then_some(behind)
}

/// Reads up to the closing quote; returns the place behind it.
fn take_double_quoted(rest: &[u8], mut at: usize, word: &mut Vec<u8>) -> Option<usize> {
    loop {
        match *rest.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => {
                let escaped = *rest.get(at + 1)?;
                let hex = |index: usize| rest.get(index).and_then(|&byte| char::from(byte).to_digit(16));
                if let (b'x', Some(high), Some(low)) = (escaped, hex(at + 2), hex(at + 3)) {
                    word.push((high * 16 + low) as u8);
                    at += 4;
                    continue;
                }
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => other,
                });
                at += 2;
            }
            byte => {
                word.push(byte);
                at += 1;
            }
        }
    }
}

/// Reads up to the closing quote; returns the place behind it.
fn take_single_quoted(rest: &[u8], mut at: usize, word: &mut Vec<u8>) -> Option<usize> {
    loop {
        match *rest.get(at)? {
            b'\'' => return Some(at + 1),
            b'\\' if rest.get(at + 1) == Some(&b'\'') => {
                word.push(b'\'');
                at += 2;
            }
            byte => {
                word.push(byte);
                at += 1;
            }
        }
    }
}

/// What C's `isspace` holds for a blank.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_words_come_back() {
        let bytes: String = (1..128_u8).map(char::from).collect();
        for word in ["plain.1.incr.aof", "with blank", "quote\"s", "it's", "", "ü", "back\\slash", &bytes] {
            let line = format!("file {} seq", quoted(word));
            let words = split(line.as_bytes()).expect("a line of words");
            assert_eq!(words, [b"file".as_slice(), word.as_bytes(), b"seq"], "{line}");
        }
        assert_eq!(quoted("plain"), "plain");
    }

    #[test]
    fn words_are_split_as_redis_does() {
        let cases: [(&str, Option<&[&str]>); 9] = [
            ("", Some(&[])),
            ("  a\t b\r", Some(&["a", "b"])),
            ("'a b' c", Some(&["a b", "c"])),
            (r#""a\x41\q" b"#, Some(&["aAq", "b"])),
            (r"'a\'b'", Some(&["a'b"])),
            ("pre\"fixed\"", Some(&["prefixed"])),
            ("\"open", None),
            ("'open", None),
            ("\"a\"b", None),
        ];
        for (line, expected) in cases {
            let expected =
                expected.map(|words| words.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>());
            assert_eq!(split(line.as_bytes()), expected, "{line}");
        }
    }
}
