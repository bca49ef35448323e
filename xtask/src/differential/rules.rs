//! Every command whose replies may differ between two right servers, with the reason and with what must still be equal;
//! and every known difference between the judge, which is 7.0.15, and the specification, which is 7.2.4.
//! Always: what stands in no line here must be equal byte for byte.

use super::generate::Call;
use super::grammar::field;
use super::reply::{Reply, equal_as_numbers, equal_within};

/// How two replies to one call are compared when their bytes differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The same elements (or groups of so many) in any order.
    Unordered(usize),
    /// The same kinds and numbers of elements, and the same errors.
    Shape,
    /// Whole numbers at most so far apart.
    Within(u64),
    /// Cursors differ; but what one call returns whole must be the same.
    Scan,
    /// A sort without an order is in any order.
    Sort,
    /// Times since an event are left out, and so are fields that came with 7.2.
    Timeless,
    /// One of these words instead of the other: what 7.0 says, what 7.2 says.
    Words(&'static [[&'static str; 2]]),
}

/// A command, how its replies are compared, and why not byte for byte.
struct Rule {
    names: &'static [&'static str],
    way: Way,
    reason: &'static str,
}

const fn rule(names: &'static [&'static str], way: Way, reason: &'static str) -> Rule {
    Rule { names, way, reason }
}

/// What 7.0 says and what 7.2 may say: small lists and sets are listpacks, and the number of arguments
/// decides on an encoding before it is known how many of them are equal.
const ENCODINGS: [[&str; 2]; 6] = [
    ["quicklist", "listpack"],
    ["hashtable", "listpack"],
    ["intset", "listpack"],
    ["intset", "hashtable"],
    ["listpack", "skiplist"],
    ["listpack", "hashtable"],
];

const RULES: &[Rule] = &[
    rule(&["spop", "srandmember", "hrandfield", "zrandmember", "randomkey"], Way::Shape, "chosen by chance"),
    rule(&["keys"], Way::Unordered(1), "keys are in no order"),
    rule(&["smembers", "sdiff", "sinter", "sunion"], Way::Unordered(1), "members of a set are in no order"),
    rule(&["hkeys", "hvals"], Way::Unordered(1), "fields of a large hash are in no order"),
    rule(&["hgetall"], Way::Unordered(2), "fields of a large hash are in no order"),
    rule(&["scan", "hscan", "sscan", "zscan"], Way::Scan, "a cursor is a position in the server's own table"),
    rule(
        &["sort", "sort_ro"],
        Way::Sort,
        "BY a constant leaves a set's own order, and so do texts equal up to a zero byte",
    ),
    rule(&["ttl", "expiretime"], Way::Within(10), "a relative expiry begins when a server runs the call"),
    rule(
        &["pttl", "pexpiretime"],
        Way::Within(10_000),
        "a relative expiry begins when a server runs the call",
    ),
    rule(
        &["object|idletime"],
        Way::Within(600),
        "seconds since the last access; Redis shares small numbers between keys, and so when one was used",
    ),
    rule(&["object|refcount"], Way::Shape, "Redis shares small numbers between keys"),
    rule(&["object|encoding"], Way::Words(&ENCODINGS), "7.2 chooses other encodings"),
    rule(
        &["dump"],
        Way::Shape,
        "orders in sets and compression differ; what it holds is compared by RESTORE",
    ),
    rule(&["xpending", "xinfo|consumers", "xinfo|groups", "xinfo|stream"], Way::Timeless, "tells idle times"),
    rule(&["xreadgroup", "xread", "xclaim", "xautoclaim"], Way::Timeless, "may tell idle times"),
];

/// A reply of 7.0.15 that 7.2.4 does not give, and the reason. Texts are beginnings of replies as the run prints them;
/// no name stands for any command.
struct Known {
    name: &'static str,
    tenon: &'static str,
    redis: &'static str,
    reason: &'static str,
}

const fn known(name: &'static str, tenon: &'static str, redis: &'static str, reason: &'static str) -> Known {
    Known { name, tenon, redis, reason }
}

const KNOWN: &[Known] = &[
    known("", "-ERR timeout is out of range", "-ERR timeout is negative", "7.0 takes too long for negative"),
    known(
        "xreadgroup",
        "-ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>'",
        "-ERR Unbalanced XREAD list of streams: for each stream key an ID or '$'",
        "7.2 names the command",
    ),
    known(
        "xread",
        "-ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$'",
        "-ERR Unbalanced XREAD list of streams: for each stream key an ID or '$'",
        "7.2 names the command",
    ),
    known(
        "xreadgroup",
        "-NOGROUP No such key '",
        "-UNBLOCKED the stream key no longer exists",
        "7.2 runs the call again when the key is gone",
    ),
    known(
        "xreadgroup",
        "-NOGROUP No such key '",
        "-NOGROUP the consumer group this client was blocked on no longer exists",
        "7.2 runs the call again when the group is gone",
    ),
    known(
        "xreadgroup",
        "-WRONGTYPE ",
        "-UNBLOCKED the stream key no longer exists",
        "7.2 runs the call again when the key is another",
    ),
    known(
        "pfdebug",
        "-INVALIDOBJ Corrupted HLL object detected",
        "\"",
        "Redis decodes what is no sketch as well, as far as it goes",
    ),
    known(
        "lpos",
        "-ERR value is out of range, value must between",
        "",
        "7.2 refuses a rank that has no opposite",
    ),
];

/// Every exception with its reason.
pub(super) fn exceptions() -> Vec<String> {
    let rules = RULES.iter().map(|rule| format!("{}: {:?}: {}", rule.names.join(" "), rule.way, rule.reason));
    let known = KNOWN.iter().map(|known| {
        let Known { name, tenon, redis, reason } = known;
        let name = if name.is_empty() { "any command" } else { name };
        format!("{name}: {tenon:?} for {redis:?}: {reason}")
    });
    rules.chain(known).collect()
}

/// Whether both replies to `call` are right if one of them is.
pub(super) fn agree(call: &Call, tenon: &Reply, redis: &Reply) -> bool {
    if tenon == redis || equal_as_numbers(tenon, redis) {
        return tenon == redis || has_doubles(&call.name);
    }
    if tenon.is_error() && redis.is_error() && tenon.text() == redis.text() {
        // An error quotes words that are no text with a mark in place of each wrong byte.
        return true;
    }
    is_known(&call.name, tenon, redis) || ways(&call.name).any(|way| holds(way, call, tenon, redis))
}

/// Whether commands of this name may reply with doubles: 7.2 spells the shortest text that reads back, 7.0 seventeen
/// digits.
fn has_doubles(name: &str) -> bool {
    name.starts_with('z') || name.starts_with("geo") || name.starts_with("bz") || ways(name).next().is_some()
}

fn ways(name: &str) -> impl Iterator<Item = Way> {
    RULES.iter().filter(move |rule| rule.names.contains(&name)).map(|rule| rule.way)
}

fn is_known(name: &str, tenon: &Reply, redis: &Reply) -> bool {
    KNOWN.iter().any(|known| {
        (known.name.is_empty() || known.name == name)
            && tenon.to_string().starts_with(known.tenon)
            && redis.to_string().starts_with(known.redis)
    })
}

fn holds(way: Way, call: &Call, tenon: &Reply, redis: &Reply) -> bool {
    match way {
        Way::Unordered(width) => tenon.sorted(width) == redis.sorted(width),
        Way::Shape => tenon.shape() == redis.shape(),
        Way::Within(tolerance) => equal_within(tenon, redis, tolerance),
        Way::Scan => scans_agree(call, tenon, redis),
        Way::Sort => sorts_agree(call, tenon, redis),
        Way::Timeless => without_times(tenon) == without_times(redis),
        Way::Words(pairs) => {
            pairs.iter().any(|[old, new]| redis.bytes() == old.as_bytes() && tenon.bytes() == new.as_bytes())
        }
    }
}

/// Both have a cursor and elements; where a scan from the beginning ended at once, the elements are all there are.
fn scans_agree(call: &Call, tenon: &Reply, redis: &Reply) -> bool {
    let ([cursor, found], [other, expected]) = (tenon.elements(), redis.elements()) else { return false };
    let is_first = call.words.iter().skip(1).take(2).any(|word| word == b"0");
    let is_whole = is_first && cursor.bytes() == b"0" && other.bytes() == b"0";
    let width = match call.name.as_str() {
        "hscan" | "zscan" => 2,
        _ => 1,
    };
    let (found, expected) = (found.sorted(width), expected.sorted(width));
    !is_whole || found == expected || equal_as_numbers(&found, &expected)
}

/// In any order if BY names no place for an element, or texts that may be missing and so be equal; a part of such an
/// order is any part.
fn sorts_agree(call: &Call, tenon: &Reply, redis: &Reply) -> bool {
    let words = || call.words.iter();
    let has = |token: &str| words().any(|word| word.eq_ignore_ascii_case(token.as_bytes()));
    let is_loose = words().zip(words().skip(1)).any(|(token, pattern)| {
        token.eq_ignore_ascii_case(b"BY") && (!pattern.contains(&b'*') || has("ALPHA"))
    });
    // C compares texts up to a zero byte.
    if has("ALPHA") && until_zero(tenon) == until_zero(redis) {
        return true;
    }
    let width = words().filter(|word| word.eq_ignore_ascii_case(b"GET")).count().max(1);
    is_loose
        && (tenon.sorted(width) == redis.sorted(width) || (has("LIMIT") && tenon.shape() == redis.shape()))
}

/// The texts of an array, each up to its first zero byte.
fn until_zero(reply: &Reply) -> Vec<&[u8]> {
    fn text(element: &Reply) -> &[u8] {
        element.bytes().split(|&byte| byte == 0).next().unwrap_or_default()
    }
    reply.elements().iter().map(text).collect()
}

/// Fields of XINFO that are times or came with 7.2, and how Redis stores a stream.
const LEFT_OUT: [&str; 6] =
    ["idle", "inactive", "seen-time", "active-time", "radix-tree-keys", "radix-tree-nodes"];

/// The reply without times since an event.
pub(super) fn without_times(reply: &Reply) -> Reply {
    let Reply::Many(kind, elements) = reply else { return reply.clone() };
    let is_id = |reply: &Reply| matches!(reply, Reply::Bulk(b'$', bytes) if bytes.contains(&b'-'));
    let is_number = |reply: &Reply| reply.integer().is_some();
    let none = || Reply::Line(b':', b"time".to_vec());
    match &elements[..] {
        // A pending entry: id, consumer, time, deliveries; or within a consumer: id, time, deliveries.
        [id, consumer, time, count] if is_id(id) && is_number(time) && is_number(count) => {
            Reply::Many(*kind, vec![id.clone(), consumer.clone(), none(), count.clone()])
        }
        [id, time, count] if is_id(id) && is_number(time) && is_number(count) => {
            Reply::Many(*kind, vec![id.clone(), none(), count.clone()])
        }
        _ => {
            let is_map = field(reply, "name").is_some() || field(reply, "length").is_some();
            let kept = |pair: &&[Reply]| !LEFT_OUT.iter().any(|name| pair[0].bytes() == name.as_bytes());
            let kept: Vec<Reply> = match is_map && elements.len() % 2 == 0 {
                true => elements.chunks_exact(2).filter(kept).flatten().map(without_times).collect(),
                false => elements.iter().map(without_times).collect(),
            };
            Reply::Many(*kind, kept)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::reply::parse;
    use super::*;

    fn call(text: &str) -> Call {
        let words: Vec<Vec<u8>> = text.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        Call {
            name: text.split(' ').next().unwrap_or_default().to_lowercase(),
            words,
            is_tied: false,
            is_waiting: false,
        }
    }

    #[test]
    fn commands_without_a_rule_are_compared_byte_for_byte() {
        let (long, short) = (parse("$19\r\n0.10000000000000001\r\n"), parse("$3\r\n0.1\r\n"));
        assert!(agree(&call("ZSCORE z m"), &short, &long) && !agree(&call("GET s"), &short, &long));
        let (ab, ba) = (parse("*2\r\n+a\r\n+b\r\n"), parse("*2\r\n+b\r\n+a\r\n"));
        assert!(agree(&call("SMEMBERS t"), &ab, &ba) && !agree(&call("LRANGE l 0 -1"), &ab, &ba));
    }

    #[test]
    fn what_chance_chose_keeps_its_shape() {
        let (a, b, both) =
            (parse("*1\r\n$1\r\na\r\n"), parse("*1\r\n$1\r\nb\r\n"), parse("*2\r\n+a\r\n+b\r\n"));
        assert!(agree(&call("SPOP t 1"), &a, &b) && !agree(&call("SPOP t 1"), &a, &both));
        assert!(!agree(&call("SPOP t"), &parse("-ERR a\r\n"), &parse("-ERR b\r\n")));
    }

    #[test]
    fn whole_scans_and_sorts_without_order_are_sets() {
        let scan = |cursor: &str, first: &str| parse(&format!("*2\r\n+{cursor}\r\n*2\r\n+{first}\r\n+z\r\n"));
        assert!(agree(&call("SCAN 0"), &scan("7", "a"), &scan("9", "b")));
        assert!(!agree(&call("SCAN 0"), &scan("0", "a"), &scan("0", "b")));
        let (ab, ba) = (parse("*2\r\n+a\r\n+b\r\n"), parse("*2\r\n+b\r\n+a\r\n"));
        assert!(agree(&call("SORT t BY nosort"), &ab, &ba) && !agree(&call("SORT t ALPHA"), &ab, &ba));
    }

    #[test]
    fn pending_entries_are_equal_without_their_times() {
        let entry = |idle: u32, count: u32| {
            parse(&format!("*1\r\n*4\r\n$3\r\n1-0\r\n$1\r\nc\r\n:{idle}\r\n:{count}\r\n"))
        };
        assert!(agree(&call("XPENDING x g - + 1"), &entry(5, 1), &entry(9, 1)));
        assert!(!agree(&call("XPENDING x g - + 1"), &entry(5, 1), &entry(5, 2)));
    }
}
