//! How long BGSAVE and BGREWRITEAOF make a client wait, and how much memory they take: among many keys, one of them a
//! large sorted set, or with `--large` among fewer keys and one large value of every type, each written all the while.
//! Each is compared with a control window of the same length on the same server without it.

use std::io::{BufRead, BufReader, Write};
use std::time::Duration;

use super::beside::{Beside, under_load, watch};
use super::figures::{Bar, Row, median, print_header};
use super::load::VALUE_BYTES;
use super::options::Options;
use super::pace::{Felt, Heard, Probe, Question};
use super::server::{Aof, Contender, Server};
use super::wire::{Wire, connect, preload};

const SAVED_WITHIN: Duration = Duration::from_secs(300);

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

/// A large value: how it is filled and what is written to it meanwhile.
struct Large {
    key: &'static str,
    command: &'static str,
    /// Says how many members there are.
    count: &'static str,
    member: fn(u32) -> Vec<String>,
    is_one_a_command: bool,
    writes: &'static [(&'static [&'static str], &'static [u8])],
}

/// The sorted set first: it is there without `--large`, too.
const LARGE: [Large; 5] = [
    Large {
        key: "large:zset",
        command: "ZADD",
        count: "ZCARD",
        member: |number| vec![number.to_string(), format!("member:{number:09}")],
        is_one_a_command: false,
        writes: &[
            (&["ZADD", "large:zset", "700001", "member:000000007"], b":0\r\n"),
            (&["ZADD", "large:zset", "7", "member:000000007"], b":0\r\n"),
        ],
    },
    Large {
        key: "large:list",
        command: "RPUSH",
        count: "LLEN",
        member: |number| vec![format!("element:{number:09}")],
        is_one_a_command: false,
        writes: &[
            (&["LSET", "large:list", "-1000", "changed:000000001"], b"+OK\r\n"),
            (&["LSET", "large:list", "1000", "changed:000000002"], b"+OK\r\n"),
        ],
    },
    Large {
        key: "large:hash",
        command: "HSET",
        count: "HLEN",
        member: |number| vec![format!("field:{number:09}"), format!("value:{number:09}")],
        is_one_a_command: false,
        writes: &[(&["HSET", "large:hash", "field:000100000", "changed"], b":0\r\n")],
    },
    Large {
        key: "large:set",
        command: "SADD",
        count: "SCARD",
        member: |number| vec![format!("member:{number:09}")],
        is_one_a_command: false,
        writes: &[
            (&["SREM", "large:set", "member:000000011"], b":1\r\n"),
            (&["SADD", "large:set", "member:000000011"], b":1\r\n"),
        ],
    },
    Large {
        key: "large:stream",
        command: "XADD",
        count: "XLEN",
        member: |number| vec![format!("{}-1", number + 1), "field".to_owned(), format!("value:{number:09}")],
        is_one_a_command: true,
        writes: &[(&["XADD", "large:stream", "*", "field", "value"], b"$15\r\n?????????????-?\r\n")],
    },
];

/// One job under load, and the same time without it.
struct Run {
    during: Heard,
    control: Heard,
    took: Duration,
    /// Peak over the memory before, as a share of it.
    growth: f64,
}

/// All runs of a job with one server.
struct Summary {
    during: Vec<Felt>,
    control: Vec<Felt>,
    /// What was felt in all runs together: what is rare needs many questions.
    together: Felt,
    control_together: Felt,
    took: Vec<f64>,
    growth: Vec<f64>,
}

/// One line of the report.
type Figure = fn(&Summary) -> f64;

/// Runs every round on a fresh server and prints medians of all runs.
pub(super) fn run(options: &Options, contenders: &[Contender; 2]) -> Result<(), String> {
    let mut runs: [[Vec<Run>; 2]; 2] = Default::default();
    for round in 1..=options.rounds {
        for (contender, jobs) in contenders.iter().zip(&mut runs) {
            eprintln!("round {round} of {}, {} ...", options.rounds, contender.name);
            for ran in run_round(options, contender)? {
                jobs.iter_mut().zip(ran).for_each(|(runs, run)| runs.push(run));
            }
        }
    }
    print_header();
    let [tenon, redis] = runs.map(|jobs| jobs.map(|runs| Summary::of(&runs)));
    for (index, job) in JOBS.iter().enumerate() {
        let rows: [(&str, &str, Bar, Figure); 8] = [
            ("longest stall over control", "ms", Bar::AtMost(10.0), |all| {
                middle(&all.during, longest) - middle(&all.control, longest)
            }),
            ("longest stall", "ms", Bar::None, |all| middle(&all.during, longest)),
            ("longest stall, control", "ms", Bar::None, |all| middle(&all.control, longest)),
            ("99.9 % below", "ms", Bar::None, |all| milliseconds(all.together.p999)),
            ("99.9 % over control", "times", Bar::AtMost(2.0), |all| {
                all.together.p999.as_secs_f64() / all.control_together.p999.as_secs_f64().max(1e-6)
            }),
            ("99.99 % over control", "ms", Bar::AtMost(10.0), |all| {
                milliseconds(all.together.p9999) - milliseconds(all.control_together.p9999)
            }),
            ("memory growth", "%", Bar::AtMost(10.0), |all| median(all.growth.iter().copied()) * 100.0),
            ("duration", "s", Bar::RatioAtMost(1.0), |all| median(all.took.iter().copied())),
        ];
        for (what, unit, bar, figure) in rows {
            let name = format!("{}, {what}", if index == 0 { "save" } else { "rewrite" });
            let [tenon, redis] = [&tenon[index], &redis[index]].map(figure);
            Row { name, unit, tenon, redis, bar, note: job.command.to_owned() }.print();
        }
    }
    let (keys, members, rate) = (options.keys, options.members, options.rate);
    let large = if options.large { "one value of every type" } else { "one sorted set" };
    println!(
        "\n{keys} keys of {VALUE_BYTES} bytes, {large} of {members}, {rate} SET/s, {} of each job: medians, and what \
         99.9 % of all questions together were below",
        options.rounds * options.saves
    );
    Ok(())
}

impl Summary {
    fn of(runs: &[Run]) -> Summary {
        Summary {
            during: runs.iter().map(|run| run.during.felt()).collect(),
            control: runs.iter().map(|run| run.control.felt()).collect(),
            together: Heard::together(runs.iter().map(|run| &run.during)).felt(),
            control_together: Heard::together(runs.iter().map(|run| &run.control)).felt(),
            took: runs.iter().map(|run| run.took.as_secs_f64()).collect(),
            growth: runs.iter().map(|run| run.growth).collect(),
        }
    }
}

fn run_round(options: &Options, contender: &Contender) -> Result<Vec<[Run; 2]>, String> {
    let server = contender.start(Aof::Everysec, None, &[])?;
    preload(server.port, options.keys, VALUE_BYTES)?;
    let kinds = if options.large { &LARGE[..] } else { &LARGE[..1] };
    for kind in kinds {
        preload_large(server.port, kind, options.members)?;
    }
    let asked: Vec<Question> = match options.large {
        true => LARGE
            .iter()
            .flat_map(|kind| kind.writes)
            .map(|(words, answer)| Question::new(words, answer))
            .collect(),
        false => Vec::new(),
    };
    under_load(server.port, options.rate, options.keys, &asked, |probe| {
        let [save, rewrite] = &JOBS;
        (0..options.saves)
            .map(|_| Ok([observe(&server, probe, save)?, observe(&server, probe, rewrite)?]))
            .collect()
    })
}

/// The job and then its control, each after the server has settled.
fn observe(server: &Server, probe: &Probe, job: &Job) -> Result<Run, String> {
    let (mut asking, mut wire) = (Wire::connect(server.port)?, Wire::connect(server.port)?);
    let begin = || asking.command(&[job.command]).map(drop);
    let is_over = || Ok(wire.info("persistence", job.running)? == "0");
    let Beside { during, control, took, before_bytes, peak_bytes } =
        watch(server, probe, job.command, SAVED_WITHIN, begin, is_over)?;
    let status = wire.info("persistence", job.status)?;
    if status != "ok" {
        return Err(format!(
            "{}: {} ended with {} {status}; expected ok",
            server.name, job.command, job.status
        ));
    }
    Ok(Run { during, control, took, growth: (peak_bytes - before_bytes) as f64 / before_bytes as f64 })
}

/// Adds members 0 to `members`, a hundred a command where the type takes so many.
fn preload_large(port: u16, kind: &Large, members: u32) -> Result<(), String> {
    const BATCH: u32 = 100;
    let mut stream = BufReader::new(connect(port)?);
    let mut next = 0;
    while next < members {
        let count = BATCH.min(members - next);
        let mut bytes = Vec::new();
        let mut words = vec![kind.command.to_owned(), kind.key.to_owned()];
        for number in next..next + count {
            words.extend((kind.member)(number));
            if kind.is_one_a_command {
                let split: Vec<&str> = words.iter().map(String::as_str).collect();
                bytes.extend(super::wire::request(&split));
                words.truncate(2);
            }
        }
        if !kind.is_one_a_command {
            let split: Vec<&str> = words.iter().map(String::as_str).collect();
            bytes = super::wire::request(&split);
        }
        stream.get_mut().write_all(&bytes).map_err(|error| format!("preload of {}: {error}", kind.key))?;
        let replies = if kind.is_one_a_command { count } else { 1 };
        read_replies(&mut stream, replies).map_err(|error| format!("preload of {}: {error}", kind.key))?;
        next += count;
    }
    let size = Wire::connect(port)?.command(&[kind.count, kind.key])?;
    match size == members.to_string() {
        true => Ok(()),
        false => Err(format!("preload of {}: found {size} members; expected {members}", kind.key)),
    }
}

/// Reads integers and bulk strings, so many.
fn read_replies(stream: &mut impl BufRead, replies: u32) -> Result<(), String> {
    let mut line = String::new();
    let mut wanted = replies;
    while wanted > 0 {
        line.clear();
        stream.read_line(&mut line).map_err(|error| error.to_string())?;
        match line.chars().next() {
            Some('$') => {} // its text is a line of its own
            Some('-') | None => return Err(format!("found {line:?}")),
            _ => wanted -= 1,
        }
    }
    Ok(())
}

fn longest(felt: &Felt) -> f64 {
    milliseconds(felt.longest)
}

fn middle(runs: &[Felt], figure: fn(&Felt) -> f64) -> f64 {
    median(runs.iter().map(figure))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
