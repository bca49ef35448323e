//! What a replica costs its primary: processor time while one follows, and what a full synchronization under writes does
//! to clients and to memory. The replica that is synchronized is a redis-server, whoever the primary is; the one that
//! follows is a reader that costs next to nothing, since two cores have to do for everybody.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use super::beside::{Beside, under_load, watch};
use super::figures::{Bar, Row, median, print_header};
use super::load::{Asked, Sample, VALUE_BYTES, circumstances, measure};
use super::options::Options;
use super::pace::{Felt, Probe};
use super::process::{bind_this_thread, divided_processors};
use super::server::{Aof, Contender, Server};
use super::wire::{Wire, connect, preload};

const SYNCED_WITHIN: Duration = Duration::from_secs(600);
const PIPELINE: usize = 16;

/// What both primaries are started with. Nobody is let go for being slow: what is measured is how slow.
const ARGUMENTS: [&str; 6] = [
    "--repl-diskless-sync-delay",
    "0",
    "--repl-backlog-size",
    "64mb",
    "--client-output-buffer-limit",
    "replica 2gb 0 0",
];

/// One full synchronization under writes, and the same time behind it.
struct Outcome {
    during: Felt,
    control: Felt,
    took: Duration,
    /// Peak over the memory before and what the backlog holds, as a share of the memory before.
    growth: f64,
}

/// One line of the report, from one round.
type Figure = fn(&Outcome) -> f64;

/// Runs every round on fresh servers and prints medians.
pub(super) fn run(options: &Options, contenders: &[Contender; 2]) -> Result<(), String> {
    const FOLLOWED: &str = "SET, pipeline 16, one replica";
    if options.wants(FOLLOWED) {
        let mut samples: [Vec<Sample>; 2] = Default::default();
        for round in 1..=options.rounds {
            eprintln!("round {round} of {}, {FOLLOWED} ...", options.rounds);
            for (contender, samples) in contenders.iter().zip(&mut samples) {
                samples.push(followed(options, contender)?);
            }
        }
        print_samples(FOLLOWED, &samples);
    }
    if options.wants("full sync") {
        let mut outcomes: [Vec<Outcome>; 2] = Default::default();
        for round in 1..=options.rounds {
            for (contender, outcomes) in contenders.iter().zip(&mut outcomes) {
                eprintln!("round {round} of {}, full sync from {} ...", options.rounds, contender.name);
                outcomes.push(synchronized(options, contender, &contenders[1])?);
            }
        }
        print_outcomes(options, &outcomes);
    }
    Ok(())
}

/// SETs to a primary that one reader follows.
fn followed(options: &Options, contender: &Contender) -> Result<Sample, String> {
    let divided = divided_processors();
    let processors = divided.as_ref().map(|(list, _)| list.as_str());
    let client = divided.as_ref().map_or(&[][..], |(_, client)| client);
    let server = contender.start(Aof::Off, processors, &ARGUMENTS)?;
    let link = connect(server.port)?;
    let told = |error: std::io::Error| format!("the link of the reader: {error}");
    let reading = link.try_clone().map_err(told)?;
    thread::scope(|scope| {
        let reader = scope.spawn(|| read_all(reading, client.last().copied()));
        let measured = || {
            wait_for(&server, "slave0", |value| value.contains("state=online"))?;
            preload(server.port, options.keys, VALUE_BYTES)?;
            let sample = measure(&server, Asked::Set, PIPELINE, options.keys, client, options.duration());
            let still = Wire::connect(server.port)?.info("replication", "connected_slaves")?;
            if still != "1" {
                return Err(format!("{}: the reader was let go", server.name));
            }
            sample
        };
        let sample = (&link).write_all(b"SYNC\r\n").map_err(told).and_then(|()| measured());
        // Ends the reader.
        let _ = link.shutdown(Shutdown::Both);
        reader.join().map_err(|_| "the reader panicked".to_owned())?;
        sample
    })
}

/// Reads whatever comes until the link ends.
fn read_all(mut link: TcpStream, processor: Option<u32>) {
    if let Some(processor) = processor {
        bind_this_thread(processor);
    }
    let mut bytes = vec![0; 256 * 1024];
    while link.read(&mut bytes).is_ok_and(|count| count > 0) {}
}

/// Waits until a field of INFO replication is as it is to be.
fn wait_for(server: &Server, name: &str, is_so: impl Fn(&str) -> bool) -> Result<(), String> {
    let mut wire = Wire::connect(server.port)?;
    let until = Instant::now() + SYNCED_WITHIN;
    loop {
        let value = wire.info("replication", name);
        match value {
            Ok(value) if is_so(&value) => return Ok(()),
            _ if Instant::now() > until => {
                return Err(format!("{}: {name} is {value:?} after {SYNCED_WITHIN:?}", server.name));
            }
            _ => sleep(Duration::from_millis(10)),
        }
    }
}

/// A replica is synchronized while others write.
fn synchronized(options: &Options, contender: &Contender, judge: &Contender) -> Result<Outcome, String> {
    let primary = contender.start(Aof::Off, None, &ARGUMENTS)?;
    let replica = judge.start(Aof::Off, None, &[])?;
    let (port, rate, keys) = (primary.port, options.rate, options.memory_keys);
    preload(port, keys, VALUE_BYTES)?;
    under_load(port, rate, keys, &[], |probe| observe(&primary, &replica, probe))
}

fn observe(primary: &Server, replica: &Server, probe: &Probe) -> Result<Outcome, String> {
    let (mut asking, mut wire) = (Wire::connect(replica.port)?, Wire::connect(replica.port)?);
    let mut told = Wire::connect(primary.port)?;
    let mut backlog_bytes = None;
    let begin = || asking.command(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()]).map(drop);
    let is_over = || {
        let is_over = wire.info("replication", "master_link_status")? == "up";
        if is_over && backlog_bytes.is_none() {
            let held = told.info("replication", "repl_backlog_histlen")?;
            backlog_bytes = Some(
                held.parse::<u64>().map_err(|_| format!("{}: a backlog of {held} bytes", primary.name))?,
            );
        }
        Ok(is_over)
    };
    let Beside { during, control, took, before_bytes, peak_bytes } =
        watch(primary, probe, "the synchronization", SYNCED_WITHIN, begin, is_over)?;
    let syncs = told.info("stats", "sync_full")?;
    if syncs != "1" {
        return Err(format!("{}: it took {syncs} full synchronizations", primary.name));
    }
    let grown = (peak_bytes - before_bytes).saturating_sub(backlog_bytes.unwrap_or(0));
    let (during, control) = (during.felt(), control.felt());
    Ok(Outcome { during, control, took, growth: grown as f64 / before_bytes as f64 })
}

fn print_samples(name: &str, [tenon, redis]: &[Vec<Sample>; 2]) {
    print_header();
    let middle = |of: &[Sample], figure: fn(&Sample) -> f64| median(of.iter().map(figure));
    let note = circumstances([tenon, redis].map(|samples| samples.iter()));
    let cost = |sample: &Sample| sample.cost_us;
    let rate = |sample: &Sample| sample.requests_per_second;
    let (name, bar) = (name.to_owned(), Bar::RatioAtMost(0.55));
    Row { name, unit: "us CPU/req", tenon: middle(tenon, cost), redis: middle(redis, cost), bar, note }
        .print();
    let (name, bar, note) = (String::new(), Bar::None, String::new());
    Row { name, unit: "req/s", tenon: middle(tenon, rate), redis: middle(redis, rate), bar, note }.print();
}

fn print_outcomes(options: &Options, [tenon, redis]: &[Vec<Outcome>; 2]) {
    let rows: [(&str, &'static str, Bar, Figure); 6] = [
        ("longest stall over control", "ms", Bar::AtMost(10.0), |outcome| {
            (outcome.during.longest.as_secs_f64() - outcome.control.longest.as_secs_f64()) * 1000.0
        }),
        ("longest stall", "ms", Bar::None, |outcome| outcome.during.longest.as_secs_f64() * 1000.0),
        ("longest stall, control", "ms", Bar::None, |outcome| outcome.control.longest.as_secs_f64() * 1000.0),
        ("99.9 % below", "ms", Bar::None, |outcome| outcome.during.p999.as_secs_f64() * 1000.0),
        ("memory growth", "%", Bar::AtMost(10.0), |outcome| outcome.growth * 100.0),
        ("duration", "s", Bar::RatioAtMost(1.0), |outcome| outcome.took.as_secs_f64()),
    ];
    print_header();
    for (what, unit, bar, figure) in rows {
        let name = format!("full sync, {what}");
        let [tenon, redis] = [tenon, redis].map(|outcomes| median(outcomes.iter().map(figure)));
        Row { name, unit, tenon, redis, bar, note: String::new() }.print();
    }
    println!(
        "\n{} keys of {VALUE_BYTES} bytes, {} SET/s, a redis-server as replica, memory beyond what the backlog holds, \
         median of {}",
        options.memory_keys, options.rate, options.rounds
    );
}
