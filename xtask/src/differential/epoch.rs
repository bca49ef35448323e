//! An epoch: a history of calls that begins with empty servers, so that it can be played again by itself.
//! Plays it, finds the first difference, and shrinks the history that leads to it.

use super::generate::Call;
use super::pair::{Pair, Words};
use super::reply::Reply;
use super::waiting::Waiter;
use super::{exchange, rules, state};

/// Requests that are under way at once.
const BATCH: usize = 100;
/// How often a history is played again to make it shorter.
const PLAYED_MAX: usize = 300;

/// How both servers are set before an epoch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    pub(super) protocol: u8,
    /// Whether collections leave their small encodings early.
    pub(super) is_small: bool,
}

/// The first thing in a history that differs.
pub(super) struct Difference {
    /// How many calls lead to it.
    pub(super) after: usize,
    /// The request whose replies differ: the last call, or a question about the state behind it.
    pub(super) request: Words,
    pub(super) is_about_state: bool,
    /// What Tenon and what Redis says.
    pub(super) replies: [Reply; 2],
}

/// Limits of the small encodings: as configured by default, and low.
const LIMITS: [[&str; 3]; 7] = [
    ["hash-max-listpack-entries", "128", "8"],
    ["hash-max-listpack-value", "64", "20"],
    ["set-max-intset-entries", "512", "8"],
    ["zset-max-listpack-entries", "128", "8"],
    ["zset-max-listpack-value", "64", "20"],
    ["list-max-listpack-size", "-2", "4"],
    ["stream-node-max-entries", "100", "5"],
];

/// Empties both servers and sets them.
fn prepare(pair: &mut Pair, setting: Setting) -> Result<(), String> {
    // Whatever the last history left open.
    pair.ask(&[b"DISCARD"])?;
    pair.ask(&[b"UNWATCH"])?;
    pair.ask(&[b"HELLO", setting.protocol.to_string().as_bytes()])?;
    for line in [&mut pair.tenon, &mut pair.redis] {
        line.ask(&["FLUSHALL"])?;
        line.ask(&["SELECT", "0"])?;
        for [name, usual, low] in LIMITS {
            line.ask(&["CONFIG", "SET", name, if setting.is_small { low } else { usual }])?;
        }
    }
    Ok(())
}

/// Plays `calls` and compares every reply, then the state behind them.
pub(super) fn play(
    pair: &mut Pair,
    waiter: &mut Waiter,
    setting: Setting,
    calls: &[Call],
) -> Result<Option<Difference>, String> {
    prepare(pair, setting)?;
    waiter.set_protocol(setting.protocol)?;
    let mut queue = Queue::default();
    let mut done = 0;
    for stretch in calls.chunk_by(|_, next| !next.is_waiting) {
        let (waiting, rest) = match stretch.split_first() {
            Some((first, rest)) if first.is_waiting => (Some(first), rest),
            _ => (None, stretch),
        };
        waiting.map_or(Ok(()), |call| waiter.begin(call))?;
        let mut differs = None;
        for batch in rest.chunks(BATCH) {
            let first = done + usize::from(waiting.is_some());
            differs = differs.or(first_difference(pair, &mut queue, batch, first)?);
            done += batch.len();
        }
        if let Some(call) = waiting {
            done += 1;
            let replies = waiter.end(&call.words)?;
            if differs.is_none() && !rules::agree(call, &replies[0], &replies[1]) {
                let request = call.words.clone();
                differs = Some(Difference { after: done, request, is_about_state: false, replies });
            }
        }
        if differs.is_some() {
            return Ok(differs);
        }
    }
    pair.ask(&[b"DISCARD"])?;
    let found = match state::compare(pair)? {
        None => exchange::compare(pair)?,
        found => found,
    };
    Ok(found.map(|found| Difference {
        after: calls.len(),
        request: found.question,
        is_about_state: true,
        replies: found.replies,
    }))
}

/// Runs `batch`, of which `done` calls ran before, and compares the replies.
fn first_difference(
    pair: &mut Pair,
    queue: &mut Queue,
    batch: &[Call],
    done: usize,
) -> Result<Option<Difference>, String> {
    let requests: Vec<Words> = batch.iter().map(|call| call.words.clone()).collect();
    let [tenon, redis] = pair.exchange(&requests)?;
    for (index, (call, (tenon, redis))) in batch.iter().zip(tenon.into_iter().zip(redis)).enumerate() {
        if !queue.agree(call, &tenon, &redis) {
            let (after, request) = (done + index + 1, call.words.clone());
            return Ok(Some(Difference { after, request, is_about_state: false, replies: [tenon, redis] }));
        }
    }
    Ok(None)
}

/// What a transaction has queued: EXEC's reply holds the replies to these.
#[derive(Default)]
struct Queue {
    open: Option<Vec<Call>>,
}

impl Queue {
    fn agree(&mut self, call: &Call, tenon: &Reply, redis: &Reply) -> bool {
        if let Some(calls) = self.open.as_mut().filter(|_| redis.bytes() == b"QUEUED") {
            calls.push(call.clone());
        }
        match call.name.as_str() {
            "multi" if !redis.is_error() => self.open = Some(Vec::new()),
            "discard" if !redis.is_error() => self.open = None,
            "exec" => return self.results_agree(tenon, redis),
            _ => {}
        }
        rules::agree(call, tenon, redis)
    }

    fn results_agree(&mut self, tenon: &Reply, redis: &Reply) -> bool {
        let calls = self.open.take().unwrap_or_default();
        let (found, expected) = (tenon.elements(), redis.elements());
        if found.len() != expected.len() || calls.len() != expected.len() || calls.is_empty() {
            return tenon == redis;
        }
        calls
            .iter()
            .zip(found.iter().zip(expected))
            .all(|(call, (tenon, redis))| rules::agree(call, tenon, redis))
    }
}

/// A shorter history that still leads to a difference in the same command.
pub(super) fn shrink(
    pair: &mut Pair,
    waiter: &mut Waiter,
    setting: Setting,
    calls: &[Call],
    found: Difference,
) -> Result<(Vec<Call>, Difference), String> {
    let mut best = (calls[..found.after].to_vec(), found);
    let mut played = 0;
    let mut size = best.0.len().div_ceil(2);
    while size > 0 && played < PLAYED_MAX {
        let mut at = 0;
        let mut is_shorter = false;
        // The last call stays where it is what differs.
        let kept = usize::from(!best.1.is_about_state);
        while at + kept < best.0.len() && played < PLAYED_MAX {
            let mut end = (at + size).min(best.0.len() - kept);
            while best.0.get(end).is_some_and(|call| call.is_tied) {
                end += 1;
            }
            if end > best.0.len() - kept {
                break;
            }
            let mut fewer = best.0.clone();
            fewer.drain(at..end);
            played += 1;
            match play(pair, waiter, setting, &fewer)? {
                Some(found) if is_same(&found, &best.1) => {
                    fewer.truncate(found.after);
                    best = (fewer, found);
                    is_shorter = true;
                }
                _ => at = end,
            }
        }
        if size > 1 {
            size = size.div_ceil(2);
        } else if !is_shorter {
            break;
        }
    }
    Ok(best)
}

/// The same command differs, or the same question about the state.
fn is_same(found: &Difference, known: &Difference) -> bool {
    let name = |difference: &Difference| difference.request.first().map(|word| word.to_ascii_uppercase());
    found.is_about_state == known.is_about_state && name(found) == name(known)
}
