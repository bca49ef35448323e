//! Who has subscribed to what, and how messages reach them. The commands are in `server/pubsub`, keyspace events in
//! `notify`, MONITOR's lines in `server/monitor`.
//! Always: a message is formatted once, however many hear it; who publishes to itself hears it behind the reply; a
//! message that a unit caused waits for what the unit's reply waits for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tenon_base::{ConnectionId, Now, SegmentKind, Stamp, World, glob_matches};
use tenon_commands::Words;
use tenon_resp::{Args, Proto, write_array_header, write_bulk};

use crate::engine::Engine;
use crate::session::{ReplyMode, Session};

/// The three name spaces of subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Space {
    /// SUBSCRIBE.
    Channels,
    /// PSUBSCRIBE.
    Patterns,
    /// SSUBSCRIBE.
    ShardChannels,
}

impl Space {
    /// Where a request publishes to, if that is what it does.
    pub(crate) fn of_message(args: Args<'_>) -> Option<Space> {
        let is_message = |name| args.len() == 3 && args.is(0, name);
        if is_message("PUBLISH") {
            return Some(Space::Channels);
        }
        is_message("SPUBLISH").then_some(Space::ShardChannels)
    }
}

/// All subscriptions, by name.
#[derive(Default)]
pub(crate) struct Pubsub {
    spaces: [Names; 3],
}

type Names = BTreeMap<Arc<[u8]>, BTreeMap<u32, ConnectionId>>;

/// The subscriptions of one session.
#[derive(Default)]
pub(crate) struct Subscriptions {
    spaces: [BTreeSet<Arc<[u8]>>; 3],
}

impl Subscriptions {
    /// How many there are in a name space.
    pub(crate) fn count(&self, space: Space) -> usize {
        self.spaces[space as usize].len()
    }

    /// The names of a space.
    pub(crate) fn names(&self, space: Space) -> impl Iterator<Item = &[u8]> {
        self.spaces[space as usize].iter().map(|name| &**name)
    }

    fn is_empty(&self) -> bool {
        self.spaces.iter().all(BTreeSet::is_empty)
    }
}

impl Session {
    /// How many names of a space it has subscribed to.
    pub(crate) fn subscription_count(&self, space: Space) -> usize {
        self.subscriptions.as_ref().map_or(0, |subscriptions| subscriptions.count(space))
    }
}

impl Pubsub {
    /// How many names of a space have subscribers.
    pub(crate) fn count(&self, space: Space) -> usize {
        self.spaces[space as usize].len()
    }

    /// The names of a space that have subscribers.
    pub(crate) fn names(&self, space: Space) -> impl Iterator<Item = &[u8]> {
        self.spaces[space as usize].keys().map(|name| &**name)
    }

    /// How many have subscribed to a name.
    pub(crate) fn subscribers(&self, space: Space, name: &[u8]) -> usize {
        self.spaces[space as usize].get(name).map_or(0, BTreeMap::len)
    }

    /// Whether nobody listens to anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.spaces.iter().all(BTreeMap::is_empty)
    }

    fn remove(&mut self, space: Space, name: &[u8], connection: ConnectionId) {
        let names = &mut self.spaces[space as usize];
        if let Some(subscribers) = names.get_mut(name) {
            subscribers.remove(&connection.slot);
            if subscribers.is_empty() {
                names.remove(name);
            }
        }
    }
}

impl Engine {
    /// Subscribes a session to a name.
    pub(crate) fn subscribe(&mut self, connection: ConnectionId, space: Space, name: &[u8]) {
        let Some(session) = self.sessions.get_mut(connection) else { return };
        let own = &mut session.subscriptions.get_or_insert_default().spaces[space as usize];
        if own.contains(name) {
            return;
        }
        let names = &mut self.pubsub.spaces[space as usize];
        let name = names.get_key_value(name).map_or_else(|| Arc::from(name), |(known, _)| Arc::clone(known));
        own.insert(Arc::clone(&name));
        names.entry(name).or_default().insert(connection.slot, connection);
    }

    /// Takes a subscription back, if there is one.
    pub(crate) fn unsubscribe(&mut self, connection: ConnectionId, space: Space, name: &[u8]) {
        let Some(session) = self.sessions.get_mut(connection) else { return };
        let Some(subscriptions) = &mut session.subscriptions else { return };
        if subscriptions.spaces[space as usize].remove(name) {
            self.pubsub.remove(space, name, connection);
        }
        if subscriptions.is_empty() {
            session.subscriptions = None;
        }
    }

    /// What a session has subscribed to.
    pub(crate) fn subscribed_names(&self, connection: ConnectionId, space: Space) -> Vec<Arc<[u8]>> {
        let session = self.sessions.get(connection);
        let subscriptions = session.and_then(|session| session.subscriptions.as_ref());
        subscriptions.map_or(Vec::new(), |own| own.spaces[space as usize].iter().cloned().collect())
    }

    /// Takes all subscriptions of a session back, without a word.
    pub(crate) fn unsubscribe_all(&mut self, connection: ConnectionId) {
        let Some(session) = self.sessions.get_mut(connection) else { return };
        let Some(subscriptions) = session.subscriptions.take() else { return };
        for space in [Space::Channels, Space::Patterns, Space::ShardChannels] {
            for name in &subscriptions.spaces[space as usize] {
                self.pubsub.remove(space, name, connection);
            }
        }
    }

    /// Sends a message to the subscribers of a channel and, if it is no shard channel, of matching patterns. Returns
    /// how many there were.
    pub(crate) fn publish(
        &mut self,
        space: Space,
        channel: &[u8],
        message: &[u8],
        now: Now,
        world: &mut World<'_>,
    ) -> usize {
        if self.pubsub.is_empty() {
            return 0;
        }
        // Telling somebody changes no subscription: they can stand aside meanwhile.
        let pubsub = std::mem::take(&mut self.pubsub);
        let mut frame = std::mem::take(&mut self.push_frame);
        let mut receivers = 0;
        if let Some(subscribers) = pubsub.spaces[space as usize].get(channel) {
            let kind: &[u8] = if space == Space::ShardChannels { b"smessage" } else { b"message" };
            write_frame(&mut frame, &[kind, channel, message]);
            receivers += subscribers.len();
            subscribers.values().for_each(|&subscriber| self.push(now, subscriber, &frame, world));
        }
        if space == Space::Channels {
            for (pattern, subscribers) in &pubsub.spaces[Space::Patterns as usize] {
                if glob_matches(pattern, channel) {
                    write_frame(&mut frame, &[b"pmessage", pattern, channel, message]);
                    receivers += subscribers.len();
                    subscribers.values().for_each(|&subscriber| self.push(now, subscriber, &frame, world));
                }
            }
        }
        (self.pubsub, self.push_frame) = (pubsub, frame);
        receivers
    }

    /// Appends a message to what a client is sent. `frame` is an array; a client of RESP3 gets it as a push.
    pub(crate) fn push(&mut self, now: Now, to: ConnectionId, frame: &[u8], world: &mut World<'_>) {
        let is_logged = self.durability.is_on();
        let Some(session) = self.sessions.get_mut(to).filter(|session| !session.is_closing) else { return };
        let is_own = self.executing == Some(to);
        let out = if is_own { &mut self.own_pushes } else { world.outputs.push_writer(to) };
        let start = out.len();
        out.extend_from_slice(frame);
        if session.proto == Proto::Resp3 {
            out[start] = b'>';
        }
        if is_own {
            return;
        }
        // From here on everything that this client is sent until the unit ends waits with it.
        if is_logged && !std::mem::replace(&mut session.has_unstamped_pushes, true) {
            self.unstamped_pushes.push((to, start));
        }
        self.check_output_limit(now, to, world);
    }

    /// Appends a line of MONITOR.
    pub(crate) fn push_line(&mut self, now: Now, to: ConnectionId, line: &[u8], world: &mut World<'_>) {
        let session = self.sessions.get(to);
        if session.is_none_or(|session| session.is_closing || session.replies == ReplyMode::Off) {
            return;
        }
        if self.executing == Some(to) {
            self.own_pushes.extend_from_slice(line);
            return;
        }
        world.outputs.push_writer(to).extend_from_slice(line);
        self.check_output_limit(now, to, world);
    }

    /// The running unit has ended: what it pushed waits for `stamp`.
    pub(crate) fn stamp_pushes(&mut self, stamp: Option<Stamp>, world: &mut World<'_>) {
        for (connection, start) in self.unstamped_pushes.drain(..) {
            let Some(session) = self.sessions.get_mut(connection) else { continue };
            session.has_unstamped_pushes = false;
            if let (Some(stamp), false) = (stamp, session.is_gone) {
                world.outputs.hold(connection, start, stamp, SegmentKind::Push);
            }
        }
    }

    /// Appends what a request pushed to its own client, behind the reply.
    #[cold]
    pub(crate) fn release_own_pushes(
        &mut self,
        connection: ConnectionId,
        stamp: Option<Stamp>,
        world: &mut World<'_>,
    ) {
        let out = world.outputs.writer(connection);
        let start = out.len();
        out.append(&mut self.own_pushes);
        if let Some(stamp) = stamp {
            world.outputs.hold(connection, start, stamp, SegmentKind::Push);
        }
    }
}

/// Writes a message as an array of strings.
fn write_frame(frame: &mut Vec<u8>, words: &[&[u8]]) {
    frame.clear();
    write_array_header(frame, words.len());
    words.iter().for_each(|word| write_bulk(frame, word));
}
