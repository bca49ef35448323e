//! The only clock of the house.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tenon_base::{Micros, Now, Stopwatch};

/// Reads the steady and the wall clock. Steady time counts from the moment the clock was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock whose steady time starts now.
    pub fn start() -> Clock {
        Clock { start: Instant::now() }
    }

    /// Both clocks.
    pub fn now(&self) -> Now {
        Now { steady: self.steady(), unix_us: wall_unix_us() }
    }

    /// The steady clock.
    pub fn steady(&self) -> Micros {
        Micros(self.start.elapsed().as_micros() as u64)
    }

    /// The instant at which the steady clock will show `moment`.
    pub fn instant(&self, moment: Micros) -> Instant {
        self.start + std::time::Duration::from_micros(moment.0)
    }
}

impl Stopwatch for Clock {
    fn read(&mut self) -> Micros {
        self.steady()
    }

    fn read_ns(&mut self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    fn unix_us(&mut self) -> i64 {
        wall_unix_us()
    }
}

/// A wall clock before 1970 is taken as 1970.
fn wall_unix_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}
