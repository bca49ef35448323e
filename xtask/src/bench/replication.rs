//! What a replica costs its primary: processor time while one follows, and what a full synchronization under writes does
//! to clients and to memory. The replica that is synchronized is a redis-server, whoever the primary is; the one that
//! follows is a reader that costs next to nothing, since two cores have to do for everybody.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use super::figures::{Bar, Row, median, print_header};
use super::load::{Asked, Sample, VALUE_BYTES, measure};
use super::options::Options;
use super::pace::{Felt, Probe, write_paced};
use super::process::{bind_this_thread, children_private_bytes, divided_processors, resident_bytes};
use super::server::{Aof, Contender, Server};
use super::wire::{Wire, connect, preload};

const SYNCED_WITHIN: Duration = Duration::from_secs(600);
const SETTLED_AFTER: Duration = Duration::from_secs(2);
const CONTROL_AT_LEAST: Duration = Duration::from_secs(2);
const SAMPLED_EVERY: Duration = Duration::from_millis(50);
const PIPELINE: usize = 16;
/// Below this share of a processor, in percent, the client, not the server, was the limit.
const SATURATED: f64 = 95.0;
/// Above this many processors' worth of other programs the figures are not worth comparing.
const OTHERS_MAX: f64 = 0.1;

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
    let (stop, probe) = (AtomicBool::new(false), Probe::default());
    thread::scope(|scope| {
        let writer = scope.spawn(|| write_paced(port, rate, keys, &stop));
        let prober = scope.spawn(|| probe.run(port, &[], &stop));
        let outcome = observe(&primary, &replica, &probe);
        stop.store(true, Ordering::Relaxed);
        for client in [writer, prober] {
            client.join().map_err(|_| "a client thread panicked".to_owned())??;
        }
        outcome
    })
}

fn observe(primary: &Server, replica: &Server, probe: &Probe) -> Result<Outcome, String> {
    let mut wire = Wire::connect(replica.port)?;
    sleep(SETTLED_AFTER);
    probe.take();
    let before = resident_bytes(primary.pid())?;
    let started = Instant::now();
    wire.command(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()])?;
    let mut peak = before;
    loop {
        peak = peak.max(resident_bytes(primary.pid())? + children_private_bytes(primary.pid()));
        if wire.info("replication", "master_link_status")? == "up" {
            break;
        }
        if started.elapsed() > SYNCED_WITHIN {
            return Err(format!("{}: no end of the synchronization in {SYNCED_WITHIN:?}", primary.name));
        }
        sleep(SAMPLED_EVERY);
    }
    let took = started.elapsed();
    let during = probe.take();
    let mut told = Wire::connect(primary.port)?;
    let syncs = told.info("stats", "sync_full")?;
    if syncs != "1" {
        return Err(format!("{}: it took {syncs} full synchronizations", primary.name));
    }
    let held = told.info("replication", "repl_backlog_histlen")?;
    let backlog_bytes: u64 =
        held.parse().map_err(|_| format!("{}: a backlog of {held} bytes", primary.name))?;
    sleep(SETTLED_AFTER);
    probe.take();
    let until = Instant::now() + took.max(CONTROL_AT_LEAST);
    while Instant::now() < until {
        // The same questions as above, so that only the synchronization makes the difference.
        resident_bytes(primary.pid())?;
        children_private_bytes(primary.pid());
        wire.info("replication", "master_link_status")?;
        sleep(SAMPLED_EVERY);
    }
    let growth = (peak - before).saturating_sub(backlog_bytes) as f64 / before as f64;
    Ok(Outcome { during, control: probe.take(), took, growth })
}

fn print_samples(name: &str, [tenon, redis]: &[Vec<Sample>; 2]) {
    print_header();
    let middle = |of: &[Sample], figure: fn(&Sample) -> f64| median(of.iter().map(figure));
    let busy = [tenon, redis].map(|samples| middle(samples, |sample| sample.busy) * 100.0);
    let others = tenon.iter().chain(redis).map(|sample| sample.others).fold(0.0, f64::max);
    let mut note = format!("busy {:.0} % / {:.0} %", busy[0], busy[1]);
    if busy.iter().any(|share| *share < SATURATED) {
        note += ", NOT SATURATED";
    }
    if others > OTHERS_MAX {
        note += &format!(", others kept up to {others:.1} processors busy");
    }
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
