//! JSON as Lua's values. `null` is a light userdata, because a table cannot hold nil.

use mlua::{Lua, Value};

use super::{DEPTH_MAX, Settings};
use crate::number::read_number;
use crate::told::Told;

pub(super) fn decode(lua: &Lua, settings: &Settings, json: &[u8]) -> Told<Value> {
    if json.len() >= 2 && (json[0] == 0 || json[1] == 0) {
        return Err("JSON parser does not support UTF-16 or UTF-32".to_owned());
    }
    let mut parser = Parser { lua, settings, json, at: 0, depth: 0 };
    let first = parser.next();
    let value = parser.value(first)?;
    match parser.next() {
        Found { token: Token::End, .. } => Ok(value),
        found => Err(found.unexpected("the end")),
    }
}

enum Token {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    String(Vec<u8>),
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Error(&'static str),
}

/// A token, and where it begins.
struct Found {
    token: Token,
    at: usize,
}

impl Found {
    fn unexpected(&self, expected: &str) -> String {
        let found = match &self.token {
            Token::ObjectBegin => "T_OBJ_BEGIN",
            Token::ObjectEnd => "T_OBJ_END",
            Token::ArrayBegin => "T_ARR_BEGIN",
            Token::ArrayEnd => "T_ARR_END",
            Token::String(_) => "T_STRING",
            Token::Number(_) => "T_NUMBER",
            Token::Boolean(_) => "T_BOOLEAN",
            Token::Null => "T_NULL",
            Token::Colon => "T_COLON",
            Token::Comma => "T_COMMA",
            Token::End => "T_END",
            Token::Error(what) => what,
        };
        format!("Expected {expected} but found {found} at character {}", self.at + 1)
    }
}

struct Parser<'a> {
    lua: &'a Lua,
    settings: &'a Settings,
    json: &'a [u8],
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn value(&mut self, found: Found) -> Told<Value> {
        match found.token {
            Token::String(text) => self.string(&text),
            Token::Number(number) => Ok(Value::Number(number)),
            Token::Boolean(value) => Ok(Value::Boolean(value)),
            Token::Null => Ok(Value::NULL),
            Token::ObjectBegin => self.object(),
            Token::ArrayBegin => self.array(),
            _ => Err(found.unexpected("value")),
        }
    }

    fn object(&mut self) -> Told<Value> {
        self.descend()?;
        let table = self.lua.create_table().map_err(|error| error.to_string())?;
        let mut found = self.next();
        if !matches!(found.token, Token::ObjectEnd) {
            loop {
                let Token::String(key) = found.token else {
                    return Err(found.unexpected("object key string"));
                };
                let key = self.string(&key)?;
                let colon = self.next();
                let Token::Colon = colon.token else { return Err(colon.unexpected("colon")) };
                let first = self.next();
                let value = self.value(first)?;
                table.raw_set(key, value).map_err(|error| error.to_string())?;
                let end = self.next();
                match end.token {
                    Token::ObjectEnd => break,
                    Token::Comma => found = self.next(),
                    _ => return Err(end.unexpected("comma or object end")),
                }
            }
        }
        self.depth -= 1;
        Ok(Value::Table(table))
    }

    fn array(&mut self) -> Told<Value> {
        self.descend()?;
        let table = self.lua.create_table().map_err(|error| error.to_string())?;
        let mut found = self.next();
        if !matches!(found.token, Token::ArrayEnd) {
            for index in 1.. {
                let value = self.value(found)?;
                table.raw_seti(index, value).map_err(|error| error.to_string())?;
                let end = self.next();
                match end.token {
                    Token::ArrayEnd => break,
                    Token::Comma => found = self.next(),
                    _ => return Err(end.unexpected("comma or array end")),
                }
            }
        }
        self.depth -= 1;
        Ok(Value::Table(table))
    }

    fn descend(&mut self) -> Told<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX.min(self.settings.decode_depth as usize) {
            return Err(format!(
                "Found too many nested data structures ({}) at character {}",
                self.depth, self.at
            ));
        }
        Ok(())
    }

    fn string(&self, text: &[u8]) -> Told<Value> {
        self.lua.create_string(text).map(Value::String).map_err(|error| error.to_string())
    }

    /// Behind the end there are zeros, as behind a string of C's.
    fn byte(&self, offset: usize) -> u8 {
        self.json.get(self.at + offset).copied().unwrap_or(0)
    }

    fn next(&mut self) -> Found {
        while matches!(self.byte(0), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        let at = self.at;
        let token = match self.byte(0) {
            b'{' => self.single(Token::ObjectBegin),
            b'}' => self.single(Token::ObjectEnd),
            b'[' => self.single(Token::ArrayBegin),
            b']' => self.single(Token::ArrayEnd),
            b',' => self.single(Token::Comma),
            b':' => self.single(Token::Colon),
            0 => Token::End,
            b'"' => match self.quoted() {
                Ok(text) => Token::String(text),
                Err(what) => return Found { token: Token::Error(what), at: self.at },
            },
            b'-' | b'0'..=b'9' => self.number(),
            b'f' | b'i' | b'I' | b'n' | b'N' | b't' | b'+' => self.word(),
            _ => Token::Error("invalid token"),
        };
        Found { token, at }
    }

    fn single(&mut self, token: Token) -> Token {
        self.at += 1;
        token
    }

    fn word(&mut self) -> Token {
        let rest = &self.json[self.at..];
        let words = [("true", Token::Boolean(true)), ("false", Token::Boolean(false)), ("null", Token::Null)];
        for (word, token) in words {
            if rest.starts_with(word.as_bytes()) {
                self.at += word.len();
                return token;
            }
        }
        if self.settings.decode_invalid && is_invalid_number(rest) {
            return self.number();
        }
        Token::Error("invalid token")
    }

    fn number(&mut self) -> Token {
        let rest = &self.json[self.at..];
        if !self.settings.decode_invalid && is_invalid_number(rest) {
            return Token::Error("invalid number");
        }
        match read_number(rest) {
            Some((number, length)) => {
                self.at += length;
                Token::Number(number)
            }
            None => Token::Error("invalid number"),
        }
    }

    fn quoted(&mut self) -> Result<Vec<u8>, &'static str> {
        self.at += 1;
        let mut text = Vec::new();
        loop {
            match self.byte(0) {
                b'"' => break,
                0 => return Err("unexpected end of string"),
                b'\\' => {
                    let byte = match self.byte(1) {
                        byte @ (b'"' | b'\\' | b'/') => byte,
                        b'b' => 0x08,
                        b't' => b'\t',
                        b'n' => b'\n',
                        b'f' => 0x0c,
                        b'r' => b'\r',
                        b'u' => {
                            let letter = self.escaped_letter().ok_or("invalid unicode escape code")?;
                            text.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                            continue;
                        }
                        _ => return Err("invalid escape code"),
                    };
                    text.push(byte);
                    self.at += 2;
                }
                byte => {
                    text.push(byte);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        Ok(text)
    }

    /// `\uXXXX`, or two of them for what lies beyond 16 bits.
    fn escaped_letter(&mut self) -> Option<char> {
        let high = self.four_digits(2)?;
        if high & 0xF800 != 0xD800 {
            self.at += 6;
            return char::from_u32(high);
        }
        if high & 0x400 != 0 || self.byte(6) != b'\\' || self.byte(7) != b'u' {
            return None;
        }
        let low = self.four_digits(8)?;
        if low & 0xFC00 != 0xDC00 {
            return None;
        }
        self.at += 12;
        char::from_u32((((high & 0x3FF) << 10) | (low & 0x3FF)) + 0x1_0000)
    }

    fn four_digits(&self, offset: usize) -> Option<u32> {
        (0..4)
            .try_fold(0, |value, index| Some(value << 4 | (self.byte(offset + index) as char).to_digit(16)?))
    }
}

/// What C reads as a number and JSON does not.
fn is_invalid_number(text: &[u8]) -> bool {
    if text.first() == Some(&b'+') {
        return true;
    }
    let text = text.strip_prefix(b"-").unwrap_or(text);
    match text {
        [b'0', next, ..] => matches!(next, b'x' | b'X' | b'0'..=b'9'),
        [b'0'] => false,
        [first, ..] if *first <= b'9' => false,
        _ => {
            let starts = |word: &[u8]| text.len() >= 3 && text[..3].eq_ignore_ascii_case(word);
            starts(b"inf") || starts(b"nan")
        }
    }
}
