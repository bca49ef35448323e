//! Values and replies as a debugger shows them, in Redis's notation. Not what a program reads: long ones are cut.
//! Always: what is written is bounded, however large or deep the value is.

use std::ffi::c_void;

use mlua::{Table, Value};
use tenon_base::write_quoted;

/// Tables within tables that are shown.
const DEPTH_MAX: usize = 10;
/// Bytes after which nothing more is written of a value.
const BYTES_MAX: usize = 1 << 20;

/// Writes a value of Lua's.
pub(super) fn show_value(out: &mut Vec<u8>, value: &Value, depth: usize) {
    if depth == DEPTH_MAX {
        return out.extend_from_slice(b"<max recursion level reached! Nested table?>");
    }
    match value {
        Value::Nil => out.extend_from_slice(b"nil"),
        Value::Boolean(is_true) => out.extend_from_slice(if *is_true { b"true" } else { b"false" }),
        Value::Integer(number) => out.extend_from_slice(short_number(*number as f64).as_bytes()),
        Value::Number(number) => out.extend_from_slice(short_number(*number).as_bytes()),
        Value::String(text) => quote(out, &text.as_bytes()),
        Value::Table(table) => show_table(out, table, depth + 1),
        Value::Function(_) => show_place(out, "function", value.to_pointer()),
        Value::Thread(_) => show_place(out, "thread", value.to_pointer()),
        Value::LightUserData(_) => show_place(out, "light-userdata", value.to_pointer()),
        _ => show_place(out, "userdata", value.to_pointer()),
    }
}

fn show_place(out: &mut Vec<u8>, kind: &str, place: *const c_void) {
    out.extend_from_slice(format!("\"{kind}@{place:p}\"").as_bytes());
}

/// As an array if it is nothing else.
fn show_table(out: &mut Vec<u8>, table: &Table, depth: usize) {
    let length = table.raw_len();
    let pairs = || table.pairs::<Value, Value>().map_while(Result::ok);
    let is_next = |(index, (key, _)): (usize, (Value, Value))| key.as_usize() == Some(index + 1);
    let is_array = pairs().take(length + 1).enumerate().all(is_next);
    out.push(b'{');
    for (index, (key, value)) in pairs().enumerate() {
        if index > 0 {
            out.extend_from_slice(b"; ");
        }
        if out.len() > BYTES_MAX {
            break;
        }
        if !is_array {
            out.push(b'[');
            show_value(out, &key, depth);
            out.extend_from_slice(b"]=");
        }
        show_value(out, &value, depth);
    }
    out.push(b'}');
}

/// Bytes in quotes, the first of many.
pub(super) fn quote(out: &mut Vec<u8>, bytes: &[u8]) {
    write_quoted(out, &bytes[..bytes.len().min(BYTES_MAX)]);
}

/// A number with six significant digits, as C's `%g` writes it.
fn short_number(number: f64) -> String {
    if number.is_nan() {
        return if number.is_sign_negative() { "-nan" } else { "nan" }.to_owned();
    } else if number.is_infinite() {
        return if number < 0.0 { "-inf" } else { "inf" }.to_owned();
    }
    let scientific = format!("{number:.5e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |digits: &str| match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => digits.to_owned(),
    };
    if (-4..6).contains(&exponent) {
        return trim(&format!("{number:.*}", (5 - exponent) as usize));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trim(digits), exponent.unsigned_abs())
}

/// Writes a reply, as it is on the wire, for people; stops where it makes no sense.
pub(super) fn show_reply(out: &mut Vec<u8>, reply: &[u8]) {
    show_part(out, &mut Lines::new(reply), 0);
}

fn show_part(out: &mut Vec<u8>, lines: &mut Lines<'_>, depth: usize) {
    if depth > DEPTH_MAX || out.len() > BYTES_MAX {
        return lines.stop();
    }
    let Some(line) = lines.next() else { return };
    let Some((&kind, rest)) = line.split_first() else { return };
    let count = || std::str::from_utf8(rest).ok().and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    match kind {
        b':' => out.extend_from_slice(rest),
        b'+' | b'-' => quote(out, line),
        b'_' => out.extend_from_slice(b"(null)"),
        b'#' => out.extend_from_slice(if rest == b"t" { b"#true" } else { b"#false" }),
        b',' => {
            out.extend_from_slice(b"(double) ");
            out.extend_from_slice(rest);
        }
        b'$' | b'*' if count() < 0 => out.extend_from_slice(b"NULL"),
        b'$' | b'=' | b'!' => quote(out, lines.bytes(count())),
        b'*' | b'~' | b'%' | b'>' => {
            let (open, close): (&[u8], &[u8]) = match kind {
                b'~' => (b"~(", b")"),
                b'%' => (b"{", b"}"),
                _ => (b"[", b"]"),
            };
            out.extend_from_slice(open);
            for index in 0..count() {
                if lines.is_over() {
                    break;
                }
                if index > 0 {
                    out.push(b',');
                }
                show_part(out, lines, depth + 1);
                if kind == b'%' {
                    out.extend_from_slice(b" => ");
                    show_part(out, lines, depth + 1);
                }
            }
            out.extend_from_slice(close);
        }
        _ => out.extend_from_slice(rest),
    }
}

/// What is read of a reply, line by line.
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    fn new(rest: &'a [u8]) -> Lines<'a> {
        Lines { rest }
    }

    fn is_over(&self) -> bool {
        self.rest.is_empty()
    }

    fn stop(&mut self) {
        self.rest = &[];
    }

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.windows(2).position(|pair| pair == b"\r\n").unwrap_or(self.rest.len());
        let line = &self.rest[..end];
        self.rest = self.rest.get(end + 2..).unwrap_or_default();
        Some(line)
    }

    /// So many bytes and the end of their line, or what is left.
    fn bytes(&mut self, count: i64) -> &'a [u8] {
        let end = usize::try_from(count).unwrap_or(0).min(self.rest.len());
        let bytes = &self.rest[..end];
        self.rest = self.rest.get(end + 2..).unwrap_or_default();
        bytes
    }
}

#[cfg(test)]
mod tests {
    use mlua::Lua;

    use super::*;

    #[test]
    fn values_are_shown_as_redis_shows_them() {
        let lua = Lua::new();
        for (code, shown) in [
            ("nil", "nil"),
            ("1", "1"),
            ("-0.1", "-0.1"),
            ("1234567", "1.23457e+06"),
            ("1e-7", "1e-07"),
            ("0.0001234", "0.0001234"),
            ("1/0", "inf"),
            ("123456", "123456"),
            (r#"'a"\n\1'"#, r#""a\"\n\x01""#),
            ("{1, 'b', {}}", r#"{1; "b"; {}}"#),
            ("{k=true}", r#"{["k"]=true}"#),
        ] {
            let value: Value = lua.load(format!("return {code}")).eval().expect("a value");
            let mut out = Vec::new();
            show_value(&mut out, &value, 0);
            assert_eq!(String::from_utf8_lossy(&out), shown, "{code}");
        }
        let value: Value = lua.load("local t = {} t.t = t return t").eval().expect("a value");
        let mut out = Vec::new();
        show_value(&mut out, &value, 0);
        assert!(String::from_utf8_lossy(&out).contains("<max recursion level reached! Nested table?>"));
    }

    #[test]
    fn replies_are_shown_as_redis_shows_them() {
        for (reply, shown) in [
            (":12\r\n", "12"),
            ("+OK\r\n", "\"+OK\""),
            ("-ERR no\r\n", "\"-ERR no\""),
            ("$-1\r\n", "NULL"),
            ("*2\r\n$1\r\na\r\n*0\r\n", "[\"a\",[]]"),
            ("%1\r\n+a\r\n,1.5\r\n", "{\"+a\" => (double) 1.5}"),
            ("~2\r\n#t\r\n_\r\n", "~(#true,(null))"),
            ("*1000000\r\n:1\r\n", "[1]"),
            ("$9\r\nab", "\"ab\""),
        ] {
            let mut out = Vec::new();
            show_reply(&mut out, reply.as_bytes());
            assert_eq!(String::from_utf8_lossy(&out), shown, "{reply}");
        }
    }
}
