//! CLIENT PAUSE: for a while, the requests of clients are kept instead of run: all of them, or those that write.
//! Meanwhile nothing is removed because its time has come; readers see it as gone all the same.
//! Always: what was kept runs in the order in which it came, once the pause is over.

use std::collections::VecDeque;

use tenon_base::{ConnectionId, Micros, Now, World};
use tenon_commands::Flags;
use tenon_resp::{Args, OwnedArgs};

use crate::engine::Engine;
use crate::session::Parked;

/// Which requests are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Those that write, or may be propagated.
    Writes,
    /// All.
    All,
}

/// The pause, if there is one, and who waits for its end.
#[derive(Default)]
pub(crate) struct Pause {
    running: Option<(Scope, Micros)>,
    /// A failover wants what is here to stay as it is, whatever clients ask for.
    is_for_failover: bool,
    /// A server that is about to leave lets its replicas have everything first.
    is_for_departure: bool,
    kept: VecDeque<ConnectionId>,
    /// What came from the primary that is followed waits, too.
    holds_stream: bool,
}

impl Pause {
    /// Whether there is a pause: then nothing expires.
    pub(crate) fn is_on(&self) -> bool {
        self.running.is_some() || self.is_for_failover || self.is_for_departure
    }

    /// Keeps writes until a failover has come to its end, or no longer.
    pub(crate) fn hold_for_failover(&mut self, is_held: bool) {
        self.is_for_failover = is_held;
    }

    /// Keeps writes until the server has left, or stays.
    pub(crate) fn hold_for_departure(&mut self, is_held: bool) {
        self.is_for_departure = is_held;
    }

    /// Whether a request for this command is kept.
    fn holds(&self, flags: Flags) -> bool {
        match self.running {
            Some((Scope::All, _)) => true,
            None if !self.is_on() => false,
            Some((Scope::Writes, _)) | None => flags.has(Flags::WRITE) || flags.has(Flags::MAY_REPLICATE),
        }
    }

    /// Begins a pause, or makes one that runs longer and wider; no pause is made shorter or narrower. `None` has no
    /// length.
    pub(crate) fn begin(&mut self, now: Micros, length_ms: Option<u64>, scope: Scope) {
        let end = length_ms.map_or(now, |length| now + Micros::from_millis(length));
        let (scope, end) = match self.running {
            Some((Scope::All, former)) => (Scope::All, end.max(former)),
            Some((Scope::Writes, former)) => (scope, end.max(former)),
            None => (scope, end),
        };
        self.running = Some((scope, end)).filter(|(_, end)| *end > now);
    }

    /// Ends the pause; what was kept runs when the turn settles.
    pub(crate) fn end(&mut self) {
        self.running = None;
    }

    /// Notes that the primary's stream waits for the end of the pause.
    pub(crate) fn hold_stream(&mut self) {
        self.holds_stream = true;
    }

    fn keeps_any(&self) -> bool {
        self.holds_stream || !self.kept.is_empty()
    }

    /// When settling is due if nothing else happens.
    pub(crate) fn wake_at(&self) -> Option<Micros> {
        match self.running {
            Some((_, end)) => Some(end),
            None => Some(Micros(0)).filter(|_| !self.is_on() && self.keeps_any()),
        }
    }
}

impl Engine {
    /// Keeps a request that may do what `flags` say if there is a pause for it. Says whether it did.
    pub(crate) fn keep_for_pause(&mut self, connection: ConnectionId, flags: Flags, args: Args<'_>) -> bool {
        if !self.pause.is_on() || !self.pause.holds(flags) {
            return false;
        }
        let Some(session) = self.sessions.get_mut(connection) else { return false };
        session.parked = Some(Parked::Again(OwnedArgs::from(args)));
        self.pause.kept.push_back(connection);
        true
    }

    /// Ends a pause whose time is up, and runs what was kept.
    pub(crate) fn settle_pause(&mut self, now: Now, world: &mut World<'_>) {
        if self.pause.running.is_some_and(|(_, end)| end <= now.steady) {
            self.pause.end();
        }
        if self.pause.is_on() {
            return;
        }
        if std::mem::take(&mut self.pause.holds_stream) {
            self.run_held_stream(now, world);
        }
        if self.pause.kept.is_empty() {
            return;
        }
        // What pauses anew keeps the others, behind those that it already has.
        let kept = std::mem::take(&mut self.pause.kept);
        self.run_kept_whole(now, kept, world);
    }
}

#[cfg(test)]
mod tests;
