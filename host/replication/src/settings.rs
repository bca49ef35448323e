//! What of the configuration a primary goes by.

use tenon_base::Micros;

/// The directives in force, in units that need no thought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `repl-backlog-size`.
    pub backlog_bytes: u64,
    /// `repl-backlog-ttl`: how long the backlog outlives the last replica; `None` for ever.
    pub backlog_ttl: Option<Micros>,
    /// `repl-ping-replica-period`.
    pub ping_period: Micros,
    /// `repl-timeout`.
    pub timeout: Micros,
    /// `repl-diskless-sync`.
    pub is_diskless: bool,
    /// `repl-diskless-sync-delay`: how long a snapshot waits for more replicas to come.
    pub diskless_delay: Micros,
    /// `repl-diskless-sync-max-replicas`: so many need not wait; `None` if all do.
    pub diskless_replicas_max: Option<usize>,
    /// `min-replicas-to-write`.
    pub replicas_min: usize,
    /// `min-replicas-max-lag`, in seconds; 0 asks for no replica at all.
    pub lag_seconds_max: u64,
    /// `client-output-buffer-limit replica`.
    pub output: OutputLimit,
    /// `repl-sync-delay-max`: what a write may be delayed by for the sake of a full synchronization; 0 for not at all.
    pub sync_delay_max: Micros,
    /// `dual-channel-replication-enabled`: a replica that can may get its snapshot on a link of its own.
    pub two_links: bool,
}

/// How far a replica may be behind before it is let go. 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimit {
    /// Let go at once from here on (bytes).
    pub hard_bytes: u64,
    /// Let go when it has been this far behind (bytes) for `soft`.
    pub soft_bytes: u64,
    /// See `soft_bytes`.
    pub soft: Micros,
}
