//! The first words of a request that has not been decoded: for whoever wants to prepare for it.
//! Always: what is found is what decoding will find; that nothing is found says nothing.

use crate::scan::quick_number;

/// Finds the leading arguments of the request with which `bytes` begin, as many as lie whole there and fit into `words`;
/// returns how many. Finds none of an inline command.
#[inline]
pub fn peek<'a>(bytes: &'a [u8], words: &mut [&'a [u8]]) -> usize {
    let Some((count, mut at)) = (bytes.first() == Some(&b'*')).then(|| quick_number(bytes, 1)).flatten()
    else {
        return 0;
    };
    let wanted = words.len().min(usize::try_from(count).unwrap_or(0));
    for (index, word) in words[..wanted].iter_mut().enumerate() {
        let header = (bytes.get(at) == Some(&b'$')).then(|| quick_number(bytes, at + 1)).flatten();
        let Some((length, body)) = header else { return index };
        let end = body + length as usize;
        let Some(found) = bytes.get(body..end) else { return index };
        *word = found;
        at = end + 2;
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(bytes: &[u8]) -> Vec<&[u8]> {
        let mut words = [&[][..]; 3];
        let count = peek(bytes, &mut words);
        words[..count].to_vec()
    }

    #[test]
    fn leading_words_are_found() {
        assert_eq!(words(b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n"), [&b"GET"[..], b"k"]);
        assert_eq!(words(b"*4\r\n$1\r\na\r\n$0\r\n\r\n$1\r\nc\r\n$1\r\nd\r\n"), [&b"a"[..], b"", b"c"]);
    }

    #[test]
    fn what_is_cut_off_or_no_request_is_not_found() {
        let whole = b"*2\r\n$3\r\nGET\r\n$2\r\nkk\r\n";
        for end in 0..whole.len() {
            let found = words(&whole[..end]).len();
            assert!(found <= 1 || end >= whole.len() - 2, "{end}");
        }
        for other in
            [&b"GET k\r\n"[..], b"*-1\r\n", b"*2\r\n:3\r\n", b"*0\r\n", b"*99999999999\r\n$1\r\na\r\n"]
        {
            assert_eq!(words(other), Vec::<&[u8]>::new(), "{}", other.escape_ascii());
        }
    }
}
