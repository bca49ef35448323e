//! `appendfsync always`: writes a second of fifty clients, how many of them an fsync makes durable, and reads of other
//! keys beside them.
//! Always: what an fsync of this disk takes is measured first, in the directory where the servers keep their files.

use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::figures::{Bar, Row, median, print_header};
use super::load::{Asked, Client, Saturate, VALUE_BYTES, measure};
use super::options::Options;
use super::server::{Aof, Contender, Server};
use super::wire::{Wire, preload};

const PIPELINES: [usize; 2] = [1, 16];
/// Beside the writers; each has one question under way.
const READERS: usize = 10;
const PROBED_SYNCS: usize = 50;
/// From here on an fsync is worth waiting a little to share it.
const SLOW_SYNC: Duration = Duration::from_millis(1);

#[derive(Default)]
struct Outcomes {
    writes: Vec<f64>,
    /// Empty for a server that does not count its fsyncs.
    commits_per_sync: Vec<f64>,
    reads: Vec<f64>,
}

/// Prints what was measured, medians of all rounds.
pub(super) fn run(options: &Options, contenders: &[Contender; 2]) -> Result<(), String> {
    let sync = probed_sync()?;
    println!(
        "an fdatasync of 4 KiB takes {:.2} ms here (median of {PROBED_SYNCS})",
        sync.as_secs_f64() * 1e3
    );
    let mut table: [[Outcomes; 2]; 2] = Default::default();
    for round in 1..=options.rounds {
        eprintln!("round {round} of {} ...", options.rounds);
        for (at, contender) in contenders.iter().enumerate() {
            let server = contender.start(Aof::Always, None, &[])?;
            preload(server.port, options.keys.min(100_000), VALUE_BYTES)?;
            for (pipeline, outcomes) in PIPELINES.iter().zip(&mut table) {
                measure_case(&server, options, *pipeline, &mut outcomes[at])
                    .map_err(|error| format!("{}, pipeline {pipeline}: {error}", contender.name))?;
            }
        }
    }
    print_header();
    let bar = Bar::RatioAtLeast(if sync > SLOW_SYNC { 1.4 } else { 1.1 });
    for (pipeline, [tenon, redis]) in PIPELINES.iter().zip(&table) {
        let of =
            |figure: fn(&Outcomes) -> &Vec<f64>| [tenon, redis].map(|of| median(figure(of).iter().copied()));
        let row = |name: String, unit, bar, note: &str, [tenon, redis]: [f64; 2]| {
            Row { name, unit, tenon, redis, bar, note: note.to_owned() }.print();
        };
        row(format!("SET, pipeline {pipeline}, always"), "req/s", bar, "", of(|outcomes| &outcomes.writes));
        let note = "Redis does not count its fsyncs";
        row(String::new(), "commits", Bar::None, note, of(|outcomes| &outcomes.commits_per_sync));
        let note = "GETs of other keys beside the SETs";
        row(String::new(), "GET/s", Bar::RatioAtLeast(5.0), note, of(|outcomes| &outcomes.reads));
    }
    Ok(())
}

/// Writes alone, then writes with reads of other keys beside them.
fn measure_case(
    server: &Server,
    options: &Options,
    pipeline: usize,
    outcomes: &mut Outcomes,
) -> Result<(), String> {
    let keys = options.keys.min(100_000) / 2;
    let before = fsyncs(server)?;
    let began = Instant::now();
    let sample = measure(server, Asked::Set, pipeline, keys, &[], options.duration())?;
    let (took, after) = (began.elapsed().as_secs_f64(), fsyncs(server)?);
    outcomes.writes.push(sample.requests_per_second);
    if let (Some(before), Some(after)) = (before, after) {
        // The fsyncs of the warm-up are counted, too, so its writes are.
        outcomes.commits_per_sync.push(sample.requests_per_second * took / (after - before).max(1.0));
    }
    outcomes.reads.push(reads_beside(server, options, pipeline, keys)?);
    Ok(())
}

fn reads_beside(server: &Server, options: &Options, pipeline: usize, keys: u32) -> Result<f64, String> {
    let (count, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            // The upper half of the keys, which nobody writes.
            Client::new(server.port, Asked::Get, 1, keys..keys * 2, READERS, 7)?.run(&count, &stop)
        });
        let began = Instant::now();
        let writes = measure(server, Asked::Set, pipeline, keys, &[], options.duration());
        let reads = count.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64();
        stop.store(true, Ordering::Relaxed);
        reader.join().map_err(|_| "a client thread panicked".to_owned())??;
        writes.map(|_| reads)
    })
}

/// How many fsyncs the server has done; `None` if it does not say.
fn fsyncs(server: &Server) -> Result<Option<f64>, String> {
    let text = Wire::connect(server.port)?.command(&["INFO", "persistence"])?;
    let count = text.lines().find_map(|line| line.strip_prefix("aof_fsyncs:"));
    Ok(count.and_then(|count| count.trim().parse().ok()))
}

/// The median time of an fdatasync after 4 KiB were appended.
fn probed_sync() -> Result<Duration, String> {
    let path = std::env::temp_dir().join(format!("tenon-bench-sync-{}", std::process::id()));
    let probe = || -> std::io::Result<Vec<f64>> {
        let mut file = File::create(&path)?;
        let mut times = Vec::new();
        for _ in 0..PROBED_SYNCS {
            file.write_all(&[0; 4096])?;
            let began = Instant::now();
            file.sync_data()?;
            times.push(began.elapsed().as_secs_f64());
        }
        Ok(times)
    };
    let times = probe().map_err(|error| format!("{}: {error}", path.display()));
    let _ = std::fs::remove_file(&path);
    Ok(Duration::from_secs_f64(median(times?)))
}
