//! MEMORY: what keys and the whole server take.

mod doctor;
mod table;

pub(super) use table::COMMANDS;

use tenon_commands::{CommandError, Outcome, Words};
use tenon_resp::{Args, Reply};

use super::ServerContext;
use crate::memory_report::{MemoryReport, Waste};

/// What the allocator's report may take before it is cut off.
const ALLOCATOR_REPORT_BYTES_MAX: usize = 1 << 20;

fn doctor(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let report = MemoryReport::new(context.engine, context.world.outputs);
    let text = doctor::findings(&report, context.engine.sessions.present().count() as u64);
    context.reply().verbatim(b"txt", text.as_bytes());
    Ok(())
}

fn help(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    context.help(
        "MEMORY",
        &[
            "DOCTOR",
            "    Report in sentences on how memory is used.",
            "MALLOC-STATS",
            "    Show the allocator's own report.",
            "PURGE",
            "    Have the allocator give unused pages back to the system.",
            "STATS",
            "    Tell what memory is used for, in figures.",
            "USAGE <key> [SAMPLES <count>]",
            "    Tell the bytes that a key and its value take. They are known, so SAMPLES changes nothing.",
        ],
    )
}

fn malloc_stats(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let mut text = (context.engine.identity.allocator.report)();
    text.truncate(ALLOCATOR_REPORT_BYTES_MAX);
    context.reply().verbatim(b"txt", &text);
    Ok(())
}

fn purge(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    if !(context.engine.identity.allocator.purge)() {
        return Err(CommandError::text("ERR Error purging dirty pages"));
    }
    context.reply().ok();
    Ok(())
}

fn stats(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let report = MemoryReport::new(context.engine, context.world.outputs);
    write_stats(&mut context.reply(), &report);
    Ok(())
}

fn usage(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let mut at = 3;
    while at < args.len() {
        if !args.is(at, "SAMPLES") || at + 1 == args.len() || args.integer(at + 1)? < 0 {
            return Err(CommandError::Syntax);
        }
        at += 2;
    }
    let database = context.session().database;
    let bytes = context.engine.keyspace.db(database).find(args.get(2)).map(|entry| entry.memory());
    match bytes {
        Some(bytes) => context.reply().integer(bytes as i64),
        None => context.reply().null(),
    }
    Ok(())
}

/// Names and order are Redis's. What does not exist here takes nothing.
fn write_stats(reply: &mut Reply<'_>, report: &MemoryReport) {
    let field = |reply: &mut Reply<'_>, name: &str, bytes: u64| {
        reply.bulk(name.as_bytes());
        reply.integer(i64::try_from(bytes).unwrap_or(i64::MAX));
    };
    let fraction = |reply: &mut Reply<'_>, name: &str, value: f64| {
        reply.bulk(name.as_bytes());
        reply.double(value);
    };
    let waste = |reply: &mut Reply<'_>, names: [&str; 2], waste: Waste| {
        reply.bulk(names[0].as_bytes());
        reply.double(waste.ratio);
        reply.bulk(names[1].as_bytes());
        reply.integer(waste.bytes);
    };
    reply.map(27 + report.databases.len());
    field(reply, "peak.allocated", report.peak);
    field(reply, "total.allocated", report.used);
    field(reply, "startup.allocated", report.startup);
    field(reply, "replication.backlog", 0);
    field(reply, "clients.slaves", 0);
    field(reply, "clients.normal", report.clients);
    field(reply, "cluster.links", 0);
    field(reply, "aof.buffer", report.log_buffer);
    field(reply, "lua.caches", 0);
    field(reply, "functions.caches", 0);
    for &(number, _, table_bytes) in &report.databases {
        reply.bulk_format(format_args!("db.{number}"));
        reply.map(3);
        field(reply, "overhead.hashtable.main", table_bytes);
        // Expiry times and slots are in the entries.
        field(reply, "overhead.hashtable.expires", 0);
        field(reply, "overhead.hashtable.slot-to-keys", 0);
    }
    field(reply, "overhead.total", report.overhead);
    field(reply, "keys.count", report.keys());
    field(reply, "keys.bytes-per-key", report.since_start().checked_div(report.keys()).unwrap_or(0));
    field(reply, "dataset.bytes", report.dataset());
    fraction(reply, "dataset.percentage", report.dataset_percent());
    fraction(reply, "peak.percentage", report.peak_percent());
    field(reply, "allocator.allocated", report.gauges.allocated_bytes);
    field(reply, "allocator.active", report.gauges.active_bytes);
    field(reply, "allocator.resident", report.gauges.allocator_resident_bytes);
    let fragmentation = report.allocator_fragmentation();
    waste(reply, ["allocator-fragmentation.ratio", "allocator-fragmentation.bytes"], fragmentation);
    waste(reply, ["allocator-rss.ratio", "allocator-rss.bytes"], report.allocator_residence());
    waste(reply, ["rss-overhead.ratio", "rss-overhead.bytes"], report.process_overhead());
    waste(reply, ["fragmentation", "fragmentation.bytes"], report.fragmentation());
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn figures_add_up() {
        let mut bench = Bench::new(&[]);
        (0..100).for_each(|key| drop(bench.run(1, &format!("SET {key} {}", "v".repeat(1_000)))));
        bench.run(1, "HELLO 3");
        let stats = bench.run(1, "MEMORY STATS");
        let figure = |name: &str| -> i64 {
            let (_, rest) = stats.split_once(&format!("\"{name}\": ")).unwrap_or_else(|| panic!("no {name}"));
            rest.split([',', '}']).next().expect("a value").parse().expect("a number")
        };
        assert_eq!(figure("keys.count"), 100);
        assert_eq!(figure("dataset.bytes") + figure("overhead.total"), figure("total.allocated"));
        assert_eq!(figure("startup.allocated"), 1_500_000);
        assert!(figure("dataset.bytes") > 100_000 && figure("overhead.hashtable.main") > 0);
        assert!(figure("peak.allocated") >= figure("total.allocated"));
        assert_eq!(figure("rss-overhead.bytes"), 1_500_000);
        let fields = bench.send(1, "MEMORY STATS");
        assert!(matches!(&fields[0], tenon_resp::Value::Map(pairs) if pairs.len() == 28));
    }

    #[test]
    fn the_allocator_is_asked() {
        let mut bench = Bench::new(&[]);
        assert_eq!(bench.run(1, "MEMORY PURGE"), "OK");
        assert_eq!(bench.text(1, "MEMORY MALLOC-STATS"), "a bench has no allocator");
        assert!(bench.text(1, "MEMORY DOCTOR").contains("too little"));
    }

    #[test]
    fn a_key_takes_what_its_entry_takes() {
        let mut bench = Bench::new(&[]);
        bench.run(1, "SET k v");
        let bytes = bench.engine.keyspace.db(0).find(b"k").map(|entry| entry.memory());
        assert_eq!(bench.run(1, "MEMORY USAGE k"), bytes.expect("the key").to_string());
        assert_eq!(bench.run(1, "MEMORY USAGE k SAMPLES 0"), bytes.expect("the key").to_string());
        assert_eq!(bench.run(1, "MEMORY USAGE missing"), "(nil)");
        assert_eq!(bench.run(1, "MEMORY USAGE k SAMPLES"), "(error) ERR syntax error");
        assert_eq!(bench.run(1, "MEMORY USAGE k SAMPLES -1"), "(error) ERR syntax error");
        assert_eq!(bench.run(1, "MEMORY USAGE k NONE"), "(error) ERR syntax error");
    }
}
