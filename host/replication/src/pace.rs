//! How much writers may write while replicas are synchronized. The stream that gathers for such a replica is bounded
//! (`client-output-buffer-limit replica`), and what is left of the bound has to last until the replica reads the stream.
//! Holds nobody back itself: it says how far the stream may have come by now.
//! Always: nobody is held back before half of a bound is used up.

use tenon_base::Micros;

use crate::settings::Settings;

/// What is left to grow is shared out over no less than this.
const LEFT_MIN: Micros = Micros(1_000_000);
/// What was not written in this time is not saved up.
const BURST: Micros = Micros(50_000);

/// How far the stream may go on.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    granted: Option<Grant>,
}

#[derive(Clone, Copy, Debug)]
struct Grant {
    /// The place in the stream that may be reached at `at`.
    to: f64,
    at: Micros,
}

/// What has gathered for one replica that does not read the stream yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gathering {
    /// Bytes of the stream that wait for it.
    pub(crate) bytes: u64,
    /// About when it will read them.
    pub(crate) left: Micros,
}

impl Pace {
    /// Takes up how things are: the stream has come to `end`, and this has gathered.
    pub(crate) fn look(
        &mut self,
        now: Micros,
        end: u64,
        settings: &Settings,
        gatherings: impl Iterator<Item = Gathering>,
    ) {
        let rates = gatherings.filter_map(|gathering| gathering.rate(settings));
        let Some(rate) = rates.min_by(f64::total_cmp).filter(|_| settings.sync_delay_max > Micros(0)) else {
            self.granted = None;
            return;
        };
        let former = self.granted.unwrap_or(Grant { to: end as f64, at: now });
        let to = former.to + rate * now.since(former.at).0 as f64;
        self.granted = Some(Grant { to: to.min(end as f64 + rate * BURST.0 as f64), at: now });
    }

    /// Nobody gathers anything.
    pub(crate) fn stop(&mut self) {
        self.granted = None;
    }

    /// Whether writers go by a pace at all.
    pub(crate) fn is_set(&self) -> bool {
        self.granted.is_some()
    }

    /// Whether the stream has come further than it may.
    pub(crate) fn is_ahead(&self, end: u64) -> bool {
        self.granted.is_some_and(|grant| end as f64 > grant.to)
    }
}

impl Gathering {
    /// Bytes for each microsecond that may be added; None while that does not matter.
    fn rate(self, settings: &Settings) -> Option<f64> {
        let bound = settings.bound_for(self.left)?;
        let room = bound.saturating_sub(self.bytes);
        (room <= bound / 2).then(|| room as f64 / self.left.max(LEFT_MIN).0 as f64)
    }
}

impl Settings {
    /// What may gather for a replica that reads it after `left`; None for any amount.
    fn bound_for(&self, left: Micros) -> Option<u64> {
        let limit = self.output;
        let hard = (limit.hard_bytes > 0).then(|| limit.hard_bytes.max(self.backlog_bytes));
        let soft = (limit.soft_bytes > 0 && left >= limit.soft).then_some(limit.soft_bytes);
        hard.into_iter().chain(soft).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::OutputLimit;

    const SECOND: Micros = Micros(1_000_000);

    fn settings() -> Settings {
        let output = OutputLimit { hard_bytes: 1_000_000, soft_bytes: 400_000, soft: Micros(60 * SECOND.0) };
        Settings { backlog_bytes: 100_000, output, sync_delay_max: SECOND, ..Settings::default() }
    }

    fn gathering(bytes: u64, left: Micros) -> std::iter::Once<Gathering> {
        std::iter::once(Gathering { bytes, left })
    }

    #[test]
    fn what_is_left_of_the_bound_is_shared_out_over_the_time_that_is_left() {
        let (mut pace, ten) = (Pace::default(), Micros(10 * SECOND.0));
        pace.look(SECOND, 5_000, &settings(), gathering(400_000, ten));
        assert!(!pace.is_set(), "half of the bound is free");
        pace.look(SECOND, 5_000, &settings(), gathering(600_000, ten));
        assert!(pace.is_set() && !pace.is_ahead(5_000) && pace.is_ahead(5_001));
        // 400,000 bytes in ten seconds are 40,000 in one; what is not used at once is not saved up.
        let later = SECOND + Micros(20_000);
        pace.look(later, 5_000, &settings(), gathering(600_000, ten));
        assert!(!pace.is_ahead(5_800) && pace.is_ahead(5_801));
        pace.look(later + SECOND, 5_000, &settings(), gathering(600_000, ten));
        assert!(!pace.is_ahead(7_000) && pace.is_ahead(7_001));
        pace.stop();
        assert!(!pace.is_ahead(u64::MAX));
    }

    #[test]
    fn a_soft_limit_counts_for_those_who_take_longer_than_it_lasts() {
        let mut pace = Pace::default();
        pace.look(SECOND, 0, &settings(), gathering(300_000, Micros(60 * SECOND.0)));
        assert!(pace.is_set());
        pace.look(SECOND, 0, &settings(), gathering(300_000, Micros(59 * SECOND.0)));
        assert!(!pace.is_set());
        pace.look(SECOND, 0, &settings(), gathering(2_000_000, SECOND));
        assert!(pace.is_ahead(1), "there is no room at all");
        let patient = Settings { sync_delay_max: Micros(0), ..settings() };
        pace.look(SECOND, 0, &patient, gathering(2_000_000, SECOND));
        assert!(!pace.is_set(), "nobody is to be delayed");
    }
}
