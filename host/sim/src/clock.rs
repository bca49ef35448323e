//! The clock of a fake world. It stands still while a machine works, but for a microsecond at each reading.
//! Always: equal runs read equal times.

use tenon_base::{Micros, Now, Stopwatch};

/// When every world begins, in microseconds since 1970.
pub const START_UNIX_US: i64 = 1_700_000_000_000_000;

/// The time of one world.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    now: Micros,
    readings: u64,
}

impl Clock {
    /// The moment, by both clocks.
    pub fn now(&self) -> Now {
        Now { steady: self.now, unix_us: START_UNIX_US + self.now.0 as i64 }
    }

    /// Goes on to `moment`, if it has not come yet.
    pub fn advance(&mut self, moment: Micros) {
        self.now = self.now.max(moment);
        self.readings = 0;
    }
}

impl Stopwatch for Clock {
    fn read(&mut self) -> Micros {
        self.readings += 1;
        self.now + Micros(self.readings)
    }

    fn read_ns(&mut self) -> u64 {
        self.read().0 * 1_000
    }

    fn unix_us(&mut self) -> i64 {
        START_UNIX_US + self.read().0 as i64
    }
}
