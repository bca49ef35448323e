//! Requests to be synchronized: who may go on where it stopped, who needs a snapshot and over which link, and what each
//! is told. Makes no snapshot and knows no clock: see [`snapshot`](super::snapshot).
//! Always: whoever goes on gets exactly what it has not got, out of what the backlog keeps.

use std::fmt::Write;

use tenon_base::{ConnectionId, Micros, Outputs};
use tenon_journal::{ReplicationId, ReplicationOffset};

use super::Primary;
use crate::replica::{Handshake, Replica, State};

/// A request to be synchronized: PSYNC or SYNC.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Who asks.
    pub connection: ConnectionId,
    /// The address that it comes from, without the port.
    pub peer_address: &'a str,
    /// What it said before.
    pub handshake: Handshake,
    /// The stream that it followed, and the first byte that it has not got, counted from 1. None for SYNC.
    pub target: Option<Target<'a>>,
    /// A snapshot would be large enough to be worth a link of its own.
    pub is_large: bool,
}

/// Where a replica would like to go on.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Whose stream; `?` for none.
    pub id: &'a [u8],
    /// The first byte wanted, counted from 1.
    pub first: i64,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The replica goes on where it stopped.
    Continues,
    /// It waits for a snapshot.
    Waits,
    /// It is to ask for a snapshot on a link of its own. This one is an ordinary connection still, whose handshake this
    /// is.
    TwoLinks(Handshake),
}

impl Primary {
    /// Somebody asks to be synchronized, and is a replica from now on.
    pub fn request(&mut self, now: Micros, request: Request<'_>, outputs: &mut Outputs) -> Answer {
        let address = request.handshake.address.clone();
        let replica = Replica {
            connection: request.connection,
            address: address.unwrap_or_else(|| request.peer_address.to_owned()),
            handshake: request.handshake,
            state: State::Waiting,
            acked: ReplicationOffset(0),
            acked_synced: ReplicationOffset(0),
            heard_at: now,
            is_old: request.target.is_none(),
            asked_at: now,
            start: ReplicationOffset(0),
            streams_on_ack: false,
            behind_since: None,
            synced_in: Micros(0),
            online_at: now,
            has_caught_up: false,
            progress: (0, now),
            is_dropped: false,
        };
        tracing::info!("Replica {} asks for synchronization", replica.name());
        if let Some(target) = request.target {
            match self.place_of(&replica, target, outputs) {
                Ok(place) => {
                    self.go_on(replica, place, outputs);
                    self.look_for_good_replicas(now);
                    return Answer::Continues;
                }
                Err(reason) => tracing::info!("{reason}"),
            }
            self.counts.partial_refused += u64::from(target.id.first() != Some(&b'?'));
            let may_split = self.settings.two_links && self.settings.is_diskless && request.is_large;
            if replica.handshake.takes_two_links && may_split {
                tracing::info!("Replica {} is to take its snapshot on a link of its own", replica.name());
                outputs.writer(replica.connection).extend_from_slice(b"+DUALCHANNELSYNC\r\n");
                return Answer::TwoLinks(replica.handshake);
            }
        }
        self.counts.full += 1;
        self.replicas.push(replica);
        self.join_snapshot(outputs);
        Answer::Waits
    }

    /// Where a replica may go on, or why it may not.
    fn place_of(&self, replica: &Replica, target: Target<'_>, outputs: &Outputs) -> Result<u64, String> {
        let place = target.first.checked_sub(1).and_then(|place| u64::try_from(place).ok());
        let offset = ReplicationOffset(place.unwrap_or(u64::MAX));
        if !self.history.continues(target.id, offset) {
            return Err(self.refusal(replica, target));
        }
        let kept = self.backlog.map(|stream| outputs.stream(stream));
        let is_kept = |place: &u64| kept.is_some_and(|kept| (kept.start()..=kept.end()).contains(place));
        place.filter(is_kept).ok_or_else(|| {
            let first = target.first;
            let warning = match kept {
                Some(kept) if offset.0 > kept.end() => {
                    ". It asks for an offset that is greater than this primary's own"
                }
                _ => "",
            };
            format!(
                "Unable to partial resync with replica {} for lack of backlog (Replica request was: {first}){warning}",
                replica.name()
            )
        })
    }

    /// Why a history is not continued.
    fn refusal(&self, replica: &Replica, target: Target<'_>) -> String {
        if target.id.first() == Some(&b'?') {
            return format!("Full resync requested by replica {}", replica.name());
        }
        let mut text = "Partial resynchronization not accepted: ".to_owned();
        // A string takes everything.
        let _ = match (self.history.knows(target.id), self.history.second) {
            (true, Some(second)) => write!(
                text,
                "Requested offset for second ID was {}, but I can reply up to {}",
                target.first,
                second.valid_to.0 + 1
            ),
            (_, second) => {
                let asked = &target.id[..target.id.len().min(ReplicationId::BYTES)];
                write!(
                    text,
                    "Replication ID mismatch (Replica asked for '{}', my replication IDs are '{}' and '{}')",
                    asked.escape_ascii(),
                    self.history.id,
                    second.map_or_else(|| "0".repeat(ReplicationId::BYTES), |second| second.id.to_string())
                )
            }
        };
        text
    }

    /// Sends a replica what it missed, and what comes.
    fn go_on(&mut self, mut replica: Replica, place: u64, outputs: &mut Outputs) {
        let stream = self.backlog.expect("a place is in a backlog");
        let out = outputs.writer(replica.connection);
        out.extend_from_slice(b"+CONTINUE");
        if replica.handshake.takes_new_id {
            out.push(b' ');
            out.extend_from_slice(&self.history.id.0);
        }
        out.extend_from_slice(b"\r\n");
        outputs.follow(replica.connection, stream, place);
        let is_expected = replica.handshake.snapshot_link.is_some_and(|serial| self.expects(serial));
        if is_expected {
            self.expected.retain(|expected| replica.handshake.snapshot_link != Some(expected.serial));
            tracing::info!("Replica {} reads the stream while it loads its snapshot", replica.name());
            replica.state = State::Loading;
            self.replicas.push(replica);
            return;
        }
        self.counts.partial_ok += 1;
        // What it missed is in the backlog, and nothing gathers for it.
        replica.has_caught_up = true;
        tracing::info!(
            "Partial resynchronization request from {} accepted. Sending {} bytes of backlog starting from offset {}.",
            replica.name(),
            outputs.stream(stream).end() - place,
            place + 1
        );
        replica.state = State::Online;
        self.replicas.push(replica);
    }
}
