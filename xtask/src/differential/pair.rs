//! The two servers side by side: the same bytes go to both, and replies are read from both.
//! Always: a read waits at most half a minute, so that a server that says nothing is told, not waited for.

use std::io::{BufReader, Write};
use std::net::TcpStream;

use super::reply::{self, Reply};
use crate::bench::wire::connect;

/// A request: its words.
pub(super) type Words = Vec<Vec<u8>>;

/// One connection to one server.
pub(super) struct Line {
    name: &'static str,
    stream: BufReader<TcpStream>,
}

impl Line {
    pub(super) fn connect(name: &'static str, port: u16) -> Result<Line, String> {
        Ok(Line { name, stream: BufReader::with_capacity(1 << 16, connect(port)?) })
    }

    /// One request and its reply, which must not be an error.
    pub(super) fn ask(&mut self, words: &[&str]) -> Result<Reply, String> {
        let request: Words = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        let reply = self.exchange(&[request])?.remove(0);
        match reply.is_error() {
            true => Err(format!("{}: {} gives {reply}", self.name, words.join(" "))),
            false => Ok(reply),
        }
    }

    /// All requests at once, then as many replies.
    pub(super) fn exchange(&mut self, requests: &[Words]) -> Result<Vec<Reply>, String> {
        self.send(&encoded(requests))?;
        self.receive(requests)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.stream.get_mut().write_all(bytes).map_err(|error| format!("{}: {error}", self.name))
    }

    fn receive(&mut self, requests: &[Words]) -> Result<Vec<Reply>, String> {
        let mut replies = Vec::with_capacity(requests.len());
        for request in requests {
            let reply = reply::read(&mut self.stream);
            let told = |error| format!("{}: no reply to {}: {error}", self.name, shown(request));
            replies.push(reply.map_err(told)?);
        }
        Ok(replies)
    }
}

/// A connection to each server.
pub(super) struct Pair {
    pub(super) tenon: Line,
    pub(super) redis: Line,
}

impl Pair {
    /// The same requests to both; Tenon's replies come first.
    pub(super) fn exchange(&mut self, requests: &[Words]) -> Result<[Vec<Reply>; 2], String> {
        self.send(requests)?;
        self.receive(requests)
    }

    pub(super) fn send(&mut self, requests: &[Words]) -> Result<(), String> {
        let bytes = encoded(requests);
        self.tenon.send(&bytes)?;
        self.redis.send(&bytes)
    }

    /// Replies to requests that were sent; Tenon's come first.
    pub(super) fn receive(&mut self, requests: &[Words]) -> Result<[Vec<Reply>; 2], String> {
        // Redis first: what it waits for tells a run-away request from a fault of ours.
        let redis = self.redis.receive(requests)?;
        Ok([self.tenon.receive(requests)?, redis])
    }

    /// One request to both.
    pub(super) fn ask(&mut self, words: &[&[u8]]) -> Result<[Reply; 2], String> {
        let request: Words = words.iter().map(|word| word.to_vec()).collect();
        let [mut tenon, mut redis] = self.exchange(&[request])?;
        Ok([tenon.remove(0), redis.remove(0)])
    }
}

fn encoded(requests: &[Words]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for request in requests {
        bytes.extend_from_slice(format!("*{}\r\n", request.len()).as_bytes());
        for word in request {
            bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            bytes.extend_from_slice(word);
            bytes.extend_from_slice(b"\r\n");
        }
    }
    bytes
}

/// A request as a line of a wire script.
pub(super) fn shown(request: &Words) -> String {
    let word = |word: &Vec<u8>| {
        let is_bare = |byte: &u8| byte.is_ascii_graphic() && !b"\"'\\".contains(byte);
        match !word.is_empty() && word.iter().all(is_bare) {
            true => String::from_utf8_lossy(word).into_owned(),
            false => format!("\"{}\"", word.escape_ascii().to_string().replace("\\'", "'")),
        }
    };
    request.iter().map(word).collect::<Vec<_>>().join(" ")
}
