//! The directive whose name is nearest to a word that is none.
//! Always: bounded work, whatever the word.

use crate::directive::Directive;

const WORD_BYTES_MAX: usize = 64;

/// The nearest name, if it is near enough to be meant.
pub(crate) fn nearest(word: &[u8]) -> Option<&'static str> {
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    let names =
        Directive::ALL.into_iter().flat_map(Directive::names).chain(["include", "rename-command", "user"]);
    let ranked = names.map(|name| (distance(word, name.as_bytes()), name));
    let (distance, name) = ranked.min()?;
    (distance <= 4 && distance * 2 <= name.len().min(word.len())).then_some(name)
}

/// How many bytes must be inserted, removed or replaced to make one of the other.
fn distance(one: &[u8], other: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_their_directive() {
        for (word, name) in [
            ("prot", Some("port")),
            ("append-only", Some("appendonly")),
            ("max-memory", Some("maxmemory")),
            ("policy_fsync", Some("policy-fsync")),
            ("", None),
            ("it", None),
            ("completely-unrelated", None),
        ] {
            assert_eq!(nearest(word.as_bytes()), name, "{word}");
        }
        assert_eq!(nearest(&[b'a'; 100_000]), None);
    }
}
