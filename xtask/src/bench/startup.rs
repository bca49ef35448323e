//! How long a start takes that loads millions of keys, from an RDB file and from an append-only file of commands.
//! Each server loads what it wrote itself; the time runs from the start of the process to its first PONG.

use std::time::Instant;

use super::figures::{Bar, Row, median, print_header};
use super::load::VALUE_BYTES;
use super::options::Options;
use super::process::processor_time;
use super::server::{Aof, Contender};
use super::wire::{Wire, preload};

/// The file that is loaded.
#[derive(Clone, Copy)]
enum File {
    Snapshot,
    Log,
}

/// One start.
struct Outcome {
    wall_s: f64,
    processor_s: f64,
}

/// Prints what was measured, medians of all rounds.
pub(super) fn run(options: &Options, contenders: &[Contender; 2]) -> Result<(), String> {
    let files = [(File::Snapshot, "load of an RDB file"), (File::Log, "load of an append-only file")];
    let mut outcomes: [[Vec<Outcome>; 2]; 2] = Default::default();
    for round in 1..=options.rounds {
        for (contender, outcomes) in contenders.iter().zip(&mut outcomes) {
            for ((file, name), outcomes) in files.iter().zip(outcomes) {
                if options.wants(name) {
                    eprintln!("round {round} of {}, {}, {name} ...", options.rounds, contender.name);
                    outcomes.push(measure(contender, *file, options.memory_keys)?);
                }
            }
        }
    }
    print_header();
    for (index, (_, name)) in files.iter().enumerate() {
        let [tenon, redis] = [&outcomes[0][index], &outcomes[1][index]];
        if tenon.is_empty() {
            continue;
        }
        let of = |figure: fn(&Outcome) -> f64| [tenon, redis].map(|of| median(of.iter().map(figure)));
        let note = format!("{} keys with values of {VALUE_BYTES} bytes", options.memory_keys);
        let [tenon, redis] = of(|outcome| outcome.wall_s);
        Row { name: (*name).to_owned(), unit: "s", tenon, redis, bar: Bar::RatioAtMost(0.6), note }.print();
        let [tenon, redis] = of(|outcome| outcome.processor_s);
        Row { name: String::new(), unit: "s CPU", tenon, redis, bar: Bar::None, note: String::new() }.print();
    }
    Ok(())
}

fn measure(contender: &Contender, file: File, keys: u32) -> Result<Outcome, String> {
    let aof = if matches!(file, File::Log) { Aof::Everysec } else { Aof::Off };
    let server = contender.start(aof, None, &[])?;
    preload(server.port, keys, VALUE_BYTES)?;
    if matches!(file, File::Snapshot) {
        Wire::connect(server.port)?.command(&["SAVE"])?;
    }
    let directory = server.kill();
    let began = Instant::now();
    let server = contender.start_in(directory, aof, None, &[])?;
    let outcome = Outcome {
        wall_s: began.elapsed().as_secs_f64(),
        processor_s: processor_time(server.pid())?.as_secs_f64(),
    };
    let found = Wire::connect(server.port)?.command(&["DBSIZE"])?;
    if found != keys.to_string() {
        return Err(format!("{}: found {found} keys after the start; expected {keys}", contender.name));
    }
    Ok(outcome)
}
