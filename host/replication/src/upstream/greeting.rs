//! The conversation up to the snapshot or the stream: what is said of ourselves, and what each answer means.
//! Always: each word waits for the answer to the one before it.

use tenon_base::Outputs;
use tenon_journal::{ReplicationId, ReplicationOffset};

use super::receiving::Receiving;
use super::{Cut, Heard, State, Upstream, failed, shown};

/// What was said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Ping,
    Auth,
    Port,
    Address,
    Capabilities,
    Psync,
    /// PSYNC without a place: nothing can go on from there.
    PsyncAnew,
    /// What a link for a snapshot says of itself.
    SnapshotLink,
    Sync,
    /// Which link the snapshot comes over.
    Association,
}

impl Upstream {
    pub(super) fn hear_line(
        &mut self,
        line: &[u8],
        place: Option<(ReplicationId, ReplicationOffset)>,
        outputs: &mut Outputs,
    ) -> Heard<'static> {
        let State::Greeting(word) = self.state else {
            return match Receiving::of_frame(line) {
                Ok(receiving) => {
                    let (_, all) = receiving.progress();
                    self.state = State::Receiving(receiving);
                    Heard::SnapshotBegins(all)
                }
                Err(reason) => Heard::Failed(reason),
            };
        };
        let is_refused = line.starts_with(b"-");
        match word {
            Word::Ping => {
                const ALIVE: [&[u8]; 4] = [b"+", b"-NOAUTH", b"-NOPERM", b"-ERR operation not permitted"];
                if !ALIVE.iter().any(|start| line.starts_with(start)) {
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
                    self.say(Word::PsyncAnew, &[b"PSYNC", b"?", b"-1"], outputs);
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
            Word::PsyncAnew if line.starts_with(b"+CONTINUE") => {
                return failed("the primary goes on from a place that was not named");
            }
            Word::Psync | Word::PsyncAnew => return self.hear_answer(line),
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
            [b"-NOMASTERLINK" | b"-LOADING", ..] => {
                self.is_put_off = true;
                let line = shown(line);
                failed(&format!("Master is currently unable to PSYNC but should be in the future: {line}"))
            }
            [b"-NOAUTH", ..] => failed(&format!(
                "Unexpected reply to PSYNC from master: {} ('masterauth' is the password for it)",
                shown(line)
            )),
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

    pub(super) fn say_after_ping(&mut self, outputs: &mut Outputs) {
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
}
