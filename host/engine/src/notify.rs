//! Keyspace notifications: the events of a unit as messages to subscribers, as `notify-keyspace-events` selects them.
//! Always: in the order in which the events happened, behind the unit's change and before its reply.

use std::io::Write;

use tenon_base::{Now, World};
use tenon_config::KeyspaceEvents;

use crate::engine::Engine;
use crate::pubsub::Space;

/// Whether `notify-keyspace-events` selects anything: a class of events, and a channel to tell them on.
pub(crate) fn is_wanted(selected: KeyspaceEvents) -> bool {
    selected.has(b'K') || selected.has(b'E')
}

impl Engine {
    /// Publishes the events of the running request.
    #[cold]
    pub(crate) fn notify_events(&mut self, now: Now, world: &mut World<'_>) {
        let selected = self.notified;
        // Publishing touches no unit.
        let unit = std::mem::take(&mut self.unit);
        let mut channel = Vec::new();
        for (event, database, key) in unit.events() {
            if !selected.has(event.class.letter()) {
                continue;
            }
            let name = event.name.as_bytes();
            for (letter, kind, last, message) in
                [(b'K', "keyspace", key, name), (b'E', "keyevent", name, key)]
            {
                if selected.has(letter) {
                    channel.clear();
                    // A vector takes everything.
                    let _ = write!(channel, "__{kind}@{database}__:");
                    channel.extend_from_slice(last);
                    self.publish(Space::Channels, &channel, message, now, world);
                }
            }
        }
        self.unit = unit;
    }
}
