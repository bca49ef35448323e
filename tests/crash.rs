//! `kill -9` at random moments under fifty writers: every acknowledged write is there after the restart.
//! A process that dies proves nothing about fsync (the system's page cache survives): see `fsync_order`.
//! Always: each writer's data equal what some prefix of its requests makes, one that covers every acknowledged one.
//! `TENON_KILLS` (3) says how many kills a level gets, `TENON_SEED` repeats the choices of an earlier run.

#![allow(clippy::print_stderr, reason = "what was done is told on the terminal")]

mod support;

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;

use support::chance::Chance;
use support::client::{Client, encoded};
use support::reply::Reply;
use support::saves::save_and_rewrite;
use support::server::Server;
use support::tools;

const WRITERS: usize = 50;
const PIPELINE_MAX: u64 = 8;
/// Long values make a kill more likely to hit the middle of a write.
const PADDING_MAX: u64 = 400;
const LONG_PADDING_MAX: u64 = 60_000;
const LONG_ONE_IN: u64 = 200;

#[test]
fn nothing_acknowledged_is_lost_with_always() {
    kill_and_compare("always");
}

#[test]
fn nothing_acknowledged_is_lost_with_everysec() {
    kill_and_compare("everysec");
}

#[test]
fn nothing_acknowledged_is_lost_with_no() {
    kill_and_compare("no");
}

/// What one writer's keys hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Held {
    text: u64,
    counter: u64,
    list: Range<u64>,
    field: u64,
    pair: u64,
}

/// A write of one kind.
#[derive(Debug, Clone, Copy)]
enum Write {
    Text,
    Counter,
    Push,
    Pop,
    Field,
    /// Two keys by one command: both or neither.
    Pair,
}

const WRITES: [Write; 6] = [Write::Text, Write::Counter, Write::Push, Write::Pop, Write::Field, Write::Pair];

impl Held {
    fn apply(&mut self, write: Write) {
        match write {
            Write::Text => self.text += 1,
            Write::Counter => self.counter += 1,
            Write::Push => self.list.end += 1,
            Write::Pop if self.list.is_empty() => {}
            Write::Pop => self.list.start += 1,
            Write::Field => self.field += 1,
            Write::Pair => self.pair += 1,
        }
    }

    /// The request that makes the next `write` of a writer whose keys hold this.
    fn request(&self, writer: usize, write: Write, padding: u64) -> Vec<u8> {
        let key = |name: &str| format!("{writer}:{name}");
        let padded = |number: u64| format!("{number}:{}", "x".repeat(padding as usize));
        match write {
            Write::Text => encoded(&["SET", &key("text"), &padded(self.text + 1)]),
            Write::Counter => encoded(&["INCR", &key("counter")]),
            Write::Push => encoded(&["RPUSH", &key("list"), &self.list.end.to_string()]),
            Write::Pop => encoded(&["LPOP", &key("list")]),
            Write::Field => encoded(&["HSET", &key("hash"), "last", &padded(self.field + 1)]),
            Write::Pair => {
                let number = (self.pair + 1).to_string();
                encoded(&["MSET", &key("left"), &number, &key("right"), &number])
            }
        }
    }

    /// Reads what the server holds. An error says what cannot be the work of any prefix of requests.
    fn read(client: &mut Client, writer: usize) -> Result<Held, String> {
        let key = |name: &str| format!("{writer}:{name}");
        let text = leading_number(&client.command(&["GET", &key("text")]));
        let counter = leading_number(&client.command(&["GET", &key("counter")]));
        let field = leading_number(&client.command(&["HGET", &key("hash"), "last"]));
        let left = leading_number(&client.command(&["GET", &key("left")]));
        let right = leading_number(&client.command(&["GET", &key("right")]));
        if left != right {
            return Err(format!("MSET of both made left {left} and right {right}"));
        }
        let elements = client.command(&["LRANGE", &key("list"), "0", "-1"]);
        let numbers: Vec<u64> = elements.elements().iter().map(leading_number).collect();
        let list = match numbers.first() {
            None => 0..0,
            Some(first) => *first..first + numbers.len() as u64,
        };
        if !numbers.iter().copied().eq(list.clone()) {
            return Err(format!("the list has a gap: {numbers:?}"));
        }
        Ok(Held { text, counter, list, field, pair: left })
    }
}

/// The number before the padding; 0 for a missing key.
fn leading_number(reply: &Reply) -> u64 {
    if *reply == Reply::Nil {
        return 0;
    }
    let text = reply.text();
    let digits = text.split(':').next().expect("split gives at least one part");
    digits.parse().unwrap_or_else(|_| panic!("found {digits:?} as a number"))
}

/// One writer between two kills.
struct Writer {
    number: usize,
    /// What its keys hold if exactly the acknowledged requests took effect.
    acknowledged: Held,
    /// Sent, not acknowledged: any prefix of them may have taken effect.
    pending: Vec<Write>,
    acknowledged_count: usize,
}

impl Writer {
    /// Writes until the server is gone. An error reply is a failure.
    fn run(&mut self, port: u16, mut chance: Chance) -> Result<(), String> {
        let Ok(mut client) = Client::try_connect(port) else { return Ok(()) };
        loop {
            let mut bytes = Vec::new();
            let mut ahead = self.acknowledged.clone();
            for _ in 0..=chance.below(PIPELINE_MAX) {
                let write = WRITES[chance.below(WRITES.len() as u64) as usize];
                let longest = if chance.below(LONG_ONE_IN) == 0 { LONG_PADDING_MAX } else { PADDING_MAX };
                bytes.extend(ahead.request(self.number, write, chance.below(longest)));
                ahead.apply(write);
                self.pending.push(write);
            }
            if client.send_bytes(&bytes).is_err() {
                return Ok(());
            }
            while !self.pending.is_empty() {
                match client.receive() {
                    Err(_) => return Ok(()),
                    Ok(Reply::Error(text)) => return Err(format!("writer {}: {text}", self.number)),
                    Ok(_) => self.acknowledged.apply(self.pending.remove(0)),
                }
                self.acknowledged_count += 1;
            }
        }
    }

    /// Compares with what the restarted server holds, and goes on from there.
    fn settle(&mut self, client: &mut Client) -> Result<(), String> {
        let told = |what: &dyn fmt::Display| format!("writer {}: {what}", self.number);
        let mut possible = vec![self.acknowledged.clone()];
        for write in &self.pending {
            let mut next = possible.last().expect("starts with one").clone();
            next.apply(*write);
            possible.push(next);
        }
        let found = Held::read(client, self.number).map_err(|error| told(&error))?;
        // An empty list does not tell how many elements it once had.
        let same = |held: &&Held| {
            let lists_agree = held.list == found.list || (held.list.is_empty() && found.list.is_empty());
            lists_agree && Held { list: found.list.clone(), ..(*held).clone() } == found
        };
        let Some(matching) = possible.iter().find(same) else {
            return Err(told(&format!("found {found:?}; acknowledged {:?}", self.acknowledged)));
        };
        self.acknowledged = matching.clone();
        self.pending.clear();
        Ok(())
    }
}

fn kill_and_compare(level: &str) {
    let kills: usize = std::env::var("TENON_KILLS").map_or(3, |text| {
        text.parse().unwrap_or_else(|_| panic!("TENON_KILLS: found {text:?}, expected a whole number"))
    });
    let mut chance = Chance::announced(&format!("appendfsync {level}, {kills} kills"));
    let mut server = Server::tenon(&["--appendonly", "yes", "--appendfsync", level, "--save", ""]);
    let writer =
        |number| Writer { number, acknowledged: Held::default(), pending: Vec::new(), acknowledged_count: 0 };
    let mut writers: Vec<Writer> = (0..WRITERS).map(writer).collect();
    for kill in 1..=kills {
        write_until_killed(&mut server, &mut writers, &mut chance);
        server.restart();
        let mut client = server.client();
        let lost: Vec<String> =
            writers.iter_mut().filter_map(|writer| writer.settle(&mut client).err()).collect();
        assert!(lost.is_empty(), "after kill {kill} with appendfsync {level}:\n{}", lost.join("\n"));
    }
    let acknowledged: usize = writers.iter().map(|writer| writer.acknowledged_count).sum();
    let count = format!("{kills} kills, {acknowledged} writes acknowledged");
    tools::tell(&format!("appendfsync {level}: {count}, none lost"));
    assert!(acknowledged > kills * WRITERS, "only {acknowledged} writes were acknowledged");
}

/// Lets all write, with saves and rewrites beside them, and kills the server after a while.
fn write_until_killed(server: &mut Server, writers: &mut [Writer], chance: &mut Chance) {
    let port = server.port();
    let patience = Duration::from_millis(200 + chance.below(1300));
    let is_over = AtomicBool::new(false);
    let failures: Vec<String> = scope(|threads| {
        let running: Vec<_> = writers
            .iter_mut()
            .map(|writer| {
                let own = chance.branch(writer.number as u64);
                threads.spawn(move || writer.run(port, own))
            })
            .collect();
        let own = chance.branch(WRITERS as u64);
        threads.spawn(|| save_and_rewrite(port, own, &is_over));
        sleep(patience);
        server.kill9();
        is_over.store(true, Ordering::Relaxed);
        running.into_iter().filter_map(|thread| thread.join().expect("no panic").err()).collect()
    });
    assert!(failures.is_empty(), "writes were refused:\n{}", failures.join("\n"));
}
