//! One engine on a disk that crashes: its process is killed or its power lost, again and again, at any call to the disk, and
//! what it finds on its disk afterwards must be what it promised.
//!
//! Checked at each restart: the start is not refused; the data is exactly what it was after one of the changes before the
//! crash; no change is missing that was acknowledged at the level its configuration promises, or that the engine itself
//! called safe.

mod history;
mod plan;

use tenon_base::{Dice, Micros};
use tenon_engine::{Engine, Standing};
use tenon_journal::LogPosition;
use tenon_resp::Value;

use crate::campaign::Scenario;
use crate::client::Client;
use crate::digest::digest;
use crate::disk::{CrashDisk, Trouble};
use crate::server::{self, Loaders};
use crate::trace::{Trace, TraceSum};
use crate::workload::{Workload, format_request};
use crate::world::{Happened, Told, World};
use history::{Entry, History};
use plan::{CrashAt, Level, Plan};

/// Where the engine sits.
const SEAT: usize = 0;
/// Events that a start may take.
const START_EVENTS_MAX: usize = 10_000;
/// The moment of a crash; clients have smaller tokens.
const CRASH: u64 = 1_000;
const TROUBLE: u64 = 1_001;
const RELIEF: u64 = 1_002;
/// Requests that a client sends before it waits for answers.
const PIPELINE_MAX: usize = 8;

/// The scenario.
pub struct Crash {
    loaders: Loaders,
}

impl Crash {
    /// A scenario in which policies are loaded by `loaders`.
    pub fn new(loaders: Loaders) -> Crash {
        Crash { loaders }
    }
}

impl Scenario for Crash {
    fn name(&self) -> &'static str {
        "crash"
    }

    fn run(&self, seed: u64, trace: Trace) -> Result<TraceSum, String> {
        let mut run = Run::new(seed, trace, &self.loaders);
        for life in 0..run.plan.lives {
            run.live(life)?;
            run.crash_and_recover()?;
        }
        let sum = run.disk().map_or(0, |disk| disk.sum());
        run.world.trace().note("disk", &[sum], b"");
        Ok(run.world.trace().sum())
    }
}

/// What a client remembers of a request: behind which change it was, if it made one.
#[derive(Clone, Copy, Debug)]
struct Asked {
    change: Option<LogPosition>,
    is_save: bool,
}

struct Run<'a> {
    plan: Plan,
    dice: Dice,
    world: World<Engine>,
    loaders: &'a Loaders,
    clients: Vec<Client<Asked>>,
    workload: Workload,
    history: History,
    /// Requests that are still to be sent in this life.
    requests_left: u64,
    is_crashed: bool,
}

impl<'a> Run<'a> {
    fn new(seed: u64, mut trace: Trace, loaders: &'a Loaders) -> Run<'a> {
        let mut dice = Dice::seeded(seed);
        let plan = Plan::draw(&mut dice);
        trace.say(|| format!("{plan:#?}"));
        let world = World::new(1, Dice::seeded(dice.roll()), trace);
        let workload = Workload::new(Dice::seeded(dice.roll()), plan.taste);
        let disk = CrashDisk::new(Dice::seeded(dice.roll()));
        if !plan.has_checksums {
            disk.keep_order();
        }
        let clients = (0..plan.clients).map(|_| Client::new(SEAT)).collect();
        let history = History::default();
        let mut run = Run {
            plan,
            dice,
            world,
            loaders,
            clients,
            workload,
            history,
            requests_left: 0,
            is_crashed: false,
        };
        run.start(disk);
        run
    }

    fn start(&mut self, disk: CrashDisk) {
        let (dice, loader) = (Dice::seeded(self.dice.roll()), self.loaders.choose(self.plan.components));
        let directives = &self.plan.directives;
        self.world.start(SEAT, disk, self.plan.pace, |now, world| {
            server::engine(directives, loader, dice, now, world)
        });
        self.is_crashed = false;
    }

    /// Serves clients until it crashes.
    fn live(&mut self, life: u64) -> Result<(), String> {
        self.await_start()?;
        if life == 0 {
            self.history.begin(self.entry()?);
        }
        self.requests_left = self.plan.requests;
        for client in 0..self.clients.len() as u64 {
            let connection = self.world.connect(SEAT, client).ok_or("nobody listens")?;
            self.clients[client as usize].connected(SEAT, connection);
            self.world.wake(Micros(self.dice.below(self.plan.think_us + 1)), client);
        }
        match self.plan.crash_at {
            CrashAt::Call(calls) => {
                let calls = self.dice.below(calls);
                self.disk().ok_or("a disk")?.halt_after(calls);
            }
            CrashAt::Moment => {}
        }
        let expected_us = self.plan.requests * self.plan.think_us / self.plan.clients / 2 + 2_000;
        self.world.wake(Micros(self.dice.below(expected_us * 2)), CRASH);
        if self.plan.trouble != Trouble::default() {
            let from = self.dice.below(expected_us);
            self.world.wake(Micros(from), TROUBLE);
            self.world.wake(Micros(from + self.dice.below(expected_us)), RELIEF);
        }
        while !self.is_crashed {
            self.happen()?;
        }
        Ok(())
    }

    /// Lets one thing happen, and takes note of what came of it.
    fn happen(&mut self) -> Result<(), String> {
        match self.world.step() {
            Happened::At(_) => {}
            Happened::Moment(CRASH) => self.is_crashed = true,
            Happened::Moment(TROUBLE) => self.set_trouble(self.plan.trouble),
            Happened::Moment(RELIEF) => self.set_trouble(Trouble::default()),
            Happened::Moment(client) if client < self.plan.clients => self.speak(client as usize)?,
            Happened::Moment(_) => {}
            Happened::Nothing => return Err("nothing happens any more".to_owned()),
        }
        let Some(node) = self.world.node(SEAT) else { return Ok(()) };
        if node.disk.is_halted() {
            self.is_crashed = true;
            // What it has said after that it has not said.
            self.world.take_told();
            return Ok(());
        }
        if let Some(code) = node.exit_code {
            return Err(format!("the process ended by itself with code {code}"));
        }
        self.observe()?;
        self.listen()
    }

    fn set_trouble(&mut self, trouble: Trouble) {
        let used = self.disk().map_or(0, |disk| disk.used_bytes());
        // A small disk is about as large as what is on it by then.
        let capacity_bytes = trouble.capacity_bytes.map(|spare| used + spare);
        if let Some(disk) = self.disk() {
            disk.set_trouble(Trouble { capacity_bytes, ..trouble });
        }
    }

    /// A client sends what it thought of.
    fn speak(&mut self, client: usize) -> Result<(), String> {
        if self.requests_left == 0 {
            return Ok(());
        }
        let count = 1 + self.dice.below(self.plan.pipeline) as usize;
        if self.clients[client].awaited() < PIPELINE_MAX {
            for _ in 0..count {
                self.requests_left = self.requests_left.saturating_sub(1);
                for (request, is_save) in self.think() {
                    self.send(client, &request, is_save)?;
                    if self.disk().is_none_or(|disk| disk.is_halted()) {
                        return Ok(());
                    }
                }
            }
        }
        let pause = Micros(self.dice.below(self.plan.think_us + 1));
        self.world.wake(pause, client as u64);
        Ok(())
    }

    fn think(&mut self) -> Vec<(Vec<u8>, bool)> {
        if self.dice.below(1_000) >= self.plan.saves {
            return self.workload.next().into_iter().map(|request| (request, false)).collect();
        }
        let (line, is_save): (&[&str], bool) = match self.dice.below(8) {
            0 => (&["SAVE"], true),
            1 | 2 => (&["BGSAVE", "SCHEDULE"], false),
            _ if self.plan.has_log => (&["BGREWRITEAOF"], false),
            _ => (&["BGSAVE"], false),
        };
        vec![(format_request(line), is_save)]
    }

    fn send(&mut self, client: usize, request: &[u8], is_save: bool) -> Result<(), String> {
        let Some(connection) = self.clients[client].connection else { return Ok(()) };
        let before = self.standing()?.position;
        if self.world.say(SEAT, connection, request) {
            let after = self.standing()?.position;
            let change = (after > before || is_save).then_some(after);
            self.clients[client].asked(Asked { change, is_save });
            self.observe()?;
        }
        Ok(())
    }

    /// Remembers how the data is, if something changed.
    fn observe(&mut self) -> Result<(), String> {
        let position = self.standing()?.position;
        if self.history.last_position() != position {
            let entry = self.entry()?;
            self.history.add(entry);
        }
        Ok(())
    }

    /// Clients read what they were told.
    fn listen(&mut self) -> Result<(), String> {
        let now = self.world.now().steady;
        for told in self.world.take_told() {
            match told {
                Told::Closed { client } => self.clients[client as usize].closed(),
                Told::Said { client, bytes } => {
                    for (asked, reply) in self.clients[client as usize].hear(&bytes)? {
                        let change = asked.change.filter(|_| is_acknowledgement(&reply));
                        if asked.is_save {
                            self.history.saved(change);
                        } else {
                            self.history.acknowledged(now, change);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The crash, the start after it, and the judgement.
    fn crash_and_recover(&mut self) -> Result<(), String> {
        let is_power = self.dice.below(3) > 0;
        // What ran in the turn that was cut short, such as an expiry, may be on the disk, too.
        self.observe()?;
        let standing = self.standing()?;
        let has_failed = self.disk().is_some_and(|disk| disk.failures() > 0);
        let floor = self.floor(is_power, &standing, has_failed);
        let disk = self.world.end(SEAT, Micros(0)).ok_or("a disk")?;
        if is_power {
            disk.lose_power();
        } else {
            disk.kill();
        }
        let (now, word) = (self.world.now().steady, if is_power { "power lost" } else { "killed" });
        self.world.trace().note(word, &[now.0, floor.0], b"");
        self.world.take_told();
        self.clients.iter_mut().for_each(Client::closed);
        self.start(disk);
        self.await_start().map_err(|error| format!("{word} at {} us: {error}", now.0))?;
        let found = self.entry()?;
        let judged = self.history.judge(floor, found);
        judged.map_err(|error| format!("{word} at {} us: {error}", now.0))
    }

    /// Up to which change nothing may be missing.
    fn floor(&self, is_power: bool, standing: &Standing, has_failed: bool) -> LogPosition {
        let Some(reach) = standing.log else { return self.history.saved_position() };
        if !is_power {
            return self.history.acknowledged_position().max(reach.written);
        }
        let promised = match self.plan.level {
            _ if self.plan.relents || has_failed && self.plan.level != Level::Always => LogPosition(0),
            Level::Always => self.history.acknowledged_position(),
            Level::EverySecond => {
                let bound = Micros(plan::EVERY_SECOND_BOUND.0 + 4 * self.plan.pace.sync_us);
                self.history.acknowledged_before(self.world.now().steady.since(bound))
            }
            Level::No => LogPosition(0),
        };
        promised.max(reach.synced)
    }

    /// Waits until what was saved is loaded.
    fn await_start(&mut self) -> Result<(), String> {
        for _ in 0..START_EVENTS_MAX {
            if self.standing()?.is_serving {
                return Ok(());
            }
            if let Some(code) = self.world.node(SEAT).and_then(|node| node.exit_code) {
                return Err(format!("the start was refused with code {code}"));
            }
            self.world.step();
        }
        Err("the start does not end".to_owned())
    }

    fn entry(&self) -> Result<Entry, String> {
        let engine = &self.world.node(SEAT).ok_or("no engine")?.machine;
        Ok(Entry { position: engine.standing().position, digest: digest(engine) })
    }

    fn standing(&self) -> Result<Standing, String> {
        Ok(self.world.node(SEAT).ok_or("no engine")?.machine.standing())
    }

    fn disk(&self) -> Option<&CrashDisk> {
        self.world.node(SEAT).map(|node| &node.disk)
    }
}

/// Whether a reply says that what was asked for is done.
fn is_acknowledgement(reply: &Value) -> bool {
    match reply {
        Value::Error(_) => false,
        // A transaction is done, whatever some of its commands came to.
        Value::Simple(text) => text != b"QUEUED",
        _ => true,
    }
}
