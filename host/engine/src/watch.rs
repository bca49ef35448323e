//! Watched keys: which sessions must not execute their transactions because a key has changed.
//! Always: a change costs nothing while nobody watches, and a look-up by key otherwise; nobody walks over clients.
//! A session that is told once that a key has changed watches nothing more.

use std::collections::BTreeMap;

use tenon_base::{ConnectionId, Now, UnixMillis};
use tenon_commands::{Concerns, Touched};
use tenon_keyspace::Keyspace;

use crate::engine::Engine;

/// Who watches what: by database, hash of the key, and slot of the connection.
#[derive(Default)]
pub(crate) struct Watchers {
    by_key: BTreeMap<(u32, u64, u32), ConnectionId>,
}

/// The keys of one session, by database and hash.
pub(crate) type WatchedKeys = BTreeMap<(u32, u64), WatchedKey>;

/// Bytes that watched keys take beside their names, in the maps by session and by key.
const WATCH_BYTES: usize =
    size_of::<((u32, u64), WatchedKey)>() + size_of::<((u32, u64, u32), ConnectionId)>();
/// What the name of a watched key is reckoned to take.
const NAME_BYTES: usize = 32;

/// Bytes that the watched keys of a session take, nearly: names are not looked at one by one.
pub(crate) fn watched_bytes(watched: &WatchedKeys) -> usize {
    watched.len() * (WATCH_BYTES + NAME_BYTES)
}

/// A key, and what it was when it was last looked at.
pub(crate) struct WatchedKey {
    key: Box<[u8]>,
    state: State,
}

/// What a key is to who looks at it. Removing what has expired already is no change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Absent,
    Present,
    Expired,
}

impl Watchers {
    /// Whether nobody watches anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    fn of_key(&self, touched: Touched) -> impl Iterator<Item = ConnectionId> {
        let Touched { database, hash, .. } = touched;
        self.by_key.range((database, hash, 0)..=(database, hash, u32::MAX)).map(|(_, &watcher)| watcher)
    }

    fn of_database(&self, database: u32) -> impl Iterator<Item = (Touched, ConnectionId)> {
        let range = (database, 0, 0)..=(database, u64::MAX, u32::MAX);
        self.by_key.range(range).map(|(&(database, hash, _), &watcher)| {
            (Touched { database, hash, concerns: Concerns::Everyone }, watcher)
        })
    }
}

impl Engine {
    /// Begins to watch a key of the session's database.
    pub(crate) fn watch(&mut self, now: Now, connection: ConnectionId, key: &[u8]) {
        let Some(session) = self.sessions.get_mut(connection) else { return };
        let database = session.database as u32;
        let hash = self.keyspace.db(session.database).hash(key);
        let state = state_of(&self.keyspace, session.database, key, now.unix());
        session.watched.entry((database, hash)).or_insert_with(|| WatchedKey { key: key.into(), state });
        let is_first = self.watchers.is_empty();
        self.watchers.by_key.insert((database, hash, connection.slot), connection);
        if is_first {
            self.listen_to_units();
        }
    }

    /// Watches nothing any more.
    pub(crate) fn unwatch(&mut self, connection: ConnectionId) {
        let Some(session) = self.sessions.get_mut(connection) else { return };
        if session.watched.is_empty() {
            return;
        }
        for (database, hash) in std::mem::take(&mut session.watched).into_keys() {
            self.watchers.by_key.remove(&(database, hash, connection.slot));
        }
        if self.watchers.is_empty() {
            self.listen_to_units();
        }
    }

    /// Whether a key that was there when it was watched has expired since, be it removed or not.
    pub(crate) fn watches_expired(&self, now: Now, connection: ConnectionId) -> bool {
        let Some(session) = self.sessions.get(connection) else { return false };
        session.watched.iter().any(|(&(database, _), watched)| {
            watched.state != State::Expired
                && state_of(&self.keyspace, database as usize, &watched.key, now.unix()) == State::Expired
        })
    }

    /// Tells watchers of what the running request has changed.
    #[cold]
    pub(crate) fn tell_watchers(&mut self, now: Now) {
        let mut dirty = Vec::new();
        let mut touched: Vec<(Touched, ConnectionId)> = Vec::new();
        for &key in
            self.unit.touched()[self.told_keys..].iter().filter(|key| key.concerns == Concerns::Everyone)
        {
            for watcher in self.watchers.of_key(key) {
                if self.has_changed(now, watcher, key, false) {
                    dirty.push(watcher);
                } else {
                    touched.push((key, watcher));
                }
            }
        }
        for &database in &self.unit.touched_databases()[self.told_databases..] {
            for (key, watcher) in self.watchers.of_database(database) {
                if self.has_changed(now, watcher, key, true) {
                    dirty.push(watcher);
                } else {
                    touched.push((key, watcher));
                }
            }
        }
        for (key, watcher) in touched {
            self.look_again(now, watcher, key);
        }
        for watcher in dirty {
            self.unwatch(watcher);
            if let Some(session) = self.sessions.get_mut(watcher) {
                session.is_dirty = true;
            }
        }
    }

    /// Whether a key that was touched, alone or with its database, is another to its watcher.
    fn has_changed(&self, now: Now, watcher: ConnectionId, key: Touched, is_whole_database: bool) -> bool {
        let watched = self.sessions.get(watcher).and_then(|session| session.watched.get(&at(key)));
        let Some(watched) = watched else { return false };
        match watched.state {
            State::Present => true,
            // A key that came and went has changed, too.
            State::Absent if !is_whole_database => true,
            State::Absent | State::Expired => {
                state_of(&self.keyspace, key.database as usize, &watched.key, now.unix()) == State::Present
            }
        }
    }

    /// Takes note of what a key is now, if that is no change.
    fn look_again(&mut self, now: Now, watcher: ConnectionId, key: Touched) {
        let session = self.sessions.get_mut(watcher);
        if let Some(watched) = session.and_then(|session| session.watched.get_mut(&at(key))) {
            watched.state = state_of(&self.keyspace, key.database as usize, &watched.key, now.unix());
        }
    }
}

fn at(key: Touched) -> (u32, u64) {
    (key.database, key.hash)
}

fn state_of(keyspace: &Keyspace, database: usize, key: &[u8], now: UnixMillis) -> State {
    match keyspace.db(database).find(key).map(|entry| entry.expires_at()) {
        None => State::Absent,
        Some(Some(at)) if at < now => State::Expired,
        Some(_) => State::Present,
    }
}
