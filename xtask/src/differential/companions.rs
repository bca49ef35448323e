//! Calls beside a call, without which a right reply would leave the servers different: what 7.2 does and 7.0 does not,
//! and what is left to chance.
//! Always: both servers run them, so that whatever else the call does is still compared.

use super::pair::Words;

/// The key whose sorted set SORT may turn into a skip list: nothing else reads it.
const SORTED_KEY: &[u8] = b"n0";

/// What must be called before the request, which may be changed, and what behind it; with the reasons.
pub(super) fn around(name: &str, words: &mut Words) -> [Vec<Words>; 2] {
    match name {
        "spop" => [Vec::new(), words.get(1).map(|key| removal(key)).into_iter().collect()],
        "xclaim" | "xautoclaim" => [claimant(words).into_iter().collect(), Vec::new()],
        "xreadgroup" => [readers(words), Vec::new()],
        "sort" | "sort_ro" => sort_of_copy(words),
        "zrank" | "zrevrank" => {
            words.truncate(3);
            [Vec::new(), Vec::new()]
        }
        _ => [Vec::new(), Vec::new()],
    }
}

/// Why there are such calls.
pub(super) const REASONS: [(&str, &str); 6] = [
    ("spop", "is followed by DEL: what was taken by chance is not the same on both sides"),
    (
        "xclaim xautoclaim xreadgroup",
        "follow XGROUP CREATECONSUMER: 7.2 makes a consumer also where it gets nothing, 7.0 does not",
    ),
    ("zrank zrevrank", "have no more words: 7.2 takes WITHSCORE, 7.0 refuses it, and a transaction with it"),
    (
        "zadd zincrby",
        "do not give a score below 1e-308: Redis cannot SORT a set that has one, nor some calls behind",
    ),
    (
        "sort sort_ro",
        "follow a XRANGE: Redis takes a number that an earlier call could not read for one of its own",
    ),
    ("sort sort_ro", "read a copy: Redis makes a skip list of a sorted set to sort it, and leaves it so"),
];

fn removal(key: &[u8]) -> Words {
    vec![b"DEL".to_vec(), key.to_vec()]
}

fn consumer(key: &[u8], group: &[u8], name: &[u8]) -> Words {
    [b"XGROUP", &b"CREATECONSUMER"[..], key, group, name].map(<[u8]>::to_vec).to_vec()
}

fn claimant(words: &Words) -> Option<Words> {
    Some(consumer(words.get(1)?, words.get(2)?, words.get(3)?))
}

/// The consumer, in the group of every stream that is read.
fn readers(words: &Words) -> Vec<Words> {
    let place = |token: &str| words.iter().position(|word| word.eq_ignore_ascii_case(token.as_bytes()));
    let (Some(group), Some(streams)) = (place("GROUP"), place("STREAMS")) else { return Vec::new() };
    let (Some(group), Some(name)) = (words.get(group + 1), words.get(group + 2)) else { return Vec::new() };
    let behind = &words[streams + 1..];
    behind[..behind.len() / 2].iter().map(|key| consumer(key, group, name)).collect()
}

fn sort_of_copy(words: &mut Words) -> [Vec<Words>; 2] {
    let Some(key) = words.get_mut(1) else { return [Vec::new(), Vec::new()] };
    let source = std::mem::replace(key, SORTED_KEY.to_vec());
    // Reading this number makes Redis forget that an earlier one did not fit.
    let forgets = [b"XRANGE", SORTED_KEY, b"18446744073709551615", b"+"].map(<[u8]>::to_vec).to_vec();
    [vec![forgets, vec![b"COPY".to_vec(), source, SORTED_KEY.to_vec()]], vec![removal(SORTED_KEY)]]
}

#[cfg(test)]
mod tests {
    use super::super::pair::shown;
    use super::*;

    fn beside(text: &str) -> String {
        let mut words: Words = text.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        let name = text.split(' ').next().unwrap_or_default().to_lowercase();
        let [before, behind] = around(&name, &mut words);
        let all = before.into_iter().chain([words]).chain(behind);
        all.map(|words| shown(&words)).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn calls_get_what_they_need_beside_them() {
        assert_eq!(beside("GET s0"), "GET s0");
        assert_eq!(beside("SPOP t0 2"), "SPOP t0 2; DEL t0");
        assert_eq!(
            beside("SORT z0 DESC"),
            "XRANGE n0 18446744073709551615 +; COPY z0 n0; SORT n0 DESC; DEL n0"
        );
        assert_eq!(beside("XCLAIM x g c 0 1"), "XGROUP CREATECONSUMER x g c; XCLAIM x g c 0 1");
        assert_eq!(
            beside("XREADGROUP GROUP g c NOACK STREAMS x y > 0"),
            "XGROUP CREATECONSUMER x g c; XGROUP CREATECONSUMER y g c; XREADGROUP GROUP g c NOACK STREAMS x y > 0"
        );
        assert_eq!(beside("XREADGROUP GROUP g"), "XREADGROUP GROUP g");
    }
}
