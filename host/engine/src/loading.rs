//! A load that goes on: how far it is, who is heard meanwhile, and when. What is loaded is `load`'s; what may be asked
//! for meanwhile is `gates`'.
//! Always: a load lets the world in again and again, for at most a tenth of its time; nothing is decided meanwhile, and
//! nothing is written that would be lost.

use std::ops::ControlFlow;

use tenon_base::{ConnectionId, Heard, Machine, Micros, Now, Signal, World};
use tenon_commands::CommandError;
use tenon_config::Directive;
use tenon_rdb::Aux;

use crate::engine::Engine;
use crate::server::shutdown;

/// The longest that nobody is heard.
const UNHEARD_MAX: Micros = Micros(10_000);
/// Hearing may take one part in so many of the time.
const HEARING_SHARE: u64 = 10;
/// Between two lines about progress.
pub(crate) const LINE_INTERVAL: Micros = Micros(5_000_000);
/// Between two signs of life to the primary whose snapshot is loaded.
pub(crate) const SIGN_INTERVAL: Micros = Micros(1_000_000);
/// What one sleep for `key-load-delay` takes at most before somebody is heard.
const SLEEP_MAX: Micros = Micros(10_000);
/// Keys or commands between two readings of the clock.
const ITEMS_PER_READING: u32 = 64;

/// What becomes of the data that is there while other is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loading {
    /// There is none, or not all: clients have to wait.
    InPlace,
    /// It is served until the new data takes its place.
    Beside,
}

/// How far a load is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    pub(crate) began: Now,
    /// Of all files; 0 where that is not known.
    pub(crate) total_bytes: u64,
    /// Read of them.
    pub(crate) loaded_bytes: u64,
    /// `used-mem` of the RDB.
    pub(crate) rdb_used_memory_bytes: u64,
}

/// A load.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) kind: Loading,
    pub(crate) progress: Progress,
    /// Who waits for it: what it sends is not heard.
    busy: Option<ConnectionId>,
    /// The connection to the primary, if the load is of its snapshot.
    primary: Option<ConnectionId>,
    /// `key-load-delay`: microseconds for each key, or keys for each microsecond if negative.
    delay: i64,
    /// `loading-process-events-interval-bytes`.
    interval_bytes: u64,
    /// Keys and commands so far.
    items: u32,
    heard_at: Micros,
    heard_bytes: u64,
    /// What hearing took the last time.
    hearing: Micros,
    line_at: Micros,
    sign_at: Micros,
    /// The server ends.
    is_given_up: bool,
}

impl Load {
    /// Whether it is time to hear the others.
    fn is_due(&self, now: Micros) -> bool {
        let since = now.since(self.heard_at);
        let is_late =
            since >= UNHEARD_MAX || self.progress.loaded_bytes >= self.heard_bytes + self.interval_bytes;
        is_late && since >= Micros(self.hearing.0 * (HEARING_SHARE - 1))
    }
}

impl Progress {
    /// Nothing is read of so many bytes.
    pub(crate) fn new(began: Now, total_bytes: u64) -> Progress {
        Progress { began, total_bytes, loaded_bytes: 0, rdb_used_memory_bytes: 0 }
    }

    /// All bytes; where nobody knows how many, as many as the data took in the memory that it comes from; 0 where that is
    /// not known either.
    pub(crate) fn expected_bytes(&self) -> u64 {
        match (self.total_bytes, self.rdb_used_memory_bytes) {
            (0, 0) => 0,
            (0, memory) => memory.max(self.loaded_bytes),
            (total, _) => total,
        }
    }

    /// A line about it.
    pub(crate) fn tell(&self, now: Micros) {
        let (all, loaded) = (self.expected_bytes(), self.loaded_bytes);
        if all == 0 {
            return tracing::info!("Loading: {} MB so far", loaded >> 20);
        }
        let about = if self.total_bytes > 0 { "" } else { "about " };
        let percent = loaded.min(all) * 100 / all.max(1);
        // Seconds until it is over, if it goes on as it went.
        let spent = u128::from(now.since(self.began.steady).0);
        let rest = spent * u128::from(all.saturating_sub(loaded)) / u128::from(loaded.max(1)) / 1_000_000;
        tracing::info!("Loading: {percent} % of {about}{} MB, about {rest} seconds to go", all >> 20);
    }
}

impl Engine {
    /// What is refused and what is told, as Redis names it.
    pub(crate) fn loading(&self) -> Option<Loading> {
        self.load.as_ref().map(|load| load.kind).or_else(|| self.receiving())
    }

    /// How far the load is that goes on.
    pub(crate) fn load_progress(&self) -> Option<Progress> {
        let arriving = self.arriving().map(|arriving| arriving.progress);
        self.load.as_ref().map(|load| load.progress).or(arriving)
    }

    /// A load begins. `busy` waits for it.
    pub(crate) fn begin_load(
        &mut self,
        kind: Loading,
        total_bytes: u64,
        busy: Option<ConnectionId>,
        world: &mut World<'_>,
    ) {
        let began = world.now();
        let following = self.replication.following.as_ref();
        self.load = Some(Load {
            kind,
            progress: Progress::new(began, total_bytes),
            busy,
            primary: following.and_then(|following| following.upstream.link()),
            delay: self.config.integer(Directive::KeyLoadDelay),
            interval_bytes: self.interval_bytes(),
            items: 0,
            heard_at: began.steady,
            heard_bytes: 0,
            hearing: Micros(0),
            line_at: began.steady + LINE_INTERVAL,
            sign_at: began.steady,
            is_given_up: false,
        });
        (self.loaded.keys, self.loaded.expired) = (0, 0);
    }

    /// The files that are loaded have so many bytes.
    pub(crate) fn count_to_load(&mut self, total_bytes: u64) {
        if let Some(load) = &mut self.load {
            load.progress.total_bytes = total_bytes;
        }
    }

    /// What an RDB file says of itself.
    pub(crate) fn note_load_head(&mut self, aux: &Aux) {
        if let (Some(load), Some(bytes)) = (&mut self.load, aux.used_memory_bytes) {
            load.progress.rdb_used_memory_bytes = u64::try_from(bytes).unwrap_or(0);
        }
    }

    /// What follows from what was loaded takes its time, too. As [`Engine::load_read`].
    pub(crate) fn load_goes_on(&mut self, world: &mut World<'_>) -> ControlFlow<()> {
        self.pause_load(world)
    }

    /// A load has ended, well or badly.
    pub(crate) fn end_load(&mut self) {
        self.load = None;
    }

    /// So much was read. Lets the others in if it is time, and says whether to go on.
    pub(crate) fn load_read(&mut self, loaded_bytes: u64, world: &mut World<'_>) -> ControlFlow<()> {
        let Some(load) = &mut self.load else { return ControlFlow::Continue(()) };
        load.progress.loaded_bytes = loaded_bytes;
        self.pause_load(world)
    }

    /// A key or a command was taken in. As [`Engine::load_read`].
    #[inline]
    pub(crate) fn load_took(&mut self, world: &mut World<'_>) -> ControlFlow<()> {
        let Some(load) = &mut self.load else { return ControlFlow::Continue(()) };
        load.items += 1;
        if load.delay == 0 && !load.items.is_multiple_of(ITEMS_PER_READING) {
            return ControlFlow::Continue(());
        }
        self.delay_load(world);
        self.pause_load(world)
    }

    /// `key-load-delay`. Whoever has it changed, or ends the server, does not wait for its end.
    fn delay_load(&mut self, world: &mut World<'_>) {
        let mut slept = Micros(0);
        while let Some(load) = &self.load {
            let wanted = match load.delay {
                microseconds @ 1.. => microseconds.unsigned_abs(),
                keys @ ..=-1 => u64::from(u64::from(load.items).is_multiple_of(keys.unsigned_abs())),
                0 => 0,
            };
            let span = Micros(wanted).since(slept).min(SLEEP_MAX);
            if span == Micros(0) || load.is_given_up {
                return;
            }
            world.interlude.sleep(span);
            slept = slept + span;
            if slept.0 < wanted && self.pause_load(world).is_break() {
                return;
            }
        }
    }

    /// Lets the others in, if it is time.
    fn pause_load(&mut self, world: &mut World<'_>) -> ControlFlow<()> {
        let now = world.stopwatch.read();
        let Some(load) = &mut self.load else { return ControlFlow::Continue(()) };
        if load.is_given_up {
            return ControlFlow::Break(());
        }
        if !load.is_due(now) {
            return ControlFlow::Continue(());
        }
        (load.heard_at, load.heard_bytes) = (now, load.progress.loaded_bytes);
        if now >= load.line_at {
            load.line_at = now + LINE_INTERVAL;
            load.progress.tell(now);
        }
        if let Some(primary) = load.primary.filter(|_| now >= load.sign_at) {
            load.sign_at = now + SIGN_INTERVAL;
            world.outputs.writer(primary).push(b'\n');
        }
        let busy = load.busy;
        let moment = world.now();
        self.note_memory(world.outputs);
        self.hear_meanwhile(moment, busy, world);
        let (delay, interval_bytes) = (self.config.integer(Directive::KeyLoadDelay), self.interval_bytes());
        let Some(load) = &mut self.load else { return ControlFlow::Continue(()) };
        (load.delay, load.interval_bytes) = (delay, interval_bytes);
        let ended = world.stopwatch.read();
        load.hearing = ended.since(now);
        load.heard_at = ended;
        if load.is_given_up { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn interval_bytes(&self) -> u64 {
        u64::try_from(self.config.integer(Directive::LoadingProcessEventsIntervalBytes)).unwrap_or(u64::MAX)
    }

    /// Hears everybody but `busy`, in the middle of long work, and sends what they are answered.
    pub(crate) fn hear_meanwhile(&mut self, now: Now, busy: Option<ConnectionId>, world: &mut World<'_>) {
        let kept = (self.executing, self.mark, self.reply_stamp.take());
        let mut bytes = Vec::new();
        while let Some(heard) = world.interlude.hear(busy, world.outputs, &mut bytes) {
            match heard {
                Heard::Connected { connection, peer } => self.connected(now, connection, peer, world),
                Heard::Received { connection } => self.received(now, connection, &bytes, world),
                Heard::Closed { connection } => self.ended(now, connection, world),
                Heard::Signal(signal) => self.signalled_meanwhile(now, signal, world),
                Heard::Asked(report) => {
                    let reported = self.report(now, report, world);
                    world.interlude.answer(reported);
                }
            }
        }
        world.interlude.send(busy, world.outputs);
        (self.executing, self.mark, self.reply_stamp) = kept;
    }

    /// A signal ends a load; a script is let come to its end first.
    fn signalled_meanwhile(&mut self, now: Now, signal: Signal, world: &mut World<'_>) {
        if self.load.is_none() {
            self.cron.pending_signal = Some(signal);
            return;
        }
        shutdown::signalled(self, now, signal, world);
    }

    /// The server ends: what is being loaded, or was to be, is of no use to anybody.
    pub(crate) fn give_up_load(&mut self) {
        if let Some(load) = &mut self.load {
            load.is_given_up = true;
        }
        if self.load.is_some() || !self.is_started {
            self.is_over = true;
            if let Some(running) = &mut self.scripts.running {
                running.is_killed = true;
            }
        }
    }
}

/// What clients are told who have to wait.
pub(crate) fn refusal() -> CommandError {
    CommandError::text("LOADING Redis is loading the dataset in memory")
}

#[cfg(test)]
mod tests;
