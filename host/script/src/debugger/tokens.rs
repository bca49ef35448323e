//! The tokens of a script's text. Not a check: what is read here has been compiled by Lua already.
//! Always: tokens come in order, do not overlap, and leave out nothing but blanks and comments.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name or a keyword.
    Word,
    /// A string in quotes or long brackets.
    Text,
    /// A number.
    Number,
    /// Anything else: `=`, `..`, `(`.
    Symbol,
    /// Behind the last one.
    End,
}

/// A token and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
    /// From 1.
    pub(super) line: usize,
}

/// Reads them all; the last one is the end. `None` for what is no text of Lua.
pub(super) fn read(source: &[u8]) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let (mut at, mut line, mut counted) = (0, 1, 0);
    loop {
        at = skip(source, at)?;
        line += source[counted..at].iter().filter(|byte| **byte == b'\n').count();
        counted = at;
        let Some(&first) = source.get(at) else {
            tokens.push(Token { kind: Kind::End, start: at, end: at, line });
            return Some(tokens);
        };
        let rest = &source[at..];
        let (kind, length) = match first {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => (Kind::Word, count(rest, is_name)),
            b'0'..=b'9' => (Kind::Number, number_length(rest)),
            b'.' if rest.get(1).is_some_and(u8::is_ascii_digit) => (Kind::Number, number_length(rest)),
            b'"' | b'\'' => (Kind::Text, quoted_length(rest)?),
            b'[' => match bracket_length(rest) {
                Some(length) => (Kind::Text, length?),
                None => (Kind::Symbol, 1),
            },
            _ => (Kind::Symbol, symbol_length(rest)),
        };
        tokens.push(Token { kind, start: at, end: at + length, line });
        at += length;
    }
}

/// The next byte that is neither blank nor part of a comment.
fn skip(source: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += count(&source[at..], |byte| byte.is_ascii_whitespace() || byte == 0x0b);
        if !source[at..].starts_with(b"--") {
            return Some(at);
        }
        let rest = &source[at + 2..];
        at += 2 + match bracket_length(rest) {
            Some(length) => length?,
            None => count(rest, |byte| byte != b'\n'),
        };
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn count(bytes: &[u8], is_one: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| is_one(**byte)).count()
}

/// Digits and points, an exponent with its sign, and whatever letters hang on to it.
fn number_length(bytes: &[u8]) -> usize {
    let mut length = count(bytes, |byte| byte.is_ascii_digit() || byte == b'.');
    if matches!(bytes.get(length), Some(b'e' | b'E')) {
        length += 1;
        length += usize::from(matches!(bytes.get(length), Some(b'+' | b'-')));
    }
    length + count(&bytes[length..], is_name)
}

fn quoted_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            _ if byte == bytes[0] => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

/// The length of what stands in long brackets, `[==[ .. ]==]`: none where none begin here, none within where they do
/// not end.
fn bracket_length(bytes: &[u8]) -> Option<Option<usize>> {
    let inner = bytes.strip_prefix(b"[")?;
    let level = count(inner, |byte| byte == b'=');
    inner.get(level).filter(|byte| **byte == b'[')?;
    let close = [&b"]"[..], &b"=".repeat(level), &b"]"[..]].concat();
    let found = bytes.windows(close.len()).skip(level + 2).position(|window| window == close);
    Some(found.map(|from| level + 2 + from + close.len()))
}

fn symbol_length(bytes: &[u8]) -> usize {
    match bytes {
        [b'.', b'.', b'.', ..] => 3,
        [b'.', b'.', ..] | [b'=' | b'~' | b'<' | b'>', b'=', ..] => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(source: &str) -> Vec<String> {
        let tokens = read(source.as_bytes()).expect("a script");
        tokens.iter().map(|token| format!("{}:{}", token.line, &source[token.start..token.end])).collect()
    }

    #[test]
    fn strings_comments_and_numbers_are_taken_whole() {
        assert_eq!(
            shown("x='a\\'b' --[[ c\n]] y=[=[ ]]\n]=]..\"q\" -- d\nz=1e-5+.5~=0x1F"),
            [
                "1:x",
                "1:=",
                "1:'a\\'b'",
                "2:y",
                "2:=",
                "2:[=[ ]]\n]=]",
                "3:..",
                "3:\"q\"",
                "4:z",
                "4:=",
                "4:1e-5",
                "4:+",
                "4:.5",
                "4:~=",
                "4:0x1F",
                "4:"
            ]
        );
        assert_eq!(
            shown("a[b[1]]=#c..."),
            ["1:a", "1:[", "1:b", "1:[", "1:1", "1:]", "1:]", "1:=", "1:#", "1:c", "1:...", "1:"]
        );
    }

    #[test]
    fn what_does_not_end_is_no_script() {
        for source in ["x = 'a", "x = [[a]", "--[[ never", "'\\"] {
            assert_eq!(read(source.as_bytes()), None, "{source}");
        }
    }
}
