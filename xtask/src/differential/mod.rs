//! `cargo xtask differential`: random commands to Tenon and to redis-server, whose replies and keyspaces must be equal.
//! What there is to call is read from redis-server's own table; what Tenon has not is said and left out.
//! Always: the seed is printed, and a seed gives the same calls again; the first difference ends the run with status 1.

mod grammar; // what can be called
mod words;

mod bounds;
mod companions;
mod generate;

mod epoch; // what is called, and what must come of it
mod exchange;
mod replicas;
mod rules;
mod state;
mod waiting;

mod chance; // what serves them
mod pair;
mod reply;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::bench;
use crate::bench::server::{Aof, Contender};
use epoch::Setting;
use generate::{Call, Generator};
use grammar::Command;
use pair::{Line, Pair, shown};
use replicas::Length;
use waiting::Waiter;

const USAGE: &str = "\
usage: cargo xtask differential [OPTION...]

  --commands N     how many commands (200000)
  --seed S         the same commands again (from the time)
  --epoch N        only this stretch of the seed's commands
  --differences N  go on after a difference, until there are so many (1)
  --only TEXT      only commands whose name contains TEXT, and those that fill keys
  --exceptions     instead: what need not be equal byte for byte, and why
  --replicas       instead: servers follow each other, also in a chain, links are cut, and all must hold the same
  --seconds N      with --replicas: so long in each order, instead of --commands
  --server PATH    this server instead of building and running target/release/tenon
  --redis PATH     this judge instead of the redis-server on the PATH
";

/// Calls between two times that everything is emptied and compared.
const EPOCH: usize = 2000;

/// What both servers are started with: DEBUG answers, nothing grows large, and Redis looks often whether somebody has
/// waited long enough.
const ARGUMENTS: [&str; 6] = ["--enable-debug-command", "yes", "--proto-max-bulk-len", "1mb", "--hz", "500"];

/// Commands that are not called, and why.
const NEVER: [(&str, &str); 2] = [
    ("migrate", "it would need a third server"),
    ("pfselftest", "it takes a second, and tests a server's own code"),
];

struct Options {
    commands: usize,
    seed: u64,
    epoch: Option<usize>,
    differences: usize,
    only: String,
    replicas: bool,
    seconds: Option<u64>,
    server: Option<PathBuf>,
    redis: PathBuf,
}

/// Runs what the words after `differential` ask for.
pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    if words == ["--exceptions"] {
        let never = NEVER.iter().map(|(name, reason)| format!("{name}: not called: {reason}"));
        let reasons = companions::REASONS
            .iter()
            .chain(&bounds::REASONS)
            .chain(&waiting::REASONS)
            .chain(&replicas::REASONS);
        let beside = reasons.map(|(names, reason)| format!("{names}: {reason}"));
        rules::exceptions().into_iter().chain(beside).chain(never).for_each(|line| println!("{line}"));
        return Ok(());
    }
    let Some(options) = parse(words)? else {
        print!("{USAGE}");
        return Ok(());
    };
    let tenon = match &options.server {
        Some(path) => path.clone(),
        None => bench::built()?,
    };
    compare(&tenon, &options)
}

/// The run that is part of the check: the same commands every time.
pub(crate) fn run_short(tenon: &Path) -> Result<(), String> {
    const COMMANDS: usize = 20_000;
    const SEED: u64 = 1;
    compare(tenon, &Options { commands: COMMANDS, seed: SEED, ..Options::usual() })?;
    const FOLLOWED: usize = 4_000;
    compare(tenon, &Options { commands: FOLLOWED, seed: SEED, replicas: true, ..Options::usual() })
}

impl Options {
    fn usual() -> Options {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_micros() as u64);
        Options {
            commands: 200_000,
            seed: now,
            epoch: None,
            differences: 1,
            only: String::new(),
            replicas: false,
            seconds: None,
            server: None,
            redis: PathBuf::from("redis-server"),
        }
    }
}

fn parse(words: &[&str]) -> Result<Option<Options>, String> {
    let mut options = Options::usual();
    let mut words = words.iter();
    while let Some(&option) = words.next() {
        if ["--help", "-h"].contains(&option) {
            return Ok(None);
        }
        if option == "--replicas" {
            options.replicas = true;
            continue;
        }
        let value =
            *words.next().ok_or(format!("found {option} at the end; expected its value\n\n{USAGE}"))?;
        let number = || {
            let bad = |_| format!("found {option} {value}; expected a whole number\n\n{USAGE}");
            value.parse::<u64>().map_err(bad)
        };
        match option {
            "--commands" => options.commands = number()? as usize,
            "--seed" => options.seed = number()?,
            "--epoch" => options.epoch = Some(number()? as usize),
            "--differences" => options.differences = number()? as usize,
            "--seconds" => options.seconds = Some(number()?),
            "--only" => options.only = value.to_lowercase(),
            "--server" => options.server = Some(PathBuf::from(value)),
            "--redis" => options.redis = PathBuf::from(value),
            _ => return Err(format!("found {option}; expected an option\n\n{USAGE}")),
        }
    }
    Ok(Some(options))
}

fn compare(tenon: &Path, options: &Options) -> Result<(), String> {
    let contenders =
        [Contender::new("Tenon", tenon.to_owned())?, Contender::new("Redis", options.redis.clone())?];
    let [tenon, redis] = &contenders;
    let servers = [tenon.start(Aof::Off, None, &ARGUMENTS)?, redis.start(Aof::Off, None, &ARGUMENTS)?];
    let [tenon, redis] = [Line::connect("Tenon", servers[0].port)?, Line::connect("Redis", servers[1].port)?];
    let mut pair = Pair { tenon, redis };
    if options.replicas {
        let commands = callable(&mut pair, &options.only)?;
        let payloads = payloads(&mut pair.redis)?;
        let length = match options.seconds {
            Some(seconds) => Length::For(Duration::from_secs(seconds)),
            None => Length::Commands(options.commands),
        };
        return replicas::run(&contenders, &commands, &payloads, options.seed, length, options.epoch);
    }
    let mut waiter = Waiter::connect([servers[0].port, servers[1].port])?;
    println!("{}, {}", contenders[0].version()?, contenders[1].version()?);
    let commands = callable(&mut pair, &options.only)?;
    let payloads = payloads(&mut pair.redis)?;
    println!("{} commands from seed {}, of {} kinds", options.commands, options.seed, commands.len());
    let started = Instant::now();
    let epochs = match options.epoch {
        Some(epoch) => epoch..epoch + 1,
        None => 0..options.commands.div_ceil(EPOCH).max(1),
    };
    let (mut done, mut differences) = (0, 0);
    for epoch in epochs {
        let count = if options.epoch.is_some() { EPOCH } else { EPOCH.min(options.commands - done) };
        let seed = options.seed ^ (epoch as u64).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        let mut generator = Generator::new(&commands, &payloads, seed);
        let mut calls = Vec::with_capacity(count + 1);
        while calls.len() < count {
            generator.next(&mut calls);
        }
        let setting = Setting { protocol: 2 + (epoch % 2) as u8, is_small: epoch / 2 % 2 == 1 };
        if let Some(found) = epoch::play(&mut pair, &mut waiter, setting, &calls)? {
            differences += 1;
            println!(
                "\ndifference at command {} (--seed {} --epoch {epoch})",
                done + found.after,
                options.seed
            );
            let (history, found) = epoch::shrink(&mut pair, &mut waiter, setting, &calls, found)?;
            print_difference(setting, &history, &found);
            if differences >= options.differences {
                break;
            }
        }
        done += count;
    }
    let seconds = started.elapsed().as_secs_f64();
    match differences {
        0 => {
            println!("{done} commands, no difference, {seconds:.1} s");
            Ok(())
        }
        _ => Err(format!("{differences} differences after {done} commands, {seconds:.1} s")),
    }
}

/// The commands of redis-server that are called; prints which of them Tenon has not.
fn callable(pair: &mut Pair, only: &str) -> Result<Vec<Command>, String> {
    let all = grammar::read(&mut pair.redis)?;
    let ours = grammar::names(&mut pair.tenon)?;
    let fills = |command: &Command| command.name == "del" || generate::weight(&command.name) > 1;
    let wanted = |command: &Command| command.name.contains(only) || fills(command);
    let is_never = |command: &Command| NEVER.iter().any(|(name, _)| *name == command.name);
    let (ours, missing): (Vec<Command>, Vec<Command>) = all
        .into_iter()
        .filter(|command| !is_never(command))
        .partition(|command| ours.contains(&command.name));
    if !missing.is_empty() {
        let names: Vec<&str> = missing.iter().map(|command| command.name.as_str()).collect();
        println!("not called, since Tenon has not got them: {}", names.join(" "));
    }
    for (name, reason) in NEVER {
        println!("not called: {name}: {reason}");
    }
    Ok(ours.into_iter().filter(wanted).collect())
}

/// What DUMP gives for a value of each type.
fn payloads(redis: &mut Line) -> Result<Vec<Vec<u8>>, String> {
    const FILLED: [&[&str]; 6] = [
        &["SET", "a", "some text"],
        &["RPUSH", "a", "x", "y", "3"],
        &["HSET", "a", "f", "1", "g", "2"],
        &["SADD", "a", "1", "2", "3"],
        &["ZADD", "a", "1", "x", "2.5", "y"],
        &["XADD", "a", "1-1", "f", "v"],
    ];
    let mut payloads = Vec::new();
    for request in FILLED {
        redis.ask(&["DEL", "a"])?;
        redis.ask(request)?;
        payloads.push(redis.ask(&["DUMP", "a"])?.bytes().to_vec());
    }
    redis.ask(&["DEL", "a"])?;
    let mut broken = payloads[0].clone();
    broken[3] ^= 1;
    payloads.push(broken);
    Ok(payloads)
}

fn print_difference(setting: Setting, history: &[Call], found: &epoch::Difference) {
    const SHOWN_MAX: usize = 60;
    println!("with {setting:?}, after {} calls:", history.len());
    if history.len() > SHOWN_MAX {
        println!("  ... {} more", history.len() - SHOWN_MAX);
    }
    for call in &history[history.len().saturating_sub(SHOWN_MAX)..] {
        let who = if call.is_waiting { "waits" } else { "     " };
        println!("  {who} > {}", shown(&call.words));
    }
    if found.is_about_state {
        println!("  > {}", shown(&found.request));
    }
    let [tenon, redis] = &found.replies;
    println!("  Tenon {}\n  Redis {}", shortened(tenon), shortened(redis));
}

fn shortened(reply: &reply::Reply) -> String {
    const SHOWN_MAX: usize = 2000;
    let text = reply.to_string();
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{} ...", &text[..end]),
        None => text,
    }
}
