//! The table itself: the facts are those of Redis 7.2's command descriptions, the words are ours.

use super::Docs;

const CONDITIONS: &[(&str, &str)] = &[("7.0.0", "Conditions `NX`, `XX`, `GT` and `LT`.")];
const FRACTIONS: &[(&str, &str)] = &[("6.0.0", "The timeout may have a fraction.")];
const MANY_ELEMENTS: &[(&str, &str)] = &[("2.4.0", "Takes several elements.")];
const MANY_MEMBERS: &[(&str, &str)] = &[("2.4.0", "Takes several members.")];
const COUNT: &[(&str, &str)] = &[("6.2.0", "Takes a count.")];
const ANY: &[(&str, &str)] = &[("6.2.0", "`ANY` behind `COUNT`.")];
const UNITS: &[(&str, &str)] = &[("7.0.0", "Units may be written in capitals.")];
const BITS: &[(&str, &str)] = &[("7.0.0", "Places count `BYTE`s or `BIT`s.")];
const FLUSHING: &[(&str, &str)] = &[("4.0.0", "`ASYNC`."), ("6.2.0", "`SYNC`.")];
const RESTORING: &[(&str, &str)] =
    &[("3.0.0", "`REPLACE`."), ("5.0.0", "`ABSTTL`."), ("5.0.0", "`IDLETIME` and `FREQ`.")];
const EXCLUSIVE_IDS: &[(&str, &str)] = &[("6.2.0", "The ends of the range may be left out of it.")];
const MISSING: &[(&str, &str)] = &[("2.8.0", "-2 for a key that does not exist.")];
const SCORE_TOO: &[(&str, &str)] = &[("7.2.0", "`WITHSCORE`.")];

const KEYS_MAY_CHANGE: &[(u8, &str)] =
    &[(0, "What becomes of the keys is up to the script: taken for the worst, RW and UPDATE.")];
const KEYS_ARE_READ: &[(u8, &str)] =
    &[(0, "What becomes of the keys is up to the script: taken for the worst, RO and ACCESS.")];
const SORT_BY: (u8, &str) = (1, "BY and GET make names of keys from what is sorted; no request tells them.");

/// Sorted by name.
pub(super) static DOCS: &[Docs] = &[
    Docs::of("acl|getuser").changed(&[
        ("6.2.0", "Patterns of channels."),
        ("7.0.0", "Selectors; patterns of keys and channels are rules instead of lists."),
    ]),
    Docs::of("acl|log").changed(&[("7.2.0", "Number of the entry, when it was made and last updated.")]),
    Docs::of("acl|setuser")
        .changed(&[("6.2.0", "Patterns of channels."), ("7.0.0", "Selectors, and permissions by key.")]),
    Docs::of("auth").changed(&[("6.0.0", "A user's name before the password.")]),
    Docs::of("bgsave").changed(&[("3.2.2", "`SCHEDULE`.")]),
    Docs::of("bitcount").changed(BITS),
    Docs::of("bitfield").keys(&[(0, "It may read as well as change.")]),
    Docs::of("bitpos").changed(BITS),
    Docs::of("blpop").changed(FRACTIONS),
    Docs::of("brpop").changed(FRACTIONS),
    Docs::of("brpoplpush").changed(FRACTIONS).deprecated("6.2.0", "`BLMOVE` from `RIGHT` to `LEFT`"),
    Docs::of("bzpopmax").changed(FRACTIONS),
    Docs::of("bzpopmin").changed(FRACTIONS),
    Docs::of("client|kill").changed(&[
        ("2.8.12", "Filters by name and value."),
        ("2.8.12", "`ID`."),
        ("3.2.0", "`master` behind `TYPE`."),
        ("5.0.0", "`replica` behind `TYPE`; `slave` goes on to work."),
        ("6.2.0", "`LADDR`."),
    ]),
    Docs::of("client|list").changed(&[
        ("2.8.12", "Each client's `id`."),
        ("5.0.0", "`TYPE`."),
        ("6.0.0", "`user`."),
        ("6.2.0", "`argv-mem`, `tot-mem`, `laddr` and `redir`; filter `ID`."),
        ("7.0.0", "`resp`, `multi-mem`, `rbs` and `rbp`."),
        ("7.0.3", "`ssub`."),
    ]),
    Docs::of("client|pause").changed(&[("6.2.0", "A mode, of which `WRITE` holds up writes alone.")]),
    Docs::of("cluster|meet").changed(&[("4.0.0", "The bus's port.")]),
    Docs::of("cluster|slaves").deprecated("5.0.0", "`CLUSTER REPLICAS`"),
    Docs::of("cluster|slots")
        .changed(&[("4.0.0", "Ids of nodes."), ("7.0.0", "More about each node's network.")])
        .deprecated("7.0.0", "`CLUSTER SHARDS`"),
    Docs::of("command|info").changed(&[("7.0.0", "Without a name it tells of every command.")]),
    Docs::of("config|get").changed(&[("7.0.0", "Takes several patterns.")]),
    Docs::of("config|set").changed(&[("7.0.0", "Takes several parameters.")]),
    Docs::of("debug").internal(),
    Docs::of("eval").keys(KEYS_MAY_CHANGE),
    Docs::of("eval_ro").keys(KEYS_ARE_READ),
    Docs::of("exists").changed(&[("3.0.3", "Takes several keys.")]),
    Docs::of("expire").changed(CONDITIONS),
    Docs::of("expireat").changed(CONDITIONS),
    Docs::of("fcall").keys(KEYS_MAY_CHANGE),
    Docs::of("fcall_ro").keys(KEYS_ARE_READ),
    Docs::of("flushall").changed(FLUSHING),
    Docs::of("flushdb").changed(FLUSHING),
    Docs::of("geoadd").changed(&[("6.2.0", "`CH`, `NX` and `XX`.")]),
    Docs::of("georadius")
        .changed(&[("6.2.0", "`ANY` behind `COUNT`."), ("7.0.0", "Units may be written in capitals.")])
        .deprecated("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with `BYRADIUS`"),
    Docs::of("georadius_ro").changed(ANY).deprecated("6.2.0", "`GEOSEARCH` with `BYRADIUS`"),
    Docs::of("georadiusbymember")
        .changed(UNITS)
        .deprecated("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with `BYRADIUS` and `FROMMEMBER`"),
    Docs::of("georadiusbymember_ro").deprecated("6.2.0", "`GEOSEARCH` with `BYRADIUS` and `FROMMEMBER`"),
    Docs::of("geosearch").changed(UNITS),
    Docs::of("geosearchstore").changed(UNITS),
    Docs::of("getex").keys(&[(0, "RW and UPDATE, since it may change the expiry time.")]),
    Docs::of("getset").deprecated("6.2.0", "`SET` with `GET`"),
    Docs::of("hdel").changed(&[("2.4.0", "Takes several fields.")]),
    Docs::of("hello").changed(&[("6.2.0", "Without a version it describes the connection as it is.")]),
    Docs::of("hmset").deprecated("4.0.0", "`HSET` with several fields"),
    Docs::of("hset").changed(&[("4.0.0", "Takes several fields with their values.")]),
    Docs::of("info").changed(&[("7.0.0", "Takes several sections.")]),
    Docs::of("lpop").changed(COUNT),
    Docs::of("lpush").changed(MANY_ELEMENTS),
    Docs::of("lpushx").changed(&[("4.0.0", "Takes several elements.")]),
    Docs::of("migrate").changed(&[
        ("3.0.0", "`COPY` and `REPLACE`."),
        ("3.0.6", "`KEYS`."),
        ("4.0.7", "`AUTH`."),
        ("6.0.0", "`AUTH2`."),
    ]),
    Docs::of("pexpire").changed(CONDITIONS),
    Docs::of("pexpireat").changed(CONDITIONS),
    Docs::of("pfcount").keys(&[(0, "RW, since it may store the count it found, which replicas hear of.")]),
    Docs::of("pfdebug").internal(),
    Docs::of("pfselftest").internal(),
    Docs::of("psetex").deprecated("2.6.12", "`SET` with `PX`"),
    Docs::of("pttl").changed(MISSING),
    Docs::of("quit").deprecated("7.2.0", "closing the connection"),
    Docs::of("renamenx").changed(&[("3.2.0", "A key renamed to its own name is no error.")]),
    Docs::of("replconf").internal(),
    Docs::of("restore").changed(RESTORING),
    Docs::of("restore-asking").changed(RESTORING).internal(),
    Docs::of("rpop").changed(COUNT),
    Docs::of("rpoplpush").deprecated("6.2.0", "`LMOVE` from `RIGHT` to `LEFT`"),
    Docs::of("rpush").changed(MANY_ELEMENTS),
    Docs::of("rpushx").changed(&[("4.0.0", "Takes several elements.")]),
    Docs::of("sadd").changed(MANY_MEMBERS),
    Docs::of("scan").changed(&[("6.0.0", "`TYPE`.")]),
    Docs::of("script|flush").changed(&[("6.2.0", "`ASYNC` and `SYNC`.")]),
    Docs::of("sentinel|config").changed(&[("7.2.0", "Takes several parameters.")]),
    Docs::of("sentinel|slaves").deprecated("5.0.0", "`SENTINEL REPLICAS`"),
    Docs::of("set")
        .changed(&[
            ("2.6.12", "`EX`, `PX`, `NX` and `XX`."),
            ("6.0.0", "`KEEPTTL`."),
            ("6.2.0", "`GET`, `EXAT` and `PXAT`."),
            ("7.0.0", "`NX` and `GET` go together."),
        ])
        .keys(&[(0, "RW and ACCESS, since `GET` asks for the old value.")]),
    Docs::of("setex").deprecated("2.6.12", "`SET` with `EX`"),
    Docs::of("setnx").deprecated("2.6.12", "`SET` with `NX`"),
    Docs::of("shutdown").changed(&[("7.0.0", "`NOW`, `FORCE` and `ABORT`.")]),
    Docs::of("slaveof").deprecated("5.0.0", "`REPLICAOF`"),
    Docs::of("slowlog|get").changed(&[("4.0.0", "The client's address and name.")]),
    Docs::of("sort").keys(&[SORT_BY, (2, "STORE may stand anywhere among the options.")]),
    Docs::of("sort_ro").keys(&[SORT_BY]),
    Docs::of("spop").changed(&[("3.2.0", "Takes a count.")]),
    Docs::of("srandmember").changed(&[("2.6.0", "Takes a count.")]),
    Docs::of("srem").changed(MANY_MEMBERS),
    Docs::of("substr").deprecated("2.0.0", "`GETRANGE`"),
    Docs::of("ttl").changed(MISSING),
    Docs::of("xadd")
        .changed(&[("6.2.0", "`NOMKSTREAM`, `MINID` and `LIMIT`."), ("7.0.0", "Ids of the form `<ms>-*`.")])
        .keys(&[(0, "UPDATE instead of INSERT, since it may trim as well.")]),
    Docs::of("xautoclaim").changed(&[("7.0.0", "Tells the ids of pending entries that are deleted.")]),
    Docs::of("xgroup|create").changed(&[("7.0.0", "`ENTRIESREAD`.")]),
    Docs::of("xgroup|setid").changed(&[("7.0.0", "`ENTRIESREAD`.")]),
    Docs::of("xinfo|consumers").changed(&[("7.2.0", "`inactive`.")]),
    Docs::of("xinfo|groups").changed(&[("7.0.0", "`entries-read` and `lag`.")]),
    Docs::of("xinfo|stream").changed(&[
        ("6.0.0", "`FULL`."),
        (
            "7.0.0",
            "`max-deleted-entry-id`, `entries-added`, `recorded-first-entry-id`, `entries-read` and `lag`.",
        ),
        ("7.2.0", "`active-time`; `seen-time` is the last attempt."),
    ]),
    Docs::of("xpending").changed(&[("6.2.0", "`IDLE`, and ranges without their ends.")]),
    Docs::of("xrange").changed(EXCLUSIVE_IDS),
    Docs::of("xrevrange").changed(EXCLUSIVE_IDS),
    Docs::of("xsetid").changed(&[("7.0.0", "`ENTRIESADDED` and `MAXDELETEDID`.")]),
    Docs::of("xtrim").changed(&[("6.2.0", "`MINID` and `LIMIT`.")]),
    Docs::of("zadd").changed(&[
        ("2.4.0", "Takes several members."),
        ("3.0.2", "`XX`, `NX`, `CH` and `INCR`."),
        ("6.2.0", "`GT` and `LT`."),
    ]),
    Docs::of("zrange").changed(&[("6.2.0", "`REV`, `BYSCORE`, `BYLEX` and `LIMIT`.")]),
    Docs::of("zrangebylex").deprecated("6.2.0", "`ZRANGE` with `BYLEX`"),
    Docs::of("zrangebyscore")
        .changed(&[("2.0.0", "`WITHSCORES`.")])
        .deprecated("6.2.0", "`ZRANGE` with `BYSCORE`"),
    Docs::of("zrank").changed(SCORE_TOO),
    Docs::of("zrem").changed(MANY_MEMBERS),
    Docs::of("zrevrange").deprecated("6.2.0", "`ZRANGE` with `REV`"),
    Docs::of("zrevrangebylex").deprecated("6.2.0", "`ZRANGE` with `REV` and `BYLEX`"),
    Docs::of("zrevrangebyscore")
        .changed(&[("2.1.6", "Ends of the range may be left out of it.")])
        .deprecated("6.2.0", "`ZRANGE` with `REV` and `BYSCORE`"),
    Docs::of("zrevrank").changed(SCORE_TOO),
];
