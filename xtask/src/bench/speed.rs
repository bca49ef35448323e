//! Server processor time per request, and requests per second, on a million keys.
//! Both servers run at the same time and are measured in turn, so that both see the same machine.

use std::process::Command;

use super::figures::{Bar, Row, median, print_header};
use super::load::{Asked, Sample, VALUE_BYTES, circumstances, measure};
use super::options::Options;
use super::process::Processors;
use super::server::{Aof, Contender, Server};
use super::wire::{Wire, preload};
use crate::workspace::on_path;

struct Case {
    asked: Asked,
    pipeline: usize,
    aof: Aof,
    bar: Bar,
}

const CASES: [Case; 9] = [
    Case { asked: Asked::Get, pipeline: 1, aof: Aof::Off, bar: Bar::RatioAtMost(0.85) },
    Case { asked: Asked::Get, pipeline: 16, aof: Aof::Off, bar: Bar::RatioAtMost(0.50) },
    Case { asked: Asked::Get, pipeline: 100, aof: Aof::Off, bar: Bar::RatioAtMost(0.35) },
    Case { asked: Asked::Set, pipeline: 1, aof: Aof::Off, bar: Bar::RatioAtMost(0.85) },
    Case { asked: Asked::Set, pipeline: 16, aof: Aof::Off, bar: Bar::RatioAtMost(0.50) },
    Case { asked: Asked::Set, pipeline: 100, aof: Aof::Off, bar: Bar::RatioAtMost(0.35) },
    Case { asked: Asked::Set, pipeline: 1, aof: Aof::Everysec, bar: Bar::RatioAtMost(0.95) },
    Case { asked: Asked::Set, pipeline: 16, aof: Aof::Everysec, bar: Bar::RatioAtMost(0.60) },
    Case { asked: Asked::Set, pipeline: 100, aof: Aof::Everysec, bar: Bar::None },
];

/// A sample and the share of it that policies took, where the server has policies.
struct Measured {
    sample: Sample,
    policies: Option<f64>,
}

/// Samples of one case, by contender and round.
type Samples = [Vec<Measured>; 2];

impl Case {
    fn name(&self) -> String {
        let command = if self.asked == Asked::Get { "GET" } else { "SET" };
        let aof = if self.aof == Aof::Off { "" } else { ", everysec" };
        format!("{command}, pipeline {}{aof}", self.pipeline)
    }
}

/// Measures the cases that the options want and prints them.
pub(super) fn run(options: &Options, contenders: &[Contender; 2]) -> Result<(), String> {
    let mut table: Vec<(&Case, Samples)> = Vec::new();
    for aof in [Aof::Off, Aof::Everysec] {
        let wanted = CASES.iter().filter(|case| case.aof == aof && options.wants(&case.name()));
        let mut samples: Vec<(&Case, Samples)> = wanted.map(|case| (case, Samples::default())).collect();
        for round in 1..=options.rounds {
            if !samples.is_empty() {
                eprintln!("round {round} of {}, {aof:?} ...", options.rounds);
                run_round(options, contenders, aof, &mut samples)?;
            }
        }
        table.extend(samples);
    }
    if !table.is_empty() {
        print_samples(&table);
    }
    run_redis_benchmark(options, contenders)
}

fn run_round(
    options: &Options,
    contenders: &[Contender; 2],
    aof: Aof,
    table: &mut [(&Case, Samples)],
) -> Result<(), String> {
    let processors = if options.undivided { Processors::default() } else { Processors::divided() };
    let Processors { server, client } = processors;
    let servers = Server::start_both(contenders, aof, server.as_deref())?;
    for server in &servers {
        preload(server.port, options.keys, VALUE_BYTES)?;
    }
    for (case, samples) in table {
        for (server, samples) in servers.iter().zip(samples) {
            let before = policy_calls(server)?;
            let duration = options.duration();
            let sample = measure(server, case.asked, case.pipeline, options.keys, &client, duration)
                .map_err(|error| format!("{}, {}: {error}", server.name, case.name()))?;
            let after = policy_calls(server)?;
            let policies = policy_share(&before, &after, sample.processor.as_secs_f64());
            samples.push(Measured { sample, policies });
        }
    }
    Ok(())
}

/// Calls and nanoseconds per call of each policy, from `INFO policies`; empty where there are none.
fn policy_calls(server: &Server) -> Result<Vec<(f64, f64)>, String> {
    let text = Wire::connect(server.port)?.command(&["INFO", "policies"])?;
    Ok(text.lines().filter_map(policy_line).collect())
}

/// Reads `policy_fsync:running=builtin,status=component,calls=12,call_ns=135,fallbacks=0`.
fn policy_line(line: &str) -> Option<(f64, f64)> {
    let (_, fields) = line.strip_prefix("policy_")?.split_once(':')?;
    let field = |name: &str| {
        let mut fields = fields.trim().split(',');
        fields.find_map(|field| field.strip_prefix(name)?.strip_prefix('=')?.parse::<f64>().ok())
    };
    Some((field("calls")?, field("call_ns")?))
}

/// The calls made meanwhile, times their cost, over the server's processor time in seconds.
fn policy_share(before: &[(f64, f64)], after: &[(f64, f64)], processor_s: f64) -> Option<f64> {
    let spent = after.iter().zip(before).map(|((calls, cost_ns), (earlier, _))| (calls - earlier) * cost_ns);
    (!after.is_empty()).then(|| spent.fold(0.0, |sum, spent| sum + spent) / 1e9 / processor_s)
}

fn print_samples(table: &[(&Case, Samples)]) {
    print_header();
    for (case, [tenon, redis]) in table {
        let middle = |of: &[Measured], figure: fn(&Measured) -> f64| median(of.iter().map(figure));
        let mut note = circumstances([tenon, redis].map(|of| of.iter().map(|measured| &measured.sample)));
        let shares: Vec<f64> = tenon.iter().filter_map(|measured| measured.policies).collect();
        if case.aof == Aof::Everysec && !shares.is_empty() {
            note += &format!(", policies {:.3} % of Tenon's CPU (bar 1 %)", median(shares) * 100.0);
        }
        let cost = |measured: &Measured| measured.sample.cost_us;
        let rate = |measured: &Measured| measured.sample.requests_per_second;
        let (name, bar) = (case.name(), case.bar);
        Row { name, unit: "us CPU/req", tenon: middle(tenon, cost), redis: middle(redis, cost), bar, note }
            .print();
        let (name, bar, note) = (String::new(), Bar::None, String::new());
        Row { name, unit: "req/s", tenon: middle(tenon, rate), redis: middle(redis, rate), bar, note }
            .print();
    }
}

/// GET without pipelining as redis-benchmark sees it, nothing bound to a processor.
fn run_redis_benchmark(options: &Options, contenders: &[Contender; 2]) -> Result<(), String> {
    let name = "redis-benchmark, GET";
    if !options.wants(name) {
        return Ok(());
    }
    if on_path("redis-benchmark").is_none() {
        println!("skipped: {name}: redis-benchmark is not on the PATH (apt-get install redis-tools)");
        return Ok(());
    }
    let [first, second] = contenders;
    let servers = [first.start(Aof::Off, None, &[])?, second.start(Aof::Off, None, &[])?];
    for server in &servers {
        preload(server.port, options.keys, VALUE_BYTES)?;
    }
    let mut rates = [Vec::new(), Vec::new()];
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}, redis-benchmark ...", options.rounds);
        for (server, rates) in servers.iter().zip(&mut rates) {
            rates.push(redis_benchmark(server, options)?);
        }
    }
    let [tenon, redis] = rates.map(median);
    print_header();
    let note = "50 clients, pipeline 1".to_owned();
    Row { name: name.to_owned(), unit: "req/s", tenon, redis, bar: Bar::RatioAtLeast(1.0), note }.print();
    Ok(())
}

fn redis_benchmark(server: &Server, options: &Options) -> Result<f64, String> {
    // About what a server answers in the time wished for; the tool counts requests, not seconds.
    let requests = (options.seconds * 100_000.0) as u64;
    let output = Command::new("redis-benchmark")
        .args(["-h", "127.0.0.1", "-p", &server.port.to_string(), "-t", "get", "-c", "50", "--csv"])
        .args(["-n", &requests.to_string(), "-r", &options.keys.to_string(), "-d", &VALUE_BYTES.to_string()])
        .output()
        .map_err(|error| format!("redis-benchmark: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rate = text.lines().find_map(|line| line.strip_prefix("\"GET\",\"")?.split('"').next()?.parse().ok());
    rate.ok_or(format!("redis-benchmark against {}: found no figure in {text:?}", server.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_of_policies_is_read_from_info() {
        let line =
            "policy_fsync:running=builtin,status=component,calls=1000,call_ns=200,fallbacks=0,refused=0\r";
        assert_eq!(policy_line(line), Some((1000.0, 200.0)));
        assert_eq!(policy_line("used_memory:1"), None);
        let share = policy_share(&[(1000.0, 100.0)], &[(51_000.0, 200.0)], 1.0).expect("there is a policy");
        assert!((share - 0.01).abs() < 1e-9, "50,000 calls of 200 ns are 1 % of a second, not {share}");
        assert_eq!(policy_share(&[], &[], 1.0), None);
    }
}
