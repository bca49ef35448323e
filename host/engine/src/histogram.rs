//! How long calls of a command took, counted in classes that are as fine as two digits: for INFO latencystats and
//! LATENCY HISTOGRAM.
//! Always: its memory is fixed, however many calls there are; a time beyond a second counts as a second.

use tenon_base::Micros;

/// Classes to a doubling.
const CLASS_BITS: u32 = 7;
const CLASSES_PER_DOUBLING: usize = 1 << CLASS_BITS;
/// Longest time told apart, in microseconds.
const LONGEST_US: u64 = 1_000_000;
const CLASSES: usize = class_of(LONGEST_US) + 1;
const NANOSECONDS: u64 = 1_000;

/// Counts by class, in 4 bytes each.
pub(crate) struct Histogram {
    counts: Box<[u32; CLASSES]>,
    total: u64,
}

/// The class of a time: each microsecond below 256, then 128 classes to a doubling.
const fn class_of(us: u64) -> usize {
    if us < 2 * CLASSES_PER_DOUBLING as u64 {
        return us as usize;
    }
    let shift = us.ilog2() - CLASS_BITS;
    shift as usize * CLASSES_PER_DOUBLING + (us >> shift) as usize
}

/// The shortest time of a class, in nanoseconds.
const fn start_ns(class: usize) -> u64 {
    if class < 2 * CLASSES_PER_DOUBLING {
        return class as u64 * NANOSECONDS;
    }
    let shift = class / CLASSES_PER_DOUBLING - 1;
    (((class - shift * CLASSES_PER_DOUBLING) as u64) << shift) * NANOSECONDS
}

/// The end of the class that Redis, which counts nanoseconds in as many classes, puts a time into.
fn class_end_ns(ns: u64) -> u64 {
    let shift = ns.max(1).ilog2().saturating_sub(CLASS_BITS);
    (((ns >> shift) + 1) << shift) - 1
}

impl Histogram {
    pub(crate) fn new() -> Histogram {
        Histogram { counts: Box::new([0; CLASSES]), total: 0 }
    }

    #[inline]
    pub(crate) fn record(&mut self, spent: Micros) {
        let count = &mut self.counts[class_of(spent.0.min(LONGEST_US))];
        *count = count.saturating_add(1);
        self.total += 1;
    }

    /// How many times were recorded.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The time, in nanoseconds, within which so many per cent of the calls ended.
    pub(crate) fn percentile_ns(&self, percent: f64) -> u64 {
        let wanted = ((percent.clamp(0.0, 100.0) / 100.0) * self.total as f64 + 0.5) as u64;
        let mut passed = 0;
        for (class, &count) in self.counts.iter().enumerate() {
            passed += u64::from(count);
            if passed >= wanted.max(1) {
                // A call takes some time, even if it is none that can be told.
                return class_end_ns(start_ns(class).max(1));
            }
        }
        0
    }

    /// Calls that took at most so many microseconds, summed up, at every doubling that adds some.
    pub(crate) fn doublings(&self) -> impl Iterator<Item = (u64, u64)> {
        let (mut class, mut passed, mut told) = (0, 0, 0);
        let ends = (0..=21).map(|doubling| class_end_ns(1_024 << doubling));
        ends.filter_map(move |end_ns| {
            while class < CLASSES && start_ns(class) <= end_ns {
                passed += u64::from(self.counts[class]);
                class += 1;
            }
            (passed > std::mem::replace(&mut told, passed)).then_some((end_ns / NANOSECONDS, passed))
        })
    }
}

impl std::fmt::Debug for Histogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Histogram").field("total", &self.total).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_follow_each_other() {
        const { assert!(CLASSES * 4 <= 8 * 1_024) };
        for class in 0..CLASSES {
            assert_eq!(class_of(start_ns(class) / NANOSECONDS), class);
        }
        for us in 1..100_000 {
            let (this, last) = (class_of(us), class_of(us - 1));
            assert!(this == last || this == last + 1, "{us}");
        }
    }

    #[test]
    fn percentiles_are_the_ends_of_redis_classes() {
        let mut histogram = Histogram::new();
        (0..99).for_each(|_| histogram.record(Micros(1)));
        histogram.record(Micros(50_000));
        assert_eq!(histogram.percentile_ns(50.0), 1_003);
        assert_eq!(histogram.percentile_ns(0.0), 1_003);
        let longest = histogram.percentile_ns(100.0);
        assert!((50_000_000..50_500_000).contains(&longest), "{longest}");
        histogram.record(Micros(u64::MAX));
        assert!(histogram.percentile_ns(100.0) >= 999_000_000);
    }

    #[test]
    fn doublings_sum_up() {
        let mut histogram = Histogram::new();
        for us in [0, 1, 2, 3, 30, 33, 40, 2_000_000] {
            histogram.record(Micros(us));
        }
        let told: Vec<_> = histogram.doublings().collect();
        assert_eq!(told, [(1, 2), (2, 3), (4, 4), (33, 6), (66, 7), (1_082_130, 8)]);
    }
}
