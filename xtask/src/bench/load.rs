//! The saturating client: fifty connections, each with one batch always under way.
//! Cheaper than any server: requests are one buffer whose key digits change, replies are counted bytes.
//! Always: a reply of another length or kind stops the run with what was received.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::figures::median;
use super::process::{Thread, bind_this_thread, machine_time, processor_time, threads};
use super::server::Server;
use super::wire::{Dice, Numbered, connect};

const CONNECTIONS: usize = 50;
const CLIENT_THREADS_MAX: usize = 2;
/// Below this share of a processor the client, not the server, was the limit.
const SATURATED: f64 = 0.95;
/// Above this many processors' worth of other programs the figures are not worth comparing.
const OTHERS_MAX: f64 = 0.1;
const WARM_UP: Duration = Duration::from_millis(500);
pub(super) const VALUE_BYTES: usize = 64;

/// What every connection asks, again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Get,
    Set,
}

/// One measurement.
pub(super) struct Sample {
    /// Processor time of the server's threads, microseconds.
    pub(super) cost_us: f64,
    pub(super) requests_per_second: f64,
    /// Share of the time in which the server's busiest thread ran, 0 to 1.
    pub(super) busy: f64,
    /// Share of the time in which the server's busiest thread ran or was ready to: the rest is its sleep. Another
    /// thread on its processor, the one that syncs files or the kernel's own, keeps it from running, not from being busy.
    pub(super) ready: f64,
    /// Processor time of the server in the measured window.
    pub(super) processor: Duration,
    /// Processors that others than server and client kept busy meanwhile.
    pub(super) others: f64,
}

/// Everything that is read before and after a measured window.
struct Reading {
    at: Instant,
    requests: u64,
    server: Duration,
    client: Duration,
    machine: Duration,
    threads: Vec<Thread>,
}

/// A client that has one batch under way on each of its connections.
pub(super) trait Saturate {
    /// How many connections it has.
    fn connections(&self) -> usize;
    /// Requests in a batch.
    fn pipeline(&self) -> usize;
    /// Sends a batch on connection `index`.
    fn ask(&mut self, index: usize) -> Result<(), String>;
    /// Reads the replies to the batch that was sent last on connection `index`.
    fn hear(&mut self, index: usize) -> Result<(), String>;

    /// Runs until told to stop, then collects what is still under way.
    fn run(&mut self, count: &AtomicU64, stop: &AtomicBool) -> Result<(), String> {
        for index in 0..self.connections() {
            self.ask(index)?;
        }
        while !stop.load(Ordering::Relaxed) {
            for index in 0..self.connections() {
                self.hear(index)?;
                count.fetch_add(self.pipeline() as u64, Ordering::Relaxed);
                self.ask(index)?;
            }
        }
        (0..self.connections()).try_for_each(|index| self.hear(index))
    }
}

/// Keeps `server` busy with GET or SET and measures it for `duration`, after a warm-up.
pub(super) fn measure(
    server: &Server,
    asked: Asked,
    pipeline: usize,
    keys: u32,
    processors: &[u32],
    duration: Duration,
) -> Result<Sample, String> {
    let make = |connections, seed| Client::new(server.port, asked, pipeline, 0..keys, connections, seed);
    measure_clients(server, processors, duration, make)
}

/// Keeps `server` busy with clients that `make` opens, given a number of connections and a seed.
pub(super) fn measure_clients<C: Saturate>(
    server: &Server,
    processors: &[u32],
    duration: Duration,
    make: impl Fn(usize, u64) -> Result<C, String> + Sync,
) -> Result<Sample, String> {
    let threads = processors.len().clamp(1, CLIENT_THREADS_MAX);
    let counts: Vec<AtomicU64> = (0..threads).map(|_| AtomicU64::new(0)).collect();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let mut clients = Vec::new();
        for (index, count) in counts.iter().enumerate() {
            let connections = CONNECTIONS / threads + usize::from(index < CONNECTIONS % threads);
            let processor = processors.get(index).copied();
            let (stop, make) = (&stop, &make);
            clients.push(scope.spawn(move || {
                if let Some(processor) = processor {
                    bind_this_thread(processor);
                }
                make(connections, index as u64)?.run(count, stop)
            }));
        }
        let sample = observe(server.pid(), &counts, duration);
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().map_err(|_| "a client thread panicked".to_owned())??;
        }
        sample
    })
}

/// Whether the servers' threads were busy enough, and the machine quiet enough, for the samples of both to count.
pub(super) fn circumstances<'a>(both: [impl Iterator<Item = &'a Sample> + Clone; 2]) -> String {
    let middles =
        |figure: fn(&Sample) -> f64| both.clone().map(|samples| median(samples.map(figure)) * 100.0);
    let (busy, ready) = (middles(|sample| sample.busy), middles(|sample| sample.ready));
    let mut note = format!("busy {:.1} % / {:.1} %", busy[0], busy[1]);
    if busy.iter().any(|share| *share < SATURATED * 100.0) {
        note += &format!(", NOT SATURATED (ready to run {:.1} % / {:.1} %)", ready[0], ready[1]);
    }
    let others = both.into_iter().flatten().map(|sample| sample.others).fold(0.0, f64::max);
    if others > OTHERS_MAX {
        note += &format!(", others kept up to {others:.1} processors busy");
    }
    note
}

fn observe(pid: u32, counts: &[AtomicU64], duration: Duration) -> Result<Sample, String> {
    thread::sleep(WARM_UP);
    let before = Reading::take(pid, counts)?;
    thread::sleep(duration);
    let after = Reading::take(pid, counts)?;
    let elapsed = (after.at - before.at).as_secs_f64();
    let requests = (after.requests - before.requests) as f64;
    if requests == 0.0 {
        return Err(format!("no request was answered in {elapsed:.1} s"));
    }
    let processor = after.server.saturating_sub(before.server);
    let client = after.client.saturating_sub(before.client);
    let others = after.machine.saturating_sub(before.machine).saturating_sub(processor + client);
    let earlier = |id: u32| before.threads.iter().find(|thread| thread.id == id);
    let since = |thread: &Thread, of: fn(&Thread) -> Duration| {
        of(thread).saturating_sub(earlier(thread.id).map_or(Duration::ZERO, of)).as_secs_f64()
    };
    let most = |of: fn(&Thread) -> Duration| {
        after.threads.iter().map(|thread| since(thread, of)).fold(0.0, f64::max) / elapsed
    };
    Ok(Sample {
        cost_us: processor.as_secs_f64() * 1e6 / requests,
        requests_per_second: requests / elapsed,
        busy: most(|thread| thread.ran),
        ready: most(|thread| thread.ran + thread.waited),
        processor,
        others: others.as_secs_f64() / elapsed,
    })
}

impl Reading {
    fn take(pid: u32, counts: &[AtomicU64]) -> Result<Reading, String> {
        Ok(Reading {
            at: Instant::now(),
            requests: counts.iter().map(|count| count.load(Ordering::Relaxed)).sum(),
            server: processor_time(pid)?,
            client: processor_time(std::process::id())?,
            machine: machine_time()?,
            threads: threads(pid)?,
        })
    }
}

/// One thread's connections.
pub(super) struct Client {
    streams: Vec<TcpStream>,
    numbered: Numbered,
    batch: Vec<u8>,
    replies: Vec<u8>,
    reply: &'static [u8],
    keys: Range<u32>,
    dice: Dice,
    pipeline: usize,
}

impl Client {
    /// Opens the connections; `keys` are the numbers of those it asks for.
    pub(super) fn new(
        port: u16,
        asked: Asked,
        pipeline: usize,
        keys: Range<u32>,
        connections: usize,
        seed: u64,
    ) -> Result<Client, String> {
        let (numbered, reply, reply_bytes) = match asked {
            Asked::Get => (Numbered::new(None), &b"$64\r\n"[..], 5 + VALUE_BYTES + 2),
            Asked::Set => (Numbered::new(Some(VALUE_BYTES)), &b"+OK\r\n"[..], 5),
        };
        let streams: Result<Vec<TcpStream>, String> = (0..connections).map(|_| connect(port)).collect();
        Ok(Client {
            streams: streams?,
            batch: numbered.bytes.repeat(pipeline),
            numbered,
            replies: vec![0; reply_bytes * pipeline],
            reply,
            keys,
            dice: Dice::new(seed + 1),
            pipeline,
        })
    }
}

impl Saturate for Client {
    fn connections(&self) -> usize {
        self.streams.len()
    }

    fn pipeline(&self) -> usize {
        self.pipeline
    }

    fn ask(&mut self, index: usize) -> Result<(), String> {
        for request in self.batch.chunks_mut(self.numbered.bytes.len()) {
            let number = self.keys.start + self.dice.below(self.keys.end - self.keys.start);
            self.numbered.number(request, number);
        }
        self.streams[index].write_all(&self.batch).map_err(|error| format!("client: {error}"))
    }

    fn hear(&mut self, index: usize) -> Result<(), String> {
        let heard = self.streams[index].read_exact(&mut self.replies);
        let begins_well = self.replies.starts_with(self.reply);
        if heard.is_ok() && begins_well && self.replies.ends_with(b"\r\n") {
            return Ok(());
        }
        let begin = String::from_utf8_lossy(&self.replies[..self.replies.len().min(80)]).into_owned();
        Err(format!("client: {heard:?}; found replies that begin with {begin:?}"))
    }
}
