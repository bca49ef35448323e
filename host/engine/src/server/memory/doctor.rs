//! What figures of memory say about a server, in sentences. Thresholds are Redis's.

use crate::memory_report::MemoryReport;

/// Below this there is nothing to find.
const TELLING_BYTES: u64 = 5 << 20;
const CLIENT_BYTES_MAX: u64 = 200 << 10;

/// A report; `clients` are connected.
pub(super) fn findings(report: &MemoryReport, clients: u64) -> String {
    if report.used < TELLING_BYTES {
        return "The server uses too little memory for anything to be found in it.\n".to_owned();
    }
    let found: Vec<&str> = [
        (
            report.peak as f64 / report.used as f64 > 1.5,
            "Peak memory: once the server used more than one and a half times of what it uses now. The allocator may \
             keep pages of that time, which are used again when data grows. MEMORY PURGE gives unused ones back.",
        ),
        (
            report.fragmentation().exceeds(1.4),
            "High total RSS: the process has more than 1.4 times as much memory resident as it has allocated. After a \
             peak this is harmless; otherwise values of very different sizes come and go.",
        ),
        (
            report.allocator_fragmentation().exceeds(1.1),
            "High allocator fragmentation: pages are less than nine tenths full, because what lay in them was freed \
             here and there.",
        ),
        (
            report.allocator_residence().exceeds(1.1),
            "High allocator RSS overhead: the allocator keeps pages that it does not use. MEMORY PURGE gives them back.",
        ),
        (
            report.process_overhead().exceeds(1.1),
            "High process RSS overhead: memory is resident that the allocator does not know, such as that of policies.",
        ),
        (
            report.clients / clients.max(1) > CLIENT_BYTES_MAX,
            "Big client buffers: clients take more than 200 kB each on average. CLIENT LIST tells who does not read \
             what it is sent, and maxmemory-clients sets a limit.",
        ),
    ]
    .into_iter()
    .filter_map(|(applies, sentence)| applies.then_some(sentence))
    .collect();
    if found.is_empty() {
        return "Nothing is wrong with the use of memory.\n".to_owned();
    }
    let mut text = String::from("What was found in the use of memory:\n\n");
    found.iter().for_each(|sentence| text.push_str(&format!(" * {sentence}\n\n")));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::Gauges;

    #[test]
    fn figures_beyond_thresholds_are_named() {
        let gauges = Gauges {
            allocated_bytes: 100 << 20,
            active_bytes: 105 << 20,
            allocator_resident_bytes: 110 << 20,
            resident_bytes: 111 << 20,
            ..Gauges::default()
        };
        let mut report = MemoryReport {
            used: 100 << 20,
            peak: 100 << 20,
            startup: 1 << 20,
            clients: 1 << 20,
            log_buffer: 0,
            databases: Vec::new(),
            overhead: 2 << 20,
            gauges,
        };
        assert!(findings(&report, 10).starts_with("Nothing is wrong"));
        report.clients = 10 << 20;
        report.peak = 200 << 20;
        report.gauges.resident_bytes = 200 << 20;
        let text = findings(&report, 10);
        for name in ["Peak memory", "High total RSS", "High process RSS", "Big client buffers"] {
            assert!(text.contains(name), "{name}");
        }
        assert!(!text.contains("High allocator"));
        report.used = 1 << 20;
        assert!(findings(&report, 10).contains("too little"));
    }
}
