//! Another client that waits, on both servers, for what the calls of a history write; and is let go behind them.
//! Always: it waits before the next call runs, so that both servers answer it by the same call.

use super::chance::Chance;
use super::companions;
use super::generate::Call;
use super::pair::{Line, Pair, Words, shown};
use super::reply::Reply;

/// What it waits for, with nobody to end it but a write: `$` and a letter stand for one of two keys,
/// the same throughout: of several that became ready together 7.0 takes the one that did so first, 7.2 the first named.
const WAITS: [(&str, &str); 10] = [
    ("blpop", "BLPOP $l $l 0"),
    ("brpop", "BRPOP $l $l 0"),
    ("blmove", "BLMOVE $l l6 LEFT RIGHT 0"),
    ("brpoplpush", "BRPOPLPUSH $l l6 0"),
    ("blmpop", "BLMPOP 0 2 $l $l RIGHT COUNT 2"),
    ("bzpopmin", "BZPOPMIN $z $z 0"),
    ("bzpopmax", "BZPOPMAX $z $z 0"),
    ("bzmpop", "BZMPOP 0 2 $z $z MIN COUNT 3"),
    ("xread", "XREAD BLOCK 0 STREAMS $x $"),
    ("xreadgroup", "XREADGROUP GROUP g1 c1 BLOCK 0 STREAMS $x >"),
];

/// Commands that are sent to the keys that are waited for, and where their key stands.
const WRITES: [(&str, &str, usize); 16] = [
    ("rpush", "l", 1),
    ("lpush", "l", 1),
    ("lpushx", "l", 1),
    ("linsert", "l", 1),
    ("lpop", "l", 1),
    ("zadd", "z", 1),
    ("zincrby", "z", 1),
    ("zrem", "z", 1),
    ("xadd", "x", 1),
    ("xdel", "x", 1),
    ("xack", "x", 1),
    ("xgroup|create", "x", 2),
    ("xgroup|destroy", "x", 2),
    ("xgroup|setid", "x", 2),
    ("xgroup|delconsumer", "x", 2),
    ("del", "x", 1),
];

/// What the waiting client and its keys do not meet, and why.
pub(super) const REASONS: [(&str, &str); 3] = [
    (
        "blocking commands of several keys",
        "name two keys in one order: of several that became ready 7.0 takes the first ready, 7.2 the first named",
    ),
    (
        "writes to a key that is waited for",
        "no value of another type: 7.0 and 7.2 tell those who wait in other ways",
    ),
    (
        "xadd xtrim to a key that is waited for",
        "no trimming: an entry that is trimmed at once is told as none by 7.0, and not at all by 7.2",
    ),
];

/// Makes some writes go to a key that is waited for. Such keys hold values of their own type alone: a value of another
/// type in place of one, or of one that is waited for in place of that, is told to those who wait in other ways by 7.0
/// and by 7.2.
pub(super) fn aim(name: &str, words: &mut Words, chance: &mut Chance) {
    // An entry that is trimmed as soon as it comes is told as none by 7.0, and not at all by 7.2.
    let trims = words
        .iter()
        .any(|word| [&b"MAXLEN"[..], b"MINID"].iter().any(|token| word.eq_ignore_ascii_case(token)));
    if trims {
        return;
    }
    let Some((_, kind, at)) = WRITES.iter().find(|(write, ..)| *write == name) else { return };
    if let Some(key) = words.get_mut(*at).filter(|_| chance.percent(25)) {
        *key = format!("{kind}{}", 4 + chance.below(2)).into_bytes();
    }
}

/// A request that waits, by chance, and the command's name.
pub(super) fn request(chance: &mut Chance) -> (String, Words) {
    let (name, line) = *chance.pick(&WAITS);
    let key = 4 + chance.below(2);
    let word = |word: &str| match word.strip_prefix('$').filter(|kind| !kind.is_empty()) {
        Some(kind) => format!("{kind}{key}").into_bytes(),
        None => word.as_bytes().to_vec(),
    };
    (name.to_owned(), line.split(' ').map(word).collect())
}

/// The client: on each server one connection that waits, and one that lets it go.
pub(super) struct Waiter {
    waiting: Pair,
    letting: Pair,
    ids: [Vec<u8>; 2],
}

impl Waiter {
    /// Connects to servers on these ports, Tenon's first.
    pub(super) fn connect(ports: [u16; 2]) -> Result<Waiter, String> {
        let pair = || -> Result<Pair, String> {
            Ok(Pair { tenon: Line::connect("Tenon", ports[0])?, redis: Line::connect("Redis", ports[1])? })
        };
        let (mut waiting, letting) = (pair()?, pair()?);
        let ids = waiting.ask(&[b"CLIENT", b"ID"])?;
        let ids = ids.map(|id| id.bytes().to_vec());
        Ok(Waiter { waiting, letting, ids })
    }

    pub(super) fn set_protocol(&mut self, protocol: u8) -> Result<(), String> {
        self.waiting.ask(&[b"HELLO", protocol.to_string().as_bytes()]).map(drop)
    }

    /// Begins to wait. Who has been answered PING has read on.
    pub(super) fn begin(&mut self, call: &Call) -> Result<(), String> {
        let mut request = call.words.clone();
        let [mut before, _] = companions::around(&call.name, &mut request);
        before.push(vec![b"PING".to_vec()]);
        let answered = before.len();
        before.push(request);
        self.waiting.send(&before)?;
        self.waiting.receive(&before[..answered]).map(drop)
    }

    /// Waits no more; the answers, which are none where nothing was there.
    pub(super) fn end(&mut self, request: &Words) -> Result<[Reply; 2], String> {
        let unblock = |id: &[u8]| vec![b"CLIENT".to_vec(), b"UNBLOCK".to_vec(), id.to_vec()];
        self.letting.tenon.exchange(&[unblock(&self.ids[0])])?;
        self.letting.redis.exchange(&[unblock(&self.ids[1])])?;
        let [mut tenon, mut redis] = self.waiting.receive(std::slice::from_ref(request))?;
        let (Some(tenon), Some(redis)) = (tenon.pop(), redis.pop()) else {
            return Err(format!("no answer to {}", shown(request)));
        };
        Ok([tenon, redis])
    }
}
