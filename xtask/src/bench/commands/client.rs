//! The client of the bench of commands: batches that were made before the clock runs, replies that are skipped by their lengths.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::cases::{Case, Times};
use super::spelt;
use crate::bench::load::Saturate;
use crate::bench::wire::{Dice, connect};

/// Batches with other keys and members each, from which every connection draws.
const BATCHES: usize = 128;
const READ_BYTES: usize = 1 << 16;

/// The requests of a case, as bytes.
pub(super) struct Batches {
    all: Vec<Vec<u8>>,
    pipeline: usize,
}

impl Batches {
    pub(super) fn new(case: &Case, large: u32, pipeline: usize) -> Batches {
        let mut dice = Dice::new(1);
        let batch = |_| {
            let mut bytes = Vec::new();
            let turns = pipeline.div_ceil(case.requests.len());
            for _ in 0..turns {
                // Requests that belong together name the same key and member.
                let (key, number) = (dice.below(case.size.keys()), dice.below(case.size.members(large)));
                case.requests.iter().for_each(|text| bytes.extend(spelt(text, key, number)));
            }
            bytes
        };
        let all = (0..BATCHES).map(batch).collect();
        Batches { all, pipeline: pipeline.div_ceil(case.requests.len()) * case.requests.len() }
    }
}

/// Makes the keys of a case.
pub(super) fn fill(port: u16, case: &Case, large: u32) -> Result<(), String> {
    const BATCH: usize = 500;
    let mut line = Line::new(connect(port)?);
    let (mut bytes, mut count) = (Vec::new(), 0);
    for key in 0..case.size.keys() {
        for (times, text) in case.fill {
            let times = if *times == Times::Once { 1 } else { case.size.members(large) };
            for number in 0..times {
                // Ids of streams begin behind 0-0.
                bytes.extend(spelt(text, key, number));
                count += 1;
                if count == BATCH {
                    line.exchange(&bytes, count)?;
                    (bytes, count) = (Vec::new(), 0);
                }
            }
        }
    }
    line.exchange(&bytes, count)
}

/// One thread's connections.
pub(super) struct Client<'a> {
    lines: Vec<Line>,
    batches: &'a Batches,
    dice: Dice,
}

impl<'a> Client<'a> {
    pub(super) fn new(
        port: u16,
        batches: &'a Batches,
        connections: usize,
        seed: u64,
    ) -> Result<Client<'a>, String> {
        let lines: Result<Vec<Line>, String> =
            (0..connections).map(|_| Ok(Line::new(connect(port)?))).collect();
        Ok(Client { lines: lines?, batches, dice: Dice::new(seed + 2) })
    }
}

impl Saturate for Client<'_> {
    fn connections(&self) -> usize {
        self.lines.len()
    }

    fn pipeline(&self) -> usize {
        self.batches.pipeline
    }

    fn ask(&mut self, index: usize) -> Result<(), String> {
        let batch = &self.batches.all[self.dice.below(self.batches.all.len() as u32) as usize];
        self.lines[index].stream.write_all(batch).map_err(|error| format!("client: {error}"))
    }

    fn hear(&mut self, index: usize) -> Result<(), String> {
        self.lines[index].skip(self.batches.pipeline)
    }
}

/// A connection and what of its replies was read but not yet skipped.
struct Line {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Line {
    fn new(stream: TcpStream) -> Line {
        Line { stream, buffer: Vec::new() }
    }

    fn exchange(&mut self, bytes: &[u8], replies: usize) -> Result<(), String> {
        self.stream.write_all(bytes).map_err(|error| format!("client: {error}"))?;
        self.skip(replies)
    }

    /// Reads as many replies and forgets them.
    fn skip(&mut self, replies: usize) -> Result<(), String> {
        let mut at = 0;
        let mut left = replies;
        while left > 0 {
            let Some((skipped, more)) = skip_one(&self.buffer[at..])? else {
                self.buffer.drain(..at);
                at = 0;
                self.read()?;
                continue;
            };
            at += skipped;
            left = left - 1 + more;
        }
        self.buffer.drain(..at);
        Ok(())
    }

    fn read(&mut self) -> Result<(), String> {
        let length = self.buffer.len();
        self.buffer.resize(length + READ_BYTES, 0);
        let read =
            self.stream.read(&mut self.buffer[length..]).map_err(|error| format!("client: {error}"))?;
        self.buffer.truncate(length + read);
        match read {
            0 => Err("client: the connection was closed".to_owned()),
            _ => Ok(()),
        }
    }
}

/// The length of the reply at the beginning, elements not counted, and the number of these; `None` if it is not whole.
fn skip_one(bytes: &[u8]) -> Result<Option<(usize, usize)>, String> {
    let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else { return Ok(None) };
    let line = &bytes[..end];
    let number = || std::str::from_utf8(&line[1..]).ok().and_then(|text| text.trim().parse::<i64>().ok());
    match (line[0], number()) {
        (b'-', _) => Err(format!("client: found error reply {}", line.escape_ascii())),
        (b'$', Some(length)) if length >= 0 => {
            let whole = end + 1 + length as usize + 2;
            Ok((bytes.len() >= whole).then_some((whole, 0)))
        }
        (b'*' | b'~', Some(count)) if count > 0 => Ok(Some((end + 1, count as usize))),
        _ => Ok(Some((end + 1, 0))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_skipped_by_their_lengths() {
        assert_eq!(skip_one(b"+OK\r\nrest"), Ok(Some((5, 0))));
        assert_eq!(skip_one(b"$3\r\nabc\r\n+"), Ok(Some((9, 0))));
        assert_eq!(skip_one(b"$3\r\nab"), Ok(None));
        assert_eq!(skip_one(b"$-1\r\n"), Ok(Some((5, 0))));
        assert_eq!(skip_one(b"*2\r\n:1\r\n"), Ok(Some((4, 2))));
        assert!(skip_one(b"-ERR no\r\n").is_err());
    }
}
