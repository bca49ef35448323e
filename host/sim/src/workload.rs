//! Random requests over all types, on few keys, so that they meet. What they do follows from the dice.
//! Always: at most one key at a time is about to expire, so that a turn changes one thing of its own accord at most.

use tenon_base::Dice;
use tenon_resp::{OwnedArgs, write_request};

/// Changes of data. `{x}` stands for something drawn: a key of a type (`s` strings, `n` numbers, `l` lists, `h` hashes,
/// `t` sets, `z` sorted sets, `x` streams, `a` any), a value `v`, an integer `i`, a field or member `f`, a score `r`,
/// a moment far away `far`, a short time `ms`.
const WRITES: &[&str] = &[
    "SET {s} {v}",
    "SET {s} {v}",
    "SET {s} {v} XX",
    "SET {s} {v} KEEPTTL",
    "SETNX {s} {v}",
    "GETSET {s} {v}",
    "GETDEL {s}",
    "APPEND {s} {v}",
    "SETRANGE {s} {i} {v}",
    "SETBIT {s} {i} 1",
    "MSET {s} {v} {s} {v}",
    "INCR {n}",
    "INCR {n}",
    "INCRBY {n} {i}",
    "INCRBYFLOAT {n} {r}",
    "DECRBY {n} {i}",
    "LPUSH {l} {v}",
    "RPUSH {l} {v} {f}",
    "LPOP {l}",
    "RPOP {l} 2",
    "LTRIM {l} 0 {i}",
    "LSET {l} 0 {v}",
    "LREM {l} 1 {f}",
    "LINSERT {l} BEFORE {f} {v}",
    "LMOVE {l} {l} LEFT RIGHT",
    "RPOPLPUSH {l} {l}",
    "HSET {h} {f} {v}",
    "HSET {h} {f} {v} {f} {i}",
    "HDEL {h} {f}",
    "HINCRBY {h} {f} {i}",
    "HSETNX {h} {f} {i}",
    "SADD {t} {f}",
    "SADD {t} {i} {i}",
    "SREM {t} {f}",
    "SPOP {t}",
    "SPOP {t} 2",
    "SMOVE {t} {t} {f}",
    "SUNIONSTORE {t} {t} {t}",
    "SDIFFSTORE {t} {t} {t}",
    "ZADD {z} {r} {f}",
    "ZADD {z} GT {r} {f}",
    "ZINCRBY {z} {r} {f}",
    "ZREM {z} {f}",
    "ZPOPMIN {z}",
    "ZPOPMAX {z} 2",
    "ZREMRANGEBYRANK {z} 0 0",
    "ZUNIONSTORE {z} 2 {z} {z}",
    "ZRANGESTORE {z} {z} 0 2",
    "XADD {x} * {f} {v}",
    "XADD {x} MAXLEN ~ 8 * {f} {i}",
    "XTRIM {x} MAXLEN 4",
    "XGROUP CREATE {x} g 0 MKSTREAM",
    "XREADGROUP GROUP g {f} COUNT 2 STREAMS {x} >",
    "XAUTOCLAIM {x} g {f} 0 0 COUNT 1",
    "XSETID {x} 9999999999999-1",
    "DEL {a}",
    "DEL {a}",
    "UNLINK {a} {a}",
    "RENAME {a} {a}",
    "COPY {a} {a} REPLACE",
    "MOVE {a} 1",
    "PEXPIREAT {a} {far}",
    "PERSIST {a}",
    "SET e {v} PX {ms}",
    "SORT {l} ALPHA STORE {l}",
    "BITOP NOT {s} {s}",
    "PFADD {s} {v}",
    "GEOADD {z} 13.3 52.5 {f}",
];

/// Changes of everything.
const SWEEPS: &[&str] = &["FLUSHDB", "FLUSHALL", "FLUSHALL ASYNC", "SWAPDB 0 1"];

/// What changes nothing.
const READS: &[&str] = &[
    "GET {s}",
    "LRANGE {l} 0 -1",
    "HGETALL {h}",
    "SMEMBERS {t}",
    "ZRANGE {z} 0 -1",
    "XLEN {x}",
    "TYPE {a}",
    "DBSIZE",
];

/// Scripts that write.
const SCRIPTS: &[&str] = &[
    "EVAL redis.call('INCR',KEYS[1])redis.call('RPUSH',KEYS[2],ARGV[1])return(1) 2 {n} {l} {v}",
    "EVAL redis.call('SET',KEYS[1],ARGV[1])return(redis.call('SADD',KEYS[2],ARGV[2])) 2 {s} {t} {v} {f}",
];

/// Milliseconds since 1970 that no run comes to.
const FAR_UNIX_MS: u64 = 2_000_000_000_000;

/// What requests are drawn from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taste {
    /// Keys of each type.
    pub(crate) keys: u64,
    /// Whether scripts are among them.
    pub(crate) scripts: bool,
    /// Whether a key expires soon now and then.
    pub(crate) expiries: bool,
}

/// Requests for one run.
pub(crate) struct Workload {
    dice: Dice,
    taste: Taste,
}

impl Workload {
    pub(crate) fn new(dice: Dice, taste: Taste) -> Workload {
        Workload { dice, taste }
    }

    /// The next request of a client, or several that belong together.
    pub(crate) fn next(&mut self) -> Vec<Vec<u8>> {
        match self.dice.below(100) {
            0..=9 => vec![self.one(READS)],
            10..=16 => self.transaction(),
            17 if self.dice.below(4) == 0 => vec![self.one(SWEEPS)],
            18..=20 => vec![format_request(&["SELECT", &self.dice.below(2).to_string()])],
            21..=24 if self.taste.scripts => vec![self.one(SCRIPTS)],
            _ => vec![self.one(WRITES)],
        }
    }

    fn transaction(&mut self) -> Vec<Vec<u8>> {
        let count = self.dice.below(4);
        let mut requests = vec![format_request(&["MULTI"])];
        requests.extend((0..count).map(|_| self.one(WRITES)));
        requests.push(format_request(&["EXEC"]));
        requests
    }

    fn one(&mut self, templates: &[&str]) -> Vec<u8> {
        let template = templates[self.dice.below(templates.len() as u64) as usize];
        if template.contains("{ms}") && !self.taste.expiries {
            return self.one(templates);
        }
        let words: Vec<String> = template.split(' ').map(|word| self.word(word)).collect();
        format_request(&words)
    }

    fn word(&mut self, word: &str) -> String {
        let dice = &mut self.dice;
        match word.strip_prefix('{').and_then(|word| word.strip_suffix('}')) {
            None => word.to_owned(),
            Some("v") => self.value(),
            Some("i") => dice.below(20).to_string(),
            Some("f") => format!("m{}", dice.below(6)),
            Some("r") => format!("{}.5", dice.below(50)),
            Some("far") => (FAR_UNIX_MS + dice.below(1_000_000)).to_string(),
            Some("ms") => (1 + dice.below(3_000)).to_string(),
            Some("a") => {
                let kind = ["s", "n", "l", "h", "t", "z", "x"][dice.below(7) as usize];
                format!("{kind}{}", dice.below(self.taste.keys))
            }
            Some(kind) => format!("{kind}{}", dice.below(self.taste.keys)),
        }
    }

    /// Mostly short; sometimes it spans pages of a disk.
    fn value(&mut self) -> String {
        let length = match self.dice.below(40) {
            0 => 2_000 + self.dice.below(9_000),
            1..=4 => self.dice.below(300),
            _ => self.dice.below(12),
        };
        let start = self.dice.below(26);
        (0..length).map(|index| char::from(b'a' + ((start + index * index / 7) % 26) as u8)).collect()
    }
}

/// A request as bytes.
pub(crate) fn format_request<W: AsRef<str>>(words: &[W]) -> Vec<u8> {
    let mut request = OwnedArgs::new();
    words.iter().for_each(|word| request.push(word.as_ref().as_bytes()));
    let mut bytes = Vec::new();
    write_request(&mut bytes, request.as_args());
    bytes
}
