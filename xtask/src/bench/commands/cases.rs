//! What is measured: how the keys are filled, and which requests are sent again and again.
//! `{k}` is the number of a key and `{n}` a member's, the same in all requests of a case; `{r}` is the number of another key
//! each time; all in eight digits. A number in braces is so many bytes.
//! Always: a case leaves its keys as large as it found them, so that it costs the same at its end.

/// One line of the table.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) size: Size,
    /// How often for each key, and the request.
    pub(super) fill: &'static [(Times, &'static str)],
    /// Sent in turn.
    pub(super) requests: &'static [&'static str],
}

/// How many keys there are, and how many numbers for members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// As many keys of ten members as the options say, more than the processor's caches hold.
    Small,
    /// A thousand keys of a hundred members, or of some KiB.
    Middle,
    /// One key of as many members as the options say.
    Large,
}

/// How often a request that fills a key is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Times {
    Once,
    /// Once for each member.
    Each,
}
use Size::{Large, Middle, Small};
use Times::{Each, Once};

/// Keys of a hundred members.
const MIDDLE_KEYS: u32 = 1000;

impl Size {
    pub(super) fn keys(self, small: u32) -> u32 {
        match self {
            Small => small,
            Middle => MIDDLE_KEYS,
            Large => 1,
        }
    }

    pub(super) fn members(self, large: u32) -> u32 {
        match self {
            Small => 10,
            Middle => 100,
            Large => large,
        }
    }
}

const fn case(
    name: &'static str,
    size: Size,
    fill: &'static [(Times, &'static str)],
    requests: &'static [&'static str],
) -> Case {
    Case { name, size, fill, requests }
}

const TEXT: &[(Times, &str)] = &[(Once, "SET s{k} {64}")];
const LONG_TEXT: &[(Times, &str)] = &[(Once, "SET s{k} {16384}")];
const BITS: &[(Times, &str)] = &[(Once, "SET b{k} {4096}")];
const LIST: &[(Times, &str)] = &[(Each, "RPUSH l{k} m{n}")];
const HASH: &[(Times, &str)] = &[(Each, "HSET h{k} m{n} v{n}")];
const SET: &[(Times, &str)] = &[(Each, "SADD t{k} m{n}")];
const INTEGERS: &[(Times, &str)] = &[(Each, "SADD t{k} 1{n}")];
const ZSET: &[(Times, &str)] = &[(Each, "ZADD z{k} {n} m{n}")];
const PLACES: &[(Times, &str)] = &[(Each, "GEOADD g{k} 13.{n} 38.{n} m{n}")];
const STREAM: &[(Times, &str)] = &[(Each, "XADD x{k} {n}-1 f v{n}")];
const SKETCH: &[(Times, &str)] = &[(Each, "PFADD p{k} m{n}")];

pub(super) const CASES: &[Case] = &[
    case("GET, 64 bytes", Small, TEXT, &["GET s{k}"]),
    case("GET, 16 KiB", Middle, LONG_TEXT, &["GET s{k}"]),
    case("SET, 64 bytes", Small, TEXT, &["SET s{k} {64}"]),
    case("SET, 16 KiB", Middle, LONG_TEXT, &["SET s{k} {16384}"]),
    case("SET EX, 64 bytes", Small, TEXT, &["SET s{k} {64} EX 1000"]),
    case("INCR", Small, &[(Once, "SET n{k} 1000")], &["INCR n{k}"]),
    case(
        "INCRBYFLOAT",
        Small,
        &[(Once, "SET n{k} 1.5")],
        &["INCRBYFLOAT n{k} 0.25", "INCRBYFLOAT n{k} -0.25"],
    ),
    case("GETRANGE of 16 KiB", Middle, LONG_TEXT, &["GETRANGE s{k} 8000 8099"]),
    case("SETRANGE in 16 KiB", Middle, LONG_TEXT, &["SETRANGE s{k} 8000 abcdef"]),
    case("MGET of 10", Small, TEXT, &["MGET s{r} s{r} s{r} s{r} s{r} s{r} s{r} s{r} s{r} s{r}"]),
    case(
        "MSET of 10",
        Small,
        TEXT,
        &["MSET s{r} v s{r} v s{r} v s{r} v s{r} v s{r} v s{r} v s{r} v s{r} v s{r} v"],
    ),
    case("SETBIT, 4 KiB", Middle, BITS, &["SETBIT b{k} 20000 1", "SETBIT b{k} 20000 0"]),
    case("GETBIT, 4 KiB", Middle, BITS, &["GETBIT b{k} 20000"]),
    case("BITCOUNT, 4 KiB", Middle, BITS, &["BITCOUNT b{k}"]),
    case("BITPOS, 4 KiB", Middle, &[(Once, "SETBIT b{k} 32767 1")], &["BITPOS b{k} 1"]),
    case("BITFIELD, 4 KiB", Middle, BITS, &["BITFIELD b{k} INCRBY u16 100 1 GET u8 5"]),
    case("PFADD", Middle, SKETCH, &["PFADD p{k} m{n}"]),
    case("PFCOUNT", Middle, SKETCH, &["PFCOUNT p{k}"]),
    case("LPUSH and RPOP, small", Small, LIST, &["LPUSH l{k} m{n}", "RPOP l{k}"]),
    case("LPUSH and RPOP, large", Large, LIST, &["LPUSH l{k} m{n}", "RPOP l{k}"]),
    case("LRANGE, all of 10", Small, LIST, &["LRANGE l{k} 0 -1"]),
    case("LRANGE, 100 of a large list", Large, LIST, &["LRANGE l{k} 100 199"]),
    case("LINDEX, small", Small, LIST, &["LINDEX l{k} 5"]),
    case("LINDEX, large", Large, LIST, &["LINDEX l{k} 5000"]),
    case("LSET, small", Small, LIST, &["LSET l{k} 5 m{n}"]),
    case("HSET, small", Small, HASH, &["HSET h{k} m{n} w{n}"]),
    case("HSET, large", Large, HASH, &["HSET h{k} m{n} w{n}"]),
    case("HGET, small", Small, HASH, &["HGET h{k} m{n}"]),
    case("HGET, large", Large, HASH, &["HGET h{k} m{n}"]),
    case("HGETALL, 10", Small, HASH, &["HGETALL h{k}"]),
    case("HINCRBY, small", Small, &[(Each, "HSET h{k} m{n} 1")], &["HINCRBY h{k} m{n} 1"]),
    case("SADD and SREM, small", Small, SET, &["SADD t{k} new", "SREM t{k} new"]),
    case("SADD and SREM, large", Large, SET, &["SADD t{k} w{n}", "SREM t{k} w{n}"]),
    case("SISMEMBER, small", Small, SET, &["SISMEMBER t{k} m{n}"]),
    case("SISMEMBER, integers", Middle, INTEGERS, &["SISMEMBER t{k} 1{n}"]),
    case("SISMEMBER, large", Large, SET, &["SISMEMBER t{k} m{n}"]),
    case("SMEMBERS, 10", Small, SET, &["SMEMBERS t{k}"]),
    case("SINTER, 100 and 100", Middle, SET, &["SINTER t{k} t{r}"]),
    case("ZADD, small", Small, ZSET, &["ZADD z{k} 5 m{n}"]),
    case("ZADD, large", Large, ZSET, &["ZADD z{k} {n} m00000500"]),
    case("ZINCRBY, large", Large, ZSET, &["ZINCRBY z{k} 1 m{n}"]),
    case("ZSCORE, small", Small, ZSET, &["ZSCORE z{k} m{n}"]),
    case("ZSCORE, large", Large, ZSET, &["ZSCORE z{k} m{n}"]),
    case("ZRANK, large", Large, ZSET, &["ZRANK z{k} m{n}"]),
    case("ZRANGE, 10 of a large one", Large, ZSET, &["ZRANGE z{k} 1000 1009"]),
    case("ZRANGE BYSCORE, 10 of a large one", Large, ZSET, &["ZRANGE z{k} {n} inf BYSCORE LIMIT 0 10"]),
    case("ZRANGE WITHSCORES, 10", Small, ZSET, &["ZRANGE z{k} 0 -1 WITHSCORES"]),
    case("ZADD and ZPOPMIN, large", Large, ZSET, &["ZADD z{k} 0 w", "ZPOPMIN z{k}"]),
    case("GEOADD", Middle, PLACES, &["GEOADD g{k} 13.5 38.5 m{n}"]),
    case("GEODIST", Middle, PLACES, &["GEODIST g{k} m00000001 m00000050"]),
    case("GEOSEARCH", Middle, PLACES, &["GEOSEARCH g{k} FROMLONLAT 13 38 BYRADIUS 1 km"]),
    case("XADD, trimmed", Middle, STREAM, &["XADD x{k} MAXLEN ~ 100 * f v{n}"]),
    case("XRANGE, 10", Middle, STREAM, &["XRANGE x{k} - + COUNT 10"]),
    case("XRANGE, 10 of a large one", Large, STREAM, &["XRANGE x{k} {n} + COUNT 10"]),
    case("XREAD, 10", Middle, STREAM, &["XREAD COUNT 10 STREAMS x{k} 5"]),
    case("EXPIRE", Small, TEXT, &["EXPIRE s{k} 1000"]),
    case("TTL", Small, &[(Once, "SET s{k} v EX 1000")], &["TTL s{k}"]),
    case("EXISTS", Small, TEXT, &["EXISTS s{k}"]),
    case("DEL and SET", Small, TEXT, &["DEL s{k}", "SET s{k} {64}"]),
    case("SORT, 100 numbers", Middle, &[(Each, "RPUSH l{k} {n}")], &["SORT l{k}"]),
];
