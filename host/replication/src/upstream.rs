//! The replica's half of replication: the link to the primary that is followed, from the first greeting to the stream.
//! Decides what to say, and what each byte that comes is a part of. Opens no socket, loads nothing and runs nothing.
//! Always: nothing is taken for a part of the stream before the primary said from which offset on it sends it.

use tenon_base::{ConnectionId, Micros, Outputs};
use tenon_journal::{ReplicationId, ReplicationOffset};

use receiving::Receiving;

mod receiving;

/// Between two attempts to connect, and between two accounts of ours.
const SECOND: Micros = Micros(1_000_000);
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
    /// The snapshot is to come over another link.
    Split,
    /// It does so, and the stream comes here.
    Gathering,
    Streaming,
}

/// What was said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Ping,
    Auth,
    Port,
    Address,
    Capabilities,
    Psync,
    /// What a link for a snapshot says of itself.
    SnapshotLink,
    Sync,
    /// Which link the snapshot comes over.
    Association,
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
            State::Announced | State::Receiving(_) | State::Split | State::Gathering => "sync",
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

    /// Takes up what the configuration now says; it counts from the next greeting on.
    pub fn change_greeting(&mut self, greeting: Greeting) {
        self.greeting = greeting;
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
        let is_awaited = self.link.is_some() && !matches!(self.state, State::Split);
        is_awaited && now.since(self.heard_at) > self.greeting.timeout
    }

    /// What that silence is called, by what was waited for.
    pub fn silence(&self) -> &'static str {
        match self.state {
            State::Streaming | State::Gathering => "MASTER timeout: no data nor PING received...",
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

    /// The link is gone, or there is none: another attempt follows, after a pause unless the link was a good one.
    pub fn lost(&mut self, now: Micros) {
        let was_good = self.is_up() && now.since(self.up_since) > SECOND;
        if self.is_up() {
            self.down_since = now;
        }
        self.link = None;
        self.line.clear();
        (self.split_at, self.is_loaded) = (None, false);
        self.state = State::Resting(if was_good { now } else { now + SECOND });
    }

    /// The snapshot is loaded: the stream follows.
    pub fn loaded(&mut self, now: Micros) {
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
            State::Gathering => return (bytes.len(), Heard::Gathered(bytes)),
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

    fn hear_line(
        &mut self,
        line: &[u8],
        place: Option<(ReplicationId, ReplicationOffset)>,
        outputs: &mut Outputs,
    ) -> Heard<'static> {
        let State::Greeting(word) = self.state else {
            return match Receiving::of_frame(line) {
                Ok(receiving) => {
                    self.state = State::Receiving(receiving);
                    Heard::Nothing
                }
                Err(reason) => Heard::Failed(reason),
            };
        };
        let is_refused = line.starts_with(b"-");
        match word {
            Word::Ping => {
                let is_alive = !is_refused || line.starts_with(b"-NOAUTH") || line.starts_with(b"-NOPERM");
                if !is_alive && !line.starts_with(b"-ERR operation not permitted") {
                    return failed(&format!("Error reply to PING from master: '{}'", shown(line)));
                }
                self.say_after_ping(outputs);
            }
            Word::Auth if is_refused => {
                return failed(&format!("Unable to AUTH to MASTER: {}", shown(line)));
            }
            Word::Auth => self.say_own_port(outputs),
            Word::Port if self.greeting.address.is_empty() => self.say_capabilities(outputs),
            Word::Port => {
                let address = self.greeting.address.clone();
                self.say(Word::Address, &[b"REPLCONF", b"ip-address", &address], outputs);
            }
            Word::Address => self.say_capabilities(outputs),
            Word::Capabilities => {
                let Some((id, offset)) = place else {
                    tracing::info!("Partial resynchronization not possible (nothing to go on from)");
                    self.say(Word::Psync, &[b"PSYNC", b"?", b"-1"], outputs);
                    return Heard::Nothing;
                };
                let first = (offset.0 + 1).to_string();
                tracing::info!("Trying a partial resynchronization (request {id}:{first}).");
                let words: [&[u8]; 4] = [b"PSYNC", &id.0, first.as_bytes(), b"FAILOVER"];
                self.say(Word::Psync, if self.hands_over { &words } else { &words[..3] }, outputs);
            }
            Word::SnapshotLink | Word::Association if is_refused => {
                return failed(&format!("Error reply to REPLCONF from master: '{}'", shown(line)));
            }
            Word::SnapshotLink => self.say(Word::Sync, &[b"SYNC"], outputs),
            Word::Sync => return self.hear_cut(line),
            Word::Association => {
                let Some(cut) = self.split_at else { return failed("an answer that was not asked for") };
                let first = (cut.offset.0 + 1).to_string();
                self.say(Word::Psync, &[b"PSYNC", &cut.id.0, first.as_bytes()], outputs);
            }
            Word::Psync => return self.hear_answer(line),
        }
        Heard::Nothing
    }

    /// The answer to PSYNC.
    fn hear_answer(&mut self, line: &[u8]) -> Heard<'static> {
        let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
        match words.as_slice() {
            [b"+FULLRESYNC", id, offset] => {
                let offset = std::str::from_utf8(offset).ok().and_then(|text| text.parse().ok());
                let (Some(id), Some(offset)) = (ReplicationId::parse(id), offset) else {
                    return failed(&format!("Master replied with wrong +FULLRESYNC syntax: {}", shown(line)));
                };
                tracing::info!("Full resync from master: {id}:{offset}");
                self.state = State::Announced;
                Heard::Full(id, ReplicationOffset(offset))
            }
            [b"+CONTINUE", ..] if self.split_at.is_some() && !self.is_loaded => {
                tracing::info!("The stream is gathered while the snapshot comes over another link");
                self.state = State::Gathering;
                Heard::Nothing
            }
            [b"+DUALCHANNELSYNC"] if self.greeting.takes_two_links && self.split_at.is_none() => {
                tracing::info!("Full resync from master, the snapshot over a link of its own");
                self.state = State::Split;
                Heard::Split
            }
            [b"+CONTINUE", rest @ ..] => {
                self.split_at = None;
                tracing::info!("Successful partial resynchronization with master.");
                self.state = State::Streaming;
                self.up_since = self.heard_at;
                Heard::Continues(rest.first().and_then(|id| ReplicationId::parse(id)))
            }
            _ => failed(&format!("Unexpected reply to PSYNC from master: {}", shown(line))),
        }
    }

    /// `$ENDOFF:OFFSET ID DATABASE SERIAL`: where the snapshot was cut that follows.
    fn hear_cut(&mut self, line: &[u8]) -> Heard<'static> {
        let words = std::str::from_utf8(line).unwrap_or_default();
        let words: Vec<&str> = words.strip_prefix("$ENDOFF:").unwrap_or_default().split(' ').collect();
        let [offset, id, _, serial] = words.as_slice() else {
            return failed(&format!("Received unexpected $ENDOFF response: {}", shown(line)));
        };
        let id = ReplicationId::parse(id.as_bytes());
        let (Ok(offset), Some(id), Ok(serial)) = (offset.parse(), id, serial.parse()) else {
            return failed(&format!("Received unexpected $ENDOFF response: {}", shown(line)));
        };
        self.state = State::Announced;
        Heard::Cut(Cut { id, offset: ReplicationOffset(offset), serial })
    }

    fn say_after_ping(&mut self, outputs: &mut Outputs) {
        let (user, password) = (self.greeting.user.clone(), self.greeting.password.clone());
        match (password.is_empty(), user.is_empty()) {
            (true, _) => self.say_own_port(outputs),
            (false, true) => self.say(Word::Auth, &[b"AUTH", &password], outputs),
            (false, false) => self.say(Word::Auth, &[b"AUTH", &user, &password], outputs),
        }
    }

    fn say_own_port(&mut self, outputs: &mut Outputs) {
        let port = self.greeting.port.to_string();
        if self.is_for_snapshot {
            let words: [&[u8]; 9] = [
                b"REPLCONF",
                b"capa",
                b"eof",
                b"rdb-only",
                b"1",
                b"rdb-channel",
                b"1",
                b"listening-port",
                port.as_bytes(),
            ];
            return self.say(Word::SnapshotLink, &words, outputs);
        }
        self.say(Word::Port, &[b"REPLCONF", b"listening-port", port.as_bytes()], outputs);
    }

    fn say_capabilities(&mut self, outputs: &mut Outputs) {
        let words: [&[u8]; 7] = [b"REPLCONF", b"capa", b"eof", b"capa", b"psync2", b"capa", b"dual-channel"];
        let count = if self.greeting.takes_two_links { 7 } else { 5 };
        self.say(Word::Capabilities, &words[..count], outputs);
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
mod tests {
    use super::*;

    const LINK: ConnectionId = ConnectionId { serial: 9, slot: 3 };
    const ID: ReplicationId = ReplicationId([b'c'; 40]);

    fn upstream(greeting: Greeting) -> (Upstream, Outputs) {
        let mut upstream = Upstream::new(Micros(0), "primary".to_owned(), 6_379, greeting);
        let mut outputs = Outputs::default();
        assert!(upstream.take_connect(Micros(0)) && !upstream.take_connect(Micros(0)));
        upstream.linked(Micros(0), LINK, &mut outputs);
        (upstream, outputs)
    }

    /// Hands bytes over one read at a time, and gathers what they were.
    fn hear(upstream: &mut Upstream, outputs: &mut Outputs, text: &str) -> Vec<String> {
        let (mut rest, mut all) = (text.as_bytes(), Vec::new());
        while !rest.is_empty() {
            let (count, heard) = upstream.hear(Micros(5), rest, Some((ID, ReplicationOffset(41))), outputs);
            if heard != Heard::Nothing {
                all.push(format!("{heard:?}"));
            }
            rest = &rest[count..];
        }
        all
    }

    fn said(outputs: &mut Outputs) -> String {
        let text = String::from_utf8(outputs.sendable(LINK.slot).to_vec()).expect("ascii");
        outputs.sent(LINK.slot, text.len());
        let words = text.split("\r\n").filter(|word| !word.starts_with(['*', '$']) && !word.is_empty());
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_replica_greets_and_asks_to_go_on() {
        let greeting = Greeting { password: b"secret".to_vec(), port: 7_000, ..Greeting::default() };
        let (mut upstream, mut outputs) = upstream(greeting);
        let mut conversation = vec![said(&mut outputs)];
        for answer in ["+PONG\r\n", "+OK\r\n", "+OK\r\n", "-ERR what\r\n"] {
            assert!(hear(&mut upstream, &mut outputs, answer).is_empty());
            conversation.push(said(&mut outputs));
        }
        let psync = format!("PSYNC {ID} 42");
        let expected =
            ["PING", "AUTH secret", "REPLCONF listening-port 7000", "REPLCONF capa eof capa psync2", &psync];
        assert_eq!(conversation, expected);
        let answer = format!("\n+CONTINUE {}\r\nstream", "d".repeat(40));
        let heard = hear(&mut upstream, &mut outputs, &answer);
        assert_eq!(heard.len(), 2);
        assert!(heard[0].starts_with("Continues(Some(ddd") && heard[1].starts_with("Stream("));
        assert!(upstream.is_up() && upstream.take_ack_due(Micros(5)) && !upstream.take_ack_due(Micros(6)));
        upstream.acknowledge(ReplicationOffset(47), Some(ReplicationOffset(40)), &mut outputs);
        assert_eq!(said(&mut outputs), "REPLCONF ACK 47 FACK 40");
    }

    /// As far as the answer to PSYNC.
    fn asked() -> (Upstream, Outputs) {
        let (mut upstream, mut outputs) = upstream(Greeting { timeout: SECOND, ..Greeting::default() });
        for answer in ["+PONG\r\n", "+OK\r\n", "+OK\r\n"] {
            assert!(hear(&mut upstream, &mut outputs, answer).is_empty());
        }
        (upstream, outputs)
    }

    #[test]
    fn snapshots_end_by_length_or_by_mark() {
        let announced = format!("+FULLRESYNC {} 100\r\n\n\n", "e".repeat(40));
        let (mut upstream, mut outputs) = asked();
        let heard = hear(&mut upstream, &mut outputs, &format!("{announced}$5\r\nabc"));
        assert!(heard[0].starts_with("Full(eee") && heard[1] == "Snapshot([97, 98, 99])");
        assert_eq!(upstream.snapshot_progress(), Some((3, Some(5))));
        let (count, last) = upstream.hear(Micros(5), b"dexyz", None, &mut outputs);
        assert_eq!((count, last), (2, Heard::SnapshotEnd(b"de", 0)));
        let (mut upstream, mut outputs) = asked();
        let mark = "m".repeat(40);
        hear(&mut upstream, &mut outputs, &format!("{announced}$EOF:{mark}\r\nabc"));
        let half = "m".repeat(25);
        assert_eq!(hear(&mut upstream, &mut outputs, &half).len(), 1);
        let heard = hear(&mut upstream, &mut outputs, &half[10..]);
        assert!(heard[0].starts_with("SnapshotEnd("), "{heard:?}");
        upstream.loaded(Micros(6));
        assert!(upstream.is_up());
    }

    #[test]
    fn a_snapshot_may_come_over_a_link_of_its_own() {
        let greeting = Greeting { takes_two_links: true, port: 7_000, ..Greeting::default() };
        let (mut upstream, mut outputs) = upstream(greeting);
        for answer in ["+PONG\r\n", "+OK\r\n", "+OK\r\n"] {
            said(&mut outputs);
            assert!(hear(&mut upstream, &mut outputs, answer).is_empty());
        }
        said(&mut outputs);
        assert_eq!(hear(&mut upstream, &mut outputs, "+DUALCHANNELSYNC\r\n"), ["Split"]);
        let aside = ConnectionId { serial: 10, slot: 4 };
        let mut snapshot = upstream.for_snapshot(Micros(1));
        snapshot.linked(Micros(1), aside, &mut outputs);
        let words = outputs.sendable(aside.slot).to_vec();
        outputs.sent(aside.slot, words.len());
        assert!(words.ends_with(b"rdb-only\r\n$1\r\n1\r\n$11\r\nrdb-channel\r\n$1\r\n1\r\n$14\r\nlistening-port\r\n$4\r\n7000\r\n"));
        hear(&mut snapshot, &mut outputs, "+OK\r\n");
        assert_eq!(outputs.sendable(aside.slot), b"*1\r\n$4\r\nSYNC\r\n");
        let cut = Cut { id: ID, offset: ReplicationOffset(41), serial: 10 };
        let told = format!("\n\n$ENDOFF:41 {ID} 0 10\r\n$3\r\nRDB");
        let heard = hear(&mut snapshot, &mut outputs, &told);
        assert_eq!(heard, [format!("{:?}", Heard::Cut(cut)), format!("{:?}", Heard::SnapshotEnd(b"RDB", 0))]);
        upstream.read_from(cut, &mut outputs);
        assert_eq!(said(&mut outputs), "REPLCONF set-rdb-client-id 10");
        assert!(hear(&mut upstream, &mut outputs, "+OK\r\n").is_empty());
        assert_eq!(said(&mut outputs), format!("PSYNC {ID} 42"));
        let heard = hear(&mut upstream, &mut outputs, "+CONTINUE\r\nab");
        assert_eq!(heard, [format!("{:?}", Heard::Gathered(b"ab"))]);
        assert!(!upstream.is_up() && upstream.is_split());
        upstream.loaded(Micros(9));
        assert!(upstream.is_up() && !upstream.is_split());
        for lie in ["$ENDOFF:x y 0 1\r\n", "$ENDOFF:1\r\n", "-ERR no\r\n", "$5\r\n"] {
            let mut snapshot = upstream.for_snapshot(Micros(1));
            snapshot.linked(Micros(1), aside, &mut outputs);
            hear(&mut snapshot, &mut outputs, "+OK\r\n");
            assert!(hear(&mut snapshot, &mut outputs, lie)[0].starts_with("Failed("), "{lie}");
        }
    }

    #[test]
    fn a_snapshot_may_be_loaded_before_the_primary_sends_the_stream() {
        let (mut upstream, mut outputs) = upstream(Greeting { takes_two_links: true, ..Greeting::default() });
        for answer in ["+PONG\r\n", "+OK\r\n", "+OK\r\n", "+DUALCHANNELSYNC\r\n"] {
            hear(&mut upstream, &mut outputs, answer);
        }
        upstream.read_from(Cut { id: ID, offset: ReplicationOffset(41), serial: 10 }, &mut outputs);
        upstream.loaded(Micros(6));
        assert!(!upstream.is_up());
        hear(&mut upstream, &mut outputs, "+OK\r\n");
        let heard = hear(&mut upstream, &mut outputs, "+CONTINUE\r\nab");
        assert!(heard[0].starts_with("Continues(") && heard[1].starts_with("Stream("), "{heard:?}");
        assert!(upstream.is_up());
    }

    #[test]
    fn nonsense_ends_the_link_and_another_attempt_follows() {
        let cases = [
            "+FULLRESYNC x 1\r\n",
            "+FULLRESYNC\r\n",
            "-LOADING\r\n",
            "+CONTINUED\r\n",
            "$7\r\n",
            "\u{7f}\r\n",
        ];
        for answer in cases {
            let (mut upstream, mut outputs) = asked();
            let heard = hear(&mut upstream, &mut outputs, answer);
            assert!(heard[0].starts_with("Failed("), "{answer:?} gives {heard:?}");
            upstream.lost(Micros(10));
            assert!(!upstream.take_connect(Micros(10)) && upstream.take_connect(Micros(10) + SECOND));
        }
        for frame in ["$-1\r\n", "$0\r\n", "$x\r\n", "$EOF:short\r\n", "-ERR no\r\n"] {
            let (mut upstream, mut outputs) = asked();
            let announced = format!("+FULLRESYNC {} 100\r\n{frame}", "e".repeat(40));
            let heard = hear(&mut upstream, &mut outputs, &announced);
            assert!(heard[1].starts_with("Failed("), "{frame:?} gives {heard:?}");
        }
        let (mut upstream, mut outputs) = asked();
        let heard = hear(&mut upstream, &mut outputs, &"x".repeat(LINE_BYTES_MAX + 1));
        assert!(heard[0].starts_with("Failed("));
        assert!(upstream.is_silent(Micros(10) + SECOND) && !upstream.is_silent(SECOND));
    }
}
