//! Counts tests from the closing lines of cargo's and nextest's reports.
//! Always: a line of another kind counts nothing.

/// Tests run so far.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: u64,
    pub(super) failed: u64,
}

impl Tally {
    /// Reads one line of a test runner's output.
    pub(super) fn read(&mut self, line: &str) {
        // nextest repeats, indented, what a failed test printed: only a line at the margin is cargo's own.
        let of_cargo = line.starts_with("test result:");
        let line = line.trim();
        let of_nextest =
            line.starts_with("Summary [") && (line.contains("tests run:") || line.contains("test run:"));
        if of_cargo || of_nextest {
            self.passed += number_before(line, "passed");
            self.failed += number_before(line, "failed") + number_before(line, "timed out");
        }
    }
}

/// The number in front of `word`, 0 when the line does not have it.
fn number_before(line: &str, word: &str) -> u64 {
    let before = line.find(word).map(|at| line[..at].trim_end());
    before.and_then(|text| text.rsplit(' ').next()).and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_counted_and_others_are_not() {
        let mut tally = Tally::default();
        for line in [
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "     Summary [   0.123s] 12 tests run: 10 passed (1 slow), 2 failed, 1 skipped",
            "     Summary [   0.123s] 1 test run: 1 passed, 0 skipped",
            "     Summary [   9.000s] 2 tests run: 1 passed, 1 timed out, 0 skipped",
            "    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 9 filtered out",
            "5 passed, 6 failed",
            "test a ... ok",
        ] {
            tally.read(line);
        }
        assert_eq!(tally, Tally { passed: 15, failed: 3 });
    }
}
