//! Geohashes: the world halved again and again, by longitude and by latitude in turn; the bits of both,
//! interleaved, name a cell. Knows no distance and no sorted set.
//! Always: a position's number at [`STEP_MAX`] is the score that Redis gives it.

/// How often each coordinate is halved for a score: 52 bits in all, which a double holds exactly.
pub(super) const STEP_MAX: u32 = 26;

/// Longitudes.
pub(super) const LONGITUDE: Span = Span { min: -180.0, max: 180.0 };
/// Latitudes, as far as web maps go: beyond, no position can be told (EPSG:3857).
pub(super) const LATITUDE: Span = Span { min: -85.05112878, max: 85.05112878 };

/// The bits of a number that belong to the longitude.
const LONGITUDE_BITS: u64 = 0xAAAA_AAAA_AAAA_AAAA;
/// The bits of a number that belong to the latitude.
const LATITUDE_BITS: u64 = 0x5555_5555_5555_5555;

/// The digits of geohashes as people write them.
const DIGITS: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
/// Digits of a geohash as people write it.
pub(super) const TEXT_BYTES: usize = 11;

/// A place, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Position {
    pub(super) longitude: f64,
    pub(super) latitude: f64,
}

/// An interval of degrees, both ends included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    pub(super) min: f64,
    pub(super) max: f64,
}

/// A cell: so many halvings of each coordinate, and the number that they lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    bits: u64,
    step: u32,
}

/// A cell's neighbours share an edge or a corner with it; the world is round in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Toward {
    /// The cell itself is meant.
    Here,
    Up,
    Down,
}

/// What a cell covers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    pub(super) longitude: Span,
    pub(super) latitude: Span,
}

impl Span {
    pub(super) fn contains(self, degrees: f64) -> bool {
        self.min <= degrees && degrees <= self.max
    }

    /// Which of 2^step equal parts a coordinate lies in; its upper end lies behind the last.
    fn part(self, degrees: f64, step: u32) -> u32 {
        let fraction = (degrees - self.min) / (self.max - self.min);
        (fraction * parts(step)) as u32
    }

    /// Where a part begins.
    fn start_of(self, part: u32, step: u32) -> f64 {
        self.min + (f64::from(part) / parts(step)) * (self.max - self.min)
    }

    fn of_part(self, part: u32, step: u32) -> Span {
        Span { min: self.start_of(part, step), max: self.start_of(part.wrapping_add(1), step) }
    }

    fn middle(self) -> f64 {
        (self.min + self.max) / 2.0
    }
}

impl Position {
    /// The score of a member at this position, which can be told.
    pub(super) fn score(self) -> u64 {
        Cell::at(self, STEP_MAX).bits
    }

    /// The position of a member with this score, whatever it is: the middle of the smallest cell.
    pub(super) fn of_score(score: f64) -> Position {
        let area = Cell { bits: bits_of(score), step: STEP_MAX }.area();
        Position {
            longitude: area.longitude.middle().clamp(LONGITUDE.min, LONGITUDE.max),
            latitude: area.latitude.middle().clamp(LATITUDE.min, LATITUDE.max),
        }
    }

    /// The geohash as people write it. Their latitudes go up to the poles, so it is another number than the score;
    /// the last digit has no bits left and is always zero.
    pub(super) fn geohash_text(self) -> [u8; TEXT_BYTES] {
        const POLE_TO_POLE: Span = Span { min: -90.0, max: 90.0 };
        let latitude = POLE_TO_POLE.part(self.latitude, STEP_MAX);
        let bits = interleave(latitude, LONGITUDE.part(self.longitude, STEP_MAX));
        let mut text = [DIGITS[0]; TEXT_BYTES];
        for (index, digit) in text[..TEXT_BYTES - 1].iter_mut().enumerate() {
            *digit = DIGITS[(bits >> (2 * STEP_MAX as usize - 5 * (index + 1))) as usize % DIGITS.len()];
        }
        text
    }
}

impl Cell {
    /// The cell that holds a position, after `step` halvings.
    pub(super) fn at(position: Position, step: u32) -> Cell {
        let latitude = LATITUDE.part(position.latitude, step);
        Cell { bits: interleave(latitude, LONGITUDE.part(position.longitude, step)), step }
    }

    /// What it covers.
    pub(super) fn area(self) -> Area {
        let (latitude, longitude) = deinterleave(self.bits);
        Area {
            longitude: LONGITUDE.of_part(longitude, self.step),
            latitude: LATITUDE.of_part(latitude, self.step),
        }
    }

    /// The cell next to it: `Up` is east and north.
    pub(super) fn neighbour(self, longitude: Toward, latitude: Toward) -> Cell {
        let bits = moved(self.bits, LONGITUDE_BITS, self.step, longitude);
        Cell { bits: moved(bits, LATITUDE_BITS, self.step, latitude), ..self }
    }

    /// The scores of what lies in it: the first, and the first behind the last.
    pub(super) fn scores(self) -> (f64, f64) {
        let shift = 2 * (STEP_MAX - self.step);
        ((self.bits << shift) as f64, ((self.bits + 1) << shift) as f64)
    }
}

fn parts(step: u32) -> f64 {
    (1u64 << step) as f64
}

/// One coordinate's bits counted one up or down, the other's left alone.
fn moved(bits: u64, own: u64, step: u32, toward: Toward) -> u64 {
    let unused = 64 - 2 * step;
    // The other coordinate's bits, all set or all clear, let a carry pass through them.
    let between = !own >> unused;
    let count = match toward {
        Toward::Here => return bits,
        Toward::Up => (bits & own).wrapping_add(between + 1),
        Toward::Down => ((bits & own) | between).wrapping_sub(between + 1),
    };
    (count & (own >> unused)) | (bits & !own)
}

/// A score's bits. What is no whole number of 64 bits is taken as x86-64 takes it, which is what Redis shows.
fn bits_of(score: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    let signed = |number: f64| {
        let fits = (-HALF..HALF).contains(&number);
        if fits { number as i64 } else { i64::MIN }
    };
    if score < HALF { signed(score) as u64 } else { signed(score - HALF) as u64 ^ (1 << 63) }
}

/// The bits of the latitude and those of the longitude in turn, the longitude's above.
fn interleave(latitude: u32, longitude: u32) -> u64 {
    spread(latitude) | spread(longitude) << 1
}

/// Latitude and longitude.
fn deinterleave(bits: u64) -> (u32, u32) {
    (gather(bits), gather(bits >> 1))
}

/// Puts a zero above every bit.
fn spread(number: u32) -> u64 {
    let mut bits = u64::from(number);
    for (shift, mask) in SPREADING {
        bits = (bits | bits << shift) & mask;
    }
    bits
}

/// Takes every second bit, from the lowest on.
fn gather(bits: u64) -> u32 {
    let mut bits = bits & LATITUDE_BITS;
    let masks = SPREADING.iter().rev().skip(1).map(|(_, mask)| *mask).chain([0xFFFF_FFFF]);
    for ((shift, _), mask) in SPREADING.iter().rev().zip(masks) {
        bits = (bits | bits >> shift) & mask;
    }
    bits as u32
}

/// By how much the halves, quarters ... move apart, and what is kept then.
const SPREADING: [(u32, u64); 5] = [
    (16, 0x0000_FFFF_0000_FFFF),
    (8, 0x00FF_00FF_00FF_00FF),
    (4, 0x0F0F_0F0F_0F0F_0F0F),
    (2, 0x3333_3333_3333_3333),
    (1, LATITUDE_BITS),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_apart_as_they_went_together() {
        for (latitude, longitude) in [(0, 0), (1, 0), (0, 1), (0xDEAD_BEEF, 0x1234_5678), (u32::MAX, 7)] {
            assert_eq!(deinterleave(interleave(latitude, longitude)), (latitude, longitude));
        }
        assert_eq!(interleave(0b11, 0b00), 0b0101);
        assert_eq!(interleave(0b00, 0b11), 0b1010);
    }

    #[test]
    fn scores_are_those_of_redis() {
        let palermo = Position { longitude: 13.361389, latitude: 38.115556 };
        assert_eq!(palermo.score(), 3_479_099_956_230_698);
        let shown = Position::of_score(3_479_099_956_230_698.0);
        assert_eq!((shown.longitude, shown.latitude), (13.361_389_338_970_184, 38.115_556_395_496_3));
        assert_eq!(&shown.geohash_text(), b"sqc8b49rny0");
    }

    #[test]
    fn neighbours_go_round_the_world() {
        let cell = Cell::at(Position { longitude: 179.9, latitude: 0.1 }, 4);
        let east = cell.neighbour(Toward::Up, Toward::Here);
        assert_eq!(east.area().longitude.min, -180.0);
        assert_eq!(east.neighbour(Toward::Down, Toward::Here), cell);
        let north = cell.neighbour(Toward::Here, Toward::Up);
        assert_eq!(north.area().latitude.min, cell.area().latitude.max);
        assert_eq!(north.neighbour(Toward::Up, Toward::Down), east);
    }

    #[test]
    fn any_score_has_a_position() {
        for score in [-1.0, 0.5, 1e300, -1e300, f64::INFINITY, f64::NEG_INFINITY, f64::MAX] {
            let Position { longitude, latitude } = Position::of_score(score);
            assert!(LONGITUDE.contains(longitude) && LATITUDE.contains(latitude), "{score}");
        }
    }
}
