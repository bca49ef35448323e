//! A primary, two replicas and a chained one under a bad network: links are cut, bytes come late, machines are killed or
//! lose their power, replicas take the primary's place.
//!
//! Checked after every event: whoever stands at a place of a history (an id and an offset) has the data that its primary had
//! at that place. Checked of WAIT: so many machines have come that far. Checked in the end, once all is quiet: all follow,
//! and have equal data.

mod plan;

use std::collections::HashMap;

use tenon_base::{Dice, Micros};
use tenon_engine::{Engine, Standing};
use tenon_journal::{ReplicationId, ReplicationOffset};
use tenon_replication::Second;
use tenon_resp::Value;

use crate::campaign::Scenario;
use crate::client::Client;
use crate::digest::digest;
use crate::disk::CrashDisk;
use crate::server::{self, Loaders};
use crate::trace::{Trace, TraceSum};
use crate::workload::{Workload, format_request};
use crate::world::{Happened, PORT, Told, World};
use plan::{NODES, Plan};

/// Who says how things are to be; its replies are not read.
const OPERATOR: u64 = 90;
/// Moments of the scenario; clients have smaller ones.
const ACCIDENT: u64 = 100;
const RETURN: u64 = 200;
/// How long it may take until all follow and agree once nothing happens any more.
const QUIET_MAX: Micros = Micros(240_000_000);
/// Between two looks whether they do.
const LOOK: Micros = Micros(250_000);
const LOOKED: u64 = 300;

/// The scenario.
pub struct Replicas {
    loaders: Loaders,
}

impl Replicas {
    /// A scenario in which policies are loaded by `loaders`.
    pub fn new(loaders: Loaders) -> Replicas {
        Replicas { loaders }
    }
}

impl Scenario for Replicas {
    fn name(&self) -> &'static str {
        "replication"
    }

    fn run(&self, seed: u64, trace: Trace) -> Result<TraceSum, String> {
        let mut run = Run::new(seed, trace, &self.loaders);
        run.live()?;
        run.come_to_rest()?;
        Ok(run.world.trace().sum())
    }
}

/// What a client remembers of a request.
#[derive(Clone, Copy, Debug)]
enum Asked {
    /// A request that is answered as it is.
    Data,
    /// WAIT, for what the client wrote before this place.
    Wait(Place),
}

/// A place in a history.
type Place = (ReplicationId, ReplicationOffset);

struct Run<'a> {
    plan: Plan,
    dice: Dice,
    world: World<Engine>,
    loaders: &'a Loaders,
    clients: Vec<Client<Asked>>,
    /// Behind what each client wrote last on its connection.
    wrote: Vec<Option<Place>>,
    workload: Workload,
    requests_left: u64,
    /// Whom each machine is to follow.
    targets: [Option<usize>; NODES],
    /// Disks of machines that are down.
    down: [Option<CrashDisk>; NODES],
    /// What the data was at each place, by whoever wrote it.
    places: HashMap<Place, u64>,
    /// How far each machine has ever come in each history.
    reached: HashMap<(usize, ReplicationId), ReplicationOffset>,
    /// Which history each continues, and up to where.
    continues: HashMap<ReplicationId, Second>,
    /// Where each machine was looked at last.
    seen: [Option<Standing>; NODES],
}

impl<'a> Run<'a> {
    fn new(seed: u64, mut trace: Trace, loaders: &'a Loaders) -> Run<'a> {
        let mut dice = Dice::seeded(seed);
        let plan = Plan::draw(&mut dice);
        trace.say(|| format!("{plan:#?}"));
        let mut world = World::new(NODES, Dice::seeded(dice.roll()), trace);
        world.set_delay(plan.delay_us);
        let workload = Workload::new(Dice::seeded(dice.roll()), plan.taste);
        let clients = (0..plan.clients).map(|_| Client::new(0)).collect();
        let wrote = vec![None; plan.clients as usize];
        let requests_left = plan.requests;
        let targets = [None, Some(0), Some(0), Some(1)];
        let mut run = Run {
            plan,
            dice,
            world,
            loaders,
            clients,
            wrote,
            workload,
            requests_left,
            targets,
            down: [const { None }; NODES],
            places: HashMap::new(),
            reached: HashMap::new(),
            continues: HashMap::new(),
            seen: [None; NODES],
        };
        for seat in 0..NODES {
            let disk = CrashDisk::new(Dice::seeded(run.dice.roll()));
            run.start(seat, disk);
        }
        run
    }

    fn start(&mut self, seat: usize, disk: CrashDisk) {
        let (dice, loader) = (Dice::seeded(self.dice.roll()), self.loaders.choose(false));
        let mut directives = self.plan.nodes[seat].directives.clone();
        if let Some(target) = self.targets[seat] {
            directives.push(("replicaof", format!("{} {PORT}", World::<Engine>::host(target))));
        }
        let pace = self.plan.nodes[seat].pace;
        self.world
            .start(seat, disk, pace, |now, world| server::engine(&directives, loader, dice, now, world));
        self.seen[seat] = None;
    }

    fn primary(&self) -> usize {
        self.targets.iter().position(Option::is_none).expect("one follows nobody")
    }

    /// Serves clients, and has accidents, until all requests are sent.
    fn live(&mut self) -> Result<(), String> {
        for client in 0..self.plan.clients {
            let after = Micros(self.dice.below(self.plan.think_us + 1));
            self.world.wake(after, client);
        }
        for _ in 0..self.plan.accidents {
            let span_us = self.plan.requests * self.plan.think_us / self.plan.clients / 2;
            self.world.wake(Micros(self.dice.below(span_us + 1)), ACCIDENT);
        }
        while self.requests_left > 0 {
            self.happen()?;
        }
        Ok(())
    }

    /// All are up, the network is whole and nobody writes: they are to agree.
    fn come_to_rest(&mut self) -> Result<(), String> {
        self.world.heal();
        for seat in 0..NODES {
            if let Some(disk) = self.down[seat].take() {
                self.start(seat, disk);
            }
        }
        let now = self.world.now().steady;
        self.world.trace().note("quiet", &[now.0], b"");
        self.place_all();
        let until = now + QUIET_MAX;
        self.world.wake(LOOK, LOOKED);
        loop {
            if self.happen()? != Happened::Moment(LOOKED) {
                continue;
            }
            let quarrel = self.quarrel();
            let Some(quarrel) = quarrel else { return Ok(()) };
            if self.world.now().steady > until {
                return Err(format!("after quiet there is no peace: {quarrel}"));
            }
            // Some may not have listened when they were told whom to follow.
            self.place_all();
            self.world.wake(LOOK, LOOKED);
        }
    }

    /// Why the machines do not agree, if they do not.
    fn quarrel(&self) -> Option<String> {
        let look = |seat: usize| {
            let engine = &self.world.node(seat)?.machine;
            Some((engine.standing(), digest(engine)))
        };
        let primary = self.primary();
        let (head, data) = look(primary)?;
        for seat in (0..NODES).filter(|&seat| seat != primary) {
            let (standing, own_data) = look(seat)?;
            if !standing.is_linked {
                return Some(format!("machine {seat} does not follow: {standing:?}"));
            }
            if standing.history.id != head.history.id || own_data != data {
                return Some(format!("machine {seat} differs from {primary}: {standing:?}, {head:?}"));
            }
        }
        None
    }

    /// Lets one thing happen, and looks at what came of it.
    fn happen(&mut self) -> Result<Happened, String> {
        let happened = self.world.step();
        match happened {
            Happened::At(seat) => self.observe(seat)?,
            Happened::Moment(client) if client < self.plan.clients => self.speak(client as usize)?,
            Happened::Moment(ACCIDENT) => self.accident(),
            Happened::Moment(token) if (RETURN..RETURN + NODES as u64).contains(&token) => {
                let seat = (token - RETURN) as usize;
                if let Some(disk) = self.down[seat].take() {
                    self.start(seat, disk);
                }
            }
            Happened::Moment(_) => {}
            Happened::Nothing => return Err("nothing happens any more".to_owned()),
        }
        self.listen()?;
        Ok(happened)
    }

    /// Compares what a machine has with what was at its place when that was written.
    fn observe(&mut self, seat: usize) -> Result<(), String> {
        let Some(node) = self.world.node(seat) else { return Ok(()) };
        if let Some(code) = node.exit_code {
            return Err(format!("the process of machine {seat} ended by itself with code {code}"));
        }
        let standing = node.machine.standing();
        if !standing.is_serving || self.seen[seat] == Some(standing) {
            return Ok(());
        }
        self.seen[seat] = Some(standing);
        let (id, offset) = (standing.history.id, standing.offset);
        let farthest = self.reached.entry((seat, id)).or_default();
        *farthest = offset.max(*farthest);
        if let Some(second) = standing.history.second {
            self.continues.insert(id, second);
        }
        let data = digest(&node.machine);
        let now = self.world.now().steady.0;
        if standing.is_following {
            return match self.places.get(&(id, offset)) {
                Some(&written) if written != data => Err(format!(
                    "at {now} us machine {seat} has other data at {offset} of {id} than was written there"
                )),
                _ => Ok(()),
            };
        }
        if !standing.has_backlog {
            return Ok(());
        }
        match self.places.insert((id, offset), data) {
            Some(written) if written != data => {
                Err(format!("at {now} us the data of machine {seat} changes at {offset} of {id}"))
            }
            _ => Ok(()),
        }
    }

    fn speak(&mut self, client: usize) -> Result<(), String> {
        let pause = Micros(self.dice.below(self.plan.think_us + 1));
        self.world.wake(pause, client as u64);
        let primary = self.primary();
        if self.clients[client].seat != primary || self.clients[client].connection.is_none() {
            if let Some(connection) = self.clients[client].connection.take() {
                let seat = self.clients[client].seat;
                self.world.leave(seat, connection);
            }
            let Some(connection) = self.world.connect(primary, client as u64) else { return Ok(()) };
            self.clients[client].connected(primary, connection);
            self.wrote[client] = None;
        }
        if self.clients[client].awaited() > 0 || self.requests_left == 0 {
            return Ok(());
        }
        self.requests_left -= 1;
        for request in self.workload.next() {
            self.send(client, &request, Asked::Data)?;
        }
        if self.dice.below(10) == 0
            && let Some(place) = self.wrote[client]
        {
            let (count, timeout_ms) = (self.dice.below(4), 1 + self.dice.below(400));
            let words = ["WAIT".to_owned(), count.to_string(), timeout_ms.to_string()];
            self.send(client, &format_request(&words), Asked::Wait(place))?;
        }
        Ok(())
    }

    fn send(&mut self, client: usize, request: &[u8], asked: Asked) -> Result<(), String> {
        let (seat, connection) = (self.clients[client].seat, self.clients[client].connection);
        let Some(connection) = connection else { return Ok(()) };
        let before = self.world.node(seat).map(|node| node.machine.standing().position);
        if self.world.say(seat, connection, request) {
            self.clients[client].asked(asked);
            let standing = self.world.node(seat).map(|node| node.machine.standing());
            if let Some(standing) = standing.filter(|standing| Some(standing.position) != before) {
                let place = (standing.history.id, standing.offset);
                self.wrote[client] = Some(place).filter(|_| standing.has_backlog);
            }
            self.observe(seat)?;
        }
        Ok(())
    }

    /// Clients read what they were told.
    fn listen(&mut self) -> Result<(), String> {
        for told in self.world.take_told() {
            match told {
                Told::Closed { client } | Told::Said { client, .. } if client >= OPERATOR => {}
                Told::Closed { client } => self.clients[client as usize].closed(),
                Told::Said { client, bytes } => {
                    let seat = self.clients[client as usize].seat;
                    for (asked, reply) in self.clients[client as usize].hear(&bytes)? {
                        if let (Asked::Wait(place), Value::Integer(count)) = (asked, reply) {
                            self.judge_wait(seat, place, count)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// So many replicas have what was written before a place, WAIT says.
    fn judge_wait(&self, primary: usize, (id, offset): Place, count: i64) -> Result<(), String> {
        let has = |seat: &usize| {
            let mut own = self.reached.iter().filter(|((reacher, _), _)| reacher == seat);
            *seat != primary && own.any(|(&(_, own), &reached)| self.contains(own, reached, (id, offset)))
        };
        let true_count = (0..NODES).filter(has).count() as i64;
        if count > true_count {
            return Err(format!("WAIT says {count} where {true_count} have come to {offset} of {id}"));
        }
        Ok(())
    }

    /// Whether who has come so far in a history has another place behind him: in that history, or in one that it continues.
    fn contains(&self, mut id: ReplicationId, mut reached: ReplicationOffset, place: Place) -> bool {
        for _ in 0..=self.continues.len() {
            if id == place.0 {
                return reached >= place.1;
            }
            let Some(second) = self.continues.get(&id) else { return false };
            (id, reached) = (second.id, reached.min(second.valid_to));
        }
        false
    }

    fn accident(&mut self) {
        let seat = self.dice.below(NODES as u64) as usize;
        match self.dice.below(6) {
            0..=2 => {
                let other = (seat + 1 + self.dice.below(NODES as u64 - 1) as usize) % NODES;
                let span = Micros(self.dice.below(self.plan.cut_us + 1));
                let is_noticed = self.dice.below(2) == 0;
                self.world.cut(seat, other, span, is_noticed);
            }
            3 | 4 => self.fell(seat),
            _ => self.fail_over(),
        }
    }

    /// A machine goes down for a while. A primary that keeps nothing would come back with nothing.
    fn fell(&mut self, seat: usize) {
        if self.down[seat].is_some() || seat == self.primary() && !self.plan.nodes[seat].has_log {
            return;
        }
        let is_serving = |node: &crate::node::Node<Engine>| node.machine.standing().is_serving;
        if !self.world.node(seat).is_some_and(is_serving) {
            return;
        }
        let heard_within = Micros(self.dice.below(2_000_000));
        let Some(disk) = self.world.end(seat, heard_within) else { return };
        if self.dice.below(2) == 0 {
            disk.lose_power();
        } else {
            disk.kill();
        }
        for client in &mut self.clients {
            if client.seat == seat {
                client.closed();
            }
        }
        self.down[seat] = Some(disk);
        self.world.wake(Micros(self.dice.below(self.plan.cut_us + 1)), RETURN + seat as u64);
    }

    /// A replica takes the primary's place, whether that is there or not; the others are told, one by one.
    fn fail_over(&mut self) {
        let old = self.primary();
        let new = (old + 1 + self.dice.below(NODES as u64 - 1) as usize) % NODES;
        let may = |standing: Standing| standing.is_serving && standing.is_linked;
        if !self.world.node(new).is_some_and(|node| may(node.machine.standing())) {
            return;
        }
        let now = self.world.now().steady;
        self.world.trace().note("fail over", &[now.0, old as u64, new as u64], b"");
        for seat in 0..NODES {
            if self.targets[seat] == Some(new) || seat == old {
                continue;
            }
            // Some stay where they are: behind the new one's old place the chain must not bend back.
            if self.targets[seat] == Some(old) || self.dice.below(2) == 0 {
                self.targets[seat] = Some(new);
            }
        }
        self.targets[old] = Some(new);
        self.targets[new] = None;
        self.place_all();
    }

    /// Tells all machines whom they are to follow.
    fn place_all(&mut self) {
        let primary = self.primary();
        self.order(primary, &["REPLICAOF", "NO", "ONE"]);
        for seat in 0..NODES {
            if let Some(target) = self.targets[seat] {
                let (host, port) = (World::<Engine>::host(target), PORT.to_string());
                self.order(seat, &["REPLICAOF", &host, &port]);
            }
        }
    }

    fn order(&mut self, seat: usize, words: &[&str]) {
        if let Some(connection) = self.world.connect(seat, OPERATOR) {
            self.world.say(seat, connection, &format_request(words));
            self.world.leave(seat, connection);
        }
    }
}
