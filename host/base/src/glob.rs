//! Redis's glob patterns: `*`, `?`, `[a-z]`, `[^a]` and `\x`, over bytes. The behaviour is that of
//! `stringmatchlen` in Redis; the work is bounded, so a pattern of many stars cannot stall the server.

/// Whether all of `text` matches `pattern`.
pub fn glob_matches(pattern: &[u8], text: &[u8]) -> bool {
    matches(pattern, text, false)
}

/// As [`glob_matches`], with ASCII letters of either case alike.
pub fn glob_matches_ignore_case(pattern: &[u8], text: &[u8]) -> bool {
    matches(pattern, text, true)
}

/// One star is enough to return to: if the rest fails after a later star, no earlier star can help.
fn matches(pattern: &[u8], text: &[u8], fold: bool) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        if at < pattern.len() && pattern[at] == b'*' {
            while at < pattern.len() && pattern[at] == b'*' {
                at += 1;
            }
            if at == pattern.len() {
                return true;
            }
            star = Some((at, from));
            continue;
        }
        let step = if from < text.len() && at < pattern.len() {
            one(&pattern[at..], text[from], fold)
        } else {
            None
        };
        if let Some(width) = step {
            at += width;
            from += 1;
        } else if from == text.len() && at == pattern.len() {
            return true;
        } else {
            let Some((after_star, taken)) = star else { return false };
            if taken >= text.len() {
                return false;
            }
            star = Some((after_star, taken + 1));
            (at, from) = (after_star, taken + 1);
        }
    }
}

/// Matches one byte against the element that `pattern` begins with; its width in the pattern if it does.
fn one(pattern: &[u8], byte: u8, fold: bool) -> Option<usize> {
    match pattern[0] {
        b'?' => Some(1),
        b'[' => {
            let (found, width) = class(pattern, byte, fold);
            found.then_some(width)
        }
        b'\\' if pattern.len() >= 2 => same(pattern[1], byte, fold).then_some(2),
        literal => same(literal, byte, fold).then_some(1),
    }
}

fn class(pattern: &[u8], byte: u8, fold: bool) -> (bool, usize) {
    let mut at = 1;
    let negated = pattern.get(at) == Some(&b'^');
    if negated {
        at += 1;
    }
    let mut found = false;
    loop {
        match pattern.get(at) {
            // An open class ends with the pattern.
            None => return (found != negated, at),
            Some(b']') => return (found != negated, at + 1),
            Some(b'\\') if at + 1 < pattern.len() => {
                at += 1;
                found |= pattern[at] == byte;
            }
            Some(&start) if at + 2 < pattern.len() && pattern[at + 1] == b'-' => {
                found |= within(start, pattern[at + 2], byte, fold);
                at += 2;
            }
            Some(&literal) => found |= same(literal, byte, fold),
        }
        at += 1;
    }
}

fn within(start: u8, end: u8, byte: u8, fold: bool) -> bool {
    let (mut low, mut high) = if start <= end { (start, end) } else { (end, start) };
    let mut byte = byte;
    if fold {
        (low, high, byte) = (low.to_ascii_lowercase(), high.to_ascii_lowercase(), byte.to_ascii_lowercase());
    }
    (low..=high).contains(&byte)
}

fn same(one: u8, other: u8, fold: bool) -> bool {
    one == other || (fold && one.eq_ignore_ascii_case(&other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_redis_documents_them() {
        let table: &[(&str, &str, bool)] = &[
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h*llo", "heeeello", true),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hallo", true),
            ("h\\*llo", "h*llo", true),
            ("h\\*llo", "hello", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("[abc", "b", true),
            ("a\\", "a\\", true),
            ("*a", "bba", true),
            ("*?", "", false),
        ];
        for &(pattern, text, expected) in table {
            assert_eq!(glob_matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} on {text}");
        }
        assert!(glob_matches_ignore_case(b"H[A-B]*", b"hbXX"));
    }

    #[test]
    fn many_stars_end_soon() {
        let pattern = b"a*".repeat(1_000);
        let text = vec![b'a'; 10_000];
        assert!(!glob_matches(&[&pattern[..], b"b"].concat(), &text));
    }
}
