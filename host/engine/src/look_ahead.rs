//! Keys fetched before the requests that name them run: of a batch's requests together, and of lone requests that came
//! on several connections together.
//! Always: what is fetched is a hint. Nothing is decided here, and running looks everything up again.

use tenon_base::ConnectionId;
use tenon_keyspace::Database;
use tenon_resp::{Args, Batch, peek};

use crate::engine::Engine;
use crate::table::CommandId;

/// Requests whose keys are fetched ahead together: enough to hide a cache miss, few enough to stay cached.
pub(crate) const GROUP: usize = 16;
/// Words of a request that is not decoded yet, among which its first key is looked for.
const WORDS: usize = 3;

impl Engine {
    /// Fetches the buckets, then the entries, then the collections of the first keys of what came on several connections.
    pub(crate) fn fetch_for(&self, coming: &mut dyn Iterator<Item = (ConnectionId, &[u8])>) {
        let mut found = [(0, 0); GROUP];
        let mut count = 0;
        let mut wants_collections = false;
        for (connection, bytes) in coming.take(GROUP) {
            let mut words = [&[][..]; WORDS];
            let known = peek(bytes, &mut words);
            let Some(session) = self.sessions.get(connection) else { continue };
            let Some(id) = self.commands.find(words[0]) else { continue };
            let command = &self.commands[id];
            let at = command.first_key.map(usize::from);
            let Some(key) = at.and_then(|at| words[..known].get(at)) else { continue };
            let database = self.keyspace.db(session.database);
            let hash = database.hash(key);
            database.prefetch_bucket(hash);
            wants_collections |= command.wants_collection;
            found[count] = (session.database, hash);
            count += 1;
        }
        for &(database, hash) in &found[..count] {
            self.keyspace.db(database).prefetch_entry(hash);
        }
        if wants_collections {
            for &(database, hash) in &found[..count] {
                self.keyspace.db(database).prefetch_collection(hash);
            }
        }
    }

    /// Fetches what commands of a log will need, as [`Engine::fetch_for`] does for what came.
    pub(crate) fn fetch_for_load(&self, database: usize, commands: &mut dyn Iterator<Item = Args<'_>>) {
        let database = self.keyspace.db(database);
        let mut hashes = [0; GROUP];
        let mut count = 0;
        let mut wants_collections = false;
        for args in commands.take(GROUP) {
            let Some(id) = self.commands.find(args.get(0)) else { continue };
            let command = &self.commands[id];
            let Some(key) = command.first_key.and_then(|at| args.try_get(usize::from(at))) else { continue };
            wants_collections |= command.wants_collection;
            hashes[count] = database.hash(key);
            database.prefetch_bucket(hashes[count]);
            count += 1;
        }
        fetch_entries(database, &hashes[..count], wants_collections);
    }

    /// Resolves the commands of a group and fetches the buckets, then the entries, then the collections of their first
    /// keys. Only hashes cross from one stage to the next: what was fetched is a hint, and running looks up again.
    pub(crate) fn look_ahead(
        &self,
        connection: ConnectionId,
        batch: &Batch,
        bytes: &[u8],
        group: std::ops::Range<usize>,
        commands: &mut [Option<CommandId>; GROUP],
    ) {
        let is_alone = group.len() == 1;
        let database = self.sessions.get(connection).map_or(0, |session| session.database);
        let database = self.keyspace.db(database);
        let mut hashes = [0; GROUP];
        let mut count = 0;
        let mut wants_collections = false;
        for index in group.clone() {
            let args = batch.request(index, bytes);
            let command = self.commands.find(args.get(0));
            commands[index - group.start] = command;
            let Some(command) = command.map(|id| &self.commands[id]).filter(|_| !is_alone) else { continue };
            if let Some(key) = command.first_key.and_then(|at| args.try_get(usize::from(at))) {
                wants_collections |= command.wants_collection;
                hashes[count] = database.hash(key);
                database.prefetch_bucket(hashes[count]);
                count += 1;
            }
        }
        fetch_entries(database, &hashes[..count], wants_collections);
    }
}

/// Fetches the entries of hashes whose buckets were asked for, then what they have beside them.
#[inline]
fn fetch_entries(database: &Database, hashes: &[u64], wants_collections: bool) {
    for &hash in hashes {
        database.prefetch_entry(hash);
    }
    if wants_collections {
        for &hash in hashes {
            database.prefetch_collection(hash);
        }
    }
}
