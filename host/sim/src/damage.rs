//! Damaged files: what an engine wrote (a dump, or a log with base and increments), or another server, with bits flipped,
//! ranges overwritten, ends cut off, blocks doubled and exchanged, is loaded as at a start.
//!
//! Checked: nothing panics; a start that is refused says which file is damaged, and where; where checksums cover the files,
//! what is loaded is exactly what the data was at some moment; a log that was repaired loads again, with the same data.

mod mutation;
mod plan;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tenon_base::{Dice, Disk, Micros};
use tenon_engine::Engine;
use tracing_subscriber::util::SubscriberInitExt;

use crate::campaign::Scenario;
use crate::digest::digest;
use crate::disk::CrashDisk;
use crate::lanes::Pace;
use crate::server::{self, Directives, Loaders};
use crate::trace::{Trace, TraceSum};
use crate::workload::{Workload, format_request};
use crate::world::{Happened, World};
use mutation::mutate;
use plan::{DATA, Plan, start_directives};

/// Where the engine sits.
const SEAT: usize = 0;
/// The only client.
const CLIENT: u64 = 0;
const MOMENT: u64 = 1;
/// Events that a start, or a pause, may take.
const EVENTS_MAX: usize = 100_000;
/// Sets of damaged files that are made of one original.
pub const SETS_PER_SEED: u64 = 8;
/// Long enough for what was begun to end: fsyncs, rewrites and saves.
const REST: Micros = Micros(3_000_000);
/// Of a log of what was told, what is kept.
const TOLD_BYTES_MAX: usize = 64 << 10;

/// The scenario.
pub struct Damage {
    loaders: Loaders,
    given: Vec<GivenFile>,
}

/// A file of another server.
#[derive(Clone)]
pub struct GivenFile {
    /// Its name, which says by its end what it is: a dump (`.rdb`) or a log (`.aof`).
    pub name: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// The files of a data directory.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Files, and what they hold.
struct Original {
    files: Files,
    /// Digests of the data at all moments; none where what it may be is not known.
    moments: Vec<u64>,
    is_log: bool,
    /// Checksums cover the files but for the manifest.
    is_covered: bool,
}

/// What came of a start.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Loaded(u64),
    Refused(String),
}

impl Damage {
    /// A scenario with policies of `loaders`, which damages these files, too.
    pub fn new(loaders: Loaders, given: Vec<GivenFile>) -> Damage {
        Damage { loaders, given }
    }
}

impl Scenario for Damage {
    fn name(&self) -> &'static str {
        "damage"
    }

    fn run(&self, seed: u64, trace: Trace) -> Result<TraceSum, String> {
        let mut dice = Dice::seeded(seed);
        let mut run = Run { loaders: &self.loaders, trace };
        let is_given = !self.given.is_empty() && dice.below(3) == 0;
        let original = if is_given {
            let file = &self.given[dice.below(self.given.len() as u64) as usize];
            run.take(file, &mut dice)
        } else {
            run.write(&Plan::draw(&mut dice), &mut dice)?
        };
        for _ in 0..SETS_PER_SEED {
            run.damage(&original, &mut dice)?;
        }
        Ok(run.trace.sum())
    }
}

struct Run<'a> {
    loaders: &'a Loaders,
    trace: Trace,
}

impl Run<'_> {
    /// Lets an engine write files, and takes note of how its data was meanwhile.
    fn write(&mut self, plan: &Plan, dice: &mut Dice) -> Result<Original, String> {
        self.trace.say(|| format!("{plan:#?}"));
        let mut world = self.start(&plan.directives, CrashDisk::new(Dice::seeded(dice.roll())), dice);
        if let Outcome::Refused(sentence) = outcome(&mut world, String::new) {
            return Err(format!("an empty directory is refused: {sentence}"));
        }
        let connection = world.connect(SEAT, CLIENT).ok_or("nobody listens")?;
        let mut workload = Workload::new(Dice::seeded(dice.roll()), plan.taste);
        let mut moments = vec![digest_of(&world)?];
        let mut say = |world: &mut World<Engine>, request: &[u8]| -> Result<(), String> {
            world.say(SEAT, connection, request);
            let now = digest_of(world)?;
            if moments.last() != Some(&now) {
                moments.push(now);
            }
            Ok(())
        };
        for number in 0..plan.requests {
            for request in workload.next() {
                say(&mut world, &request)?;
            }
            if plan.rewrite_at.contains(&number) {
                say(&mut world, &format_request(&["BGREWRITEAOF"]))?;
                pass(&mut world, REST)?;
            } else if dice.below(plan.pipeline) == 0 {
                pass(&mut world, Micros(500))?;
            }
        }
        if !plan.is_log {
            say(&mut world, &format_request(&["SAVE"]))?;
        }
        pass(&mut world, REST)?;
        world.take_told();
        let last = digest_of(&world)?;
        let disk = world.end(SEAT, Micros(0)).ok_or("a disk")?;
        let files = files_of(&disk);
        let figures: Vec<u64> = files.values().map(|content| content.len() as u64).collect();
        self.trace.note("written", &figures, &last.to_le_bytes());
        let moments = if plan.is_log { moments } else { vec![last] };
        let (_, whole) = self.load(&files, &start_directives(plan.is_log, dice), dice);
        if whole != Outcome::Loaded(last) && plan.is_faithful {
            return Err(format!("undamaged, it came to {whole:?}, not {last:x}"));
        }
        Ok(Original { files, moments, is_log: plan.is_log, is_covered: plan.is_covered && plan.is_faithful })
    }

    /// A file of another server, and what it holds as it is.
    fn take(&mut self, given: &GivenFile, dice: &mut Dice) -> Original {
        self.trace.say(|| format!("a file of another server: {}", given.name));
        let is_log = given.name.ends_with(".aof");
        // A log of old is moved into its directory, and is its base.
        let path = Path::new(DATA).join(if is_log { "appendonly.aof" } else { "dump.rdb" });
        let files = Files::from([(path, given.content.clone())]);
        let (_, outcome) = self.load(&files, &start_directives(is_log, dice), dice);
        let moments = match outcome {
            Outcome::Loaded(digest) => vec![digest],
            Outcome::Refused(_) => Vec::new(),
        };
        Original { files, is_covered: !is_log && is_summed(&given.content), moments, is_log }
    }

    /// Damages a copy, and loads it.
    fn damage(&mut self, original: &Original, dice: &mut Dice) -> Result<(), String> {
        let mut files = original.files.clone();
        let paths: Vec<PathBuf> = files.keys().cloned().collect();
        let mut damaged = Vec::new();
        for _ in 0..1 + dice.below(3) {
            let path = &paths[dice.below(paths.len() as u64) as usize];
            let content = files.get_mut(path).ok_or("a file that was listed")?;
            let told = mutate(content, dice);
            damaged.push(format!("{}: {told}", path.display()));
        }
        self.trace.say(|| {
            let manifest = files.iter().find(|(path, _)| path.to_string_lossy().ends_with(".manifest"));
            let shown = manifest.map_or_else(String::new, |(_, text)| text.escape_ascii().to_string());
            format!("{}\n{shown}", damaged.join("; "))
        });
        let is_covered = original.is_covered && is_covered(original, &files);
        let directives = start_directives(original.is_log, dice);
        let (disk, outcome) = self.load(&files, &directives, dice);
        let context = || format!("{} (as {})", damaged.join("; "), shown(&directives));
        match outcome {
            Outcome::Refused(sentence) => {
                names_a_place(&sentence, &paths).map_err(|error| format!("{}: {error}", context()))
            }
            Outcome::Loaded(found) if is_covered && !original.moments.contains(&found) => Err(format!(
                "{}: loaded, and the data is as at none of {} moments",
                context(),
                original.moments.len()
            )),
            Outcome::Loaded(found) => {
                let (_, again) = self.load_from(disk, &directives, dice);
                match again {
                    Outcome::Loaded(again) if again == found => Ok(()),
                    other => Err(format!("{}: the second start came to {other:?}, not {found:x}", context())),
                }
            }
        }
    }

    /// Starts an engine on a disk with these files.
    fn load(&mut self, files: &Files, directives: &Directives, dice: &mut Dice) -> (CrashDisk, Outcome) {
        let disk = CrashDisk::new(Dice::seeded(dice.roll()));
        for (path, content) in files {
            for directory in [Path::new("/"), Path::new(DATA)].into_iter().chain(path.parent()) {
                let made = disk.make_directory(directory);
                made.expect("a disk that does not misbehave");
            }
            let file = disk.create(path).and_then(|file| file.append(content));
            file.expect("a disk that does not misbehave");
        }
        self.load_from(disk, directives, dice)
    }

    fn load_from(
        &mut self,
        disk: CrashDisk,
        directives: &Directives,
        dice: &mut Dice,
    ) -> (CrashDisk, Outcome) {
        let told = Told::default();
        let writer = told.clone();
        let outcome_and_disk = {
            let _heard = tracing_subscriber::fmt()
                .without_time()
                .with_target(false)
                .with_ansi(false)
                .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
                .with_writer(move || writer.clone())
                .finish()
                .set_default();
            let mut world = self.start(directives, disk, dice);
            let outcome = outcome(&mut world, || told.text());
            (outcome, world.end(SEAT, Micros(0)))
        };
        self.trace.say(|| told.text());
        let (outcome, disk) = outcome_and_disk;
        let disk = disk.expect("the engine had a disk");
        disk.kill();
        match &outcome {
            Outcome::Loaded(digest) => self.trace.note("loaded", &[*digest], b""),
            Outcome::Refused(sentence) => self.trace.note("refused", &[], sentence.as_bytes()),
        }
        (disk, outcome)
    }

    fn start(&self, directives: &Directives, disk: CrashDisk, dice: &mut Dice) -> World<Engine> {
        let mut world = World::new(1, Dice::seeded(dice.roll()), Trace::silent());
        let (own_dice, loader) = (Dice::seeded(dice.roll()), self.loaders.choose(false));
        world.start(SEAT, disk, Pace::default(), |now, surroundings| {
            server::engine(directives, loader, own_dice, now, surroundings)
        });
        world
    }
}

/// Waits until the engine serves or gives up.
fn outcome(world: &mut World<Engine>, told: impl Fn() -> String) -> Outcome {
    for _ in 0..EVENTS_MAX {
        let Some(node) = world.node(SEAT) else { break };
        if node.machine.standing().is_serving {
            return Outcome::Loaded(digest(&node.machine));
        }
        if node.exit_code.is_some() {
            return Outcome::Refused(told());
        }
        world.step();
    }
    Outcome::Refused("the start does not end".to_owned())
}

/// Lets time pass.
fn pass(world: &mut World<Engine>, span: Micros) -> Result<(), String> {
    world.wake(span, MOMENT);
    for _ in 0..EVENTS_MAX {
        match world.step() {
            Happened::Moment(MOMENT) => return Ok(()),
            Happened::Nothing => break,
            _ => {}
        }
    }
    Err("a moment does not come".to_owned())
}

fn digest_of(world: &World<Engine>) -> Result<u64, String> {
    Ok(digest(&world.node(SEAT).ok_or("no engine")?.machine))
}

/// What a start reads, without locks.
fn files_of(disk: &CrashDisk) -> Files {
    let is_read = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        !name.starts_with('.') && !name.starts_with("temp-")
    };
    let paths = disk.paths().into_iter().filter(is_read);
    paths.map(|path| (path.clone(), disk.content(&path).unwrap_or_default())).collect()
}

/// Whether checksums cover all that was damaged: a manifest has none, nor has what is empty, nor has a dump that says that it is without, or
/// that it is of a time before there were any.
fn is_covered(original: &Original, damaged: &Files) -> bool {
    let changed = damaged.iter().filter(|(path, content)| original.files.get(*path) != Some(content));
    changed.into_iter().all(|(path, content)| {
        let name = path.to_string_lossy();
        let is_summed = !name.ends_with(".rdb") || is_summed(content);
        // A base of commands that is empty is what a base of no data is.
        let is_emptied = name.ends_with(".base.aof") && content.is_empty();
        !name.ends_with(".manifest") && is_summed && !is_emptied
    })
}

/// Whether an RDB file says that it ends in a checksum.
fn is_summed(content: &[u8]) -> bool {
    let version = content.get(5..9).and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u32>().ok());
    version.is_none_or(|version| version >= 5) && !content.ends_with(&[0; 8])
}

/// What is told must lead a person to the damage.
fn names_a_place(sentence: &str, paths: &[PathBuf]) -> Result<(), String> {
    let is_named = |path: &PathBuf| {
        path.file_name().is_some_and(|name| sentence.contains(name.to_string_lossy().as_ref()))
    };
    // A file that a damaged manifest names is not there, and has no places.
    if sentence.contains(&format!("{DATA}/")) && sentence.contains("the manifest names it") {
        return Ok(());
    }
    let places = ["offset ", "line ", "Found an empty AOF manifest"];
    if paths.iter().any(is_named) && places.iter().any(|place| sentence.contains(place)) {
        return Ok(());
    }
    Err(format!("the refusal names no file and place: {sentence:?}"))
}

fn shown(directives: &Directives) -> String {
    directives.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
}

/// Keeps what is told at a start.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<u8>>>);

impl Told {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Told {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = TOLD_BYTES_MAX.saturating_sub(told.len()).min(bytes.len());
        told.extend_from_slice(&bytes[..room]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
