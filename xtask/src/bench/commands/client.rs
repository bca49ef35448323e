//! The client of the bench of commands: requests whose numbers are thrown for each batch, replies that are skipped by
//! their lengths.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::cases::{Case, Times};
use super::template::Template;
use crate::bench::load::Saturate;
use crate::bench::options::Options;
use crate::bench::wire::{Dice, connect};

const READ_BYTES: usize = 1 << 16;

/// Makes the keys of a case.
pub(super) fn fill(port: u16, case: &Case, options: &Options) -> Result<(), String> {
    const BATCH: usize = 500;
    let mut line = Line::new(connect(port)?);
    let (mut bytes, mut count, mut dice) = (Vec::new(), 0, Dice::new(0));
    let keys = case.size.keys(options.small_keys);
    let mut templates: Vec<(Times, Template)> =
        case.fill.iter().map(|(times, text)| (*times, Template::new(&[text]))).collect();
    for key in 0..keys {
        for (times, template) in &mut templates {
            let times = if *times == Times::Once { 1 } else { case.size.members(options.large_members) };
            for number in 0..times {
                template.write(key, number, || dice.below(keys));
                bytes.extend_from_slice(template.bytes());
                count += 1;
                if count == BATCH {
                    line.exchange(&bytes, count)?;
                    bytes.clear();
                    count = 0;
                }
            }
        }
    }
    line.exchange(&bytes, count)
}

/// One thread's connections.
pub(super) struct Client {
    lines: Vec<Line>,
    /// Requests that belong together name the same key and member.
    turns: Vec<Template>,
    batch: Vec<u8>,
    pipeline: usize,
    keys: u32,
    members: u32,
    dice: Dice,
}

impl Client {
    /// `pipeline` is rounded up to whole turns.
    pub(super) fn new(
        port: u16,
        case: &Case,
        options: &Options,
        pipeline: usize,
        connections: usize,
        seed: u64,
    ) -> Result<Client, String> {
        let lines: Result<Vec<Line>, String> =
            (0..connections).map(|_| Ok(Line::new(connect(port)?))).collect();
        let turns = pipeline.div_ceil(case.requests.len());
        Ok(Client {
            lines: lines?,
            turns: (0..turns).map(|_| Template::new(case.requests)).collect(),
            batch: Vec::new(),
            pipeline: turns * case.requests.len(),
            keys: case.size.keys(options.small_keys),
            members: case.size.members(options.large_members),
            dice: Dice::new(seed + 2),
        })
    }
}

impl Saturate for Client {
    fn connections(&self) -> usize {
        self.lines.len()
    }

    fn pipeline(&self) -> usize {
        self.pipeline
    }

    fn ask(&mut self, index: usize) -> Result<(), String> {
        self.batch.clear();
        for turn in &mut self.turns {
            let (key, number) = (self.dice.below(self.keys), self.dice.below(self.members));
            turn.write(key, number, || self.dice.below(self.keys));
            self.batch.extend_from_slice(turn.bytes());
        }
        self.lines[index].stream.write_all(&self.batch).map_err(|error| format!("client: {error}"))
    }

    fn hear(&mut self, index: usize) -> Result<(), String> {
        self.lines[index].skip(self.pipeline)
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
