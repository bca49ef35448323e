//! One machine in a fake world: what it has written, who is connected to it, what runs beside it, its disk.
//! Decides nothing about time: see `world`.
//! Always: nothing leaves a machine whose disk has halted, for it is not there any more.

use tenon_base::{
    ConnectionId, Heard, Input, Interlude, Machine, Micros, Outputs, Reported, Signal, World as Surroundings,
};

use crate::clock::Clock;
use crate::disk::CrashDisk;
use crate::lanes::{Lanes, Pace};

/// A machine, and what belongs to it.
pub struct Node<M> {
    /// The machine itself.
    pub machine: M,
    /// Its disk.
    pub disk: CrashDisk,
    /// How quickly things go.
    pub pace: Pace,
    /// What it asked to end with, if it did.
    pub exit_code: Option<i32>,
    /// Whether it can be connected to.
    pub(crate) is_listening: bool,
    pub(crate) outputs: Outputs,
    pub(crate) lanes: Lanes,
    pub(crate) next_settle: Micros,
    connections: Vec<Option<Connected>>,
}

/// One connection of a machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connected {
    pub(crate) id: ConnectionId,
    pub(crate) far: Far,
    pub(crate) closes_when_sent: bool,
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Far {
    /// A client of the scenario.
    Client(u64),
    /// Another machine, over a link, of which this is that side.
    Link { link: usize, side: usize },
}

impl<M: Machine> Node<M> {
    pub(crate) fn new(machine: M, outputs: Outputs, disk: CrashDisk, pace: Pace) -> Node<M> {
        Node {
            machine,
            disk,
            pace,
            exit_code: None,
            is_listening: false,
            outputs,
            lanes: Lanes::default(),
            next_settle: Micros::NEVER,
            connections: Vec::new(),
        }
    }

    /// Tells the machine a fact.
    pub(crate) fn handle(&mut self, clock: &mut Clock, input: Input<'_>) {
        let now = clock.now();
        let mut nobody = Nobody;
        let mut world = surroundings(&mut self.outputs, clock, &mut nobody, &self.disk);
        self.machine.handle(now, input, &mut world);
    }

    /// Lets the machine do what it owes, and go on with long work.
    pub(crate) fn settle(&mut self, clock: &mut Clock) {
        let now = clock.now();
        let mut nobody = Nobody;
        let mut world = surroundings(&mut self.outputs, clock, &mut nobody, &self.disk);
        self.machine.settle(now, &mut world);
        self.machine.linger(&mut world);
    }

    /// Whether it does anything more.
    pub(crate) fn is_over(&self) -> bool {
        self.exit_code.is_some() || self.disk.is_halted()
    }

    /// Gives a connection the first free slot.
    pub(crate) fn connect(&mut self, serial: u64, far: Far) -> ConnectionId {
        let free = self.connections.iter().position(Option::is_none);
        let slot = free.unwrap_or(self.connections.len());
        if slot == self.connections.len() {
            self.connections.push(None);
        }
        let id = ConnectionId { serial, slot: slot as u32 };
        self.connections[slot] = Some(Connected { id, far, closes_when_sent: false });
        id
    }

    /// What is on a slot.
    pub(crate) fn at(&self, slot: u32) -> Option<Connected> {
        self.connections.get(slot as usize).copied().flatten()
    }

    /// A connection that has not ended.
    pub(crate) fn find(&self, id: ConnectionId) -> Option<Connected> {
        self.at(id.slot).filter(|connected| connected.id == id)
    }

    pub(crate) fn close_when_sent(&mut self, id: ConnectionId) {
        if let Some(Some(connected)) = self.connections.get_mut(id.slot as usize) {
            connected.closes_when_sent = true;
        }
    }

    /// Ends a connection, and tells the machine.
    pub(crate) fn end(&mut self, clock: &mut Clock, id: ConnectionId) {
        self.outputs.discard(id.slot);
        self.handle(clock, Input::Closed { connection: id });
        // What the machine wrote to it on hearing the news goes nowhere.
        self.outputs.discard(id.slot);
        self.connections[id.slot as usize] = None;
    }
}

/// What a machine may touch.
pub(crate) fn surroundings<'a>(
    outputs: &'a mut Outputs,
    clock: &'a mut Clock,
    nobody: &'a mut Nobody,
    disk: &'a CrashDisk,
) -> Surroundings<'a> {
    Surroundings { outputs, stopwatch: clock, interlude: nobody, disk }
}

/// Lets nobody in.
pub(crate) struct Nobody;

impl Interlude for Nobody {
    fn hear(&mut self, _: Option<ConnectionId>, _: &mut Outputs, _: &mut Vec<u8>) -> Option<Heard> {
        None
    }

    fn answer(&mut self, _: Reported) {}

    fn send(&mut self, _: Option<ConnectionId>, _: &mut Outputs) {}

    fn signal(&mut self) -> Option<Signal> {
        None
    }

    fn sleep(&mut self, _: Micros) {}
}
