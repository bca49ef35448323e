//! Runs an engine in process, for the tests of this crate: clients that send lines, a clock that the test holds, the
//! native policies, jobs that are done as soon as they are asked for. Not the driver: no socket, no thread.
//! Always: a line is a turn of its own, settled and its jobs completed before its reply is read.

use std::any::Any;
use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use tenon_aof::memory_disk::MemoryDisk;
use tenon_base::{
    ConnectionId, Dice, Disk, Heard, Input, Interlude, Job, ListenError, Machine, Micros, Now, Output,
    Outputs, Peer, Report, Reported, Signal, Step, Stopwatch, Talk, Ticket, Transport, World,
};
use tenon_config::{Config, Place, Source};
use tenon_resp::{OwnedArgs, ReplyDecoder, Value, write_request};

use crate::engine::Engine;
use crate::setup::{Allocator, Gauges, Identity, Setup};

/// When every bench begins, in microseconds since 1970.
pub(crate) const START_UNIX_US: i64 = 1_700_000_000_000_000;
/// What one reading of the stopwatch takes: so every command takes this long.
pub(crate) const COMMAND_US: u64 = 7;
/// Steps that a job may take before the bench calls it stuck.
const STEPS_MAX: usize = 100_000;

/// An engine and its clients. Clients are numbers from 1, and connect when they are first named.
pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) outputs: Outputs,
    /// Clients that the engine has closed.
    pub(crate) closed: Vec<u64>,
    /// What the process ended with, if it did.
    pub(crate) exit_code: Option<i32>,
    /// What becomes of sockets that are asked for.
    pub(crate) listening: Result<(), ListenError>,
    /// Connections that were asked for.
    pub(crate) connects: Vec<(Ticket, String)>,
    /// Connections from which reading was to stop, or to begin again.
    pub(crate) readings: Vec<(u64, bool)>,
    disk: Arc<dyn Disk>,
    now: Now,
    ticks: Ticks,
    clients: Vec<Client>,
    meantime: Meantime,
}

struct Client {
    number: u64,
    decoder: ReplyDecoder,
}

/// A stopwatch that shows [`COMMAND_US`] more at each reading.
struct Ticks {
    now: Now,
    read: u64,
    /// Microseconds slept in the middle of long work.
    slept_us: Rc<Cell<u64>>,
}

impl Stopwatch for Ticks {
    fn read(&mut self) -> Micros {
        self.read += 1;
        self.now.steady + Micros(self.read * COMMAND_US + self.slept_us.get())
    }

    fn read_ns(&mut self) -> u64 {
        self.read().0 * 1_000
    }

    fn unix_us(&mut self) -> i64 {
        self.now.unix_us
    }
}

/// What happens in the middle of long work: one thing in each round.
#[derive(Default)]
struct Meantime {
    coming: VecDeque<(Heard, Vec<u8>)>,
    /// What whoever the work is done for says in its midst, and what they were told.
    says: VecDeque<Vec<u8>>,
    told: Vec<u8>,
    was_heard: bool,
    reported: Vec<Reported>,
    slept_us: Rc<Cell<u64>>,
}

impl Interlude for Meantime {
    fn hear(&mut self, busy: Option<ConnectionId>, _: &mut Outputs, bytes: &mut Vec<u8>) -> Option<Heard> {
        if std::mem::take(&mut self.was_heard) {
            return None;
        }
        let (heard, said) = self.coming.pop_front()?;
        self.was_heard = true;
        if let Heard::Received { connection } = &heard {
            assert_ne!(Some(*connection), busy, "whoever waits for the work is not heard");
        }
        *bytes = said;
        Some(heard)
    }

    fn answer(&mut self, reported: Reported) {
        self.reported.push(reported);
    }

    fn send(&mut self, _: Option<ConnectionId>, _: &mut Outputs) {}

    fn talk(&mut self, with: ConnectionId, outputs: &mut Outputs, bytes: &mut Vec<u8>) -> Talk {
        let sendable = outputs.sendable(with.slot);
        self.told.extend_from_slice(sendable);
        let count = sendable.len();
        outputs.sent(with.slot, count);
        match self.says.pop_front() {
            Some(said) if said.is_empty() => Talk::Silence,
            Some(said) => {
                *bytes = said;
                Talk::Said
            }
            None => Talk::Over,
        }
    }

    fn signal(&mut self) -> Option<Signal> {
        let (heard, said) = self.coming.pop_front()?;
        if let Heard::Signal(signal) = heard {
            return Some(signal);
        }
        self.coming.push_front((heard, said));
        None
    }

    fn sleep(&mut self, span: Micros) {
        self.slept_us.set(self.slept_us.get() + span.0);
    }
}

impl Bench {
    /// What a client that talks in the midst of its own work says next; nothing is silence.
    pub(crate) fn says(&mut self, line: &str) {
        self.says_bytes(if line.is_empty() { Vec::new() } else { request(line) });
    }

    /// As [`Bench::says`], of bytes as they are.
    pub(crate) fn says_bytes(&mut self, bytes: Vec<u8>) {
        self.meantime.says.push_back(bytes);
    }

    /// What such a client was told since the last call.
    pub(crate) fn take_told(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.meantime.told)).into_owned()
    }

    /// An engine that has started, configured by directives as in a configuration file, on an empty disk in
    /// memory.
    pub(crate) fn new(directives: &[(&str, &str)]) -> Bench {
        Bench::on_disk(directives, Arc::new(MemoryDisk::default()))
    }

    /// As [`Bench::new`], on a disk that the test keeps.
    pub(crate) fn on_disk(directives: &[(&str, &str)], disk: Arc<dyn Disk>) -> Bench {
        let mut bench = Bench::before_start(directives, disk);
        bench.start();
        assert_eq!(bench.exit_code, None, "the engine serves");
        bench
    }

    /// An engine that is about to start: what is to happen while it loads can be said.
    pub(crate) fn before_start(directives: &[(&str, &str)], disk: Arc<dyn Disk>) -> Bench {
        let mut config = Config::default();
        for (name, value) in directives {
            let place = Place { source: Source::Arguments, found: format!("{name} {value}") };
            config.apply(name.as_bytes(), &split_words(value), &place).expect("a directive that can be read");
        }
        config.finish().expect("directives that go together");
        let now = Now { steady: Micros(1_000_000), unix_us: START_UNIX_US };
        let engine = Engine::new(Setup {
            config,
            config_file: None,
            dice: Dice::seeded(1),
            secret: [1; 32],
            identity: identity(now),
            policy_loader: crate::policies::native_loader(),
            set_log_level: Box::new(|_| {}),
            set_log_role: Box::new(|_| {}),
            tell_supervisor: Box::new(|_| {}),
        });
        let slept_us = Rc::<Cell<u64>>::default();
        Bench {
            engine,
            outputs: Outputs::default(),
            closed: Vec::new(),
            exit_code: None,
            listening: Ok(()),
            connects: Vec::new(),
            readings: Vec::new(),
            disk,
            now,
            ticks: Ticks { now, read: 0, slept_us: Rc::clone(&slept_us) },
            clients: Vec::new(),
            meantime: Meantime { slept_us, ..Meantime::default() },
        }
    }

    /// Starts the engine, which loads what is there.
    pub(crate) fn start(&mut self) {
        self.with_world(|engine, now, world| engine.start(now, world)).expect("the engine starts");
        self.settle();
    }

    /// In the middle of the next long work a client sends a command; one that is new connects before that.
    pub(crate) fn meanwhile(&mut self, client: u64, line: &str) {
        let connection = connection(client);
        if self.know(client) {
            self.meantime.coming.push_back((Heard::Connected { connection, peer: peer(client) }, Vec::new()));
        }
        self.meantime.coming.push_back((Heard::Received { connection }, request(line)));
    }

    /// In the middle of the next long work a client hangs up.
    pub(crate) fn meanwhile_leaves(&mut self, client: u64) {
        self.meanwhile_ends(connection(client));
    }

    /// The same of any connection.
    pub(crate) fn meanwhile_ends(&mut self, connection: ConnectionId) {
        self.meantime.coming.push_back((Heard::Closed { connection }, Vec::new()));
    }

    /// In the middle of the next long work a signal comes.
    pub(crate) fn meanwhile_signalled(&mut self, signal: Signal) {
        self.meantime.coming.push_back((Heard::Signal(signal), Vec::new()));
    }

    /// In the middle of the next long work a monitoring system asks.
    pub(crate) fn meanwhile_asked(&mut self, report: Report) {
        self.meantime.coming.push_back((Heard::Asked(report), Vec::new()));
    }

    /// What monitoring systems were answered in the middle of long work.
    pub(crate) fn take_reported(&mut self) -> Vec<Reported> {
        std::mem::take(&mut self.meantime.reported)
    }

    /// How much of what was to happen has not happened.
    pub(crate) fn still_coming(&self) -> usize {
        self.meantime.coming.len()
    }

    /// Sends one command, written as in redis-cli: words, or quoted strings with escapes. Returns the replies in one
    /// line, with `; ` between them: `OK`, `"text"`, `7`, `(nil)`, `["a", 1]`, `{"field": "value"}`, `~["member"]`,
    /// `=verbatim`, `(error) ERR ...`; nothing if nothing was sent.
    pub(crate) fn run(&mut self, client: u64, line: &str) -> String {
        self.send(client, line).iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    /// As [`Bench::run`], but returns the reply's text as it is: for INFO and CLIENT LIST.
    pub(crate) fn text(&mut self, client: u64, line: &str) -> String {
        let replies = self.send(client, line);
        let text = replies.last().and_then(Value::as_bytes).expect("a reply that is a text");
        String::from_utf8(text.to_vec()).expect("a text in UTF-8")
    }

    /// Sends one command and returns what has come back by the end of its turn.
    pub(crate) fn send(&mut self, client: u64, line: &str) -> Vec<Value> {
        self.send_bytes(client, &request(line))
    }

    /// Sends bytes: several commands, or parts of one.
    pub(crate) fn send_bytes(&mut self, client: u64, bytes: &[u8]) -> Vec<Value> {
        let connection = self.connect(client);
        self.input(Input::Received { connection, bytes });
        self.settle();
        self.replies(client)
    }

    /// What has come for a client that waited.
    pub(crate) fn replies(&mut self, client: u64) -> Vec<Value> {
        let slot = connection(client).slot;
        let bytes = self.outputs.sendable(slot).to_vec();
        if !bytes.is_empty() {
            self.outputs.sent(slot, bytes.len());
        }
        let client = self.clients.iter_mut().find(|known| known.number == client).expect("a known client");
        client.decoder.feed(&bytes);
        let mut replies = Vec::new();
        while let Some(reply) = client.decoder.next_reply().expect("replies are well-formed") {
            replies.push(reply);
        }
        replies
    }

    /// As [`Bench::replies`], written as [`Bench::run`] does.
    pub(crate) fn shown(&mut self, client: u64) -> String {
        self.replies(client).iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    /// Connects a client, if it is not connected yet.
    pub(crate) fn connect(&mut self, client: u64) -> ConnectionId {
        let id = connection(client);
        if self.know(client) {
            self.input(Input::Connected { connection: id, peer: peer(client) });
        }
        id
    }

    /// Says whether the client is new.
    fn know(&mut self, client: u64) -> bool {
        let is_new = !self.clients.iter().any(|known| known.number == client);
        if is_new {
            self.clients.push(Client { number: client, decoder: ReplyDecoder::new() });
        }
        is_new
    }

    /// Lets time pass, and the engine do what is then due.
    pub(crate) fn sleep(&mut self, span_ms: u64) {
        self.advance_clock(Micros::from_millis(span_ms));
        self.settle();
    }

    fn advance_clock(&mut self, span: Micros) {
        self.now.steady = self.now.steady + span;
        self.now.unix_us += span.0 as i64;
        (self.ticks.now, self.ticks.read) = (self.now, 0);
    }

    /// Ends the turn as a driver does.
    pub(crate) fn turn(&mut self) {
        self.with_world(|engine, now, world| {
            engine.settle(now, world);
            engine.linger(world);
        });
    }

    /// Ends the turn, and does what was asked for, until nothing more is.
    pub(crate) fn settle(&mut self) {
        self.turn();
        while self.outputs.has_requests() {
            for request in self.outputs.take_requests() {
                self.carry_out(request);
            }
            self.turn();
        }
    }

    pub(crate) fn carry_out(&mut self, request: Output) {
        match request {
            Output::Close { connection, .. } => {
                self.closed.push(connection.serial);
                self.input(Input::Closed { connection });
            }
            Output::Run { ticket, job, .. } => self.complete(ticket, job),
            Output::Listen { ticket, .. } => {
                let result = self.listening.clone();
                self.input(Input::Listened { ticket, result });
            }
            Output::Exit { code } => self.exit_code = Some(code),
            Output::Crash => panic!("the engine asked for a crash"),
            Output::Connect { ticket, host, port, source, tls, .. } => {
                let from = source.map_or_else(String::new, |source| format!(" from {source}"));
                let how = tls.map_or_else(String::new, |tls| format!(" with {:?}", tls.certificate_file));
                self.connects.push((ticket, format!("{host}:{port}{from}{how}")))
            }
            Output::Reading { connection, wanted } => self.readings.push((connection.serial, wanted)),
        }
    }

    fn complete(&mut self, ticket: Ticket, job: Box<dyn Job>) {
        let result = self.result_of(job);
        self.input(Input::Completed { ticket, result });
    }

    /// Does a job, and what the engine must do for it, to its end.
    pub(crate) fn result_of(&mut self, mut job: Box<dyn Job>) -> Box<dyn Any + Send> {
        let disk = Arc::clone(&self.disk);
        for _ in 0..STEPS_MAX {
            // As a driver does: a panic is a result too, of a type that no job has.
            let step = catch_unwind(AssertUnwindSafe(|| job.step(&*disk)));
            match step.unwrap_or_else(|_| Step::Done(Box::new("the job panicked".to_owned()))) {
                Step::Again => {}
                Step::Starved => {
                    // The driver lets it sleep about so long.
                    self.advance_clock(Micros(500));
                    self.turn();
                }
                Step::Done(result) => return result,
            }
        }
        panic!("a job does not end");
    }

    pub(crate) fn input(&mut self, input: Input<'_>) {
        self.with_world(|engine, now, world| engine.handle(now, input, world));
    }

    /// Lends the engine and its world.
    pub(crate) fn with_world<R>(&mut self, act: impl FnOnce(&mut Engine, Now, &mut World<'_>) -> R) -> R {
        let mut world = World {
            outputs: &mut self.outputs,
            stopwatch: &mut self.ticks,
            interlude: &mut self.meantime,
            disk: &*self.disk,
        };
        act(&mut self.engine, self.now, &mut world)
    }
}

fn connection(client: u64) -> ConnectionId {
    ConnectionId { serial: client, slot: client as u32 }
}

fn peer(client: u64) -> Peer {
    Peer {
        address: format!("127.0.0.1:{}", 40_000 + client),
        local: "127.0.0.1:6379".to_owned(),
        descriptor: 8 + client as i32,
        transport: Transport::Tcp,
        is_local: true,
    }
}

/// A command as bytes.
fn request(line: &str) -> Vec<u8> {
    let mut request = OwnedArgs::new();
    split_words(line).iter().for_each(|word| request.push(word));
    let mut bytes = Vec::new();
    write_request(&mut bytes, request.as_args());
    bytes
}

fn identity(started: Now) -> Identity {
    Identity {
        run_id: "0123456789".repeat(4),
        pid: 4_711,
        executable: "/usr/bin/tenon".to_owned(),
        system: "Linux 6.1 x86_64".to_owned(),
        started,
        utc_offset_minutes: 0,
        total_memory_bytes: 8 << 30,
        gauges: || Gauges {
            allocated_bytes: 1_500_000,
            active_bytes: 1_800_000,
            allocator_resident_bytes: 3_000_000,
            resident_bytes: 4_500_000,
            cpu_user_us: 2_000_001,
            cpu_system_us: 500_000,
        },
        program_bytes: 1_500_000,
        allocator: Allocator { purge: || true, report: || b"a bench has no allocator".to_vec() },
    }
}

/// The words of a line as redis-cli reads them.
fn split_words(line: &str) -> Vec<Vec<u8>> {
    tenon_base::split_words(line.as_bytes()).expect("quotes that match")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_connect_ask_and_leave() {
        let mut bench = Bench::new(&[]);
        assert_eq!(bench.run(1, "PING"), "PONG");
        assert_eq!(bench.run(2, r#"ECHO "a b""#), r#""a b""#);
        assert_eq!(bench.run(1, "HELLO 4"), "(error) NOPROTO unsupported protocol version");
        assert_eq!(bench.run(2, "QUIT"), "OK");
        assert_eq!(bench.closed, [2]);
        let replies = bench.send_bytes(1, b"PING\r\nPING x\r\nPI");
        assert_eq!(replies, [Value::Simple(b"PONG".to_vec()), Value::Bulk(b"x".to_vec())]);
        assert_eq!(bench.send_bytes(1, b"NG\r\n").len(), 1);
    }

    #[test]
    fn a_password_is_asked_for() {
        let mut bench = Bench::new(&[("requirepass", "secret")]);
        assert_eq!(bench.run(1, "PING"), "(error) NOAUTH Authentication required.");
        assert_eq!(bench.run(1, "AUTH secret"), "OK");
        assert_eq!(bench.run(1, "PING"), "PONG");
    }
}
