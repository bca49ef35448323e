//! When an fsync has to start so that it ends in time. Pure: no host, no clock; tested natively.

use std::fmt;

/// How old the oldest unsynced write may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    ms: u32,
}

impl Target {
    /// Without a setting.
    pub const DEFAULT: Target = Target { ms: 100 };

    /// Under `everysec` the host syncs at two seconds whatever a policy says.
    const MS_MAX: u32 = 2_000;

    /// Reads the operator's text; a refusal says what was found and what is expected.
    pub fn parse(text: &str) -> Result<Target, String> {
        match text.parse() {
            Ok(ms) if (1..=Self::MS_MAX).contains(&ms) => Ok(Target { ms }),
            _ => {
                Err(format!("target-ms: found '{text}', expected a whole number from 1 to {}", Self::MS_MAX))
            }
        }
    }

    fn us(self) -> u64 {
        u64::from(self.ms) * 1_000
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.ms)
    }
}

/// The deadline, and the estimate that it follows from.
#[derive(Debug)]
pub struct Deadline {
    target: Target,
    /// How long the next fsync is expected to take.
    estimate_us: u64,
}

impl Deadline {
    /// Knows nothing of the disk yet, and takes it for fast.
    pub fn new(target: Target) -> Deadline {
        Deadline { target, estimate_us: 0 }
    }

    /// Takes a measured fsync into account: slower is believed at once, faster an eighth at a time.
    pub fn learn(&mut self, fsync_us: u32) {
        let fsync_us = u64::from(fsync_us);
        self.estimate_us = match self.estimate_us.checked_sub(fsync_us) {
            Some(surplus_us) => self.estimate_us - surplus_us.div_ceil(8),
            None => fsync_us,
        };
    }

    /// The age of the oldest unsynced write at which to start: so early that the fsync ends at the target, but with a
    /// pause as long as the fsync itself, so that a slow disk has time for others.
    pub fn age_us(&self) -> u64 {
        self.target.us().saturating_sub(self.estimate_us).max(self.estimate_us)
    }

    /// Whether the target can be met with the disk as it is.
    pub fn is_met(&self) -> bool {
        self.age_us() + self.estimate_us <= self.target.us()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deadline(target: &str) -> Deadline {
        Deadline::new(Target::parse(target).expect("a target"))
    }

    #[test]
    fn a_fast_disk_syncs_near_the_target_and_a_slow_one_earlier() {
        let mut deadline = deadline("20");
        assert_eq!(deadline.age_us(), 20_000);
        deadline.learn(4_000);
        assert_eq!((deadline.age_us(), deadline.is_met()), (16_000, true));
        deadline.learn(10_000);
        assert_eq!((deadline.age_us(), deadline.is_met()), (10_000, true));
    }

    #[test]
    fn a_disk_too_slow_for_the_target_gets_a_pause_as_long_as_its_fsyncs() {
        let mut deadline = deadline("20");
        deadline.learn(50_000);
        assert_eq!((deadline.age_us(), deadline.is_met()), (50_000, false));
    }

    #[test]
    fn the_estimate_rises_at_once_and_falls_slowly() {
        let mut deadline = deadline("100");
        deadline.learn(80_000);
        deadline.learn(0);
        assert_eq!(deadline.estimate_us, 70_000);
        (0..100).for_each(|_| deadline.learn(1_000));
        assert_eq!((deadline.estimate_us, deadline.age_us()), (1_000, 99_000));
    }

    #[test]
    fn refusals_say_what_was_found_and_what_is_expected() {
        for text in ["0", "2001", "-1", "", "ten", "1.5"] {
            let refusal = Target::parse(text).expect_err("no target");
            assert_eq!(refusal, format!("target-ms: found '{text}', expected a whole number from 1 to 2000"));
        }
        assert_eq!(Target::parse("2000").map(|target| target.to_string()), Ok("2000 ms".to_owned()));
    }
}
