//! How long fsyncs take: the last one, the mean of the last 16, the worst of the last minute. How old what they covered
//! had become: the worst of the last minute.

use tenon_base::Micros;

const MEAN_OF: usize = 16;
const WORST_OF: Micros = Micros::from_millis(60_000);
const BUCKETS: usize = 12;
const BUCKET: u64 = WORST_OF.0 / BUCKETS as u64;

/// Durations of ended fsyncs.
#[derive(Clone, Debug, Default)]
pub(crate) struct SyncStatistics {
    pub(crate) last_began: Option<Micros>,
    pub(crate) last_us: u64,
    pub(crate) last_succeeded: Option<bool>,
    recent: [u64; MEAN_OF],
    count: u64,
    worst: Worst,
    staleness: Worst,
}

/// The worst of each span of `BUCKET` microseconds, by the span's number from 1.
#[derive(Clone, Debug, Default)]
struct Worst([(u64, u64); BUCKETS]);

impl SyncStatistics {
    /// An fsync has ended.
    pub(crate) fn ended(&mut self, began: Micros, now: Micros, succeeded: bool) {
        let took = now.since(began).0;
        (self.last_began, self.last_us, self.last_succeeded) = (Some(began), took, Some(succeeded));
        self.recent[self.count as usize % MEAN_OF] = took;
        self.count += 1;
        self.worst.note(now, took);
    }

    /// What was appended at `oldest` and later has been covered.
    pub(crate) fn covered(&mut self, oldest: Micros, now: Micros) {
        self.staleness.note(now, now.since(oldest).0);
    }

    /// How many fsyncs have ended.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn mean_us(&self) -> u64 {
        let count = self.count.min(MEAN_OF as u64) as usize;
        if count == 0 { 0 } else { self.recent[..count].iter().sum::<u64>() / count as u64 }
    }

    pub(crate) fn worst_us(&self, now: Micros) -> u64 {
        self.worst.recent(now)
    }

    /// How old the oldest of what an fsync covered was when it ended, at worst.
    pub(crate) fn staleness_us(&self, now: Micros) -> u64 {
        self.staleness.recent(now)
    }
}

impl Worst {
    fn note(&mut self, now: Micros, value: u64) {
        let span = now.0 / BUCKET + 1;
        let bucket = &mut self.0[span as usize % BUCKETS];
        let before = if bucket.0 == span { bucket.1 } else { 0 };
        *bucket = (span, before.max(value));
    }

    fn recent(&self, now: Micros) -> u64 {
        let span = now.0 / BUCKET + 1;
        let recent = self.0.iter().filter(|(at, _)| at + BUCKETS as u64 > span);
        recent.map(|&(_, worst)| worst).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_and_worsts_forget() {
        let mut statistics = SyncStatistics::default();
        assert_eq!((statistics.mean_us(), statistics.worst_us(Micros(0))), (0, 0));
        let second = 1_000_000;
        statistics.ended(Micros(second), Micros(second + 5_000), true);
        statistics.ended(Micros(2 * second), Micros(2 * second + 1_000), false);
        assert_eq!(
            (statistics.last_us, statistics.last_succeeded, statistics.mean_us()),
            (1_000, Some(false), 3_000)
        );
        assert_eq!(statistics.worst_us(Micros(30 * second)), 5_000);
        for turn in 0..16 {
            statistics.ended(Micros((70 + turn) * second), Micros((70 + turn) * second + 40), true);
        }
        assert_eq!((statistics.mean_us(), statistics.worst_us(Micros(86 * second))), (40, 40));
        assert_eq!(statistics.count(), 18);
    }

    #[test]
    fn staleness_is_the_worst_of_a_minute() {
        let mut statistics = SyncStatistics::default();
        let second = 1_000_000;
        statistics.covered(Micros(second), Micros(3 * second));
        statistics.covered(Micros(4 * second), Micros(5 * second));
        assert_eq!(statistics.staleness_us(Micros(30 * second)), 2 * second);
        statistics.covered(Micros(69 * second), Micros(70 * second));
        assert_eq!(statistics.staleness_us(Micros(70 * second)), second);
    }
}
