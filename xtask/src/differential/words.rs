//! The words that calls are made of: a small pool of keys, values at the edges of encodings, and hostile ones.
//! Chosen by an argument's name and kind, so that most calls do something; the rest of the run is for those that do not.

use super::chance::Chance;
use super::grammar::{Argument, Command, Kind};

/// In the year 2100: nothing expires while a run lasts.
const FAR_UNIX_S: u64 = 4_102_444_800;

/// What no command is glad to see.
const HOSTILE: [&[u8]; 56] = [
    b"",
    b" ",
    b"0",
    b"-0",
    b"+5",
    b"5 ",
    b" 5",
    b"05",
    b"1e400",
    b"-1e400",
    b"nan",
    b"NaN",
    b"inf",
    b"-inf",
    b"+inf",
    b"infinity",
    b"0x10",
    b"1.5",
    b"1e3",
    b".5",
    b"5.",
    b"-1",
    b"2147483648",
    b"4294967296",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"9223372036854775808",
    b"18446744073709551615",
    b"18446744073709551616",
    b"-9223372036854775807",
    b"99999999999999999999999999",
    b"\0",
    b"\xff\xfe",
    b"a\r\nb",
    b"*",
    b"-",
    b"+",
    b"$",
    b">",
    b"0-0",
    b"0-1",
    b"1-",
    b"-1-1",
    b"(1",
    b"[a",
    b"(",
    b"[",
    b"#",
    b"COUNT",
    b"LIMIT",
    b"STORE",
    b"WITHSCORES",
    b"NX",
    b"GET",
    b"BY",
    b"KEEPTTL",
];

const MEMBERS: [&[u8]; 12] = [
    b"",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"12345678901",
    b"-1",
    b"3.5",
    b"1e3",
    b"007",
    b"\x01\x00\x02",
    b"\xc3\xa9",
    b"a b",
    b"65536",
];

const NUMBERS: [&[u8]; 22] = [
    b"0",
    b"1",
    b"2",
    b"3",
    b"-1",
    b"2.5",
    b"-2.5",
    b"0.1",
    b"0.3",
    b"1e3",
    b"1e-7",
    b"3.0",
    b"-0",
    b"inf",
    b"-inf",
    b"1e17",
    b"123456789.123",
    b"9007199254740993",
    b"1e300",
    b"nan",
    b"17179869184.00001",
    b"5e-324",
];

const POINTS: [[&[u8]; 2]; 8] = [
    [b"13.361389", b"38.115556"],
    [b"15.087269", b"37.502669"],
    [b"0", b"0"],
    [b"180", b"85"],
    [b"-180", b"-85.05112878"],
    [b"-122.27652", b"37.805186"],
    [b"13.4", b"52.5"],
    [b"13.361390", b"38.115557"],
];

/// Words by the name of an argument, where any of a handful will do.
const BY_NAME: [(&str, &[&str]); 24] = [
    ("type", &["string", "list", "hash", "set", "zset", "stream", "nosuch"]),
    ("db", &["0", "1", "2", "16", "-1"]),
    ("destination-db", &["0", "1", "2", "16"]),
    ("group", &["g1", "g2", "g3"]),
    ("groupname", &["g1", "g2", "g3"]),
    ("consumer", &["c1", "c2", ""]),
    ("consumername", &["c1", "c2"]),
    ("channel", &["news", "sport"]),
    ("cursor", &["0", "0", "0", "0", "1", "77"]),
    ("subcommand", &["GETREG", "DECODE", "ENCODING", "TODENSE", "NOSUCH"]),
    ("encoding", &["u8", "i8", "u1", "i5", "u16", "i16", "u32", "i64", "u63", "u64", "i0", "i65", "x8"]),
    ("radius", &["0", "1", "100", "200", "1000", "20000", "1e9", "-1", "0.5"]),
    ("width", &["0", "1", "400", "5000", "40000"]),
    ("height", &["0", "1", "400", "5000", "40000"]),
    ("unit", &["m", "km", "ft", "mi"]),
    ("frequency", &["0", "1", "255", "256"]),
    ("numreplicas", &["0", "1", "-1"]),
    ("bit", &["0", "1"]),
    ("weight", &["1", "2", "0", "-1", "0.5", "inf", "1.1"]),
    ("limit", &["0", "1", "2", "100"]),
    ("entries_added", &["0", "1", "5", "100000"]),
    ("entries_read", &["0", "1", "3", "-1"]),
    ("min-idle-time", &["0", "1000000000000"]),
    ("ms", &["0", "1000", "1000000"]),
];

/// Words and the state that makes one differ from the next.
pub(super) struct Dictionary {
    /// What DUMP gave for a value of each type.
    pub(super) payloads: Vec<Vec<u8>>,
    /// The newest stream id's first half.
    pub(super) newest_ms: usize,
    /// Numbers that were given out for members that must be new.
    unique: usize,
}

impl Dictionary {
    pub(super) fn new(payloads: Vec<Vec<u8>>) -> Dictionary {
        Dictionary { payloads, newest_ms: 1, unique: 0 }
    }

    /// A hostile word.
    pub(super) fn hostile(&mut self, chance: &mut Chance) -> Vec<u8> {
        match chance.below(20) {
            0 => vec![b'x'; 300],
            1 => format!("{}-{}", chance.below(9), chance.below(3)).into_bytes(),
            _ => chance.pick(&HOSTILE).to_vec(),
        }
    }

    /// A key that `command` would like, mostly.
    pub(super) fn key(&mut self, chance: &mut Chance, command: &Command) -> Vec<u8> {
        const PREFIXES: [&str; 10] = ["s", "b", "p", "l", "h", "t", "z", "g", "x", "w_"];
        let own = match command.group.as_str() {
            "string" => "s",
            "bitmap" => "b",
            "hyperloglog" => "p",
            "list" => "l",
            "hash" => "h",
            "set" => "t",
            "sorted-set" => *chance.pick(&["z", "z", "z", "t", "g"]),
            "geo" => "g",
            "stream" => "x",
            _ if command.name.starts_with("sort") => *chance.pick(&["l", "t", "z"]),
            _ => *chance.pick(&PREFIXES),
        };
        let prefix = if chance.percent(6) { *chance.pick(&PREFIXES) } else { own };
        match chance.below(200) {
            0 => Vec::new(),
            1 => b"\x00key\xff".to_vec(),
            2 => vec![b'k'; 300],
            _ => format!("{prefix}{}", chance.below(4)).into_bytes(),
        }
    }

    /// A word for an argument that is a single one.
    pub(super) fn value(&mut self, chance: &mut Chance, command: &Command, argument: &Argument) -> Vec<u8> {
        if chance.percent(2) {
            return self.hostile(chance);
        }
        let name = argument.name.as_str();
        if argument.kind == Kind::Key {
            return self.key(chance, command);
        }
        if let Some((_, words)) = BY_NAME.iter().find(|(known, _)| *known == name) {
            return chance.pick(words).as_bytes().to_vec();
        }
        match (argument.kind, name) {
            (Kind::UnixTime, _) => self.moment(chance, name),
            (Kind::Pattern, _) => self.pattern(chance, command),
            (_, "timeout" | "milliseconds") if command.may_block => b"0".to_vec(),
            (_, "seconds" | "milliseconds" | "ttl") => relative_expiry(chance),
            (_, "longitude") => chance.pick(&POINTS)[0].to_vec(),
            (_, "latitude") => chance.pick(&POINTS)[1].to_vec(),
            (_, "min" | "max" | "start" | "stop" | "end") if command.group == "sorted-set" => {
                self.bound(chance, argument.kind)
            }
            (Kind::Text, "start" | "end" | "id" | "last-id" | "threshold" | "max_deleted_entry_id") => {
                self.stream_id(chance, command)
            }
            (Kind::Text, "serialized-value") => chance.pick(&self.payloads).clone(),
            (Kind::Text, "operation") => chance.pick(&["AND", "OR", "XOR", "NOT", "not"]).as_bytes().to_vec(),
            (Kind::Integer, "offset") if command.name.starts_with("bitfield") => {
                let mark = if chance.percent(40) { "#" } else { "" };
                format!("{mark}{}", chance.below(70)).into_bytes()
            }
            (Kind::Integer, "offset") => chance.below(90).to_string().into_bytes(),
            (Kind::Integer, "value") if command.name == "setbit" => chance.below(2).to_string().into_bytes(),
            (Kind::Integer, _) => whole_number(chance),
            (Kind::Double, _) => chance.pick(&NUMBERS).to_vec(),
            _ => self.member(chance),
        }
    }

    /// An element, field, member or value.
    pub(super) fn member(&mut self, chance: &mut Chance) -> Vec<u8> {
        match chance.below(20) {
            0..=7 => format!("m{}", chance.below(16)).into_bytes(),
            8..=12 => chance.below(30).to_string().into_bytes(),
            13..=14 => chance.pick(&NUMBERS).to_vec(),
            15..=16 => chance.pick(&MEMBERS).to_vec(),
            17 => {
                let length = *chance.pick(&[20, 43, 44, 45, 63, 64, 65, 66, 200]);
                let letter = b'a' + chance.below(4) as u8;
                vec![letter; length]
            }
            _ => {
                self.unique += 1;
                format!("u{}", self.unique).into_bytes()
            }
        }
    }

    /// Makes an id that is not the newest one so: 7.2 refuses for XSETID one before the last that was deleted, 7.0 does
    /// not.
    pub(super) fn renew(&mut self, words: &mut [Vec<u8>], at: usize) {
        let Some(word) = words.get_mut(at) else { return };
        let half = std::str::from_utf8(word).ok().and_then(|id| id.split('-').next()?.parse::<usize>().ok());
        if half.is_some_and(|half| half <= self.newest_ms) {
            self.newest_ms += 1;
            *word = self.newest_ms.to_string().into_bytes();
        }
    }

    fn moment(&mut self, chance: &mut Chance, name: &str) -> Vec<u8> {
        let seconds = FAR_UNIX_S + chance.below(1000) as u64;
        match chance.below(12) {
            0 => b"1".to_vec(),
            1 => b"1000000".to_vec(),
            _ if name.contains("milliseconds") => (seconds * 1000 + 123).to_string().into_bytes(),
            _ => seconds.to_string().into_bytes(),
        }
    }

    fn pattern(&mut self, chance: &mut Chance, command: &Command) -> Vec<u8> {
        const GLOBS: [&str; 8] = ["*", "m*", "[a-s]*", "?1", "\\*", "[^0-9]*", "*1*", ""];
        const WEIGHTS: [&str; 7] = ["w_*", "w_*", "h*->m1", "h1->*", "#", "nosort", "s*"];
        let words = if command.name.starts_with("sort") { &WEIGHTS[..] } else { &GLOBS[..] };
        chance.pick(words).as_bytes().to_vec()
    }

    /// One end of a range of scores, members or ranks.
    fn bound(&mut self, chance: &mut Chance, kind: Kind) -> Vec<u8> {
        match (chance.below(8), kind) {
            (0, _) => b"-inf".to_vec(),
            (1, _) => b"+inf".to_vec(),
            (2, Kind::Text) => chance.pick(&[&b"-"[..], b"+"]).to_vec(),
            (3 | 4, Kind::Text) => {
                let mark = *chance.pick(b"[(");
                [vec![mark], self.member(chance)].concat()
            }
            (3, _) => format!("({}", chance.below(4)).into_bytes(),
            (4, _) => chance.pick(&NUMBERS).to_vec(),
            _ => whole_number(chance),
        }
    }

    /// Fresh for XADD, mostly; else one that may exist, or a special one.
    fn stream_id(&mut self, chance: &mut Chance, command: &Command) -> Vec<u8> {
        if command.name == "xadd" && chance.percent(85) {
            self.newest_ms += chance.below(2);
            return match chance.below(10) {
                0..=2 => format!("{}-*", self.newest_ms).into_bytes(),
                _ => {
                    self.newest_ms += 1;
                    format!("{}-{}", self.newest_ms, chance.below(3)).into_bytes()
                }
            };
        }
        let (any, newest) = (chance.below(self.newest_ms + 2), self.newest_ms);
        match chance.below(16) {
            0..=1 => b"-".to_vec(),
            2..=3 => b"+".to_vec(),
            4 => b"$".to_vec(),
            5..=6 => b">".to_vec(),
            7 => b"0".to_vec(),
            8 => format!("({any}").into_bytes(),
            9 => newest.to_string().into_bytes(),
            10..=11 => any.to_string().into_bytes(),
            12 => b"0-0".to_vec(),
            _ => format!("{any}-{}", chance.below(3)).into_bytes(),
        }
    }
}

/// Far enough apart that no two are within the time that a run takes, and never soon.
pub(super) fn relative_expiry(chance: &mut Chance) -> Vec<u8> {
    match chance.below(12) {
        0 => b"0".to_vec(),
        1 => b"-1".to_vec(),
        2 => b"9223372036854775807".to_vec(),
        _ => (100_000_000_000 + chance.below(1_000_000) * 100_000).to_string().into_bytes(),
    }
}

fn whole_number(chance: &mut Chance) -> Vec<u8> {
    match chance.below(16) {
        0..=9 => chance.below(8).to_string().into_bytes(),
        10..=13 => format!("-{}", 1 + chance.below(5)).into_bytes(),
        14 => chance.below(1000).to_string().into_bytes(),
        _ => chance.pick(&HOSTILE[22..31]).to_vec(),
    }
}
