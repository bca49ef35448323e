//! A disk whose fsync takes seconds, under `everysec`: how long clients wait meanwhile. The disk is made slow by strace, which
//! holds each fsync back, so that a file system's own locks are no part of it.
//! Always: the delay that is printed was felt: a server whose fsyncs were not slow is an error.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use super::figures::{Bar, Row, median, print_header};
use super::options::Options;
use super::pace::{Felt, Probe, write_paced};
use super::server::{Aof, Contender, Server};
use super::wire::{Wire, preload};
use crate::workspace::on_path;

/// What each fsync takes longer.
const DELAY: Duration = Duration::from_secs(5);
/// Long enough for several fsyncs.
const WATCHED: Duration = Duration::from_secs(22);
const ATTACHED_WITHIN: Duration = Duration::from_secs(10);
/// SETs per second: strace stops each system call, and that is not to be what is measured.
const RATE: u32 = 2_000;
const VALUE_BYTES: usize = 64;

/// Prints what was felt, medians of all rounds.
pub(super) fn run(options: &Options, contenders: &[Contender; 2]) -> Result<(), String> {
    on_path("strace").ok_or("no strace, which makes the disk slow: apt-get install strace")?;
    let mut felt: [Vec<Felt>; 2] = Default::default();
    for round in 1..=options.rounds {
        eprintln!("round {round} of {} ...", options.rounds);
        for (contender, felt) in contenders.iter().zip(&mut felt) {
            let measured =
                measure(contender, options).map_err(|error| format!("{}: {error}", contender.name))?;
            felt.push(measured);
        }
    }
    println!("each fsync takes {DELAY:?} longer; {RATE} SETs a second, everysec, {WATCHED:?}");
    print_header();
    let of = |figure: fn(&Felt) -> Duration| {
        [0, 1].map(|at: usize| median(felt[at].iter().map(|felt| figure(felt).as_secs_f64() * 1e3)))
    };
    let row = |name: &str, bar, [tenon, redis]: [f64; 2], note: &str| {
        Row { name: name.to_owned(), unit: "ms", tenon, redis, bar, note: note.to_owned() }.print();
    };
    let note = "of PING and SET, one each ms; strace stops each system call";
    row("longest wait", Bar::AtMost(100.0), of(|felt| felt.longest), note);
    row("p99.9", Bar::None, of(|felt| felt.p999), "");
    Ok(())
}

fn measure(contender: &Contender, options: &Options) -> Result<Felt, String> {
    let server = contender.start(Aof::Everysec, None, &[])?;
    let keys = options.keys.min(100_000);
    preload(server.port, keys, VALUE_BYTES)?;
    let probe = Probe::default();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let slow = SlowSyncs::of(&server)?;
        let load = [
            scope.spawn(|| write_paced(server.port, RATE, keys, &stop)),
            scope.spawn(|| probe.run(server.port, &[], &stop)),
        ];
        sleep(Duration::from_secs(1));
        probe.take();
        sleep(WATCHED);
        let felt = probe.take();
        let was_slow = is_syncing(&server, WATCHED)?;
        stop.store(true, Ordering::Relaxed);
        for thread in load {
            thread.join().map_err(|_| "a client thread panicked".to_owned())??;
        }
        drop(slow);
        if was_slow { Ok(felt) } else { Err("no fsync was slow".to_owned()) }
    })
}

/// Whether an fsync is seen in flight: one that takes no time is not.
fn is_syncing(server: &Server, patience: Duration) -> Result<bool, String> {
    let mut wire = Wire::connect(server.port)?;
    let until = Instant::now() + patience;
    while Instant::now() < until {
        let text = wire.command(&["INFO", "persistence"])?;
        if text.lines().any(|line| line.trim() == "aof_pending_bio_fsync:1") {
            return Ok(true);
        }
        sleep(Duration::from_millis(20));
    }
    Ok(false)
}

/// Makes the fsyncs of a process slow until it is dropped.
struct SlowSyncs(Child);

impl SlowSyncs {
    fn of(server: &Server) -> Result<SlowSyncs, String> {
        let told = std::env::temp_dir().join(format!("tenon-bench-strace-{}", server.pid()));
        let log = File::create(&told).map_err(|error| format!("{}: {error}", told.display()))?;
        let child = Command::new("strace")
            .args(["-f", "-o", "/dev/null", "-e", "trace=fdatasync,fsync"])
            .arg(format!("--inject=fdatasync,fsync:delay_exit={}", DELAY.as_micros()))
            .args(["-p", &server.pid().to_string()])
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("strace: {error}"))?;
        let slow = SlowSyncs(child);
        let until = Instant::now() + ATTACHED_WITHIN;
        let said = loop {
            let said = fs::read_to_string(&told).unwrap_or_default();
            if said.contains("attached") || Instant::now() > until {
                break said;
            }
            sleep(Duration::from_millis(20));
        };
        let _ = fs::remove_file(&told);
        if said.contains("attached") { Ok(slow) } else { Err(format!("strace does not attach: {said}")) }
    }
}

impl Drop for SlowSyncs {
    fn drop(&mut self) {
        // It lets go of the server when it is asked to end.
        let asked = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        if !asked.is_ok_and(|status| status.success()) {
            let _ = self.0.kill();
        }
        let _ = self.0.wait();
    }
}
