//! How many reads find their key when a tenth of the keys fit: keys are read by Zipf's law, and a key that is not there
//! is written, as a cache is used.
//! Always: both servers may hold as many keys as fit into what a tenth of them took; both see the same sequence.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::figures::{Bar, Row, median, print_header};
use super::options::Options;
use super::server::{Aof, Contender, Server};
use super::wire::{Dice, Numbered, Wire, connect, preload};

const POLICIES: [&str; 4] = ["allkeys-lru", "allkeys-lfu", "volatile-lru", "allkeys-random"];
/// Of so many keys one fits.
const FITTING_SHARE: u32 = 10;
const VALUE_BYTES: usize = 64;
/// The law's exponent: what caches see.
const SKEW: f64 = 0.99;
const BATCH: usize = 50;
/// Requests a second: access clocks count whole seconds, so a run must take many of them.
const REQUESTS_PER_SECOND: f64 = 40_000.0;
/// Times the measured seconds of another case, once to settle and once to measure.
const SPANS: f64 = 5.0;

/// Prints one line for each policy that the options want.
pub(super) fn run(options: &Options, contenders: &[Contender; 2]) -> Result<(), String> {
    print_header();
    let law = Zipf::new(options.keys);
    for policy in POLICIES.into_iter().filter(|name| options.wants(name)) {
        let mut shares = [Vec::new(), Vec::new()];
        for round in 1..=options.rounds {
            eprintln!("round {round} of {}, {policy} ...", options.rounds);
            for (contender, shares) in contenders.iter().zip(&mut shares) {
                shares.push(measure(contender, policy, &law, options, round as u64)?);
            }
        }
        let [tenon, redis] = shares.map(median);
        let name = format!("hits, {policy}");
        let bar = if policy == "allkeys-random" { Bar::None } else { Bar::RatioAtLeast(1.0) };
        let note = format!("{} keys, a tenth fits, Zipf {SKEW}", options.keys);
        Row { name, unit: "%", tenon: tenon * 100.0, redis: redis * 100.0, bar, note }.print();
    }
    Ok(())
}

fn measure(
    contender: &Contender,
    policy: &str,
    law: &Zipf,
    options: &Options,
    seed: u64,
) -> Result<f64, String> {
    let server = contender.start(Aof::Off, None, &["--maxmemory-policy", policy])?;
    limit(&server, options.keys / FITTING_SHARE)?;
    let expires = policy.starts_with("volatile-");
    let mut cache = Cache::new(&server, expires, seed)?;
    let span = options.duration().mul_f64(SPANS);
    cache.use_for(span, law)?;
    (cache.reads, cache.hits) = (0, 0);
    cache.use_for(span, law)?;
    Ok(cache.hits as f64 / cache.reads as f64)
}

/// Lets the server hold what `keys` keys take.
fn limit(server: &Server, keys: u32) -> Result<(), String> {
    preload(server.port, keys, VALUE_BYTES)?;
    let mut wire = Wire::connect(server.port)?;
    let used = wire.info("memory", "used_memory")?;
    wire.command(&["FLUSHALL"])?;
    wire.command(&["CONFIG", "SET", "maxmemory", &used])?;
    Ok(())
}

/// A client that reads keys, and writes those that it did not find.
struct Cache {
    stream: BufReader<TcpStream>,
    get: Numbered,
    set: Vec<u8>,
    set_key: Numbered,
    dice: Dice,
    reads: u64,
    hits: u64,
}

impl Cache {
    fn new(server: &Server, expires: bool, seed: u64) -> Result<Cache, String> {
        let set_key = Numbered::new(Some(VALUE_BYTES));
        let mut set = set_key.bytes.clone();
        if expires {
            set.splice(..4, *b"*5\r\n");
            set.extend_from_slice(b"$2\r\nEX\r\n$6\r\n100000\r\n");
        }
        let stream = BufReader::new(connect(server.port)?);
        Ok(Cache { stream, get: Numbered::new(None), set, set_key, dice: Dice::new(seed), reads: 0, hits: 0 })
    }

    fn use_for(&mut self, span: Duration, law: &Zipf) -> Result<(), String> {
        let began = Instant::now();
        let mut batches = 0_u32;
        while began.elapsed() < span {
            self.read_some(law).map_err(|error| format!("client: {error}"))?;
            batches += 1;
            let due = f64::from(batches) * BATCH as f64 / REQUESTS_PER_SECOND;
            std::thread::sleep(Duration::from_secs_f64(due).saturating_sub(began.elapsed()));
        }
        Ok(())
    }

    fn read_some(&mut self, law: &Zipf) -> std::io::Result<()> {
        let keys: Vec<u32> = (0..BATCH).map(|_| law.draw(&mut self.dice)).collect();
        let mut requests = self.get.bytes.repeat(BATCH);
        for (request, key) in requests.chunks_mut(self.get.bytes.len()).zip(&keys) {
            self.get.number(request, *key);
        }
        self.stream.get_mut().write_all(&requests)?;
        let mut missing = Vec::new();
        for key in keys {
            if !self.finds()? {
                missing.push(key);
            }
        }
        let mut writes = self.set.repeat(missing.len());
        for (request, key) in writes.chunks_mut(self.set.len()).zip(&missing) {
            self.set_key.number(request, *key);
        }
        self.stream.get_mut().write_all(&writes)?;
        let mut replies = vec![0; missing.len() * b"+OK\r\n".len()];
        self.stream.read_exact(&mut replies)?;
        if replies.chunks(5).any(|reply| reply != b"+OK\r\n") {
            return Err(std::io::Error::other(format!("found {:?}", String::from_utf8_lossy(&replies))));
        }
        self.reads += BATCH as u64;
        self.hits += (BATCH - missing.len()) as u64;
        Ok(())
    }

    /// Reads the reply to one GET.
    fn finds(&mut self) -> std::io::Result<bool> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        match line.as_str() {
            "$-1\r\n" => Ok(false),
            "$64\r\n" => self.stream.read_exact(&mut [0; VALUE_BYTES + 2]).map(|()| true),
            other => Err(std::io::Error::other(format!("found {other:?}"))),
        }
    }
}

/// Draws numbers whose frequency falls with their rank.
struct Zipf {
    /// Sums of weights up to each rank.
    sums: Vec<f64>,
}

impl Zipf {
    fn new(count: u32) -> Zipf {
        let weights = (1..=count).map(|rank| f64::from(rank).powf(-SKEW));
        let sums = weights.scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        Zipf { sums: sums.collect() }
    }

    fn draw(&self, dice: &mut Dice) -> u32 {
        let total = self.sums.last().copied().unwrap_or(0.0);
        let place = f64::from(dice.below(u32::MAX)) / f64::from(u32::MAX) * total;
        let rank = self.sums.partition_point(|sum| *sum <= place) as u32;
        // Frequent keys are not neighbours.
        (u64::from(rank) * 2_654_435_761 % self.sums.len() as u64) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_ranks_are_drawn_most() {
        let (law, mut dice) = (Zipf::new(1000), Dice::new(3));
        let mut counts = vec![0; 1000];
        (0..100_000).for_each(|_| counts[law.draw(&mut dice) as usize] += 1);
        counts.sort_unstable_by_key(|count| std::cmp::Reverse(*count));
        assert!((12_000..15_000).contains(&counts[0]), "{}", counts[0]);
        assert!((5_500..8_000).contains(&counts[1]), "{}", counts[1]);
    }
}
