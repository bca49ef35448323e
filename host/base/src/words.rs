//! Words in quotes, as the server writes them wherever a person reads them or they are read again.

use std::io::Write;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_print_is_escaped() {
        assert_eq!(quoted(b"a\"\\\n\r\t\x07\x08\x00\xff ~"), r#""a\"\\\n\r\t\a\b\x00\xff ~""#);
        assert_eq!(quoted(b""), "\"\"");
    }
}
