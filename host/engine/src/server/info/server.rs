//! The sections `server`, `clients` and `cpu`: the process, and who is connected to it.

use tenon_config::Directive;

use super::{Facts, Lines};

/// Bits of the access clock.
const ACCESS_CLOCK_MAX: i64 = (1 << 24) - 1;

pub(super) fn server(lines: &mut Lines, facts: &Facts<'_>) {
    let (config, identity) = (&facts.engine.config, &facts.engine.identity);
    let uptime_seconds = facts.now.steady.since(identity.started.steady).millis() / 1_000;
    lines.field("redis_version", crate::REDIS_VERSION);
    lines.field("tenon_version", crate::TENON_VERSION);
    lines.field("redis_git_sha1", "00000000");
    lines.zeros(&["redis_git_dirty"]);
    lines.field("redis_build_id", "0000000000000000");
    lines.field("redis_mode", "standalone");
    lines.field("os", &identity.system);
    lines.field("arch_bits", usize::BITS);
    lines.field("monotonic_clock", "POSIX clock_gettime");
    lines.field("multiplexing_api", "epoll");
    lines.field("atomicvar_api", "c11-builtin");
    lines.field("gcc_version", "0.0.0");
    lines.field("process_id", identity.pid);
    lines.field("process_supervised", supervisor(&config.choice(Directive::Supervised)));
    lines.field("run_id", &identity.run_id);
    let port = config.integer(Directive::Port);
    lines.field("tcp_port", if port > 0 { port } else { config.integer(Directive::TlsPort) });
    lines.field("server_time_usec", facts.now.unix_us);
    lines.field("uptime_in_seconds", uptime_seconds);
    lines.field("uptime_in_days", uptime_seconds / (24 * 3_600));
    lines.field("hz", config.integer(Directive::Hz));
    lines.field("configured_hz", config.integer(Directive::Hz));
    lines.field("lru_clock", facts.now.unix().seconds() & ACCESS_CLOCK_MAX);
    lines.field("executable", &identity.executable);
    let file = facts.engine.config_file.as_deref().map(|path| path.display().to_string());
    lines.field("config_file", file.unwrap_or_default());
    lines.zeros(&["io_threads_active"]);
    write_listeners(lines, facts);
    if let Some(remaining) = facts.engine.departs_in_ms(facts.now.steady) {
        lines.field("shutdown_in_milliseconds", remaining);
    }
}

fn supervisor(choice: &str) -> &str {
    if choice == "auto" { "no" } else { choice }
}

/// A line for each kind of socket, with Redis's numbers for the kinds.
fn write_listeners(lines: &mut Lines, facts: &Facts<'_>) {
    let config = &facts.engine.config;
    let hosts = config.words(Directive::Bind).iter();
    let hosts: String = hosts.map(|host| format!(",bind={}", String::from_utf8_lossy(host))).collect();
    let port = config.integer(Directive::Port);
    if port > 0 {
        lines.line(format_args!("listener0:name=tcp{hosts},port={port}"));
    }
    let socket = config.text_lossy(Directive::UnixSocket);
    if !socket.is_empty() {
        lines.line(format_args!("listener1:name=unix,bind={socket}"));
    }
    let tls_port = config.integer(Directive::TlsPort);
    if tls_port > 0 {
        lines.line(format_args!("listener2:name=tls{hosts},port={tls_port}"));
    }
}

pub(super) fn clients(lines: &mut Lines, facts: &Facts<'_>) {
    let present = || facts.engine.sessions.present();
    let input_max = present().map(|session| session.decoder.pending_bytes()).max();
    let output_max = present().map(|session| facts.outputs.pending_bytes(session.id.slot)).max();
    lines.field("connected_clients", present().filter(|session| !session.is_replica).count());
    lines.zeros(&["cluster_connections"]);
    lines.field("maxclients", facts.engine.config.integer(Directive::MaxClients));
    lines.field("client_recent_max_input_buffer", input_max.unwrap_or(0));
    lines.field("client_recent_max_output_buffer", output_max.unwrap_or(0));
    lines.field("blocked_clients", present().filter(|session| session.parked.is_some()).count());
    let queues = &facts.engine.waiting.queues;
    let [tracking_clients, ..] = facts.engine.tracking.counts();
    lines.field("tracking_clients", tracking_clients);
    lines.field("clients_in_timeout_table", queues.deadlines());
    lines.field("total_blocking_keys", queues.keys());
    lines.field("total_blocking_keys_on_nokey", queues.keys_wanting_gone());
}

/// There are no child processes; the figures are those of all threads.
pub(super) fn cpu(lines: &mut Lines, facts: &Facts<'_>) {
    let seconds = |spent_us: u64| format!("{}.{:06}", spent_us / 1_000_000, spent_us % 1_000_000);
    let (system, user) = (seconds(facts.gauges().cpu_system_us), seconds(facts.gauges().cpu_user_us));
    lines.field("used_cpu_sys", &system);
    lines.field("used_cpu_user", &user);
    lines.field("used_cpu_sys_children", seconds(0));
    lines.field("used_cpu_user_children", seconds(0));
    lines.field("used_cpu_sys_main_thread", system);
    lines.field("used_cpu_user_main_thread", user);
}
