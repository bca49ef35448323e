//! One client's session: who it is, what it has selected, what waits of what it sent.
//! Holds no socket; its replies are in the world's outputs.

use tenon_acl::UserId;
use tenon_base::{ConnectionId, Micros, Now, Peer};
use tenon_journal::{LogPosition, ReplicationOffset};
use tenon_replication::Handshake;
use tenon_resp::{Decoder, OwnedArgs, Proto};

use crate::pubsub::Subscriptions;
use crate::table::CommandId;
use crate::tracking::SessionTracking;
use crate::transaction::Transaction;
use crate::watch::{WatchedKeys, watched_bytes};

/// A connected client.
pub(crate) struct Session {
    pub(crate) id: ConnectionId,
    pub(crate) peer: Peer,
    pub(crate) decoder: Decoder,
    pub(crate) proto: Proto,
    pub(crate) database: usize,
    pub(crate) name: Vec<u8>,
    pub(crate) library_name: Vec<u8>,
    pub(crate) library_version: Vec<u8>,
    /// The default user until it has logged in.
    pub(crate) user: UserId,
    pub(crate) is_authenticated: bool,
    pub(crate) no_evict: bool,
    pub(crate) no_touch: bool,
    pub(crate) replies: ReplyMode,
    /// Whether it steps through the script that it runs next (SCRIPT DEBUG).
    pub(crate) debugs: Debugs,
    /// Since MULTI.
    pub(crate) transaction: Option<Box<Transaction>>,
    pub(crate) watched: WatchedKeys,
    /// A watched key has changed: the next EXEC does nothing.
    pub(crate) is_dirty: bool,
    pub(crate) subscriptions: Option<Box<Subscriptions>>,
    /// Since CLIENT TRACKING ON.
    pub(crate) tracking: Option<Box<SessionTracking>>,
    /// It is told of all commands (MONITOR).
    pub(crate) is_monitor: bool,
    /// The running unit has pushed something to it that waits for a stamp.
    pub(crate) has_unstamped_pushes: bool,
    /// The second of the steady clock since which it has been over its soft output limit.
    pub(crate) over_soft_limit_since: Option<u64>,
    /// What it waits for; meanwhile nothing else of it runs.
    pub(crate) parked: Option<Parked>,
    /// What it said of itself as a replica (REPLCONF).
    pub(crate) handshake: Option<Box<Handshake>>,
    /// It is a replica: what it is sent is the stream, and nothing else.
    pub(crate) is_replica: bool,
    /// Behind the last unit of its own that changed something.
    pub(crate) written_position: LogPosition,
    /// The same place in the replication stream.
    pub(crate) written_offset: ReplicationOffset,
    /// Nothing more of it is run: it is to be closed once its replies are sent.
    pub(crate) is_closing: bool,
    /// It was closed without waiting for its replies: as good as gone, though its end has not been told yet.
    pub(crate) is_gone: bool,
    pub(crate) connected_at: Now,
    pub(crate) last_heard: Micros,
    pub(crate) last_command: Option<CommandId>,
    pub(crate) bytes_in: u64,
    pub(crate) commands: u64,
    /// What it was counted as when its bytes were last counted.
    counted_bytes: usize,
    /// What it was then about to send of a large argument.
    announced_bytes: usize,
}

/// Whether the next EVAL is stepped through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Debugs {
    Nothing,
    /// Everybody else waits, and what it writes stays.
    Here,
    /// It is to be undone, which is refused: so the script is not run at all.
    Undone,
}

/// Whether replies are sent (CLIENT REPLY).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplyMode {
    On,
    Off,
    /// The reply of this command (CLIENT REPLY SKIP itself) is left out; the next one's is as well.
    SkipNext,
    /// This command's reply is left out.
    Skip,
}

/// A request that waits. It is run again, or answered, when what it waits for has happened.
pub(crate) enum Parked {
    /// For a job that this request started; the job's completion answers.
    Job,
    /// For a key to change, or for its time to be up.
    Waiting,
    /// For the disk to catch up, or a pause to end, before the request is run again.
    Again(OwnedArgs),
    /// For replicas or the disk to have what it wrote (WAIT, WAITAOF); the engine answers.
    Wait,
    /// For another server to have taken keys (MIGRATE); the engine answers.
    Migration,
}

/// Classes of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientType {
    Normal,
    Primary,
    Replica,
    Pubsub,
}

impl ClientType {
    /// By the word for it, in letters of either case.
    pub(crate) fn parse(word: &[u8]) -> Option<ClientType> {
        let words = [
            ("normal", ClientType::Normal),
            ("master", ClientType::Primary),
            ("slave", ClientType::Replica),
            ("replica", ClientType::Replica),
            ("pubsub", ClientType::Pubsub),
        ];
        let found = words.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, kind)| kind)
    }

    /// The class of a session.
    pub(crate) fn of(session: &Session) -> ClientType {
        if session.is_replica {
            ClientType::Replica
        } else if session.subscriptions.is_some() {
            ClientType::Pubsub
        } else {
            ClientType::Normal
        }
    }
}

/// Bytes that a prefix of CLIENT TRACKING is reckoned to take, in the sets of the session and of the prefix.
const PREFIX_BYTES: usize = 128;

impl Session {
    pub(crate) fn new(id: ConnectionId, peer: Peer, now: Now, is_authenticated: bool) -> Session {
        Session {
            id,
            peer,
            decoder: Decoder::new(),
            proto: Proto::Resp2,
            database: 0,
            name: Vec::new(),
            library_name: Vec::new(),
            library_version: Vec::new(),
            user: UserId::DEFAULT,
            is_authenticated,
            no_evict: false,
            no_touch: false,
            replies: ReplyMode::On,
            debugs: Debugs::Nothing,
            transaction: None,
            watched: WatchedKeys::new(),
            is_dirty: false,
            subscriptions: None,
            tracking: None,
            is_monitor: false,
            has_unstamped_pushes: false,
            over_soft_limit_since: None,
            parked: None,
            handshake: None,
            is_replica: false,
            written_position: LogPosition(0),
            written_offset: ReplicationOffset(0),
            is_closing: false,
            is_gone: false,
            connected_at: now,
            last_heard: now.steady,
            last_command: None,
            bytes_in: 0,
            commands: 0,
            counted_bytes: 0,
            announced_bytes: 0,
        }
    }

    /// Bytes that it holds: its state, what it has sent and is not run yet, what it has queued. What it is to be sent
    /// is in the outputs.
    pub(crate) fn held_bytes(&self) -> usize {
        let queued = self.transaction.as_ref().map_or(0, |transaction| transaction.bytes);
        let names = self.name.capacity() + self.library_name.capacity() + self.library_version.capacity();
        let kept =
            if let Some(Parked::Again(request)) = &self.parked { request.as_args().total_bytes() } else { 0 };
        let subscribed = self.subscriptions.as_ref().map_or(0, |subscriptions| subscriptions.bytes());
        size_of::<Session>()
            + self.decoder.pending_bytes()
            + queued
            + names
            + kept
            + subscribed
            + self.tracking.as_ref().map_or(0, |tracking| tracking.prefixes.len() * PREFIX_BYTES)
            + watched_bytes(&self.watched)
    }

    /// What it was counted as when its bytes were last counted.
    pub(crate) fn counted_bytes(&self) -> usize {
        self.counted_bytes
    }

    /// What it was about to send of a large argument when its bytes were last counted.
    pub(crate) fn announced_bytes(&self) -> usize {
        self.announced_bytes
    }

    /// Whether its next request may run.
    pub(crate) fn is_runnable(&self) -> bool {
        self.parked.is_none() && !self.is_closing
    }
}

/// All sessions, by slot.
#[derive(Default)]
pub(crate) struct Sessions {
    slots: Vec<Option<Box<Session>>>,
    connected: usize,
    /// The sum of what sessions were counted as.
    counted_bytes: usize,
    /// The sum of what they were about to send then.
    announced_bytes: usize,
}

impl Sessions {
    pub(crate) fn insert(&mut self, session: Session) {
        let slot = session.id.slot as usize;
        if slot >= self.slots.len() {
            self.slots.resize_with(slot + 1, || None);
        }
        assert!(self.slots[slot].is_none(), "a slot is free before it is used again");
        let id = session.id;
        self.slots[slot] = Some(Box::new(session));
        self.connected += 1;
        self.count_bytes(id);
    }

    /// Counts anew what a session holds.
    #[inline]
    pub(crate) fn count_bytes(&mut self, id: ConnectionId) {
        self.count_with_request(id, 0);
    }

    /// Forgets what a session holds: it was cut off.
    pub(crate) fn stop_counting(&mut self, id: ConnectionId) {
        if let Some(session) = self.get_mut(id) {
            let before = std::mem::take(&mut session.counted_bytes);
            let announced = std::mem::take(&mut session.announced_bytes);
            self.counted_bytes -= before;
            self.announced_bytes -= announced;
        }
    }

    /// Counts anew what a session holds, with a request that runs.
    pub(crate) fn count_with_request(&mut self, id: ConnectionId, request_bytes: usize) {
        if let Some(session) = self.get_mut(id).filter(|session| !session.is_gone) {
            let held = session.held_bytes() + request_bytes;
            let before = std::mem::replace(&mut session.counted_bytes, held);
            let announced = session.decoder.announced_bytes();
            let announced_before = std::mem::replace(&mut session.announced_bytes, announced);
            self.counted_bytes = self.counted_bytes - before + held;
            self.announced_bytes = self.announced_bytes - announced_before + announced;
        }
    }

    /// Bytes that all sessions hold, each as it was last counted.
    pub(crate) fn counted_bytes(&self) -> usize {
        self.counted_bytes
    }

    /// Bytes that all sessions are yet to send of large arguments. Nothing holds them.
    pub(crate) fn announced_bytes(&self) -> usize {
        self.announced_bytes
    }

    pub(crate) fn remove(&mut self, id: ConnectionId) -> Option<Box<Session>> {
        let session = self.get(id)?;
        let (counted, announced) = (session.counted_bytes, session.announced_bytes);
        self.counted_bytes -= counted;
        self.announced_bytes -= announced;
        self.connected -= 1;
        self.slots[id.slot as usize].take()
    }

    pub(crate) fn get(&self, id: ConnectionId) -> Option<&Session> {
        self.slots.get(id.slot as usize)?.as_deref().filter(|session| session.id == id)
    }

    pub(crate) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Session> {
        self.slots.get_mut(id.slot as usize)?.as_deref_mut().filter(|session| session.id == id)
    }

    /// Everybody, oldest slot first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.slots.iter().filter_map(|slot| slot.as_deref())
    }

    /// Everybody who was not cut off.
    pub(crate) fn present(&self) -> impl Iterator<Item = &Session> {
        self.iter().filter(|session| !session.is_gone)
    }

    pub(crate) fn len(&self) -> usize {
        self.connected
    }
}
