//! The golden rule on the real program: what a random history leaves is what its log, a rewritten log and a dump bring
//! back, on Tenon and, of the same files, on redis-server.
//! Not what one command propagates: that is tested beside it. Always: `TENON_SEED` repeats the history of an earlier run.

mod support;

use std::thread::sleep;
use std::time::{Duration, Instant};

use support::chance::Chance;
use support::client::Client;
use support::reply::Reply;
use support::server::{Program, Server, oracle};

const BATCHES: u64 = 60;
const BATCH: u64 = 100;
const REWRITTEN_WITHIN: Duration = Duration::from_secs(20);

const LOGGING: [&str; 6] = ["--appendonly", "yes", "--save", "", "--enable-debug-command", "yes"];
const DUMPING: [&str; 6] = ["--appendonly", "no", "--save", "", "--enable-debug-command", "yes"];

/// Requests; `;` stands between those that belong together. `$` and a letter stand for a word by chance: a key of
/// (s)trings, (b)itmaps, s(k)etches, (l)ists, (h)ashes, se(t)s, sorted sets (z), (g)eo or streams (x); a (m)ember; a
/// (n)umber from 0; one that may be negative (i); a half (f); a (v)alue; a time that is near (w) or far (e), or a far
/// moment (a); the (c)onsumer of a group (d); an id that there may be (q). Scores stay halves that have one spelling: a
/// digest mixes in their texts, which 7.0 and 7.2 make differently.
const REQUESTS: [&str; 118] = [
    "SET $s $v",
    "SET $s $n",
    "SET $s $v EX $e",
    "SET $s $v PX $w",
    "SET $s $v KEEPTTL",
    "SET $s $v GET NX",
    "SETEX $s $e $v",
    "PSETEX $s $w $v",
    "GETEX $s PX $e",
    "GETEX $s PX $w",
    "GETEX $s PERSIST",
    "GETDEL $s",
    "GETSET $s $v",
    "APPEND $s $v",
    "SETRANGE $s $n $m",
    "INCRBY $s $i",
    "INCRBYFLOAT $s $f",
    "MSET $s $v $s $n",
    "MSETNX $s $v $s $n",
    "SETBIT $b $n 1",
    "BITOP XOR $b $b $b",
    "BITFIELD $b SET u8 $n $n INCRBY i5 $n $i",
    "PFADD $k $m $m $m",
    "PFADD $k $v",
    "PFMERGE $k $k $k",
    "PFCOUNT $k",
    "RPUSH $l $m $n $v",
    "LPUSH $l $m",
    "LPUSHX $l $m $m",
    "LPOP $l $n",
    "RPOP $l",
    "LINSERT $l BEFORE $m $v",
    "LSET $l $i $v",
    "LREM $l $i $m",
    "LTRIM $l $n $i",
    "LMOVE $l $l LEFT RIGHT",
    "RPOPLPUSH $l $l",
    "LMPOP 2 $l $l LEFT COUNT 2",
    "BLPOP $l $l 0.001",
    "HSET $h $m $v $m $n",
    "HSETNX $h $m $v",
    "HINCRBY $h $n $i",
    "HINCRBYFLOAT $h $n $f",
    "HDEL $h $m $m",
    "SADD $t $m $n $n",
    "SADD $t $n",
    "SREM $t $m $n",
    "SPOP $t",
    "SPOP $t $n",
    "SMOVE $t $t $n",
    "SUNIONSTORE $t $t $t",
    "SINTERSTORE $t $t $t",
    "SDIFFSTORE $t $t $t",
    "ZADD $z $f $m $f $n",
    "ZADD $z GT CH $f $m",
    "ZADD $z INCR $f $m",
    "ZINCRBY $z $f $m",
    "ZREM $z $m $n",
    "ZPOPMIN $z",
    "ZPOPMAX $z 2",
    "ZMPOP 2 $z $z MIN COUNT 2",
    "ZREMRANGEBYSCORE $z $n $n",
    "ZREMRANGEBYRANK $z 0 1",
    "ZUNIONSTORE $z 2 $z $t WEIGHTS -1 3 AGGREGATE MAX",
    "ZINTERSTORE $z 2 $z $z AGGREGATE MIN",
    "ZDIFFSTORE $z 2 $z $z",
    "ZRANGESTORE $z $z 0 5",
    "BZPOPMIN $z 0.001",
    "GEOADD $g 13.4 52.5 $m 2.35 48.85 $n",
    "GEOSEARCHSTORE $g $g FROMLONLAT 13 50 BYRADIUS 600 km",
    "GEOSEARCHSTORE $g $g FROMLONLAT 13 50 BYBOX 900 900 km COUNT 2",
    "XADD $x * $m $v",
    "XADD $x * $m $v $m $n",
    "XADD $x MAXLEN 20 * f $n",
    "XADD $x MAXLEN ~ 10 * f $n",
    "XADD $x MINID ~ $q * f $n",
    "XADD $x NOMKSTREAM * f $v",
    "XDEL $x $q",
    "XTRIM $x MAXLEN $n",
    "XTRIM $x MAXLEN ~ $n LIMIT 10",
    "XSETID $x $q ENTRIESADDED 500 MAXDELETEDID 5-5",
    "XGROUP CREATE $x $d 0 MKSTREAM",
    "XGROUP CREATE $x $d $ ENTRIESREAD 3",
    "XGROUP SETID $x $d 0",
    "XGROUP CREATECONSUMER $x $d $c",
    "XGROUP DELCONSUMER $x $d $c",
    "XGROUP DESTROY $x $d",
    "XREADGROUP GROUP $d $c COUNT 5 STREAMS $x >",
    "XREADGROUP GROUP $d $c COUNT 2 NOACK STREAMS $x $x > >",
    "XREADGROUP GROUP $d $c STREAMS $x 0",
    "XACK $x $d $q $q",
    "XCLAIM $x $d $c 0 $q $q",
    "XCLAIM $x $d $c 0 $q FORCE JUSTID RETRYCOUNT 7",
    "XAUTOCLAIM $x $d $c 0 0 COUNT 3",
    "XAUTOCLAIM $x $d $c 0 $q COUNT 3 JUSTID",
    "EXPIRE $s $e",
    "PEXPIRE $h $w",
    "PEXPIRE $x $w",
    "EXPIREAT $z $a LT",
    "PEXPIREAT $l $a NX",
    "EXPIRE $t -1",
    "PERSIST $h",
    "RENAME $s $s",
    "RENAMENX $x $x",
    "COPY $z $z REPLACE",
    "COPY $x $x REPLACE",
    "MOVE $h 1",
    "SWAPDB 0 1",
    "DEL $l $h",
    "UNLINK $t $x",
    "SORT $t BY nosort STORE $l",
    "SORT $z ALPHA DESC STORE $l",
    "FLUSHDB ; SET $s $v ; RPUSH $l $m",
    "MULTI ; INCR $s ; SPOP $t ; XADD $x * f $n ; EXEC",
    "MULTI ; SET $s $v PX $w ; GET $s ; LMOVE $l $l RIGHT LEFT ; EXEC",
    "MULTI ; ZADD $z $f $m ; BZPOPMAX $z 0 ; XREADGROUP GROUP $d $c STREAMS $x > ; EXEC",
    "MULTI ; DEL $h ; DISCARD",
    "SELECT 1 ; XADD $x * f $v ; SADD $t $n ; HSET $h $m $v ; SELECT 0",
];

/// What another client waits for, so that a write of the history answers it.
const WAITS: [&str; 6] = [
    "BLPOP $l 0.005",
    "BLMOVE $l $l LEFT RIGHT 0.005",
    "BLMPOP 0.005 2 $l $l RIGHT COUNT 2",
    "BZPOPMIN $z $z 0.005",
    "BZMPOP 0.005 1 $z MAX",
    "XREADGROUP GROUP $d $c BLOCK 5 STREAMS $x >",
];

/// Fields that tell when somebody was there last, which logs do not hold, and how Redis stores a stream.
const LEFT_OUT: [&str; 4] = ["seen-time", "active-time", "radix-tree-keys", "radix-tree-nodes"];

#[test]
fn logs_and_dumps_bring_back_what_a_random_history_left() {
    let mut chance = Chance::announced("golden");
    let mut server = Server::tenon(&LOGGING);
    play(&server, &mut chance, &mut || {});
    let left = state(&server);
    server.restart();
    assert_eq!(left, state(&server), "kill -9 and a restart from the log");

    let mut asker = server.client();
    let mut batches = 0;
    play(&server, &mut chance, &mut || {
        batches += 1;
        if batches == BATCHES / 2 {
            asker.command(&["BGREWRITEAOF"]);
        }
    });
    wait_for_rewrite(&mut asker);
    let left = state(&server);
    server.restart();
    assert_eq!(left, state(&server), "a restart from a log that was rewritten under load");

    let saved = server.client().command(&["SAVE"]);
    assert_eq!(saved.to_string(), "OK");
    let directory = server.into_directory();
    let server = Server::start(Program::Tenon, &DUMPING, directory);
    assert_eq!(left, state(&server), "a restart from a dump");

    if oracle() {
        let server = Server::start(Program::Redis, &LOGGING, server.into_directory());
        assert_eq!(left, state(&server), "redis-server on the same log");
        let server = Server::start(Program::Redis, &DUMPING, server.into_directory());
        assert_eq!(left, state(&server), "redis-server on the same dump");
    }
}

/// Plays requests by chance, with another client that waits beside each batch of them.
fn play(server: &Server, chance: &mut Chance, between: &mut dyn FnMut()) {
    let (mut client, mut waiter) = (server.client(), server.client());
    for _ in 0..BATCHES {
        waiter.send(&words(WAITS[chance.below(WAITS.len() as u64) as usize], chance));
        let mut requests = Vec::new();
        for _ in 0..BATCH {
            let lines = REQUESTS[chance.below(REQUESTS.len() as u64) as usize].split(" ; ");
            requests.extend(lines.map(|line| words(line, chance)));
        }
        client.pipeline(&requests);
        waiter.receive().expect("an answer in time");
        between();
    }
}

fn words(line: &str, chance: &mut Chance) -> Vec<String> {
    line.split(' ').map(|word| filled(word, chance)).collect()
}

/// The word, or one by chance where it stands for one.
fn filled(word: &str, chance: &mut Chance) -> String {
    let mut below = |bound: u64| chance.below(bound);
    match word {
        "$m" => format!("m{}", below(12)),
        "$n" => below(40).to_string(),
        "$i" => format!("-{}", below(5)),
        "$f" => format!("{}.5", below(9)),
        "$v" => "value ".repeat(1 + below(60) as usize),
        "$w" => (1 + below(4)).to_string(),
        "$e" => (500_000 + below(500_000)).to_string(),
        "$a" => (4_102_444_800_000 + below(100_000)).to_string(),
        "$c" => format!("c{}", below(3)),
        "$d" => format!("d{}", below(2)),
        "$q" => format!("{}-{}", now_ms() - below(40), below(6)),
        _ => match word.strip_prefix('$').filter(|kind| kind.len() == 1) {
            Some(kind) => format!("{kind}{}", below(3)),
            None => word.to_owned(),
        },
    }
}

/// What XADD makes ids of.
fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("a clock after 1970").as_millis() as u64
}

/// Everything that the server holds, as text: digests, expiry times, streams with their groups.
fn state(server: &Server) -> Vec<String> {
    // What was to expire soon has done so, and is removed when a scan comes by.
    sleep(Duration::from_millis(20));
    let mut client = server.client();
    let mut lines = Vec::new();
    for database in ["0", "1"] {
        client.command(&["SELECT", database]);
        client.command(&["SCAN", "0", "COUNT", "100000"]);
        for key in client.command(&["KEYS", "*"]).sorted().elements() {
            let key = key.text();
            let mut ask = |words: &[&str]| told(&client.command(words));
            let value = ask(&["DEBUG", "DIGEST-VALUE", &key]);
            let expires = ask(&["PEXPIRETIME", &key]);
            let stream = match key.starts_with('x') {
                true => ask(&["XINFO", "STREAM", &key, "FULL", "COUNT", "0"]),
                false => String::new(),
            };
            lines.push(format!("{database} {key} {expires} {value} {stream}"));
        }
    }
    lines.push(told(&client.command(&["DEBUG", "DIGEST"])));
    lines
}

/// A reply as text, without what is left out.
fn told(reply: &Reply) -> String {
    let Reply::Array(elements) = reply else { return reply.to_string() };
    let mut texts = Vec::new();
    let mut elements = elements.iter();
    while let Some(element) = elements.next() {
        if matches!(element, Reply::Bulk(name) if LEFT_OUT.iter().any(|out| out.as_bytes() == name)) {
            elements.next();
        } else {
            texts.push(told(element));
        }
    }
    format!("[{}]", texts.join(" "))
}

fn wait_for_rewrite(client: &mut Client) {
    let until = Instant::now() + REWRITTEN_WITHIN;
    loop {
        let info = client.command(&["INFO", "persistence"]).text();
        let is_done =
            ["aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0", "aof_last_bgrewrite_status:ok"]
                .iter()
                .all(|line| info.contains(line));
        if is_done {
            return;
        }
        assert!(Instant::now() < until, "the log was not rewritten:\n{info}");
        sleep(Duration::from_millis(10));
    }
}
