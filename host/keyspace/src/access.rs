//! What the 24 bits of an entry's access clock say, and how they move: when the value was last used, or how often it
//! is. Knows no policy: which of the two holds is told from outside, and may change at any time.
//! Always: moving a clock is arithmetic on the clock alone, so that it needs no further memory.
//!
//! ```text
//! recency     seconds, 24 bits
//! frequency   minutes of the last use, 16 bits | logarithmic counter, 8 bits
//! ```

/// The clock's bits.
const CLOCK_MASK: u32 = 0x00FF_FFFF;
/// Half the clock's range: what lies further back than the clock reaches counts as this old.
const HALF_RANGE: u32 = 0x007F_FFFF;
/// Where a new entry's counter begins, so that it is not the first to go.
const NEW_COUNTER: u8 = 5;
const MINUTES_MAX: u32 = 0xFFFF;

/// What an access clock counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessRule {
    /// Seconds: when the value was last used.
    #[default]
    Recency,
    /// How often the value is used.
    Frequency {
        /// The more, the more uses it takes to make the counter grow (`lfu-log-factor`).
        log_factor: u32,
        /// Minutes without use that cost the counter one; zero for never (`lfu-decay-time`).
        decay_minutes: u32,
    },
}

impl AccessRule {
    /// The clock of an entry that is new in this second of Unix time.
    #[inline]
    pub fn fresh(self, seconds: u32) -> u32 {
        match self {
            AccessRule::Recency => seconds & CLOCK_MASK,
            AccessRule::Frequency { .. } => AccessRule::with_frequency(NEW_COUNTER, seconds),
        }
    }

    /// The clock of an entry that was used so often.
    pub fn with_frequency(counter: u8, seconds: u32) -> u32 {
        (minutes(seconds) << 8) | u32::from(counter)
    }

    /// The clock of an entry that was last used so many seconds ago. What lies before the clock's beginning counts as
    /// half a turn ago.
    pub fn with_idle_seconds(idle_seconds: u64, seconds: u32) -> u32 {
        let clock = seconds & CLOCK_MASK;
        match u32::try_from(idle_seconds).ok().and_then(|idle| clock.checked_sub(idle)) {
            Some(before) => before,
            None => (clock + HALF_RANGE) % CLOCK_MASK,
        }
    }

    /// Whether clocks count uses.
    pub fn counts_uses(self) -> bool {
        self != AccessRule::Recency
    }

    /// Seconds since the last use, of a clock that tells recency.
    pub fn idle_seconds(clock: u32, seconds: u32) -> u32 {
        seconds.wrapping_sub(clock) & CLOCK_MASK
    }

    /// The counter as it is by now, of a clock that counts uses; otherwise the low bits, which say nothing.
    pub fn frequency(self, clock: u32, seconds: u32) -> u8 {
        let counter = clock as u8;
        let AccessRule::Frequency { decay_minutes, .. } = self else { return counter };
        let (now, then) = (minutes(seconds), clock >> 8);
        let passed = if now >= then { now - then } else { MINUTES_MAX - then + now };
        let periods = passed.checked_div(decay_minutes).unwrap_or(0);
        counter.saturating_sub(u8::try_from(periods).unwrap_or(u8::MAX))
    }
}

fn minutes(seconds: u32) -> u32 {
    (seconds / 60) & MINUTES_MAX
}

/// How the clocks of one database move.
#[derive(Clone, Debug)]
pub(crate) struct AccessClock {
    rule: AccessRule,
    /// The present second of Unix time.
    seconds: u32,
    /// State of a small generator: whether a counter grows is a matter of chance.
    chance: u64,
}

impl AccessClock {
    /// `seed` decides what chance does.
    pub(crate) fn new(seed: u64) -> AccessClock {
        AccessClock { rule: AccessRule::Recency, seconds: 0, chance: seed | 1 }
    }

    pub(crate) fn set_rule(&mut self, rule: AccessRule) {
        self.rule = rule;
    }

    pub(crate) fn set_seconds(&mut self, seconds: u32) {
        self.seconds = seconds;
    }

    /// The clock of a new entry.
    #[inline]
    pub(crate) fn fresh(&self) -> u32 {
        self.rule.fresh(self.seconds)
    }

    /// What a clock becomes when its entry is used.
    #[inline]
    pub(crate) fn used(&mut self, clock: u32) -> u32 {
        match self.rule {
            AccessRule::Recency => self.seconds & CLOCK_MASK,
            AccessRule::Frequency { log_factor, .. } => self.counted(clock, log_factor),
        }
    }

    /// A counter grows by one with the probability 1 / (what it is above its beginning * factor + 1).
    fn counted(&mut self, clock: u32, log_factor: u32) -> u32 {
        let counter = self.rule.frequency(clock, self.seconds);
        let above = u64::from(counter.saturating_sub(NEW_COUNTER));
        let one_in = above * u64::from(log_factor) + 1;
        let grows = counter < u8::MAX && self.roll().is_multiple_of(one_in);
        AccessRule::with_frequency(counter + u8::from(grows), self.seconds)
    }

    /// 32 bits of chance (xorshift64*).
    fn roll(&mut self) -> u64 {
        self.chance ^= self.chance >> 12;
        self.chance ^= self.chance << 25;
        self.chance ^= self.chance >> 27;
        self.chance.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: AccessRule = AccessRule::Frequency { log_factor: 10, decay_minutes: 1 };

    #[test]
    fn counters_grow_as_the_logarithm_of_uses() {
        // What Redis's documentation of its configuration shows for a factor of ten.
        for (uses, expected) in
            [(100, 8..=13), (1_000, 15..=21), (100_000, 130..=160), (1_000_000, 255..=255)]
        {
            let mut clock = AccessClock::new(7);
            clock.set_rule(RULE);
            let value = (0..uses).fold(clock.fresh(), |value, _| clock.used(value));
            let counter = RULE.frequency(value, 0);
            assert!(expected.contains(&counter), "{uses} uses count as {counter}");
        }
    }

    #[test]
    fn counters_fall_while_nobody_uses_the_value() {
        let clock = AccessRule::with_frequency(100, 600);
        assert_eq!(RULE.frequency(clock, 659), 100);
        assert_eq!(RULE.frequency(clock, 660), 99);
        assert_eq!(RULE.frequency(clock, 600 + 60 * 300), 0);
        let never = AccessRule::Frequency { log_factor: 10, decay_minutes: 0 };
        assert_eq!(never.frequency(clock, 600 + 60 * 300), 100);
        // Minutes begin anew after 16 bits.
        let last = AccessRule::with_frequency(10, MINUTES_MAX * 60);
        assert_eq!(RULE.frequency(last, (MINUTES_MAX + 3) * 60), 8);
    }

    #[test]
    fn recency_is_a_time_of_24_bits() {
        assert_eq!(AccessRule::Recency.fresh(0x1234_5678), 0x34_5678);
        assert_eq!(AccessRule::idle_seconds(0x00FF_FFFF, 0x0100_0004), 5);
        assert_eq!(AccessRule::with_idle_seconds(10, 10), 0);
        assert_eq!(AccessRule::with_idle_seconds(11, 10), 10 + 0x7F_FFFF);
        assert_eq!(AccessRule::with_idle_seconds(u64::MAX, 10), 10 + 0x7F_FFFF);
    }
}
