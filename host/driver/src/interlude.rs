//! The world in the middle of long work: sockets are accepted, read and written without waiting, behind the runtime's
//! back, which finds out when it looks at them next. Monitoring systems are answered, and signals are heard.
//! Always: a round hears everybody at most once, so that nobody keeps the work from going on; what was found and needs
//! a task of its own gets it at the turn's end.

use std::io;
use std::rc::Rc;

use tenon_base::{
    ConnectionId, Heard, Interlude, Micros, Output, Outputs, Pieces, Protocol, Report, Reported, Signal, Talk,
};

use crate::ahead;
use crate::connection::{Link, Stream};
use crate::group::Behind;
use crate::http::{Visit, Visitor};
use crate::links::Links;
use crate::listen::{Listeners, Met};
use crate::signals::Signals;

/// What one read takes at most.
const READ_BYTES: usize = 16 * 1024;
/// Connections taken in at one address, in one round.
const ACCEPTS_MAX: usize = 64;
/// Monitoring systems answered at once.
const VISITORS_MAX: usize = 16;

/// What long work has met, and the worker does not know of yet.
#[derive(Default)]
pub(crate) struct Findings {
    /// Connections without a task.
    pub(crate) newcomers: Vec<Rc<Link>>,
    /// Connections that have ended, of which the machine was not told.
    pub(crate) ended: Vec<Rc<Link>>,
    /// Monitoring systems whose conversation is not over.
    pub(crate) visitors: Vec<Visitor>,
}

/// The worker's world, as long work sees it.
pub(crate) struct Meanwhile<'a> {
    links: &'a mut Links,
    /// What clients sent and the worker has read already.
    behind: Behind<'a>,
    listeners: &'a Listeners,
    findings: &'a mut Findings,
    signals: &'a Signals,
    round: Round,
    /// Of whose end the machine was told last: its slot is still taken.
    told: Option<ConnectionId>,
    /// Which visitor waits for the machine's answer.
    asking: Option<usize>,
    was_asked: bool,
}

/// Whom to ask next in this round.
#[derive(Default)]
struct Round {
    door: usize,
    accepted: usize,
    visitor: usize,
    slot: usize,
}

impl<'a> Meanwhile<'a> {
    pub(crate) fn new(
        links: &'a mut Links,
        behind: Behind<'a>,
        listeners: &'a Listeners,
        findings: &'a mut Findings,
        signals: &'a Signals,
    ) -> Meanwhile<'a> {
        Meanwhile {
            links,
            behind,
            listeners,
            findings,
            signals,
            round: Round::default(),
            told: None,
            asking: None,
            was_asked: false,
        }
    }

    /// The work is over. Says whether the world was let in: then the turn's time is old.
    pub(crate) fn end(mut self, outputs: &mut Outputs) -> bool {
        self.let_go(outputs);
        self.was_asked
    }

    /// Frees the slot of the connection of whose end the machine was told.
    fn let_go(&mut self, outputs: &mut Outputs) {
        if let Some(id) = self.told.take() {
            // What the machine wrote to it on hearing the news goes nowhere.
            outputs.discard(id.slot);
            self.links.remove(id);
        }
    }

    fn accept(&mut self) -> Option<Heard> {
        while let Some(acceptor) = self.listeners.acceptor(self.round.door) {
            let met = if self.round.accepted < ACCEPTS_MAX { acceptor.accept_now() } else { Met::Nobody };
            self.round.accepted += 1;
            match met {
                Met::Client(Stream::Tcp(stream), _) if acceptor.protocol == Protocol::Http => {
                    if self.findings.visitors.len() < VISITORS_MAX
                        && let Ok(visitor) = stream.into_std().map(Visitor::new)
                    {
                        self.findings.visitors.push(visitor);
                    }
                }
                Met::Client(stream, peer) => {
                    let link = self.links.adopt(stream, false);
                    self.findings.newcomers.push(Rc::clone(&link));
                    return Some(Heard::Connected { connection: link.id, peer });
                }
                Met::Other => {}
                Met::Nobody => (self.round.door, self.round.accepted) = (self.round.door + 1, 0),
            }
        }
        let (stream, peer) = self.listeners.handshaken()?;
        let link = self.links.adopt(Stream::Tls(stream), false);
        self.findings.newcomers.push(Rc::clone(&link));
        Some(Heard::Connected { connection: link.id, peer })
    }

    fn visit(&mut self) -> Option<Report> {
        while let Some(visitor) = self.findings.visitors.get_mut(self.round.visitor) {
            match visitor.attend() {
                Visit::Over => drop(self.findings.visitors.swap_remove(self.round.visitor)),
                Visit::Waits => self.round.visitor += 1,
                Visit::Asks(report) => {
                    self.asking = Some(self.round.visitor);
                    return Some(report);
                }
            }
        }
        None
    }

    fn read(
        &mut self,
        busy: Option<ConnectionId>,
        outputs: &mut Outputs,
        bytes: &mut Vec<u8>,
    ) -> Option<Heard> {
        while self.round.slot < self.links.slots() {
            let link = self.links.at(self.round.slot as u32);
            self.round.slot += 1;
            let Some(link) = link.filter(|link| Some(link.id) != busy && link.is_heard()) else { continue };
            let link = Rc::clone(link);
            if let Some(read) = self.behind.take(&link) {
                bytes.clear();
                bytes.extend_from_slice(read);
                // There may be more in the socket.
                self.round.slot -= 1;
                return Some(Heard::Received { connection: link.id });
            }
            match link.receive(bytes, READ_BYTES) {
                Ok(1..) => return Some(Heard::Received { connection: link.id }),
                Err(error) if is_pause(&error) => {}
                Ok(0) | Err(_) => self.end_link(link, outputs),
            }
        }
        None
    }

    /// A connection has ended; the machine is told when it asks next.
    fn end_link(&mut self, link: Rc<Link>, outputs: &mut Outputs) {
        if !link.is_closed.replace(true) {
            link.hang_up();
            link.wake();
            outputs.discard(link.id.slot);
            self.findings.ended.push(link);
        }
    }

    /// Carries out what cannot wait of what the machine asked for.
    fn carry_out(&mut self, busy: Option<ConnectionId>, outputs: &mut Outputs) {
        if !outputs.has_requests() {
            return;
        }
        let requests = outputs.take_requests();
        // Whoever asked for the end sees it when nobody can connect any more.
        let is_ending = requests.iter().any(|request| matches!(request, Output::Exit { .. }));
        for request in requests {
            match request {
                other if is_ending => outputs.request(other),
                Output::Close { connection, at_once } if Some(connection) != busy => {
                    let Some(link) = self.links.find(connection).map(Rc::clone) else { continue };
                    if at_once {
                        self.end_link(link, outputs);
                    } else {
                        link.closes_when_sent.set(true);
                        link.reads(false);
                    }
                }
                Output::Reading { connection, wanted } => {
                    if let Some(link) = self.links.find(connection) {
                        link.reads(wanted);
                    }
                }
                other => outputs.request(other),
            }
        }
    }

    /// Sends what the socket takes.
    fn send_to(&mut self, link: Rc<Link>, outputs: &mut Outputs) {
        loop {
            let sendable = outputs.sendable(link.id.slot);
            if sendable.is_empty() {
                break;
            }
            match link.send_now(sendable) {
                Ok(count) => outputs.sent(link.id.slot, count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // What does not go now goes later.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => return self.end_link(link, outputs),
            }
        }
        if link.closes_when_sent.get() && outputs.pending_bytes(link.id.slot) == 0 {
            self.end_link(link, outputs);
        }
    }
}

impl Interlude for Meanwhile<'_> {
    fn hear(
        &mut self,
        busy: Option<ConnectionId>,
        outputs: &mut Outputs,
        bytes: &mut Vec<u8>,
    ) -> Option<Heard> {
        self.was_asked = true;
        self.let_go(outputs);
        if let Some(signal) = self.signals.take() {
            return Some(Heard::Signal(signal));
        }
        if let Some(link) = self.findings.ended.pop() {
            self.told = Some(link.id);
            return Some(Heard::Closed { connection: link.id });
        }
        let heard = self.accept().or_else(|| self.visit().map(Heard::Asked));
        let heard = heard.or_else(|| self.read(busy, outputs, bytes));
        if heard.is_none() {
            self.round = Round::default();
        }
        heard
    }

    fn answer(&mut self, reported: Reported) {
        if let Some(visitor) = self.asking.take().and_then(|at| self.findings.visitors.get_mut(at)) {
            visitor.answer(reported);
        }
    }

    fn send(&mut self, busy: Option<ConnectionId>, outputs: &mut Outputs) {
        self.let_go(outputs);
        self.carry_out(busy, outputs);
        for slot in 0..self.links.slots() {
            let link = self.links.at(slot as u32);
            let link = link.filter(|link| Some(link.id) != busy && !link.is_closed.get());
            let waits =
                |link: &Rc<Link>| link.closes_when_sent.get() || !outputs.sendable(link.id.slot).is_empty();
            if let Some(link) = link.filter(|link| waits(link)).map(Rc::clone) {
                self.send_to(link, outputs);
            }
        }
    }

    fn talk(&mut self, with: ConnectionId, outputs: &mut Outputs, bytes: &mut Vec<u8>) -> Talk {
        self.was_asked = true;
        let Some(link) = self.links.find(with).filter(|link| !link.is_closed.get()) else {
            return Talk::Over;
        };
        let link = Rc::clone(link);
        while !outputs.sendable(with.slot).is_empty() {
            match link.send_now(outputs.sendable(with.slot)) {
                Ok(count) => outputs.sent(with.slot, count),
                Err(error) if is_pause(&error) => break,
                Err(_) => return Talk::Over,
            }
        }
        // What of its bytes is here already belongs to the request for which the work is done, or comes behind it.
        match link.receive(bytes, READ_BYTES) {
            Ok(1..) => Talk::Said,
            Err(error) if is_pause(&error) => Talk::Silence,
            // The runtime finds out, too, when it reads there next.
            Ok(0) | Err(_) => Talk::Over,
        }
    }

    fn signal(&mut self) -> Option<Signal> {
        self.signals.take()
    }

    fn sleep(&mut self, span: Micros) {
        std::thread::sleep(std::time::Duration::from_micros(span.0));
    }

    fn ahead(&mut self, pieces: Box<dyn Pieces>) -> Box<dyn Pieces> {
        ahead::made_ahead(pieces)
    }
}

fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
