//! A disk whose fsync takes seconds, under `everysec`: how long clients wait meanwhile, and with little room for what waits
//! for the disk (`aof-pending-max`) how long writers do, and what they are told. The disk is slow in two ways, each
//! measured for itself: strace holds each fsync back, which takes no lock; and a file system of ours ([`held`]) holds the
//! lock that a write to the file needs, which is what stalls whoever writes on the thread that serves.
//! Always: the delay that is printed was felt: a server whose fsyncs were not slow is an error.

mod held;
mod syncs;
mod tree;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use super::figures::{Bar, Row, median, print_header};
use super::options::Options;
use super::pace::{Felt, Probe, write_paced};
use super::server::{Aof, Contender, Server};
use super::wire::{Wire, preload};
use crate::workspace::on_path;
use held::HeldDisk;
use syncs::TracedSyncs;

/// What each fsync takes longer.
const DELAY: Duration = Duration::from_secs(5);
/// Long enough for several fsyncs.
const WATCHED: Duration = Duration::from_secs(22);
/// SETs per second: each write to the disk is some work, and that is not to be what is measured.
const RATE: u32 = 2_000;
const VALUE_BYTES: usize = 64;
/// Room for what waits, filled within a fraction of an fsync, and how long writes wait then.
const PENDING_BYTES_SMALL: &str = "65536";
const STALL_SECONDS: &str = "2";
const BOUNDED_WATCHED: Duration = Duration::from_secs(12);

/// What one server came to.
struct Outcome {
    felt: Felt,
    /// The longest wait of a client that reads, from before the first slow fsync on.
    read: Duration,
    /// See [`TOLD`].
    info: Vec<(&'static str, u64)>,
}

/// What INFO says of it; the first two are the largest seen, the others those at the end.
const TOLD: [&str; 4] =
    ["aof_pending_bio_fsync", "aof_buffer_length", "aof_delayed_fsync", "aof_fsync_worst_usec"];

/// Prints what was felt, medians of all rounds, for each way that can be had here.
pub(super) fn run(options: &Options, contenders: &[Contender; 2]) -> Result<(), String> {
    let ways = Way::all();
    if ways.is_empty() {
        return Err("neither strace (apt-get install strace) nor a mount makes the disk slow here".to_owned());
    }
    ways.into_iter().try_for_each(|way| {
        felt(options, contenders, way)?;
        let [tenon, _] = contenders;
        bounded(tenon, way).map_err(|error| format!("{}: {error}", tenon.name))
    })
}

fn felt(options: &Options, contenders: &[Contender; 2], way: Way) -> Result<(), String> {
    let mut outcomes: [Vec<Outcome>; 2] = Default::default();
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}, {} ...", options.rounds, way.told());
        for (contender, outcomes) in contenders.iter().zip(&mut outcomes) {
            let measured =
                measure(contender, options, way).map_err(|error| format!("{}: {error}", contender.name))?;
            outcomes.push(measured);
        }
    }
    println!(
        "\neach fsync takes {DELAY:?} longer; {RATE} SETs a second, everysec, {WATCHED:?}; {}",
        way.told()
    );
    print_header();
    let of = |figure: fn(&Felt) -> Duration| {
        [0, 1].map(|at: usize| median(outcomes[at].iter().map(|one| figure(&one.felt).as_secs_f64() * 1e3)))
    };
    let row = |name: &str, unit, bar, [tenon, redis]: [f64; 2], note: &str| {
        Row { name: name.to_owned(), unit, tenon, redis, bar, note: note.to_owned() }.print();
    };
    let note = "of PING and SET, one each ms";
    row("longest wait", "ms", Bar::AtMost(100.0), of(|felt| felt.longest), note);
    row("p99.9", "ms", Bar::None, of(|felt| felt.p999), "");
    let read = [0, 1].map(|at: usize| median(outcomes[at].iter().map(|one| one.read.as_secs_f64() * 1e3)));
    row("longest wait of GET", "ms", Bar::AtMost(100.0), read, "from the first slow fsync on");
    for name in TOLD {
        let told = [0, 1].map(|at: usize| {
            median(outcomes[at].iter().map(|one| {
                one.info.iter().find(|(told, _)| *told == name).map_or(f64::NAN, |&(_, number)| number as f64)
            }))
        });
        row(name, "", Bar::None, told, "INFO persistence");
    }
    Ok(())
}

/// How fsyncs are made slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    HeldDisk,
    Strace,
}

impl Way {
    /// Those that can be had here; what cannot is said.
    fn all() -> Vec<Way> {
        let mut ways = Vec::new();
        if on_path("strace").is_some() {
            ways.push(Way::Strace);
        } else {
            eprintln!("no strace here: apt-get install strace");
        }
        match HeldDisk::mount(DELAY) {
            Ok(_) => ways.push(Way::HeldDisk),
            Err(error) => eprintln!("no file system of ours can be mounted here (as root): {error}"),
        }
        ways
    }

    fn told(self) -> &'static str {
        match self {
            Way::Strace => "by strace, which holds no lock",
            Way::HeldDisk => "on a file system whose fsync holds the lock that a write needs",
        }
    }
}

/// A server, and what makes its fsyncs slow.
struct Scene {
    server: Server,
    disk: Option<HeldDisk>,
    traced: Option<TracedSyncs>,
}

impl Scene {
    fn begin(contender: &Contender, way: Way, options: &[&str]) -> Result<Scene, String> {
        let disk = if way == Way::HeldDisk { Some(HeldDisk::mount(DELAY)?) } else { None };
        let server = match &disk {
            Some(disk) => {
                let directory = disk.path().join("data");
                std::fs::create_dir(&directory)
                    .map_err(|error| format!("{}: {error}", directory.display()))?;
                contender.start_in(directory, Aof::Everysec, None, options)?
            }
            None => contender.start(Aof::Everysec, None, options)?,
        };
        Ok(Scene { server, disk, traced: None })
    }

    fn slow_down(&mut self) -> Result<(), String> {
        match &self.disk {
            Some(disk) => disk.set_slow(true),
            None => self.traced = Some(TracedSyncs::of(self.server.pid(), DELAY)?),
        }
        Ok(())
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // First, or the server would be waited for.
        if let Some(disk) = &self.disk {
            disk.set_slow(false);
        }
        self.traced = None;
    }
}

fn measure(contender: &Contender, options: &Options, way: Way) -> Result<Outcome, String> {
    let mut scene = Scene::begin(contender, way, &[])?;
    let port = scene.server.port;
    let keys = options.keys.min(100_000);
    preload(port, keys, VALUE_BYTES)?;
    let probe = Probe::default();
    let stop = AtomicBool::new(false);
    let (felt, read, info) = thread::scope(|scope| {
        scene.slow_down()?;
        let reads = scope.spawn(|| ask(port, &["GET", "other"], Duration::from_millis(1), WATCHED));
        let load = [
            scope.spawn(|| write_paced(port, RATE, keys, &stop)),
            scope.spawn(|| probe.run(port, &[], &stop)),
        ];
        sleep(Duration::from_secs(1));
        probe.take();
        let info = watch(port, WATCHED);
        let felt = probe.take().felt();
        stop.store(true, Ordering::Relaxed);
        for thread in load {
            thread.join().map_err(|_| "a client thread panicked".to_owned())??;
        }
        let read = reads.join().map_err(|_| "a client thread panicked".to_owned())??.longest;
        Ok::<_, String>((felt, read, info?))
    })?;
    let was_slow = info.iter().any(|&(name, number)| name == TOLD[0] && number > 0);
    if was_slow { Ok(Outcome { felt, read, info }) } else { Err("no fsync was slow".to_owned()) }
}

/// Looks at INFO now and then for so long; a server may take seconds to answer.
fn watch(port: u16, span: Duration) -> Result<Vec<(&'static str, u64)>, String> {
    let mut wire = Wire::connect(port)?;
    let mut info: Vec<_> = TOLD.map(|name| (name, 0)).into();
    let until = Instant::now() + span;
    while Instant::now() < until {
        let text = wire.command(&["INFO", "persistence"])?;
        for (at, (name, number)) in info.iter_mut().enumerate() {
            let line = text.lines().find_map(|line| line.strip_prefix(*name)?.strip_prefix(':'));
            let found = line.and_then(|line| line.trim().parse().ok()).unwrap_or(0);
            *number = if at < 2 { found.max(*number) } else { found };
        }
        sleep(Duration::from_millis(20));
    }
    Ok(info)
}

/// What one client felt of writes or of reads.
#[derive(Default)]
struct Waits {
    count: u64,
    refused: u64,
    longest: Duration,
    error: String,
}

/// With little room writers wait for the disk, and are then refused; readers do neither.
fn bounded(contender: &Contender, way: Way) -> Result<(), String> {
    let options = ["--aof-pending-max", PENDING_BYTES_SMALL, "--aof-stall-timeout", STALL_SECONDS];
    let mut scene = Scene::begin(contender, way, &options)?;
    let port = scene.server.port;
    scene.slow_down()?;
    let value = "x".repeat(1_000);
    let (writes, reads) = thread::scope(|scope| {
        let writes =
            scope.spawn(|| ask(port, &["SET", "key", &value], Duration::from_micros(500), BOUNDED_WATCHED));
        let reads = scope.spawn(|| ask(port, &["GET", "other"], Duration::from_millis(1), BOUNDED_WATCHED));
        let join = |thread: thread::ScopedJoinHandle<'_, Result<Waits, String>>| {
            thread.join().map_err(|_| "a client thread panicked".to_owned())?
        };
        Ok::<_, String>((join(writes)?, join(reads)?))
    })?;
    println!(
        "\n{}, aof-pending-max {PENDING_BYTES_SMALL}, aof-stall-timeout {STALL_SECONDS}, {BOUNDED_WATCHED:?}; {}:",
        contender.name,
        way.told()
    );
    for (what, waits) in [("SET of 1000 bytes", &writes), ("GET", &reads)] {
        let (count, refused, longest) = (waits.count, waits.refused, waits.longest);
        println!("  {what}: {count} answered, longest wait {longest:.1?}, {refused} refused {}", waits.error);
    }
    // A writer waits for the lock, too, which is told, not judged, by this.
    let is_as_configured =
        way == Way::HeldDisk || writes.longest > Duration::from_secs(1) && writes.refused > 0;
    let is_read = reads.refused == 0 && reads.longest < Duration::from_millis(100);
    if is_as_configured && is_read { Ok(()) } else { Err("writers and readers fared otherwise".to_owned()) }
}

/// Asks the same again and again, and waits for each answer. An error is an answer, too.
fn ask(port: u16, words: &[&str], pause: Duration, span: Duration) -> Result<Waits, String> {
    let mut wire = Wire::connect(port)?;
    let mut waits = Waits::default();
    let until = Instant::now() + span;
    while Instant::now() < until {
        let asked = Instant::now();
        let answer = wire.command(words);
        waits.longest = waits.longest.max(asked.elapsed());
        waits.count += 1;
        if let Err(error) = answer.map(drop)
            && let Some((_, said)) =
                error.split_once("found reply ").filter(|(_, said)| !said.contains("$-1"))
        {
            waits.refused += 1;
            waits.error = said.to_owned();
        }
        sleep(pause);
    }
    Ok(waits)
}
