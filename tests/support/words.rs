//! A command line as redis-cli splits it: bare words, 'single' and "double" quotes with escapes.

/// The words of one line, as bytes; an error is a sentence.
pub(crate) fn split(line: &str) -> Result<Vec<Vec<u8>>, String> {
    let bytes = line.as_bytes();
    let mut words = Vec::new();
    let mut at = 0;
    loop {
        while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
        let Some(first) = bytes.get(at) else { return Ok(words) };
        let quote = [b'"', b'\''].contains(first).then_some(*first);
        let (word, end) = match quote {
            Some(quote) => quoted(bytes, at + 1, quote).ok_or(format!("found an open quote in {line:?}"))?,
            None => {
                let length = bytes[at..].iter().take_while(|byte| !byte.is_ascii_whitespace()).count();
                (bytes[at..at + length].to_vec(), at + length)
            }
        };
        if bytes.get(end).is_some_and(|byte| !byte.is_ascii_whitespace()) {
            return Err(format!("found text right after a quote in {line:?}; expected a space"));
        }
        words.push(word);
        at = end;
    }
}

fn quoted(bytes: &[u8], from: usize, quote: u8) -> Option<(Vec<u8>, usize)> {
    let mut word = Vec::new();
    let mut at = from;
    loop {
        match *bytes.get(at)? {
            byte if byte == quote => return Some((word, at + 1)),
            b'\\' if quote == b'"' => {
                let escape = *bytes.get(at + 1)?;
                if escape == b'x' {
                    let digits = std::str::from_utf8(bytes.get(at + 2..at + 4)?).ok()?;
                    word.push(u8::from_str_radix(digits, 16).ok()?);
                    at += 4;
                    continue;
                }
                word.push(match escape {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => other,
                });
                at += 2;
            }
            b'\\' if bytes.get(at + 1) == Some(&b'\'') => {
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
