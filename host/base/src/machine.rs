//! The one interface between brain and world. An engine is a deterministic [`Machine`]: equal inputs at
//! equal times give equal outputs. The driver (or a simulation) carries out what it asks for and holds no
//! opinion of its own.
//!
//! The order of a turn is the contract: many [`Machine::handle`], one [`Machine::settle`], then the flusher
//! sends what [`Outputs`] releases. So a batch is appended once, synced once, and only then answered.

use std::any::Any;
use std::fmt;
use std::path::PathBuf;

use crate::{ConnectionId, Disk, Job, Micros, Now, Outputs, Ticket, Tls};

/// A deterministic state machine that is fed facts and owes outputs.
pub trait Machine {
    /// Hears what it will be told next, in this order, each by an [`Input::Received`], so that it can fetch what it will
    /// need. A hint: nothing comes of it but time.
    fn expect(&self, coming: &mut dyn Iterator<Item = (ConnectionId, &[u8])>);
    /// Takes in one fact; many may come before a settle.
    fn handle(&mut self, now: Now, input: Input<'_>, world: &mut World<'_>);
    /// Does everything now owed, in the order in which it is owed.
    fn settle(&mut self, now: Now, world: &mut World<'_>);
    /// Goes on with long work of its own, a little at a time: after each settle, once what it led to was sent.
    fn linger(&mut self, world: &mut World<'_>);
    /// When to call [`Machine::settle`] again if nothing else happens.
    fn wake_at(&self) -> Option<Micros>;
    /// Tells a monitoring system what it asks for. Changes nothing that a client could notice.
    fn report(&mut self, now: Now, report: Report, world: &mut World<'_>) -> Reported;
}

/// What a machine may touch while it runs.
pub struct World<'a> {
    /// Replies and requests to the world.
    pub outputs: &'a mut Outputs,
    /// Time spent, for statistics only.
    pub stopwatch: &'a mut dyn Stopwatch,
    /// Lets the world in during one long piece of work.
    pub interlude: &'a mut dyn Interlude,
    /// Files, for what the engine's thread does itself: appends, and work during which everybody waits.
    pub disk: &'a dyn Disk,
}

impl World<'_> {
    /// The time, read now: for what goes on after long work in the midst of a turn.
    pub fn now(&mut self) -> Now {
        Now { steady: self.stopwatch.read(), unix_us: self.stopwatch.unix_us() }
    }
}

/// Measures how long commands take. Never decides anything.
pub trait Stopwatch {
    /// The steady clock, read now.
    fn read(&mut self) -> Micros;
    /// The steady clock, read now, in nanoseconds: what a policy's call takes is less than a microsecond.
    fn read_ns(&mut self) -> u64;
    /// The wall clock, read now, in microseconds since 1970: for TIME inside long work.
    fn unix_us(&mut self) -> i64;
}

/// How long work lets the world in.
pub trait Interlude {
    /// What has happened since, without waiting: one thing at each call, None once there is no more for now. A round
    /// ends, whatever is sent meanwhile. `busy` is the connection for which the work is done: what it sends waits, as
    /// does everything on connections that the machine asked for itself.
    fn hear(
        &mut self,
        busy: Option<ConnectionId>,
        outputs: &mut Outputs,
        bytes: &mut Vec<u8>,
    ) -> Option<Heard>;
    /// Answers what [`Heard::Asked`] asked, before anything else is heard.
    fn answer(&mut self, reported: Reported);
    /// Sends what may leave, and closes what is to be closed, on all connections but `busy`.
    fn send(&mut self, busy: Option<ConnectionId>, outputs: &mut Outputs);
    /// Talks with the connection for which the work is done: sends what may leave there, and puts what it has said in
    /// the place of `bytes`. Where nobody is let in there is nobody to talk with.
    fn talk(&mut self, _with: ConnectionId, _outputs: &mut Outputs, _bytes: &mut Vec<u8>) -> Talk {
        Talk::Over
    }
    /// A signal that has come since. Nothing else is heard.
    fn signal(&mut self) -> Option<Signal>;
    /// Keeps everybody waiting (DEBUG SLEEP, rdb-key-save-delay during SAVE).
    fn sleep(&mut self, span: Micros);
    /// Has pieces made by another thread, a few ahead of whoever takes them; what they are does not depend on it. Where
    /// there is no other thread they are made as they are taken.
    fn ahead(&mut self, pieces: Box<dyn Pieces>) -> Box<dyn Pieces> {
        pieces
    }
}

/// What came of talking with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Talk {
    /// It has said nothing since.
    Silence,
    /// It has said what is in the buffer now.
    Said,
    /// It is gone.
    Over,
}

/// Long work in pieces, one after the other: a file that is read and taken apart.
pub trait Pieces: Send {
    /// The next piece.
    fn next(&mut self) -> NextPiece;
}

/// What comes next of [`Pieces`].
pub enum NextPiece {
    /// A piece, of the type that its maker names.
    Piece(Box<dyn Any + Send>),
    /// It is not ready: see to others, then ask again.
    NotYet,
    /// There is none any more.
    Over,
}

/// What happens in the middle of long work.
#[derive(Debug)]
pub enum Heard {
    /// A client connected.
    Connected {
        /// Which.
        connection: ConnectionId,
        /// Where from.
        peer: Peer,
    },
    /// Bytes arrived; they are what is in the buffer now.
    Received {
        /// From whom.
        connection: ConnectionId,
    },
    /// The connection is gone. Its slot is free when the next thing is asked for.
    Closed {
        /// Which.
        connection: ConnectionId,
    },
    /// A signal to the process.
    Signal(Signal),
    /// A monitoring system asks, and waits for [`Interlude::answer`].
    Asked(Report),
}

/// A fact told to a machine.
pub enum Input<'a> {
    /// A client connected.
    Connected {
        /// Which.
        connection: ConnectionId,
        /// Where from.
        peer: Peer,
    },
    /// Bytes arrived. They are valid during the call only.
    Received {
        /// From whom.
        connection: ConnectionId,
        /// What was read.
        bytes: &'a [u8],
    },
    /// The connection is gone. Its slot is free after this input.
    Closed {
        /// Which.
        connection: ConnectionId,
    },
    /// Work that this machine asked for with [`Output::Run`] has ended.
    Completed {
        /// Which work.
        ticket: Ticket,
        /// What it came to: the type that its job returned.
        result: Box<dyn Any + Send>,
    },
    /// What [`Output::Listen`] asked for was done, or not.
    Listened {
        /// The request's ticket.
        ticket: Ticket,
        /// Bound sockets, or what failed and why.
        result: Result<(), ListenError>,
    },
    /// What [`Output::Connect`] asked for was done, or not.
    Linked {
        /// The request's ticket.
        ticket: Ticket,
        /// The connection and its ends, or the sentence that says why there is none.
        result: Result<(ConnectionId, Peer), String>,
    },
    /// A signal to the process.
    Signal(Signal),
}

/// Signals that mean something to a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM.
    Terminate,
    /// SIGINT.
    Interrupt,
}

/// The other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// `ip:port`, `[ip6]:port`, or `path:0` for a unix socket, as CLIENT LIST shows it.
    pub address: String,
    /// The local end, in the same form.
    pub local: String,
    /// The descriptor's number, for CLIENT LIST alone.
    pub descriptor: i32,
    /// What carries the bytes.
    pub transport: Transport,
    /// Whether the peer is on this machine (loopback or unix socket).
    pub is_local: bool,
}

/// What carries a connection's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// TCP, encrypted.
    Tls,
    /// A unix socket.
    Unix,
}

/// Something a machine wants done. Carried out in order, after the machine returns.
pub enum Output {
    /// Close a connection once everything written to it so far was sent, or at once.
    Close {
        /// Which.
        connection: ConnectionId,
        /// Whether to drop what was not sent yet.
        at_once: bool,
    },
    /// Stop, or start again, to read from a connection.
    Reading {
        /// Which.
        connection: ConnectionId,
        /// Whether to read.
        wanted: bool,
    },
    /// Run a job off this thread; its completion comes back under `ticket`.
    Run {
        /// Names the completion.
        ticket: Ticket,
        /// Where it runs.
        lane: Lane,
        /// The work.
        job: Box<dyn Job>,
    },
    /// Serve exactly these addresses from now on; sockets that stay the same are kept.
    Listen {
        /// Names the completion.
        ticket: Ticket,
        /// All of them.
        listening: Listening,
    },
    /// Open a connection to a TCP address. Its bytes come, and its end is told, as those of a client.
    Connect {
        /// Names the answer.
        ticket: Ticket,
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
        /// How long the attempt may take, a handshake included.
        patience: Micros,
        /// The address or host name of this machine that it is to come from, if it can.
        source: Option<String>,
        /// What it is encrypted with, if it is. Of these settings those of clients are left aside.
        tls: Option<Box<Tls>>,
    },
    /// End the process with this exit code, once everything releasable was sent.
    Exit {
        /// The exit code.
        code: i32,
    },
    /// End the process as a bad access to memory would, at once: whoever watches it is to be tried.
    Crash,
}

/// Threads beside the engine's. Jobs of one lane run in the order asked for; lanes do not wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Fsyncs of the log, and nothing else: an fsync never queues behind other work.
    Sync,
    /// Writes of the log beside an fsync, and nothing else.
    Write,
    /// Snapshots and rewrites; a thread for each.
    Save,
    /// What arrives from a primary, taken apart.
    Load,
    /// Freeing of large values, removal of files.
    Free,
    /// Compilation of components.
    Compile,
}

/// What to listen on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listening {
    /// Every address.
    pub listeners: Vec<Listener>,
    /// `tcp-backlog`.
    pub backlog: u32,
    /// `tcp-keepalive` in seconds, 0 for none.
    pub keepalive_seconds: u32,
    /// How encrypted connections are made; `None` where no listener is encrypted.
    pub tls: Option<Box<Tls>>,
}

/// One address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listener {
    /// A TCP address.
    Tcp {
        /// Host name or address; `*` and `::*` mean all.
        host: String,
        /// Port; 0 lets the system choose.
        port: u16,
        /// Whether it may be missing on this machine (`-` before it in `bind`).
        optional: bool,
        /// What is spoken there.
        protocol: Protocol,
    },
    /// A unix socket.
    Unix {
        /// Its path.
        path: PathBuf,
        /// Its permission bits, 0 to leave them.
        permissions: u32,
    },
}

/// What is spoken at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// What clients speak; the machine reads it.
    Resp,
    /// The same, behind a TLS handshake.
    RespOverTls,
    /// What monitoring systems speak; the driver reads it and asks for a [`Report`].
    Http,
}

/// What a monitoring system may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// Figures, in Prometheus's format of text.
    Metrics,
    /// Whether clients are served as they should be.
    Readiness,
}

/// The answer to a [`Report`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// Whether all is as it should be.
    pub is_good: bool,
    /// What to show, in whole lines.
    pub text: String,
}

/// Why not everything that [`Output::Listen`] asked for is served. What was served before still is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenError {
    /// An address, and what the system says.
    Address(String),
    /// Certificates, keys or settings of TLS: one sentence.
    Tls(String),
}

impl fmt::Display for ListenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenError::Address(sentence) | ListenError::Tls(sentence) => out.write_str(sentence),
        }
    }
}
