//! Several words as one line, as configuration files hold them. Knows no directive.
//! Always: the line is split into the same words again.

use tenon_base::{quoted, quoted_if_needed};

/// The words joined by blanks, those quoted that would not survive being split again.
pub(crate) fn join<W: AsRef<[u8]>>(words: &[W]) -> String {
    words.iter().map(|word| quoted_if_needed(word.as_ref())).collect::<Vec<_>>().join(" ")
}

/// The same behind a directive of several words, where a single argument is split once more.
pub(crate) fn join_arguments<W: AsRef<[u8]>>(words: &[W]) -> String {
    let joined = join(words);
    if words.len() == 1 && joined.starts_with('"') { quoted(joined.as_bytes()) } else { joined }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenon_base::split_words;

    #[test]
    fn joined_words_come_back() {
        let words = [b"plain".to_vec(), (0..=255).collect(), b"".to_vec(), b"it's".to_vec()];
        assert_eq!(split_words(join(&words).as_bytes()), Some(words.to_vec()));
    }
}
