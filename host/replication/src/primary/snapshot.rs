//! The snapshot that waiting replicas share: for whom it is made, how far each has got, and what becomes of them then.
//! Encodes nothing: see `engine`.
//! Always: whoever gets a snapshot gets the stream from the very place at which it was cut.

use tenon_base::{Micros, Outputs, StreamId};
use tenon_journal::ReplicationOffset;

use super::{Action, Expected, Primary, drop_replica};
use crate::pace::Gathering;
use crate::replica::{Filter, Replica, State};

/// Bytes of a snapshot that may wait for the slowest replica before the snapshot itself has to wait.
const SNAPSHOT_BYTES_AHEAD: u64 = 4 * 1024 * 1024;
/// Between two lines about a snapshot that is on its way.
const TOLD_EVERY: Micros = Micros(5_000_000);
/// What a replica that reads its stream is given to catch up with it, as far as writers are concerned.
const CATCH_UP: Micros = Micros(10_000_000);
/// What loading takes, one part in so many of the time that the snapshot was on its way.
const LOADING_SHARE: u64 = 4;

/// The snapshot that is made for one or more replicas.
#[derive(Debug)]
pub(super) struct Sync {
    framing: Framing,
    /// What was made of it, framing included, from its first byte on.
    pub(super) stream: StreamId,
    /// The place in the replication stream at which it was cut.
    start: ReplicationOffset,
    filter: Filter,
    has_begun_to_arrive: bool,
    is_complete: bool,
    began: Micros,
    /// Since when it has been on its way: one that is framed by its length is made first.
    sent_since: Option<Micros>,
    /// About how many bytes it will be, once that can be said.
    expected_bytes: Option<u64>,
    told_at: Micros,
}

/// How far a snapshot has come on its way to the slowest of those who get it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncProgress {
    /// Bytes that were sent.
    pub sent_bytes: u64,
    /// About how many there are.
    pub expected_bytes: Option<u64>,
    /// About when the rest will have been sent.
    pub left: Option<Micros>,
    /// Bytes of the stream that wait behind the snapshot.
    pub gathered_bytes: u64,
}

impl Sync {
    /// Whether the replicas that get it are still shown that we are there.
    pub(super) fn is_marked(&self) -> bool {
        self.framing == Framing::Marked
    }

    /// About how long the rest takes to somebody who has got so much.
    fn left(&self, now: Micros, sent_bytes: u64) -> Option<Micros> {
        let missing = self.expected_bytes?.saturating_sub(sent_bytes);
        let spent = u128::from(now.since(self.sent_since?).0);
        let left = (u128::from(missing) * spent).checked_div(u128::from(sent_bytes))?;
        Some(Micros(u64::try_from(left).unwrap_or(u64::MAX)))
    }
}

/// How a replica is told where its snapshot ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `$EOF:` and a mark before it, the mark again behind it: it is sent while it is made.
    Marked,
    /// Its length before it.
    Sized,
}

impl Primary {
    /// Whether a snapshot is to be begun now.
    pub fn snapshot_is_due(&self, now: Micros) -> bool {
        if self.sync.is_some() || self.backlog.is_none() {
            return false;
        }
        let settings = &self.settings;
        let (mut waiting, mut longest, mut in_a_hurry) = (0, Micros(0), !settings.is_diskless);
        for replica in self.waiting() {
            waiting += 1;
            longest = longest.max(now.since(replica.asked_at));
            in_a_hurry |= !replica.handshake.takes_marked;
        }
        let is_full = settings.diskless_replicas_max.is_some_and(|max| waiting >= max);
        waiting > 0 && (in_a_hurry || is_full || longest >= settings.diskless_delay)
    }

    /// A snapshot was cut at `offset` for those who wait and want the same: all that `snapshot_is_due` spoke of.
    /// Says how it is to be framed, and what it is to leave out.
    pub fn snapshot_begun(
        &mut self,
        now: Micros,
        offset: ReplicationOffset,
        outputs: &mut Outputs,
    ) -> (Framing, Filter) {
        let first = self.waiting().next().expect("a snapshot is begun for somebody");
        let filter = first.handshake.filter;
        let mut is_marked = true;
        for replica in self.waiting().filter(|replica| replica.handshake.filter == filter) {
            // A filtered snapshot is asked for by those alone who take a marked one.
            let is_asked_for = filter.is_any() || replica.handshake.is_snapshot_link;
            is_marked &= replica.handshake.takes_marked && (self.settings.is_diskless || is_asked_for);
        }
        let framing = if is_marked { Framing::Marked } else { Framing::Sized };
        let stream = outputs.open_stream(0, SNAPSHOT_BYTES_AHEAD);
        self.sync = Some(Sync {
            framing,
            stream,
            start: offset,
            filter,
            has_begun_to_arrive: false,
            is_complete: false,
            began: now,
            sent_since: is_marked.then_some(now),
            expected_bytes: None,
            told_at: now,
        });
        let target = if is_marked { "replicas sockets" } else { "disk" };
        tracing::info!("Starting a snapshot for SYNC with target: {target}");
        for index in 0..self.replicas.len() {
            self.replicas[index].progress = (0, now);
            self.join_if_alike(index, outputs);
        }
        (framing, filter)
    }

    /// Whether more of the snapshot may be handed over.
    pub fn has_room_for_snapshot(&self, outputs: &Outputs) -> bool {
        self.sync.as_ref().is_some_and(|sync| outputs.stream(sync.stream).len() < SNAPSHOT_BYTES_AHEAD)
    }

    /// The next piece of the snapshot, framing included.
    pub fn snapshot_piece(&mut self, piece: Vec<u8>, outputs: &mut Outputs) {
        let Some(sync) = &mut self.sync else { return };
        outputs.extend_stream(sync.stream, |stream| stream.append_block(piece));
        if !std::mem::replace(&mut sync.has_begun_to_arrive, true) && sync.framing == Framing::Sized {
            let syncing = self.replicas.iter_mut().filter(|replica| replica.is_syncing());
            syncing.for_each(|replica| replica.state = State::Sending);
        }
    }

    /// About so many bytes the snapshot will be.
    pub fn expect_snapshot(&mut self, bytes: u64) {
        if let Some(sync) = &mut self.sync {
            sync.expected_bytes = Some(bytes);
        }
    }

    /// Whether a replica waits for a snapshot, or has not got all of it.
    pub fn is_synchronizing(&self) -> bool {
        self.replicas.iter().any(|replica| replica.state == State::Waiting || replica.is_syncing())
    }

    /// How many replicas the snapshot is for.
    pub fn syncing_count(&self) -> usize {
        self.replicas.iter().filter(|replica| replica.is_syncing() && !replica.is_dropped).count()
    }

    /// How far the snapshot that is on its way has come.
    pub fn sync_progress(&self, now: Micros, outputs: &Outputs) -> Option<SyncProgress> {
        let sync = self.sync.as_ref()?;
        let place = |replica: &Replica| outputs.followed(replica.connection).map_or(0, |(_, place)| place);
        let sent_bytes = self.replicas.iter().filter(|replica| replica.is_syncing()).map(place).min()?;
        let end = self.backlog.map_or(sync.start.0, |stream| outputs.stream(stream).end());
        Some(SyncProgress {
            sent_bytes,
            expected_bytes: sync.expected_bytes,
            left: sync.left(now, sent_bytes),
            gathered_bytes: end.saturating_sub(sync.start.0),
        })
    }

    /// All of the snapshot was handed over.
    pub fn snapshot_complete(&mut self, outputs: &Outputs) {
        if let Some(sync) = &mut self.sync {
            sync.is_complete = true;
            sync.expected_bytes = Some(outputs.stream(sync.stream).end());
        }
    }

    /// There will be no more of the snapshot: whoever waited for it has to ask again.
    pub fn snapshot_failed(&mut self, reason: &str, outputs: &mut Outputs, actions: &mut Vec<Action>) {
        let Some(sync) = self.sync.take() else { return };
        tracing::warn!("SYNC failed. The snapshot was given up: {reason}");
        outputs.close_stream(sync.stream);
        for replica in self.replicas.iter_mut().filter(|replica| replica.is_syncing()) {
            drop_replica(replica, actions);
        }
    }

    /// Lets the newest replica share the snapshot that is being made, where that is possible.
    pub(super) fn join_snapshot(&mut self, outputs: &mut Outputs) {
        let (Some(sync), Some(stream)) = (&self.sync, self.backlog) else { return };
        let is_early = sync.framing == Framing::Sized && !sync.has_begun_to_arrive;
        if is_early && outputs.stream(stream).start() <= sync.start.0 {
            self.join_if_alike(self.replicas.len() - 1, outputs);
        } else {
            tracing::info!(
                "Can't attach the replica to the current snapshot. Waiting for the next one for SYNC"
            );
        }
    }

    /// Makes a waiting replica one of those that the snapshot is for, if it is what the replica wants.
    fn join_if_alike(&mut self, index: usize, outputs: &mut Outputs) {
        let (Some(sync), replica) = (&self.sync, &mut self.replicas[index]) else { return };
        let is_alike = replica.handshake.filter == sync.filter;
        if replica.state != State::Waiting || replica.is_dropped || !is_alike {
            return;
        }
        replica.state = State::Snapshotting;
        replica.start = sync.start;
        let (id, start, serial) = (self.history.id, sync.start, replica.connection.serial);
        if replica.handshake.is_snapshot_link {
            // The stream begins with a SELECT, so that it does not matter which database is named.
            let line = format!("$ENDOFF:{start} {id} 0 {serial}\r\n");
            outputs.writer(replica.connection).extend_from_slice(line.as_bytes());
            self.expected.push(Expected { serial, start, until: None });
        } else if !replica.is_old {
            let line = format!("+FULLRESYNC {id} {start}\r\n");
            outputs.writer(replica.connection).extend_from_slice(line.as_bytes());
        }
        outputs.follow(replica.connection, sync.stream, 0);
    }

    pub(super) fn settle_snapshot(&mut self, now: Micros, outputs: &mut Outputs, actions: &mut Vec<Action>) {
        if let Some(sync) = self.sync.as_mut().filter(|sync| sync.has_begun_to_arrive) {
            sync.sent_since.get_or_insert(now);
        }
        self.tell_progress(now, outputs);
        let Some(sync) = &self.sync else { return };
        let (transfer, framing, is_complete) = (sync.stream, sync.framing, sync.is_complete);
        let spent = now.since(sync.began);
        let end = outputs.stream(transfer).end();
        let (mut remaining, mut arrived) = (0, false);
        for replica in self.replicas.iter_mut().filter(|replica| replica.is_syncing()) {
            let place = outputs.followed(replica.connection).map_or(0, |(_, place)| place);
            if place != replica.progress.0 {
                replica.progress = (place, now);
            }
            if replica.is_dropped || !is_complete || place < end {
                remaining += usize::from(!replica.is_dropped);
                continue;
            }
            outputs.unfollow(replica.connection);
            arrived = true;
            replica.synced_in = spent;
            put_online(now, replica, framing, self.backlog, outputs, actions);
        }
        outputs.trim_stream(transfer, end);
        if remaining == 0 {
            outputs.close_stream(transfer);
            self.sync = None;
            if !is_complete {
                actions.push(Action::AbandonSnapshot);
            }
        }
        if arrived {
            self.look_for_good_replicas(now);
        }
    }

    /// A line now and then about a snapshot that takes long.
    fn tell_progress(&mut self, now: Micros, outputs: &Outputs) {
        if self.sync.as_ref().is_none_or(|sync| now.since(sync.told_at) < TOLD_EVERY) {
            return;
        }
        let progress = self.sync_progress(now, outputs);
        let (Some(progress), Some(sync)) = (progress, &mut self.sync) else { return };
        sync.told_at = now;
        let SyncProgress { sent_bytes, gathered_bytes, .. } = progress;
        let of = progress.expected_bytes.map_or_else(String::new, |all| {
            format!(" of about {all} ({} %)", (sent_bytes * 100).checked_div(all).unwrap_or(0).min(100))
        });
        let left =
            progress.left.map_or_else(String::new, |left| format!(", {} s left", left.millis() / 1_000));
        tracing::info!(
            "Full synchronization: {sent_bytes} bytes of the snapshot sent{of}{left}; {gathered_bytes} bytes of the \
             stream wait behind it"
        );
    }

    /// What of the stream has gathered for those who do not read it yet, or have not caught up since.
    pub(super) fn gatherings<'a>(
        &'a self,
        now: Micros,
        end: u64,
        outputs: &'a Outputs,
    ) -> impl Iterator<Item = Gathering> + 'a {
        let of_replica = move |replica: &Replica| {
            if replica.state == State::Loading || replica.is_catching_up(now) {
                let bytes = outputs.pending_bytes(replica.connection.slot) as u64;
                return Some(Gathering { bytes, left: CATCH_UP });
            }
            if !replica.holds_stream() || replica.is_dropped {
                return None;
            }
            let bytes = end.saturating_sub(replica.start.0);
            let loading = Micros(replica.synced_in.0 / LOADING_SHARE);
            let Some(sync) = self.sync.as_ref().filter(|_| replica.is_syncing()) else {
                return Some(Gathering { bytes, left: loading });
            };
            let sent = outputs.followed(replica.connection).map_or(0, |(_, place)| place);
            let spent = now.since(sync.began);
            let left = sync.left(now, sent).unwrap_or(spent.max(CATCH_UP));
            Some(Gathering { bytes, left: left + Micros(spent.0 / LOADING_SHARE) })
        };
        self.replicas.iter().filter_map(of_replica)
    }
}

/// A replica has got all of its snapshot.
fn put_online(
    now: Micros,
    replica: &mut Replica,
    framing: Framing,
    backlog: Option<StreamId>,
    outputs: &mut Outputs,
    actions: &mut Vec<Action>,
) {
    replica.state = State::Online;
    (replica.heard_at, replica.online_at) = (now, now);
    let name = replica.name();
    if replica.handshake.wants_snapshot_only {
        tracing::info!("RDB transfer completed, rdb only replica ({name}) should be disconnected asap");
        replica.is_dropped = true;
        actions.push(Action::Close { connection: replica.connection, at_once: false });
        return;
    }
    if framing == Framing::Marked {
        // The stream waits for the replica's word, so that it need not look for the mark in what follows.
        replica.streams_on_ack = true;
        tracing::info!(
            "Streamed RDB transfer with replica {name} succeeded (socket). Waiting for REPLCONF ACK from replica to \
             enable streaming"
        );
    } else if let Some(stream) = backlog {
        outputs.follow(replica.connection, stream, replica.start.0);
    }
    tracing::info!("Synchronization with replica {name} succeeded");
}
