//! Words of a line, by the rules of Redis's configuration files: taken apart, and written wherever a person reads them
//! or they are read again.
//! Always: `split_words(quoted(word))` is that one word, whatever its bytes.

use std::io::Write;

/// The words of a line, or `None` if a quote is not closed or something stands right behind a closing quote.
/// `"..."` knows `\n \r \t \b \a \xHH` and takes any other escaped byte as itself; `'...'` knows only `\'`.
pub fn split_words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        let blanks = rest.iter().take_while(|byte| is_blank(**byte)).count();
        rest = &rest[blanks..];
        if rest.is_empty() {
            return Some(words);
        }
        let (word, after) = take_word(rest)?;
        words.push(word);
        rest = after;
    }
}

/// Appends `word` in double quotes, with everything but printable ASCII escaped as in C.
pub fn write_quoted(out: &mut Vec<u8>, word: &[u8]) {
    out.push(b'"');
    for &byte in word {
        match byte {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x07 => out.extend_from_slice(b"\\a"),
            0x08 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(byte),
            // A vector takes everything.
            _ => drop(write!(out, "\\x{byte:02x}")),
        }
    }
    out.push(b'"');
}

/// `word` in double quotes, as text.
pub fn quoted(word: &[u8]) -> String {
    let mut out = Vec::with_capacity(word.len() + 2);
    write_quoted(&mut out, word);
    out.into_iter().map(char::from).collect() // ASCII alone
}

/// `word` as it is, or in double quotes where it would not come back whole otherwise.
pub fn quoted_if_needed(word: &[u8]) -> String {
    let is_bare = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\');
    if !word.is_empty() && word.iter().all(is_bare) {
        return String::from_utf8_lossy(word).into_owned();
    }
    quoted(word)
}

/// What C's `isspace` takes for a blank, and the zero, where C would see the line's end.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r' | 0)
}

/// One word and what follows it. The line does not start with a blank.
fn take_word(line: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    let mut at = 0;
    while let Some(&byte) = line.get(at) {
        at += 1;
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' | 0 => break,
            b'"' | b'\'' => {
                at += take_quoted(byte, &line[at..], &mut word)?;
                if line.get(at).is_some_and(|next| !is_blank(*next)) {
                    return None;
                }
                break;
            }
            _ => word.push(byte),
        }
    }
    Some((word, &line[at..]))
}

/// Appends what stands up to the closing quote; says how many bytes that was, with the quote.
fn take_quoted(quote: u8, text: &[u8], word: &mut Vec<u8>) -> Option<usize> {
    let mut at = 0;
    loop {
        match *text.get(at)? {
            byte if byte == quote => return Some(at + 1),
            b'\\' if quote == b'"' => at += take_escape(&text[at..], word)?,
            b'\\' if text.get(at + 1) == Some(&b'\'') => {
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

/// Appends the byte a backslash and what follows stand for; says how many bytes that was.
fn take_escape(text: &[u8], word: &mut Vec<u8>) -> Option<usize> {
    if let [b'\\', b'x', high, low, ..] = text
        && let (Some(high), Some(low)) = (char::from(*high).to_digit(16), char::from(*low).to_digit(16))
    {
        word.push((high * 16 + low) as u8);
        return Some(4);
    }
    word.push(match *text.get(1)? {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    });
    Some(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::from_utf8;

    #[test]
    fn what_does_not_print_is_escaped() {
        assert_eq!(quoted(b"a\"\\\n\r\t\x07\x08\x00\xff ~"), r#""a\"\\\n\r\t\a\b\x00\xff ~""#);
        assert_eq!(quoted(b""), "\"\"");
    }

    fn shown(line: &str) -> Option<String> {
        let words = split_words(line.as_bytes())?;
        Some(words.iter().map(|word| format!("[{}]", from_utf8(word).unwrap())).collect())
    }

    #[test]
    fn words_are_split_as_redis_splits_them() {
        for (line, words) in [
            ("", Some("")),
            ("  port\t 6379 ", Some("[port][6379]")),
            (r#"a "b c" 'd e'"#, Some("[a][b c][d e]")),
            (r#"save """#, Some("[save][]")),
            (r#""\x41\n\"\q" '\'\n'"#, Some("[A\n\"q]['\\n]")),
            (r#"key="a b""#, Some("[key=a b]")),
            (r#""\xg1""#, Some("[xg1]")),
            (r#""a"b"#, None),
            (r#""a"#, None),
            (r#"'a"#, None),
            (r#""a\"#, None),
            (r#"a\ b"#, Some("[a\\][b]")),
            ("  a\t\0b\r", Some("[a][b]")),
        ] {
            assert_eq!(shown(line).as_deref(), words, "{line}");
        }
        assert_eq!(split_words(br#""\xff\x00""#), Some(vec![vec![255, 0]]));
    }

    #[test]
    fn every_byte_survives_quoting() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(split_words(quoted(&all).as_bytes()), Some(vec![all.clone()]));
        for word in [
            b"plain".as_slice(),
            b"with blank",
            b"quote\"s",
            b"it's",
            b"",
            "ü".as_bytes(),
            b"back\\slash",
            &all,
        ] {
            let line = format!("file {} seq", quoted_if_needed(word));
            assert_eq!(
                split_words(line.as_bytes()),
                Some([b"file", word, b"seq"].map(<[u8]>::to_vec).to_vec()),
                "{line}"
            );
        }
        assert_eq!(quoted_if_needed(b"plain"), "plain");
    }
}
