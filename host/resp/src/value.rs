//! A reply as a value, as it is read by clients of a server, and as people read it. Not on the serving path: see `reply`.

use std::fmt;

/// One reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `+`: a status.
    Simple(Vec<u8>),
    /// `-` or `!`: an error, with its code.
    Error(Vec<u8>),
    /// `:`.
    Integer(i64),
    /// `$`: a string.
    Bulk(Vec<u8>),
    /// `$-1` or `_`.
    Null,
    /// `*-1`.
    NullArray,
    /// `*`.
    Array(Vec<Value>),
    /// `%`.
    Map(Vec<(Value, Value)>),
    /// `~`.
    Set(Vec<Value>),
    /// `>`: a message nobody asked for.
    Push(Vec<Value>),
    /// `#`.
    Boolean(bool),
    /// `,`.
    Double(f64),
    /// `(`: decimal digits.
    BigNumber(Vec<u8>),
    /// `=`: a format in three letters, and the text.
    Verbatim([u8; 3], Vec<u8>),
    /// `|`: an attribute and the reply it belongs to.
    Attribute(Vec<(Value, Value)>, Box<Value>),
}

impl Value {
    /// The text of a string, a status, an error or a verbatim text.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Simple(text) | Value::Error(text) | Value::Bulk(text) | Value::Verbatim(_, text) => {
                Some(text)
            }
            _ => None,
        }
    }

    /// The elements of an array, a set or a push.
    pub fn as_elements(&self) -> Option<&[Value]> {
        match self {
            Value::Array(elements) | Value::Set(elements) | Value::Push(elements) => Some(elements),
            _ => None,
        }
    }
}

/// In one line, with each type told from the others.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Simple(text) => write!(f, "{}", text.escape_ascii()),
            Value::Error(text) => write!(f, "(error) {}", String::from_utf8_lossy(text)),
            Value::Integer(number) => write!(f, "{number}"),
            Value::Bulk(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
            Value::Null => f.write_str("(nil)"),
            Value::NullArray => f.write_str("(nil array)"),
            Value::Array(elements) => write!(f, "[{}]", Listed(elements)),
            Value::Set(elements) => write!(f, "~[{}]", Listed(elements)),
            Value::Push(elements) => write!(f, ">[{}]", Listed(elements)),
            Value::Map(pairs) => write!(f, "{{{}}}", Paired(pairs)),
            Value::Boolean(value) => write!(f, "({value})"),
            Value::Double(value) => write!(f, "(double) {value}"),
            Value::BigNumber(digits) => write!(f, "(big) {}", digits.escape_ascii()),
            Value::Verbatim(_, text) => write!(f, "={}", text.escape_ascii()),
            Value::Attribute(pairs, behind) => write!(f, "|{{{}}} {behind}", Paired(pairs)),
        }
    }
}

struct Listed<'a>(&'a [Value]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(index, element)| {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{element}")
        })
    }
}

struct Paired<'a>(&'a [(Value, Value)]);

impl fmt::Display for Paired<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(index, (key, value))| {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{key}: {value}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_is_told_from_the_others() {
        let text = |text: &str| text.as_bytes().to_vec();
        let pairs = || vec![(Value::Simple(text("a")), Value::Null), (Value::Integer(-1), Value::NullArray)];
        let inner = vec![Value::Bulk(text("x\n")), Value::Error(text("ERR no")), Value::Double(1.5)];
        let shown = |value: Value| value.to_string();
        assert_eq!(shown(Value::Array(inner.clone())), r#"["x\n", (error) ERR no, (double) 1.5]"#);
        assert_eq!(shown(Value::Set(vec![])), "~[]");
        assert_eq!(shown(Value::Push(vec![Value::Boolean(true)])), ">[(true)]");
        assert_eq!(shown(Value::Map(pairs())), "{a: (nil), -1: (nil array)}");
        let behind = Box::new(Value::Verbatim(*b"txt", text("v")));
        assert_eq!(shown(Value::Attribute(pairs(), behind)), "|{a: (nil), -1: (nil array)} =v");
        assert_eq!(shown(Value::BigNumber(text("12"))), "(big) 12");
    }
}
