//! One replica as its primary sees it: what it said of itself, how far its synchronization is, what it has confirmed.
//! Always: confirmed offsets only rise, and never beyond what was sent out.

use tenon_base::{ConnectionId, Micros};
use tenon_journal::ReplicationOffset;

use crate::settings::Settings;

/// What a connection says before it asks to be synchronized (REPLCONF).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handshake {
    /// Where its own clients find it; 0 unless it said.
    pub listening_port: i64,
    /// The address to tell others, where it is not the connection's.
    pub address: Option<String>,
    /// Takes a snapshot whose end is marked, so that its length need not be known before.
    pub takes_marked: bool,
    /// Understands a new id behind `+CONTINUE`.
    pub takes_new_id: bool,
    /// Wants the snapshot and nothing behind it.
    pub wants_snapshot_only: bool,
    /// Does not want all that is in a snapshot.
    pub filter: Filter,
    /// Can take its snapshot on one link and the stream meanwhile on another.
    pub takes_two_links: bool,
    /// Is the link for the snapshot of such a replica.
    pub is_snapshot_link: bool,
    /// The serial number of the link that its snapshot comes over.
    pub snapshot_link: Option<u64>,
}

/// What a snapshot leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Keys, for the sake of what else is in it.
    pub excludes_data: bool,
    /// Functions.
    pub excludes_functions: bool,
}

impl Filter {
    /// Whether anything is left out.
    pub fn is_any(self) -> bool {
        self.excludes_data || self.excludes_functions
    }
}

/// How far a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its snapshot has not begun.
    Waiting,
    /// Its snapshot is being made, and sent if that is possible at once.
    Snapshotting,
    /// Its snapshot is made and on its way.
    Sending,
    /// It reads the stream, and has a snapshot to load before it can run it.
    Loading,
    /// It follows the stream.
    Online,
}

impl State {
    /// As INFO calls it.
    pub fn name(self) -> &'static str {
        match self {
            State::Waiting | State::Snapshotting => "wait_bgsave",
            State::Sending => "send_bulk",
            State::Loading => "bg_transfer",
            State::Online => "online",
        }
    }
}

/// One replica.
#[derive(Clone, Debug)]
pub struct Replica {
    /// Its link.
    pub connection: ConnectionId,
    /// Where it says it is, or where it comes from.
    pub address: String,
    /// What it said of itself.
    pub handshake: Handshake,
    /// How far it is.
    pub state: State,
    /// The stream that it has run, by its own account.
    pub acked: ReplicationOffset,
    /// The stream that is safe on its disk, by its own account.
    pub acked_synced: ReplicationOffset,
    /// When it last gave an account.
    pub heard_at: Micros,
    /// It came with SYNC, and will never give one.
    pub(crate) is_old: bool,
    pub(crate) asked_at: Micros,
    /// Where the stream begins for it, while it is not sent any of it.
    pub(crate) start: ReplicationOffset,
    /// The stream is sent once it has confirmed the end of the snapshot.
    pub(crate) streams_on_ack: bool,
    /// Since when it has been further behind than the soft limit.
    pub(crate) behind_since: Option<Micros>,
    /// How long its snapshot was on its way.
    pub(crate) synced_in: Micros,
    /// Since when it has had its snapshot.
    pub(crate) online_at: Micros,
    /// It has read what gathered meanwhile, or never had to.
    pub(crate) has_caught_up: bool,
    /// Bytes of the snapshot sent when that last changed, and when that was.
    pub(crate) progress: (u64, Micros),
    /// Its end was asked for.
    pub(crate) is_dropped: bool,
}

impl Replica {
    /// As the log calls it.
    pub fn name(&self) -> String {
        match self.handshake.listening_port {
            0 => format!("client id #{}", self.connection.serial),
            port if self.address.contains(':') => format!("[{}]:{port}", self.address),
            port => format!("{}:{port}", self.address),
        }
    }

    /// Whether this is the same replica over a later link, by what it says of itself.
    pub(crate) fn is_return_of(&self, earlier: &Replica) -> bool {
        let port = self.handshake.listening_port;
        port != 0
            && port == earlier.handshake.listening_port
            && self.address == earlier.address
            && self.connection.serial > earlier.connection.serial
    }

    /// Whole seconds since it last gave an account.
    pub fn lag_seconds(&self, now: Micros) -> u64 {
        now.since(self.heard_at).0 / 1_000_000
    }

    /// Whether its snapshot is being made or sent.
    pub(crate) fn is_syncing(&self) -> bool {
        matches!(self.state, State::Snapshotting | State::Sending)
    }

    /// Whether it still reads what gathered while it was synchronized. That is awaited for as long as it was
    /// synchronized, and a little.
    pub(crate) fn is_catching_up(&self, now: Micros) -> bool {
        const CAUGHT_UP_WITHIN_MIN: Micros = Micros(10_000_000);
        self.state == State::Online
            && !self.streams_on_ack
            && !self.has_caught_up
            && now.since(self.online_at) < self.synced_in.max(CAUGHT_UP_WITHIN_MIN)
    }

    /// So many bytes of the stream wait for it.
    pub(crate) fn note_behind(&mut self, behind: u64, settings: &Settings) {
        let is_near = behind <= settings.backlog_bytes;
        self.has_caught_up |= is_near && self.state == State::Online && !self.streams_on_ack;
    }

    /// Whether bytes from `start` on have to be kept for it.
    pub(crate) fn holds_stream(&self) -> bool {
        !self.handshake.wants_snapshot_only && (self.is_syncing() || self.streams_on_ack)
    }
}
