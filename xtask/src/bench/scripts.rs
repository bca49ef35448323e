//! Server processor time per call of a small script or function, with and without a pipeline.
//! Both servers run at the same time and are measured in turn, case by case; a script is known before it is measured.
//! Always: a reply other than the expected one ends the bench.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::figures::{Bar, Row, median, print_header};
use super::load::{Sample, Saturate, measure_clients};
use super::options::Options;
use super::process::Processors;
use super::server::{Aof, Contender, Server};
use super::wire::{Wire, connect, request};

/// Requests in a batch.
const PIPELINES: [usize; 2] = [16, 1];
/// What each ratio is held against.
const RATIO_MAX: f64 = 1.0;
/// The functions that are called, by the names of their cases.
const LIBRARY: &str = "#!lua name=bench
redis.register_function('set', function(keys, args) return redis.call('set', keys[1], args[1]) end)
redis.register_function('get', function(keys) return redis.call('get', keys[1]) end)";

/// Something that is called again and again, with the key `k` and the argument `v`.
struct Case {
    way: Way,
    /// The script's text, or the function's name.
    called: &'static str,
    /// In bytes as they come.
    reply: &'static [u8],
}

#[derive(Clone, Copy)]
enum Way {
    Text,
    Digest,
    Function,
}
use Way::{Digest, Function, Text};

const SET: &str = "return redis.call('set',KEYS[1],ARGV[1])";
const GET: &str = "return redis.call('get',KEYS[1])";
const ADD: &str = "return redis.call('incrby',KEYS[1]..'n',0)";
const FOUR: &str = "for i=1,3 do redis.call('get',KEYS[1]) end return redis.call('get',KEYS[1])";

const CASES: &[Case] = &[
    Case { way: Text, called: SET, reply: b"+OK\r\n" },
    Case { way: Text, called: GET, reply: b"$1\r\nv\r\n" },
    Case { way: Text, called: ADD, reply: b":0\r\n" },
    Case { way: Text, called: FOUR, reply: b"$1\r\nv\r\n" },
    Case { way: Text, called: "return 1", reply: b":1\r\n" },
    Case { way: Text, called: "return KEYS[1]", reply: b"$1\r\nk\r\n" },
    Case { way: Text, called: "return {1,2,3}", reply: b"*3\r\n:1\r\n:2\r\n:3\r\n" },
    Case { way: Digest, called: SET, reply: b"+OK\r\n" },
    Case { way: Digest, called: GET, reply: b"$1\r\nv\r\n" },
    Case { way: Function, called: "set", reply: b"+OK\r\n" },
    Case { way: Function, called: "get", reply: b"$1\r\nv\r\n" },
];

impl Case {
    fn name(&self, pipeline: usize) -> String {
        let way = match self.way {
            Text => "EVAL",
            Digest => "EVALSHA",
            Function => "FCALL",
        };
        format!("{way} {}, pipeline {pipeline}", self.called)
    }

    /// Makes what is called known to the server, and returns the request that calls it.
    fn prepare(&self, wire: &mut Wire) -> Result<Vec<u8>, String> {
        let (command, called) = match self.way {
            Text => ("EVAL", self.called.to_owned()),
            Digest => ("EVALSHA", wire.command(&["SCRIPT", "LOAD", self.called])?),
            Function => ("FCALL", self.called.to_owned()),
        };
        Ok(request(&[command, called.trim(), "1", "k", "v"]))
    }
}

/// Measures the cases that the options want and prints them.
pub(super) fn run(options: &Options, contenders: &[Contender; 2]) -> Result<(), String> {
    let all = CASES.iter().flat_map(|case| PIPELINES.map(|pipeline| (case, pipeline)));
    let wanted: Vec<_> = all.filter(|(case, pipeline)| options.wants(&case.name(*pipeline))).collect();
    let mut costs: Vec<[Vec<f64>; 2]> = wanted.iter().map(|_| Default::default()).collect();
    for round in 1..=options.rounds {
        eprintln!("round {round} of {} ...", options.rounds);
        let Processors { server, client } = Processors::divided();
        let servers = Server::start_both(contenders, Aof::Off, server.as_deref())?;
        for server in &servers {
            let mut wire = Wire::connect(server.port)?;
            wire.command(&["SET", "k", "v"])?;
            wire.command(&["FUNCTION", "LOAD", LIBRARY])?;
        }
        for ((case, pipeline), costs) in wanted.iter().zip(&mut costs) {
            for (server, costs) in servers.iter().zip(costs) {
                let sample = measure(server, case, *pipeline, options, &client)
                    .map_err(|error| format!("{}, {}: {error}", server.name, case.name(*pipeline)))?;
                costs.push(sample.cost_us);
            }
        }
    }
    print_header();
    for ((case, pipeline), [tenon, redis]) in wanted.iter().zip(&costs) {
        let [tenon, redis] = [tenon, redis].map(|costs| median(costs.iter().copied()));
        let (name, bar) = (case.name(*pipeline), Bar::RatioAtMost(RATIO_MAX));
        Row { name, unit: "us CPU/req", tenon, redis, bar, note: String::new() }.print();
    }
    Ok(())
}

fn measure(
    server: &Server,
    case: &Case,
    pipeline: usize,
    options: &Options,
    processors: &[u32],
) -> Result<Sample, String> {
    let request = case.prepare(&mut Wire::connect(server.port)?)?;
    let make = |connections, _| Client::new(server.port, &request, case.reply, pipeline, connections);
    measure_clients(server, processors, options.duration(), make)
}

/// One thread's connections.
struct Client {
    streams: Vec<TcpStream>,
    batch: Vec<u8>,
    expected: Vec<u8>,
    replies: Vec<u8>,
    pipeline: usize,
}

impl Client {
    fn new(
        port: u16,
        request: &[u8],
        reply: &[u8],
        pipeline: usize,
        connections: usize,
    ) -> Result<Client, String> {
        let streams: Result<Vec<TcpStream>, String> = (0..connections).map(|_| connect(port)).collect();
        let expected = reply.repeat(pipeline);
        Ok(Client {
            streams: streams?,
            batch: request.repeat(pipeline),
            replies: vec![0; expected.len()],
            expected,
            pipeline,
        })
    }
}

impl Saturate for Client {
    fn connections(&self) -> usize {
        self.streams.len()
    }

    fn pipeline(&self) -> usize {
        self.pipeline
    }

    fn ask(&mut self, index: usize) -> Result<(), String> {
        self.streams[index].write_all(&self.batch).map_err(|error| format!("client: {error}"))
    }

    fn hear(&mut self, index: usize) -> Result<(), String> {
        let heard = self.streams[index].read_exact(&mut self.replies);
        if heard.is_ok() && self.replies == self.expected {
            return Ok(());
        }
        let begin = self.replies[..self.replies.len().min(80)].escape_ascii();
        Err(format!("client: {heard:?}; found replies that begin with \"{begin}\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own() {
        let names = CASES.iter().flat_map(|case| PIPELINES.map(|pipeline| case.name(pipeline)));
        let different: std::collections::BTreeSet<String> = names.collect();
        assert_eq!(different.len(), CASES.len() * PIPELINES.len());
    }
}
