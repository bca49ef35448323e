//! Where an engine stands, for whoever runs it in a simulated world and must judge it from outside. No command reads it.
//! Always: looking changes nothing.

use tenon_aof::Phase;
use tenon_journal::{LogPosition, ReplicationOffset};
use tenon_keyspace::Keyspace;
use tenon_replication::History;

use crate::engine::Engine;

/// Where an engine stands between two inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What was saved is loaded, and clients are served.
    pub is_serving: bool,
    /// Behind the last unit that changed something.
    pub position: LogPosition,
    /// Up to where the log was written and synced; `None` while no log holds everything.
    pub log: Option<LogReach>,
    /// Whose stream the offset counts.
    pub history: History,
    /// Behind the last byte of the replication stream.
    pub offset: ReplicationOffset,
    /// The stream is kept for replicas: so the offset counts everything.
    pub has_backlog: bool,
    /// It follows a primary, or wants to.
    pub is_following: bool,
    /// It follows, and nothing stands between it and its primary's stream.
    pub is_linked: bool,
}

/// Up to where the log has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogReach {
    /// Behind the last unit that the operating system has.
    pub written: LogPosition,
    /// Behind the last unit that the disk has.
    pub synced: LogPosition,
}

impl Engine {
    /// The data.
    pub fn keyspace(&self) -> &Keyspace {
        &self.keyspace
    }

    /// Where it stands.
    pub fn standing(&self) -> Standing {
        let log = self.durability.log().filter(|log| log.phase() == Phase::On);
        let following = self.replication.following.as_ref();
        Standing {
            is_serving: self.is_started && !self.is_over,
            position: self.journal.position(),
            log: log.map(|log| LogReach { written: log.written(), synced: log.synced() }),
            history: *self.replication.primary.history(),
            offset: self.journal.offset(),
            has_backlog: self.replication.primary.backlog().is_some(),
            is_following: self.replication.is_following,
            is_linked: following.is_some_and(|following| following.upstream.is_up()),
        }
    }
}
