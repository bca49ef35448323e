//! Data of every type in every encoding, and changes of every kind to it.
//! Always: the same in every run.

use std::time::Duration;

use super::reply::Reply;
use super::server::Server;

/// In the year 2100: no key may expire while a test runs.
const FAR_UNIX_MS: &str = "4102444800123";
const DATABASES: [&str; 3] = ["0", "3", "15"];

/// Fills several databases with every type in every encoding. `round` makes the keys differ.
pub(crate) fn fill(server: &Server, round: u32) {
    let mut client = server.client();
    let mut requests: Vec<Vec<String>> = Vec::new();
    for database in DATABASES {
        requests.push(words(&["SELECT", database]));
        fill_strings(&mut requests, round);
        fill_lists(&mut requests, round);
        fill_sets(&mut requests, round);
        fill_hashes(&mut requests, round);
        fill_sorted_sets(&mut requests, round);
        fill_streams(&mut requests, round);
        for kind in ["text", "raw", "list", "set", "hash", "zset", "zset-large"] {
            requests.push(words(&["COPY", &format!("{kind}:{round}"), &format!("{kind}-mortal:{round}")]));
            requests.push(words(&["PEXPIREAT", &format!("{kind}-mortal:{round}"), FAR_UNIX_MS]));
        }
    }
    for (request, reply) in requests.iter().zip(client.pipeline(&requests)) {
        assert!(!matches!(reply, Reply::Error(_)), "{request:?}: {reply}");
    }
    client.command(&[b"SET".as_slice(), b"binary\x00\xff\r\nkey", b"\x00\xfe\r\n\"value\""]);
    client.command(&["SET", "", "the empty key"]);
}

fn fill_strings(requests: &mut Vec<Vec<String>>, round: u32) {
    let integers = ["0", "-1", "127", "-129", "32768", "2147483648", "-9223372036854775808", "00", "1.5"];
    for (index, text) in integers.iter().enumerate() {
        requests.push(words(&["SET", &format!("integer{index}:{round}"), text]));
    }
    let texts = [
        ("empty", String::new()),
        ("text", "hello".to_owned()),
        ("raw", "x".repeat(100)),
        ("repeating", "abcdefgh".repeat(40_000)),
        ("random", noise(300_000)),
    ];
    for (name, text) in texts {
        requests.push(words(&["SET", &format!("{name}:{round}"), &text]));
    }
}

fn fill_lists(requests: &mut Vec<Vec<String>>, round: u32) {
    requests.push(words(&["RPUSH", &format!("list:{round}"), "a", "", "7", "-70000", "9223372036854775807"]));
    for number in 0..1500 {
        requests.push(words(&["RPUSH", &format!("list-large:{round}"), &format!("element {number}")]));
    }
    requests.push(words(&[
        "RPUSH",
        &format!("list-wide:{round}"),
        "a",
        &noise(20_000),
        &"b".repeat(70_000),
        "1",
    ]));
}

fn fill_sets(requests: &mut Vec<Vec<String>>, round: u32) {
    requests.push(words(&["SADD", &format!("set:{round}"), "a", "b", "", "17"]));
    requests.push(words(&["SADD", &format!("set-16:{round}"), "1", "-2", "300"]));
    requests.push(words(&["SADD", &format!("set-32:{round}"), "1", "70000"]));
    requests.push(words(&["SADD", &format!("set-64:{round}"), "1", "-5000000000"]));
    for number in 0..700 {
        requests.push(words(&["SADD", &format!("set-integers:{round}"), &number.to_string()]));
        requests.push(words(&["SADD", &format!("set-large:{round}"), &format!("member {number}")]));
    }
}

fn fill_hashes(requests: &mut Vec<Vec<String>>, round: u32) {
    requests.push(words(&["HSET", &format!("hash:{round}"), "a", "1", "b", "", "c", "text"]));
    requests.push(words(&["HSET", &format!("hash-wide:{round}"), "a", &noise(500), &noise(90), "1"]));
    for number in 0..700 {
        let field = format!("field {number}");
        requests.push(words(&["HSET", &format!("hash-large:{round}"), &field, &number.to_string()]));
    }
}

/// Scores that every version prints alike.
fn fill_sorted_sets(requests: &mut Vec<Vec<String>>, round: u32) {
    let small = ["1", "a", "-2", "b", "0.25", "c", "inf", "d", "-inf", "e", "1", "f"];
    requests.push([vec!["ZADD".to_owned(), format!("zset:{round}")], words(&small)].concat());
    for number in 0..500 {
        let score = format!("{}", f64::from(number - 250) / 4.0);
        requests.push(words(&["ZADD", &format!("zset-large:{round}"), &score, &format!("member {number}")]));
    }
    requests.push(words(&["ZADD", &format!("zset-wide:{round}"), "3", &noise(300)]));
}

/// Ids are given: those by the clock differ from run to run.
fn fill_streams(requests: &mut Vec<Vec<String>>, round: u32) {
    let name = format!("stream:{round}");
    for number in 1..=250 {
        let id = format!("{}-1", 1_000 + number);
        requests.push(words(&["XADD", &name, &id, "field", &format!("value {number}"), "n", "7"]));
    }
    requests.push(words(&["XDEL", &name, "1002-1", "1005-1"]));
    requests.push(words(&["XGROUP", "CREATE", &name, "group", "1010-1"]));
    requests.push(words(&["XGROUP", "CREATECONSUMER", &name, "group", "idle"]));
    requests.push(words(&["XREADGROUP", "GROUP", "group", "reader", "COUNT", "20", "STREAMS", &name, ">"]));
    requests.push(words(&["XACK", &name, "group", "1012-1", "1013-1"]));
}

/// Changes of every kind to what `fill` made in its first round.
pub(crate) fn change(server: &Server) {
    let mut client = server.client();
    let requests: &[&[&str]] = &[
        &["SELECT", "3"],
        &["APPEND", "text:1", " world"],
        &["INCRBY", "integer0:1", "41"],
        &["INCRBYFLOAT", "integer8:1", "0.25"],
        &["SETRANGE", "raw:1", "50", "middle"],
        &["GETDEL", "empty:1"],
        &["LPUSH", "list:1", "front"],
        &["LSET", "list-large:1", "700", "changed"],
        &["LREM", "list-large:1", "0", "element 3"],
        &["LTRIM", "list-large:1", "0", "1200"],
        &["LINSERT", "list:1", "BEFORE", "7", "six"],
        &["LMOVE", "list-large:1", "list:1", "RIGHT", "LEFT"],
        &["SREM", "set-integers:1", "5", "6"],
        &["SPOP", "set-large:1", "3"],
        &["SINTERSTORE", "set-common:1", "set-integers:1", "set:1"],
        &["HDEL", "hash-large:1", "field 1", "field 2"],
        &["HINCRBY", "hash:1", "a", "9"],
        &["ZREM", "zset-large:1", "member 1"],
        &["ZINCRBY", "zset:1", "2.5", "a"],
        &["ZPOPMIN", "zset-large:1", "4"],
        &["PERSIST", "text-mortal:1"],
        &["EXPIRE", "hash:1", "100000"],
        &["GETEX", "raw:1", "PX", "200000000"],
        &["SET", "short:1", "gone", "PX", "1"],
        &["XADD", "stream:1", "2000-1", "later", "1"],
        &["XTRIM", "stream:1", "MAXLEN", "150"],
        &["XACK", "stream:1", "group", "1014-1"],
        &["XGROUP", "CREATE", "stream:1", "second", "$"],
        &["RENAME", "zset-wide:1", "zset-renamed:1"],
        &["MOVE", "set-16:1", "9"],
        &["SWAPDB", "3", "4"],
        &["SELECT", "15"],
        &["DEL", "random:1", "list-wide:1"],
        &["UNLINK", "hash-large:1"],
    ];
    for request in requests {
        let reply = client.command(request);
        assert!(!matches!(reply, Reply::Error(_)), "{request:?}: {reply}");
    }
    std::thread::sleep(Duration::from_millis(5));
    client.command(&["SELECT", "4"]);
    assert_eq!(client.command(&["GET", "short:1"]), Reply::Nil);
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Text that does not compress, the same in every run.
fn noise(characters: usize) -> String {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let character = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + (state % 90) as u8)
    };
    (0..characters).map(character).collect()
}
