//! Server processor time per request for commands of every type, on small and on large values, 16 in a pipeline.
//! Small values are many and asked for at random, as in the bench of GET and SET; of large ones there are few.
//! Both servers hold the same keys at the same time and are measured in turn, case by case.
//! Always: an error reply ends a case; a command that a server has not got leaves its case out, with a line.

mod cases;
mod client;
mod template;

use super::figures::{Bar, Row, median, print_header};
use super::load::{Sample, measure_clients};
use super::options::Options;
use super::process::Processors;
use super::server::{Aof, Contender, Server};
use super::wire::Wire;
use cases::{CASES, Case};
use client::Client;

/// Requests in a batch.
const PIPELINE: usize = 16;
/// What the median of all ratios is held against.
const MEDIAN_MAX: f64 = 0.6;

/// Measures the cases that the options want and prints them.
pub(super) fn run(options: &Options, contenders: &[Contender; 2]) -> Result<(), String> {
    let wanted: Vec<&Case> = CASES.iter().filter(|case| options.wants(case.name)).collect();
    let mut costs: Vec<[Vec<f64>; 2]> = wanted.iter().map(|_| Default::default()).collect();
    let mut left_out = Vec::new();
    for round in 1..=options.rounds {
        eprintln!("round {round} of {} ...", options.rounds);
        let Processors { server, client } = Processors::divided();
        let servers = Server::start_both(contenders, Aof::Off, server.as_deref())?;
        for (case, costs) in wanted.iter().zip(&mut costs) {
            let lacks = servers.iter().filter_map(|server| lacking(server, case).transpose()).next();
            if let Some(sentence) = lacks.transpose()? {
                if round == 1 {
                    left_out.push(sentence);
                }
                continue;
            }
            for (server, costs) in servers.iter().zip(costs) {
                let sample = measure_case(server, case, options, &client)
                    .map_err(|error| format!("{}, {}: {error}", server.name, case.name))?;
                costs.push(sample.cost_us);
            }
        }
    }
    print(&wanted, &costs, &left_out, options);
    Ok(())
}

/// A sentence where the server has not got a command of the case.
fn lacking(server: &Server, case: &Case) -> Result<Option<String>, String> {
    let mut wire = Wire::connect(server.port)?;
    for text in case.fill.iter().map(|(_, text)| text).chain(case.requests) {
        let name = text.split(' ').next().unwrap_or_default();
        let listed = wire.elements(&["COMMAND", "LIST", "FILTERBY", "PATTERN", &name.to_lowercase()])?;
        if listed == 0 {
            return Ok(Some(format!("left out: {}: {} has no {name}", case.name, server.name)));
        }
    }
    Ok(None)
}

fn measure_case(
    server: &Server,
    case: &Case,
    options: &Options,
    processors: &[u32],
) -> Result<Sample, String> {
    Wire::connect(server.port)?.command(&["FLUSHALL"])?;
    client::fill(server.port, case, options)?;
    let make = |connections, seed| Client::new(server.port, case, options, PIPELINE, connections, seed);
    measure_clients(server, processors, options.duration(), make)
}

fn print(cases: &[&Case], costs: &[[Vec<f64>; 2]], left_out: &[String], options: &Options) {
    print_header();
    let mut ratios = Vec::new();
    for (case, [tenon, redis]) in cases.iter().zip(costs) {
        if tenon.is_empty() || redis.is_empty() {
            continue;
        }
        let [tenon, redis] = [tenon, redis].map(|costs| median(costs.iter().copied()));
        ratios.push((tenon / redis, case.name));
        let keys = case.size.keys(options.small_keys);
        let note = if keys == 1 { "one key".to_owned() } else { format!("{keys} keys at random") };
        let (name, bar) = (case.name.to_owned(), Bar::RatioAtMost(1.0));
        Row { name, unit: "us CPU/req", tenon, redis, bar, note }.print();
    }
    left_out.iter().for_each(|sentence| println!("{sentence}"));
    let Some((worst, name)) = ratios.iter().copied().max_by(|left, right| left.0.total_cmp(&right.0)) else {
        return;
    };
    let middle = median(ratios.iter().map(|(ratio, _)| *ratio));
    let verdict = |holds: bool| if holds { "ok" } else { "MISSED" };
    println!(
        "\n{} cases, pipeline {PIPELINE}: median {middle:.2} (<= {MEDIAN_MAX:.2} {}), worst {worst:.2} (<= 1.00 {}): {name}",
        ratios.len(),
        verdict(middle <= MEDIAN_MAX),
        verdict(worst <= 1.0)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_cases_of_every_type() {
        assert!(CASES.len() >= 30, "{} cases", CASES.len());
        let names: std::collections::BTreeSet<&str> = CASES.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), CASES.len(), "two cases have one name");
    }
}
