//! Rules as words: which of them belong together in parentheses, and how a word within parentheses is written.
//! Always: a word written by [`within_parentheses`] is read as itself by the rules that ACL files and configuration
//! files are split by.

use tenon_base::quoted;

/// Joins the words of each selector that was spread over several. An error is the word with the parenthesis that is
/// never closed.
pub(crate) fn merge<W: AsRef<[u8]>>(words: impl IntoIterator<Item = W>) -> Result<Vec<Vec<u8>>, Vec<u8>> {
    let mut merged = Vec::new();
    let mut open: Option<(Vec<u8>, Vec<u8>)> = None;
    for word in words {
        let word = word.as_ref();
        if let Some((_, selector)) = &mut open {
            selector.push(b' ');
            selector.extend_from_slice(word);
            if word.ends_with(b")") {
                merged.extend(open.take().map(|(_, selector)| selector));
            }
        } else if word.starts_with(b"(") && !word.ends_with(b")") {
            open = Some((word.to_vec(), word.to_vec()));
        } else {
            merged.push(word.to_vec());
        }
    }
    match open {
        Some((first, _)) => Err(first),
        None => Ok(merged),
    }
}

/// A word as it stands in a selector: quoted where it would end the selector, or be read as a quoted one.
pub(crate) fn within_parentheses(word: &[u8]) -> Vec<u8> {
    let is_bare = !word.iter().any(|byte| b"\"'".contains(byte)) && !word.ends_with(b")");
    if is_bare { word.to_vec() } else { quoted(word).into_bytes() }
}

/// Names, patterns and words in rules must have no blanks, so that rules can be written in a line.
pub(crate) fn has_blanks(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, 0 | b' ' | b'\t'..=b'\r'))
}
