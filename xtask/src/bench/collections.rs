//! Resident memory of many small collections of each type: ten members of ten bytes.
//! Each server is measured alone, and each type on a server of its own.

use std::io::{Read, Write};
use std::thread::sleep;
use std::time::Duration;

use super::figures::{Bar, Row, print_header};
use super::options::Options;
use super::process::resident_bytes;
use super::server::{Aof, Contender};
use super::wire::{Wire, connect, request};

const MEMBERS: u32 = 10;

/// A type: its name, the command that fills one, and what stands before each member.
const TYPES: [(&str, &str, Before); 5] = [
    ("hashes", "HSET", Before::Field),
    ("lists", "RPUSH", Before::Nothing),
    ("sets", "SADD", Before::Nothing),
    ("sorted sets", "ZADD", Before::Score),
    ("streams", "XADD", Before::Entry),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    /// A field's name of four bytes.
    Field,
    Score,
    /// Each member is an entry with an id of its own, and so a request of its own.
    Entry,
}

/// Prints one line for each type that the options want.
pub(super) fn run(options: &Options, contenders: &[Contender; 2]) -> Result<(), String> {
    print_header();
    let count = if options.memory_keys == 5_000_000 { 1_000_000 } else { options.memory_keys };
    for (name, command, before) in TYPES.into_iter().filter(|(name, ..)| options.wants(name)) {
        let mut figures = [0.0; 2];
        let mut missing = None;
        for (contender, figure) in contenders.iter().zip(&mut figures) {
            let server = contender.start(Aof::Off, None, &[])?;
            let pattern = command.to_lowercase();
            let listed = Wire::connect(server.port)?
                .elements(&["COMMAND", "LIST", "FILTERBY", "PATTERN", &pattern])?;
            if listed == 0 {
                missing = Some(contender.name);
                break;
            }
            let empty = resident_bytes(server.pid())?;
            fill(server.port, command, before, count)?;
            sleep(Duration::from_secs(1));
            let full = resident_bytes(server.pid())?;
            *figure = full.saturating_sub(empty) as f64 / f64::from(count);
        }
        if let Some(server) = missing {
            println!("left out: {name}: {server} has no {command}");
            continue;
        }
        let [tenon, redis] = figures;
        let note = format!("{count} of {MEMBERS} members of 10 bytes");
        let name = format!("memory per key, {name}");
        Row { name, unit: "bytes", tenon, redis, bar: Bar::RatioAtMost(0.9), note }.print();
    }
    Ok(())
}

fn fill(port: u16, command: &str, before: Before, count: u32) -> Result<(), String> {
    const BATCH: u32 = 200;
    let mut stream = connect(port)?;
    let mut next = 0;
    let mut replies = Vec::new();
    while next < count {
        let keys = next..count.min(next + BATCH);
        let (mut bytes, mut reply_bytes) = (Vec::new(), 0);
        for key in keys.clone() {
            for words in requests(command, before, key) {
                bytes.extend(request(&words.iter().map(String::as_str).collect::<Vec<_>>()));
                // ":10", or an id of three bytes.
                reply_bytes += if before == Before::Entry { "$3\r\n1-1\r\n".len() } else { ":10\r\n".len() };
            }
        }
        replies.resize(reply_bytes, 0);
        let exchange = stream.write_all(&bytes).and_then(|()| stream.read_exact(&mut replies));
        exchange.map_err(|error| format!("{command}: {error}"))?;
        if replies.contains(&b'-') && before != Before::Entry {
            return Err(format!("{command}: found {:?}", String::from_utf8_lossy(&replies)));
        }
        next = keys.end;
    }
    let size = Wire::connect(port)?.command(&["DBSIZE"])?;
    match size == count.to_string() {
        true => Ok(()),
        false => Err(format!("{command}: found {size} keys; expected {count}")),
    }
}

/// The requests that make one collection.
fn requests(command: &str, before: Before, key: u32) -> Vec<Vec<String>> {
    let start = || vec![command.to_owned(), format!("key:{key:012}")];
    let member = |number: u32| format!("{:010}", u64::from(key) * 10 + u64::from(number));
    if before == Before::Entry {
        let entry = |number| {
            let mut words = start();
            words.extend([format!("{number}-1"), "f".to_owned(), member(number)]);
            words
        };
        return (0..MEMBERS).map(entry).collect();
    }
    let mut words = start();
    for number in 0..MEMBERS {
        match before {
            Before::Field => words.push(format!("f{number:03}")),
            Before::Score => words.push(number.to_string()),
            Before::Nothing | Before::Entry => {}
        }
        // Numbers would be kept in fewer bytes than they have.
        words.push(member(number).replacen('0', "m", 1));
    }
    vec![words]
}
