//! The sections `replication` and `cluster`: a primary without replicas, and no cluster.

use tenon_config::Directive;

use super::{Facts, Lines};

/// How an id that is not set is written.
const NO_ID: &str = "0000000000000000000000000000000000000000";

pub(super) fn replication(lines: &mut Lines, facts: &Facts<'_>) {
    let config = &facts.engine.config;
    lines.field("role", "master");
    lines.zeros(&["connected_slaves"]);
    let counts_replicas =
        config.integer(Directive::MinReplicasToWrite) > 0 && config.integer(Directive::MinReplicasMaxLag) > 0;
    if counts_replicas {
        lines.zeros(&["min_slaves_good_slaves"]);
    }
    lines.field("master_failover_state", "no-failover");
    lines.field("master_replid", &facts.engine.replication_id);
    lines.field("master_replid2", NO_ID);
    lines.field("master_repl_offset", facts.engine.journal.offset().0);
    lines.field("second_repl_offset", -1);
    lines.zeros(&["repl_backlog_active"]);
    lines.field("repl_backlog_size", config.memory(Directive::ReplBacklogSize));
    lines.zeros(&["repl_backlog_first_byte_offset", "repl_backlog_histlen"]);
}

pub(super) fn cluster(lines: &mut Lines, _: &Facts<'_>) {
    lines.flag("cluster_enabled", false);
}
