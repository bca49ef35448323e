//! The sections that count: `stats`, `commandstats`, `errorstats`, `keyspace`, `policies`.

use tenon_policy::{Decision, Fsync, Guard, Snapshot, Status};

use super::{Facts, Lines, safe};
use crate::pubsub::Space;

pub(super) fn stats(lines: &mut Lines, facts: &Facts<'_>) {
    let (engine, stats) = (facts.engine, &facts.engine.stats);
    lines.field("total_connections_received", stats.connections_received);
    lines.field("total_commands_processed", stats.commands_processed);
    lines.field("instantaneous_ops_per_sec", stats.ops_per_second());
    lines.field("total_net_input_bytes", stats.net_input_bytes);
    lines.field("total_net_output_bytes", stats.sent.bytes);
    lines.zeros(&["total_net_repl_input_bytes"]);
    lines.field("total_net_repl_output_bytes", stats.sent.shared_bytes);
    lines.hundredths("instantaneous_input_kbps", kilobytes(stats.input_bytes_per_second()));
    lines.hundredths("instantaneous_output_kbps", kilobytes(stats.output_bytes_per_second()));
    lines.hundredths("instantaneous_input_repl_kbps", 0.0);
    lines.hundredths("instantaneous_output_repl_kbps", 0.0);
    lines.field("rejected_connections", stats.connections_rejected);
    let syncs = engine.replication.primary.counts();
    lines.field("sync_full", syncs.full);
    lines.field("sync_partial_ok", syncs.partial_ok);
    lines.field("sync_partial_err", syncs.partial_refused);
    lines.field("sync_delayed_writes", stats.delayed_for_sync);
    lines.field("expired_keys", stats.expired_keys);
    lines.hundredths("expired_stale_perc", 0.0);
    lines.field("expired_time_cap_reached_count", stats.expire_cycle_cut_short);
    lines.field("expire_cycle_cpu_milliseconds", stats.expire_cycle_us / 1_000);
    lines.field("evicted_keys", stats.evicted_keys);
    lines.field("evicted_clients", stats.evicted_clients);
    let exceeded = engine.eviction.exceeded_for(facts.now.steady);
    lines.field("total_eviction_exceeded_time", stats.eviction_exceeded_us / 1_000 + exceeded.millis());
    lines.field("current_eviction_exceeded_time", exceeded.millis());
    lines.field("keyspace_hits", engine.lookups.hits);
    lines.field("keyspace_misses", engine.lookups.misses);
    lines.field("pubsub_channels", engine.pubsub.count(Space::Channels));
    lines.field("pubsub_patterns", engine.pubsub.count(Space::Patterns));
    lines.field("pubsubshard_channels", engine.pubsub.count(Space::ShardChannels));
    // Nothing is forked; what stands in for a fork is a cut.
    lines.zeros(&["latest_fork_usec"]);
    lines.field("total_forks", engine.snapshots.cuts);
    lines.field("migrate_cached_sockets", engine.migrations.links());
    let following = engine.replication.following.as_ref();
    lines.field("slave_expires_tracked_keys", following.map_or(0, |following| following.own_keys()));
    lines.zeros(NEVER_USED);
    let [_, keys, items, prefixes] = engine.tracking.counts();
    lines.field("tracking_total_keys", keys);
    lines.field("tracking_total_items", items);
    lines.field("tracking_total_prefixes", prefixes);
    lines.field("unexpected_error_replies", stats.unexpected_error_replies);
    lines.field("total_error_replies", stats.error_replies);
    lines.zeros(&["dump_payload_sanitizations"]);
    lines.field("total_reads_processed", stats.reads);
    lines.field("total_writes_processed", stats.sent.sends);
    lines.zeros(&[
        "io_threaded_reads_processed",
        "io_threaded_writes_processed",
        "reply_buffer_shrinks",
        "reply_buffer_expands",
    ]);
    let spent_us: u64 = stats.calls.iter().map(|counts| counts.usec).sum();
    lines.field("eventloop_cycles", stats.turns);
    lines.field("eventloop_duration_sum", stats.turns_by_part.whole_us);
    lines.field("eventloop_duration_cmd_sum", spent_us);
    lines.field("instantaneous_eventloop_cycles_per_sec", stats.turns_per_second());
    lines.field("instantaneous_eventloop_duration_usec", stats.turn_microseconds());
    lines.field("acl_access_denied_auth", stats.logins_refused);
    lines.field("acl_access_denied_cmd", stats.commands_denied);
    lines.field("acl_access_denied_key", stats.keys_denied);
    lines.field("acl_access_denied_channel", stats.channels_denied);
}

/// Counters of what does not exist here: defragmentation.
const NEVER_USED: &[&str] = &[
    "active_defrag_hits",
    "active_defrag_misses",
    "active_defrag_key_hits",
    "active_defrag_key_misses",
    "total_active_defrag_time",
    "current_active_defrag_time",
];

fn kilobytes(bytes: u64) -> f64 {
    bytes as f64 / 1_024.0
}

/// Commands that were called or refused since the counters began.
pub(super) fn commands(lines: &mut Lines, facts: &Facts<'_>) {
    let table = &facts.engine.commands;
    for id in table.ids() {
        let counts = facts.engine.stats.calls[id.index()];
        if counts.calls == 0 && counts.rejected == 0 && counts.failed == 0 {
            continue;
        }
        let mean_us = if counts.calls == 0 { 0.0 } else { counts.usec as f64 / counts.calls as f64 };
        lines.line(format_args!(
            "cmdstat_{}:calls={},usec={},usec_per_call={mean_us:.2},rejected_calls={},failed_calls={}",
            table[id].full_name, counts.calls, counts.usec, counts.rejected, counts.failed
        ));
    }
}

/// Percentiles of the times of commands.
pub(super) fn latencies(lines: &mut Lines, facts: &Facts<'_>) {
    let engine = facts.engine;
    for id in engine.commands.ids() {
        let Some(histogram) = engine.stats.histogram(id) else { continue };
        let percentiles: Vec<String> = engine
            .config
            .percentiles()
            .iter()
            .map(|percent| format!("p{percent}={:.3}", histogram.percentile_ns(*percent) as f64 / 1_000.0))
            .collect();
        lines.line(format_args!(
            "latency_percentiles_usec_{}:{}",
            engine.commands[id].full_name,
            percentiles.join(",")
        ));
    }
}

pub(super) fn errors(lines: &mut Lines, facts: &Facts<'_>) {
    for (code, count) in &facts.engine.stats.errors {
        lines.line(format_args!("errorstat_{}:count={count}", safe(code)));
    }
}

/// Databases that hold something.
pub(super) fn keyspace(lines: &mut Lines, facts: &Facts<'_>) {
    let keyspace = &facts.engine.keyspace;
    for number in 0..keyspace.databases() {
        let database = keyspace.db(number);
        if !database.is_empty() {
            lines.line(format_args!(
                "db{number}:keys={},expires={},avg_ttl={}",
                database.len(),
                database.volatile_len(),
                database.average_ttl_ms()
            ));
        }
    }
}

/// What turns are spent with; shown only where it is asked for by name.
pub(super) fn debug(lines: &mut Lines, facts: &Facts<'_>) {
    let times = &facts.engine.stats.turns_by_part;
    lines.field("eventloop_duration_aof_sum", times.log_us);
    lines.field("eventloop_duration_cron_sum", times.cron_us);
    lines.field("eventloop_duration_max", times.longest_us);
    lines.field("eventloop_cmd_per_cycle_max", times.commands_max);
}

pub(super) fn policies(lines: &mut Lines, facts: &Facts<'_>) {
    let policies = &facts.engine.policies;
    write_policy(lines, Fsync::NAME, "", &policies.fsync);
    write_policy(lines, Snapshot::NAME, "", &policies.snapshot);
    if let Some(shadow) = &policies.fsync_shadow {
        let compared = format!(",agreed={},differed={}", shadow.agreed(), shadow.differed());
        write_policy(lines, "fsync_shadow", &compared, shadow.guard());
    }
}

fn write_policy<D: Decision>(lines: &mut Lines, name: &str, more: &str, guard: &Guard<D>) {
    let status = match guard.status() {
        Status::Component => "component",
        Status::Native => "native",
        Status::Refused => "refused",
        Status::Quarantined => "quarantined",
    };
    let statistics = guard.statistics();
    lines.line(format_args!(
        "policy_{name}:running={},status={status},calls={},call_ns={},fallbacks={},refused={}{more}",
        safe(guard.running()),
        statistics.calls,
        statistics.call_ns_mean(),
        statistics.fallbacks,
        statistics.refused
    ));
}
