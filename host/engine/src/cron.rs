//! What happens by the clock: active expiry, samples, idle clients, and the question whether to save.

use tenon_base::{Micros, Now, Signal, World};
use tenon_commands::{Db, Origin};
use tenon_config::Directive;

use crate::engine::Engine;

/// Entries that one slice of active expiry looks at; a slice takes well under a millisecond.
const EXPIRE_SLICE_ENTRIES: usize = 512;
/// Between two slices while there is more to expire.
const EXPIRE_SLICE_PAUSE: Micros = Micros(1_000);
/// Share of the time that active expiry may take while it has much to do, with the least `active-expire-effort`, and
/// what each step of effort adds.
const EXPIRE_SHARE_PERCENT: u64 = 25;
const EXPIRE_EFFORT_PERCENT: u64 = 2;
/// Keys expired in one slice and database before others get their turn.
const EXPIRE_KEYS_MAX: usize = 256;

/// Between two looks at a cron that is paused.
const PAUSED_TICK: Micros = Micros(100_000);

/// Names every timer of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timer {
    /// `hz` times a second: active expiry, samples, idle clients.
    Tick,
    /// Once a second: the snapshot policy.
    Second,
    /// Twice a second: files in the policy directory.
    Watch,
    /// Expiry has more to do.
    Expire,
}

/// When each timer is due.
#[derive(Debug)]
pub(crate) struct Cron {
    tick_at: Micros,
    second_at: Micros,
    watch_at: Micros,
    expire_at: Micros,
    /// Nothing is done by the clock (DEBUG PAUSE-CRON).
    pub(crate) is_paused: bool,
    /// A signal that came meanwhile.
    pub(crate) pending_signal: Option<Signal>,
    /// Where active expiry goes on.
    expire_database: usize,
    expired_keys: Vec<u8>,
    expired_ends: Vec<usize>,
}

impl Cron {
    pub(crate) fn new(start: Micros) -> Cron {
        Cron {
            tick_at: start,
            second_at: start + Micros(1_000_000),
            watch_at: start + Micros(500_000),
            expire_at: Micros::NEVER,
            is_paused: false,
            pending_signal: None,
            expire_database: 0,
            expired_keys: Vec::new(),
            expired_ends: Vec::new(),
        }
    }

    pub(crate) fn next_at(&self) -> Micros {
        self.tick_at.min(self.second_at).min(self.watch_at).min(self.expire_at)
    }

    /// Puts off what is due, a tenth of a second at a time.
    fn put_off(&mut self, now: Micros) {
        for at in [&mut self.tick_at, &mut self.second_at, &mut self.watch_at, &mut self.expire_at] {
            if *at <= now {
                *at = now + PAUSED_TICK;
            }
        }
    }

    fn due(&self, now: Micros) -> Option<Timer> {
        let timers = [
            (self.tick_at, Timer::Tick),
            (self.second_at, Timer::Second),
            (self.watch_at, Timer::Watch),
            (self.expire_at, Timer::Expire),
        ];
        timers.into_iter().find(|(at, _)| *at <= now).map(|(_, timer)| timer)
    }
}

impl Engine {
    /// Does what is due. Each timer runs at most once a turn, however late it is.
    pub(crate) fn run_cron(&mut self, now: Now, world: &mut World<'_>) {
        if self.cron.is_paused {
            return self.cron.put_off(now.steady);
        }
        if self.cron.next_at() > now.steady {
            return;
        }
        if let Some(signal) = self.cron.pending_signal.take() {
            crate::server::shutdown::signalled(self, now, signal, world);
        }
        let began = world.stopwatch.read();
        self.run_due(now, world);
        self.stats.turns_by_part.cron_us += world.stopwatch.read().since(began).0;
    }

    fn run_due(&mut self, now: Now, world: &mut World<'_>) {
        while let Some(timer) = self.cron.due(now.steady) {
            match timer {
                Timer::Tick => {
                    let hz = self.config.integer(Directive::Hz).clamp(1, 500) as u64;
                    self.cron.tick_at = now.steady + Micros(1_000_000 / hz);
                    self.note_memory(world.outputs);
                    self.stats.note_sent(world.outputs.sent_totals());
                    self.stats.sample(now.steady);
                    self.close_idle(now, world);
                    self.close_over_soft_limit(now, world);
                    if self.tracking.is_over() {
                        self.shed_tracked_keys(now, world);
                    }
                    self.expire_some(now, world);
                }
                Timer::Second => {
                    self.cron.second_at = now.steady + Micros(1_000_000);
                    self.ask_for_snapshot(now, world);
                    self.remove_dump_for_replicas(world);
                }
                Timer::Watch => {
                    self.cron.watch_at = now.steady + Micros(500_000);
                    self.watch_policies(now, world);
                }
                Timer::Expire => {
                    self.cron.expire_at = Micros::NEVER;
                    self.expire_some(now, world);
                }
            }
        }
    }

    /// Removes some of what has expired. Comes back soon if there is more, but leaves the clients their share.
    fn expire_some(&mut self, now: Now, world: &mut World<'_>) {
        if self.replication.is_following {
            // What a follower has is its primary's to expire.
            return self.expire_own_keys(now, world);
        }
        if !self.active_expire || self.pause.is_on() {
            return;
        }
        let began = world.stopwatch.read();
        let databases = self.keyspace.databases();
        let mut has_more = false;
        for offset in 0..databases {
            let index = (self.cron.expire_database + offset) % databases;
            if self.keyspace.db(index).volatile_len() > 0 {
                has_more |= self.expire_in(now, index, world);
            }
        }
        self.cron.expire_database = (self.cron.expire_database + 1) % databases;
        let spent = world.stopwatch.read().since(began);
        self.stats.expire_cycle_us += spent.0;
        self.latency.note("expire-cycle", spent, now);
        if has_more {
            self.stats.expire_cycle_cut_short += 1;
            let effort = self.config.integer(Directive::ActiveExpireEffort).clamp(1, 10) as u64;
            let share = EXPIRE_SHARE_PERCENT + EXPIRE_EFFORT_PERCENT * (effort - 1);
            let pause = Micros(spent.0 * (100 - share) / share);
            self.cron.expire_at = now.steady + pause.max(EXPIRE_SLICE_PAUSE);
        }
    }

    /// One slice in one database. Says whether there is more to look at.
    pub(crate) fn expire_in(&mut self, now: Now, index: usize, world: &mut World<'_>) -> bool {
        let (mut keys, mut ends) =
            (std::mem::take(&mut self.cron.expired_keys), std::mem::take(&mut self.cron.expired_ends));
        keys.clear();
        ends.clear();
        let progress =
            self.keyspace.db_mut(index).expire_step(now.unix(), EXPIRE_SLICE_ENTRIES, &mut |key| {
                if ends.len() < EXPIRE_KEYS_MAX {
                    keys.extend_from_slice(key);
                    ends.push(keys.len());
                }
            });
        let mut start = 0;
        for &end in &ends {
            let mut db =
                Db::new(&mut self.keyspace, index, now, Origin::Client, &mut self.lookups, &mut self.unit);
            db.lazy_expire = self.lazy_expire;
            db.expire(&keys[start..end]);
            start = end;
            self.seal(now, index, None, world);
        }
        let has_more = !progress.complete || ends.len() == EXPIRE_KEYS_MAX;
        (self.cron.expired_keys, self.cron.expired_ends) = (keys, ends);
        has_more
    }

    /// Closes clients that said nothing for `timeout` seconds.
    fn close_idle(&mut self, now: Now, world: &mut World<'_>) {
        let timeout = self.config.integer(Directive::Timeout);
        if timeout <= 0 {
            return;
        }
        let limit = Micros::from_millis(timeout as u64 * 1_000);
        let is_idle = |session: &&crate::session::Session| {
            // Who listens has nothing to say.
            let listens = session.subscriptions.is_some() || session.is_monitor || session.is_replica;
            session.parked.is_none() && !listens && now.steady.since(session.last_heard) > limit
        };
        let idle: Vec<_> = self.sessions.iter().filter(is_idle).map(|session| session.id).collect();
        for connection in idle {
            tracing::debug!("Closing idle client");
            self.close(connection, false, world);
        }
    }
}
