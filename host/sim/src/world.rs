//! The fake world: one queue of events in the order of their times, and machines that live through them. It carries out
//! what machines ask for as the driver does, and holds no opinion of its own.
//! Always: what happens follows from the seed and from what the scenario asks for, and from nothing else.

mod connections;
mod queue;

use tenon_base::{Dice, Input, Machine, Micros, Now, Output, Outputs, World as Surroundings};

pub use self::connections::Told;
use self::queue::{Event, Queue};
use crate::clock::Clock;
use crate::disk::CrashDisk;
use crate::lanes::{Pace, Stepped};
use crate::network::{Network, Place};
use crate::node::{Far, Nobody, Node, surroundings};
use crate::trace::Trace;

/// Rounds of requests that lead to requests, in one turn.
const ROUNDS_MAX: usize = 64;
/// The shortest that a machine sleeps.
const NAP: Micros = Micros(10);
/// How a process ends that was told to crash, as a shell would call it.
const CRASHED: i32 = 139;
/// Where machines listen.
pub const PORT: u16 = 6379;

/// Machines and what happens to them.
pub struct World<M> {
    clock: Clock,
    dice: Dice,
    trace: Trace,
    queue: Queue,
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

impl<M: Machine> World<M> {
    /// A world with `seats` places for machines, all empty.
    pub fn new(seats: usize, dice: Dice, trace: Trace) -> World<M> {
        World {
            clock: Clock::default(),
            dice,
            trace,
            queue: Queue::default(),
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
        let Some((at, event)) = self.queue.next() else { return Happened::Nothing };
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

    fn living(&mut self, place: Place) -> Option<&mut Node<M>> {
        let seat = &mut self.seats[place.seat];
        seat.node.as_mut().filter(|_| seat.life == place.life)
    }

    fn place(&self, seat: usize) -> Place {
        Place { seat, life: self.seats[seat].life }
    }

    fn schedule(&mut self, at: Micros, event: Event) {
        self.queue.add(at, event);
    }

    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }
}
