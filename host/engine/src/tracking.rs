//! Client-side caching: which clients must be told that a key has changed because they may keep a copy. The commands
//! are in `server/client/tracking`.
//! Always: while nobody tracks anything this costs a command one look at a flag; whoever may have read a key since it
//! last changed hears of the next change, or that the key is tracked no longer; who changes a key hears of it behind
//! the reply; databases are not told apart, as in Redis.

mod broadcasts;
mod keys; // read me first

use std::collections::BTreeSet;
use std::sync::Arc;

use tenon_base::{ConnectionId, Now, World};
use tenon_commands::{Concerns, Flags, Group, key_positions};
use tenon_resp::{Args, Proto, Reply};

use self::broadcasts::{Broadcasts, Changes};
use self::keys::{TrackedKey, TrackedKeys};
use crate::engine::Engine;
use crate::session::Session;
use crate::table::CommandId;

/// Where clients of RESP2 hear of invalidations that are redirected to them.
const CHANNEL: &[u8] = b"__redis__:invalidate";

/// Keys taken out of a table that is too large, at a time; more each time that this was not enough.
const SHED_KEYS: usize = 100;

/// A table of so many keys is freed on the spot.
const QUICKLY_FREED_KEYS_MAX: usize = 1_000;

/// All tracking of an engine.
#[derive(Default)]
pub(crate) struct Tracking {
    keys: TrackedKeys,
    broadcasts: Broadcasts,
    /// Clients that track.
    clients: usize,
    /// `tracking-table-max-keys`; 0 for any number.
    keys_max: usize,
    /// Whether the table is larger than that.
    is_over: bool,
    /// How often in a row it was still larger after keys were taken out.
    rounds_over: usize,
    /// Tables to be freed where nobody waits for it.
    discarded: Vec<TrackedKeys>,
}

/// What a session tracks.
pub(crate) struct SessionTracking {
    pub(crate) mode: Mode,
    pub(crate) redirect: Option<ConnectionId>,
    /// The connection that it redirects to was found to be gone.
    pub(crate) is_broken: bool,
    /// It is not told of what it changes itself.
    pub(crate) skips_own: bool,
    /// CLIENT CACHING was said: the next command is an exception from the mode.
    pub(crate) is_exception: bool,
    pub(crate) prefixes: BTreeSet<Arc<[u8]>>,
}

/// Which keys a session is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Those that it has read.
    Reads,
    /// Those that it has read after CLIENT CACHING YES.
    OptIn,
    /// Those that it has read but not after CLIENT CACHING NO.
    OptOut,
    /// All under its prefixes.
    Broadcast,
}

/// What a client is to forget.
enum Forget<'a> {
    Key(&'a [u8]),
    Keys(&'a Changes, Option<ConnectionId>),
    Everything,
}

impl Tracking {
    /// Nobody tracks anything yet.
    pub(crate) fn new(keys_max: usize) -> Tracking {
        Tracking { keys_max, ..Tracking::default() }
    }

    /// Whether anybody tracks anything.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.clients > 0
    }

    /// Whether the table has to be made smaller.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether anybody is to hear of keys by prefix.
    pub(crate) fn wants_names(&self) -> bool {
        !self.broadcasts.is_empty()
    }

    /// Whether the turn must settle soon.
    pub(crate) fn has_broadcasts(&self) -> bool {
        self.broadcasts.has_changes()
    }

    /// Clients that track, keys that are tracked, pairs of both, and prefixes.
    pub(crate) fn counts(&self) -> [usize; 4] {
        [self.clients, self.keys.len(), self.keys.items(), self.broadcasts.len()]
    }

    /// `tracking-table-max-keys`.
    pub(crate) fn set_keys_max(&mut self, keys_max: usize) {
        self.keys_max = keys_max;
        self.note_size();
    }

    fn discard_keys(&mut self) {
        let keys = std::mem::take(&mut self.keys);
        if keys.len() > QUICKLY_FREED_KEYS_MAX {
            self.discarded.push(keys);
        }
    }

    fn note_size(&mut self) {
        self.is_over = self.clients > 0 && self.keys_max > 0 && self.keys.len() > self.keys_max;
        if !self.is_over {
            self.rounds_over = 0;
        }
    }
}

impl Session {
    /// Whether it is told of what it reads.
    fn tracks_reads(&self) -> bool {
        self.tracking.as_ref().is_some_and(|tracking| match tracking.mode {
            Mode::Reads => true,
            Mode::OptIn => tracking.is_exception,
            Mode::OptOut => !tracking.is_exception,
            Mode::Broadcast => false,
        })
    }
}

impl Engine {
    /// Begins to track for a session, or changes how. What it listened to by prefix it goes on listening to.
    pub(crate) fn track(
        &mut self,
        connection: ConnectionId,
        mode: Mode,
        redirect: Option<ConnectionId>,
        skips_own: bool,
        prefixes: &[&[u8]],
    ) {
        let Some(session) = self.sessions.get_mut(connection) else { return };
        let former = session.tracking.take();
        self.tracking.clients += usize::from(former.is_none());
        let (is_exception, mut names) =
            former.map_or_else(Default::default, |former| (former.is_exception, former.prefixes));
        if mode == Mode::Broadcast {
            let everything: &[&[u8]] = &[b""];
            let prefixes = if prefixes.is_empty() { everything } else { prefixes };
            names.extend(prefixes.iter().map(|prefix| self.tracking.broadcasts.listen(prefix, connection)));
        }
        let tracking =
            SessionTracking { mode, redirect, is_broken: false, skips_own, is_exception, prefixes: names };
        session.tracking = Some(Box::new(tracking));
        self.tracking.note_size();
        self.listen_to_units();
    }

    /// Tracks nothing more for a session. What it has read is forgotten when it changes, or with the last session.
    pub(crate) fn untrack(&mut self, connection: ConnectionId) {
        let tracking = self.sessions.get_mut(connection).and_then(|session| session.tracking.take());
        let Some(tracking) = tracking else { return };
        for prefix in &tracking.prefixes {
            self.tracking.broadcasts.leave(prefix, connection);
        }
        self.tracking.clients -= 1;
        if self.tracking.clients == 0 {
            self.tracking.discard_keys();
        }
        self.tracking.note_size();
        self.listen_to_units();
    }

    /// After a request that ran while somebody tracks: remembers what its client has read, and that what CLIENT
    /// CACHING has said is over.
    #[cold]
    pub(crate) fn remember_reads(
        &mut self,
        now: Now,
        connection: ConnectionId,
        id: CommandId,
        args: Args<'_>,
        world: &mut World<'_>,
    ) {
        let Some(session) = self.sessions.get_mut(connection) else { return };
        let command = &self.commands[id];
        // Scripts read by commands of their own; shard channels are no keys.
        let reads = command.flags.has(Flags::READONLY) && command.group != Group::Scripting;
        let tracks = reads && session.tracks_reads();
        let is_alone = session.transaction.is_none() && !self.is_in_exec;
        let is_outside = is_alone && !command.full_name.starts_with("client|");
        if let Some(tracking) = &mut session.tracking
            && is_outside
        {
            tracking.is_exception = false;
        }
        if !tracks {
            return;
        }
        let database = self.keyspace.db(session.database);
        let positions = command.keys.iter().filter_map(|spec| key_positions(spec, args));
        let mut displaced = Vec::new();
        for at in positions.flat_map(|range| range.positions()) {
            let key = args.get(at);
            displaced.extend(self.tracking.keys.remember(database.hash(key), key, connection));
        }
        self.tracking.note_size();
        displaced.iter().for_each(|tracked| self.tell_readers(now, tracked, world));
        if !displaced.is_empty() && !self.is_in_exec {
            self.stamp_pushes(None, world);
        }
    }

    /// Tells those who may have copies what the request that has just run has changed.
    #[cold]
    pub(crate) fn tell_trackers(&mut self, now: Now, world: &mut World<'_>) {
        // Telling somebody touches no unit.
        let unit = std::mem::take(&mut self.unit);
        if unit.has_flushed() {
            self.tell_of_flush(now, world);
        }
        let touched = unit.touched()[self.told_keys..].iter();
        for touched in touched.filter(|touched| touched.concerns == Concerns::Everyone) {
            if let Some(tracked) = self.tracking.keys.take(touched.hash) {
                self.tell_readers(now, &tracked, world);
            }
        }
        for (key, is_unasked) in unit.touched_names() {
            self.tracking.broadcasts.note(key, self.executing.filter(|_| !is_unasked));
        }
        self.unit = unit;
        self.tracking.note_size();
    }

    fn tell_readers(&mut self, now: Now, tracked: &TrackedKey, world: &mut World<'_>) {
        for &reader in &tracked.readers {
            let session = self.sessions.get(reader);
            let tracking = session.and_then(|session| session.tracking.as_ref());
            let concerns = tracking.is_some_and(|tracking| {
                tracking.mode != Mode::Broadcast && !(tracking.skips_own && self.executing == Some(reader))
            });
            if concerns {
                self.tell_to_forget(now, reader, &Forget::Key(&tracked.key), world);
            }
        }
    }

    /// All keys have changed at once.
    fn tell_of_flush(&mut self, now: Now, world: &mut World<'_>) {
        self.tracking.discard_keys();
        let trackers: Vec<ConnectionId> = self
            .sessions
            .present()
            .filter(|session| session.tracking.is_some())
            .map(|session| session.id)
            .collect();
        for tracker in trackers {
            self.tell_to_forget(now, tracker, &Forget::Everything, world);
        }
    }

    /// Takes some keys out of a table that is too large. Who has read them is told as if they had changed.
    #[cold]
    pub(crate) fn shed_tracked_keys(&mut self, now: Now, world: &mut World<'_>) {
        for _ in 0..SHED_KEYS * (self.tracking.rounds_over + 1) {
            let Some(tracked) = self.tracking.keys.take_from(self.dice.roll()) else { break };
            self.tell_readers(now, &tracked, world);
            if self.tracking.keys.len() <= self.tracking.keys_max {
                break;
            }
        }
        self.tracking.rounds_over += 1;
        self.tracking.note_size();
        // No unit has caused this: it waits for nothing.
        self.stamp_pushes(None, world);
    }

    /// Frees tables that are no longer needed.
    pub(crate) fn free_tracked_keys(&mut self, world: &mut World<'_>) {
        if self.tracking.discarded.is_empty() {
            return;
        }
        let discarded = std::mem::take(&mut self.tracking.discarded);
        self.free_elsewhere(discarded, world);
    }

    /// Tells of the keys under prefixes that have changed in this turn.
    pub(crate) fn settle_broadcasts(&mut self, now: Now, world: &mut World<'_>) {
        if !self.tracking.broadcasts.has_changes() {
            return;
        }
        for (changes, listeners) in self.tracking.broadcasts.take_changes() {
            for listener in listeners {
                let session = self.sessions.get(listener);
                let tracking = session.and_then(|session| session.tracking.as_ref());
                let Some(tracking) = tracking else { continue };
                let skipped = Some(listener).filter(|_| tracking.skips_own);
                self.tell_to_forget(now, listener, &Forget::Keys(&changes, skipped), world);
            }
        }
        // They tell of changes that may not be durable yet.
        let stamp = self.durability.stamp(self.journal.position());
        self.stamp_pushes(stamp, world);
    }

    /// Tells one client, or whom it redirects to, what to forget.
    fn tell_to_forget(&mut self, now: Now, tracker: ConnectionId, what: &Forget<'_>, world: &mut World<'_>) {
        if what.is_nothing() {
            return;
        }
        let Some(session) = self.sessions.get_mut(tracker) else { return };
        let Some(tracking) = &mut session.tracking else { return };
        let (redirect, proto) = (tracking.redirect, session.proto);
        let target = redirect.unwrap_or(tracker);
        let listener = self.sessions.get(target).filter(|session| !session.is_closing);
        let mut frame = std::mem::take(&mut self.push_frame);
        frame.clear();
        let told = match listener {
            Some(listener) => {
                let channel = listener.subscriptions.is_some() && redirect.is_some();
                write_message(&mut frame, listener.proto, channel, what).then_some(target)
            }
            None if redirect.is_some() => {
                self.note_broken(tracker);
                write_broken(&mut frame, proto, target).then_some(tracker)
            }
            None => None,
        };
        if let Some(told) = told {
            self.push(now, told, &frame, world);
        }
        self.push_frame = frame;
    }

    fn note_broken(&mut self, tracker: ConnectionId) {
        let session = self.sessions.get_mut(tracker);
        if let Some(tracking) = session.and_then(|session| session.tracking.as_mut()) {
            tracking.is_broken = true;
        }
    }
}

impl Forget<'_> {
    fn is_nothing(&self) -> bool {
        match self {
            Forget::Key(_) | Forget::Everything => false,
            Forget::Keys(changes, skipped) => skipped.is_some() && changes.values().all(|by| by == skipped),
        }
    }

    fn write(&self, reply: &mut Reply<'_>) {
        match self {
            Forget::Key(key) => {
                reply.array(1);
                reply.bulk(key);
            }
            Forget::Keys(changes, skipped) => {
                let told = || changes.iter().filter(|(_, by)| skipped.is_none() || *by != skipped);
                reply.array(told().count());
                told().for_each(|(key, _)| reply.bulk(key));
            }
            Forget::Everything => reply.null(),
        }
    }
}

/// Writes an invalidation, if it can be told to this client: as a message on a channel to one of RESP2.
fn write_message(frame: &mut Vec<u8>, proto: Proto, has_channel: bool, what: &Forget<'_>) -> bool {
    let mut reply = Reply::new(frame, proto);
    if proto == Proto::Resp3 {
        reply.array(2);
        reply.bulk(b"invalidate");
    } else if has_channel {
        reply.array(3);
        reply.bulk(b"message");
        reply.bulk(CHANNEL);
    } else {
        return false;
    }
    what.write(&mut reply);
    true
}

/// Writes that the connection that invalidations were redirected to is gone, if it can be told.
fn write_broken(frame: &mut Vec<u8>, proto: Proto, target: ConnectionId) -> bool {
    if proto == Proto::Resp2 {
        return false;
    }
    let mut reply = Reply::new(frame, proto);
    reply.array(2);
    reply.bulk(b"tracking-redir-broken");
    reply.integer(target.serial as i64);
    true
}

#[cfg(test)]
mod tests;
