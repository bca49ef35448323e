//! The snapshot that comes from a primary: into a file, and from there in the place of everything that was here.
//! Always: what was here stays until all of what comes was read through or loaded beside it.

use std::path::PathBuf;
use std::sync::Arc;

use tenon_base::{DiskFile, Now, World, describe};
use tenon_config::Directive;
use tenon_journal::{ReplicationId, ReplicationOffset};

use super::Following;
use crate::engine::Engine;
use crate::leftovers::create_temporary;
use crate::loading::Loading;

/// What is here may be so much of the machine's memory, one part in so many, for a snapshot to be loaded beside it.
const BESIDE_SHARE: u64 = 4;

/// What tools and tests wait for in the log of a replica.
const LOADING: &str = "MASTER <-> REPLICA sync: Loading DB in memory";

/// A snapshot on its way into a file.
pub(super) struct Incoming {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    id: ReplicationId,
    offset: ReplicationOffset,
}

impl Engine {
    pub(super) fn await_snapshot(
        &self,
        following: &mut Following,
        id: ReplicationId,
        offset: ReplicationOffset,
        world: &mut World<'_>,
    ) -> Result<(), String> {
        following.forget_incoming(world);
        let path = self.directory().join(format!("temp-{}.replica.rdb", self.identity.pid));
        let file = create_temporary(world.disk, &path);
        let file = file.map_err(|error| format!("{}: {}", path.display(), describe(&error)))?;
        if self.loads_as_it_comes() {
            tracing::info!("{LOADING}");
        }
        following.incoming = Some(Incoming { file, path, id, offset });
        Ok(())
    }

    /// Puts what the primary sent in the place of everything that was there.
    pub(super) fn load_snapshot(
        &mut self,
        now: Now,
        surplus: usize,
        world: &mut World<'_>,
    ) -> Result<(), String> {
        let Some(following) = &mut self.replication.following else { return Ok(()) };
        let has_synced = following.has_synced;
        let Some(Incoming { file, path, id, offset }) = following.incoming.take() else {
            return Err("a snapshot that was not announced".to_owned());
        };
        let length = file.length().map_err(|error| describe(&error))?;
        file.truncate(length.saturating_sub(surplus as u64)).map_err(|error| describe(&error))?;
        if let Err(reason) = self.refuse_emptiness(has_synced, id, &file) {
            let _ = world.disk.remove(&path);
            return Err(reason);
        }
        if !self.loads_as_it_comes() {
            tracing::info!("{LOADING}");
        }
        self.append_sealed(now, world);
        let loaded = self.replace_by_rdb(now, &file, self.has_room_beside(), world);
        let now = world.now();
        // A file that cannot be removed costs room, and the next attempt makes it anew.
        let _ = world.disk.remove(&path);
        let report = loaded.map_err(|error| {
            format!("Failed trying to load the MASTER synchronization DB, what was here is kept: {error}")
        })?;
        self.tell_of_replacement(now, world);
        self.abort_save();
        let was_logging = self.durability.is_on();
        if was_logging && let Err(reason) = self.turn_log_off(now, world) {
            tracing::warn!("The append-only file could not be ended well: {reason}");
        }
        self.close_replicas(world);
        self.replication.primary.begin_history(id);
        self.close_backlog(world);
        self.replication.primary.open_backlog(offset, world.outputs);
        self.journal.set_offset(offset);
        if let Some(log) = self.durability.log_mut() {
            log.set_replication_id(id);
        }
        self.set_readers();
        let database = report.aux.stream_database.and_then(|database| usize::try_from(database).ok());
        let database = self.known_database(database);
        self.journal.set_home(Some(database as u32));
        if was_logging && let Err(reason) = self.turn_log_on(now, world) {
            tracing::warn!("The append-only file cannot be begun anew yet: {reason}");
        }
        let Some(following) = &mut self.replication.following else { return Ok(()) };
        following.database = database;
        following.raw.clear();
        following.own_keys.clear();
        following.aside.has_failed = false;
        (following.is_lost, following.has_synced) = (false, true);
        following.upstream.loaded(now.steady);
        following.upstream.acknowledge(offset, None, world.outputs);
        tracing::info!("MASTER <-> REPLICA sync: Finished with success");
        Ok(())
    }

    /// Everything has been replaced at once: who watches, tracks or waits for a key is told.
    fn tell_of_replacement(&mut self, now: Now, world: &mut World<'_>) {
        for index in 0..self.keyspace.databases() {
            self.unit.touch_database(index);
        }
        self.unit.note_flush();
        self.seal(now, 0, None, world);
    }

    /// A snapshot of the history that is here comes, to be loaded beside it: it counts as being loaded, as in Redis,
    /// which reads it from the socket.
    pub(crate) fn receiving(&self) -> Option<Loading> {
        self.receives(|id| id == self.replication_id()).then_some(Loading::Beside)
    }

    /// The same of another history. Redis would serve nobody; here what was there is served until it is replaced.
    pub(crate) fn receives_other_data(&self) -> bool {
        self.receives(|id| id != self.replication_id())
    }

    fn receives(&self, is_it: impl Fn(ReplicationId) -> bool) -> bool {
        let following = self.replication.following.as_ref();
        let incoming = following.and_then(|following| following.incoming.as_ref());
        incoming.is_some_and(|incoming| is_it(incoming.id)) && self.loads_as_it_comes()
    }

    /// Whether a load is told from the first byte that comes, as Redis tells it that reads from the socket.
    fn loads_as_it_comes(&self) -> bool {
        self.config.choice(Directive::ReplDisklessLoad) == "swapdb"
    }

    /// Whether what comes may be loaded beside what is here: it is asked for, or it costs little.
    fn has_room_beside(&self) -> bool {
        let used = self.keyspace.used_memory() as u64;
        let is_asked = self.loads_as_it_comes();
        is_asked || used.saturating_mul(BESIDE_SHARE) <= self.identity.total_memory_bytes
    }

    /// A primary that lost its data and came back is not followed into emptiness, unless that is configured. One that
    /// somebody has just named is.
    fn refuse_emptiness(
        &self,
        has_synced: bool,
        id: ReplicationId,
        file: &Arc<dyn DiskFile>,
    ) -> Result<(), String> {
        let keys = self.key_count();
        let is_allowed = self.config.bool(Directive::ReplicaFollowEmptyPrimary);
        let is_known = has_synced && id != self.replication_id();
        if is_allowed || !is_known || keys == 0 || !self.is_empty_rdb(file) {
            return Ok(());
        }
        Err(format!(
            "the primary has lost its data: it has another history than before, and no key. The {keys} keys here are \
             kept, and it is asked again. To follow it all the same, say CONFIG SET replica-follow-empty-primary yes, \
             or REPLICAOF NO ONE and then REPLICAOF it again"
        ))
    }
}

impl Following {
    pub(super) fn keep(&mut self, bytes: &[u8]) -> Result<(), String> {
        let incoming = self.incoming.as_ref().ok_or("a snapshot that was not announced")?;
        let path = incoming.path.display();
        incoming.file.append(bytes).map_err(|error| format!("{path}: {}", describe(&error)))
    }

    pub(super) fn forget_incoming(&mut self, world: &mut World<'_>) {
        self.raw = Vec::new();
        if let Some(incoming) = self.incoming.take() {
            let _ = world.disk.remove(&incoming.path);
        }
    }
}
