//! The primary's half of replication: who may go on where it stopped, who needs everything anew, how far each replica
//! is, and who is let go. Makes no snapshot and encodes no command; it is told what there is to send.
//! Always: the backlog and all replicas share one stream, and no replica's link ever misses or repeats a byte of it.

use tenon_base::{ConnectionId, Micros, Outputs, StreamId};
use tenon_journal::{ReplicationId, ReplicationOffset};

use crate::history::{History, Second};
use crate::pace::Pace;
use crate::replica::{Replica, State};
use crate::settings::Settings;
use snapshot::Sync;

pub use requests::{Answer, Request, Target};
pub use snapshot::{Framing, SyncProgress};

mod requests;
mod snapshot;

/// Between two looks at what goes by seconds.
const SECOND: Micros = Micros(1_000_000);
/// How long the stream is kept for a replica whose snapshot was sent on a link of its own, and who has not said yet
/// that it reads the stream on the other.
const EXPECTED_FOR: Micros = Micros(60_000_000);

/// A primary, and its replicas in the order in which they came.
#[derive(Debug)]
pub struct Primary {
    history: History,
    settings: Settings,
    /// The one stream; None until the first replica comes.
    backlog: Option<StreamId>,
    replicas: Vec<Replica>,
    sync: Option<Sync>,
    /// Replicas that get their snapshot on a link of its own, until they read the stream on another.
    expected: Vec<Expected>,
    pace: Pace,
    /// Somebody waits for replicas to confirm.
    wants_acks: bool,
    second_at: Micros,
    ping_at: Micros,
    /// When the last replica left.
    alone_since: Micros,
    lacks_replicas: bool,
    counts: Counts,
}

/// What happened to requests, since the counters were reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Replicas that need everything anew.
    pub full: u64,
    /// Replicas that went on where they stopped.
    pub partial_ok: u64,
    /// Replicas that asked to go on and could not.
    pub partial_refused: u64,
}

/// Somebody who is about to ask for the stream from where a snapshot was cut.
#[derive(Clone, Copy, Debug)]
struct Expected {
    /// Of the link that the snapshot goes over.
    serial: u64,
    start: ReplicationOffset,
    /// None as long as that link is there.
    until: Option<Micros>,
}

/// What the engine is to do for the primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// End a replica's link: at once, or when all was sent.
    Close {
        /// Which.
        connection: ConnectionId,
        /// Whether to drop what was not sent yet.
        at_once: bool,
    },
    /// Put a PING into the stream.
    Ping,
    /// The backlog is of use to nobody any more: forget it and take another id.
    EndHistory,
    /// Nobody is left who wants the snapshot.
    AbandonSnapshot,
}

impl Primary {
    /// A primary without replicas, whose history begins now under a name of its own.
    pub fn new(now: Micros, id: ReplicationId, settings: Settings) -> Primary {
        Primary {
            history: History::new(id),
            settings,
            backlog: None,
            replicas: Vec::new(),
            sync: None,
            expected: Vec::new(),
            pace: Pace::default(),
            wants_acks: false,
            second_at: now + SECOND,
            ping_at: now + settings.ping_period,
            alone_since: now,
            lacks_replicas: settings.replicas_min > 0 && settings.lag_seconds_max > 0,
            counts: Counts::default(),
        }
    }

    /// The names of its history.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Its replicas, oldest first.
    pub fn replicas(&self) -> &[Replica] {
        &self.replicas
    }

    /// What happened to requests.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// CONFIG RESETSTAT.
    pub fn reset_counts(&mut self) {
        self.counts = Counts::default();
    }

    /// The stream that the backlog keeps, once there is one.
    pub fn backlog(&self) -> Option<StreamId> {
        self.backlog
    }

    /// Whether `min-replicas-to-write` replicas were not heard in time.
    pub fn lacks_replicas(&self) -> bool {
        self.lacks_replicas
    }

    /// How many replicas were heard in time.
    pub fn good_replicas(&self, now: Micros) -> usize {
        let max = self.settings.lag_seconds_max;
        let is_good = |replica: &&Replica| replica.state == State::Online && replica.lag_seconds(now) <= max;
        self.replicas.iter().filter(is_good).count()
    }

    /// Takes up what the configuration now says.
    pub fn change_settings(&mut self, now: Micros, settings: Settings, outputs: &mut Outputs) {
        if settings.ping_period != self.settings.ping_period {
            self.ping_at = now + settings.ping_period;
        }
        self.settings = settings;
        if let Some(stream) = self.backlog {
            outputs.extend_stream(stream, |stream| stream.expect_to_keep(settings.backlog_bytes));
            self.trim(outputs);
        }
        self.look_for_good_replicas(now);
    }

    /// Takes another name: what was written since the last one was given did not count.
    pub fn begin_history(&mut self, id: ReplicationId) {
        self.history = History::new(id);
    }

    /// Says which stream its own is a continuation of.
    pub fn continue_history(&mut self, now: Micros, second: Second) {
        self.history.second = Some(second);
        self.alone_since = now;
    }

    /// Continues a stream that was brought back from disk, and keeps what comes from there on.
    pub fn recover(&mut self, now: Micros, second: Second, outputs: &mut Outputs) {
        self.continue_history(now, second);
        self.open_backlog(second.valid_to, outputs);
    }

    /// Keeps what is written from `offset` on.
    pub fn open_backlog(&mut self, offset: ReplicationOffset, outputs: &mut Outputs) {
        assert!(self.backlog.is_none(), "there is one backlog");
        self.backlog = Some(outputs.open_stream(offset.0, self.settings.backlog_bytes));
    }

    /// Forgets what was kept, and lets go of those whose snapshot belongs to it: neither that nor its offset means
    /// anything in the next history.
    pub fn close_backlog(&mut self, outputs: &mut Outputs, actions: &mut Vec<Action>) {
        self.expected.clear();
        self.pace.stop();
        if let Some(sync) = self.sync.take() {
            outputs.close_stream(sync.stream);
            actions.push(Action::AbandonSnapshot);
        }
        for replica in self.replicas.iter_mut().filter(|replica| replica.holds_stream()) {
            tracing::warn!(
                "Replica {} is closed: its snapshot is of a history that has ended here",
                replica.name()
            );
            drop_replica(replica, actions);
        }
        if let Some(stream) = self.backlog.take() {
            outputs.close_stream(stream);
        }
    }

    /// Whether a snapshot is being made or sent.
    pub fn has_snapshot(&self) -> bool {
        self.sync.is_some()
    }

    /// Whether a replica waits for a backlog to begin with.
    pub fn wants_backlog(&self) -> bool {
        self.backlog.is_none() && !self.replicas.is_empty()
    }

    /// A replica says how much it has run, and how much of that is on its disk.
    pub fn acknowledged(
        &mut self,
        now: Micros,
        connection: ConnectionId,
        offset: Option<i64>,
        synced: Option<i64>,
        outputs: &mut Outputs,
    ) {
        let Some(stream) = self.backlog else { return };
        let end = outputs.stream(stream).end();
        let Some(replica) = self.replicas.iter_mut().find(|replica| replica.connection == connection) else {
            return;
        };
        let believed = |told: Option<i64>| {
            let told = told.and_then(|told| u64::try_from(told).ok())?;
            if told > end {
                tracing::debug!("Replica {} confirms {told}, but {end} is all there is", replica.name());
            }
            (told <= end).then_some(ReplicationOffset(told))
        };
        let (acked, acked_synced) = (believed(offset), believed(synced));
        replica.acked = replica.acked.max(acked.unwrap_or_default());
        replica.acked_synced = replica.acked_synced.max(acked_synced.unwrap_or_default());
        replica.heard_at = now;
        if replica.state == State::Loading {
            tracing::info!("Synchronization with replica {} succeeded", replica.name());
            (replica.state, replica.online_at) = (State::Online, now);
        }
        if replica.state == State::Online && std::mem::take(&mut replica.streams_on_ack) {
            outputs.follow(connection, stream, replica.start.0);
        }
        self.look_for_good_replicas(now);
    }

    /// A replica that loads its snapshot shows that it is there, and confirms nothing.
    pub fn heard_sign(&mut self, now: Micros, connection: ConnectionId) {
        if let Some(replica) = self.replicas.iter_mut().find(|replica| replica.connection == connection) {
            replica.heard_at = now;
        }
    }

    /// A connection has ended. Says whether it was a replica's.
    pub fn closed(&mut self, now: Micros, connection: ConnectionId) -> bool {
        let Some(index) = self.replicas.iter().position(|replica| replica.connection == connection) else {
            return false;
        };
        let replica = self.replicas.remove(index);
        tracing::info!("Connection with replica {} lost.", replica.name());
        for expected in self.expected.iter_mut().filter(|expected| expected.serial == connection.serial) {
            expected.until = Some(now + EXPECTED_FOR);
        }
        if self.replicas.is_empty() {
            self.alone_since = now;
            self.pace.stop();
        }
        self.look_for_good_replicas(now);
        true
    }

    /// Whether writers are to wait, because the stream that gathers for a replica would outrun its synchronization.
    pub fn holds_writers(&self, outputs: &Outputs) -> bool {
        self.pace.is_set()
            && self.backlog.is_some_and(|stream| self.pace.is_ahead(outputs.stream(stream).end()))
    }

    /// Whether this is the link that a snapshot goes over, or went a while ago, of somebody who does not read the stream
    /// yet.
    pub fn expects(&self, serial: u64) -> bool {
        self.expected.iter().any(|expected| expected.serial == serial)
    }

    /// How many replicas have run everything before `offset`.
    pub fn acked_count(&self, offset: ReplicationOffset) -> usize {
        self.count(|replica| replica.acked >= offset)
    }

    /// How many replicas have everything before `offset` on their disks.
    pub fn synced_count(&self, offset: ReplicationOffset) -> usize {
        self.count(|replica| replica.acked_synced >= offset)
    }

    /// A replica that has come back counts by its new link alone, also while nobody has noticed that the old one is dead.
    fn count(&self, has: impl Fn(&Replica) -> bool) -> usize {
        let is_current = |one: &&Replica| !self.replicas.iter().any(|other| other.is_return_of(one));
        self.online().filter(is_current).filter(|replica| has(replica)).count()
    }

    /// Replicas are to be asked how far they are.
    pub fn want_acks(&mut self) {
        self.wants_acks = true;
    }

    /// Whether to ask the replicas now; once for each `want_acks`.
    pub fn take_wants_acks(&mut self) -> bool {
        std::mem::take(&mut self.wants_acks) && !self.replicas.is_empty()
    }

    /// Adds to the stream.
    pub fn feed<'a>(&mut self, pieces: impl Iterator<Item = &'a [u8]>, outputs: &mut Outputs) {
        let Some(stream) = self.backlog else { return };
        outputs.extend_stream(stream, |stream| pieces.for_each(|piece| stream.append(piece)));
        self.trim(outputs);
    }

    /// Moves on those who have got all of their snapshot, and lets go of those who are too far behind. To be called
    /// at the end of every turn while there are replicas, or a snapshot.
    pub fn settle(&mut self, now: Micros, outputs: &mut Outputs, actions: &mut Vec<Action>) {
        if self.sync.is_some() {
            self.settle_snapshot(now, outputs, actions);
        }
        self.trim(outputs);
        let Some(stream) = self.backlog else { return };
        let end = outputs.stream(stream).end();
        for replica in self.replicas.iter_mut().filter(|replica| !replica.is_dropped) {
            let followed = outputs.followed(replica.connection).filter(|(id, _)| *id == stream);
            let behind = match followed {
                Some(_) => outputs.pending_bytes(replica.connection.slot) as u64,
                None if replica.holds_stream() => end - replica.start.0,
                None if self.expected.iter().any(|one| one.serial == replica.connection.serial) => {
                    end.saturating_sub(replica.start.0)
                }
                None => 0,
            };
            replica.note_behind(behind, &self.settings);
            if is_too_far_behind(now, replica, behind, &self.settings) {
                tracing::warn!(
                    "Replica {} is closed: {behind} bytes wait for it, more than client-output-buffer-limit allows \
                     (overcoming of output buffer limits)",
                    replica.name()
                );
                drop_replica(replica, actions);
            }
        }
        let hard_bytes = self.settings.output.hard_bytes;
        let bytes_max = if hard_bytes > 0 { hard_bytes.max(self.settings.backlog_bytes) } else { u64::MAX };
        self.expected.retain(|expected| end.saturating_sub(expected.start.0) < bytes_max);
        let was_set = self.pace.is_set();
        let mut pace = std::mem::take(&mut self.pace);
        pace.look(now, end, &self.settings, self.gatherings(now, end, outputs));
        self.pace = pace;
        match (was_set, self.pace.is_set()) {
            (false, true) => tracing::info!(
                "Writers are slowed down, each write by {} ms at most: half of what client-output-buffer-limit allows \
                 has gathered for a replica that is being synchronized",
                self.settings.sync_delay_max.millis()
            ),
            (true, false) => tracing::info!("Writers are not slowed down any more"),
            _ => {}
        }
    }

    /// What goes by the clock. To be called often; most calls do nothing.
    pub fn tick(&mut self, now: Micros, outputs: &mut Outputs, actions: &mut Vec<Action>) {
        if now < self.second_at {
            return;
        }
        self.second_at = now + SECOND;
        self.expected.retain(|expected| expected.until.is_none_or(|until| now < until));
        self.trim(outputs);
        if self.replicas.is_empty() {
            self.end_history_in_time(now, actions);
        }
        if now >= self.ping_at {
            self.ping_at = now + self.settings.ping_period;
            if !self.replicas.is_empty() {
                actions.push(Action::Ping);
            }
        }
        let is_marked = self.sync.as_ref().is_some_and(Sync::is_marked);
        for replica in self.replicas.iter_mut().filter(|replica| !replica.is_dropped) {
            if replica.state == State::Waiting || (replica.state == State::Snapshotting && !is_marked) {
                // Shows that we are there; it counts for nothing.
                outputs.writer(replica.connection).push(b'\n');
            }
            let what = match replica.state {
                State::Online if !replica.is_old && now.since(replica.heard_at) > self.settings.timeout => {
                    "streaming sync"
                }
                State::Snapshotting | State::Sending
                    if outputs.pending_bytes(replica.connection.slot) > 0
                        && now.since(replica.progress.1) > self.settings.timeout =>
                {
                    "full sync"
                }
                _ => continue,
            };
            tracing::warn!("Disconnecting timedout replica ({what}): {}", replica.name());
            drop_replica(replica, actions);
        }
        self.look_for_good_replicas(now);
    }

    fn end_history_in_time(&mut self, now: Micros, actions: &mut Vec<Action>) {
        if let (Some(_), Some(ttl)) = (self.backlog, self.settings.backlog_ttl)
            && now.since(self.alone_since) > ttl
        {
            tracing::info!(
                "Replication backlog freed after {} seconds without connected replicas.",
                ttl.0 / 1_000_000
            );
            actions.push(Action::EndHistory);
        }
    }

    /// Lets go of what the backlog need not keep and no replica still needs.
    fn trim(&self, outputs: &mut Outputs) {
        let Some(stream) = self.backlog else { return };
        let kept = outputs.stream(stream);
        if kept.len() <= self.settings.backlog_bytes {
            return;
        }
        let keep_from = kept.end() - self.settings.backlog_bytes;
        let held = self.replicas.iter().filter(|replica| replica.holds_stream() && !replica.is_dropped);
        let expected = self.expected.iter().map(|expected| expected.start.0);
        let keep_from = held.map(|replica| replica.start.0).chain(expected).fold(keep_from, u64::min);
        outputs.trim_stream(stream, keep_from);
    }

    fn look_for_good_replicas(&mut self, now: Micros) {
        let is_asked_for = self.settings.replicas_min > 0 && self.settings.lag_seconds_max > 0;
        self.lacks_replicas = is_asked_for && self.good_replicas(now) < self.settings.replicas_min;
    }

    fn waiting(&self) -> impl Iterator<Item = &Replica> {
        self.replicas.iter().filter(|replica| replica.state == State::Waiting && !replica.is_dropped)
    }

    fn online(&self) -> impl Iterator<Item = &Replica> {
        self.replicas.iter().filter(|replica| replica.state == State::Online)
    }
}

fn drop_replica(replica: &mut Replica, actions: &mut Vec<Action>) {
    if !std::mem::replace(&mut replica.is_dropped, true) {
        actions.push(Action::Close { connection: replica.connection, at_once: true });
    }
}

/// Whether what waits for a replica is beyond its limits. Nobody is let go for less than the backlog keeps anyway.
fn is_too_far_behind(now: Micros, replica: &mut Replica, behind: u64, settings: &Settings) -> bool {
    let limit = settings.output;
    if limit.hard_bytes > 0 && behind >= limit.hard_bytes.max(settings.backlog_bytes) {
        return true;
    }
    if limit.soft_bytes == 0 || behind < limit.soft_bytes {
        replica.behind_since = None;
        return false;
    }
    let since = *replica.behind_since.get_or_insert(now);
    now.since(since) > limit.soft
}
