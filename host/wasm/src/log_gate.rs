//! Decides which of a guest's log messages the operator sees.
//! Reads no clock and logs nothing: time comes in, lines go out.
//! Always: a line is one line of bounded length, and a guest that floods costs ten lines and then one a second.

use std::time::Duration;

use tenon_policy::one_line;

/// Of one message; the rest is cut.
const MESSAGE_BYTES_MAX: usize = 512;
/// Messages that pass at once.
const BURST_MAX: u32 = 10;
/// After that one passes in such a time.
const REFILL: Duration = Duration::from_secs(1);

/// A bucket of messages, shared by all instances of one loaded policy.
#[derive(Debug)]
pub(crate) struct LogGate {
    left: u32,
    refilled_at: Duration,
    kept_back: u64,
}

impl LogGate {
    pub(crate) fn new(now: Duration) -> LogGate {
        LogGate { left: BURST_MAX, refilled_at: now, kept_back: 0 }
    }

    /// The line to log, or nothing.
    pub(crate) fn pass(&mut self, now: Duration, message: &str) -> Option<String> {
        let refills = now.saturating_sub(self.refilled_at).as_secs() / REFILL.as_secs();
        if refills > 0 {
            self.refilled_at = now;
            self.left = self.left.saturating_add(u32::try_from(refills).unwrap_or(u32::MAX)).min(BURST_MAX);
        }
        if self.left == 0 {
            self.kept_back += 1;
            return None;
        }
        self.left -= 1;
        let mut line = one_line(message, MESSAGE_BYTES_MAX);
        match std::mem::take(&mut self.kept_back) {
            0 => {}
            kept_back => line.push_str(&format!(" ({kept_back} messages before this one were not logged)")),
        }
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_ten_lines_and_then_one_a_second() {
        let mut gate = LogGate::new(Duration::ZERO);
        let mut passed = |from_ms: u64, to_ms: u64| {
            (from_ms..to_ms).filter_map(|ms| gate.pass(Duration::from_millis(ms), "x")).collect::<Vec<_>>()
        };
        assert_eq!(passed(0, 1_000), ["x"; 10]);
        assert_eq!(passed(1_000, 3_000).len(), 2);
        assert_eq!(passed(3_000, 3_001), ["x (999 messages before this one were not logged)"]);
        assert_eq!(passed(100_000, 101_000).len(), 10);
    }

    #[test]
    fn a_message_is_one_line_of_bounded_length() {
        let mut gate = LogGate::new(Duration::ZERO);
        assert_eq!(gate.pass(Duration::ZERO, "a\nb").as_deref(), Some("a\\nb"));
        assert_eq!(gate.pass(Duration::ZERO, &"x".repeat(60_000)).map(|line| line.len()), Some(512));
    }
}
