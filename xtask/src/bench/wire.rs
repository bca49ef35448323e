//! As much of the protocol as a bench needs: requests as bytes, replies as text.
//! No client for others: replies of unknown shape are errors.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// A connection for single commands.
pub(crate) struct Wire {
    stream: BufReader<TcpStream>,
}

/// Opens a connection whose reads and writes give up after half a minute.
pub(crate) fn connect(port: u16) -> Result<TcpStream, String> {
    let open = || {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    };
    open().map_err(|error: std::io::Error| format!("port {port}: {error}"))
}

impl Wire {
    pub(crate) fn connect(port: u16) -> Result<Wire, String> {
        Ok(Wire { stream: BufReader::new(connect(port)?) })
    }

    /// The text of a status, integer or bulk reply; an error reply is an error.
    pub(super) fn command(&mut self, words: &[&str]) -> Result<String, String> {
        let said = || words.join(" ");
        let mut ask = || {
            self.stream.get_mut().write_all(&request(words))?;
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            let Some(length) = line.strip_prefix('$').and_then(|length| length.trim().parse::<usize>().ok())
            else {
                return Ok(line);
            };
            let mut bytes = vec![0; length.min(1 << 24) + 2];
            self.stream.read_exact(&mut bytes)?;
            Ok(format!("+{}", String::from_utf8_lossy(&bytes)))
        };
        let reply = ask().map_err(|error: std::io::Error| format!("{}: {error}", said()))?;
        match reply.chars().next() {
            Some('+' | ':') => Ok(reply[1..].trim_end().to_owned()),
            _ => Err(format!("{}: found reply {:?}", said(), reply.trim_end())),
        }
    }

    /// How many elements an array reply has, each of which must be a bulk string or a status.
    pub(crate) fn elements(&mut self, words: &[&str]) -> Result<usize, String> {
        let bad = |line: &str| format!("{}: found reply {line:?}", words.join(" "));
        let told = |error: std::io::Error| format!("{}: {error}", words.join(" "));
        self.stream.get_mut().write_all(&request(words)).map_err(told)?;
        let mut line = String::new();
        self.stream.read_line(&mut line).map_err(told)?;
        let count: usize =
            line.strip_prefix('*').and_then(|count| count.trim().parse().ok()).ok_or_else(|| bad(&line))?;
        for _ in 0..count {
            line.clear();
            self.stream.read_line(&mut line).map_err(told)?;
            if line.starts_with('$') {
                line.clear();
                self.stream.read_line(&mut line).map_err(told)?;
            }
        }
        Ok(count)
    }

    /// The value of one line of INFO.
    pub(super) fn info(&mut self, section: &str, name: &str) -> Result<String, String> {
        let text = self.command(&["INFO", section])?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.map(|value| value.trim().to_owned()).ok_or(format!("INFO {section}: found no {name}"))
    }
}

/// A request as an array of bulk strings.
pub(super) fn request(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

/// A request with a key whose number changes: `key:` and twelve digits, sixteen bytes.
pub(super) struct Numbered {
    pub(super) bytes: Vec<u8>,
    digits: usize,
}

impl Numbered {
    /// `GET key`, or with a value `SET key value`.
    pub(super) fn new(value_bytes: Option<usize>) -> Numbered {
        let key = "key:000000000000";
        let bytes = match value_bytes {
            None => request(&["GET", key]),
            Some(length) => request(&["SET", key, &"x".repeat(length)]),
        };
        let digits = bytes.windows(4).position(|window| window == b"key:").map_or(0, |at| at + 4);
        Numbered { bytes, digits }
    }

    /// Writes `number` into the copy of this request that starts at `request`.
    pub(super) fn number(&self, request: &mut [u8], number: u32) {
        let digits = &mut request[self.digits..self.digits + 12];
        let mut rest = number;
        for digit in digits[2..].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    }
}

/// Stores keys 0 to `keys` with values of `value_bytes`, a thousand a batch.
pub(super) fn preload(port: u16, keys: u32, value_bytes: usize) -> Result<(), String> {
    const BATCH: u32 = 1000;
    let numbered = Numbered::new(Some(value_bytes));
    let mut stream = connect(port)?;
    let mut replies = Vec::new();
    let mut next = 0;
    while next < keys {
        let count = BATCH.min(keys - next);
        let mut batch = numbered.bytes.repeat(count as usize);
        for (request, number) in batch.chunks_mut(numbered.bytes.len()).zip(next..) {
            numbered.number(request, number);
        }
        replies.resize(count as usize * b"+OK\r\n".len(), 0);
        let exchange = stream.write_all(&batch).and_then(|()| stream.read_exact(&mut replies));
        exchange.map_err(|error| format!("preload: {error}"))?;
        if !replies.chunks(5).all(|reply| reply == b"+OK\r\n") {
            return Err(format!(
                "preload: found {:?}",
                String::from_utf8_lossy(&replies[..replies.len().min(80)])
            ));
        }
        next += count;
    }
    let size = Wire::connect(port)?.command(&["DBSIZE"])?;
    if size == keys.to_string() {
        Ok(())
    } else {
        Err(format!("preload: found {size} keys; expected {keys}"))
    }
}

/// Random numbers for keys; the same in every run.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `limit`.
    pub(super) fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (((self.0 >> 32) * u64::from(limit)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_into_the_key() {
        let numbered = Numbered::new(None);
        let mut bytes = numbered.bytes.clone();
        numbered.number(&mut bytes, 4_000_000_123);
        assert_eq!(bytes, request(&["GET", "key:004000000123"]));
    }

    #[test]
    fn dice_stay_below_their_limit() {
        let mut dice = Dice::new(7);
        let throws: Vec<u32> = (0..1000).map(|_| dice.below(10)).collect();
        assert!((0..10).all(|face| throws.contains(&face)) && throws.iter().all(|throw| *throw < 10));
    }
}
