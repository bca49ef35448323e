//! The replica's half of replication: the link to the primary that is followed, from the first greeting to the stream.
//! Decides what to say, and what each byte that comes is a part of. Opens no socket, loads nothing and runs nothing.
//! Always: nothing is taken for a part of the stream before the primary said from which offset on it sends it.

use tenon_base::{ConnectionId, Micros, Outputs};
use tenon_journal::{ReplicationId, ReplicationOffset};

use greeting::Word;
use receiving::Receiving;

mod greeting;
mod receiving;

/// Between two attempts to connect, and between two accounts of ours.
const SECOND: Micros = Micros(1_000_000);
/// The longest pause before another attempt, where several in a row came to nothing.
const PAUSE_MAX: Micros = Micros(16_000_000);
/// Longest line of an answer (bytes).
const LINE_BYTES_MAX: usize = 64 * 1024;

/// What a replica says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Greeting {
    /// `masteruser`, empty for the default user.
    pub user: Vec<u8>,
    /// `masterauth`, empty for none.
    pub password: Vec<u8>,
    /// Where our own clients find us.
    pub port: u16,
    /// `replica-announce-ip`, empty for the connection's own.
    pub address: Vec<u8>,
    /// `repl-timeout`.
    pub timeout: Micros,
    /// `dual-channel-replication-enabled`: a snapshot may come over a link of its own.
    pub takes_two_links: bool,
}

/// The primary that is followed, and the link to it.
#[derive(Debug)]
pub struct Upstream {
    host: String,
    port: u16,
    greeting: Greeting,
    state: State,
    link: Option<ConnectionId>,
    line: Vec<u8>,
    heard_at: Micros,
    ack_at: Micros,
    up_since: Micros,
    down_since: Micros,
    /// Whom it asks is to become the primary in its place.
    hands_over: bool,
    /// It is the link that a snapshot comes over, and nothing else.
    is_for_snapshot: bool,
    /// Where the stream is to be read from while the snapshot comes over another link.
    split_at: Option<Cut>,
    /// That snapshot is loaded.
    is_loaded: bool,
    is_halted: bool,
    /// Attempts in a row that came to nothing by what the primary sent, or did not send.
    in_vain: u32,
    /// It asked us to come again.
    is_put_off: bool,
}

/// Where a snapshot was cut that comes over a link of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The stream that goes on from there.
    pub id: ReplicationId,
    /// The place.
    pub offset: ReplicationOffset,
    /// What the primary calls the link of the snapshot.
    pub serial: u64,
}

#[derive(Debug)]
enum State {
    /// To be connected at this moment.
    Resting(Micros),
    Connecting,
    /// An answer to this is awaited.
    Greeting(Word),
    /// A snapshot is announced, its frame has not come.
    Announced,
    Receiving(Receiving),
    /// All of the snapshot is here, and it is not loaded.
    Loading,
    /// The snapshot is to come over another link.
    Split,
    /// It does so, and the stream comes here.
    Gathering,
    Streaming,
}

/// What some bytes were.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// A part of the conversation; it was seen to.
    Nothing,
    /// Everything comes anew, from this place in the stream named.
    Full(ReplicationId, ReplicationOffset),
    /// Everything comes anew: the snapshot is to be asked for over a link of its own.
    Split,
    /// The snapshot comes over this link, and was cut there.
    Cut(Cut),
    /// The next bytes of the stream behind a snapshot that has not been loaded.
    Gathered(&'a [u8]),
    /// The stream goes on where it stopped, maybe under another name.
    Continues(Option<ReplicationId>),
    /// The snapshot follows, of so many bytes if that is known.
    SnapshotBegins(Option<u64>),
    /// The next bytes of the snapshot.
    Snapshot(&'a [u8]),
    /// The last bytes of the snapshot; so many at the end of all of them are no part of it.
    SnapshotEnd(&'a [u8], usize),
    /// The next bytes of the stream.
    Stream(&'a [u8]),
    /// The link is of no use: close it.
    Failed(String),
}

impl Upstream {
    /// Follows a primary, beginning at once.
    pub fn new(now: Micros, host: String, port: u16, greeting: Greeting) -> Upstream {
        let state = State::Resting(now);
        let line = Vec::new();
        Upstream {
            host,
            port,
            greeting,
            state,
            link: None,
            line,
            heard_at: now,
            ack_at: now,
            up_since: now,
            down_since: now,
            hands_over: false,
            is_for_snapshot: false,
            split_at: None,
            is_loaded: false,
            is_halted: false,
            in_vain: 0,
            is_put_off: false,
        }
    }

    /// A link to the same primary, for the snapshot alone. It is being connected.
    pub fn for_snapshot(&self, now: Micros) -> Upstream {
        let mut link = Upstream::new(now, self.host.clone(), self.port, self.greeting.clone());
        link.is_for_snapshot = true;
        link.state = State::Connecting;
        link
    }

    /// Reads the stream from where a snapshot was cut that comes over another link.
    pub fn read_from(&mut self, cut: Cut, outputs: &mut Outputs) {
        self.split_at = Some(cut);
        let serial = cut.serial.to_string();
        self.say(Word::Association, &[b"REPLCONF", b"set-rdb-client-id", serial.as_bytes()], outputs);
    }

    /// Whether a snapshot comes, or is to come, over another link.
    pub fn is_split(&self) -> bool {
        matches!(self.state, State::Split | State::Gathering) || self.split_at.is_some()
    }

    /// Asks whom it follows to be the primary from now on, or no longer does.
    pub fn hand_over(&mut self, is_so: bool) {
        self.hands_over = is_so;
    }

    /// Host and port of the primary.
    pub fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// The connection to it.
    pub fn link(&self) -> Option<ConnectionId> {
        self.link
    }

    /// Whether the stream flows.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Streaming)
    }

    /// As ROLE calls the state of the link.
    pub fn state_name(&self) -> &'static str {
        match self.state {
            State::Resting(_) => "connect",
            State::Connecting => "connecting",
            State::Greeting(_) => "handshake",
            State::Announced | State::Receiving(_) | State::Loading | State::Split | State::Gathering => {
                "sync"
            }
            State::Streaming => "connected",
        }
    }

    /// Bytes of the snapshot that have come, and all of them if that is known; None unless one is on its way.
    pub fn snapshot_progress(&self) -> Option<(u64, Option<u64>)> {
        match &self.state {
            State::Announced => Some((0, None)),
            State::Receiving(receiving) => Some(receiving.progress()),
            _ => None,
        }
    }

    /// When something last came.
    pub fn heard_at(&self) -> Micros {
        self.heard_at
    }

    /// Since when the stream has not been flowing.
    pub fn down_since(&self) -> Micros {
        self.down_since
    }

    /// Takes up what the configuration now says; it counts from the next greeting on, which is not put off any more.
    pub fn change_greeting(&mut self, now: Micros, greeting: Greeting) {
        let is_new = self.greeting != greeting && !matches!(self.state, State::Connecting);
        self.greeting = greeting;
        if is_new {
            self.hurry(now);
        }
    }

    /// Something has changed: another attempt is worth while at once.
    pub fn hurry(&mut self, now: Micros) {
        self.in_vain = 0;
        if let State::Resting(at) = &mut self.state {
            *at = now.min(*at);
        }
    }

    /// Whether the primary is to be connected to now. Asked for once, it is taken as being done.
    pub fn take_connect(&mut self, now: Micros) -> bool {
        let is_due = !self.is_halted && matches!(self.state, State::Resting(at) if at <= now);
        if is_due {
            tracing::info!("Connecting to MASTER {}:{}", self.host, self.port);
            self.state = State::Connecting;
            self.heard_at = now;
        }
        is_due
    }

    /// Makes no further attempt to connect once the link is gone, until somebody names the primary again.
    pub fn halt(&mut self) {
        self.is_halted = true;
    }

    /// Whether it makes no further attempt.
    pub fn is_halted(&self) -> bool {
        self.is_halted
    }

    /// Whether the primary has been silent for too long.
    pub fn is_silent(&self, now: Micros) -> bool {
        let is_awaited = self.link.is_some() && !matches!(self.state, State::Split | State::Loading);
        is_awaited && now.since(self.heard_at) > self.greeting.timeout
    }

    /// What that silence is called, by what was waited for.
    pub fn silence(&self) -> &'static str {
        match self.state {
            State::Streaming | State::Gathering | State::Loading => {
                "MASTER timeout: no data nor PING received..."
            }
            State::Announced | State::Receiving(_) => {
                "Timeout receiving bulk data from MASTER... If the problem persists try to set the 'repl-timeout' \
                 parameter in redis.conf to a larger value."
            }
            State::Resting(_) | State::Connecting | State::Greeting(_) | State::Split => {
                "Timeout connecting to the MASTER..."
            }
        }
    }

    /// Whether it is time to tell the primary how far we are.
    pub fn take_ack_due(&mut self, now: Micros) -> bool {
        let is_due = self.is_up() && self.ack_at <= now;
        if is_due {
            self.ack_at = now + SECOND;
        }
        is_due
    }

    /// The primary is reached.
    pub fn linked(&mut self, now: Micros, connection: ConnectionId, outputs: &mut Outputs) {
        self.link = Some(connection);
        self.heard_at = now;
        self.line.clear();
        if self.is_for_snapshot {
            return self.say_after_ping(outputs);
        }
        self.say(Word::Ping, &[b"PING"], outputs);
    }

    /// Nothing was read for a while, because nothing was to be read.
    pub fn was_deaf(&mut self, now: Micros) {
        self.heard_at = now;
    }

    /// What the primary sent is of no use, so the link is going to be closed: the more often that happens in a row, the
    /// longer the pause that follows. A full synchronization that can only fail costs both ends much.
    pub fn refuse(&mut self) {
        if !self.is_put_off && !matches!(self.state, State::Resting(_)) {
            self.in_vain = self.in_vain.saturating_add(1);
        }
    }

    /// Whether everything is on its way, and not all here.
    pub fn is_syncing(&self) -> bool {
        matches!(
            self.state,
            State::Announced | State::Receiving(_) | State::Loading | State::Split | State::Gathering
        )
    }

    /// The pause before the next attempt, if what was sent keeps being of no use.
    pub fn pause(&self) -> Micros {
        let doublings = self.in_vain.saturating_sub(1).min(8);
        PAUSE_MAX.min(Micros(SECOND.0 << doublings))
    }

    /// The link is gone, or there is none: another attempt follows, after a pause unless the link was a good one.
    pub fn lost(&mut self, now: Micros) {
        let was_good = self.is_up() && now.since(self.up_since) > SECOND;
        if self.is_up() {
            self.down_since = now;
        }
        if was_good {
            self.in_vain = 0;
        }
        self.is_put_off = false;
        self.link = None;
        self.line.clear();
        (self.split_at, self.is_loaded) = (None, false);
        self.state = State::Resting(if was_good { now } else { now + self.pause() });
    }

    /// All of the snapshot came over this link, and is being loaded: what comes now is the stream behind it.
    pub fn arrived(&mut self) {
        if let State::Receiving(_) = self.state {
            self.state = State::Loading;
        }
    }

    /// The snapshot is loaded: the stream follows. Where the link was lost meanwhile it is asked for at once, from where
    /// the snapshot ends.
    pub fn loaded(&mut self, now: Micros) {
        if self.link.is_none() {
            self.state = State::Resting(now);
            return;
        }
        (self.heard_at, self.up_since) = (now, now);
        if matches!(self.state, State::Greeting(_)) {
            // It was there before the primary has said that it sends the stream.
            self.is_loaded = true;
            return;
        }
        self.split_at = None;
        self.state = State::Streaming;
    }

    /// Tells the primary how far we are.
    pub fn acknowledge(
        &self,
        offset: ReplicationOffset,
        synced: Option<ReplicationOffset>,
        outputs: &mut Outputs,
    ) {
        let offset = offset.to_string();
        let synced = synced.map(|synced| synced.to_string());
        let mut words: Vec<&[u8]> = vec![b"REPLCONF", b"ACK", offset.as_bytes()];
        if let Some(synced) = &synced {
            words.extend([&b"FACK"[..], synced.as_bytes()]);
        }
        self.send(&words, outputs);
    }

    /// Takes some of `bytes`, at least one, and says how many and what they were. `place` is how far we have come in
    /// which stream; None if none was ever counted.
    pub fn hear<'a>(
        &mut self,
        now: Micros,
        bytes: &'a [u8],
        place: Option<(ReplicationId, ReplicationOffset)>,
        outputs: &mut Outputs,
    ) -> (usize, Heard<'a>) {
        self.heard_at = now;
        match &mut self.state {
            State::Streaming => return (bytes.len(), Heard::Stream(bytes)),
            State::Gathering | State::Loading => return (bytes.len(), Heard::Gathered(bytes)),
            State::Receiving(receiving) => return receiving.take(bytes),
            State::Resting(_) | State::Connecting | State::Split => return (bytes.len(), Heard::Nothing),
            State::Greeting(_) | State::Announced => {}
        }
        let end = bytes.iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |at| at + 1);
        self.line.extend_from_slice(&bytes[..end]);
        if self.line.last() != Some(&b'\n') {
            let is_too_long = self.line.len() > LINE_BYTES_MAX;
            let heard = if is_too_long { failed("a line that does not end") } else { Heard::Nothing };
            return (end, heard);
        }
        let line = std::mem::take(&mut self.line);
        let line = line.trim_ascii();
        // An empty line shows that the primary is there.
        let heard = if line.is_empty() { Heard::Nothing } else { self.hear_line(line, place, outputs) };
        (end, heard)
    }

    fn say(&mut self, word: Word, words: &[&[u8]], outputs: &mut Outputs) {
        self.state = State::Greeting(word);
        self.send(words, outputs);
    }

    fn send(&self, words: &[&[u8]], outputs: &mut Outputs) {
        let Some(link) = self.link else { return };
        let out = outputs.writer(link);
        out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            out.extend_from_slice(word);
            out.extend_from_slice(b"\r\n");
        }
    }
}

fn failed(reason: &str) -> Heard<'static> {
    Heard::Failed(reason.to_owned())
}

fn shown(line: &[u8]) -> String {
    line[..line.len().min(256)].escape_ascii().to_string()
}

#[cfg(test)]
mod tests;
