//! `--replicas`: random commands to one server, which others follow, directly or one behind the other, over links that
//! are cut again and again. Tenon leads, follows, and stands between two redis-servers.
//! Always: once the stream has come to its end all hold the same keys, values, expiry times, streams with their groups,
//! consumers and pending entries, and the first snapshot of each link was the only one.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::chance::Chance;
use super::generate::{Call, Generator};
use super::grammar::Command;
use super::pair::{Line, Pair, Words, shown};
use super::reply::Reply;
use super::state::{DATABASES, Difference, compare_calls, details};
use crate::bench::server::{Aof, Contender, Server};

/// Calls between two times that the servers are compared.
const EPOCH: usize = 2_000;
/// Calls that are sent at once, at most, and how many percent of such groups a link is cut behind.
const GROUP_MAX: usize = 60;
const CUT: usize = 8;
/// How often is looked whether followers have everything, and how long is waited between two looks. Looks are counted,
/// not time: a machine that stands still for a minute is no fault of theirs.
const LOOKS: usize = 3_000;
const LOOK: Duration = Duration::from_millis(10);

/// A cut link is to cost no snapshot.
const ARGUMENTS: [&str; 8] = [
    "--enable-debug-command",
    "yes",
    "--proto-max-bulk-len",
    "1mb",
    "--repl-diskless-sync-delay",
    "0",
    "--repl-backlog-size",
    "64mb",
];

/// What is not asked because of that, and why.
pub(super) const REASONS: [(&str, &str); 2] = [
    (
        "bitfield setbit",
        "not where a Valkey leads or follows: 8.0.0 leaves the last two bytes of some new strings as memory had them",
    ),
    (
        "bitfield",
        "no OVERFLOW FAIL where a Redis leads: it does not tell of a string that was made longer for numbers that did not fit",
    ),
];

/// Who follows whom, as places in the pair of contenders: the first leads, each other follows the one before it.
const ORDERS: [&[usize]; 4] = [&[0, 1], &[1, 0], &[1, 0, 1], &[0, 0, 1]];

/// How much is played in each order.
#[derive(Debug, Clone, Copy)]
pub(super) enum Length {
    Commands(usize),
    For(Duration),
}

/// Plays as much in every order.
pub(super) fn run(
    contenders: &[Contender; 2],
    commands: &[Command],
    payloads: &[Vec<u8>],
    seed: u64,
    length: Length,
    only_epoch: Option<usize>,
) -> Result<(), String> {
    let commands: Vec<Command> = commands.iter().filter(|command| !command.may_block).cloned().collect();
    println!("{length:?} in each order from seed {seed}, of {} kinds", commands.len());
    for order in ORDERS {
        let mut chain = Chain::start(contenders, order)?;
        let mut generator = Generator::new(&commands, payloads, seed);
        let mut chance = Chance::new(!seed);
        let (mut cuts, mut done, began) = (0, 0, Instant::now());
        for epoch in 0.. {
            let is_over = match length {
                Length::Commands(count) => done >= count,
                Length::For(time) => began.elapsed() >= time,
            };
            if is_over {
                break;
            }
            let mut calls = Vec::new();
            while calls.len() < EPOCH {
                generator.next(&mut calls);
            }
            calls.retain(|call| {
                !call.is_waiting
                    && (order[0] == 0 || is_told_by_redis(call))
                    && (!chain.has_valkey || !["bitfield", "setbit"].contains(&call.name.as_str()))
            });
            done += calls.len();
            if only_epoch.is_some_and(|only| only != epoch) {
                continue;
            }
            cuts += chain.play(&calls, &mut chance)?;
            chain.settle()?;
            if let Some(found) = chain.difference()? {
                let [tenon, redis] = &found.replies;
                println!("{}\n  Tenon {tenon}\n  Redis {redis}", shown(&found.question));
                chain.show_value(&found.question, &calls)?;
                return Err(format!("{}: a difference in epoch {epoch} of --seed {seed}", chain.name));
            }
            chain.lead.ask(&["FLUSHALL"])?;
        }
        let seconds = began.elapsed().as_secs();
        println!("{}: {done} commands, {cuts} cuts, {seconds} s, no difference", chain.name);
        println!(
            "  compared after each {EPOCH}: keys, types, values, expiry times, streams with groups, consumers, pending"
        );
        let counts = chain.counts()?;
        for (link, [full, partial]) in counts.iter().enumerate() {
            let unneeded = full.saturating_sub(1);
            println!(
                "  link {}: {partial} partial synchronizations, {unneeded} full ones beside the first",
                link + 1
            );
        }
        if counts.iter().any(|[full, _]| *full != 1) {
            return Err("a link that was cut needed a snapshot".to_owned());
        }
    }
    Ok(())
}

/// A server, and others that follow one behind the other.
struct Chain {
    /// Dropped last: they end with it.
    _servers: Vec<Server>,
    /// `Redis > Tenon`: the first leads.
    name: String,
    lead: Line,
    /// Connections that are in no transaction.
    aside: Vec<Line>,
    has_valkey: bool,
    /// The leader and each follower. Where both are of one kind, the follower is in Tenon's place.
    pairs: Vec<Pair>,
}

impl Chain {
    fn start(contenders: &[Contender; 2], order: &[usize]) -> Result<Chain, String> {
        let start = |&kind: &usize| contenders[kind].start(Aof::Off, None, &ARGUMENTS);
        let servers = order.iter().map(start).collect::<Result<Vec<Server>, String>>()?;
        let connect = |at: usize| Line::connect(servers[at].name, servers[at].port);
        let mut pairs = Vec::new();
        for at in 1..servers.len() {
            let (leader, follower) = (connect(0)?, connect(at)?);
            let is_led_by_tenon = order[0] == 0 && order[at] == 1;
            let (tenon, redis) = if is_led_by_tenon { (leader, follower) } else { (follower, leader) };
            pairs.push(Pair { tenon, redis });
        }
        let aside = (0..servers.len()).map(connect).collect::<Result<Vec<Line>, String>>()?;
        let names: Vec<&str> = servers.iter().map(|server| server.name).collect();
        let ports: Vec<String> = servers.iter().map(|server| server.port.to_string()).collect();
        let (name, lead) = (names.join(" > "), connect(0)?);
        let mut chain = Chain { _servers: servers, name, lead, aside, has_valkey: false, pairs };
        for line in &mut chain.aside {
            chain.has_valkey |= field(&information(line, "server")?, "server_name") == "valkey";
        }
        for at in 1..ports.len() {
            chain.aside[at].ask(&["REPLICAOF", "127.0.0.1", &ports[at - 1]])?;
            // Who has no link to its own primary refuses replicas, and they would ask again.
            chain.settle_until(at)?;
        }
        Ok(chain)
    }

    /// Sends calls in groups, and cuts a link behind some, from either end. Returns how often.
    fn play(&mut self, calls: &[Call], chance: &mut Chance) -> Result<usize, String> {
        let (mut cuts, mut rest) = (0, calls);
        while !rest.is_empty() {
            let (group, behind) = rest.split_at((1 + chance.below(GROUP_MAX)).min(rest.len()));
            let requests: Vec<Words> = group.iter().map(|call| call.words.clone()).collect();
            self.lead.exchange(&requests)?;
            rest = behind;
            if chance.percent(CUT) {
                let (link, end) = (chance.below(self.aside.len() - 1), chance.below(2));
                let whose = ["replica", "master"][end];
                self.aside[link + end].ask(&["CLIENT", "KILL", "TYPE", whose])?;
                cuts += 1;
            }
        }
        // What is left of a transaction, if there is one.
        self.lead.exchange(&[vec![b"DISCARD".to_vec()]])?;
        self.lead.ask(&["SELECT", "0"])?;
        Ok(cuts)
    }

    /// Waits until all followers have run everything.
    fn settle(&mut self) -> Result<(), String> {
        self.settle_until(self.aside.len() - 1)
    }

    /// The same of those up to a place.
    fn settle_until(&mut self, last: usize) -> Result<(), String> {
        for look in 0.. {
            let told = self.aside[..=last].iter_mut().map(|line| information(line, "replication"));
            let told = told.collect::<Result<Vec<String>, String>>()?;
            let end = field(&told[0], "master_repl_offset");
            let has_all = |text: &String| {
                field(text, "master_link_status") == "up" && field(text, "slave_repl_offset") == end
            };
            if told[1..].iter().all(has_all) {
                return Ok(());
            }
            if look == LOOKS {
                return Err(format!("{}: it does not catch up:\n{}", self.name, told.join("\n")));
            }
            sleep(LOOK);
        }
        Ok(())
    }

    /// What is behind a digest that differs, and the calls that name the key.
    fn show_value(&mut self, question: &Words, calls: &[Call]) -> Result<(), String> {
        let [_, digest, key] = &question[..] else { return Ok(()) };
        if digest != b"DIGEST-VALUE" {
            return Ok(());
        }
        for call in calls.iter().filter(|call| call.words.contains(key) || call.name == "select") {
            println!("  > {}", shown(&call.words));
        }
        for pair in &mut self.pairs {
            for database in DATABASES {
                pair.ask(&[b"SELECT", database.as_bytes()])?;
                let [kind, _] = pair.ask(&[b"TYPE", key])?;
                let words: &[&[u8]] = match kind.bytes() {
                    b"list" => &[b"LRANGE", key, b"0", b"-1"],
                    b"hash" => &[b"HGETALL", key],
                    b"set" => &[b"SMEMBERS", key],
                    b"string" => &[b"GET", key],
                    _ => continue,
                };
                let [tenon, redis] = pair.ask(words)?;
                println!("database {database}\n  Tenon {tenon}\n  Redis {redis}");
            }
        }
        Ok(())
    }

    /// Full and partial synchronizations, link by link.
    fn counts(&mut self) -> Result<Vec<[u64; 2]>, String> {
        let primaries = self.aside.len() - 1;
        let counted = self.aside[..primaries].iter_mut().map(|line| {
            let text = information(line, "stats")?;
            Ok(["sync_full", "sync_partial_ok"].map(|name| field(&text, name).parse().unwrap_or(0)))
        });
        counted.collect()
    }

    /// The first difference, if there is one after a while: a key may expire between two questions.
    fn difference(&mut self) -> Result<Option<Difference>, String> {
        const ATTEMPTS: usize = 20;
        let mut found = None;
        for pair in &mut self.pairs {
            for attempt in 0..ATTEMPTS {
                if attempt > 0 {
                    sleep(Duration::from_millis(50));
                }
                found = compare(pair)?;
                if found.is_none() {
                    break;
                }
            }
            if found.is_some() {
                break;
            }
        }
        Ok(found)
    }
}

fn information(line: &mut Line, section: &str) -> Result<String, String> {
    Ok(line.ask(&["INFO", section])?.text())
}

fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let mut lines = text.lines().filter_map(|line| line.trim().split_once(':'));
    lines.find(|(found, _)| *found == name).map_or("", |(_, value)| value)
}

fn compare(pair: &mut Pair) -> Result<Option<Difference>, String> {
    for database in DATABASES {
        pair.ask(&[b"SELECT", database.as_bytes()])?;
        let [tenon, redis] = pair.ask(&[b"KEYS", b"*"])?;
        let keys = [tenon.sorted(1), redis.sorted(1)];
        if keys[0] != keys[1] {
            return Ok(Some(Difference { question: vec![b"KEYS".to_vec()], replies: keys }));
        }
        let mut calls = Vec::new();
        for key in keys[0].elements() {
            let [kind, _] = pair.ask(&[b"TYPE", key.bytes()])?;
            calls.push(call("pexpiretime", &[b"PEXPIRETIME", key.bytes()]));
            calls.push(call("type", &[b"TYPE", key.bytes()]));
            if kind.bytes() != b"stream" {
                calls.push(details(key.bytes(), kind.bytes()));
                continue;
            }
            calls.push(call("xrange", &[b"XRANGE", key.bytes(), b"-", b"+"]));
            let question: [&[u8]; 5] = [b"XINFO", b"STREAM", key.bytes(), b"FULL", b"COUNT"];
            let question = [&question[..], &[b"0"]].concat();
            let replies = pair.ask(&question)?.map(|reply| without_untold(&reply));
            if replies[0] != replies[1] {
                let question = question.iter().map(|word| word.to_vec()).collect();
                return Ok(Some(Difference { question, replies }));
            }
        }
        if let Some(found) = compare_calls(pair, &calls)? {
            return Ok(Some(found));
        }
    }
    pair.ask(&[b"SELECT", b"0"])?;
    Ok(None)
}

/// Whether Redis tells its replicas of all that this call does.
fn is_told_by_redis(call: &Call) -> bool {
    call.name != "bitfield" || !call.words.iter().any(|word| word.eq_ignore_ascii_case(b"fail"))
}

/// What is told of a stream, without what a primary does not tell its replicas: when a consumer was seen, how much a
/// group of Redis has read, and how a stream is kept.
fn without_untold(reply: &Reply) -> Reply {
    const UNTOLD: [&[u8]; 6] =
        [b"seen-time", b"active-time", b"entries-read", b"lag", b"radix-tree-keys", b"radix-tree-nodes"];
    let Reply::Many(kind, elements) = reply else { return reply.clone() };
    let (mut kept, mut rest) = (Vec::new(), elements.iter());
    while let Some(element) = rest.next() {
        if UNTOLD.contains(&element.bytes()) {
            rest.next();
        } else {
            kept.push(without_untold(element));
        }
    }
    Reply::Many(*kind, kept)
}

fn call(name: &str, words: &[&[u8]]) -> Call {
    let words = words.iter().map(|word| word.to_vec()).collect();
    Call { name: name.to_owned(), words, is_tied: false, is_waiting: false }
}
