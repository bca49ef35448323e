//! A replica as the engine does it: the snapshot that comes from its primary is loaded, the stream behind it is run as
//! it comes and kept as it came, so that replicas of our own get the same bytes at the same offsets.
//! Always: an offset is confirmed once everything before it was run; a transaction counts when it is whole.

use std::collections::HashSet;

use tenon_aof::{Log, Phase};
use tenon_base::{ConnectionId, Micros, Now, Peer, Ticket, World};
use tenon_journal::{ReplicationId, ReplicationOffset};
use tenon_replication::{Greeting, Heard, Second, Upstream};
use tenon_resp::Batch;

use crate::engine::Engine;
use aside::Aside;
pub(crate) use greeting::greeting;
use snapshot::Incoming;

mod arriving;
mod aside;
mod greeting;
mod link;
mod own_keys;
mod snapshot;
mod stream;

/// The primary that this engine follows.
pub(crate) struct Following {
    pub(crate) upstream: Upstream,
    /// Of the attempt to connect that is under way: later answers to earlier ones are not for us.
    ticket: Option<Ticket>,
    /// The ends of the link.
    pub(crate) peer: Option<Peer>,
    incoming: Option<Incoming>,
    /// The snapshot on a link of its own.
    aside: Aside,
    /// Bytes of the stream that were not run yet: the beginning of a command or of a transaction, or what came while
    /// clients are paused.
    raw: Vec<u8>,
    batch: Batch,
    /// What the stream has selected.
    pub(crate) database: usize,
    /// What is here came from this primary, or from where it has it from.
    has_synced: bool,
    /// What it offered last was refused, because it has lost its data.
    pub(crate) is_refused: bool,
    /// The stream cannot be run any more.
    is_lost: bool,
    /// A command of the stream was refused, and the configuration says that this is not to be borne.
    has_diverged: bool,
    /// Replies that nobody reads.
    reply: Vec<u8>,
    /// Keys that clients of our own wrote, by database: nobody else expires them.
    own_keys: HashSet<(usize, Vec<u8>)>,
}

impl Engine {
    /// Follows a primary from now on.
    pub(crate) fn follow(&mut self, now: Now, host: String, port: u16, world: &mut World<'_>) {
        self.cancel_migrations(now, world);
        if !self.replication.is_following {
            // What they wait for is another server's to give from now on.
            self.unblock_all(now, world);
            self.unblock_waits(world);
        }
        self.drop_upstream(now, world);
        self.append_sealed(now, world);
        let greeting = greeting(&self.config);
        // Whoever goes on where we stopped goes on in this database, too.
        let database = match &self.replication.following {
            Some(following) => following.database,
            None => self.journal.replica_db().map_or(0, |database| database as usize),
        };
        self.replication.following = Some(Box::new(Following {
            upstream: Upstream::new(now.steady, host, port, greeting),
            ticket: None,
            peer: None,
            incoming: None,
            aside: Aside::default(),
            raw: Vec::new(),
            batch: Batch::new(),
            database,
            has_synced: false,
            is_refused: false,
            is_lost: false,
            has_diverged: false,
            reply: Vec::new(),
            own_keys: HashSet::new(),
        }));
        self.replication.is_following = true;
        (self.set_log_role)(true);
        self.journal.set_home(Some(database as u32));
    }

    /// The data was brought back from a dump or a log of a replica, which names its place in its primary's stream.
    pub(crate) fn resume_as_follower(&mut self, now: Now, place: tenon_aof::Origin, world: &mut World<'_>) {
        let primary = &mut self.replication.primary;
        primary.begin_history(place.replication_id);
        primary.open_backlog(place.offset, world.outputs);
        if let Some(log) = self.durability.log_mut() {
            log.set_replication_id(place.replication_id);
        }
        self.set_readers();
        if let Some(address) = self.config.primary() {
            let (host, port) = (String::from_utf8_lossy(&address.host).into_owned(), address.port);
            self.follow(now, host, port, world);
        }
        let database = self.known_database(Some(place.db as usize));
        self.journal.set_home(Some(database as u32));
        if let Some(following) = &mut self.replication.following {
            following.database = database;
            following.has_synced = true;
        }
    }

    /// A database that a file says the stream has selected. An odd one is of no weight: who begins a stream selects.
    fn known_database(&self, database: Option<usize>) -> usize {
        database.filter(|&database| database < self.keyspace.databases()).unwrap_or(0)
    }

    /// Goes on as a primary: with the data and the history that are there, under a name of its own.
    pub(crate) fn stop_following(&mut self, now: Now, world: &mut World<'_>) {
        self.drop_upstream(now, world);
        self.append_sealed(now, world);
        self.replication.following = None;
        self.replication.is_following = false;
        (self.set_log_role)(false);
        self.journal.set_home(None);
        let second = Second { id: self.replication_id(), valid_to: self.journal.offset() };
        self.begin_history();
        self.replication.primary.continue_history(now.steady, second);
        self.journal.replica_seam();
        // They ask again at once, and learn the new name; nobody needs a snapshot for that.
        self.close_replicas(world);
        tracing::info!(
            "Setting secondary replication ID to {}, valid up to offset: {}. New replication ID is {}",
            second.id,
            second.valid_to.0 + 1,
            self.replication_id()
        );
    }

    /// What goes by the clock while a primary is followed.
    pub(crate) fn tend_upstream(&mut self, now: Now, world: &mut World<'_>) {
        self.tend_arriving(now, world);
        let (offset, synced) = (self.journal.offset(), self.synced_offset());
        let Some(following) = &mut self.replication.following else { return };
        let links = std::iter::once(&following.upstream).chain(&following.aside.link);
        let is_held_back = |link: &Upstream| {
            let incoming = following.incoming.as_ref().and_then(Incoming::arriving);
            incoming.is_some_and(|arriving| arriving.is_deaf_on(link.link()))
        };
        let is_heard = |link: &Upstream| {
            link.link().is_some() && following.aside.deaf != link.link() && !is_held_back(link)
        };
        if let Some(silent) = links.into_iter().find(|link| is_heard(link) && link.is_silent(now.steady)) {
            tracing::warn!("{}", silent.silence());
            return self.lose_upstream(now, world);
        }
        if following.may_run_gathered() && !self.pause.is_on() {
            self.run_gathered(now, world);
        }
        let Some(following) = &mut self.replication.following else { return };
        let upstream = &mut following.upstream;
        if upstream.take_ack_due(now.steady) {
            upstream.acknowledge(offset, synced, world.outputs);
        }
        // What is here comes first: it says from where on the rest is asked for.
        let is_ready = following.incoming.is_none() && !following.aside.has_gathered();
        if is_ready && upstream.take_connect(now.steady) {
            let mut greeting = greeting(&self.config);
            greeting.takes_two_links &= !following.aside.has_failed;
            following.change_greeting(now.steady, &greeting);
            let upstream = &following.upstream;
            let address = upstream.address();
            let address = (address.0.to_owned(), address.1);
            let ticket = self.connect_to_primary(address, world);
            if let Some(following) = &mut self.replication.following {
                following.ticket = Some(ticket);
            }
        }
    }

    /// Bytes of a connection that is no client's.
    pub(crate) fn received_from_upstream(
        &mut self,
        now: Now,
        connection: ConnectionId,
        bytes: &[u8],
        world: &mut World<'_>,
    ) {
        if self.is_over {
            return;
        }
        let following = &mut self.replication.following;
        let Some(mut following) = following.take_if(|one| one.has_link(connection)) else { return };
        self.stats.net_input_bytes += bytes.len() as u64;
        let mut rest = bytes;
        let mut failure = None;
        while !rest.is_empty() && failure.is_none() {
            let is_counted = self.replication.primary.backlog().is_some();
            let place = is_counted.then(|| (self.replication_id(), self.journal.offset()));
            let Some(link) = following.link_mut(connection) else { break };
            let (count, heard) = link.hear(now.steady, rest, place, world.outputs);
            rest = &rest[count..];
            let (bytes, surplus) = match heard {
                Heard::SnapshotEnd(bytes, surplus) => (bytes, surplus),
                Heard::SnapshotBegins(bytes) => {
                    failure = self.begin_snapshot(now, &mut following, connection, bytes, world).err();
                    continue;
                }
                heard => {
                    failure = self.take_in(now, &mut following, heard, world).err();
                    continue;
                }
            };
            if following.is_arriving() {
                failure = following.arrived(bytes, surplus, world).err();
                continue;
            }
            // Others are heard while it is loaded: they are to find everything in its place.
            let kept = following.keep(bytes);
            following.aside.end(world);
            self.replication.following = Some(following);
            failure = kept.and_then(|()| self.load_snapshot(now, surplus, world)).err();
            let back = self.replication.following.take().filter(|_| !self.is_over);
            let Some(back) = back else { return };
            following = back;
        }
        self.replication.following = Some(following);
        if let Some(reason) = failure {
            self.give_up_link(now, &reason, world);
        }
    }

    fn take_in(
        &mut self,
        now: Now,
        following: &mut Following,
        heard: Heard<'_>,
        world: &mut World<'_>,
    ) -> Result<(), String> {
        match heard {
            Heard::Nothing | Heard::SnapshotBegins(_) | Heard::SnapshotEnd(..) => Ok(()),
            Heard::Failed(reason) => Err(reason),
            Heard::Full(id, offset) => {
                self.handed_over(following);
                self.await_snapshot(following, id, offset, world);
                Ok(())
            }
            Heard::Split => {
                self.handed_over(following);
                self.open_aside(now, following, world);
                Ok(())
            }
            Heard::Cut(cut) => {
                self.await_snapshot(following, cut.id, cut.offset, world);
                following.upstream.read_from(cut, world.outputs);
                Ok(())
            }
            Heard::Gathered(bytes) => {
                self.gather(following, bytes, world);
                Ok(())
            }
            Heard::Snapshot(bytes) => following.keep(bytes),
            Heard::Continues(id) => {
                self.handed_over(following);
                self.continue_under(now, id, world);
                following.has_synced = true;
                following.raw.clear();
                Ok(())
            }
            // What came before it has not been run yet.
            Heard::Stream(bytes) if following.aside.has_gathered() => {
                self.gather(following, bytes, world);
                Ok(())
            }
            Heard::Stream(bytes) => {
                following.raw.extend_from_slice(bytes);
                if self.pause.is_on() {
                    self.hold_stream(following)
                } else {
                    self.run_stream(now, following, world)
                }
            }
        }
    }

    fn await_snapshot(
        &mut self,
        following: &mut Following,
        id: ReplicationId,
        offset: ReplicationOffset,
        world: &mut World<'_>,
    ) {
        if let Some(arriving) = following.forget_incoming(world) {
            self.free_elsewhere(arriving, world);
        }
        following.incoming = Some(Incoming::new(id, offset));
    }

    /// Whether this follower has nothing to show because it never got anything.
    pub(crate) fn is_unsynced(&self) -> bool {
        let following = self.replication.following.as_ref();
        following.is_some_and(|following| !following.has_synced) && self.key_count() == 0
    }

    fn key_count(&self) -> usize {
        (0..self.keyspace.databases()).map(|index| self.keyspace.db(index).len()).sum()
    }

    /// The primary goes on where we stopped, maybe under another name.
    fn continue_under(&mut self, now: Now, id: Option<ReplicationId>, world: &mut World<'_>) {
        if self.replication.primary.backlog().is_none() {
            self.replication.primary.open_backlog(self.journal.offset(), world.outputs);
            self.set_readers();
        }
        let own = self.replication_id();
        let Some(id) = id.filter(|id| *id != own) else { return };
        tracing::info!("Master replication ID changed to {id}");
        let second = Second { id: own, valid_to: self.journal.offset() };
        self.replication.primary.begin_history(id);
        self.replication.primary.continue_history(now.steady, second);
        if let Some(log) = self.durability.log_mut() {
            log.set_replication_id(id);
        }
        self.close_replicas(world);
    }

    /// How much of the stream is safe on our disk, if it is kept there.
    fn synced_offset(&self) -> Option<ReplicationOffset> {
        self.durability.log().filter(|log| log.phase() == Phase::On).map(Log::synced_offset)
    }

    /// Ends the links of our own replicas, who will ask again.
    fn close_replicas(&mut self, world: &mut World<'_>) {
        let replicas = self.replication.primary.replicas().iter();
        let connections: Vec<ConnectionId> = replicas.map(|replica| replica.connection).collect();
        connections.into_iter().for_each(|connection| self.close(connection, true, world));
    }
}

impl Following {
    /// Takes up what the configuration now says, on every link.
    pub(crate) fn change_greeting(&mut self, now: Micros, greeting: &Greeting) {
        let links = std::iter::once(&mut self.upstream).chain(&mut self.aside.link);
        links.into_iter().for_each(|link| link.change_greeting(now, greeting.clone()));
    }

    /// Says why the link to the primary is going to be closed, and when the next attempt follows.
    fn refuse(&mut self, reason: &str) {
        self.upstream.refuse();
        match self.upstream.pause().0 / 1_000_000 {
            0 | 1 => tracing::warn!("The link to the primary is given up: {reason}"),
            seconds => tracing::warn!(
                "The link to the primary is given up: {reason}; the next attempt follows in {seconds} seconds"
            ),
        }
    }

    /// Bytes of the stream that came while clients are paused.
    pub(crate) fn held_bytes(&self) -> usize {
        self.raw.len()
    }

    /// Whether a part of the stream is here that waits to be run.
    pub(crate) fn has_gathered(&self) -> bool {
        self.aside.has_gathered()
    }

    /// Whether some of that may be run: the snapshot before it is loaded.
    pub(crate) fn may_run_gathered(&self) -> bool {
        let is_lost = self.upstream.link().is_none() && self.incoming.is_none();
        self.aside.has_gathered() && (self.upstream.is_up() || is_lost)
    }

    /// Bytes of the stream that are here and were not run.
    pub(crate) fn gathered_bytes(&self) -> u64 {
        self.aside.gathered_bytes()
    }

    /// How far the snapshot has come, over whichever link it comes.
    pub(crate) fn snapshot_progress(&self) -> Option<(u64, Option<u64>)> {
        if let Some(arriving) = self.incoming.as_ref().and_then(Incoming::arriving) {
            return Some(arriving.received());
        }
        self.aside.link.as_ref().unwrap_or(&self.upstream).snapshot_progress()
    }

    /// When more of a snapshot can be loaded that arrives.
    pub(crate) fn load_due_at(&self) -> Option<Micros> {
        self.incoming.as_ref()?.arriving()?.wake_at()
    }

    /// How many keys are ours to expire.
    pub(crate) fn own_keys(&self) -> usize {
        self.own_keys.len()
    }

    fn has_link(&self, connection: ConnectionId) -> bool {
        let links = std::iter::once(&self.upstream).chain(&self.aside.link);
        links.into_iter().any(|link| link.link() == Some(connection))
    }

    fn link_mut(&mut self, connection: ConnectionId) -> Option<&mut Upstream> {
        let links = std::iter::once(&mut self.upstream).chain(&mut self.aside.link);
        links.into_iter().find(|link| link.link() == Some(connection))
    }

    fn is_arriving(&self) -> bool {
        self.incoming.as_ref().and_then(Incoming::arriving).is_some()
    }

    /// All of a snapshot has come that is loaded as it arrives: these are its last bytes, of which some are no part of it.
    fn arrived(&mut self, bytes: &[u8], surplus: usize, world: &mut World<'_>) -> Result<(), String> {
        self.upstream.arrived();
        self.aside.end(world);
        let arriving = self.incoming.as_mut().and_then(Incoming::arriving_mut);
        arriving.map_or(Ok(()), |arriving| arriving.push(bytes).and_then(|()| arriving.complete(surplus)))
    }
}

#[cfg(test)]
mod tests;
