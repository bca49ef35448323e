//! Distances on a sphere of the earth's size, by the haversine formula. Knows no cell.
//! Always: the same operations in the same order as Redis, so that the same positions are as far apart.

use super::cell::Position;

/// The quadratic mean radius of the earth (WGS-84), in metres.
pub(super) const EARTH_RADIUS_M: f64 = 6_372_797.560856;

const DEGREE: f64 = std::f64::consts::PI / 180.0;

/// Degrees as an angle in radians.
pub(super) fn radians(degrees: f64) -> f64 {
    degrees * DEGREE
}

/// An angle in radians as degrees.
pub(super) fn degrees(radians: f64) -> f64 {
    radians / DEGREE
}

/// A position from which distances are measured, with what they have in common.
pub(super) struct Origin {
    position: Position,
    latitude: f64,
    latitude_cosine: f64,
}

impl Origin {
    pub(super) fn of(position: Position) -> Origin {
        let latitude = radians(position.latitude);
        Origin { position, latitude, latitude_cosine: latitude.cos() }
    }

    /// Metres along the surface.
    pub(super) fn distance_m(&self, to: Position) -> f64 {
        let v = ((radians(to.longitude) - radians(self.position.longitude)) / 2.0).sin();
        if v == 0.0 {
            return meridian_distance_m(self.position.latitude, to.latitude);
        }
        let to_latitude = radians(to.latitude);
        let u = ((to_latitude - self.latitude) / 2.0).sin();
        let a = u * u + self.latitude_cosine * to_latitude.cos() * v * v;
        // Rounding may lift antipodes beyond one, where there is no arc.
        2.0 * EARTH_RADIUS_M * a.sqrt().min(1.0).asin()
    }
}

/// Metres along the surface between two positions.
pub(super) fn distance_m(from: Position, to: Position) -> f64 {
    Origin::of(from).distance_m(to)
}

/// Metres between two latitudes on one meridian.
pub(super) fn meridian_distance_m(from: f64, to: f64) -> f64 {
    EARTH_RADIUS_M * (radians(to) - radians(from)).abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_redis() {
        let palermo = Position { longitude: 13.361389338970184, latitude: 38.1155563954963 };
        let catania = Position { longitude: 15.087267458438873, latitude: 37.50266842333162 };
        assert!((distance_m(palermo, catania) - 166_274.151_6).abs() < 0.0001);
        assert_eq!(distance_m(palermo, palermo), 0.0);
    }

    #[test]
    fn antipodes_have_a_distance() {
        for tenths in -850..=850 {
            let latitude = f64::from(tenths) / 10.0;
            let here = Position { longitude: -90.0, latitude };
            let there = Position { longitude: 90.0, latitude: -latitude };
            let half_way_round = std::f64::consts::PI * EARTH_RADIUS_M;
            assert!((distance_m(here, there) - half_way_round).abs() < 1.0, "{latitude}");
        }
    }
}
