//! How long BGSAVE and BGREWRITEAOF make a client wait, and how much memory they take.
//! Each is compared with a control window of the same length on the same server without it.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use super::figures::{Bar, Row, median, print_header};
use super::load::VALUE_BYTES;
use super::options::Options;
use super::pace::{Felt, Probe, write_paced};
use super::process::{children_private_bytes, resident_bytes};
use super::server::{Aof, Contender, Server};
use super::wire::{Wire, connect, preload};

const SAVED_WITHIN: Duration = Duration::from_secs(300);
const SETTLED_AFTER: Duration = Duration::from_secs(2);
const CONTROL_AT_LEAST: Duration = Duration::from_secs(2);
const SAMPLED_EVERY: Duration = Duration::from_millis(50);

/// A background job as the protocol knows it.
struct Job {
    command: &'static str,
    running: &'static str,
    status: &'static str,
}

const JOBS: [Job; 2] = [
    Job { command: "BGSAVE", running: "rdb_bgsave_in_progress", status: "rdb_last_bgsave_status" },
    Job { command: "BGREWRITEAOF", running: "aof_rewrite_in_progress", status: "aof_last_bgrewrite_status" },
];

/// One job under load, and the same time without it.
struct Outcome {
    during: Felt,
    control: Felt,
    took: Duration,
    /// Peak over the memory before, as a share of it.
    growth: f64,
}

/// One line of the report, from one round.
type Figure = fn(&Outcome) -> f64;

/// Runs every round on a fresh server and prints medians.
pub(super) fn run(options: &Options, contenders: &[Contender; 2]) -> Result<(), String> {
    let mut outcomes: [[Vec<Outcome>; 2]; 2] = Default::default();
    for round in 1..=options.rounds {
        for (contender, outcomes) in contenders.iter().zip(&mut outcomes) {
            eprintln!("round {round} of {}, {} ...", options.rounds, contender.name);
            let [save, rewrite] = run_round(options, contender)?;
            outcomes[0].push(save);
            outcomes[1].push(rewrite);
        }
    }
    print_header();
    let [tenon, redis] = &outcomes;
    for (index, job) in JOBS.iter().enumerate() {
        let rows: [(&str, &str, Bar, Figure); 6] = [
            ("longest stall over control", "ms", Bar::AtMost(10.0), |outcome| {
                milliseconds(outcome.during.longest) - milliseconds(outcome.control.longest)
            }),
            ("longest stall", "ms", Bar::None, |outcome| milliseconds(outcome.during.longest)),
            ("longest stall, control", "ms", Bar::None, |outcome| milliseconds(outcome.control.longest)),
            ("99.9 % below", "ms", Bar::None, |outcome| milliseconds(outcome.during.p999)),
            ("memory growth", "%", Bar::AtMost(10.0), |outcome| outcome.growth * 100.0),
            ("duration", "s", Bar::None, |outcome| outcome.took.as_secs_f64()),
        ];
        for (what, unit, bar, figure) in rows {
            let name = format!("{}, {what}", if index == 0 { "save" } else { "rewrite" });
            let [tenon, redis] =
                [&tenon[index], &redis[index]].map(|outcomes| median(outcomes.iter().map(figure)));
            Row { name, unit, tenon, redis, bar, note: job.command.to_owned() }.print();
        }
    }
    let (keys, members, rate) = (options.keys, options.members, options.rate);
    println!(
        "\n{keys} keys of {VALUE_BYTES} bytes, one sorted set of {members}, {rate} SET/s, median of {}",
        options.rounds
    );
    Ok(())
}

fn run_round(options: &Options, contender: &Contender) -> Result<[Outcome; 2], String> {
    let server = contender.start(Aof::Everysec, None, &[])?;
    preload(server.port, options.keys, VALUE_BYTES)?;
    preload_sorted_set(server.port, options.members)?;
    let stop = AtomicBool::new(false);
    let probe = Probe::default();
    let (port, rate, keys) = (server.port, options.rate, options.keys);
    thread::scope(|scope| {
        let writer = scope.spawn(|| write_paced(port, rate, keys, &stop));
        let prober = scope.spawn(|| probe.run(port, &stop));
        let observe = || -> Result<[Outcome; 2], String> {
            let [save, rewrite] = &JOBS;
            Ok([observe(&server, &probe, save)?, observe(&server, &probe, rewrite)?])
        };
        let outcomes = observe();
        stop.store(true, Ordering::Relaxed);
        for client in [writer, prober] {
            client.join().map_err(|_| "a client thread panicked".to_owned())??;
        }
        outcomes
    })
}

/// The job and then its control, each after the server has settled.
fn observe(server: &Server, probe: &Probe, job: &Job) -> Result<Outcome, String> {
    let mut wire = Wire::connect(server.port)?;
    sleep(SETTLED_AFTER);
    probe.take();
    let before = resident_bytes(server.pid())?;
    let started = Instant::now();
    wire.command(&[job.command])?;
    let mut peak = before;
    loop {
        peak = peak.max(resident_bytes(server.pid())? + children_private_bytes(server.pid()));
        if wire.info("persistence", job.running)? == "0" {
            break;
        }
        if started.elapsed() > SAVED_WITHIN {
            return Err(format!("{}: {} still runs after {SAVED_WITHIN:?}", server.name, job.command));
        }
        sleep(SAMPLED_EVERY);
    }
    let took = started.elapsed();
    let during = probe.take();
    let status = wire.info("persistence", job.status)?;
    if status != "ok" {
        return Err(format!(
            "{}: {} ended with {} {status}; expected ok",
            server.name, job.command, job.status
        ));
    }
    sleep(SETTLED_AFTER);
    probe.take();
    let until = Instant::now() + took.max(CONTROL_AT_LEAST);
    while Instant::now() < until {
        // The same questions as above, so that only the job makes the difference.
        resident_bytes(server.pid())?;
        children_private_bytes(server.pid());
        wire.info("persistence", job.running)?;
        sleep(SAMPLED_EVERY);
    }
    let control = probe.take();
    Ok(Outcome { during, control, took, growth: (peak - before) as f64 / before as f64 })
}

fn preload_sorted_set(port: u16, members: u32) -> Result<(), String> {
    const BATCH: u32 = 100;
    let mut stream = connect(port)?;
    let mut next = 0;
    while next < members {
        let count = BATCH.min(members - next);
        let mut words = vec!["ZADD".to_owned(), "large".to_owned()];
        for number in next..next + count {
            words.extend([number.to_string(), format!("member:{number:09}")]);
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let expected = format!(":{count}\r\n").into_bytes();
        let mut reply = vec![0; expected.len()];
        let bytes = super::wire::request(&words);
        let exchange = stream.write_all(&bytes).and_then(|()| stream.read_exact(&mut reply));
        exchange.map_err(|error| format!("preload of the sorted set: {error}"))?;
        if reply != expected {
            return Err(format!("preload of the sorted set: found {:?}", String::from_utf8_lossy(&reply)));
        }
        next += count;
    }
    Ok(())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
