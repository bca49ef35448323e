//! What idle connections cost, and what a storm of new ones does to those that are busy: ten thousand idle, two hundred
//! that ask at a moderate rate, then two thousand new ones a second beside them.
//! Always: the same questions are asked before the storm and during it, and none is left out because one was late.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::figures::{Bar, Row, median, print_header};
use super::options::Options;
use super::process::resident_bytes;
use super::server::{Aof, Contender};
use super::wire::{connect, request};

const IDLE: usize = 10_000;
const BUSY: usize = 200;
const BUSY_THREADS: usize = 2;
/// Questions a second of all busy connections.
const ASKED_PER_SECOND: u32 = 10_000;
const NEW_PER_SECOND: u32 = 2_000;
/// Before memory is read, and between the phases.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

struct Outcome {
    idle_bytes: f64,
    calm: Duration,
    storm: Duration,
    accepted: f64,
}

/// Prints what was measured, medians of all rounds.
pub(super) fn run(options: &Options, contenders: &[Contender; 2]) -> Result<(), String> {
    let mut outcomes = [Vec::new(), Vec::new()];
    for round in 1..=options.rounds {
        for (contender, outcomes) in contenders.iter().zip(&mut outcomes) {
            eprintln!("round {round} of {}, {} ...", options.rounds, contender.name);
            outcomes.push(measure(contender, options.duration())?);
        }
    }
    print_header();
    let of = |figure: fn(&Outcome) -> f64| {
        let [tenon, redis] = &outcomes;
        [tenon, redis].map(|outcomes| median(outcomes.iter().map(figure)))
    };
    let row = |name: &str, unit, bar, note: &str, [tenon, redis]: [f64; 2]| {
        Row { name: name.to_owned(), unit, tenon, redis, bar, note: note.to_owned() }.print();
    };
    let idle = of(|outcome| outcome.idle_bytes);
    row("memory per idle connection", "bytes", Bar::RatioAtMost(0.5), "of 10000, each has said PING", idle);
    let asked = "200 connections, 10000 GET/s together";
    row("busy, 99 % below", "us", Bar::None, asked, of(|outcome| microseconds(outcome.calm)));
    let beside = "the same, 2000 new connections/s beside them";
    row("in a storm, 99 % below", "us", Bar::None, beside, of(|outcome| microseconds(outcome.storm)));
    let ratio = of(|outcome| microseconds(outcome.storm) / microseconds(outcome.calm));
    row("storm over calm", "times", Bar::AtMost(2.0), "medians of the rounds' ratios", ratio);
    row("new connections served", "1/s", Bar::None, "each says PING", of(|outcome| outcome.accepted));
    Ok(())
}

fn measure(contender: &Contender, span: Duration) -> Result<Outcome, String> {
    let server = contender.start(Aof::Off, None, &["--maxclients", "19000", "--tcp-backlog", "4096"])?;
    let port = server.port;
    let before = resident_bytes(server.pid())?;
    let idle = (0..IDLE).map(|_| greeted(port)).collect::<Result<Vec<_>, _>>()?;
    thread::sleep(SETTLED_AFTER);
    let idle_bytes = resident_bytes(server.pid())?.saturating_sub(before) as f64 / IDLE as f64;
    let stop = AtomicBool::new(false);
    let heard = Mutex::new(Vec::new());
    let outcome = thread::scope(|scope| {
        let clients: Vec<_> = (0..BUSY_THREADS).map(|_| scope.spawn(|| ask(port, &heard, &stop))).collect();
        let observe = || -> Result<Outcome, String> {
            thread::sleep(SETTLED_AFTER);
            take(&heard);
            thread::sleep(span);
            let calm = take(&heard);
            let (accepted, began) = (AtomicU32::new(0), Instant::now());
            let ended = AtomicBool::new(false);
            let storm = thread::scope(|scope| {
                let storm = scope.spawn(|| arrive(port, &accepted, &ended));
                thread::sleep(span);
                let felt = take(&heard);
                ended.store(true, Ordering::Relaxed);
                storm.join().map_err(|_| "a client thread panicked".to_owned())??;
                Ok::<Duration, String>(felt)
            })?;
            let accepted = f64::from(accepted.load(Ordering::Relaxed)) / began.elapsed().as_secs_f64();
            Ok(Outcome { idle_bytes, calm, storm, accepted })
        };
        let outcome = observe();
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().map_err(|_| "a client thread panicked".to_owned())??;
        }
        outcome
    });
    drop(idle);
    outcome
}

/// A connection that has said PING and got its answer.
fn greeted(port: u16) -> Result<TcpStream, String> {
    let mut stream = connect(port)?;
    let mut reply = [0; 7];
    let exchange = stream.write_all(&request(&["PING"])).and_then(|()| stream.read_exact(&mut reply));
    exchange.map_err(|error| format!("a new connection: {error}"))?;
    match &reply {
        b"+PONG\r\n" => Ok(stream),
        other => Err(format!("a new connection: found {:?}", String::from_utf8_lossy(other))),
    }
}

/// One thread's busy connections: asked in turn, at a fixed rate, each late question counted from when it was due.
fn ask(port: u16, heard: &Mutex<Vec<Duration>>, stop: &AtomicBool) -> Result<(), String> {
    let mut streams = (0..BUSY / BUSY_THREADS).map(|_| connect(port)).collect::<Result<Vec<_>, _>>()?;
    let gap = Duration::from_secs(1) * BUSY_THREADS as u32 / ASKED_PER_SECOND;
    let question = request(&["GET", "key:nothing"]);
    let mut reply = [0; 5];
    let mut due = Instant::now();
    let count = streams.len();
    for index in (0..count).cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        due += gap;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let stream = &mut streams[index];
        let exchange = stream.write_all(&question).and_then(|()| stream.read_exact(&mut reply));
        exchange.map_err(|error| format!("a busy connection: {error}"))?;
        let latency = due.elapsed();
        if let Ok(mut heard) = heard.lock() {
            heard.push(latency);
        }
    }
    Ok(())
}

/// Connects again and again at a fixed rate; each says PING and leaves.
fn arrive(port: u16, accepted: &AtomicU32, ended: &AtomicBool) -> Result<(), String> {
    let gap = Duration::from_secs(1) / NEW_PER_SECOND;
    let mut due = Instant::now();
    while !ended.load(Ordering::Relaxed) {
        due += gap;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        drop(greeted(port)?);
        accepted.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// The 99th percentile of what was heard since the last call.
fn take(heard: &Mutex<Vec<Duration>>) -> Duration {
    let mut heard = heard.lock().map(|mut heard| std::mem::take(&mut *heard)).unwrap_or_default();
    heard.sort_unstable();
    heard.get(heard.len() * 99 / 100).copied().unwrap_or_default()
}

fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_was_heard_one_in_a_hundred_is_above() {
        let heard = Mutex::new((1..=1000).map(Duration::from_micros).collect());
        assert_eq!(take(&heard), Duration::from_micros(991));
        assert_eq!(take(&heard), Duration::ZERO);
    }
}
