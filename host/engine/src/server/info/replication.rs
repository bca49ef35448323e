//! The sections `replication` and `cluster`: a primary and its replicas, and no cluster.

use tenon_config::Directive;
use tenon_replication::State;

use super::{Facts, Lines, safe};
use crate::following::Following;

/// How an id that is not set is written.
const NO_ID: &str = "0000000000000000000000000000000000000000";

pub(super) fn replication(lines: &mut Lines, facts: &Facts<'_>) {
    let config = &facts.engine.config;
    let primary = &facts.engine.replication.primary;
    let now = facts.now.steady;
    match &facts.engine.replication.following {
        Some(following) => follower(lines, facts, following),
        None => lines.field("role", "master"),
    }
    lines.field("connected_slaves", primary.replicas().len());
    let counts_replicas =
        config.integer(Directive::MinReplicasToWrite) > 0 && config.integer(Directive::MinReplicasMaxLag) > 0;
    if counts_replicas {
        lines.field("min_slaves_good_slaves", primary.good_replicas(now));
    }
    for (index, replica) in primary.replicas().iter().enumerate() {
        let lag = if replica.state == State::Online { replica.lag_seconds(now) } else { 0 };
        lines.line(format_args!(
            "slave{index}:ip={},port={},state={},offset={},lag={lag}",
            shown(&replica.address),
            replica.handshake.listening_port,
            replica.state.name(),
            replica.acked,
        ));
    }
    if let Some(progress) = primary.sync_progress(now, facts.outputs) {
        let expected = progress.expected_bytes.unwrap_or(0);
        lines.field("replica_sync_sent_bytes", progress.sent_bytes);
        lines.field("replica_sync_expected_bytes", expected);
        lines.hundredths("replica_sync_perc", share(progress.sent_bytes, expected));
        match progress.left {
            Some(left) => lines.field("replica_sync_left_seconds", left.millis() / 1_000),
            None => lines.field("replica_sync_left_seconds", -1),
        }
        lines.field("replica_sync_gathered_bytes", progress.gathered_bytes);
    }
    lines.field("master_failover_state", facts.engine.failover.state_name());
    let history = primary.history();
    lines.field("master_replid", history.id);
    match history.second {
        Some(second) => lines.field("master_replid2", second.id),
        None => lines.field("master_replid2", NO_ID),
    }
    lines.field("master_repl_offset", facts.engine.journal.offset());
    match history.second {
        Some(second) => lines.field("second_repl_offset", second.valid_to + 1),
        None => lines.field("second_repl_offset", -1),
    }
    let backlog = primary.backlog().map(|stream| facts.outputs.stream(stream));
    lines.flag("repl_backlog_active", backlog.is_some());
    lines.field("repl_backlog_size", config.memory(Directive::ReplBacklogSize));
    lines.field("repl_backlog_first_byte_offset", backlog.map_or(0, |stream| stream.start() + 1));
    lines.field("repl_backlog_histlen", backlog.map_or(0, |stream| stream.len()));
}

/// What a follower says of its primary.
fn follower(lines: &mut Lines, facts: &Facts<'_>, following: &Following) {
    let upstream = &following.upstream;
    let (config, now) = (&facts.engine.config, facts.now.steady);
    let seconds_since = |moment| now.since(moment).millis() / 1_000;
    let (host, port) = upstream.address();
    let offset = facts.engine.journal.offset();
    lines.field("role", "slave");
    lines.field("master_host", shown(host));
    lines.field("master_port", port);
    lines.field("master_link_status", if upstream.is_up() { "up" } else { "down" });
    if upstream.is_up() {
        lines.field("master_last_io_seconds_ago", seconds_since(upstream.heard_at()));
    } else {
        lines.field("master_last_io_seconds_ago", -1);
    }
    let progress = following.snapshot_progress();
    lines.flag("master_sync_in_progress", progress.is_some());
    lines.field("slave_read_repl_offset", offset + following.held_bytes() as u64);
    lines.field("slave_repl_offset", offset);
    if let Some((received, all)) = progress {
        let total = all.unwrap_or(0);
        lines.field("master_sync_total_bytes", total);
        lines.field("master_sync_read_bytes", received);
        lines.field("master_sync_left_bytes", i128::from(total) - i128::from(received));
        lines.hundredths("master_sync_perc", share(received, total));
        lines.field("master_sync_last_io_seconds_ago", seconds_since(upstream.heard_at()));
    }
    if following.has_gathered() {
        lines.field("replica_gathered_bytes", following.gathered_bytes());
    }
    if !upstream.is_up() {
        lines.field("master_link_down_since_seconds", seconds_since(upstream.down_since()));
    }
    lines.field("slave_priority", config.integer(Directive::ReplicaPriority));
    lines.flag("slave_read_only", config.bool(Directive::ReplicaReadOnly));
    lines.flag("replica_announced", config.bool(Directive::ReplicaAnnounced));
}

/// What part is of a whole, in percent; 0 where the whole is not known.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64 * 100.0).min(100.0) }
}

/// An address that a replica chose, so that it cannot break the line; of IPv6 the colons stay.
fn shown(address: &str) -> String {
    address.split(':').map(safe).collect::<Vec<_>>().join(":")
}

pub(super) fn cluster(lines: &mut Lines, _: &Facts<'_>) {
    lines.flag("cluster_enabled", false);
}
