//! The snapshot that comes from a primary: beside the data as it comes, or into a file, and from there in the place of
//! everything that was here.
//! Always: what was here stays until all of what comes was read through or loaded beside it.

use std::path::PathBuf;
use std::sync::Arc;

use tenon_base::{ConnectionId, DiskFile, Now, World, describe};
use tenon_config::Directive;
use tenon_journal::{ReplicationId, ReplicationOffset};
use tenon_rdb::LoadReport;

use super::Following;
use super::arriving::Arriving;
use crate::engine::Engine;
use crate::leftovers::create_temporary;
use crate::loading::Loading;

/// What is here may be so much of the machine's memory, one part in so many, for a snapshot to be loaded beside it.
const BESIDE_SHARE: u64 = 4;

/// What is wrong with bytes of a snapshot of which nobody has spoken.
const UNANNOUNCED: &str = "a snapshot that was not announced";

/// What tools and tests wait for in the log of a replica.
const LOADING: &str = "MASTER <-> REPLICA sync: Loading DB in memory";

/// A snapshot that was announced.
pub(super) struct Incoming {
    /// Whose stream goes on behind it, and from where.
    id: ReplicationId,
    offset: ReplicationOffset,
    way: Way,
}

/// What becomes of its bytes.
enum Way {
    /// None has come.
    Open,
    /// They go into a file.
    File(Arc<dyn DiskFile>, PathBuf),
    /// They are loaded as they come.
    Arriving(Box<Arriving>),
}

impl Incoming {
    pub(super) fn new(id: ReplicationId, offset: ReplicationOffset) -> Incoming {
        Incoming { id, offset, way: Way::Open }
    }

    pub(super) fn place(&self) -> (ReplicationId, ReplicationOffset) {
        (self.id, self.offset)
    }

    pub(super) fn arriving(&self) -> Option<&Arriving> {
        if let Way::Arriving(arriving) = &self.way { Some(arriving) } else { None }
    }

    pub(super) fn arriving_mut(&mut self) -> Option<&mut Arriving> {
        if let Way::Arriving(arriving) = &mut self.way { Some(arriving) } else { None }
    }

    pub(super) fn into_arriving(self) -> Option<Box<Arriving>> {
        if let Way::Arriving(arriving) = self.way { Some(arriving) } else { None }
    }
}

impl Engine {
    /// The bytes of the snapshot follow, so many if that is known, over this link.
    pub(super) fn begin_snapshot(
        &self,
        now: Now,
        following: &mut Following,
        link: ConnectionId,
        bytes: Option<u64>,
        world: &mut World<'_>,
    ) -> Result<(), String> {
        let incoming = following.incoming.as_mut().ok_or(UNANNOUNCED)?;
        let loads_as_it_arrives = self.loads_as_it_arrives();
        let to = if loads_as_it_arrives.is_some() { "parser" } else { "disk" };
        match bytes {
            Some(bytes) => {
                tracing::info!("MASTER <-> REPLICA sync: receiving {bytes} bytes from master to {to}");
            }
            None => {
                tracing::info!(
                    "MASTER <-> REPLICA sync: receiving streamed RDB from master with EOF to {to}"
                );
            }
        }
        incoming.way = match loads_as_it_arrives {
            Some(shown) => {
                tracing::info!("{LOADING}");
                Way::Arriving(self.begin_arriving(now, shown, link, bytes))
            }
            None => {
                let path = self.directory().join(format!("temp-{}.replica.rdb", self.identity.pid));
                let file = create_temporary(world.disk, &path);
                let file = file.map_err(|error| format!("{}: {}", path.display(), describe(&error)))?;
                Way::File(file, path)
            }
        };
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
        let Some(Incoming { way: Way::File(file, path), id, offset }) = following.incoming.take() else {
            return Err(UNANNOUNCED.to_owned());
        };
        let length = file.length().map_err(|error| describe(&error))?;
        let length = length.saturating_sub(surplus as u64);
        file.truncate(length).map_err(|error| describe(&error))?;
        let is_empty = self.is_empty_rdb(&file);
        if let Err(reason) = self.refuse_emptiness(has_synced, id, is_empty) {
            let _ = world.disk.remove(&path);
            return Err(reason);
        }
        tracing::info!("{LOADING}");
        self.append_sealed(now, world);
        let loaded = self.replace_by_rdb(now, &file, self.has_room_beside(), world);
        let now = world.now();
        let report = loaded.map_err(|error| {
            // A file that cannot be removed costs room, and the next attempt makes it anew.
            let _ = world.disk.remove(&path);
            format!("Failed trying to load the MASTER synchronization DB, what was here is kept: {error}")
        })?;
        self.adopt_snapshot(now, id, offset, &report, world);
        self.keep_received(now, file, length, path, world);
        Ok(())
    }

    /// What the primary sent is in its place: this is its history from here on.
    pub(super) fn adopt_snapshot(
        &mut self,
        now: Now,
        id: ReplicationId,
        offset: ReplicationOffset,
        report: &LoadReport,
        world: &mut World<'_>,
    ) {
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
        let Some(following) = &mut self.replication.following else { return };
        following.database = database;
        following.raw.clear();
        following.own_keys.clear();
        following.aside.has_failed = false;
        (following.is_lost, following.has_synced, following.is_refused) = (false, true, false);
        following.upstream.loaded(now.steady);
        following.upstream.acknowledge(offset, None, world.outputs);
        tracing::info!("MASTER <-> REPLICA sync: Finished with success");
    }

    /// Everything has been replaced at once: who watches, tracks or waits for a key is told.
    fn tell_of_replacement(&mut self, now: Now, world: &mut World<'_>) {
        for index in 0..self.keyspace.databases() {
            self.unit.touch_database(index);
        }
        self.unit.note_flush();
        self.seal(now, 0, None, world);
    }

    /// What clients are told of a snapshot that is loaded as it arrives: they wait for it where there is nothing else to
    /// be shown; beside data of the same history it counts as being loaded, as in Redis.
    pub(crate) fn receiving(&self) -> Option<Loading> {
        let shown = self.arriving()?.shown;
        (shown == Loading::InPlace || !self.receives_other_data()).then_some(shown)
    }

    /// Whether that snapshot is of another history. Redis would serve nobody; here what was there is served until it is
    /// replaced.
    pub(crate) fn receives_other_data(&self) -> bool {
        let following = self.replication.following.as_ref();
        let incoming = following.and_then(|following| following.incoming.as_ref());
        let of_arriving = incoming.filter(|incoming| incoming.arriving().is_some());
        of_arriving.is_some_and(|incoming| incoming.id != self.replication_id())
    }

    /// Whether what comes may be loaded beside what is here: it is asked for, or it costs little.
    fn has_room_beside(&self) -> bool {
        let used = self.keyspace.used_memory() as u64;
        let is_asked = self.config.choice(Directive::ReplDisklessLoad) == "swapdb";
        is_asked || used.saturating_mul(BESIDE_SHARE) <= self.identity.total_memory_bytes
    }

    /// A primary that lost its data and came back is not followed into emptiness, unless that is configured. One that
    /// somebody has just named is.
    pub(super) fn refuse_emptiness(
        &mut self,
        has_synced: bool,
        id: ReplicationId,
        is_empty: bool,
    ) -> Result<(), String> {
        let keys = self.key_count();
        let is_allowed = self.config.bool(Directive::ReplicaFollowEmptyPrimary);
        let is_known = has_synced && id != self.replication_id();
        if is_allowed || !is_known || keys == 0 || !is_empty {
            return Ok(());
        }
        if let Some(following) = &mut self.replication.following {
            following.is_refused = true;
        }
        let counted = if keys == 1 { "1 key here is".to_owned() } else { format!("{keys} keys here are") };
        Err(format!(
            "the primary has lost its data: it has another history than before, and no key. The {counted} kept, and it \
             is asked again. To follow it all the same, say CONFIG SET replica-follow-empty-primary yes, or name it \
             with REPLICAOF again"
        ))
    }
}

impl Following {
    /// Takes in some bytes of the snapshot.
    pub(super) fn keep(&mut self, bytes: &[u8]) -> Result<(), String> {
        match &mut self.incoming.as_mut().ok_or(UNANNOUNCED)?.way {
            Way::Open => Err(UNANNOUNCED.to_owned()),
            Way::File(file, path) => {
                file.append(bytes).map_err(|error| format!("{}: {}", path.display(), describe(&error)))
            }
            Way::Arriving(arriving) => arriving.push(bytes),
        }
    }

    /// Lets go of what has come of a snapshot; what was loaded of it is for [`Engine::discard`].
    #[must_use]
    pub(super) fn forget_incoming(&mut self, world: &mut World<'_>) -> Option<Box<Arriving>> {
        self.raw = Vec::new();
        match self.incoming.take()?.way {
            Way::Open => None,
            Way::File(_, path) => {
                let _ = world.disk.remove(&path);
                None
            }
            Way::Arriving(arriving) => Some(arriving),
        }
    }
}
