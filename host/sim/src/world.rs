//! The fake world: one queue of events in the order of their times, and machines that live through them. It carries out
//! what machines ask for as the driver does, and holds no opinion of its own.
//! Always: what happens follows from the seed and from what the scenario asks for, and from nothing else.

use std::any::Any;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

use tenon_base::{
    ConnectionId, Dice, Input, Machine, Micros, Now, Output, Outputs, Peer, Ticket, Transport,
    World as Surroundings,
};

use crate::clock::Clock;
use crate::disk::CrashDisk;
use crate::lanes::{Pace, Stepped};
use crate::network::{End, Network, Place};
use crate::node::{Far, Nobody, Node, surroundings};
use crate::trace::Trace;

/// Rounds of requests that lead to requests, in one turn.
const ROUNDS_MAX: usize = 64;
/// The shortest that a machine sleeps.
const NAP: Micros = Micros(10);
/// How a process ends that was told to crash, as a shell would call it.
const CRASHED: i32 = 139;
/// What is read from a socket at once, at most.
const READ_BYTES_MAX: usize = 16 * 1024;
/// Where machines listen.
pub const PORT: u16 = 6379;

/// Machines and what happens to them.
pub struct World<M> {
    clock: Clock,
    dice: Dice,
    trace: Trace,
    queue: BinaryHeap<Scheduled>,
    scheduled: u64,
    seats: Vec<Seat<M>>,
    network: Network,
    /// What clients of the scenario were told since it last looked.
    told: Vec<Told>,
    serial: u64,
}

/// Where a machine lives, again and again.
struct Seat<M> {
    life: u64,
    node: Option<Node<M>>,
}

/// What a client of the scenario was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Bytes.
    Said {
        /// Which client.
        client: u64,
        /// What.
        bytes: Vec<u8>,
    },
    /// Its connection is gone.
    Closed {
        /// Which client.
        client: u64,
    },
}

/// What a step of the world was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// Something, at a machine that may now stand elsewhere.
    At(usize),
    /// The moment that the scenario asked for.
    Moment(u64),
    /// Nothing any more.
    Nothing,
}

struct Scheduled {
    at: Micros,
    order: u64,
    event: Event,
}

enum Event {
    Moment(u64),
    Settle(Place),
    Step(Place, u64),
    Completed(Place, Ticket, Box<dyn Any + Send>),
    Listened(Place, Ticket),
    Linked(Place, Ticket, Option<usize>),
    Arrive { link: usize, side: usize, bytes: Vec<u8> },
    HungUp { link: usize, side: usize },
}

impl<M: Machine> World<M> {
    /// A world with `seats` places for machines, all empty.
    pub fn new(seats: usize, dice: Dice, trace: Trace) -> World<M> {
        World {
            clock: Clock::default(),
            dice,
            trace,
            queue: BinaryHeap::new(),
            scheduled: 0,
            seats: (0..seats).map(|_| Seat { life: 0, node: None }).collect(),
            network: Network::default(),
            told: Vec::new(),
            serial: 0,
        }
    }

    /// The time.
    pub fn now(&self) -> Now {
        self.clock.now()
    }

    /// What happened so far.
    pub fn trace(&mut self) -> &mut Trace {
        &mut self.trace
    }

    /// The longest that bytes take between two machines, in microseconds.
    pub fn set_delay(&mut self, delay_us: u64) {
        self.network.delay_us = delay_us;
    }

    /// A name under which the machine on a seat is found by others.
    pub fn host(seat: usize) -> String {
        format!("10.0.0.{}", seat + 1)
    }

    /// Puts a machine on an empty seat. It is made by `make`, which may use its disk.
    pub fn start(
        &mut self,
        seat: usize,
        disk: CrashDisk,
        pace: Pace,
        make: impl FnOnce(Now, &mut Surroundings<'_>) -> M,
    ) {
        let mut outputs = Outputs::default();
        let now = self.clock.now();
        let machine = make(now, &mut surroundings(&mut outputs, &mut self.clock, &mut Nobody, &disk));
        assert!(self.seats[seat].node.is_none(), "a seat is taken by one machine at a time");
        self.seats[seat].life += 1;
        self.seats[seat].node = Some(Node::new(machine, outputs, disk, pace));
        self.trace.note("start", &[now.steady.0, seat as u64], b"");
        self.settle_by(seat, now.steady);
    }

    /// The machine on a seat, if one lives.
    pub fn node(&self, seat: usize) -> Option<&Node<M>> {
        self.seats[seat].node.as_ref()
    }

    /// As [`World::node`], to change it.
    pub fn node_mut(&mut self, seat: usize) -> Option<&mut Node<M>> {
        self.seats[seat].node.as_mut()
    }

    /// Ends a machine at once: its process, or all of it. Others hear of that within `heard_within`. Its disk is given
    /// back.
    pub fn end(&mut self, seat: usize, heard_within: Micros) -> Option<CrashDisk> {
        let place = self.place(seat);
        for (link, side) in self.network.ends_at(place) {
            if self.network.leave(link, side).is_some() {
                let at = self.clock.now().steady + Micros(self.dice.below(heard_within.0 + 1));
                let at = at.max(self.network.hang_up(link, 1 - side, at, &mut self.dice));
                self.schedule(at, Event::HungUp { link, side: 1 - side });
            }
        }
        self.trace.note("end", &[self.clock.now().steady.0, seat as u64], b"");
        self.seats[seat].node.take().map(|node| node.disk)
    }

    /// Tells the scenario when a moment has come.
    pub fn wake(&mut self, after: Micros, token: u64) {
        self.schedule(self.clock.now().steady + after, Event::Moment(token));
    }

    /// Connects a client of the scenario. `None` if nobody listens.
    pub fn connect(&mut self, seat: usize, client: u64) -> Option<ConnectionId> {
        let serial = self.next_serial();
        let node = self.seats[seat].node.as_mut().filter(|node| node.is_listening)?;
        let id = node.connect(serial, Far::Client(client));
        let peer = peer(&format!("10.0.1.{}:{}", client % 250, 10_000 + serial % 50_000), seat);
        self.trace.note("connect", &[self.clock.now().steady.0, seat as u64, client], b"");
        self.tell(seat, Input::Connected { connection: id, peer });
        Some(id)
    }

    /// A client of the scenario says something. False if its connection is gone.
    pub fn say(&mut self, seat: usize, connection: ConnectionId, bytes: &[u8]) -> bool {
        let is_there = self.seats[seat].node.as_ref().is_some_and(|node| node.find(connection).is_some());
        if is_there {
            self.trace.note("say", &[self.clock.now().steady.0, seat as u64, connection.serial], bytes);
            self.tell(seat, Input::Received { connection, bytes });
        }
        is_there
    }

    /// A client of the scenario leaves.
    pub fn leave(&mut self, seat: usize, connection: ConnectionId) {
        if let Some(node) = &mut self.seats[seat].node
            && node.find(connection).is_some()
        {
            node.end(&mut self.clock, connection);
            self.settle_soon(seat);
        }
    }

    /// What clients of the scenario were told since the last call.
    pub fn take_told(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.told)
    }

    /// Lets nothing pass between two machines for a while. If `is_noticed`, links that are there end at once.
    pub fn cut(&mut self, one: usize, other: usize, span: Micros, is_noticed: bool) {
        let now = self.clock.now().steady;
        self.trace.note("cut", &[now.0, one as u64, other as u64, span.0], b"");
        if is_noticed {
            for link in self.network.between(one, other) {
                for side in 0..2 {
                    self.schedule(now + Micros(1), Event::HungUp { link, side });
                }
            }
        }
        self.network.cut(one, other, now + span);
    }

    /// All cuts are over.
    pub fn heal(&mut self) {
        self.network.heal();
    }

    /// Lets the next thing happen.
    pub fn step(&mut self) -> Happened {
        let Some(Scheduled { at, event, .. }) = self.queue.pop() else { return Happened::Nothing };
        self.clock.advance(at);
        match event {
            Event::Moment(token) => Happened::Moment(token),
            Event::Settle(place) => {
                let is_due = |node: &&mut Node<M>| node.next_settle == at;
                if self.living(place).filter(is_due).is_some() {
                    self.end_turn(place.seat);
                }
                Happened::At(place.seat)
            }
            Event::Step(place, job) => {
                self.step_job(place, job);
                Happened::At(place.seat)
            }
            Event::Completed(place, ticket, result) => {
                if self.living(place).is_some() {
                    self.trace.note("completed", &[at.0, place.seat as u64, ticket.0], b"");
                    self.tell(place.seat, Input::Completed { ticket, result });
                }
                Happened::At(place.seat)
            }
            Event::Listened(place, ticket) => {
                if let Some(node) = self.living(place) {
                    node.is_listening = true;
                    self.tell(place.seat, Input::Listened { ticket, result: Ok(()) });
                }
                Happened::At(place.seat)
            }
            Event::Linked(place, ticket, target) => {
                self.link(place, ticket, target);
                Happened::At(place.seat)
            }
            Event::Arrive { link, side, bytes } => self.arrive(link, side, bytes),
            Event::HungUp { link, side } => self.hung_up(link, side),
        }
    }

    /// Tells a machine a fact, and sees to it that its turn ends.
    fn tell(&mut self, seat: usize, input: Input<'_>) {
        let Some(node) = &mut self.seats[seat].node else { return };
        if node.is_over() {
            return;
        }
        node.handle(&mut self.clock, input);
        self.settle_soon(seat);
    }

    fn settle_soon(&mut self, seat: usize) {
        let Some(node) = &self.seats[seat].node else { return };
        let pause = Micros(self.dice.below(node.pace.turn_us + 1));
        self.settle_by(seat, self.clock.now().steady + pause);
    }

    /// A turn ends at `moment`, or before.
    fn settle_by(&mut self, seat: usize, moment: Micros) {
        let place = self.place(seat);
        let Some(node) = &mut self.seats[seat].node else { return };
        if moment < node.next_settle {
            node.next_settle = moment;
            self.schedule(moment, Event::Settle(place));
        }
    }

    /// Settles, carries out and sends until nothing is owed.
    fn end_turn(&mut self, seat: usize) {
        let mut slots = Vec::new();
        for _ in 0..ROUNDS_MAX {
            let Some(node) = self.seats[seat].node.as_mut().filter(|node| !node.is_over()) else { return };
            node.next_settle = Micros::NEVER;
            node.settle(&mut self.clock);
            if node.is_over() {
                return;
            }
            node.outputs.take_dirty(&mut slots);
            let requests = node.outputs.take_requests();
            let is_last = requests.is_empty();
            if is_last {
                node.outputs.take_pushed(&mut slots, usize::MAX);
            }
            for slot in slots.drain(..) {
                self.send(seat, slot);
            }
            for request in requests {
                self.carry_out(seat, request);
            }
            if is_last {
                break;
            }
        }
        let now = self.clock.now().steady;
        let wake_at = self.seats[seat].node.as_ref().and_then(|node| node.machine.wake_at());
        if let Some(wake_at) = wake_at {
            self.settle_by(seat, wake_at.max(now + NAP));
        }
    }

    /// Carries out one request of a machine.
    fn carry_out(&mut self, seat: usize, request: Output) {
        let place = self.place(seat);
        let now = self.clock.now().steady;
        let Some(node) = &mut self.seats[seat].node else { return };
        match request {
            Output::Close { connection, at_once } => {
                if at_once || node.outputs.pending_bytes(connection.slot) == 0 {
                    self.close(seat, connection);
                } else {
                    node.close_when_sent(connection);
                }
            }
            Output::Reading { connection, wanted } => {
                if let Some(Far::Link { link, side }) = node.find(connection).map(|connected| connected.far) {
                    for bytes in self.network.read(link, side, wanted) {
                        self.schedule(now, Event::Arrive { link, side, bytes });
                    }
                }
            }
            Output::Run { ticket, lane, job } => {
                self.trace.note("run", &[now.0, seat as u64, ticket.0, lane as u64], b"");
                if let Some(job) = node.lanes.add(ticket, lane, job) {
                    self.schedule_job(place, job);
                }
            }
            Output::Listen { ticket, .. } => self.schedule(now + Micros(1), Event::Listened(place, ticket)),
            Output::Connect { ticket, host, port, patience, .. } => {
                let target = (0..self.seats.len()).find(|&seat| Self::host(seat) == host && port == PORT);
                let is_cut = target.is_some_and(|target| self.network.is_cut(seat, target, now));
                let after = if is_cut { patience } else { self.network.delay(now, None, &mut self.dice) };
                self.schedule(now + after, Event::Linked(place, ticket, target.filter(|_| !is_cut)));
            }
            Output::Crash => {
                self.trace.note("crash", &[now.0, seat as u64], b"");
                node.exit_code = Some(CRASHED);
            }
            Output::Exit { code } => {
                self.trace.note("exit", &[now.0, seat as u64, code as u64], b"");
                node.exit_code = Some(code);
            }
        }
    }

    fn schedule_job(&mut self, place: Place, job: u64) {
        let Some(node) = &self.seats[place.seat].node else { return };
        let pause = node.lanes.pause(job, node.pace, &mut self.dice);
        self.schedule(self.clock.now().steady + pause, Event::Step(place, job));
    }

    fn step_job(&mut self, place: Place, job: u64) {
        let now = self.clock.now().steady;
        let World { dice, seats, .. } = self;
        let seat = &mut seats[place.seat];
        let living = seat.node.as_mut().filter(|node| seat.life == place.life && !node.is_over());
        let Some(node) = living else { return };
        match node.lanes.step(job, &node.disk, node.pace, dice) {
            _ if node.disk.is_halted() => {}
            Some(Stepped::Again(pause)) => self.schedule(now + pause, Event::Step(place, job)),
            Some(Stepped::Done { ticket, result, told_after, next }) => {
                self.schedule(now + told_after, Event::Completed(place, ticket, result));
                if let Some(next) = next {
                    self.schedule_job(place, next);
                }
            }
            None => {}
        }
    }

    /// A connection that a machine asked for is made, or not.
    fn link(&mut self, place: Place, ticket: Ticket, target: Option<usize>) {
        if self.living(place).is_none() {
            return;
        }
        let target = target.filter(|&target| {
            self.seats[target].node.as_ref().is_some_and(|node| node.is_listening && !node.is_over())
                && target != place.seat
        });
        let Some(target) = target else {
            let result = Err("Connection refused".to_owned());
            return self.tell(place.seat, Input::Linked { ticket, result });
        };
        let (near_serial, far_serial) = (self.next_serial(), self.next_serial());
        let far_place = self.place(target);
        let link = self.network.open(
            End { place, connection: ConnectionId { serial: near_serial, slot: 0 } },
            End { place: far_place, connection: ConnectionId { serial: far_serial, slot: 0 } },
        );
        let near = self.join(place.seat, near_serial, link, 0);
        let far = self.join(target, far_serial, link, 1);
        let (Some(near), Some(far)) = (near, far) else { return };
        self.network.set_connection(link, 0, near);
        self.network.set_connection(link, 1, far);
        self.trace.note("link", &[self.clock.now().steady.0, place.seat as u64, target as u64], b"");
        let near_address = format!("{}:{}", Self::host(place.seat), 20_000 + near_serial % 40_000);
        let far_address = format!("{}:{PORT}", Self::host(target));
        self.tell(target, Input::Connected { connection: far, peer: peer(&near_address, target) });
        let far_peer = Peer { local: near_address, ..peer(&far_address, place.seat) };
        self.tell(place.seat, Input::Linked { ticket, result: Ok((near, far_peer)) });
    }

    fn join(&mut self, seat: usize, serial: u64, link: usize, side: usize) -> Option<ConnectionId> {
        Some(self.seats[seat].node.as_mut()?.connect(serial, Far::Link { link, side }))
    }

    /// Sends what may leave on one connection.
    fn send(&mut self, seat: usize, slot: u32) {
        let now = self.clock.now().steady;
        loop {
            let Some(node) = self.seats[seat].node.as_mut() else { return };
            let Some(connected) = node.at(slot) else { return };
            let sendable = node.outputs.sendable(slot);
            if sendable.is_empty() {
                if connected.closes_when_sent && node.outputs.pending_bytes(slot) == 0 {
                    self.close(seat, connected.id);
                }
                return;
            }
            match connected.far {
                Far::Client(client) => {
                    let bytes = sendable.to_vec();
                    node.outputs.sent(slot, bytes.len());
                    self.trace.note("told", &[now.0, seat as u64, client], &bytes);
                    self.told.push(Told::Said { client, bytes });
                }
                Far::Link { link, side } => {
                    let room = self.network.room(link, 1 - side).min(sendable.len());
                    if room == 0 {
                        return;
                    }
                    let is_split = room > 1 && self.dice.below(8) == 0;
                    let count = if is_split { 1 + self.dice.below(room as u64 - 1) as usize } else { room };
                    let bytes = sendable[..count.min(READ_BYTES_MAX)].to_vec();
                    node.outputs.sent(slot, bytes.len());
                    let at = self.network.send(link, 1 - side, bytes.len(), now, &mut self.dice);
                    self.schedule(at, Event::Arrive { link, side: 1 - side, bytes });
                }
            }
        }
    }

    /// Bytes have come over a link; its other end may go on sending.
    fn arrive(&mut self, link: usize, side: usize, bytes: Vec<u8>) -> Happened {
        let Some(end) = self.network.end(link, side) else { return Happened::Moment(u64::MAX) };
        let seat = end.place.seat;
        if self.living(end.place).is_none() {
            return Happened::At(seat);
        }
        let Some(bytes) = self.network.arrive(link, side, bytes) else { return Happened::At(seat) };
        self.trace.note("arrive", &[self.clock.now().steady.0, seat as u64], &bytes);
        self.tell(seat, Input::Received { connection: end.connection, bytes: &bytes });
        if let Some(other) = self.network.end(link, 1 - side)
            && self.living(other.place).is_some_and(|node| !node.is_over())
        {
            self.send(other.place.seat, other.connection.slot);
        }
        Happened::At(seat)
    }

    /// The other end of a link is gone.
    fn hung_up(&mut self, link: usize, side: usize) -> Happened {
        let Some(end) = self.network.end(link, side) else { return Happened::Moment(u64::MAX) };
        if self.living(end.place).is_some() {
            self.close(end.place.seat, end.connection);
        }
        Happened::At(end.place.seat)
    }

    /// Ends a connection, whoever wanted it.
    fn close(&mut self, seat: usize, connection: ConnectionId) {
        let Some(node) = &mut self.seats[seat].node else { return };
        let Some(connected) = node.find(connection) else { return };
        match connected.far {
            Far::Client(client) => self.told.push(Told::Closed { client }),
            Far::Link { link, side } => {
                if self.network.leave(link, side).is_some() {
                    let now = self.clock.now().steady;
                    let at = self.network.hang_up(link, 1 - side, now, &mut self.dice);
                    self.schedule(at, Event::HungUp { link, side: 1 - side });
                }
            }
        }
        let Some(node) = &mut self.seats[seat].node else { return };
        node.end(&mut self.clock, connection);
        self.settle_soon(seat);
    }

    fn living(&mut self, place: Place) -> Option<&mut Node<M>> {
        let seat = &mut self.seats[place.seat];
        seat.node.as_mut().filter(|_| seat.life == place.life)
    }

    fn place(&self, seat: usize) -> Place {
        Place { seat, life: self.seats[seat].life }
    }

    fn schedule(&mut self, at: Micros, event: Event) {
        self.scheduled += 1;
        self.queue.push(Scheduled { at, order: self.scheduled, event });
    }

    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }
}

fn peer(address: &str, seat: usize) -> Peer {
    Peer {
        address: address.to_owned(),
        local: format!("10.0.0.{}:{PORT}", seat + 1),
        descriptor: 8,
        transport: Transport::Tcp,
        is_local: false,
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Scheduled) -> bool {
        self.order == other.order
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Scheduled) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The queue gives its greatest first: that is to be the earliest.
impl Ord for Scheduled {
    fn cmp(&self, other: &Scheduled) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}
