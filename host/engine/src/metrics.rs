//! What monitoring systems ask for: figures in Prometheus's format of text, and whether the server is ready.
//! The figures are those of INFO, read from its own lines, so that the two cannot disagree. Names are those under which
//! dashboards know Redis (redis_exporter's), else the field's own name behind `redis_` or `tenon_`.
//! Always: every line is `name{labels} number`; what comes from outside is escaped.

use std::fmt::{Display, Write};

use tenon_base::{Now, World};

use crate::engine::Engine;
use crate::loading::Loading;
use crate::server::info;

/// How a figure behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only goes up, until the server starts anew.
    Counter,
}

use Kind::{Counter, Gauge};

/// Fields of INFO that are one number, and the metric that each becomes.
const FIELDS: &[(&str, &str, Kind)] = &[
    ("uptime_in_seconds", "redis_uptime_in_seconds", Gauge),
    ("process_id", "redis_process_id", Gauge),
    ("connected_clients", "redis_connected_clients", Gauge),
    ("blocked_clients", "redis_blocked_clients", Gauge),
    ("tracking_clients", "redis_tracking_clients", Gauge),
    ("maxclients", "redis_config_maxclients", Gauge),
    ("clients_in_timeout_table", "redis_clients_in_timeout_table", Gauge),
    ("total_blocking_keys", "redis_total_blocking_keys", Gauge),
    ("client_recent_max_output_buffer", "redis_client_recent_max_output_buffer_bytes", Gauge),
    ("client_recent_max_input_buffer", "redis_client_recent_max_input_buffer_bytes", Gauge),
    ("allocator_active", "redis_allocator_active_bytes", Gauge),
    ("allocator_allocated", "redis_allocator_allocated_bytes", Gauge),
    ("allocator_resident", "redis_allocator_resident_bytes", Gauge),
    ("allocator_frag_ratio", "redis_allocator_frag_ratio", Gauge),
    ("allocator_frag_bytes", "redis_allocator_frag_bytes", Gauge),
    ("allocator_rss_ratio", "redis_allocator_rss_ratio", Gauge),
    ("allocator_rss_bytes", "redis_allocator_rss_bytes", Gauge),
    ("used_memory", "redis_memory_used_bytes", Gauge),
    ("used_memory_rss", "redis_memory_used_rss_bytes", Gauge),
    ("used_memory_peak", "redis_memory_used_peak_bytes", Gauge),
    ("used_memory_lua", "redis_memory_used_lua_bytes", Gauge),
    ("used_memory_overhead", "redis_memory_used_overhead_bytes", Gauge),
    ("used_memory_startup", "redis_memory_used_startup_bytes", Gauge),
    ("used_memory_dataset", "redis_memory_used_dataset_bytes", Gauge),
    ("used_memory_scripts", "redis_memory_used_scripts_bytes", Gauge),
    ("total_system_memory", "redis_total_system_memory_bytes", Gauge),
    ("maxmemory", "redis_memory_max_bytes", Gauge),
    ("mem_fragmentation_ratio", "redis_mem_fragmentation_ratio", Gauge),
    ("mem_fragmentation_bytes", "redis_mem_fragmentation_bytes", Gauge),
    ("mem_clients_slaves", "redis_mem_clients_slaves", Gauge),
    ("mem_clients_normal", "redis_mem_clients_normal", Gauge),
    ("mem_not_counted_for_evict", "redis_mem_not_counted_for_eviction_bytes", Gauge),
    ("lazyfree_pending_objects", "redis_lazyfree_pending_objects", Gauge),
    ("loading", "redis_loading_dump_file", Gauge),
    ("loading_total_bytes", "redis_loading_total_bytes", Gauge),
    ("loading_loaded_bytes", "redis_loading_loaded_bytes", Gauge),
    ("rdb_changes_since_last_save", "redis_rdb_changes_since_last_save", Gauge),
    ("rdb_bgsave_in_progress", "redis_rdb_bgsave_in_progress", Gauge),
    ("rdb_last_save_time", "redis_rdb_last_save_timestamp_seconds", Gauge),
    ("rdb_last_bgsave_status", "redis_rdb_last_bgsave_status", Gauge),
    ("rdb_last_bgsave_time_sec", "redis_rdb_last_bgsave_duration_sec", Gauge),
    ("rdb_current_bgsave_time_sec", "redis_rdb_current_bgsave_duration_sec", Gauge),
    ("rdb_last_cow_size", "redis_rdb_last_cow_size_bytes", Gauge),
    ("aof_enabled", "redis_aof_enabled", Gauge),
    ("aof_rewrite_in_progress", "redis_aof_rewrite_in_progress", Gauge),
    ("aof_rewrite_scheduled", "redis_aof_rewrite_scheduled", Gauge),
    ("aof_last_rewrite_time_sec", "redis_aof_last_rewrite_duration_sec", Gauge),
    ("aof_current_rewrite_time_sec", "redis_aof_current_rewrite_duration_sec", Gauge),
    ("aof_last_cow_size", "redis_aof_last_cow_size_bytes", Gauge),
    ("aof_current_size", "redis_aof_current_size_bytes", Gauge),
    ("aof_base_size", "redis_aof_base_size_bytes", Gauge),
    ("aof_pending_rewrite", "redis_aof_pending_rewrite", Gauge),
    ("aof_buffer_length", "redis_aof_buffer_length", Gauge),
    ("aof_pending_bio_fsync", "redis_aof_pending_bio_fsync", Gauge),
    ("aof_delayed_fsync", "redis_aof_delayed_fsync", Gauge),
    ("aof_fsyncs", "tenon_aof_fsyncs_total", Counter),
    ("aof_fsync_worst_usec", "tenon_aof_fsync_worst_usec", Gauge),
    ("aof_staleness_worst_usec", "tenon_aof_staleness_worst_usec", Gauge),
    ("aof_last_bgrewrite_status", "redis_aof_last_bgrewrite_status", Gauge),
    ("aof_last_write_status", "redis_aof_last_write_status", Gauge),
    ("total_connections_received", "redis_connections_received_total", Counter),
    ("total_commands_processed", "redis_commands_processed_total", Counter),
    ("instantaneous_ops_per_sec", "redis_instantaneous_ops_per_sec", Gauge),
    ("rejected_connections", "redis_rejected_connections_total", Counter),
    ("total_net_input_bytes", "redis_net_input_bytes_total", Counter),
    ("total_net_output_bytes", "redis_net_output_bytes_total", Counter),
    ("total_error_replies", "redis_total_error_replies", Counter),
    ("total_reads_processed", "redis_total_reads_processed", Counter),
    ("total_writes_processed", "redis_total_writes_processed", Counter),
    ("expired_keys", "redis_expired_keys_total", Counter),
    ("expired_stale_perc", "redis_expired_stale_percentage", Gauge),
    ("expired_time_cap_reached_count", "redis_expired_time_cap_reached_total", Gauge),
    ("evicted_keys", "redis_evicted_keys_total", Counter),
    ("evicted_clients", "redis_evicted_clients_total", Counter),
    ("keyspace_hits", "redis_keyspace_hits_total", Counter),
    ("keyspace_misses", "redis_keyspace_misses_total", Counter),
    ("pubsub_channels", "redis_pubsub_channels", Gauge),
    ("pubsub_patterns", "redis_pubsub_patterns", Gauge),
    ("pubsubshard_channels", "redis_pubsubshard_channels", Gauge),
    ("latest_fork_usec", "redis_latest_fork_usec", Gauge),
    ("acl_access_denied_auth", "redis_acl_access_denied_auth_total", Counter),
    ("acl_access_denied_cmd", "redis_acl_access_denied_cmd_total", Counter),
    ("acl_access_denied_key", "redis_acl_access_denied_key_total", Counter),
    ("acl_access_denied_channel", "redis_acl_access_denied_channel_total", Counter),
    ("connected_slaves", "redis_connected_slaves", Gauge),
    ("repl_backlog_size", "redis_replication_backlog_bytes", Gauge),
    ("repl_backlog_active", "redis_repl_backlog_is_active", Gauge),
    ("repl_backlog_first_byte_offset", "redis_repl_backlog_first_byte_offset", Gauge),
    ("repl_backlog_histlen", "redis_repl_backlog_history_bytes", Gauge),
    ("master_repl_offset", "redis_master_repl_offset", Gauge),
    ("second_repl_offset", "redis_second_repl_offset", Gauge),
    ("slave_expires_tracked_keys", "redis_slave_expires_tracked_keys", Gauge),
    ("slave_priority", "redis_slave_priority", Gauge),
    ("sync_full", "redis_replica_resyncs_full", Gauge),
    ("sync_partial_ok", "redis_replica_partial_resync_accepted", Gauge),
    ("sync_partial_err", "redis_replica_partial_resync_denied", Gauge),
    ("sync_delayed_writes", "tenon_sync_delayed_writes_total", Counter),
    ("used_cpu_sys", "redis_cpu_sys_seconds_total", Counter),
    ("used_cpu_user", "redis_cpu_user_seconds_total", Counter),
    ("used_cpu_sys_children", "redis_cpu_sys_children_seconds_total", Counter),
    ("used_cpu_user_children", "redis_cpu_user_children_seconds_total", Counter),
];

/// Fields that are lists of numbers: what their names begin with, the label that the rest of the name becomes, and for
/// each number its metric and what it is divided by.
struct Family {
    prefix: &'static str,
    label: &'static str,
    /// Whether the prefix is part of the label's value, as in `db0`.
    keeps_prefix: bool,
    numbers: &'static [(&'static str, &'static str, Kind, f64)],
}

const FAMILIES: &[Family] = &[
    Family {
        prefix: "db",
        label: "db",
        keeps_prefix: true,
        numbers: &[
            ("keys", "redis_db_keys", Gauge, 1.0),
            ("expires", "redis_db_keys_expiring", Gauge, 1.0),
            ("avg_ttl", "redis_db_avg_ttl_seconds", Gauge, 1_000.0),
        ],
    },
    Family {
        prefix: "cmdstat_",
        label: "cmd",
        keeps_prefix: false,
        numbers: &[
            ("calls", "redis_commands_total", Counter, 1.0),
            ("usec", "redis_commands_duration_seconds_total", Counter, 1_000_000.0),
            ("rejected_calls", "redis_commands_rejected_calls_total", Counter, 1.0),
            ("failed_calls", "redis_commands_failed_calls_total", Counter, 1.0),
        ],
    },
    Family {
        prefix: "errorstat_",
        label: "err",
        keeps_prefix: false,
        numbers: &[("count", "redis_errors_total", Counter, 1.0)],
    },
    Family {
        prefix: "policy_",
        label: "policy",
        keeps_prefix: false,
        numbers: &[
            ("calls", "tenon_policy_calls_total", Counter, 1.0),
            ("call_ns", "tenon_policy_call_seconds", Gauge, 1_000_000_000.0),
            ("fallbacks", "tenon_policy_fallbacks_total", Counter, 1.0),
            ("refused", "tenon_policy_refused_total", Counter, 1.0),
            ("agreed", "tenon_policy_shadow_agreed_total", Counter, 1.0),
            ("differed", "tenon_policy_shadow_differed_total", Counter, 1.0),
        ],
    },
];

/// Fields that say who this is: the labels of `redis_instance_info`.
const IDENTITY: [&str; 10] = [
    "role",
    "redis_version",
    "tenon_version",
    "redis_build_id",
    "redis_mode",
    "os",
    "maxmemory_policy",
    "tcp_port",
    "run_id",
    "process_id",
];

impl Engine {
    /// All figures.
    pub(crate) fn metrics(&mut self, now: Now, world: &mut World<'_>) -> String {
        let mut text = of_info(&info::everything(self, now, world.outputs));
        let started = self.identity.started.unix_us as f64 / 1e6;
        begin(&mut text, "redis_start_time_seconds", Gauge, "when the process started");
        sample(&mut text, "redis_start_time_seconds", &[], started);
        let (slow, newest) = self.slow_log.figures();
        begin(&mut text, "redis_slowlog_length", Gauge, "slow commands that are kept");
        sample(&mut text, "redis_slowlog_length", &[], slow);
        if let Some((id, spent)) = newest {
            begin(&mut text, "redis_slowlog_last_id", Gauge, "of the newest slow command");
            sample(&mut text, "redis_slowlog_last_id", &[], id);
            let metric = "redis_last_slow_execution_duration_seconds";
            begin(&mut text, metric, Gauge, "of the newest slow command");
            sample(&mut text, metric, &[], spent.0 as f64 / 1e6);
        }
        begin(&mut text, "redis_up", Gauge, "the server answers");
        sample(&mut text, "redis_up", &[], 1);
        begin(&mut text, "tenon_ready", Gauge, "clients are served as they should be");
        sample(&mut text, "tenon_ready", &[], u8::from(self.why_not_ready().is_none()));
        text
    }

    /// Why clients are not served as they should be, if they are not.
    pub(crate) fn why_not_ready(&self) -> Option<String> {
        if !self.listening.is_ready {
            return Some("not listening yet".to_owned());
        }
        let is_loading = self.loading() == Some(Loading::InPlace);
        if is_loading || !self.is_started || self.is_over {
            return Some("the dataset is being loaded".to_owned());
        }
        if let Some(failure) = self.durability.failure() {
            return Some(format!("writes are refused: the append-only file cannot be written: {failure}"));
        }
        if self.snapshots.refuses_writes(&self.config) {
            return Some("writes are refused: the last save failed".to_owned());
        }
        None
    }
}

/// What follows from the lines of INFO.
fn of_info(lines: &str) -> String {
    let fields: Vec<(&str, &str)> = lines.lines().filter_map(|line| line.split_once(':')).collect();
    let find = |name: &str| fields.iter().find(|(own, _)| *own == name).map(|(_, value)| *value);
    let mut text = String::new();
    for (field, metric, kind) in FIELDS {
        if let Some(value) = find(field).and_then(number) {
            begin(&mut text, metric, *kind, &format!("INFO {field}"));
            sample(&mut text, metric, &[], value);
        }
    }
    for family in FAMILIES {
        let members: Vec<(&str, &str)> =
            fields.iter().filter_map(|(name, value)| Some((family.member(name)?, *value))).collect();
        for (number_name, metric, kind, divisor) in family.numbers {
            let found = |list: &str| {
                list.split(',')
                    .find_map(|pair| pair.strip_prefix(number_name)?.strip_prefix('=').and_then(number))
            };
            let mut has_begun = false;
            for (label, list) in &members {
                let Some(value) = found(list) else { continue };
                if !std::mem::replace(&mut has_begun, true) {
                    begin(&mut text, metric, *kind, &format!("INFO {}* {number_name}", family.prefix));
                }
                sample(&mut text, metric, &[(family.label, label)], value / divisor);
            }
        }
    }
    of_replicas(&fields, &mut text);
    of_primary(&fields, &mut text);
    let labels: Vec<(&str, &str)> = IDENTITY.iter().filter_map(|name| Some((*name, find(name)?))).collect();
    begin(&mut text, "redis_instance_info", Gauge, "who this is");
    sample(&mut text, "redis_instance_info", &labels, 1);
    text
}

/// What INFO says of the replicas, a line each.
fn of_replicas(fields: &[(&str, &str)], text: &mut String) {
    let is_replica = |name: &str| {
        let number = name.strip_prefix("slave").unwrap_or_default();
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    let replicas: Vec<&str> =
        fields.iter().filter(|(name, _)| is_replica(name)).map(|(_, value)| *value).collect();
    for (part, metric) in
        [("offset", "redis_connected_slave_offset_bytes"), ("lag", "redis_connected_slave_lag_seconds")]
    {
        if !replicas.is_empty() {
            begin(text, metric, Gauge, &format!("INFO slave* {part}"));
        }
        for line in &replicas {
            let find =
                |part: &str| line.split(',').find_map(|pair| pair.strip_prefix(part)?.strip_prefix('='));
            let label = |part: &str| find(part).unwrap_or_default();
            let labels =
                [("slave_ip", label("ip")), ("slave_port", label("port")), ("slave_state", label("state"))];
            sample(text, metric, &labels, find(part).and_then(number).unwrap_or(0.0));
        }
    }
}

/// What INFO says of the primary that is followed, if one is.
fn of_primary(fields: &[(&str, &str)], text: &mut String) {
    let find = |name: &str| fields.iter().find(|(own, _)| *own == name).map(|(_, value)| *value);
    let (Some(host), Some(port)) = (find("master_host"), find("master_port")) else { return };
    let labels = [("master_host", host), ("master_port", port)];
    let is_up = find("master_link_status") == Some("up");
    begin(text, "redis_master_link_up", Gauge, "INFO master_link_status");
    sample(text, "redis_master_link_up", &labels, u8::from(is_up));
    for (field, metric) in [
        ("master_last_io_seconds_ago", "redis_master_last_io_seconds_ago"),
        ("master_sync_in_progress", "redis_master_sync_in_progress"),
        ("slave_repl_offset", "redis_slave_repl_offset"),
    ] {
        if let Some(value) = find(field).and_then(number) {
            begin(text, metric, Gauge, &format!("INFO {field}"));
            sample(text, metric, &labels, value);
        }
    }
    let read_only = find("slave_read_only").unwrap_or_default();
    begin(text, "redis_slave_info", Gauge, "who this follows");
    sample(text, "redis_slave_info", &[labels[0], labels[1], ("read_only", read_only)], 1);
}

impl Family {
    /// The label's value, if a field of this name belongs to the family.
    fn member<'a>(&self, name: &'a str) -> Option<&'a str> {
        let rest = name.strip_prefix(self.prefix)?;
        if self.keeps_prefix {
            return (!rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit())).then_some(name);
        }
        Some(rest)
    }
}

/// A field's number; what went well is 1, what did not is 0.
fn number(value: &str) -> Option<f64> {
    match value {
        "ok" => Some(1.0),
        "err" => Some(0.0),
        _ => value.parse().ok(),
    }
}

fn begin(text: &mut String, metric: &str, kind: Kind, help: &str) {
    let kind = if kind == Gauge { "gauge" } else { "counter" };
    // A string takes everything.
    let _ = writeln!(text, "# HELP {metric} {help}\n# TYPE {metric} {kind}");
}

fn sample(text: &mut String, metric: &str, labels: &[(&str, &str)], value: impl Display) {
    text.push_str(metric);
    for (index, (name, label)) in labels.iter().enumerate() {
        text.push_str(if index == 0 { "{" } else { "," });
        let escaped = label.replace('\\', "\\\\").replace('"', "\\\"");
        let _ = write!(text, "{name}=\"{escaped}\"");
    }
    let _ = writeln!(text, "{} {value}", if labels.is_empty() { "" } else { "}" });
}

#[cfg(test)]
mod tests {
    use tenon_base::{ListenError, Machine, Report};

    use super::*;
    use crate::testing::Bench;

    fn report(bench: &mut Bench, report: Report) -> tenon_base::Reported {
        bench.with_world(|engine, now, world| engine.report(now, report, world))
    }

    #[test]
    fn figures_of_info_become_metrics_under_the_names_dashboards_know() {
        let mut bench = Bench::new(&[]);
        bench.text(1, "SET k v");
        bench.text(1, "SET t v EX 100");
        bench.text(1, "LPUSH k v");
        let text = report(&mut bench, Report::Metrics).text;
        for line in [
            "# TYPE redis_connected_clients gauge\nredis_connected_clients 1\n",
            "redis_db_keys{db=\"db0\"} 2\n",
            "redis_db_keys_expiring{db=\"db0\"} 1\n",
            "redis_commands_total{cmd=\"set\"} 2\n",
            "redis_commands_failed_calls_total{cmd=\"lpush\"} 1\n",
            "redis_errors_total{err=\"WRONGTYPE\"} 1\n",
            "redis_rdb_last_bgsave_status 1\n",
            "redis_up 1\n",
            "tenon_policy_calls_total{policy=\"fsync\"}",
            "role=\"master\",redis_version=\"7.2.4\"",
        ] {
            assert!(text.contains(line), "{line:?} is not in:\n{text}");
        }
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (_, value) = line.rsplit_once(' ').expect("a value");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
        let mut names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count, "a metric is declared twice");
    }

    #[test]
    fn every_field_of_the_table_is_in_info() {
        let mut bench = Bench::new(&[]);
        let lines = bench.with_world(|engine, now, world| info::everything(engine, now, world.outputs));
        // Shown only while a log is on, or a load goes on, or by a replica.
        let conditional = |field: &str| {
            ["aof_", "loading_", "slave_priority"].iter().any(|prefix| field.starts_with(prefix))
        };
        for (field, _, _) in FIELDS.iter().filter(|(field, _, _)| !conditional(field)) {
            assert!(lines.contains(&format!("\n{field}:")), "INFO has no {field}");
        }
    }

    #[test]
    fn both_ends_of_replication_are_told() {
        let text = of_info(
            "role:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\nmaster_link_status:up\r\n\
             master_sync_in_progress:0\r\nslave_repl_offset:99\r\nslave_read_only:1\r\n\
             slave0:ip=::1,port=7000,state=online,offset=98,lag=1\r\n",
        );
        for line in [
            "redis_master_link_up{master_host=\"10.0.0.1\",master_port=\"6379\"} 1\n",
            "redis_slave_repl_offset{master_host=\"10.0.0.1\",master_port=\"6379\"} 99\n",
            "redis_slave_info{master_host=\"10.0.0.1\",master_port=\"6379\",read_only=\"1\"} 1\n",
            "redis_connected_slave_offset_bytes{slave_ip=\"::1\",slave_port=\"7000\",slave_state=\"online\"} 98\n",
            "redis_connected_slave_lag_seconds{slave_ip=\"::1\",slave_port=\"7000\",slave_state=\"online\"} 1\n",
        ] {
            assert!(text.contains(line), "{line:?} is not in:\n{text}");
        }
        let alone = of_info("role:master\r\nconnected_slaves:0\r\nslave_priority:100\r\n");
        assert!(!alone.contains("master_link") && !alone.contains("slave_ip"), "{alone}");
    }

    #[test]
    fn text_from_outside_cannot_forge_a_metric() {
        let text =
            of_info("# Server\r\nos:Linux \"x\\\" 1\r\nerrorstat_A\"B:count=3\r\nused_memory:many\r\n");
        assert!(text.contains("redis_instance_info{os=\"Linux \\\"x\\\\\\\" 1\"} 1\n"), "{text}");
        assert!(text.contains("redis_errors_total{err=\"A\\\"B\"} 3\n"), "{text}");
        assert!(!text.contains("redis_memory_used_bytes"), "{text}");
    }

    #[test]
    fn readiness_follows_the_sockets() {
        let mut bench = Bench::new(&[]);
        bench.text(1, "PING");
        assert!(report(&mut bench, Report::Readiness).is_good);
        bench.engine.listening.is_ready = false;
        let reported = report(&mut bench, Report::Readiness);
        assert_eq!((reported.is_good, reported.text.as_str()), (false, "not listening yet\n"));
        // A change that fails leaves it ready.
        bench.engine.listening.is_ready = true;
        bench.listening = Err(ListenError::Address("taken".to_owned()));
        bench.text(1, "CONFIG SET port 7777");
        assert!(report(&mut bench, Report::Readiness).is_good);
    }
}
