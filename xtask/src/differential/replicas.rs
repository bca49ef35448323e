//! `--replicas`: random commands to one server, which the other follows over a link that is cut again and again. Tenon
//! leads first, then redis-server.
//! Always: once the stream has come to its end both hold the same keys, values, expiry times and pending entries, and
//! the first snapshot was the only one.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::chance::Chance;
use super::generate::{Call, Generator};
use super::grammar::Command;
use super::pair::{Line, Pair, Words, shown};
use super::state::{DATABASES, Difference, compare_calls, details};
use crate::bench::server::{Aof, Contender, Server};

/// Calls between two times that the servers are compared.
const EPOCH: usize = 2_000;
/// Calls that are sent at once, at most, and how many percent of such groups a link is cut behind.
const GROUP_MAX: usize = 60;
const CUT: usize = 8;
const PATIENCE: Duration = Duration::from_secs(30);

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

/// Plays as many commands each way.
pub(super) fn run(
    contenders: &[Contender; 2],
    commands: &[Command],
    payloads: &[Vec<u8>],
    seed: u64,
    count: usize,
) -> Result<(), String> {
    let commands: Vec<Command> = commands.iter().filter(|command| !command.may_block).cloned().collect();
    println!("{count} commands each way from seed {seed}, of {} kinds", commands.len());
    for primary in 0..contenders.len() {
        let mut couple = Couple::start(contenders, primary)?;
        let mut generator = Generator::new(&commands, payloads, seed);
        let mut chance = Chance::new(!seed);
        let mut cuts = 0;
        for epoch in 0..count.div_ceil(EPOCH) {
            let mut calls = Vec::new();
            while calls.len() < EPOCH {
                generator.next(&mut calls);
            }
            calls.retain(|call| !call.is_waiting);
            cuts += couple.play(&calls, &mut chance)?;
            couple.settle()?;
            if let Some(found) = couple.difference()? {
                let [tenon, redis] = &found.replies;
                println!("{}\n  Tenon {tenon}\n  Redis {redis}", shown(&found.question));
                return Err(format!(
                    "{}: a difference in epoch {epoch} of --seed {seed}",
                    couple.direction()
                ));
            }
            couple.primary().ask(&["FLUSHALL"])?;
        }
        let counts = couple.counts()?;
        println!("{}: {count} commands, {cuts} cuts, {}: no difference", couple.direction(), counts);
        if !counts.starts_with("1 full") {
            return Err("a link that was cut needed a snapshot".to_owned());
        }
    }
    Ok(())
}

/// A server and one that follows it.
struct Couple {
    /// Dropped last: they end with it.
    _servers: [Server; 2],
    pair: Pair,
    /// Connections that are in no transaction.
    aside: Pair,
    tenon_leads: bool,
}

impl Couple {
    fn start(contenders: &[Contender; 2], primary: usize) -> Result<Couple, String> {
        let [tenon, redis] = contenders;
        let servers = [tenon.start(Aof::Off, None, &ARGUMENTS)?, redis.start(Aof::Off, None, &ARGUMENTS)?];
        let connect = || -> Result<Pair, String> {
            let tenon = Line::connect("Tenon", servers[0].port)?;
            Ok(Pair { tenon, redis: Line::connect("Redis", servers[1].port)? })
        };
        let (pair, aside) = (connect()?, connect()?);
        let port = servers[primary].port.to_string();
        let mut couple = Couple { _servers: servers, pair, aside, tenon_leads: primary == 0 };
        let [_, follower] = couple.lines_aside();
        follower.ask(&["REPLICAOF", "127.0.0.1", &port])?;
        couple.settle()?;
        Ok(couple)
    }

    fn direction(&self) -> &'static str {
        if self.tenon_leads { "Redis follows Tenon" } else { "Tenon follows Redis" }
    }

    fn primary(&mut self) -> &mut Line {
        if self.tenon_leads { &mut self.pair.tenon } else { &mut self.pair.redis }
    }

    /// The primary and the follower.
    fn lines_aside(&mut self) -> [&mut Line; 2] {
        let Pair { tenon, redis } = &mut self.aside;
        if self.tenon_leads { [tenon, redis] } else { [redis, tenon] }
    }

    /// Sends calls in groups, and cuts the link behind some, from either end. Returns how often.
    fn play(&mut self, calls: &[Call], chance: &mut Chance) -> Result<usize, String> {
        let (mut cuts, mut rest) = (0, calls);
        while !rest.is_empty() {
            let (group, behind) = rest.split_at((1 + chance.below(GROUP_MAX)).min(rest.len()));
            let requests: Vec<Words> = group.iter().map(|call| call.words.clone()).collect();
            self.primary().exchange(&requests)?;
            rest = behind;
            if chance.percent(CUT) {
                let end = chance.below(2);
                let whose = ["replica", "master"][end];
                self.lines_aside()[end].ask(&["CLIENT", "KILL", "TYPE", whose])?;
                cuts += 1;
            }
        }
        // What is left of a transaction, if there is one.
        self.primary().exchange(&[vec![b"DISCARD".to_vec()]])?;
        self.primary().ask(&["SELECT", "0"])?;
        Ok(cuts)
    }

    /// Waits until the follower has run everything.
    fn settle(&mut self) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        let direction = self.direction();
        loop {
            let [primary, follower] = self.lines_aside();
            let ours = information(primary, "replication")?;
            let theirs = information(follower, "replication")?;
            if field(&theirs, "master_link_status") == "up"
                && field(&ours, "master_repl_offset") == field(&theirs, "slave_repl_offset")
            {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(format!("{direction}: it does not catch up:\n{ours}\n{theirs}"));
            }
            sleep(Duration::from_millis(10));
        }
    }

    fn counts(&mut self) -> Result<String, String> {
        let [primary, _] = self.lines_aside();
        let text = information(primary, "stats")?;
        Ok(format!("{} full and {} partial", field(&text, "sync_full"), field(&text, "sync_partial_ok")))
    }

    /// The first difference, if there is one after a while: a key may expire between two questions.
    fn difference(&mut self) -> Result<Option<Difference>, String> {
        const ATTEMPTS: usize = 20;
        for _ in 1..ATTEMPTS {
            if compare(&mut self.aside)?.is_none() {
                return Ok(None);
            }
            sleep(Duration::from_millis(50));
        }
        compare(&mut self.aside)
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
            // What a group has read, and when it was seen, a primary does not tell in full.
            calls.push(call("xrange", &[b"XRANGE", key.bytes(), b"-", b"+"]));
            let [groups, _] = pair.ask(&[b"XINFO", b"GROUPS", key.bytes()])?;
            for group in groups.elements() {
                let name = group.elements().get(1).map(|name| name.bytes().to_vec()).unwrap_or_default();
                calls.push(call("xpending", &[b"XPENDING", key.bytes(), &name]));
            }
        }
        if let Some(found) = compare_calls(pair, &calls)? {
            return Ok(Some(found));
        }
    }
    pair.ask(&[b"SELECT", b"0"])?;
    Ok(None)
}

fn call(name: &str, words: &[&[u8]]) -> Call {
    let words = words.iter().map(|word| word.to_vec()).collect();
    Call { name: name.to_owned(), words, is_tied: false, is_waiting: false }
}
