//! The section `memory`: what the engine holds, how much of it is data, and the allocator's figures.
//! `used_memory` is what the engine knows it holds, which is what `maxmemory` is about; `allocator_allocated` is what the
//! allocator has handed out to the whole process, policies (`used_memory_policies`, our own field) included.

use tenon_config::Directive;

use super::{Facts, Lines};
use crate::memory_report::MemoryReport;

/// What the program allocates with.
const ALLOCATOR: &str = "jemalloc";

pub(super) fn memory(lines: &mut Lines, facts: &Facts<'_>) {
    let (engine, gauges) = (facts.engine, facts.gauges());
    let report = MemoryReport::new(engine, facts.outputs);
    write_both(lines, "used_memory", report.used);
    write_both(lines, "used_memory_rss", gauges.resident_bytes);
    write_both(lines, "used_memory_peak", report.peak);
    lines.line(format_args!("used_memory_peak_perc:{:.2}%", report.peak_percent()));
    lines.field("used_memory_overhead", report.overhead);
    lines.field("used_memory_startup", report.startup);
    lines.field("used_memory_dataset", report.dataset());
    lines.line(format_args!("used_memory_dataset_perc:{:.2}%", report.dataset_percent()));
    lines.field("used_memory_policies", engine.memory.policies_bytes);
    lines.field("allocator_allocated", gauges.allocated_bytes);
    lines.field("allocator_active", gauges.active_bytes);
    lines.field("allocator_resident", gauges.allocator_resident_bytes);
    write_both(lines, "total_system_memory", engine.identity.total_memory_bytes);
    write_scripts(lines, facts);
    write_both(lines, "maxmemory", engine.config.memory(Directive::MaxMemory));
    lines.field("maxmemory_policy", engine.config.choice(Directive::MaxMemoryPolicy));
    write_fragmentation(lines, &report);
    write_buffers(lines, facts, &report);
}

/// What scripts and functions take: their interpreters, and what is kept beside those.
fn write_scripts(lines: &mut Lines, facts: &Facts<'_>) {
    let scripts = &facts.engine.scripts;
    let (script_vm, function_vm) = (scripts.script_vm_bytes as u64, scripts.function_vm_bytes as u64);
    let (kept, functions) = (scripts.cache_bytes() as u64, scripts.libraries.bytes() as u64);
    lines.field("used_memory_lua", script_vm);
    lines.field("used_memory_vm_eval", script_vm);
    lines.field("used_memory_lua_human", human(script_vm));
    lines.field("used_memory_scripts_eval", kept);
    lines.field("number_of_cached_scripts", scripts.len());
    lines.field("number_of_functions", scripts.libraries.function_count());
    lines.field("number_of_libraries", scripts.libraries.len());
    lines.field("used_memory_vm_functions", function_vm);
    write_both(lines, "used_memory_vm_total", script_vm + function_vm);
    lines.field("used_memory_functions", functions);
    write_both(lines, "used_memory_scripts", kept + functions);
}

fn write_fragmentation(lines: &mut Lines, report: &MemoryReport) {
    let wastes = [
        ("allocator_frag", report.allocator_fragmentation()),
        ("allocator_rss", report.allocator_residence()),
        ("rss_overhead", report.process_overhead()),
        ("mem_fragmentation", report.fragmentation()),
    ];
    for (name, waste) in wastes {
        lines.hundredths(&format!("{name}_ratio"), waste.ratio);
        lines.field(&format!("{name}_bytes"), waste.bytes);
    }
}

fn write_buffers(lines: &mut Lines, facts: &Facts<'_>, report: &MemoryReport) {
    let engine = facts.engine;
    lines.field("mem_not_counted_for_evict", engine.uncounted_bytes(facts.outputs));
    let (backlog, replicas) = engine.stream_bytes(facts.outputs);
    lines.field("mem_replication_backlog", backlog);
    lines.field("mem_total_replication_buffers", backlog + replicas);
    lines.field("mem_clients_slaves", replicas);
    lines.field("mem_clients_normal", report.clients);
    lines.zeros(&["mem_cluster_links"]);
    lines.field("mem_aof_buffer", report.log_buffer);
    lines.field("mem_allocator", ALLOCATOR);
    lines.zeros(&["active_defrag_running"]);
    lines.field("lazyfree_pending_objects", engine.garbage.len());
    lines.field("lazyfreed_objects", engine.stats.lazy_freed);
}

/// A number of bytes, and the same for people.
fn write_both(lines: &mut Lines, name: &str, bytes: u64) {
    lines.field(name, bytes);
    lines.field(&format!("{name}_human"), human(bytes));
}

/// Bytes with two decimals and a letter: `1.43M`.
fn human(bytes: u64) -> String {
    let mut size = bytes as f64;
    let mut letters = ["K", "M", "G", "T", "P"].into_iter();
    let mut letter = "B";
    while size >= 1_024.0
        && let Some(next) = letters.next()
    {
        size /= 1_024.0;
        letter = next;
    }
    if letter == "B" { format!("{bytes}B") } else { format!("{size:.2}{letter}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shortened_for_people() {
        let cases = [(0, "0B"), (1_023, "1023B"), (1_024, "1.00K"), (1_500_000, "1.43M"), (8 << 30, "8.00G")];
        for (bytes, expected) in cases {
            assert_eq!(human(bytes), expected);
        }
    }
}
