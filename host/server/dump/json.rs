//! JSON as it is written, piece by piece: nothing is built first, so a value of any size takes no memory here.
//! Always: one object is one line, and every line is JSON whatever bytes are in it.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes JSON. Commas come by themselves.
pub(super) struct Json<W> {
    out: W,
    /// Whether something stands before in the same object or list.
    follows: bool,
}

impl<W: Write> Json<W> {
    pub(super) fn new(out: W) -> Json<W> {
        Json { out, follows: false }
    }

    /// Begins a line: an object of this kind.
    pub(super) fn begin_line(&mut self, kind: &'static str) -> io::Result<()> {
        self.follows = false;
        write!(self.out, "{{\"kind\":\"{kind}\"")?;
        self.follows = true;
        Ok(())
    }

    /// Ends the line.
    pub(super) fn end_line(&mut self) -> io::Result<()> {
        self.out.write_all(b"}\n")
    }

    /// The name of what comes next.
    pub(super) fn name(&mut self, name: &'static str) -> io::Result<()> {
        self.separate()?;
        write!(self.out, "\"{name}\":")?;
        self.follows = false;
        Ok(())
    }

    /// Opens a list or an object.
    pub(super) fn open(&mut self, bracket: u8) -> io::Result<()> {
        self.separate()?;
        self.follows = false;
        self.out.write_all(&[bracket])
    }

    /// Closes it.
    pub(super) fn close(&mut self, bracket: u8) -> io::Result<()> {
        self.follows = true;
        self.out.write_all(&[bracket])
    }

    /// A number, or another word that is JSON as it is.
    pub(super) fn bare(&mut self, value: impl Display) -> io::Result<()> {
        self.separate()?;
        write!(self.out, "{value}")
    }

    /// A number under a name.
    pub(super) fn number(&mut self, name: &'static str, value: impl Display) -> io::Result<()> {
        self.name(name)?;
        self.bare(value)
    }

    /// A number under a name, or null.
    pub(super) fn number_or_null(
        &mut self,
        name: &'static str,
        value: Option<impl Display>,
    ) -> io::Result<()> {
        match value {
            Some(value) => self.number(name, value),
            None => self.number(name, "null"),
        }
    }

    /// A text under a name.
    pub(super) fn named_text(&mut self, name: &'static str, text: &[u8]) -> io::Result<()> {
        self.name(name)?;
        self.text(text)
    }

    /// A text: a string if it is UTF-8, else an object with a string that says which bytes are not.
    pub(super) fn text(&mut self, text: &[u8]) -> io::Result<()> {
        self.separate()?;
        if let Ok(text) = std::str::from_utf8(text) {
            self.out.write_all(b"\"")?;
            self.characters(text, false)?;
            return self.out.write_all(b"\"");
        }
        self.out.write_all(b"{\"escaped\":\"")?;
        for chunk in text.utf8_chunks() {
            self.characters(chunk.valid(), true)?;
            for byte in chunk.invalid() {
                write!(self.out, "\\\\x{byte:02x}")?;
            }
        }
        self.out.write_all(b"\"}")
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn separate(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.follows, true) {
            self.out.write_all(b",")?;
        }
        Ok(())
    }

    /// `doubles` a backslash that would otherwise be read as the start of `\xHH`.
    fn characters(&mut self, text: &str, doubles: bool) -> io::Result<()> {
        let mut written = 0;
        for (at, character) in text.char_indices() {
            // Control characters beyond ASCII are allowed in JSON, but they drive terminals.
            let is_plain = !character.is_control() && !matches!(character, '"' | '\\');
            if is_plain {
                continue;
            }
            self.out.write_all(&text.as_bytes()[written..at])?;
            written = at + character.len_utf8();
            match character {
                '"' => self.out.write_all(b"\\\"")?,
                '\\' if doubles => self.out.write_all(b"\\\\\\\\")?,
                '\\' => self.out.write_all(b"\\\\")?,
                '\n' => self.out.write_all(b"\\n")?,
                '\r' => self.out.write_all(b"\\r")?,
                '\t' => self.out.write_all(b"\\t")?,
                other => write!(self.out, "\\u{:04x}", u32::from(other))?,
            }
        }
        self.out.write_all(&text.as_bytes()[written..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &[u8]) -> String {
        let mut out = Vec::new();
        Json::new(&mut out).text(text).expect("a vector takes everything");
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    #[test]
    fn texts_are_strings_and_other_bytes_are_escaped() {
        let cases: [(&[u8], &str); 8] = [
            (b"", r#""""#),
            (b"plain", r#""plain""#),
            ("\u{e4}\u{1F600}".as_bytes(), "\"\u{e4}\u{1F600}\""),
            (b"a\"b\\c\n\r\t\0\x1b\x7f", r#""a\"b\\c\n\r\t\u0000\u001b\u007f""#),
            ("\u{9b}31m".as_bytes(), r#""\u009b31m""#),
            (b"\xff", r#"{"escaped":"\\xff"}"#),
            (b"a\\x00\xc3(\xe2\x82", r#"{"escaped":"a\\\\x00\\xc3(\\xe2\\x82"}"#),
            (b"\xed\xa0\x80", r#"{"escaped":"\\xed\\xa0\\x80"}"#),
        ];
        for (text, expected) in cases {
            assert_eq!(written(text), expected, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn commas_stand_between_and_nowhere_else() {
        let mut out = Vec::new();
        let mut json = Json::new(&mut out);
        let mut lines = || -> io::Result<()> {
            for _ in 0..2 {
                json.begin_line("k")?;
                json.name("list")?;
                json.open(b'[')?;
                json.text(b"a")?;
                json.open(b'[')?;
                json.bare(1)?;
                json.bare(2)?;
                json.close(b']')?;
                json.open(b'{')?;
                json.close(b'}')?;
                json.close(b']')?;
                json.number_or_null("n", None::<i64>)?;
                json.end_line()?;
            }
            Ok(())
        };
        lines().expect("a vector takes everything");
        let line = "{\"kind\":\"k\",\"list\":[\"a\",[1,2],{}],\"n\":null}\n";
        assert_eq!(String::from_utf8(out).expect("JSON is UTF-8"), line.repeat(2));
    }
}
