//! The keyspaces of both servers held against each other: digests, expiry times, encodings, streams with their groups.
//! DEBUG DIGEST sees neither when a key expires nor consumer groups; so each key is asked for these as well.

use super::generate::Call;
use super::pair::{Pair, Words};
use super::reply::Reply;
use super::rules;

/// Databases that calls can reach.
pub(super) const DATABASES: [&str; 3] = ["0", "1", "2"];

/// What is asked of each key: the command's name in the table of rules, and its words before the key.
const QUESTIONS: [(&str, &[&str]); 3] =
    [("type", &["TYPE"]), ("pexpiretime", &["PEXPIRETIME"]), ("object|encoding", &["OBJECT", "ENCODING"])];

/// A key whose state differs, and how.
pub(super) struct Difference {
    /// What was asked, as a request.
    pub(super) question: Words,
    /// What Tenon and what Redis says.
    pub(super) replies: [Reply; 2],
}

/// The first difference between the servers, if there is one. Leaves both at database 0.
pub(super) fn compare(pair: &mut Pair) -> Result<Option<Difference>, String> {
    let (mut found, mut has_scores) = (None, false);
    for database in DATABASES {
        pair.ask(&[b"SELECT", database.as_bytes()])?;
        found = compare_database(pair, &mut has_scores)?;
        if found.is_some() {
            break;
        }
    }
    pair.ask(&[b"SELECT", b"0"])?;
    if found.is_some() || has_scores {
        return Ok(found);
    }
    // What the keys did not show.
    let [tenon, redis] = pair.ask(&[b"DEBUG", b"DIGEST"])?;
    let question = vec![b"DEBUG".to_vec(), b"DIGEST".to_vec()];
    Ok((tenon != redis).then_some(Difference { question, replies: [tenon, redis] }))
}

/// `has_scores` is set where the servers spell scores differently, so that their digests differ.
fn compare_database(pair: &mut Pair, has_scores: &mut bool) -> Result<Option<Difference>, String> {
    let [tenon, redis] = pair.ask(&[b"KEYS", b"*"])?;
    let keys = [tenon.sorted(1), redis.sorted(1)];
    if keys[0] != keys[1] {
        return Ok(Some(Difference { question: vec![b"KEYS".to_vec(), b"*".to_vec()], replies: keys }));
    }
    let mut calls = Vec::new();
    for key in keys[0].elements() {
        for (name, words) in QUESTIONS {
            let mut words: Words = words.iter().map(|word| word.as_bytes().to_vec()).collect();
            words.push(key.bytes().to_vec());
            calls.push(Call { name: name.to_owned(), words, is_tied: false, is_waiting: false });
        }
    }
    if let Some(found) = compare_calls(pair, &calls)? {
        return Ok(Some(found));
    }
    let types: Vec<Words> =
        calls.iter().filter(|call| call.name == "type").map(|call| call.words.clone()).collect();
    let [replies, _] = pair.exchange(&types)?;
    let kinds = types.iter().map(|words| &words[1]).zip(&replies);
    let calls: Vec<Call> = kinds.map(|(key, kind)| details(key, kind.bytes())).collect();
    let zsets: Vec<Words> =
        calls.iter().filter(|call| call.name == "zrange").map(|call| call.words.clone()).collect();
    let [tenon, redis] = pair.exchange(&zsets)?;
    *has_scores |= tenon != redis || tenon.iter().any(has_large_scores);
    compare_calls(pair, &calls)
}

/// Whether whole numbers are among the scores that a double spells in fewer digits: a digest of 7.2 mixes in those, one
/// of 7.0 all digits.
fn has_large_scores(range: &Reply) -> bool {
    const WHOLE_MAX: f64 = (1_u64 << 53) as f64;
    let elements = range.elements().iter();
    elements
        .flat_map(|element| [Some(element), element.elements().get(1)])
        .flatten()
        .any(|element| element.number().is_some_and(|score| score.is_finite() && score.abs() > WHOLE_MAX))
}

/// What else is asked of a key of this type.
pub(super) fn details(key: &[u8], kind: &[u8]) -> Call {
    let (name, before, after): (&str, &[&str], &[&str]) = match kind {
        // A digest mixes in the texts of scores, which 7.2 spells shorter than 7.0.
        b"zset" => ("zrange", &["ZRANGE"], &["0", "-1", "WITHSCORES"]),
        b"stream" => ("xinfo|stream", &["XINFO", "STREAM"], &["FULL", "COUNT", "0"]),
        _ => ("digest-value", &["DEBUG", "DIGEST-VALUE"], &[]),
    };
    let bytes = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect::<Words>();
    let words = [bytes(before), vec![key.to_vec()], bytes(after)].concat();
    Call { name: name.to_owned(), words, is_tied: false, is_waiting: false }
}

pub(super) fn compare_calls(pair: &mut Pair, calls: &[Call]) -> Result<Option<Difference>, String> {
    let requests: Vec<Words> = calls.iter().map(|call| call.words.clone()).collect();
    let [tenon, redis] = pair.exchange(&requests)?;
    let mut all = calls.iter().zip(tenon.into_iter().zip(redis));
    let differs = all.find(|(call, (tenon, redis))| !rules::agree(call, tenon, redis));
    Ok(differs
        .map(|(call, (tenon, redis))| Difference { question: call.words.clone(), replies: [tenon, redis] }))
}
