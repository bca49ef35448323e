//! Whether to look again before going to sleep. A saturated client pays for every wake-up of a sleeping
//! server, so a busy server polls for a few dozen microseconds first; an idle one, or one that has a single
//! core, never does.

use tenon_base::Micros;

/// How long to poll at most.
const SPIN_US: u64 = 40;
/// How much trust polling can earn; it loses two for each time it was in vain.
const TRUST_MAX: u32 = 8;

/// Decides from recent experience.
#[derive(Debug)]
pub(crate) struct Spin {
    is_allowed: bool,
    trust: u32,
    settled_at: Micros,
    spinning: bool,
}

impl Spin {
    pub(crate) fn new(cores: usize) -> Spin {
        Spin { is_allowed: cores > 1, trust: 0, settled_at: Micros(0), spinning: false }
    }

    /// A turn has ended.
    pub(crate) fn settled(&mut self, now: Micros) {
        self.settled_at = now;
        self.spinning = self.is_allowed && self.trust > 0;
    }

    /// A turn begins. Work that came soon after the last turn makes polling worth while.
    pub(crate) fn began(&mut self, now: Micros) {
        if now.since(self.settled_at).0 <= SPIN_US {
            self.trust = (self.trust + 1).min(TRUST_MAX);
        } else if self.spinning {
            self.trust = self.trust.saturating_sub(2);
        }
        self.spinning = false;
    }

    /// Whether to look again rather than to sleep.
    pub(crate) fn wants_look(&mut self, now: Micros) -> bool {
        if !self.spinning {
            return false;
        }
        if now.since(self.settled_at).0 > SPIN_US {
            self.trust = self.trust.saturating_sub(2);
            self.spinning = false;
        }
        self.spinning
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polling_is_earned_by_quick_work_and_lost_by_waiting() {
        let mut spin = Spin::new(2);
        let mut now = 0;
        for _ in 0..4 {
            spin.settled(Micros(now));
            now += 10;
            spin.began(Micros(now));
        }
        spin.settled(Micros(now));
        assert!(spin.wants_look(Micros(now + 10)));
        for _ in 0..4 {
            spin.settled(Micros(now));
            now += 1_000;
            assert!(!spin.wants_look(Micros(now)));
            spin.began(Micros(now));
        }
        spin.settled(Micros(now));
        assert!(!spin.wants_look(Micros(now + 1)), "an idle server sleeps");
    }

    #[test]
    fn one_core_never_polls() {
        let mut spin = Spin::new(1);
        for now in 0..100 {
            spin.began(Micros(now));
            spin.settled(Micros(now));
            assert!(!spin.wants_look(Micros(now)));
        }
    }
}
