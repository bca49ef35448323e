//! `maxmemory`: keys are removed, by policy, when there are more bytes than there may be; where nothing may be removed,
//! commands that need room are refused (see `gates`).
//! Reads no allocator: what counts is what the engine knows it holds, so that equal inputs remove equal keys.
//! Always: without a limit a command pays one test, and with one a comparison; each removed key is a unit of its own,
//! sealed before the command that needed the room.

mod pool;

use tenon_base::{ConnectionId, Micros, Now, Outputs, World};
use tenon_commands::{Db, Garbage, Origin};
use tenon_config::{Config, Directive};
use tenon_keyspace::AccessRule;

use crate::engine::Engine;
use pool::Pool;

/// What removing one key is reckoned to take, in microseconds: `maxmemory-eviction-tenacity` is a time, and work is
/// counted.
const KEY_US: u64 = 3;
/// So many keys are removed before it is asked whether that was too many.
const KEYS_AT_LEAST: u64 = 16;
/// A database that is none: the figures are to be taken anew.
const STALE: usize = usize::MAX;

/// Which keys go, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Policy {
    removes: bool,
    volatile_only: bool,
    by_expiry: bool,
    by_chance: bool,
}

/// The limit, and what is done to keep it.
pub(crate) struct Eviction {
    /// Zero for none.
    limit_bytes: u64,
    policy: Policy,
    samples: usize,
    /// Keys removed before others get their turn.
    keys_at_once: u64,
    /// Removed values are propagated as UNLINK.
    is_lazy: bool,
    pool: Pool,
    /// Which database chance removes from next.
    next_database: usize,
    /// What everything takes but the keys of `counted_database`, as of this turn.
    rest_bytes: u64,
    counted_database: usize,
    /// There is too much, and nothing that may be removed.
    is_exhausted: bool,
    /// There is too much, and the turn's share of removing is done.
    is_unfinished: bool,
    exceeded_since: Option<Micros>,
}

impl Eviction {
    pub(crate) fn new(config: &Config) -> Eviction {
        let mut eviction = Eviction {
            limit_bytes: 0,
            policy: Policy::default(),
            samples: 0,
            keys_at_once: 0,
            is_lazy: false,
            pool: Pool::default(),
            next_database: 0,
            rest_bytes: 0,
            counted_database: STALE,
            is_exhausted: false,
            is_unfinished: false,
            exceeded_since: None,
        };
        eviction.configure(config);
        eviction
    }

    /// Takes up what is configured. The limit is looked at when the turn settles.
    pub(crate) fn configure(&mut self, config: &Config) {
        let name = config.choice(Directive::MaxMemoryPolicy);
        let policy = Policy {
            removes: name != "noeviction",
            volatile_only: name.starts_with("volatile-"),
            by_expiry: name == "volatile-ttl",
            by_chance: name.ends_with("-random"),
        };
        if policy != self.policy {
            self.pool.clear();
        }
        self.policy = policy;
        self.limit_bytes = config.memory(Directive::MaxMemory);
        self.samples = usize::try_from(config.integer(Directive::MaxMemorySamples)).unwrap_or(1).max(1);
        self.keys_at_once = keys_at_once(config.integer(Directive::MaxMemoryEvictionTenacity));
        self.is_lazy = config.bool(Directive::LazyfreeLazyEviction);
        self.is_exhausted = false;
        self.is_unfinished = self.limit_bytes > 0;
        self.counted_database = STALE;
    }

    /// Whether there is a limit.
    #[inline]
    pub(crate) fn is_limited(&self) -> bool {
        self.limit_bytes > 0
    }

    /// Whether commands that need room are to be refused.
    #[inline]
    pub(crate) fn is_exhausted(&self) -> bool {
        self.is_exhausted
    }

    /// When settling is due if nothing else happens.
    pub(crate) fn wake_at(&self) -> Option<Micros> {
        self.is_unfinished.then_some(Micros(0))
    }

    /// For how long there has been too much, if there is.
    pub(crate) fn exceeded_for(&self, now: Micros) -> Micros {
        self.exceeded_since.map_or(Micros(0), |since| now.since(since))
    }
}

/// What access clocks count, which goes by the policy.
pub(crate) fn access_rule(config: &Config) -> AccessRule {
    let number = |directive| u32::try_from(config.integer(directive)).unwrap_or(u32::MAX);
    if config.choice(Directive::MaxMemoryPolicy).ends_with("-lfu") {
        let (log_factor, decay_minutes) = (number(Directive::LfuLogFactor), number(Directive::LfuDecayTime));
        AccessRule::Frequency { log_factor, decay_minutes }
    } else {
        AccessRule::Recency
    }
}

/// Whether small integers are told to be shared: with a limit, who is removed by use must be known by itself.
pub(crate) fn shares_integers(config: &Config) -> bool {
    let policy = config.choice(Directive::MaxMemoryPolicy);
    config.memory(Directive::MaxMemory) == 0 || !(policy.ends_with("-lru") || policy.ends_with("-lfu"))
}

/// Redis's times: up to ten linearly to half a millisecond, then 15 % more for each step; a hundred has no end.
fn keys_at_once(tenacity: i64) -> u64 {
    let span_us = match tenacity {
        ..=10 => 50 * tenacity.unsigned_abs(),
        11..100 => (500.0 * 1.15f64.powi(tenacity as i32 - 10)) as u64,
        _ => return u64::MAX,
    };
    KEYS_AT_LEAST.max(span_us / KEY_US)
}

impl Engine {
    /// Everything that the engine knows it holds, in bytes: what the program took before there was any data, the
    /// keyspace with its cuts, the log's buffer, and the clients.
    pub(crate) fn used_bytes(&self, outputs: &Outputs) -> u64 {
        self.counted_bytes(outputs) + self.uncounted_bytes(outputs)
    }

    /// What does not count against the limit, because removing keys makes it grow: what the log is to be told, and what
    /// a cut or a replica still needs; and what is loaded beside the data.
    pub(crate) fn uncounted_bytes(&self, outputs: &Outputs) -> u64 {
        let (_, replicas) = self.stream_bytes(outputs);
        let arriving = self.arriving().map_or(0, |arriving| arriving.memory_bytes());
        arriving + (self.journal.pending_bytes() + self.keyspace.cut_memory()) as u64 + replicas
    }

    /// Bytes of the stream to replicas: those that its backlog may hold, and those beyond, which replicas need, if there
    /// are any.
    pub(crate) fn stream_bytes(&self, outputs: &Outputs) -> (u64, u64) {
        let stream = self.replication.primary.backlog().map(|stream| outputs.stream(stream));
        let held = stream.map_or(0, |stream| stream.held_bytes() as u64);
        if self.replication.primary.replicas().is_empty() {
            // It is let go of in blocks.
            return (held, 0);
        }
        let backlog = held.min(self.config.memory(Directive::ReplBacklogSize));
        (backlog, held - backlog)
    }

    /// What counts against the limit.
    fn counted_bytes(&self, outputs: &Outputs) -> u64 {
        self.memory.startup_bytes
            + self.keyspace.used_memory() as u64
            + self.clients_bytes(outputs)
            + outputs.spare_bytes() as u64
            + self.stream_bytes(outputs).0
    }

    /// Of what is used, what is no data.
    pub(crate) fn overhead_bytes(&self, outputs: &Outputs) -> u64 {
        let databases = (0..self.keyspace.databases()).map(|index| self.keyspace.db(index).table_memory());
        let tables = databases.sum::<usize>() as u64;
        self.memory.startup_bytes
            + tables
            + self.clients_bytes(outputs)
            + self.stream_bytes(outputs).0
            + outputs.spare_bytes() as u64
            + self.uncounted_bytes(outputs)
    }

    /// Makes room before a command of `connection` runs, if there is too much.
    pub(crate) fn make_room(&mut self, now: Now, connection: ConnectionId, world: &mut World<'_>) {
        let database = self.sessions.get(connection).map_or(0, |session| session.database);
        let eviction = &mut self.eviction;
        if eviction.counted_database == database && eviction.exceeded_since.is_none() {
            let own_bytes = self.keyspace.db(database).used_memory() as u64;
            if eviction.rest_bytes + own_bytes <= eviction.limit_bytes {
                return;
            }
        }
        self.evict(now, world);
        self.eviction.counted_database = database;
        let own_bytes = self.keyspace.db(database).used_memory() as u64;
        self.eviction.rest_bytes = self.counted_bytes(world.outputs) - own_bytes;
    }

    /// The limit when the turn settles: goes on with what is unfinished, and has figures taken anew.
    pub(crate) fn settle_eviction(&mut self, now: Now, world: &mut World<'_>) {
        self.eviction.counted_database = STALE;
        if self.eviction.limit_bytes == 0 {
            self.stop_exceeding(now);
        } else if self.eviction.is_unfinished {
            self.evict(now, world);
        }
    }

    /// Removes keys until there is room, nothing is left to remove, or it is others' turn.
    #[cold]
    fn evict(&mut self, now: Now, world: &mut World<'_>) {
        (self.eviction.is_exhausted, self.eviction.is_unfinished) = (false, false);
        if !self.may_evict() {
            return;
        }
        let began = self.latency.is_on().then(|| world.stopwatch.read());
        let excess = |engine: &Engine, outputs: &Outputs| {
            engine.counted_bytes(outputs).saturating_sub(engine.eviction.limit_bytes)
        };
        let mut left = excess(self, world.outputs);
        let mut removed_keys = 0;
        while left > 0 {
            if removed_keys >= self.eviction.keys_at_once {
                self.eviction.is_unfinished = true;
                break;
            }
            let before = self.keyspace.used_memory();
            if !self.eviction.policy.removes || !self.evict_one(now, world) {
                self.eviction.is_exhausted = true;
                break;
            }
            removed_keys += 1;
            // Only keys count here: who is told of their removal may need more memory for a while.
            left = left.saturating_sub((before - self.keyspace.used_memory().min(before)) as u64);
        }
        self.reply_stamp = None;
        if let Some(began) = began.filter(|_| self.eviction.policy.removes) {
            self.latency.note("eviction-cycle", world.stopwatch.read().since(began), now);
        }
        if left == 0 {
            self.stop_exceeding(now);
        } else if self.eviction.exceeded_since.is_none() {
            self.eviction.exceeded_since = Some(now.steady);
        }
    }

    /// Whether it is this server's to remove keys just now. A follower leaves that to its primary.
    fn may_evict(&self) -> bool {
        let leaves_it = self.replication.is_following && self.config.bool(Directive::ReplicaIgnoreMaxmemory);
        !leaves_it && !self.pause.is_on() && self.load.is_none() && self.arriving().is_none()
    }

    fn stop_exceeding(&mut self, now: Now) {
        if let Some(since) = self.eviction.exceeded_since.take() {
            self.stats.eviction_exceeded_us += now.steady.since(since).0;
        }
    }

    /// Removes the key that goes best. False if there is none that may go.
    fn evict_one(&mut self, now: Now, world: &mut World<'_>) -> bool {
        let Some((database, key)) = self.choose(now) else { return false };
        let lazy = self.eviction.is_lazy;
        let (lookups, unit) = (&mut self.lookups, &mut self.unit);
        let mut db = Db::new(&mut self.keyspace, database, now, Origin::Client, lookups, unit);
        let began = self.latency.is_on().then(|| world.stopwatch.read());
        let removed = db.evict(&key, lazy);
        if let Some(began) = began {
            self.latency.note("eviction-del", world.stopwatch.read().since(began), now);
        }
        assert!(removed.is_some(), "the chosen key is there");
        self.garbage.extend(removed.flatten().and_then(Garbage::of_value));
        self.stats.evicted_keys += 1;
        self.seal(now, database, None, world);
        self.eviction.pool.give_back(key);
        true
    }

    /// The key that goes best, by policy, and its database.
    fn choose(&mut self, now: Now) -> Option<(usize, Vec<u8>)> {
        let Eviction { policy, samples, pool, next_database, .. } = &mut self.eviction;
        let databases = self.keyspace.databases();
        if policy.by_chance {
            for _ in 0..databases {
                *next_database = (*next_database + 1) % databases;
                let database = self.keyspace.db(*next_database);
                let found = if policy.volatile_only {
                    database.random_volatile(&mut self.dice)
                } else {
                    database.random(&mut self.dice)
                };
                if let Some(entry) = found {
                    return Some((*next_database, entry.key().to_vec()));
                }
            }
            return None;
        }
        let (rule, seconds) = (self.limits.access, now.unix().seconds() as u32);
        while pool.fill(&self.keyspace, *policy, rule, *samples, seconds, &mut self.dice) {
            while let Some((database, key)) = pool.take_best() {
                // It may have gone since it was sampled, or may have lost its expiry.
                let found = self.keyspace.db(database).find(&key);
                if found.is_some_and(|entry| !policy.volatile_only || entry.is_volatile()) {
                    return Some((database, key));
                }
                pool.give_back(key);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
