//! What keeps a call harmless and its result the same on both servers: no long waits, no large memory, no moment soon.
//! Always: a word is changed only where it would make the run wait, swell or depend on the clock.

use super::chance::Chance;
use super::grammar::Command;
use super::pair::Words;
use super::words::relative_expiry;

/// Strings stay shorter than this, so that LCS and BITCOUNT of them stay cheap.
const STRING_BYTES_MAX: i128 = 2000;
/// A random choice of more than this is only more of the same.
const CHOICES_MAX: i128 = 300;
/// A score whose text C cannot read without a complaint.
const TINY: &[u8] = b"5e-324";
/// Expiry times that would come, or nearly come, within a run: seconds as well as milliseconds.
const SOON_MAX: i128 = 90_000_000_000;

/// What is not asked because of that, and why.
pub(super) const REASONS: [(&str, &str); 12] = [
    (
        "blocking commands",
        "wait for milliseconds and never without end; what a write lets go is asked by the client beside",
    ),
    ("expire pexpire setex psetex set getex restore", "no time that would come while the run lasts"),
    ("restore", "no IDLETIME whose product with 1,000 overflows"),
    ("srandmember hrandfield zrandmember", "no choice of more than 300: it is only more of the same"),
    (
        "setbit setrange bitfield",
        "strings stay below 2,000 bytes, so that LCS and BITCOUNT of them stay cheap",
    ),
    ("zadd zincrby", "1e-300 in place of 5e-324, which C reads with a complaint"),
    (
        "zlexcount zrangebylex zrevrangebylex zremrangebylex zrange zrangestore",
        "ranges by member are asked of sets with one score: of others they are not defined, and chance in Redis",
    ),
    ("sort", "no STORE of a sort BY texts: texts of missing keys are equal, and those are in any order"),
    ("xadd", "no id from the clock"),
    ("xsetid", "no MAXDELETEDID beyond an id that is given out: 7.2 refuses that, 7.0 does not"),
    (
        "xsetid",
        "no ENTRIESADDED from 2^62 on: where the sum overflows Redis begins at the other end, Tenon stays",
    ),
    ("xclaim xautoclaim xpending", "no idle time that comes while the run lasts"),
];

/// Bounds the words of a call to `command`.
pub(super) fn apply(command: &Command, words: &mut Words, chance: &mut Chance) {
    let name = command.name.as_str();
    if command.may_block {
        bound_waiting(name, words, chance);
    }
    match name {
        "expire" | "pexpire" | "setex" | "psetex" => push_away(words, 2, chance),
        "restore" => {
            for at in behind(words, &["IDLETIME"]) {
                // A product that overflows.
                cap(words, at, 1 << 50, i64::MAX.into(), "1000000000");
            }
            push_away(words, 2, chance);
            // A sum that overflows, which C leaves undefined.
            cap(words, 2, 1 << 62, i64::MAX.into(), "0");
        }
        "set" | "getex" => {
            for at in behind(words, &["EX", "PX"]) {
                push_away(words, at, chance);
            }
        }
        "srandmember" | "hrandfield" | "zrandmember" => cap(words, 2, i64::MIN.into(), -CHOICES_MAX, "-7"),
        "setbit" => cap(words, 2, STRING_BYTES_MAX * 8, 1 << 40, "15999"),
        "setrange" => cap(words, 2, STRING_BYTES_MAX, 1 << 40, "1999"),
        "bitfield" => (2..words.len()).for_each(|at| cap(words, at, STRING_BYTES_MAX, 1 << 40, "70")),
        "zadd" | "zincrby" if words.iter().any(|word| word == TINY) => {
            words.iter_mut().filter(|word| *word == TINY).for_each(|word| *word = b"1e-300".to_vec());
        }
        "zadd" if chance.percent(10) => score_nothing(words, chance),
        "sort" => store_no_ties(words),
        "xadd" => name_ids(words),
        // Nothing was deleted that is newer than any id that is given out: see Dictionary::renew.
        "xsetid" => {
            behind(words, &["MAXDELETEDID"]).into_iter().for_each(|at| words[at] = b"0-1".to_vec());
            // A sum that overflows: Redis begins at the other end, Tenon stays at the last number.
            behind(words, &["ENTRIESADDED"])
                .into_iter()
                .for_each(|at| cap(words, at, 1 << 62, i64::MAX.into(), "7"));
        }
        "xclaim" | "xautoclaim" => cap(words, 4, 1, SOON_MAX, "0"),
        "xpending" => behind(words, &["IDLE"]).into_iter().for_each(|at| cap(words, at, 1, SOON_MAX, "0")),
        _ => {}
    }
    choose_equal_scores(name, words, chance);
}

/// Keys of sorted sets whose members all have one score: ranges by member are defined for no others, and in Redis depend
/// on chance.
fn key_of_equal_scores(chance: &mut Chance) -> Vec<u8> {
    format!("y{}", chance.below(4)).into_bytes()
}

/// Makes a ZADD fill one of these.
fn score_nothing(words: &mut Words, chance: &mut Chance) {
    let members: Words = words.iter().skip(3).step_by(2).cloned().collect();
    *words = vec![b"ZADD".to_vec(), key_of_equal_scores(chance)];
    members.into_iter().for_each(|member| words.extend([b"0".to_vec(), member]));
}

/// Makes a command of ranges by member read one of these.
fn choose_equal_scores(name: &str, words: &mut Words, chance: &mut Chance) {
    let is_by_member = words.iter().any(|word| word.eq_ignore_ascii_case(b"BYLEX"));
    let at = match name {
        "zlexcount" | "zrangebylex" | "zrevrangebylex" | "zremrangebylex" => 1,
        "zrange" if is_by_member => 1,
        "zrangestore" if is_by_member => 2,
        _ => return,
    };
    if let Some(key) = words.get_mut(at) {
        *key = key_of_equal_scores(chance);
    }
}

/// Whatever may be a time to wait, by its place or by the word before it, is made none or a few milliseconds.
fn bound_waiting(name: &str, words: &mut Words, chance: &mut Chance) {
    const WAITS: [&str; 6] = ["0.002", "0.001", "-1", "x", "1e400", "nan"];
    let is_in_ms = name.starts_with("xread") || name == "wait";
    let places = match name {
        "xread" | "xreadgroup" => behind(words, &["BLOCK"]),
        "blmpop" | "bzmpop" => vec![1],
        _ => vec![words.len().saturating_sub(1)],
    };
    for at in places {
        // Any number that a server might take for a time, be it 0 for ever.
        let Some(word) = words.get_mut(at).filter(|word| number_of(word).is_some()) else { continue };
        let wait = if chance.percent(70) { WAITS[0] } else { chance.pick(&WAITS) };
        let wait = if is_in_ms { *chance.pick(&["1", "2", "-1"]) } else { wait };
        *word = wait.as_bytes().to_vec();
    }
}

/// Makes an expiry time that would come soon one that comes late.
fn push_away(words: &mut Words, at: usize, chance: &mut Chance) {
    if let Some(word) = words.get_mut(at).filter(|word| is_within(word, 1, SOON_MAX)) {
        *word = loop {
            let word = relative_expiry(chance);
            if !is_within(&word, 1, SOON_MAX) {
                break word;
            }
        };
    }
}

/// Replaces the whole number at `at` if it is from `least` to `most`.
fn cap(words: &mut Words, at: usize, least: i128, most: i128, replacement: &str) {
    if let Some(word) = words.get_mut(at) {
        let (mark, digits) = match word.split_first() {
            Some((b'#', digits)) => ("#", digits),
            _ => ("", &word[..]),
        };
        if is_within(digits, least, most) {
            *word = format!("{mark}{replacement}").into_bytes();
        }
    }
}

/// Texts of keys that are missing are equal, and equal ones are in any order: what is stored must not depend on it.
fn store_no_ties(words: &mut Words) {
    if behind(words, &["STORE"]).is_empty() || behind(words, &["BY"]).is_empty() {
        return;
    }
    for word in words.iter_mut().skip(2).filter(|word| word.eq_ignore_ascii_case(b"ALPHA")) {
        *word = b"ASC".to_vec();
    }
}

/// An id made from the clock would differ.
fn name_ids(words: &mut Words) {
    for word in words.iter_mut().skip(2).filter(|word| word.as_slice() == b"*") {
        *word = b"0-*".to_vec();
    }
}

/// The places of the words behind one of `tokens`.
fn behind(words: &Words, tokens: &[&str]) -> Vec<usize> {
    let is_token = |word: &[u8]| tokens.iter().any(|token| word.eq_ignore_ascii_case(token.as_bytes()));
    (1..words.len()).filter(|&at| is_token(&words[at - 1])).collect()
}

fn is_within(word: &[u8], least: i128, most: i128) -> bool {
    let number = std::str::from_utf8(word).ok().and_then(|text| text.trim().parse::<i128>().ok());
    number.is_some_and(|number| (least..=most).contains(&number))
}

/// The word as a number, as generously as any server might read it.
fn number_of(word: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(word).ok()?.trim();
    let hexadecimal =
        || u64::from_str_radix(text.trim_start_matches("0x"), 16).ok().map(|number| number as f64);
    text.parse().ok().or_else(hexadecimal).filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::super::pair::shown;
    use super::*;

    fn bounded(name: &str, may_block: bool, text: &str) -> String {
        let command =
            Command { name: name.to_owned(), group: String::new(), arguments: Vec::new(), may_block };
        let mut words: Words = text.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        apply(&command, &mut words, &mut Chance::new(1));
        shown(&words)
    }

    #[test]
    fn nothing_waits_for_ever_or_expires_soon() {
        for seed in ["BLPOP l0 0", "BLPOP l0 -0", "BLPOP l0 5", "BLPOP l0 0x10", "BLPOP l0 1e3"] {
            let last = bounded("blpop", true, seed).split(' ').nth(2).map(str::to_owned);
            assert!(last.is_some_and(|last| {
                number_of(last.as_bytes()).is_none_or(|wait| wait < 0.01 && wait != 0.0)
            }));
        }
        assert!(!bounded("xread", true, "XREAD BLOCK 0 STREAMS x0 1").contains("BLOCK 0"));
        assert!(!bounded("expire", false, "EXPIRE s0 5").ends_with(" 5"));
        assert!(!bounded("set", false, "SET s0 v px 100").ends_with(" 100"));
        assert_eq!(bounded("set", false, "SET s0 5 NX"), "SET s0 5 NX");
    }

    #[test]
    fn nothing_swells() {
        assert_eq!(bounded("srandmember", false, "SRANDMEMBER t0 -99999999"), "SRANDMEMBER t0 -7");
        assert_eq!(bounded("setbit", false, "SETBIT b0 8000000 1"), "SETBIT b0 15999 1");
        assert_eq!(bounded("bitfield", false, "BITFIELD b0 SET u8 #900000 1"), "BITFIELD b0 SET u8 #70 1");
        assert_eq!(
            bounded("setbit", false, "SETBIT b0 9223372036854775807 1"),
            "SETBIT b0 9223372036854775807 1"
        );
    }
}
