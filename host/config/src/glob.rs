//! Glob matching of directive names, by Redis's rules and without regard to case.
//! Always: no recursion, and at most pattern times name steps, whatever the pattern.

/// Whether the whole name matches: `*`, `?`, `[abc]`, `[^a-z]`, `\` before a byte taken as itself.
pub(crate) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    // Where to go on if the bytes behind the last star turn out not to match here. Earlier stars need no second try:
    // whatever they could give up, the last one can take.
    let mut retry: Option<(usize, usize)> = None;
    while from < name.len() {
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            retry = Some((at, from));
        } else if let Some(after) = match_byte(&pattern[at..], name[from]) {
            at += after;
            from += 1;
        } else if let Some((star, taken)) = retry {
            at = star;
            from = taken + 1;
            retry = Some((star, from));
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// How many bytes of the pattern the byte matched, or `None`.
fn match_byte(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', rest @ ..] => match_class(rest, byte).map(|length| length + 1),
        [b'\\', literal, ..] => literal.eq_ignore_ascii_case(&byte).then_some(2),
        [literal, ..] => literal.eq_ignore_ascii_case(&byte).then_some(1),
    }
}

/// The same for what stands behind a `[`. A class that is not closed ends with the pattern.
fn match_class(class: &[u8], byte: u8) -> Option<usize> {
    let byte = byte.to_ascii_lowercase();
    let negated = class.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut found = false;
    loop {
        match &class[at..] {
            [] => break,
            [b'\\', literal, ..] => {
                found |= literal.eq_ignore_ascii_case(&byte);
                at += 2;
            }
            [b']', ..] => {
                at += 1;
                break;
            }
            [first, b'-', last, ..] => {
                let (first, last) = (first.to_ascii_lowercase(), last.to_ascii_lowercase());
                found |= (first.min(last)..=first.max(last)).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                found |= literal.eq_ignore_ascii_case(&byte);
                at += 1;
            }
        }
    }
    (found != negated).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_redis() {
        for (pattern, name, expected) in [
            ("*", "port", true),
            ("PO*", "port", true),
            ("p?rt", "port", true),
            ("p?rt", "prt", false),
            ("*max*entries", "hash-max-listpack-entries", true),
            ("*max*entry", "hash-max-listpack-entries", false),
            ("[a-p]ort", "port", true),
            ("[p-a]ort", "port", true),
            ("[^p]ort", "port", false),
            ("[^p]ort", "fort", true),
            ("por[t", "port", true),
            ("p\\ort", "port", true),
            ("p\\*rt", "port", false),
            ("port**", "port", true),
            ("por", "port", false),
            ("ports", "port", false),
            ("", "port", false),
            ("[", "port", false),
            ("[]ort", "port", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} on {name}");
        }
    }

    #[test]
    fn many_stars_cost_little() {
        let pattern = b"a*".repeat(10_000);
        assert!(!matches(&pattern, &b"a".repeat(5_000)));
    }
}
