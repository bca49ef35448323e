//! INFO over an engine in process.

use crate::testing::{Bench, COMMAND_US};

const DEFAULT_SECTIONS: [&str; 12] = [
    "Server",
    "Clients",
    "Memory",
    "Persistence",
    "Stats",
    "Replication",
    "CPU",
    "Modules",
    "Errorstats",
    "Cluster",
    "Keyspace",
    "Policies",
];

fn sections(bench: &mut Bench, line: &str) -> Vec<String> {
    let text = bench.text(1, line);
    text.lines().filter_map(|line| line.strip_prefix("# ")).map(str::to_owned).collect()
}

/// The value of a field, by its name.
fn value(bench: &mut Bench, section: &str, name: &str) -> String {
    let text = bench.text(1, &format!("INFO {section}"));
    let found = text.lines().filter_map(|line| line.split_once(':')).find(|(found, _)| *found == name);
    found.unwrap_or_else(|| panic!("no {name} in {text}")).1.to_owned()
}

#[test]
fn sections_are_chosen_by_name() {
    let mut bench = Bench::new(&[]);
    assert_eq!(sections(&mut bench, "INFO"), DEFAULT_SECTIONS);
    assert_eq!(sections(&mut bench, "INFO default"), DEFAULT_SECTIONS);
    assert_eq!(sections(&mut bench, "INFO keyspace CPU server"), ["Server", "CPU", "Keyspace"]);
    let everything = sections(&mut bench, "INFO ALL");
    assert_eq!(everything.len(), DEFAULT_SECTIONS.len() + 2);
    assert_eq!(sections(&mut bench, "INFO everything"), everything);
    assert_eq!(sections(&mut bench, "INFO default commandstats").len(), DEFAULT_SECTIONS.len() + 1);
    assert_eq!(sections(&mut bench, "INFO module_list modules"), ["Modules"]);
    assert_eq!(bench.text(1, "INFO nonsense"), "");
}

#[test]
fn every_line_is_a_heading_a_field_or_empty_between_sections() {
    let mut bench =
        Bench::new(&[("appendonly", "yes"), ("unixsocket", "/tmp/s"), ("min-replicas-to-write", "1")]);
    let text = bench.text(1, "INFO everything");
    assert!(text.starts_with("# Server\r\nredis_version:7.2.4\r\ntenon_version:"));
    let mut names = std::collections::HashSet::new();
    for line in text.split_terminator("\r\n").filter(|line| !line.is_empty() && !line.starts_with("# ")) {
        let (name, _) = line.split_once(':').unwrap_or_else(|| panic!("no field: {line}"));
        assert!(names.insert(name.to_owned()), "{name} twice");
        assert!(!line.contains('\n'), "{line}");
    }
    assert!(names.contains("aof_current_size") && names.contains("listener1"));
    assert!(text.contains("\r\n\r\n# Clients\r\n") && !text.contains("\r\n\r\n\r\n"));
}

#[test]
fn resp3_marks_the_text_as_one() {
    let mut bench = Bench::new(&[]);
    bench.run(1, "HELLO 3");
    assert!(bench.run(1, "INFO cluster").starts_with("=# Cluster"));
}

#[test]
fn the_server_tells_who_it_is() {
    let mut bench = Bench::new(&[("port", "7000"), ("bind", "127.0.0.1 -::1")]);
    bench.sleep(90_061_000);
    let mut value = |section: &str, name: &str| value(&mut bench, section, name);
    assert_eq!(value("server", "uptime_in_seconds"), "90061");
    assert_eq!(value("server", "uptime_in_days"), "1");
    assert_eq!(value("server", "process_supervised"), "no");
    assert_eq!(value("server", "listener0"), "name=tcp,bind=127.0.0.1,bind=-::1,port=7000");
    assert_eq!(value("cpu", "used_cpu_user"), "2.000001");
    assert_eq!(value("clients", "connected_clients"), "1");
    assert_eq!(value("clients", "maxclients"), "10000");
    assert_eq!(value("replication", "master_replid").len(), 40);
    assert_ne!(value("replication", "master_replid"), value("replication", "master_replid2"));
}

#[test]
fn memory_is_what_is_held_and_data_what_is_left_of_it() {
    let mut bench = Bench::new(&[("maxmemory", "100mb")]);
    bench.run(1, "SET k v");
    let entries = {
        let database = bench.engine.keyspace.db(0);
        (database.used_memory() - database.table_memory()) as u64
    };
    let used = bench.engine.used_bytes(&bench.outputs);
    assert!((1_500_000..1_600_000).contains(&used), "{used}");
    let mut value = |name: &str| value(&mut bench, "memory", name);
    assert_eq!(value("used_memory_startup"), "1500000");
    assert_eq!(value("used_memory_dataset"), entries.to_string());
    let numbers = ["used_memory", "used_memory_overhead", "used_memory_dataset"];
    let [used, overhead, dataset] = numbers.map(|name| value(name).parse::<u64>().expect("a number"));
    assert!(overhead > 1_500_000 && dataset > 0 && used >= overhead + dataset);
    assert_eq!(value("allocator_allocated"), "1500000");
    assert_eq!(value("mem_fragmentation_ratio"), "3.00");
    assert_eq!(value("rss_overhead_bytes"), "1500000");
    assert_eq!(value("allocator_frag_ratio"), "1.20");
    assert_eq!(value("maxmemory_human"), "100.00M");
    assert_eq!(value("maxmemory_policy"), "noeviction");
}

#[test]
fn commands_and_errors_are_counted() {
    let mut bench = Bench::new(&[]);
    bench.run(1, "PING");
    bench.run(1, "PING a b");
    bench.run(1, "PING");
    bench.run(1, "SELECT");
    bench.run(1, "NONSENSE");
    bench.run(1, "CLIENT ID");
    assert_eq!(
        value(&mut bench, "commandstats", "cmdstat_ping"),
        format!(
            "calls=3,usec={},usec_per_call={COMMAND_US}.00,rejected_calls=0,failed_calls=1",
            3 * COMMAND_US
        )
    );
    assert_eq!(
        value(&mut bench, "commandstats", "cmdstat_select"),
        "calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0"
    );
    assert!(value(&mut bench, "commandstats", "cmdstat_client|id").starts_with("calls=1,"));
    assert_eq!(value(&mut bench, "errorstats", "errorstat_ERR"), "count=3");
    assert_eq!(value(&mut bench, "stats", "total_error_replies"), "3");
    // Three pings, CLIENT ID, and the INFOs before this one; nothing that was refused.
    assert_eq!(value(&mut bench, "stats", "total_commands_processed"), "9");
}

#[test]
fn traffic_is_counted() {
    let mut bench = Bench::new(&[]);
    bench.send_bytes(1, b"PING\r\n");
    bench.send_bytes(1, b"PING\r\nPING\r\n");
    let mut value = |name: &str| value(&mut bench, "stats", name);
    let request = "*2\r\n$4\r\nINFO\r\n$5\r\nstats\r\n".len();
    assert_eq!(value("total_net_input_bytes"), (18 + request).to_string());
    assert_eq!(value("total_reads_processed"), "4");
    assert_eq!(value("total_connections_received"), "1");
    let sent: u64 = value("total_net_output_bytes").parse().expect("a number");
    assert!(sent > 21, "{sent}");
    assert_eq!(value("total_writes_processed"), "6");
}

#[test]
fn refused_logins_are_counted() {
    let mut bench = Bench::new(&[("requirepass", "secret")]);
    bench.run(1, "AUTH wrong");
    bench.run(1, "AUTH secret");
    assert_eq!(value(&mut bench, "stats", "acl_access_denied_auth"), "1");
    assert_eq!(value(&mut bench, "errorstats", "errorstat_WRONGPASS"), "count=1");
}

#[test]
fn databases_with_keys_are_shown() {
    let mut bench = Bench::new(&[]);
    assert_eq!(bench.text(1, "INFO keyspace"), "# Keyspace\r\n");
    let number = tenon_keyspace::Value::String(tenon_keyspace::Text::from_bytes(b"v"));
    bench.engine.keyspace.db_mut(3).insert(b"k", number, None);
    assert_eq!(bench.text(1, "INFO keyspace"), "# Keyspace\r\ndb3:keys=1,expires=0,avg_ttl=0\r\n");
}

#[test]
fn policies_tell_how_they_fare() {
    let mut bench = Bench::new(&[]);
    assert_eq!(
        bench.text(1, "INFO policies"),
        "# Policies\r\n\
         policy_fsync:running=native,status=native,calls=0,call_ns=0,fallbacks=0,refused=0\r\n\
         policy_snapshot:running=native,status=native,calls=0,call_ns=0,fallbacks=0,refused=0\r\n"
    );
}

#[test]
fn turns_are_measured() {
    let mut bench = Bench::new(&[]);
    bench.run(1, "PING");
    bench.sleep(2_000);
    let number =
        |bench: &mut Bench, section: &str, name: &str| value(bench, section, name).parse::<u64>().unwrap();
    let before = number(&mut bench, "stats", "eventloop_duration_sum");
    assert!(before > 0 && number(&mut bench, "stats", "eventloop_duration_sum") > before);
    assert!(number(&mut bench, "debug", "eventloop_duration_cron_sum") > 0);
    assert!(number(&mut bench, "debug", "eventloop_duration_max") > 0);
    assert_eq!(number(&mut bench, "debug", "eventloop_cmd_per_cycle_max"), 1);
    assert!(!bench.text(1, "INFO everything").contains("# Debug"));
}
