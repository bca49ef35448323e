//! A Rust file as far as the checks need it: code apart from comments, literals and tests.
//! No parser: it knows brackets, `use` trees and the word `fn`, and needs rustfmt's order of things.
//! Always: masked text has the length and the lines of the original, so offsets and lines agree.

use std::ops::Range;

/// One file, as written and with comments and literals blanked.
pub(crate) struct Source {
    pub(crate) raw: String,
    pub(crate) code: String,
}

/// A function with a body: its name and its lines, first and last, counted from 1.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) first: usize,
    pub(crate) last: usize,
}

impl Source {
    pub(crate) fn new(raw: &str) -> Source {
        Source { raw: raw.to_owned(), code: blank_words(raw) }
    }

    /// The code that ships: items under `#[cfg(test)]` blanked too.
    pub(crate) fn production(&self) -> String {
        if self.code.contains("#![cfg(test)]") {
            return self.code.chars().map(|c| if c == '\n' { c } else { ' ' }).collect();
        }
        let mut bytes = self.code.clone().into_bytes();
        for range in self.test_items() {
            blank(&mut bytes, range);
        }
        String::from_utf8(bytes).expect("whole items are blanked, and spaces are text")
    }

    /// Names of modules that `#[cfg(test)] mod name;` puts into files of their own.
    pub(crate) fn test_modules(&self) -> Vec<String> {
        let items = self.test_items().into_iter().map(|range| self.code[range].trim_end().to_owned());
        items
            .filter_map(|item| {
                let name = item.strip_suffix(';')?.rsplit_once("mod ")?.1.trim().to_owned();
                name.chars().all(is_word).then_some(name)
            })
            .collect()
    }

    fn test_items(&self) -> Vec<Range<usize>> {
        let mark = "#[cfg(test)]";
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(at) = self.code[from..].find(mark) {
            let start = from + at;
            let end = item_end(&self.code, start + mark.len());
            found.push(start..end);
            from = end;
        }
        found
    }

    /// Every function with a body, in order.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let mut found = Vec::new();
        for at in words(&self.code, "fn") {
            let after = &self.code[at + 2..];
            let name: String = after.trim_start().chars().take_while(|c| is_word(*c)).collect();
            if name.is_empty() {
                continue;
            }
            if let Some(open) = body_start(&self.code, at) {
                let end = closing(&self.code, open);
                found.push(Function {
                    name,
                    first: line_of(&self.code, at),
                    last: line_of(&self.code, end.saturating_sub(1)),
                });
            }
        }
        found
    }
}

/// Every path that a `use` in `code` brings in, groups written out, with its line.
pub(crate) fn used_paths(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    // `use<..>` says what a type captures, and brings nothing in.
    for at in words(code, "use").into_iter().filter(|at| !code[at + 3..].starts_with('<')) {
        let Some(length) = code[at..].find(';') else { continue };
        let mut paths = Vec::new();
        write_out(&code[at + 3..at + length], "", &mut paths);
        found.extend(paths.into_iter().map(|path| (line_of(code, at), path)));
    }
    found
}

/// Offsets at which `word` stands alone in `code`; `word` may be a path such as `std::fs`.
pub(crate) fn words(code: &str, word: &str) -> Vec<usize> {
    let fits = |at: &usize| {
        let before = code[..*at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    };
    code.match_indices(word).map(|(at, _)| at).filter(fits).collect()
}

/// The line of an offset, counted from 1.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count() + 1
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn write_out(tree: &str, prefix: &str, paths: &mut Vec<String>) {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        let path = tree.split_whitespace().next().unwrap_or("");
        if !path.is_empty() {
            paths.push(
                format!("{prefix}{path}").trim_end_matches("::self").trim_start_matches("::").to_owned(),
            );
        }
        return;
    };
    let inner = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
    let prefix = format!("{prefix}{}", tree[..open].trim());
    let (mut depth, mut start) = (0_usize, 0);
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                write_out(&inner[start..at], &prefix, paths);
                start = at + 1;
            }
            _ => {}
        }
    }
    write_out(&inner[start..], &prefix, paths);
}

/// Where the item after an attribute ends: past its `;` or its closing brace.
fn item_end(code: &str, from: usize) -> usize {
    let bytes = code.as_bytes();
    let mut at = from;
    loop {
        while at < bytes.len() && bytes[at].is_ascii_whitespace() {
            at += 1;
        }
        if !code[at..].starts_with("#[") {
            break;
        }
        at = closing(code, at + 1);
    }
    let is_use = code[at..].starts_with("use ") || code[at..].starts_with("pub(crate) use ");
    while at < bytes.len() {
        match bytes[at] {
            b';' => return at + 1,
            b'(' | b'[' => at = closing(code, at),
            b'{' if is_use => at = closing(code, at),
            b'{' => return closing(code, at),
            _ => at += 1,
        }
    }
    at
}

fn body_start(code: &str, from: usize) -> Option<usize> {
    let bytes = code.as_bytes();
    let mut at = from;
    while at < bytes.len() {
        match bytes[at] {
            b';' => return None,
            b'{' => return Some(at),
            b'(' | b'[' => at = closing(code, at),
            _ => at += 1,
        }
    }
    None
}

/// Past the bracket that closes the one at `open`; the end of the text when none does.
fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

fn blank(bytes: &mut [u8], range: Range<usize>) {
    for byte in &mut bytes[range] {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

fn blank_words(raw: &str) -> String {
    let bytes = raw.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                raw[at..].find('\n').map_or(raw.len(), |length| at + length)
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => comment_end(bytes, at),
            b'"' => string_end(bytes, at),
            b'r' => raw_string_end(raw, at).unwrap_or(at),
            b'\'' => character_end(raw, at).unwrap_or(at),
            _ => at,
        };
        blank(&mut code, at..end);
        at = end.max(at + 1);
    }
    String::from_utf8(code).expect("whole comments and literals are blanked, and spaces are text")
}

fn comment_end(bytes: &[u8], open: usize) -> usize {
    let (mut at, mut depth) = (open, 0_usize);
    while at + 1 < bytes.len() {
        match (bytes[at], bytes[at + 1]) {
            (b'/', b'*') => {
                depth += 1;
                at += 2;
            }
            (b'*', b'/') => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    bytes.len()
}

fn string_end(bytes: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn raw_string_end(raw: &str, at: usize) -> Option<usize> {
    let mut before = raw[..at].chars().rev();
    let starts = match before.next() {
        Some('b' | 'c') => !before.next().is_some_and(is_word),
        Some(c) => !is_word(c),
        None => true,
    };
    let hashes = raw[at + 1..].bytes().take_while(|byte| *byte == b'#').count();
    let opens = raw.as_bytes().get(at + 1 + hashes) == Some(&b'"');
    if !starts || !opens {
        return None;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let inside = at + hashes + 2;
    Some(raw[inside..].find(&close).map_or(raw.len(), |length| inside + length + close.len()))
}

/// The end of a character literal; `None` for a lifetime.
fn character_end(raw: &str, at: usize) -> Option<usize> {
    let rest = &raw[at + 1..];
    let first = rest.chars().next()?;
    if first == '\\' {
        let escaped = 1 + rest[1..].chars().next()?.len_utf8();
        return rest[escaped..].find('\'').map(|length| at + 1 + escaped + length + 1);
    }
    let end = at + 1 + first.len_utf8();
    (raw.as_bytes().get(end) == Some(&b'\'')).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_lifetimes_kept() {
        let raw = "let a = \"std::fs \\\" x\"; // std::net\nlet b: &'a str = r#\"un\"safe\"#; let c = '\\''; /* a /* b */ c */ d";
        let code = Source::new(raw).code;
        assert_eq!(code.len(), raw.len());
        for hidden in ["std", "safe", "c */"] {
            assert!(!code.contains(hidden), "{hidden} is still in {code:?}");
        }
        for kept in ["let a", "&'a str", "let c", " d"] {
            assert!(code.contains(kept), "{kept} is gone from {code:?}");
        }
    }

    #[test]
    fn tests_are_no_production_code() {
        let raw = "fn a() {}\n#[cfg(test)]\n#[allow(x)]\nmod tests { fn b() { if x { y } } }\nfn c() {}\n#[cfg(test)]\nmod far;\n#[cfg(test)]\nuse std::{fs, net};\nfn d() {}";
        let source = Source::new(raw);
        let shipped = source.production();
        assert!(shipped.contains("fn a") && shipped.contains("fn c") && shipped.contains("fn d"));
        assert!(!shipped.contains("fn b") && !shipped.contains("std") && !shipped.contains("far"));
        assert_eq!(source.test_modules(), ["far"]);
    }

    #[test]
    fn groups_in_use_are_written_out() {
        let paths = used_paths("use std::{fs, net::{self, TcpStream as S}, time::Duration};");
        let paths: Vec<_> = paths.into_iter().map(|(_, path)| path).collect();
        assert_eq!(paths, ["std::fs", "std::net", "std::net::TcpStream", "std::time::Duration"]);
    }

    #[test]
    fn functions_know_their_lines() {
        let source =
            Source::new("trait T { fn none(&self); }\nfn one(a: fn(u8) -> u8)\n-> [u8; 2] {\n  {}\n}\n");
        assert_eq!(source.functions(), [Function { name: "one".to_owned(), first: 2, last: 5 }]);
    }
}
