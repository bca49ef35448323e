//! The sections `replication` and `cluster`: a primary and its replicas, and no cluster.

use tenon_config::Directive;
use tenon_replication::State;

use super::{Facts, Lines, safe};

/// How an id that is not set is written.
const NO_ID: &str = "0000000000000000000000000000000000000000";

pub(super) fn replication(lines: &mut Lines, facts: &Facts<'_>) {
    let config = &facts.engine.config;
    let primary = &facts.engine.replication.primary;
    let now = facts.now.steady;
    lines.field("role", "master");
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
    lines.field("master_failover_state", "no-failover");
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

/// An address that a replica chose, so that it cannot break the line; of IPv6 the colons stay.
fn shown(address: &str) -> String {
    address.split(':').map(safe).collect::<Vec<_>>().join(":")
}

pub(super) fn cluster(lines: &mut Lines, _: &Facts<'_>) {
    lines.flag("cluster_enabled", false);
}
