//! One worker: a machine, the connections it serves, and the turn that ties them together.
//! A turn is: every connection that has bytes is read, and what came goes to the machine, several reads at once (see
//! `group`); then the machine settles; then its requests are carried out; then the flusher sends what was released.

use std::any::Any;
use std::cell::RefCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use tenon_base::{
    ConnectionId, Disk, Heard, Input, Interlude, Machine, Micros, Now, Output, Outputs, Peer, Pieces, Report,
    Reported, Signal, World,
};
use tokio::runtime::Builder;
use tokio::task::LocalSet;

use crate::ahead;
use crate::connect::Destination;
use crate::connection::{self, Link, Stream};
use crate::group::Group;
use crate::http::Visitor;
use crate::interlude::{Findings, Meanwhile};
use crate::lanes::{Lanes, panic_text};
use crate::links::Links;
use crate::listen::Listeners;
use crate::signals::Signals;
use crate::spin::Spin;
use crate::{Clock, flusher, signals};

/// While a turn is no older than this, a connection that has filled the buffer is read from again: the bytes of a large
/// argument take a few microseconds a buffer, those of many small requests more than this.
const READ_SHARE: Micros = Micros(1_000);
/// Tasks polled between two looks at the sockets: all connections that have bytes are heard before a flush.
const EVENT_INTERVAL: u32 = 1_024;
/// Exit code after a panic of the machine.
const EXIT_PANIC: i32 = 70;

/// Drives one machine until it asks to exit.
pub struct Driver<M> {
    machine: M,
    outputs: Outputs,
    clock: Clock,
    disk: Arc<dyn Disk>,
}

/// Lets nobody in: for worlds where long work is not interrupted.
pub struct NoInterlude;

impl Interlude for NoInterlude {
    fn hear(&mut self, _: Option<ConnectionId>, _: &mut Outputs, _: &mut Vec<u8>) -> Option<Heard> {
        None
    }

    fn answer(&mut self, _: Reported) {}

    fn send(&mut self, _: Option<ConnectionId>, _: &mut Outputs) {}

    fn signal(&mut self) -> Option<Signal> {
        None
    }

    fn sleep(&mut self, span: Micros) {
        std::thread::sleep(std::time::Duration::from_micros(span.0));
    }

    fn ahead(&mut self, pieces: Box<dyn Pieces>) -> Box<dyn Pieces> {
        ahead::made_ahead(pieces)
    }
}

impl<M: Machine + 'static> Driver<M> {
    /// A driver for `machine`, whose start-up work may already have left something in `outputs`.
    pub fn new(machine: M, outputs: Outputs, clock: Clock, disk: Arc<dyn Disk>) -> Driver<M> {
        Driver { machine, outputs, clock, disk }
    }

    /// Serves until the machine asks to exit; returns the exit code it named.
    pub fn run(self) -> io::Result<i32> {
        let runtime = Builder::new_current_thread().enable_all().event_interval(EVENT_INTERVAL).build()?;
        let worker = Rc::new(RefCell::new(Worker {
            machine: self.machine,
            outputs: self.outputs,
            clock: self.clock,
            lanes: Lanes::new(Arc::clone(&self.disk)),
            disk: self.disk,
            links: Links::default(),
            findings: Findings::default(),
            signals: Signals::catch()?,
            group: Group::new(),
            turn: None,
            flush: Rc::default(),
            listeners: Listeners::default(),
            spin: Spin::new(std::thread::available_parallelism().map_or(1, usize::from)),
            exit: None,
        }));
        let local = LocalSet::new();
        local.block_on(&runtime, async move {
            spawn_signals(&worker);
            // A task like the connections': woken by them it runs behind all that are ready, in the same turn.
            let served = tokio::task::spawn_local(flusher::serve(worker));
            Ok(served.await.unwrap_or(EXIT_PANIC))
        })
    }
}

/// Tells the machine of signals that no long work has heard.
fn spawn_signals<M: Machine + 'static>(worker: &Shared<M>) {
    let worker = Rc::clone(worker);
    let pending = Arc::clone(worker.borrow().signals.pending());
    tokio::task::spawn_local(async move {
        loop {
            pending.arrived.notified().await;
            while let Some(signal) = pending.take() {
                worker.borrow_mut().tell(Input::Signal(signal));
            }
        }
    });
}

/// What a read came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// The buffer is full: there may be more.
    Filled,
    /// The socket is empty for now.
    Emptied,
}

/// The worker as its tasks share it. Borrowed only between two awaits.
pub(crate) type Shared<M> = Rc<RefCell<Worker<M>>>;

pub(crate) struct Worker<M> {
    machine: M,
    pub(crate) outputs: Outputs,
    pub(crate) clock: Clock,
    disk: Arc<dyn Disk>,
    pub(crate) lanes: Lanes,
    links: Links,
    findings: Findings,
    signals: Signals,
    /// What was read and not handed over yet.
    group: Group,
    /// The time of the running turn: read once, at its first input.
    turn: Option<Now>,
    /// Wakes the flusher.
    pub(crate) flush: Rc<tokio::sync::Notify>,
    listeners: Listeners,
    pub(crate) spin: Spin,
    exit: Option<i32>,
}

impl<M: Machine + 'static> Worker<M> {
    /// Tells the machine a fact, and sees to it that the turn ends.
    pub(crate) fn tell(&mut self, input: Input<'_>) {
        self.hand_over();
        self.handle(input, &Group::absent(), 0);
    }

    /// Hands over what was read, and has the machine fetch for all of it first.
    fn hand_over(&mut self) {
        if self.group.len() == 0 {
            return;
        }
        let mut group = std::mem::replace(&mut self.group, Group::absent());
        if group.len() > 1 {
            let machine = &self.machine;
            let told = catch_unwind(AssertUnwindSafe(|| machine.expect(&mut group.iter())));
            self.survive(told);
        }
        for index in 0..group.len() {
            let read = group.read(index).filter(|(connection, _)| self.links.find(*connection).is_some());
            if let Some((connection, bytes)) = read {
                self.handle(Input::Received { connection, bytes }, &group, index + 1);
            }
        }
        group.clear();
        self.group = group;
    }

    /// Tells the machine a fact. Of `group`, what is behind `next` may be heard in the middle of long work.
    fn handle(&mut self, input: Input<'_>, group: &Group, next: usize) {
        let now = self.begin();
        let mut meanwhile = Meanwhile::new(
            &mut self.links,
            group.from(next),
            &self.listeners,
            &mut self.findings,
            &self.signals,
        );
        let mut world = World {
            outputs: &mut self.outputs,
            stopwatch: &mut self.clock,
            interlude: &mut meanwhile,
            disk: &*self.disk,
        };
        let machine = &mut self.machine;
        let told = catch_unwind(AssertUnwindSafe(|| machine.handle(now, input, &mut world)));
        let was_long = meanwhile.end(&mut self.outputs);
        self.survive(told);
        if was_long {
            self.turn = Some(self.clock.now());
            for link in std::mem::take(&mut self.findings.ended) {
                self.tell_end(&link);
            }
        }
    }

    /// Lets the machine do what it owes and carries it out. Returns the slots to flush.
    pub(crate) fn settle(&mut self, dirty: &mut Vec<u32>) {
        self.hand_over();
        // A settle that no input led to (a timer's) has a time of its own, and wakes nobody.
        let now = self.turn.unwrap_or_else(|| self.clock.now());
        self.on_machine(|machine, world| machine.settle(now, world));
        self.turn = None;
        self.outputs.take_dirty(dirty);
    }

    /// Lets the machine go on with what nobody waits for.
    pub(crate) fn linger(&mut self) {
        self.on_machine(|machine, world| machine.linger(world));
    }

    /// Asks the machine for what a monitoring system wants to know.
    pub(crate) fn report(&mut self, report: Report) -> Option<Reported> {
        let now = self.clock.now();
        self.on_machine(|machine, world| machine.report(now, report, world))
    }

    /// Has the machine do what nobody is let in during. `None` if it panicked, which ends the worker.
    fn on_machine<T>(&mut self, work: impl FnOnce(&mut M, &mut World<'_>) -> T) -> Option<T> {
        let mut world = World {
            outputs: &mut self.outputs,
            stopwatch: &mut self.clock,
            interlude: &mut NoInterlude,
            disk: &*self.disk,
        };
        let machine = &mut self.machine;
        let (done, outcome) = match catch_unwind(AssertUnwindSafe(|| work(machine, &mut world))) {
            Ok(done) => (Some(done), Ok(())),
            Err(panic) => (None, Err(panic)),
        };
        self.survive(outcome);
        done
    }

    /// What the machine asked for since the last call.
    pub(crate) fn take_requests(&mut self) -> Vec<Output> {
        self.outputs.take_requests()
    }

    pub(crate) fn wake_at(&self) -> Option<Micros> {
        self.machine.wake_at()
    }

    /// Whether the machine was told something since it last settled.
    pub(crate) fn is_in_turn(&self) -> bool {
        self.turn.is_some()
    }

    /// Whether the turn has just begun, so that a connection may be read from again.
    pub(crate) fn has_time(&self) -> bool {
        self.turn.is_some_and(|began| self.clock.now().steady.since(began.steady) < READ_SHARE)
    }

    pub(crate) fn exit_code(&self) -> Option<i32> {
        self.exit
    }

    /// Reads once from a connection. What came is handed over with what else is read in this turn.
    pub(crate) fn poll_read(&mut self, link: &Link, context: &mut Context<'_>) -> Poll<io::Result<Read>> {
        let count = match link.poll_read(context, self.group.room()) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            Poll::Ready(Ok(count)) => count,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
        };
        self.begin();
        let read = if self.group.push(link, count) { Read::Filled } else { Read::Emptied };
        if self.group.is_full() {
            self.hand_over();
        }
        Poll::Ready(Ok(read))
    }

    /// Sends what may leave on one connection. A full socket leaves the rest to the connection's task.
    pub(crate) fn send(&mut self, slot: u32) {
        let Some(link) = self.link(slot) else { return };
        match link.flush() {
            Ok(true) => {}
            Ok(false) => return link.want_write(),
            Err(_) => return self.close(&link),
        }
        loop {
            let sendable = self.outputs.sendable(slot);
            if sendable.is_empty() {
                break;
            }
            match link.try_write(sendable) {
                Ok(count) => self.outputs.sent(slot, count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return link.want_write(),
                Err(_) => return self.close(&link),
            }
        }
        if !matches!(link.flush(), Ok(true)) {
            return link.want_write();
        }
        if link.closes_when_sent.get() && self.outputs.pending_bytes(slot) == 0 {
            self.close(&link);
        }
    }

    pub(crate) fn link(&self, slot: u32) -> Option<Rc<Link>> {
        self.links.at(slot).map(Rc::clone)
    }

    /// What long work has met since the last call: connections and monitoring systems that need tasks.
    pub(crate) fn take_newcomers(&mut self) -> (Vec<Rc<Link>>, Vec<Visitor>) {
        (std::mem::take(&mut self.findings.newcomers), std::mem::take(&mut self.findings.visitors))
    }

    /// Takes in an accepted connection.
    pub(crate) fn connect(&mut self, stream: Stream, peer: Peer) -> Rc<Link> {
        let link = self.links.adopt(stream, false);
        self.tell(Input::Connected { connection: link.id, peer });
        link
    }

    /// Gives the socket of a connection that the machine asked for a slot.
    pub(crate) fn adopt_own(&mut self, stream: Stream) -> Rc<Link> {
        self.links.adopt(stream, true)
    }

    /// Ends a connection, whoever wanted it. Does nothing if it has already ended.
    pub(crate) fn close(&mut self, link: &Link) {
        if link.is_closed.replace(true) {
            return;
        }
        link.wake();
        self.outputs.discard(link.id.slot);
        self.tell_end(link);
    }

    /// Tells the machine that a connection is gone, and frees its slot.
    fn tell_end(&mut self, link: &Link) {
        self.tell(Input::Closed { connection: link.id });
        // What the machine wrote to it on hearing the news goes nowhere.
        self.outputs.discard(link.id.slot);
        self.links.remove(link.id);
    }

    fn begin(&mut self) -> Now {
        match self.turn {
            Some(now) => now,
            None => {
                let now = self.clock.now();
                self.spin.began(now.steady);
                self.turn = Some(now);
                self.flush.notify_one();
                now
            }
        }
    }

    fn survive(&mut self, outcome: Result<(), Box<dyn Any + Send>>) {
        if let Err(panic) = outcome {
            tracing::error!(
                "The engine stopped: {}. Nothing more is written or answered.",
                panic_text(&*panic)
            );
            self.exit = Some(EXIT_PANIC);
            self.flush.notify_one();
        }
    }
}

/// Carries out one request of the machine.
pub(crate) fn carry_out<M: Machine + 'static>(worker: &Shared<M>, output: Output) {
    match output {
        Output::Close { connection, at_once } => {
            let link = worker.borrow().link(connection.slot).filter(|link| link.id == connection);
            let Some(link) = link else { return };
            let mut worker = worker.borrow_mut();
            let is_sent =
                worker.outputs.pending_bytes(connection.slot) == 0 && !matches!(link.flush(), Ok(false));
            if at_once || is_sent {
                worker.close(&link);
            } else {
                link.closes_when_sent.set(true);
                link.reads(false);
            }
        }
        Output::Reading { connection, wanted } => {
            let link = worker.borrow().link(connection.slot).filter(|link| link.id == connection);
            if let Some(link) = link {
                link.reads(wanted);
            }
        }
        Output::Run { ticket, lane, job } => worker.borrow_mut().lanes.run(ticket, lane, job),
        Output::Listen { ticket, listening } => {
            let mut listeners = std::mem::take(&mut worker.borrow_mut().listeners);
            let result = listeners.serve(
                listening,
                |acceptor| connection::spawn_acceptor(worker, acceptor),
                |handshaken| connection::spawn_handshaken(worker, handshaken),
            );
            let mut worker = worker.borrow_mut();
            worker.listeners = listeners;
            worker.tell(Input::Listened { ticket, result });
        }
        Output::Connect { ticket, host, port, patience, source, tls } => {
            connection::spawn_connector(worker, ticket, Destination { host, port, source, tls }, patience);
        }
        Output::Crash => signals::crash(),
        Output::Exit { code } => {
            let mut worker = worker.borrow_mut();
            // Before clients find their connections closed: who connects anew then must not be let in.
            worker.listeners = Listeners::default();
            worker.exit = Some(code);
            worker.flush.notify_one();
        }
    }
}
