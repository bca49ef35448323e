//! Replication as the engine does it: the stream that replicas are sent, and clients that wait for replicas or for the
//! disk. Their snapshots are made in [`snapshot`]. Who is sent what is decided in `tenon_replication`.
//! Always: whoever waits is told what replicas and the disk have confirmed, never what was merely sent.

use tenon_aof::Log;
use tenon_base::{ConnectionId, Micros, Now, World};
use tenon_config::{Config, Directive};
use tenon_journal::{BatchBytes, LogPosition, ReplicationId, ReplicationOffset, Targets};
use tenon_replication::{Action, OutputLimit, Primary, Second, Settings};
use tenon_resp::OwnedArgs;

use crate::engine::Engine;
use crate::execute::write_error;
use crate::following::{Following, greeting};
use crate::session::Parked;
use crate::waiting::FORCED;
use snapshot::Snapshot;

mod snapshot;

/// Between two looks at a snapshot that is on its way.
const PUMP_PAUSE: Micros = Micros(2_000);

/// What a client learns whose disk has no log any more.
pub(crate) const NO_LOG: &str = "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.";

/// Replication of one tenant.
pub(crate) struct Replication {
    pub(crate) primary: Primary,
    snapshot: Option<Snapshot>,
    /// Snapshots begun, for the names of files.
    snapshots_begun: u64,
    /// The dump is there for the sake of replicas alone, and is to go once they have it.
    leaves_dump: bool,
    /// The primary that is followed. Taken out while it is listened to.
    pub(crate) following: Option<Box<Following>>,
    /// Whether there is one.
    pub(crate) is_following: bool,
    waits: Vec<Wait>,
    /// Writers have come too far for a replica that is being synchronized.
    holds_writers: bool,
    /// Whose write has waited long enough.
    pub(crate) excused: Option<ConnectionId>,
    delay_max: Micros,
    actions: Vec<Action>,
    pump_at: Option<Micros>,
    /// A replica was told of a name or a place of our history that is in no log yet.
    pub(crate) was_told: bool,
}

/// A client in WAIT or WAITAOF.
pub(crate) struct Wait {
    pub(crate) connection: ConnectionId,
    /// How many replicas.
    pub(crate) replicas: usize,
    /// For WAITAOF, whether our own disk counts, too.
    pub(crate) local: Option<bool>,
    pub(crate) position: LogPosition,
    pub(crate) offset: ReplicationOffset,
    pub(crate) until: Option<Micros>,
}

impl Replication {
    pub(crate) fn new(now: Now, id: ReplicationId, config: &Config) -> Replication {
        Replication {
            primary: Primary::new(now.steady, id, settings(config)),
            snapshot: None,
            snapshots_begun: 0,
            leaves_dump: false,
            following: None,
            is_following: false,
            waits: Vec::new(),
            holds_writers: false,
            excused: None,
            delay_max: settings(config).sync_delay_max,
            actions: Vec::new(),
            pump_at: None,
            was_told: false,
        }
    }

    /// Whether a write of this client has to wait for the sake of a replica.
    #[inline]
    pub(crate) fn delays(&self, connection: ConnectionId) -> bool {
        self.holds_writers && self.excused != Some(connection)
    }

    /// How long it may wait for that.
    pub(crate) fn delay_max(&self) -> Micros {
        self.delay_max
    }

    /// When settling is due if nothing else happens. In a pause nothing of a stream is run.
    pub(crate) fn wake_at(&self, is_paused: bool) -> Option<Micros> {
        let follows_up = self.following.as_ref().is_some_and(|one| one.may_run_gathered());
        let gathered = (follows_up && !is_paused).then_some(Micros(0));
        let waits = self.waits.iter().filter_map(|wait| wait.until);
        let arriving = self.following.as_ref().and_then(|following| following.load_due_at());
        let walk = self.snapshot.as_ref().and_then(Snapshot::walks_at);
        self.pump_at.into_iter().chain(walk).chain(gathered).chain(arriving).chain(waits).min()
    }
}

impl Engine {
    /// The name of this data set's history.
    pub(crate) fn replication_id(&self) -> ReplicationId {
        self.replication.primary.history().id
    }

    /// Says what of the configuration concerns replicas.
    pub(crate) fn replication_settings_changed(&mut self, now: Now, world: &mut World<'_>) {
        let settings = settings(&self.config);
        self.replication.delay_max = settings.sync_delay_max;
        self.replication.primary.change_settings(now.steady, settings, world.outputs);
        if let Some(following) = &mut self.replication.following {
            following.change_greeting(now.steady, &greeting(&self.config));
            if following.is_refused && self.config.bool(Directive::ReplicaFollowEmptyPrimary) {
                following.upstream.hurry(now.steady);
            }
        }
    }

    /// Begins a history under a new name: what comes cannot be told from what was under the old one.
    pub(crate) fn begin_history(&mut self) {
        let id = new_id(&mut self.dice);
        self.replication.primary.begin_history(id);
        if let Some(log) = self.durability.log_mut() {
            log.set_replication_id(id);
        }
    }

    /// Goes on with a stream that was brought back from disk: a replica that has it, too, may go on with us.
    pub(crate) fn recover_history(&mut self, now: Now, second: Second, world: &mut World<'_>) {
        tracing::info!("Replication goes on from {} at offset {}", second.id, second.valid_to);
        self.replication.primary.recover(now.steady, second, world.outputs);
        self.set_readers();
    }

    /// Says to the journal who reads it. A log that joins begins at a seam.
    pub(crate) fn set_readers(&mut self) {
        let has_backlog = self.replication.primary.backlog().is_some();
        self.journal.set_readers(self.durability.is_on(), has_backlog);
        self.journal.log_seam();
        self.listen_to_units();
    }

    /// Before the turn's effects are taken: words of our own for the stream.
    pub(crate) fn speak_to_replicas(&mut self, now: Now, world: &mut World<'_>) {
        self.tend_upstream(now, world);
        let mut actions = std::mem::take(&mut self.replication.actions);
        self.replication.primary.tick(now.steady, world.outputs, &mut actions);
        if self.replication.primary.take_wants_acks() {
            self.say_aside(&[b"REPLCONF", b"GETACK", b"*"]);
            self.replication.was_told = true;
        }
        self.carry_out_actions(&mut actions, world);
        self.replication.actions = actions;
        if std::mem::take(&mut self.replication.was_told) {
            self.name_place();
        }
    }

    /// What was sealed goes to the replicas.
    pub(crate) fn feed_replicas(&mut self, batch: &BatchBytes, world: &mut World<'_>) {
        self.replication.primary.feed(batch.replica_pieces(), world.outputs);
    }

    /// After the turn's effects are in the stream: begins and moves on what replicas wait for.
    pub(crate) fn settle_replication(&mut self, now: Now, world: &mut World<'_>) {
        let primary = &mut self.replication.primary;
        if primary.replicas().is_empty() && !primary.has_snapshot() && self.replication.snapshot.is_none() {
            self.replication.pump_at = None;
            self.replication.holds_writers = false;
            return;
        }
        if primary.wants_backlog() {
            // What was written before was not counted in full, so it was another history.
            primary.open_backlog(self.journal.offset(), world.outputs);
            if !self.replication.is_following {
                self.begin_history();
            }
            self.set_readers();
            tracing::info!(
                "Replication backlog created, my new replication ID is '{}'",
                self.replication_id()
            );
        }
        if self.replication.snapshot.is_none() && self.replication.primary.snapshot_is_due(now.steady) {
            self.begin_snapshot_for_replicas(now, world);
        }
        self.pump_snapshot(now, world);
        let mut actions = std::mem::take(&mut self.replication.actions);
        self.replication.primary.settle(now.steady, world.outputs, &mut actions);
        self.carry_out_actions(&mut actions, world);
        self.replication.actions = actions;
        let replication = &mut self.replication;
        replication.holds_writers = replication.primary.holds_writers(world.outputs)
            || replication.presses() && !replication.is_following;
        if replication.holds_writers && replication.pump_at.is_none() {
            replication.pump_at = Some(now.steady + PUMP_PAUSE);
        }
    }

    /// A connection has ended, whoever's it was.
    pub(crate) fn replication_closed(&mut self, now: Now, connection: ConnectionId) {
        self.replication.primary.closed(now.steady, connection);
        self.replication.waits.retain(|wait| wait.connection != connection);
    }

    /// Keeps a client until its wait is over.
    pub(crate) fn park_wait(&mut self, wait: Wait) {
        self.replication.primary.want_acks();
        if let Some(session) = self.sessions.get_mut(wait.connection) {
            session.parked = Some(Parked::Wait);
            self.replication.waits.push(wait);
        }
    }

    /// Ends all waits with an error, and the connections of those who waited: no replica will tell any more.
    pub(crate) fn unblock_waits(&mut self, world: &mut World<'_>) {
        for wait in std::mem::take(&mut self.replication.waits) {
            let connection = wait.connection;
            let Some(session) = self.sessions.get_mut(connection) else { continue };
            session.parked = None;
            self.stats.count_error(&FORCED);
            self.answer(connection, world, |reply| write_error(reply, &FORCED));
            self.close(connection, false, world);
        }
    }

    /// Answers those whose wait is over.
    pub(crate) fn settle_waits(&mut self, now: Now, world: &mut World<'_>) {
        if self.replication.waits.is_empty() {
            return;
        }
        let waits = std::mem::take(&mut self.replication.waits);
        for wait in waits {
            let has_lost_log = wait.local == Some(true) && !self.config.bool(Directive::AppendOnly);
            let is_late = wait.until.is_some_and(|until| until <= now.steady);
            if !has_lost_log && !is_late && !self.is_satisfied(&wait) {
                self.replication.waits.push(wait);
                continue;
            }
            let connection = wait.connection;
            let Some(session) = self.sessions.get_mut(connection) else { continue };
            session.parked = None;
            if has_lost_log {
                self.stats.error_replies += 1;
                self.answer(connection, world, |reply| reply.error(NO_LOG));
            } else {
                let (local, replicas) = self.reached_by(&wait);
                let is_for_log = wait.local.is_some();
                self.answer(connection, world, |reply| {
                    if is_for_log {
                        reply.array(2);
                        reply.integer(i64::from(local));
                    }
                    reply.integer(replicas as i64);
                });
            }
            self.resume(now, connection, world);
        }
    }

    /// Whether what a wait asks for has come true.
    pub(crate) fn is_satisfied(&self, wait: &Wait) -> bool {
        let (local, replicas) = self.reached_by(wait);
        replicas >= wait.replicas && (local || wait.local != Some(true))
    }

    /// Whether our own disk has what a wait is for, and how many replicas have.
    pub(crate) fn reached_by(&self, wait: &Wait) -> (bool, usize) {
        let primary = &self.replication.primary;
        match wait.local {
            None => (false, primary.acked_count(wait.offset)),
            Some(_) => {
                // A log that is being switched on would not be loaded yet.
                let has_it = |log: &&Log| log.is_settled() && log.synced() >= wait.position;
                let local = self.durability.log().filter(has_it).is_some();
                (local, primary.synced_count(wait.offset))
            }
        }
    }

    fn carry_out_actions(&mut self, actions: &mut Vec<Action>, world: &mut World<'_>) {
        for action in actions.drain(..) {
            match action {
                Action::Close { connection, at_once } => self.close(connection, at_once, world),
                // A follower passes on what its primary says, and says nothing itself.
                Action::Ping | Action::EndHistory if self.replication.is_following => {}
                Action::Ping => {
                    self.say_aside(&[b"PING"]);
                    self.replication.was_told = true;
                }
                Action::EndHistory => {
                    self.close_backlog(world);
                    self.begin_history();
                    self.set_readers();
                }
                Action::AbandonSnapshot => self.abandon_snapshot(),
            }
        }
    }

    /// Forgets the stream that replicas could go on with.
    pub(crate) fn close_backlog(&mut self, world: &mut World<'_>) {
        let mut actions = Vec::new();
        self.replication.primary.close_backlog(world.outputs, &mut actions);
        self.carry_out_actions(&mut actions, world);
    }

    /// Has the log name our history and its place, which replicas know: a restart would not know them otherwise, and they
    /// would have to get everything anew.
    pub(crate) fn name_place(&mut self) {
        if self.replication.primary.backlog().is_some() && self.config.bool(Directive::AofChecksum) {
            self.journal.name_place();
        }
    }

    fn say_aside(&mut self, words: &[&[u8]]) {
        let mut args = OwnedArgs::new();
        words.iter().for_each(|word| args.push(word));
        self.journal.aside(args.as_args(), Targets::REPLICAS);
    }
}

/// A name that no other history has.
pub(crate) fn new_id(dice: &mut tenon_base::Dice) -> ReplicationId {
    ReplicationId::parse(dice.hex(ReplicationId::BYTES).as_bytes()).expect("digits make an id")
}

fn settings(config: &Config) -> Settings {
    let seconds = |directive| {
        Micros::from_millis(u64::try_from(config.integer(directive)).unwrap_or(0).saturating_mul(1_000))
    };
    let count = |directive| usize::try_from(config.integer(directive)).unwrap_or(0);
    let ttl = seconds(Directive::ReplBacklogTtl);
    let output = config.output_limits().replica;
    Settings {
        backlog_bytes: config.memory(Directive::ReplBacklogSize),
        backlog_ttl: (ttl > Micros(0)).then_some(ttl),
        ping_period: seconds(Directive::ReplPingReplicaPeriod),
        timeout: seconds(Directive::ReplTimeout),
        is_diskless: config.bool(Directive::ReplDisklessSync),
        diskless_delay: seconds(Directive::ReplDisklessSyncDelay),
        diskless_replicas_max: Some(count(Directive::ReplDisklessSyncMaxReplicas)).filter(|&max| max > 0),
        replicas_min: count(Directive::MinReplicasToWrite),
        lag_seconds_max: count(Directive::MinReplicasMaxLag) as u64,
        output: OutputLimit {
            hard_bytes: output.hard_bytes,
            soft_bytes: output.soft_bytes,
            soft: Micros::from_millis(output.soft_seconds.saturating_mul(1_000)),
        },
        sync_delay_max: Micros::from_millis(
            u64::try_from(config.integer(Directive::ReplSyncDelayMax)).unwrap_or(0),
        ),
        two_links: config.bool(Directive::DualChannelReplicationEnabled),
    }
}

#[cfg(test)]
pub(crate) mod tests;
